"""Figures that answer to the reader's hand: frames, computed beforehand, among which sliders choose.

A mark holds arrays whose last axis runs over its points and whose axes before run over the positions of the controls, one
axis a control, of length 1 where a control does not matter. `show` makes of them one output in two forms: a chart of
Vega-Lite 5, which JupyterLab draws itself and the site by one script of its own, and a picture of the starting frame for all
other readers. The page chooses frames and draws them; it computes nothing.

>>> control = Control("time", [0, 1, 2], start=1)
>>> spec = chart([Panel("x", "y", [line([0, 1], [[0, 0], [0, 1], [0, 2]], "path")])], [control], ["a", "b", "c"])
>>> spec["params"][0]["bind"]["max"], spec["usermeta"]["controls"][0]["texts"]
(2, ['0', '1', '2'])
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy import ndarray as Array

from afp_utils.book.plain import VEGALITE
from afp_utils.core.plots import COLOURS

FRAMES, CROSSED, BYTES = 60, 300, 150_000
"""At most so many positions of a control, of all controls together, and bytes of a figure."""
DIGITS = 4
GREY = "#767676"
"""For what does not belong to a series: as far from white as from black."""


@dataclass(frozen=True)
class Control:
    """A slider: its label, what its positions stand for, and the position at which the figure opens."""

    label: str
    values: Sequence[Any]
    start: int = 0

    @property
    def texts(self) -> list[str]:
        return [value if isinstance(value, str) else f"{value:.3g}" for value in self.values]


@dataclass(frozen=True)
class Mark:
    """What is drawn: `line`, `point`, `bar`, `rule` (from x, y to x2, y2) or `cell`, in the colour of a series or grey.

    A mark without a name is not in the legend.
    """

    kind: str
    at: Mapping[str, Array]
    name: str
    series: int | None
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """Axes and the marks on them. Without limits it holds all frames; `equal` gives both axes one scale."""

    x: str
    y: str
    marks: Sequence[Mark]
    log: str = ""
    xlim: tuple[float, float] | None = None
    ylim: tuple[float, float] | None = None
    equal: bool = False


def line(x: Any, y: Any, name: str, series: int | None = 0, dashed: bool = False) -> Mark:
    return _mark("line", name, series, dashed, x=x, y=y)


def points(x: Any, y: Any, name: str, series: int | None = 0) -> Mark:
    return _mark("point", name, series, x=x, y=y)


def bars(x: Any, y: Any, name: str, series: int | None = 0) -> Mark:
    """Bars from 0 to y at the names or numbers x."""
    return _mark("bar", name, series, x=x, y=y)


def rules(x: Any, y: Any, x2: Any, y2: Any, name: str, series: int | None = None, dashed: bool = False) -> Mark:
    return _mark("rule", name, series, dashed, x=x, y=y, x2=x2, y2=y2)


def cells(x: Any, y: Any, value: Any, name: str) -> Mark:
    """A matrix: `value` at the names or numbers x and y, dark to light."""
    return _mark("cell", name, None, x=x, y=y, value=value)


def track(x: Any, y: Any, axis: int, name: str, series: int | None = 0) -> list[Mark]:
    """Numbers y, one for each frame, as a curve along the positions x of one control, and where it stands."""
    y = np.asarray(y)
    here = np.reshape(x, [-1 if place == axis else 1 for place in range(y.ndim)] + [1])
    whole = np.expand_dims(np.moveaxis(y, axis, -1), axis)
    return [line(x, whole, name, series), points(here, y[..., None], name, series)]


def _mark(kind: str, name: str, series: int | None, dashed: bool = False, **at: Any) -> Mark:
    arrays = {channel: np.atleast_1d(np.asarray(values)) for channel, values in at.items()}
    sizes = {array.shape[-1] for array in arrays.values()} - {1}
    if len(sizes) > 1:
        shapes = ", ".join(f"{channel} {array.shape}" for channel, array in arrays.items())
        raise ValueError(f"{name}: the arrays of a mark must agree in their last axis, got {shapes}")
    n = max(array.shape[-1] for array in arrays.values())
    return Mark(kind, {key: np.broadcast_to(a, (*a.shape[:-1], n)) for key, a in arrays.items()}, name, series, dashed)


def show(panels: Sequence[Panel], controls: Sequence[Control], words: Any) -> None:
    """Show a living figure. `words`, one sentence for each frame, say what is seen in it.

    Raises `ValueError` where arrays and controls do not fit, and over a cap.
    """
    spec = chart(panels, controls, words)
    start = tuple(control.start for control in controls)
    picture, figure = BytesIO(), still(panels, start)
    figure.savefig(picture, format="png", dpi=144)
    width, height = (int(96 * inches) for inches in figure.get_size_inches())
    told = str(np.asarray(words, object).reshape([len(control.values) for control in controls])[start])
    forms = {VEGALITE: spec, "image/png": picture.getvalue(), "text/plain": told}
    display(forms, raw=True, metadata={"image/png": {"width": width, "height": height}})


def chart(panels: Sequence[Panel], controls: Sequence[Control], words: Any) -> dict[str, Any]:
    """The specification of the chart, in Vega-Lite 5."""
    shape = tuple(len(control.values) for control in controls)
    sentences = np.asarray(words, object)
    if sentences.size != np.prod(shape):
        raise ValueError(f"words must be one sentence for each of the {np.prod(shape)} frames, got {sentences.size}")
    if max(shape) > FRAMES or np.prod(shape) > CROSSED:
        raise ValueError(f"a living figure must have at most {FRAMES} frames a control, {CROSSED} in all, got {shape}")
    marks = [mark for panel in panels for mark in panel.marks]
    colours = {
        mark.name: GREY if mark.series is None else COLOURS[mark.series] for mark in marks if mark.kind != "cell"
    }
    resolve = {"scale": {"color": "independent" if any(mark.kind == "cell" for mark in marks) else "shared"}}
    views = [_view(panel, shape, f"p{number}", colours) for number, panel in enumerate(panels)]
    names = [f"c{axis}" for axis in range(len(shape))]
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.20.1.json",
        "usermeta": {"controls": [{"name": n, "label": c.label, "texts": c.texts} for n, c in zip(names, controls)]},
        "params": [
            *(
                {
                    "name": name,
                    "value": control.start,
                    "bind": {
                        "input": "range",
                        "min": 0,
                        "max": len(control.values) - 1,
                        "step": 1,
                        "name": f"{control.label} ({control.texts[0]} to {control.texts[-1]}) ",
                    },
                }
                for name, control in zip(names, controls)
            ),
            {"name": "words", "value": list(map(str, sentences.ravel()))},
            {"name": "said", "expr": f"words[{_place(shape, range(len(shape)))}]"},
        ],
        "title": {"text": {"expr": "said"}, "anchor": "start", "fontWeight": "normal", "fontSize": 13},
        "vconcat": [{"hconcat": views[at : at + 2], "resolve": resolve} for at in range(0, len(views), 2)],
        "resolve": resolve,
        "config": {"view": {"stroke": None}},
    }
    size = len(json.dumps(spec, ensure_ascii=False).encode())
    if size > BYTES:
        raise ValueError(f"a living figure must weigh at most {BYTES:,} bytes, got {size:,}: thin its points or frames")
    return spec


def _view(panel: Panel, shape: tuple[int, ...], name: str, colours: Mapping[str, str]) -> dict[str, Any]:
    scale = {"domain": list(colours), "range": list(colours.values())}
    layers = list[dict[str, Any]]()
    for number, mark in enumerate(panel.marks):
        fields, picks = _fields(mark, shape, panel.log)
        encoding: dict[str, Any] = {axis: {"field": axis, **_axis(panel, axis)} for axis in ("x", "y")}
        encoding |= {axis: {"field": axis} for axis in ("x2", "y2") if axis in mark.at}
        if mark.kind == "cell":
            low, high = _span([mark.at["value"]])
            encoding["color"] = {
                "field": "value",
                "type": "quantitative",
                "scale": {"scheme": "cividis", "domain": [low, high]},
                "legend": {"title": mark.name, "orient": "bottom"},
            }
        else:
            shown = [name for name in colours if name]
            legend = {"title": None, "orient": "bottom", "symbolType": "stroke", "values": shown} if shown[1:] else None
            encoding["color"] = {"field": "series", "type": "nominal", "scale": scale, "legend": legend}
        if mark.kind == "line":
            encoding["order"] = {"field": "i", "type": "quantitative"}
        rows = [dict(zip(fields, values)) for values in zip(*fields.values())]
        layers.append(
            {
                "name": f"{name}m{number}",  # unique, or layers share their data
                "data": {"values": json.dumps(rows, separators=(",", ":")), "format": {"type": "json"}},
                "transform": [
                    *({"calculate": f"datum.{at}s[{place}]", "as": at} for at, place in picks.items()),
                    {"calculate": json.dumps(mark.name), "as": "series"},
                ],
                "mark": _style(mark),
                "encoding": encoding,
            }
        )
    tall, wide = 4.0, 5.0
    if panel.equal:
        tall, wide = (float(np.diff(_limits(panel, axis))[0]) for axis in "yx")
    if any(mark.kind == "cell" for mark in panel.marks):
        tall, wide = (float(len(_places(panel, axis))) for axis in "yx")
    return {"width": 300, "height": round(300 * tall / wide), "layer": layers}


def _style(mark: Mark) -> dict[str, Any]:
    styles: dict[str, dict[str, Any]] = {
        "line": {"type": "line", "strokeWidth": 2},
        "point": {"type": "point", "filled": True, "size": 70, "opacity": 1},
        "bar": {"type": "bar"},
        "rule": {"type": "rule", "strokeWidth": 2},
        "cell": {"type": "rect"},
    }
    return styles[mark.kind] | ({"strokeDash": [5, 3]} if mark.dashed else {}) | {"clip": True}


def _fields(mark: Mark, shape: tuple[int, ...], log: str) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Columns of the data, and for what moves the place in its list that the controls choose."""
    fields, picks = dict[str, list[Any]](), dict[str, str]()
    if mark.kind == "line":
        fields["i"] = list(range(next(iter(mark.at.values())).shape[-1]))
    for channel, array in mark.at.items():
        lead = (1,) * (len(shape) + 1 - array.ndim) + array.shape[:-1]
        if len(lead) != len(shape) or any(size not in (1, whole) for size, whole in zip(lead, shape)):
            raise ValueError(f"{mark.name}: {channel} must have one axis a control, {shape}, got {lead}")
        moving = [axis for axis, size in enumerate(lead) if size > 1]
        columns = _rounded(array, channel[0] in log).reshape(-1, array.shape[-1]).T.tolist()
        fields[channel + "s" if moving else channel] = columns if moving else [column[0] for column in columns]
        if moving:
            picks[channel] = _place(shape, moving)
    return fields, picks


def _place(shape: Sequence[int], moving: Sequence[int]) -> str:
    place = ""
    for axis in moving:
        place = f"({place})*{shape[axis]}+c{axis}" if place else f"c{axis}"
    return place


def _rounded(array: Array, log: bool) -> Array:
    """Four digits: of each number on a logarithmic axis, else of the largest, below which rounding errors vanish."""
    if array.dtype.kind not in "fiu":
        return array
    size = np.abs(array) if log else np.max(np.abs(array[np.isfinite(array)]), initial=0)
    with np.errstate(divide="ignore"):
        digits = DIGITS - 1 - np.floor(np.log10(np.where(size > 0, size, 1)))
    unit = 10.0**digits
    rounded = np.round(array * unit) / unit + 0.0  # no -0.0
    numbers = rounded.astype(object)
    numbers[np.isnan(rounded)] = None  # JSON has no NaN
    return numbers


def _named(panel: Panel, axis: str) -> bool:
    """Whether an axis shows names, or numbers as names: below bars, beside the cells of a matrix."""
    return any(
        mark.kind == "cell" or (mark.kind == "bar" and axis == "x") or mark.at[axis].dtype.kind not in "fiu"
        for mark in panel.marks
    )


def _axis(panel: Panel, axis: str) -> dict[str, Any]:
    title = {"title": getattr(panel, axis) or None}
    if _named(panel, axis):
        return title | {"type": "ordinal", "sort": None, "axis": {"labelAngle": 0, "labelOverlap": True}}
    scale = {"type": "log" if axis in panel.log else "linear", "domain": list(_limits(panel, axis)), "nice": False}
    return title | {"type": "quantitative", "scale": scale, "axis": {"grid": False, "tickCount": 5}}


def _span(arrays: Sequence[Array]) -> tuple[float, float]:
    numbers = np.concatenate([array[np.isfinite(array)].ravel() for array in arrays])
    return float(numbers.min()), float(numbers.max())


def _limits(panel: Panel, axis: str) -> tuple[float, float]:
    """The limits of an axis: the given ones, or all frames with a little room."""
    if given := getattr(panel, f"{axis}lim"):
        return given
    arrays = [
        array
        for mark in panel.marks
        for channel, array in mark.at.items()
        if channel[0] == axis and array.dtype.kind in "fiu"
    ]
    low, high = _span(arrays)
    if axis in panel.log:
        room = (high / low) ** 0.05
        return float(f"{low / room:.3g}"), float(f"{high * room:.3g}")
    if axis == "y" and any(mark.kind == "bar" for mark in panel.marks):
        low, high = min(low, 0.0), max(high, 0.0)
    room = 0.05 * (high - low)
    return float(f"{low - room * (low != 0):.3g}"), float(f"{high + room * (high != 0):.3g}")


def still(panels: Sequence[Panel], place: tuple[int, ...]) -> Figure:
    """One frame, drawn by matplotlib."""
    rows = [panels[at : at + 2] for at in range(0, len(panels), 2)]
    figure = Figure(figsize=(5.6, 0.5 + 2.5 * len(rows)), layout="constrained")
    parts = figure.subfigures(len(rows), squeeze=False)[:, 0]
    axes = [ax for part, row in zip(parts, rows) for ax in part.subplots(1, len(row), squeeze=False)[0]]
    for panel, ax in zip(panels, axes):
        places = {axis: _places(panel, axis) for axis in "xy"}
        for mark in panel.marks:
            at = {name: _frame(array, place) for name, array in mark.at.items()}
            _draw(ax, mark, at | {axis: np.array([places[axis].get(v, v) for v in at[axis].tolist()]) for axis in "xy"})
        if panel.marks[0].kind == "cell":
            values = panel.marks[0].at["value"]
            ax.grid(False)
            ax.set_aspect("equal")
            image = ScalarMappable(Normalize(*_span([values])), "cividis")
            figure.colorbar(image, ax=ax, label=panel.marks[0].name, location="bottom")
        for axis in "xy":
            if places[axis]:
                ticks = dict(list(places[axis].items())[:: 1 + len(places[axis]) // 12])
                getattr(ax, f"set_{axis}ticks")(list(ticks.values()), list(map(str, ticks)))
            else:
                scale = "log" if axis in panel.log else "linear"
                ax.set(**{f"{axis}scale": scale, f"{axis}lim": _limits(panel, axis)})
        ax.set(xlabel=panel.x, ylabel=panel.y)
        if panel.equal:
            ax.set_aspect("equal")
    shown = {label: handle for ax in figure.axes for handle, label in zip(*ax.get_legend_handles_labels())}
    if len(shown) > 1:
        figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=3)
    return figure


def _places(panel: Panel, axis: str) -> dict[Any, int]:
    """Where the names of an axis stand, in the order in which they come."""
    if not _named(panel, axis):
        return {}
    names = [name for mark in panel.marks for name in mark.at[axis].ravel().tolist()]
    return {name: place for place, name in enumerate(dict.fromkeys(names))}


def _frame(array: Array, place: tuple[int, ...]) -> Array:
    lead = (1,) * (len(place) + 1 - array.ndim) + array.shape[:-1]
    return array.reshape(*lead, -1)[tuple(at if size > 1 else 0 for at, size in zip(place, lead))]


def _draw(ax: Axes, mark: Mark, at: Mapping[str, Array]) -> None:
    colour = GREY if mark.series is None else COLOURS[mark.series]
    dashes = "--" if mark.dashed else "-"
    if mark.kind == "line":
        ax.plot(at["x"], at["y"], dashes, color=colour, marker="", label=mark.name)
    elif mark.kind == "point":
        ax.plot(at["x"], at["y"], "o", color=colour, label=mark.name)
    elif mark.kind == "bar":
        ax.bar(at["x"], at["y"], color=colour, label=mark.name)
    elif mark.kind == "rule":
        ends = np.stack([at["x"], at["x2"]]), np.stack([at["y"], at["y2"]])
        ax.plot(*ends, dashes, color=colour, marker="", label=mark.name)
    else:
        image = np.full((int(at["y"].max()) + 1, int(at["x"].max()) + 1), np.nan)
        image[at["y"].astype(int), at["x"].astype(int)] = at["value"]
        low, high = _span([mark.at["value"]])
        ax.imshow(image, cmap="cividis", vmin=low, vmax=high)

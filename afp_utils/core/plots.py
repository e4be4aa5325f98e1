"""The book's figure style and its few figure types. Each takes arrays and an `ax`, returns the `ax`, computes no result."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from jaxtyping import Float
from matplotlib.axes import Axes
from numpy import ndarray as Array

from afp_utils.core.refuse import checked

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7a5c00", "#56b4e9")
"""Wong's palette, which readers with colour-blindness tell apart; every series has a marker of its own as well."""
MARKERS = ("o", "s", "^", "D", "v", "P")

STYLE: dict[str, Any] = {
    "axes.prop_cycle": cycler(color=COLOURS, marker=MARKERS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "figure.figsize": (6.4, 3.6),
    "figure.dpi": 96,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.size": 10.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "image.cmap": "cividis",
}


def use_style() -> None:
    """Make the book's style matplotlib's default in this process."""
    mpl.rcParams.update(STYLE)  # type: ignore[arg-type] # its keys are typed one by one


@checked
def theory(ax: Axes, x: Float[Array, " x"], y: Float[Array, " x"], label: str | None = None, series: int = 0) -> Axes:
    """A predicted curve: a line without markers, in the colour of its series.

    >>> from matplotlib.figure import Figure
    >>> ax = theory(Figure().subplots(), [1, 2, 3], [1, 4, 9], "law")
    >>> ax.lines[0].get_label()
    'law'
    """
    ax.plot(x, y, label=label, color=_colour(series), marker="")
    return ax


@checked
def simulation(
    ax: Axes, x: Float[Array, " x"], runs: Float[Array, "run x"], label: str | None = None, series: int = 0
) -> Axes:
    """Measured points: the median over runs, with bars from the smallest to the largest run."""
    middle = np.median(runs, axis=0)
    spread = np.stack([middle - runs.min(axis=0), runs.max(axis=0) - middle])
    ax.errorbar(
        x, middle, yerr=spread, label=label, color=_colour(series), marker=_marker(series), linestyle="", capsize=2
    )
    return ax


@checked
def paths(
    ax: Axes, x: Float[Array, " x"], runs: Float[Array, "run x"], label: str | None = None, series: int = 0
) -> Axes:
    """Curves of several runs: the median as a line with few markers, the range of all runs shaded."""
    every = max(1, len(x) // 8)
    colour = _colour(series)
    ax.plot(x, np.median(runs, axis=0), label=label, color=colour, marker=_marker(series), markevery=every)
    ax.fill_between(x, runs.min(axis=0), runs.max(axis=0), color=colour, alpha=0.2, linewidth=0)
    return ax


@checked
def slope(ax: Axes, x: Float[Array, " x"], anchor: float, exponent: float, label: str | None = None) -> Axes:
    """A guide of given exponent on logarithmic axes, through `anchor` at the first x."""
    ax.plot(x, anchor * (x / x[0]) ** exponent, color="#555555", linestyle=":", marker="", linewidth=1.2, label=label)
    return ax


@checked
def matrix(ax: Axes, values: Float[Array, "row column"], names: Sequence[str] = (), **style: Any) -> Axes:
    """A matrix as an image, with its rows and columns named."""
    ax.imshow(values, interpolation="nearest", **style)
    ax.grid(False)
    if names:
        ax.set_xticks(range(len(names)), names)
        ax.set_yticks(range(len(names)), names)
    return ax


@checked
def diagram(
    ax: Axes, boxes: Mapping[str, tuple[int | float, int | float]], arrows: Sequence[tuple[str, str, str]]
) -> Axes:
    """A drawing of a model: boxes, by what stands in them, at their places, and arrows from box to box with a label.

    >>> from matplotlib.figure import Figure
    >>> ax = diagram(Figure().subplots(), {"x": (0, 0), "f(x)": (1, 0)}, [("x", "f(x)", "w")])
    >>> [text.get_text() for text in ax.texts if text.get_text()]
    ['x', 'f(x)', 'w']
    """
    frame = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": COLOURS[0]}
    drawn = {name: ax.text(*place, name, ha="center", va="center", bbox=frame) for name, place in boxes.items()}
    for start, end, label in arrows:
        ends = {"patchA": drawn[start].get_bbox_patch(), "patchB": drawn[end].get_bbox_patch()}
        style = {"arrowstyle": "-|>", "color": "#767676", "shrinkA": 2, "shrinkB": 2} | ends
        ax.annotate("", boxes[end], boxes[start], arrowprops=style)
        middle = np.mean([boxes[start], boxes[end]], axis=0)
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        ax.text(middle[0], middle[1], label, ha="center", va="center", color=COLOURS[1], bbox=ground if label else None)
    places = np.array(list(boxes.values()))
    room = 0.35 + 0.08 * np.ptp(places, axis=0)
    (left, low), (right, high) = places.min(axis=0) - room, places.max(axis=0) + room
    ax.set_xlim(left, right)
    ax.set_ylim(low, high)
    ax.axis("off")
    return ax


def _colour(series: int) -> str:
    return COLOURS[series % len(COLOURS)]


def _marker(series: int) -> str:
    return MARKERS[series % len(MARKERS)]

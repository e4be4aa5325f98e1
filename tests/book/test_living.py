"""Living figures: what the chart holds is what was given, frame by frame; caps; faults; the picture for other readers."""

import json
import re
from typing import Any

import altair
import numpy as np
import pytest

from afp_utils.book import living
from afp_utils.book.compare import same_chart
from afp_utils.core.plots import COLOURS

SCALE, TIME = living.Control("scale", [0.1, 1, 10], start=1), living.Control("time", ["early", "late"])


def views(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [view for row in spec["vconcat"] for view in row["hconcat"]]


def drawn(spec: dict[str, Any], panel: int, layer: int, *place: int) -> list[dict[str, Any]]:
    """The rows of a mark in one frame, by another route: the rules of the chart, read as Python."""
    layers = views(spec)[panel]["layer"][layer]
    rows = json.loads(layers["data"]["values"])
    for step in layers["transform"][:-1]:  # the last names the series
        name, index = re.fullmatch(r"datum\.(\w+)\[(.+)\]", step["calculate"]).groups()  # type: ignore[union-attr]
        for row in rows:
            row[step["as"]] = row[name][eval(index, {f"c{axis}": at for axis, at in enumerate(place)})]
    return rows


def figure() -> tuple[list[living.Panel], dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    arrays = {
        "both": rng.normal(size=(3, 2, 5)),
        "scale": rng.normal(size=(3, 1, 5)),
        "time": rng.normal(size=(2, 5)),
        "still": rng.normal(size=5),
    }
    left = living.Panel(
        "x",
        "y",
        [living.line(arrays["still"], arrays["both"], "a"), living.points(arrays["time"], arrays["scale"], "b", 1)],
    )
    right = living.Panel(
        "x",
        "",
        [
            living.bars(list("pqrst"), arrays["time"], "c", 2),
            living.rules([0, 1], [0, 1], [1, 2], arrays["time"][:, :2], "d"),
        ],
    )
    matrix = living.Panel(
        "", "", [living.cells(np.tile([0, 1], 2), np.repeat([0, 1], 2), arrays["both"][..., :4], "size")]
    )
    return [left, right, matrix], arrays


def words() -> list[list[str]]:
    return [[f"{scale} {time}" for time in TIME.values] for scale in SCALE.values]


def test_every_frame_holds_the_given_numbers() -> None:
    panels, given = figure()
    spec = living.chart(panels, [SCALE, TIME], words())
    for scale in range(3):
        for time in range(2):
            line, points = (drawn(spec, 0, layer, scale, time) for layer in range(2))
            close = {"rtol": 0, "atol": 1e-3 * np.abs(given["both"]).max()}
            np.testing.assert_allclose([row["y"] for row in line], given["both"][scale, time], **close)
            np.testing.assert_allclose([row["x"] for row in line], given["still"], **close)
            assert [row["i"] for row in line] == list(range(5))
            np.testing.assert_allclose([row["x"] for row in points], given["time"][time], **close)
            np.testing.assert_allclose([row["y"] for row in points], given["scale"][scale, 0], **close)
            bars, rules = (drawn(spec, 1, layer, scale, time) for layer in range(2))
            assert [row["x"] for row in bars] == list("pqrst")
            np.testing.assert_allclose([row["y"] for row in bars], given["time"][time], **close)
            np.testing.assert_allclose([row["y2"] for row in rules], given["time"][time, :2], **close)
            (cells,) = (drawn(spec, 2, 0, scale, time),)
            np.testing.assert_allclose([row["value"] for row in cells], given["both"][scale, time, :4], **close)
            said = next(param["expr"] for param in spec["params"] if param["name"] == "said")
            sentences = next(param["value"] for param in spec["params"] if param["name"] == "words")
            place = re.fullmatch(r"words\[(.+)\]", said)[1]  # type: ignore[index]
            assert sentences[eval(place, {"c0": scale, "c1": time})] == words()[scale][time]


def test_the_chart_is_vega_lite_5() -> None:
    spec = living.chart(figure()[0], [SCALE, TIME], words())
    altair.Chart.from_dict(spec, validate=True)
    names = [layer["name"] for panel in views(spec) for layer in panel["layer"]]
    assert len(set(names)) == len(names) == 5  # layers of one name share their data


def test_numbers_are_rounded_to_what_is_seen() -> None:
    x, y = np.array([1e-9, 1.23456, 1000.0]), np.array([1.23456e-8, 0.5, np.nan])
    panel = living.Panel("x", "y", [living.points(x, y, "a")], log="y")
    (view,) = views(living.chart([panel], [SCALE], list("abc")))
    rows = json.loads(view["layer"][0]["data"]["values"])
    assert [row["x"] for row in rows] == [0.0, 1.0, 1000.0]  # four digits of the largest
    assert [row["y"] for row in rows] == [1.235e-8, 0.5, None]  # four digits of each


def test_axes_stand_still_while_frames_change() -> None:
    panels, given = figure()
    for panel in views(living.chart(panels, [SCALE, TIME], words()))[:1]:
        low, high = panel["layer"][0]["encoding"]["y"]["scale"]["domain"]
        assert low < min(given["both"].min(), given["scale"].min())
        assert high > max(given["both"].max(), given["scale"].max())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: living.line([0, 1, 2], [[0, 1]], "path"), r"path: the arrays of a mark must agree in their last axis, got x \(3,\), y \(1, 2\)"),
        (lambda: living.chart([living.Panel("", "", [living.line([0, 1], np.zeros((4, 2)), "path")])], [SCALE], list("abc")), r"path: y must have one axis a control, \(3,\), got \(4,\)"),
        (lambda: living.chart([living.Panel("", "", [living.line([0, 1], np.zeros((3, 1, 2)), "path")])], [SCALE], list("abc")), r"path: y must have one axis a control, \(3,\), got \(3, 1\)"),
        (lambda: living.chart([], [SCALE, TIME], list("abc")), "words must be one sentence for each of the 6 frames, got 3"),
        (lambda: living.chart([], [living.Control("t", range(61))], list("a" * 61)), "at most 60 frames a control, 300 in all, got \\(61,\\)"),
        (lambda: living.chart([], [living.Control("t", range(20))] * 2, list("a" * 400)), "at most 60 frames a control, 300 in all, got \\(20, 20\\)"),
        (lambda: living.chart([living.Panel("", "", [living.line(range(9000), np.random.default_rng(0).normal(size=(3, 9000)), "path")])], [SCALE], list("abc")), "must weigh at most 150,000 bytes, got 4"),
    ],
)  # fmt: skip
def test_refusals(change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        change()


def test_the_picture_is_the_frame_at_the_start() -> None:
    panels, given = figure()
    ax, right, matrix, *_ = living.still(panels, (2, 1)).axes
    line, points = ax.lines
    np.testing.assert_array_equal(line.get_ydata(), given["both"][2, 1])
    np.testing.assert_array_equal(points.get_xdata(), given["time"][1])
    assert line.get_color() == COLOURS[0]
    np.testing.assert_array_equal([bar.get_height() for bar in right.patches], given["time"][1])
    np.testing.assert_array_equal(matrix.images[0].get_array(), given["both"][2, 1, :4].reshape(2, 2))


def test_colours_are_seen_on_white_and_on_black() -> None:
    def light(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        return float(
            np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
        )

    for colour in (*COLOURS[:4], living.GREY):
        assert 1.05 / (light(colour) + 0.05) >= 3
        assert (light(colour) + 0.05) / (light("#14181e") + 0.05) >= 3


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda text: text, True),
        (lambda text: text.replace("0.753", "0.754"), True),
        (lambda text: text.replace("0.753", "0.763"), False),
        (lambda text: text.replace("0.753", "null"), False),
        (lambda text: text.replace("path", "way"), False),
        (lambda text: text.replace("0.33 learned", "0.34 learned"), True),
        (lambda text: text.replace("0.33 learned", "0.53 learned"), False),
        (lambda text: text.replace('"value": 1', '"value": 2'), False),
    ],
)
def test_last_digits_are_settled_and_nothing_else(change: Any, same: bool) -> None:
    y = np.array([[0.1, 0.753], [0.2, 0.9], [0.3, 1.0]])
    panel = living.Panel("", "", [living.line([0, 1], y, "path")])
    text = json.dumps(living.chart([panel], [SCALE], ["0.33 learned", "more", "all"]))
    assert "0.753" in text
    assert same_chart(json.loads(change(text)), json.loads(text)) is same

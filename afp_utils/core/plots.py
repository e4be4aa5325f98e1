"""The book's figure style and its few figure types. Each takes arrays and an `ax`, returns the `ax`, computes no result."""

from collections.abc import Sequence
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
    """A predicted curve: a line without markers, in the colour of its series."""
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


def _colour(series: int) -> str:
    return COLOURS[series % len(COLOURS)]


def _marker(series: int) -> str:
    return MARKERS[series % len(MARKERS)]

"""Draw the book's cover: one small picture of each side of feature learning, by the package's own functions.

`python -m tools.cover` writes _static/cover.png and _static/cover/.
"""

from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.style import context

from afp_utils.book import notebooks
from afp_utils.book.plain import VEGALITE
from afp_utils.core import plots
from afp_utils.interaction.planted import planted_owners
from afp_utils.linear.solution import Problem, exact
from afp_utils.rfm.kernels import Laplace
from afp_utils.rfm.recursion import fit
from afp_utils.rfm.targets import product
from afp_utils.sequence.flows import gradient_flow, signal
from afp_utils.sphere.kernels import TangentMachine
from afp_utils.sphere.sparse import sparse_interpolant

STATIC = Path(__file__).resolve().parents[1] / "_static"
BEFORE, AFTER, OTHER, INK = "#9aa5ad", plots.COLOURS[1], plots.COLOURS[0], "#40484e"


def sequence(ax: Axes) -> None:
    """Weights of features before and after training, and the signal that they carry."""
    truth = signal(p=1.5, q=1.6, size=40)
    noisy = truth + 0.01 * np.random.default_rng(0).normal(size=truth.size)
    start = np.arange(1.0, 41) ** -1.5
    last: Any = gradient_flow(noisy, start / 10, np.array([0.0, 60.0])).states[-1]
    index = np.arange(1, 41)
    ax.bar(index, last.eigenvalues, color=[AFTER if there else BEFORE for there in truth], width=0.8)
    ax.plot(index, start / 10, color=INK, marker="")
    ax.set_yscale("log")
    ax.set_ylim(2e-4, 2)
    ax.set_xlabel("feature")
    ax.set_ylabel("weight")


def linear(ax: Axes) -> None:
    """Layers as arrows on one circle of directions: where they start and where learning turns them."""
    first, second = np.array([0.9, 0.25]), np.array([-0.15, 0.8])
    run = exact(Problem(1, 1, 1, 1, 2.0, 4.0), first, second, np.linspace(0, 4, 60))
    for path, colour in ((run.u, AFTER), (run.w, OTHER)):
        ax.plot(*path.T, color=colour, marker="", linewidth=1, linestyle=":")
        for end, shade in ((path[0], BEFORE), (path[-1], colour)):
            ax.annotate("", end, (0, 0), arrowprops={"arrowstyle": "-|>", "color": shade, "linewidth": 2})
    ax.set_xlim(-0.4, 1.6)
    ax.set_ylim(-0.2, 1.8)
    ax.set_aspect("equal")
    ax.set_xticks([])
    ax.set_yticks([])


def sphere(ax: Axes) -> None:
    """Two interpolants of the same points on the circle, and the smooth target."""
    rng = np.random.default_rng(3)
    angles = np.append(np.sort(rng.uniform(0, 2 * np.pi, 9)), np.linspace(0, 2 * np.pi, 600))
    x = np.column_stack([np.cos(angles), np.sin(angles)])
    target = 1.0 + 0.6 * np.cos(2 * angles - 0.5) + 0.4 * np.sin(angles)
    lazy, rich = TangentMachine.interpolate(x[:9], target[:9]), sparse_interpolant(x[:9], target[:9], rng=rng)
    ax.plot(angles[9:], target[9:], color=INK, linestyle=":", marker="", linewidth=1.2)
    ax.plot(angles[9:], lazy.predict(x[9:]), color=OTHER, marker="")
    ax.plot(angles[9:], rich.predict(x[9:]), color=AFTER, marker="")
    ax.plot(angles[:9], target[:9], color=INK, linestyle="", marker="o", markersize=4)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel("angle")


def interaction(ax: Axes) -> None:
    """Which network has which feature."""
    owners = planted_owners(models=12, dominant=5, rare=25, each=4, rng=np.random.default_rng(1))
    shade = owners * np.where(np.arange(30) < 5, 2, 1)
    ax.imshow(shade, cmap=ListedColormap(["#f1f3f4", OTHER, AFTER]), aspect="auto")
    ax.grid(False)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel("feature")
    ax.set_ylabel("network")


def machine(ax: Axes) -> None:
    """The metric that a kernel machine has learned of a product of two coordinates."""
    x = np.random.default_rng(0).normal(size=(300, 8))
    last: Any = fit(x, product(x[:, [2, 5]]), kernel=Laplace(8.0), ridge=1e-3, updates=4).states[-1]
    ax.imshow(last.metric, cmap="cividis")
    ax.grid(False)
    ax.set_xticks([2, 5], ["$x_3$", "$x_6$"])
    ax.set_yticks([2, 5], ["$x_3$", "$x_6$"])


Panel = Callable[[Axes], None]
PANELS: dict[str, tuple[Panel, str]] = {
    "sequence": (sequence, "weights grow\nwhere the signal is"),
    "linear": (linear, "the layers of a network\nturn to each other"),
    "sphere": (sphere, "learned kinks miss\na smooth target"),
    "interaction": (interaction, "networks share\nsome features"),
    "machine": (machine, "a kernel learns\nwhere to look"),
}


def draw(panels: list[tuple[Panel, str]]) -> Figure:
    with context(plots.STYLE):
        figure = Figure(figsize=(2.5 * len(panels), 2.4 if len(panels) == 1 else 3.0), layout="constrained")
        for ax, (panel, title) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
            panel(ax)
            ax.set_title(title, fontsize=11)
    return figure


def main(folder: Path) -> None:
    """All panels beside each other for the README, and each alone for the cards of the landing page."""
    draw(list(PANELS.values())).savefig(folder / "cover.png", dpi=120)
    (folder / "cover").mkdir(exist_ok=True)
    for name, (panel, _) in PANELS.items():
        draw([(panel, "")]).savefig(folder / "cover" / f"{name}.png", dpi=150)
    (folder / "cover" / "race.png").write_bytes(race())


def race() -> bytes:
    """The picture of the living figure that the landing page shares with the chapter on sequence models."""
    for cell in notebooks.read(notebooks.path("sequence-models")).cells:
        for output in cell.get("outputs", []):
            if VEGALITE in output.get("data", {}):
                return b64decode(output["data"]["image/png"])
    raise ValueError("sequence-models must hold a living figure, got none")


if __name__ == "__main__":
    main(STATIC)

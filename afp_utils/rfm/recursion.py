"""The Recursive Feature Machine: kernel ridge regression, whose average gradient outer product is the next metric."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.linalg import eigh
from tqdm import tqdm

from afp_utils.core.models import Model, Trajectory
from afp_utils.core.refuse import checked, finite, nonnegative, positive
from afp_utils.rfm.kernels import Kernel
from afp_utils.rfm.metrics import feature_power, metric_factor, unit_max
from afp_utils.rfm.predictor import Machine, outer_products
from afp_utils.rfm.solve import solve


class Here:
    """With NumPy and SciPy. The kernel matrix is made in the same place at each solve."""

    eigh = staticmethod(eigh)

    def __init__(self, x: Array, y: Array, kernel: Kernel, ridge: float) -> None:
        self.x, self.y, self.kernel, self.ridge = x, y, kernel, ridge
        self.origin, self.room = x.mean(axis=0, dtype=np.float64), np.empty((len(x), len(x)), x.dtype)

    def solved(self, factor: Array) -> Machine:
        z = ((self.x - self.origin) @ factor).astype(self.x.dtype)
        return Machine(self.x, solve(self.kernel, z, self.y, self.ridge, self.room), self.kernel, factor)

    def outer(self, state: Machine, centred: bool) -> Array:
        return outer_products(state, self.x, centred, own=True)

    def predict(self, state: Machine, x: Array) -> Array:
        return state.predict(x)


@checked
def fit(
    x: Float[Array, "n d"],
    y: Float[Array, "n *output"],
    *,
    kernel: Kernel,
    ridge: float,
    updates: int,
    power: float = 1.0,
    centred: bool = False,
    diagonal: bool = False,
    normalise: Callable[[Array], Array] = unit_max,
    validation: tuple[Float[Array, "v d"], Float[Array, "v *output"]] | None = None,
) -> Trajectory:
    """Solve, take the average gradient outer product of the solution as the next metric, and so on (Radhakrishnan et
    al. 2024):

        M_0 = I,   (K_M + ridge I) alpha = y,   M_next = normalise(agop(f)^power).

    One state for each solve, `updates` + 1 of them; the first is ordinary kernel ridge regression. The clock counts
    updates. The risk is the mean squared error on `validation` if given, else on the data, where it says little.
    `diagonal` keeps the diagonal of the outer product alone. A predictor without slope keeps its metric.

    Computed in the precision of `x`, except that kernels whose matrices need double precision get it. A progress bar
    shows in a terminal.

    Raises `ValueError` for values that are not finite, no points, a negative ridge or number of updates, a power that
    is not positive, or a kernel matrix that is not numerically positive definite.
    """
    refuse(x, y, ridge, updates, power, validation)
    work = x.dtype if kernel.single_is_safe and x.dtype == np.float32 else np.dtype(np.float64)
    x, y = x.astype(work, copy=False), y.astype(work, copy=False)
    steps = Here(x, y, kernel, ridge)

    def improved(state: Machine) -> Array:
        return next_factor(steps.outer(state, centred), power, diagonal, normalise, state.factor, steps.eigh)

    def risk(state: Machine) -> float:
        if validation is None:
            return mean_square(ridge * state.coefficients)  # y - K alpha = ridge alpha
        return mean_square(steps.predict(state, validation[0]) - validation[1])

    return recursion(steps.solved, improved, risk, updates, x.shape[1])


@checked
def best_state(run: Trajectory) -> Model:
    """The state of least risk, the earlier of equals; update 0, which has learned no features, is a candidate too.

    A choice by validation error needs a run that was given a validation set, and never the test points.
    """
    return run.states[int(np.argmin(run.risk))]


def recursion(
    solved: Callable[[Array], Machine],
    improved: Callable[[Machine], Array],
    risk: Callable[[Machine], float],
    updates: int,
    d: int,
) -> Trajectory:
    """Solve in the identity metric, then improve the metric and solve again, as often as there are updates."""
    states: list[Machine] = []
    for _ in tqdm(range(updates + 1), desc="RFM", unit="solve", disable=None, leave=False, delay=2):
        states.append(solved(improved(states[-1]) if states else np.eye(d)))
    return Trajectory(np.arange(updates + 1.0), np.array([risk(state) for state in states]), tuple(states))


def mean_square(error: Array) -> float:
    return float(np.mean(error.astype(np.float64) ** 2))


def next_factor(
    outer: Array,
    power: float,
    diagonal: bool,
    normalise: Callable[[Array], Array],
    before: Array,
    eigh: Callable[..., Any] = eigh,
) -> Array:
    """Factor of normalise(outer^power), or the one before if the outer product vanishes."""
    if diagonal:
        outer = np.diag(np.diag(outer))
    if not np.any(outer):
        return before
    return metric_factor(normalise(feature_power(outer, power, eigh)), eigh)


def refuse(
    x: Array, y: Array, ridge: float, updates: int, power: float, validation: tuple[Array, Array] | None
) -> None:
    finite(x=x, y=y)
    nonnegative(ridge=ridge, updates=updates)
    positive(power=power)
    if len(x) == 0:
        raise ValueError("x must hold at least one point, got none")
    if validation is not None:
        finite(validation_x=validation[0], validation_y=validation[1])
        if len(validation[0]) == 0:
            raise ValueError("validation must hold at least one point, got none")

"""The Recursive Feature Machine: kernel ridge regression, whose average gradient outer product is the next metric."""

from collections.abc import Callable
from typing import Annotated

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from tqdm import tqdm

from afp_utils.core.models import Model, Trajectory
from afp_utils.core.refuse import FINITE, SOME, NonNegative, Positive, at_least, checked, inside, require
from afp_utils.rfm.kernels import Centres, Kernel, SomePoints, Values
from afp_utils.rfm.metrics import feature_power, metric_factor, unit_max
from afp_utils.rfm.predictor import Machine, outer_products
from afp_utils.rfm.solve import solve, solve_nystrom


@checked
def fit(
    x: SomePoints,
    y: Values,
    *,
    kernel: Kernel,
    ridge: NonNegative,
    updates: Annotated[int, at_least(0)],
    centres: Centres | None = None,
    power: Positive = 1.0,
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

    With `centres`, m of them, the predictor is the one of `solve_nystrom` and the outer product is averaged over all
    points: time grows as n m^2 and memory as m^2, where without they grow as n^3 and n^2. More centres tell more about
    features than more points do.

    Computed in the precision of `x`, except that centres, and kernels whose matrices need double precision, get it. A
    progress bar shows in a terminal.

    Raises `ValueError` for no validation points or values of theirs that are not finite, for data beyond 1e120 (in single
    precision 1e15), and for a kernel matrix that is not numerically positive definite.

    >>> from afp_utils.rfm.kernels import Laplace
    >>> x = np.random.default_rng(0).normal(size=(200, 5))
    >>> run = fit(x, x[:, 0] * x[:, 1], kernel=Laplace(5), ridge=1e-3, updates=3)
    >>> sorted(np.argsort(np.diag(run.states[-1].metric))[-2:].tolist())  # it has found the two coordinates
    [0, 1]
    """
    given = {"x": x, "y": y} | ({} if centres is None else {"centres": centres})
    if validation is not None:
        require(FINITE, validation_x=validation[0], validation_y=validation[1])
        require(SOME, validation=validation[0])
        given |= {"validation_x": validation[0], "validation_y": validation[1]}
    exact = centres is None
    work = np.float32 if exact and kernel.single_is_safe and x.dtype == np.float32 else np.float64
    largest = np.float64(1e15 if work == np.float32 else 1e120)  # beyond, squares of distances and slopes overflow
    require(inside(-largest, largest), **given)
    x, y = x.astype(work, copy=False), y.astype(work, copy=False)
    solved = _exact(x, y, kernel, ridge) if centres is None else _on_centres(x, y, centres, kernel, ridge)
    states = [solved(np.eye(x.shape[1]))]
    for _ in tqdm(range(updates), desc="RFM", unit="update", disable=None, leave=False, delay=2):
        outer = outer_products(states[-1], x, centred, own=exact)
        states.append(solved(_next_factor(outer, power, diagonal, normalise, states[-1].factor)))
    points, target = validation or (x, y)

    def risk(state: Machine) -> float:
        # on its own points an exact machine leaves y - K alpha = ridge alpha
        error = ridge * state.coefficients if exact and not validation else state.predict(points) - target
        return float(np.mean(error.astype(np.float64) ** 2))

    return Trajectory(np.arange(updates + 1.0), np.array([risk(state) for state in states]), tuple(states))


@checked
def best_state(run: Trajectory) -> Model:
    """The state of least risk, the earlier of equals; update 0, which has learned no features, is a candidate too.

    A choice by validation error needs a run that was given a validation set, and never the test points.

    >>> from afp_utils.rfm.kernels import Laplace
    >>> run = fit([[0], [1]], [1, 1], kernel=Laplace(1), ridge=0, updates=1)  # no risk at either update
    >>> best_state(run) is run.states[0]
    True
    """
    return run.states[int(np.argmin(run.risk))]


def _next_factor(
    outer: Array, power: float, diagonal: bool, normalise: Callable[[Array], Array], before: Array
) -> Array:
    """Factor of normalise(outer^power), or the one before if the outer product vanishes."""
    if diagonal:
        outer = np.diag(np.diag(outer))
    return metric_factor(normalise(feature_power(outer, power))) if np.any(outer) else before


def _exact(x: Array, y: Array, kernel: Kernel, ridge: float) -> Callable[[Array], Machine]:
    """A machine from its factor; the kernel matrix is made in the same place at each solve."""
    origin, room = x.mean(axis=0, dtype=np.float64), np.empty((len(x), len(x)), x.dtype)

    def solved(factor: Array) -> Machine:
        # around the mean, where single precision tells points apart
        z = ((x - origin) @ factor).astype(x.dtype)
        return Machine(x, solve(kernel, z, y, ridge, room), kernel, factor)

    return solved


def _on_centres(x: Array, y: Array, centres: Array, kernel: Kernel, ridge: float) -> Callable[[Array], Machine]:
    def solved(factor: Array) -> Machine:
        return Machine(centres, solve_nystrom(kernel, x @ factor, y, centres @ factor, ridge), kernel, factor)

    return solved

"""The Recursive Feature Machine on fewer centres than points (Nystrom), for more points than a kernel matrix holds."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.linalg import LinAlgError, cho_factor, cho_solve, cholesky, solve_triangular
from scipy.linalg.blas import dsyrk

from afp_utils.core.models import Trajectory
from afp_utils.core.refuse import checked, finite, nonnegative
from afp_utils.rfm.kernels import Distances, Kernel, kernel_matrix
from afp_utils.rfm.metrics import unit_max
from afp_utils.rfm.predictor import Machine, outer_products
from afp_utils.rfm.recursion import mean_square, next_factor, recursion, refuse
from afp_utils.rfm.solve import PIVOT, singular


@checked
def solve_nystrom(
    kernel: Kernel,
    points: Float[Array, "n d"],
    y: Float[Array, "n *output"],
    centres: Float[Array, "m d"],
    ridge: float,
) -> Float[Array, "m *output"]:
    """alpha with (C^T C + ridge K) alpha = C^T y, where C_ji = phi(|x_j - c_i|) and K is the kernel of the centres.

    The least squares of f = sum_i alpha_i phi(|. - c_i|) plus ridge times its squared kernel norm; with all points as
    centres it is `solve`. Through the Cholesky factor of K, in double precision; C is made in blocks and never held.

    Raises `ValueError` for values that are not finite, no points, a ridge that is negative, or matrices that are not
    numerically positive definite, as when centres are repeated.
    """
    finite(points=points, y=y, centres=centres)
    nonnegative(ridge=ridge)
    if min(len(points), len(centres)) == 0:
        raise ValueError(f"points and centres must not be empty, got {len(points)} and {len(centres)}")
    origin = centres.mean(axis=0, dtype=np.float64)
    points, centres = points.astype(np.float64) - origin, centres.astype(np.float64) - origin
    target = y.reshape(len(y), -1).astype(np.float64)
    distances, m = Distances.between(points, centres), len(centres)
    square, right = np.zeros((m, m), order="F"), np.zeros((m, target.shape[1]))
    for rows in distances.blocks():
        block = distances.values(kernel, rows)
        square = dsyrk(1.0, block.T, beta=1.0, c=square, lower=1, overwrite_c=1)
        right += block.T @ target[rows]
    root = _root(kernel, centres)
    square += np.tril(square, -1).T
    inner = solve_triangular(root, solve_triangular(root, square, lower=True).T, lower=True)
    inner[np.diag_indices(m)] += ridge
    try:
        solution = cho_solve(cho_factor(inner, lower=True), solve_triangular(root, right, lower=True))
    except LinAlgError as error:
        raise singular(ridge, 0) from error
    return solve_triangular(root, solution, lower=True, trans=1).astype(y.dtype).reshape(m, *y.shape[1:])


@checked
def fit_nystrom(
    x: Float[Array, "n d"],
    y: Float[Array, "n *output"],
    centres: Float[Array, "m d"],
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
    """As `fit`, with the predictor on the given centres and the outer product averaged over all points.

    Time grows as n m^2 and memory as m^2. More centres tell more about features than more points do.

    Raises `ValueError` as `fit` does, and for values of the centres that are not finite.
    """
    refuse(x, y, ridge, updates, power, validation)
    finite(centres=centres)
    data = (x, y) if validation is None else validation

    def solved(factor: Array) -> Machine:
        alpha = solve_nystrom(kernel, x @ factor, y.astype(np.float64), centres @ factor, ridge)
        return Machine(centres, alpha, kernel, factor)

    def improved(state: Machine) -> Array:
        outer = outer_products(state, x, centred, own=False)
        return next_factor(outer, power, diagonal, normalise, state.factor)

    def risk(state: Machine) -> float:
        return mean_square(state.predict(data[0]) - data[1])

    return recursion(solved, improved, risk, updates, x.shape[1])


def _root(kernel: Kernel, centres: Array) -> Array:
    """Checked lower Cholesky factor of the kernel matrix of the centres."""
    matrix = kernel_matrix(kernel, centres, centres)
    np.fill_diagonal(matrix, 1)
    try:
        root = cholesky(matrix, lower=True, overwrite_a=True)
    except LinAlgError as error:
        raise singular(0.0, 0) from error
    pivots = np.diag(root) ** 2
    if pivots.min() <= PIVOT * np.finfo(np.float64).eps:
        raise singular(0.0, int(np.argmin(pivots)))
    return root

"""Kernel ridge regression by a Cholesky factor that is checked, in place."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.linalg import get_lapack_funcs

from afp_utils.core.refuse import checked, finite, nonnegative
from afp_utils.rfm.kernels import Distances, Kernel

PIVOT = 10
"""A squared pivot of at most this many units of rounding is rounding: the matrix is numerically singular."""
SAFE = 1e-4
"""Smallest ridge at which points in single precision are solved in single precision."""


@checked
def solve(
    kernel: Kernel,
    points: Float[Array, "n d"],
    y: Float[Array, "n *output"],
    ridge: float,
    room: Float[Array, "n n"] | None = None,
) -> Float[Array, "n *output"]:
    """alpha with (K + ridge I) alpha = y, K_ij = phi(|x_i - x_j|); the ridge is not multiplied by n.

    Cholesky of one triangle, made in blocks and factored where it lies (in `room`, whose content is lost, if given).
    Points in single precision are solved in double if the ridge is below `SAFE` or the factor fails in single. A step
    of refinement is not made: with a unit diagonal it gains nothing on the rounding of the matrix itself.

    Raises `ValueError` for values that are not finite, a negative ridge, or a matrix that is not numerically positive
    definite, as when rows are repeated and the ridge is 0.
    """
    finite(points=points, y=y)
    nonnegative(ridge=ridge)
    if len(points) == 0:
        raise ValueError("points must hold at least one point, got none")
    single = points.dtype == np.float32
    if single and ridge < SAFE:
        return _in_double(kernel, points, y, ridge)
    work = np.float32 if single else np.float64
    points = (points - points.mean(axis=0, dtype=np.float64)).astype(work)
    matrix = np.empty((len(points),) * 2, work) if room is None or room.dtype != work else room
    _fill(matrix, kernel, points, ridge)
    factorise, substitute = get_lapack_funcs(("potrf", "potrs"), dtype=work)
    factor, info = factorise(matrix.T, lower=0, overwrite_a=1, clean=0)  # the transpose is in LAPACK's order
    pivots = np.diag(factor)[: info - 1 if info else None].astype(np.float64) ** 2
    unit = float(np.finfo(work).eps)
    if info or pivots.min() <= PIVOT * unit * (1 + ridge):
        if single:
            return _in_double(kernel, points, y, ridge)
        raise singular(ridge, info - 1 if info else int(np.argmin(pivots)))
    target = y.reshape(len(y), -1).astype(work)
    return substitute(factor, target, lower=0)[0].reshape(y.shape)


def singular(ridge: float, point: int) -> ValueError:
    """What to say of a kernel matrix that is not numerically positive definite."""
    return ValueError(
        "the kernel matrix plus ridge must be numerically positive definite, which needs distinct points or a "
        f"larger ridge; got ridge {ridge} and a vanishing pivot at point {point}"
    )


def _in_double(kernel: Kernel, points: Array, y: Array, ridge: float) -> Array:
    return solve(kernel, points.astype(np.float64), y.astype(np.float64), ridge).astype(np.float32)


def _fill(matrix: Array, kernel: Kernel, points: Array, ridge: float) -> None:
    """The lower triangle of K + ridge I (and some entries above it). The diagonal is set by index, free of rounding."""
    distances = Distances.between(points, points)
    for rows in distances.blocks():
        matrix[rows, : rows.stop] = distances.values(kernel, rows, rows.stop)
    np.fill_diagonal(matrix, 1 + ridge)

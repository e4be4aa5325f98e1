"""Kernel ridge regression by Cholesky factors that are checked: on all points in place, or on fewer centres (Nystrom)."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.linalg import cho_solve, get_lapack_funcs, solve_triangular
from scipy.linalg.blas import dsyrk

from afp_utils.core.refuse import NonNegative, checked
from afp_utils.rfm.kernels import Centres, Distances, Kernel, SomePoints, Values, kernel_matrix

PIVOT = 10
"""A squared pivot of at most this many units of rounding is rounding: the matrix is numerically singular."""
SAFE = 1e-4
"""Smallest ridge at which points in single precision are solved in single precision."""


class SingularError(ValueError):
    """A kernel matrix that is not numerically positive definite, by its ridge and the first point that shows it.

    Whoever solved for some of a caller's points raises it again with the caller's row.
    """

    def __init__(self, ridge: float, row: int | None = None, what: str = "point") -> None:
        super().__init__(ridge, row, what)
        self.ridge, self.row, self.what = ridge, row, what

    def __str__(self) -> str:
        at = "" if self.row is None else f" and a vanishing pivot at {self.what} {self.row}"
        return (
            f"the kernel matrix plus ridge must be numerically positive definite, which needs distinct {self.what}s or a "
            f"larger ridge; got ridge {self.ridge}{at}"
        )


@checked
def solve(
    kernel: Kernel, points: SomePoints, y: Values, ridge: NonNegative, room: Float[Array, "n n"] | None = None
) -> Float[Array, "n *output"]:
    """alpha with (K + ridge I) alpha = y, K_ij = phi(|x_i - x_j|); the ridge is not multiplied by n.

    Cholesky of one triangle, made in blocks and factored where it lies (in `room`, whose content is lost, if given).
    Points in single precision are solved in double if the ridge is below `SAFE` or the factor fails in single. A step
    of refinement is not made: with a unit diagonal it gains nothing on the rounding of the matrix itself.

    Raises `SingularError`, a `ValueError`, for a matrix that is not numerically positive definite, as when rows are
    repeated and the ridge is 0.

    >>> from afp_utils.rfm.kernels import Laplace
    >>> solve(Laplace(1.0), [[0.0], [50.0]], [3.0, -1.0], ridge=1).round(3).tolist()  # too far apart to see each other
    [1.5, -0.5]
    """
    single = points.dtype == np.float32
    if single and ridge < SAFE:
        return _in_double(kernel, points, y, ridge)
    work = np.float32 if single else np.float64
    points = (points - points.mean(axis=0, dtype=np.float64)).astype(work)
    matrix = np.empty((len(points),) * 2, work) if room is None or room.dtype != work else room
    _fill(matrix, kernel, points, ridge)
    try:
        factor = _factored(matrix, ridge)
    except SingularError:
        if single:
            return _in_double(kernel, points, y, ridge)
        raise
    (substitute,) = get_lapack_funcs(("potrs",), (factor,))
    return substitute(factor, y.reshape(len(y), -1).astype(work), lower=0)[0].reshape(y.shape)


@checked
def solve_nystrom(
    kernel: Kernel, points: SomePoints, y: Values, centres: Centres, ridge: NonNegative
) -> Float[Array, "m *output"]:
    """alpha with (C^T C + ridge K) alpha = C^T y, where C_ji = phi(|x_j - c_i|) and K is the kernel of the centres.

    The least squares of f = sum_i alpha_i phi(|. - c_i|) plus ridge times its squared kernel norm; with all points as
    centres it is `solve`. Through the Cholesky factor of K, in double precision; C is made in blocks and never held.

    Raises `SingularError`, a `ValueError`, for matrices that are not numerically positive definite, as when centres are
    repeated.

    >>> from afp_utils.rfm.kernels import Laplace
    >>> solve_nystrom(Laplace(1.0), [[0.0], [0.0], [50.0]], [1.0, 2.0, 9.0], [[0.0]], ridge=1).round(3).tolist()
    [1.0]
    """
    origin = centres.mean(axis=0, dtype=np.float64)
    points, centres = points.astype(np.float64) - origin, centres.astype(np.float64) - origin
    gram = kernel_matrix(kernel, centres, centres)
    np.fill_diagonal(gram, 1)
    root = _factored(gram, 0.0, "centre").T
    square, right = _normal_equations(kernel, points, centres, y.reshape(len(y), -1).astype(np.float64))
    # in the coordinates root^T alpha the ridge is a multiple of the identity, which keeps what C^T C tells apart
    inner = solve_triangular(root, solve_triangular(root, square, lower=True).T, lower=True)
    inner[np.diag_indices(len(centres))] += ridge
    solution = cho_solve((_factored(inner, ridge, None), False), solve_triangular(root, right, lower=True))
    alpha = solve_triangular(root, solution, lower=True, trans=1)
    return alpha.astype(y.dtype).reshape(len(centres), *y.shape[1:])


def _factored(matrix: Array, ridge: float, what: str | None = "point") -> Array:
    """Upper Cholesky factor, in place; the other triangle is not touched. Refused if a pivot is rounding.

    `what` a row of the matrix stands for, or None where it is a mixture.
    """
    (factorise,) = get_lapack_funcs(("potrf",), (matrix,))
    factor, info = factorise(matrix.T, lower=0, overwrite_a=1, clean=0)  # the transpose is in LAPACK's order
    pivots = np.diag(factor)[: info - 1 if info else None].astype(np.float64) ** 2
    if info or pivots.min() <= PIVOT * float(np.finfo(matrix.dtype).eps) * (1 + ridge):
        row = info - 1 if info else int(np.argmin(pivots))
        raise SingularError(ridge, row, what) if what else SingularError(ridge)
    return factor


def _in_double(kernel: Kernel, points: Array, y: Array, ridge: float) -> Array:
    return solve(kernel, points.astype(np.float64), y.astype(np.float64), ridge).astype(np.float32)


def _fill(matrix: Array, kernel: Kernel, points: Array, ridge: float) -> None:
    """The lower triangle of K + ridge I (and some entries above it). The diagonal is set by index, free of rounding."""
    distances = Distances.between(points, points)
    for rows in distances.blocks():
        matrix[rows, : rows.stop] = distances.values(kernel, rows, rows.stop)
    np.fill_diagonal(matrix, 1 + ridge)


def _normal_equations(kernel: Kernel, points: Array, centres: Array, target: Array) -> tuple[Array, Array]:
    """C^T C and C^T y."""
    distances, m = Distances.between(points, centres), len(centres)
    square, right = np.zeros((m, m), order="F"), np.zeros((m, target.shape[1]))
    for rows in distances.blocks():
        block = distances.values(kernel, rows)
        square = dsyrk(1.0, block.T, beta=1.0, c=square, lower=1, overwrite_c=1)  # one triangle, for half the price
        right += block.T @ target[rows]
    square += np.tril(square, -1).T
    return square, right

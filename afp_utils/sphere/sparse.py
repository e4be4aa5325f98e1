"""The sparse interpolant: least total weight of ridge functions |theta . x|, plus a linear function for free.

It is the limit of a bias-free ReLU network of one hidden layer under a vanishing penalty on its weights, as far as the
linear part costs nothing. Neurons of unit length in opposite directions with weights A + B and A - B are A |theta . x| +
B theta . x, by relu(t) = (t + |t|) / 2, and weigh |A + B| + |A - B| = 2 max(|A|, |B|). So the problem over neurons

    min sum_h |w_h|  subject to  sum_h w_h relu(theta_h . x_j) = y_j

has at least twice the value of  min sum_i |A_i|  subject to  sum_i A_i |theta_i . x_j| + b . x_j = y_j  with b free, and
exactly twice if and only if some solution (A, b) of the latter has b = sum_i B_i theta_i with |B_i| <= |A_i| for all i
(`SparseInterpolant.neuron_weight` tells). Over a fixed dictionary of directions both are linear programs, and vertices
of the latter have at most n - d atoms.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.linalg import lstsq, qr
from scipy.optimize import linprog
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lars_path

from afp_utils.core.models import refuse_dimension
from afp_utils.core.refuse import POSITIVE, Count, at_least, checked, require
from afp_utils.sphere.harmonics import Natural
from afp_utils.sphere.kernels import Points, Values


@checked
@dataclass(frozen=True)
class SparseInterpolant:
    """f(x) = sum_i weights_i |atoms_i . x| + linear . x, with the dual solution that proves it optimal.

    The dual is max lambda . y subject to x^T lambda = 0 and |eta(theta)| <= 1, with eta(theta) = sum_j lambda_j
    |theta . x_j|; at the optimum lambda . y equals `norm`, and eta is +-1 at every atom, with the sign of its weight.
    """

    atoms: Float[Array, "k d"]
    weights: Float[Array, " k"]
    linear: Float[Array, " d"]
    dual: Float[Array, " n"]

    @property
    def norm(self) -> float:
        """Sum of the absolute weights: at most half of what the same function weighs in ReLU neurons."""
        return float(np.abs(self.weights).sum())

    @property
    def neuron_weight(self) -> float:
        """Least total weight of this function in ReLU neurons of unit length along its atoms and against them.

        Minimum of sum_i 2 max(|A_i|, |B_i|) over sum_i B_i atoms_i = linear. Twice `norm` if and only if the linear part
        is for free; infinite if the atoms do not span it.
        """
        k = len(self.atoms)
        if not k:
            return float("inf") if self.linear.any() else 0.0
        # B = free + up - down with |free| <= |A|: max(|A|, |B|) = |A| + least up + down
        cost, size = np.repeat([0.0, 1.0, 1.0], k), np.abs(self.weights)
        bounds = [*zip(-size, size)] + [(0, None)] * (2 * k)
        slopes = np.hstack([self.atoms.T, self.atoms.T, -self.atoms.T])
        result = linprog(cost, A_eq=slopes, b_eq=self.linear, bounds=bounds, method="highs-ds")
        return float("inf") if result.x is None else 2 * (self.norm + float(result.fun))

    @checked
    def predict(self, x: Float[Array, "p d"]) -> Float[Array, " p"]:
        refuse_dimension(x, len(self.linear))
        return np.abs(x @ self.atoms.T) @ self.weights + x @ self.linear

    @checked
    def gradient(self, x: Float[Array, "p d"]) -> Float[Array, "p d"]:
        return (np.sign(x @ self.atoms.T) * self.weights) @ self.atoms + self.linear

    @checked
    def gram(self, x: Float[Array, "p d"]) -> Float[Array, "p p"]:
        """The readout sees the atoms |theta_i . x| and the coordinates of x."""
        ridges = np.abs(x @ self.atoms.T)
        return ridges @ ridges.T + x @ x.T

    @checked
    def tangent(self, x: Float[Array, "p d"]) -> Float[Array, "p p"]:
        """Weights, linear part and atoms are the parameters: the atoms add sum_i A_i^2 sign sign x . x'."""
        kinks = np.sign(x @ self.atoms.T) * self.weights
        return self.gram(x) + (kinks @ kinks.T) * (x @ x.T)


@checked
def sparse_interpolant(x: Points, y: Values, *, rng: np.random.Generator, resolution: Count = 40) -> SparseInterpolant:
    """The interpolant of least norm whose atoms lie in `dictionary(x, rng=rng, resolution=resolution)`.

    The linear part is projected out, the lasso path (LARS) of the rest proposes columns, and a linear program on these
    is solved again with every column that violates the dual until none does. Exact on the dictionary: the dual function
    exceeds one by at most 1e-6, and there are at most n - d atoms.

    >>> x = [[1, 0], [0, 1], [-1, 0], [0, -1]]
    >>> fit = sparse_interpolant(x, np.ones(4), rng=np.random.default_rng(0), resolution=2)
    >>> round(fit.norm, 3)  # |theta . x| along a diagonal is 1 / sqrt(2) at all four points
    1.414

    Raises `ValueError` for points of zero length, fewer than 2 coordinates, or a dictionary too poor to interpolate.
    """
    n, d = x.shape
    directions = dictionary(x, rng=rng, resolution=resolution)
    basis, triangle, _ = qr(x, pivoting=True)  # pivots fall in size, so the rank is where they become rounding
    rank = int(np.sum(np.abs(np.diag(triangle)) > 1e-12 * np.abs(triangle[0, 0])))
    outside = basis[:, rank:].T  # what no linear function reaches
    if np.linalg.norm(outside @ y) <= 1e-13 * np.linalg.norm(y):
        return SparseInterpolant(np.zeros((0, d)), np.zeros(0), lstsq(x, y)[0], np.zeros(n))
    ridges = np.abs(x @ directions.T)
    candidates = np.union1d(_lasso_candidates(outside @ ridges, outside @ y), np.arange(min(2 * n, len(directions))))
    return _column_generation(x, y, directions, ridges, candidates)


@checked
def refine(
    fit: SparseInterpolant, x: Points, y: Values, *, rng: np.random.Generator, rounds: Natural = 8
) -> SparseInterpolant:
    """Let the atoms of an interpolant move off its dictionary, for targets that few exact directions explain.

    Each round draws ten directions around every atom, at a distance that shrinks from (40 n)^(-1/(d-1)), and 5 n
    fresh ones, and solves the problem on the present atoms and those that violate the dual. The norm never increases.
    """
    n, d = x.shape
    size = (40.0 * n) ** (-1 / (d - 1))
    for _ in range(rounds):
        near = np.repeat(fit.atoms, 10, axis=0)
        near = near + size * rng.normal(size=near.shape)
        directions = np.concatenate([fit.atoms, near, rng.normal(size=(5 * n, d))])
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        ridges = np.abs(x @ directions.T)
        violated = np.flatnonzero(np.abs(ridges.T @ fit.dual) > 1)
        fit = _column_generation(x, y, directions, ridges, np.union1d(np.arange(len(fit.atoms)), violated))
        size *= 0.7
    return fit


@checked
def dictionary(x: Points, *, rng: np.random.Generator, resolution: Count = 40) -> Float[Array, "size d"]:
    """Unit directions from which atoms are chosen, `resolution` per point.

    In d >= 3 uniform on the sphere. In d = 2 fixed by the data (`rng` is not used): |theta . x| has its kink where theta
    is perpendicular to x, and kinks are put at every data angle and at `resolution` - 1 equidistant angles between
    neighbours; a grid that ignores the data cannot interpolate points that crowd between two kinks.

    Raises `ValueError` for points of zero length or fewer than 2 coordinates.
    """
    n, d = x.shape
    require(at_least(2), **{"number of coordinates of x": d})
    require(POSITIVE, **{"length of x": np.linalg.norm(x, axis=1)})
    if d > 2:
        directions = rng.normal(size=(resolution * n, d))
        return directions / np.linalg.norm(directions, axis=1, keepdims=True)
    data = np.unique(np.arctan2(x[:, 1], x[:, 0]) % np.pi)
    gaps = np.diff(np.append(data, data[0] + np.pi))
    kinks = (data + gaps * np.arange(resolution)[:, None] / resolution).ravel()  # first those at the data: they suffice
    return np.stack([-np.sin(kinks), np.cos(kinks)], axis=1)


@checked
def dual_function(fit: SparseInterpolant, x: Points, directions: Float[Array, "p d"]) -> Float[Array, " p"]:
    """eta(theta) = sum_j lambda_j |theta . x_j| at unit directions: at most one in size where the fit is optimal."""
    return np.abs(directions @ x.T) @ fit.dual


def _lasso_candidates(ridges: Array, y: Array) -> Array:
    """Columns that are active on one of the last 40 knots of the lasso path, where its penalty is smallest."""
    # near the end of the path columns are collinear to rounding and some are dropped; the program puts that right
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        path = lars_path(ridges, y, method="lasso", eps=1e-14, max_iter=20 * len(y))[2]
    return np.flatnonzero(np.any(path[:, -40:] != 0, axis=1))


def _column_generation(x: Array, y: Array, directions: Array, ridges: Array, working: Array) -> SparseInterpolant:
    """Solve on the working columns, add those that violate the dual, drop those far from active, until none violates."""
    unit = np.abs(y).max()  # the solver's tolerances are absolute
    for turn in range(60):  # two to four rounds are usual
        weights, dual = _linear_program(ridges[:, working], x, y / unit)
        height = np.abs(ridges.T @ dual)
        if height.max() <= 1 + 1e-6:
            break
        # dropping keeps the programs small; later nothing is dropped, so that the search cannot go in circles
        kept = working[(weights != 0) | (height[working] >= 0.95)] if turn < 10 else working
        working = np.union1d(kept, np.argsort(-height)[: len(y)])
    else:
        raise RuntimeError(f"column generation must end within {turn + 1} rounds, got a dual of {height.max():.6g}")
    atoms = working[np.abs(weights) > 1e-9 * np.abs(weights).max()]
    # the vertex is known now: its equations are solved again to full precision
    solution = lstsq(np.concatenate([ridges[:, atoms], x], axis=1), y)[0]
    return SparseInterpolant(directions[atoms], solution[: len(atoms)], solution[len(atoms) :], dual)


def _linear_program(ridges: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Weights of least absolute sum with ridges @ weights + x @ b = y for some b, and the multipliers of the equations."""
    (n, columns), d = ridges.shape, x.shape[1]
    cost, equations = np.repeat([1.0, 0.0], [2 * columns, d]), np.hstack([ridges, -ridges, x])
    bounds = [(0, None)] * (2 * columns) + [(None, None)] * d
    # presolve finds nothing to remove in a dense program and takes half of the time
    options = {"presolve": False, "primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}
    result = linprog(cost, A_eq=equations, b_eq=y, bounds=bounds, method="highs-ds", options=options)
    if result.x is None:
        found = f"{columns} columns for {n} points: {result.message}"
        raise ValueError(f"resolution must suffice, and y have no different values at one point, got {found}")
    return result.x[:columns] - result.x[columns : 2 * columns], result.eqlin.marginals

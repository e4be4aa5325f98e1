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

from afp_utils.core.refuse import checked, finite, nonnegative

FEASIBLE = 1e-6
"""By how much the dual function may exceed one on the dictionary at the optimum."""
ROUNDS = 60
"""Rounds of column generation after which the search is given up; two to four are usual."""
SHRINK = 0.7
"""Factor by which the search around an atom narrows from round to round of `refine`."""


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
        k, d = self.atoms.shape
        if not k:
            return 0.0 if not self.linear.any() else float("inf")
        # max(|A|, |B|) is the least height of at least |A| with -height <= B <= height
        apart = np.concatenate([np.eye(k), -np.eye(k)])
        result = linprog(
            np.concatenate([np.zeros(k), np.ones(k)]),
            A_ub=np.hstack([apart, np.tile(-np.eye(k), (2, 1))]),
            b_ub=np.zeros(2 * k),
            A_eq=np.hstack([self.atoms.T, np.zeros((d, k))]),
            b_eq=self.linear,
            bounds=[(None, None)] * k + [(size, None) for size in np.abs(self.weights)],
            method="highs-ds",
        )
        return float("inf") if result.x is None else 2 * float(result.fun)

    def predict(self, x: Float[Array, "p d"]) -> Float[Array, " p"]:
        return np.abs(x @ self.atoms.T) @ self.weights + x @ self.linear

    def gradient(self, x: Float[Array, "p d"]) -> Float[Array, "p d"]:
        return (np.sign(x @ self.atoms.T) * self.weights) @ self.atoms + self.linear

    def gram(self, x: Float[Array, "p d"]) -> Float[Array, "p p"]:
        """The readout sees the atoms |theta_i . x| and the coordinates of x."""
        ridges = np.abs(x @ self.atoms.T)
        return ridges @ ridges.T + x @ x.T

    def tangent(self, x: Float[Array, "p d"]) -> Float[Array, "p p"]:
        """Weights, linear part and atoms are the parameters: the atoms add sum_i A_i^2 sign sign x . x'."""
        kinks = np.sign(x @ self.atoms.T) * self.weights
        return self.gram(x) + (kinks @ kinks.T) * (x @ x.T)


@checked
def sparse_interpolant(
    x: Float[Array, "n d"], y: Float[Array, " n"], *, rng: np.random.Generator, resolution: int = 40
) -> SparseInterpolant:
    """The interpolant of least norm whose atoms lie in `dictionary(x, rng=rng, resolution=resolution)`.

    The linear part is projected out, the lasso path (LARS) of the rest proposes columns, and a linear program on these
    is solved again with every column that violates the dual until none does. Exact on the dictionary: the dual function
    exceeds one by at most 1e-6, and there are at most n - d atoms.

    Raises `ValueError` for values that are not finite, points of zero length, fewer than 2 coordinates, a resolution
    below 1, or a dictionary too poor to interpolate.
    """
    finite(x=x, y=y)
    n, d = x.shape
    directions = dictionary(x, rng=rng, resolution=resolution)
    basis, triangle, _ = qr(x, pivoting=True)
    rank = int(np.sum(np.abs(np.diag(triangle)) > 1e-12 * np.abs(triangle[0, 0])))
    outside = basis[:, rank:].T  # what no linear function reaches
    if np.linalg.norm(outside @ y) <= 1e-13 * np.linalg.norm(y):
        return SparseInterpolant(np.zeros((0, d)), np.zeros(0), lstsq(x, y)[0], np.zeros(n))
    ridges = np.abs(x @ directions.T)
    candidates = np.union1d(_lasso_candidates(outside @ ridges, outside @ y), np.arange(min(2 * n, len(directions))))
    return _column_generation(x, y, directions, ridges, candidates)


@checked
def refine(
    fit: SparseInterpolant, x: Float[Array, "n d"], y: Float[Array, " n"], *, rng: np.random.Generator, rounds: int = 8
) -> SparseInterpolant:
    """Let the atoms of an interpolant move off its dictionary, for targets that few exact directions explain.

    Each round draws ten directions around every atom, at a distance that shrinks from (40 n)^(-1/(d-1)), and 5 n
    fresh ones, and solves the problem on the present atoms and those that violate the dual. The norm never increases.

    Raises `ValueError` for values that are not finite or a negative number of rounds.
    """
    finite(x=x, y=y)
    nonnegative(rounds=rounds)
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
        size *= SHRINK
    return fit


@checked
def dictionary(x: Float[Array, "n d"], *, rng: np.random.Generator, resolution: int = 40) -> Float[Array, "size d"]:
    """Unit directions from which atoms are chosen, `resolution` per point.

    In d >= 3 uniform on the sphere. In d = 2 fixed by the data (`rng` is not used): |theta . x| has its kink where theta
    is perpendicular to x, and kinks are put at every data angle and at `resolution` - 1 equidistant angles between
    neighbours; a grid that ignores the data cannot interpolate points that crowd between two kinks.

    Raises `ValueError` for points of zero length, fewer than 2 coordinates or a resolution below 1.
    """
    n, d = x.shape
    if d < 2:
        raise ValueError(f"x must have at least 2 coordinates, got {d}")
    if resolution < 1:
        raise ValueError(f"resolution must be at least 1, got {resolution}")
    length = np.linalg.norm(x, axis=1)
    if not np.all(length > 0):
        raise ValueError(f"x must have points of positive length, got zero at index {int(np.argmin(length))}")
    if d > 2:
        directions = rng.normal(size=(resolution * n, d))
        return directions / np.linalg.norm(directions, axis=1, keepdims=True)
    data = np.unique(np.arctan2(x[:, 1], x[:, 0]) % np.pi)
    gaps = np.diff(np.append(data, data[0] + np.pi))
    kinks = (data + gaps * np.arange(resolution)[:, None] / resolution).ravel()  # first those at the data: they suffice
    return np.stack([-np.sin(kinks), np.cos(kinks)], axis=1)


@checked
def dual_function(
    fit: SparseInterpolant, x: Float[Array, "n d"], directions: Float[Array, "p d"]
) -> Float[Array, " p"]:
    """eta(theta) = sum_j lambda_j |theta . x_j| at unit directions: at most one in size where the fit is optimal."""
    return np.abs(directions @ x.T) @ fit.dual


def _lasso_candidates(ridges: Array, y: Array) -> Array:
    """Columns that are active on one of the last 40 knots of the lasso path, where its penalty is smallest."""
    with warnings.catch_warnings():
        # near the end of the path columns are collinear to rounding and some are dropped; the program puts that right
        warnings.simplefilter("ignore", ConvergenceWarning)
        path = lars_path(ridges, y, method="lasso", eps=1e-14, max_iter=20 * len(y))[2]
    return np.flatnonzero(np.any(path[:, -40:] != 0, axis=1))


def _column_generation(x: Array, y: Array, directions: Array, ridges: Array, working: Array) -> SparseInterpolant:
    """Solve on the working columns, add those that violate the dual, drop those far from active, until none violates."""
    unit = np.abs(y).max()  # the solver's tolerances are absolute
    for turn in range(ROUNDS):
        weights, dual = _linear_program(ridges[:, working], x, y / unit)
        height = np.abs(ridges.T @ dual)
        if height.max() <= 1 + FEASIBLE:
            break
        # dropping keeps the programs small; later nothing is dropped, so that the search cannot go in circles
        kept = working[(weights != 0) | (height[working] >= 0.95)] if turn < ROUNDS // 6 else working
        working = np.union1d(kept, np.argsort(-height)[: len(y)])
    else:
        raise RuntimeError(f"column generation must end within {ROUNDS} rounds, got a dual of {height.max():.6g}")
    atoms = working[np.abs(weights) > 1e-9 * np.abs(weights).max()]
    # the vertex is known now: its equations are solved again to full precision
    solution = lstsq(np.concatenate([ridges[:, atoms], x], axis=1), y)[0]
    return SparseInterpolant(directions[atoms], solution[: len(atoms)], solution[len(atoms) :], dual)


def _linear_program(ridges: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Weights of least absolute sum with ridges @ weights + x @ b = y for some b, and the multipliers of the equations."""
    (n, columns), d = ridges.shape, x.shape[1]
    cost = np.concatenate([np.ones(2 * columns), np.zeros(d)])
    bounds = [(0, None)] * (2 * columns) + [(None, None)] * d
    # presolve finds nothing to remove in a dense program and takes half of the time
    options = {"presolve": False, "primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}
    result = linprog(
        cost, A_eq=np.hstack([ridges, -ridges, x]), b_eq=y, bounds=bounds, method="highs-ds", options=options
    )
    if result.x is None:
        raise ValueError(
            f"resolution must be high enough to interpolate, and y must not have different values at one point; with "
            f"{columns} columns for {n} points the linear program ended with: {result.message}"
        )
    return result.x[:columns] - result.x[columns : 2 * columns], result.eqlin.marginals

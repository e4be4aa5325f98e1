"""Linear networks as models of inputs in any dimension: the exact flow along one direction, the numerical flow in all."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from afp_utils.core.flow import flow_at
from afp_utils.core.models import Trajectory, refuse_dimension
from afp_utils.core.refuse import FINITE, Positive, Times, checked
from afp_utils.linear.solution import Clock, Layer, Problem, exact

FirstLayer = Annotated[Float[Array, "m d"], FINITE]
Moments = Annotated[Float[Array, "d d"], FINITE]
Vector = Annotated[Float[Array, " d"], FINITE]


@checked
@dataclass(frozen=True)
class LinearNet:
    """The linear predictor gamma u . (w x), at one time. A `core.models.Model`; its tangent kernel counts layers equally."""

    u: Float[Array, " m"]
    w: Float[Array, "m d"]
    gamma: float

    @property
    def theta(self) -> Float[Array, " d"]:
        """The predictor's one vector, gamma u w."""
        return self.gamma * self.u @ self.w

    def predict(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        refuse_dimension(x, self.w.shape[1])
        return x @ self.theta

    def gradient(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return np.tile(self.theta, (len(x), 1))

    def gram(self, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
        features = self.gamma * x @ self.w.T
        return features @ features.T

    def tangent(self, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
        return self.gram(x) + self.gamma**2 * (self.u @ self.u) * (x @ x.T)


@checked
def one_direction(problem: Problem, u: Layer, w: FirstLayer, direction: Vector, times: Clock) -> Trajectory:
    """The exact flow as models of inputs in d dimensions: only the part of w along the direction of the data moves.

    The risk is E (f - C a / A)^2, the mean squared distance from the best predictor.

    Raises `ValueError` unless the direction has length 1.
    """
    if not abs(np.linalg.norm(direction) - 1) < 1e-12:
        raise ValueError(f"direction must have length 1, got {np.linalg.norm(direction)}")
    along = w @ direction
    path = exact(problem, u, along, times)
    layers = zip(path.u, (w + np.outer(w_t - along, direction) for w_t in path.w))
    states = tuple(LinearNet(*both, problem.gamma) for both in layers)
    return Trajectory(times, problem.second_moment * (path.slope - problem.target_slope) ** 2, states)


@checked
def gradient_flow(
    u: Layer, w: FirstLayer, second_moment: Moments, cross_moment: Vector, times: Times, *, gamma: Positive = 1.0
) -> Trajectory:
    """Gradient flow of E (f - y)^2 / 2 for inputs in any directions, rates 1: u' = gamma w r, w' = gamma u r^T.

    r = E x y - E x x^T theta with theta = gamma u w. Solved numerically (DOP853), relative error about 1e-9. The risk
    is E (f - best linear predictor)^2.

    Raises `ValueError` for a second moment that is not symmetric positive semi-definite, or a cross moment outside its
    range.

    >>> run = gradient_flow([1, 0], [[0, 1], [1, 0]], [[1, 0], [0, 0.5]], [1, 0], [0, 20])
    >>> run.states[-1].theta.round(3).tolist()
    [1.0, 0.0]
    """
    best, m, shape = _best(second_moment, cross_moment), len(u), w.shape

    def velocity(_: float, state: Array) -> Array:
        u, w = state[:m], state[m:].reshape(shape)
        r = gamma * (cross_moment - second_moment @ (gamma * u @ w))
        return np.concatenate([w @ r, np.outer(u, r).ravel()])

    path = flow_at(velocity, np.append(u, w), times, method="DOP853", rtol=1e-10, atol=1e-12)
    states = tuple(LinearNet(row[:m], row[m:].reshape(shape), gamma) for row in path)
    missed = np.array([state.theta - best for state in states])
    # rounding may leave a risk below zero
    return Trajectory(times, np.maximum(np.einsum("ti,ij,tj->t", missed, second_moment, missed), 0.0), states)


def _best(second_moment: Array, cross_moment: Array) -> Array:
    """The best linear predictor: of least length, if the data lie in a subspace."""
    levels = np.linalg.eigvalsh(second_moment)
    slack = 1e-10 * np.abs(levels).max()  # moments of a sample are symmetric and non-negative up to rounding
    if levels.min() < -slack or not np.allclose(second_moment, second_moment.T, rtol=1e-10, atol=0):
        rule = "symmetric positive semi-definite"
        raise ValueError(f"second_moment must be {rule}, got an eigenvalue {levels.min():.3g}")
    best = np.linalg.pinv(second_moment, rcond=1e-10, hermitian=True) @ cross_moment
    if not np.allclose(second_moment @ best, cross_moment, rtol=1e-8, atol=1e-8 * np.abs(cross_moment).max()):
        raise ValueError(f"cross_moment must lie in the range of second_moment, got {cross_moment}")
    return best

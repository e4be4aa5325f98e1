"""Index models trained on data: on noisy Hermite coefficients (white noise), and on a finite sample.

The white-noise version of a target sum_r <G_r, H_r(W*^T x)> observes, for each degree r, a tensor of R^d: the target's
own, G_r along W* = (e_1..e_k), plus noise of variance `noise` in every entry. It is to the index models what the
sequence model is to regression: `noise` stands for sigma^2 / sample size. On a real sample a coefficient with the
feature e has the variance (sigma^2 + Var(f* e)) / sample size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from afp_utils.core.flow import flow_at
from afp_utils.core.models import Trajectory
from afp_utils.core.refuse import checked, finite, increasing, nonnegative
from afp_utils.index.features import (
    IndexModel,
    excess_risk,
    hermite_tensors,
    orthonormal,
    refuse_oblique,
    slope,
    value,
    velocity,
)
from afp_utils.index.population import link_tensors

SOLVER = {"method": "RK45", "rtol": 1e-6, "atol": 1e-9}


@checked
@dataclass(frozen=True)
class HermiteData:
    """Noisy Hermite tensors of a target, for several runs: `tensors[r]` has shape (run, d, .., d), symmetric in the d's.

    `link` are the target's tensors without noise, in the first k coordinates; only the risk of a model uses them.
    """

    tensors: tuple[Array, ...]
    link: tuple[Array, ...]


@checked
def hermite_data(
    link: Sequence[Any], dimension: int, noise: Float[Array, " run"], rng: np.random.Generator
) -> HermiteData:
    """Draw a white-noise observation for each run: the target's tensors plus sqrt(noise) times symmetrised N(0, 1).

    <X, w^(x r)> then has covariance <w, w'>^r between directions w and w', as the coefficient of H_r(<w, x>) estimated
    from a sample has, for a target without energy. (With energy, the noise of a sample is larger along the target's own
    directions: see the chapter.) Raises `ValueError` for a negative noise, for a target whose tensors are not symmetric
    with one length k of all axes, and for one that does not fit the dimension.
    """
    nonnegative(noise=noise)
    k = max((len(np.atleast_1d(tensor)) for tensor in link[1:]), default=0)
    link = link_tensors(link, np.ones(len(link)), k)
    if k > dimension:
        raise ValueError(f"dimension must be at least that of the link ({k}), got {dimension}")
    tensors = []
    for r, tensor in enumerate(link):
        x = _symmetric(rng.standard_normal((len(noise), *[dimension] * r)))
        x *= np.sqrt(noise).reshape(-1, *[1] * r)
        x[(slice(None), *[slice(size) for size in np.shape(tensor)])] += tensor
        tensors.append(x)
    return HermiteData(tuple(tensors), tuple(link))


@checked
def random_directions(runs: int, dimension: int, width: int, rng: np.random.Generator) -> Float[Array, "run d p"]:
    """Directions drawn uniformly: orthonormal columns, invariant under rotation."""
    return orthonormal(rng.standard_normal((runs, dimension, width)))


@checked
def white_noise_flow(
    data: HermiteData,
    eigenvalues: Float[Array, " degree"],
    directions: Float[Array, "run d p"],
    times: Float[Array, " time"],
) -> tuple[Trajectory, ...]:
    """Gradient flow on noisy tensors Y_r, one trajectory per run; the coefficients start at zero.

        dB_r / dt = sqrt(lambda_r) (S_r(W) - sqrt(lambda_r) B_r),   S_r(W) = Y_r with W in every slot
        dW / dt   = g - W sym(W^T g),   g = grad_W sum_r sqrt(lambda_r) <B_r, S_r(W)>

    The risk is the population excess risk. Raises `ValueError` for data and directions of different
    dimension, directions that are not orthonormal, a negative eigenvalue, or times that are negative or unsorted.
    """
    increasing(times=times)
    nonnegative(times=times, eigenvalues=eigenvalues)
    runs, d, p = directions.shape
    if len(data.tensors) != len(eigenvalues):
        raise ValueError(
            f"eigenvalues must be one per degree of the data ({len(data.tensors)}), got {len(eigenvalues)}"
        )
    if data.tensors[-1].shape != (runs, *[d] * (len(eigenvalues) - 1)):
        raise ValueError(f"directions must fit data of shape {data.tensors[-1].shape}, got {directions.shape}")
    refuse_oblique(directions)
    cuts = np.cumsum([p**r for r in range(len(eigenvalues))])

    def unpack(y: Array) -> tuple[list[Array], Array]:
        *b, w = np.split(y.reshape(runs, -1), cuts, axis=1)
        return b, w.reshape(directions.shape)

    def flow(_: float, y: Array) -> Array:
        parts = velocity(data.tensors, eigenvalues, *unpack(y))
        return np.concatenate([part.reshape(runs, -1) for part in parts], axis=1).ravel()

    start = np.concatenate([np.zeros((runs, cuts[-1])), directions.reshape(runs, -1)], axis=1).ravel()
    path = [unpack(y) for y in flow_at(flow, start, times, **SOLVER)]
    turned = [(b, orthonormal(w)) for b, w in path]

    def trajectory(run: int) -> Trajectory:
        states = tuple(IndexModel(eigenvalues, tuple(part[run] for part in b), w[run]) for b, w in turned)
        return Trajectory(times, np.array([excess_risk(data.link, state) for state in states]), states)

    return tuple(trajectory(run) for run in range(runs))


@checked
def sample_flow(
    x: Float[Array, "n d"],
    y: Float[Array, " n"],
    eigenvalues: Float[Array, " degree"],
    directions: Float[Array, "d p"],
    times: Float[Array, " time"],
) -> Trajectory:
    """Gradient flow of the empirical loss mean (f(x_i) - y_i)^2 / 2 in coefficients, from zero, and directions.

        dB_r / dt = sqrt(lambda_r) mean_i (y_i - f(x_i)) H_r(W^T x_i)
        dW / dt   = g - W sym(W^T g),   g = mean_i (y_i - f(x_i)) x_i u(x_i)^T,   u the slope of f in W^T x

    The risk is the training error mean (f(x_i) - y_i)^2. Raises `ValueError` for values that are not finite, directions
    that are not orthonormal, a negative eigenvalue, or times that are negative or unsorted.
    """
    increasing(times=times)
    nonnegative(times=times, eigenvalues=eigenvalues)
    finite(x=x, y=y)
    refuse_oblique(directions)
    p = directions.shape[1]
    cuts = np.cumsum([p**r for r in range(len(eigenvalues))])

    def flow(_: float, state: Array) -> Array:
        *b, w = np.split(state, cuts)
        w = w.reshape(-1, p)
        features = hermite_tensors(x @ w, len(eigenvalues))
        residual = (y - value(features, eigenvalues, b)) / len(x)
        rates = [np.sqrt(scale) * residual @ h for scale, h in zip(eigenvalues, features)]
        ascent = x.T @ (residual[:, None] * slope(features, eigenvalues, b, p))
        inner = w.T @ ascent
        return np.concatenate([*rates, (ascent - w @ (inner + inner.T) / 2).ravel()])

    start = np.concatenate([np.zeros(cuts[-1]), directions.ravel()])
    path = [np.split(state, cuts) for state in flow_at(flow, start, times, **SOLVER)]
    states = tuple(IndexModel(eigenvalues, tuple(b), orthonormal(w.reshape(-1, p))) for *b, w in path)
    return Trajectory(times, np.array([np.mean((state.predict(x) - y) ** 2) for state in states]), states)


def _symmetric(x: Array) -> Array:
    """The mean over all orders of the axes but the first."""
    orders = list(permutations(range(1, x.ndim)))
    return np.mean([np.transpose(x, (0, *order)) for order in orders], axis=0)

"""Index models trained on data: on noisy Hermite coefficients (white noise), and on a finite sample.

The white-noise version of a target sum_r <G_r, H_r(W*^T x)> observes, for each degree r, a tensor of R^d: the target's
own, G_r along W* = (e_1..e_k), plus noise of variance `noise` in every entry. It is to the index models what the
sequence model is to regression: `noise` stands for sigma^2 / sample size. On a real sample a coefficient with the
feature e has the variance (sigma^2 + Var(f* e)) / sample size.
"""

from dataclasses import dataclass
from itertools import permutations
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from afp_utils.core.flow import flow_at
from afp_utils.core.models import Trajectory
from afp_utils.core.refuse import FINITE, NONNEGATIVE, Count, Times, checked, inside, require
from afp_utils.index.features import (
    ORTHONORMAL,
    Eigenvalues,
    IndexModel,
    Link,
    along_manifold,
    flow_on_tensors,
    hermite_tensors,
    orthonormal,
    slope,
    value,
)
from afp_utils.index.population import refuse_misfit

SOLVER: dict[str, Any] = {"method": "RK45", "rtol": 1e-6, "atol": 1e-9}
"""Explicit and looser than in `population`: the data of many runs are one system of equations, and noise hides 1e-6."""


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
    link: Link, dimension: Count, noise: Annotated[Float[Array, " run"], NONNEGATIVE], rng: np.random.Generator
) -> HermiteData:
    """Draw a white-noise observation for each run: the target's tensors plus sqrt(noise) times symmetrised N(0, 1).

    <X, w^(x r)> then has covariance <w, w'>^r between directions w and w', as the coefficient of H_r(<w, x>) estimated
    from a sample has, for a target without energy. (With energy, the noise of a sample is larger along the target's own
    directions: see the chapter.) Raises `ValueError` for a target whose tensors are not symmetric with one length k of
    all axes, and for one that does not fit the dimension.

    >>> data = hermite_data([0, [1, 0]], dimension=5, noise=[0, 0.1], rng=np.random.default_rng(0))
    >>> bool((data.tensors[1][0] == [1, 0, 0, 0, 0]).all())  # the run without noise
    True
    """
    k = max((len(np.atleast_1d(tensor)) for tensor in link[1:]), default=0)
    refuse_misfit(link, len(link), k)
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
def random_directions(runs: Count, dimension: Count, width: int, rng: np.random.Generator) -> Float[Array, "run d p"]:
    """Directions drawn uniformly: orthonormal columns, invariant under rotation.

    Raises `ValueError` for a width outside 1 to the dimension.

    >>> w = random_directions(runs=2, dimension=5, width=3, rng=np.random.default_rng(0))
    >>> bool(np.allclose(w[0].T @ w[0], np.eye(3)))
    True
    """
    require(inside(1, dimension), width=width)
    return orthonormal(rng.standard_normal((runs, dimension, width)))


@checked
def white_noise_flow(
    data: HermiteData,
    eigenvalues: Eigenvalues,
    directions: Annotated[Float[Array, "run d p"], FINITE, ORTHONORMAL],
    times: Times,
) -> tuple[Trajectory, ...]:
    """Gradient flow on noisy tensors Y_r, one trajectory per run; the coefficients start at zero.

        dB_r / dt = sqrt(lambda_r) (S_r(W) - sqrt(lambda_r) B_r),   S_r(W) = Y_r with W in every slot
        dW / dt   = g - W sym(W^T g),   g = grad_W sum_r sqrt(lambda_r) <B_r, S_r(W)>

    The risk is the population excess risk. Raises `ValueError` for data and directions of different dimension.

    >>> data = hermite_data([0, [1, 0]], dimension=3, noise=[0], rng=np.random.default_rng(0))
    >>> start = random_directions(runs=1, dimension=3, width=1, rng=np.random.default_rng(1))
    >>> (run,) = white_noise_flow(data, [1, 1], start, times=[0, 20])
    >>> round(float(run.risk[-1]), 3)
    0.0
    """
    degrees, shape = len(data.tensors), data.tensors[-1].shape
    if degrees != len(eigenvalues):
        raise ValueError(f"eigenvalues must be one per degree of the data ({degrees}), got {len(eigenvalues)}")
    if shape != (len(directions), *directions.shape[1:2] * (degrees - 1)):
        raise ValueError(f"directions must fit data of shape {shape}, got {directions.shape}")
    return flow_on_tensors(data.link, data.tensors, eigenvalues, directions, times, SOLVER)


@checked
def sample_flow(
    x: Annotated[Float[Array, "n d"], FINITE],
    y: Annotated[Float[Array, " n"], FINITE],
    eigenvalues: Eigenvalues,
    directions: Annotated[Float[Array, "d p"], FINITE, ORTHONORMAL],
    times: Times,
) -> Trajectory:
    """Gradient flow of the empirical loss mean (f(x_i) - y_i)^2 / 2 in coefficients, from zero, and directions.

        dB_r / dt = sqrt(lambda_r) mean_i (y_i - f(x_i)) H_r(W^T x_i)
        dW / dt   = g - W sym(W^T g),   g = mean_i (y_i - f(x_i)) x_i u(x_i)^T,   u the slope of f in W^T x

    The risk is the training error mean (f(x_i) - y_i)^2.

    >>> run = sample_flow([[1, 0], [-1, 0], [0, 1]], [1, -1, 0], [1, 1], directions=[[0.6], [0.8]], times=[0, 100])
    >>> round(float(run.risk[-1]), 3)  # y is x_1
    0.0
    """
    p = directions.shape[1]
    cuts = np.cumsum([p**r for r in range(len(eigenvalues))])

    def flow(_: float, state: Array) -> Array:
        *b, w = np.split(state, cuts)
        w = w.reshape(-1, p)
        features = hermite_tensors(x @ w, len(eigenvalues))
        residual = (y - value(features, eigenvalues, b)) / len(x)
        rates = [np.sqrt(scale) * residual @ h for scale, h in zip(eigenvalues, features)]
        ascent = x.T @ (residual[:, None] * slope(features, eigenvalues, b, p))
        return np.concatenate([*rates, along_manifold(ascent, w).ravel()])

    start = np.concatenate([np.zeros(cuts[-1]), directions.ravel()])
    path = [np.split(state, cuts) for state in flow_at(flow, start, times, **SOLVER)]
    states = tuple(IndexModel(eigenvalues, tuple(b), orthonormal(w.reshape(-1, p))) for *b, w in path)
    return Trajectory(times, np.array([np.mean((state.predict(x) - y) ** 2) for state in states]), states)


def _symmetric(x: Array) -> Array:
    """The mean over all orders of the axes but the first."""
    orders = list(permutations(range(1, x.ndim)))
    return np.mean([np.transpose(x, (0, *order)) for order in orders], axis=0)

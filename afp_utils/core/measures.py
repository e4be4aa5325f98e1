"""Five measures of what a model has learned. Each maps an `Observation` to one number per run and time.

A measure sees only answers on the probe, never the mechanism that gave them, so one function serves every chapter.
"""

from collections.abc import Callable
from typing import Annotated

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from afp_utils.core.models import Observation
from afp_utils.core.refuse import FINITE, NONNEGATIVE, Count, NonNegative, Rule, checked

ROUNDING = 1e-12
"""What rounding can make of zero, relative to the largest: a gap between eigenvalues, an eigenvalue, a gradient."""

Threshold = Annotated[float, Rule("in (0, 1]", lambda value: (value > 0) & (value <= 1))]


@checked
def feature_error_measure(
    eigenvalues: Annotated[Float[Array, " feature"], NONNEGATIVE],
    coefficients: Annotated[Float[Array, " feature"], FINITE],
    noise: NonNegative,
) -> float:
    """Error of the best cut of the features, ordered by eigenvalue (the book's working definition).

    FEM = min over levels of [ energy of the target outside the kept features + noise * number of kept features ],
    where a level keeps every feature with an eigenvalue at or above it: ties enter or leave together and a feature of
    eigenvalue zero is never kept.

    `eigenvalues` are those of the feature covariance, `coefficients` the target's in the orthonormal features, `noise`
    the variance of one estimated coefficient. The result has the units of a squared coefficient and depends on the
    eigenvalues through their order alone.

    >>> round(feature_error_measure([4, 3, 2, 1], [0.1, 1, 0.05, 0.5], noise=0.04), 3)  # keeps all four
    0.16
    """
    order = np.argsort(-eigenvalues, kind="stable")
    level, energy = eigenvalues[order], coefficients[order] ** 2
    # summed from the smallest eigenvalue up, not subtracted from the whole: what is missed may be tiny
    missed = np.append(np.cumsum(energy[::-1])[::-1], 0.0)  # energy outside the first m features, m = 0..all
    error = missed + noise * np.arange(len(missed))
    below = np.append(level, 0.0)  # the first level left out by keeping m features
    above = np.append(np.inf, level)  # the last level kept
    return float(error[above > below].min())


@checked
def fem(seen: Observation) -> Float[Array, "run time"]:
    """Feature error measure of each state's features, from the Gram matrix on the probe.

    With gram / n = sum_i l_i v_i v_i^T, feature i is sqrt(n) v_i on the probe, its eigenvalue l_i, and the target's
    coefficient v_i . target / sqrt(n). Eigenvalues within rounding of each other count as one, and as zero if within
    rounding of zero (`ROUNDING`). Units of the squared target.

    Raises `ValueError` if a Gram matrix has an eigenvalue below zero by more than rounding.
    """
    n = len(seen.probe.target)
    levels, vectors = np.linalg.eigh(seen.gram / n)
    largest = levels[..., -1:]
    if np.any(levels < -1e-8 * np.abs(largest)):
        raise ValueError(f"gram must be positive semi-definite, got an eigenvalue {levels.min() * n:.3g}")
    coefficients = np.einsum("rtki,k->rti", vectors, seen.probe.target) / np.sqrt(n)
    levels = _merge(levels, ROUNDING * n * largest)
    noise = seen.probe.noise
    return np.array(
        [[feature_error_measure(*state, noise) for state in zip(*run)] for run in zip(levels, coefficients)]
    )


@checked
def ntk_drift(seen: Observation) -> Float[Array, "run time"]:
    """How far the tangent kernel has turned since the first state: 1 - cos(tangent(t), tangent(0)), in [0, 1].

    The cosine is that of the Frobenius inner product, so a mere change of scale is no drift. A tangent kernel that
    stays zero has not drifted (0); one that becomes or ceases to be zero has drifted fully (1).

    Computed as half the squared distance of the normalised kernels, so that a drift far below the rounding of the
    cosine is still a number (down to about 1e-30) and not noise.
    """
    now, then = _directions(seen.tangent), _directions(seen.tangent[:, :1])
    half = np.sum((now - then) ** 2, axis=(-2, -1)) / 2
    vanished = [np.all(at == 0, axis=(-2, -1)) for at in (now, then)]
    return np.where(vanished[0] ^ vanished[1], 1.0, half)


@checked
def consensus(seen: Observation, rank: Count, threshold: Threshold = 0.9) -> Float[Array, "run time"]:
    """Share of a run's leading features that another run has too, averaged over the other runs. In [0, 1].

    The leading features of a run span the eigenvectors of its Gram matrix down to the `rank`-th eigenvalue, ties
    included, null directions not. Two runs share as many features as their leading subspaces have principal angles
    with squared cosine at least `threshold`; the share is relative to the larger subspace, and 1 if both are empty.

    Raises `ValueError` for fewer than two runs or a rank above n.
    """
    runs, times, n, _ = seen.gram.shape
    if runs < 2:
        raise ValueError(f"seen must hold at least 2 runs to compare, got {runs}")
    if rank > n:
        raise ValueError(f"rank must be at most the number of probe points {n}, got {rank}")
    levels, vectors = np.linalg.eigh(seen.gram)
    null = ROUNDING * n * levels[..., -1:]
    leading = (levels >= np.maximum(levels[..., -rank, None], 0.0) - null) & (levels > null)

    def basis(run: int, time: int) -> Array:
        return vectors[run, time][:, leading[run, time]]

    pairs = np.ones((runs, runs, times))
    for one, other, time in np.ndindex(*pairs.shape):
        if other < one:
            share = _shared(basis(one, time), basis(other, time), threshold - ROUNDING * n)
            pairs[one, other, time] = pairs[other, one, time] = share
    return (pairs.sum(axis=1) - 1.0) / (runs - 1)


@checked
def effective_dimension(seen: Observation) -> Float[Array, "run time"]:
    """Number of directions that the features use: the participation ratio (tr K)^2 / tr(K^2) of the Gram matrix.

    Between 1 (one feature) and the rank of K (equal eigenvalues); 0 for features that vanish on the probe.
    """
    # the trace of the normalised matrix: squares of K itself might overflow
    return np.trace(_directions(seen.gram), axis1=-2, axis2=-1) ** 2


@checked
def agop_alignment(seen: Observation) -> Float[Array, "run time"]:
    """Cosine between the model's average gradient outer product and the target's on the probe. In [0, 1].

    agop = mean_k g(x_k) g(x_k)^T with g the predictor's gradient; the target's is the expected gradient outer product
    (EGOP). A constant model, or a constant target, has alignment 0. Constant is also what rounding makes of it: a
    gradient smaller than `ROUNDING` times the largest, in mean square over the probe, among the target's and those of
    all states of the run. (A network that is zero by antisymmetry has gradients of about 1e-16 times its weights.)
    """
    sizes = _size(seen.gradient), _size(seen.probe.target_gradient)
    least = ROUNDING * np.maximum(sizes[0].max(axis=1, keepdims=True), sizes[1])
    both = _directions(agop(_scaled(seen.gradient))), _directions(agop(_scaled(seen.probe.target_gradient)))
    cosine = np.clip(np.sum(both[0] * both[1], axis=(-2, -1)), 0.0, 1.0)
    return np.where((sizes[0] <= least) | (sizes[1] <= least), 0.0, cosine)


@checked
def agop(gradient: Float[Array, "*batch n d"]) -> Float[Array, "*batch d d"]:
    """Average gradient outer product: the mean over points of `gradient gradient^T`.

    >>> agop([[2, 0], [0, 2]])
    array([[2., 0.],
           [0., 2.]])
    """
    return np.swapaxes(gradient, -1, -2) @ gradient / gradient.shape[-2]


MEASURES: dict[str, Callable[..., Array]] = {
    "fem": fem,
    "ntk_drift": ntk_drift,
    "consensus": consensus,
    "effective_dimension": effective_dimension,
    "agop_alignment": agop_alignment,
}
"""Every measure by name; `consensus` also takes the rank of the features to compare."""


def _shared(first: Array, second: Array, least: float) -> float:
    """How many principal angles of two subspaces have a squared cosine of `least` or more, per larger dimension."""
    sizes = first.shape[1], second.shape[1]
    if min(sizes) == 0:
        return float(max(sizes) == 0)
    cosines = np.linalg.svd(first.T @ second, compute_uv=False)
    return float(np.sum(cosines**2 >= least) / max(sizes))


def _scaled(matrices: Array) -> Array:
    """Each matrix over its largest entry, so that squares neither vanish nor overflow; a zero matrix stays zero."""
    largest = np.abs(matrices).max(axis=(-2, -1), keepdims=True)
    return np.divide(matrices, largest, out=np.zeros_like(matrices), where=largest > 0)


def _directions(matrices: Array) -> Array:
    """Each matrix over its Frobenius norm; a zero matrix stays zero."""
    scaled = _scaled(matrices)
    norms = np.linalg.norm(scaled, axis=(-2, -1), keepdims=True)
    return np.divide(scaled, norms, out=np.zeros_like(scaled), where=norms > 0)


def _size(gradient: Array) -> Array:
    """Root of the mean square of the gradients at the points."""
    largest = np.abs(gradient).max(axis=(-2, -1))
    return largest * np.sqrt(np.sum(_scaled(gradient) ** 2, axis=(-2, -1)) / gradient.shape[-2])


def _merge(levels: Array, gap: Array) -> Array:
    """Ascending eigenvalues with those within `gap` of the one below made equal to it, and those within it of 0 zero."""
    merged = np.where(levels <= gap, 0.0, levels)
    for i in range(1, levels.shape[-1]):
        close = levels[..., i] - levels[..., i - 1] <= gap[..., 0]
        merged[..., i] = np.where(close, merged[..., i - 1], merged[..., i])
    return merged

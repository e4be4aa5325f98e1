"""Five measures of what a model has learned. Each maps an `Observation` to one number per run and time.

A measure sees only answers on the probe, never the mechanism that gave them, so one function serves every chapter.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from afp_utils.core.models import Observation
from afp_utils.core.refuse import checked, finite, nonnegative

ROUNDING = 1e-12
"""What rounding can make of zero, relative to the largest: a gap between eigenvalues, an eigenvalue, a gradient."""


@checked
def feature_error_measure(
    eigenvalues: Float[Array, " feature"], coefficients: Float[Array, " feature"], noise: float
) -> float:
    """Error of the best cut of the features, ordered by eigenvalue (the book's working definition).

    FEM = min over levels of [ energy of the target outside the kept features + noise * number of kept features ],
    where a level keeps every feature with an eigenvalue at or above it: ties enter or leave together and a feature of
    eigenvalue zero is never kept.

    `eigenvalues` are those of the feature covariance, `coefficients` the target's in the orthonormal features, `noise`
    the variance of one estimated coefficient. The result has the units of a squared coefficient and depends on the
    eigenvalues through their order alone.

    Raises `ValueError` for a negative eigenvalue or noise, or a value that is not finite.
    """
    nonnegative(eigenvalues=eigenvalues, noise=noise)
    finite(coefficients=coefficients)
    order = np.argsort(-eigenvalues, kind="stable")
    level, energy = eigenvalues[order], coefficients[order] ** 2
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
def consensus(seen: Observation, rank: int, threshold: float = 0.9) -> Float[Array, "run time"]:
    """Share of a run's leading features that another run has too, averaged over the other runs. In [0, 1].

    The leading features of a run span the eigenvectors of its Gram matrix down to the `rank`-th eigenvalue, ties
    included, null directions not. Two runs share as many features as their leading subspaces have principal angles
    with squared cosine at least `threshold`; the share is relative to the larger subspace, and 1 if both are empty.

    Raises `ValueError` for fewer than two runs, a rank below 1 or above n, or a threshold outside (0, 1].
    """
    runs, times, n, _ = seen.gram.shape
    if runs < 2:
        raise ValueError(f"seen must hold at least 2 runs to compare, got {runs}")
    if not 1 <= rank <= n:
        raise ValueError(f"rank must be between 1 and the number of probe points {n}, got {rank}")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie in (0, 1], got {threshold}")
    levels, vectors = np.linalg.eigh(seen.gram)
    cut = np.maximum(levels[..., -rank, None], 0.0) - ROUNDING * n * levels[..., -1:]
    leading = (levels >= cut) & (levels > ROUNDING * n * levels[..., -1:])

    def shared(one: int, other: int, time: int) -> float:
        first = vectors[one, time][:, leading[one, time]]
        second = vectors[other, time][:, leading[other, time]]
        larger = max(first.shape[1], second.shape[1])
        if larger == 0:
            return 1.0
        if min(first.shape[1], second.shape[1]) == 0:
            return 0.0
        cosines = np.linalg.svd(first.T @ second, compute_uv=False)
        return float(np.sum(cosines**2 >= threshold - ROUNDING * n)) / larger

    pairs = np.ones((runs, runs, times))
    for one in range(runs):
        for other in range(one):
            pairs[one, other] = pairs[other, one] = [shared(one, other, time) for time in range(times)]
    return (pairs.sum(axis=1) - 1.0) / (runs - 1)


@checked
def effective_dimension(seen: Observation) -> Float[Array, "run time"]:
    """Number of directions that the features use: the participation ratio (tr K)^2 / tr(K^2) of the Gram matrix.

    Between 1 (one feature) and the rank of K (equal eigenvalues); 0 for features that vanish on the probe.
    """
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
    """Average gradient outer product: the mean over points of `gradient gradient^T`."""
    return np.swapaxes(gradient, -1, -2) @ gradient / gradient.shape[-2]


MEASURES: dict[str, Callable[..., Array]] = {
    "fem": fem,
    "ntk_drift": ntk_drift,
    "consensus": consensus,
    "effective_dimension": effective_dimension,
    "agop_alignment": agop_alignment,
}
"""Every measure by name; `consensus` also takes the rank of the features to compare."""


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

"""The d x d matrices of a Recursive Feature Machine: powers, factors, scale, and how alike two of them are."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.linalg import eigh

from afp_utils.core.refuse import checked, finite, positive

RANK = 1e-15
"""Eigenvalues of a metric below this share of the largest are dropped from its factor."""


@checked
def feature_power(metric: Float[Array, "d d"], power: float, eigh: Callable[..., Any] = eigh) -> Float[Array, "d d"]:
    """metric^power through the eigenvalues, those below zero (rounding) taken as zero. `eigh` may be another's.

    Raises `ValueError` for values that are not finite, a matrix that is not symmetric, or a power that is not positive.
    """
    _symmetric(metric=metric)
    positive(power=power)
    levels, vectors = eigh(metric)
    return (vectors * np.maximum(levels, 0.0) ** power) @ vectors.T


@checked
def metric_factor(metric: Float[Array, "d d"], eigh: Callable[..., Any] = eigh) -> Float[Array, "d rank"]:
    """B with B B^T = metric, so that |v|_metric = |B^T v|, with as many columns as the metric has rank.

    Raises `ValueError` for values that are not finite, or a matrix that is not symmetric and positive semi-definite.
    """
    _symmetric(metric=metric)
    levels, vectors = eigh(metric)
    largest = float(np.abs(levels).max(initial=0.0))
    if levels.min(initial=0.0) < -1e-8 * largest:
        raise ValueError(f"metric must be positive semi-definite, got an eigenvalue {levels.min():.3g}")
    kept = levels > RANK * largest
    return vectors[:, kept] * np.sqrt(levels[kept])


@checked
def unit_max(metric: Float[Array, "d d"]) -> Float[Array, "d d"]:
    """The metric over its largest entry, which for a positive semi-definite matrix is on the diagonal; zero stays zero.

    A scale of the metric is a bandwidth: c M at bandwidth L is M at bandwidth L / sqrt(c). The largest entry depends on
    the axes, so that only `unit_trace` and `unnormalised` leave the machine equivariant under rotations.
    """
    return _scaled(metric, float(metric.max(initial=0.0)))


@checked
def unit_trace(metric: Float[Array, "d d"]) -> Float[Array, "d d"]:
    """The metric scaled to the trace of the identity, d; zero stays zero."""
    return _scaled(metric, float(np.trace(metric)) / max(len(metric), 1))


@checked
def unnormalised(metric: Float[Array, "d d"]) -> Float[Array, "d d"]:
    """The metric as it is; its scale is then that of the squared gradients."""
    return metric


@checked
def deviatoric_cosine(first: Float[Array, "d d"], second: Float[Array, "d d"]) -> float:
    """Cosine of the deviatoric parts A - (tr A / d) I of two matrices, in [-1, 1]; 0 if one is a multiple of I.

    Blind to the multiple of the identity that an untrained network's matrices share, and to a rotation of both. The
    correlation of all entries is neither: before any training it can be near 1.

    Raises `ValueError` for values that are not finite.
    """
    finite(first=first, second=second)
    one, two = (a - np.trace(a) / len(a) * np.eye(len(a)) for a in (first, second))
    sizes = [float(np.linalg.norm(a)) for a in (one, two)]
    rounding = 1e-14 * np.array([np.linalg.norm(first), np.linalg.norm(second)])
    if np.any(sizes <= rounding):
        return 0.0
    return float(np.clip(np.sum((one / sizes[0]) * (two / sizes[1])), -1.0, 1.0))


@checked
def circulant_residual(block: Float[Array, "p p"]) -> float:
    """Share of the variance of a block's entries that is not of the form C_ij = c(i - j mod p), in [0, 1].

    |C - P C|^2 / |C - mean C|^2, with P the average over entries of equal i - j. The circulant deviation of Mallinar et
    al. (2025), section 3, except that theirs divides by |C|^2, and so depends on the block's mean. On average
    p / (p + 1) for independent Gaussian entries, exactly: p (p - 1) of their p^2 - 1 directions are not circulant. 0 for
    a constant block. The progress measure of addition modulo p.

    Raises `ValueError` for an empty block or values that are not finite.
    """
    finite(block=block)
    p = len(block)
    if p == 0:
        raise ValueError("block must have at least one entry, got shape (0, 0)")
    # row i starts at its diagonal entry, so that column k holds the entries with j - i = k
    turned = np.take_along_axis(block, (np.arange(p)[:, None] + np.arange(p)) % p, axis=1)
    outside = float(np.sum((turned - turned.mean(axis=0)) ** 2))
    total = float(np.sum((block - block.mean()) ** 2))
    return outside / total if total > 1e-28 * float(np.sum(block**2)) else 0.0


@checked
def hankel_residual(block: Float[Array, "p p"]) -> float:
    """As `circulant_residual`, for C_ij = c(i + j mod p): the progress measure of subtraction modulo p."""
    return circulant_residual(block[(-np.arange(len(block))) % max(len(block), 1)])


def _scaled(metric: Array, scale: float) -> Array:
    finite(metric=metric)
    return metric / scale if scale > 0 else metric


def _symmetric(**arguments: Array) -> None:
    finite(**arguments)
    for name, value in arguments.items():
        error = float(np.abs(value - value.T).max(initial=0.0))
        if error > 1e-8 * float(np.abs(value).max(initial=0.0)):
            raise ValueError(f"{name} must be symmetric, got a difference of {error:.3g} from its transpose")

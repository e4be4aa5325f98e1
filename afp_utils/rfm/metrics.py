"""The d x d matrices of a Recursive Feature Machine: powers, factors, scale, and how alike two of them are."""

from typing import Annotated

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.linalg import eigh

from afp_utils.core.refuse import FINITE, SOME, Positive, Rule, checked

RANK = 1e-15
"""Eigenvalues of a metric below this share of the largest are rounding, and dropped from its factor."""
SYMMETRIC = Rule(
    "symmetric",  # up to rounding; a matrix that is not even square is refused by its shape
    lambda a: a.shape != a.T.shape or np.abs(a - a.T) <= 1e-8 * np.abs(a).max(initial=0.0),
)
Matrix = Annotated[Float[Array, "d d"], FINITE]
Symmetric = Annotated[Matrix, SYMMETRIC]
Block = Annotated[Float[Array, "p p"], FINITE, SOME]


@checked
def feature_power(metric: Symmetric, power: Positive) -> Float[Array, "d d"]:
    """metric^power through the eigenvalues, those below zero (rounding) taken as zero.

    >>> feature_power([[4, 0], [0, 9]], 0.5).round(3).tolist()
    [[2.0, 0.0], [0.0, 3.0]]
    """
    levels, vectors = eigh(metric)
    return (vectors * np.maximum(levels, 0.0) ** power) @ vectors.T


@checked
def metric_factor(metric: Symmetric) -> Float[Array, "d rank"]:
    """B with B B^T = metric, so that |v|_metric = |B^T v|, with as many columns as the metric has rank.

    Raises `ValueError` for a matrix that is not positive semi-definite.

    >>> metric_factor(np.diag([0, 9])).shape
    (2, 1)
    """
    levels, vectors = eigh(metric)  # and not Cholesky, which stops at a metric of deficient rank
    largest = float(np.abs(levels).max(initial=0.0))
    if levels.min(initial=0.0) < -1e-8 * largest:
        raise ValueError(f"metric must be positive semi-definite, got an eigenvalue {levels.min():.3g}")
    kept = levels > RANK * largest
    return vectors[:, kept] * np.sqrt(levels[kept])


@checked
def unit_max(metric: Matrix) -> Float[Array, "d d"]:
    """The metric over its largest entry, which for a positive semi-definite matrix is on the diagonal; zero stays zero.

    A scale of the metric is a bandwidth: c M at bandwidth L is M at bandwidth L / sqrt(c). The largest entry depends on
    the axes, so that only `unit_trace` and `unnormalised` leave the machine equivariant under rotations.
    """
    return _scaled(metric, float(metric.max(initial=0.0)))


@checked
def unit_trace(metric: Matrix) -> Float[Array, "d d"]:
    """The metric scaled to the trace of the identity, d; zero stays zero."""
    return _scaled(metric, float(np.trace(metric)) / max(len(metric), 1))


@checked
def unnormalised(metric: Matrix) -> Float[Array, "d d"]:
    """The metric as it is; its scale is then that of the squared gradients."""
    return metric


@checked
def deviatoric_cosine(first: Matrix, second: Matrix) -> float:
    """Cosine of the deviatoric parts A - (tr A / d) I of two matrices, in [-1, 1]; 0 if one is a multiple of I.

    Blind to the multiple of the identity that an untrained network's matrices share, and to a rotation of both. The
    correlation of all entries is neither: before any training it can be near 1.

    >>> round(deviatoric_cosine([[3, 0], [0, 1]], [[1, 0], [0, 5]]), 3)
    -1.0
    """
    one, two = (a - np.trace(a) / len(a) * np.eye(len(a)) for a in (first, second))
    sizes = [float(np.linalg.norm(a)) for a in (one, two)]
    # what a multiple of I leaves is rounding, whose direction means nothing
    rounding = 1e-14 * np.array([np.linalg.norm(first), np.linalg.norm(second)])
    if np.any(sizes <= rounding):
        return 0.0
    return float(np.clip(np.sum((one / sizes[0]) * (two / sizes[1])), -1.0, 1.0))


@checked
def circulant_residual(block: Block) -> float:
    """Share of the variance of a block's entries that is not of the form C_ij = c(i - j mod p), in [0, 1].

    |C - P C|^2 / |C - mean C|^2, with P the average over entries of equal i - j. The circulant deviation of Mallinar et
    al. (2025), section 3, except that theirs divides by |C|^2, and so depends on the block's mean. On average
    p / (p + 1) for independent Gaussian entries, exactly: p (p - 1) of their p^2 - 1 directions are not circulant. 0 for
    a constant block. The progress measure of addition modulo p.

    >>> circulant_residual([[1, 2], [2, 1]]), circulant_residual([[1, 0], [0, -1]])
    (0.0, 1.0)
    """
    p = len(block)
    # row i starts at its diagonal entry, so that column k holds the entries with j - i = k
    turned = np.take_along_axis(block, (np.arange(p)[:, None] + np.arange(p)) % p, axis=1)
    outside = float(np.sum((turned - turned.mean(axis=0)) ** 2))
    total = float(np.sum((block - block.mean()) ** 2))
    return outside / total if total > 1e-28 * float(np.sum(block**2)) else 0.0


@checked
def hankel_residual(block: Block) -> float:
    """As `circulant_residual`, for C_ij = c(i + j mod p): the progress measure of subtraction modulo p."""
    return circulant_residual(block[-np.arange(len(block))])


def _scaled(metric: Array, scale: float) -> Array:
    return metric / scale if scale > 0 else metric

"""Learning curves on the sphere from spectra alone: both kernels, two tails, finite samples, exponents.

A spectrum lists eigenvalues by degree k, each counted N_k times (`harmonics.multiplicity`).
"""

import math
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.optimize import brentq

from afp_utils.core.refuse import FINITE, NONNEGATIVE, POSITIVE, Count, checked, inside, require
from afp_utils.sphere.harmonics import Coefficients, Dimension, Natural, Smoothness, multiplicity, ridge_coefficients

SATURATION: dict[str, tuple[int, int]] = {"random features": (2, 6), "tangent": (2, 2), "sparse": (1, 3)}
"""How often the dimension of the sphere enters the exponent of a very smooth target, and what kernel or neuron adds."""

Regime = Literal["random features", "tangent", "sparse"]
Spectrum = Annotated[Float[Array, " degrees"], NONNEGATIVE]


@checked
def neuron_spectrum(dimension: Dimension, degree: Count) -> Coefficients:
    """phi_0..phi_degree of one neuron relu(t) = (t + |t|) / 2."""
    found = ridge_coefficients(1.0, dimension, degree) / 2
    found[1] = 1 / (2 * dimension)
    return found


@checked
def random_feature_spectrum(dimension: Dimension, degree: Count) -> Coefficients:
    """Eigenvalues of `kernels.random_feature_kernel`: 2 d phi_k^2."""
    return 2 * dimension * neuron_spectrum(dimension, degree) ** 2


@checked
def tangent_spectrum(dimension: Dimension, degree: Count) -> Coefficients:
    """Eigenvalues of `kernels.tangent_kernel`: those of random features, and those of t kappa_0(t).

    kappa_0 is twice the mean of two steps (1 + sign t) / 2 and has the eigenvalues 2 step_k^2; a factor t moves
    k / (2k + d - 2) of a degree down by one and the rest up.
    """
    # one degree more than asked for, since the factor t brings it down
    counts = multiplicities(dimension, degree + 1)
    step = ridge_coefficients(0.0, dimension, degree + 1, odd=True) / 2
    step[0] = 0.5
    power, k = 2 * step**2 * counts, np.arange(degree + 2)
    down = np.divide(k, 2.0 * k + dimension - 2, out=np.zeros(degree + 2), where=k > 0)
    moved = np.append((power * down)[1:], 0.0)
    moved[1:] += (power * (1 - down))[:-1]
    return random_feature_spectrum(dimension, degree) + (moved / counts)[:-1]


@checked
def multiplicities(dimension: Dimension, degree: Natural) -> Coefficients:
    """N_0..N_degree of `harmonics.multiplicity`, as floating-point numbers."""
    return np.array([multiplicity(k, dimension) for k in range(degree + 1)], dtype=float)


@checked
def two_tails(
    shape: Annotated[Coefficients, FINITE], target: Spectrum, dimension: Dimension, cutoff: int
) -> tuple[float, float]:
    """What an interpolant misses and what it invents, if it knows its target up to the degree `cutoff` and no further.

    It is a filter applied to points, with the coefficients `shape` of the filter; the target has the variances `target`.
    Missing: sum_{k>cutoff} N_k target_k. Invented: W sum_{k>cutoff} N_k shape_k^2, where the power W of the points is what
    they need to reproduce the target below: W n = sum_{k<=cutoff} N_k target_k / shape_k^2 with n the number of functions
    there, over the degrees where both are not zero. (Recalled from petrini2022learning; a heuristic, not a bound.)

    Raises `ValueError` for a cutoff outside 1..degrees - 2, or a shape of zeros up to it.
    """
    require(inside(1, len(target) - 2), cutoff=cutoff)
    if not shape[: cutoff + 1].any():
        raise ValueError(f"shape must have a coefficient that is not 0 up to the cutoff, got none of {cutoff + 1}")
    counts = multiplicities(dimension, len(target) - 1)
    low, seen = slice(0, cutoff + 1), (shape != 0) & (target > 0)
    asked = np.divide(target, shape**2, out=np.zeros(len(target)), where=seen)
    power = np.sum((counts * asked)[low]) / np.sum((counts * (shape != 0))[low])
    missing = np.sum((counts * target)[cutoff + 1 :])
    return float(missing), float(power * np.sum((counts * shape**2)[cutoff + 1 :]))


@checked
def kernel_error(eigenvalues: Spectrum, target: Spectrum, dimension: Dimension, n: int) -> float:
    """Mean squared error of the interpolant of n random points, in the average over points, to leading order.

    With the level e that solves sum_k N_k L_k = n, L_k = eigenvalue_k / (eigenvalue_k + e): the error is
    sum_k N_k (1 - L_k)^2 target_k / (1 - sum_k N_k L_k^2 / n) (bordelon2020spectrum; the form is that of simon2023eigenlearning).
    Truncated spectra must reach far beyond the n-th function.

    >>> round(kernel_error([1, 0, 1], [0.5, 0, 0.25], 2, 1), 3)  # one of three functions
    0.667

    Raises `ValueError` for n below 1, or fewer than 2 n functions of positive eigenvalue.
    """
    counts = multiplicities(dimension, len(target) - 1)
    known = float(np.sum(counts * (eigenvalues > 0)))
    if not 1 <= n <= known / 2:
        raise ValueError(f"n must be between 1 and half of the {known:.0f} functions of the spectrum, got {n}")

    def learned(log_level: float) -> Array:
        return eigenvalues / (eigenvalues + math.exp(log_level))

    # the level spans many orders of magnitude, so its logarithm is sought; at most n functions are learned at the top
    top = math.log(eigenvalues.max()) + math.log(known)
    level = brentq(lambda log_level: float(np.sum(counts * learned(log_level))) - n, top - 200, top, xtol=1e-12)
    share = learned(level)
    return float(np.sum(counts * (1 - share) ** 2 * target) / (1 - np.sum(counts * share**2) / n))


@checked
def predicted_exponent(regime: Regime, dimension: Dimension, smoothness: Smoothness) -> float:
    """beta in mean squared error ~ n^(-beta) for a target of smoothness nu on the unit sphere of R^d, without noise:

        random features   min(2 nu, 2 (d-1) + 6) / (d-1)
        tangent           min(2 nu, 2 (d-1) + 2) / (d-1)
        sparse            min(2 nu, (d-1) + 3) / (d-1)

    (recalled from petrini2022learning, derived again in this book). `math.inf` is a smoothness: the saturated value.

    >>> [predicted_exponent(regime, 3, 3.5) for regime in SATURATION]
    [3.5, 3.0, 2.5]
    """
    surface, (times, extra) = dimension - 1, SATURATION[regime]
    return min(2 * smoothness, times * surface + extra) / surface


@checked
def fitted_exponent(
    sizes: Annotated[Float[Array, " size"], POSITIVE], errors: Annotated[Float[Array, "run size"], POSITIVE]
) -> tuple[float, float]:
    """beta of error ~ n^(-beta), fitted on logarithms in each run: mean over runs, and its standard error.

    Runs, not points, are the independent unit: the points of a run share their data. So there is no error from one run.

    >>> np.round(fitted_exponent([1, 10, 100], [[5, 0.5, 0.05], [8, 0.08, 0.0008]]), 3)
    array([1.5, 0.5])

    Raises `ValueError` for fewer than two sizes or two runs.
    """
    if min(errors.shape) < 2:
        raise ValueError(f"errors must have at least 2 runs and 2 sizes, got shape {errors.shape}")
    slopes = -np.polyfit(np.log(sizes), np.log(errors).T, 1)[0]
    return float(slopes.mean()), float(slopes.std(ddof=1) / math.sqrt(len(errors)))

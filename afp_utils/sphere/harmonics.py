"""Zonal functions on the unit sphere of R^d: polynomials, coefficients, multiplicities, power-law spectra.

A function g(x . y) of an inner product on the sphere is g(t) = sum_k g_k N_k P_k(t), with P_k the Gegenbauer polynomial
of degree k scaled to P_k(1) = 1, N_k the number of independent harmonics of that degree, and g_k = E[g(t) P_k(t)] for t
the first coordinate of a uniform point. As a kernel, g has the eigenvalues g_k, each N_k times.
"""

import math
from collections.abc import Callable, Iterator
from typing import Annotated

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.special import gammaln

from afp_utils.core.refuse import POSITIVE, NonNegative, Rule, at_least, checked, require

Natural = Annotated[int, at_least(0)]
Dimension = Annotated[int, at_least(2)]
Smoothness = Annotated[float, Rule("positive", lambda value: value > 0)]  # may be infinite
Coefficients = Float[Array, " degrees"]


@checked
def multiplicity(degree: Natural, dimension: Dimension) -> int:
    """Number of independent harmonics, N_k = (2k + d - 2) / k * binom(k + d - 3, d - 2), N_0 = 1; of order k^(d-2).

    >>> [multiplicity(k, 3) for k in range(4)]
    [1, 3, 5, 7]
    """
    if degree == 0:
        return 1
    return (2 * degree + dimension - 2) * math.comb(degree + dimension - 3, dimension - 2) // degree


@checked
def gegenbauer(degree: Natural, dimension: Dimension, t: Float[Array, " t"]) -> Float[Array, "degrees t"]:
    """P_0..P_degree at t in [-1, 1]: cosines of multiple angles in d = 2, Legendre polynomials in d = 3."""
    return np.stack(list(_polynomials(degree, dimension, t)))


@checked
def zonal_coefficients(function: Callable[[Array], Array], dimension: Dimension, degree: Natural) -> Coefficients:
    """g_0..g_degree of a function of t = x . y, as means over a grid in the angle with weight sin^(d-2)."""
    size = 200_000  # errors near 1e-11 for functions with kinks
    # equal steps in the angle, not in t: in d = 2 the density of t diverges at both ends
    angle = (np.arange(size) + 0.5) * (np.pi / size)
    t, weight = np.cos(angle), np.sin(angle) ** (dimension - 2)
    weighted = weight / weight.sum() * function(t)
    return np.array([weighted @ polynomial for polynomial in _polynomials(degree, dimension, t)])


@checked
def ridge_coefficients(power: NonNegative, dimension: Dimension, degree: Natural, *, odd: bool = False) -> Coefficients:
    """g_0..g_degree of the ridge |t|^power, or of sign(t) |t|^power if `odd`, in closed form.

    g_0 = E|t|^power (`odd`: g_1 = E|t|^(power+1)) and g_{k+2} = g_k (power - k) / (power + d + k); degrees of the other
    parity are zero. A factor vanishes, and all after it, just where the ridge is a polynomial. Else |g_k| falls as
    k^(-power - d/2).
    """
    first, moment = int(odd), power + odd
    gammas = gammaln((moment + 1) / 2) + gammaln(dimension / 2) - gammaln(0.5)
    found = np.zeros(max(degree, 1) + 1)
    # in logarithms: the gamma functions of high dimensions overflow, their quotient does not
    found[first] = math.exp(gammas - gammaln((moment + dimension) / 2))
    for k in range(first, degree - 1, 2):
        found[k + 2] = found[k] * (power - k) / (power + dimension + k)
    return found[: degree + 1]


@checked
def zonal_sum(coefficients: Coefficients, dimension: Dimension, t: Float[Array, " t"]) -> Float[Array, " t"]:
    """sum_k g_k N_k P_k(t)."""
    polynomials = enumerate(_polynomials(len(coefficients) - 1, dimension, t))
    terms = (coefficients[k] * multiplicity(k, dimension) * polynomial for k, polynomial in polynomials)
    return sum(terms, np.zeros_like(t))


@checked
def power_law_spectrum(smoothness: Smoothness, dimension: Dimension, degree: Natural) -> Coefficients:
    """Variances c_0..c_degree of a random even target: c_k = k^(-2 nu - (d-1)) for even k > 0 and c_0 = 1, scaled.

    Odd degrees are zero, since no bias-free ReLU network reaches them beyond the first. Scaled so that the field has
    variance sum_k c_k N_k = 1 at a point; its increments over a small distance r have variance of order r^(2 nu) for
    nu < 1. Smoothness `math.inf` is a constant.
    """
    k = np.arange(degree + 1)
    spectrum = np.where(k % 2 == 0, np.maximum(k, 1.0) ** -(2 * smoothness + dimension - 1), 0.0)
    return spectrum / sum(c * multiplicity(i, dimension) for i, c in enumerate(spectrum))


@checked
def even_decay(coefficients: Coefficients, lowest: int) -> tuple[float, float]:
    """Slope of log |g_k| against log k over the even degrees from `lowest` up, and its standard error.

    Raises `ValueError` for fewer than three such degrees, a lowest degree below 2 or a coefficient of zero.
    """
    k = np.arange(lowest + lowest % 2, len(coefficients), 2)
    if lowest < 2 or len(k) < 3:  # a line through two points has no error
        raise ValueError(f"lowest must be at least 2 and leave 3 even degrees, got {lowest} of {len(coefficients)}")
    size = np.abs(coefficients[k])
    require(POSITIVE, coefficients=size)
    (slope, _), covariance = np.polyfit(np.log(k), np.log(size), 1, cov=True)
    return float(slope), float(np.sqrt(covariance[0, 0]))


def _polynomials(degree: int, dimension: int, t: Array) -> Iterator[Array]:
    """P_0, P_1, ... one at a time, so that a fine grid needs the memory of three of them."""
    d, before, now = dimension, np.zeros_like(t), np.ones_like(t)
    for k in range(degree + 1):
        yield now
        # at k = 0 in d = 2 the factor of P_1 is 0 / 0; P_1 = t always
        before, now = now, t if k == 0 else ((2 * k + d - 2) * t * now - k * before) / (k + d - 2)

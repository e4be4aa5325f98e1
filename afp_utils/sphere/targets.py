"""Targets on the sphere: Gaussian random fields of given smoothness, and functions of few coordinates.

A field has variance one at each point. Its smoothness nu is defined by its spectrum: the variance c_k of a coefficient
of degree k falls as k^(-2 nu - (d - 1)). All fields are even, since odd degrees beyond the first are out of reach of
networks without bias.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.interpolate import CubicSpline
from scipy.special import gammaln

from afp_utils.core.refuse import checked, finite
from afp_utils.sphere.harmonics import multiplicity, power_law_spectrum, zonal_sum

STRIPE = (-0.3, 1.18549)
"""Edges of the stripe, between which a standard normal falls with probability one half."""


@checked
@dataclass(frozen=True)
class RidgeTeacher:
    """f(x) = sum_h weights_h |directions_h . x|^power."""

    directions: Float[Array, "h d"]
    weights: Float[Array, " h"]
    power: float

    @checked
    def __call__(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        return np.abs(x @ self.directions.T) ** self.power @ self.weights


@checked
def ridge_teacher(dimension: int, smoothness: float, *, rng: np.random.Generator, size: int = 3000) -> RidgeTeacher:
    """A random field of power-law spectrum as a sum of many random ridges |theta . x|^a, a = smoothness - 1/2.

    f(x) = sum_h g_h |theta_h . x|^a / sqrt(size E|t|^(2a)), with standard normal g_h and uniform theta_h; Gaussian in the
    limit of many ridges. A kink of order a at the equator gives c_k ~ k^(-2 (a + 1/2) - (d-1)). Unit variance at a point.

    Raises `ValueError` for a smoothness of at most 1/2, for one of 1/2 plus an even integer (the field would be a
    polynomial, smooth to all orders), or for a size below 1.
    """
    power = smoothness - 0.5
    if not (power > 0 and math.isfinite(power)):
        raise ValueError(f"smoothness must be finite and above 1/2, got {smoothness}")
    if power % 2 == 0:
        raise ValueError(f"smoothness must not be 1/2 plus an even integer (a polynomial), got {smoothness}")
    if size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    directions = rng.normal(size=(size, dimension))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    moment = math.exp(
        gammaln(power + 0.5) + gammaln(dimension / 2) - gammaln(0.5) - gammaln(power + dimension / 2)
    )  # E|t|^(2 power)
    return RidgeTeacher(directions, rng.normal(size=size) / math.sqrt(size * moment), power)


@checked
@dataclass(frozen=True)
class FourierField:
    """f(x) = sum_k cosines_k cos(k phi) + sines_k sin(k phi), with phi the angle of x in the plane."""

    cosines: Float[Array, " degrees"]
    sines: Float[Array, " degrees"]

    @checked
    def __call__(self, x: Float[Array, "n 2"]) -> Float[Array, " n"]:
        phase = np.arctan2(x[:, 1], x[:, 0])[:, None] * np.arange(len(self.cosines))
        return np.cos(phase) @ self.cosines + np.sin(phase) @ self.sines


@checked
def fourier_field(smoothness: float, *, rng: np.random.Generator, degree: int = 400) -> FourierField:
    """An exactly Gaussian field on the circle with `harmonics.power_law_spectrum`.

    Raises `ValueError` for a smoothness that is not positive or a negative degree.
    """
    spectrum = power_law_spectrum(smoothness, 2, degree)
    size = np.sqrt(spectrum * [multiplicity(k, 2) for k in range(degree + 1)])
    return FourierField(size * rng.normal(size=degree + 1), size * rng.normal(size=degree + 1))


@checked
def gegenbauer_field(
    x: Float[Array, "n d"], smoothness: float, *, rng: np.random.Generator, degree: int = 100
) -> Float[Array, " n"]:
    """Values at unit points of an exactly Gaussian field with `harmonics.power_law_spectrum`, in any dimension.

    Drawn from its covariance C(x . y) = sum_k c_k N_k P_k(x . y) by Cholesky; 1e-10 on the diagonal keeps that positive
    and acts as label noise, which limits the use to smoothness up to 2 where errors are small.

    Raises `ValueError` for points off the sphere, a smoothness that is not positive or a negative degree.
    """
    finite(x=x)
    n, d = x.shape
    error = float(np.abs(np.linalg.norm(x, axis=1) - 1).max(initial=0))
    if error > 1e-8:
        raise ValueError(f"x must lie on the unit sphere, got a length that differs from 1 by {error:.3g}")
    angle = np.linspace(0, np.pi, 4000)
    covariance = CubicSpline(angle, zonal_sum(power_law_spectrum(smoothness, d, degree), d, np.cos(angle)))
    matrix = covariance(np.arccos(np.clip(x @ x.T, -1, 1))) + 1e-10 * np.eye(n)
    return np.linalg.cholesky(matrix) @ rng.normal(size=n)


@checked
def constant(x: Float[Array, "n d"]) -> Float[Array, " n"]:
    """One everywhere: infinitely smooth."""
    return np.ones(len(x))


@checked
def single_index(x: Float[Array, "n d"], direction: Float[Array, " d"]) -> Float[Array, " n"]:
    """|direction . x|: one atom of the sparse interpolant, and as rough as a field of smoothness 3/2 for a kernel."""
    return np.abs(x @ direction)


@checked
def stripe(x: Float[Array, "n d"]) -> Float[Array, " n"]:
    """Label of a standard normal point: -1 if its first coordinate lies in `STRIPE`, else +1; equally likely."""
    low, high = STRIPE
    return np.where((x[:, 0] > low) & (x[:, 0] < high), -1.0, 1.0)

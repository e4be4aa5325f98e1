"""Targets on the sphere: Gaussian random fields of given smoothness, and functions of few coordinates.

A field has variance one at each point. Its smoothness nu is defined by its spectrum: the variance c_k of a coefficient
of degree k falls as k^(-2 nu - (d - 1)). All fields are even, since odd degrees beyond the first are out of reach of
networks without bias.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from afp_utils.core.models import refuse_dimension
from afp_utils.core.refuse import Count, Rule, checked
from afp_utils.sphere.harmonics import Dimension, ridge_coefficients

STRIPE = (-0.3, 1.18549)
"""Edges of the stripe, between which a standard normal falls with probability one half."""

ROUGH = Rule("finite, above 1/2 and not 1/2 plus an even integer", lambda nu: (nu > 0.5) & ((nu - 0.5) % 2 > 0))
"""A ridge |t|^(nu - 1/2) of even power would be a polynomial, smooth to all orders."""


@checked
@dataclass(frozen=True)
class RidgeTeacher:
    """f(x) = sum_h weights_h |directions_h . x|^power."""

    directions: Float[Array, "h d"]
    weights: Float[Array, " h"]
    power: float

    @checked
    def __call__(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        refuse_dimension(x, self.directions.shape[1])
        return np.abs(x @ self.directions.T) ** self.power @ self.weights


@checked
def ridge_teacher(
    dimension: Dimension, smoothness: Annotated[float, ROUGH], *, rng: np.random.Generator, size: Count = 3000
) -> RidgeTeacher:
    """A random field of power-law spectrum as a sum of many random ridges |theta . x|^a, a = smoothness - 1/2.

    f(x) = sum_h g_h |theta_h . x|^a / sqrt(size E|t|^(2a)), with standard normal g_h and uniform theta_h; Gaussian in the
    limit of many ridges. A kink of order a at the equator gives c_k ~ k^(-2 (a + 1/2) - (d-1)). Unit variance at a point.

    >>> ridge_teacher(3, 1.5, rng=np.random.default_rng(0)).power
    1.0
    """
    power = smoothness - 0.5
    directions = rng.normal(size=(size, dimension))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    moment = ridge_coefficients(2 * power, dimension, 0)[0]  # E|t|^(2 power)
    return RidgeTeacher(directions, rng.normal(size=size) / math.sqrt(size * moment), power)


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

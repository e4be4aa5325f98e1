"""Lazy and sparse regression on the unit sphere: points, arc-cosine kernels, their interpolants.

The network is one hidden layer of ReLU neurons without bias. Trained lazily it is regression with one of two kernels,
here written out; with few active directions it is the interpolant of `sparse`.
"""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from scipy.special import exprel

from afp_utils.core.models import Trajectory, refuse_dimension
from afp_utils.core.refuse import FINITE, SOME, NonNegative, Times, checked
from afp_utils.sphere.harmonics import Dimension, Natural

Points = Annotated[Float[Array, "n d"], SOME, FINITE]
Values = Annotated[Float[Array, " n"], FINITE]


@checked
def uniform_points(n: Natural, dimension: Dimension, *, rng: np.random.Generator) -> Float[Array, "{n} {dimension}"]:
    """Independent uniform points on the unit sphere of R^d."""
    x = rng.normal(size=(n, dimension))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@checked
def random_feature_kernel(x: Float[Array, "n d"], z: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """|x| |z| kappa_1(phi), with kappa_1 = (sin phi + (pi - phi) cos phi) / pi and phi the angle between x and z.

    Twice the mean of relu(w . x) relu(w . z) over Gaussian neurons w (this book; the arc-cosine kernel of degree one):
    the kernel of a network of which only the readout is trained. One on the diagonal of the sphere.
    """
    scale, phi = _lengths_and_angles(x, z)
    return scale * (np.sin(phi) + (np.pi - phi) * np.cos(phi)) / np.pi


@checked
def tangent_kernel(x: Float[Array, "n d"], z: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """|x| |z| (kappa_1(phi) + cos phi kappa_0(phi)), with kappa_1 as in `random_feature_kernel`, kappa_0 = (pi - phi) / pi.

    Twice the mean, over independent standard Gaussian w and u, of the inner product of parameter gradients of
    u relu(w . x) (this book): the kernel of a wide network that is trained lazily. Two on the diagonal of the sphere.
    """
    scale, phi = _lengths_and_angles(x, z)
    return scale * (np.sin(phi) + 2 * (np.pi - phi) * np.cos(phi)) / np.pi


@checked
@dataclass(frozen=True)
class KernelMachine:
    """f(x) = sum_j coefficients_j K(x, points_j); its two kinds below give the kernel K and its gradient in x."""

    points: Float[Array, "n d"]
    coefficients: Float[Array, " n"]
    slopes: ClassVar["staticmethod[[Array], tuple[Array, Array]]"]
    """Parts of the gradient of K(x, z) in x, along z and along |z| x / |x|, at the angle phi between x and z."""

    @staticmethod
    def kernel(x: Array, z: Array) -> Array:
        raise TypeError(
            "kernel must be that of RandomFeatureMachine or TangentMachine, got none: KernelMachine has no own"
        )

    @classmethod
    @checked
    def interpolate(cls, x: Points, y: Values, ridge: NonNegative = 0.0) -> "KernelMachine":
        """The function of least kernel norm through the data: (K + ridge) coefficients = y, by Cholesky.

        Raises `ValueError` for a matrix that is singular to rounding, as it is for two points of the same direction.
        """
        matrix = cls.kernel(x, x) + ridge * np.eye(len(x))
        one, two, angle = _closest(x)
        try:
            factor = cho_factor(matrix, lower=True)
            # rounding may let a singular matrix pass: tiny pivots tell, and equal directions (in rad)
            singular = np.diag(factor[0]).min() ** 2 < 1e-15 or (ridge == 0 and angle < 1e-12)
        except LinAlgError:
            singular = True
        if singular:
            found = f"points {one} and {two} {angle:.3g} rad apart"
            raise ValueError(f"x must hold distinct directions and no zero for a regular kernel matrix, got {found}")
        return cls(x, cho_solve(factor, y))

    @classmethod
    @checked
    def flow(cls, x: Points, y: Values, times: Times) -> Trajectory:
        """Gradient flow of half the mean squared error: coefficients K^(-1) (1 - exp(-K t / n)) y; risk on the data."""
        levels, vectors = eigh(cls.kernel(x, x))
        projected = vectors.T @ y
        # (1 - exp(-level t / n)) / level, which is t / n where the level is zero to rounding
        rates = np.maximum(levels, 1e-300) * times[:, None] / len(x)
        gains = exprel(-rates) * times[:, None] / len(x)
        risk = np.mean((np.exp(-rates) * projected) ** 2, axis=1)
        return Trajectory(times, risk, tuple(cls(x, vectors @ (gain * projected)) for gain in gains))

    @checked
    def predict(self, x: Float[Array, "p d"]) -> Float[Array, " p"]:
        refuse_dimension(x, self.points.shape[1])
        return self.kernel(x, self.points) @ self.coefficients

    @checked
    def gradient(self, x: Float[Array, "p d"]) -> Float[Array, "p d"]:
        along, radial = self.slopes(_lengths_and_angles(x, self.points)[1])
        weights = np.linalg.norm(self.points, axis=1) * self.coefficients
        return (along * self.coefficients) @ self.points + (radial @ weights)[:, None] * _unit(x)

    @checked
    def gram(self, x: Float[Array, "p d"]) -> Float[Array, "p p"]:
        """The readout sees random neurons, whichever layers are trained."""
        return random_feature_kernel(x, x)

    @checked
    def tangent(self, x: Float[Array, "p d"]) -> Float[Array, "p p"]:
        return self.kernel(x, x)


class RandomFeatureMachine(KernelMachine):
    """Only the readout of a wide network is trained.

    >>> fit = RandomFeatureMachine.interpolate([[1, 0], [0, 1], [-1, 0]], [2, -1, 1])
    >>> fit.predict([[1, 0], [0, 3]]).round(3)  # homogeneous: three times the value at (0, 1)
    array([ 2., -3.])
    """

    kernel = staticmethod(random_feature_kernel)

    @staticmethod
    def slopes(phi: Array) -> tuple[Array, Array]:
        return (np.pi - phi) / np.pi, np.sin(phi) / np.pi


class TangentMachine(KernelMachine):
    """All weights of a wide network are trained, lazily.

    >>> TangentMachine.flow([[1, 0], [0, 1]], [1, 1], times=[0, 1, 10]).risk.round(3)
    array([1.   , 0.098, 0.   ])
    """

    kernel = staticmethod(tangent_kernel)

    @staticmethod
    def slopes(phi: Array) -> tuple[Array, Array]:
        """The gradient jumps where x is parallel to z; there the mean of both sides is given."""
        sine, cosine = np.sin(phi), np.cos(phi)
        cosecant = np.divide(1.0, sine, out=np.zeros_like(sine), where=sine > 1e-12)
        return (2 * (np.pi - phi) + cosine * cosecant) / np.pi, (sine - cosine**2 * cosecant) / np.pi


def _lengths_and_angles(x: Array, z: Array) -> tuple[Array, Array]:
    """|x| |z| and the angle between x and z, exact to rounding also where they are nearly parallel (arccos is not)."""
    scale = np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(z, axis=1))
    x, z = _unit(x), _unit(z)
    half = cdist(x, z)
    np.arctan2(half, cdist(x, -z), out=half)  # in place: large matrices are made of many arrays of their size
    return scale, 2 * half


def _unit(x: Array) -> Array:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, length, out=np.zeros_like(x), where=length > 0)


def _closest(x: Array) -> tuple[int, int, float]:
    """The two points with the smallest angle between them, and that angle."""
    distance, neighbour = KDTree(_unit(x)).query(_unit(x), k=2)
    one = int(np.argmin(distance[:, 1]))
    two = int(neighbour[one, 1] if neighbour[one, 1] != one else neighbour[one, 0])
    return one, two, 2 * math.asin(min(float(distance[one, 1]) / 2, 1.0))

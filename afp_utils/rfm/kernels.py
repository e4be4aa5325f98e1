"""Kernels of the distance alone, k(x, z) = phi(|x - z|), each an object that reads as its formula.

A kernel sees squared distances and answers with phi, or with h = -phi'(r) / r, the weight of x - z in its gradient.
Distances are made block by block, so that no more than one block of rows need exist at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from afp_utils.core.refuse import FINITE, SOME, Positive, Rule, checked

ROWS = 256
"""Rows of a block: with some thousand columns it stays in the cache of one core."""
ROUNDING = 8
"""Squared distances up to this many units of rounding, relative to the larger squared norm of the pair, are rounding."""

Points = Annotated[Float[Array, "n d"], FINITE]
SomePoints = Annotated[Points, SOME]
Centres = Annotated[Float[Array, "m d"], FINITE, SOME]
Values = Annotated[Float[Array, "n *output"], FINITE]
"""One column for each output; with a single output there may be one axis."""


@runtime_checkable
class Kernel(Protocol):
    """A kernel of the distance alone, one at distance zero."""

    @property
    def single_is_safe(self) -> bool:
        """Whether single precision will usually do: the spectrum of the kernel matrix falls slowly."""

    def value(self, square: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """phi(r) at squared distances r^2."""

    def slope(self, square: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """h(r) = -phi'(r) / r at squared distances r^2 > 0."""


@checked
@dataclass(frozen=True)
class GeneralisedLaplace:
    """phi(r) = exp(-(r / L)^g), with h(r) = phi(r) / (s r^(2 - g)) and s = L^g / g.

    The bandwidth L is a length in the metric. A kernel for exponents g in (0, 2] only (Schoenberg); below g = 1 its slope
    has no bound at r = 0.

    >>> GeneralisedLaplace(2.0, 0.5).value([0.0, 4.0]).round(3).tolist()
    [1.0, 0.368]
    """

    bandwidth: Positive
    exponent: Annotated[float, Rule("in (0, 2]", lambda g: (g > 0) & (g <= 2))]

    @property
    def scale(self) -> float:
        """s, so that phi(r) = exp(-r^g / (g s))."""
        return self.bandwidth**self.exponent / self.exponent

    @property
    def single_is_safe(self) -> bool:
        return self.exponent <= 1

    @checked
    def value(self, square: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return self._of_power(self._power(square))

    @checked
    def slope(self, square: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        power = self._power(square)
        slope = self._of_power(power)
        # r^(2 - g), for which the usual kernels need no second power: 1 for the Gaussian, r for Laplace
        slope /= self.scale * (1.0 if self.exponent == 2 else power if self.exponent == 1 else square / power)
        return slope

    def _power(self, square: Array) -> Array:
        """r^g. NumPy takes the power 1/2 for a root, so that Laplace pays for no logarithm."""
        return square if self.exponent == 2 else square ** (self.exponent / 2)

    def _of_power(self, power: Array) -> Array:
        """phi, in place after the first product: half the time goes where a new block must be found in memory."""
        scaled = power * (-1 / (self.exponent * self.scale))
        return np.exp(scaled, out=scaled)


@checked
@dataclass(frozen=True)
class Laplace(GeneralisedLaplace):
    """phi(r) = exp(-r / L), with h(r) = phi(r) / (L r). It has a kink at r = 0.

    >>> Laplace(2.0).value([0.0, 4.0, 9.0]).round(3).tolist()  # at distances 0, 2 and 3
    [1.0, 0.368, 0.223]
    """

    exponent: float = field(default=1.0, init=False, repr=False)


@checked
@dataclass(frozen=True)
class Gaussian(GeneralisedLaplace):
    """phi(r) = exp(-r^2 / (2 L^2)), with h(r) = phi(r) / L^2. Its matrices need double precision.

    >>> Gaussian(2.0).value([0.0, 4.0]).round(3).tolist()
    [1.0, 0.607]
    """

    exponent: float = field(default=2.0, init=False, repr=False)

    @property
    def scale(self) -> float:
        return self.bandwidth**2


@dataclass(frozen=True)
class Distances:
    """Squared distances |z_j - c_i|^2 of points (rows) and centres (columns), by one matrix product for each block.

    |z|^2 + |c|^2 - 2 z . c cancels, so both should lie around the origin. What is rounding to that cancellation is
    zero in a value, and at least that in a slope: there the kink of the kernel is rounded off over a distance that
    the arithmetic cannot see, and points that coincide give no infinity. How much is rounding is a matter of each
    pair, the larger of its two `floors`: one distant point blurs its own distances and no others.
    """

    left: Array
    right: Array
    floors: tuple[Array, Array]

    @classmethod
    def between(cls, points: Array, centres: Array) -> "Distances":
        norms = [np.sum(z * z, axis=1, keepdims=True) for z in (points, centres)]
        left = np.hstack([-2 * points, norms[0], np.ones_like(norms[0])])
        right = np.hstack([centres, np.ones_like(norms[1]), norms[1]])
        unit = np.finfo(left.dtype)
        # the smallest normal number only serves points that lie at the origin
        rows, columns = (np.maximum(ROUNDING * unit.eps * norm, unit.tiny) for norm in norms)
        return cls(left, right, (rows, columns.T))

    def blocks(self) -> Iterator[slice]:
        """Consecutive rows, some at a time."""
        for start in range(0, len(self.left), ROWS):
            yield slice(start, min(start + ROWS, len(self.left)))

    def values(self, kernel: Kernel, rows: slice, columns: int | None = None) -> Array:
        """The kernel at a block of rows and the first columns."""
        square = self.left[rows] @ self.right[:columns].T
        square *= square > self._floor(rows, columns)
        return kernel.value(square)

    def slopes(self, kernel: Kernel, rows: slice) -> Array:
        """h at a block of rows and all columns."""
        square = self.left[rows] @ self.right.T
        return kernel.slope(np.maximum(square, self._floor(rows), out=square))

    def _floor(self, rows: slice, columns: int | None = None) -> Array:
        """What is rounding in the squared distance of each pair."""
        return np.maximum(self.floors[0][rows], self.floors[1][:, :columns])


@checked
def kernel_matrix(kernel: Kernel, x: Points, z: Annotated[Float[Array, "m d"], FINITE]) -> Float[Array, "n m"]:
    """K_ij = phi(|x_i - z_j|).

    >>> kernel_matrix(Laplace(2.0), [[0.0], [2.0]], [[0.0]]).round(3).tolist()
    [[1.0], [0.368]]
    """
    origin = z.mean(axis=0) if len(z) else np.zeros(z.shape[1])
    distances = Distances.between(x - origin, z - origin)
    matrix = np.empty((len(x), len(z)), distances.left.dtype)
    for rows in distances.blocks():
        matrix[rows] = distances.values(kernel, rows)
    return matrix

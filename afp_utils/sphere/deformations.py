"""Smooth random deformations of images, and how much a predictor changes under them, beside noise of the same size.

A deformation moves the value at (u, v) from (u - tau_x, v - tau_y), in units of the side. Each component is a sum of
sine modes that vanish on the border, with the random amplitudes of largest entropy at given temperature and cutoff:

    tau(u, v) = sum C_ij sin(i pi u) sin(j pi v),   C_ij ~ N(0, T / (i^2 + j^2)),   sqrt(i^2 + j^2) < c + 1/2.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.ndimage import map_coordinates

from afp_utils.core.refuse import FINITE, Count, Positive, at_least, checked, require

Cutoff = Annotated[int, at_least(2)]  # highest frequency in half waves per side
Points = Annotated[Float[Array, "n d"], FINITE]
Squares = Annotated[Float[Array, "n side side"], FINITE]
Shifts = Annotated[Float[Array, "n 2 side side"], FINITE]


@checked
def temperature(pixels: Positive, side: Count, cutoff: Cutoff) -> float:
    """T at which the typical displacement is `pixels`: 4 pixels^2 / (pi side^2 ln c).

    >>> round(temperature(0.5, 8, 3), 6)
    0.004527
    """
    return 4 * pixels**2 / (math.pi * side**2 * math.log(cutoff))


@checked
def temperature_window(side: Count, cutoff: Cutoff) -> tuple[float, float]:
    """Temperatures from which half a pixel is moved, 1 / (pi side^2 ln c), to where images fold, 4 / (pi^3 c^2 ln c)."""
    return temperature(0.5, side, cutoff), 4 / (math.pi**3 * cutoff**2 * math.log(cutoff))


@checked
def displacements(n: Count, side: Count, temperature: Positive, cutoff: Cutoff, *, rng: np.random.Generator) -> Shifts:
    """Random displacements tau, in pixels: first along rows, then along columns of the image."""
    modes = np.arange(1, cutoff + 1)
    square = modes[:, None] ** 2 + modes**2
    spread = np.where(square < (cutoff + 0.5) ** 2, np.sqrt(temperature / square), 0.0)
    # pixels run from 0 to 1 with both ends, so that those on the border stay where they are
    sines = np.sin(np.pi * np.outer(modes, np.linspace(0, 1, side)))
    amplitudes = spread * rng.normal(size=(n, 2, len(modes), len(modes)))
    return side * np.einsum("ncij,iu,jv->ncuv", amplitudes, sines, sines, optimize=True)


@checked
def deform(images: Squares, displacements: Shifts) -> Squares:
    """Each image sampled at its displaced coordinates, bilinear; outside the border it goes on as at the border."""
    grid = np.indices(images.shape[1:], dtype=float)
    moved = [map_coordinates(image, grid - tau, order=1, mode="nearest") for image, tau in zip(images, displacements)]
    return np.stack(moved)


@checked
@dataclass(frozen=True)
class Stability:
    """Mean square change of a predictor, relative to that between two images: under deformation (D) and noise (G)."""

    deformation: float
    noise: float

    @property
    def relative(self) -> float:
        """R = D / G: below one if deformations matter less than noise of the same size."""
        return self.deformation / self.noise


@checked
def stability(predict: Callable[[Array], Array], x: Points, deformed: Points, *, rng: np.random.Generator) -> Stability:
    """D = E|f(tau x) - f(x)|^2 / V and G = E|f(x + eta) - f(x)|^2 / V, V = E|f(x) - f(z)|^2 over other images z.

    The noise eta is isotropic, of the length |tau x - x| of each image. V is exact over all pairs: twice the variance.

    Raises `ValueError` for fewer than two images or a predictor that is constant on them.
    """
    require(at_least(2), **{"number of images in x": len(x)})
    noise = rng.normal(size=x.shape)
    noise *= (np.linalg.norm(deformed - x, axis=1) / np.linalg.norm(noise, axis=1))[:, None]
    value = predict(x)
    between = 2 * np.var(value, ddof=1)
    if between <= 0:
        raise ValueError("predict must differ between the images, got a constant")
    change = [float(np.mean((predict(other) - value) ** 2) / between) for other in (deformed, x + noise)]
    return Stability(*change)

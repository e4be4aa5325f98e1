"""Small image sets with two labels that need no download, and an optional loader for larger public ones."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from sklearn.datasets import fetch_openml, load_digits, load_sample_images

from afp_utils.core.refuse import FINITE, POSITIVE, checked, inside, require


@checked
@dataclass(frozen=True)
class Images:
    """Square images as rows of length one around a mean image of zero, with labels -1 and 1."""

    x: Float[Array, "n pixels"]
    labels: Float[Array, " n"]

    @property
    def side(self) -> int:
        return round(self.x.shape[1] ** 0.5)

    @property
    def squares(self) -> Float[Array, "n side side"]:
        return self.x.reshape(-1, self.side, self.side)


@checked
def digits() -> Images:
    """1,797 handwritten digits of 8 x 8 pixels, bundled with scikit-learn: even (1) against odd (-1).

    >>> digits().squares.shape
    (1797, 8, 8)
    """
    rows, numbers = load_digits(return_X_y=True)
    return Images(standardised(rows), _parity(numbers))


@checked
def photo_patches(side: int = 16) -> Images:
    """Non-overlapping grey patches of the two photographs bundled with scikit-learn; the label says which photograph.

    Each patch is centred and scaled by itself before the set is, so that brightness and contrast say nothing. Patches of
    one photograph resemble their neighbours: an error on some of them says nothing about other photographs.

    Raises `ValueError` for a side below 2 or larger than the photographs.
    """
    photos = [photo.mean(axis=2) for photo in load_sample_images().images]
    require(inside(2, min(min(photo.shape) for photo in photos)), side=side)
    patches = [_patches(photo, side) for photo in photos]
    labels = np.repeat([-1.0, 1.0], [len(cut) for cut in patches])
    rows = np.concatenate(patches)
    varied = np.linalg.norm(rows, axis=1) > 1e-6  # a flat patch has no direction
    rows = rows[varied] / np.linalg.norm(rows[varied], axis=1, keepdims=True)
    return Images(standardised(rows), labels[varied])


@checked
def openml_images(name: str, n: int, *, rng: np.random.Generator, fetch: Callable[..., Any] = fetch_openml) -> Images:
    """n random images of a public set on openml.org, such as "mnist_784" or "Fashion-MNIST": even classes against odd.

    Downloads on first use (`fetch` is scikit-learn's `fetch_openml`); never called when the book is built.

    Raises `ValueError` if the set has fewer than n images, a value is not finite or the rows are not square images.
    """
    found = fetch(name, version=1, as_frame=False)
    rows, classes = np.asarray(found.data, dtype=float), np.asarray(found.target).astype(int)
    require(FINITE, data=rows)
    require(inside(1, len(rows)), n=n)
    if round(rows.shape[1] ** 0.5) ** 2 != rows.shape[1]:
        raise ValueError(f"name must be a set of square grey images, got rows of {rows.shape[1]} values in {name}")
    chosen = rng.choice(len(rows), n, replace=False)
    return Images(standardised(rows[chosen]), _parity(classes[chosen]))


@checked
def standardised(rows: Annotated[Float[Array, "n pixels"], FINITE]) -> Float[Array, "n pixels"]:
    """The rows with the mean row subtracted, scaled to length one. Raises `ValueError` for a row that equals the mean."""
    centred = rows - rows.mean(axis=0)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    require(POSITIVE, **{"distance of rows from their mean": length[:, 0]})
    return centred / length


def _patches(photo: Array, side: int) -> Array:
    """Centred square blocks in the order of reading, as rows; what is left over at the lower and right edge is dropped."""
    down, across = (length // side for length in photo.shape)
    cut = photo[: down * side, : across * side].reshape(down, side, across, side).swapaxes(1, 2)
    rows = cut.reshape(down * across, side**2)
    return rows - rows.mean(axis=1, keepdims=True)


def _parity(classes: Array) -> Array:
    return np.where(classes % 2 == 0, 1.0, -1.0)

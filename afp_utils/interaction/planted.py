"""Data whose features are known, because they were planted: the truth for the interaction tensor and for real networks.

Features are the standard directions of the input (or random orthonormal ones of a hidden layer); a point is the sum of
the directions of the features that it carries, and a little noise.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from afp_utils.core.refuse import checked, nonnegative, positive


@checked
def planted_owners(
    models: int, dominant: int, rare: int, each: int, rng: np.random.Generator
) -> Bool[Array, "model t"]:
    """Which model has which feature: all have the `dominant` first ones, and each a random `each` of the `rare` others.

    Raises `ValueError` for an impossible count.
    """
    if min(models, dominant + rare) < 1 or dominant < 0 or not 0 <= each <= rare:
        raise ValueError(f"each must be from 0 to rare ({rare}) and models positive, got {each} and {models}")
    owners = np.zeros((models, dominant + rare), dtype=bool)
    owners[:, :dominant] = True
    for own in owners:
        own[dominant + rng.choice(rare, each, replace=False)] = True
    return owners


@checked
def planted_activations(
    owners: Bool[Array, "model t"],
    carried: Bool[Array, "n t"],
    width: int,
    rng: np.random.Generator,
    *,
    ratio: float,
    noise: float,
) -> Float[Array, "model n width"]:
    """Hidden layers in which each model shows its own features, in random orthonormal directions of its own.

    The k-th feature of a model has the variance ratio^(-k) over the points. The planted tensor is
    `owners[:, None] & carried`.

    Raises `ValueError` for a width below a model's number of features, a feature that all points or none carry, a ratio
    that is not positive or a negative noise.
    """
    positive(ratio=ratio)
    nonnegative(noise=noise)
    if width < owners.sum(axis=1).max():
        raise ValueError(f"width must be at least the features of a model ({owners.sum(axis=1).max()}), got {width}")
    spread = carried.std(axis=0)
    if not spread.all():
        raise ValueError(f"carried must vary in each feature, got a constant feature {int(np.argmin(spread))}")
    shown = []
    for own in owners:
        features = carried[:, own] / spread[own] * ratio ** (-np.arange(own.sum()) / 2)
        directions = np.linalg.qr(rng.normal(size=(width, width)))[0][: own.sum()]
        shown.append(features @ directions + noise * rng.normal(size=(len(carried), width)))
    return np.stack(shown)


@checked
@dataclass(frozen=True)
class PlantedClasses:
    """A law of points with a class: a feature belongs to one of two classes, and a point carries features of its own.

    A point is dominant with probability `dominant_share`, else rare; it has a class with equal odds, and
    `per_dominant` (`per_rare`) of the dominant (rare) features of its class. Even features are of class 0, odd ones of
    class 1; the first `dominant` features are the dominant ones.

    Raises `ValueError` for a share outside [0, 1], odd numbers of features or points with more features than there are.
    """

    dominant_share: float
    dominant: int
    rare: int
    per_dominant: int
    per_rare: int
    noise: float

    def __post_init__(self) -> None:
        nonnegative(noise=self.noise)
        if not 0 <= self.dominant_share <= 1:
            raise ValueError(f"dominant_share must be in [0, 1], got {self.dominant_share}")
        for name, pool, each in (("dominant", self.dominant, self.per_dominant), ("rare", self.rare, self.per_rare)):
            if pool % 2 or not 1 <= each <= pool // 2:
                raise ValueError(f"{name} must be even and hold {each} features per class, got {pool}")

    def draw(
        self, n: int, rng: np.random.Generator
    ) -> tuple[Float[Array, "n t"], Int[Array, " n"], Bool[Array, "n t"]]:
        """Points, their classes, and which features each carries. Raises `ValueError` for fewer than one point."""
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        return self.points(rng.integers(2, size=n), rng)

    def points(
        self, y: Int[Array, " n"], rng: np.random.Generator
    ) -> tuple[Float[Array, "n t"], Int[Array, " n"], Bool[Array, "n t"]]:
        """The same for given classes, 0 or 1, to balance them for example."""
        carried = np.zeros((len(y), self.dominant + self.rare), dtype=bool)
        for row, label, easy in zip(carried, y, rng.random(len(y)) < self.dominant_share):
            first, pool, each = (
                (0, self.dominant, self.per_dominant) if easy else (self.dominant, self.rare, self.per_rare)
            )
            row[first + 2 * rng.choice(pool // 2, each, replace=False) + label] = True
        return carried + self.noise * rng.normal(size=carried.shape), y, carried

    def hit_rates(self, n: int) -> tuple[float, float]:
        """Chance that a dominant (rare) point shares a feature with a training set of n points, in mean field.

        u = 1 - q^k, q = (1 - (p/2) k / (t/2))^n the chance that a feature is absent from the set: the features of a
        point are taken as independent.
        """
        share = (self.dominant_share, 1 - self.dominant_share)
        pools, each = (self.dominant, self.rare), (self.per_dominant, self.per_rare)
        absent = [(1 - p / 2 * k / (t / 2)) ** n for p, k, t in zip(share, each, pools)]
        easy, hard = (1 - q**k for q, k in zip(absent, each))
        return easy, hard

"""Data whose features are known, because they were planted: the truth for the interaction tensor and for real networks.

Features are the standard directions of the input (or random orthonormal ones of a hidden layer); a point is the sum of
the directions of the features that it carries, and a little noise.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from afp_utils.core.refuse import Count, NonNegative, Positive, Rule, Share, at_least, checked, inside, require

Even = Annotated[int, at_least(0), Rule("even", lambda number: number % 2 == 0)]

Points = tuple[Float[Array, "n t"], Int[Array, " n"], Bool[Array, "n t"]]


@checked
def planted_owners(
    models: Count, dominant: Annotated[int, at_least(0)], rare: int, each: int, rng: np.random.Generator
) -> Bool[Array, "model t"]:
    """Which model has which feature: all have the `dominant` first ones, and each a random `each` of the `rare` others.

    Raises `ValueError` for no feature at all, or `each` outside 0 to `rare`.

    >>> planted_owners(models=3, dominant=1, rare=9, each=2, rng=np.random.default_rng(0)).sum(axis=1).tolist()
    [3, 3, 3]
    """
    require(inside(0, rare), each=each)
    if dominant + rare < 1:
        raise ValueError(f"dominant + rare must be at least 1, got {dominant + rare}")
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
    ratio: Positive,
    noise: NonNegative,
) -> Float[Array, "model n width"]:
    """Hidden layers in which each model shows its own features, in random orthonormal directions of its own.

    The k-th feature of a model has the variance ratio^(-k) over the points. The planted tensor is
    `owners[:, None] & carried`.

    Raises `ValueError` for a width below a model's number of features, or a feature that all points or none carry.
    """
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

    Raises `ValueError` for points with more features than there are.

    >>> law = PlantedClasses(dominant_share=0.5, dominant=8, rare=100, per_dominant=2, per_rare=1, noise=0)
    >>> [round(rate, 3) for rate in law.hit_rates(20)]  # of dominant and rare points
    [0.995, 0.095]
    """

    dominant_share: Share
    dominant: Even
    rare: Even
    per_dominant: int
    per_rare: int
    noise: NonNegative

    def __post_init__(self) -> None:
        require(inside(1, self.dominant // 2), per_dominant=self.per_dominant)
        require(inside(1, self.rare // 2), per_rare=self.per_rare)

    @checked
    def draw(self, n: Count, rng: np.random.Generator) -> Points:
        """Points, their classes, and which features each carries."""
        return self.points(rng.integers(2, size=n), rng)

    @checked
    def points(self, y: Annotated[Int[Array, " n"], inside(0, 1)], rng: np.random.Generator) -> Points:
        """The same for given classes, 0 or 1, to balance them for example."""
        carried = np.zeros((len(y), self.dominant + self.rare), dtype=bool)
        kinds = (self.dominant, self.rare, self.per_rare), (0, self.dominant, self.per_dominant)
        for row, label, easy in zip(carried, y, rng.random(len(y)) < self.dominant_share):
            first, pool, each = kinds[int(easy)]
            row[first + 2 * rng.choice(pool // 2, each, replace=False) + label] = True
        return carried + self.noise * rng.normal(size=carried.shape), y, carried

    @checked
    def hit_rates(self, n: Annotated[int, at_least(0)]) -> tuple[float, float]:
        """Chance that a dominant (rare) point shares a feature with a training set of n points, in mean field.

        u = 1 - q^k, q = (1 - (p/2) k / (t/2))^n the chance that a feature is absent from the set: the features of a
        point are taken as independent.
        """
        share = (self.dominant_share, 1 - self.dominant_share)
        pools, each = (self.dominant, self.rare), (self.per_dominant, self.per_rare)
        easy, hard = (1 - ((1 - p / 2 * k / (t / 2)) ** n) ** k for p, k, t in zip(share, each, pools))
        return easy, hard

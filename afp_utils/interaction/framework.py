"""A world of dominant and rare features in which accuracy and agreement of two models have closed forms.

A point is of one of several types. Each type has a pool of features; a point of the type carries `per_point` of them, a
model has learned `learned` of them, both drawn uniformly and independently. If the two sets meet (a hit) the model
answers what the features indicate; if they do not, it guesses one of the classes uniformly. The rule is this book's
reading of Jiang et al. (2024), whose abstract announces closed forms too; the formulas here are derived independently.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb, exp, floor

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from afp_utils.core.refuse import checked, finite, nonnegative

CHUNK = 4_000_000
"""Entries of the largest array that `sample` makes at once."""


@checked
@dataclass(frozen=True)
class FeatureType:
    """One type of points: how likely it is, and the sizes of its pool, of a point's features and of a model's features.

    With probability `misleading` the features indicate a wrong class, the same one to every model (or the label is
    wrong, which is the same).

    Raises `ValueError` for a probability outside [0, 1] or counts that no set can have.
    """

    probability: float
    pool: int
    per_point: int
    learned: int
    misleading: float = 0.0

    def __post_init__(self) -> None:
        for name in ("probability", "misleading"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if self.pool < 1:
            raise ValueError(f"pool must be at least 1, got {self.pool}")
        if not 1 <= self.per_point <= self.pool:
            raise ValueError(f"per_point must be from 1 to the pool ({self.pool}), got {self.per_point}")
        if not 0 <= self.learned <= self.pool:
            raise ValueError(f"learned must be from 0 to the pool ({self.pool}), got {self.learned}")

    @property
    def hit(self) -> Fraction:
        """Probability that a point and a model share a feature, exactly."""
        return 1 - miss_probability(self.pool, self.learned, self.per_point)


@checked
def miss_probability(pool: int, learned: int, per_point: int) -> Fraction:
    """Probability that a set of `learned` features misses all of the `per_point` features of a point.

    q = C(t - n, c) / C(t, c) for a pool of t, n per point, c learned; 0 if c + n > t.

    Raises `ValueError` for a count below 0 or above the pool.
    """
    for name, count in (("learned", learned), ("per_point", per_point)):
        if not 0 <= count <= pool:
            raise ValueError(f"{name} must be from 0 to the pool ({pool}), got {count}")
    return Fraction(comb(pool - per_point, learned), comb(pool, learned))


@checked
def split_capacity(capacity: int, probabilities: Sequence[float], pools: Sequence[int]) -> tuple[int, ...]:
    """How many features of each type a model of given capacity learns: shares by probability, rounded, cut at the pools.

    All shares but the last are rounded half up, the last type gets the rest; what a pool cannot hold is lost.

    Raises `ValueError` for probabilities that are no distribution, one per pool, or a capacity below 0.
    """
    _distribution(probabilities)
    if len(pools) != len(probabilities):
        raise ValueError(f"pools must be one per probability ({len(probabilities)}), got {len(pools)}")
    nonnegative(capacity=capacity)
    # 0.7 * 45 is a little less than 31.5 in floating point
    shares = [floor(share * capacity + 0.5 + 1e-9) for share in probabilities[:-1]]
    return tuple(min(share, pool) for share, pool in zip([*shares, max(capacity - sum(shares), 0)], pools))


@checked
def accuracy(types: Sequence[FeatureType], classes: int) -> float:
    """Probability that a model is right on a new point: sum of p (1/C + u (1 - eps - 1/C)), u the chance of a hit.

    Raises `ValueError` if the probabilities of the types do not sum to 1 or there are fewer than two classes.
    """
    _world(types, classes)
    return float(sum(k.probability * (1 / classes + float(k.hit) * (1 - k.misleading - 1 / classes)) for k in types))


@checked
def agreement(types: Sequence[FeatureType], classes: int) -> float:
    """Probability that two independent models answer alike on a new point: sum of p (1/C + (1 - 1/C) u^2).

    Two hits agree for sure; with one miss or two the answers agree by chance. Raises as `accuracy`.
    """
    _world(types, classes)
    return float(sum(k.probability * (1 / classes + (1 - 1 / classes) * float(k.hit**2)) for k in types))


@checked
def shared_probability(kind: FeatureType) -> Float[Array, " shared"]:
    """Distribution of the number k of features that two models share: C(c, k) C(t - c, c - k) / C(t, c), k = 0 to c."""
    t, c = kind.pool, kind.learned
    return np.array([float(Fraction(comb(c, k) * comb(t - c, c - k), comb(t, c))) for k in range(c + 1)])


@checked
def shared_agreement(kind: FeatureType, classes: int) -> Float[Array, " shared"]:
    """Agreement of two models on points of one type, given that they share k features, k = 0 to c.

    1/C + (1 - 1/C) (1 - 2 q(c) + q(2c - k)), by inclusion and exclusion; NaN for a k that no two sets can have (their
    union would exceed the pool).

    Raises `ValueError` for fewer than two classes.
    """
    _classes(classes)
    t, c, n = kind.pool, kind.learned, kind.per_point

    def both_hit(k: int) -> float:
        if 2 * c - k > t:
            return np.nan
        return float(1 - 2 * miss_probability(t, c, n) + miss_probability(t, 2 * c - k, n))

    return np.array([1 / classes + (1 - 1 / classes) * both_hit(k) for k in range(c + 1)])


@checked
def gap(types: Sequence[FeatureType], classes: int) -> float:
    """Disagreement minus error, which is accuracy minus agreement: zero if the GDE holds. Raises as `accuracy`.

    Without misleading features it is (1 - 1/C) sum of p u (1 - u), between 0 and (1 - 1/C)/4.
    """
    return accuracy(types, classes) - agreement(types, classes)


@checked
def gap_bound(types: Sequence[FeatureType], classes: int) -> float:
    """Upper bound of the gap without misleading features: (1 - 1/C) sum of p min(exp(-c n / t), c n / t).

    Small if every type is either saturated (c n >> t) or almost never hit (c n << t). Raises as `accuracy`, and
    `ValueError` for misleading features.
    """
    _world(types, classes)
    for kind in types:
        if kind.misleading:
            raise ValueError(f"types must have no misleading features for the bound, got {kind.misleading}")
    load = [kind.learned * kind.per_point / kind.pool for kind in types]
    return (1 - 1 / classes) * sum(kind.probability * min(exp(-x), x) for kind, x in zip(types, load))


@checked
def least_agreement(accuracy: Float[Array, " world"], classes: int) -> Float[Array, " world"]:
    """Least agreement at given accuracy, for any law of the features without misleading ones.

    1/C + (a - 1/C)^2 / (1 - 1/C) by Jensen: all points equally hard. The largest agreement is the accuracy itself.

    Raises `ValueError` for an accuracy outside [1/C, 1] or fewer than two classes.
    """
    _classes(classes)
    finite(accuracy=accuracy)
    if np.any((accuracy < 1 / classes - 1e-12) | (accuracy > 1 + 1e-12)):  # rounding may leave the ends
        raise ValueError(f"accuracy must be in [1/classes, 1], got {accuracy.min()} to {accuracy.max()}")
    return 1 / classes + (accuracy - 1 / classes) ** 2 / (1 - 1 / classes)


@checked
def union_law(one: float, other: float, union: float, coincidence: float = 0.0) -> float:
    """Disagreement of two models from their errors and that of a model that learned what either did.

    Dis = Err(S1) + Err(S2) - (1 + kappa) Err(S1 u S2), where two guesses at a point that both models miss coincide
    by more than chance with probability kappa (`coincidence`).

    Raises `ValueError` for an error or a coincidence outside [0, 1].
    """
    for name, value in (("one", one), ("other", other), ("union", union), ("coincidence", coincidence)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be in [0, 1], got {value}")
    return one + other - (1 + coincidence) * union


@checked
def plurality_accuracy(types: Sequence[FeatureType], classes: int) -> float:
    """Accuracy of the plurality vote of infinitely many models: 1 - eps wherever a hit is possible, else 1/C.

    The indicated class has the share u + (1 - u)/C of the votes, more than any other as soon as u > 0. Raises as
    `accuracy`.
    """
    _world(types, classes)
    return float(sum(k.probability * (1 - k.misleading if k.hit else 1 / classes) for k in types))


@checked
@dataclass(frozen=True)
class Sample:
    """Trials of the world: a new point and two new models each. Which were right, whether they agreed, what they share."""

    kind: Int[Array, " trial"]
    right: Bool[Array, "trial 2"]
    agree: Bool[Array, " trial"]
    shared: Int[Array, " trial"]


@checked
def sample(types: Sequence[FeatureType], classes: int, trials: int, rng: np.random.Generator) -> Sample:
    """Monte Carlo of the same world, with real sets: `trials` times a fresh point, two fresh models and their guesses.

    Raises as `accuracy`, and `ValueError` for fewer than one trial.
    """
    _world(types, classes)
    if trials < 1:
        raise ValueError(f"trials must be at least 1, got {trials}")
    counts = rng.multinomial(trials, [kind.probability for kind in types])
    parts = []
    for index, (kind, count) in enumerate(zip(types, counts)):
        step = max(1, CHUNK // kind.pool)
        for first in range(0, int(count), step):
            size = min(step, int(count) - first)
            parts.append((np.full(size, index), *_trials(kind, classes, size, rng)))
    which, right, agree, shared = (np.concatenate(columns) for columns in zip(*parts))
    return Sample(which, right, agree, shared)


def _trials(kind: FeatureType, classes: int, size: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    point = _subsets(kind.pool, kind.per_point, size, rng)
    models = [_subsets(kind.pool, kind.learned, size, rng) for _ in range(2)]
    hits = np.stack([(point & model).any(axis=1) for model in models], axis=1)
    # The true class is 0. Misleading features indicate one wrong class, the same to both models.
    wrong = rng.integers(1, classes, size)
    indicated = np.where(rng.random(size) < kind.misleading, wrong, 0)
    answers = np.where(hits, indicated[:, None], rng.integers(classes, size=(size, 2)))
    return answers == 0, answers[:, 0] == answers[:, 1], (models[0] & models[1]).sum(axis=1)


def _subsets(pool: int, count: int, size: int, rng: np.random.Generator) -> Array:
    """Uniform subsets as rows of a boolean array: the first `count` steps of a shuffle, in all rows at once."""
    items, rows = np.tile(np.arange(pool, dtype=np.int32), (size, 1)), np.arange(size)
    member = np.zeros((size, pool), dtype=bool)
    for i in range(count):
        other = rng.integers(i, pool, size)
        chosen = items[rows, other]
        items[rows, other] = items[:, i]
        member[rows, chosen] = True
    return member


def _world(types: Sequence[FeatureType], classes: int) -> None:
    _classes(classes)
    _distribution([kind.probability for kind in types])


def _classes(classes: int) -> None:
    if classes < 2:
        raise ValueError(f"classes must be at least 2, got {classes}")


def _distribution(probabilities: Sequence[float]) -> None:
    nonnegative(probabilities=np.array(probabilities, dtype=float))
    if abs(sum(probabilities) - 1) > 1e-9:
        raise ValueError(f"probabilities must sum to 1, got {sum(probabilities)}")

"""A world of dominant and rare features in which accuracy and agreement of two models have closed forms.

A point is of one of several types. Each type has a pool of features; a point of the type carries `per_point` of them, a
model has learned `learned` of them, both drawn uniformly and independently. If the two sets meet (a hit) the model
answers what the features indicate; if they do not, it guesses one of the classes uniformly. The rule is this book's
reading of Jiang et al. (2024), whose abstract announces closed forms too; the formulas here are derived independently.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from math import comb, exp, floor
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from afp_utils.core.refuse import NONNEGATIVE, Count, Rule, Share, at_least, checked, inside, require

CHUNK = 4_000_000
"""Entries of the largest array that `sample` makes at once."""

Classes = Annotated[int, at_least(2)]


@checked
@dataclass(frozen=True)
class FeatureType:
    """One type of points: how likely it is, and the sizes of its pool, of a point's features and of a model's features.

    With probability `misleading` the features indicate a wrong class, the same one to every model (or the label is
    wrong, which is the same).

    Raises `ValueError` unless 1 <= per_point <= pool and 0 <= learned <= pool.
    """

    probability: Share
    pool: Count
    per_point: int
    learned: int
    misleading: Share = 0.0

    def __post_init__(self) -> None:
        require(inside(1, self.pool), per_point=self.per_point)
        require(inside(0, self.pool), learned=self.learned)

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
    require(inside(0, pool), learned=learned, per_point=per_point)
    return Fraction(comb(pool - per_point, learned), comb(pool, learned))


@checked
def split_capacity(
    capacity: Annotated[int, at_least(0)], probabilities: Annotated[Sequence[float], NONNEGATIVE], pools: Sequence[int]
) -> tuple[int, ...]:
    """How many features of each type a model of given capacity learns: shares by probability, rounded, cut at the pools.

    The sums of the shares of the first types are rounded half up, so that all shares together are the capacity; what a
    pool cannot hold is lost.

    Raises `ValueError` unless the probabilities sum to 1 and there is one for each pool.
    """
    _whole(probabilities)
    if len(pools) != len(probabilities):
        raise ValueError(f"pools must be one per probability ({len(probabilities)}), got {len(pools)}")
    # 0.7 * 45 is a little less than 31.5 in floating point
    ends = [min(floor(share * capacity + 0.5 + 1e-9), capacity) for share in accumulate(probabilities[:-1])]
    return tuple(min(end - start, pool) for (start, end), pool in zip(pairwise([0, *ends, capacity]), pools))


@checked
def accuracy(types: Sequence[FeatureType], classes: Classes) -> float:
    """Probability that a model is right on a new point: sum of p (1/C + u (1 - eps - 1/C)), u the chance of a hit.

    Raises `ValueError` unless the probabilities of the types sum to 1, as all functions of types do.

    >>> types = [FeatureType(probability=0.7, pool=20, per_point=5, learned=20), FeatureType(0.3, 60, 3, 9)]
    >>> round(accuracy(types, classes=10), 5)
    0.83569
    """
    _whole([kind.probability for kind in types])
    return float(sum(k.probability * (1 / classes + float(k.hit) * (1 - k.misleading - 1 / classes)) for k in types))


@checked
def agreement(types: Sequence[FeatureType], classes: Classes) -> float:
    """Probability that two independent models answer alike on a new point: sum of p (1/C + (1 - 1/C) u^2).

    Two hits agree for sure; with one miss or two the answers agree by chance.

    >>> round(agreement([FeatureType(0.7, 20, 5, 20), FeatureType(0.3, 60, 3, 9)], classes=10), 5)
    0.77137
    """
    _whole([kind.probability for kind in types])
    return float(sum(k.probability * (1 / classes + (1 - 1 / classes) * float(k.hit**2)) for k in types))


@checked
def shared_agreement(kind: FeatureType, classes: Classes) -> Float[Array, " shared"]:
    """Agreement of two models on points of one type, given that they share k features, k = 0 to c.

    1/C + (1 - 1/C) (1 - 2 q(c) + q(2c - k)), by inclusion and exclusion; NaN for a k that no two sets can have (their
    union would exceed the pool).
    """
    t, c, n = kind.pool, kind.learned, kind.per_point
    miss = miss_probability(t, c, n)
    unions = range(2 * c, c - 1, -1)
    both = [float(1 - 2 * miss + miss_probability(t, size, n)) if size <= t else np.nan for size in unions]
    return np.array([1 / classes + (1 - 1 / classes) * hit for hit in both])


@checked
def gap(types: Sequence[FeatureType], classes: Classes) -> float:
    """Disagreement minus error, which is accuracy minus agreement: zero if the GDE holds.

    Without misleading features it is (1 - 1/C) sum of p u (1 - u), between 0 and (1 - 1/C)/4.
    """
    return accuracy(types, classes) - agreement(types, classes)


@checked
def gap_bound(types: Sequence[FeatureType], classes: Classes) -> float:
    """Upper bound of the gap without misleading features: (1 - 1/C) sum of p min(exp(-c n / t), c n / t).

    Small if every type is either saturated (c n >> t) or almost never hit (c n << t).

    Raises `ValueError` for misleading features.
    """
    _whole([kind.probability for kind in types])
    require(Rule("0 for the bound", lambda share: share == 0), misleading=[kind.misleading for kind in types])
    load = [kind.learned * kind.per_point / kind.pool for kind in types]
    return (1 - 1 / classes) * sum(kind.probability * min(exp(-x), x) for kind, x in zip(types, load))


@checked
def least_agreement(accuracy: Float[Array, " world"], classes: Classes) -> Float[Array, " world"]:
    """Least agreement at given accuracy, for any law of the features without misleading ones.

    1/C + (a - 1/C)^2 / (1 - 1/C) by Jensen: all points equally hard. The largest agreement is the accuracy itself.

    Raises `ValueError` for an accuracy outside [1/C, 1].
    """
    ends = inside(1 / classes - 1e-12, 1 + 1e-12)  # rounding may leave the ends
    require(Rule("in [1/classes, 1]", ends.fits), accuracy=accuracy)
    return 1 / classes + (accuracy - 1 / classes) ** 2 / (1 - 1 / classes)


@checked
def union_law(one: Share, other: Share, union: Share, coincidence: Share = 0.0) -> float:
    """Disagreement of two models from their errors and that of a model that learned what either did.

    Dis = Err(S1) + Err(S2) - (1 + kappa) Err(S1 u S2), where two guesses at a point that both models miss coincide
    by more than chance with probability kappa (`coincidence`).
    """
    return one + other - (1 + coincidence) * union


@checked
@dataclass(frozen=True)
class Sample:
    """Trials of the world: a new point and two new models each. Which were right, whether they agreed, what they share."""

    kind: Int[Array, " trial"]
    right: Bool[Array, "trial 2"]
    agree: Bool[Array, " trial"]
    shared: Int[Array, " trial"]


@checked
def sample(types: Sequence[FeatureType], classes: Classes, trials: Count, rng: np.random.Generator) -> Sample:
    """Monte Carlo of the same world, with real sets: `trials` times a fresh point, two fresh models and their guesses."""
    _whole([kind.probability for kind in types])
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


def _whole(probabilities: Sequence[float]) -> None:
    if not abs(sum(probabilities) - 1) <= 1e-9:
        raise ValueError(f"probabilities must sum to 1, got {sum(probabilities)}")

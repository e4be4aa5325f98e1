"""The world of dominant and rare features: closed forms against exact enumeration, rationals and Monte Carlo."""

from fractions import Fraction
from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afp_utils.interaction import framework as world
from afp_utils.interaction.framework import FeatureType

EASY = FeatureType(0.5, 10, 2, 8)
HARD = FeatureType(0.5, 60, 4, 8)


def enumerated(t, c, n):
    """Probability of a hit, of two, and of two given the number of shared features, by listing all sets."""
    point = set(range(n))
    hits = {model: bool(point & set(model)) for model in combinations(range(t), c)}
    both = Fraction(sum(hits[a] and hits[b] for a, b in product(hits, repeat=2)), len(hits) ** 2)
    by_shared: dict[int, list[bool]] = {}
    for (a, a_hits), (b, b_hits) in product(hits.items(), repeat=2):
        by_shared.setdefault(len(set(a) & set(b)), []).append(a_hits and b_hits)
    conditional = {k: Fraction(sum(found), len(found)) for k, found in by_shared.items()}
    shares = {k: Fraction(len(found), len(hits) ** 2) for k, found in by_shared.items()}
    return Fraction(sum(hits.values()), len(hits)), both, conditional, shares


def chance_of_shared(kind):
    """Distribution of the number of features that two models share."""
    t, c = kind.pool, kind.learned
    return np.array([float(Fraction(comb(c, k) * comb(t - c, c - k), comb(t, c))) for k in range(c + 1)])


@pytest.mark.parametrize(
    ("t", "c", "n", "hit", "both"),
    [
        (6, 2, 2, Fraction(3, 5), Fraction(9, 25)),
        (7, 3, 2, Fraction(5, 7), Fraction(25, 49)),
        (8, 2, 3, Fraction(9, 14), Fraction(81, 196)),
    ],
)
def test_closed_forms_equal_exact_enumeration(t, c, n, hit, both):
    listed_hit, listed_both, conditional, shares = enumerated(t, c, n)
    kind = FeatureType(1.0, t, n, c)
    assert kind.hit == listed_hit == hit
    assert listed_both == both == kind.hit**2
    assert world.accuracy([kind], 2) == pytest.approx(float(Fraction(1, 2) + hit / 2), abs=1e-15)
    assert world.agreement([kind], 3) == pytest.approx(float(Fraction(1, 3) + Fraction(2, 3) * both), abs=1e-15)
    given_shared = world.shared_agreement(kind, 2)
    for k in range(c + 1):
        assert chance_of_shared(kind)[k] == pytest.approx(float(shares.get(k, 0)), abs=1e-15)
        if k in conditional:
            assert given_shared[k] == pytest.approx(float(Fraction(1, 2) + conditional[k] / 2), abs=1e-15)


def test_numbers_of_the_specification():
    types = [EASY, HARD]
    assert float(EASY.hit) == pytest.approx(0.97778, abs=5e-6)
    assert float(HARD.hit) == pytest.approx(0.44482, abs=5e-6)
    assert world.accuracy(types, 2) == pytest.approx(0.85565, abs=5e-6)
    assert world.agreement(types, 2) == pytest.approx(0.78848, abs=5e-6)
    ten = [FeatureType(0.7, 20, 5, 20), FeatureType(0.3, 60, 3, 9)]
    assert world.accuracy(ten, 10) == pytest.approx(0.83569, abs=5e-6)
    assert world.agreement(ten, 10) == pytest.approx(0.77137, abs=5e-6)
    rare = FeatureType(1.0, 60, 4, 9)
    expected = [0.6023, 0.6141, 0.6267, 0.6403, 0.6548, 0.6704, 0.6870, 0.7048, 0.7237, 0.7438]
    np.testing.assert_allclose(world.shared_agreement(rare, 2), expected, atol=5e-5)


def test_capacity_is_split_by_probability_and_cut_at_the_pools():
    assert world.split_capacity(30, [0.7, 0.3], [20, 60]) == (20, 9)
    assert world.split_capacity(5, [0.5, 0.5], [20, 60]) == (3, 2)
    assert world.split_capacity(16, [0.5, 0.5], [10, 60]) == (8, 8)
    assert world.split_capacity(45, [0.7, 0.3], [50, 60]) == (32, 13)  # 31.5, which floating point puts below
    assert world.split_capacity(3, [0.5, 0.5, 0.0], [5, 5, 5]) == (2, 1, 0)
    assert world.split_capacity(1, [0.5, 0.25, 0.25], [5, 5, 5]) == (1, 0, 0)


@given(st.integers(0, 200), st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(any))
def test_a_capacity_is_split_without_loss_into_rounded_shares(capacity, weights):
    probabilities = np.array(weights) / sum(weights)
    split = world.split_capacity(capacity, probabilities, [capacity + 1] * len(weights))
    assert sum(split) == capacity
    assert np.abs(split - capacity * probabilities).max() <= 1 + 1e-6
    assert not any(np.array(split)[probabilities == 0])


COUNTS = st.integers(2, 40).flatmap(
    lambda t: st.tuples(st.just(t), st.integers(1, t), st.integers(0, t), st.floats(0.05, 0.95))
)


@settings(max_examples=150, deadline=None)
@given(COUNTS, COUNTS, st.integers(2, 12))
def test_laws_of_every_world(one, other, classes):
    types = [FeatureType(one[3], *one[:3]), FeatureType(1 - one[3], *other[:3])]
    right, alike, gap = world.accuracy(types, classes), world.agreement(types, classes), world.gap(types, classes)
    assert -1e-12 <= gap <= (1 - 1 / classes) / 4 + 1e-12
    assert gap <= world.gap_bound(types, classes) + 1e-12
    least = world.least_agreement(np.array([right]), classes)[0]
    assert least - 1e-12 <= alike <= right + 1e-12
    for kind in types:
        given_shared, probability = world.shared_agreement(kind, classes), chance_of_shared(kind)
        possible = ~np.isnan(given_shared)
        assert probability.sum() == pytest.approx(1, abs=1e-12)
        assert not probability[~possible].any()
        alone = FeatureType(1.0, kind.pool, kind.per_point, kind.learned)
        mean = probability[possible] @ given_shared[possible]
        assert mean == pytest.approx(world.agreement([alone], classes), abs=1e-12)
        assert given_shared[-1] == pytest.approx(world.accuracy([alone], classes), abs=1e-12)
        assert (np.diff(given_shared[possible]) >= -1e-12).all()


@settings(max_examples=60, deadline=None)
@given(COUNTS)
def test_hits_do_not_care_who_is_the_model_and_who_the_point(counts):
    t, n, c, _ = counts
    assert world.miss_probability(t, c, n) == world.miss_probability(t, n, c)


@pytest.mark.parametrize("misleading", [0.0, 0.15])
@pytest.mark.parametrize("classes", [2, 5])
def test_monte_carlo_agrees_with_the_closed_forms(misleading, classes):
    types = [FeatureType(0.4, 10, 2, 6, misleading), FeatureType(0.6, 30, 3, 5, misleading)]
    drawn = world.sample(types, classes, 60_000, np.random.default_rng(3))
    for measured, predicted in (
        (drawn.right[:, 0], world.accuracy(types, classes)),
        (drawn.right[:, 1], world.accuracy(types, classes)),
        (drawn.agree, world.agreement(types, classes)),
    ):
        assert abs(measured.mean() - predicted) < 4 * np.sqrt(predicted * (1 - predicted) / 60_000)
    assert abs(np.mean(drawn.kind == 0) - 0.4) < 4 * np.sqrt(0.24 / 60_000)


def test_monte_carlo_given_the_number_of_shared_features():
    kind = FeatureType(1.0, 12, 2, 4)
    drawn = world.sample([kind], 2, 60_000, np.random.default_rng(4))
    counts = np.bincount(drawn.shared, minlength=5) / 60_000
    np.testing.assert_allclose(counts, chance_of_shared(kind), atol=0.01)
    for k in range(4):
        alike = drawn.agree[drawn.shared == k]
        predicted = world.shared_agreement(kind, 2)[k]
        assert abs(alike.mean() - predicted) < 4.5 * np.sqrt(predicted * (1 - predicted) / len(alike))


def test_misleading_features_lower_accuracy_and_leave_agreement():
    misled = [FeatureType(0.5, 10, 2, 8, 0.3), FeatureType(0.5, 60, 4, 8, 0.3)]
    assert world.agreement(misled, 2) == world.agreement([EASY, HARD], 2)
    u = [float(EASY.hit), float(HARD.hit)]
    assert world.gap(misled, 2) == pytest.approx(0.25 * sum(p * (1 - 0.6 - p) for p in u), abs=1e-14)
    assert world.gap([FeatureType(1.0, 6, 2, 2, 0.2)], 2) == pytest.approx(0, abs=1e-15)


def test_union_law_on_enumerated_sets():
    sets, n, t = ({0, 1, 2}, {2, 5}), 2, 8
    points = [set(p) for p in combinations(range(t), n)]
    hits = np.array([[bool(p & s) for p in points] for s in sets])
    for classes in (2, 7):
        chance = 1 - 1 / classes
        error = [chance * np.mean(~row) for row in hits]
        union = chance * np.mean(~(hits[0] | hits[1]))
        dis = chance * np.mean(~(hits[0] & hits[1]))
        assert world.union_law(*error, union) == pytest.approx(dis, abs=1e-14)
    assert world.union_law(0.2, 0.2, 0.2) == pytest.approx(0.2)
    assert world.union_law(0.2, 0.2, 0.2, coincidence=0.3) == pytest.approx(0.14)


def test_least_agreement_is_reached_by_equally_hard_points():
    kind = FeatureType(1.0, 9, 2, 3)
    right = np.array([world.accuracy([kind], 3)])
    assert world.least_agreement(right, 3)[0] == pytest.approx(world.agreement([kind], 3), abs=1e-14)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_least_agreement_by_hand(classes):
    ends = world.least_agreement(np.array([1 / classes, 1.0, (1 + 1 / classes) / 2]), classes)
    # Half-way between chance and certainty half of the points are hit by either model, a quarter by both.
    np.testing.assert_allclose(ends, [1 / classes, 1, 1 / classes + (1 - 1 / classes) / 4], atol=1e-14)


def test_bound_of_the_gap_is_nearly_reached_at_small_and_large_load():
    for n, c, least in ((10, 100, 0.98), (774, 774, 0.94)):
        kind = [FeatureType(1.0, 100_000, n, c)]
        assert least < world.gap(kind, 4) / world.gap_bound(kind, 4) <= 1


def test_bound_of_the_gap_by_hand():
    saturated, rare = FeatureType(0.3, 10, 4, 5), FeatureType(0.7, 50, 1, 5)  # loads 2 and 0.1
    expected = 2 / 3 * (0.3 * np.exp(-2) + 0.7 * 0.1)
    assert world.gap_bound([saturated, rare], 3) == pytest.approx(expected, rel=1e-14)


def test_union_law_with_guesses_that_coincide():
    # Two models, 4 classes; at points that both miss, the second copies the guess of the first with probability 0.4.
    rng, n, classes = np.random.default_rng(0), 400_000, 4
    hits = rng.random((2, n)) < [[0.5], [0.3]]
    answers = np.where(hits, 0, rng.integers(classes, size=(2, n)))
    copied = ~hits.any(axis=0) & (rng.random(n) < 0.4)
    answers[1, copied] = answers[0, copied]
    chance = 1 - 1 / classes
    errors = [chance * 0.5, chance * 0.7, chance * 0.35]
    assert world.union_law(*errors, coincidence=0.4) == pytest.approx(np.mean(answers[0] != answers[1]), abs=0.0032)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.2, 10, 2, 3), "probability must be in"),
        ((0.5, 10, 2, 3, -0.1), "misleading must be in"),
        ((0.5, 0, 1, 0), "pool must be at least 1"),
        ((0.5, 10, 11, 3), r"per_point must be in \[1, 10\]"),
        ((0.5, 10, 0, 3), r"per_point must be in \[1, 10\]"),
        ((0.5, 10, 2, 11), r"learned must be in \[0, 10\]"),
        ((float("nan"), 10, 2, 3), "probability must be in"),
    ],
)
def test_impossible_types_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        FeatureType(*arguments)


def test_bad_worlds_are_refused():
    for function in (world.accuracy, world.agreement, world.gap):
        with pytest.raises(ValueError, match="probabilities must sum to 1"):
            function([EASY], 2)
        with pytest.raises(ValueError, match="classes must be at least 2"):
            function([EASY, HARD], 1)
        with pytest.raises(TypeError):
            function(["hard"], 2)
    with pytest.raises(ValueError, match="misleading must be 0 for the bound, got 0.1"):
        world.gap_bound([FeatureType(1.0, 10, 2, 3, 0.1)], 2)
    with pytest.raises(ValueError, match="trials must be at least 1"):
        world.sample([EASY, HARD], 2, 0, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"accuracy must be in \[1/classes, 1\], got 0.4 at index 1"):
        world.least_agreement(np.array([0.5, 0.4]), 2)
    with pytest.raises(ValueError, match="union must be in"):
        world.union_law(0.1, 0.1, 1.1)
    with pytest.raises(ValueError, match=r"learned must be in \[0, 5\], got 6"):
        world.miss_probability(5, 6, 2)
    with pytest.raises(ValueError, match="pools must be one per probability"):
        world.split_capacity(5, [0.5, 0.5], [20])
    with pytest.raises(ValueError, match="capacity must be at least 0"):
        world.split_capacity(-1, [1.0], [20])
    with pytest.raises(ValueError, match="probabilities must be non-negative"):
        world.split_capacity(5, [1.5, -0.5], [20, 20])
    with pytest.raises(ValueError, match="probabilities must sum to 1, got 0.75"):
        world.split_capacity(5, [0.5, 0.25], [20, 20])

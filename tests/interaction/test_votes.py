"""Votes, disagreement and calibration: by hand, by double loops, and the identity on arbitrary predictions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afp_utils.interaction import votes as votes_of

# Three models, four points, three classes.
ANSWERS = np.array([[0, 1, 2, 1], [0, 1, 1, 2], [0, 2, 1, 0]])
TRUTH = np.array([0, 1, 2, 2])


def drawn(seed, models=5, n=30, classes=4):
    rng = np.random.default_rng(seed)
    return rng.integers(classes, size=(models, n)), rng.integers(classes, size=n), classes


def test_by_hand():
    np.testing.assert_array_equal(votes_of.votes(ANSWERS, 3), [[3, 0, 0], [0, 2, 1], [0, 2, 1], [1, 1, 1]])
    assert votes_of.error(ANSWERS, TRUTH) == pytest.approx(5 / 12)
    assert votes_of.disagreement(ANSWERS) == pytest.approx((0 + 2 / 3 + 2 / 3 + 1) / 4)
    assert votes_of.disagreement_with_self(ANSWERS) == pytest.approx((0 + 4 / 9 + 4 / 9 + 2 / 3) / 4)
    bins = votes_of.calibration(ANSWERS, TRUTH, 3)
    np.testing.assert_allclose(bins.weight, [4 / 4, 5 / 4, 2 / 4, 1 / 4])
    np.testing.assert_allclose(bins.accuracy, [0, 2 / 5, 1 / 2, 1])
    expected = 5 / 4 * (2 / 5 - 1 / 3) + 2 / 4 * (2 / 3 - 1 / 2)
    assert votes_of.calibration_error(ANSWERS, TRUTH, 3) == pytest.approx(expected)


def test_pairs_by_a_double_loop():
    answers, _, _ = drawn(1)
    pairs = [(a != b).mean() for i, a in enumerate(answers) for j, b in enumerate(answers) if i != j]
    assert votes_of.disagreement(answers) == pytest.approx(np.mean(pairs), abs=1e-14)
    agreement = votes_of.pair_agreement(answers)
    assert agreement[1, 3] == pytest.approx(np.mean(answers[1] == answers[3]))
    assert 1 - agreement.mean() == pytest.approx(votes_of.disagreement_with_self(answers), abs=1e-14)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 25), st.integers(2, 6))
def test_signed_identity_and_bounds_hold_for_any_predictions(seed, models, n, classes):
    answers, truth, _ = drawn(seed, models, n, classes)
    gap = votes_of.disagreement_with_self(answers) - votes_of.error(answers, truth)
    assert votes_of.signed_gap(answers, truth, classes) == pytest.approx(gap, abs=1e-12)
    cace = votes_of.calibration_error(answers, truth, classes)
    assert abs(gap) <= cace / 2 + 1e-12
    bins = votes_of.calibration(answers, truth, classes)
    assert bins.weight.sum() == pytest.approx(classes)
    assert np.sum((bins.accuracy - bins.share) * bins.weight) == pytest.approx(0, abs=1e-12)


def test_renaming_classes_changes_nothing():
    answers, truth, classes = drawn(2)
    names = np.random.default_rng(0).permutation(classes)
    for function in (votes_of.calibration_error, votes_of.signed_gap):
        assert function(names[answers], names[truth], classes) == pytest.approx(function(answers, truth, classes))
    assert votes_of.disagreement(names[answers]) == pytest.approx(votes_of.disagreement(answers))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least two models"):
        votes_of.disagreement(ANSWERS[:1])
    with pytest.raises(ValueError, match=r"predictions must be in \[0, 1\], got 2 at index \(0, 2\)"):
        votes_of.votes(ANSWERS, 2)
    with pytest.raises(ValueError, match=r"labels must be in \[0, 2\], got -1 at index 0"):
        votes_of.calibration(ANSWERS, TRUTH - 1, 3)
    for count in (votes_of.votes, lambda answers, classes: votes_of.calibration(answers, TRUTH, classes)):
        with pytest.raises(ValueError, match="classes must be at least 1, got 0"):
            count(ANSWERS, 0)
    with pytest.raises(ValueError, match="predictions must be not empty"):
        votes_of.disagreement_with_self(ANSWERS[:, :0])
    with pytest.raises(TypeError):
        votes_of.calibration(ANSWERS, TRUTH[:2], 3)
    with pytest.raises(TypeError):
        votes_of.disagreement(ANSWERS.astype(float))

"""Targets of the Recursive Feature Machine: by hand, orthogonality on the whole cube, invariances, refusals."""

from itertools import product as all_of
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afp_utils.rfm import targets

BY_HAND = np.array([[2.0, 3.0, -0.5, 1.0, 7.0, 0.1, 4.0], [-1.5, 2.0, 4.0, 0.5, 1.0, -0.1, 9.0]])
CUBE = np.array(list(all_of([-1.0, 1.0], repeat=6)))


def test_by_hand():
    np.testing.assert_array_equal(targets.product(BY_HAND), [6.0, -3.0])
    np.testing.assert_array_equal(targets.gated_product(BY_HAND), [6.0, 0.0])
    np.testing.assert_array_equal(targets.parity(BY_HAND, 3), [-3.0, -12.0])
    np.testing.assert_array_equal(targets.staircase(BY_HAND, 3), [2 + 6 - 3.0, -1.5 - 3 - 12])


@pytest.mark.parametrize("degree", [1, 2, 4, 6])
def test_a_parity_is_correlated_with_no_other_product_of_coordinates(degree):
    target = targets.parity(CUBE, degree)
    for chosen in all_of([False, True], repeat=6):
        other = CUBE[:, chosen].prod(axis=1)
        same = list(chosen) == [i < degree for i in range(6)]
        assert np.mean(target * other) == float(same)


@pytest.mark.parametrize("degree", [1, 3, 5])
def test_a_staircase_is_the_sum_of_its_parities(degree):
    steps = sum(targets.parity(CUBE, k) for k in range(1, degree + 1))
    np.testing.assert_array_equal(targets.staircase(CUBE, degree), steps)
    assert np.mean(steps**2) == degree  # each step has variance one and is orthogonal to the others


@given(st.lists(st.floats(-3, 3), min_size=6, max_size=9), st.integers(1, 6))
def test_against_plain_products(values, degree):
    x = np.array([values])
    assert targets.parity(x, degree)[0] == pytest.approx(prod(values[:degree]))
    climbed = [prod(values[:k]) for k in range(1, degree + 1)]
    assert targets.staircase(x, degree)[0] == pytest.approx(sum(climbed))
    assert targets.gated_product(x)[0] == pytest.approx(values[0] * values[1] * (values[5] > 0))


def test_precision_is_kept_and_the_points_are_not_changed():
    x = BY_HAND.astype(np.float32)
    before = x.copy()
    values = [targets.product(x), targets.gated_product(x)]
    values += [target(x, 3) for target in (targets.parity, targets.staircase)]
    assert {value.dtype for value in values} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("target", [targets.parity, targets.staircase])
@pytest.mark.parametrize("degree", [0, -1, 8])
def test_refuses_degrees_that_the_points_do_not_have(target, degree):
    with pytest.raises(ValueError, match=f"degree must lie in 1, ..., 7, .* got {degree}"):
        target(BY_HAND, degree)


def test_refuses_too_few_coordinates_and_bad_values():
    with pytest.raises(ValueError, match="degree must lie in 1, ..., 1"):
        targets.product(BY_HAND[:, :1])
    with pytest.raises(ValueError, match="degree must lie in 1, ..., 5"):
        targets.gated_product(BY_HAND[:, :5])
    bad = BY_HAND.copy()
    bad[1, 6] = np.nan
    for target in (targets.product, targets.gated_product):
        with pytest.raises(ValueError, match=r"x must be finite, got nan at index \(1, 6\)"):
            target(bad)
    with pytest.raises(TypeError):
        targets.product(BY_HAND[0])
    with pytest.raises(TypeError):
        targets.parity(BY_HAND, 2.0)

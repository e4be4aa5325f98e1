"""Refusals name the argument, the rule and the value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afp_utils.core import refuse


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (refuse.finite, np.array([1.0, np.nan]), "it must be finite, got nan at index 1"),
        (refuse.finite, np.inf, "it must be finite, got inf$"),
        (refuse.positive, 0.0, "it must be positive and finite, got 0.0$"),
        (
            refuse.positive,
            np.array([[1.0, 2], [3, -4]]),
            r"it must be positive and finite, got -4.0 at index \(1, 1\)",
        ),
        (refuse.positive, np.nan, "it must be positive and finite, got nan"),
        (refuse.nonnegative, np.array([0.0, -1e-300]), "it must be non-negative and finite, got -1e-300 at index 1"),
        (refuse.increasing, np.array([1.0, 1.0]), "it must be strictly increasing, got 1.0 at index 1"),
        (refuse.increasing, np.array([np.nan]), "it must be strictly increasing, got nan at index 0"),
    ],
)
def test_refused(check, value, message):
    with pytest.raises(ValueError, match=message):
        check(it=value)


@given(st.lists(st.floats(1e-300, 1e300), max_size=5))
def test_good_values_pass(values):
    values = np.array(values)
    refuse.finite(it=values)
    refuse.positive(it=values)
    refuse.nonnegative(it=np.append(values, 0.0))
    refuse.increasing(it=np.unique(values))

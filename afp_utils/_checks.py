"""Refusals of bad input. Each error names the argument, the rule and the value."""

from typing import Any

import numpy as np
from beartype import beartype
from jaxtyping import jaxtyped

checked = jaxtyped(typechecker=beartype)
"""Decorator of every public function: shapes and types in the annotation are checked at each call."""


def _refuse(name: str, rule: str, value: Any, bad: Any) -> None:
    if np.any(bad):
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        place = f" at index {where[0] if len(where) == 1 else where}" if where else ""
        raise ValueError(f"{name} must be {rule}, got {np.asarray(value)[where]}{place}")


def finite(**arguments: Any) -> None:
    """Refuse NaN and infinities."""
    for name, value in arguments.items():
        _refuse(name, "finite", value, ~np.isfinite(value))


def positive(**arguments: Any) -> None:
    """Refuse zero, negative and non-finite values."""
    for name, value in arguments.items():
        _refuse(name, "positive and finite", value, ~(np.isfinite(value) & (np.asarray(value) > 0)))


def nonnegative(**arguments: Any) -> None:
    """Refuse negative and non-finite values."""
    for name, value in arguments.items():
        _refuse(name, "non-negative and finite", value, ~(np.isfinite(value) & (np.asarray(value) >= 0)))


def increasing(**arguments: Any) -> None:
    """Refuse a sequence that does not strictly increase (NaN included)."""
    for name, value in arguments.items():
        value = np.asarray(value)
        with np.errstate(invalid="ignore"):
            bad = np.concatenate([[np.isnan(value[0])] if value.size else [], ~(np.diff(value) > 0)])
        _refuse(name, "strictly increasing", value, bad.astype(bool))

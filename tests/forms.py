"""Numbers in the forms in which a reader may hold them, and results taken apart to be compared."""

from dataclasses import fields, is_dataclass

import numpy as np

FORMS = ["int", "float32", "int64", "list", "0-d"]


def in_form(value, form):
    """Arguments that hold whole numbers alone, with integers and other scalars in place of floats, or lists of arrays."""
    if form == "0-d" and type(value) in (int, float):
        return np.array(value)
    if isinstance(value, tuple):
        return tuple(in_form(one, form) for one in value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "if":
        return {"int": value.astype(int).tolist(), "list": value.tolist(), "int64": value.astype(np.int64)}.get(
            form, value
        )
    if isinstance(value, float):
        return {"int": int(value), "float32": np.float32(value), "int64": np.int64(value)}.get(form, value)
    return np.int64(value) if type(value) is int and form == "int64" else value


def same(one, other):
    """Whether two results are equal in their values and types, to the last bit."""
    if is_dataclass(one):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    one, other = np.asarray(one), np.asarray(other)
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")

"""Arguments are checked where they are declared: type, shape and rule stand in the annotation.

    @checked
    def power(x: Annotated[Float[Array, "n d"], FINITE], rate: Positive, steps: Count = 1) -> Float[Array, " n"]: ...

Numbers are numbers: integers where floats are meant, NumPy's scalars, 0-d arrays and lists of them are taken for what they are.
What does not fit raises an error of one line that names the argument, the rule and the value: `TypeError` for a type or
a shape, `ValueError` for a rule.
"""

import functools
import inspect
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import numpy as np
from beartype import beartype
from jaxtyping import AbstractArray, Float, TypeCheckError, jaxtyped
from numpy import ndarray as Array

Thing = TypeVar("Thing", bound=Callable[..., Any])


@dataclass(frozen=True)
class Rule:
    """What every number of an argument must be: in words, and as a test that answers for each, or once for all."""

    words: str
    fits: Callable[[Any], Any]

    def __repr__(self) -> str:
        return self.words


def at_least(low: float) -> Rule:
    return Rule(f"at least {low}", lambda value: value >= low)


def inside(low: float, high: float) -> Rule:
    """In the closed interval."""
    return Rule(f"in [{low}, {high}]", lambda value: (low <= value) & (value <= high))


def _increases(value: Array) -> Array:
    # the first of a sequence has nothing before it, but must be a number
    return np.concatenate([~np.isnan(value[:1]), np.diff(value) > 0])


FINITE = Rule("finite", np.isfinite)
POSITIVE = Rule("positive and finite", lambda value: np.isfinite(value) & (value > 0))
NONNEGATIVE = Rule("non-negative and finite", lambda value: np.isfinite(value) & (value >= 0))
INCREASING = Rule("strictly increasing", _increases)
SOME = Rule("not empty", lambda value: np.size(value) > 0)

Finite = Annotated[float, FINITE]
Positive = Annotated[float, POSITIVE]
NonNegative = Annotated[float, NONNEGATIVE]
Count = Annotated[int, at_least(1)]
Share = Annotated[float, inside(0, 1)]
Times = Annotated[Float[Array, " time"], SOME, NONNEGATIVE, INCREASING]
"""Sorted times from 0 on, without repetition."""


def require(rule: Rule, **arguments: Any) -> None:
    """Refuse a value that breaks a rule which no annotation can hold, such as one between two arguments.

    Raises `ValueError` that names the argument, the rule and the first number that breaks it.
    """
    for name, value in arguments.items():
        numbers = np.asarray(value)
        with np.errstate(invalid="ignore"):  # comparisons with NaN are false, as they should be
            bad = ~np.asarray(rule.fits(numbers), dtype=bool)
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            place = f" at index {where[0] if len(where) == 1 else where}" if where else ""
            raise ValueError(f"{name} must be {rule.words}, got {numbers[where]}{place}")


def checked(thing: Thing) -> Thing:
    """Decorator of every public function and dataclass: at each call, numbers are taken as declared, then refused or not."""
    if isinstance(thing, type):
        thing.__init__ = checked(thing.__init__)  # type: ignore[misc]
        return thing
    typed, signature = jaxtyped(thing, typechecker=beartype), inspect.signature(thing)
    hints = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    hints = {name: hint for name, hint in hints.items() if hint is not inspect.Parameter.empty}

    @functools.wraps(thing)
    def call(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        given = bound.arguments
        for name in hints.keys() & given.keys():
            given[name] = _taken(given[name], hints[name])
        for name in hints.keys() & given.keys():
            for rule in _rules(hints[name], given[name]):
                require(rule, **{name: given[name]})
        try:
            return typed(*bound.args, **bound.kwargs)
        except TypeCheckError as error:
            raise TypeError(_in_one_line(error, hints)) from None

    return call  # type: ignore[return-value]


def _taken(value: Any, hint: Any) -> Any:
    """A number, or numbers, in the type that the annotation declares; anything else as it is."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _taken(value, parts[0])
    if origin in (Union, types.UnionType):
        fits = [taken for part in parts if _is(taken := _taken(value, part), part)]
        return fits[0] if fits else value
    if origin in (tuple, list, Sequence) and isinstance(value, list | tuple | np.ndarray):
        each = parts if origin is tuple and parts[-1] is not Ellipsis else parts[:1] * len(value)
        taken = [_taken(one, part) for one, part in zip(value, each)]
        return value if len(each) != len(value) else tuple(taken) if origin is tuple else taken
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return _array(value, hint)
    if hint in (float, int, bool):
        return _number(value, hint)
    return value


def _is(value: Any, hint: Any) -> bool:
    """Whether a value is of the kind that one part of a union declares (its items and shape are checked later)."""
    hint = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    kind = get_origin(hint) or hint
    return value is None if kind in (None, type(None)) else isinstance(kind, type) and isinstance(value, kind)


def _number(value: Any, kind: type) -> Any:
    value = value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if isinstance(value, kind):
        return value
    wanted: tuple[type, ...] = {float: (Real, np.bool_), int: (Integral, np.bool_)}.get(kind, (np.bool_,))
    return kind(value) if isinstance(value, wanted) else value


def _array(value: Any, hint: Any) -> Any:
    """Lists and what NumPy can read as arrays; integers and truth values in the declared precision."""
    if not issubclass(hint.array_type, np.ndarray):
        return value
    if not isinstance(value, np.ndarray):
        if not isinstance(value, list | tuple) and not hasattr(value, "__array__"):
            return value
        try:
            array = np.asarray(value)
        except (TypeError, ValueError):  # rows of different lengths, a tensor with a gradient
            return value
        value = array if array.dtype.kind in "biufc" else value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biu" and value.dtype.name not in hint.dtypes:
        kinds = [kind for kind in ("int64", "float64") if kind in hint.dtypes]
        value = value.astype(kinds[0]) if kinds and (kinds[0] != "int64" or value.dtype.kind in ("b", "u")) else value
    return value


def _rules(hint: Any, value: Any) -> list[Rule]:
    """The rules that an annotation declares for a value; none for what is no number: its type is refused later."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return [rule for part in parts if _is(value, part) for rule in _rules(part, value)]
    if origin is not Annotated or not isinstance(value, Real | np.ndarray | Sequence) or isinstance(value, str):
        return []
    return [rule for rule in parts[1:] if isinstance(rule, Rule)]


def _in_one_line(error: TypeCheckError, hints: dict[str, Any]) -> str:
    """What jaxtyping says in a dozen lines. An error in a result is a fault of the function, and keeps them all."""
    said = str(error.__cause__).strip().splitlines()
    if not said or "parameter '" not in said[0]:
        return str(error)
    name = said[0].split("'")[1]
    value = said[1].removeprefix("Actual value: ").removesuffix("(numpy)")
    sizes = str(error).partition("are as follows.\n")[2].split()
    wanted = _in_words(hints[name])
    known = f" with {', '.join(sizes)}" if sizes and "Array" in wanted else ""
    return f"{name} must be {wanted}{known}, got {value}"


def _in_words(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        return _in_words(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_in_words(part) for part in get_args(hint))
    words = hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
    return words.replace("jaxtyping.", "").replace("ndarray", "Array").replace("NoneType", "None")


# ---- names that the rooms still use ----


def finite(**arguments: Any) -> None:
    require(FINITE, **arguments)


def positive(**arguments: Any) -> None:
    require(POSITIVE, **arguments)


def nonnegative(**arguments: Any) -> None:
    require(NONNEGATIVE, **arguments)


def increasing(**arguments: Any) -> None:
    require(INCREASING, **arguments)

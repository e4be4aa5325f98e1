"""Arguments are checked where they are declared: type, shape and rule stand in the annotation.

>>> @checked
... def power(x: Annotated[Float[Array, " n"], FINITE], exponent: Positive) -> Float[Array, " n"]:
...     return x**exponent
>>> power([1, 2], 2)
array([1., 4.])
>>> power([1, 2], -2)
Traceback (most recent call last):
ValueError: exponent must be positive and finite, got -2.0
>>> power([[1, 2]], 2)
Traceback (most recent call last):
TypeError: x must be an array of floats of shape (n), got float64 of shape (1, 2)

Numbers are numbers: integers where floats are meant, NumPy's scalars, 0-d arrays and lists of them are taken for what
they are. What does not fit raises an error of one line that names the argument, the rule and the value: `TypeError` for
a type or a shape, `ValueError` for a rule.
"""

import functools
import inspect
import io
import re
import reprlib
import types
from collections.abc import Callable, Hashable, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np
from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeCallHintParamViolation
from jaxtyping import AbstractArray, Bool, Float, Int, jaxtyped, print_bindings
from numpy import ndarray as Array

Thing = TypeVar("Thing", bound=Callable[..., Any])
Read = Callable[[str, Any], Any]
"""How the value of a named argument is read as its annotation declares."""
PLAIN = BeartypeConf(is_color=False)
"""Messages without the codes that colour a terminal."""
MANY = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
"""Arguments without names of their own are passed on as they are."""


@dataclass(frozen=True)
class Rule:
    """What every number of an argument must be: in words, and as a test that answers for each, or once for all."""

    words: str
    fits: Callable[[Any], Any]

    def __repr__(self) -> str:  # as signatures in the documentation show it
        return self.words


def at_least(low: float) -> Rule:
    return Rule(f"at least {low}", lambda value: value >= low)


def inside(low: float, high: float) -> Rule:
    """In the closed interval."""
    return Rule(f"in [{low}, {high}]", lambda value: (low <= value) & (value <= high))


def _increases(value: Any) -> Any:
    # no difference is formed: that of two infinities is none, and the first number has none, but must be one
    return np.ndim(value) == 0 or np.concatenate([~np.isnan(value[:1]), value[1:] > value[:-1]])


FINITE = Rule("finite", np.isfinite)
POSITIVE = Rule("positive and finite", lambda value: (value > 0) & (value < np.inf))
NONNEGATIVE = Rule("non-negative and finite", lambda value: (value >= 0) & (value < np.inf))
INCREASING = Rule("strictly increasing", _increases)
SOME = Rule("not empty", lambda value: value.size > 0 if isinstance(value, np.ndarray) else len(value) > 0)

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

    >>> require(at_least(1), steps=[3, 0])
    Traceback (most recent call last):
    ValueError: steps must be at least 1, got 0 at index 1
    """
    for name, value in arguments.items():
        _require(rule, name, value)


def _require(rule: Rule, name: str, value: Any) -> None:
    if isinstance(value, list | tuple) and rule is not SOME:
        if not all(isinstance(item, Real) for item in value):  # arrays of several lengths, say
            for i, item in enumerate(value):
                _require(rule, f"{name}[{i}]", item)
            return
        value = np.asarray(value)
    fits = rule.fits(value)
    if fits is True:
        return
    bad = ~np.asarray(fits, dtype=bool)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        got = np.asarray(value)[where] if len(where) == np.ndim(value) else _shown(value)
        place = f" at index {where[0] if len(where) == 1 else where}" if where else ""
        raise ValueError(f"{name} must be {rule.words}, got {got}{place}")


def checked(thing: Thing) -> Thing:
    """Decorator of every public function and dataclass: at each call, numbers are read as declared, or refused.

    All that an annotation says is looked up once, here; a call of three arguments costs about as much as the
    isinstance checks of its arrays.
    """
    if isinstance(thing, type):
        thing.__init__ = checked(thing.__init__)  # type: ignore[misc]
        return thing
    typed: Callable[..., Any] = beartype(conf=PLAIN)(thing)
    parameters = [one for one in inspect.signature(thing).parameters.values() if one.kind not in MANY]
    hints = {one.name: one.annotation for one in parameters}
    if any("{" in str(hint) for hint in thing.__annotations__.values()):  # sizes that arguments hold: "{n} d"
        typed = jaxtyped(typed, typechecker=None)
    reads = {name: _reader(hint) or _as_it_is for name, hint in hints.items()}
    in_order = tuple((one.name, reads[one.name]) for one in parameters if one.kind is not one.KEYWORD_ONLY)

    @functools.wraps(thing)
    def call(*args: Any, **kwargs: Any) -> Any:
        # zip stops at the last known argument: one more reaches Python, which may say what is wrong with it
        taken = [read(name, value) for (name, read), value in zip(in_order, args)]
        named = {name: reads.get(name, _as_it_is)(name, value) for name, value in kwargs.items()}
        with jaxtyped("context"):
            try:
                return typed(*taken, *args[len(taken) :], **named)
            except BeartypeCallHintParamViolation as error:
                said, sizes = error, _sizes()
        given = dict(zip(reads, taken)) | named
        raise TypeError(_in_one_line(said, given, hints, sizes))

    return call  # type: ignore[return-value]


# ---- reading a value ----


def _as_it_is(_: str, value: Any) -> Any:
    return value


def _reader(hint: Any) -> Read | None:
    """The function that reads a value as `hint` declares; None if there is nothing to read or to test."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _ruled(parts[0], [rule for rule in parts[1:] if isinstance(rule, Rule)])
    if origin in (Union, types.UnionType):
        return _first_that_fits(parts)
    if origin in (tuple, list, Sequence):
        return _items(origin, parts)
    if isinstance(hint, type) and issubclass(hint, AbstractArray) and issubclass(hint.array_type, np.ndarray):
        return _array(hint)
    return _number(hint) if hint in (float, int, bool) else None


def _ruled(hint: Any, rules: list[Rule]) -> Read:
    read, fits = _reader(hint) or _as_it_is, _kind(hint)

    def ruled(name: str, value: Any) -> Any:
        value = read(name, value)
        if fits(value):  # anything else is refused for its type
            for rule in rules:
                _require(rule, name, value)
        return value

    return ruled


def _first_that_fits(parts: Sequence[Any]) -> Read:
    options = [(_reader(part) or _as_it_is, _kind(part)) for part in parts]

    def first(name: str, value: Any) -> Any:
        for read, fits in options:
            with suppress(TypeError):  # of an item
                taken = read(name, value)
                if fits(taken):
                    return taken
        return value

    return first


def _items(origin: Any, parts: Sequence[Any]) -> Read:
    several = origin is not tuple or parts[-1:] == (Ellipsis,)
    reads = [_item(part) for part in (parts[:1] if several else parts)]

    def items(name: str, value: Any) -> Any:
        if not isinstance(value, list | tuple | np.ndarray) or (isinstance(value, np.ndarray) and value.ndim == 0):
            return value
        each = reads * len(value) if several else reads
        if len(each) != len(value):
            return value
        taken = [read(f"{name}[{i}]", item) for i, (read, item) in enumerate(zip(each, value))]
        return tuple(taken) if origin is tuple or (isinstance(value, tuple) and origin is not list) else taken

    return items


def _item(hint: Any) -> Read:
    """Items are numbers or arrays one and all: beartype looks at one of many, drawn by chance."""
    read, fits = _reader(hint), _kind(hint)
    if not read:
        return _as_it_is

    def item(name: str, value: Any) -> Any:
        taken = read(name, value)
        if not fits(taken):
            raise TypeError(f"{name} must be {_in_words(hint, {})}, got {_shown(value)}")
        return taken

    return item


def _number(kind: type) -> Read:
    wanted = {float: (Real, np.bool_), int: (Integral, np.bool_), bool: (np.bool_,)}[kind]

    def number(_: str, value: Any) -> Any:
        if isinstance(value, kind):
            return value
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value[()]
        if isinstance(value, wanted):
            with suppress(OverflowError):  # an integer beyond the largest float
                return kind(value)
        return value

    return number


def _array(hint: Any) -> Read:
    """Lists and what NumPy can read as arrays; integers and truth values in the declared precision."""
    declared = [name for name in ("int64", "float64") if name in hint.dtypes]
    kinds = {"b": "bool", "i": "int64", "u": "uint64"}
    into = {kind: declared[0] for kind, name in kinds.items() if declared and name not in hint.dtypes}
    may_be_one = hint.index_variadic is not None or not hint.dims

    def array(_: str, value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            value = np.asarray(value) if may_be_one and isinstance(value, Real) else _as_array(value)
            if not isinstance(value, np.ndarray):
                return value
        wanted = into.get(value.dtype.kind)
        return value.astype(wanted) if wanted else value

    return array


def _as_array(value: Any) -> Any:
    if isinstance(value, list | tuple) or hasattr(value, "__array__"):
        with suppress(TypeError, ValueError, RuntimeError):  # rows of different lengths, a tensor with a gradient
            array = np.asarray(value)
            return array if array.dtype.kind in "biufc" else value
    return value


def _kind(hint: Any) -> Callable[[Any], bool]:
    """Test for a value of the declared kind; the types of its items and its sizes are checked later."""
    hint = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    kind = get_origin(hint) or hint
    if kind in (Union, types.UnionType):
        parts = [_kind(part) for part in get_args(hint)]
        return lambda value: any(fits(value) for fits in parts)
    if kind is Literal:
        return lambda value: isinstance(value, Hashable) and value in get_args(hint)
    if not isinstance(kind, type):
        return lambda _: False
    if not issubclass(kind, AbstractArray):
        return lambda value: isinstance(value, kind)
    array, ndim = kind.array_type, len(kind.dims)
    if kind.index_variadic is not None:
        return lambda value: isinstance(value, array)
    return lambda value: isinstance(value, array) and value.ndim == ndim


# ---- saying what does not fit ----


def _sizes() -> dict[str, str]:
    """The sizes of the axes that the arguments checked so far have fixed, by name."""
    with redirect_stdout(io.StringIO()) as said:
        print_bindings()  # type: ignore[no-untyped-call]
    return dict(line.split("=", 1) for line in said.getvalue().splitlines() if "=" in line)


def _in_one_line(error: Exception, given: dict[str, Any], hints: dict[str, Any], sizes: dict[str, str]) -> str:
    found = re.search(r"parameter (\w+)=", str(error))
    if not found or found[1] not in given:
        return " ".join(str(error).split())
    name = found[1]
    return f"{name} must be {_in_words(hints[name], sizes)}, got {_shown(given[name])}"


def _shown(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, np.generic):
        return f"{_named(type(value))} {value}"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    return " ".join(f"{_named(type(value))} {reprlib.repr(value)}".split())


def _named(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'AEIOaeio' else 'a'} {kind.__name__}"


WORDS: dict[Any, str] = {
    float: "a number",
    int: "an integer",
    bool: "True or False",
    str: "a string",
    type(None): "None",
}
KINDS: dict[Any, str] = {Float: "floats", Int: "integers", Bool: "truth values"}


def _in_words(hint: Any, sizes: dict[str, str]) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _in_words(parts[0], sizes)
    if origin in (Union, types.UnionType):
        return " or ".join(_in_words(part, sizes) for part in parts)
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin in (tuple, list, Sequence):
        each = [_in_words(part, sizes) for part in parts if part is not Ellipsis]
        several = origin is not tuple or Ellipsis in parts
        return f"a {origin.__name__.lower()} of " + (f"items, each {each[0]}" if several else ", ".join(each))
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        known = [(axis, sizes.get(axis.lstrip("*"))) for axis in hint.dim_str.split()]
        axes = [f"{axis}={size}" if size else axis for axis, size in known]
        kind = "an array" if hint.array_type is Array else _named(hint.array_type)
        return f"{kind} of {KINDS.get(hint.dtype, hint.dtype.__name__)} of shape ({', '.join(axes)})"
    if origin is Callable:
        return "a function"
    return WORDS.get(hint) or (_named(hint) if isinstance(hint, type) else str(hint))

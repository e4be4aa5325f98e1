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

Numbers are numbers: integers where floats are meant, NumPy's scalars, 0-d arrays and tensors, fractions and lists of
them are taken for what they are. Single precision is kept; half and extended precision become double. What does not fit
raises an error of one line that names the argument, the rule and the value: `TypeError` for a type or a shape,
`ValueError` for a rule, for masked numbers and for integers beyond 64 bits.

Not done: defaults are taken as they stand, and so is what is declared by a name in quotes. A dataclass that inherits
from a checked one must be `checked` itself. A callback that jaxtyping checks outside a context of its own shares the
names of axes with the call that it serves.
"""

import functools
import inspect
import reprlib
import types
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, repeat
from numbers import Integral, Real
from textwrap import shorten
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np
from beartype.door import is_bearable
from jaxtyping import AbstractArray, Bool, Float, Int
from jaxtyping._storage import get_shape_memo, pop_shape_memo, push_shape_memo, set_shape_memo
from numpy import ndarray as Array

Thing = TypeVar("Thing", bound=Callable[..., Any])
Read = Callable[[str, Any], Any]
"""How the value of a named argument is read as its annotation declares."""
Test = Callable[[Any], bool]


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
UNMASKED = Rule("unmasked", lambda value: ~np.ma.getmaskarray(value))
IN_64_BITS = Rule("at most 2^63 - 1", lambda value: value < np.uint64(2**63))
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
    if isinstance(value, list | tuple | range) and rule is not SOME:
        if not all(isinstance(item, Real) for item in value):  # arrays of several lengths, say
            for i, item in enumerate(value):
                _require(rule, f"{name}[{i}]", item)
            return
        value = np.asarray(value)
    try:
        fits = rule.fits(value)
    except (TypeError, RuntimeError) as error:  # no numbers; a tensor with a gradient
        raise _refusal(TypeError, name, rule.words, _shown(value)) from error
    if fits is True:
        return
    bad = ~np.asarray(fits, dtype=bool)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        got = str(np.asarray(value)[where]) if len(where) == np.ndim(value) else _shown(value)
        place = f" at index {where[0] if len(where) == 1 else where}" if where else ""
        raise _refusal(ValueError, name, rule.words, got + place)


def checked(thing: Thing) -> Thing:
    """Decorator of every public function and dataclass: at each call, numbers are read as declared, or refused.

    All that an annotation says is looked up once, here. An array whose axes have names costs about one microsecond.
    """
    if isinstance(thing, type):
        thing.__init__ = checked(thing.__init__)  # type: ignore[misc]
        return thing
    parameters = inspect.signature(thing).parameters.values()
    reads = {one.name: _reader(one.annotation) for one in parameters}
    in_order = [(one.name, reads[one.name]) for one in parameters if one.kind <= one.POSITIONAL_OR_KEYWORD]
    many = {one.kind: (one.name, reads[one.name]) for one in parameters}
    more = repeat(many.get(inspect.Parameter.VAR_POSITIONAL, ("", _as_it_is)))
    _, other = many.get(inspect.Parameter.VAR_KEYWORD, ("", _as_it_is))
    answer = _reader(thing.__annotations__.get("return"), as_it_is=True)
    defaults = {one.name: one.default for one in parameters}
    by_argument = any("{" in str(hint) for hint in thing.__annotations__.values())  # sizes: "{n} d"

    @functools.wraps(thing)
    def call(*args: Any, **kwargs: Any) -> Any:
        push_shape_memo(defaults | dict(zip(defaults, args)) | kwargs if by_argument else {})
        try:
            # one argument too many, or of no known name, reaches Python, which says what is wrong with it
            taken = [read(name, value) for (name, read), value in zip(chain(in_order, more), args)]
            named = {name: reads.get(name, other)(name, value) for name, value in kwargs.items()}
            return answer("what is returned", thing(*taken, **named))
        finally:
            pop_shape_memo()

    return call  # type: ignore[return-value]


# ---- reading a value ----


def _as_it_is(_: str, value: Any) -> Any:
    return value


def _reader(hint: Any, as_it_is: bool = False) -> Read:
    """Reads a value as `hint` declares, or refuses it: for its type, for the sizes known so far or for a rule."""
    read, fits, rules = (_as_it_is, _test(hint), []) if as_it_is else _parts(hint)

    def reader(name: str, value: Any) -> Any:
        value = read(name, value)
        if not fits(value):
            raise _refusal(TypeError, name, _in_words(hint, _sizes()), _shown(value))
        return _ruled(rules, name, value)

    return reader


def _parts(hint: Any) -> tuple[Read, Test, Sequence[Rule]]:
    hint, *more = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    rules = [rule for rule in more if isinstance(rule, Rule)]
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _first_that_fits(hint), _test(Any), rules
    read = _as_it_is if origin not in (tuple, list, Sequence) else _items(hint)
    if _of_numpy(hint) or hint in (float, int, bool):
        read = _array(hint) if _of_numpy(hint) else _number(hint)
    return read, _test(hint), rules


def _ruled(rules: Sequence[Rule], name: str, value: Any) -> Any:
    for rule in rules if value is not None else ():
        _require(rule, name, value)
    return value


def _first_that_fits(hint: Any) -> Read:
    options = [_parts(part) for part in get_args(hint)]

    def first(name: str, value: Any) -> Any:
        for read, fits, rules in options:
            before = [known.copy() for known in get_shape_memo()]  # type: ignore[no-untyped-call]
            with suppress(TypeError):  # of an item
                taken = read(name, value)
                if fits(taken):
                    return _ruled(rules, name, taken)
            set_shape_memo(*before)
        raise _refusal(TypeError, name, _in_words(hint, _sizes()), _shown(value))

    return first


def _items(hint: Any) -> Read:
    origin, parts = get_origin(hint), get_args(hint)
    several = origin is not tuple or parts[-1:] == (Ellipsis,)
    reads = [_reader(part) for part in parts if part is not Ellipsis]

    def items(name: str, value: Any) -> Any:
        if not isinstance(value, list | tuple | range | np.ndarray) or getattr(value, "ndim", 1) == 0:
            return value
        each = reads * len(value) if several else reads
        if len(each) != len(value):
            return value
        taken = []
        for i, (read, item) in enumerate(zip(each, value)):
            before = [known.copy() for known in get_shape_memo()]  # type: ignore[no-untyped-call]
            taken.append(read(f"{name}[{i}]", item))
            set_shape_memo(*before)  # items do not fix sizes: what they share with one another, the function says
        return tuple(taken) if origin is tuple or (isinstance(value, tuple) and origin is not list) else taken

    return items


def _number(kind: type) -> Read:
    wanted = {float: (Real, np.bool_), int: (Integral, np.bool_), bool: (bool, np.bool_)}[kind]

    def number(_: str, value: Any) -> Any:
        if isinstance(value, kind) and type(value) is not bool:
            return value
        one = value.item() if getattr(value, "ndim", None) == 0 and not np.ma.is_masked(value) else value
        if isinstance(one, wanted):
            with suppress(OverflowError):  # an integer beyond the largest float
                return kind(one)
        return value

    return number


def _array(hint: Any) -> Read:
    """Lists and what NumPy can read as arrays; integers and truth values in the declared precision."""
    wanted = next((name for name in ("int64", "float64") if name in hint.dtypes), hint.dtypes[0])
    # half and extended precision, and objects such as fractions, only become floats
    codes = {"int64": "?bhilqBHILQ", "float64": "?bhilqBHILQegO"}.get(wanted, "")
    others = {np.dtype(code).type for code in codes if np.dtype(code).name not in hint.dtypes or code == "e"}
    may_be_one = hint.index_variadic is not None or not hint.dims

    def array(name: str, value: Any) -> Any:
        if type(value) is not Array:
            value = np.asarray(value) if may_be_one and isinstance(value, Real) else _as_array(name, value)
        if not isinstance(value, Array):
            return value
        if value.dtype.type not in others and (value.size or value.dtype.type.__name__ in hint.dtypes):
            return value  # what is empty has no type
        if value.dtype == object and not all(isinstance(item, Real) for item in value.flat):
            return value
        if value.dtype == np.uint64 and wanted == "int64":
            _require(IN_64_BITS, name, value)
        with np.errstate(all="ignore"), suppress(OverflowError):  # integers and extended precision reach further
            value = value.astype(wanted)
        return value

    return array


def _as_array(name: str, value: Any) -> Any:
    several = isinstance(value, list | tuple)
    if several and any(isinstance(item, np.ma.MaskedArray) for item in value):
        value = np.ma.array(value)
    if isinstance(value, np.ma.MaskedArray):
        _require(UNMASKED, name, value)
    if several or hasattr(value, "__array__"):
        with suppress(TypeError, ValueError, RuntimeError):  # rows of different lengths, a tensor with a gradient
            array = np.asarray(value)
            return array if array.dtype.kind in "biufcO" else value
    return value


def _of_numpy(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, AbstractArray) and issubclass(hint.array_type, np.ndarray)


def _test(hint: Any) -> Test:
    """Numbers, and arrays whose axes have names, are faster here than in jaxtyping, whose record of sizes they share."""
    if hint in (Any, None, inspect.Parameter.empty) or isinstance(hint, str):
        return lambda _: True
    if hint in (float, int, bool, str, type(None)):
        return lambda value: isinstance(value, hint)
    axes = hint.dim_str.split() if _of_numpy(hint) else ["_"]
    if not all(axis.isidentifier() and axis[0] != "_" for axis in axes):
        return lambda value: is_bearable(value, hint)

    def fits(value: Any) -> bool:
        if type(value) is not Array or value.ndim != len(axes) or value.dtype.type.__name__ not in hint.dtypes:
            return False
        known = (sizes := get_shape_memo()[0]).copy()  # type: ignore[no-untyped-call]
        for axis, size in zip(axes, value.shape):
            if known.setdefault(axis, size) != size:
                return False
        sizes.update(known)
        return True

    return fits


# ---- saying what does not fit ----


def _sizes() -> dict[str, Any]:
    """The sizes of the axes that the arguments checked so far have fixed, by name, and those that are arguments."""
    one, several, _, arguments = get_shape_memo()  # type: ignore[no-untyped-call]
    by_argument = {f"{{{name}}}": value for name, value in arguments.items()}
    return by_argument | one | {name: shape for name, (_, shape) in several.items()}


def _refusal(kind: type[Exception], name: str, rule: str, got: str) -> Exception:
    return kind(shorten(f"{name} must be {rule}, got {got}", 200, placeholder=" ..."))


def _shown(value: Any) -> str:
    with suppress(Exception):  # whatever an object does when it is asked what it is
        if hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, np.generic):
            return f"{value.dtype} of shape {tuple(value.shape)}"
        said = str(value) if isinstance(value, np.generic) else reprlib.repr(value)
        return said if value is None else f"{_named(type(value))} {said}"
    return _named(type(value))


def _named(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'AEIOaeio' else 'a'} {kind.__name__}"


WORDS: dict[Any, str] = {float: "a number", int: "an integer", bool: "True or False", str: "a string"}
WORDS |= {type(None): "None", Callable: "a function"}
KINDS: dict[Any, str] = {Float: "floats", Int: "integers", Bool: "truth values"}


def _in_words(hint: Any, sizes: dict[str, Any]) -> str:
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
        axes = [axis if size is None else f"{axis.strip('{}')}={size}" for axis, size in known]
        kind = "an array" if hint.array_type is Array else _named(hint.array_type)
        return f"{kind} of {KINDS.get(hint.dtype, hint.dtype.__name__)} of shape ({', '.join(axes)})"
    return WORDS.get(origin or hint) or (_named(hint) if isinstance(hint, type) else str(hint))

"""Arguments are read as declared, and refused in one line that names the argument, the rule and the value."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from afp_utils.core.refuse import (
    FINITE,
    INCREASING,
    NONNEGATIVE,
    POSITIVE,
    SOME,
    Count,
    NonNegative,
    Positive,
    Rule,
    Share,
    Times,
    at_least,
    checked,
    inside,
    require,
)

Row = Annotated[Float[Array, " n"], FINITE]


def echo(hint):
    """A checked function that returns its one argument, declared as `hint`."""

    def given(it):
        return it

    given.__annotations__ = {"it": hint}
    return checked(given)


def same(got, wanted):
    if isinstance(wanted, np.ndarray):
        np.testing.assert_array_equal(got, wanted)
        return got.dtype == wanted.dtype
    return type(got) is type(wanted) and got == wanted


# ---- numbers are numbers ----


@pytest.mark.parametrize(
    "value",
    [
        3,
        np.int64(3),
        np.int8(3),
        np.uint16(3),
        np.float32(3),
        np.float16(3),
        np.array(3),
        np.array(3.0, "f4"),
        Fraction(3),
    ],
)
def test_every_number_is_a_float_where_one_is_declared(value):
    assert same(echo(float)(value), 3.0)
    assert same(echo(Positive)(value), 3.0)
    assert same(echo(Positive | None)(value), 3.0)


def test_a_float_of_numpy_is_a_float():
    assert echo(float)(np.float64(0.1)) == 0.1


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_every_whole_number_is_an_int_where_one_is_declared(value):
    assert same(echo(int)(value), 3)
    assert same(echo(Count)(value), 3)


@pytest.mark.parametrize("value", [True, np.True_, np.array(True)])
def test_every_truth_value_is_one(value):
    assert same(echo(bool)(value), True)
    assert same(echo(float)(value), 1.0)


@pytest.mark.parametrize(
    "value",
    [
        [1, 2],
        (1, 2),
        [np.float32(1), 2],
        np.array([1, 2]),
        np.array([1, 2], "u1"),
        torch.tensor([1.0, 2.0]),
        range(1, 3),
    ],
)
def test_what_numpy_reads_as_numbers_is_an_array_of_floats(value):
    if isinstance(value, range):
        with pytest.raises(TypeError, match="it must be an array of floats"):
            echo(Row)(value)
    else:
        np.testing.assert_array_equal(echo(Row)(value), [1.0, 2.0])
        assert echo(Row)(value).dtype.kind == "f"


def test_arrays_keep_a_precision_that_fits_and_take_the_widest_that_does_not():
    assert echo(Float[Array, " n"])(np.ones(2, "f4")).dtype == "float32"
    assert echo(Int[Array, " n"])(np.ones(2, "i4")).dtype == "int32"
    assert echo(Int[Array, " n"])(np.ones(2, "u1")).dtype == "int64"
    assert echo(Int[Array, " n"])([True, False]).dtype == "int64"
    assert echo(Bool[Array, " n"])([True, False]).dtype == "bool"
    assert echo(Float[Array, "..."])([True, False]).dtype == "float64"
    row = np.ones(2)
    assert echo(Row)(row) is row, "nothing is copied"


def test_items_are_read_one_by_one():
    assert same(echo(tuple[float, ...])([1, np.int64(2)]), (1.0, 2.0))
    assert same(echo(tuple[int, float])([1, 2]), (1, 2.0))
    assert same(echo(Sequence[float])((1, 2)), (1.0, 2.0))
    assert same(echo(Sequence[int])(np.array([1, 2])), [1, 2])
    assert same(echo(list[float])((1, 2)), [1.0, 2.0])
    assert same(echo(Sequence[Float[Array, "..."]])([1, [2]])[0], np.array(1.0))
    rows = echo(tuple[Float[Array, " _"], ...])([[1], [1, 2]])
    assert [row.tolist() for row in rows] == [[1.0], [1.0, 2.0]]


@pytest.mark.parametrize(
    ("hint", "value", "wanted"),
    [
        (float | None, None, None),
        (Row | None, None, None),
        (Row | None, [1, 2], np.array([1.0, 2.0])),
        (float | Row, 2, 2.0),
        (float | Row, [2], np.array([2.0])),
        (int | float, 2.5, 2.5),
        (int | float, np.int64(2), 2),
        (Literal["auto"] | float, "auto", "auto"),
        (Literal["auto"] | float, 1, 1.0),
        (Literal["auto"] | Row, [1], np.ones(1)),
        (str | float, "one", "one"),
        (Sequence[int] | Sequence[float], [1, 2.5], [1.0, 2.5]),
        (tuple[int | str, ...], [1, "one"], (1, "one")),
        (tuple[Literal["all"] | int, ...], ["all", np.int64(1)], ("all", 1)),
        (Float[Array, " n"] | Float[Array, "n k"], [[1]], np.ones((1, 1))),
    ],
)
def test_a_union_takes_the_first_that_fits(hint, value, wanted):
    assert same(echo(hint)(value), wanted)


def test_what_is_not_declared_stays_as_it_is():
    @checked
    def given(one, *more, key: float | None = None, **rest):
        return one, more, key, rest

    assert given(1, [2], 3, key=5, other=np.int8(4)) == (1, ([2], 3), 5.0, {"other": 4})
    assert [type(one) for one in given(1, 2, 3)[1]] == [int, int], "2 is no key"


def test_a_call_keeps_defaults_keywords_and_the_messages_of_python():
    @checked
    def power(x: float, *, exponent: int = 2) -> float:
        return x**exponent

    assert (power(3), power(x=3), power(3, exponent=np.int64(3))) == (9.0, 9.0, 27.0)
    assert power.__name__ == "power"
    with pytest.raises(TypeError, match="missing"):
        power()
    with pytest.raises(TypeError, match="positional"):
        power(1, 2)
    with pytest.raises(TypeError, match="unexpected"):
        power(1, base=2)


# ---- types and shapes ----


def rectangle(
    x: Float[Array, "n d"], y: Row, rate: Positive = 1.0, steps: Count = 1, more: tuple[Row, ...] = ()
) -> Float[Array, " n"]:
    return y


GOOD = {"x": np.ones((3, 2)), "y": np.ones(3)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": [[1, 2], [3]]}, r"x must be an array of floats of shape (n, d), got a list [[1, 2], [3]]"),
        ({"x": np.ones(3)}, "x must be an array of floats of shape (n, d), got float64 of shape (3,)"),
        (
            {"x": np.ones((3, 2), complex)},
            "x must be an array of floats of shape (n, d), got complex128 of shape (3, 2)",
        ),
        ({"x": "ones"}, "x must be an array of floats of shape (n, d), got a str 'ones'"),
        ({"x": None}, "x must be an array of floats of shape (n, d), got None"),
        ({"x": [["a"]]}, "x must be an array of floats of shape (n, d), got a list [['a']]"),
        ({"y": np.ones(4)}, "y must be an array of floats of shape (n=3), got float64 of shape (4,)"),
        ({"y": 1.0}, "y must be an array of floats of shape (n=3), got a float 1.0"),
        ({"rate": "fast"}, "rate must be a number, got a str 'fast'"),
        ({"rate": 1j}, "rate must be a number, got a complex 1j"),
        ({"rate": np.array([-1.0])}, "rate must be a number, got float64 of shape (1,)"),
        ({"rate": 10**400}, "rate must be a number, got an int 100000000000000000...0000000000000000000"),
        ({"steps": 1.0}, "steps must be an integer, got a float 1.0"),
        ({"steps": np.float64(0.5)}, "steps must be an integer, got a float64 0.5"),
        ({"more": 3}, "more must be a tuple of items, each an array of floats of shape (n=3), got an int 3"),
        ({"more": [[1, 2, 3], 3]}, "more[1] must be an array of floats of shape (n=3), got an int 3"),
        ({"more": [np.ones(2)]}, "more[0] must be an array of floats of shape (n=3), got float64 of shape (2,)"),
    ],
)
def test_a_type_or_shape_that_does_not_fit_is_refused_in_one_line(change, message):
    with pytest.raises(TypeError) as error:
        checked(rectangle)(**GOOD | change)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (float | None, "a number or None"),
        (bool, "True or False"),
        (Int[Array, "*batch d"], "an array of integers of shape (*batch, d)"),
        (Float[Array, "n n"], "an array of floats of shape (n, n)"),
        (Bool[Array, ""], "an array of truth values of shape ()"),
        (Float[torch.Tensor, "n 3"], "a Tensor of floats of shape (n, 3)"),
        (Callable[[float], float], "a function"),
        (Literal["one", "two"], "'one' or 'two'"),
        (tuple[int, str], "a tuple of an integer, a string"),
        (Sequence[float], "a sequence of items, each a number"),
        (np.random.Generator, "a Generator"),
        (Annotated[list[int], SOME], "a list of items, each an integer"),
    ],
)
def test_a_declaration_in_words(hint, words):
    with pytest.raises(TypeError) as error:
        echo(hint)(1j)
    assert str(error.value) == f"it must be {words}, got a complex 1j"


def test_the_size_of_an_axis_may_be_an_argument():
    @checked
    def ones(n: int, wrong: bool = False) -> Float[Array, "{n}"]:  # noqa: F821
        return np.ones(n + wrong)

    assert len(ones(np.int64(3))) == 3
    with pytest.raises(
        TypeError, match=r"^what is returned must be an array of floats of shape \(n=3\), got float64 of shape \(4,\)$"
    ):
        ones(3, True)


def test_sizes_of_one_call_mean_nothing_in_the_next_and_in_calls_inside():
    inner = checked(rectangle)

    @checked
    def outer(x: Float[Array, "d n"]) -> Float[Array, " d"]:
        return inner(x, np.ones(len(x)))

    for shape in ((3, 2), (2, 3)):
        assert outer(np.ones(shape)).shape == shape[:1]


def test_a_refusal_inside_keeps_its_message():
    @checked
    def outer(rate: float, y: Row) -> Row:
        return checked(rectangle)(np.ones((3, 2)), y, rate)

    with pytest.raises(
        TypeError, match=r"^y must be an array of floats of shape \(n=3\), got float64 of shape \(2,\)$"
    ):
        outer(1, [1, 2])
    with pytest.raises(ValueError, match=r"^rate must be positive and finite, got -1.0$"):
        outer(-1, [1, 2, 3])


# ---- rules ----


@pytest.mark.parametrize(
    ("hint", "value", "message"),
    [
        (Row, [1, np.nan], "it must be finite, got nan at index 1"),
        (Positive, 0, "it must be positive and finite, got 0.0"),
        (Positive, np.inf, "it must be positive and finite, got inf"),
        (NonNegative, -1e-300, "it must be non-negative and finite, got -1e-300"),
        (Annotated[Float[Array, "n d"], POSITIVE], [[1, 2], [3, -4]], "it must be positive and finite, got -4.0 at index (1, 1)"),
        (Annotated[Float[Array, "*n"], POSITIVE], np.array(np.nan), "it must be positive and finite, got nan"),
        (Count, 0, "it must be at least 1, got 0"),
        (Share, np.float32(1.5), "it must be in [0, 1], got 1.5"),
        (Share, np.nan, "it must be in [0, 1], got nan"),
        (Times, [0, 2, 2], "it must be strictly increasing, got 2.0 at index 2"),
        (Times, [-1, 2], "it must be non-negative and finite, got -1.0 at index 0"),
        (Times, [], "it must be not empty, got float64 of shape (0,)"),
        (Annotated[Row, INCREASING], [np.inf, np.inf], "it must be finite, got inf at index 0"),
        (Annotated[Float[Array, " n"], INCREASING], [np.nan], "it must be strictly increasing, got nan at index 0"),
        (Annotated[Float[Array, " n"], INCREASING], [np.inf, np.inf], "it must be strictly increasing, got inf at index 1"),
        (Annotated[Sequence[int], at_least(2)], (3, 1), "it must be at least 2, got 1 at index 1"),
        (Annotated[Sequence[str], SOME], [], "it must be not empty, got a list []"),
        (Sequence[Count], [1, 0], "it[1] must be at least 1, got 0"),
        (tuple[Row, ...], [[1, 2], [0, np.inf]], "it[1] must be finite, got inf at index 1"),
        (Annotated[tuple[Float[Array, " _"], ...], FINITE], [[1], [0, np.inf]], "it[1] must be finite, got inf at index 1"),
        (Positive | None, -1, "it must be positive and finite, got -1.0"),
        (float | Annotated[Float[Array, " n"], POSITIVE], [-1], "it must be positive and finite, got -1.0 at index 0"),
        (Annotated[Float[Array, "n d"], Rule("square", lambda x: x.shape[0] == x.shape[1])], [[1, 2]],
         "it must be square, got float64 of shape (1, 2)"),
        (Annotated[int, Rule("even", lambda n: n % 2 == 0)], 3, "it must be even, got 3"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_refused_in_one_line(hint, value, message):
    with np.errstate(all="raise"), pytest.raises(ValueError) as error:
        echo(hint)(value)
    assert str(error.value) == message


@given(st.lists(st.floats(1e-300, 1e300), max_size=5))
def test_good_values_pass(values):
    values = np.array(values)
    require(FINITE, it=values)
    require(POSITIVE, it=values)
    require(NONNEGATIVE, it=np.append(values, 0.0))
    require(INCREASING, it=np.unique(values))
    require(inside(1e-300, 1e300), it=values, other=values.tolist())


def test_the_rule_of_one_part_of_a_union_is_not_that_of_the_other():
    hint = Annotated[Float[Array, " n"], POSITIVE] | Annotated[Float[Array, "n k"], FINITE]
    assert echo(hint)([[-1.0]]) == -1
    with pytest.raises(ValueError, match="it must be positive"):
        echo(hint)([-1.0])


# ---- classes ----


@checked
@dataclass(frozen=True)
class Box:
    sides: Annotated[Float[Array, " d"], POSITIVE]
    count: Count = 1

    def __post_init__(self):
        if self.count > 9:
            raise ValueError(f"count must be at most 9, got {self.count}")


@checked
@dataclass(frozen=True)
class Crate(Box):
    lid: bool = False


def test_a_dataclass_is_read_and_refused_like_a_function():
    box = Crate([1, 2], np.int64(3), lid=np.True_)
    assert (box.sides.dtype, type(box.count), box.lid) == (np.float64, int, True)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"sides": [0]}, "sides must be positive and finite, got 0.0 at index 0"),
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"count": 10}, "count must be at most 9, got 10"),
    ]
    for bad, message in cases:
        with pytest.raises(ValueError) as error:
            Crate(**{"sides": [1]} | bad)
        assert str(error.value) == message
    with pytest.raises(TypeError, match=r"^lid must be True or False, got an int 1$"):
        Crate([1], lid=1)

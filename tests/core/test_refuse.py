"""Arguments are read as declared, and refused in one line that names the argument, the rule and the value."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import torch
from beartype import beartype
from beartype.roar import BeartypeCallHintParamViolation
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


# ---- odd numbers, odd objects ----


def refusal(hint, value, kind=TypeError):
    with pytest.raises(kind) as error:
        echo(hint)(value)
    assert type(error.value) is kind
    return str(error.value)


Height = NonNegative | Annotated[Float[Array, "*shape"], NONNEGATIVE]
WORDS = {
    Row: "it must be an array of floats of shape (n)",
    Annotated[Int[Array, " n"], at_least(0)]: "it must be an array of integers of shape (n)",
    Annotated[Float[Array, " n"], INCREASING]: "it must be an array of floats of shape (n)",
    Annotated[Float[Array, "*n"], POSITIVE]: "it must be an array of floats of shape (*n)",
    Height: "it must be a number or an array of floats of shape (*shape)",
}


@pytest.mark.parametrize("hint", WORDS)
@pytest.mark.parametrize(
    "value",
    [np.array([None, 1]), np.array(["a", "b"]), np.zeros(2, [("a", "f8")]), np.zeros(2, "M8[s]"), np.ones(2, "c16")],
)
def test_rules_are_for_numbers_alone(hint, value):
    assert refusal(hint, value) == f"{WORDS[hint]}, got {value.dtype} of shape (2,)"


def test_a_rule_that_cannot_be_tried_says_so():
    with pytest.raises(TypeError, match=r"^it must be finite, got <U1 of shape \(1,\)$"):
        require(FINITE, it=np.array(["a"]))
    tensor = Annotated[Float[torch.Tensor, " n"], FINITE]
    assert refusal(tensor, torch.ones(1, requires_grad=True)) == "it must be finite, got torch.float32 of shape (1,)"


@pytest.mark.parametrize("hint", [Row, Row | None, Height, float | Row, Int[Array, " n"], Float[Array, "..."]])
def test_masked_numbers_are_refused(hint):
    assert refusal(hint, np.ma.array([1, 2], mask=[0, 1]), ValueError) == "it must be unmasked, got 2 at index 1"
    assert type(echo(hint)(np.ma.array([1, 2]))) is np.ndarray, "nothing is masked"


def test_masked_numbers_in_lists_and_as_one_number_are_refused():
    row = np.ma.array([1.0, 2.0], mask=[0, 1])
    assert refusal(Float[Array, "n d"], [row, row], ValueError) == "it must be unmasked, got 2.0 at index (0, 1)"
    assert refusal(float, row[1]) == "it must be a number, got float64 of shape ()"


def test_integers_do_not_wrap():
    whole, big = Int[Array, " n"], np.array([1, 2**63], "u8")
    assert refusal(whole, big, ValueError) == "it must be at most 2^63 - 1, got 9223372036854775808 at index 1"
    assert refusal(whole, [2**63], ValueError) == "it must be at most 2^63 - 1, got 9223372036854775808 at index 0"
    assert refusal(whole, [2**64]) == "it must be an array of integers of shape (n), got object of shape (1,)"
    assert same(echo(whole)(np.array([2**63 - 1], "u8")), np.array([2**63 - 1]))


@pytest.mark.parametrize(
    "value", [np.array([0.1], "f2"), np.array([0.1], "g"), [np.float16(0.1)], [np.longdouble(0.1)]]
)
def test_half_and_extended_precision_are_read_as_double(value):
    got = echo(Row)(value)
    assert same(got, np.array([float(value[0])]))
    assert same(echo(float)(value[0]), float(value[0]))


def test_extended_precision_beyond_double_is_infinite():
    assert refusal(Row, np.array(["1e400"], "g"), ValueError) == "it must be finite, got inf at index 0"


@pytest.mark.parametrize("value", [True, np.True_, np.array(True), torch.tensor(True)])
def test_a_truth_value_is_an_integer_where_one_is_declared(value):
    assert same(echo(int)(value), 1)
    assert same(echo(Count)(value), 1)
    assert same(echo(bool | int)(value), True)


def test_fractions_and_tensors_are_numbers():
    assert same(echo(Row)([Fraction(1, 2), 1]), np.array([0.5, 1.0]))
    assert same(echo(Float[Array, "n d"])([[Fraction(1, 2)]]), np.array([[0.5]]))
    assert (
        refusal(Row, [Fraction(1), 10**400]) == "it must be an array of floats of shape (n), got object of shape (2,)"
    )
    assert same(echo(float)(torch.tensor(0.5, requires_grad=True)), 0.5)
    assert same(echo(Height)(torch.tensor(0.5)), 0.5)
    assert same(echo(Height)(torch.tensor([0.5])), np.array([0.5], "f4"))
    assert refusal(Height, torch.ones(1, requires_grad=True)) == f"{WORDS[Height]}, got torch.float32 of shape (1,)"
    assert refusal(int, torch.tensor(1.0)) == "it must be an integer, got torch.float32 of shape ()"


def test_none_has_no_rules():
    for hint in (Annotated[float | None, POSITIVE], Annotated[Float[Array, " n"] | None, POSITIVE]):
        assert echo(hint)(None) is None
    assert refusal(Annotated[float | None, POSITIVE], 0, ValueError) == "it must be positive and finite, got 0.0"


def test_a_range_has_rules():
    assert echo(Annotated[Sequence[int], at_least(1)])(range(1, 3)) == [1, 2]
    message = refusal(Annotated[Sequence[int], at_least(1)], range(3), ValueError)
    assert message == "it must be at least 1, got 0 at index 0"


class Silent:
    def __repr__(self):
        raise RuntimeError("nothing to say")


class Rude(Silent):
    @property
    def shape(self):
        raise RuntimeError("no shape")


@pytest.mark.parametrize(
    "hint", [float, str, Row, Height, Sequence[str], Callable, Literal["one"], np.random.Generator]
)
def test_what_cannot_be_printed_is_refused(hint):
    assert ", got a Silent <Silent instance at 0x" in refusal(hint, Silent())
    assert refusal(hint, Rude()).endswith(", got a Rude")


def test_messages_are_short():
    hint = Literal[tuple(f"option {i}" for i in range(99))]  # type: ignore[valid-type]
    message = refusal(hint, "x" * 999)
    assert message.startswith("it must be 'option 0' or") and message.endswith(" ...") and len(message) <= 200


def test_arguments_without_names_are_read_and_refused_too():
    @checked
    def given(*more: float, **rest: int):
        return more, rest

    assert repr(given(1, np.int8(2), key=True)) == "((1.0, 2.0), {'key': 1})"
    with pytest.raises(TypeError, match=r"^more must be a number, got a str 'two'$"):
        given(1, "two")
    with pytest.raises(TypeError, match=r"^key must be an integer, got a float 1.5$"):
        given(key=1.5)


def test_a_size_that_is_an_argument_is_named():
    @checked
    def given(n: int, x: Float[Array, "{n} d"], m: int = 3, y: Float[Array, "{m}"] | None = None):  # noqa: F821
        return x

    assert given(2, np.ones((2, 1)), y=np.ones(3)).shape == (2, 1)
    with pytest.raises(
        TypeError, match=r"^x must be an array of floats of shape \(n=3, d\), got float64 of shape \(2, 1\)$"
    ):
        given(x=np.ones((2, 1)), n=3)
    with pytest.raises(
        TypeError, match=r"^y must be an array of floats of shape \(m=3\) or None, got float64 of shape"
    ):
        given(2, np.ones((2, 1)), y=np.ones(2))


def test_every_item_is_looked_at():
    words = ["a"] * 1000
    for at in (0, 500, 999):
        assert refusal(Sequence[str], words[:at] + [at] + words[at:]) == f"it[{at}] must be a string, got an int {at}"


def test_an_axis_of_several_is_not_stretched():
    @checked
    def given(x: Row, y: Float[Array, "n *output"], z: Float[Array, "m *output"]):  # noqa: F821
        return z

    assert given([1, 2], np.ones((2, 3)), np.ones((1, 3))).shape == (1, 3)
    for y, message in {
        (2, 1, 1): r"^y must be an array of floats of shape \(n=3, \*output\), got float64 of shape \(2, 1, 1\)$",
        (1, 3): r"^y must be an array of floats of shape \(n=3, \*output\), got float64 of shape \(1, 3\)$",
        (3, 1): r"^z must be an array of floats of shape \(m, \*output=\(1,\)\), got float64 of shape \(2, 3\)$",
    }.items():
        with pytest.raises(TypeError, match=message):
            given(np.ones(3), np.ones(y), np.ones((2, 3)))


def test_a_violation_inside_a_callback_is_its_own():
    @beartype
    def inside_it(x: int) -> int:
        return x

    @checked
    def outer(x: float, callback: Callable[[Any], Any]) -> float:
        return callback("one")

    with pytest.raises(BeartypeCallHintParamViolation, match=r"inside_it\(\) parameter x='one' violates"):
        outer(1, inside_it)
    assert outer(1, lambda _: 2.0) == 2


def test_threads_keep_what_they_print_and_their_sizes(capsys):
    given = checked(rectangle)

    def refused(n):
        for _ in range(200):
            print("line")
            with pytest.raises(TypeError, match=rf"\(n={n}\), got float64 of shape \({n + 1},\)$"):
                given(np.ones((n, 2)), np.ones(n + 1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(refused, range(2, 10)))
    assert capsys.readouterr().out.count("line") == 1600


def test_a_tuple_of_a_refused_option_leaves_no_sizes():
    two = tuple[Float[Array, " n"], Float[Array, " n"]] | tuple[Float[Array, " m"], Float[Array, " n"]]
    assert len(echo(two)(([1, 2], [1, 2, 3]))) == 2


def test_what_is_empty_has_no_type():
    assert same(echo(Int[Array, " n"])([]), np.zeros(0, int))
    assert same(echo(Bool[Array, "n d"])([[]]), np.zeros((1, 0), bool))
    assert same(echo(Row)(np.zeros(0, "f4")), np.zeros(0, "f4"))
    whole = Annotated[Int[Array, " n"], SOME]
    assert refusal(whole, np.zeros(0), ValueError) == "it must be not empty, got int64 of shape (0,)"


def test_items_are_compared_with_the_arguments_before_them():
    @checked
    def given(x: Row, rows: tuple[Row, ...]):
        return len(rows)

    good = [np.ones(3)] * 50
    for at in (0, 25, 49):
        bad = [*good[:at], np.ones(2), *good[at + 1 :]]
        with pytest.raises(TypeError, match=rf"^rows\[{at}\] must be an array of floats of shape \(n=3\), got"):
            given(np.ones(3), bad)
    assert given(np.ones(3), good) == 50
    ragged = Sequence[Float[Array, "n _"]] | Float[Array, "model n width"]
    assert len(echo(ragged)([np.ones((3, 2)), np.ones((2, 2))])) == 2, "the function says what they share"

"""The engine of the exercises: stub and solution, calls of answers, comparison with the solution, kinds of difference."""

import inspect
import os
import signal
import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
import torch

from afp_utils.book import exercises
from afp_utils.book.exercises import exercise, expect


@exercise(minutes=1, hint="divide", worked="by two")
def half(x):
    """Return half of `x`.

    More text.
    """
    return x / 2


@half.checker
def _(answer):
    expect(answer(3.0) != 6.0, "that is twice x")
    expect(answer(3.0) == 1.5, "half of 3 is 1.5")


def asked(solution, inputs, mistakes=(), **given):
    """An exercise with a function as its solution, its inputs and mistakes given."""
    task = exercise(minutes=1, hint="", worked="", inputs=inputs, **given)(solution)
    for sentence, mistake in mistakes:
        task.mistake(sentence)(mistake)
    return task


def _scalars(rng):
    return [(*rng.uniform(0.5, 3, 2), time) for time in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5)]


def _law(x, gamma, time):
    return gamma * x**2 * np.exp(-time)


LAW = asked(_law, _scalars, [("without gamma", lambda x, gamma, time: x**2 * np.exp(-time))])
ARRAYS = asked(lambda a, m: a @ a.T @ a / m, lambda rng: [(rng.normal(size=(3, 3)), m) for m in (2, 3, 5, 8)])
VECTORS = asked(lambda a: np.cumsum(a**2), lambda rng: [(rng.normal(size=n),) for n in (4, 5, 6)])
PAIRS = asked(lambda x, y: (x + y, np.array([x * y, x])), lambda rng: rng.uniform(1, 2, (4, 2)).tolist())
COUNT = asked(lambda n: n * (n + 1) // 2, lambda rng: [(3,), (20,), (8,)])


def _sets(groups, n):
    return float(max(map(len, groups)) + n)


SETS = asked(_sets, lambda rng: [([{1}], 2), ([{1, 2}, {3}], 3), ([{1, 2, 3}, {1}], 4), ([{1}, {2}, {4, 5}], 2)])


def test_zero_is_no_sign_of_a_right_answer():
    task = asked(lambda x, y: x * y, lambda rng: [(0.0, 1.0), (2.0, 2.0), (3.0, 5.0)])
    assert task.check(lambda x, y: 2 * x * y).message == "your values are 2 times too large"


def test_an_answer_that_is_slow_elsewhere_is_not_tried_for_long():
    start = time.perf_counter()
    task = asked(_law, lambda rng: [(*case[:2], 1.0 + case[2]) for case in _scalars(rng)])

    def answer(x, gamma, time):
        while time <= 0.5:
            pass
        return np.sin(x * gamma * time)

    assert not task.check(answer, seconds=0.2).passed
    assert time.perf_counter() - start < 4


def test_stub_and_solution_are_made_from_one_function():
    assert half.stub == 'def half(x):\n    """Return half of `x`."""\n    ...  # your code here'
    assert half.code == 'def half(x):\n    """Return half of `x`."""\n    return x / 2'
    assert half.task == "More text."
    assert repr(half) == "Exercise half: More text."


def test_verdicts():
    assert repr(half.check(lambda x: x / 2)) == "✓ half: right"
    assert repr(half.check(lambda x: 2 * x)) == "✗ half: that is twice x"
    assert repr(half.check(lambda x: None)) == "✗ half: not solved yet: the function returns nothing"
    assert half.check(lambda x: expect(False, "not so")).message == "not so"
    assert half.check(lambda: 1).message.startswith("your function raised TypeError: ")
    assert "has not the form that is asked for" in half.check(lambda x: np.array([x, x])).message


# ---- calls ----


HELPERS = """def helper(x):
    raise ValueError('a\\nb')
def again(x):
    return again(x)"""


def written(body):
    scope = {"np": np}
    exec(  # noqa: S102 - as a notebook's cell
        compile(f"{HELPERS}\n\ndef answer(x, *rest):\n{body}", "<cell 1>", "exec"),
        scope,
    )
    return scope["answer"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("    y = 0\n    return 1 / y", "your function raised ZeroDivisionError in line 8: division by zero"),
        ("    return helper(x)", "your function raised ValueError in line 2: a"),
        ("    return np.linalg.inv(np.ones(2))", "your function raised LinAlgError in line 7: 1-dimensional array"),
        ("    raise SystemExit", "your function raised SystemExit in line 7"),
        ("    import sys\n    sys.exit(3)", "your function raised SystemExit in line 8: 3"),
        ("    raise KeyboardInterrupt", "your function raised KeyboardInterrupt in line 7"),
        ("    return again(x)", "your function raised RecursionError in line 4: maximum recursion depth exceeded"),
    ],
)
def test_errors_name_the_line_of_the_answer(body, message):
    for task in (half, LAW):
        assert task.check(written(body)).message.startswith(message)


@pytest.mark.parametrize("body", ["    while True: pass", "    while True:\n        try: x += 1\n        except: pass"])
def test_an_endless_answer_is_stopped(body):
    start = time.perf_counter()
    assert "it took more than 0.1 seconds" in half.check(written(body), seconds=0.1).message
    assert time.perf_counter() - start < 4
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_clock_that_rings_when_the_answer_has_ended_is_stopped(monkeypatch):
    """The alarm may come between the last step of an answer and the end of the watch."""
    watch, late = exercises._watch, list[bool]()

    def slow(seconds):
        end = watch(seconds)

        def ring():
            if not late:
                late.append(True)
                raise exercises._TimeUp
            end()

        return ring

    monkeypatch.setattr(exercises, "_watch", slow)
    assert half.check(half.solution).passed
    assert "ZeroDivisionError" in half.check(written("    return 1 / 0")).message
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_timer_of_the_caller_goes_on():
    signal.setitimer(signal.ITIMER_REAL, 1000)
    try:
        assert half.check(half.solution).passed
        assert 900 < signal.getitimer(signal.ITIMER_REAL)[0] <= 1000
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.mark.parametrize("slow", ["the answer", "the solution"])
def test_ctrl_c_stops_the_check_and_shows_no_solution(slow):
    def secret(x):
        if slow == "the solution":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        return x

    def answer(x):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

    task = asked(secret, lambda rng: [(1.0,), (2.0,)])
    with pytest.raises(KeyboardInterrupt, match="secret was interrupted") as raised:
        task.check(answer if slow == "the answer" else lambda x: x)
    assert [entry.name for entry in raised.traceback][1:] == ["check"]
    assert raised.value.__context__ is None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_thread_checks_as_well():
    found = []
    thread = threading.Thread(target=lambda: found.append(half.check(lambda x: x / 2)))
    thread.start()
    thread.join()
    assert found[0].passed


def _in_place(a, m):
    a /= m
    m *= 2
    return a


def test_arguments_are_copied_for_every_call():
    task = asked(lambda a, m: a / m, lambda rng: [(rng.normal(size=3), m) for m in (2, 3)], [("no", lambda a, m: a)])
    assert task.check(_in_place).passed
    assert task.check(lambda a, m: _in_place(a, m) * m).message == "no"


def test_generators_are_copied():
    task = asked(
        lambda rng, n: rng.normal(size=n), lambda rng: [(rng, 2), (rng, 3)], [("uniform", lambda rng, n: rng.random(n))]
    )
    assert task.check(lambda rng, n: [rng.normal() for _ in range(n)]).passed
    assert task.check(lambda rng, n: rng.random(size=n)).message == "uniform"


# ---- comparison ----


class Both(NamedTuple):
    slope: float
    values: np.ndarray


@dataclass
class Record:
    slope: float
    name: str


@pytest.mark.parametrize(
    ("truth", "right", "wrong"),
    [
        (1.5, [Fraction(3, 2), np.float32(1.5), np.array(1.5), torch.tensor(1.5), 1.5 + 1e-9], [1.51, [1.5], "a", {}]),
        (2.0, [2, True + 1, np.int8(2), 2 + 0j], [2 + 1e-3j, 3]),
        (1 + 2j, [np.complex64(1 + 2j), torch.tensor(1 + 2j)], [1 - 2j, 1]),
        (10**10 + 1, [np.int64(10**10 + 1)], [10**10]),
        (True, [np.True_, torch.tensor(True), 1], [False]),
        ("a", [np.str_("a")], ["b", 1]),
        ([1.0, 2.0], [(1, 2), np.array([1, 2]), [torch.tensor(1.0), 2], torch.tensor([1.0, 2])], [[1.0], 1.0, [2, 1]]),
        ((1.0, 2.0), [[1, 2], np.array([1.0, 2])], [(1.0,), 1.0, (1.0, 3.0), (1.0, None)]),
        (["a", "b"], [("a", "b")], [["a"], ["b", "a"]]),
        ({"a": 1.0, "b": [1.0, 2.0]}, [{"b": (1, 2), "a": 1}], [{"a": 1.0}, {"a": 1.0, "b": [1.0, 3.0]}, [1.0]]),
        (Both(1.0, np.ones(2)), [(1, [1, 1]), Both(1, (1, 1))], [(1, 1), (2, [1, 1])]),
        (Record(1.0, "a"), [Record(np.float32(1), "a"), {"slope": 1, "name": "a"}], [Record(1.0, "b"), 1.0]),
        (frozenset({1, 2}), [{2, 1}], [{1}]),
        (np.array([1.0, 0.0, np.inf]), [[1, 1e-13, np.inf]], [[1, 1e-5, np.inf], [1, 0, 7], [np.nan, 0, np.inf]]),
        (1e-8, [1e-8 + 1e-15], [1.1e-8]),
        (torch.tensor([1.0, 2.0], requires_grad=True), [[1.0, 2.0]], [[1.0, 2.1]]),
    ],
)
def test_results_of_all_forms_are_compared(truth, right, wrong):
    task = asked(lambda: truth, lambda rng: [()])
    for value in right:
        assert task.check(lambda value=value: value).passed, value
    for value in wrong:
        assert not task.check(lambda value=value: value).passed, value


@pytest.mark.parametrize("error", [1e-6, 1e-4])
def test_single_precision_has_a_tolerance_of_its_own(error):
    for task in (LAW, ARRAYS):
        for kind in (lambda a: torch.tensor(a, dtype=torch.float32), np.float32):
            verdict = task.check(lambda *given, t=task, kind=kind: kind(t.solution(*given) * (1 + error)))
            assert verdict.passed == (error < 1e-5)
    zero = asked(lambda x: 0 * x, lambda rng: [(1.0,), (2.0,)])
    assert zero.check(lambda x: np.float32(3e-8)).passed and not zero.check(lambda x: 3e-8).passed


def test_half_precision_and_masked_values_are_no_right_answer():
    for task in (LAW, ARRAYS):
        assert (
            "compute in double precision" in task.check(lambda *given, t=task: np.float16(t.solution(*given))).message
        )
    assert "not all of your values are finite" in LAW.check(lambda *given: np.ma.masked).message
    assert ARRAYS.check(lambda *given: np.ma.array(ARRAYS.solution(*given), mask=np.zeros((3, 3)))).passed


def test_the_tolerance_is_that_of_the_exercise():
    loose = asked(_law, _scalars, tolerance=0.02)
    assert loose.check(lambda *given: 1.01 * _law(*given)).passed
    assert not loose.check(lambda *given: 1.03 * _law(*given)).passed


# ---- sentences ----


def test_a_mistake_speaks_where_its_results_are_shared():
    first, second = ("is one", lambda x: x + (x > 1)), ("is two", lambda x: x + (x > 1) - (x < -1))
    task = asked(lambda x: x, lambda rng: [(-3.0,), (-2.0,), (0.0,), (2.0,), (3.0,)], [first, second])
    assert task.check(first[1]).message == "is one"
    assert task.check(second[1]).message == "is two"
    branch = (
        "right for some inputs, wrong for others: "  # where the answer is wrong it is that mistake, and right elsewhere
    )
    assert task.check(lambda x: x - (x < -1)).message == branch + "is two"
    up, again = ("up", lambda x: x + np.sign(x)), ("again", lambda x: x + abs(np.sign(x)))
    assert asked(task.solution, task.inputs, [up]).check(first[1]).message == branch + "up"
    for mistakes in ([up, again], [("up", lambda x: x + 7)]):  # it may be either of two, or none
        assert "up" not in asked(task.solution, task.inputs, mistakes).check(first[1]).message
    one_input = asked(task.solution, lambda rng: [(-2.0,), (2.0,)], [up])
    assert "up" not in one_input.check(first[1]).message


def test_a_mistake_in_all_parts_does_not_speak_for_one_part():
    task = asked(
        lambda x: (x, x**2), lambda rng: [(1.0,), (2.0,), (3.0,)], [("both halved", lambda x: (x / 2, x**2 / 2))]
    )
    assert "halved" not in task.check(lambda x: (x / 2, x**3)).message
    assert task.check(lambda x: (x / 2, x**3)).message == "part 1: your values are 2 times too small"


def test_dependence_is_claimed_on_independent_values_alone():
    pairs = asked(lambda x, y: abs(x @ y), lambda rng: [(s * np.ones(3), np.arange(3.0)) for s in (1, -1)])
    assert "depend" not in pairs.check(lambda x, y: x @ y).message
    lengths = asked(lambda x, m: m * (x**2).sum(), lambda rng: [(rng.normal(size=n), n + 0.5) for n in (3, 4, 5)])
    message = lengths.check(lambda x, m: m * (x**2).mean() * np.sqrt(len(x))).message
    assert message == "your result is right up to a factor that does not depend on `x` or `m`"
    assert "depend on `m`" in lengths.check(lambda x, m: m * abs(x).sum() ** 2).message
    assert "`x`" not in lengths.check(lambda x, m: m * abs(x).sum() ** 2).message


def test_an_argument_that_does_not_matter_is_named_only_where_it_is_used():
    task = asked(lambda a, m: (a + 1) ** 2, lambda rng: [(rng.normal(size=n), n + 0.5) for n in (3, 4, 5)])
    assert task.check(lambda a, m: m * (a + 1) ** 2).message == "your result depends on `m`, the right one does not"
    assert "`m`" not in task.check(lambda a, m: (a + 1) ** 3 + 1).message


def test_one_input_separates_nothing_and_a_negative_entry_does():
    task = asked(lambda a: a.sum(), lambda rng: [(np.array(row),) for row in ([1.0], [3.0, 2], [-1.0, 5], [1.5, 2, 2])])
    assert "wrong for others: " in task.check(lambda a: a.sum() + (len(a) > 2)).message
    message = task.check(lambda a: a.sum() + (a.min() < 0) * a[0]).message
    assert "wrong where the least entry of `a` is negative: " in message


def test_special_values_are_those_of_the_inputs_or_make_sense():
    count = asked(lambda a, m: a**2 / m, lambda rng: [(rng.normal(size=3), m) for m in (2, 3, 5)])
    assert "= 1" not in count.check(lambda a, m: a**2 / m**2).message  # there is no m = 1
    assert "= 1" not in count.check(lambda a, m: abs(a) / m).message  # nor a vector of ones
    assert "right with positive `a`" in count.check(lambda a, m: np.where(a > 0, a, a - 1) ** 2 / m).message
    with_one = asked(count.solution, lambda rng: [(rng.normal(size=3), m) for m in (1, 2, 3)])
    assert "right with `m` = 1" in with_one.check(lambda a, m: a**2 / m**2 + a * (m - 1)).message
    tiny = asked(lambda a: a**5, lambda rng: [(rng.normal(size=n),) for n in (3, 4, 5)])
    assert "small" not in tiny.check(lambda a: a**5 * np.where(a > 0, 2, 3)).message  # there all is about zero
    two = asked(lambda x, y: x * y + 1, lambda rng: [(1.0, 2.0), (2.0, 3.0)])
    assert "right with" not in two.check(lambda x, y: x * y**2 + 1).message  # equal results of two inputs say little
    sine = asked(lambda x, t: x * np.sin(t), lambda rng: rng.uniform(1, 2, (4, 2)).tolist())
    assert sine.check(lambda x, t: x * t).message == "your result is right up to a factor that does not depend on `x`"
    assert "right with" not in LAW.check(lambda x, gamma, time: 1.0005 * gamma * _law(x, gamma, time)).message
    assert "nearly right for small `a`" in count.check(lambda a, m: np.sin(a**2 / m)).message


KINDS = [
    (LAW, lambda x, gamma, time: x**2 * np.exp(-time), "without gamma"),
    (LAW, lambda *given: -_law(*given), "the sign is wrong"),
    (LAW, lambda *given: 2 * _law(*given), "your values are 2 times too large"),
    (LAW, lambda *given: -_law(*given) / 4, "your values are 4 times too small, and their sign or phase is wrong"),
    (LAW, lambda *given: 1j * _law(*given), "your values are complex, the right ones are real"),
    (LAW, lambda *given: np.pi * _law(*given), "your values are π times too large"),
    (LAW, lambda *given: 1.4 * _law(*given), "your values are off by a constant factor"),
    (LAW, lambda *given: _law(*given) ** 2, "your values are the squares of the right ones"),
    (LAW, lambda *given: _law(*given) ** 0.5, "your values are the square roots of the right ones"),
    (LAW, lambda *given: 1 / _law(*given), "your values are one divided by the right ones"),
    (LAW, lambda *given: 1 - _law(*given), "your values are one minus the right ones"),
    (LAW, lambda *given: _law(*given) + 0.3, "your values are off by an additive constant"),
    (LAW, lambda x, gamma, time: _law(x, gamma, time) * gamma, "your result would be right with `gamma` = 1"),
    (LAW, lambda x, gamma, time: _law(x, gamma, time) / x**2, "your result does not depend on `x`, the right one does"),
    (LAW, lambda x, gamma, time: _law(x, gamma, time) - 2 * time, "your result would be right with `time` = 0"),
    (
        LAW,
        lambda x, gamma, time: _law(x, gamma, time**2),
        "your result would be right with `time` = 0 or right with `time` = 1",
    ),
    (LAW, lambda x, gamma, time: _law(gamma, x, time), "your result would be right with `gamma` = `x`"),
    (SETS, lambda groups, n: _sets(groups, n) if len(groups) > 1 else 9.5, "wrong where the length of `groups` = 1:"),
    (SETS, lambda groups, n: n, "your result does not depend on `groups`, the right one does"),
    (LAW, lambda x, gamma, time: np.sin(gamma * x), "your result does not depend on `time`, the right one does"),
    (LAW, lambda x, gamma, time: np.nan, "not all of your values are finite"),
    (LAW, lambda x, gamma, time: 0, "your values are all zero"),
    (LAW, lambda x, gamma, time: 7, "your values are all the same, the right ones are not"),
    (LAW, lambda x, gamma, time: [_law(x, gamma, time)], "the result must be a number, got an array of shape (1,)"),
    (LAW, lambda x, gamma, time: "no", "the result must be a number, got a str"),
    (
        LAW,
        lambda x, gamma, time: _law(x, gamma, time) if time else gamma,
        "right for some inputs, wrong where `time` = 0: ",
    ),
    (
        LAW,
        lambda x, gamma, time: -_law(x, gamma, time) if time > 1.4 else _law(x, gamma, time),
        "right for some inputs, wrong where `time` is large: the sign is wrong",
    ),
    (
        LAW,
        lambda x, gamma, time: gamma * x**2 * np.exp(-time) * (1 + 0.3 * np.sin(40 * x * gamma * time + 1)),
        "some values are too large in absolute value, others too small",
    ),
    (LAW, lambda x, gamma, time: np.round(_law(x, gamma, time), 3), "near, but not exact: rounded"),
    (LAW, lambda x, gamma, time: gamma * x**2 * np.exp(9 * x * gamma * time + 1), "too large in absolute value"),
    (ARRAYS, lambda a, m: (a @ a.T @ a / m).T, "it is transposed"),
    (ARRAYS, lambda a, m: a @ a.T @ a, "your result does not depend on `m`, the right one does"),
    (ARRAYS, lambda a, m: abs(a @ a.T @ a) / m, "the sign is wrong in places"),
    (ARRAYS, lambda a, m: a @ a.T @ a / m + np.eye(3), "only the diagonal is wrong"),
    (ARRAYS, lambda a, m: a @ a.T @ a / m + 1 - np.eye(3), "right on the diagonal, wrong elsewhere"),
    (ARRAYS, lambda a, m: a @ a.T @ a / m / np.linalg.norm(a), "right up to a factor that does not depend on `m`"),
    (ARRAYS, lambda a, m: (a @ a.T @ a / m)[:2], "the result must be an array of shape (3, 3), got an array of"),
    (VECTORS, lambda a: np.cumsum(a**2)[::-1], "the values are right and stand in the wrong order"),
    (VECTORS, lambda a: np.append(0, np.cumsum(a**2)[:-1]), "the entries are shifted down by one"),
    (VECTORS, lambda a: np.where(np.arange(len(a)) < 2, np.cumsum(a**2), a), "some entries are right, others wrong"),
    (PAIRS, lambda x, y: (x + y, np.array([x * y, -x])), "part 2 wrong, the rest right: the sign is wrong in places"),
    (
        PAIRS,
        lambda x, y: (2 * x + 2 * y, np.array([x * y, x])),
        "part 1 wrong, the rest right: your values are 2 times",
    ),
    (PAIRS, lambda x, y: x + y, "the result must have 2 parts, got a number"),
    (
        PAIRS,
        lambda x, y: (x + y, np.array([[x * y, x]])),
        "part 2 must be an array of shape (2,), got an array of shape",
    ),
    (COUNT, lambda n: n * (n + 1) // 2 + 1, "your values are off by an additive constant"),
]


@pytest.mark.parametrize(("task", "answer", "sentence"), KINDS, ids=lambda item: item if isinstance(item, str) else "")
def test_the_kind_of_difference_is_told(task, answer, sentence):
    verdict = task.check(answer)
    assert not verdict.passed
    assert any(part in verdict.message for part in sentence.split("|")), verdict


def test_two_mistakes_in_two_parts_get_the_sentence_of_the_first():
    task = asked(
        lambda x, gamma, time: (x + gamma, x + time),
        _scalars,
        [
            ("gamma is added", lambda x, gamma, time: (x - gamma, x + time)),
            ("time counts once", lambda x, gamma, time: (x + gamma, x - 2 * time)),
        ],
    )
    assert task.check(lambda x, gamma, time: (x - gamma, x - 2 * time)).message == "gamma is added"
    both = asked(task.solution, _scalars, [("halved", lambda x, gamma, time: ((x + gamma) / 2, 0.0))])
    assert both.check(lambda x, gamma, time: ((x + gamma) / 2, x + time)).message == "halved"
    assert task.check(lambda x, gamma, time: (x + 2 * gamma, x - 2 * time)).message == "time counts once"


def test_the_argument_that_separates_the_wrong_inputs_best_is_named():
    def wrong(x, n):
        return x + n + (n > 4)

    signs = asked(lambda x, n: x + n, lambda rng: [(-1.0, 5.0), (-2.0, 6.0), (1.0, 1.0), (2.0, 2.0)])
    assert "wrong where `x` is negative:" in signs.check(wrong).message
    both = asked(signs.solution, lambda rng: [(1.0, 5.0), (2.0, 6.0), (3.0, 1.0), (4.0, 2.0)])
    assert "wrong for others:" in both.check(wrong).message


def test_parts_in_the_wrong_order_are_told():
    task = asked(lambda x: (x, x**2), lambda rng: [(2.0,), (3.0,)])
    assert task.check(lambda x: (x**2, x)).message == "the parts are right and stand in the wrong order"
    assert (
        asked(lambda a: a.sum(1), lambda rng: [(rng.normal(size=(2, 3)),)]).check(lambda a: a.sum(0)).message
        == "the result must be an array of shape (2,), got an array of shape (3,)"
    )
    assert (
        "it is transposed" in asked(lambda a: a, lambda rng: [(rng.normal(size=(2, 3)),)]).check(np.transpose).message
    )


@pytest.mark.parametrize(("task", "answer", "sentence"), KINDS, ids=lambda item: item if isinstance(item, str) else "")
def test_messages_hold_no_true_number(task, answer, sentence):
    message = task.check(answer).message
    for case in task.inputs(np.random.default_rng(0)):
        truths = task.solution(*case)
        for truth in np.concatenate([np.ravel(part) for part in (truths if isinstance(truths, tuple) else [truths])]):
            if truth not in (0, 1, 2, 3):
                assert f"{truth:.4g}" not in message and f"{truth:.3g}" not in message
    assert "solution" not in message
    assert inspect.getsource(task.solution).strip() not in repr(task)

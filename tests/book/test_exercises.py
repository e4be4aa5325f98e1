"""Every exercise: the solution and unusual right answers pass; the stub and each wrong answer get their own message.

Answers that nobody foresaw are refused as well, and every message of a checker is given to one wrong answer.
"""

import ast
import inspect
import re
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from afp_utils.book.exercises import exercise, exercises, expect

ROOM_FILES = sorted((Path(__file__).parents[2] / "afp_utils").glob("*/exercises_*.py"))
MODULES = [import_module(f"afp_utils.{file.parent.name}.{file.stem}") for file in ROOM_FILES]
ALL = [
    pytest.param(task, id=f"{module.__name__.split('.')[-1]}:{task.name}")
    for module in MODULES
    for task in exercises(module)
]


def written(code, name):
    """The function that a notebook cell with this code defines."""
    scope = {"np": np}
    exec(code, scope)  # noqa: S102 - the code is the book's own
    return scope[name]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_a_chapter_has_three_to_five_exercises(module):
    assert 3 <= len(exercises(module)) <= 5


@pytest.mark.parametrize("task", ALL)
def test_the_solution_passes_as_readers_see_it(task):
    verdict = task.check(written(task.code, task.name))
    assert verdict.passed, verdict


@pytest.mark.parametrize("task", ALL)
def test_the_stub_is_refused_as_not_solved(task):
    verdict = task.check(written(task.stub, task.name))
    assert not verdict.passed
    assert "not solved yet" in verdict.message


@pytest.mark.parametrize("task", ALL)
def test_wrong_answers_get_their_own_message(task):
    assert len(task.wrongs) >= 2
    messages = []
    for message, answer in task.wrongs:
        verdict = task.check(answer)
        assert not verdict.passed, message
        assert message in verdict.message
        messages.append(verdict.message)
    assert len(set(messages)) == len(messages)


# What an answer nobody foresaw may do to right numbers. Integers and truth values are not scaled: they change by one.
UNFORESEEN = {
    "scaled": lambda a: ~a if a.dtype.kind == "b" else a + 1 if a.dtype.kind in "iu" else a * 1.01,
    "shifted": lambda a: ~a if a.dtype.kind == "b" else a - 1 if a.dtype.kind in "iu" else a - 0.01 * np.abs(a).max(),
    "zeros": np.zeros_like,
    "NaN": lambda a: np.full(a.shape, np.nan),
    "None": lambda a: None,
}

# Free answers that stay right: the flow has no unit of its own, and another noise between both energies serves as well.
STILL_RIGHT = {("counterexample", "scaled", None), ("counterexample", "scaled", 2), ("counterexample", "shifted", 2)}


def changed(value, change, only=None):
    """A result with all its numbers changed, or those of part `only` alone; whatever is no number stays."""
    if isinstance(value, tuple | list):
        parts = [changed(part, change) if only in (None, k) else part for k, part in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, dict):
        return dict(zip(value, changed(list(value.values()), change, only)))
    if is_dataclass(value):
        names = [field.name for field in fields(value)]
        return replace(value, **dict(zip(names, changed([getattr(value, name) for name in names], change, only))))
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        return value
    result = change(array)
    return result if result is None or array.ndim else result[()]


def unforeseen(task):
    """Wrong answers made from the solution: (how, which part of the result or None for all, answer)."""
    shapes = []
    task.check(lambda *given: shapes.append(result := task.solution(*given)) or result)
    parts = range(len(shapes[0])) if isinstance(shapes[0], tuple | list) else ()
    for how, change in UNFORESEEN.items():
        for only in (None, *parts):
            yield how, only, lambda *given, c=change, k=only: changed(task.solution(*given), c, k)


@pytest.mark.parametrize("task", ALL)
def test_unforeseen_wrong_answers_are_refused(task):
    for how, only, answer in unforeseen(task):
        verdict = task.check(answer)
        assert verdict.passed == ((task.name, how, only) in STILL_RIGHT), (how, only, verdict)


def refusals(source):
    """Pattern of every message in a module's source that `expect` may refuse an answer with."""
    tree = ast.parse(source)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "expect"]
    return [pattern for call in calls for pattern in patterns(call.args[1], tree)]


def patterns(message, tree):
    if isinstance(message, ast.Constant):
        return [re.escape(message.value)]
    if isinstance(message, ast.JoinedStr):
        return ["".join(re.escape(part.value) if isinstance(part, ast.Constant) else ".+" for part in message.values)]
    if isinstance(message, ast.IfExp):
        return patterns(message.body, tree) + patterns(message.orelse, tree)
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For)]  # else it is the last name of a loop's table
    tables = [loop.iter for loop in loops if ast.unparse(loop.target).endswith(f", {message.id})")]
    assert tables, f"no table of slips for {ast.unparse(message)}"
    return [pattern for table in tables for row in table.elts for pattern in patterns(row.elts[-1], tree)]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_message_of_a_checker_is_given_to_a_registered_wrong_answer(module):
    given = [task.check(answer).message for task in exercises(module) for _, answer in task.wrongs]
    for pattern in refusals(inspect.getsource(module)):
        assert any(re.fullmatch(pattern, message, re.DOTALL) for message in given), pattern


@pytest.mark.parametrize("task", ALL)
def test_unusual_right_answers_are_accepted(task):
    assert task.unusuals
    for answer in task.unusuals:
        verdict = task.check(answer)
        assert verdict.passed, verdict


@pytest.mark.parametrize("task", ALL)
def test_texts_are_complete(task):
    assert task.task and task.hint and task.worked
    assert task.minutes > 0
    assert not task.name.startswith("_")


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


@dataclass(frozen=True)
class Report:
    rate: float
    steps: int
    name: str


def test_results_of_any_form_can_be_spoiled():
    scaled, shifted = UNFORESEEN["scaled"], UNFORESEEN["shifted"]
    assert changed(100.0, scaled) == 101.0 and changed(100.0, shifted) == 99.0
    assert changed(3, scaled) == 4 and changed(3, shifted) == 2
    assert not changed(np.True_, scaled) and changed(np.False_, shifted)
    assert changed((1.0, [100.0, "a"]), scaled, only=1) == (1.0, [101.0, "a"])
    assert changed({"a": 100.0, "b": 1}, scaled, only=0) == {"a": 101.0, "b": 1}
    assert changed(Report(100.0, 2, "a"), scaled) == Report(101.0, 3, "a")
    assert np.array_equal(changed(np.array([0.0, 100.0]), shifted), [-1.0, 99.0])
    assert changed((1.0, 2.0), UNFORESEEN["None"], only=1) == (1.0, None)


def test_all_messages_of_a_checker_are_found():
    plain = 'expect(a, "that is x.")'
    either = 'expect(a, "few" if b else f"{x} too many")'
    table = 'for slip, message in ((1, "one"), (2, f"not {x}")):\n    expect(slip, message)'
    found = refusals(f"{plain}\n{either}\n{table}")
    assert found == [r"that\ is\ x\.", "few", r".+\ too\ many", "one", r"not\ .+"]


def test_engine_makes_stub_and_solution_from_one_function():
    assert half.stub == 'def half(x):\n    """Return half of `x`."""\n    ...  # your code here'
    assert half.code == 'def half(x):\n    """Return half of `x`."""\n    return x / 2'
    assert half.task == "More text."


def test_engine_verdicts():
    assert repr(half.check(lambda x: x / 2)) == "✓ half: right"
    assert repr(half.check(lambda x: 2 * x)) == "✗ half: that is twice x"
    assert repr(half.check(lambda x: None)) == "✗ half: not solved yet: the function returns nothing"
    assert repr(half.check(lambda x: x / 0)) == "✗ half: your function raised ZeroDivisionError: float division by zero"
    assert half.check(lambda x: expect(False, "not so")).message == "not so"
    assert "your function raised TypeError" in half.check(lambda: 1).message
    assert "has not the form that is asked for" in half.check(lambda x: np.array([x, x])).message

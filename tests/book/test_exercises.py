"""Every exercise: the solution and unusual right answers pass; the stub and each mistake get their own sentence.

Answers that nobody foresaw are refused as well, and every message of a checker is given to one mistake.
"""

import ast
import inspect
import re
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from afp_utils.book.exercises import exercises

FILES = sorted((Path(__file__).parents[2] / "afp_utils").glob("*/exercises_*.py"))
MODULES = [import_module(f"afp_utils.{file.parent.name}.{file.stem}") for file in FILES]
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
    verdict = task.check(written(task.code, task.name), seconds=60)
    assert verdict.passed, verdict


@pytest.mark.parametrize("task", ALL)
def test_the_stub_is_refused_as_not_solved(task):
    verdict = task.check(written(task.stub, task.name), seconds=60)
    assert not verdict.passed
    assert "not solved yet" in verdict.message


@pytest.mark.parametrize("task", ALL)
def test_mistakes_get_their_own_sentence(task):
    assert len(task.mistakes) >= 2
    messages = []
    for seed in range(5 if task.inputs else 1):
        assert task.check(task.solution, seed=seed).passed
        for sentence, answer in task.mistakes:
            verdict = task.check(answer, seed=seed, seconds=60)
            assert not verdict.passed, sentence
            assert (verdict.message == sentence) if task.inputs else (sentence in verdict.message), (seed, sentence)
            messages.append(verdict.message)
    assert len(set(messages)) == len(task.mistakes)


# Numbers as readers may return them: in lists, with no axis, of torch, in single precision.
FORMS = {
    "lists": lambda a: a.tolist(),
    "arrays": lambda a: a,
    "tensors": torch.tensor,
    "single precision": lambda a: torch.tensor(a, dtype=torch.float32) if a.dtype.kind == "f" else a,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("task", [task for module in MODULES for task in exercises(module) if task.inputs])
def test_numbers_of_any_kind_are_accepted(task, form):
    verdict = task.check(lambda *given: changed(task.solution(*given), FORMS[form]), seconds=60)
    assert verdict.passed, verdict


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
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        return replace(value, **dict(zip(names, changed([getattr(value, name) for name in names], change, only))))
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        return value
    result = change(array)
    return result[()] if isinstance(result, np.ndarray) else result


def unforeseen(task):
    """Wrong answers made from the solution: (how, which part of the result or None for all, answer)."""
    shapes = []

    def noted(*given):
        shapes.append(task.solution(*given))
        return shapes[-1]

    task.check(noted, seconds=60)
    parts = range(len(shapes[0])) if isinstance(shapes[0], tuple | list) else ()
    for how, change in UNFORESEEN.items():
        for only in (None, *parts):
            yield how, only, lambda *given, c=change, k=only: changed(task.solution(*given), c, k)


@pytest.mark.parametrize("task", ALL)
def test_unforeseen_wrong_answers_are_refused(task):
    for how, only, answer in unforeseen(task):
        verdict = task.check(answer, seconds=60)
        assert verdict.passed == ((task.name, how, only) in STILL_RIGHT), (how, only, verdict)


def refusals(source):
    """Pattern of every message in a module's source that `expect` may refuse an answer with."""
    tree = ast.parse(source)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "expect"]
    return [pattern for call in calls for pattern in patterns(call.args[1], tree)]


def patterns(message, tree):
    if isinstance(message, ast.Constant):
        return [re.escape(str(message.value))]
    if isinstance(message, ast.JoinedStr):
        return [
            "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+" for part in message.values)
        ]
    if isinstance(message, ast.IfExp):
        return patterns(message.body, tree) + patterns(message.orelse, tree)
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For)]  # else it is the last name of a loop's table
    tables = [loop.iter for loop in loops if ast.unparse(loop.target).endswith(f", {message.id})")]
    assert tables, f"no table of slips for {ast.unparse(message)}"
    return [pattern for table in tables for row in table.elts for pattern in patterns(row.elts[-1], tree)]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_message_of_a_checker_is_given_to_a_registered_mistake(module):
    given = [task.check(answer).message for task in exercises(module) for _, answer in task.mistakes]
    for pattern in refusals(inspect.getsource(module)):
        assert any(re.fullmatch(pattern, message, re.DOTALL) for message in given), pattern


def unusual(task):
    """Right answers in tests/ROOM/unusual_CHAPTER.py: functions named like the exercise, a second one with `_2`."""
    _, room, chapter = task.solution.__module__.split(".")
    place = f"tests.{room}.{chapter.replace('exercises', 'unusual')}"
    written = vars(import_module(place)) if find_spec(place) else {}
    return [item for name, item in written.items() if re.fullmatch(rf"{task.name}(_\d)?", name)]


@pytest.mark.parametrize("task", ALL)
def test_unusual_right_answers_are_accepted(task):
    assert unusual(task)
    for answer in unusual(task):
        verdict = task.check(answer, seconds=60)
        assert verdict.passed, verdict


@pytest.mark.parametrize("task", ALL)
def test_texts_are_complete(task):
    assert task.task and task.hint and task.worked
    assert task.minutes > 0
    assert not task.name.startswith("_")


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

"""Every exercise: the solution and unusual right answers pass; the stub and each wrong answer get their own message."""

import pkgutil
from importlib import import_module

import numpy as np
import pytest

from afp_utils import exercises as engine
from afp_utils.exercises import exercise, exercises, expect

MODULES = [import_module(f"afp_utils.exercises.{found.name}") for found in pkgutil.iter_modules(engine.__path__)]
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


def test_engine_makes_stub_and_solution_from_one_function():
    assert half.stub == 'def half(x):\n    """Return half of `x`."""\n    ...  # your code here'
    assert half.code == 'def half(x):\n    """Return half of `x`."""\n    return x / 2'
    assert half.task == "More text."


def test_engine_verdicts():
    assert repr(half.check(lambda x: x / 2)) == "✓ half: right"
    assert repr(half.check(lambda x: 2 * x)) == "✗ half: that is twice x"
    assert repr(half.check(lambda x: None)) == "✗ half: not solved yet: the function returns nothing"
    assert repr(half.check(lambda x: x / 0)) == "✗ half: your function raised ZeroDivisionError: float division by zero"
    assert "your function raised TypeError" in half.check(lambda: 1).message
    assert "has not the form that is asked for" in half.check(lambda x: np.array([x, x])).message

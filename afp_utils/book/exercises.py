r"""Exercises: task, stub, checker, hint, worked solution and known wrong answers, all from one function.

A chapter's module writes the worked solution as a function. The first line of its docstring stays in the stub; the rest
is the task, shown as text above it:

    @exercise(minutes=10, hint="...", worked="...")
    def half(x):
        '''Return half of `x`.

        A bar of length $x$ is cut in two equal parts. How long is each?
        '''
        return x / 2

    @half.checker
    def _(answer):
        expect(answer(3.0) != 6.0, "that is twice x")
        expect(answer(3.0) == 1.5, "half of 3 is 1.5")

    @half.wrong("that is twice x")
    def _(x):
        return 2 * x

    @half.unusual
    def _(x):
        return x - 0.5 * x

The stub that readers fill is the solution with its body blanked. The tests run every checker on the solution and the
unusual answers (accepted), on the stub and on the wrong answers (refused, each with its own message).
"""

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any


class Mistake(Exception):
    """What is wrong with an answer, in words for the reader."""


def expect(condition: Any, message: str) -> None:
    """Refuse an answer with `message` unless the condition holds."""
    if not condition:
        raise Mistake(message)


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and what to do if it is not."""

    name: str
    passed: bool
    message: str

    def __repr__(self) -> str:
        return f"{'✓' if self.passed else '✗'} {self.name}: {self.message}"


@dataclass(frozen=True)
class Exercise:
    """One exercise; made by `exercise`, shown by the chapter, tried with `check`."""

    solution: Callable[..., Any]
    minutes: int
    hint: str
    worked: str
    checkers: list[Callable[[Callable[..., Any]], None]] = field(default_factory=list)
    wrongs: list[tuple[str, Callable[..., Any]]] = field(default_factory=list)
    unusuals: list[Callable[..., Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.solution.__name__

    @property
    def task(self) -> str:
        """What the reader is asked: the docstring below its first line."""
        return inspect.cleandoc(self.solution.__doc__ or "").partition("\n")[2].strip()

    @property
    def code(self) -> str:
        """The worked solution as a reader would write it: no decorator, the docstring cut to its first line."""
        head, body = self._parts()
        return "\n".join([*head, *body])

    @property
    def stub(self) -> str:
        """The worked solution with everything below its docstring blanked."""
        return "\n".join([*self._parts()[0], "    ...  # your code here"])

    def _parts(self) -> tuple[list[str], list[str]]:
        source = textwrap.dedent(inspect.getsource(self.solution))
        function, lines = ast.parse(source).body[0], source.splitlines()
        assert isinstance(function, ast.FunctionDef)
        docstring = function.body[0]
        first = inspect.cleandoc(self.solution.__doc__ or "").splitlines()[0]
        head = lines[function.lineno - 1 : docstring.lineno - 1]
        return [*head, f'    """{first}"""'], lines[docstring.end_lineno :]

    def checker(self, function: Callable[[Callable[..., Any]], None]) -> None:
        """Register the function that tries an answer and raises `Mistake` where it is wrong."""
        self.checkers.append(function)

    def wrong(self, message: str) -> Callable[[Callable[..., Any]], None]:
        """Register a likely wrong answer with a part of the message it must get."""
        return lambda function: self.wrongs.append((message, function))

    def unusual(self, function: Callable[..., Any]) -> None:
        """Register a right answer that is written in another way."""
        self.unusuals.append(function)

    def check(self, answer: Callable[..., Any]) -> Verdict:
        """Try an answer: a verdict that names the likely mistake. Never raises, so that a chapter runs to its end."""

        def tried(*arguments: Any, **named: Any) -> Any:
            try:
                result = answer(*arguments, **named)
            except Mistake:  # of a function that the checker handed out
                raise
            except Exception as error:
                kind = type(error).__name__
                raise Mistake(f"your function raised {kind}: {error}") from error
            nothing = "not solved yet: the function returns nothing"
            expect(result is not None and result is not ..., nothing)
            return result

        try:
            for checker in self.checkers:
                checker(tried)
        except Mistake as mistake:
            return Verdict(self.name, False, str(mistake))
        except Exception as error:  # noqa: BLE001 - answers may be anything
            message = f"the answer has not the form that is asked for: {error}"
            return Verdict(self.name, False, message)
        return Verdict(self.name, True, "right")


def exercise(*, minutes: int, hint: str, worked: str) -> Callable[[Callable[..., Any]], Exercise]:
    """Make the decorated function the code of a worked solution; `worked` is its reasoning, `hint` one step of it."""
    return lambda solution: Exercise(solution, minutes, hint, worked)


def exercises(module: ModuleType) -> list[Exercise]:
    """The exercises of a chapter's module, in the order of the file."""
    return [item for item in vars(module).values() if isinstance(item, Exercise)]

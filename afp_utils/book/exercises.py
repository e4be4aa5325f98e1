r"""Exercises: task, stub, worked solution, inputs and likely mistakes, each written once.

A chapter's module writes the worked solution as a function. The first line of its docstring stays in the stub; the rest
is the task, shown as text above it:

>>> @exercise(minutes=10, hint="...", worked="...", inputs=lambda rng: [(rng.normal(),) for _ in range(4)])
... def half(x):
...     '''Return half of `x`.
...
...     A bar of length $x$ is cut in two equal parts. How long is each?
...     '''
...     return x / 2
>>> @half.mistake("that is twice x")
... def _(x):
...     return 2 * x
>>> half.check(lambda x: x - x / 2)
✓ half: right
>>> half.check(lambda x: 2 * x)
✗ half: that is twice x
>>> half.check(lambda x: -x / 2)
✗ half: the sign is wrong

An answer is compared with the solution on the inputs, and every call gets its own copy of them. A wrong answer gets the
sentence of the mistake that gives the same results, else one about the kind of difference: form, part, inputs, sign,
factor, order, entries. An exercise with several right answers has a `checker` in place of `inputs`; the sentence of a
mistake is then a part of the message that the checker gives it.
"""

import ast
import copy
import inspect
import signal
import textwrap
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from afp_utils.book.difference import Mistake, attempt, difference, expect, leaves, same

Answer = Callable[..., Any]


class _TimeUp(BaseException):
    """Raised inside an answer that takes too long."""


class _Interrupted(BaseException):
    """Raised inside an answer by Ctrl-C; a `KeyboardInterrupt` is the answer's own."""


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and what to do if it is not."""

    name: str
    passed: bool
    message: str

    def __repr__(self) -> str:
        return f"{'✓' if self.passed else '✗'} {self.name}: {self.message}"


@dataclass(frozen=True, repr=False)
class Exercise:
    """One exercise; made by `exercise`, shown by the chapter, tried with `check`."""

    solution: Answer
    minutes: int
    hint: str
    worked: str
    objective: str = ""
    points: int = 1
    difficulty: str = ""
    inputs: Callable[[np.random.Generator], Iterable[tuple[Any, ...]]] | None = None
    tolerance: float = 1e-6
    checkers: list[Callable[[Answer], None]] = field(default_factory=list)
    mistakes: list[tuple[str, Answer]] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"Exercise {self.name}: {self.task}"

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
        return self._head_and_body[0] + self._head_and_body[1]

    @property
    def stub(self) -> str:
        """The worked solution with everything below its docstring blanked."""
        return f"{self._head_and_body[0]}    ...  # your code here"

    @property
    def _head_and_body(self) -> tuple[str, str]:
        lines = textwrap.dedent(inspect.getsource(self.solution)).splitlines()
        function = ast.parse("\n".join(lines)).body[0]
        assert isinstance(function, ast.FunctionDef)
        docstring = function.body[0]
        head = lines[function.lineno - 1 : docstring.lineno - 1]
        first = inspect.cleandoc(self.solution.__doc__ or "").partition("\n")[0]
        return "\n".join([*head, f'    """{first}"""', ""]), "\n".join(lines[docstring.end_lineno :])

    def checker(self, function: Callable[[Answer], None]) -> None:
        """Register the function that tries an answer and raises `Mistake` where it is wrong."""
        self.checkers.append(function)

    def mistake(self, sentence: str) -> Callable[[Answer], None]:
        """Register a likely wrong answer with the sentence for those who give it."""
        return lambda function: self.mistakes.append((sentence, function))

    def check(self, answer: Answer, *, seed: int = 0, seconds: float = 5.0) -> Verdict:
        """Try an answer on the inputs of a seed: a verdict that names the likely mistake.

        A call may take `seconds` in the main thread of a POSIX system; elsewhere, and inside one call of compiled code
        (`sum(range(10**10))`), it may take for ever. Nothing is raised but `KeyboardInterrupt` for the user's own
        Ctrl-C, so that a chapter runs to its end.
        """

        def tried(*arguments: Any, **named: Any) -> Any:
            result = _call(answer, arguments, named, seconds)
            expect(result is not None and result is not ..., "not solved yet: the function returns nothing")
            return result

        try:
            if self.inputs:
                self._compare(tried, list(self.inputs(np.random.default_rng(seed))))
            for checker in self.checkers:
                checker(tried)
        except Mistake as mistake:
            return Verdict(self.name, False, str(mistake))
        except Exception as error:  # noqa: BLE001 - answers may be anything
            return Verdict(self.name, False, f"the answer has not the form that is asked for: {error}")
        except (_Interrupted, KeyboardInterrupt):
            pass  # raised below, without the frames of the solution
        else:
            return Verdict(self.name, True, "right")
        raise KeyboardInterrupt(f"{self.name} was interrupted")

    def _compare(self, answer: Answer, cases: list[tuple[Any, ...]]) -> None:
        """Raise `Mistake` unless an answer has the results of the solution."""
        cases = [tuple(item.item() if isinstance(item, np.generic) else item for item in case) for case in cases]
        given = [answer(*copy.deepcopy(case)) for case in cases]
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            truths = [self.solution(*copy.deepcopy(case)) for case in cases]
            if all(self._alike(given, truths)):
                return
            if sentence := self._listed(given, truths, cases):
                raise Mistake(sentence)
            names = list(inspect.signature(self.solution).parameters)
            results = [leaves(*pair) for pair in zip(given, truths)]
            raise Mistake(difference(names, answer, self.solution, cases, results, self.tolerance))

    def _listed(self, given: list[Any], truths: list[Any], cases: list[tuple[Any, ...]]) -> str:
        """The sentence of the mistake with these results, or else of one in a single part of them; or nothing."""
        tried = [(sentence, [attempt(mistake, case) for case in cases]) for sentence, mistake in self.mistakes]
        found = self._shared(given, truths, tried)
        for k in range(len(truths[0])) if isinstance(truths[0], tuple) else ():  # two mistakes in two parts, say
            with suppress(TypeError, LookupError, ValueError):  # of an answer of another form
                mixed = _only(k, given, truths)
                lone = all(self._alike(mixed, given))  # then it does not matter what a mistake does to the other parts
                others = [(sentence, _only(k, results, truths) if lone else results) for sentence, results in tried]
                found = found or self._shared(mixed, truths, others)
        return found

    def _shared(self, given: list[Any], truths: list[Any], tried: list[tuple[str, list[Any]]]) -> str:
        """The sentence of the mistake with these results on all inputs, or else of the one where they are wrong."""
        right, some = self._alike(given, truths), []
        for sentence, results in [] if all(right) else tried:
            alike = self._alike(given, results)
            if all(alike):
                return sentence
            some += [sentence] * all(a or r for a, r in zip(alike, right))
        known = len(some) == 1 and right.count(False) > 1  # on one input results may be equal by chance
        return f"right for some inputs, wrong for others: {some[0]}" if known else ""

    def _alike(self, results: list[Any], others: list[Any]) -> list[bool]:
        return [same(*pair, self.tolerance) for pair in zip(results, others)]


def _only(k: int, results: list[Any], truths: list[Any]) -> list[Any]:
    """Part `k` of each result, and the true other parts."""
    return [(*truth[:k], one[k], *truth[k + 1 :]) for one, truth in zip(results, truths)]


# ---- calls ----


def _watch(seconds: float) -> Callable[[], None]:
    """Stop what runs after `seconds` or on Ctrl-C, in the main thread of a POSIX system. Returns what ends the watch."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        return lambda: None

    def stop(number: int, _: Any) -> None:
        raise _Interrupted if number == signal.SIGINT else _TimeUp

    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGALRM)}
    rest = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again where it is swallowed

    def end() -> None:
        signal.setitimer(signal.ITIMER_REAL, *rest)
        for number, handler in old.items():
            signal.signal(number, handler or signal.SIG_DFL)

    return end


def _call(function: Answer, arguments: tuple[Any, ...], named: dict[str, Any], seconds: float) -> Any:
    """The result of an answer; what it raises becomes a `Mistake` with the line of the answer."""
    try:
        end = _watch(seconds)
        try:
            return function(*arguments, **named)
        finally:
            try:
                end()
            except _TimeUp:  # just now, when the answer had ended: nobody would stop the clock
                end()
    except (Mistake, _Interrupted):  # of a function that the checker handed out; of the user
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit as well
        frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
        theirs = [frame for frame in frames if frame[0] != __file__]
        line = next((f" in line {line}" for file, line in theirs[::-1] if file == theirs[0][0]), "")  # of one cell
        if isinstance(error, _TimeUp):
            raise Mistake(f"your function was stopped{line}: it took more than {seconds:g} seconds") from None
        first = str(error).partition("\n")[0]
        raise Mistake(f"your function raised {type(error).__name__}{line}" + f": {first}" * bool(first)) from None


def exercise(*, minutes: int, hint: str, worked: str, **given: Any) -> Callable[[Answer], Exercise]:
    """Make the decorated function the code of a worked solution; `worked` is its reasoning, `hint` one step of it.

    What else may be given: `objective`, `points`, `difficulty`; `inputs`, which makes tuples of arguments from a random
    generator (several, and more than one value of each argument); the relative `tolerance`.
    """
    return lambda solution: Exercise(solution, minutes, hint, worked, **given)


def exercises(module: ModuleType) -> list[Exercise]:
    """The exercises of a chapter's module, in the order of the file."""
    return [item for item in vars(module).values() if isinstance(item, Exercise)]

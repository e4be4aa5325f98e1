"""What kind of difference there is between an answer and the truth, in words that tell the mistake and not the truth."""

import copy
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from numbers import Number
from typing import Any

import numpy as np

Answer = Callable[..., Any]
Leaf = tuple[str, np.ndarray, np.ndarray]  # place in the result, answer, truth
Case = tuple[Any, ...]
Pair = tuple[np.ndarray, np.ndarray]  # answer, truth


class Mistake(Exception):
    """What is wrong with an answer, in words for the reader."""


def expect(condition: Any, message: str) -> None:
    """Refuse an answer with `message` unless the condition holds."""
    if not condition:
        raise Mistake(message)


# ---- comparison ----


def _plain(value: Any) -> Any:
    """Numbers of any kind as an array, dataclasses as dictionaries, everything else as it is."""
    if hasattr(value, "detach"):  # a torch tensor
        value = value.detach().cpu().numpy()
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in fields(value)}
    if isinstance(value, list):
        parts = [_plain(part) for part in value]
        if all(isinstance(part, np.ndarray) for part in parts) and len({part.shape for part in parts}) < 2:
            return np.array(parts)
        return tuple(value)
    if isinstance(value, Number | np.ndarray | np.generic):
        array = np.asarray(value)
        return array.astype(float) if isinstance(value, Number) and array.dtype == object else array  # fractions
    return value


def _form(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return f"an array of shape {value.shape}" if value.ndim else "a number"
    return f"a {type(value).__name__}"


def leaves(got: Any, truth: Any, place: str = "") -> list[Leaf]:
    """Arrays to compare, each with its place in the result; raises `Mistake` if the forms differ."""
    got, truth, what = _plain(got), _plain(truth), place or "the result"
    if isinstance(truth, dict):
        keys = f"{what} must have the entries {', '.join(map(str, truth))}"
        expect(isinstance(got, dict) and set(got) == set(truth), keys)
        return [leaf for key in truth for leaf in leaves(got[key], truth[key], f"`{key}`{place and ' of '}{place}")]
    if isinstance(truth, tuple):
        sized = isinstance(got, tuple) or (isinstance(got, np.ndarray) and got.ndim > 0)
        expect(sized, f"{what} must have {len(truth)} parts, got {_form(got)}")
        expect(len(got) == len(truth), f"{what} must have {len(truth)} parts, got {len(got)}")
        parts = [f"part {k}{place and ' of '}{place}" for k in range(1, len(truth) + 1)]
        return [leaf for both in zip(got, truth, parts) for leaf in leaves(*both)]
    if isinstance(truth, np.ndarray) and truth.dtype.kind in "biufc":
        got = _plain(list(got)) if isinstance(got, tuple) else got
        wrong = f"{what} must be {_form(truth)}, got {_form(got)}"
        expect(isinstance(got, np.ndarray) and got.dtype.kind in "biufc", wrong)
        turned = got.shape == truth.T.shape and _close(got.T, truth).all()
        expect(got.shape == truth.shape, wrong + ": it is transposed" * bool(turned))
        return [(place, got, truth)]
    return [(place, np.array(np.array_equal(got, truth), object), np.array(True, object))]


def same(one: Any, other: Any, tolerance: float) -> bool:
    """Whether two results have one form and the same values."""
    try:
        return all(_close(a, b, tolerance).all() for _, a, b in leaves(one, other))
    except Mistake:
        return False


def _close(got: np.ndarray, truth: np.ndarray, tolerance: float = 1e-6) -> np.ndarray:
    """Which entries agree: integers exactly, others to a relative tolerance, single precision to its own."""
    if got.dtype.kind in "biuO" and truth.dtype.kind in "biuO":
        return np.asarray(got == truth)
    grain = np.finfo(got.dtype).eps if got.dtype.kind in "fc" else 0.0
    single = grain > 1e-12
    tolerance = max(tolerance, np.sqrt(grain)) if single else tolerance
    size = np.abs(truth[np.isfinite(truth)]).max(initial=0.0)
    # entries that cancel to about zero have the rounding of the large ones
    floor = max(1e-3 * tolerance, 100 * grain) * size + max(1e-12, grain)
    return np.isclose(got, truth, rtol=tolerance, atol=floor, equal_nan=True)


# ---- what kind of difference ----

# Sentence, and what then holds for every result and its truth.
KINDS: tuple[tuple[str, Answer], ...] = (
    ("the sign is wrong", lambda a, b: _close(-a, b)),
    ("your values are all zero", lambda a, b: a == 0),
    ("the sign is wrong in places", lambda a, b: _close(np.abs(a), np.abs(b))),
    ("it is transposed", lambda a, b: a.shape == b.T.shape and _close(a, b.T)),
    ("the values are right and stand in the wrong order", lambda a, b: _close(np.sort(a, None), np.sort(b, None))),
    ("the entries are shifted by one", lambda a, b: a.ndim and len(a) > 1 and _shifted(a, b)),
    ("only the diagonal is wrong", lambda a, b: a.ndim == 2 and (_close(a, b) | (np.eye(*a.shape) > 0))),
    ("right on the diagonal, wrong elsewhere", lambda a, b: a.ndim == 2 and _close(np.diag(a), np.diag(b))),
)


def _shifted(got: np.ndarray, truth: np.ndarray) -> bool:
    return bool(_close(got[1:], truth[:-1]).all() or _close(got[:-1], truth[1:]).all())


def difference(
    names: list[str], answer: Answer, solution: Answer, cases: list[Case], results: list[list[Leaf]], tolerance: float
) -> str:
    """Where an answer is wrong if not everywhere, and what kind of difference that is, or at least what else is known."""
    bad = [[leaf for leaf in leaves if not _close(*leaf[1:], tolerance).all()] for leaves in results]
    # a result that should be zero is easily right
    told = [b or not any(truth.any() for _, _, truth in leaves) for b, leaves in zip(bad, results)]
    where = "" if all(told) else f"right for some inputs, wrong {_inputs(names, cases, [len(b) > 0 for b in bad])}: "
    places, wrong = [leaf[0] for leaf in results[0]], {leaf[0] for leaves in bad for leaf in leaves}
    if len(places) > len(wrong):
        where += f"{' and '.join(place for place in places if place in wrong)} wrong, the rest right: "
    if len(wrong) > 1 and all(map(_exchanged, results)):
        return where + "the parts are right and stand in the wrong order"
    pairs = [(got + 0.0, truth + 0.0) for leaves in bad for _, got, truth in leaves if truth.dtype != "O"]
    if not pairs:
        return where + "that is not the right one"
    kinds = (words for words, fits in KINDS if all(np.all(fits(*pair)) for pair in pairs))
    kind = next(kinds, "") or _factor(pairs) or experiment(names, answer, solution, cases, tolerance)
    return where + (kind or _rest(pairs))


def _exchanged(leaves: list[Leaf]) -> bool:
    return all(any(same(got, truth, 1e-6) for *_, truth in leaves) for _, got, _ in leaves)


def _rest(pairs: list[Pair]) -> str:
    if all(truth.ndim and _close(got, truth).any() for got, truth in pairs):
        return "some entries are right, others wrong"
    if all(np.abs(got - truth).max(initial=0.0) <= 0.01 * np.abs(truth).max(initial=0.0) for got, truth in pairs):
        return "near, but not exact: rounded, simulated or approximate?"
    if all(
        truth.ndim and _close(got / np.linalg.norm(got), truth / np.linalg.norm(truth)).all() for got, truth in pairs
    ):
        return "each result is right up to a factor that changes with the inputs"
    got, truth = (sum(np.abs(pair[k]).sum() for pair in pairs) for k in (0, 1))
    far = f"far too {'large' if got > truth else 'small'}"
    return "of the right size, but wrong" if truth < 2 * got < 4 * truth else far


def _inputs(names: list[str], cases: list[Case], bad: list[bool]) -> str:
    """The one argument that separates the inputs where an answer is wrong from the others, if there is one."""
    found = []
    for k, name in enumerate(names):
        sizes = [_number(case[k]) for case in cases]
        if None in sizes:
            continue
        label = f"`{name}`" if isinstance(cases[0][k], Number) else f"the length of `{name}`"
        wrong, right = (np.array([size for size, b in zip(sizes, bad) if b is kind]) for kind in (True, False))
        one = (wrong == wrong[0]).all() and wrong[0] not in right and (len(wrong) > 1 or wrong[0] in (0, 1))
        rules = (
            (f"= {wrong[0]:g}", one),
            ("is negative", (wrong < 0).all() and (right >= 0).all()),
            ("is positive", (wrong > 0).all() and (right <= 0).all()),
            ("is small", wrong.max() < right.min()),
            ("is large", wrong.min() > right.max()),
        )
        found += [((rank + 1) // 2, f"where {label} {words}") for rank, (words, fits) in enumerate(rules) if fits][:1]
    best = [words for rank, words in found if rank == min(found)[0]]
    return best[0] if len(best) == 1 else "for others"


def _number(value: Any) -> float | None:
    """What a sentence can say of an argument: a number itself, or the length of an array."""
    value = _plain(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.ndim == 0:
        return float(value)
    return float(len(value)) if isinstance(value, np.ndarray | tuple) else None


def _factor(pairs: list[Pair]) -> str:
    """One factor, one additive constant or one value for all."""
    if not all(np.isfinite(a).all() or not np.isfinite(b).all() for a, b in pairs):
        return "not all of your values are finite"
    got, truth = (np.concatenate([np.ravel(pair[k]) for pair in pairs]) for k in (0, 1))
    if len(np.unique(truth)) < 2:
        return ""
    top = np.abs(truth).argmax()
    factor, shift = got[top] / truth[top], got[top] - truth[top]
    if all(_close(a, factor * b).all() for a, b in pairs):
        much = max(abs(factor), 1 / abs(factor))
        words = f"{much:.4g} times" if much > 1.1 else f"{much - 1:.2g} of their size"
        sign = "" if np.isclose(factor, abs(factor)) else ", and their sign or phase is wrong"
        return f"your values are {words} too {'large' if abs(factor) > 1 else 'small'}{sign}"
    if all(_close(a, b + shift).all() for a, b in pairs):
        return "your values are off by an additive constant"
    return "your values are all the same, the right ones are not" if _close(got, got[:1]).all() else ""


# ---- what happens at other arguments ----


def attempt(function: Answer, arguments: Case) -> Any:
    """The result on a copy of the arguments; None, which no result equals, where the function fails."""
    try:
        return function(*copy.deepcopy(arguments))
    except Exception:  # noqa: BLE001 - on some arguments a mistake may fail
        return None


def experiment(
    names: list[str], answer: Answer, solution: Answer, cases: list[Case], tolerance: float, seconds: float = 2.0
) -> str:
    """Name an argument on which only one of both depends, or one at whose special value the answer is right."""
    end, found = time.monotonic() + seconds, list[str]()
    before = [[attempt(function, case) for case in cases] for function in (answer, solution)]
    for words, moved in _moves(names, cases):
        if time.monotonic() > end:
            break
        after = [[attempt(function, case) for case in moved] for function in (answer, solution)]
        if any(result is None for results in after for result in results):
            continue
        if not words.startswith("on "):
            if all(same(one, other, tolerance) for one, other in zip(*after)) and _varied(after[1]):
                found.append(words)
            continue
        depends = [not all(same(*both, tolerance) for both in zip(*pair)) for pair in zip(before, after)]
        if depends[0] != depends[1]:
            which = ("depends", "does not") if depends[0] else ("does not depend", "does")
            return f"your result {which[0]} {words}, the right one {which[1]}"
    return f"your result would be right with {' or '.join(found[:2])}: look at how that enters" if found else ""


def _varied(results: list[Any]) -> bool:
    """Whether results say enough for an answer that shares them: several finite sizes."""
    values = np.concatenate([np.abs(np.ravel(a)) for result in results for _, a, _ in leaves(result, result)])
    return bool(np.isfinite(values).all() and not _close(values, values[:1]).all())


def _moves(names: list[str], cases: list[Case]) -> Iterator[tuple[str, list[Case]]]:
    """Words for a change of one argument, and the changed arguments: that of the next case, zero, one, another one."""
    sorts = [[(type(value), getattr(_plain(value), "shape", None)) for value in case] for case in cases]
    for k, name in enumerate(names):

        def put(values: Iterable[Any], k: int = k) -> list[Case]:
            return [(*case[:k], value, *case[k + 1 :]) for case, value in zip(cases, values)]

        after = [*range(1, len(cases)), 0]
        alike = [j if sorts[i][k] == sorts[j][k] else i for i, j in enumerate(after)]
        yield f"on `{name}`", put(cases[j][k] for j in alike)
        for number in (0, 1):
            with suppress(TypeError):
                yield f"`{name}` = {number}", put([_filled(case[k], number) for case in cases])
        for j in range(k):
            if all(sort[j] == sort[k] for sort in sorts):
                yield f"`{name}` = `{names[j]}`", put(case[j] for case in cases)


def _filled(value: Any, number: int) -> Any:
    """A value of the same form with all its numbers equal to `number`; raises `TypeError` where there are others."""
    array = _plain(list(value) if isinstance(value, tuple) else value)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf":
        raise TypeError
    filled = np.full_like(array, number)
    return filled if isinstance(value, np.ndarray) else type(value)(filled.tolist())

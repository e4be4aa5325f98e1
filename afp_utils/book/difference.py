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
    if isinstance(value, np.ma.MaskedArray):
        value = value.astype(float).filled(np.nan)
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
        expect(got.dtype != np.float16, f"{what} has half precision: compute in double precision")
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
    tolerance = max(tolerance, 100 * grain)
    size = np.abs(truth[np.isfinite(truth)]).max(initial=0.0)
    # entries that cancel to about zero have the rounding of the large ones
    floor = max(1e-3 * tolerance, 100 * grain) * size + (1e-12 if size else max(1e-12, grain))
    return np.isclose(got, truth, rtol=tolerance, atol=floor, equal_nan=True)


# ---- what kind of difference ----

# Sentence, and what then holds for every result and its truth.
KINDS: tuple[tuple[str, Answer], ...] = (
    ("your values are complex, the right ones are real", lambda a, b: np.iscomplexobj(a) > np.iscomplexobj(b)),
    ("the sign is wrong", lambda a, b: _close(-a, b)),
    ("your values are all zero", lambda a, b: a == 0),
    ("the sign is wrong in places", lambda a, b: _close(np.abs(a), np.abs(b))),
    ("your values are the squares of the right ones", lambda a, b: _close(a, b**2)),
    ("your values are the square roots of the right ones", lambda a, b: _close(a**2, b) & (a >= 0)),
    ("your values are one divided by the right ones", lambda a, b: _close(a * b, np.ones_like(b))),
    ("your values are one minus the right ones", lambda a, b: _close(1 - a, b)),
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
    of = {
        place: [(got + 0.0, truth + 0.0) for b in bad for p, got, truth in b if p == place and truth.dtype != "O"]
        for place in places
    }
    pairs = [pair for pairs in of.values() for pair in pairs]
    if not pairs:
        return where + "that is not the right one"
    in_part = (f"{place}: {kind}" for place in places if (kind := of[place] and _kind(of[place])))
    kind = _kind(pairs) or next(in_part, "") or experiment(names, answer, solution, cases, tolerance)
    return where + (kind or _rest(pairs))


def _kind(pairs: list[Pair]) -> str:
    kinds = (words for words, fits in KINDS if all(np.all(fits(*pair)) for pair in pairs))
    return next(kinds, "") or _factor(pairs)


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
    sizes = [{label: size for pair in zip(names, case) for label, size in _sizes(*pair)} for case in cases]
    for label in (label for label in sizes[0] if all(label in size for size in sizes)):
        wrong, right = (np.array([size[label] for size, b in zip(sizes, bad) if b is kind]) for kind in (True, False))
        one = (wrong == wrong[0]).all() and wrong[0] not in right and (len(wrong) > 1 or wrong[0] in (0, 1))
        several = min(len(wrong), len(right)) > 1  # one alone is an end of the line in half of all cases
        rules = (
            (f"= {wrong[0]:g}", one),
            ("is negative", (wrong < 0).all() and (right >= 0).all()),
            ("is positive", (wrong > 0).all() and (right <= 0).all()),
            ("is small", several and wrong.max() < right.min()),
            ("is large", several and wrong.min() > right.max()),
        )
        found += [((rank + 1) // 2, f"where {label} {words}") for rank, (words, fits) in enumerate(rules) if fits][:1]
    best = [words for rank, words in found if rank == min(found)[0]]
    return best[0] if len(best) == 1 else "for others"


def _sizes(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """What a sentence can say of an argument: a number itself, or the length and the least entry of an array."""
    value = _plain(value)
    number = isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
    if number and value.ndim == 0:
        yield f"`{name}`", float(value)
    elif isinstance(value, np.ndarray | tuple):
        yield f"the length of `{name}`", len(value)
        if number and value.size:
            yield f"the least entry of `{name}`", float(value.min())


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
        much, known = (
            max(abs(factor), 1 / abs(factor)),
            {"π": np.pi, "2π": 2 * np.pi} | {str(k): k for k in range(2, 11)},
        )
        times = next((f"{word} times" for word, size in known.items() if np.isclose(much, size)), "")
        size = f"{times} too {'large' if abs(factor) > 1 else 'small'}" if times else "off by a constant factor"
        return f"your values are {size}" + ", and their sign or phase is wrong" * (not np.isclose(factor, abs(factor)))
    if all(_close(a, b + shift).all() for a, b in pairs):
        return "your values are off by an additive constant"
    return "your values are all the same, the right ones are not" if _close(got, got[:1]).all() else ""


# ---- what happens at other arguments ----

# What an answer and the truth may differ by, and how to find it.
ERRORS: tuple[tuple[str, Answer], ...] = (("factor", np.divide), ("term", np.subtract))


def attempt(function: Answer, arguments: Case) -> Any:
    """The result on a copy of the arguments; None, which no result equals, where the function fails."""
    try:
        return function(*copy.deepcopy(arguments))
    except Exception:  # noqa: BLE001 - on some arguments a mistake may fail
        return None


def experiment(
    names: list[str], answer: Answer, solution: Answer, cases: list[Case], tolerance: float, seconds: float = 2.0
) -> str:
    """Name an argument on which only one of both depends, or on which their error depends, or where both agree."""
    end, special, limits, matter = time.monotonic() + seconds, list[str](), list[str](), list(names)
    held: dict[str, list[str]] = {word: [] for word, _ in ERRORS}  # arguments that do not change the error
    before = [2 * [attempt(function, case) for case in cases] for function in (answer, solution)]
    for name, words, moved in _moves(names, cases):
        after = [[attempt(function, case) for case in moved] for function in (answer, solution)]
        if time.monotonic() > end or any(result is None for results in after for result in results):
            continue
        if words:
            found, near = (limits, 1e-3) if words.startswith(("small", "large")) else (special, tolerance)
            found += [words] * (all(same(*pair, near) for pair in zip(*after)) and _varied(after[1]))
            continue
        mine, right = (not all(same(*pair, tolerance) for pair in zip(*both)) for both in zip(before, after))
        if mine != right:
            which = ("depends", "does not") if mine else ("does not depend", "does")
            return f"your result {which[0]} on `{name}`, the right one {which[1]}"
        if not right:
            matter.remove(name)
        for word, error in ERRORS if right else ():
            held[word] += [name] * _unmoved(error, before, after)
    return _found(matter, held, special, limits)


def _found(matter: list[str], held: dict[str, list[str]], special: list[str], limits: list[str]) -> str:
    for word, fixed in held.items():
        rest = [f"`{name}`" for name in matter if name not in fixed] or ["the lengths of the arguments"]
        if fixed and len(rest) == 1:
            return f"your result is right up to a {word} that depends on {rest[0]} alone"
    if special:
        return f"your result would be right with {' or '.join(special[:2])}: look at how that enters"
    if limits:
        return f"your result is nearly right for {' or '.join(limits[:2])}"
    free = (f"{word} that does not depend on `{'` or `'.join(fixed)}`" for word, fixed in held.items() if fixed)
    return f"your result is right up to a {words}" if (words := next(free, "")) else ""


def _unmoved(error: Answer, before: list[list[Any]], after: list[list[Any]]) -> bool:
    """Whether answers have one error before and after a move."""
    with suppress(Mistake, TypeError, ValueError):
        old, new = (
            [error(got + 0.0, truth + 0.0) for pair in zip(*both) for _, got, truth in leaves(*pair)]
            for both in (before, after)
        )  # which is 0 / 0 where both are zero
        return all((_close(b, a) | np.isnan(a) | np.isnan(b)).all() for a, b in zip(old, new, strict=True))
    return False


def _varied(results: list[Any]) -> bool:
    """Whether results say enough for an answer that shares them: three different ones, all finite."""
    finite = all(np.isfinite(a + 0.0).all() for result in results for _, a, _ in leaves(result, result))
    return finite and sum(not any(same(r, s, 1e-6) for s in results[:i]) for i, r in enumerate(results)) > 2


def _moves(names: list[str], cases: list[Case]) -> Iterator[tuple[str, str, list[Case]]]:
    """Changes of one argument: its name, words for a special value or none for other values, the changed arguments."""
    for k, name in enumerate(names):
        own = [case[k] for case in cases]
        arrays = [_plain(list(value) if isinstance(value, tuple) else value) for value in own]

        def put(values: Iterable[Any], k: int = k) -> list[Case]:
            return [(*case[:k], value, *case[k + 1 :]) for case, value in zip(2 * cases, values)]

        alike = [two if _sort(one) == _sort(two) else one for one, two in zip(own, own[1:] + own[:1])]
        # besides the values of the next case some of no case: inputs may come in pairs that differ by a sign
        yield name, "", put(alike + [_with(*pair) for pair in zip(own, map(_shrunk, arrays))])
        for words, changed in _specials(arrays):
            yield name, f"{words[0]}`{name}`{words[1]}", put(_with(*pair) for pair in zip(own, changed))
        for j in range(k):
            if all(_sort(case[j]) == _sort(case[k]) for case in cases):
                yield name, f"`{name}` = `{names[j]}`", put(case[j] for case in cases)


def _specials(arrays: list[Any]) -> Iterator[tuple[tuple[str, str], list[Any]]]:
    """Words before and after the name for special values of an argument that make sense for it, and these values."""
    if not all(isinstance(array, np.ndarray) and array.dtype.kind in "iuf" for array in arrays):
        return
    fractions = all(array.dtype.kind == "f" for array in arrays)
    if fractions and any((array < 0).any() for array in arrays):
        yield ("positive ", ""), [abs(array) for array in arrays]
    for number in (0, 1):
        if any((array == number).all() for array in arrays) or (number and fractions and not arrays[0].ndim):
            yield ("", f" = {number}"), [np.full_like(array, number) for array in arrays]
    for words, size in (("small ", 1e-4), ("large ", 1e4)) if fractions else ():
        yield (words, ""), [size * array for array in arrays]


def _sort(value: Any) -> tuple[Any, ...]:
    return type(value), getattr(_plain(value), "shape", None)


def _shrunk(array: Any) -> Any:
    """Fractions up to a tenth smaller, with their sign; everything else as it is."""
    fractions = isinstance(array, np.ndarray) and array.dtype.kind == "f"
    return array * (0.95 + 0.05 * np.cos(np.arange(array.size))).reshape(array.shape) if fractions else array


def _with(value: Any, array: Any) -> Any:
    """A value of the same form with the numbers of the array."""
    if isinstance(value, np.ndarray) or not isinstance(array, np.ndarray | np.generic):
        return array if isinstance(value, np.ndarray) else value
    return type(value)(array.tolist())

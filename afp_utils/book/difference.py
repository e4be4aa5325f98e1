"""What kind of difference there is between an answer and the truth, in words that tell the mistake and not the truth."""

import copy
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from itertools import takewhile
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
        value = np.ma.filled(value.astype(float), np.nan)
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
    ("the entries are shifted down by one", lambda a, b: a.ndim and len(a) > 1 and _close(a[1:], b[:-1])),
    ("the entries are shifted up by one", lambda a, b: a.ndim and len(a) > 1 and _close(a[:-1], b[1:])),
    ("only the diagonal is wrong", lambda a, b: a.ndim == 2 and (_close(a, b) | (np.eye(*a.shape) > 0))),
    ("right on the diagonal, wrong elsewhere", lambda a, b: a.ndim == 2 and _close(np.diag(a), np.diag(b))),
    ("near, but not exact: rounded, simulated or approximate?", lambda a, b: abs(a - b).max() < 0.01 * abs(b).max()),
)

# The same for differences that have no other name.
RESTS: tuple[tuple[str, Answer], ...] = (
    ("some entries are right, others wrong", lambda a, b: b.ndim and _close(a, b).any()),
    ("your values are too large in absolute value", lambda a, b: np.abs(a) >= np.abs(b)),
    ("your values are too small in absolute value", lambda a, b: np.abs(a) <= np.abs(b)),
    ("some values are too large in absolute value, others too small", lambda a, b: True),
)


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
    leaves = [leaf for several in bad for leaf in several if leaf[2].dtype != "O"]
    parts = [[(a + 0.0, b + 0.0) for place, a, b in leaves if place == part] for part in places]
    if not leaves:
        return where + "that is not the right one"
    pairs = [pair for part in parts for pair in part]
    in_part = (f"{part}: {kind}" for part, own in zip(places, parts) if (kind := own and _kind(own)))
    kind = _kind(pairs) or next(in_part, "") or experiment(names, answer, solution, cases, tolerance)
    return where + (kind or _first(RESTS, pairs))


def _first(table: tuple[tuple[str, Answer], ...], pairs: list[Pair]) -> str:
    return next((words for words, fits in table if all(np.all(fits(*pair)) for pair in pairs)), "")


def _kind(pairs: list[Pair]) -> str:
    return _first(KINDS, pairs) or _factor(pairs)


def _exchanged(leaves: list[Leaf]) -> bool:
    return all(any(same(got, truth, 1e-6) for *_, truth in leaves) for _, got, _ in leaves)


def _inputs(names: list[str], cases: list[Case], bad: list[bool]) -> str:
    """The one argument that separates the inputs where an answer is wrong from the others, if there is one."""
    found = []
    sizes = [{label: size for pair in zip(names, case) for label, size in _sizes(*pair)} for case in cases]
    for label in [label for label in sizes[0] if all(label in size for size in sizes)]:
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
    array = _plain(value)
    if isinstance(array, np.ndarray) and array.dtype.kind in "biuf" and array.size:
        yield f"the least entry of `{name}`" if array.ndim else f"`{name}`", float(array.min())
    if isinstance(array, tuple) or np.ndim(array):
        yield f"the length of `{name}`", len(array)


FACTORS = (*((str(k), k) for k in range(2, 11)), ("π", np.pi), ("2π", 2 * np.pi))  # others tell a part of the answer


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
        size = max(abs(factor), 1 / abs(factor))
        known = [
            f"{word} times too {'large' if abs(factor) > 1 else 'small'}" for word, k in FACTORS if np.isclose(size, k)
        ]
        sign = "" if np.isclose(factor, abs(factor)) else ", and their sign or phase is wrong"
        return f"your values are {(known or ['off by a constant factor'])[0]}{sign}"
    if all(_close(a, b + shift).all() for a, b in pairs):
        return "your values are off by an additive constant"
    return "your values are all the same, the right ones are not" if _close(got, got[:1]).all() else ""


# ---- what happens at other arguments ----

# Where an answer may be right, or nearly so, and the arguments for that; the first are some near those of the inputs.
SPECIALS: tuple[tuple[str, Answer], ...] = (
    ("", lambda array: array * (0.95 + 0.05 * np.cos(1 + np.arange(array.size))).reshape(array.shape)),
    ("right with positive `{}`", np.abs),
    ("right with `{}` = 0", np.zeros_like),
    ("right with `{}` = 1", np.ones_like),
    ("nearly right for small `{}`", lambda array: 1e-3 * array),
    ("nearly right for large `{}`", lambda array: 1e3 * array),
)


def attempt(function: Answer, arguments: Case) -> Any:
    """The result on a copy of the arguments; None, which no result equals, where the function fails."""
    try:
        return function(*copy.deepcopy(arguments))
    except Exception:  # noqa: BLE001 - on some arguments a mistake may fail
        return None


def experiment(
    names: list[str], answer: Answer, solution: Answer, cases: list[Case], tolerance: float, seconds: float = 2.0
) -> str:
    """Name an argument on which only one of both depends, or for which the answer is right, or that enters rightly."""
    end, found, moved = time.monotonic() + seconds, list[str](), dict[str, Any]()
    before = [[attempt(function, case) for case in cases] for function in (answer, solution)]
    for name, words, others in takewhile(lambda _: time.monotonic() < end, _moves(names, cases)):
        after = [[attempt(function, case) for case in others] for function in (answer, solution)]
        if not all(map(_finite, after[0] + after[1])):
            continue
        near = 1e-2 if "nearly" in words else tolerance
        found += [words] * bool(words and _several(after[1]) and all(same(a, b, near) for a, b in zip(*after)))
        moved[name] = moved.get(name, False) | _moved(before, after, tolerance)
    for name, (mine, right, *_) in moved.items():
        if mine != right:
            which = ("depends", "does not") if mine else ("does not depend", "does")
            return f"your result {which[0]} on `{name}`, the right one {which[1]}"
    exact, matter = [words for words in found if "nearly" not in words], [name for name in moved if moved[name][1]]
    kept = [[f"`{name}`" for name in matter if not moved[name][k]] for k in (2, 3)]
    word, free = max(zip(("factor", "term"), kept), key=lambda one: len(one[1]))
    if exact or (found and len(free) < max(1, len(matter) - 1)):
        return f"your result would be {' or '.join((exact or found)[:2])}"
    return f"your result is right up to a {word} that does not depend on {' or '.join(free)}" if free else ""


def _moved(before: list[list[Any]], after: list[list[Any]], tolerance: float) -> np.ndarray:
    """Whether a move changes the answer, the truth, their factor, their term."""
    moved = np.zeros(4, dtype=bool)
    try:
        old, new = ([leaf for pair in zip(*both) for leaf in leaves(*pair)] for both in (before, after))
        for (_, a, b), (_, c, d) in zip(old, new, strict=True):
            kept = (a, c), (b, d), (a * d, b * c), (a - b, c - d)
            moved |= [not same(one, other, tolerance) for one, other in kept]
    except (Mistake, TypeError, ValueError):  # of another form
        return ~np.zeros(4, dtype=bool)
    return moved


def _finite(result: Any) -> bool:
    return result is not None and all(a.dtype == object or np.isfinite(a).all() for _, a, _ in leaves(result, result))


def _several(truths: list[Any]) -> bool:
    """Whether three results differ that are not about zero, where wrong ones are easily right."""
    large = [one for one in truths if any(np.abs(a + 0.0).max(initial=0.0) > 1e-9 for _, a, _ in leaves(one, one))]
    return sum(not any(same(one, other, 1e-6) for other in large[:k]) for k, one in enumerate(large)) > 2


def _moves(names: list[str], cases: list[Case]) -> Iterator[tuple[str, str, list[Case]]]:
    """Changes of one argument: its name, words if it has a special value, the changed arguments."""
    for k, name in enumerate(names):
        own = [case[k] for case in cases]

        def put(values: Iterable[Any], k: int = k) -> list[Case]:
            return [(*case[:k], value, *case[k + 1 :]) for case, value in zip(cases, values)]

        yield name, "", put(b if _sort(a) == _sort(b) else a for a, b in zip(own, own[1:] + own[:1]))
        arrays = [_plain(list(value) if isinstance(value, tuple) else value) for value in own]
        kinds = {array.dtype.kind if isinstance(array, np.ndarray) else "O" for array in arrays}
        for words, change in SPECIALS if kinds <= set("iuf") else ():
            pairs = [(array, change(array)) for array in arrays]
            # a value that no input has may make no sense
            if kinds == {"f"} and not ("=" in words and arrays[0].ndim) or any(np.array_equal(*pair) for pair in pairs):
                yield name, words.format(name), put(_with(value, new) for value, (_, new) in zip(own, pairs))
        for j in range(k):
            if all(_sort(case[j]) == _sort(case[k]) for case in cases):
                yield name, f"right with `{name}` = `{names[j]}`", put(case[j] for case in cases)


def _sort(value: Any) -> tuple[Any, ...]:
    return type(value), getattr(_plain(value), "shape", None)


def _with(value: Any, array: Any) -> Any:
    return array if isinstance(value, np.ndarray) else type(value)(array.tolist())

"""What kind of difference there is between an answer and the truth, in words that tell the mistake and not the truth."""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from numbers import Number
from typing import Any

import numpy as np

Answer = Callable[..., Any]
Leaf = tuple[str, np.ndarray, np.ndarray]  # place in the result, answer, truth
Case = tuple[Any, ...]
Pair = tuple[Case, np.ndarray, np.ndarray]  # arguments, answer, truth


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
        if got.shape != truth.shape:
            turned = got.shape == truth.T.shape and _close(got.T, truth).all()
            raise Mistake(wrong + (": it is transposed" if turned else ""))
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

# Sentence and what is done to the answer and to the truth before they agree; the last four need several values.
KINDS: tuple[tuple[str, Answer, Answer], ...] = (
    ("the sign is wrong", np.negative, np.asarray),
    ("the sign is wrong in places", np.abs, np.abs),
    ("it is transposed", np.transpose, np.asarray),
    ("the values are right and stand in the wrong order", lambda a: np.sort(a, None), lambda a: np.sort(a, None)),
    ("that is one minus the right value", lambda a: 1 - a, np.asarray),
    ("that is the reciprocal of the right value", lambda a: 1 / a, np.asarray),
    ("that is the square of the right value", np.asarray, np.square),
    ("that is the square root of the right value", np.square, np.asarray),
)
POWERS = {1: "`{}`", 2: "the square of `{}`", 0.5: "the root of `{}`"}


def difference(
    names: list[str], cases: list[Case], results: list[list[Leaf]], tolerance: float
) -> tuple[str, str, str]:
    """Where an answer is wrong if not everywhere, the kind of difference (or nothing), and its size."""
    bad = [[leaf for leaf in leaves if not _close(*leaf[1:], tolerance).all()] for leaves in results]
    told = [
        b or not any(truth.any() for _, _, truth in leaves) for b, leaves in zip(bad, results)
    ]  # zero is easily right
    where = "" if all(told) else f"right for some inputs, wrong {_inputs(names, cases, [len(b) > 0 for b in bad])}: "
    places, wrong = [leaf[0] for leaf in results[0]], {leaf[0] for leaves in bad for leaf in leaves}
    if len(places) > len(wrong):
        where += f"{' and '.join(p for p in places if p in wrong)} wrong, the rest right: "
    pairs = [(case, got + 0.0, truth + 0.0) for case, b in zip(cases, bad) for _, got, truth in b if truth.dtype != "O"]
    if not pairs:
        return where, "that is not the right one", ""
    if not all(np.isfinite(got).all() or not np.isfinite(truth).all() for _, got, truth in pairs):
        return where, "not all of your values are finite", ""
    if len(wrong) > 1 and all(_permuted(leaves) for leaves in results):
        return where, "the parts are right and stand in the wrong order", ""
    got, truth = (np.abs(np.concatenate([np.ravel(pair[k]) for pair in pairs])).sum() for k in (1, 2))
    size = "of the right size, but wrong" if truth < 2 * got < 4 * truth else "far too large"
    size = size if 2 * got > truth else "far too small"
    if all(np.abs(got - truth).max(initial=0.0) <= 0.01 * np.abs(truth).max(initial=0.0) for _, got, truth in pairs):
        size = "near, but not exact: rounded, simulated or approximate?"
    if all(truth.ndim and _close(got, truth).any() for _, got, truth in pairs):
        size = "some entries are right, others wrong"
    return where, _kind(pairs) or _factor(pairs) or _argument(names, pairs) or _entries(pairs) or "", size


def _permuted(leaves: list[Leaf]) -> bool:
    return all(any(a.shape == b.shape and _close(a, b).all() for _, _, b in leaves) for _, a, _ in leaves)


def _inputs(names: list[str], cases: list[Case], bad: list[bool]) -> str:
    """The one argument that separates the inputs where an answer is wrong from the others, if there is one."""
    found: dict[str, list[str]] = {"sign": [], "value": [], "range": []}
    for k, name in enumerate(names):
        sizes = [_number(case[k]) for case in cases]
        if None in sizes:
            continue
        label = f"`{name}`" if isinstance(cases[0][k], Number) else f"the length of `{name}`"
        wrong, right = (np.array([s for s, b in zip(sizes, bad) if b is kind]) for kind in (True, False))
        if (wrong < 0).all() and (right >= 0).all() or (wrong > 0).all() and (right <= 0).all():
            found["sign"].append(f"where {label} is {'negative' if wrong[0] < 0 else 'positive'}")
        if (wrong == wrong[0]).all() and wrong[0] not in right and (len(wrong) > 1 or wrong[0] in (0, 1)):
            found["value"].append(f"where {label} = {wrong[0]:g}")
        if wrong.max() < right.min() or wrong.min() > right.max():
            found["range"].append(f"where {label} is {'small' if wrong.max() < right.min() else 'large'}")
    return next((one[0] for one in found.values() if len(one) == 1), "for others")


def _number(value: Any) -> float | None:
    """What a sentence can say of an argument: a number itself, or the length of an array."""
    value = _plain(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.ndim == 0:
        return float(value)
    return float(len(value)) if isinstance(value, np.ndarray | tuple) else None


def _kind(pairs: list[Pair]) -> str | None:
    values = np.concatenate([np.ravel(np.abs(truth)) for _, _, truth in pairs])
    few = len(np.unique(values[(values != 0) & (values != 1)])) < 2
    for sentence, one, other in KINDS[: -4 if few else None]:
        turned = [(one(got), other(truth)) for _, got, truth in pairs]
        if all(a.shape == b.shape and _close(a, b).all() for a, b in turned):
            return sentence
    return None


def _factor(pairs: list[Pair]) -> str | None:
    """One factor or one additive constant for all values."""
    got, truth = (np.concatenate([np.ravel(pair[k]) for pair in pairs]) for k in (1, 2))
    if not got.any():
        return "your values are all zero"
    if len(np.unique(truth)) < 2:
        return None
    top = np.abs(truth).argmax()
    factor, shift = got[top] / truth[top], got[top] - truth[top]
    if all(_close(a, factor * b).all() for _, a, b in pairs):
        much = max(abs(factor), 1 / abs(factor))
        much = f"{much:.4g} times" if much > 1.1 else f"{much - 1:.2g} of their size"
        size = f"{much} too {'large' if abs(factor) > 1 else 'small'}"
        sign = "" if np.isclose(factor, abs(factor)) else ", and their sign or phase is wrong"
        return f"your values are {size}{sign}"
    if all(_close(a, b + shift).all() for _, a, b in pairs):
        return "your values are off by an additive constant"
    return "your values are all the same, the right ones are not" if _close(got, got[:1]).all() else None


def _argument(names: list[str], pairs: list[Pair]) -> str | None:
    """A factor or difference of each result that is a power of one argument."""
    tops = [(got.flat[k], truth.flat[k]) for _, got, truth in pairs for k in [np.abs(truth).argmax()]]
    factors = np.array([got / truth if truth else np.nan for got, truth in tops])
    shifts = np.array([got - truth for got, truth in tops])
    scaled = all(_close(got, f * truth).all() for (_, got, truth), f in zip(pairs, factors))
    shifted = all(_close(got, truth + s).all() for (_, got, truth), s in zip(pairs, shifts))
    for k, name in enumerate(names):
        sizes = np.array([_number(case[k]) for case, *_ in pairs], dtype=float)
        label = name if isinstance(pairs[0][0][k], Number) else f"len({name})"
        if not (len(set(sizes)) > 2 and np.isfinite(sizes).all() and sizes.all()):
            continue
        for power, words in POWERS.items():
            for large, rest in ((True, factors / abs(sizes) ** power), (False, factors * abs(sizes) ** power)):
                if scaled and _close(rest, rest[:1]).all():
                    exact = "the factor " * (power == 1) if np.isclose(abs(rest[0]), 1) else "a factor proportional to "
                    return f"your values are too {'large' if large else 'small'} by {exact}{words.format(label)}"
        for words, rest in (("", shifts / sizes), ("1 / ", shifts * sizes)):
            if shifted and _close(rest, rest[:1]).all():
                return f"your values are off by a multiple of {words}`{label}`"
    arrays = any(truth.size > 1 for *_, truth in pairs)
    return "each result is right up to a factor that changes with the inputs" if scaled and arrays else None


def _entries(pairs: list[Pair]) -> str | None:
    """Which entries of arrays are wrong, if the same ones are always right."""
    if any(truth.ndim == 0 or len(truth) < 2 for *_, truth in pairs):
        return None
    if all(_close(a[1:], b[:-1]).all() or _close(a[:-1], b[1:]).all() for _, a, b in pairs):
        return "the entries are shifted by one"
    wrong = [~_close(got, truth) for _, got, truth in pairs]
    if any(mask.all() for mask in wrong):
        return None
    if all(mask.ndim == 2 for mask in wrong):
        eyes = [np.eye(*mask.shape) > 0 for mask in wrong]
        for eye, words in ((0, "only the diagonal is wrong"), (1, "right on the diagonal, wrong elsewhere")):
            if not any((mask & (on if eye else ~on)).any() for mask, on in zip(wrong, eyes)):
                return words
    starts = {tuple(map(int, k)) for mask in wrong for k in np.argwhere(mask)}
    ends = {tuple(map(int, k - mask.shape)) for mask in wrong for k in np.argwhere(mask)}
    only = next((min(one) for one in (starts, ends) if len(one) == 1), None)
    return None if only is None else f"only entry {list(only)} is wrong"


# ---- what happens at other arguments ----


class _Failed:
    """A result that equals no other."""


def attempt(function: Answer, arguments: Case) -> Any:
    """The result on a copy of the arguments, or one that equals no other."""
    try:
        return function(*copy.deepcopy(arguments))
    except Exception:  # noqa: BLE001 - on some arguments a mistake may fail
        return _Failed()


def experiment(
    names: list[str], answer: Answer, solution: Answer, cases: list[Case], tolerance: float, seconds: float = 2.0
) -> str:
    """Name an argument on which only one of both depends, or one at whose special value the answer is right."""
    end, found = time.monotonic() + seconds, []
    old = [[attempt(function, case) for case in cases] for function in (answer, solution)]
    for words, moved in _moves(names, cases):
        if time.monotonic() > end:
            break
        truths = [attempt(solution, case) for case in moved]
        if any(isinstance(truth, _Failed) for truth in truths):
            continue
        given = [attempt(answer, case) for case in moved]
        if words.startswith("depend"):
            stays = [all(same(*both, tolerance) for both in zip(*pair)) for pair in zip(old, (given, truths))]
            if stays[0] != stays[1] and not any(isinstance(one, _Failed) for one in given):
                which = ("does not depend", "does") if stays[0] else ("depends", "does not")
                return f"your result {which[0]} {words[7:]}, the right one {which[1]}"
        elif all(same(*both, tolerance) for both in zip(given, truths)) and _varied(truths):
            found.append(words)
    return f"your result would be right with {' or '.join(found[:2])}: look at how that enters" if found else ""


def _varied(results: list[Any]) -> bool:
    """Whether results say enough for an answer that shares them: several finite sizes."""
    values = np.concatenate([np.abs(np.ravel(a)) for result in results for _, a, _ in leaves(result, result)])
    return bool(np.isfinite(values).all() and not _close(values, values[:1]).all())


def _moves(names: list[str], cases: list[Case]) -> Iterator[tuple[str, list[Case]]]:
    """Words for a change of one argument, and the changed arguments: that of the next case, zero, one, another one."""
    for k, name in enumerate(names):

        def put(values: list[Any], k: int = k) -> list[Case]:
            return [(*case[:k], value, *case[k + 1 :]) for case, value in zip(cases, values)]

        old = [case[k] for case in cases]
        kinds = [_sort(value) for value in old]
        following = [*old[1:], old[0]]
        alike = [one == other for one, other in zip(kinds, [*kinds[1:], kinds[0]])]
        yield f"depend on `{name}`", put([new if same else now for now, new, same in zip(old, following, alike)])
        arrays = [_plain(list(value) if isinstance(value, tuple) else value) for value in old]
        if not all(isinstance(value, np.ndarray) and value.dtype.kind in "iuf" for value in arrays):
            continue
        for number in (0, 1):
            changed = [np.full_like(array, number) for array in arrays]
            yield f"`{name}` = {number}", put([_like(value, array) for value, array in zip(old, changed)])
        for j in range(k):
            if kinds == [_sort(case[j]) for case in cases]:
                yield f"`{name}` = `{names[j]}`", put([case[j] for case in cases])


def _sort(value: Any) -> tuple[type, Any]:
    return type(value), getattr(_plain(value), "shape", None)


def _like(value: Any, array: np.ndarray) -> Any:
    return array if isinstance(value, np.ndarray) else type(value)(array.tolist())

"""How nbval compares chapters: what may differ on another machine is settled here, everything else must be equal.

A claim's value, its rival's, and a quoted number may move by rounding; the record around them and what is shown of them
may not.
Where a fresh output differs from the stored one by no more than that, it is replaced by the stored one before nbval
compares. Images are not compared, as always in nbval. What other programs say on stderr of the machine is no output.
"""

import json
import os
import re
from copy import deepcopy
from decimal import Decimal
from typing import Any

import numpy as np

from afp_utils.book.claims import CLAIM, NUMBER, ClaimError, Expectation, listed, recorded
from afp_utils.book.plain import VEGALITE

UNPINNED = bool(os.environ.get("AFP_NEWEST"))
"""Whether this is a run on other versions of the libraries than those whose results are stored."""
RELATIVE = 1e-3
"""A claim's value may move by this fraction of itself,"""
SHARE = 1.0 if UNPINNED else 0.05
"""or by this fraction of the tolerance, or of the width of the interval, that the claim allows. A number quoted in the
prose may move by so many units in its last digit:"""
UNITS = 5 if UNPINNED else 1
OTHERS = re.compile(
    r"Matplotlib is building the font cache|Matplotlib created a temporary cache directory"
    r"|mkdir -p failed for path|\S+ is not a writable directory$|Could not save font_manager cache"  # Matplotlib as well
    r"|\d+\.\d+s - (Debugger warning|make the debugger|to python to disable frozen|Note: Debugging)"
    r"|OpenBLAS warning:|OMP: |libgomp: |Fontconfig "
)
"""How lines begin in which libraries tell of the machine, such as a first start or a home that cannot be written."""
NUMERAL = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")

Bundle = dict[str, Any]


def same_value(expect: Expectation, fresh: Any, stored: Any) -> bool:
    """Whether a fresh value is the stored one up to rounding. For `below`, both must lie on the same side."""
    held = expect.holds(fresh), expect.holds(stored)
    if expect.equals is not None or held[0] != held[1]:
        return fresh == stored
    if np.shape(fresh) != np.shape(stored) or expect.below is not None:
        return np.shape(fresh) == np.shape(stored)
    width = expect.within if expect.near is not None else np.subtract(*expect.between[::-1])
    new, old = np.asarray(fresh, float), np.asarray(stored, float)
    allowed = np.maximum(RELATIVE * np.abs(old), SHARE * np.asarray(width, float))
    return bool((np.abs(new - old) <= allowed).all())


def same_claim(fresh: Bundle, stored: Bundle) -> bool:
    """Whether a stored claim shows its own record, and that record is the fresh one up to rounding of the values."""
    try:
        ours, theirs = recorded(fresh[CLAIM]), recorded(stored[CLAIM])
        consistent = stored[CLAIM] == theirs.json() and stored == theirs._repr_mimebundle_() and not theirs.fault
    except (ClaimError, KeyError, TypeError):
        return False
    alike = ours.claim == theirs.claim and ours.holds == theirs.holds
    pairs = [(ours.value, theirs.value), (ours.rival, theirs.rival)]
    same = all(new is old is None or same_value(ours.claim.expect, new, old) for new, old in pairs)
    return consistent and alike and same


def same_text(fresh: str, stored: str) -> bool:
    """Whether two texts differ in nothing but `UNITS` in the last printed digit of numbers that are not integers.

    >>> same_text("a slope of 0.51", "a slope of 0.52"), same_text("52 neurons", "53 neurons")
    (True, False)
    """
    if NUMERAL.sub("#", fresh) != NUMERAL.sub("#", stored):
        return False
    for new, old in zip(NUMERAL.findall(fresh), NUMERAL.findall(stored)):
        digits = [Decimal(text).as_tuple() for text in (new, old)]
        unit = Decimal(1).scaleb(min(int(number.exponent) for number in digits))
        whole = "." not in new + old and "e" not in new + old
        if abs(Decimal(new) - Decimal(old)) > (0 if whole else UNITS * unit):
            return False
    return True


def same_numbers(fresh: Bundle, stored: Bundle) -> bool:
    """Whether stored numbers show their own record, and are the fresh ones up to the last digit of each.

    A notebook is stored with sorted names, so the order to show them in is that of the fresh record.
    """
    ours, theirs = fresh[NUMBER], stored[NUMBER]
    if ours.keys() != theirs.keys():
        return False
    return stored == listed({name: theirs[name] for name in ours}) and all(
        same_text(ours[name], theirs[name]) for name in ours
    )


def same_figure(fresh: Bundle, stored: Bundle) -> bool:
    """Whether a living figure and what it says are the stored ones. Its picture is not compared, as any."""
    kinds = [kind for kind in fresh if kind != "image/png"]
    return fresh.keys() == stored.keys() and all(same_chart(fresh[kind], stored[kind]) for kind in kinds)


def same_chart(fresh: Any, stored: Any) -> bool:
    """Whether two living figures differ in nothing but the last digits of what they draw and say."""
    if isinstance(fresh, str) and isinstance(stored, str) and fresh.startswith("["):
        return _same_frames(json.loads(fresh), json.loads(stored))
    if isinstance(fresh, str) and isinstance(stored, str):
        return same_text(fresh, stored)
    if isinstance(fresh, dict) and isinstance(stored, dict):
        return fresh.keys() == stored.keys() and all(same_chart(fresh[key], stored[key]) for key in fresh)
    if isinstance(fresh, list) and isinstance(stored, list):
        return len(fresh) == len(stored) and all(map(same_chart, fresh, stored))
    return bool(fresh == stored)


def _same_frames(fresh: list[Bundle], stored: list[Bundle]) -> bool:
    """Whether each column of a chart's data has the stored numbers, up to a thousandth of the largest."""
    if [row.keys() for row in fresh] != [row.keys() for row in stored]:
        return False
    for name in fresh[0] if fresh else ():
        new, old = ([row[name] for row in rows] for rows in (fresh, stored))
        if new != old:
            ours, theirs = (np.array(column, dtype=object) for column in (new, old))
            if ours.shape != theirs.shape or any(map(_is_text, [*ours.flat, *theirs.flat])):
                return False
            ours, theirs = ours.astype(float), theirs.astype(float)  # None becomes nan
            most = np.max(np.abs(theirs), initial=0, where=np.isfinite(theirs))
            if not np.allclose(ours, theirs, rtol=2 * RELATIVE, atol=RELATIVE * most, equal_nan=True):
                return False
    return True


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def without_others(outputs: list[Any]) -> list[Any]:
    """Outputs without what other programs tell of the machine on stderr."""
    kept = []
    for output in outputs:
        if output.get("name") == "stderr":
            output = deepcopy(output)
            lines = output["text"].splitlines(keepends=True)
            output["text"] = "".join(line for line in lines if not OTHERS.match(line))
            if not output["text"].strip():
                continue
        kept.append(output)
    return kept


def settle(fresh: list[Bundle], stored: list[Bundle]) -> list[Bundle]:
    """The fresh outputs, with those that differ from the stored ones by mere rounding replaced by these."""
    fresh, settled = without_others(fresh), []
    for new, old in zip(fresh, stored):
        ours, theirs = new.get("data", {}), old.get("data", {})
        for kind, same in ((CLAIM, same_claim), (NUMBER, same_numbers), (VEGALITE, same_figure)):
            if kind in ours and kind in theirs and same(ours, theirs):
                new = deepcopy(new)
                new["data"] = deepcopy(theirs)
        settled.append(new)
    return settled + fresh[len(stored) :]

"""Claims: what the book states, what was measured, and whether the two agree.

The registry is one TOML file per chapter in `registry/`. A chapter calls `check(id, value)`: it shows the claim with
its verdict, stores the record in the notebook's output, and raises when the measured value is not what is expected.
The ledger is read back from the executed notebooks, so it shows what was run and nothing else.
"""

import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from IPython.display import display

CLAIM = "application/vnd.afp.claim+json"
NUMBER = "application/vnd.afp.number+json"
KNOWN = {
    "confirmed": "read in the source",
    "recalled": "recalled from the source, not re-read",
    "derived": "derived in this book",
}
SOURCES = {
    "li2025supporting": "Li & Lin (2025a)",
    "li2025diagonal": "Li & Lin (2025b)",
    "li2024improving": "Li & Lin (2024)",
    "xu2025three": "Xu & Ziyin (2025)",
    "petrini2022learning": "Petrini et al. (2022)",
    "jiang2024joint": "Jiang et al. (2024)",
    "jiang2022assessing": "Jiang et al. (2022)",
    "radhakrishnan2024mechanism": "Radhakrishnan et al. (2024)",
    "jacot2018neural": "Jacot et al. (2018)",
    "chizat2019lazy": "Chizat et al. (2019)",
    "mallinar2025emergence": "Mallinar et al. (2025)",
    "tansley2025neural": "Tansley et al. (2025)",
    "boixadsera2025features": "Boix-Adsera et al. (2025)",
}
"""Works that a claim's source may name by their key in the bibliography, as a reader sees them."""
KEY = re.compile(r"\b[a-z]+[0-9]{4}[a-z]+\b")
FINDINGS = ("verified", "reproduced with change", "not reproduced")


class ClaimError(AssertionError):
    """A claim that does not hold, or that the registry does not know."""


@dataclass(frozen=True)
class Expectation:
    """What a measured value must satisfy: exactly one of four rules. A list of values is compared elementwise.

    `near` and `within`: of the same shape as `near` and at most `within` away. `between`: each value in the closed
    interval. `below`: each value less than the one bound, or than its own if there are several. `equals`: the same, of
    the same type. Not a number satisfies nothing.
    """

    near: Any = None
    within: Any = None
    between: Any = None
    below: Any = None
    equals: Any = None

    def __post_init__(self) -> None:
        rules = [name for name in ("near", "between", "below", "equals") if getattr(self, name) is not None]
        if len(rules) != 1 or (self.near is None) != (self.within is None):
            given = [name for name, rule in vars(self).items() if rule is not None]
            raise ClaimError(f"an expectation must be near + within, between, below or equals, got {given}")
        if self.between is not None and (np.shape(self.between) != (2,) or not self.between[0] < self.between[1]):
            raise ClaimError(f"between must be two increasing numbers, got {self.between}")

    def holds(self, value: Any) -> bool:
        if self.equals is not None:
            return _same(value, self.equals)
        try:
            value = np.asarray(value, dtype=float)
        except ValueError:
            return False
        if value.size == 0 or not np.isfinite(value).all():
            return False
        if self.near is not None:
            return value.shape == np.shape(self.near) and bool((np.abs(value - self.near) <= self.within).all())
        if self.between is not None:
            return bool(((value >= self.between[0]) & (value <= self.between[1])).all())
        return np.shape(self.below) in ((), value.shape) and bool((value < self.below).all())

    def __str__(self) -> str:
        if self.equals is not None:
            return shown(self.equals)
        if self.near is not None:
            return f"{shown(self.near)} ± {shown(self.within)}"
        if self.between is not None:
            return f"in [{shown(self.between[0])}, {shown(self.between[1])}]"
        return f"< {shown(self.below)}"


@dataclass(frozen=True)
class Claim:
    """One checkable sentence.

    `source` is a citation key or "this book", with the place; `known` says how well the source is known (`KNOWN`);
    `because` says where the tolerance comes from. `finding` is the verdict when the expectation holds: "verified", or
    for a statement of a source that does not hold as printed "reproduced with change" or "not reproduced", with the
    reason in `reason`.
    """

    id: str
    chapter: str
    statement: str
    source: str
    known: str
    expect: Expectation
    because: str
    finding: str = "verified"
    reason: str = ""

    def __post_init__(self) -> None:
        if self.known not in KNOWN:
            raise ClaimError(f"claim {self.id}: known must be one of {list(KNOWN)}, got {self.known!r}")
        if self.finding not in FINDINGS:
            raise ClaimError(f"claim {self.id}: finding must be one of {FINDINGS}, got {self.finding!r}")
        unknown = sorted(set(KEY.findall(self.source)) - SOURCES.keys())
        if unknown:
            raise ClaimError(f"claim {self.id}: source must name works of SOURCES, got {unknown}")
        if (self.finding == "verified") != (self.reason == ""):
            raise ClaimError(f"claim {self.id}: reason must be given just where the finding is not 'verified'")

    @property
    def attribution(self) -> str:
        """The source in words: authors and years for the keys of the bibliography."""
        return KEY.sub(lambda key: SOURCES[key[0]], self.source)


@dataclass(frozen=True)
class Record:
    """A claim with the value that was measured. What a notebook stores and shows."""

    claim: Claim
    value: Any

    @property
    def verdict(self) -> str:
        return self.claim.finding if self.claim.expect.holds(self.value) else "failed"

    def json(self) -> dict[str, Any]:
        return {
            "id": self.claim.id,
            "value": self.value,
            "expectation": str(self.claim.expect),
            "verdict": self.verdict,
        }

    def __str__(self) -> str:
        mark = "✗" if self.verdict == "failed" else "✓"
        return (
            f"{mark} {self.claim.id}: {self.verdict} - measured {shown(self.value)}, "
            f"expected {self.claim.expect}. {self.claim.statement}"
        )

    def html(self) -> str:
        reason = f' <span class="afp-reason">{escape(self.claim.reason)}</span>' if self.claim.reason else ""
        return (
            f'<div class="afp-claim" id="claim-{self.claim.id}">'
            f"<p>{badge(self.verdict)} <strong>{escape(self.claim.statement)}</strong>{reason}</p>"
            f"<p>measured <code>{escape(shown(self.value))}</code>, "
            f"expected <code>{escape(str(self.claim.expect))}</code> ({escape(self.claim.because)}) · "
            f"{escape(self.claim.attribution)}, {KNOWN[self.claim.known]} · <code>{self.claim.id}</code></p></div>"
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {CLAIM: self.json(), "text/html": self.html(), "text/plain": str(self)}


CHAPTERS = (
    "one-language",
    "sequence-models",
    "index-models",
    "three-mechanisms",
    "sparsity-harm",
    "interaction-tensor",
    "recursive-feature-machines",
)
"""The chapters in the order of the book; any other comes after these."""


def _place(chapter: str) -> tuple[int, str]:
    return CHAPTERS.index(chapter) if chapter in CHAPTERS else len(CHAPTERS), chapter


@cache
def registry() -> Mapping[str, Claim]:
    """Every claim of the book by id, in the order of the chapters and of their files."""
    claims: dict[str, Claim] = {}
    sources = (path for path in files("afp_utils").joinpath("registry").iterdir() if path.name.endswith(".toml"))
    for source in sorted(sources, key=lambda path: _place(path.name[: -len(".toml")])):
        for name, entry in tomllib.loads(source.read_text(encoding="utf-8")).items():
            if name in claims:
                raise ClaimError(f"claim {name} is registered twice: {claims[name].chapter}, {source.name}")
            rules = {key: entry.pop(key) for key in Expectation.__dataclass_fields__ if key in entry}
            claims[name] = Claim(id=name, chapter=source.name[: -len(".toml")], expect=Expectation(**rules), **entry)
    return claims


def check(id: str, value: Any) -> None:
    """Show and store the claim `id` with the measured `value`: a number, a truth value, a text or a list of them.

    Raises `ClaimError` if the claim is not registered or the value is not what it expects.
    """
    if id not in registry():
        raise ClaimError(f"claim must be one of the registry, got {id!r}")
    record = Record(registry()[id], plain(value))
    display(record)
    if record.verdict == "failed":
        raise ClaimError(str(record))


def numbers(**values: str) -> None:
    """Show and store numbers, already formatted as text, that the prose of the chapter quotes by name."""
    display({NUMBER: values, "text/plain": listed(values)}, raw=True)


def listed(numbers: Mapping[str, str]) -> str:
    """Numbers for the prose as a cell shows them: one a line."""
    return "\n".join(f"{name} = {text}" for name, text in numbers.items())


def plain(value: Any) -> Any:
    """The value as JSON holds it, in full precision: numpy scalars and arrays become numbers and lists."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, bool | int | str):
        return value
    raise ClaimError(f"a claim's value must be a number, truth value, text or a list of them, got {type(value)}")


def _same(value: Any, other: Any) -> bool:
    """Equal in value and type, at every level: yes is not 1, and 1 is not 1.0."""
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(_same, value, other))
    return type(value) is type(other) and bool(value == other)


def shown(value: Any) -> str:
    """The value as a reader sees it: three significant digits, lists within lists in brackets."""
    if isinstance(value, list | tuple):
        return ", ".join(f"({shown(item)})" if isinstance(item, list | tuple) else shown(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def badge(verdict: str) -> str:
    kind = {"verified": "good", "failed": "bad", "unchecked": "bad"}.get(verdict, "changed")
    return f'<span class="afp-verdict afp-{kind}">{verdict}</span>'


@dataclass(frozen=True)
class Table:
    """Rows shown as a table in a browser, as `text` elsewhere. A row of one cell heads those below it."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text: str

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in self.head)
        body = "".join(f"<tr>{self._cells(row)}</tr>" for row in self.rows)
        return f'<div class="afp-scroll"><table class="afp-table"><tr>{head}</tr>{body}</table></div>'

    def _cells(self, row: tuple[str, ...]) -> str:
        if len(row) == 1:
            return f'<td class="afp-part" colspan="{len(self.head)}">{row[0]}</td>'
        return "".join(f"<td>{cell}</td>" for cell in row)

    def __repr__(self) -> str:
        return self.text


def contents(chapter: str) -> Table:
    """The claims that a chapter will check, numbered, for its first screen.

    Raises `ClaimError` if no claim is registered for the chapter.
    """
    claims = [claim for claim in registry().values() if claim.chapter == chapter]
    if not claims:
        raise ClaimError(f"chapter must have a file in the registry, got {chapter!r}")
    rows = tuple(
        (f"C{i}", f'<a href="#claim-{claim.id}">{escape(claim.statement)}</a>', escape(claim.attribution))
        for i, claim in enumerate(claims, 1)
    )
    text = "\n".join(f"C{i}  {claim.statement} [{claim.attribution}]" for i, claim in enumerate(claims, 1))
    return Table(("", "claim", "source"), rows, text)


def stored(notebook: Path) -> list[dict[str, Any]]:
    """The records that an executed notebook holds, in order."""
    cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [output["data"][CLAIM] for output in outputs if CLAIM in output.get("data", {})]


def faults(folder: Path) -> list[str]:
    """What is wrong with the claims stored in a folder of chapters: one line each, naming the claim. Empty if all is well."""
    wrong, seen = [], dict[str, str]()
    for notebook in sorted(Path(folder).glob("*.ipynb")):
        for entry in stored(notebook):
            claim = registry().get(entry["id"])
            if claim is None:
                wrong.append(f"claim {entry['id']} of {notebook.name} is not registered")
                continue
            if claim.chapter != notebook.stem:
                wrong.append(f"claim {claim.id} is registered for {claim.chapter} but checked in {notebook.stem}")
            if claim.id in seen:
                wrong.append(f"claim {claim.id} is checked twice: in {seen[claim.id]} and {notebook.stem}")
            seen[claim.id] = notebook.stem
            record = Record(claim, entry["value"])
            if record.verdict == "failed":
                wrong.append(f"claim {claim.id} fails: stored {shown(record.value)}, expected {claim.expect}")
            elif entry != record.json():
                wrong.append(f"claim {claim.id} is stale: stored {entry}, the registry gives {record.json()}")
    missing = sorted(registry().keys() - seen.keys())
    return wrong + [f"claim {name} is registered for {registry()[name].chapter} but never checked" for name in missing]


def ledger(folder: Path = Path()) -> Table:
    """Every claim, its source, the stored value and the verdict, each linked to its cell, chapter by chapter."""
    measured = {entry["id"]: entry for path in sorted(Path(folder).glob("*.ipynb")) for entry in stored(path)}
    rows, lines, chapter = list[tuple[str, ...]](), list[str](), ""
    for claim in registry().values():
        if claim.chapter != chapter:
            chapter = claim.chapter
            title = chapter.replace("-", " ").capitalize()
            rows.append((title,))
            lines.append(f"\n{title}")
        entry = measured.get(claim.id)
        record = Record(claim, entry["value"]) if entry else None
        verdict, value = (record.verdict, shown(record.value)) if record else ("unchecked", "-")
        reason = f'<br><span class="afp-reason">{escape(claim.reason)}</span>' if claim.reason else ""
        link = f'<a href="{claim.chapter}.ipynb#claim-{claim.id}">{escape(claim.statement)}</a>{reason}'
        source = f"{escape(claim.attribution)}<br><em>{KNOWN[claim.known]}</em>"
        rows.append(
            (link, source, f"<code>{value}</code>", f"<code>{escape(str(claim.expect))}</code>", badge(verdict))
        )
        lines.append(f"{verdict:24}{claim.id}: {value} (expected {claim.expect})")
    return Table(("claim", "source", "measured", "expected", "verdict"), tuple(rows), "\n".join(lines).strip())


def verdicts(folder: Path = Path()) -> dict[str, int]:
    """How many claims have each verdict in the executed chapters, "unchecked" included."""
    measured = {entry["id"]: entry["verdict"] for path in Path(folder).glob("*.ipynb") for entry in stored(path)}
    found = [measured.get(name, "unchecked") for name in registry()]
    return {verdict: found.count(verdict) for verdict in (*FINDINGS, "failed", "unchecked")}

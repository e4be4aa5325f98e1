"""Claims: what the book states, what was measured, which rival that rules out, and whether the sentence holds.

The registry is one file `claims-CHAPTER.toml` per chapter, each in the room of its mechanism. A chapter calls
`check(id, value, rival=...)`: it shows the claim with its verdict, stores the record in the notebook's output, and raises
when the measured value is not what is expected, or when the rival's would have passed as well. `ledger` reads the records
back from the executed notebooks.
"""

import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from IPython.display import display

CLAIM = "application/vnd.afp.claim+json"
NUMBER = "application/vnd.afp.number+json"
NEEDS = "application/vnd.afp.needs+json"
KNOWN = {
    "confirmed": "read in the source",
    "recalled": "recalled from the source, not re-read",
    "derived": "derived in this book",
    "measured": "observed here, neither read nor derived",
}
"""How well we know that the sentence is true, apart from our run."""
KINDS = {
    "identity": "two expressions that are equal by algebra, compared to rounding",
    "theorem check": "a proved statement, tried on cases that could refute it",
    "theory against simulation": "a predicted number or law beside a simulation that does not know it",
    "printed number": "a number that the source prints",
    "measurement": "an observation with no theory for its value",
    "real data": "an observation on data that nobody here made",
}
PROVED = ("identity", "theorem check")
"""The kinds that need no rival: a counterexample would be an error of algebra or code."""
HOLDS = {"yes": "holds", "in part": "holds in part", "no": "does not hold"}
"""Whether the tested sentence holds, and how a badge says so."""
OTHER = {"failed": "failed", "unchecked": "unchecked"}
WORDS = HOLDS | OTHER
KEY = re.compile(r"\b[a-z]+[0-9]{4}[a-z]+\b")
MATH = re.compile(r"\$([^$]+)\$")


class ClaimError(AssertionError):
    """A claim that does not hold, that rules nothing out, or that the registry does not know."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it: the message, since the way to the check says nothing more."""
        return str(self).splitlines()


def _must(fine: Any, rule: str) -> None:
    if not fine:
        raise ClaimError(rule)


@dataclass(frozen=True)
class Expectation:
    """What a measured value must satisfy: exactly one of four rules. A list of values is compared elementwise.

    `near` and `within`: of the same shape as `near` and at most `within` away. `between`: each value in the closed
    interval. `below`: each value less than the one bound, or than its own if there are several. `equals`: the same, of
    the same type. Not a number satisfies nothing.

    >>> slope = Expectation(near=0.5, within=0.05)
    >>> slope.holds(0.53), slope.holds(0.56), slope.holds(float("nan"))
    (True, False, False)
    """

    near: Any = None
    within: Any = None
    between: Any = None
    below: Any = None
    equals: Any = None

    def __post_init__(self) -> None:
        given = {name: rule for name, rule in vars(self).items() if rule is not None}
        one = given.keys() == {"near", "within"} or len(given) == 1 and not given.keys() & {"near", "within"}
        _must(one, f"an expectation must be near + within, between, below or equals, got {list(given)}")
        if "between" in given:
            increasing = np.shape(self.between) == (2,) and self.between[0] < self.between[1]
            _must(increasing, f"between must be two increasing numbers, got {self.between}")
        for name in given.keys() - {"equals"}:
            _must(_numbers(given[name]), f"{name} must be a number or a list of them, got {given[name]!r}")
        if "within" in given:
            fits = np.shape(self.within) in ((), np.shape(self.near)) and np.min(self.within) >= 0
            _must(fits, f"within must be one tolerance or one for each of near, none negative, got {self.within}")

    def holds(self, value: Any) -> bool:
        if self.equals is not None:
            return repr(value) == repr(self.equals)  # yes is not 1, and 1 is not 1.0
        try:
            value = np.asarray(value, dtype=float)
        except ValueError:
            return False
        if self.near is not None:
            inside = value.shape == np.shape(self.near) and np.abs(value - self.near) <= self.within
        elif self.between is not None:
            inside = (value >= self.between[0]) & (value <= self.between[1])
        else:
            inside = np.shape(self.below) in ((), value.shape) and value < self.below
        return value.size > 0 and bool(np.isfinite(value).all() and np.all(inside))

    def distance(self, value: Any) -> float | None:
        """How many tolerances a value lies from the centre (from 0 for a bound), by its farthest entry: above 1, outside.

        None where tolerances have no meaning: for `equals`, for a bound that is not positive.
        """
        if self.equals is not None or (self.below is not None and np.min(self.below) <= 0):
            return None
        centre, tolerance = (0.0, self.below) if self.below is not None else (self.near, self.within)
        if self.between is not None:
            centre, tolerance = np.mean(self.between), np.ptp(self.between) / 2
        away = np.subtract(value, centre)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.nanmax((away if self.below is not None else np.abs(away)) / np.asarray(tolerance, float)))

    def __str__(self) -> str:
        if self.equals is not None:
            return shown(self.equals)
        if self.near is not None:
            return f"{shown(self.near)} ± {shown(self.within)}"
        return f"in [{shown(self.between)}]" if self.between is not None else f"< {shown(self.below)}"


@dataclass(frozen=True)
class Claim:
    """One checkable sentence, the one that is tested.

    `kind` is one of `KINDS`. `source` is a citation key or "this book", with the place; `known` says how well the
    sentence is known (`KNOWN`); `because` says where the tolerance comes from. `rival` is the nearest wrong theory: a
    cell gives its value, which must miss `expect`. `holds` is "yes", or "in part" or "no" with a `reason`. What a
    sentence that does not hold says itself stands in `says`: it is its own rival, and the measured value must miss it.
    A `headline` is one of the chapter's main results. Formulas in the texts stand between dollar signs.
    """

    id: str
    chapter: str
    statement: str
    kind: str
    source: str
    known: str
    expect: Expectation
    because: str
    rival: str = ""
    holds: str = "yes"
    says: Expectation | None = None
    reason: str = ""
    headline: bool = False

    def __post_init__(self) -> None:
        for field, known in (("kind", KINDS), ("known", KNOWN), ("holds", HOLDS)):
            value = getattr(self, field)
            _must(value in known, f"{field} must be one of {list(known)}, got {value!r}")
        unknown = sorted(set(KEY.findall(self.source)) - sources().keys())
        _must(not unknown, f"source must name works of references.bib, got {unknown}")
        yes, says = self.holds == "yes", self.says is not None
        _must(yes == (self.reason == ""), "reason must be given just where holds is not 'yes'")
        _must(says or self.holds != "no", "says must give what the sentence itself expects, since holds is 'no'")
        _must(not (says and (yes or self.rival)), "says must stand where holds is not 'yes', in place of a rival")
        _must(says or self.rival or self.kind in PROVED, f"rival must be given for kind {self.kind!r}")

    @property
    def attribution(self) -> str:
        """The source in words: authors and years for the keys of the bibliography."""
        return KEY.sub(lambda key: sources().get(key[0], key[0]), self.source)


@dataclass(frozen=True)
class Record:
    """A claim with the value that was measured, and its rival's. What a notebook stores and shows."""

    claim: Claim
    value: Any
    rival: Any = None

    @property
    def holds(self) -> str:
        claim = self.claim
        contradicts = claim.says is not None and claim.says.holds(self.value)
        return claim.holds if claim.expect.holds(self.value) and not contradicts else "failed"

    @property
    def fault(self) -> str:
        """Why the rival's value rules nothing out; empty if it does, or if the claim has none."""
        if bool(self.claim.rival) != (self.rival is not None):
            return f"must {'have' if self.claim.rival else 'not have'} a rival's value, got {shown(self.rival)}"
        if self.rival is None:
            return ""
        if _leaves(self.rival) != _leaves(self.value):
            return f"rival must be finite and of the value's shape and type, got {shown(self.rival)}"
        passes = f"its rival would pass: {shown(self.rival)}, expected {self.claim.expect} ({self.claim.rival})"
        return passes if self.claim.expect.holds(self.rival) else ""

    @property
    def trouble(self) -> str:
        """Why the claim cannot stand, in at most three lines: id, measured, expected. Empty if it can."""
        if self.holds == "failed":
            measured = shown(self.value, digits=8)  # more than a page shows: what fails may fail in the fourth
            measured = measured if len(measured) < 400 else f"{measured[:400]} ... (shape {np.shape(self.value)})"
            return f"claim {self.claim.id} fails\nmeasured {measured}\nexpected {self._expected}"
        return f"claim {self.claim.id}: {self.fault}" if self.fault else ""

    @property
    def _expected(self) -> str:
        return f"{self.claim.expect}" + (f" (the sentence says {self.claim.says})" if self.claim.says else "")

    @property
    def distance(self) -> float | None:
        """In tolerances, how far the rival lies from what is expected, or the value from what a refuted sentence says."""
        if self.claim.says is not None:
            return self.claim.says.distance(self.value)
        return None if self.rival is None else self.claim.expect.distance(self.rival)

    def json(self) -> dict[str, Any]:
        entry = {"id": self.claim.id, "value": self.value, "expectation": str(self.claim.expect), "holds": self.holds}
        return entry if self.rival is None else entry | {"rival": self.rival}

    def __str__(self) -> str:
        mark = "✗" if self.holds == "failed" else "✓"
        against = f" Rival: {shown(self.rival)}." if self.rival is not None else ""
        return (
            f"{mark} {self.claim.id}: {WORDS[self.holds]} - measured {shown(self.value)}, "
            f"expected {self._expected}.{against} {self.claim.statement}"
        )

    def against(self, write: Callable[[str], str]) -> str:
        """What the value rules out, words written by `marked` or `typeset`; empty for a claim without a rival."""
        far = "" if self.distance is None else f", {_times(self.distance)} tolerances away"
        if self.claim.says is not None:
            return f"the sentence says {code(self.claim.says)}{far}"
        return "" if self.rival is None else f"rival {code(shown(self.rival))}{far}: {write(self.claim.rival)}"

    def markdown(self) -> str:
        """One line, which opens to show tolerance, rival and source. Reads in whatever shows Markdown, formulas too."""
        claim, measured = self.claim, f"easured {code(shown(self.value))}"
        alone = np.size(self.value) == 1  # several numbers say nothing without what is expected of them
        parts = filter(
            None,
            (
                f"{'' if alone else f'm{measured}, '}expected {code(claim.expect)} ({marked(claim.because)})",
                self.against(marked),
                marked(claim.reason),
                f"{claim.kind} · {escape(claim.attribution)}, {KNOWN[claim.known]} · {code(claim.id)}",
            ),
        )
        folded = "\n\n".join(parts)
        return (
            f'<details class="afp-claim" id="claim-{claim.id}"><summary>\n\n'
            f"{badge(self.holds)} {marked(claim.statement)}{f' M{measured}.' if alone else ''}\n\n"
            f"</summary>\n\n{folded}\n\n</details>"
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {CLAIM: self.json(), "text/markdown": self.markdown(), "text/plain": str(self)}


def recorded(entry: Mapping[str, Any]) -> Record:
    """The record that a notebook stores, with the claim as the registry has it."""
    return Record(registry()[entry["id"]], entry["value"], entry.get("rival"))


@cache
def works() -> Mapping[str, tuple[str, str, str]]:
    """The works of the bibliography by key: authors, year (with a letter where these agree), and address.

    The address is the work's own, or that of its entry in the bibliography, as chapters see it.
    """
    text = files("afp_utils.book").joinpath("references.bib").read_text(encoding="utf-8")
    named, address, title = dict[str, tuple[str, str]](), dict[str, str](), dict[str, str]()
    for key, body in re.findall(r"^@\w+\{(\w+),\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        fields = dict(re.findall(r"^\s*(\w+) = \{(.*)\},?$", body, re.MULTILINE))
        people = [re.sub(r"[{}]", "", name.split(",")[0]) for name in fields["author"].split(" and ")]
        who = people[0] if len(people) == 1 else " & ".join(people) if len(people) == 2 else f"{people[0]} et al."
        title[key] = re.sub(r"[{}]", "", fields["title"]).lower()
        named[key], address[key] = (who, fields["year"]), fields.get("url", f"../afp_utils/book/references.bib#{key}")
    # letters in the order of titles, as the page of references gives them
    alike = {
        name: sorted((key for key in named if named[key] == name), key=title.__getitem__) for name in named.values()
    }
    letter = {key: "abcdef"[keys.index(key)] if len(keys) > 1 else "" for keys in alike.values() for key in keys}
    return {key: (who, year + letter[key], address[key]) for key, (who, year) in named.items()}


@cache
def sources() -> Mapping[str, str]:
    """The works of the bibliography by key, as a reader sees them."""
    return {key: f"{who} ({year})" for key, (who, year, _) in works().items()}


def registry_files() -> list[Path]:
    """The files of claims, by the name of their chapter, in whatever room they are."""
    return sorted(Path(str(files("afp_utils"))).glob("*/claims-*.toml"), key=lambda path: path.name)


@cache
def registry() -> Mapping[str, Claim]:
    """Every claim of the book by id, in the order of the files.

    Raises `ClaimError` with file, claim and key where an entry is none.
    """
    claims: dict[str, Claim] = {}
    for path in registry_files():
        chapter = path.name.removeprefix("claims-").removesuffix(".toml")
        try:
            entries = tomllib.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ClaimError(f"{path.name} must be TOML: {error}") from None
        for name, entry in entries.items():
            try:
                _must(name not in claims, "must be registered once, stands in another file as well")
                claims[name] = _claim(name, chapter, entry)
            except ClaimError as error:
                raise ClaimError(f"{path.name}: claim {name}: {error}") from None
    return claims


def _claim(name: str, chapter: str, entry: Any) -> Claim:
    """The claim of an entry of the registry."""
    _must(isinstance(entry, dict), f"must be a table, got {entry!r}")
    rules = list(Expectation.__dataclass_fields__)
    known = [field for field in Claim.__dataclass_fields__ if field not in ("id", "chapter", "expect")]
    for key, text in entry.items():
        _must(key in known + rules, f"{key} must be one of {known + rules}")
        _must(key in ("says", "headline", *rules) or isinstance(text, str), f"{key} must be text, got {text!r}")
    for key in ("statement", "kind", "source", "known", "because"):
        _must(key in entry, f"{key} must be given")
    given = {key: text for key, text in entry.items() if key in known}
    _must(given.get("headline", True) is True, f"headline must be true or left out, got {given.get('headline')!r}")
    expect = Expectation(**{key: value for key, value in entry.items() if key in rules})
    if "says" in given:
        says = given["says"]
        _must(isinstance(says, dict) and says.keys() <= set(rules), f"says must be a table of {rules}, got {says!r}")
        given["says"] = Expectation(**says)
    return Claim(id=name, chapter=chapter, expect=expect, **given)


def check(id: str, value: Any, rival: Any = None) -> None:
    """Show and store the claim `id` with the measured `value`: a number, a truth value, a text or a list of them.

    `rival` is what the same measurement gives, or should give, under the claim's rival. Raises `ClaimError` if the
    claim is not registered, if the value is not what it expects, or if the rival's is.
    """
    _must(id in registry(), f"claim must be one of the registry, got {id!r}")
    record = Record(registry()[id], plain(value), None if rival is None else plain(rival))
    display(record)
    _must(not record.trouble, record.trouble)


def needs(package: str, id: str = "") -> bool:
    """Whether `package` is installed. If not, say that the cell leaves something out: the claim `id`, if one is named.

    A browser, for example, has no torch. A chapter that left something out is not stored, and no site is built from it.
    Raises `ClaimError` if the claim is not registered.
    """
    _must(not id or id in registry(), f"claim must be one of the registry, got {id!r}")
    if find_spec(package):
        return True
    what = f"claim {id} is not checked here" if id else "part of this cell is left out"
    said = f"{what}: it needs {package}, which is not installed"
    display({NEEDS: {"id": id, "said": said}, "text/plain": said}, raw=True)
    return False


def numbers(**values: str) -> None:
    """Store numbers, already formatted as text, that the prose of the chapter quotes by name; pages show them there alone."""
    display(listed(values), raw=True)


def listed(values: Mapping[str, str]) -> dict[str, Any]:
    """Numbers for the prose as a cell stores them: nothing to see in a browser, elsewhere one a line."""
    text = "\n".join(f"{name} = {text}" for name, text in values.items())
    return {NUMBER: dict(values), "text/html": "<!-- quoted in the text -->", "text/plain": text}


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


def _leaves(value: Any) -> Any:
    """The shape of a value with the type of each entry. Not a number and infinities, stored as text, are texts."""
    if isinstance(value, list):
        return [_leaves(item) for item in value]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def _numbers(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(map(_numbers, value))
    return _leaves(plain(value)) == "number"


def shown(value: Any, digits: int = 3) -> str:
    """The value as a reader sees it: three significant digits, lists within lists in brackets."""
    if isinstance(value, list | tuple):
        items = [(shown(item, digits), isinstance(item, list | tuple)) for item in value]
        return ", ".join(f"({text})" if several else text for text, several in items)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _times(distance: float) -> str:
    """A number of tolerances: one digit after the point below ten, a whole number below 10,000, else a power of ten."""
    if distance >= 10_000:
        return f"10^{math.floor(math.log10(distance))}"
    return f"{distance:.1f}" if distance < 10 else f"{distance:.0f}"


def code(thing: Any) -> str:
    return f"<code>{escape(str(thing))}</code>"


def marked(text: str) -> str:
    """Text of the registry as Markdown: formulas as they are, all else without special signs."""
    parts = MATH.split(text)
    parts[::2] = [re.sub(r"([*_|`\[\]])", r"\\\1", escape(part)) for part in parts[::2]]
    parts[1::2] = [f"${part}$" for part in parts[1::2]]
    return "".join(parts)


def typeset(text: str) -> str:
    """Text of the registry as HTML, its formulas as the pages' MathJax finds them."""
    parts = [escape(part) for part in MATH.split(text)]
    parts[1::2] = [f'<span class="math notranslate nohighlight">\\({part}\\)</span>' for part in parts[1::2]]
    return "".join(parts)


def badge(holds: str, words: Mapping[str, str] = WORDS) -> str:
    return f'<span class="afp-verdict afp-{holds.replace(" ", "-")}">{words[holds]}</span>'


@dataclass(frozen=True)
class Shown:
    """HTML in a browser, text elsewhere."""

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...] | str], kind: str = "") -> str:
    """A table as HTML. A row is its cells, or HTML; one cell heads the rows below it."""
    header = f"<tr>{''.join(f'<th>{name}</th>' for name in head)}</tr>" if head else ""
    body = "".join(row if isinstance(row, str) else f"<tr>{cells(row, len(head))}</tr>" for row in rows)
    return f'<div class="afp-scroll"><table class="{f"afp-table {kind}".strip()}">{header}{body}</table></div>'


def cells(row: tuple[str, ...], width: int = 0) -> str:
    if len(row) == 1:
        return f'<td class="afp-part" colspan="{width}">{row[0]}</td>'
    return "".join(f"<td>{cell}</td>" for cell in row)


def contents(chapter: str) -> str:
    """The claims of a chapter with their verdicts, its main results first, as Markdown for its last section.

    Raises `ClaimError` if no claim is registered for the chapter.
    """
    here = [claim for claim in registry().values() if claim.chapter == chapter]
    _must(here, f"chapter must have a file afp_utils/*/claims-{chapter}.toml, got {chapter!r}")
    lines = list[str]()
    for title, headline in (("Main results", True), ("The others", False)):
        group = [claim for claim in here if claim.headline is headline]
        rows = [
            f'- {badge(one.holds)} {marked(one.statement)} <a href="#claim-{one.id}">See&nbsp;it.</a>' for one in group
        ]
        lines += [f"**{title}**\n", *rows, ""] if rows else []
    return "\n".join(lines).rstrip()

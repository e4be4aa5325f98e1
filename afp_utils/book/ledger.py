"""The ledger: every claim as the executed notebooks hold it, what it rests on, and what the source papers assert.

Everything here is read from a folder of executed chapters, the registry of claims, and `papers.toml`, which says in
this book's words what each paper asserts and which claims test it.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from afp_utils.book import claims
from afp_utils.book.claims import CLAIM, HOLDS, KINDS, KNOWN, OTHER, PROVED, Claim, ClaimError, Record, badge, shown

ANSWERS = {"yes": "holds", "in part": "holds in part", "no": "does not hold here", "open": "not tested"}
"""What the book answers to an assertion of a paper."""
QUOTED = re.compile(r"\{([\w-]+)\}")


@dataclass(frozen=True)
class Shown:
    """A part of the ledger: HTML in a browser, text elsewhere."""

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def notebooks(folder: Path) -> list[Path]:
    """The notebooks of a folder of chapters in the order of the table of contents beside it; without one, by name.

    Others in the folder, such as copies that a reader made, are no part of the book.
    """
    contents = Path(folder).resolve().parent / "_toc.yml"
    if not contents.exists():
        return sorted(Path(folder).glob("*.ipynb"))
    listed = re.findall(r"(?:file|root): *chapters/([\w-]+)", contents.read_text(encoding="utf-8"))
    return [path for path in (Path(folder) / f"{name}.ipynb" for name in listed) if path.exists()]


def stored(notebook: Path) -> list[dict[str, Any]]:
    """The records that an executed notebook holds, in order, each with the functions (`calls`) that it comes from."""
    found = []
    for cell in json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]:
        calls = cell.get("metadata", {}).get("afp", {}).get("calls", [])
        data = [output.get("data", {}) for output in cell.get("outputs", [])]
        found += [entry[CLAIM] | {"calls": calls} for entry in data if CLAIM in entry]
    return found


@dataclass(frozen=True)
class Ledger:
    """Every claim in the order of the chapters, its record, if it was checked, and the functions that it comes from."""

    claims: Mapping[str, Claim]
    records: Mapping[str, Record | None]
    calls: Mapping[str, frozenset[str]]

    def holds(self, name: str) -> str:
        record = self.records[name]
        return record.holds if record else "unchecked"

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many claims hold, hold in part, do not hold, fail, are unchecked."""
        found = [self.holds(name) for name in self.claims]
        return {holds: found.count(holds) for holds in HOLDS | OTHER}

    @cached_property
    def supports(self) -> dict[str, tuple[str, ...]]:
        """For each claim, the identities and theorem checks that try nothing but functions that it comes from as well.

        If one of these fails, a function that the claim needs is wrong. Of two that try the same functions, the later
        rests on the earlier.
        """
        order = list(self.claims)
        proved = [name for name in order if self.claims[name].kind in PROVED and self.calls[name]]

        def rests(name: str, other: str) -> bool:
            mine, theirs = self.calls[name], self.calls[other]
            if mine == theirs and name in proved:
                return order.index(other) < order.index(name)
            return other != name and theirs <= mine

        return {name: tuple(other for other in proved if rests(name, other)) for name in order}

    def undermined(self, name: str) -> tuple[str, ...]:
        """The failed claims that one which does not fail itself rests on."""
        if self.holds(name) in OTHER:
            return ()
        return tuple(other for other in self.supports[name] if self.holds(other) in OTHER)

    def carried(self, function: str) -> list[str]:
        """The claims whose values come from a function (or a class), named as in `sequence.expected_risk`."""
        return [name for name in self.claims if function in self.calls[name]]

    def quotable(self) -> dict[str, str]:
        """Numbers that pages outside the chapters may quote: how many claims there are, and each claim's value."""
        checked = {name: record for name, record in self.records.items() if record}
        return {
            "claims": str(len(self.claims)),
            **{f"claims:{holds.replace(' ', '-')}": str(self.counts[holds]) for holds in HOLDS},
            **{f"claim:{name}": shown(record.value) for name, record in checked.items()},
        }


def read(folder: Path = Path()) -> Ledger:
    """The ledger of a folder of executed chapters."""
    paths = notebooks(folder)
    found = {entry["id"]: entry for path in paths for entry in stored(path)}
    order = {path.stem: place for place, path in enumerate(paths)}
    registry = sorted(claims.registry().items(), key=lambda item: order.get(item[1].chapter, len(order)))
    records = {
        name: Record(claim, found[name]["value"], found[name].get("rival")) if name in found else None
        for name, claim in registry
    }
    calls = {name: frozenset(found[name]["calls"]) if name in found else frozenset() for name in records}
    return Ledger(dict(registry), records, calls)


def faults(folder: Path) -> list[str]:
    """What is wrong with the claims stored in a folder of chapters: one line each, naming the claim. Empty if all is well."""
    registry, wrong, seen = claims.registry(), list[str](), dict[str, str]()
    for notebook in notebooks(folder):
        for entry in stored(notebook):
            del entry["calls"]
            claim = registry.get(entry["id"])
            if claim is None:
                wrong.append(f"claim {entry['id']} of {notebook.name} is not registered")
                continue
            if claim.chapter != notebook.stem:
                wrong.append(f"claim {claim.id} is registered for {claim.chapter} but checked in {notebook.stem}")
            if claim.id in seen:
                wrong.append(f"claim {claim.id} is checked twice: in {seen[claim.id]} and {notebook.stem}")
            seen[claim.id] = notebook.stem
            record = Record(claim, entry["value"], entry.get("rival"))
            if record.holds == "failed":
                wrong.append(f"claim {claim.id} fails: stored {shown(record.value)}, expected {claim.expect}")
            elif entry != record.json():
                wrong.append(f"claim {claim.id} is stale: stored {entry}, the registry gives {record.json()}")
            elif record.fault:
                wrong.append(f"claim {claim.id}: {record.fault}")
    missing = [name for name in registry if name not in seen]
    return wrong + [f"claim {name} is registered for {registry[name].chapter} but never checked" for name in missing]


# ---- what the papers assert ----


def papers() -> dict[str, list[dict[str, Any]]]:
    """The tables of `papers.toml`: the abstracts' assertions, and the papers' theorems, figures and tables.

    Raises `ClaimError` where an answer does not fit the verdicts of the claims that it names.
    """
    text = files("afp_utils.book").joinpath("papers.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    registry = claims.registry()
    for row in tables["assertion"] + tables["result"]:
        place = f"papers.toml: {row['paper']}, {row.get('label', row['text'])!r}"
        unknown = [name for name in row["claims"] if name not in registry]
        if unknown or row["paper"] not in claims.sources():
            raise ClaimError(f"{place} must name claims of the registry and a work of references.bib, got {unknown}")
        verdicts = {registry[name].holds for name in row["claims"]}
        fits = {
            "yes": verdicts == {"yes"},
            "in part": bool(verdicts),
            "no": "no" in verdicts,
            "open": not verdicts,
        }
        if not fits.get(row["answer"], False):
            raise ClaimError(f"{place}: answer must fit the verdicts {sorted(verdicts)}, got {row['answer']!r}")
        if row["answer"] != "yes" and not row.get("why"):
            raise ClaimError(f"{place}: why must be given where the answer is not 'yes'")
    return tables


def abstracts(book: Ledger) -> Shown:
    """Every assertion of the five papers' abstracts, the claims that test it, and the answer."""
    return _answers(book, papers()["assertion"], "assertion of the abstract")


def results(book: Ledger) -> Shown:
    """Theorems, figures and tables of the papers, as far as known here: tested by which claims, or why not."""
    return _answers(book, papers()["result"], "theorem, figure or table")


def _answers(book: Ledger, rows: list[dict[str, Any]], head: str) -> Shown:
    values, body, lines, paper = book.quotable(), list[str](), list[str](), ""
    for row in rows:
        if row["paper"] != paper:
            paper = row["paper"]
            body.append(f'<tr><td class="afp-part" colspan="3">{escape(claims.sources()[paper])}</td></tr>')
            lines.append(f"\n{claims.sources()[paper]}")
        why = QUOTED.sub(lambda mark: values.get(f"claim:{mark[1]}", "-"), row.get("why", ""))
        label = f"<strong>{escape(row['label'])}.</strong> " if "label" in row else ""
        links = ", ".join(_link(book.claims[name]) for name in row["claims"]) or "-"
        answer = f'<span class="afp-verdict afp-{row["answer"].replace(" ", "-")}">{ANSWERS[row["answer"]]}</span>'
        body.append(f"<tr><td>{label}{escape(row['text'])}</td><td>{links}</td><td>{answer} {escape(why)}</td></tr>")
        said = f" ({why})" if why else ""
        lines.append(f"{ANSWERS[row['answer']]:20}{row.get('label', '')} {row['text']}{said} {' '.join(row['claims'])}")
    header = f"<tr><th>{head}</th><th>claims</th><th>here</th></tr>"
    table = f'<div class="afp-scroll"><table class="afp-table afp-papers">{header}{"".join(body)}</table></div>'
    return Shown(table, "\n".join(lines).strip())


# ---- the map and the table ----


def _link(claim: Claim) -> str:
    """A short link to a claim: its id, with the sentence on hover."""
    address = f"{claim.chapter}.ipynb#claim-{claim.id}"
    return f'<a class="afp-id" href="{address}" title="{escape(claim.statement)}">{claim.id}</a>'


def _title(chapter: str) -> str:
    return chapter.replace("-", " ").capitalize()


def _chapters(book: Ledger) -> dict[str, list[Claim]]:
    found: dict[str, list[Claim]] = {}
    for claim in book.claims.values():
        found.setdefault(claim.chapter, []).append(claim)
    return found


def chart(book: Ledger) -> Shown:
    """A dot for each claim, by chapter and verdict. `data-rests` names the claims that it rests on."""
    lines, rows = [], []
    for chapter, members in _chapters(book).items():
        dots = []
        for claim in members:
            holds, rests = book.holds(claim.id), book.supports[claim.id]
            words = (HOLDS | OTHER)[holds] + (", but rests on a failed one" if book.undermined(claim.id) else "")
            on = f" Rests on: {', '.join(rests)}." if rests else ""
            name = escape(f"{claim.id}: {words}. {claim.statement}{on}")
            dots.append(
                f'<a class="afp-dot afp-{holds.replace(" ", "-")}" id="dot-{claim.id}" title="{name}" aria-label="{name}" '
                f'href="{claim.chapter}.ipynb#claim-{claim.id}" data-rests="{" ".join(rests)}"></a>'
            )
        rows.append(f'<tr><th scope="row">{_title(chapter)}</th><td>{"".join(dots)}</td></tr>')
        marks = {"yes": "●", "in part": "◐", "no": "○"}
        lines.append(f"{_title(chapter):28}" + "".join(marks.get(book.holds(claim.id), "✗") for claim in members))
    key = " ".join(f"{badge(holds)} {count}" for holds, count in book.counts.items() if count)
    return Shown(f'<div class="afp-map"><p>{key}</p><table>{"".join(rows)}</table></div>', "\n".join(lines))


def ledger(book: Ledger) -> Shown:
    """Every claim: the tested sentence, its source, measured, expected, what that rules out, and whether it holds."""
    body, lines = list[str](), list[str]()
    for chapter, members in _chapters(book).items():
        body.append(f'<tr data-part="{chapter}"><td class="afp-part" colspan="3">{_title(chapter)}</td></tr>')
        lines.append(f"\n{_title(chapter)}")
        for claim in members:
            holds, record = book.holds(claim.id), book.records[claim.id]
            body.append(_row(book, claim))
            value = shown(record.value) if record else "-"
            lines.append(f"{(HOLDS | OTHER)[holds]:16}{claim.id}: {value} (expected {claim.expect})")
    head = "<tr><th>claim</th><th>measured, expected, and what that rules out</th><th>verdict</th></tr>"
    table = f'<table class="afp-table afp-ledger">{head}{"".join(body)}</table>'
    return Shown(f'<div class="afp-scroll">{table}</div>', "\n".join(lines).strip())


def _row(book: Ledger, claim: Claim) -> str:
    record, holds = book.records[claim.id], book.holds(claim.id)
    reason = f'<br><span class="afp-reason">{escape(claim.reason)}</span>' if claim.reason else ""
    undermined = ", ".join(_link(book.claims[name]) for name in book.undermined(claim.id))
    shaken = f"<br>but rests on a failed one: {undermined}" if undermined else ""
    on = [f"<code>{name}</code>" for name in sorted(book.calls[claim.id])] or ["the chapter's own code"]
    on += [_link(book.claims[name]) for name in book.supports[claim.id]]
    rests = f'<details class="afp-rests"><summary>rests on</summary>{", ".join(on)}</details>'
    against = record.against() if record else ""
    named = "|".join(claims.sources()[key] for key in claims.KEY.findall(claim.source)) or "this book"
    measured = f"measured <code>{escape(shown(record.value))}</code><br>" if record else ""
    source = f'<p class="afp-source">{escape(claim.attribution)}, {KNOWN[claim.known]} · {claim.kind}</p>'
    cells = (
        f'<a href="{claim.chapter}.ipynb#claim-{claim.id}">{escape(claim.statement)}</a>{reason}{source}{rests}',
        f"{measured}expected <code>{escape(str(claim.expect))}</code>" + (f"<p>{against}</p>" if against else ""),
        f"{badge(holds)}{shaken}",
    )
    marks = f'data-chapter="{claim.chapter}" data-kind="{claim.kind}" data-verdict="{(HOLDS | OTHER)[holds]}"'
    return f'<tr {marks} data-source="{escape(named)}">{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def kinds(book: Ledger) -> Shown:
    """How many claims there are of each kind, and how well their sentences are known."""
    members = book.claims.values()
    rows = [(sum(claim.kind == kind for claim in members), kind, words) for kind, words in KINDS.items()]
    rows += [(sum(claim.known == known for claim in members), known, words) for known, words in KNOWN.items()]
    body = "".join(f"<tr><td>{count}</td><td>{name}</td><td>{words}</td></tr>" for count, name, words in rows)
    text = "\n".join(f"{count:4}  {name}: {words}" for count, name, words in rows)
    return Shown(f'<div class="afp-scroll"><table class="afp-table">{body}</table></div>', text)

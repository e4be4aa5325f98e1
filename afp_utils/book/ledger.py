"""The ledger: every claim as the executed notebooks hold it, what it rests on, and what the source papers assert.

Everything here is read from a folder of executed chapters, the registry of claims, and `papers.toml`, which says in
this book's words what each paper asserts and which claims test it.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from afp_utils.book import claims
from afp_utils.book.claims import (
    HOLDS,
    WORDS,
    Claim,
    ClaimError,
    Record,
    Shown,
    badge,
    cells,
    code,
    shown,
    table,
    typeset,
)

ANSWERS = {"yes": "holds", "in part": "holds in part", "no": "does not hold here", "open": "not tested"}
"""What the book answers to an assertion of a paper."""
FITS: Mapping[str, Callable[[set[str]], bool]] = {
    "yes": lambda verdicts: verdicts == {"yes"},
    "in part": bool,
    "no": lambda verdicts: "no" in verdicts,
    "open": lambda verdicts: not verdicts,
}
"""Which verdicts of the claims that it names an answer fits."""
MARKS = {"yes": "●", "in part": "◐", "no": "○", "failed": "✗", "unchecked": "✗"}
QUOTED = re.compile(r"\{([\w-]+)\}")


def notebooks(folder: Path) -> list[Path]:
    """The notebooks of a folder of chapters in the order of the table of contents beside it; without one, by name.

    Others in the folder are no part of the book; nor are a reader's copies in a folder of their own, beside the chapters.
    """
    contents = Path(folder).resolve().parent / "_toc.yml"
    if not contents.exists():
        return sorted(Path(folder).glob("*.ipynb"))
    listed = re.findall(r"(?:file|root): *chapters/([\w-]+)", contents.read_text(encoding="utf-8"))
    chapters = Path(folder) if Path(folder).resolve().name != "study" else contents.parent / "chapters"
    return [path for path in (chapters / f"{name}.ipynb" for name in listed) if path.exists()]


CONFLICT = re.compile("^(<{7}|={7}|>{7})", re.MULTILINE)


def text(notebook: Path) -> str:
    """The JSON of a stored notebook. Raises `ValueError` or `OSError` that says why it is none."""
    if not notebook.is_file():
        raise OSError("no file" if not notebook.exists() else "no file but a folder")
    found = notebook.read_text(encoding="utf-8-sig")  # some editors put a mark before the text
    if not found.strip():
        raise ValueError("an empty file")
    try:
        known = json.loads(found)
    except ValueError as error:
        mark = CONFLICT.search(found)
        line = found.count("\n", 0, mark.start()) + 1 if mark else 0
        raise ValueError(
            f"a conflict of git that is not resolved, line {line}" if mark else f"no JSON, {error}"
        ) from None
    if not isinstance(known, dict) or not isinstance(known.get("cells", known.get("worksheets")), list):
        raise ValueError("JSON without cells")  # noqa: TRY004 - of the file, not of an argument
    return found


def stored(notebook: Path, kind: str = claims.CLAIM) -> list[dict[str, Any]]:
    """The records that an executed notebook holds, in order, each with its cell and the functions that it comes from.

    Raises `ClaimError` with the file's name where it is no notebook.
    """
    try:
        book = json.loads(text(notebook))
    except (OSError, ValueError) as error:
        raise ClaimError(f"{notebook.name} must be a notebook of format 4, got: {error}") from None
    found = []
    for cell in book.get("cells", []):
        calls = cell.get("metadata", {}).get("afp", {}).get("calls", [])
        data = [output.get("data", {}) for output in cell.get("outputs", [])]
        place = {"calls": calls, "cell": cell.get("id", "")}
        found += [entry[kind] | place for entry in data if kind in entry]
    return found


@dataclass(frozen=True)
class Ledger:
    """Every claim in the order of the chapters, its record and cell, if it was checked, and the functions behind it."""

    claims: Mapping[str, Claim]
    records: Mapping[str, Record | None]
    calls: Mapping[str, frozenset[str]]
    cells: Mapping[str, str]

    def holds(self, name: str) -> str:
        record = self.records[name]
        return record.holds if record else "unchecked"

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many claims hold, hold in part, do not hold, fail, are unchecked."""
        found = [self.holds(name) for name in self.claims]
        return {holds: found.count(holds) for holds in WORDS}

    @cached_property
    def chapters(self) -> dict[str, list[Claim]]:
        """The claims of each chapter."""
        names = dict.fromkeys(claim.chapter for claim in self.claims.values())
        return {name: [claim for claim in self.claims.values() if claim.chapter == name] for name in names}

    @cached_property
    def supports(self) -> dict[str, tuple[str, ...]]:
        """For each claim, the identities and theorem checks that try nothing but functions that it comes from as well.

        If one of these fails, a function that the claim needs is wrong. Of two that try the same functions, the later
        rests on the earlier.
        """
        order = list(self.claims)
        proved = [name for name in order if self.claims[name].kind in claims.PROVED and self.calls[name]]

        def rests(name: str, other: str) -> bool:
            mine, theirs = self.calls[name], self.calls[other]
            if mine == theirs and name in proved:
                return order.index(other) < order.index(name)
            return other != name and theirs <= mine

        return {name: tuple(other for other in proved if rests(name, other)) for name in order}

    def undermined(self, name: str) -> tuple[str, ...]:
        """The failed claims that one which does not fail itself rests on."""
        if self.holds(name) in claims.OTHER:
            return ()
        return tuple(other for other in self.supports[name] if self.holds(other) in claims.OTHER)

    def carried(self, function: str) -> list[str]:
        """The claims whose values come from a function (or a class), named as in `sequence.rates.expected_risk`."""
        return [name for name in self.claims if function in self.calls[name]]

    def quotable(self) -> dict[str, str]:
        """Numbers that pages outside the chapters may quote: how many claims there are, and each claim's value."""
        counts = {f"claims:{holds.replace(' ', '-')}": str(self.counts[holds]) for holds in HOLDS}
        values = {f"claim:{name}": shown(record.value) for name, record in self.records.items() if record}
        return {"claims": str(len(self.claims)), **counts, **values}


def executed(folder: Path) -> dict[Path, list[dict[str, Any]]]:
    """The records of each notebook of a folder of executed chapters. Raises `ClaimError` where there are none."""
    found = {path: stored(path) for path in notebooks(folder)}
    if not any(found.values()):
        raise ClaimError(
            f"folder must hold the book's executed chapters, which the ledger reads, and {Path(folder).resolve()} has none: "
            "open it in the folder chapters of the book's repository, here or in Binder"
        )
    return found


def read(folder: Path = Path()) -> Ledger:
    """The ledger of a folder of executed chapters. Raises `ClaimError` where there are none."""
    records = executed(folder)
    found = {entry["id"]: entry for entries in records.values() for entry in entries}
    order = {path.stem: place for place, path in enumerate(records)}
    known = dict(sorted(claims.registry().items(), key=lambda item: order.get(item[1].chapter, len(order))))
    latest = {name: claims.recorded(found[name]) if name in found else None for name in known}
    calls = {name: frozenset(found[name]["calls"] if name in found else ()) for name in known}
    return Ledger(known, latest, calls, {name: entry["cell"] for name, entry in found.items()})


def faults(folder: Path) -> list[str]:
    """What is wrong with the claims stored in a folder of chapters: one line each, naming the claim. Empty if all is well.

    Raises `ClaimError` where no chapter is.
    """
    registry, wrong, seen = claims.registry(), list[str](), dict[str, str]()
    for notebook, entries in executed(folder).items():
        for entry in stored(notebook, claims.NEEDS):
            wrong.append(f"{notebook.name}: {entry['said']}")
            seen[entry["id"]] = notebook.stem
        for entry in entries:
            if claim := registry.get(entry["id"]):
                wrong += _faults(claim, entry, notebook.stem, seen)
                seen[claim.id] = notebook.stem
            else:
                wrong.append(f"claim {entry['id']} of {notebook.name} is not registered")
    missing = [name for name in registry if name not in seen]
    return wrong + [f"claim {name} is registered for {registry[name].chapter} but never checked" for name in missing]


def _faults(claim: Claim, entry: dict[str, Any], chapter: str, seen: Mapping[str, str]) -> Iterator[str]:
    if claim.chapter != chapter:
        yield f"claim {claim.id} is registered for {claim.chapter} but checked in {chapter}"
    if claim.id in seen:
        yield f"claim {claim.id} is checked twice: in {seen[claim.id]} and {chapter}"
    record, held = claims.recorded(entry), {key: value for key, value in entry.items() if key not in ("calls", "cell")}
    if record.holds == "failed":
        yield f"claim {claim.id} fails: stored {shown(record.value)}, expected {claim.expect}"
    elif held != record.json():
        yield f"claim {claim.id} is stale: stored {held}, the registry gives {record.json()}"
    elif record.fault:
        yield f"claim {claim.id}: {record.fault}"


def check(folder: Path = Path()) -> None:
    """Raise `ClaimError` with a line for each fault of the claims stored in a folder of chapters."""
    if wrong := faults(Path(folder)):
        raise ClaimError("\n".join(wrong))


# ---- what the papers assert ----


def papers() -> dict[str, list[dict[str, Any]]]:
    """The tables of `papers.toml`: the abstracts' assertions, and the papers' theorems, figures and tables.

    Raises `ClaimError` where an answer does not fit the verdicts of the claims that it names.

    >>> sorted(papers())
    ['assertion', 'result']
    """
    tables = tomllib.loads(files("afp_utils.book").joinpath("papers.toml").read_text(encoding="utf-8"))
    registry = claims.registry()
    for row in tables["assertion"] + tables["result"]:
        place = f"papers.toml: {row['paper']}, {row.get('label', row['text'])!r}"
        unknown = [name for name in row["claims"] if name not in registry]
        if unknown or row["paper"] not in claims.sources():
            raise ClaimError(f"{place} must name claims of the registry and a work of references.bib, got {unknown}")
        verdicts = {registry[name].holds for name in row["claims"]}
        if row["answer"] not in FITS or not FITS[row["answer"]](verdicts):
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
    body, lines, values = list[tuple[str, ...]](), list[str](), book.quotable()
    for row, before in zip(rows, [{"paper": ""}, *rows]):
        if row["paper"] != before["paper"]:
            body.append((escape(claims.sources()[row["paper"]]),))
            lines.append(f"\n{claims.sources()[row['paper']]}")
        why = QUOTED.sub(lambda mark: values.get(f"claim:{mark[1]}", "-"), row.get("why", ""))
        label = f"<strong>{escape(row['label'])}.</strong> " if "label" in row else ""
        links = _links(book, row["claims"]) or "-"
        body.append((label + escape(row["text"]), links, f"{badge(row['answer'], ANSWERS)} {escape(why)}"))
        said = f" ({why})" if why else ""
        lines.append(f"{ANSWERS[row['answer']]:20}{row.get('label', '')} {row['text']}{said} {' '.join(row['claims'])}")
    return Shown(table((head, "claims", "here"), body, "afp-papers"), "\n".join(lines).strip())


# ---- the map and the table ----


def _link(book: Ledger, claim: Claim) -> str:
    """To the claim's cell, which JupyterLab finds before it has drawn the outputs; a page has the claim itself."""
    cell = f'cell-id={book.cells[claim.id]}" data-claim="' if book.cells.get(claim.id) else ""
    return f'href="{claim.chapter}.ipynb#{cell}claim-{claim.id}"'


def _links(book: Ledger, names: Iterable[str]) -> str:
    """Short links to claims: their ids, with the sentence on hover."""
    members = [book.claims[name] for name in names]
    return ", ".join(
        f'<a class="afp-id" {_link(book, claim)} title="{escape(claim.statement)}">{claim.id}</a>' for claim in members
    )


def _title(chapter: str) -> str:
    return chapter.replace("-", " ").capitalize()


def chart(book: Ledger) -> Shown:
    """A dot for each claim, by chapter and verdict. `data-rests` names the claims that it rests on."""
    rows, lines = "", list[str]()
    for chapter, members in book.chapters.items():
        dots = "".join(_dot(book, claim) for claim in members)
        rows += f'<tr><th scope="row">{_title(chapter)}</th><td>{dots}</td></tr>'
        lines.append(f"{_title(chapter):28}" + "".join(MARKS[book.holds(claim.id)] for claim in members))
    key = " ".join(f"{badge(holds)} {count}" for holds, count in book.counts.items() if count)
    return Shown(f'<div class="afp-map"><p>{key}</p><table>{rows}</table></div>', "\n".join(lines))


def _dot(book: Ledger, claim: Claim) -> str:
    holds, rests = book.holds(claim.id), book.supports[claim.id]
    words = WORDS[holds] + (", but rests on a failed one" if book.undermined(claim.id) else "")
    on = f" Rests on: {', '.join(rests)}." if rests else ""
    name = escape(f"{claim.id}: {words}. {claim.statement}{on}")
    return (
        f'<a class="afp-dot afp-{holds.replace(" ", "-")}" id="dot-{claim.id}" title="{name}" aria-label="{name}" '
        f'{_link(book, claim)} data-rests="{" ".join(rests)}"></a>'
    )


def ledger(book: Ledger) -> Shown:
    """Every claim: the tested sentence, its source, measured, expected, what that rules out, and whether it holds."""
    rows, lines = list[str](), list[str]()
    for chapter, members in book.chapters.items():
        rows.append(f'<tr data-part="{chapter}">{cells((_title(chapter),), 3)}</tr>')
        lines.append(f"\n{_title(chapter)}")
        for claim in members:
            record = book.records[claim.id]
            value = shown(record.value) if record else "-"
            rows.append(_row(book, claim))
            lines.append(f"{WORDS[book.holds(claim.id)]:16}{claim.id}: {value} (expected {claim.expect})")
    head = ("claim", "measured, expected, and what that rules out", "verdict")
    return Shown(table(head, rows, "afp-ledger"), "\n".join(lines).strip())


def _row(book: Ledger, claim: Claim) -> str:
    record, holds = book.records[claim.id], book.holds(claim.id)
    named = "|".join(claims.sources()[key] for key in claims.KEY.findall(claim.source)) or "this book"
    measured = f"measured {code(shown(record.value))}<br>" if record else ""
    against = record.against(typeset) if record else ""
    undermined = _links(book, book.undermined(claim.id))
    shaken = f"<br>but rests on a failed one: {undermined}" if undermined else ""
    row = (
        _sentence(book, claim),
        f"{measured}expected {code(claim.expect)}{against and f'<p>{against}</p>'}",
        f"{badge(holds)}{shaken}",
    )
    marks = f'data-chapter="{claim.chapter}" data-kind="{claim.kind}" data-verdict="{WORDS[holds]}"'
    return f'<tr {marks} data-source="{escape(named)}">{cells(row)}</tr>'


def _sentence(book: Ledger, claim: Claim) -> str:
    """The claim with its reason, its source, and, folded, what it rests on."""
    reason = f'<br><span class="afp-reason">{typeset(claim.reason)}</span>' if claim.reason else ""
    source = f'<p class="afp-source">{escape(claim.attribution)}, {claims.KNOWN[claim.known]} · {claim.kind}</p>'
    on = ", ".join(code(name) for name in sorted(book.calls[claim.id])) or "the chapter's own code"
    proofs = _links(book, book.supports[claim.id])
    rests = f'<details class="afp-rests"><summary>rests on</summary>{on}{proofs and ", "}{proofs}</details>'
    return f"<a {_link(book, claim)}>{typeset(claim.statement)}</a>{reason}{source}{rests}"


def kinds(book: Ledger) -> Shown:
    """How many claims there are of each kind, and how well their sentences are known."""
    found = [word for claim in book.claims.values() for word in (claim.kind, claim.known)]
    rows = [(str(found.count(name)), name, words) for name, words in (claims.KINDS | claims.KNOWN).items()]
    return Shown(table((), rows), "\n".join(f"{count:>4}  {name}: {words}" for count, name, words in rows))

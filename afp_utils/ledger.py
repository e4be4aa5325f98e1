"""The ledger: every claim as the executed notebooks hold it, and what is wrong with them."""

import json
from html import escape
from pathlib import Path
from typing import Any

from afp_utils import claims
from afp_utils.claims import CLAIM, HOLDS, KNOWN, OTHER, Record, Table, badge, shown


def stored(notebook: Path) -> list[dict[str, Any]]:
    """The records that an executed notebook holds, in order."""
    cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [output["data"][CLAIM] for output in outputs if CLAIM in output.get("data", {})]


def faults(folder: Path) -> list[str]:
    """What is wrong with the claims stored in a folder of chapters: one line each, naming the claim. Empty if all is well."""
    registry, wrong, seen = claims.registry(), list[str](), dict[str, str]()
    for notebook in sorted(Path(folder).glob("*.ipynb")):
        for entry in stored(notebook):
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


def ledger(folder: Path = Path()) -> Table:
    """Every claim, its source, the stored value and the verdict, each linked to its cell, chapter by chapter."""
    measured = {entry["id"]: entry for path in sorted(Path(folder).glob("*.ipynb")) for entry in stored(path)}
    rows, lines, chapter = list[tuple[str, ...]](), list[str](), ""
    for claim in claims.registry().values():
        if claim.chapter != chapter:
            chapter = claim.chapter
            title = chapter.replace("-", " ").capitalize()
            rows.append((title,))
            lines.append(f"\n{title}")
        entry = measured.get(claim.id)
        record = Record(claim, entry["value"], entry.get("rival")) if entry else None
        holds, value = (record.holds, shown(record.value)) if record else ("unchecked", "-")
        reason = f'<br><span class="afp-reason">{escape(claim.reason)}</span>' if claim.reason else ""
        link = f'<a href="{claim.chapter}.ipynb#claim-{claim.id}">{escape(claim.statement)}</a>{reason}'
        source = f"{escape(claim.attribution)}<br><em>{KNOWN[claim.known]}</em>"
        rows.append((link, source, f"<code>{value}</code>", f"<code>{escape(str(claim.expect))}</code>", badge(holds)))
        lines.append(f"{(HOLDS | OTHER)[holds]:24}{claim.id}: {value} (expected {claim.expect})")
    return Table(("claim", "source", "measured", "expected", "verdict"), tuple(rows), "\n".join(lines).strip())


def verdicts(folder: Path = Path()) -> dict[str, int]:
    """How many claims hold, hold in part, do not hold, fail, or are unchecked in the executed chapters."""
    measured = {entry["id"]: entry["holds"] for path in Path(folder).glob("*.ipynb") for entry in stored(path)}
    found = [measured.get(name, "unchecked") for name in claims.registry()]
    return {holds: found.count(holds) for holds in HOLDS | OTHER}

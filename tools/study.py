"""Copy the chapters into `study/`, where readers work: `python -m tools.study`. What they changed there is never touched."""

import hashlib
import json
from pathlib import Path

from afp_utils.book.ledger import notebooks

ROOT = Path(__file__).resolve().parents[1]
RECORD = ".copied.json"
"""Name of the file in `study/` that tells, for each copy, the digest of what was copied."""


def digest(file: Path) -> str:
    """Of what is written and shown in a notebook, since editors rewrite the rest when they save; of all of a page."""
    content = file.read_bytes()
    if file.suffix == ".ipynb":
        try:
            cells = [
                (cell["cell_type"], "".join(cell["source"]), cell.get("outputs"))
                for cell in json.loads(content, parse_int=float)["cells"]  # JupyterLab writes 0 for 0.0
            ]
            content = json.dumps(cells, sort_keys=True).encode()
        except (ValueError, KeyError, TypeError):
            pass  # no notebook any more: the reader's
    return hashlib.sha256(content).hexdigest()


def study(root: Path = ROOT) -> list[str]:
    """Copy the notebooks that `_toc.yml` lists, and the pages that they link to, from `root/chapters` to `root/study`.

    A copy as it was made is brought up to date; one that differs is the reader's. Returns a line for each that was
    left alone, and one about the rest.
    """
    chapters, target = root / "chapters", root / "study"
    record = target / RECORD
    made = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    lines, written = list[str](), 0
    for file in [*notebooks(chapters), *sorted(chapters.glob("*.md")), *sorted(chapters.glob("api/*.md"))]:
        name, copy = file.relative_to(chapters).as_posix(), target / file.relative_to(chapters)
        new, old = digest(file), digest(copy) if copy.exists() else None
        if old not in (None, new, made.get(name)):
            newer = f", and chapters/{name} has changed since" if made.get(name) != new else ""
            lines.append(f"study/{name} is yours and was left as it is{newer}; rename it to get a new copy")
            continue
        if old != new:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.with_name(f"{copy.name}.partial").write_bytes(file.read_bytes())
            copy.with_name(f"{copy.name}.partial").replace(copy)
            written += 1
        made[name] = new
        record.write_text(json.dumps(made, indent=1), encoding="utf-8")
    return [*lines, f"{written} of {len(made)} files copied; open them with .venv/bin/jupyter lab study"]


if __name__ == "__main__":
    for line in study():
        print(f"study: {line}")

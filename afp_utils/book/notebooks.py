"""What the book does to a notebook without running it: read, fill in, quote, compare with what it depends on, store."""

import ast
import base64
import hashlib
import importlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml
from IPython.core.inputtransformer2 import TransformerManager

from afp_utils.book import claims, ledger
from afp_utils.book.exercises import Exercise, exercises

ROOT = Path(__file__).parents[2]
CHAPTERS = ROOT / "chapters"
PACKAGE = ROOT / "afp_utils"
LEDGER = "ledger"
PAGES = (ROOT / "README.md", CHAPTERS / "index.md")
"""Pages without code whose quoted numbers are those of the ledger."""
QUOTED = re.compile(r"<!--=([\w:/-]+)-->(.*?)<!--/-->", re.DOTALL)
"""A number quoted in the prose: `<!--=name-->0.333<!--/-->`, invisible marks around the text that the run stored."""
DISPLAY = {"book/claims.py", "book/ledger.py", "core/plots.py"}
"""Modules that show results and make none: what they show is made anew from the stored records."""

SETUP = """\
# Set-up: one thread for linear algebra; on Colab, fetch the book's package.
import importlib.util
import os
import subprocess
import sys

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{{library}}_NUM_THREADS"] = "1"
if importlib.util.find_spec("afp_utils") is None:
    book = "git+{repository}"
    fetch = [sys.executable, "-m", "pip", "install", "-q", book]
    subprocess.run(fetch, check=True)"""


FOLDED = {"tags": ["hide-cell"], "jupyter": {"source_hidden": True}}


class ChapterError(Exception):
    """What keeps a chapter from being stored: its name, the cell and the reason."""


def repository() -> str:
    """The address of the book's repository: the setting in _config.yml, or AFP_REPOSITORY in a fork."""
    setting = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    return os.environ.get("AFP_REPOSITORY", setting)


def path(name: str) -> Path:
    return CHAPTERS / f"{name}.ipynb"


def names() -> list[str]:
    """The chapters that `_toc.yml` lists, the ledger last: it reads the others."""
    return sorted((file.stem for file in ledger.notebooks(CHAPTERS)), key=lambda name: name == LEDGER)


def read(file: Path) -> nbformat.NotebookNode:
    """A stored notebook. Raises `ChapterError` with the file's name where it is none."""
    try:
        notebook = nbformat.read(file, 4)
        nbformat.validate(notebook)
    except (OSError, ValueError, TypeError, AttributeError, nbformat.ValidationError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ChapterError(f"{file.name} must be a notebook of format 4, got: {reason[0]}") from None
    return notebook


def write(notebook: nbformat.NotebookNode, target: Path) -> None:
    """Store a notebook whole or not at all, whoever else stores it at the same time."""
    nbformat.validate(notebook)
    temporary = target.with_suffix(f".{os.getpid()}.partial")
    nbformat.write(notebook, temporary)
    temporary.replace(target)


def digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def marks(cell: nbformat.NotebookNode) -> Any:
    """What this tool stores with a cell."""
    return cell.metadata.get("afp", {})


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: nbformat.NotebookNode, kind: str) -> Iterator[tuple[nbformat.NotebookNode, Any]]:
    """The outputs of a kind, each after its cell."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if kind in output.get("data", {}):
                yield cell, output.data


# ---- what is generated: the set-up cell and the exercises ----


def module_of(name: str) -> str:
    """The module of a chapter's exercises, in the room where it stands."""
    stem = f"exercises_{name.replace('-', '_')}"
    rooms = [file.parent.name for file in PACKAGE.glob(f"*/{stem}.py")]
    if len(rooms) != 1:
        raise ChapterError(f"{name} must have its exercises in one file afp_utils/*/{stem}.py, found {len(rooms)}")
    return f"afp_utils.{rooms[0]}.{stem}"


def code_cell(source: str, **metadata: object) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell(source, metadata=metadata)


def generated(cells: list[nbformat.NotebookNode], **mark: object) -> list[nbformat.NotebookNode]:
    """The cells with a mark of what they are, and of what was written into them."""
    for cell in cells:
        cell.metadata["afp"] = mark | {"made": digest(cell.source)}
    return cells


def exercise_cells(exercise: Exercise, number: int) -> list[nbformat.NotebookNode]:
    """Task, stub with its check, hint, and folded worked solution."""
    title = exercise.name.replace("_", " ").capitalize()
    task = f"### Exercise {number}: {title}\n\n*About {exercise.minutes} minutes.* {exercise.task}"
    folded = "<details><summary>{}</summary>\n\n{}\n\n</details>"
    help = folded.format("Hint", exercise.hint) + "\n\n" + folded.format("Worked solution", exercise.worked)
    check = f"\n\n\nexercises.{exercise.name}.check({exercise.name})"
    cells = [
        nbformat.v4.new_markdown_cell(task),
        code_cell(exercise.stub + check),
        nbformat.v4.new_markdown_cell(help),
        code_cell(exercise.code + check, **FOLDED),
    ]
    return generated(cells, exercise=exercise.name)


def edited(notebook: nbformat.NotebookNode) -> list[str]:
    """The generated cells in which somebody has written since: to fill them in anew would lose it."""
    made = [cell for cell in notebook.cells if "made" in marks(cell)]
    return [cell.get("id", "?") for cell in made if digest(cell.source) != marks(cell).made]


def fill(notebook: nbformat.NotebookNode, name: str) -> None:
    """Write the generated cells anew: the set-up cell, and each exercise where its first cell stands."""
    if not any("setup" in marks(cell) for cell in notebook.cells):
        raise ChapterError(f"{name} must have a set-up cell (cell metadata afp.setup), found none")
    shown = list(dict.fromkeys(marks(cell).exercise for cell in notebook.cells if "exercise" in marks(cell)))
    known = exercises(importlib.import_module(module_of(name))) if shown else []
    if shown != [exercise.name for exercise in known]:
        order = [exercise.name for exercise in known]
        raise ChapterError(f"{name} must show the exercises of {module_of(name)} in order, {order}, got {shown}")
    waiting = {exercise.name: exercise_cells(exercise, number) for number, exercise in enumerate(known, 1)}
    cells, notebook.cells = notebook.cells, []
    for cell in cells:
        if "setup" in marks(cell):
            notebook.cells += generated([code_cell(SETUP.format(repository=repository()), **FOLDED)], setup=True)
        else:
            notebook.cells += waiting.pop(marks(cell).exercise, []) if "exercise" in marks(cell) else [cell]
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"c{i:03d}"


# ---- what a claim rests on ----


def _bound(node: ast.AST) -> set[str]:
    """Names that code binds, at whatever depth."""
    nodes = list(ast.walk(node))
    names = {one.id for one in nodes if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    names |= {one.name for one in nodes if isinstance(one, ast.FunctionDef | ast.ClassDef)}
    names |= {one.arg for one in nodes if isinstance(one, ast.arg)}
    return names | {(one.asname or one.name).split(".")[0] for one in nodes if isinstance(one, ast.alias)}


def _changed(statement: ast.stmt) -> set[str]:
    """Names whose objects code changes: by item or attribute, or by a method called for its effect."""
    nodes = list(ast.walk(statement))
    stores = [
        node for node in nodes if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store)
    ]
    calls = [node.value.func for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    places = [re.match(r"(\w+)[.\[]", ast.unparse(place)) for place in (*stores, *calls)]
    return {place[1] for place in places if place}


def foundations(codes: list[str]) -> list[set[int]]:
    """For each cell: itself and the earlier cells that its names come from, directly or through others."""
    maker, found, modules = dict[str, int](), list[set[int]](), set[str]()
    for i, code in enumerate(codes):
        needed, bound, changed = {i}, set[str](), set[str]()
        for statement in ast.parse(code).body:
            names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
            own = bound | (_bound(statement) if hasattr(statement, "body") else set())
            read = {name.id for name in names if isinstance(name.ctx, ast.Load)} - own
            needed = needed.union(*(found[maker[name]] for name in read if name in maker))
            bound |= _bound(statement)
            changed |= _changed(statement)
            if isinstance(statement, ast.Import | ast.ImportFrom):
                modules |= _bound(statement)
        found.append(needed)
        maker |= dict.fromkeys(bound | (changed - modules), i)
    return found


def note_calls(notebook: nbformat.NotebookNode, calls: list[list[str]]) -> None:
    """Store with each cell that checks a claim which public functions its values come from."""
    cells = code_cells(notebook)
    needed = dict(zip((cell.id for cell in cells), foundations([cell.source for cell in cells])))
    for cell, _ in outputs(notebook, claims.CLAIM):
        cell.metadata["afp"] = {"calls": sorted({name for i in needed[cell.id] for name in calls[i]})}


# ---- what is out of date ----


def refuse_magics(notebook: nbformat.NotebookNode, name: str) -> None:
    """Raise `ChapterError` for a cell that is not plain Python: magics leave no trace that the book could follow."""
    for cell in code_cells(notebook):
        if TransformerManager().transform_cell(cell.source).strip() != cell.source.strip():
            raise ChapterError(f"{place(name, cell)}: must be plain Python without magics, got:\n{cell.source}")
        try:
            ast.parse(cell.source)
        except SyntaxError as error:
            raise ChapterError(f"{place(name, cell)}, line {error.lineno}: {error.msg}") from None


WORDS = {"minutes", "hint", "worked", "objective", "points", "difficulty"}  # around an exercise


def essence(code: str) -> str:
    """What code does, whatever its layout, comments, docstrings, and words around an exercise."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "exercise":
            node.keywords = [keyword for keyword in node.keywords if keyword.arg not in WORDS]
        body = getattr(node, "body", None)
        if isinstance(body, list) and not isinstance(node, ast.If | ast.For | ast.While | ast.With | ast.Try):
            node.body = [part for part in body if not _is_text(part)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imported(code: str) -> set[Path]:
    """The files of afp_utils that a piece of code imports; of display modules, none."""
    names = set[str]()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            names |= {module + alias.name for alias in node.names} | {module.rstrip(".")}
    stems = [ROOT.joinpath(*name.split(".")) for name in names if name.split(".")[0] == PACKAGE.name]
    files = {file for stem in stems for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.exists()}
    return files - {PACKAGE / name for name in DISPLAY}


def package_files(code: str) -> set[Path]:
    """The files of afp_utils that a piece of code imports, and those that they import."""
    found, new = set[Path](), _imported(code)
    while new:
        found |= new
        new = set[Path]().union(*(_imported(file.read_text(encoding="utf-8")) for file in new)) - found
    return found


def inputs(notebook: nbformat.NotebookNode, name: str) -> str:
    """Fingerprint of all that a chapter's results depend on: what its code does, and the package behind it.

    Claims are no part of it: a changed tolerance is decided from the stored value (`show_records`). The ledger depends on
    what the other chapters store and on what the registry says of it.
    """
    cells = [cell.source for cell in code_cells(notebook)]
    files = [file.read_text(encoding="utf-8") for file in sorted(package_files("\n".join(cells)))]
    parts = [essence(part) for part in cells + files]
    if name == LEDGER:
        book = ledger.read(CHAPTERS)
        shows = (ledger.abstracts, ledger.results, ledger.chart, ledger.kinds, ledger.ledger)
        parts += [show(book).html for show in shows]
    elif any("claims.contents(" in cell for cell in cells):
        parts.append(claims.contents(name)._repr_html_())
    return digest(*parts)


def place(name: str, cell: nbformat.NotebookNode) -> str:
    """Where a cell is, in words for its author, whose draft knows no ids."""
    first = next((line for line in cell.source.splitlines() if line.strip()), "")
    return f"{name}, cell {cell.id} ({first[:60]})"


def show_records(notebook: nbformat.NotebookNode, name: str) -> None:
    """Show the stored values as the registry has the claims now.

    Raises `ChapterError` where one does not hold, or where something was left out.
    """
    for cell, data in outputs(notebook, claims.NEEDS):
        raise ChapterError(f"{place(name, cell)}: {data[claims.NEEDS]['said']}")
    seen = set[str]()
    for cell, data in outputs(notebook, claims.CLAIM):
        entry, where = data[claims.CLAIM], place(name, cell)
        if entry["id"] in seen or entry["id"] not in claims.registry():
            raise ChapterError(
                f"{where}: claim {entry['id']} is {'checked twice' if entry['id'] in seen else 'not registered'}"
            )
        seen.add(entry["id"])
        record = claims.recorded(entry)
        if record.trouble:
            raise ChapterError(f"{where}: {record.trouble}")
        data.clear()
        data.update(nbformat.from_dict(json.loads(json.dumps(record._repr_mimebundle_()))))


def renewed(notebook: nbformat.NotebookNode, old: nbformat.NotebookNode, name: str) -> bool:
    """Give a chapter the outputs of its old notebook, with all else made anew; False if it has to run for them.

    Raises `ChapterError` if a stored value is not what its claim expects now.
    """
    fill(notebook, name)
    refuse_magics(notebook, name)
    ran = all(cell.execution_count for cell in code_cells(old))  # outputs may have been cleared
    ran = ran and not any(outputs(old, claims.NEEDS))
    if marks(old).get("inputs") != inputs(notebook, name) or not ran:
        return False
    for cell, before in zip(code_cells(notebook), code_cells(old), strict=True):
        cell.outputs, cell.execution_count = before.outputs, before.execution_count
        if "calls" in marks(before):
            cell.metadata["afp"] = marks(before)
    notebook.metadata = old.metadata
    show_records(notebook, name)
    quote(notebook, name)
    return True


def current(name: str) -> bool:
    """Whether the stored chapter is that of its present code, package, exercises and claims."""
    fresh, stored = read(path(name)), read(path(name))
    return renewed(fresh, stored, name) and nbformat.writes(fresh) == nbformat.writes(read(path(name)))


# ---- numbers in the prose ----


def quotable(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """Texts that the prose may quote: stored numbers by name, claims as claim:id, and the measured run."""
    found = {name: text for _, data in outputs(notebook, claims.NUMBER) for name, text in data[claims.NUMBER].items()}
    records = [data[claims.CLAIM] for _, data in outputs(notebook, claims.CLAIM)]
    found |= {f"claim:{record['id']}": claims.shown(record["value"]) for record in records}
    return found | {key: str(value) for key, value in marks(notebook).get("measured", {}).items()}


def _quoting(source: str, texts: Mapping[str, str], place: str) -> str:
    """Prose with the numbers in it that it quotes."""
    if unknown := {mark[1] for mark in QUOTED.finditer(source)} - texts.keys():
        raise ChapterError(f"{place} must quote numbers that are stored, got {sorted(unknown)}")
    return QUOTED.sub(lambda mark: f"<!--={mark[1]}-->{texts[mark[1]]}<!--/-->", source)


def quote(notebook: nbformat.NotebookNode, name: str) -> None:
    """Put the stored numbers into the prose. Raises `ChapterError` where a quoted one was not stored or is misplaced."""
    texts = quotable(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _quoting(cell.source, texts, place(name, cell))
    if wrong := misquoted(notebook):
        raise ChapterError(f"{name}: a quoted number must stand inside a line, got {wrong}")


def quoted(page: Path) -> str:
    """A page without code with the ledger's numbers in it. Raises `ChapterError` where it quotes an unknown one."""
    return _quoting(page.read_text(encoding="utf-8"), ledger.read(CHAPTERS).quotable(), page.name)


def misquoted(notebook: nbformat.NotebookNode) -> list[str]:
    """The quoted numbers that are not those of the run, or start a line (which would end the paragraph)."""
    texts = quotable(notebook)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    wrong = [mark[1] for mark in QUOTED.finditer(prose) if texts.get(mark[1]) != mark[2]]
    return wrong + re.findall(r"^<!--=.*", prose, re.MULTILINE)


def image(notebook: nbformat.NotebookNode, figure: str) -> bytes:
    """The picture that the cell of a figure shows."""
    (cell,) = (
        cell for cell in notebook.cells if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == figure
    )
    (picture,) = (output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {}))
    return base64.b64decode(picture)

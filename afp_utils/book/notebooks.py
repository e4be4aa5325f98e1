"""What the book does to a notebook without running it: read, fill in, quote, compare with what it depends on, store."""

import ast
import base64
import hashlib
import importlib
import json
import os
import re
from pathlib import Path

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


def exercise_cells(exercise: Exercise, number: int) -> list[nbformat.NotebookNode]:
    """Task, stub with its check, hint, and folded worked solution."""
    title = exercise.name.replace("_", " ").capitalize()
    check = f"exercises.{exercise.name}.check({exercise.name})"
    cells = [
        nbformat.v4.new_markdown_cell(
            f"### Exercise {number}: {title}\n\n*About {exercise.minutes} minutes.* {exercise.task}"
        ),
        code_cell(f"{exercise.stub}\n\n\n{check}"),
        nbformat.v4.new_markdown_cell(
            f"<details><summary>Hint</summary>\n\n{exercise.hint}\n\n</details>\n\n"
            f"<details><summary>Worked solution</summary>\n\n{exercise.worked}\n\n</details>"
        ),
        code_cell(f"{exercise.code}\n\n\n{check}", tags=["hide-cell"], jupyter={"source_hidden": True}),
    ]
    for cell in cells:
        cell.metadata["afp"] = {"exercise": exercise.name, "made": digest(cell.source)}
    return cells


def setup_cell() -> nbformat.NotebookNode:
    cell = code_cell(SETUP.format(repository=repository()), tags=["hide-cell"], jupyter={"source_hidden": True})
    cell.metadata["afp"] = {"setup": True, "made": digest(cell.source)}
    return cell


def edited(notebook: nbformat.NotebookNode) -> list[str]:
    """The generated cells in which somebody has written since: to fill them in anew would lose it."""
    generated = [cell for cell in notebook.cells if "made" in cell.metadata.get("afp", {})]
    return [cell.get("id", "?") for cell in generated if digest(cell.source) != cell.metadata.afp.made]


def fill(notebook: nbformat.NotebookNode, name: str) -> None:
    """Write the generated cells anew: the set-up cell, and each exercise where its first cell stands."""
    filled: list[nbformat.NotebookNode] = []
    shown: list[str] = []
    for cell in notebook.cells:
        marks = cell.metadata.get("afp", {})
        if "setup" in marks:
            filled.append(setup_cell())
        elif "exercise" not in marks:
            filled.append(cell)
        elif marks["exercise"] not in shown:
            shown.append(marks["exercise"])
            exercise = getattr(importlib.import_module(module_of(name)), marks["exercise"], None)
            if exercise is None:
                raise ChapterError(f"{name} must mark exercises of {module_of(name)}, got {marks['exercise']!r}")
            filled.extend(exercise_cells(exercise, len(shown)))
    if not any("setup" in cell.metadata.get("afp", {}) for cell in filled):
        raise ChapterError(f"{name} must have a set-up cell (cell metadata afp.setup), found none")
    if shown:
        known = [exercise.name for exercise in exercises(importlib.import_module(module_of(name)))]
        if shown != known:
            raise ChapterError(f"{name} must show its module's exercises in order, {known}, got {shown}")
    notebook.cells = filled
    for i, cell in enumerate(filled):
        cell["id"] = f"c{i:03d}"


# ---- what a claim rests on ----


def _bound(node: ast.AST) -> set[str]:
    """Names that code binds, at whatever depth."""
    found = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
            found.add(one.id)
        elif isinstance(one, ast.FunctionDef | ast.ClassDef):
            found.add(one.name)
        elif isinstance(one, ast.arg):
            found.add(one.arg)
        elif isinstance(one, ast.alias):
            found.add((one.asname or one.name).split(".")[0])
    return found


def _changed(node: ast.AST) -> set[str]:
    """Names whose objects code changes: by item or attribute, or by a method called for its effect."""
    found = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Subscript | ast.Attribute) and isinstance(one.ctx, ast.Store):
            place: ast.AST = one
        elif isinstance(one, ast.Expr) and isinstance(one.value, ast.Call):
            place = one.value.func
        else:
            continue
        while isinstance(place, ast.Attribute | ast.Subscript):
            place = place.value
            if isinstance(place, ast.Name):
                found.add(place.id)
    return found


def _used(code: str) -> set[str]:
    """Names that a cell reads and does not bind before."""
    used, bound = set[str](), set[str]()
    for statement in ast.parse(code).body:
        inner = _bound(statement) if hasattr(statement, "body") else set()
        reads = {
            node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        used |= reads - bound - inner
        bound |= _bound(statement)
    return used


def foundations(codes: list[str]) -> list[set[int]]:
    """For each cell: itself and the earlier cells that its names come from, directly or through others."""
    maker, found, modules = dict[str, int](), list[set[int]](), set[str]()
    for i, code in enumerate(codes):
        found.append({i}.union(*(found[maker[name]] for name in _used(code) if name in maker)))
        tree = ast.parse(code)
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        modules = modules.union(*map(_bound, imports))
        maker |= dict.fromkeys(_bound(tree) | (_changed(tree) - modules), i)
    return found


def note_calls(notebook: nbformat.NotebookNode, calls: list[list[str]]) -> None:
    """Store with each cell that checks a claim which public functions its values come from."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, needed in zip(cells, foundations([cell.source for cell in cells])):
        if any(claims.CLAIM in output.get("data", {}) for output in cell.get("outputs", [])):
            cell.metadata["afp"] = {"calls": sorted({name for i in needed for name in calls[i]})}


# ---- what is out of date ----


def refuse_magics(notebook: nbformat.NotebookNode, name: str) -> None:
    """Raise `ChapterError` for a cell that is not plain Python: magics leave no trace that the book could follow."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if TransformerManager().transform_cell(cell.source).strip() != cell.source.strip():
                raise ChapterError(f"{name}, cell {cell.id}: must be plain Python without magics, got:\n{cell.source}")
            try:
                ast.parse(cell.source)
            except SyntaxError as error:
                raise ChapterError(f"{name}, cell {cell.id}, line {error.lineno}: {error.msg}") from None


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


def package_files(code: str) -> set[Path]:
    """The files of afp_utils that a piece of code imports, and those that they import; of display modules, none."""
    found: set[Path] = set()

    def visit(code: str) -> None:
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("afp_utils"):
                candidates = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                candidates = [alias.name for alias in node.names if alias.name.startswith("afp_utils")]
            else:
                continue
            for candidate in candidates:
                stem = ROOT / Path(*str(candidate).split("."))
                for file in (stem.with_suffix(".py"), stem / "__init__.py"):
                    if file.exists() and file not in found and file.relative_to(PACKAGE).as_posix() not in DISPLAY:
                        found.add(file)
                        visit(file.read_text(encoding="utf-8"))

    visit(code)
    return found


def inputs(notebook: nbformat.NotebookNode, name: str) -> str:
    """Fingerprint of all that a chapter's results depend on: what its code does, and the package behind it.

    Claims are no part of it: a changed tolerance is decided from the stored value (`show_records`). The ledger depends on
    what the other chapters store and on what the registry says of it.
    """
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    code = "\n".join(cells)
    files = [file.read_text(encoding="utf-8") for file in sorted(package_files(code))]
    parts = [essence(part) for part in cells + files]
    if name == LEDGER:
        book = ledger.read(CHAPTERS)
        shows = (ledger.abstracts, ledger.results, ledger.chart, ledger.kinds, ledger.ledger)
        parts += [show(book).html for show in shows]
    elif "claims.contents(" in code:
        parts.append(claims.contents(name)._repr_html_())
    return digest(*parts)


def show_records(notebook: nbformat.NotebookNode, name: str) -> None:
    """Show the stored values as the registry has the claims now. Raises `ChapterError` where one does not hold."""
    seen = set[str]()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            entry = output.get("data", {}).get(claims.CLAIM)
            if entry is None:
                continue
            if entry["id"] in seen or entry["id"] not in claims.registry():
                wrong = "is checked twice" if entry["id"] in seen else "is not registered"
                raise ChapterError(f"{name}, cell {cell.id}: claim {entry['id']} {wrong}")
            seen.add(entry["id"])
            record = claims.Record(claims.registry()[entry["id"]], entry["value"], entry.get("rival"))
            if trouble := record.trouble:
                raise ChapterError(f"{name}, cell {cell.id}: {trouble}")
            output["data"] = nbformat.from_dict(json.loads(json.dumps(record._repr_mimebundle_())))


def renewed(notebook: nbformat.NotebookNode, old: nbformat.NotebookNode, name: str) -> bool:
    """Give a chapter the outputs of its old notebook, with all else made anew; False if it has to run for them.

    Raises `ChapterError` if a stored value is not what its claim expects now.
    """
    fill(notebook, name)
    refuse_magics(notebook, name)
    if old.metadata.get("afp", {}).get("inputs") != inputs(notebook, name):
        return False
    code = [[cell for cell in one.cells if cell.cell_type == "code"] for one in (notebook, old)]
    for cell, before in zip(*code, strict=True):
        cell.outputs, cell.execution_count = before.outputs, before.execution_count
        if "calls" in before.metadata.get("afp", {}):
            cell.metadata["afp"] = before.metadata.afp
    notebook.metadata = old.metadata
    show_records(notebook, name)
    quote(notebook)
    return True


def current(name: str) -> bool:
    """Whether the stored chapter is that of its present code, package, exercises and claims."""
    fresh, stored = read(path(name)), read(path(name))
    return renewed(fresh, stored, name) and nbformat.writes(fresh) == nbformat.writes(read(path(name)))


# ---- numbers in the prose ----


def quotable(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """Texts that the prose may quote: stored numbers by name, claims as claim:id, and the measured run."""
    data = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    found = {name: text for entry in data for name, text in entry.get(claims.NUMBER, {}).items()}
    records = [entry[claims.CLAIM] for entry in data if claims.CLAIM in entry]
    found |= {f"claim:{record['id']}": claims.shown(record["value"]) for record in records}
    return found | {key: str(value) for key, value in notebook.metadata.get("afp", {}).get("measured", {}).items()}


def quote(notebook: nbformat.NotebookNode) -> None:
    """Put the stored numbers into the prose. Raises `ChapterError` where a quoted one was not stored or is misplaced."""
    texts = quotable(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            unknown = {mark[1] for mark in QUOTED.finditer(cell.source)} - texts.keys()
            if unknown:
                raise ChapterError(f"cell {cell['id']} may quote {sorted(texts)}, got {sorted(unknown)}")
            cell.source = QUOTED.sub(lambda mark: f"<!--={mark[1]}-->{texts[mark[1]]}<!--/-->", cell.source)
    if wrong := misquoted(notebook):
        raise ChapterError(f"a quoted number must stand inside a line, got {wrong}")


def quoted(page: Path) -> str:
    """A page without code with the ledger's numbers in it. Raises `ChapterError` where it quotes an unknown one."""
    texts, source = ledger.read(CHAPTERS).quotable(), page.read_text(encoding="utf-8")
    if unknown := {mark[1] for mark in QUOTED.finditer(source)} - texts.keys():
        raise ChapterError(f"{page.name} may quote claims, claims:yes, .. and claim:ID, got {sorted(unknown)}")
    return QUOTED.sub(lambda mark: f"<!--={mark[1]}-->{texts[mark[1]]}<!--/-->", source)


def misquoted(notebook: nbformat.NotebookNode) -> list[str]:
    """The quoted numbers that are not those of the run, or start a line (which would end the paragraph)."""
    texts = quotable(notebook)
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    wrong = [mark[1] for text in prose for mark in QUOTED.finditer(text) if texts.get(mark[1]) != mark[2]]
    return wrong + [line for text in prose for line in text.splitlines() if line.startswith("<!--=")]


def image(notebook: nbformat.NotebookNode, figure: str) -> bytes:
    """The picture that the cell of a figure shows."""
    (cell,) = (
        cell for cell in notebook.cells if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == figure
    )
    (picture,) = (output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {}))
    return base64.b64decode(picture)

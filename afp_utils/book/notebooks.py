"""What the book does to a notebook without running it: read, fill in, quote, compare with what it depends on, store."""

import ast
import hashlib
import importlib
import json
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import nbformat
import yaml
from IPython.core.inputtransformer2 import TransformerManager

from afp_utils.book import address, claims, ledger, minutes, plain
from afp_utils.book.exercises import Exercise, exercises

ROOT = Path(__file__).parents[2]
CHAPTERS = ROOT / "chapters"
PACKAGE = ROOT / "afp_utils"
LEDGER = "ledger"
PAGES = (ROOT / "README.md", CHAPTERS / "index.md")
"""Pages without code whose quoted numbers are those of the ledger."""
QUOTED = re.compile(r"<!--=([\w:/-]+)-->(.*?)<!--/-->", re.DOTALL)
"""A number quoted in the prose: `<!--=name-->0.333<!--/-->`, invisible marks around the text that the run stored."""
OWN_WORDS = re.compile(r"\b(?!and\b|to\b|of\b)[^\W\d_]{2,}")
"""What no stored number holds: a word other than those of a list or a range."""
SENTENCES = {"address", "launch"}
"""What pages quote of the repository's address, in sentences."""
DISPLAY = {"book/claims.py", "book/ledger.py", "core/plots.py"}
"""Modules that show results and make none: what they show is made anew from the stored records."""

FOLDED = {"tags": ["hide-cell"], "jupyter": {"source_hidden": True}}


class ChapterError(Exception):
    """What keeps a chapter from being stored: its name, the cell and the reason."""


def path(name: str) -> Path:
    return CHAPTERS / f"{name}.ipynb"


def names() -> list[str]:
    """The chapters that `_toc.yml` lists, the ledger last: it reads the others."""
    return sorted((file.stem for file in ledger.notebooks(CHAPTERS)), key=lambda name: name == LEDGER)


def read(file: Path) -> nbformat.NotebookNode:
    """A stored notebook as any tool writes it, cells without an id with one. Raises `ChapterError` where it is none."""
    try:
        text = ledger.text(file)
        notebook = nbformat.convert(nbformat.reader.reads(text), 4)
        notebook.nbformat_minor = nbformat.v4.nbformat_minor  # Colab, VS Code and Notebook 6 write older ones
        with warnings.catch_warnings(action="ignore"):  # of ids that are missing, or there twice: they are made here
            notebook = nbformat.validator.normalize(notebook)[1]
        nbformat.validate(notebook)
    except (OSError, ValueError, TypeError, AttributeError, LookupError, nbformat.ValidationError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ChapterError(f"{file.name} must be a notebook of format 4, got: {reason[0]}") from None
    return notebook


def strangers() -> list[str]:
    """Notebooks in the folder that `_toc.yml` does not list: readers' own, which nothing here reads or writes."""
    return sorted({file.stem for file in CHAPTERS.glob("*.ipynb")} - set(names()))


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
    """The cells with a mark of what they are, of what was written into them, and of how many belong together."""
    for cell in cells:
        cell.metadata["afp"] = mark | {"made": digest(cell.source)}
    for part, cell in enumerate(cells, 1) if len(cells) > 1 else ():
        cell.metadata["afp"]["part"] = f"{part} of {len(cells)}"
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
    """What somebody did to generated cells, in words: text written in, or one taken away, copied or moved.

    To fill them in anew would lose it. Cells between them, and foreign metadata of theirs, are kept in any case.
    """
    made = [cell for cell in notebook.cells if "made" in marks(cell)]
    wrong = [
        f"cell {cell.get('id', '?')} ({head(cell)}) is generated, and somebody has written in it"
        for cell in made
        if digest(cell.source) != marks(cell).made
    ]
    groups = dict[str, list[str]]()
    for cell in made:
        if "part" in marks(cell):  # else stored before cells were counted
            groups.setdefault(marks(cell).exercise, []).append(marks(cell).part)
    for name, parts in groups.items():
        whole = parts[0].partition(" of ")[2]
        if parts != [f"{part} of {whole}" for part in range(1, int(whole) + 1)]:
            had = ", ".join(part.partition(" of ")[0] for part in parts)
            wrong.append(f"exercise {name} has {whole} generated cells, and somebody has left {had}")
    return wrong


def fill(notebook: nbformat.NotebookNode, name: str) -> None:
    """Write the generated cells anew: the set-up cell, the list of claims, and each exercise where its first cell stands.

    All cells are numbered through, with an id that no other chapter has: some engines put a book's cells in one table.
    """
    if not any("setup" in marks(cell) for cell in notebook.cells):
        raise ChapterError(f"{name} must have a set-up cell (cell metadata afp.setup), found none")
    shown = list(dict.fromkeys(marks(cell).exercise for cell in notebook.cells if "exercise" in marks(cell)))
    known = exercises(importlib.import_module(module_of(name))) if shown else []
    if shown != [exercise.name for exercise in known]:
        order = [exercise.name for exercise in known]
        raise ChapterError(f"{name} must show the exercises of {module_of(name)} in order, {order}, got {shown}")
    waiting = {exercise.name: exercise_cells(exercise, number) for number, exercise in enumerate(known, 1)}
    stand = Counter(marks(cell).get("exercise") for cell in notebook.cells)
    whole = {exercise for exercise, group in waiting.items() if stand[exercise] == len(group)}
    cells, notebook.cells = notebook.cells, []
    for cell in cells:
        if "setup" in marks(cell):
            made = generated([code_cell(address.cell(*address.stored()), **FOLDED)], setup=True)
        elif "claims" in marks(cell):
            made = generated([nbformat.v4.new_markdown_cell(claims.contents(name))], claims=True)
        elif "exercise" in marks(cell):  # one for one, so that what stands between them stays there
            group, exercise = waiting[marks(cell).exercise], marks(cell).exercise
            made = [group.pop(0) for _ in group[: 1 if exercise in whole else None]]
        else:
            made = [cell]
        if len(made) == 1:
            made[0].metadata = cell.metadata | made[0].metadata
        notebook.cells += made
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"{name}-{i:03d}"[-64:]  # no id may be longer
    fill_prose(notebook, name)


def fill_prose(notebook: nbformat.NotebookNode, name: str) -> None:
    """Put citations, and the numbers of equations, figures and theorems, into the prose (`plain`)."""
    own, elsewhere = labels(notebook, name), dict[str, tuple[str, str]]()
    prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    if not set[str]().union(*(plain.linked(cell.source) for cell in prose)) <= own.keys():
        others = [other for other in names() if other != name]
        elsewhere = {
            label: (f"{other}.ipynb", number)
            for other in others
            for label, number in labels(read(path(other)), other).items()
        }
    for cell in prose:
        try:
            cell.source = plain.filled(cell.source, own, elsewhere)
        except ValueError as error:
            raise ChapterError(f"{place(name, cell)}: {error}") from None
        if "made" in marks(cell):
            cell.metadata.afp["made"] = digest(cell.source)


def labels(notebook: nbformat.NotebookNode, name: str) -> dict[str, str]:
    """The numbers of a chapter's equations, figures and theorems by their labels."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    parts = [part["chapters"] for part in contents.get("parts", []) if part.get("numbered")]
    order = [Path(entry["file"]).name for entry in chain(*parts)]
    try:
        found = plain.numbers(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    except ValueError as error:
        raise ChapterError(f"{name}: {error}") from None
    if found and name not in order:
        raise ChapterError(f"{name} must stand in a numbered part of _toc.yml, since it has labels, got {list(found)}")
    return {label: f"{order.index(name) + 1}.{number}" for label, number in found.items()}


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
    return _written(tree)


def _written(node: object) -> str:
    """A syntax tree as text, the same in every version of Python: what is empty is left out, as are fields that came later."""
    if isinstance(node, ast.AST):
        parts = ((name, getattr(node, name, None)) for name in node._fields)
        return f"{type(node).__name__}({', '.join(f'{k}={_written(v)}' for k, v in parts if v not in (None, []))})"
    return f"[{', '.join(map(_written, node))}]" if isinstance(node, list) else repr(node)


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

    Claims are no part of it: a changed tolerance is decided from the stored value (`show_records`). Nor is the address in
    the set-up cell. The ledger depends on what the other chapters store and on what the registry says of it.
    """
    cells = [address.SETUP if "setup" in marks(cell) else cell.source for cell in code_cells(notebook)]
    files = [file.read_text(encoding="utf-8") for file in sorted(package_files("\n".join(cells)))]
    parts = [essence(part) for part in cells + files]
    if name == LEDGER:
        book = ledger.read(CHAPTERS)
        shows = (ledger.abstracts, ledger.results, ledger.chart, ledger.kinds, ledger.ledger)
        parts += [show(book).html for show in shows]
    return digest(*parts)


def head(cell: nbformat.NotebookNode) -> str:
    """The first words of a cell."""
    return next((line for line in cell.source.splitlines() if line.strip()), "")[:60]


def place(name: str, cell: nbformat.NotebookNode) -> str:
    """Where a cell is, in words for its author, whose draft knows no ids."""
    return f"{name}, cell {cell.id} ({head(cell)})"


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
        _show(data, record._repr_mimebundle_())
    for _, data in outputs(notebook, claims.NUMBER):
        order = [line.split(" = ")[0] for line in data["text/plain"].splitlines()]
        _show(data, claims.listed({number: data[claims.NUMBER][number] for number in order}))


def _show(data: Any, bundle: dict[str, Any]) -> None:
    """Put another bundle in place of a stored one, as a notebook holds it."""
    data.clear()
    data.update(nbformat.from_dict(json.loads(json.dumps(bundle))))


def renewed(notebook: nbformat.NotebookNode, old: nbformat.NotebookNode, name: str) -> bool:
    """Give a chapter the outputs of its old notebook, with all else made anew; False if it has to run for them.

    Raises `ChapterError` if a stored value is not what its claim expects now.
    """
    fill(notebook, name)
    refuse_magics(notebook, name)
    counts = [cell.execution_count for cell in code_cells(old)]
    ran = counts == list(range(1, len(counts) + 1))  # outputs may have been cleared, or some cells run by hand
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
    return renewed(fresh, stored, name) and is_stored(fresh, name)


def is_stored(notebook: nbformat.NotebookNode, name: str) -> bool:
    """Whether the file of a chapter is the text of a notebook, whatever ends its lines."""
    return path(name).read_text(encoding="utf-8") == nbformat.writes(notebook) + "\n"


# ---- numbers in the prose ----


def quotable(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """Texts that the prose may quote: stored numbers by name, claims as claim:id, reading time, and the measured run."""
    found = {name: text for _, data in outputs(notebook, claims.NUMBER) for name, text in data[claims.NUMBER].items()}
    records = [data[claims.CLAIM] for _, data in outputs(notebook, claims.CLAIM)]
    found |= {f"claim:{record['id']}": claims.shown(record["value"]) for record in records}
    read = minutes.sections(notebook)
    found |= {f"minutes:{short}": f"{minutes.total(read, part):.0f}" for short, part in minutes.PARTS.items()}
    return found | {key: str(value) for key, value in marks(notebook).get("measured", {}).items()}


def _quoting(source: str, texts: Mapping[str, str], place: str) -> str:
    """Prose with the numbers in it that it quotes. Raises `ChapterError` rather than lose words between two marks."""
    opened = len(re.findall(r"<!--=[\w:/-]+-->", source))
    if opened != source.count("<!--/-->") or any("<!--=" in mark[2] for mark in QUOTED.finditer(source)):
        raise ChapterError(
            f"{place} must close every quoted <!--=name--> by <!--/--> before the next, got one that is not"
        )
    if words := [mark[0] for mark in QUOTED.finditer(source) if OWN_WORDS.search(mark[2]) and mark[1] not in SENTENCES]:
        raise ChapterError(
            f"{place} must have between the marks of a quoted number no words of its own, got {words[0]!r}"
        )
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
    """A page without code as it quotes the ledger and the repository's address.

    Raises `ChapterError` where it quotes what neither has.
    """
    texts = ledger.read(CHAPTERS).quotable() | address.words(address.stored()[0])
    return _quoting(page.read_text(encoding="utf-8"), texts, page.name)


def misquoted(notebook: nbformat.NotebookNode) -> list[str]:
    """The quoted numbers that are not those of the run, or start a line (which would end the paragraph)."""
    texts = quotable(notebook)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    wrong = [mark[1] for mark in QUOTED.finditer(prose) if texts.get(mark[1]) != mark[2]]
    return wrong + re.findall(r"^<!--=.*", prose, re.MULTILINE)

"""Run the chapters: fill in what is generated, execute, put measured numbers into the prose, store.

    python tools/chapters.py run [--changed] [CHAPTER ...]   execute in place; with --changed only what is out of date
    python tools/chapters.py measure [CHAPTER ...]           the same, and store run time and peak memory
    python tools/chapters.py draft CHAPTER ...               write drafts/CHAPTER.py (py:percent) to edit as text
    python tools/chapters.py take CHAPTER ...                make the notebook from drafts/CHAPTER.py, then run it
    python tools/chapters.py carries FUNCTION ...            the claims that rest on a function, such as sequence.risk

CHAPTER is a name such as sequence-models; without names, all chapters. A notebook is replaced only once it has run to
its end, so an interrupted run leaves the old one.
"""

import argparse
import ast
import base64
import hashlib
import importlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import jupytext
import nbformat
import psutil
import yaml
from joblib import Parallel, delayed
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from tqdm import tqdm

from afp_utils import claims, ledger
from afp_utils.exercises import Exercise, exercises

ROOT = Path(__file__).parents[1]
CHAPTERS = ROOT / "chapters"
DRAFTS = ROOT / "drafts"
LEDGER = "ledger"
PAGES = (ROOT / "README.md", CHAPTERS / "index.md")
"""Pages without code whose quoted numbers are those of the ledger."""
COVER = ("sequence-models", "fig-eigenvalues", ROOT / "_static" / "cover.png")
"""The chapter and the figure that README and landing page show, and where they find it."""
QUOTED = re.compile(r"<!--=([\w:/-]+)-->(.*?)<!--/-->", re.DOTALL)
"""A number quoted in the prose: `<!--=name-->0.333<!--/-->`, invisible marks around the text that the run stored."""

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
    setting = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    return os.environ.get("AFP_REPOSITORY", setting)


def names() -> list[str]:
    """All chapters, the ledger last: it reads the others."""
    return sorted((path.stem for path in CHAPTERS.glob("*.ipynb")), key=lambda name: (name == LEDGER, name))


def path(name: str) -> Path:
    return CHAPTERS / f"{name}.ipynb"


def write(notebook: nbformat.NotebookNode, target: Path) -> None:
    """Store a notebook whole or not at all."""
    nbformat.validate(notebook)
    temporary = target.with_suffix(".partial")
    nbformat.write(notebook, temporary)
    temporary.replace(target)


# ---- what is generated: the set-up cell and the exercises ----


def module_of(name: str) -> str:
    return f"afp_utils.exercises.{name.replace('-', '_')}"


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
        cell.metadata["afp"] = {"exercise": exercise.name}
    return cells


def fill(notebook: nbformat.NotebookNode, name: str) -> None:
    """Write the generated cells anew: the set-up cell, and each exercise where its first cell stands."""
    setup = code_cell(SETUP.format(repository=repository()), tags=["hide-cell"], jupyter={"source_hidden": True})
    setup.metadata["afp"] = {"setup": True}
    filled: list[nbformat.NotebookNode] = []
    shown: list[str] = []
    for cell in notebook.cells:
        marks = cell.metadata.get("afp", {})
        if "setup" in marks:
            filled.append(setup)
        elif "exercise" not in marks:
            filled.append(cell)
        elif marks["exercise"] not in shown:
            shown.append(marks["exercise"])
            exercise = getattr(importlib.import_module(module_of(name)), marks["exercise"])
            filled.extend(exercise_cells(exercise, len(shown)))
    if setup not in filled:
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


def package_files(code: str) -> set[Path]:
    """The files of afp_utils that a piece of code imports, and those that they import."""
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
                stem = ROOT / Path(*candidate.split("."))
                for file in (stem.with_suffix(".py"), stem / "__init__.py"):
                    if file.exists() and file not in found:
                        found.add(file)
                        visit(file.read_text())

    visit(code)
    return found


def inputs(notebook: nbformat.NotebookNode, name: str) -> str:
    """Fingerprint of all that a chapter's outputs depend on: its code, the package behind it, its claims."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    registered = [repr(claim) for claim in claims.registry().values() if name in (claim.chapter, LEDGER)]
    parts = [code, *(file.read_text() for file in sorted(package_files(code))), *registered]
    if name == LEDGER:
        parts += [json.dumps(ledger.stored(path(other))) for other in names() if other != LEDGER]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def current(name: str) -> bool:
    """Whether the stored outputs of a chapter are those of its present code, package and claims."""
    notebook = nbformat.read(path(name), 4)
    before = [cell.source for cell in notebook.cells]
    fill(notebook, name)
    same = before == [cell.source for cell in notebook.cells] and not misquoted(notebook)
    return same and notebook.metadata.get("afp", {}).get("inputs") == inputs(notebook, name)


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


# ---- running ----


def image(notebook: nbformat.NotebookNode, figure: str) -> bytes:
    """The picture that the cell of a figure shows."""
    (cell,) = (
        cell for cell in notebook.cells if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == figure
    )
    (picture,) = (output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {}))
    return base64.b64decode(picture)


@contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """Inside it, the largest resident memory, in bytes, of a process with its children, sampled 20 times a second."""
    peak, done, process = [0], threading.Event(), psutil.Process(pid)

    def watch() -> None:
        while not done.wait(0.05):
            with suppress(psutil.NoSuchProcess):
                tree = [process, *process.children(recursive=True)]
                peak[0] = max(peak[0], sum(member.memory_info().rss for member in tree))

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield peak
    finally:
        done.set()


def run(name: str, measured: bool = False, from_draft: bool = False) -> tuple[str, float, float]:
    """Execute one chapter in a fresh kernel and store it. Returns its name, seconds and peak memory in MB."""
    notebook = taken(name) if from_draft else nbformat.read(path(name), 4)
    marks = dict(notebook.metadata.get("afp", {}))
    fill(notebook, name)
    start = time.perf_counter()
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=ERROR", "--IPKernelApp.exec_lines=import tools.tracing"],
        resources={"metadata": {"path": CHAPTERS}},
    )
    with (
        TemporaryDirectory() as folder,
        client.setup_kernel(env=os.environ | {"PYTHONPATH": str(ROOT), "AFP_TRACE": f"{folder}/calls"}),
        watched(client.km.provisioner.pid) as peak,
    ):
        for index, cell in enumerate(notebook.cells):
            try:
                client.execute_cell(cell, index)
            except CellExecutionError as error:
                raise ChapterError(
                    f"{name}, cell {cell['id']}: {error.ename}: {error.evalue}\n\n{cell.source}"
                ) from None
            except (CellTimeoutError, DeadKernelError) as error:
                raise ChapterError(f"{name}, cell {cell['id']}: {error}") from None
        seconds, megabytes = time.perf_counter() - start, peak[0] / 1e6
        note_calls(notebook, [json.loads(line) for line in Path(folder, "calls").read_text().splitlines()])
    for cell in notebook.cells:
        if any(output.get("name") == "stderr" for output in cell.get("outputs", [])):
            raise ChapterError(f"{name}, cell {cell['id']}: must not write to stderr, got {cell.outputs}")
    marks["inputs"] = inputs(notebook, name)
    if measured or "measured" not in marks:
        marks["measured"] = {"seconds": round(seconds), "megabytes": int(round(megabytes, -1))}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": {"name": "python"}, "afp": marks})
    quote(notebook)
    write(notebook, path(name))
    if name == COVER[0]:
        COVER[2].write_bytes(image(notebook, COVER[1]))
    return name, seconds, megabytes


def run_all(chosen: list[str], changed: bool, measured: bool, from_draft: bool) -> None:
    """Run chapters two at a time (one at a time when measuring), the ledger after the others."""
    for group in ([name for name in chosen if name != LEDGER], [name for name in chosen if name == LEDGER]):
        due = [name for name in group if not (changed and current(name))]
        jobs = Parallel(n_jobs=1 if measured else 2, return_as="generator_unordered")(
            delayed(run)(name, measured, from_draft) for name in due
        )
        for name, seconds, megabytes in tqdm(jobs, total=len(due), disable=None if due else True, leave=False):
            tqdm.write(f"{name:32} {seconds:6.1f} s {megabytes:6.0f} MB")
    for page in PAGES:
        if page.exists() and (text := quoted(page)) != page.read_text(encoding="utf-8"):
            page.write_text(text, encoding="utf-8")
    if changed:
        print("chapters: all outputs are current")


def draft(name: str) -> None:
    """Write a chapter as text, without outputs."""
    DRAFTS.mkdir(exist_ok=True)
    notebook = nbformat.read(path(name), 4)
    for cell in notebook.cells:
        if "calls" in cell.metadata.get("afp", {}):
            del cell.metadata["afp"]
    jupytext.write(notebook, DRAFTS / f"{name}.py", fmt="py:percent")


def taken(name: str) -> nbformat.NotebookNode:
    """A chapter made from its text. Only what the draft holds is kept, and the measured run of the old notebook."""
    source = DRAFTS / f"{name}.py"
    if not source.exists():
        raise ChapterError(f"drafts must hold {source.name} (make it with: draft {name}), found none")
    notebook = jupytext.read(source, fmt="py:percent")
    for cell in notebook.cells:
        cell.metadata.pop("lines_to_next_cell", None)
    old = nbformat.read(path(name), 4).metadata.get("afp", {}) if path(name).exists() else {}
    notebook.metadata = nbformat.from_dict({"afp": {key: old[key] for key in ("measured",) if key in old}})
    return notebook


def carries(functions: list[str]) -> None:
    """Print the claims that rest on each function: what to look at after it has changed."""
    book = ledger.read(CHAPTERS)
    known = sorted(set().union(*book.calls.values()))
    for function in functions:
        if function not in known:
            raise ChapterError(f"FUNCTION must be one that a claim rests on, among {known}, got {function!r}")
        for name in book.carried(function):
            print(f"{function}: {name} ({book.claims[name].chapter}): {book.claims[name].statement}")


def act(given: argparse.Namespace) -> None:
    if given.action == "carries":
        return carries(given.chapter)
    known = {file.stem for file in DRAFTS.glob("*.py")} if given.action == "take" else set(names())
    chosen = given.chapter or ([] if given.action == "take" else names())
    if not set(chosen) <= known:
        raise ChapterError(f"CHAPTER must be among {sorted(known)}, got {sorted(set(chosen) - known)}")
    if given.action == "draft":
        for name in chosen:
            draft(name)
    else:
        run_all(chosen, given.changed, measured=given.action == "measure", from_draft=given.action == "take")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["run", "measure", "draft", "take", "carries"])
    parser.add_argument("chapter", nargs="*")
    parser.add_argument("--changed", action="store_true", help="run only chapters whose outputs are out of date")
    given = parser.parse_intermixed_args()
    try:
        act(given)
    except ChapterError as error:
        sys.exit(f"chapters: {error}")


if __name__ == "__main__":
    main()

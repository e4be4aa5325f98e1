"""Run the chapters: fill in what is generated, execute, put measured numbers into the prose, store.

    python -m afp_utils.book.run run [--changed] [CHAPTER ...]   execute in place; with --changed only where a result may differ
    python -m afp_utils.book.run measure [CHAPTER ...]           the same, and store run time and peak memory
    python -m afp_utils.book.run draft CHAPTER ...               write drafts/CHAPTER.py (py:percent) to edit as text
    python -m afp_utils.book.run take CHAPTER ...                make the notebook from drafts/CHAPTER.py, run it if need be
    python -m afp_utils.book.run carries FUNCTION ...            the claims that rest on a function, such as sequence.rates.expected_risk

CHAPTER is a name such as sequence-models; without names, all chapters. A notebook is replaced only once it has run to
its end, so an interrupted run leaves the old one, and one that fails does not stop the others. Nobody's words are
overwritten: what differs from what this tool wrote is refused by name, unless --force is given, which saves it first as
NAME.mine.ipynb.
"""

import argparse
import difflib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

# nbformat validates by jsonschema, which would compile the grammars of internet addresses, for 0.8 s.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

import jupytext
import nbformat
import psutil
from joblib import Parallel, delayed
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from tqdm import tqdm

from afp_utils.book import ledger, notebooks, plain
from afp_utils.book.claims import ClaimError
from afp_utils.book.compare import without_others
from afp_utils.book.notebooks import CHAPTERS, LEDGER, PAGES, QUOTED, ROOT, ChapterError, path, read

DRAFTS = ROOT / "drafts"


# ---- running ----


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


def execute(notebook: nbformat.NotebookNode, name: str) -> tuple[float, float]:
    """Run all cells in a fresh kernel, and note what the claims rest on. Returns seconds and peak memory in MB."""
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=ERROR", "--IPKernelApp.exec_lines=import afp_utils.book.tracing"],
        resources={"metadata": {"path": CHAPTERS}},
    )
    start = time.perf_counter()
    with (
        TemporaryDirectory() as folder,
        client.setup_kernel(env=os.environ | {"PYTHONPATH": str(ROOT), "AFP_TRACE": f"{folder}/calls"}),
        watched(client.km.provisioner.pid) as peak,  # type: ignore[union-attr]
    ):
        for index, cell in enumerate(notebook.cells):
            try:
                client.execute_cell(cell, index)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                raise ChapterError(f"{notebooks.place(name, cell)}: {_reason(error, cell.source)}") from None
        seconds, megabytes = time.perf_counter() - start, peak[0] / 1e6
        calls = Path(folder, "calls").read_text(encoding="utf-8").splitlines()
    notebooks.note_calls(notebook, [json.loads(line) for line in calls])
    for cell in notebooks.code_cells(notebook):
        cell.outputs = without_others(cell.outputs)
        if said := "".join(output.text for output in cell.outputs if output.get("name") == "stderr"):
            raise ChapterError(f"{notebooks.place(name, cell)}: must not write to stderr, got {said!r}")
    return seconds, megabytes


def _reason(error: Exception, source: str) -> str:
    """Why a cell did not run: of a failed claim its own words, of other errors in the cell the code as well."""
    if not isinstance(error, CellExecutionError):
        return str(error)
    return error.evalue if error.ename == "ClaimError" else f"{error.ename}: {error.evalue}\n\n{source}"


def run(notebook: nbformat.NotebookNode, name: str, measured: bool = False) -> str:
    """Execute a chapter and store it. Returns a line about the run."""
    marks = dict(notebook.metadata.get("afp", {}))
    notebooks.fill(notebook, name)
    notebooks.refuse_magics(notebook, name)
    seconds, megabytes = execute(notebook, name)
    notebooks.show_records(notebook, name)
    marks["inputs"] = notebooks.inputs(notebook, name)
    if measured or "measured" not in marks:
        marks["measured"] = {"seconds": round(seconds), "megabytes": int(round(megabytes, -1))}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    own = {"kernelspec": kernel, "language_info": {"name": "python"}, "afp": marks}
    notebook.metadata = nbformat.from_dict(notebook.metadata | own)
    store(notebook, name)
    return f"{name:32} {seconds:6.1f} s {megabytes:6.0f} MB"


def store(notebook: nbformat.NotebookNode, name: str) -> None:
    notebooks.quote(notebook, name)
    notebooks.write(notebook, path(name))


def do(name: str, given: argparse.Namespace) -> tuple[str, str]:
    """Bring one chapter up to date. Returns a line about it, and what went wrong, so that the others go on."""
    try:
        return updated(name, given), ""
    except Exception as error:  # noqa: BLE001 - whatever happens to one chapter, the others go on
        told = isinstance(error, ChapterError | ClaimError)
        return "", str(error) if told else f"{name}: {type(error).__name__}: {error}"


def updated(name: str, given: argparse.Namespace) -> str:
    """Bring one chapter up to date, without a run if that will do. Returns a line about it, or nothing."""
    take = given.action == "take"
    notebook, unseen = taken(name) if take else (read(path(name)), "")
    old = read(path(name)) if path(name).exists() else None
    if not unseen and old and (cells := notebooks.edited(old)):
        unseen = (
            f"{name}: {'; '.join(cells)}. To keep the words, save a copy of {path(name).name} under another name and get "
            f"the book's again (git checkout); or let python -m afp_utils.book.run {given.action} --force {name} save the "
            f"copy and make the cells anew"
        )
    if unseen:
        spare(path(name), unseen, given.force)  # and then run: the stored outputs may be of another's code
    if unseen or not ((given.changed or take) and old and notebooks.renewed(notebook, old, name)):
        return run(notebook, name, given.action == "measure")
    if notebooks.is_stored(notebook, name):
        return f"{name:32} nothing to take" if take else ""
    store(notebook, name)
    return f"{name:32} no need to run"


def spare(file: Path, reason: str, force: bool) -> None:
    """Before a file that holds somebody's words is overwritten: `ChapterError`, or with `force` a copy beside it."""
    if not force:
        raise ChapterError(reason)
    for number in ("", *map(str, range(2, 1000))):
        with suppress(FileExistsError), file.with_name(f"{file.stem}.mine{number}{file.suffix}").open("xb") as copy:
            copy.write(file.read_bytes())
            print(f"{file.name} as it was is now {Path(copy.name).name}", flush=True)
            return


def do_all(names: list[str], given: argparse.Namespace) -> None:
    """Two chapters at a time (one when measuring), then the ledger and the pages that quote it.

    Raises `ChapterError` with all that went wrong.
    """
    unreadable = list[str]()
    for name in notebooks.names():  # the ledger reads them all, at the end
        try:
            read(path(name))
        except ChapterError as error:
            unreadable.append(str(error))
    if unreadable:
        raise ChapterError("\n".join(unreadable))
    ledger = given if LEDGER in names else argparse.Namespace(action="run", changed=True, force=False)
    chapters = [name for name in names if name != LEDGER]
    workers = 1 if given.action == "measure" else 2
    for group, wanted in ((chapters, given), ([LEDGER] if LEDGER in notebooks.names() else [], ledger)):
        jobs = Parallel(min(workers, len(group) or 1), return_as="generator_unordered")(
            delayed(do)(name, wanted) for name in group
        )
        faults = list[str]()
        for said, fault in tqdm(jobs, total=len(group), disable=None if group else True, leave=False):
            if said:
                tqdm.write(said)
            faults += [fault] if fault else []
        if faults:
            raise ChapterError("\n\n".join(dict.fromkeys(faults)))
    for page in filter(Path.exists, PAGES):
        if (text := notebooks.quoted(page)) != page.read_text(encoding="utf-8"):
            page.write_text(text, encoding="utf-8")
    if strangers := notebooks.strangers():
        print(f"chapters: not in _toc.yml, left alone: {', '.join(strangers)}")


# ---- chapters as text ----


def as_text(notebook: nbformat.NotebookNode, **marks: object) -> str:
    """What people write in a chapter: no outputs, nothing that is filled in, and of generated cells their place."""
    settings = {"afp": marks, "jupytext": {"notebook_metadata_filter": "afp" if marks else "-all"}}
    text = nbformat.v4.new_notebook(metadata=settings)
    for cell in notebook.cells:
        place = {key: value for key, value in notebooks.marks(cell).items() if key not in ("made", "part", "calls")}
        others = {key: value for key, value in cell.metadata.items() if key not in ("afp", "lines_to_next_cell")}
        if not place:
            source = plain.short(cell.source) if cell.cell_type == "markdown" else cell.source
            text.cells.append(nbformat.from_dict(dict(cell) | {"metadata": others, "source": source.rstrip()}))
        elif place not in map(notebooks.marks, text.cells):
            text.cells.append(notebooks.code_cell("", afp=place))
    return str(jupytext.writes(text, fmt="py:percent"))


def wording(notebook: nbformat.NotebookNode) -> str:
    """Fingerprint of what people write in a chapter; measured numbers are no part of it."""
    return notebooks.digest(QUOTED.sub(r"\1", as_text(notebook)))


def refuse_pictures(notebook: nbformat.NotebookNode, name: str) -> None:
    """Raise `ChapterError` for what a draft would lose."""
    for cell in notebook.cells:
        if cell.get("attachments"):
            raise ChapterError(
                f"{notebooks.place(name, cell)}: holds a picture that was pasted in, which a draft cannot hold: save it in "
                f"_static, and link it"
            )


def drafted(file: Path) -> nbformat.NotebookNode:
    return jupytext.reads(file.read_text(encoding="utf-8-sig"), fmt="py:percent")


def draft(name: str, force: bool = False) -> None:
    """Write a chapter as text, without outputs; generated cells are marked by their place.

    Raises `ChapterError` if an older draft has words that the chapter has not; with `force` they are saved beside it.
    """
    notebook, target = read(path(name)), DRAFTS / f"{name}.py"
    refuse_pictures(notebook, name)
    if target.exists():
        old = drafted(target)
        if wording(old) not in (wording(notebook), notebooks.marks(old).get("wording")):
            reason = f"drafts/{name}.py has changes that {path(name).name} has not: take it, or remove it (or --force)"
            spare(target, reason, force)
    DRAFTS.mkdir(exist_ok=True)
    target.write_text(as_text(notebook, wording=wording(notebook)), encoding="utf-8")


def taken(name: str) -> tuple[nbformat.NotebookNode, str]:
    """A chapter made from its text, without outputs, and in words what the chapter has that the draft has not seen.

    Raises `ChapterError` if the draft has words in a generated cell, or none of its own where the chapter has new ones.
    """
    source = DRAFTS / f"{name}.py"
    if not source.exists():
        raise ChapterError(f"drafts must hold {source.name} (make it with: draft {name}), found none")
    notebook = drafted(source)
    for cell in notebook.cells:
        cell.metadata.pop("lines_to_next_cell", None)
        if notebooks.marks(cell) and cell.source.strip():
            raise ChapterError(
                f"drafts/{name}.py: the cell marked {cell.metadata.afp} is generated and must be empty: write an exercise "
                f"in {notebooks.module_of(name)}, got:\n{cell.source}"
            )
    seen, own = notebooks.marks(notebook).get("wording"), wording(notebook)
    old = read(path(name)) if path(name).exists() else nbformat.v4.new_notebook()
    measured = {key: value for key, value in notebooks.marks(old).items() if key == "measured"}
    notebook.metadata = nbformat.from_dict(old.metadata | {"afp": measured})
    if not path(name).exists():
        return notebook, ""
    refuse_pictures(old, name)
    if own != seen and wording(old) not in (seen, own):
        return notebook, (
            f"{path(name).name} has changes that drafts/{name}.py has not seen: save the draft under another name, "
            f"draft {name} again, and bring the two together (or --force to drop what is in the chapter)"
        )
    if own == seen != wording(old):
        return notebook, (
            f"drafts/{name}.py has no words of its own, and {path(name).name} has new ones: draft {name} again"
        )
    return notebook, ""


# ---- the command ----


def carries(functions: list[str]) -> None:
    """Print the claims that rest on each function: what to look at after it has changed."""
    book = ledger.read(CHAPTERS)
    known = sorted(set().union(*book.calls.values()))
    for function in functions:
        if function not in known:
            near = difflib.get_close_matches(function, known, cutoff=0.4)
            raise ChapterError(
                f"FUNCTION must be one that a claim rests on, such as {near or known[:3]}, got {function!r}"
            )
        for name in book.carried(function):
            print(f"{function}: {name} ({book.claims[name].chapter}): {book.claims[name].statement}")


def act(given: argparse.Namespace) -> None:
    if given.action == "carries":
        return carries(given.chapter)
    known = notebooks.names()
    if given.action == "take":  # NAME.mine.py is a copy that --force saved
        known = sorted(file.stem for file in DRAFTS.glob("*.py") if "." not in file.stem)
    if given.action == "take" and not known:
        raise ChapterError("take needs a draft, such as drafts/NAME.py, found none (make one with: draft NAME)")
    if given.action in ("take", "draft") and not given.chapter:
        raise ChapterError(f"{given.action} needs the name of a CHAPTER, among {known}")
    chosen = given.chapter or known
    if not set(chosen) <= set(known):
        raise ChapterError(f"CHAPTER must be among {known}, got {sorted(set(chosen) - set(known))}")
    if given.action == "draft":
        for name in chosen:
            draft(name, given.force)
        return None
    drafts = [DRAFTS / f"{name}.py" for name in chosen if given.action == "take"]
    before = [file.read_text(encoding="utf-8") for file in drafts]
    do_all(chosen, given)
    for file, text in zip(drafts, before):  # each has now seen its chapter, unless somebody went on writing meanwhile
        if file.read_text(encoding="utf-8") == text:
            draft(file.stem, force=True)
    if given.changed:
        print("chapters: all outputs are current")
    return None


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m afp_utils.book.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["run", "measure", "draft", "take", "carries"])
    parser.add_argument("chapter", nargs="*")
    parser.add_argument("--changed", action="store_true", help="run only chapters in which a result may differ")
    parser.add_argument("--force", action="store_true", help="overwrite what somebody wrote, and save it beside")
    given = parser.parse_intermixed_args()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # claims have signs that ASCII has not
    try:
        act(given)
    except (ChapterError, ClaimError) as error:
        sys.exit(f"chapters: {error}")


if __name__ == "__main__":
    main()

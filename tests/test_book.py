"""The structure of the book: notebooks, claims, figures, equations, imports, style and spelling."""

import ast
import base64
import importlib
import re
import subprocess
import sys
from collections import Counter
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import yaml

from afp_utils.book import claims, ledger, minutes, notebooks, plain

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "chapters"
NOTEBOOKS = {name: notebooks.read(notebooks.path(name)) for name in sorted(notebooks.names())}
EACH = pytest.mark.parametrize("name", NOTEBOOKS)
CHAPTERS = pytest.mark.parametrize("name", [name for name in NOTEBOOKS if name != notebooks.LEDGER])

LINES, COLUMNS = 30, 79
NOTEBOOK_BYTES, IMAGE_BYTES = 1_500_000, 150_000
KINDS = {
    "text/plain",
    "text/html",
    "text/markdown",
    "text/latex",
    "image/png",
    plain.VEGALITE,
    claims.CLAIM,
    claims.NUMBER,
}
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:home|root|Users|work|tmp|var|opt)/\w+")

MODULES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "afp_utils").rglob("*.py"))}


def code_cells(name: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in NOTEBOOKS[name].cells if cell.cell_type == "code"]


def outputs(name: str) -> list[nbformat.NotebookNode]:
    return [output for cell in code_cells(name) for output in cell.outputs]


def prose(name: str) -> str:
    return "\n\n".join(cell.source for cell in NOTEBOOKS[name].cells if cell.cell_type == "markdown")


def imported(tree: ast.AST) -> set[str]:
    """All names that code imports from the package, part by part."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("afp_utils"):
            found |= {*node.module.split("."), *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {part for alias in node.names for part in alias.name.split(".")}
    return found


def functions(*trees: ast.AST) -> set[str]:
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def figures(name: str) -> list[re.Match[str] | None]:
    """What stands below each picture: its label, its caption, and the picture in words."""
    return [
        plain.FIGURE.fullmatch(below.source)
        for cell, below in pairwise(NOTEBOOKS[name].cells)
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
    ]


# ---- notebooks ----


def test_contents_list_all_chapters_and_nothing_else() -> None:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    listed = [toc["root"], *(entry["file"] for part in toc["parts"] for entry in part["chapters"])]
    pages = [*BOOK.rglob("*.md"), *map(notebooks.path, NOTEBOOKS)]  # other notebooks are readers' own
    assert sorted(listed) == sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in pages)


@pytest.mark.parametrize("page", ["README.md", "chapters/index.md"])
def test_maps_list_all_chapters(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert [name for name in NOTEBOOKS if f"{name}.ipynb)" not in text] == []


@EACH
def test_executed_from_top_to_bottom(name: str) -> None:
    counts = [cell.execution_count for cell in code_cells(name)]
    assert counts == list(range(1, len(counts) + 1))


def test_ids_of_cells_are_unique_in_the_whole_book() -> None:
    ids = Counter(cell.id for notebook in NOTEBOOKS.values() for cell in notebook.cells)
    assert [name for name, count in ids.items() if count > 1] == []


@EACH
def test_no_error_no_stderr_no_unknown_output(name: str) -> None:
    for output in outputs(name):
        assert output.output_type in ("display_data", "execute_result", "stream"), output
        assert output.get("name", "stdout") == "stdout", output
        assert output.get("data", {}).keys() <= KINDS


@EACH
def test_outputs_are_those_of_the_present_code_package_and_claims(name: str) -> None:
    assert notebooks.current(name), f"{name} is out of date: run `make chapters`"


@EACH
def test_generated_cells_equal_their_source(name: str) -> None:
    assert notebooks.edited(NOTEBOOKS[name]) == [], "these words are somebody's: save them under another name"
    filled = deepcopy(NOTEBOOKS[name])
    before = [cell.source for cell in filled.cells]
    notebooks.fill(filled, name)
    assert [cell.source for cell in filled.cells] == before


@EACH
def test_quoted_numbers_are_those_of_the_run(name: str) -> None:
    assert notebooks.misquoted(NOTEBOOKS[name]) == []


@EACH
def test_nothing_of_the_machine_is_stored(name: str) -> None:
    notebook = deepcopy(NOTEBOOKS[name])
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("image/png", None)
    assert MACHINE_PATH.findall(nbformat.writes(notebook)) == []


@EACH
def test_sizes(name: str) -> None:
    assert (BOOK / f"{name}.ipynb").stat().st_size < NOTEBOOK_BYTES
    images = [output["data"]["image/png"] for output in outputs(name) if "image/png" in output.get("data", {})]
    assert all(len(base64.b64decode(image)) < IMAGE_BYTES for image in images)


@EACH
def test_code_cells_are_short_and_narrow(name: str) -> None:
    for cell in code_cells(name):
        lines = cell.source.splitlines()
        assert len(lines) <= LINES, f"cell {cell.id} has {len(lines)} lines, at most {LINES}"
        assert max(map(len, lines), default=0) <= COLUMNS, f"cell {cell.id} has a line over {COLUMNS} characters"


@EACH
def test_begins_with_its_title(name: str) -> None:
    first = NOTEBOOKS[name].cells[0]
    assert first.cell_type == "markdown"
    assert re.match(r"# \S", first.source)
    titles = re.findall(r"^# ", re.sub(r"```.*?```", "", prose(name), flags=re.DOTALL), re.MULTILINE)
    assert len(titles) == 1, f"one title, then sections of level two, got {len(titles)} titles"


@EACH
def test_time_and_memory_are_measured(name: str) -> None:
    measured = NOTEBOOKS[name].metadata.afp.measured
    assert measured.seconds <= 60
    assert measured.megabytes <= 1000


# ---- figures, equations ----


@EACH
def test_below_each_picture_stand_its_caption_and_the_picture_in_words(name: str) -> None:
    shown = figures(name)
    assert len(shown) == sum('<a id="fig-' in cell.source for cell in NOTEBOOKS[name].cells)
    for figure in shown:
        assert figure
        assert re.fullmatch(r"fig-[a-z0-9-]+", figure[1])
        assert min(len(figure[2]), len(figure[3])) > 20, figure[0]
        assert figure[2] != figure[3]


@EACH
def test_every_labelled_equation_has_a_function_of_its_name(name: str) -> None:
    cells = [ast.parse(cell.source) for cell in code_cells(name)]
    known = functions(*MODULES.values(), *cells)
    for label in (found["label"] for found in plain.EQUATION.finditer(prose(name))):
        assert label.removeprefix("eq-").replace("-", "_") in known, f"{label} has no function of its name"


def test_labels_are_unique() -> None:
    labels = Counter(label for name in NOTEBOOKS for label, _ in plain.ANCHOR.findall(prose(name)))
    assert len(labels) > 100
    assert [label for label, count in labels.items() if count > 1] == []


# ---- claims ----


def test_claims_hold() -> None:
    assert ledger.faults(BOOK) == []


def test_every_claim_is_checked_in_one_chapter() -> None:
    checked = Counter(entry["id"] for path in ledger.notebooks(BOOK) for entry in ledger.stored(path))
    assert checked == Counter(claims.registry().keys())


def test_every_check_is_written_once_and_registered() -> None:
    calls = [
        node.args[0].value
        for name in NOTEBOOKS
        for cell in code_cells(name)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "check"
        if node.args and isinstance(node.args[0], ast.Constant)
    ]
    assert set(calls) == set(claims.registry())


def test_the_ledger_shows_all_claims_with_their_verdicts() -> None:
    html = "".join(str(output.get("data", {}).get("text/html", "")) for output in outputs(notebooks.LEDGER))
    for claim in claims.registry().values():
        (cell,) = (entry["cell"] for entry in ledger.stored(notebooks.path(claim.chapter)) if entry["id"] == claim.id)
        assert f'href="{claim.chapter}.ipynb#cell-id={cell}" data-claim="claim-{claim.id}"' in html
    assert ">failed<" not in html
    book = ledger.read(BOOK)
    for part in (ledger.abstracts, ledger.results, ledger.chart, ledger.kinds, ledger.ledger):
        assert part(book)._repr_html_() in html


def test_every_claim_rests_on_functions_that_exist() -> None:
    book = ledger.read(BOOK)
    for name, calls in book.calls.items():
        for call in calls:
            room, module, *path = call.split(".")
            thing: Any = importlib.import_module(f"afp_utils.{room}.{module}")
            for part in path:
                thing = getattr(thing, part, None)
            assert thing is not None, f"{name} rests on {call}, which does not exist"
    assert sum(bool(calls) for calls in book.calls.values()) > len(book.calls) / 2


@pytest.mark.parametrize("page", notebooks.PAGES, ids=lambda page: page.name)
def test_pages_quote_the_ledger_and_count_claims_in_no_other_way(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert notebooks.quoted(page) == text
    assert notebooks.QUOTED.search(text)
    assert not re.search(r"\d+ claims", notebooks.QUOTED.sub("", text))


WORKSHOP = re.compile(
    r"\b(the plan|earlier run|earlier version|the notes|our notes|the review|reviewers?|settings were tried)\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize("name", [*NOTEBOOKS, "registry", "pages"])
def test_no_talk_of_how_the_book_was_made(name: str) -> None:
    """What changed belongs in the changelog; the reason of a tolerance stays."""
    if name in NOTEBOOKS:
        text = "\n".join(cell.source for cell in NOTEBOOKS[name].cells)
    else:
        folder, kind = (BOOK, "*.md") if name == "pages" else (ROOT / "afp_utils", "**/*.toml")
        text = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob(kind))
    assert [match[0] for match in WORKSHOP.finditer(text)] == []


@EACH
def test_no_claim_is_shown_as_unchecked(name: str) -> None:
    assert all("unchecked</span>" not in str(output.get("data", {})) for output in outputs(name))


# ---- who imports whom ----


@CHAPTERS
def test_chapters_import_public_names(name: str) -> None:
    for cell in code_cells(name):
        assert not [name for name in imported(ast.parse(cell.source)) if name.startswith("_")], cell.source


# ---- style and spelling ----


def tool(*command: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def not_ours() -> list[str]:
    return [part for name in notebooks.strangers() for part in ("--extend-exclude", f"chapters/{name}.ipynb")]


def test_style() -> None:
    tool("ruff", "check", "--no-cache", *not_ours(), ".")


def test_layout() -> None:
    tool("ruff", "format", "--no-cache", *not_ours(), "--check", ".")


def test_spelling() -> None:
    tool("codespell_lib")


@pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.2.0",
    reason="before NumPy 2.2 the type of an array has no default parameters",
)
def test_types() -> None:
    tool("mypy")


# ---- ninety minutes ----

TYPED = re.compile(r"[₀-₉⁰-⁹⁻√∑∫∇Σα-ωΑ-Ω²³¹·×±≤≥≈≠∝∞−]|\w\^|\w_\w")
"""Signs of a formula that is typed and not set."""


@CHAPTERS
def test_a_chapter_has_its_parts_in_order(name: str) -> None:
    titles = [section.title for section in minutes.sections(NOTEBOOKS[name])]
    assert titles[-4:] == ["What we have", *list(minutes.PARTS.values())[1:]]


@CHAPTERS
def test_the_core_of_a_chapter_fits_a_lecture(name: str) -> None:
    found = minutes.sections(NOTEBOOKS[name])
    assert minutes.total(found, "core") <= minutes.CORE, [(one.title, round(one.minutes)) for one in found]


@CHAPTERS
def test_the_first_screen_says_what_and_how_long(name: str) -> None:
    first = NOTEBOOKS[name].cells[0].source
    for mark in (
        "After this chapter you can say",
        "=minutes:core-->",
        "=minutes:exercises-->",
        "=minutes:sceptic-->",
        "=seconds-->",
    ):
        assert mark in first
    assert len(re.findall(r"^- ", first, re.MULTILINE)) == 3


@CHAPTERS
def test_nothing_but_words_and_folded_code_before_the_first_figure_or_section(name: str) -> None:
    for cell in NOTEBOOKS[name].cells:
        if cell.cell_type == "markdown" and "\n## " in f"\n{cell.source}":
            return
        if cell.cell_type == "code":
            assert {"hide-cell", "hide-input"} & set(cell.metadata.get("tags", [])), cell.source


@CHAPTERS
def test_every_section_of_the_core_ends_in_short(name: str) -> None:
    text = "\n\n".join(cell.source for cell in NOTEBOOKS[name].cells if cell.cell_type == "markdown")
    parts = re.split(r"^## +(.*)$", text, flags=re.MULTILINE)[1:]
    for title, body in zip(parts[::2], parts[1::2]):
        if title == "What we have":
            return
        assert "> **In short.**" in body.strip().split("\n\n")[-1], title


@CHAPTERS
def test_a_chapter_has_five_to_seven_main_results(name: str) -> None:
    assert 5 <= sum(claim.headline for claim in claims.registry().values() if claim.chapter == name) <= 7


def test_formulas_of_claims_are_set() -> None:
    for claim in claims.registry().values():
        for text in (claim.statement, claim.rival, claim.because, claim.reason):
            typed = TYPED.findall("".join(claims.MATH.split(text)[::2]))
            assert not typed, f"{claim.id}: {typed} in {text!r}"

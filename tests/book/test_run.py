"""The tool that runs chapters, on a small book of its own: quoting, generated cells, what is out of date, failed runs."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest

from afp_utils.book import address, ledger, notebooks, run
from afp_utils.book.claims import NEEDS, ClaimError
from afp_utils.book.notebooks import ChapterError, foundations
from tests.helpers import ENTRY

ROOT = Path(__file__).parents[2]
EXERCISE = """
from afp_utils.book.exercises import exercise

@exercise(minutes=5, hint="Divide.", worked="By two.", inputs=lambda rng: [(3.0,)])
def half(x):
    '''Half of `x`.

    What is it?
    '''
    return x / 2
"""
DRAFT = """\
# %% [markdown]
# # Small
#
# It is <!--=share-->?<!--/--> of it, measured <!--=claim:small-->?<!--/-->, in <!--=seconds-->?<!--/--> s.

# %% afp={"setup": true}

# %%
import numpy as np

from afp_utils.book import claims
from afp_utils.core.models import white
from afp_utils.language import exercises_small as exercises

points = white(np.eye(3, 2) + 1)
claims.numbers(share=f"{1 / 3:.2f}")

# %%
claims.check("small", points[0, 0] * 0 + 0.25)

# %% afp={"exercise": "half"}

# %% afp={"claims": true}
"""
NBVAL = ("-m", "pytest", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env", "chapters")


class Book:
    """A copy of the package and the tool with one small chapter."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT / "afp_utils", root / "afp_utils", ignore=shutil.ignore_patterns("*.toml", "__pycache__"))
        for folder in ("chapters", "drafts"):
            (root / folder).mkdir()
        shutil.copy(ROOT / "_config.yml", root)
        shutil.copy(ROOT / "chapters" / "conftest.py", root)
        (root / "afp_utils" / "language" / "exercises_small.py").write_text(EXERCISE, encoding="utf-8")
        (root / "afp_utils" / "language" / "claims-small.toml").write_text(ENTRY, encoding="utf-8")
        (root / "_toc.yml").write_text("root: chapters/small\n", encoding="utf-8")
        self.draft = root / "drafts" / "small.py"
        self.draft.write_text(DRAFT, encoding="utf-8")
        self.notebook = root / "chapters" / "small.ipynb"
        assert self.python("-m", "afp_utils.book.address", "none").returncode == 0

    def python(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(self.root)} | variables
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.root,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    def tool(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "afp_utils.book.run", *arguments, **variables)

    def current(self, **variables: str) -> bool:
        answer = self.python(
            "-c", "from afp_utils.book import notebooks; print(notebooks.current('small'))", **variables
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout == "True\n"

    def read(self) -> nbformat.NotebookNode:
        return nbformat.read(self.notebook, 4)

    def write(self, notebook: nbformat.NotebookNode) -> None:
        nbformat.write(notebook, self.notebook)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Book:
    book = Book(tmp_path_factory.mktemp("book"))
    result = book.tool("take", "small")
    assert result.returncode == 0, result.stderr
    return book


@pytest.fixture
def book(made: Book, tmp_path: Path) -> Book:
    """The book as it was made, however the last test left it."""
    copy = object.__new__(Book)
    copy.root = tmp_path / "copy"
    shutil.copytree(made.root, copy.root)
    copy.draft, copy.notebook = copy.root / "drafts" / "small.py", copy.root / "chapters" / "small.ipynb"
    return copy


def rewrite(book: Book, old: str, new: str) -> None:
    """Edit the draft."""
    assert old in book.draft.read_text(encoding="utf-8")
    book.draft.write_text(book.draft.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def test_numbers_are_put_into_the_prose(book: Book) -> None:
    text = book.read().cells[0].source
    seconds = book.read().metadata.afp.measured.seconds
    assert text.endswith(
        f"It is <!--=share-->0.33<!--/--> of it, measured <!--=claim:small-->0.25<!--/-->, "
        f"in <!--=seconds-->{seconds}<!--/--> s."
    )


def test_unknown_number_is_refused(book: Book) -> None:
    rewrite(book, "=share-->0.33", "=unknown-->?")
    before = book.notebook.read_bytes()
    result = book.tool("take", "small")
    assert result.returncode != 0
    assert "unknown" in result.stderr
    assert book.notebook.read_bytes() == before


def test_generated_cells_have_set_up_stub_hint_and_solution(book: Book) -> None:
    cells = book.read().cells
    marks = [" ".join(sorted(cell.metadata.get("afp", {}))) for cell in cells]
    assert marks == ["", "made setup", "", "calls", *["exercise made part"] * 4, "claims made"]
    assert cells[1].source == address.SETUP
    assert cells[-1].source.endswith('A quarter. <a href="#claim-small">See&nbsp;it.</a>')
    assert "your code here" in cells[5].source
    assert "Divide." in cells[6].source
    assert "return x / 2" in cells[7].source
    assert [cell.id for cell in cells] == [f"small-{i:03d}" for i in range(len(cells))]


def test_a_second_run_stores_the_same_bytes(book: Book) -> None:
    before = book.notebook.read_bytes()
    assert book.tool("run", "small").returncode == 0
    assert book.notebook.read_bytes() == before


def test_what_is_current_is_not_run_again(book: Book) -> None:
    assert book.current()
    result = book.tool("run", "--changed")
    assert "small  " not in result.stdout
    assert result.returncode == 0


def change(book: Book, file: str, old: str, new: str) -> None:
    text = (book.root / file).read_text(encoding="utf-8")
    assert old in text
    (book.root / file).write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("afp_utils/core/models.py", "x.T @ x", "x.T @ (x + 0)"),  # imported by the chapter
        ("afp_utils/core/refuse.py", "bad.any()", "np.any([bad])"),  # imported by what it imports
        ("afp_utils/language/exercises_small.py", "return x / 2", "return 0.5 * x"),  # its exercises
        ("afp_utils/language/exercises_small.py", "(3.0,)", "(4.0,)"),
    ],
)
def test_a_chapter_runs_again_where_a_result_may_differ(book: Book, file: str, old: str, new: str) -> None:
    change(book, file, old, new)
    assert not book.current()
    result = book.tool("run", "--changed")
    assert result.returncode == 0, result.stderr
    assert " s " in result.stdout, "it ran"
    assert book.current()


def test_words_around_an_exercise_are_no_code() -> None:
    words = 'exercise(objective="Divide", points=2, difficulty="easy", minutes=5, hint="a", worked="b")'
    assert notebooks.essence(words) == notebooks.essence("exercise()")
    for code in ("exercise(tolerance={})", "exercise(inputs=lambda rng: {})"):
        assert notebooks.essence(code.format(1)) != notebooks.essence(code.format(2))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("afp_utils/language/exercises_small.py", "Divide.", "Halve."),
        ("afp_utils/language/exercises_small.py", "Half of `x`.", "One half of `x`."),
        ("afp_utils/language/claims-small.toml", "0.01", "0.02"),
        ("chapters/small.ipynb", "of it, measured", "of all, measured"),
    ],
)
def test_a_chapter_does_not_run_again_for_words_and_tolerances(book: Book, file: str, old: str, new: str) -> None:
    count = book.read().cells[3].execution_count
    change(book, file, old, new)
    result = book.tool("run", "--changed")
    assert result.returncode == 0, result.stderr
    assert " s " not in result.stdout, "it did not run"
    assert new.strip('"') in book.notebook.read_text(encoding="utf-8") or "0.02" in book.notebook.read_text(
        encoding="utf-8"
    )
    assert book.read().cells[3].execution_count == count
    assert book.current()


def test_comments_change_nothing(book: Book) -> None:
    change(book, "afp_utils/core/models.py", "import numpy as np", "import numpy as np  # changed")
    assert book.current()


def test_a_changed_tolerance_is_decided_from_the_stored_value(book: Book) -> None:
    change(book, "afp_utils/language/claims-small.toml", "near = 0.25", "near = 0.27")
    before = book.notebook.read_bytes()
    result = book.tool("run", "--changed")
    assert result.returncode != 0
    assert (
        result.stderr
        == 'chapters: small, cell small-003 (claims.check("small", points[0, 0] * 0 + 0.25)): claim small fails\nmeasured 0.25\nexpected 0.27 ± 0.01\n'
    )
    assert book.notebook.read_bytes() == before


def test_a_change_elsewhere_does_not(book: Book) -> None:
    (book.root / "afp_utils" / "core" / "plots.py").write_text("LEVEL = 1\n", encoding="utf-8")
    assert book.current()


@pytest.mark.parametrize(("old", "new"), [("0.33<", "0.34<"), ("1 / 3", "1 / 4"), ("return x / 2", "return x / 3")])
def test_an_altered_notebook_is_out_of_date(book: Book, old: str, new: str) -> None:
    text = book.notebook.read_text(encoding="utf-8")
    assert old in text
    book.notebook.write_text(text.replace(old, new), encoding="utf-8")
    assert not book.current()


def test_cleared_outputs_are_out_of_date(book: Book) -> None:
    stored = book.notebook.read_bytes()
    notebook = book.read()
    cell = notebook.cells[3]
    cell.outputs, cell.execution_count = [], None
    book.write(notebook)
    assert not book.current()
    result = book.tool("run", "--changed")
    assert result.returncode == 0, result.stderr
    assert book.notebook.read_bytes() == stored


def test_another_address_is_written_without_a_run(book: Book) -> None:
    stored = book.notebook.read_bytes()
    assert book.python("-m", "afp_utils.book.address", "https://github.com/someone/else").returncode == 0
    assert '"git+https://github.com/someone/else@main"' in book.read().cells[1].source
    assert book.current()
    assert book.python("-m", "afp_utils.book.address", "none").returncode == 0
    assert book.notebook.read_bytes() == stored


def test_a_setting_written_by_hand_is_out_of_date_without_a_run(book: Book) -> None:
    change(book, "_config.yml", 'url: ""', 'url: "https://github.com/someone/else"')
    assert not book.current()
    result = book.tool("run", "--changed")
    assert "no need to run" in result.stdout, result.stderr
    assert book.current()


def test_what_a_run_elsewhere_left_out_is_out_of_date(book: Book) -> None:
    """Such as one without torch, that a reader saved."""
    stored = book.notebook.read_bytes()
    notebook = book.read()
    notebook.cells[3].outputs = [nbformat.v4.new_output("display_data", {NEEDS: {"id": "small", "said": "left out"}})]
    book.write(notebook)
    assert not book.current()
    result = book.tool("run", "--changed")
    assert result.returncode == 0, result.stderr
    assert book.notebook.read_bytes() == stored


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ('claims.check("small", 0.3)', "claim small fails\nmeasured 0.3\nexpected 0.25 ± 0.01\n"),
        ('claims.check("small", 0.25)', "claim small is checked twice"),
        ('claims.needs("no_such_package")', "part of this cell is left out: it needs no_such_package"),
        ("import os; os._exit(1)", "Kernel died"),
        ("import sys; print(1, file=sys.stderr)", "stderr"),
    ],
)
def test_a_failed_run_leaves_the_old_notebook(book: Book, code: str, said: str) -> None:
    notebook = book.read()
    notebook.cells[3].source += f"\n{code}"
    book.write(notebook)
    before = book.notebook.read_bytes()
    result = book.tool("run", "small")
    assert result.returncode != 0
    assert said in result.stderr
    assert "small" in result.stderr
    assert book.notebook.read_bytes() == before
    assert sorted(path.name for path in (book.root / "chapters").iterdir()) == ["small.ipynb"]


@pytest.fixture
def home(tmp_path: Path) -> str:
    """A home in which Matplotlib cannot write, and says so."""
    (tmp_path / "home").mkdir()
    for name in (".config", ".cache"):
        (tmp_path / "home" / name).touch()
    return str(tmp_path / "home")


def test_a_home_that_cannot_be_written_is_no_fault_of_a_chapter(book: Book, home: str) -> None:
    edit(book, 3, "\nimport matplotlib.pyplot")
    result = book.tool("run", "small", HOME=home)
    assert result.returncode == 0, result.stderr
    assert all(output.get("name") != "stderr" for output in book.read().cells[3].outputs)
    result = book.python(*NBVAL, HOME=home)
    assert result.returncode == 0, result.stdout
    text = book.notebook.read_text(encoding="utf-8")
    warning = text.replace("import matplotlib.pyplot", "import sys; print(1, file=sys.stderr)")
    book.notebook.write_text(warning, encoding="utf-8")
    assert "Unexpected output fields from running code: {'stderr'}" in book.python(*NBVAL, HOME=home).stdout


def test_a_chapter_without_set_up_cell_is_refused(book: Book) -> None:
    rewrite(book, '# %% afp={"setup": true}\n', "")
    result = book.tool("take", "small")
    assert result.returncode != 0
    assert "small must have a set-up cell" in result.stderr


@pytest.mark.parametrize("action", ["run", "draft", "take", "measure"])
def test_unknown_chapter_is_refused_by_name(book: Book, action: str) -> None:
    result = book.tool(action, "smalls")
    assert result.returncode != 0
    assert "'small'" in result.stderr
    assert "'smalls'" in result.stderr


def test_draft_and_take_lose_nothing(book: Book) -> None:
    before = book.read()
    assert book.tool("draft", "small").returncode == 0
    assert book.tool("take", "small").returncode == 0
    assert book.read() == before


def test_the_locale_does_not_matter(book: Book) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert "utf" not in book.python("-c", "import locale; print(locale.getpreferredencoding())", **plain).stdout.lower()
    rewrite(book, "# # Small", "# # Smäll, of α")
    change(book, "afp_utils/language/claims-small.toml", "A quarter.", "√ of 1/16.")
    for arguments in (["take", "small"], ["run", "small"], ["run", "--changed"]):
        result = book.tool(*arguments, **plain)
        assert result.returncode == 0, result.stderr
    assert book.read().cells[0].source.startswith("# Smäll, of α")
    assert "Smäll, of α" in book.draft.read_text(encoding="utf-8")
    assert "\\u221a of 1/16." in book.tool("carries", "core.models.white", **plain).stdout
    assert book.current(**plain) and book.current()


# ---- what a claim rests on ----


def test_the_functions_that_a_value_comes_from_are_recorded(book: Book) -> None:
    assert book.read().cells[3].metadata.afp.calls == ["core.models.white"]
    assert "white" not in book.read().cells[3].source


def test_recorded_functions_are_no_part_of_a_draft(book: Book) -> None:
    assert book.tool("draft", "small").returncode == 0
    assert "calls" not in book.draft.read_text(encoding="utf-8")


def test_a_function_lists_the_claims_that_it_carries(book: Book) -> None:
    result = book.tool("carries", "core.models.white")
    assert result.stdout == "core.models.white: small (small): A quarter.\n"
    result = book.tool("carries", "core.models.grey")
    assert result.returncode != 0
    assert (
        "FUNCTION must be one that a claim rests on, such as ['core.models.white'], got 'core.models.grey'"
        in result.stderr
    )


def test_a_class_is_recorded_once_and_a_flow_too() -> None:
    code = (
        "import afp_utils.book.tracing as tracing; from afp_utils.core.flow import flow_at; "
        "from afp_utils.sequence.rates import PowerLaw; tracing.called.clear(); PowerLaw(1, 2, 1.5); "
        "flow_at(lambda time, y: -y, [1], [0, 1]); print(sorted(tracing.called))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert found.stdout == "['core.flow.flow_at', 'sequence.rates.PowerLaw']\n", found.stderr


def test_a_cell_rests_on_the_cells_its_names_come_from() -> None:
    cells = [
        "import numpy as np\nfrom afp_utils.book import claims",
        "x = np.ones(3)\nlist_ = []",
        "for i in range(3):\n    list_.append(x)",  # changes list_, so whoever uses it needs this cell
        "x = 2\nclaims.check('a', x)",  # binds x anew: needs neither cell above
        "def f(a):\n    return a + x",
        "claims.check('b', f(1))",  # uses claims, which no cell changed
        "print(list_)",
        "x[0] = f(2)",
    ]
    assert foundations(cells) == [{0}, {0, 1}, {0, 1, 2}, {0, 3}, {0, 3, 4}, {0, 3, 4, 5}, {0, 1, 2, 6}, {0, 3, 4, 7}]


# ---- nobody's words are lost ----


def edit(book: Book, index: int, text: str, output: str = "") -> None:
    notebook = book.read()
    notebook.cells[index].source += text
    if output:
        notebook.cells[index].outputs[0]["data"]["text/plain"] = output
    book.write(notebook)


@pytest.mark.parametrize("arguments", [["run", "small"], ["run", "--changed"]])
def test_an_answer_in_a_generated_cell_is_not_overwritten(book: Book, arguments: list[str]) -> None:
    stored = book.notebook.read_bytes()
    edit(book, 5, "\n# my answer", "my output")
    before = book.notebook.read_bytes()
    result = book.tool(*arguments)
    assert result.returncode != 0
    cell = book.read().cells[5].id
    assert f"small: cell {cell} (def half(x):) is generated, and somebody has written in it. To keep" in result.stderr
    assert "run --force small" in result.stderr
    assert book.notebook.read_bytes() == before
    taken = book.notebook.with_name("small.mine.ipynb")
    taken.write_text("another answer", encoding="utf-8")
    result = book.tool(*arguments, "--force")
    assert result.returncode == 0, result.stderr
    assert "small.ipynb as it was is now small.mine2.ipynb" in result.stdout
    assert book.notebook.read_bytes() == stored
    assert book.notebook.with_name("small.mine2.ipynb").read_bytes() == before
    assert taken.read_text(encoding="utf-8") == "another answer"
    assert book.tool(*arguments, "--force").returncode == 0
    assert len(list(taken.parent.iterdir())) == 3, "a second time there is nothing to save"


@pytest.mark.parametrize(
    ("order", "left"),
    [
        ([0, 1, 2, 3, 4, 5, 5, 6, 7], "1, 2, 2, 3, 4"),  # copied
        ([0, 1, 2, 3, 4, 5, 6], "1, 2, 3"),  # taken away
        ([0, 1, 2, 3, 4, 7, 5, 6], "1, 4, 2, 3"),  # moved
    ],
)
def test_generated_cells_that_came_or_went_are_not_put_right_in_silence(
    book: Book, order: list[int], left: str
) -> None:
    notebook = book.read()
    notebook.cells = [notebook.cells[i].copy() for i in order]
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"mine-{number}"
    book.write(notebook)
    before = book.notebook.read_bytes()
    result = book.tool("run", "--changed")
    assert result.returncode != 0
    assert f"small: exercise half has 4 generated cells, and somebody has left {left}. To keep" in result.stderr
    assert book.notebook.read_bytes() == before
    assert book.tool("run", "--changed", "--force").returncode == 0
    assert book.notebook.with_name("small.mine.ipynb").read_bytes() == before
    assert len(book.read().cells) == 8


def test_cells_of_a_reader_stay_where_they_are_and_metadata_of_other_tools_too(book: Book) -> None:
    notebook = book.read()
    notebook.metadata["colab"] = {"provenance": []}
    for cell in notebook.cells:
        cell.metadata["slideshow"] = {"slide_type": "skip"}
    notebook.cells[5].metadata["tags"] = ["mine"]
    notebook.cells.insert(6, nbformat.v4.new_code_cell("2 + 2", id="mine-1"))
    notebook.cells.insert(7, nbformat.v4.new_markdown_cell("A thought.", id="mine-2"))
    book.write(notebook)
    result = book.tool("run", "--changed")
    assert result.returncode == 0, result.stderr
    assert " s " in result.stdout, "a cell more, so it ran"
    stored = book.read()
    assert stored.metadata.colab == {"provenance": []}
    assert [cell.source for cell in stored.cells] == [cell.source for cell in notebook.cells]
    assert stored.cells[5].metadata.tags == ["mine"]
    assert all(
        cell.metadata.slideshow == {"slide_type": "skip"}
        for cell in stored.cells
        if cell.source[:5] not in ("2 + 2", "A tho")
    )
    assert book.tool("draft", "small").returncode == 0
    book.draft.write_text(
        book.draft.read_text(encoding="utf-8").replace("A thought.", "A second thought."), encoding="utf-8"
    )
    assert book.tool("take", "small").returncode == 0
    assert book.read().metadata.colab == {"provenance": []}


def test_a_chapter_that_somebody_ran_in_part_runs_again(book: Book) -> None:
    """Its outputs may be of other code than it holds; its words stay."""
    stored, notebook = book.notebook.read_bytes(), book.read()
    notebook.cells[3].execution_count = 17
    book.write(notebook)
    assert not book.current()
    result = book.tool("run", "--changed")
    assert result.returncode == 0, result.stderr
    assert book.notebook.read_bytes() == stored


def test_a_pasted_picture_is_not_lost_in_a_draft(book: Book) -> None:
    notebook = book.read()
    notebook.cells[0].attachments = {"image.png": {"image/png": "AAAA"}}
    book.write(notebook)
    before = book.notebook.read_bytes()
    for action in ("draft", "take"):
        result = book.tool(action, "small")
        assert result.returncode != 0
        assert f"small, cell {notebook.cells[0].id} (# Small): holds a picture that was pasted in" in result.stderr
    assert book.notebook.read_bytes() == before


def test_a_draft_with_words_of_its_own_is_not_overwritten(book: Book) -> None:
    text = book.draft.read_text(encoding="utf-8").replace("# # Small", "# # Small but mine")
    book.draft.write_text(text, encoding="utf-8")
    result = book.tool("draft", "small")
    assert result.returncode != 0
    assert "drafts/small.py has changes that small.ipynb has not" in result.stderr
    assert book.draft.read_text(encoding="utf-8") == text
    assert book.tool("draft", "small", "--force").returncode == 0
    assert "mine" not in book.draft.read_text(encoding="utf-8")
    assert book.draft.with_name("small.mine.py").read_text(encoding="utf-8") == text
    assert "CHAPTER must be among ['small']" in book.tool("take", "small.mine").stderr


def test_an_old_draft_does_not_overwrite_newer_prose(book: Book) -> None:
    edit(book, 0, "\n\nNewer words.")
    before = book.notebook.read_bytes()
    result = book.tool("take", "small")
    assert result.returncode != 0
    assert "drafts/small.py has no words of its own, and small.ipynb has new ones" in result.stderr
    book.draft.write_text(
        book.draft.read_text(encoding="utf-8").replace("# # Small", "# # Small but mine"), encoding="utf-8"
    )
    result = book.tool("take", "small")
    assert result.returncode != 0
    assert "small.ipynb has changes that drafts/small.py has not seen" in result.stderr
    assert book.notebook.read_bytes() == before
    book.draft.write_text(
        book.draft.read_text(encoding="utf-8").replace("# # Small but mine", "# # Small"), encoding="utf-8"
    )
    assert book.tool("draft", "small").returncode == 0  # the draft had nothing of its own
    assert "Newer words." in book.draft.read_text(encoding="utf-8")


def test_the_fingerprint_of_words_is_that_of_words_alone() -> None:
    """It outlives the way through text. What is measured, filled in or generated is no part of it, nor are outputs."""
    words = nbformat.v4.new_markdown_cell(
        "# Small\n\nIt is <!--=share-->0.33<!--/--> of it, see [(1.1)](#eq-third) and @jacot2018neural.\n\n"
    )
    stub, solution = (notebooks.code_cell("def half(x): ...", afp={"exercise": "half", "made": "0"}) for _ in range(2))
    notebook = nbformat.v4.new_notebook(cells=[words, notebooks.code_cell("x = 1\n"), stub, solution])
    before = run.wording(notebook)
    draft = run.as_text(notebook, wording=before)
    assert draft.count("half") == 1
    assert run.wording(jupytext.reads(draft, fmt="py:percent")) == before
    words.source = words.source.replace("0.33", "0.34").replace("(1.1)", "(1.2)")
    words.source = words.source.replace("@jacot2018neural", "[Jacot et al. (2018)](https://arxiv.org/abs/1806.07572)")
    stub.source = "def half(x): return x"
    assert run.wording(notebook) == before
    words.source += "Newer words."
    assert run.wording(notebook) != before


def test_words_in_a_generated_cell_of_a_draft_are_refused(book: Book) -> None:
    mark = '# %% afp={"exercise": "half"}'
    assert mark in book.draft.read_text(encoding="utf-8")
    book.draft.write_text(book.draft.read_text(encoding="utf-8").replace(mark, f"{mark}\nx = 1"), encoding="utf-8")
    result = book.tool("take", "small")
    assert result.returncode != 0
    assert "is generated and must be empty" in result.stderr


def test_prose_goes_from_a_draft_to_the_chapter_and_back_without_a_run(book: Book) -> None:
    assert book.tool("draft", "small").returncode == 0
    book.draft.write_text(book.draft.read_text(encoding="utf-8").replace("# # Small", "# # Smaller"), encoding="utf-8")
    result = book.tool("take", "small")
    assert result.returncode == 0, result.stderr
    assert "no need to run" in result.stdout
    assert book.read().cells[0].source.startswith("# Smaller")
    assert book.current()
    assert book.tool("draft", "small").returncode == 0
    assert "# # Smaller" in book.draft.read_text(encoding="utf-8")


def test_a_draft_without_changes_is_said_to_have_none(book: Book) -> None:
    assert "nothing to take" in book.tool("take", "small").stdout
    book.draft.unlink()
    assert "take needs a draft" in book.tool("take", "small").stderr


def test_take_and_draft_want_a_name(book: Book) -> None:
    for action in ("take", "draft"):
        result = book.tool(action)
        assert result.returncode != 0
        assert f"{action} needs the name of a CHAPTER, among ['small']" in result.stderr


def test_a_strange_notebook_is_left_alone(book: Book) -> None:
    stranger = book.root / "chapters" / "Untitled.ipynb"
    stranger.write_text("not even JSON", encoding="utf-8")
    result = book.tool("run", "--changed")
    assert result.returncode == 0, result.stderr
    assert "not in _toc.yml, left alone: Untitled" in result.stdout
    assert stranger.read_text(encoding="utf-8") == "not even JSON"


@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_the_tests_leave_a_strange_notebook_alone_and_a_chapter_on_one_worker(book: Book, workers: list[str]) -> None:
    book.notebook.with_name("Untitled.ipynb").write_text("not even JSON", encoding="utf-8")
    result = book.python(*NBVAL, *workers)
    assert result.returncode == 0, result.stdout
    assert "5 passed" in result.stdout
    assert result.stdout.count("chapters: not in _toc.yml, left alone: Untitled") == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "no file but a folder"),
        ("", "an empty file"),
        ('{"cells": [\n<<<<<<< ours\n]}', "a conflict of git that is not resolved, line 2"),
        ('{"cells": [', "no JSON, Expecting value: line 1 column 12"),
        ("\xe4", "'utf-8' codec can't decode byte 0xe4"),
        *((text, "JSON without cells") for text in ("[]", "3", "{}", '{"cells": 3}')),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [3]}', "argument of type 'int' is not"),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{}]}', "The notebook is invalid"),
        ('{"nbformat": 7, "nbformat_minor": 5, "metadata": {}, "cells": []}', "Unsupported nbformat version 7"),
    ],
)
def test_an_unreadable_notebook_is_refused_by_name_before_anything_runs(
    book: Book, text: str | None, reason: str
) -> None:
    arguments = ["take", "small"] if text == "" else ["run", "--changed"]
    (book.root / "_toc.yml").write_text("root: chapters/small\nchapters:\n- file: chapters/bad\n", encoding="utf-8")
    change(book, "afp_utils/core/models.py", "x.T @ x", "x.T @ (x + 0)")
    file, before = book.notebook.with_name("bad.ipynb"), book.notebook.read_bytes()
    file.mkdir() if text is None else file.write_text(text, encoding="latin-1")
    result = book.tool(*arguments)
    assert result.returncode != 0
    assert result.stderr.startswith(f"chapters: bad.ipynb must be a notebook of format 4, got: {reason}")
    assert len(result.stderr.splitlines()) == 1
    assert book.notebook.read_bytes() == before


def test_the_site_says_which_notebook_it_cannot_read(tmp_path: Path) -> None:
    file = tmp_path / "bad.ipynb"
    file.write_text("<<<<<<< ours", encoding="utf-8")
    with pytest.raises(ClaimError, match="^bad.ipynb must be a notebook of format 4, got: a conflict of git"):
        ledger.stored(file)


def saved_by_colab(notebook: dict[str, Any]) -> str:
    notebook["nbformat_minor"] = 0
    notebook["metadata"] |= {"colab": {"provenance": []}, "accelerator": "GPU"}
    for cell in notebook["cells"]:
        code = {"outputId": "0", "executionInfo": {"elapsed": 3}} if cell["cell_type"] == "code" else {}
        cell["metadata"] |= {"id": cell.pop("id")} | code
    return json.dumps(notebook)


def saved_by_an_editor(notebook: dict[str, Any]) -> str:
    """Or by Notebook 6."""
    notebook["nbformat_minor"] = 2
    notebook["metadata"] |= {"orig_nbformat": 4, "language_info": {"name": "python", "version": "3.12.1"}}
    for cell in notebook["cells"]:
        del cell["id"]
        cell["source"] = "".join(cell["source"])
    return json.dumps(notebook, indent=4, ensure_ascii=False)


def saved_with_ids_twice(notebook: dict[str, Any]) -> str:
    for cell in notebook["cells"]:
        cell["id"] = "one"
    return json.dumps(notebook)


def saved_on_windows(notebook: dict[str, Any]) -> str:
    return "\ufeff" + json.dumps(notebook, indent=1).replace("\n", "\r\n")


@pytest.mark.parametrize("tool", [saved_by_colab, saved_by_an_editor, saved_with_ids_twice, saved_on_windows])
def test_a_chapter_saved_by_another_tool_is_read(book: Book, tool: Callable[[dict[str, Any]], str]) -> None:
    before = book.read()
    text = tool(json.loads(book.notebook.read_text(encoding="utf-8")))
    book.notebook.write_text(text, encoding="utf-8", newline="")
    result = book.tool("run", "--changed")
    assert result.returncode == 0 and not result.stderr, result.stderr
    assert " s " not in result.stdout, "no need to run"
    after = book.read()
    assert after.nbformat_minor == 5
    assert [cell.source for cell in after.cells] == [cell.source for cell in before.cells]
    assert [cell.get("outputs") for cell in after.cells] == [cell.get("outputs") for cell in before.cells]
    assert after.metadata.afp == before.metadata.afp
    if tool is saved_by_colab:
        assert (after.metadata.accelerator, after.cells[5].metadata.outputId) == ("GPU", "0")
    result = book.tool("run", "small")
    assert result.returncode == 0, result.stderr
    assert book.current()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("%time 1", "small, cell small-000 (%time 1): must be plain Python without magics, got:\n%time 1"),
        ("!ls", "small, cell small-000 (!ls): must be plain Python without magics, got:\n!ls"),
        ("x = 1\nx +", "small, cell small-000 (x = 1), line 2: invalid syntax"),
    ],
)
def test_a_cell_that_is_not_plain_python_is_refused_before_it_runs(code: str, said: str) -> None:
    cell = nbformat.v4.new_code_cell(code, id="small-000")
    with pytest.raises(ChapterError) as refused:
        notebooks.refuse_magics(nbformat.v4.new_notebook(cells=[cell]), "small")
    assert str(refused.value) == said


def test_one_dead_kernel_does_not_stop_the_others(book: Book) -> None:
    (book.root / "_toc.yml").write_text("root: chapters/small\nchapters:\n- file: chapters/dead\n", encoding="utf-8")
    notebook = book.read()
    notebook.cells = [cell for cell in notebook.cells if "exercise" not in cell.metadata.get("afp", {})][:2]
    notebook.cells[0].source = "# Dead"
    notebook.cells.append(nbformat.v4.new_code_cell("import os\nos._exit(1)"))
    nbformat.write(notebook, book.root / "chapters" / "dead.ipynb")
    change(book, "afp_utils/core/models.py", "x.T @ x", "x.T @ (x + 0)")
    result = book.tool("run")
    assert result.returncode != 0
    assert re.search(r"dead, cell dead-002 \(.+\): Kernel died", result.stderr)
    assert book.current()


def test_two_can_store_at_once(book: Book) -> None:
    """Each writes to a file of its own before it replaces the notebook."""
    start = "from afp_utils.book import notebooks; n = notebooks.read(notebooks.path('small'))"
    code = f"{start}\nfor _ in range(150): notebooks.write(n, notebooks.path('small'))"
    environment = os.environ | {"PYTHONPATH": str(book.root)}
    both = [subprocess.Popen([sys.executable, "-c", code], cwd=book.root, env=environment) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    assert book.current()
    assert [path.name for path in (book.root / "chapters").iterdir()] == ["small.ipynb"]


@pytest.mark.parametrize(
    ("prose", "said"),
    [
        ("takes <!--=seconds-->9 s, with <!--=megabytes-->340<!--/--> MB", "must close every quoted"),
        ("takes <!--=seconds-->9 s", "must close every quoted"),
        ("takes <!--=seconds-->9<!--/--><!--/--> s", "must close every quoted"),
        ("takes <!--=seconds-->9, on my old laptop twenty<!--/--> s", "no words of its own, got"),
    ],
)
def test_no_words_are_lost_between_the_marks_of_a_quoted_number(prose: str, said: str) -> None:
    texts = {"seconds": "9", "megabytes": "340"}
    with pytest.raises(notebooks.ChapterError, match=said):
        notebooks._quoting(prose, texts, "one")
    kept = "from <!--=seconds-->2 to 3 and 5<!--/--> to <!--=megabytes-->−0.4 ± 1e-05<!--/-->"
    assert notebooks._quoting(kept, texts, "one") == "from <!--=seconds-->9<!--/--> to <!--=megabytes-->340<!--/-->"

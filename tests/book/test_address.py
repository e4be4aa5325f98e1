"""The repository's address: what is one, where it is written, and the set-up cell that installs from it."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
import yaml
from IPython.core.interactiveshell import InteractiveShell

from afp_utils.book import address, notebooks

ROOT = Path(__file__).parents[2]
FORK = "https://github.com/Someone/else"


# ---- what is an address ----


@pytest.mark.parametrize(
    ("given", "url", "hosts", "site"),
    [
        ("", "", (), ""),
        (FORK, FORK, ("Binder", "Colab"), "https://someone.github.io/else/"),
        (f"{FORK}.git", FORK, ("Binder", "Colab"), "https://someone.github.io/else/"),
        (f"{FORK}.git/", FORK, ("Binder", "Colab"), "https://someone.github.io/else/"),
        (
            "https://github.com/Me/me.github.io",
            "https://github.com/Me/me.github.io",
            ("Binder", "Colab"),
            "https://me.github.io/",
        ),
        ("https://gitlab.com/someone/else/", "https://gitlab.com/someone/else", ("Binder",), ""),
        ("https://gitlab.com/group/someone/else", "https://gitlab.com/group/someone/else", (), ""),
        ("https://codeberg.org/someone/else", "https://codeberg.org/someone/else", (), ""),
        ("https://git.example.org:8443/~me/else", "https://git.example.org:8443/~me/else", (), ""),
        ("https://github.com.example.org/a/b", "https://github.com.example.org/a/b", (), ""),
    ],
)
def test_an_address_with_the_hosts_that_open_it(given: str, url: str, hosts: tuple[str, ...], site: str) -> None:
    assert address.checked(given) == url
    assert address.launchers(url) == hosts
    assert address.site(url) == site


@pytest.mark.parametrize(
    "given",
    [
        "http://github.com/someone/else",
        "git@github.com:someone/else.git",
        "github.com/someone/else",
        "nonsense",
        "https://github.com/some one/else",
        f"{FORK}\n",
        f" {FORK}",
        "https://github.com/someone",
        f"{FORK}/tree/main",
        f"{FORK}?tab=readme",
        f"{FORK}#readme",
        "https://me:secret@github.com/someone/else",
        "https://github/someone/else",
        'https://github.com/someone/else"',
        "https://github.com/someone/..",
        "https://github.com/jemand/schön",
    ],
)
def test_anything_else_is_refused_in_one_line(given: str) -> None:
    with pytest.raises(ValueError, match="^URL must [^\n]*, got [^\n]*$"):
        address.checked(given)


# ---- where it is written ----


class Book:
    """What the command needs of a book: a copy, run by a bare Python."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("afp_utils/__init__.py", "afp_utils/book/__init__.py", "afp_utils/book/address.py"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
        for name in ("_config.yml", "CITATION.cff", "README.md"):
            shutil.copy(ROOT / name, root)
        (root / "chapters").mkdir()
        shutil.copy(ROOT / "chapters" / "index.md", root / "chapters")
        (root / "_toc.yml").write_text("root: chapters/small\n", encoding="utf-8")
        self.notebook = root / "chapters" / "small.ipynb"
        output = nbformat.v4.new_output("stream", text="0.10000000000000001\n")
        notebook = nbformat.v4.new_notebook(
            cells=[
                *notebooks.generated([notebooks.code_cell(address.cell(*address.stored()))], setup=True),
                nbformat.v4.new_code_cell('book, fault = "", ""', outputs=[output]),
            ]
        )
        nbformat.write(notebook, self.notebook)
        assert self.tool("none").returncode == 0

    def tool(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-S", "-m", "afp_utils.book.address", *arguments]
        environment = os.environ | {"PYTHONPATH": str(self.root)}
        return subprocess.run(
            command,
            cwd=self.root,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.root.rglob("*.*") if "__pycache__" not in path.parts}


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


def test_one_command_writes_it_everywhere_and_takes_it_away_again(book: Book) -> None:
    before = book.files()
    assert book.tool().stdout == "address: none yet\n"
    assert b"this copy of the book has none yet" in before["index.md"]
    assert b"This copy of the book has no public address yet" in before["README.md"]
    assert "repository-code" not in yaml.safe_load(before["CITATION.cff"])
    result = book.tool(f"{FORK}.git", "--branch", "published")
    assert result.stdout == f"address: 5 files written\naddress: {FORK}, branch published\n", result.stderr
    after = book.files()
    assert {name for name in after if after[name] != before[name]} == {
        "_config.yml", "CITATION.cff", "README.md", "index.md", "small.ipynb",
    }  # fmt: skip
    assert yaml.safe_load(after["_config.yml"])["repository"]["url"] == FORK
    assert yaml.safe_load(after["_config.yml"])["repository"]["branch"] == "published"
    assert yaml.safe_load(after["CITATION.cff"])["repository-code"] == FORK
    assert b"https://someone.github.io/else/" in after["README.md"]
    assert b"opens it in Binder" in after["README.md"]
    assert b"opens it in Binder" in after["index.md"]
    assert book.tool(FORK).stdout == f"address: 0 files written\naddress: {FORK}, branch published\n"
    assert book.tool("none").stdout == "address: 5 files written\naddress: none yet\n"
    assert book.files() == before


def test_the_set_up_cell_names_it_and_nothing_else_changes_in_a_notebook(book: Book) -> None:
    lines = book.notebook.read_text(encoding="utf-8").splitlines()
    assert book.tool(FORK, "--branch", "published").returncode == 0
    notebook = notebooks.read(book.notebook)
    assert f'\nbook, fault = "git+{FORK}@published", "' in notebook.cells[0].source
    assert notebooks.edited(notebook) == []
    changed = [
        line
        for line, old in zip(book.notebook.read_text(encoding="utf-8").splitlines(), lines, strict=True)
        if line != old
    ]
    assert len(changed) == 2, "the line of the cell, and the mark of what was written"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "URL must be the https address of a repository, https://host/owner/name, got 'nonsense'"),
        ([FORK, "--branch", "my branch"], "BRANCH must be the name of a branch, got 'my branch'"),
        ([FORK, "--branch", 'x"; y'], "BRANCH must be the name of a branch"),
        (["--branch", "mine"], "BRANCH needs a URL beside it, got 'mine' alone"),
    ],
)
def test_the_command_refuses_in_one_line_and_changes_nothing(book: Book, arguments: list[str], said: str) -> None:
    before, result = book.files(), book.tool(*arguments)
    assert result.returncode != 0
    assert result.stderr.startswith(f"address: {said}")
    assert result.stderr.count("\n") == 1
    assert book.files() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("OPENBLAS", "OPENBLAS2"),
        (r"fault = \"\"", r"fault = \"git+mine\""),
        ("import re\\n", "import re\\n\\n"),
        ("{", ""),
    ],
)
def test_a_notebook_in_which_somebody_has_written_is_named_and_nothing_changes(book: Book, old: str, new: str) -> None:
    text = book.notebook.read_text(encoding="utf-8")
    assert old in text
    book.notebook.write_text(text.replace(old, new, 1), encoding="utf-8")
    before, result = book.files(), book.tool(FORK)
    assert result.returncode != 0
    assert result.stderr.startswith("address: small.ipynb")
    assert book.files() == before


def test_no_words_are_lost_where_a_mark_is_not_closed(book: Book) -> None:
    page = book.root / "README.md"
    text = page.read_text(encoding="utf-8")
    at = text.index("<!--/-->", text.index("<!--=address-->"))
    page.write_text(text[:at] + text[at + len("<!--/-->") :], encoding="utf-8")
    before, result = book.files(), book.tool(FORK)
    assert result.stderr == "address: README.md: <!--=address--> must be closed by <!--/--> before the next mark\n"
    assert book.files() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_file_that_cannot_be_written_stops_all(book: Book) -> None:
    (book.root / "README.md").chmod(0o444)
    before, result = book.files(), book.tool(FORK)
    assert result.stderr.startswith("address: the files that name the address must be writable, got README.md")
    assert book.files() == before


def test_unclear_settings_are_refused(book: Book) -> None:
    settings = book.root / "_config.yml"
    settings.write_text(
        settings.read_text(encoding="utf-8").replace("  branch:", "  # here\n  branch:"), encoding="utf-8"
    )
    result = book.tool(FORK)
    assert result.returncode != 0
    assert result.stderr.startswith("address: _config.yml must say once")


# ---- the set-up cell ----


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with nothing in it, not even pip."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin" / "python"


NO_PROCESSES = """\
import errno, os, subprocess
class Popen(subprocess.Popen):
    def __init__(self, *args, **kwargs):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
subprocess.Popen = Popen
"""  # as in a browser
INSTALLED = "import pathlib; (pathlib.Path(__file__).parents[1] / 'afp_utils.py').touch()\n"
REFUSED = """\
import sys
sys.exit("WARNING: slow\\nERROR: Could not find a version\\nERROR: No matching distribution found for beartype\\n")
"""
NOWHERE = "git+https://localhost:1/someone/else@main"


@pytest.mark.parametrize(
    ("book", "files", "path", "said"),
    [
        ("", {}, "", "this copy of the book has no public address"),
        (NOWHERE, {}, "", "No module named pip"),
        (NOWHERE, {"sitecustomize.py": NO_PROCESSES}, "", "no program can be started here, [Errno 38] Function not"),
        (NOWHERE, {"pip/__main__.py": REFUSED}, "", "ERROR: No matching distribution found for beartype"),
        (NOWHERE, {"pip/__main__.py": "raise SystemExit(3)"}, "", "pip ended with 3"),
        (NOWHERE, {"pip/__main__.py": ""}, "", "pip ended with 0"),  # and has put it elsewhere
        (NOWHERE, {"pip": "real"}, "", "ERROR: Cannot find command 'git'"),
        pytest.param(
            NOWHERE, {"pip": "real"}, os.environ["PATH"], "fatal: unable to access 'https://localhost:1/someone/else/'",
            marks=pytest.mark.skipif(shutil.which("git") is None, reason="no git on this machine"),
        ),
    ],
)  # fmt: skip
def test_the_set_up_cell_says_in_one_sentence_why_the_package_is_missing(
    bare: Path, tmp_path: Path, book: str, files: dict[str, str], path: str, said: str
) -> None:
    result = run_set_up(bare, tmp_path, book, files, path)
    assert result.returncode != 0
    sentence = result.stderr.splitlines()[-1]
    assert sentence.startswith(f"SetUpError: The book's package is missing, since {said}")
    assert sentence.endswith("run this cell again, or work in the book's folder, set up by `make book`.")
    assert result.stdout == ("Installing the book's package, about a minute ...\n" if book else "")


def run_set_up(
    python: Path, folder: Path, book: str, files: dict[str, str], path: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the set-up cell where files (source by name; "real" for the true pip) are all that Python finds."""
    for name, source in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        if source == "real":
            pip = find_spec("pip")
            assert pip and pip.origin
            (folder / name).symlink_to(Path(pip.origin).parent)
        else:
            (folder / name).write_text(source, encoding="utf-8")
    code = (
        address.SETUP.replace('book, fault = ""', f'book, fault = "{book}"') + '\nprint(os.environ["MKL_NUM_THREADS"])'
    )
    environment = {"PATH": path, "PYTHONPATH": str(folder), "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run(
        [python, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )


def test_the_set_up_cell_installs_what_is_missing(bare: Path, tmp_path: Path) -> None:
    result = run_set_up(bare, tmp_path, NOWHERE, {"pip/__main__.py": INSTALLED})
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "Installing the book's package, about a minute ...\n1\n"


def test_the_set_up_cell_is_quiet_where_all_is_there(bare: Path, tmp_path: Path) -> None:
    result = run_set_up(bare, tmp_path, NOWHERE, {"afp_utils.py": "", "sitecustomize.py": NO_PROCESSES})
    assert (result.returncode, result.stdout, result.stderr) == (0, "1\n", "")


def test_a_notebook_shows_the_sentence_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = InteractiveShell().run_cell(address.SETUP)
    assert not result.success, "so that the cells after it do not run"
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("The book's package is missing, since this copy of the book has no public address: ")

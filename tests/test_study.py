"""`make study`: copies of the chapters to work in, none of which is touched once a reader has changed it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from afp_utils.book import ledger
from tools import study

ROOT = Path(__file__).parents[1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {
        "_toc.yml": "root: chapters/index\nchapters:\n  - file: chapters/one\n  - file: chapters/two\n",
        "chapters/index.md": "# Index",
        "chapters/one.ipynb": "{}",
        "chapters/two.ipynb": "{ }",
        "chapters/mine.ipynb": "a reader's, not of the book",
        "chapters/api/core.md": "# Core",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_copies_are_made_once_brought_up_to_date_and_left_alone_once_changed(root: Path) -> None:
    copy = root / "study" / "one.ipynb"
    assert study.study(root) == ["4 of 4 files copied; open them with .venv/bin/jupyter lab study"]
    assert sorted(path.name for path in (root / "study").rglob("*.*")) == [
        study.RECORD, "core.md", "index.md", "one.ipynb", "two.ipynb"
    ]  # fmt: skip
    assert study.study(root)[0].startswith("0 of 4 files copied")
    (root / "chapters" / "one.ipynb").write_text("newer", encoding="utf-8")
    assert study.study(root)[0].startswith("1 of 4 files copied")
    assert copy.read_text(encoding="utf-8") == "newer"
    copy.write_text("my answer", encoding="utf-8")
    kept = "study/one.ipynb is yours and was left as it is"
    assert study.study(root)[0] == f"{kept}; rename it to get a new copy"
    (root / "chapters" / "one.ipynb").write_text("newest", encoding="utf-8")
    for _ in range(2):
        assert study.study(root)[0] == f"{kept}, and chapters/one.ipynb has changed since; rename it to get a new copy"
    assert copy.read_text(encoding="utf-8") == "my answer"
    copy.rename(copy.with_name("mine.ipynb"))
    assert study.study(root)[0].startswith("1 of 4 files copied")
    assert copy.with_name("mine.ipynb").read_text(encoding="utf-8") == "my answer"


def test_a_file_that_was_there_before_is_its_owners(root: Path) -> None:
    (root / "study").mkdir()
    (root / "study" / "two.ipynb").write_text("older than all records", encoding="utf-8")
    assert study.study(root)[0].startswith("study/two.ipynb is yours and was left as it is, and")
    assert (root / "study" / "two.ipynb").read_text(encoding="utf-8") == "older than all records"


def test_links_of_the_chapters_lead_to_copies() -> None:
    """In `study/`, what a chapter points at is there, or is there as seen from a folder beside the chapters."""
    copied = {path.name for path in ledger.notebooks(ROOT / "chapters")}
    copied |= {path.relative_to(ROOT / "chapters").as_posix() for path in (ROOT / "chapters").rglob("*.md")}
    for notebook in ledger.notebooks(ROOT / "chapters"):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        for link in re.findall(r"\]\(([\w./-]+\.(?:ipynb|md))", text):
            assert link in copied, f"{notebook.name} links to {link}"


def test_the_ledger_among_copies_reads_the_stored_chapters(tmp_path: Path) -> None:
    (tmp_path / "_toc.yml").write_text((ROOT / "_toc.yml").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "chapters").symlink_to(ROOT / "chapters")
    study.study(tmp_path)
    (tmp_path / "study" / "one-language.ipynb").write_text("half a notebook", encoding="utf-8")
    assert ledger.faults(tmp_path / "study") == []
    command = [sys.executable, "-c", "from afp_utils.book import ledger; ledger.check()"]
    done = subprocess.run(command, cwd=tmp_path / "study", capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_copy_that_an_editor_saved_unchanged_is_no_readers(root: Path) -> None:
    cell = {"cell_type": "code", "source": ["1.0"], "outputs": [{"data": {"x": 0.0}}], "metadata": {}, "id": "a"}
    chapter, copy = root / "chapters" / "one.ipynb", root / "study" / "one.ipynb"
    chapter.write_text(json.dumps({"cells": [cell], "metadata": {}}, indent=1), encoding="utf-8")
    study.study(root)
    saved = cell | {"source": "1.0", "outputs": [{"data": {"x": 0}}], "metadata": {"trusted": True}}
    copy.write_text(json.dumps({"metadata": {"kernel": 1}, "cells": [saved]}), encoding="utf-8")
    assert study.study(root)[0].startswith("0 of 4 files copied")
    chapter.write_text(json.dumps({"cells": [cell, cell]}), encoding="utf-8")
    assert study.study(root)[0].startswith("1 of 4 files copied")
    copy.write_text(json.dumps({"cells": [cell, cell | {"source": "mine"}]}), encoding="utf-8")
    assert study.study(root)[0].startswith("study/one.ipynb is yours")

"""The model of reading time, on a chapter small enough to count by hand."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from afp_utils.book import minutes


@pytest.fixture
def chapter() -> nbformat.NotebookNode:
    words = "word " * 299
    cells = [
        new_markdown_cell("# Small\n\nfour words and $a formula$"),
        new_code_cell("\n".join(["x"] * 10)),
        new_markdown_cell(
            f"## One\n\n{words}$x$ <details><summary>no</summary>\n\nfolded\n\n</details>\n\n$$\na\n$$ (eq-a)"
        ),
        new_code_cell("x", metadata={"tags": ["hide-input"]}),
        new_markdown_cell("## Exercises"),
        new_markdown_cell(
            "### Exercise 1: Half\n\n*About 10 minutes.* A task.", metadata={"afp": {"exercise": "half"}}
        ),
        new_code_cell("...", metadata={"afp": {"exercise": "half"}}),
        new_markdown_cell("## For the sceptic\n\n" + "word " * 150),
        new_markdown_cell("## The claims\n\nA list."),
    ]
    return new_notebook(cells=cells)


def test_sections_with_their_minutes(chapter: nbformat.NotebookNode) -> None:
    found = minutes.sections(chapter)
    assert [(one.title, one.part) for one in found] == [
        ("Small", "core"),
        ("One", "core"),
        ("Exercises", "Exercises"),
        ("For the sceptic", "For the sceptic"),
        ("The claims", "The claims"),
    ]
    assert found[0].minutes == pytest.approx(5 / 150 + 10 / 20)
    assert found[1].minutes == pytest.approx(301 / 150 + 1)
    assert found[2].minutes == 10
    assert minutes.total(found, "core") == pytest.approx(found[0].minutes + found[1].minutes)
    assert [minutes.total(found, part) for part in ("Exercises", "For the sceptic")] == pytest.approx([10, 1])


@pytest.mark.parametrize("part", ["$$\nb\n$$", "\n\\begin{aligned}\nb\n\\end{aligned}"])
def test_a_displayed_equation_takes_a_minute(chapter: nbformat.NotebookNode, part: str) -> None:
    before = minutes.sections(chapter)[0].minutes
    chapter.cells[0].source += f"\n\n{part}"
    assert minutes.sections(chapter)[0].minutes == pytest.approx(before + 1)

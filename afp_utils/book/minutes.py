"""How long a chapter takes to read, section by section, so that a lecture of ninety minutes has ninety.

The model: `WORDS` words a minute, `EQUATION` minutes a displayed equation, `LINES` lines of shown code a minute, and the
minutes that each exercise asks for. Folded text and folded code are not read.

    python -m afp_utils.book.minutes chapters/CHAPTER.ipynb ...   print the sections with their minutes
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import nbformat
from nbformat import NotebookNode

WORDS, EQUATION, LINES = 150, 1.0, 20
CORE, LECTURE = 60, 90
"""A core of so many minutes at most, which with the exercises for the lecture is one of ninety."""
PARTS = {"core": "core", "exercises": "Exercises", "sceptic": "For the sceptic", "claims": "The claims"}
"""The parts of a chapter. Each but the core begins with the section of its title; what comes before them is the core."""
FOLD = re.compile(r"<details.*?</details>", re.DOTALL)
DISPLAYED = re.compile(r"\$\$.*?\$\$|^\\begin\{(\w+\*?)\}.*?\\end\{\1\}", re.DOTALL | re.MULTILINE)
UNSEEN = re.compile(r"^#+ |<!--.*?-->|<[^>]+>|\]\([^)]*\)|\$[^$]+\$", re.DOTALL | re.MULTILINE)
HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}


@dataclass(frozen=True)
class Section:
    """A section of level two: its title, the part it belongs to ("core" or one of the others), words and minutes."""

    title: str
    part: str
    words: int
    minutes: float


def _reading(text: str) -> tuple[int, float]:
    """Words and minutes of a piece of Markdown; a formula in a line counts as one word."""
    text = FOLD.sub("", text)
    equations = len(DISPLAYED.findall(text))
    words = len(UNSEEN.sub(lambda found: " x " if found[0][0] == "$" else " ", DISPLAYED.sub("", text)).split())
    return words, words / WORDS + equations * EQUATION


def _cells(notebook: NotebookNode) -> Iterator[tuple[str, int, float]]:
    """For each cell the title that it opens, if it does, its words and minutes."""
    for cell in notebook.cells:
        tags, exercise = cell.metadata.get("tags", []), "exercise" in cell.metadata.get("afp", {})
        if cell.cell_type == "code":
            hidden = HIDDEN.intersection(tags) or exercise
            yield "", 0, 0.0 if hidden else len(cell.source.splitlines()) / LINES
            continue
        parts = re.split(r"^## +(.*)$", cell.source, flags=re.MULTILINE)
        for title, text in zip(["", *parts[1::2]], parts[::2]):
            asked = re.search(r"\*About (\d+) minutes\.\*", text) if exercise else None
            words, minutes = _reading(text)
            yield title, words, float(asked[1]) if asked else 0.0 if exercise else minutes


def sections(notebook: NotebookNode) -> list[Section]:
    """The sections of a chapter; what stands before the first is the section with the chapter's title."""
    head = re.match(r"# +(.*)", notebook.cells[0].source)
    found, part = [Section(head[1] if head else "", "core", 0, 0.0)], "core"
    for title, words, minutes in _cells(notebook):
        if title:
            part = title if title in PARTS.values() else part
            found.append(Section(title, part, 0, 0.0))
        last = found[-1]
        found[-1] = Section(last.title, last.part, last.words + words, last.minutes + minutes)
    return found


def total(found: list[Section], part: str) -> float:
    """Minutes of a part, by its title."""
    return sum(section.minutes for section in found if section.part == part)


def main() -> None:
    for file in sys.argv[1:]:
        read = sections(nbformat.read(file, 4))
        for section in read:
            print(f"{section.minutes:6.1f} min {section.words:6} words  {section.part:16} {section.title}")
        print(", ".join(f"{part} {total(read, part):.0f} min" for part in PARTS.values()), "\n")


if __name__ == "__main__":
    main()

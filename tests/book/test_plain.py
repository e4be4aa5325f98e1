"""Prose that every reader of notebooks shows: how short forms are filled in, and all chapters read as plain Markdown."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin

from afp_utils.book import claims, notebooks, plain, run
from afp_utils.book.notebooks import CHAPTERS

OWN = {"eq-half": "2.1", "eq-third": "2.2", "fig-half": "2.1", "thm-half": "2.1"}
OTHERS = {"eq-far": ("far.ipynb", "1.7")}
JACOT = "https://arxiv.org/abs/1806.07572"

SHORT = """\
As @jacot2018neural say, and others [@jacot2018neural;
@chizat2019lazy], [](#eq-half) is the third [](#fig-half) of [](#thm-half), and [](#eq-far).

<a id="eq-half"></a>

$$
\\begin{aligned}
x&=1\\\\
y&=2
\\end{aligned}
$$

- An item:

  <a id="eq-third"></a>

  $$x=3,$$

> <a id="thm-half"></a>**Theorem (Half).**
> It is half.
"""
FILLED = f"""\
As [Jacot et al. (2018)]({JACOT}) say, and others ([Jacot et al., 2018]({JACOT}); [Chizat et al., 2019](https://arxiv.org/abs/1812.07956)), [(2.1)](#eq-half) is the third [Figure 2.1](#fig-half) of [Theorem 2.1](#thm-half), and [(1.7)](far.ipynb#eq-far).

<a id="eq-half"></a>

$$
\\begin{{aligned}}
x&=1\\\\
y&=2
\\end{{aligned}}
\\tag{{2.1}}
$$

- An item:

  <a id="eq-third"></a>

  $$x=3,\\tag{{2.2}}$$

> <a id="thm-half"></a>**Theorem 2.1 (Half).**
> It is half.
"""
ENRICHED = """\
As {cite:t}`jacot2018neural` say, and others {cite:p}`jacot2018neural,chizat2019lazy`, {eq}`eq-half` is the third {numref}`fig-half` of [Theorem 2.1](#thm-half), and {eq}`eq-far`.

$$
\\begin{aligned}
x&=1\\\\
y&=2
\\end{aligned}
$$ (eq-half)

- An item:

  $$x=3,$$ (eq-third)

(thm-half)=
> **Theorem 2.1 (Half).**
> It is half.
"""
FIGURE = """\
<a id="fig-half"></a>**Figure.** A half, see [](#eq-half).

<details><summary>The picture in words</summary>

One of
two.

</details>"""


def test_short_forms_are_filled_in_again_and_again() -> None:
    assert plain.filled(SHORT, OWN, OTHERS) == FILLED
    assert plain.filled(FILLED, OWN, OTHERS) == FILLED
    other = {label: f"3.{place}" for place, label in enumerate(OWN, 1)}
    assert plain.filled(plain.filled(SHORT, other, OTHERS), OWN, OTHERS) == FILLED


def test_a_draft_has_the_short_forms() -> None:
    assert plain.short(FILLED) == SHORT.replace(";\n", "; ")
    assert plain.short(SHORT) == SHORT


@pytest.mark.parametrize("words", ["[that one](#eq-half)", "[A (1999)](https://example.org)"])
def test_a_draft_keeps_the_words_that_are_refused(words: str) -> None:
    assert plain.short(words) == words


def test_the_site_gets_labels_and_references() -> None:
    assert plain.enriched(FILLED).replace("\n\n\n", "\n\n") == ENRICHED


def test_the_site_gets_terms_of_the_glossary() -> None:
    known = plain.terms("# G\n\n```{glossary}\nGram matrix\n  Of rows.\n\nsingle-index model\n  One.\n```\n\nAfter.\n")
    assert known == {"Gram-matrix": "Gram matrix", "single-index-model": "single-index model"}
    source = "A [Gram\nmatrix](glossary.md#term-Gram-matrix) and [one](glossary.md#term-lost) [page](glossary.md)."
    assert plain.filled(source, {}, {}) == plain.short(source) == source
    seen = "A {term}`Gram\nmatrix <Gram matrix>` and {term}`one <lost>` [page](glossary.md)."  # the build names the lost one
    assert plain.enriched(source, known) == seen


def test_the_site_gets_captions_and_alternative_texts() -> None:
    caption = plain.filled(FIGURE, OWN, OTHERS)
    assert caption.startswith('<a id="fig-half"></a>**Figure 2.1.** A half, see [(2.1)](#eq-half).')
    code = {"cell_type": "code", "metadata": {"mystnb": {"image": {"width": "520px"}}}, "source": "plot()"}
    code["outputs"] = [{"data": {"image/png": "..."}}]
    notebook: dict[str, Any] = {"cells": [code, {"cell_type": "markdown", "source": caption.splitlines(keepends=True)}]}
    plain.for_site(notebook)
    (cell,) = notebook["cells"]
    figure = {"name": "fig-half", "caption": "A half, see {eq}`eq-half`."}
    with pytest.raises(ValueError, match="a caption must stand below the cell of a picture, got fig-half"):
        plain.for_site({"cells": [{"cell_type": "markdown", "source": caption}]})
    shown = cell["metadata"]["mystnb"]
    assert shown["image"] == {"width": "520px", "alt": "One of two."} and shown["figure"] == figure
    assert shown["code_prompt_show"] == "Show the figure's code"


@pytest.mark.parametrize(
    ("marks", "bar"),
    [
        ({"setup": True}, "the set-up"),
        ({"exercise": "half", "part": "4 of 4"}, "the solution's code"),
        ({"calls": []}, "the check"),
        ({}, "the code"),
    ],
)
def test_the_bar_of_a_folded_cell_says_what_is_under_it(marks: dict[str, object], bar: str) -> None:
    cell = {"cell_type": "code", "metadata": {"afp": marks}, "source": "1", "outputs": [{"data": {"text/plain": "1"}}]}
    notebook: dict[str, Any] = {"cells": [cell]}
    plain.for_site(notebook)
    shown = notebook["cells"][0]["metadata"]["mystnb"]
    assert shown == {"code_prompt_show": f"Show {bar}", "code_prompt_hide": f"Hide {bar}"}


def test_the_site_has_the_first_picture_below_the_question() -> None:
    first = {"cell_type": "markdown", "metadata": {}, "source": f"# Why?\n\n**Why?**\n\n{plain.PROMISES}\n\n- that."}
    setup: dict[str, Any] = {"cell_type": "code", "metadata": {"afp": {"setup": True}}, "source": "import this"}
    picture = {"cell_type": "code", "metadata": {"mystnb": {"figure": {"name": "fig-a"}}}, "source": "plot()"}
    section = {"cell_type": "markdown", "metadata": {}, "source": "## One"}
    shown = plain.picture_first([first, setup, picture, section])
    assert [cell["source"] for cell in shown] == [
        "# Why?\n\n**Why?**", "plot()", f"{plain.PROMISES}\n\n- that.", "import this", "## One"
    ]  # fmt: skip
    for cells in ([first, setup, section, picture], [section, setup, picture], []):
        assert plain.picture_first(cells) == cells


def test_labels_are_numbered_by_kind_and_stand_once() -> None:
    assert plain.numbers([FIGURE, SHORT]) == {"eq-half": 1, "eq-third": 2, "fig-half": 1, "thm-half": 1}
    with pytest.raises(ValueError, match="a label must stand once in a chapter, got eq-half again"):
        plain.numbers([SHORT, SHORT])


def test_a_citation_is_found_by_its_address_or_by_its_name() -> None:
    now = f"[Jacot et al. (2018)]({JACOT})"
    assert plain.filled(f"[Jacott et al. (2017)]({JACOT})", {}, {}) == now
    assert plain.filled("[Jacot\net al. (2018)](https://old.example)", {}, {}) == now
    assert plain.filled(f"[Jacot et al., 2018]({JACOT})", {}, {}) == f"[Jacot et al., 2018]({JACOT})"
    assert plain.filled(f"[their paper]({JACOT})", {}, {}) == f"[their paper]({JACOT})"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("@nobody1999nothing", "a citation must name a work of references.bib, got nobody1999nothing"),
        ("[@jacot18]", "must be plain Markdown, that every reader of notebooks shows, got @jacot18"),
        (
            "[A (1999)](https://example.org)",
            "must lead to a work of references.bib, got '[A (1999)](https://example.org)'",
        ),
        (f"[Chizat et al. (2019)]({JACOT})", "must lead to the work that it names, got '[Chizat et al. (2019)]"),
        ("[](#eq-nowhere)", "must lead to an equation, a figure or a theorem of the book, got eq-nowhere"),
        ("[that one](#eq-half)", "must have as text its number, which is filled in, got 'that one'"),
        ('<a id="eq-half"></a>\n\nNo equation.', "a label must stand above $$ or in > before **Theorem (Name).**, got"),
        ('> <a id="thm-half"></a>**Lemma.**', "a label must stand above $$ or in > before **Theorem (Name).**, got"),
        (FIGURE + "\n\nMore.", "the cell below a picture must hold nothing but **Figure.** with its caption"),
        ("See {eq}`eq-half`.", "must be plain Markdown, that every reader of notebooks shows, got {eq}`eq-half`"),
        ("$$x=1$$ (eq-half)", "must be plain Markdown"),
        (":::{prf:proof}\nYes.\n:::", "must be plain Markdown"),
        ("```{note}\nYes.\n```", "must be plain Markdown"),
        ("(eq-half)=\n$$x$$", "must be plain Markdown"),
        ("\\begin{align}x\\end{align}", "must be plain Markdown"),
        ("[](far.ipynb)", "must be plain Markdown"),
        ("> It is $a\n> +b$.", "mathematics in a quotation must stand in one line, got '$a\\n> +b$'"),
    ],
)
def test_what_not_every_reader_shows_is_refused_in_one_line(source: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        plain.filled(source, OWN, OTHERS)
    assert "\n" not in str(error.value)


def test_works_have_addresses_of_their_own() -> None:
    """A citation is found again by its address."""
    addresses = [address for _, _, address in claims.works().values()]
    assert len(set(addresses)) == len(addresses)
    assert all(re.match(r"https://|\.\./afp_utils/book/references\.bib#\w+$", address) for address in addresses)


# ---- the chapters, as a reader without MyST shows them ----

COMMON = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, allow_labels=False, double_inline=False)
KNOWN_HTML = re.compile(
    r'<a id="[\w-]+">|</a>|<!--=[\w:/-]+-->|<!--/-->|</?details>|<summary>[\w ]+</summary>|'
    r'<span class="afp-verdict [\w-]+">|</span>|<a href="#claim-[\w-]+">'
)
SHOWN_MARKS = re.compile(r"\$|\{[\w:+.-]+\}$|:::|```|\[@|@\w+\d{4}|\]\(|\\begin|\\tag|\[\]|\(eq-")


def tokens(source: str) -> Iterator[Token]:
    for token in COMMON.parse(source):
        yield from [token, *(token.children or [])]


def prose(name: str) -> list[str]:
    return [cell.source for cell in notebooks.read(CHAPTERS / f"{name}.ipynb").cells if cell.cell_type == "markdown"]


ANCHORS = {name: {label for label, _ in plain.ANCHOR.findall("\n".join(prose(name)))} for name in notebooks.names()}


@pytest.mark.parametrize("name", ANCHORS)
def test_a_chapter_is_plain_markdown(name: str) -> None:
    for source in prose(name):
        for token in tokens(source):
            place = f"{name}: {source[:60]!r}"
            if token.type in ("text", "code_block"):
                assert not SHOWN_MARKS.search(token.content), f"{place}: {token.content}"
            elif token.type in ("html_inline", "html_block"):
                assert KNOWN_HTML.sub("", token.content).strip() == "", f"{place}: {token.content}"
            elif token.type == "math_block":
                before = token.content.partition(r"\tag{")[0]
                assert before.count(r"\begin{") == before.count(r"\end{"), f"{place}: {token.content}"
            assert token.type not in ("fence", "math_block_label"), f"{place}: {token.content}"


@pytest.mark.parametrize("name", ANCHORS)
def test_links_of_a_chapter_lead_somewhere_without_the_site(name: str) -> None:
    found = 0
    for link in (
        str(token.attrs["href"]) for source in prose(name) for token in tokens(source) if "href" in token.attrs
    ):
        file, _, anchor = link.partition("#")
        if not re.match(r"https://", link):
            target = CHAPTERS / (file or f"{name}.ipynb")
            assert target.exists(), link
            if target.suffix == ".ipynb":
                assert not anchor or anchor in ANCHORS[target.stem], link
            elif target.name == "glossary.md":
                assert anchor.removeprefix("term-") in plain.terms(target.read_text(encoding="utf-8")), link
            else:
                assert anchor in Path(target).read_text(encoding="utf-8"), link
        found += 1
    assert found > 1 or name == notebooks.LEDGER


@pytest.mark.parametrize("name", ANCHORS)
def test_a_draft_has_no_numbers_and_makes_the_same_chapter(name: str) -> None:
    notebook = notebooks.read(CHAPTERS / f"{name}.ipynb")
    draft = run.as_text(notebook)
    assert not re.search(r"\\tag|(\*\*|\[)(Theorem|Figure) \d|\[\([\d.]+\)\]", draft)
    taken = jupytext.reads(draft, fmt="py:percent")
    notebooks.fill(taken, name)
    assert [cell.source.rstrip() for cell in taken.cells] == [cell.source.rstrip() for cell in notebook.cells]


def test_a_chapter_asks_what_stands_in_bold_below_its_title() -> None:
    assert plain.question("# T\n\n**One fact. What\nof *it*?** More. **No?**") == "One fact. What of it?"
    assert plain.question("# T\n\n*What came of it?* More.") == "What came of it?"
    for none in ("# T\n\nWords. **What?**", "# T\n\n**A statement.**", "# T", ""):
        assert plain.question(none) == ""


def test_theorems_are_listed_by_chapter_with_their_names() -> None:
    cells = [
        "# T",
        '> <a id="thm-half"></a>**Theorem 2.1 (Half of it).**\n> It is.',
        "> **Theorem 9.9 (Of others).** No.",
    ]
    listed = plain.theorems([("chapters/a", cells), ("chapters/b", ["# B"])])
    assert listed.split("\n\n")[1:] == ["**[](/chapters/a)**", "- [Theorem 2.1](#thm-half): Half of it\n"]

r"""Prose that reads wherever a notebook is opened: citations, numbered equations, figures and theorems, links to them.

Authors write a short form, also in drafts; the runner fills it in, as Markdown that every reader shows; the site makes of that
what Sphinx numbers and checks:

    written                                    stored                                         on the site
    @saxe2014exact                             [Saxe et al. (2014)](https://...)              the entry in the references
    [@a2014b; @c2019d]                         ([A, 2014](https://...); [C, 2019](...))       the same, in parentheses
    <a id="eq-x"></a>, and below $$...$$       $$...\tag{2.3}$$                               a labelled equation
    <a id="fig-x"></a>**Figure.** Caption.     <a id="fig-x"></a>**Figure 2.3.** Caption.     the caption of the picture above
    > <a id="thm-x"></a>**Theorem (Name).**    > <a id="thm-x"></a>**Theorem 2.3 (Name).**    a quotation with a target
    [](#eq-x), [](#fig-x), [](#thm-x)          [(2.3)](#eq-x), [Figure 2.3](#fig-x)           a reference
    [words](glossary.md#term-two-tails)        the same                                       the term of the glossary

What is filled in is made anew whenever a chapter is stored. Errors are `ValueError`s of one line.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from afp_utils.book.claims import KEY, works

ANCHOR = re.compile(r'<a id="((eq|fig|thm)-[\w-]+)"></a>')
EQUATION = re.compile(
    r'(?P<head><a id="(?P<label>eq-[\w-]+)"></a>[\s>]*)\$\$(?P<body>.*?)(?:\s*\\tag\{[\d.]*\})?(?P<end>\s*)\$\$',
    re.DOTALL,
)
HEAD = re.compile(r'(<a id="((?:fig|thm)-[\w-]+)"></a>\*\*(?:Figure|Theorem))(?: [\d.]*\d)?')
LINK = re.compile(r"\[(?P<text>[^\[\]]*)\]\((?:[\w-]+\.ipynb)?#(?P<label>(?P<kind>eq|fig|thm)-[\w-]+)\)")
TERM = re.compile(r"\[(?P<text>[^\[\]]+)\]\(glossary\.md#term-(?P<term>[\w-]+)\)")
TEXTS = {"eq": "({})", "fig": "Figure {}", "thm": "Theorem {}"}
NUMBER = re.compile(r"(?:\([\d.]+\)|(?:Figure|Theorem)\s[\d.]+)?")
FIGURE = re.compile(
    r'<a id="(fig-[\w-]+)"></a>\*\*Figure(?: [\d.]*\d)?\.\*\* (.+?)'
    r"\n\n<details><summary>The picture in words</summary>\n\n(.+?)\n\n</details>",
    re.DOTALL,
)
"""The cell below a picture: its label, its caption, and what those read who do not see it."""

SHORT = re.compile(rf"(?<![\w@/.-])@({KEY.pattern})")
SHORTS = re.compile(rf"\[(@{KEY.pattern}(?:;\s*@{KEY.pattern})*)\]")
CITED = re.compile(r"\[(?P<who>[^\[\]]+?)(?:\s\((?P<year>\d{4}[a-z]?)\)|,\s(?P<when>\d{4}[a-z]?))\]\((?P<to>[^\s)]+)\)")
ASIDE = r"\[[^\[\]]+?,\s\d{4}[a-z]?\]\([^\s)]+\)"
ASIDES = re.compile(rf"\({ASIDE}(?:;\s{ASIDE})*\)")

THEOREM = re.compile(r'^> <a id="thm-[\w-]+"></a>\*\*Theorem [\d.]+ \(.+\)\.\*\*', re.MULTILINE)
NAMED = re.compile(r'^> <a id="(thm-[\w-]+)"></a>\*\*(Theorem [\d.]+) \((.+?)\)\.\*\*', re.MULTILINE)
FORMS = {
    "fig": "the cell below a picture must hold nothing but **Figure.** with its caption, and <details> with it in words",
    "eq": "a label must stand above $$ or in > before **Theorem (Name).**",
}
VEGALITE = "application/vnd.vegalite.v5+json"
"""The form of a living figure that JupyterLab 4 draws, and the site."""
PROMISES = "After this chapter you can say"
MATH = re.compile(r"\$\$.*?\$\$|\$[^$]+\$", re.DOTALL)
MYST = re.compile(
    r"\{[\w:+.-]+\}`[^`]*`|^[ >]*(?:```+|:::+)[ ]*\{.*|^\([\w-]+\)=|\$\$[ ]*\([\w-]+\)|(?<![\w`@/.-])@\w+|\[\]\([^)]*\)|\\begin\{.*",
    re.MULTILINE,
)


def numbers(sources: Iterable[str]) -> dict[str, int]:
    """The place of each equation, figure and theorem of a chapter among its kind, by its label."""
    found, counts = dict[str, int](), Counter[str]()
    for label, kind in ANCHOR.findall("\n".join(sources)):
        if label in found:
            raise ValueError(f"a label must stand once in a chapter, got {label} again")
        counts[kind] += 1
        found[label] = counts[kind]
    return found


def linked(source: str) -> set[str]:
    """The labels that prose links to."""
    return {link["label"] for link in LINK.finditer(source)}


def filled(source: str, own: Mapping[str, str], others: Mapping[str, tuple[str, str]]) -> str:
    """Prose as it is stored, from the short forms or from what was stored before.

    `own` are the numbers of the chapter by label, `others` file and number of what stands elsewhere in the book. Raises
    `ValueError` for an unknown label or work, and for what not every reader shows.
    """

    def link(found: re.Match[str]) -> str:
        label, text = found["label"], TEXTS[found["kind"]]
        file, number = ("", own[label]) if label in own else others.get(label, ("", ""))
        if not number:
            raise ValueError(f"a link must lead to an equation, a figure or a theorem of the book, got {label}")
        if not NUMBER.fullmatch(found["text"]):
            raise ValueError(
                f"a link to {label} must have as text its number, which is filled in, got {found['text']!r}"
            )
        return f"[{text.format(number)}]({file}#{label})"

    def equation(found: re.Match[str]) -> str:
        line = "\n" if "\n" in found["end"] else ""
        return f"{found['head']}$${found['body']}{line}\\tag{{{own[found['label']]}}}{found['end']}$$"

    source = EQUATION.sub(equation, source)
    source = HEAD.sub(lambda found: f"{found[1]} {own[found[2]]}", source)
    source = LINK.sub(link, source)
    source = SHORTS.sub(lambda found: f"({'; '.join(_cite(key, aside=True) for key in KEY.findall(found[1]))})", source)
    source = SHORT.sub(lambda found: _cite(found[1]), source)
    source = CITED.sub(lambda found: _cite(_key(found), aside=bool(found["when"])), source)
    figure = '<a id="fig-' in source
    if ANCHOR.search(THEOREM.sub("", EQUATION.sub("", "" if figure and FIGURE.fullmatch(source.strip()) else source))):
        raise ValueError(f"{FORMS['fig' if figure else 'eq']}, got {ANCHOR.findall(source)[0][0]}")
    if left := MYST.search(MATH.sub(lambda math: "$$" * math[0].startswith("$$"), source)):
        raise ValueError(f"prose must be plain Markdown, that every reader of notebooks shows, got {left[0]}")
    if broken := [math[0] for math in MATH.finditer(source) if "\n>" in math[0]]:
        raise ValueError(f"mathematics in a quotation must stand in one line, got {broken[0]!r}")
    return source


def _cite(key: str, aside: bool = False) -> str:
    """The link to a work, in a sentence or, aside, in parentheses."""
    if key not in works():
        raise ValueError(f"a citation must name a work of references.bib, got {key}")
    who, year, address = works()[key]
    return f"[{who}, {year}]({address})" if aside else f"[{who} ({year})]({address})"


def _key(found: re.Match[str]) -> str:
    """The work that a stored link leads to: by its address, or, if that has changed, by its name."""
    name = (" ".join(found["who"].split()), found["year"] or found["when"])
    named = next((key for key, work in works().items() if work[:2] == name), "")
    key = next((key for key, work in works().items() if work[2] == found["to"]), named)
    if not key:
        raise ValueError(f"a link that ends in a year must lead to a work of references.bib, got {found[0]!r}")
    if named and works()[named][0] != works()[key][0]:
        raise ValueError(f"a citation must lead to the work that it names, got {found[0]!r}, the address of {key}")
    return key


def short(source: str) -> str:
    """Prose as its author writes it, without what is filled in; what `filled` would refuse stays."""
    source = EQUATION.sub(lambda found: f"{found['head']}$${found['body']}{found['end']}$$", source)
    source = HEAD.sub(r"\1", source)
    source = LINK.sub(lambda link: f"[](#{link['label']})" if NUMBER.fullmatch(link["text"]) else link[0], source)
    with suppress(ValueError):
        return _cited(source, lambda keys: f"[{'; '.join(f'@{key}' for key in keys)}]", lambda key: f"@{key}")
    return source


def _cited(source: str, aside: Callable[[list[str]], str], sentence: Callable[[str], str]) -> str:
    """Prose with another form for the links to works: of the keys in parentheses, and of a key in a sentence."""
    source = ASIDES.sub(lambda group: aside([_key(found) for found in CITED.finditer(group[0])]), source)
    return CITED.sub(lambda found: found[0] if found["when"] else sentence(_key(found)), source)


def terms(glossary: str) -> dict[str, str]:
    """The terms of the glossary's page by the names that links have for them: hyphens for spaces."""
    entries = re.findall(r"^```\{glossary\}\n(.*?)^```", glossary, re.MULTILINE | re.DOTALL)
    return {term.replace(" ", "-"): term for term in re.findall(r"^\S.*$", "\n".join(entries), re.MULTILINE)}


def enriched(source: str, terms: Mapping[str, str] = MappingProxyType({})) -> str:
    """Stored prose as the site's MyST: labels, references, terms and citations, which the build checks."""
    source = EQUATION.sub(lambda found: f"$${found['body']}{found['end']}$$ ({found['label']})", source)
    source = re.sub(r'^> <a id="(thm-[\w-]+)"></a>', r"(\1)=\n> ", source, flags=re.MULTILINE)
    roles = {"eq": "{{eq}}`{}`", "fig": "{{numref}}`{}`", "thm": "[{1}](#{0})"}
    source = LINK.sub(lambda found: roles[found["kind"]].format(found["label"], found["text"]), source)
    source = TERM.sub(lambda found: f"{{term}}`{found['text']} <{terms.get(found['term'], found['term'])}>`", source)
    return _cited(source, lambda keys: f"{{cite:p}}`{','.join(keys)}`", lambda key: f"{{cite:t}}`{key}`")


def theorems(chapters: Iterable[tuple[str, Iterable[str]]]) -> str:
    """A list of the theorems of chapters, given with their cells of prose: number and name, as MyST that links to them."""
    text = ""
    for name, cells in chapters:
        found = [theorem for cell in cells for theorem in NAMED.findall(cell)]
        if found:
            text += f"\n\n**[](/{name})**\n\n"
            text += "\n".join(f"- [{number}](#{label}): {title}" for label, number, title in found)
    return text + "\n"


def question(source: str) -> str:
    """What a chapter asks: the sentences in bold below its title; of a page without them nothing.

    >>> question("# Title\\n\\n**One fact. A\\nquestion?** More.")
    'One fact. A question?'
    """
    found = re.match(r"# [^\n]+\n\n(\*{1,2})(.+?)\1", source, re.DOTALL)
    return " ".join(found[2].replace("*", "").split()) if found and "?" in found[2] else ""


def picture_first(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells with the picture of the first screen between a chapter's question and its promises.

    A notebook has to run its set-up before it draws; a page has not.
    """
    text = "".join(cells[0]["source"]) if cells else ""
    question, promises, rest = text.partition(f"\n\n{PROMISES}")
    for place, cell in enumerate(cells if promises else ()):
        if place and cell["cell_type"] == "markdown":
            break  # the first section
        if "figure" in cell["metadata"].get("mystnb", {}):
            parts = [cells[0] | {"source": question}, cell, cells[0] | {"source": PROMISES + rest, "id": "promises"}]
            return [*parts, *cells[1:place], *cells[place + 1 :]]
    return cells


def gathered(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells with neighbours that are folded away whole and show nothing as one: a page needs one bar for them."""
    kept = list[dict[str, Any]]()
    for cell in cells:
        if kept and all(
            "hide-cell" in one["metadata"].get("tags", []) and not one.get("outputs") for one in (kept[-1], cell)
        ):
            kept[-1] = kept[-1] | {"source": f"{''.join(kept[-1]['source'])}\n\n\n{''.join(cell['source'])}"}
        else:
            kept.append(cell)
    return kept


def living(cell: Mapping[str, Any], name: str) -> str:
    """The chart of a living figure as the page holds it, for `living.js` to draw into the figure; empty without one."""
    charts = [output["data"][VEGALITE] for output in cell.get("outputs", []) if VEGALITE in output.get("data", {})]
    # no blank line, which would end the block of HTML, and no sign that could end the script
    data = "".join(
        json.dumps(chart, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c") for chart in charts
    )
    return (
        data and f'<div class="afp-living" data-figure="{name}"><script type="application/json">{data}</script></div>'
    )


def what(cell: Mapping[str, Any]) -> str:
    """What the bar above a folded cell says is under it."""
    marks, pictures = cell["metadata"].get("afp", {}), (out.get("data", {}) for out in cell.get("outputs", []))
    for mark, said in {"setup": "the set-up", "exercise": "the solution's code", "calls": "the check"}.items():
        if mark in marks:
            return said
    return "the figure's code" if any("image/png" in data for data in pictures) else "the code"


def for_site(notebook: dict[str, Any], terms: Mapping[str, str] = MappingProxyType({})) -> None:
    """Make of a notebook what the site is built from, in place: its prose enriched, captions given to the pictures."""
    cells, charts = list[dict[str, Any]](), list[dict[str, Any]]()
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        figure = FIGURE.fullmatch(source.strip()) if cell["cell_type"] == "markdown" else None
        if figure:
            name, caption, words = figure.groups()
            if not (cells and any("image/png" in output.get("data", {}) for output in cells[-1].get("outputs", []))):
                raise ValueError(f"a caption must stand below the cell of a picture, got {name}")
            shown = cells[-1]["metadata"].setdefault("mystnb", {})
            shown["figure"] = {"name": name, "caption": enriched(caption, terms)}
            image = shown.setdefault("image", {})
            image["alt"] = " ".join(words.split())
            for output in cells[-1]["outputs"]:
                if width := output.get("metadata", {}).get("image/png", {}).get("width"):
                    image["width"] = f"{width}px"  # a picture has more pixels than that
            if chart := living(cells[-1], name):
                charts.append({"cell_type": "markdown", "id": f"living-{name}", "metadata": {}, "source": chart})
            continue
        if cell["cell_type"] == "code":
            shown = cell["metadata"].setdefault("mystnb", {})
            shown["code_prompt_show"], shown["code_prompt_hide"] = f"Show {what(cell)}", f"Hide {what(cell)}"
        cells.append(cell | {"source": enriched(source, terms)} if cell["cell_type"] == "markdown" else cell)
    notebook["cells"] = gathered(picture_first(cells)) + charts

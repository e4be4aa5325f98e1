"""What the site needs beyond Jupyter Book: no network, no false claim, one repository address, links between notebooks."""

import inspect
import json
import posixpath
import re
import sys
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from docutils import nodes
from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.style.formatting.unsrt import Style as Unsorted
from pybtex.style.labels import BaseLabelStyle
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ConfigError
from sphinxcontrib.bibtex.plugin import register_plugin as register_style
from sphinxcontrib.bibtex.style.referencing import BracketStyle, PersonStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

from afp_utils.book import address, assets, ledger, plain, previews
from afp_utils.book.claims import ClaimError, works
from afp_utils.book.notebooks import LEDGER

THEOREMS = "chapters/theorems"
"""The page that lists them, with the index after it."""
NOTEBOOK_LINK = re.compile(r'href="([\w./-]*)\.ipynb([#"])')
ROLES = {
    '<div role="list" class="citation-list">': '<div class="citation-list">',
    '<dl>\n<dd><em class="sig-param">': '<dl role="none">\n<dd><em class="sig-param">',
    '<dd><em class="sig-param">': '<dd role="none"><em class="sig-param">',
}
"""Lists that are none for those who hear a page: Sphinx's parameters of a signature, and the references."""
SHARED = re.compile(r"<!-- living: (?P<chapter>[\w-]+) in (?P<figure>[\w-]+) -->")
"""Where a page shows the living figure of a chapter in a figure of its own."""
CELL_LINK = re.compile(r'(href="[\w./-]*\.ipynb#)cell-id=[\w-]+" data-claim="')


ROUND = partial(BracketStyle, left="(", right=")")


@dataclass
class Cited(AuthorYearReferenceStyle):
    """Citations as chapters have them: Li & Lin (2024), and (Saxe et al., 2014) in parentheses."""

    bracket_textual: BracketStyle = field(default_factory=ROUND)
    bracket_parenthetical: BracketStyle = field(default_factory=ROUND)
    person: PersonStyle = field(default_factory=partial(PersonStyle, sep2=" & ", other=" et al."))


class AsCited(BaseLabelStyle):
    """The works' names in the list of references: those of the citations."""

    def format_labels(self, entries: Iterable[Entry]) -> Iterator[str]:
        for entry in entries:
            who, year, _ = works()[entry.key]
            yield f"{who} ({year})"


class References(Unsorted):
    """The list of references, in the order of its names."""

    default_label_style = "as_cited"
    default_sorting_style = "author_year_title"


def settings(app: Sphinx, config: Config) -> None:
    """Show the buttons that lead somewhere, as the repository's address has it, and give pages their own address."""
    theme = config.html_theme_options
    try:
        url = address.checked(theme.get("repository_url") or "")
    except ValueError as error:
        raise ConfigError(f"_config.yml: repository.{error}") from None
    hosts = address.launchers(url)
    for host, setting in {"Binder": "binderhub_url", "Colab": "colab_url"}.items():
        if host not in hosts:
            theme["launch_buttons"].pop(setting, None)
    # The theme makes buttons for repositories at GitHub and GitLab, and stops at others, which get a plain link.
    theme["repository_url"] = url if hosts else ""
    theme["use_repository_button"] = theme["use_issues_button"] = bool(hosts)
    if url and not hosts:
        theme["icon_links"] = [{"name": "Repository", "url": url, "icon": "fa-solid fa-code-branch"}]
    config.html_baseurl = config.ogp_site_url = address.site(url)
    config.mathjax_path = "mathjax/startup.js"
    # Jupyter Book always loads thebe, which needs the network, and twice, which is an error on every page. A sitemap and
    # cards for social media need the site's address.
    unused = ("sphinx_thebe",) if config.html_baseurl else ("sphinx_thebe", "sphinx_sitemap", "sphinxext.opengraph")
    for event, listeners in app.events.listeners.items():
        app.events.listeners[event] = [one for one in listeners if not one.handler.__module__.startswith(unused)]
    app.registry.css_files = [sheet for sheet in app.registry.css_files if sheet[0] != "sphinx-thebe.css"]


def claims_hold(app: Sphinx) -> None:
    """Refuse to build a book whose stored claims fail, are stale, missing or unknown: a line for each, no traceback."""
    try:
        faults = ledger.faults(Path(app.srcdir) / "chapters")
    except ClaimError as error:
        faults = [str(error)]
    if faults:
        sys.exit("\n".join([*faults, f"the ledger does not hold: {len(faults)} faults"]))


def letters(app: Sphinx) -> None:
    """Tell works of the same authors and year apart by letters, in the list of references and wherever they are cited."""
    for key, entry in app.env.get_domain("cite").bibdata.data.entries.items():  # type: ignore[attr-defined]
        entry.fields["year"] = works()[key][1]


def prose(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give the forms of plain Markdown in notebooks the labels and references that Sphinx numbers and checks."""
    if str(app.env.doc2path(docname)).endswith(".ipynb"):
        notebook = json.loads(source[0])
        glossary = Path(app.srcdir) / "chapters" / "glossary.md"
        plain.for_site(notebook, plain.terms(glossary.read_text(encoding="utf-8") if glossary.exists() else ""))
        source[0] = json.dumps(notebook)
    elif found := SHARED.search(source[0]):
        with (Path(app.srcdir) / "chapters" / f"{found['chapter']}.ipynb").open(encoding="utf-8") as file:
            cells = json.load(file)["cells"]
        chart = next(filter(None, (plain.living(cell, found["figure"]) for cell in cells)), "")
        source[0] = source[0].replace(found[0], chart)
    elif docname == THEOREMS:
        source[0] += plain.theorems((name, _cells(app, name)) for name in _chapters(app.env))


def _chapters(env: BuildEnvironment) -> list[str]:
    """The notebooks of the book, in its order."""
    order = [str(item) for item in env.external_site_map]  # type: ignore[attr-defined]
    return [name for name in order if str(env.doc2path(name)).endswith(".ipynb")]


def _cells(app: Sphinx, docname: str) -> list[str]:
    """What the cells of prose of a notebook say."""
    cells = json.loads(Path(app.env.doc2path(docname)).read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


def index_in_sidebar(app: Sphinx, doctree: nodes.document) -> None:
    """Let the sidebar end its list of references with the index, which no file of the book holds."""
    for tree in doctree.findall(addnodes.toctree):
        if any(name == THEOREMS for _, name in tree["entries"]):
            tree["entries"].append(("Index", "genindex"))


def tables(app: Sphinx, env: BuildEnvironment) -> None:
    """Let the ledger load MathJax: its formulas stand in tables of HTML, which Sphinx does not read."""
    env.domains["math"].data["has_equations"][f"chapters/{LEDGER}"] = True


def links(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Point links from one notebook to another, as they work in JupyterLab, at the pages.

    No button opens the ledger in Colab, which holds one notebook: it reads all chapters.
    """
    if "body" in context:
        body = NOTEBOOK_LINK.sub(r'href="\1.html\2', CELL_LINK.sub(r"\1", context["body"]))
        for wrong, right in ROLES.items():
            body = body.replace(wrong, right)
        context["body"] = body
    for beside in filter(None, (context.get("prev"), context.get("next"))):
        name = posixpath.normpath(posixpath.join(posixpath.dirname(pagename), beside["link"])).removesuffix(".html")
        beside["question"] = plain.question((_cells(app, name) or [""])[0]) if name in _chapters(app.env) else ""
    if pagename == "genindex":  # the modules have their pages
        for number, (letter, entries) in enumerate(context["genindexentries"]):
            words = [entry for entry in entries if not re.match(r"afp_utils|module$", entry[0])]
            context["genindexentries"][number] = (letter, words)
            context["genindexcounts"][number] = sum(1 + len(below) for _, (_, below, _) in words)
    for group in context.get("header_buttons", []):
        if group.get("label") == "launch-buttons" and pagename == f"chapters/{LEDGER}":
            group["buttons"] = [button for button in group["buttons"] if button["text"] != "Colab"]


class Said:
    """An annotation or a default value as a signature shows it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def said(hint: Any) -> str:
    """An annotation in short: no modules, no rules, which the descriptions and the messages tell."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return said(parts[0])
    if origin in (Union, types.UnionType):
        return " | ".join(map(said, parts))
    if isinstance(hint, list):
        return f"[{', '.join(map(said, hint))}]"
    if parts:
        return f"{said(origin)}[{', '.join(map(said, parts))}]"
    name = str(getattr(hint, "__name__", hint))
    return {"NoneType": "None", "Ellipsis": "..."}.get(name, name.replace("ndarray", "Array"))


def default(value: Any, module: str) -> Any:
    """A default value as a signature shows it: what would show its address in memory, by the name that it has there."""
    if " at 0x" not in repr(value):
        return value
    names = [name for name, known in vars(sys.modules[module]).items() if known is value]
    return Said([*names, getattr(value, "__name__", type(value).__name__)][0])


def signature(app: Sphinx, what: str, name: str, thing: Any, options: Any, args: str, returns: str) -> Any:
    """Signatures that fit on a page. Sphinx 9 asks for those of imported things as well, which no page shows."""
    ours = str(getattr(thing, "__module__", "")).startswith("afp_utils.")
    if what not in ("class", "function", "method") or not args or not ours:
        return None
    found = inspect.signature(thing)
    shown = [
        one.replace(
            annotation=one.annotation if one.annotation is one.empty else Said(said(one.annotation)),
            default=default(one.default, thing.__module__),
        )
        for one in found.parameters.values()
        if one.name != "self"
    ]
    back = "" if what == "class" or found.return_annotation is found.empty else said(found.return_annotation)
    return str(found.replace(parameters=shown, return_annotation=found.empty)), back


def as_rst(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with `code` and indented formulas; Sphinx reads reStructuredText. In place."""
    text = list[str]()
    for formula, group in groupby("\n".join(lines).split("\n\n"), lambda part: part.startswith("    ")):
        text += ["::"] * formula + [part if formula else _prose(part) for part in group]
    lines[:] = "\n\n".join(text).split("\n")


def _prose(paragraph: str) -> str:
    if paragraph.startswith(">>>"):
        return paragraph
    parts = paragraph.split("`")
    parts[::2] = [re.sub(r"([*|_\\])", r"\\\1", part) for part in parts[::2]]
    return "``".join(parts)


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Give the site what its pages load, and no more."""
    if not exception and app.builder.format == "html":
        previews.write(Path(app.outdir))
        assets.finish(Path(app.outdir))


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("sphinx.ext.autodoc")
    register_style("sphinxcontrib.bibtex.style.referencing", "as_chapters", Cited)
    register_plugin("pybtex.style.labels", "as_cited", AsCited)
    register_plugin("pybtex.style.formatting", "as_cited", References)
    app.connect("config-inited", settings)
    app.connect("builder-inited", claims_hold)
    app.connect("builder-inited", letters, priority=900)  # the bibliography has been read
    app.connect("source-read", prose)
    app.connect("doctree-read", index_in_sidebar, priority=100)  # before Sphinx collects the trees
    app.connect("env-updated", tables)
    app.connect("autodoc-process-docstring", as_rst)
    app.connect("autodoc-process-signature", signature)
    app.connect("html-page-context", links, priority=900)  # the theme has made its buttons
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

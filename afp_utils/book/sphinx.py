"""What the site needs beyond Jupyter Book: no network, no false claim, one repository address, links between notebooks."""

import inspect
import os
import re
import shutil
import sys
import types
from importlib.metadata import files
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin
from urllib.parse import urlsplit

from sphinx.application import Sphinx
from sphinx.config import Config

from afp_utils.book import ledger
from afp_utils.book.claims import ClaimError

NOTEBOOK_LINK = re.compile(r'href="([\w./-]*)\.ipynb([#"])')
CELL_LINK = re.compile(r'(href="[\w./-]*\.ipynb#)cell-id=[\w-]+" data-claim="')


def settings(app: Sphinx, config: Config) -> None:
    """Take the repository's address from AFP_REPOSITORY if it is set; the site's own address follows from it."""
    theme = config.html_theme_options
    config.book_address = theme["repository_url"]
    theme["repository_url"] = os.environ.get("AFP_REPOSITORY") or config.book_address
    owner, _, name = urlsplit(theme["repository_url"]).path.strip("/").removesuffix(".git").partition("/")
    config.html_baseurl = config.ogp_site_url = f"https://{owner.lower()}.github.io/{name}/"
    config.mathjax_path = "mathjax/tex-mml-chtml.js"
    # Jupyter Book always loads thebe, which needs the network, and twice, which is an error on every page.
    for event, listeners in app.events.listeners.items():
        app.events.listeners[event] = [
            one for one in listeners if not one.handler.__module__.startswith("sphinx_thebe")
        ]
    app.registry.css_files = [sheet for sheet in app.registry.css_files if sheet[0] != "sphinx-thebe.css"]


def claims_hold(app: Sphinx) -> None:
    """Refuse to build a book whose stored claims fail, are stale, missing or unknown: a line for each, no traceback."""
    try:
        faults = ledger.faults(Path(app.srcdir) / "chapters")
    except ClaimError as error:
        faults = [str(error)]
    if faults:
        sys.exit("\n".join([*faults, f"the ledger does not hold: {len(faults)} faults"]))


def address(app: Sphinx, docname: str, source: list[str]) -> None:
    """Let the pages, and so the set-up cells, name the repository that the site is built from."""
    source[0] = source[0].replace(app.config.book_address, app.config.html_theme_options["repository_url"])


def links(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Point links from one notebook to another, as they work in JupyterLab, at the pages."""
    if "body" in context:
        context["body"] = NOTEBOOK_LINK.sub(r'href="\1.html\2', CELL_LINK.sub(r"\1", context["body"]))


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


def signature(app: Sphinx, what: str, name: str, thing: Any, options: Any, args: str, returns: str) -> Any:
    """Signatures that fit on a page."""
    if what not in ("class", "function", "method") or not args:
        return None
    found = inspect.signature(thing)
    shown = [
        one.replace(
            annotation=one.annotation if one.annotation is one.empty else Said(said(one.annotation)),
            default=Said(one.default.__name__) if inspect.isfunction(one.default) else one.default,
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
    """Put MathJax with its fonts into the site, and the repository's address into the notebooks to download."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    script = next(file for file in files("sphinx-mathjax-offline") or [] if file.name == "tex-mml-chtml.js")
    source, target = Path(str(script.locate())).parent, out / "_static" / "mathjax"
    fonts = Path("output/chtml/fonts/woff-v2")
    shutil.copytree(source / fonts, target / fonts, dirs_exist_ok=True)
    shutil.copy(source / script.name, target)
    for unused in (out / "_static").rglob("*.map"):
        unused.unlink()
    for notebook in (out / "_sources").rglob("*.ipynb"):
        text = [notebook.read_text(encoding="utf-8")]
        address(app, notebook.stem, text)
        notebook.write_text(text[0], encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("sphinx.ext.autodoc")
    app.add_config_value("book_address", "", "env")
    app.connect("config-inited", settings)
    app.connect("builder-inited", claims_hold)
    app.connect("source-read", address)
    app.connect("autodoc-process-docstring", as_rst)
    app.connect("autodoc-process-signature", signature)
    app.connect("html-page-context", links)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

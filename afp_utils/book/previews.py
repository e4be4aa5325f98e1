"""What a page shows of the things that it links to, beside the link: a term, an equation, a figure, a theorem, a work.

A built site gets a script for each page that is linked to in this way, `_static/previews/PAGE.js`, which pages load when a
pointer or the keyboard first comes to such a link: that works without a server, where a page cannot read another one.
"""

import json
import posixpath
import re
from pathlib import Path

from bs4 import BeautifulSoup, Tag

LINK = re.compile(r'<a class="reference internal" href="([^"#]*)#([^"]+)"')


def write(site: Path) -> None:
    """Write the scripts of a built site."""
    wanted = dict[str, set[str]]()
    for page in site.rglob("*.html"):
        name = page.relative_to(site).as_posix()
        for path, label in LINK.findall(page.read_text(encoding="utf-8")):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
            wanted.setdefault(target.removesuffix(".html"), set()).add(label)
    for name, labels in wanted.items():
        soup = BeautifulSoup((site / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        shown = {label: text for label in sorted(labels) if (text := preview(soup.find(id=label), name))}
        if shown:
            script = site / "_static" / "previews" / f"{name}.js"
            script.parent.mkdir(parents=True, exist_ok=True)
            said = json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
            script.write_text(f"afpPreviews({json.dumps(name)},{said})\n", encoding="utf-8")


def preview(place: object, page: str) -> str:
    """HTML of what stands at a place of a page, without links and names; nothing of what is no such thing.

    Pictures are named from the top of the site, for a page in any folder to find them.
    """
    if not isinstance(place, Tag):
        return ""
    if place.name == "dt" and str(place["id"]).startswith("term-"):
        parts = [place, place.find_next_sibling("dd")]
    elif place.name in ("figure", "blockquote") or {"math", "citation"} & set(place.get("class") or []):
        parts = [place]
    else:
        return ""
    soup = BeautifulSoup("".join(map(str, parts)), "html.parser")
    for one in soup.select(".headerlink, .afp-living, script, .fn-bracket, .backrefs"):
        one.decompose()
    for one in soup.select("dt"):
        one.name = "strong"
    for one in soup.select("a, dd"):
        one.unwrap()
    for one in soup.find_all(True):
        for name in ("id", "role", "href", "title"):
            del one[name]
    for one in soup.find_all("img"):
        one["data-src"] = posixpath.normpath(posixpath.join(posixpath.dirname(page), str(one.attrs.pop("src"))))
    return str(soup).strip()

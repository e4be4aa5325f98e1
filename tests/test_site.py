"""The built site: built once with warnings as errors, its files read, its pages opened with the network cut.

Then builds that must fail: a small copy of the book with one fault planted in it.
"""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from importlib.metadata import files
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from bs4 import BeautifulSoup, Tag
from jupyter_book.config import get_final_config
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from afp_utils.book import address as repository
from afp_utils.book import claims, notebooks, plain, previews
from tests.helpers import ENTRY
from tools import pdf, screenshots

ROOT = Path(__file__).parents[1]
REDIRECT = 'http-equiv="Refresh"'
browser_only = pytest.mark.skipif(
    screenshots.chromium() is None and os.environ.get("CI") != "true",
    reason="no Chromium on this machine: pages are not opened (apt-get install chromium, or set CHROMIUM)",
)


def build(source: Path, target: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Build a book as `make site` does."""
    command = [
        sys.executable,
        "-c",
        "from jupyter_book.cli.main import main; main()",
        "build",
        str(source),
        "--path-output",
        str(target),
    ]
    return subprocess.run(
        [*command, "-W", "--keep-going", "-q"],
        cwd=source,
        env=os.environ | {"PYTHONPATH": str(source)} | variables,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    result = build(ROOT, target)
    assert result.returncode == 0, result.stdout + result.stderr
    return target / "_build" / "html"


# ---- files ----


class Reader(HTMLParser):
    """What a page points at, and what can be pointed at in it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.assets: list[str] = []
        self.anchors: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors += [value for name, value in attrs if value and (name == "id" or (tag, name) == ("a", "name"))]
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        if tag == "img":
            self.images.append(given)
        loaded = (
            given.get("src") if tag != "link" else given.get("href") if "stylesheet" in str(given.get("rel")) else None
        )
        if loaded:
            self.assets.append(loaded)


@cache
def read(page: Path) -> Reader:
    return Reader(page)


def broken(site: Path) -> list[str]:
    """Links and assets of the site's own that lead nowhere."""
    found = []
    for page in site.rglob("*.html"):
        if "_static" in page.parts:
            continue
        for link in [*read(page).links, *read(page).assets]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            anchors = read(target).anchors if target.suffix == ".html" and target.exists() else None
            if not target.exists() or (
                parts.fragment and anchors is not None and unquote(parts.fragment) not in anchors
            ):
                found.append(f"{page.relative_to(site)}: {link}")
    return found


def test_every_internal_link_and_anchor_resolves(site: Path) -> None:
    assert broken(site) == []


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert [asset for asset in read(page).assets if urlsplit(asset).netloc] == [], page


def test_every_image_has_an_alternative_text(site: Path) -> None:
    for page in site.rglob("*.html"):
        for image in read(page).images:
            source = str(image.get("src"))
            assert image.get("alt") and image["alt"] != Path(source).name and "_images" not in str(image["alt"]), image


def test_anchors_are_unique(site: Path) -> None:
    for page in site.rglob("chapters/*.html"):
        anchors = [anchor for anchor in read(page).anchors if not anchor.startswith(("__", "pst-", "sbt-"))]
        assert sorted({anchor for anchor in anchors if anchors.count(anchor) > 1 and anchor.startswith("claim-")}) == []


def test_claims_link_from_the_ledger_to_their_cells(site: Path) -> None:
    links = [link for link in read(site / "chapters" / "ledger.html").links if "#claim-" in link]
    assert links
    assert all(re.fullmatch(r"[\w-]+\.html#claim-[\w-]+", link) for link in links)


def test_claims_name_their_sources_as_readers_do(site: Path) -> None:
    keys = re.findall(
        r"^@\w+\{(\w+),", (ROOT / "afp_utils" / "book" / "references.bib").read_text(encoding="utf-8"), re.MULTILINE
    )
    ledger = (site / "chapters" / "ledger.html").read_text(encoding="utf-8")
    assert keys
    assert [key for key in keys if key in ledger] == []


def test_equations_figures_and_theorems_have_the_numbers_of_the_notebooks(site: Path) -> None:
    forms = {
        "eq": r'id="equation-{}">\s*<span class="eqno">\(([\d.]+)\)',
        "fig": r'<figure [^>]*id="{}">.*?<span class="caption-number">Figure ([\d.]+) ',
        "thm": r'<blockquote id="{}">\s*<div><p><strong>Theorem ([\d.]+) ',
    }
    numbered = 0
    for name in notebooks.names():
        page = (site / "chapters" / f"{name}.html").read_text(encoding="utf-8")
        for label, number in notebooks.labels(notebooks.read(notebooks.path(name)), name).items():
            found = re.search(forms[label.split("-")[0]].format(label.replace("_", "-")), page, re.DOTALL)
            assert found and found[1] == number, label
            numbered += 1
    assert numbered > 100


def test_site_has_search_and_with_an_address_a_sitemap(site: Path) -> None:
    assert (site / "searchindex.js").stat().st_size > 1000
    home = repository.site(repository.stored()[0])
    assert not home or f"{home}chapters/index.html" in (site / "sitemap.xml").read_text(encoding="utf-8")
    assert (site / "sitemap.xml").exists() == bool(home)


def test_no_page_shows_an_address_in_memory(site: Path) -> None:
    for page in site.rglob("chapters/**/*.html"):
        assert not re.search(r"0x[0-9a-f]{6}", page.read_text(encoding="utf-8")), page


AXE = next(Path(str(file.locate())) for file in files("axe-playwright-python") or [] if file.name == "axe.min.js")


@browser_only
@pytest.mark.parametrize("scheme", screenshots.SCHEMES)
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_are_accessible(chrome: Browser, address: str, width: int, scheme: str) -> None:
    """No fault that the checker axe calls serious or critical."""
    context, found = chrome.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme), list[str]()
    for name in (
        "index",
        "one-language",
        "what-metrics-explain",
        "ledger",
        "references",
        "glossary",
        "checked",
        "api/rfm",
    ):
        page = context.new_page()
        page.goto(f"{address}chapters/{name}.html", wait_until="load")
        page.evaluate(
            "(window.MathJax?.startup?.promise ?? Promise.resolve()).then(() => new Promise(requestAnimationFrame))"
        )
        page.evaluate(AXE.read_text(encoding="utf-8"))
        for fault in page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]:
            if fault["impact"] in ("serious", "critical"):
                found += [f"{name}: {fault['id']}, {node['html'][:80]}" for node in fault["nodes"]]
        page.close()
    assert found == []


@browser_only
def test_a_chapter_is_light(chrome: Browser, site: Path, address: str) -> None:
    """Bytes of all that a first visitor loads, as they lie on the disk and as a server sends them."""
    for name in notebooks.names():
        page, loaded = chrome.new_page(), set[str]()
        page.on("response", lambda response, loaded=loaded: loaded.add(urlsplit(response.url).path.lstrip("/")))
        page.goto(f"{address}chapters/{name}.html", wait_until="networkidle")
        expect(page.locator("mjx-container").first).to_be_attached()
        assert page.locator("mjx-container[tabindex]").count() == 0, name
        assert page.locator("svg.svg-inline--fa").count() > 10 and page.locator("i[class*=fa-]").count() == 0, name
        page.close()
        loaded.discard("_static/living.js")  # comes only where a living figure comes into view
        bytes_of = {path: (site / path).read_bytes() for path in loaded if (site / path).is_file()}
        packed = [len(gzip.compress(content, 6)) for content in bytes_of.values()]
        assert "searchindex.js" not in bytes_of and len(bytes_of) > 20
        assert sum(map(len, bytes_of.values())) < 2.5e6, name
        assert sum(packed) < 0.8e6, name


def test_site_is_small(site: Path) -> None:
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 25_000_000


def test_the_latex_file_has_the_name_of_the_book() -> None:
    overrides = {"latex_individualpages": False}
    _, read = get_final_config(user_yaml=ROOT / "_config.yml", sourcedir=ROOT, cli_config=overrides)
    assert read["latex_doc_overrides"]["targetname"] == "how-models-learn-features.tex"


# ---- pages in a browser without network ----


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with screenshots.browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with screenshots.served(site) as address:
        yield address


class Visit:
    """A page opened with everything but the site itself out of reach, and what went wrong on it."""

    def __init__(self, context: BrowserContext, address: str, name: str) -> None:
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "response", lambda got: self.errors.append(f"{got.status} {got.url}") if got.status >= 400 else None
        )

        def allow(route: Route) -> None:
            if route.request.url.startswith((address, "data:", "blob:")):
                route.continue_()
            else:
                self.foreign.append(route.request.url)
                route.abort()

        self.page.route("**/*", allow)
        self.page.goto(address + name, wait_until="load")
        # MathJax sets all equations of the page before it resolves this.
        self.page.wait_for_function("!document.querySelector('.math') || window.MathJax?.startup?.promise")
        self.page.evaluate("window.MathJax?.startup?.promise")


def overflow(page: Page) -> list[str]:
    """Elements that stick out of the page to the right, unless a box around them scrolls."""
    return page.evaluate("""() => {
        const width = document.documentElement.clientWidth;
        const scrolls = element => element && (/auto|scroll|hidden/.test(getComputedStyle(element).overflowX)
            || scrolls(element.parentElement));
        if (document.documentElement.scrollWidth <= width) return [];
        return [...document.querySelectorAll('main *')]
            .filter(element => element.getBoundingClientRect().right > width + 1 && !scrolls(element.parentElement))
            .map(element => element.outerHTML.slice(0, 200));
    }""")


def wide_equations(page: Page) -> list[tuple[int, str]]:
    """Displayed equations that are cut off at the right: by how many pixels, and their first symbols."""
    return page.evaluate("""() => [...document.querySelectorAll("div.math")].map(box => {
        const right = element => element.getBoundingClientRect().right;
        const excess = Math.round(right(box.querySelector("mjx-math")) - right(box));
        return [excess, box.innerText.replace(/\\s+/g, "").slice(0, 30)];
    }).filter(([excess]) => excess > 1)""")


def check_page(context: BrowserContext, address: str, name: str) -> None:
    visit = Visit(context, address, name)
    page = visit.page
    assert visit.errors == [], name
    assert visit.foreign == [], name
    assert page.locator(".math").count() <= page.locator("mjx-container").count(), name
    assert page.locator("mjx-merror").count() == 0, name
    text = page.locator("main").evaluate(
        "main => { const copy = main.cloneNode(true);"
        " copy.querySelectorAll('pre, code, script, mjx-container').forEach(part => part.remove());"
        " return copy.textContent; }"
    )
    assert not re.search(r"\$\$|\\\(|\\\[|\{(eq|numref|cite[:a-z]*|term|doc)\}|<!--|:::|```", text), name
    page.set_viewport_size({"width": 390, "height": 844})
    scrolled = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert scrolled <= 0, f"{name} is {scrolled} pixels too wide for a phone: {overflow(page)}"
    wide = wide_equations(page)
    assert wide == [], f"equations of {name} are too wide for a phone: {wide}"
    page.close()


@browser_only
@pytest.mark.parametrize("scheme", screenshots.SCHEMES)
def test_pages_work_without_network(chrome: Browser, site: Path, address: str, scheme: str) -> None:
    context = chrome.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    for name in screenshots.pages(site):
        check_page(context, address, name)
    context.close()


@browser_only
def test_search_finds_a_word(chrome: Browser, address: str) -> None:
    visit = Visit(chrome.new_context(), address, "search.html?q=eigenvalue")
    expect(visit.page.locator("#search-results li").first).to_be_visible()
    assert "chapters/" in str(visit.page.locator("#search-results li a").first.get_attribute("href"))
    assert visit.foreign == []


@browser_only
def test_the_download_button_leads_to_the_notebook(chrome: Browser, site: Path, address: str) -> None:
    visit = Visit(chrome.new_context(), address, "chapters/one-language.html")
    links = visit.page.locator("a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    path = "chapters/one-language.ipynb"
    assert f"../_sources/{path}" in links
    assert (site / "_sources" / path).exists()


@browser_only
@pytest.mark.parametrize("scheme", screenshots.SCHEMES)
def test_verdicts_and_figures_are_legible(chrome: Browser, address: str, scheme: str) -> None:
    """Badges have a contrast of at least 4.5, the limit of WCAG AA; figures stand on opaque white, unfiltered."""
    context = chrome.new_context(color_scheme=scheme)
    page = Visit(context, address, "chapters/ledger.html").page
    ratios = page.evaluate("""() => [...document.querySelectorAll('.afp-verdict')].map(badge => {
        const light = colour => {
            const part = colour.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
                .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
        };
        const style = getComputedStyle(badge);
        const [low, high] = [light(style.color), light(style.backgroundColor)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    })""")
    assert ratios
    assert min(ratios) >= 4.5
    page = Visit(context, address, "chapters/recursive-feature-machines.html").page
    style = "one => [getComputedStyle(one).filter, getComputedStyle(one).backgroundColor]"
    assert page.locator("main figure img").first.evaluate(style) == ["none", "rgb(255, 255, 255)"]


# ---- living figures ----

PLACES = """([label, expected, beside]) => {
    const view = document.querySelector(`#${label} .afp-living`).view, off = {};
    const marks = (item, found) => {
        if (item.name?.endsWith("_marks")) (found[item.name.replace("_marks", "")] ??= []).push(...item.items);
        for (const child of item.items ?? []) if (child.items || child.name) marks(child, found);
        return found;
    };
    const drawn = marks(view.scenegraph().root, {});
    for (const [name, { panel, kind, rows }] of Object.entries(expected)) {
        const place = `concat_${Math.floor(panel / beside)}_concat_${panel % beside}`;
        const scale = axis => view.scale(`${place}_${axis}`), items = drawn[name] ?? [];
        const at = (axis, value) => typeof scale(axis[0]).bandwidth === "function" && kind === "point"
            ? scale(axis[0])(value) + scale(axis[0]).bandwidth() / 2 : scale(axis[0])(value);
        off[name] = items.length === rows.length ? 0 : 1e9;
        rows.forEach((row, index) => {
            if (!items[index]) return;
            const item = items[index];
            if (kind === "cell") off[name] += scale("color")(row.value) === item.fill ? 0 : 1e6;
            const ends = kind === "bar" ? [["x", item.x], ["y", row.y < 0 ? item.y + item.height : item.y]]
                : ["x", "y", "x2", "y2"].filter(axis => axis in row).map(axis => [axis, item[axis] ?? item[axis[0]]]);
            for (const [axis, pixel] of ends) off[name] = Math.max(off[name], Math.abs(pixel - at(axis, row[axis])));
        });
    }
    return off;
}"""
"""How many pixels each mark of a figure is from where its numbers belong: a thousand million if points are missing."""


def living_figures() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Chapter, label and chart of each living figure of the book."""
    for name in notebooks.names():
        for cell, below in pairwise(notebooks.read(notebooks.path(name)).cells):
            for output in cell.get("outputs", []):
                if plain.VEGALITE in output.get("data", {}):
                    yield name, plain.FIGURE.fullmatch(below.source)[1], output["data"][plain.VEGALITE]  # type: ignore[index]


def panels(chart: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for row in chart["vconcat"] for panel in row["hconcat"]]


def frame(chart: dict[str, Any], place: tuple[int, ...]) -> dict[str, Any]:
    """The rows of each mark at a place of the controls, from the chart as it is stored."""
    found = {}
    for number, panel in enumerate(panels(chart)):
        for layer in panel["layer"]:
            rows = json.loads(layer["data"]["values"])
            for step in layer["transform"][:-1]:
                index = eval(step["calculate"].split("[")[1][:-1], {f"c{axis}": at for axis, at in enumerate(place)})
                for row in rows:
                    row[step["as"]] = row[step["calculate"].split("[")[0].removeprefix("datum.")][index]
            kept = [row for row in rows if None not in row.values()]
            found[layer["name"]] = {"panel": number, "kind": KINDS[layer["mark"]["type"]], "rows": kept}
    return found


KINDS = {"line": "line", "point": "point", "bar": "bar", "rule": "rule", "rect": "cell"}


@browser_only
@pytest.mark.parametrize("width", [1280, 390])
def test_living_figures_draw_the_frame_that_the_hand_chose(chrome: Browser, address: str, width: int) -> None:
    """At three places of each control, by keyboard, what is drawn and said is what the chapter stored; Reset returns."""
    touched = set[str]()
    for name, label, chart in living_figures():
        context = chrome.new_context(viewport={"width": width, "height": 900})
        visit = Visit(context, address, f"chapters/{name}.html")
        page, figure = visit.page, f"#{label}"
        page.locator(figure).scroll_into_view_if_needed()
        expect(page.locator(f"{figure}.afp-alive")).to_be_visible()
        expect(page.locator(f"{figure} > img, {figure} > a img").first).to_be_hidden()
        beside = 1 if width < 560 else min(2, len(panels(chart)))
        sizes = [len(control["texts"]) for control in chart["usermeta"]["controls"]]
        start = [param["value"] for param in chart["params"] if "bind" in param]
        sentences = next(param["value"] for param in chart["params"] if param["name"] == "words")
        for axis, size in enumerate(sizes if width > 560 else sizes[:1]):
            hand = page.locator(f"{figure} input[name=c{axis}]")
            for at in (0, size // 2, size - 1):
                hand.press("End" if at else "Home")
                for _ in range(size - 1 - at if at else 0):
                    hand.press("ArrowLeft")
                place = (*start[:axis], at, *start[axis + 1 :])
                off = page.evaluate(PLACES, [label, frame(chart, place), beside])
                assert {mark: pixels for mark, pixels in off.items() if pixels > 0.5} == {}, (name, label, place)
                expect(page.locator(f"{figure} .afp-said")).to_have_text(
                    sentences[int(np.ravel_multi_index(place, sizes))]
                )
                texts = chart["usermeta"]["controls"][axis]["texts"]
                assert hand.get_attribute("aria-valuetext") == texts[at]
            page.locator(f"{figure} button").click()
            assert int(hand.input_value()) == start[axis]
        scrolled = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert (scrolled, visit.errors, visit.foreign) == (0, [], []), name
        touched.add(name)
        context.close()
    assert touched


@browser_only
def test_a_living_figure_follows_touch_theme_and_width_and_prints_its_picture(chrome: Browser, address: str) -> None:
    context = chrome.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = Visit(context, address, "chapters/one-language.html").page
    figure = page.locator("#fig-hyperbolas")
    figure.scroll_into_view_if_needed()
    expect(page.locator("#fig-hyperbolas.afp-alive")).to_be_visible()
    hand, before = figure.locator("input").first, figure.locator(".afp-said").inner_text()
    box = hand.bounding_box()
    assert box is not None
    assert box["height"] >= 24  # room for a finger
    page.touchscreen.tap(box["x"] + 0.9 * box["width"], box["y"] + box["height"] / 2)
    assert int(hand.input_value()) > 15
    place, said = hand.input_value(), figure.locator(".afp-said").inner_text()
    assert said != before
    colours = []
    for theme in ("light", "dark"):
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        expect(figure.locator("svg text").first).to_have_attribute("fill", page.evaluate(INK))
        colours.append(figure.locator("svg text").first.get_attribute("fill"))
        assert figure.locator(".afp-said").inner_text() == said  # the hand's place is kept
    assert colours[0] != colours[1]
    small = page.evaluate(
        "Math.min(...[...document.querySelectorAll('.afp-chart text')].map(one => parseFloat(getComputedStyle(one).fontSize)))"
    )
    assert small >= 9
    page.set_viewport_size({"width": 1000, "height": 844})
    page.wait_for_function("document.querySelector('.afp-chart svg').getBoundingClientRect().width > 500")
    assert hand.input_value() == place
    page.emulate_media(media="print")
    expect(figure.locator("img")).to_be_visible()
    expect(figure.locator(".afp-living")).to_be_hidden()
    context.close()


INK = "getComputedStyle(document.querySelector('#fig-hyperbolas .afp-living')).color"


@browser_only
def test_pages_without_living_figures_load_nothing_for_them(chrome: Browser, address: str) -> None:
    page, loaded = chrome.new_page(), list[str]()
    page.on("response", lambda response: loaded.append(response.url))
    page.goto(f"{address}chapters/glossary.html", wait_until="networkidle")
    assert loaded
    assert [url for url in loaded if "living.js" in url] == []
    page.goto(f"{address}chapters/one-language.html", wait_until="load")
    expect(page.locator("#fig-hyperbolas.afp-alive")).to_be_attached()
    assert sum("living.js" in url for url in loaded) == 1
    page.close()


LEDGER = "chapters/ledger.html"
VISIBLE = "rows => rows.filter(row => row.offsetParent !== null).length"


@browser_only
def test_the_map_draws_what_a_claim_rests_on(chrome: Browser, address: str) -> None:
    page = Visit(chrome.new_context(), address, LEDGER).page
    dots = page.locator(".afp-dot")
    assert dots.count() == len(claims.registry())
    rests = dots.evaluate_all("all => all.map(one => one.dataset.rests.split(' ').filter(Boolean).length)")
    most = rests.index(max(rests))
    assert rests[most] > 1
    dots.nth(most).focus()
    assert page.locator(".afp-map line").count() == page.locator(".afp-support").count() == rests[most]
    box, line = dots.nth(most).bounding_box(), page.locator(".afp-map line").first.bounding_box()
    assert box and line
    centre = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    ends = [(line["x"], line["x"] + line["width"]), (line["y"], line["y"] + line["height"])]
    assert all(min(abs(place - end) for end in pair) < 3 for place, pair in zip(centre, ends))
    dots.nth(rests.index(0)).hover()
    assert page.locator(".afp-map line").count() == 0


@browser_only
def test_the_ledger_is_filtered(chrome: Browser, address: str) -> None:
    page = Visit(chrome.new_context(), address, LEDGER).page
    rows, known = page.locator(".afp-ledger tr[data-chapter]"), claims.registry().values()
    assert rows.evaluate_all(VISIBLE) == len(known)
    page.locator("select[name=chapter]").select_option("three-mechanisms")
    page.locator("select[name=kind]").select_option("theory against simulation")
    wanted = [one for one in known if (one.chapter, one.kind) == ("three-mechanisms", "theory against simulation")]
    assert 0 < rows.evaluate_all(VISIBLE) == len(wanted) < len(known)
    assert page.locator(".afp-filter output").text_content() == f"{len(wanted)} of {len(known)} claims"
    assert page.locator("tr[data-part]").evaluate_all(VISIBLE) == 1
    page.locator("select[name=chapter]").select_option("")
    page.locator("select[name=kind]").select_option("")
    page.locator("select[name=verdict]").select_option("does not hold")
    assert rows.evaluate_all(VISIBLE) == sum(one.holds == "no" for one in known)
    page.locator("select[name=verdict]").select_option("")
    page.locator("select[name=source]").select_option("Xu & Ziyin (2025)")
    assert rows.evaluate_all(VISIBLE) == sum("xu2025three" in one.source for one in known)


@browser_only
def test_the_ledger_is_whole_without_script_and_on_paper(chrome: Browser, address: str) -> None:
    page = chrome.new_context(java_script_enabled=False).new_page()
    page.goto(address + LEDGER)
    assert page.locator(".afp-ledger tr[data-chapter]").count() == page.locator(".afp-dot").count()
    assert page.locator(".afp-filter").count() == 0
    page = Visit(chrome.new_context(), address, LEDGER).page
    page.emulate_media(media="print")
    assert page.locator(".afp-ledger tr[data-chapter]").evaluate_all(VISIBLE) == len(claims.registry())
    assert not page.locator(".afp-filter").is_visible()


# ---- reading ----

PREVIEWS = {
    "term": (".bd-article a[href*='glossary.html#term-']", "sequence model"),
    "equation": (".bd-article a.internal[href*='#equation-eq-']", "(1.2)"),
    "figure": (".bd-article a.internal[href*='#fig-']", "Figure 1.1"),
    "theorem": (".bd-article a.internal[href*='#thm-']", "Theorem 2.1"),
    "work": (".bd-article a[href*='references.html#']", "Li & Lin (2024)"),
}


@browser_only
@pytest.mark.parametrize("scheme", screenshots.SCHEMES)
def test_a_link_shows_what_it_leads_to(chrome: Browser, address: str, scheme: str) -> None:
    """To a pointer that hovers and to the keyboard, inside the window, legibly; Escape closes it, the pointer may enter it."""
    visit = Visit(chrome.new_context(viewport={"width": 1280, "height": 700}, color_scheme=scheme), address, SEQUENCE)
    page, box = visit.page, visit.page.locator(".afp-preview.afp-open-preview")
    for kind, (links, words) in PREVIEWS.items():
        link = page.locator(links).first
        link.scroll_into_view_if_needed()
        link.hover()
        expect(box).to_contain_text(words)
        assert box.locator(".math").count() == box.locator("mjx-container").count(), kind
        assert all(box.locator("img").evaluate_all("all => all.map(one => one.naturalWidth > 0)")), kind
        place = box.bounding_box()
        assert place and place["y"] >= 0 and place["y"] + place["height"] <= 700, kind
        assert place["x"] >= 0 and place["x"] + place["width"] <= 1280, kind
        page.mouse.move(place["x"] + 20, place["y"] + place["height"] / 2)
        page.wait_for_timeout(400)
        expect(box).to_have_count(1)
        page.keyboard.press("Escape")
        expect(box).to_have_count(0)
        page.mouse.move(2, 2)
        page.keyboard.press("Shift")  # what has the focus now has it from the keyboard
        link.focus()
        expect(box).to_contain_text(words)
        assert link.get_attribute("aria-describedby") == box.get_attribute("id")
        ground, ink = box.evaluate("one => [getComputedStyle(one).backgroundColor, getComputedStyle(one).color]")
        assert ground != ink and "rgba" not in ground
        page.keyboard.press("Tab")
        expect(box.filter(has_text=words)).to_have_count(0)
        page.keyboard.press("Escape")
    assert (visit.errors, visit.foreign) == ([], [])


@browser_only
def test_a_tap_follows_a_link_and_shows_nothing(chrome: Browser, address: str) -> None:
    context = chrome.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page, over = (
        Visit(context, address, SEQUENCE).page,
        "one => one.dispatchEvent(new PointerEvent('pointerover', {OPTIONS}))",
    )
    link = page.locator(PREVIEWS["theorem"][0]).first
    link.scroll_into_view_if_needed()
    for kind, count in {"touch": 0, "mouse": 1}.items():
        link.evaluate(over.replace("OPTIONS", f"bubbles: true, pointerType: '{kind}'"))
        page.wait_for_timeout(800)
        assert page.locator(".afp-preview").count() == count, kind
    page.keyboard.press("Escape")
    link.tap()
    page.wait_for_timeout(500)
    assert page.url.endswith("#thm-filter")
    assert page.locator(".afp-preview").count() == 0
    context.close()


def said(soup: BeautifulSoup | Tag | None, choice: str = "") -> str:
    """The words of a part of a page, which must be there, blanks as they are seen."""
    part = soup.select_one(choice) if soup and choice else soup
    assert part is not None, choice
    return " ".join(part.get_text().split())


def test_each_link_of_a_kind_has_its_preview(site: Path) -> None:
    """The page's script looks for it by page and name, in a file that holds nothing else."""
    count = 0
    for page in (site / "chapters").glob("*.html"):
        for linked, label in previews.LINK.findall(page.read_text(encoding="utf-8")):
            target = Path(linked).stem if linked else page.stem
            if label.startswith(("term-", "equation-eq-", "fig-", "thm-")) or target == "references":
                held = (site / "_static" / "previews" / "chapters" / f"{target}.js").read_text(encoding="utf-8")
                assert f'"{label}":"<' in held, (page.name, label)
                count += 1
    assert count > 200
    for file in (site / "_static" / "previews").rglob("*.js"):
        assert not re.search(r"<a |<script|<[^>]* (?:id|src|href)=", file.read_text(encoding="utf-8")), file


def test_works_have_one_name_in_chapters_and_in_the_list(site: Path) -> None:
    soup = BeautifulSoup((site / "chapters" / "references.html").read_text(encoding="utf-8"), "html.parser")
    names = {str(one["id"]): said(one, ".label") for one in soup.select("div.citation")}
    assert names == {key: f"[{who} ({year})]" for key, (who, year, _) in claims.works().items()}
    cited = 0
    for name in notebooks.names():
        soup = BeautifulSoup((site / "chapters" / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        for one in soup.select("a[href^='references.html#']"):
            who, year, _ = claims.works()[str(one["href"]).partition("#")[2]]
            around = said(one.find_parent(class_="bibtex-citation"))
            assert said(one) in (year, f"{who}, {year}"), (name, one)
            assert re.search(rf"{re.escape(who)}(, | \(){year}", around), (name, around)
            cited += 1
    assert cited > 100


def test_the_sidebar_leads_to_theorems_and_index(site: Path) -> None:
    page = site / "chapters" / "one-language.html"
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    sidebar = {one.get_text(): str(one["href"]) for one in soup.select(".bd-sidebar-primary a.reference.internal")}
    assert (sidebar["Theorems"], sidebar["Index"]) == ("theorems.html", "../genindex.html")
    shown = BeautifulSoup((site / "chapters" / "theorems.html").read_text(encoding="utf-8"), "html.parser")
    listed = {str(one["href"]): said(one.parent) for one in shown.select(".bd-article li a[href*='#thm-']")}
    stored = {}
    for name in notebooks.names():
        for cell in notebooks.read(notebooks.path(name)).cells:
            for label, title in re.findall(
                r'^> <a id="(thm-[^"]+)"></a>\*\*(Theorem .+?)\.\*\*', cell.source, re.MULTILINE
            ):
                stored[f"{name}.html#{label}"] = title
    assert len(stored) > 5
    assert {link: re.sub(r"^(\S+ \S+): (.*)$", r"\1 (\2)", text) for link, text in listed.items()} == stored
    index = BeautifulSoup((site / "genindex.html").read_text(encoding="utf-8"), "html.parser").select_one("article")
    assert "effective dimension" in said(index)
    assert index is not None
    assert index.find(string=re.compile("^consensus"))
    assert not index.find(string=re.compile("^afp_utils"))


@browser_only
@pytest.mark.parametrize("asked", ["consensus", "kernel", "eigenvalue", "catapult", "feature_error_measure"])
def test_the_search_shows_sentences(chrome: Browser, address: str, asked: str) -> None:
    visit = Visit(chrome.new_context(), address, f"search.html?q={asked}")
    found = visit.page.locator("#search-results .context")
    expect(found.first).to_be_visible()
    visit.page.wait_for_load_state("networkidle")
    visit.page.wait_for_timeout(500)
    assert visit.page.locator("#search-results .context mjx-merror").count() == 0
    for text in found.evaluate_all("all => all.map(one => one.innerText)"):
        sentence = " ".join(text.split())
        assert re.match(r"[“\"(‘]?[A-Z]", sentence), sentence
        assert re.search(r"[.?!:…)”’\"]$", sentence), sentence
        assert not re.search(r"Binder|Repository|\\\(|\\[a-z]+|\.\.\.|Contents|import ", sentence), sentence
        assert len(sentence) < 700
    assert (visit.errors, visit.foreign) == ([], [])


def test_the_foot_of_a_page_asks_what_the_next_chapter_asks(site: Path) -> None:
    names = notebooks.names()
    order = [
        name
        for name in re.findall(r"chapters/([\w-]+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
        if name in names
    ]
    for before, after in pairwise(order):
        for page, other, side in ((before, after, "right-next"), (after, before, "left-prev")):
            soup = BeautifulSoup((site / "chapters" / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
            question = said(soup, f"footer a.{side} .afp-question")
            lead = BeautifulSoup((site / "chapters" / f"{other}.html").read_text(encoding="utf-8"), "html.parser")
            assert "?" in question
            assert question == said(lead, "article section p :is(strong, em)"), (page, other)


@browser_only
def test_on_paper_all_is_light_and_open_and_afterwards_as_before(chrome: Browser, address: str) -> None:
    page = Visit(chrome.new_context(color_scheme="dark"), address, SEQUENCE).page
    shut = page.locator(".bd-article details:not([open])")
    before = shut.count()
    assert before > 20
    page.emulate_media(media="print", color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme === 'light'")
    assert shut.count() == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for hidden in (".bd-sidebar-primary", ".bd-sidebar-secondary", ".bd-header-article", "footer", ".copybtn"):
        assert page.locator(hidden).evaluate_all(VISIBLE) == 0, hidden
    assert page.locator(".bd-article h1").is_visible()
    code = page.locator("details.hide pre").first
    assert code.is_visible() and code.evaluate("one => getComputedStyle(one.closest('.cell_input')).opacity") == "1"
    page.set_viewport_size({"width": 672, "height": 950})  # what a sheet leaves
    assert (
        page.evaluate(
            "Math.max(...[...document.querySelectorAll('.bd-article :is(p, pre, figure, details)')].map(one => one.getBoundingClientRect().right))"
        )
        <= 673
    )
    page.emulate_media(media="screen", color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert shut.count() == before


@browser_only
def test_printed_files_are_offered_where_they_are(chrome: Browser, site: Path, tmp_path: Path) -> None:
    """Twice: the second time nothing is offered twice."""
    copy = shutil.copytree(site, tmp_path / "site")
    page = copy / "chapters" / "neural-feature-ansatz.html"
    assert not any(link.endswith(".pdf") for link in Reader(page).links)
    for _ in range(2):
        pdf.main(copy, ["chapters/neural-feature-ansatz", "chapters/glossary"], chrome)
        offered = [link for link in Reader(page).links if link.endswith(".pdf")]
        assert offered == ["../pdf/neural-feature-ansatz.pdf", f"../pdf/{pdf.BOOK}.pdf"]
    sizes = []
    for link in offered:
        content = (page.parent / link).read_bytes()
        assert content.startswith(b"%PDF-")
        assert b"127.0.0.1" not in content and b"localhost" not in content
        sizes.append(len(re.findall(rb"/Type /Page\b", content)))
    assert 10 < sizes[0] < sizes[1] < 80
    assert [link for link in Reader(copy / "chapters" / "glossary.html").links if link.endswith(".pdf")] == offered[1:]


def test_each_page_has_the_sign_of_the_book(site: Path) -> None:
    for name in screenshots.pages(site):
        icon = re.search(r'<link rel="icon" href="([^"?]*favicon.svg)', (site / name).read_text(encoding="utf-8"))
        assert icon and ((site / name).parent / icon[1]).resolve().exists(), name


@browser_only
def test_the_first_formula_comes_soon_after_the_first_words(chrome: Browser, site: Path) -> None:
    """At 10 Mbit/s from a server that compresses: within 1.5 times of the first paint, in the best of five visits."""
    with screenshots.served(site, packed=True) as address:
        ratios = [first_formula(chrome, f"{address}{SEQUENCE}") for _ in range(5)]
    assert min(ratios) <= 1.5, ratios


def first_formula(chrome: Browser, url: str) -> float:
    """When the first formula of a page is there, in times of its first paint; a first visit at 10 Mbit/s."""
    context = chrome.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    line = context.new_cdp_session(page)
    line.send("Network.enable")
    rate = {"downloadThroughput": 10e6 / 8, "uploadThroughput": 10e6 / 8}
    line.send("Network.emulateNetworkConditions", {"offline": False, "latency": 40, **rate})
    page.add_init_script("""
        const look = () => {
            const there = [...document.querySelectorAll("mjx-container")].some(one => one.getBoundingClientRect().height);
            there ? window.formula = performance.now() : requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    """)
    page.goto(url, wait_until="load")
    page.wait_for_function("window.formula")
    ratio = page.evaluate("window.formula / performance.getEntriesByName('first-contentful-paint')[0].startTime")
    context.close()
    return ratio


SEQUENCE = "chapters/sequence-models.html"


# ---- builds that must fail ----

RECORD = {"id": "small", "value": 0.25, "expectation": "0.25 ± 0.01", "holds": "yes"}


def notebook(record: dict[str, object], text: str) -> str:
    """An executed notebook, as a file holds it."""
    data = {"application/vnd.afp.claim+json": record, "text/plain": "small"}
    output = {"output_type": "display_data", "metadata": {}, "data": data}
    return json.dumps(
        {
            "cells": [
                {"cell_type": "markdown", "metadata": {}, "source": text},
                {"cell_type": "code", "metadata": {}, "execution_count": 1, "source": "check()", "outputs": [output]},
            ],
            "metadata": {
                "kernelspec": {"name": "python3", "display_name": "Python 3"},
                "language_info": {"name": "python"},
            },
            "nbformat": 4,
            "nbformat_minor": 4,
        }
    )


def publish(book: Path, url: str) -> None:
    """Write a public address into a book, with a bare Python."""
    command = [sys.executable, "-S", "-m", "afp_utils.book.address", url]
    subprocess.run(command, cwd=book, env=os.environ | {"PYTHONPATH": str(book)}, check=True, capture_output=True)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A book of one chapter with the engine of the real one."""
    book = tmp_path / "book"
    book.mkdir()
    shutil.copytree(ROOT / "afp_utils", book / "afp_utils", ignore=shutil.ignore_patterns("*.toml", "__pycache__"))
    (book / "afp_utils" / "language" / "claims-small.toml").write_text(ENTRY, encoding="utf-8")
    for folder in ("_static", "_templates"):
        shutil.copytree(ROOT / folder, book / folder)
    shutil.copy(ROOT / "_config.yml", book)
    (book / "_toc.yml").write_text(
        "format: jb-book\nroot: chapters/small\nchapters:\n- file: chapters/references\n- file: chapters/ledger\n",
        encoding="utf-8",
    )
    (book / "chapters").mkdir()
    empty = json.loads(notebook(RECORD, "# The ledger"))
    empty["cells"].pop()
    (book / "chapters" / "ledger.ipynb").write_text(json.dumps(empty), encoding="utf-8")
    publish(book, "none")
    shutil.copy(ROOT / "chapters" / "references.md", book / "chapters")
    (book / "chapters" / "small.ipynb").write_text(
        notebook(RECORD, "# Small\n\nA [Jacot et al. (2018)](https://arxiv.org/abs/1806.07572)."), encoding="utf-8"
    )
    return book


OUTSIDE = re.compile(r"mybinder|colab|github|gitlab|codeberg|canonical|og:url")


@pytest.mark.parametrize(
    ("url", "binder", "elsewhere"),
    [
        ("none", "", []),
        (
            "https://github.com/Someone/else.git",
            "https://mybinder.org/v2/gh/Someone/else/main?urlpath=lab/tree/",
            [
                "https://colab.research.google.com/github/Someone/else/blob/main/chapters/small.ipynb",
                "https://github.com/Someone/else",
                "https://someone.github.io/else/chapters/small.html",
            ],
        ),
        (
            "https://gitlab.com/someone/else/",
            "https://mybinder.org/v2/gl/someone%2Felse/main?urlpath=lab/tree/",
            ["https://gitlab.com/someone/else"],
        ),
        ("https://gitlab.com/group/someone/else", "", ["https://gitlab.com/group/someone/else"]),
        ("https://codeberg.org/someone/else", "", ["https://codeberg.org/someone/else"]),
    ],
)
def test_buttons_lead_to_the_address_or_are_left_out(
    small: Path, tmp_path: Path, url: str, binder: str, elsewhere: list[str]
) -> None:
    publish(small, url)
    result = build(small, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    site = tmp_path / "_build" / "html"
    page, ledger = (site / "chapters" / f"{name}.html" for name in ("small", "ledger"))
    own = re.findall(r'<link rel="canonical" href="(.*?)"', page.read_text(encoding="utf-8"))
    found = {link.split("/issues/new")[0].removesuffix("/-") for link in [*read(page).links, *own]}
    shown = {link for link in found if OUTSIDE.search(link)} - {"https://github.com/executablebooks/sphinx-book-theme"}
    assert shown == {*elsewhere, *([f"{binder}chapters/small.ipynb"] if binder else [])}
    assert any("mybinder" in link for link in read(ledger).links) == bool(binder)
    assert not any("colab" in link for link in read(ledger).links), "which holds one notebook, and not its chapters"
    home = next((link for link in elsewhere if "github.io" in link), "")
    assert (site / "sitemap.xml").exists() == ("og:url" in page.read_text(encoding="utf-8")) == bool(home)
    assert broken(site) == []


def test_a_setting_that_is_no_address_stops_the_build_in_words(small: Path, tmp_path: Path) -> None:
    settings = (small / "_config.yml").read_text(encoding="utf-8")
    (small / "_config.yml").write_text(settings.replace('url: ""', "url: http://github.com/a b"), encoding="utf-8")
    result = build(small, tmp_path)
    assert result.returncode != 0
    assert "_config.yml: repository.URL must be the https address" in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("record", "text", "said"),
    [
        ({}, "See [](missing.md).", "missing.md"),
        ({}, "See [there](references.md#nowhere).", "nowhere"),
        (
            {},
            "See [Nobody (1999)](https://example.org).",
            "must lead to a work of references.bib, got '[Nobody (1999)]",
        ),
        ({}, "See [(1.1)](#eq-nowhere).", "eq-nowhere"),
        ({}, "See [Figure 1.1](#fig-nowhere).", "fig-nowhere"),
        ({}, "See [Theorem 1.1](#thm-nowhere).", "thm-nowhere"),
        ({"value": 0.5}, "", "claim small fails: stored 0.5, expected 0.25 ± 0.01"),
        ({"holds": "no"}, "", "claim small is stale"),
        ({"id": "other"}, "", "claim other of small.ipynb is not registered"),
        ({"id": "other"}, "", "claim small is registered for small but never checked"),
    ],
)
def test_a_planted_fault_fails_the_build(
    small: Path, tmp_path: Path, record: dict[str, object], text: str, said: str
) -> None:
    (small / "chapters" / "small.ipynb").write_text(notebook(RECORD | record, f"# Small\n\n{text}"), encoding="utf-8")
    result = build(small, tmp_path)
    assert result.returncode != 0
    assert said in result.stdout + result.stderr

"""Print the chapters of the built site, and the whole book: python -m tools.pdf SITE

Chromium prints what readers would print. The files go to SITE/pdf, and the pages' menus of downloads name them: a site
that is built anew has neither until this runs again. Links within the book lead to places of the whole book's PDF, in a
chapter's to the public site, or, where the book has no address, nowhere.
"""

import re
import sys
from pathlib import Path
from urllib.parse import quote

import yaml
from playwright.sync_api import Browser, Page

from afp_utils.book import address
from tools import screenshots

ROOT = Path(__file__).parents[1]
BOOK = "how-models-learn-features"
MENU = re.compile(
    r'(<li>\s*<button onclick="window\.print\(\)".*?</button>\s*</li>)(<!--pdf-->.*?<!--/pdf-->)?', re.DOTALL
)
ITEM = (
    '<li><a href="{}" target="_blank" class="btn btn-sm dropdown-item"><span class="btn__icon-container">'
    '<i class="fas fa-file-pdf"></i></span><span class="btn__text-container">{}</span></a></li>'
)
FOOT = '<div style="font: 8pt sans-serif; text-align: center; width: 100%"><span class="pageNumber"></span></div>'
TYPESET = "(window.MathJax?.startup?.promise ?? Promise.resolve())"

ALONE = """home => {
    for (const link of document.querySelectorAll(".bd-article a[href]")) {
        const to = link.getAttribute("href");
        if (/^(#|[a-z]+:)/.test(to)) continue;
        const path = new URL(to, location.href);
        if (home) link.href = home + (path.pathname + path.hash).slice(1);
        else link.removeAttribute("href");
    }
}"""
"""Give a page's links to other pages their public address, or none."""

TOGETHER = """async names => {
    const host = document.querySelector("article.bd-article"), root = new URL("..", location.href);
    const label = (page, id) => page.replaceAll("/", "-") + "--" + id;
    const whole = [];
    for (const name of names) {
        const from = new URL(name + ".html", root);
        const page = new DOMParser().parseFromString(await (await fetch(from)).text(), "text/html");
        const article = page.querySelector("article.bd-article");
        article.querySelectorAll("script, .afp-living").forEach(one => one.remove());
        for (const one of article.querySelectorAll("[id]")) one.id = label(name, one.id);
        for (const one of article.querySelectorAll("img[src]")) one.src = new URL(one.getAttribute("src"), from).href;
        for (const link of article.querySelectorAll("a[href]")) {
            const to = new URL(link.getAttribute("href"), from);
            if (to.origin !== root.origin) continue;
            const other = to.pathname.slice(root.pathname.length).replace(/\\.html$/, "");
            if (!names.includes(other)) link.removeAttribute("href");
            else link.setAttribute("href", "#" + (to.hash ? label(other, decodeURIComponent(to.hash.slice(1))) : "page-" + label(other, "")));
        }
        const part = document.createElement("section");
        part.id = "page-" + label(name, "");
        part.style.breakBefore = whole.length ? "page" : "auto";
        part.append(...article.childNodes);
        whole.push(part);
    }
    await window.MathJax?.startup?.promise;
    host.replaceChildren(...whole);
    await afpTypeset(host);
}"""
"""Put all pages into this one, their names and links with the page's name before them."""


def order() -> list[str]:
    """The pages of the printed book as paths without ending, in its order: all but those of the package."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [toc["root"], *(name for name in files if "/api/" not in name)]


def store(page: Page, target: Path) -> None:
    """Print a page as it stands."""
    page.emulate_media(media="print", color_scheme="light")
    page.evaluate("Promise.all([...document.images].map(one => one.decode().catch(() => 0)))")
    target.parent.mkdir(parents=True, exist_ok=True)
    page.pdf(
        path=target,
        print_background=True,
        prefer_css_page_size=True,
        display_header_footer=True,
        header_template="<span></span>",
        footer_template=FOOT,
        outline=True,
        tagged=True,
    )
    print(f"pdf: {target} ({target.stat().st_size / 1e6:.1f} MB)", flush=True)


def offer(page: Path, up: str, files: dict[str, str]) -> None:
    """Name files in the menu of a page, by what it says of each."""
    items = "".join(ITEM.format(up + quote(path), text) for path, text in files.items())
    text = page.read_text(encoding="utf-8")
    page.write_text(MENU.sub(lambda found: f"{found[1]}<!--pdf-->{items}<!--/pdf-->", text), encoding="utf-8")


def main(site: Path, names: list[str], chrome: Browser) -> None:
    """Print pages of a built site, each notebook by itself and all as one book, and offer what was printed."""
    home = address.site(address.stored()[0])
    notebooks = [name for name in names if (ROOT / f"{name}.ipynb").exists()]
    with screenshots.served(site) as host:
        context = chrome.new_context(color_scheme="light")
        for name in notebooks:
            page = context.new_page()
            page.goto(f"{host}{name}.html", wait_until="load")
            page.evaluate(TYPESET)
            page.evaluate(ALONE, home)
            store(page, site / "pdf" / f"{Path(name).name}.pdf")
            page.close()
        page = context.new_page()
        page.set_default_timeout(600_000)
        page.goto(f"{host}{names[0]}.html", wait_until="load")
        page.evaluate(TOGETHER, names)
        store(page, site / "pdf" / f"{BOOK}.pdf")
        context.close()
    for path in screenshots.pages(site):
        own = f"pdf/{Path(path).stem}.pdf"
        files = ({own: "This chapter, .pdf"} if path.removesuffix(".html") in notebooks else {}) | {
            f"pdf/{BOOK}.pdf": "The book, .pdf"
        }
        offer(site / path, "../" * path.count("/"), files)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if screenshots.chromium() is None:
        sys.exit("pdf: found no Chromium on this machine: apt-get install chromium, or set CHROMIUM")
    with screenshots.browser() as browser:
        main(Path(sys.argv[1]), order(), browser)

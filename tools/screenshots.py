"""Take every page of the built site, wide and narrow, light and dark: python tools/screenshots.py SITE FOLDER [PAGE ...]"""

import gzip
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any, Literal

from playwright.sync_api import Browser, sync_playwright

WIDTHS = (1280, 390)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing about each request."""


def chromium() -> str | None:
    """The browser of this machine; CHROMIUM names another."""
    found = (
        os.environ.get("CHROMIUM"),
        shutil.which("chromium"),
        shutil.which("chromium-browser"),
        shutil.which("google-chrome"),
    )
    return next(filter(None, found), None)


class Packed(Quiet):
    """Sends text compressed, as servers of sites do."""

    def send_head(self) -> Any:
        path = Path(self.translate_path(self.path))
        if path.suffix not in {".html", ".js", ".css", ".svg"} or not path.is_file():
            return super().send_head()
        content = gzip.compress(path.read_bytes(), 6)
        self.send_response(200)
        for name, value in {
            "Content-Type": self.guess_type(path),
            "Content-Encoding": "gzip",
            "Content-Length": str(len(content)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        return BytesIO(content)


@contextmanager
def served(site: Path, packed: bool = False) -> Iterator[str]:
    """The address of a local server of the site, which compresses what it sends if it is told to."""
    handler = Packed if packed else Quiet
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=site))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@contextmanager
def browser() -> Iterator[Browser]:
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as play:
        yield play.chromium.launch(executable_path=chromium(), args=quiet)


def pages(site: Path) -> list[str]:
    """The pages that readers see, as paths relative to the site; redirects are none."""
    found = (path for path in site.rglob("*.html") if "_static" not in path.parts)
    shown = (path for path in found if 'http-equiv="Refresh"' not in path.read_text(encoding="utf-8"))
    return sorted(str(path.relative_to(site)) for path in shown)


def main(site: Path, folder: Path, chosen: list[str]) -> None:
    if chromium() is None:
        sys.exit("screenshots: found no Chromium on this machine: apt-get install chromium, or set CHROMIUM")
    folder.mkdir(parents=True, exist_ok=True)
    with served(site) as address, browser() as chrome:
        for width in WIDTHS:
            for scheme in SCHEMES:
                context = chrome.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
                for name in chosen or pages(site):
                    page = context.new_page()
                    page.goto(address + name, wait_until="networkidle")
                    target = folder / f"{name.removesuffix('.html').replace('/', '_')}-{width}-{scheme}.png"
                    page.screenshot(path=target, full_page=True)
                    page.close()
                    print(target)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])

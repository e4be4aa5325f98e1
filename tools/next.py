"""Build the book by plain Sphinx at its newest, and compare the pages with those that Jupyter Book built.

    python -m tools.next SITE FOLDER

The configuration is what `jupyter-book config sphinx` writes, without Jupyter Book itself; what it loads is put at its
newest into FOLDER/lib, before the packages of the environment. Ends with the pages whose words, links or pictures differ.
"""

import os
import re
import runpy
import shutil
import subprocess
import sys
from difflib import SequenceMatcher
from importlib.metadata import packages_distributions, version
from pathlib import Path

from bs4 import BeautifulSoup

from tools import screenshots

ROOT = Path(__file__).parents[1]
# blanks at both ends of a formula, which come and go with the version and show nowhere
BLANKS = re.compile(r"(?<=\\\[)\s+|(?<=\\begin\{split\})\s+|\s+(?=\\\]|\\end\{split\})")


def configure(folder: Path) -> list[str]:
    """Write FOLDER/conf.py. Returns the names of the packages that hold its extensions."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "_config.yml", folder)  # conf.py is written beside it
    places = [str(ROOT), "--config", str(folder / "_config.yml"), "--toc", str(ROOT / "_toc.yml")]
    run("-c", "from jupyter_book.cli.main import main; main()", "config", "sphinx", *places)
    config = runpy.run_path(str(folder / "conf.py"))
    changed = {"extensions": [name for name in config["extensions"] if name != "jupyter_book"]}
    for key in ("bibtex_bibfiles", "html_static_path"):  # relative paths begin at the folder of conf.py
        changed[key] = [str(ROOT / path) for path in config[key]]
    with (folder / "conf.py").open("a", encoding="utf-8") as conf:
        conf.writelines(f"{key} = {value!r}\n" for key, value in changed.items())
    roots = {name.partition(".")[0] for name in changed["extensions"]} - {"afp_utils", "sphinx"}
    return sorted({home for root in roots for home in packages_distributions()[root]})


def run(*command: str, **variables: str) -> None:
    """Run Python with arguments; what it said is shown where it fails, which ends this program."""
    given = os.environ | variables
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=given, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\nnext: python {' '.join(command[:2])} failed")


def build(folder: Path) -> Path:
    """The folder of the site, built anew with warnings as errors by a Sphinx that is newer than the installed one."""
    lib, site = folder / "lib", folder / "html"
    shutil.rmtree(lib, ignore_errors=True)
    shutil.rmtree(site, ignore_errors=True)
    newer = [f"sphinx>{version('sphinx')}", "sphinx-mathjax-offline", *configure(folder)]
    run("-m", "pip", "install", "-q", "--target", str(lib), *newer)
    options = ["-W", "--keep-going", "-q", "-c", str(folder), str(ROOT), str(site)]
    run("-m", "sphinx", *options, PYTHONPATH=f"{lib}{os.pathsep}{ROOT}")
    return site


def pages(site: Path) -> list[str]:
    """The book's pages; the theme's own, such as the search, are none."""
    return [name for name in screenshots.pages(site) if name.startswith("chapters/")]


def words(page: Path) -> list[str]:
    """What a page's article says, word by word, and what it points at; of a page without an article, all of it."""
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    article = soup.select_one("article.bd-article") or soup
    parts = ((tag, key) for tag in article.find_all(True) for key in ("href", "src", "alt") if tag.has_attr(key))
    return BLANKS.sub("", article.get_text(" ")).split() + [f"{key}={tag[key]}" for tag, key in parts]


def differences(old: Path, new: Path) -> list[str]:
    """A line for each page that one site lacks, or whose words differ: what comes first, before and after."""
    ours, theirs = set(pages(old)), set(pages(new))
    found = [f"{name}: only in {old if name in ours else new}" for name in sorted(ours ^ theirs)]
    for name in sorted(ours & theirs):
        before, after = words(old / name), words(new / name)
        parts = SequenceMatcher(None, before, after, autojunk=False).get_opcodes() if before != after else []
        changed = [(before[i:j], after[k:n]) for kind, i, j, k, n in parts if kind != "equal"]
        if changed:
            was, now = (" ".join(part[:12]) for part in changed[0])
            found.append(f"{name}: {len(changed)} differences, the first: {was!r}, now {now!r}")
    return found


def main(site: Path, folder: Path) -> None:
    if found := differences(site, build(folder.resolve())):
        sys.exit("\n".join([*found, f"next: {len(found)} pages differ"]))
    print(f"next: {len(pages(site))} pages, all the same")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:])) if len(sys.argv) == 3 else sys.exit(__doc__)

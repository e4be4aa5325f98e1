"""The public address of the book's repository: one command writes it wherever the book names it.

    python -m afp_utils.book.address                        say which it is
    python -m afp_utils.book.address URL [--branch BRANCH]  write it, such as https://github.com/owner/name
    python -m afp_utils.book.address none                   take it away

`_config.yml` holds it; CITATION.cff, README.md, the landing page and the notebooks' set-up cells repeat it. Until one is
set they say so, and the site has no button that would lead nowhere. The standard library is enough: the workflow that
publishes runs this with a bare Python.
"""

import argparse
import hashlib
import json
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
SETTING = re.compile(r'^repository:\n  url: "?(.*?)"?\n  branch: "?(.*?)"?$', re.MULTILINE)
"""What _config.yml says of the repository: its address, and the branch that readers open."""
URL = re.compile(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?(/[\w.~+-]*[\w~+-]){2,}", re.ASCII | re.IGNORECASE)
BRANCH = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)
CITED = re.compile(r"^(# )?repository-code:.*$", re.MULTILINE)
QUOTED = "(<!--={}-->)(.*?)(<!--/-->)"

SETUP = """\
# Set-up: one thread for linear algebra. Where the book's package is missing,
# as in Colab, it is installed, which takes about a minute.
import importlib.util
import os
import re
import subprocess
import sys

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
book, fault = "", "this copy of the book has no public address"
if importlib.util.find_spec("afp_utils") is None and book:
    print("Installing the book's package, about a minute ...")
    pip = [sys.executable, "-m", "pip", "install", "-q", book]
    try:
        done = subprocess.run(pip, check=False, capture_output=True, text=True)
        said = re.findall("fatal: .*|ERROR: .*|No module .*", done.stderr)
        fault = [f"pip ended with {done.returncode}", *said][-1]
    except OSError as error:
        fault = f"no program can be started here, {error}"
if importlib.util.find_spec("afp_utils") is None:

    class SetUpError(ImportError):
        def _render_traceback_(self):
            return [str(self)]

    raise SetUpError(
        f"The book's package is missing, since {fault}: mend that and run "
        "this cell again, or work in the book's folder, set up by `make book`."
    )"""
"""The notebooks' first code, as it is without an address."""


def checked(text: str) -> str:
    """The https address of a repository, or "" for none; `.git` and a slash at its end are taken off.

    Raises `ValueError` for anything else.
    """
    url = text.rstrip("/").removesuffix(".git")
    if url and not URL.fullmatch(url):
        raise ValueError(f"URL must be the https address of a repository, https://host/owner/name, got {text!r}")
    if url and "Binder" not in launchers(url) and urlsplit(url).hostname == "github.com":
        raise ValueError(f"URL must name a repository of github.com, https://github.com/owner/name, got {text!r}")
    return url


def stored() -> tuple[str, str]:
    """The address and the branch in _config.yml. Raises `ValueError` where they are unclear."""
    found = SETTING.findall((ROOT / "_config.yml").read_text(encoding="utf-8"))
    if len(found) != 1:
        raise ValueError(f'_config.yml must say once: repository:, url: "...", branch: "...", found {found}')
    return checked(found[0][0]), found[0][1]


def launchers(url: str) -> tuple[str, ...]:
    """The hosts that open notebooks of a repository at an address: Colab those of GitHub; Binder those of GitLab too."""
    simple = url.count("/") == 4
    host = urlsplit(url).netloc.lower() if simple else ""
    return {"github.com": ("Binder", "Colab"), "gitlab.com": ("Binder",)}.get(host, ())


def site(url: str) -> str:
    """Where the workflow publishes the site, on GitHub's pages; "" for a repository elsewhere."""
    if "Colab" not in launchers(url):
        return ""
    owner, name = urlsplit(url).path[1:].split("/")
    home = f"{owner.lower()}.github.io"
    return f"https://{home}/" if name.lower() == home else f"https://{home}/{name}/"


def words(url: str) -> dict[str, str]:
    """What the pages say of the address, by the names under which they quote it."""
    hosts = {
        "Binder": "in Binder (nothing to install, a minute or several to start, your changes are lost when you leave)",
        "Colab": "in Colab (needs an account; the first cell fetches the book's package)",
    }
    where = " or ".join(hosts[host] for host in launchers(url))
    if not url:
        return {
            "address": "This copy of the book has no public address yet; `make address` sets one.",
            "launch": "Binder and Colab open what has a public address, and this copy of the book has none yet.",
        }
    return {
        "address": f"It is published at <{site(url)}>, from <{url}>." if site(url) else f"Its repository is <{url}>.",
        "launch": f"The rocket at the top of a chapter opens it {where}." if where else f"The chapters are at <{url}>.",
    }


def cell(url: str, branch: str) -> str:
    """The code of the set-up cell, which installs the package from a branch of the repository."""
    return SETUP.replace('book, fault = ""', f'book, fault = "git+{url}@{branch}"') if url else SETUP


def in_notebook(file: Path, code: str) -> str:
    """The text of a notebook with new code in its set-up cell, to the byte the same elsewhere.

    Raises `ValueError` if somebody has written in the cell, or if it is of an older version of the book.
    """
    text = file.read_text(encoding="utf-8")
    try:
        cells = json.loads(text)["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file.name} must be a notebook, got {type(error).__name__}: {error}") from None
    for one in cells:
        mark, old = one["metadata"].get("afp", {}), "".join(one["source"])
        if "setup" not in mark:
            continue
        changed = [pair for pair in zip(old.splitlines(), code.splitlines()) if pair[0] != pair[1]]
        if _digest(old) != mark["made"] or len(changed) > 1 or len(old.splitlines()) != len(code.splitlines()):
            raise ValueError(f"{file.name}: its set-up cell must be the book's own, run `make chapters` first")
        for before, after in [*changed, (mark["made"], _digest(code))]:
            text = text.replace(json.dumps(before)[1:-1], json.dumps(after)[1:-1])
    return text


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()[:16]  # as notebooks.digest, which needs more than a bare Python


def write(url: str, branch: str) -> list[Path]:
    """Write an address wherever the book names it, in all files or in none. Returns the files that changed.

    Raises `ValueError` if one of them cannot take it.
    """
    setting = f'repository:\n  url: "{url}"\n  branch: "{branch}"'
    cited = f"repository-code: {url}" if url else "# repository-code: none yet"
    texts = {}
    for name, pattern, new in (("_config.yml", SETTING, setting), ("CITATION.cff", CITED, cited)):
        if (file := ROOT / name).exists():
            texts[file] = pattern.sub(new, file.read_text(encoding="utf-8"))
    for page in (ROOT / "README.md", ROOT / "chapters" / "index.md"):
        if page.exists():
            texts[page] = page.read_text(encoding="utf-8")
            for name, said in words(url).items():
                held = re.findall(QUOTED.format(name), texts[page], re.DOTALL)
                if any("<!--=" in inside for _, inside, _ in held):
                    raise ValueError(f"{page.name}: <!--={name}--> must be closed by <!--/--> before the next mark")
                texts[page] = re.sub(QUOTED.format(name), rf"\1{said}\3", texts[page], flags=re.DOTALL)
    listed = re.findall(r"chapters/([\w-]+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
    for notebook in (ROOT / "chapters" / f"{name}.ipynb" for name in listed):
        if notebook.exists():
            texts[notebook] = in_notebook(notebook, cell(url, branch))
    changed = {file: text for file, text in texts.items() if text != file.read_text(encoding="utf-8")}
    if locked := [file.name for file in changed if not os.access(file, os.W_OK)]:
        raise ValueError(f"the files that name the address must be writable, got {', '.join(locked)}, which cannot be")
    for file, text in changed.items():
        file.write_text(text, encoding="utf-8")
    return list(changed)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m afp_utils.book.address",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", nargs="?", default="", metavar="URL")
    parser.add_argument("--branch", help="the branch that readers open; without it, the one in _config.yml")
    given = parser.parse_args()
    try:
        url, branch = stored()
        if given.branch and not given.url:
            raise ValueError(f"BRANCH needs a URL beside it, got {given.branch!r} alone")
        if given.url:
            url = checked("" if given.url == "none" else given.url)
            branch = given.branch or (branch if url else "main")
            if not BRANCH.fullmatch(branch):
                raise ValueError(f"BRANCH must be the name of a branch, got {branch!r}")
            print(f"address: {len(write(url, branch))} files written")
    except ValueError as error:
        sys.exit(f"address: {error}")
    print(f"address: {url}, branch {branch}" if url else "address: none yet")


if __name__ == "__main__":
    main()

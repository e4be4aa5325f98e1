"""Run the book in another environment and write a row into chapters/checked.md: `python -m tools.checked NAME ...`.

NAME is one of `environments()`. Each has a folder _build/where/NAME with its venv, log and results; what has run is not run
again until a file of the book changes. `--torch VERSION` takes another torch than the list says, `--torch none` none.
"""

import argparse
import ast
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml
from tqdm import tqdm

from afp_utils.book import claims, ledger
from afp_utils.book.run import watched

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "chapters" / "checked.md"
PLACE = ROOT / "_build" / "where"
HEAD = ("where", "with", "tests", "claims", "what failed", "cost", "on")
TORCH_INDEX = os.environ.get("TORCH_INDEX") or "https://download.pytorch.org/whl/cpu"
IS_TORCH = re.compile(r"torch\b")
TABLE = re.compile(r"(<!-- begin where -->\n).*?(<!-- end where -->)", re.DOTALL)
NAMED = re.compile(r"<!-- ([\w.-]+) -->")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BOUNDS = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["book"] + PROJECT["optional-dependencies"]["test"]
WITH_CHAPTERS = ["ipykernel", "nbformat", "nbval", "hypothesis", "pyyaml", *re.findall(r"pytest[\w-]*", str(BOUNDS))]
"""What a reader's environment lacks, and the chapters' comparison and the tests of the mechanisms need."""
MECHANISMS = sorted(f"tests/{file.parent.name}" for file in (ROOT / "tests").glob("*/__init__.py"))
MECHANISMS.remove("tests/book")  # the engine: it needs what builds the book


class CheckError(Exception):
    """Why an environment could not be made or tried, in one line."""


@dataclass(frozen=True)
class Environment:
    """One place to try the book in: words for the page, its Python, and what pip installs there.

    Without `needs` it is .venv itself. `whole` tells whether all tests run, or those of the mechanisms alone.
    """

    words: str
    python: str = ""
    needs: list[str] = field(default_factory=list)
    pins: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    whole: bool = True

    def with_torch(self, version: str | None) -> "Environment":
        if version is None:
            return self
        one = [] if version == "none" else [f"torch=={version}"]
        return replace(
            self,
            needs=[line for line in self.needs if not IS_TORCH.match(line)] + one,
            pins=[line for line in self.pins if not IS_TORCH.match(line)],
        )


def environments() -> dict[str, Environment]:
    """All of them, in the order of the page."""
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    (listed,) = (entry["pip"] for entry in conda if isinstance(entry, dict))
    only = [line for line in listed if not line.startswith("--")]
    found = {
        "pinned": Environment("the versions of `constraints.txt`"),
        "pinned-2-threads": Environment("the same, two threads of linear algebra", variables=threads(2)),
        "pinned-other-rounding": Environment(
            "the same, instructions of an old processor",
            variables={"ATEN_CPU_CAPABILITY": "default", "OPENBLAS_CORETYPE": "Prescott"},
        ),
        "lowest-3.11": Environment("the lowest versions that `pyproject.toml` allows", "3.11", lowest(BOUNDS)),
        "newest-3.13": Environment("the newest versions that it allows", "3.13", BOUNDS),
        "binder": Environment("Binder's `environment.yml`", "3.11", [*WITH_CHAPTERS, *only], whole=False),
    }
    for file in sorted((ROOT / "tests" / "data").glob("colab-*.txt"), reverse=True):
        text = file.read_text(encoding="utf-8")
        pins = re.findall(r"^[\w.-]+==[\w.]+", text, re.MULTILINE)
        python = re.findall(r"Python (3\.\d+)", text)[0]
        needs = [*WITH_CHAPTERS, *PROJECT["dependencies"]]
        found[file.stem] = Environment(
            f"Colab's image {file.stem.removeprefix('colab-')}", python, needs, pins, whole=False
        )
    return found


def threads(number: int) -> dict[str, str]:
    return {f"{library}_NUM_THREADS": str(number) for library in ("OMP", "OPENBLAS", "MKL")}


def lowest(bounds: list[str]) -> list[str]:
    """The lower bounds as versions.

    >>> lowest(["numpy>=2.0", "jupyter-book>=1.0.4,<2"])
    ['numpy==2.0', 'jupyter-book==1.0.4']
    """
    return [bound.split(",")[0].replace(">=", "==") for bound in bounds]


# ---- one environment ----


@dataclass(frozen=True)
class Try:
    """An environment being tried, in its folder."""

    name: str
    environment: Environment

    @property
    def folder(self) -> Path:
        return PLACE / self.name

    @property
    def python(self) -> str:
        return str(self.folder / "venv" / "bin" / "python") if self.environment.needs else sys.executable

    def run(self, step: str, *command: str, may_fail: bool = False) -> str:
        """Run a command, what it says going to the log. Returns its standard output; raises `CheckError`."""
        fixed = {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "MPLCONFIGDIR": str(self.folder / "matplotlib")}
        newest = {"AFP_NEWEST": "1" if self.environment.needs else ""}
        variables = os.environ | threads(1) | fixed | newest | self.environment.variables
        if (
            "OMP_NUM_THREADS" in self.environment.variables
        ):  # libraries that are there before a chapter's first cell keep their threads
            start = self.folder / "ipython" / "profile_default" / "startup"
            start.mkdir(parents=True, exist_ok=True)
            (start / "first.py").write_text("import numpy, scipy.linalg, torch\n", encoding="utf-8")
            variables["IPYTHONDIR"] = str(self.folder / "ipython")
        try:
            done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, encoding="utf-8", check=False)
        except FileNotFoundError:
            done = subprocess.CompletedProcess(command, 127, "", f"{command[0]} is not on this machine")
        with (self.folder / "log").open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}\n")
        if done.returncode and not may_fail:
            said = done.stderr.splitlines()
            last = ([line for line in said if "ERROR" in line] or said or ["no word why"])[-1]
            raise CheckError(f"{self.name}: {step}: {last} (more in {self.folder}/log)")
        return done.stdout

    def install(self) -> None:
        """Make the venv, unless one with the same list is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (wanted := self.environment.needs):
            return
        mark, text = self.folder / "installed", json.dumps([self.environment.python, wanted, self.environment.pins])
        if mark.exists() and mark.read_text(encoding="utf-8") == text:
            return
        mark.unlink(missing_ok=True)
        pins, needs = self.folder / "pins.txt", self.folder / "needs.txt"
        pins.write_text("\n".join(self.environment.pins), encoding="utf-8")
        needs.write_text("\n".join(wanted), encoding="utf-8")
        self.run("venv", f"python{self.environment.python}", "-m", "venv", "--clear", str(self.folder / "venv"))
        pip = (self.python, "-m", "pip", "install", "-q")
        # First torch, without CUDA where its index answers; without retries, which would count for every other package.
        small = ["--extra-index-url", TORCH_INDEX, "--retries", "0", "--timeout", "20"]
        for line in filter(IS_TORCH.match, wanted):
            self.run("torch", *pip, line, *small, "-c", str(pins))
        self.run("pip", *pip, "-r", str(needs), "-c", str(pins))
        self.run("the package", *pip, "--no-deps", "-e", ".")
        self.run("fonts", self.python, "-c", "import matplotlib.font_manager")
        mark.write_text(text, encoding="utf-8")

    def part(self, name: str, paths: list[str], stamp: str) -> dict[str, Any]:
        """Run some tests, unless they have run on the same book: what came of each, seconds, and peak memory in bytes."""
        stored, report = self.folder / f"{name}.json", self.folder / f"{name}.xml"
        if stored.exists() and (old := json.loads(stored.read_text(encoding="utf-8")))["stamp"] == stamp:
            return old
        report.unlink(missing_ok=True)
        split = ["-n", "2", "--dist", "loadfile"]
        start = time.perf_counter()
        with watched(os.getpid()) as peak:
            command = (self.python, "-m", "pytest", "-q", *split, f"--junitxml={report}", *paths)
            self.run(name, *command, may_fail=True)
        if not report.exists():
            raise CheckError(f"{self.name}: {name}: pytest ended without a report (more in {self.folder}/log)")
        new = {"stamp": stamp, "seconds": time.perf_counter() - start, "bytes": peak[0], "results": results(report)}
        stored.write_text(json.dumps(new), encoding="utf-8")
        return new

    def row(self) -> list[str]:
        """Try it: the cells of its row."""
        self.install()
        stamp = digest(json.dumps([self.environment.needs, self.environment.pins]), book())
        whole = ["tests"] if self.environment.whole else MECHANISMS
        parts = [self.part("chapters", ["chapters"], stamp), self.part("tests", whole, stamp)]
        outcomes = {name: came for part in parts for name, came in part["results"].items()}
        asked = "import importlib.metadata as m, platform as p; print([p.python_version(), *(m.version(n) if n in"
        asked += " {d.name for d in m.distributions()} else 'none' for n in ('numpy', 'scipy', 'torch'))])"
        versions = ast.literal_eval(self.run("versions", self.python, "-c", asked))
        return cells(
            f"{self.environment.words} <!-- {self.name} -->",
            versions,
            outcomes,
            float(max(part["bytes"] for part in parts)) / 1e6,
            float(sum(part["seconds"] for part in parts)) / 60,
        )


def results(report: Path) -> dict[str, str]:
    """What came of each test of a report in JUnit's form, by its name: passed, skipped or failed."""
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        came = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found[f"{case.get('classname')}: {case.get('name')}"] = came
    return found


def confirmed(outcomes: dict[str, str]) -> int:
    """How many claims were checked again: those whose cell passed, with its verdict and its value."""
    count = 0
    for notebook in ledger.notebooks(ROOT / "chapters"):
        cells = [
            cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"
        ]
        for number, cell in enumerate(cells):
            shown = sum(claims.CLAIM in output.get("data", {}) for output in cell["outputs"])
            count += shown * (outcomes.get(f"chapters.{notebook.name}: Cell {number}") == "passed")
    return count


def cells(words: str, versions: list[str], outcomes: dict[str, str], megabytes: float, minutes: float) -> list[str]:
    """A row: failures are counted and named, and what was skipped is said."""
    came = list(outcomes.values())
    failed = [name.split("::")[-1] for name, one in outcomes.items() if one == "failed"]
    tests = f"{came.count('passed'):,} of {len(came) - came.count('skipped'):,}"
    named = "; ".join(failed[:5]).replace("|", "/") + (f" and {len(failed) - 5} more" if len(failed) > 5 else "")
    claimed = f"{confirmed(outcomes)} of {len(claims.registry())}"
    today = datetime.now(UTC).date().isoformat()
    skipped = f", {came.count('skipped')} skipped" * ("skipped" in came)
    used = ", ".join(f"{name} {version}" for name, version in zip(("Python", "NumPy", "SciPy", "torch"), versions))
    cost = f"{minutes:.0f} min, {megabytes:,.0f} MB"
    return [words, used, tests, claimed, (named or "nothing") + skipped, cost, today]


def digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def book() -> str:
    """Fingerprint of the book's files, the page of this table left out."""
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout.split("\0")
    files = [ROOT / name for name in sorted(set(listed)) if name]
    return digest(*(digest(file.read_bytes().hex()) for file in files if file.is_file() and file != PAGE))


# ---- the page ----


def renewed(page: str, rows: dict[str, list[str]]) -> str:
    """The page with new rows in its table; the others' rows stay, in the order of `environments()`."""
    match = TABLE.search(page)
    if not match:
        raise CheckError(f"{PAGE.name} must have a table between <!-- begin where --> and <!-- end where -->")
    lines = {found[1]: line for line in match[0].splitlines()[1:-1] if (found := NAMED.search(line))}
    lines |= {name: f"| {' | '.join(row)} |" for name, row in rows.items()}
    order = [*environments(), *lines]
    body = [lines[name] for name in dict.fromkeys(order) if name in lines]
    head = [f"| {' | '.join(HEAD)} |", "| :-- " * len(HEAD) + "|"]
    return TABLE.sub(lambda match: match[1] + "\n".join(["", *head, *body, "", ""]) + match[2], page)


def main() -> None:
    known = environments()
    parser = argparse.ArgumentParser(prog="python -m tools.checked", description=__doc__)
    parser.add_argument("name", nargs="+", choices=known, metavar="NAME", help=", ".join(known))
    parser.add_argument("--torch", help="a version of torch instead of the list's, or none")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # begun in the background it is ignored, and tests use it
    troubles = []
    for name in tqdm(given.name, disable=None, leave=False):
        try:
            row = Try(name, known[name].with_torch(given.torch)).row()
        except CheckError as error:
            troubles.append(str(error))
            continue
        PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), {name: row}), encoding="utf-8")
        tqdm.write(f"checked: {name}: tests {row[2]}, claims {row[3]}, failed: {row[4]}")
    if troubles:
        sys.exit("checked: " + "\nchecked: ".join(troubles))


if __name__ == "__main__":
    main()

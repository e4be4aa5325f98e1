"""Benchmarks: ours and the alternative side by side in one run, on one thread, as a ratio of CPU times.

With `--page` (`make bench`) the rows that the benchmarks record replace those in chapters/benchmarks.md.
"""

import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from importlib.metadata import version
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

PAGE = Path(__file__).parents[1] / "chapters" / "benchmarks.md"
ROWS: dict[str, dict[str, list[str]]] = {}
"""What this run has measured: table, benchmark, cells of its row."""
COMMENT = re.compile(r"<!-- (.*?) -->")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    import torch

    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield


@pytest.fixture
def record(request) -> Callable[..., None]:
    """Put this benchmark's row into a table of the page: text as it is, numbers to three digits."""

    def put(table: str, *cells: float | str) -> None:
        row = [cell if isinstance(cell, str) else digits(cell) for cell in cells]
        ROWS.setdefault(table, {})[request.node.name] = row

    return put


@pytest.fixture
def beside(benchmark, capsys) -> Callable[..., tuple[float, float]]:
    """Time two functions in turn and show the ratio; returns the median CPU seconds of ours and of the other."""

    def compare(
        ours: Callable[[], object], other: Callable[[], object], rounds: int = 5, scale: float = 1.0
    ) -> tuple[float, float]:
        spent: tuple[list[float], list[float]] = ([], [])
        benchmark.pedantic(ours, rounds=1)  # which also warms up
        for _ in range(rounds):
            for times, function in zip(spent, (ours, other)):
                with clock() as taken:
                    function()
                times.append(taken())
        mine, theirs = statistics.median(spent[0]), scale * statistics.median(spent[1])
        benchmark.extra_info["ratio"] = theirs / mine
        with capsys.disabled():
            print(f"\n{benchmark.name}: ours {mine:.3g} s, other {theirs:.3g} s, ratio {theirs / mine:.3g}")
        return mine, theirs

    return compare


@contextmanager
def clock() -> Iterator[Callable[[], float]]:
    """Seconds of the processor spent inside."""
    start = time.process_time()
    end: list[float] = []
    yield lambda: end[0] - start
    end.append(time.process_time())


def digits(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


# ---- the page ----


def machine() -> str:
    """What the numbers were measured on. No names or paths of the machine."""
    cpus = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*:\s*(.*)", cpus)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name.lower())}" for name in ("NumPy", "SciPy", "torch"))
    return (
        f"Measured on {date.today()}: {model.group(1) if model else platform.processor() or platform.machine()}, "
        f"{os.cpu_count()} cores, {memory:.0f} GB of memory, Python {platform.python_version()}, {versions}, one thread."
    )


def merged(old: str, new: dict[str, list[str]]) -> str:
    """The old table with new rows in it; rows that were not measured stay, and a line below says so.

    The benchmark that a row belongs to stands in a comment in its first cell.
    """
    head, rule, *rest = [line for line in old.splitlines() if line.startswith("|")]
    rows = {match[1]: line for line in rest if (match := COMMENT.search(line))}
    kept = [line.split("<!--")[0].strip("| ") for name, line in rows.items() if name not in new]
    for name, (label, *cells) in new.items():
        if len(cells) + 1 != head.count("|") - 1:
            raise ValueError(f"{name} must record {head.count('|') - 1} cells, got {[label, *cells]}")
        rows[name] = "| " + " | ".join([f"{label} <!-- {name} -->", *cells]) + " |"
    note = ["", f"Not measured in the last run, and kept from one before it: {'; '.join(kept)}."] if kept else []
    return "\n".join([head, rule, *rows.values(), *note])


def renewed(page: str, rows: dict[str, dict[str, list[str]]], line: str) -> str:
    """The page with the machine's line and the tables renewed; the prose around the marks stays."""

    def fill(match: re.Match) -> str:
        name = match["name"]
        body = line if name == "machine" else merged(match["body"], rows.get(name, {}))
        return f"<!-- begin {name} -->\n\n{body}\n\n<!-- end {name} -->"

    marked = re.compile(r"<!-- begin (?P<name>[\w-]+) -->\n(?P<body>.*?)<!-- end (?P=name) -->", re.DOTALL)
    missing = set(rows) - {match["name"] for match in marked.finditer(page)}
    if missing:
        raise ValueError(f"the page must have a table for every record, got none for {sorted(missing)}")
    return marked.sub(fill, page)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--page", action="store_true", help="write what is measured into chapters/benchmarks.md")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--page") and ROWS:
        PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), ROWS, machine()), encoding="utf-8")
        print(f"\nbench: wrote {PAGE.relative_to(PAGE.parents[1])}")

"""The page of the benchmarks: a row for each, the machine, numbers that its prose may rely on, and how it is renewed."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = importlib.util.spec_from_file_location("benchmarks_conftest", ROOT / "benchmarks" / "conftest.py")
assert SOURCE and SOURCE.loader
bench = importlib.util.module_from_spec(SOURCE)
SOURCE.loader.exec_module(bench)
PAGE = bench.PAGE.read_text(encoding="utf-8")


def tables(page=PAGE):
    """Name of a table, name of a benchmark: the cells of its row, the first without its comment."""
    found = {}
    for name, body in re.findall(r"<!-- begin ([\w-]+) -->\n(.*?)<!-- end \1 -->", page, re.DOTALL):
        rows = [line for line in body.splitlines() if "<!--" in line]
        found[name] = {
            bench.COMMENT.search(row)[1]: [cell.split("<!--")[0].strip() for cell in row.strip("|").split("|")]
            for row in rows
        }
    return found


def numbers(cells):
    return [float(cell.replace(",", "").rstrip("%")) for cell in cells]


def test_each_benchmark_has_its_row_and_each_row_its_benchmark():
    command = [sys.executable, "-m", "pytest", "benchmarks", "--collect-only", "-q", "--benchmark-only"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout
    collected = {line.split("::")[1] for line in listed.splitlines() if "::" in line}
    rows = [name for rows in tables().values() for name in rows]
    assert len(collected) > 20
    assert sorted(rows) == sorted(collected)


def test_the_machine_is_named_and_nothing_else_of_it():
    (line,) = re.findall(r"<!-- begin machine -->\s*(.*?)\s*<!-- end machine -->", PAGE, re.DOTALL)
    one = (
        r"Measured on 20\d\d-\d\d-\d\d: .+, \d+ cores?, \d+ GB of memory, Python 3\.\d+\.\d+, NumPy \d.*, SciPy \d.*, "
    )
    assert re.fullmatch(one + r"torch \d.*, one thread\.", line)
    assert re.match(one, bench.machine())
    assert not re.search(r"/\w+/|\w+@\w+", line)


def test_ratios_are_those_of_the_times():
    for table in ("mechanisms", "rfm"):
        for _, *cells in tables()[table].values():
            ours, other, ratio = numbers(cells[-3:] if table == "mechanisms" else cells[:3])
            assert ratio == pytest.approx(other / ours, rel=0.02)


def test_the_prose_about_recursive_feature_machines_may_say_what_it_says():
    found = tables()
    ratios = {name: numbers(cells[1:6]) for name, cells in found["rfm"].items()}
    for name, (_, _, ratio, ours, theirs) in ratios.items():
        if "[1000" in name:
            assert 0.6 < ratio < 1.7  # about equal
        if "[4000" in name:
            assert ratio > (1.6 if "cholesky" in name else 2)
            assert ours < 0.7 * theirs
            assert ratio > ratios[name.replace("4000", "2000")][2]
    for ours, theirs, double, lifted, exact in (numbers(cells[1:]) for cells in found["errors"].values()):
        assert ours == pytest.approx(theirs, rel=0.01)
        assert ours == pytest.approx(double, rel=2e-3)
        assert theirs == pytest.approx(exact, rel=0.01)
        assert double == pytest.approx(exact, rel=2e-3)
        assert lifted == pytest.approx(exact, rel=1e-4)
    assert all(seconds < limit for seconds, limit in (numbers(cells[1:3]) for cells in found["limits"].values()))


OLD = """# Title

before
<!-- begin machine -->
old machine
<!-- end machine -->
<!-- begin times -->

| what | s |
| :-- | --: |
| one <!-- test_one[a-1] --> | 1.00 |
| two <!-- test_two --> | 2.00 |

<!-- end times -->
after
"""


def test_new_rows_replace_old_ones_and_missing_ones_stay_and_say_so():
    page = bench.renewed(OLD, {"times": {"test_two": ["two", "2.50"], "test_new": ["new", "3.00"]}}, "new machine")
    assert tables(page)["times"] == {
        "test_one[a-1]": ["one", "1.00"],
        "test_two": ["two", "2.50"],
        "test_new": ["new", "3.00"],
    }
    assert "\nNot measured in the last run, and kept from one before it: one.\n" in page
    assert "new machine" in page
    assert "old machine" not in page
    assert page.startswith("# Title\n\nbefore\n")
    assert page.endswith("-->\nafter\n")
    rows = {name: cells for name, cells in tables(page)["times"].items()}
    whole = bench.renewed(page, {"times": rows}, "new machine")
    assert "Not measured" not in whole
    assert bench.renewed(whole, {"times": rows}, "new machine") == whole


def test_a_record_must_fit_its_table():
    with pytest.raises(ValueError, match=r"test_two must record 2 cells, got \['two'\]"):
        bench.renewed(OLD, {"times": {"test_two": ["two"]}}, "machine")
    with pytest.raises(ValueError, match=r"must have a table for every record, got none for \['other'\]"):
        bench.renewed(OLD, {"other": {"test_two": ["two", "1"]}}, "machine")


def test_digits():
    shown = [bench.digits(value) for value in (0.00386, 0.1, 1.0, 12.34, 99.96, 788.4, 12000.0)]
    assert shown == ["0.00386", "0.100", "1.00", "12.3", "100", "788", "12,000"]

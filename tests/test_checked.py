"""The page "Where it was checked" and the tool that writes its rows: counted right, no failure hidden, no row lost."""

import re
from dataclasses import replace

import pytest

from afp_utils.book import claims, ledger
from tools import checked
from tools.checked import Environment, Try

KNOWN = checked.environments()
REPORT = """<testsuites><testsuite>
<testcase classname="tests.core.test_x" name="test_a" /><testcase classname="tests.core.test_x" name="test_b[a|b]"><failure/></testcase>
<testcase classname="tests.core.test_x" name="test_c"><skipped/></testcase>
<testcase classname="chapters.one-language.ipynb" name="Cell 1"><error/></testcase>
</testsuite></testsuites>"""


def rows(page: str) -> dict[str, list[str]]:
    """Cells by the name of the environment."""
    table = checked.TABLE.search(page)
    assert table
    lines = [line for line in table[0].splitlines() if line.startswith("|")]
    assert lines == [] or [cell.strip() for cell in lines[0].strip("|").split("|")] == list(checked.HEAD)
    named = {match[1]: line for line in lines if (match := checked.NAMED.search(line))}
    assert len(named) == len(lines[2:])
    return {name: [cell.strip() for cell in line.strip("|").split("|")] for name, line in named.items()}


def well_formed(name: str, row: list[str]) -> None:
    """A row says what it must, and one in which something failed says what."""
    where, used, tests, held, failed, cost, on = row
    assert where.endswith(f"<!-- {name} -->")
    version = r"\d+\.\d+[\w.+]*"
    assert re.fullmatch(rf"Python 3\.\d+\.\d+\w*, NumPy {version}, SciPy {version}, torch ({version}|none)", used)
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", on)
    assert re.fullmatch(r"\d+ min, [1-9][\d,]* MB", cost)
    passed, total = (int(number.replace(",", "")) for number in tests.split(" of "))
    nothing = re.fullmatch(r"nothing(, \d+ skipped)?", failed) is not None
    assert (passed == total) == nothing, f"{name} must name what failed"
    confirmed, all_claims = map(int, held.split(" of "))
    assert confirmed <= all_claims
    assert confirmed == all_claims or not nothing or used.endswith("torch none")


def test_the_rows_of_the_page_are_well_formed_and_hide_no_failure() -> None:
    present = rows(checked.PAGE.read_text(encoding="utf-8"))
    assert {"pinned", "pinned-other-rounding", "binder"} <= present.keys(), "the page must have what it speaks of"
    for name, row in present.items():
        assert name in KNOWN, f"{name} must be an environment, among {list(KNOWN)}"
        well_formed(name, row)


def test_outcomes_are_counted_and_failures_named(tmp_path) -> None:
    (tmp_path / "report.xml").write_text(REPORT, encoding="utf-8")
    outcomes = checked.results(tmp_path / "report.xml")
    row = checked.cells("x <!-- x -->", ["3.11.7", "2.4.6", "1.17.1", "2.13.0+cpu"], outcomes, 1234.5, 6.6)
    assert row[1] == "Python 3.11.7, NumPy 2.4.6, SciPy 1.17.1, torch 2.13.0+cpu"
    assert row[2:4] == ["1 of 3", f"0 of {len(claims.registry())}"]
    assert row[4] == "tests.core.test_x: test_b[a/b]; chapters.one-language.ipynb: Cell 1, 1 skipped"
    assert row[5] == "7 min, 1,234 MB"
    well_formed("x", row)
    with pytest.raises(AssertionError, match="must name what failed"):
        well_formed("x", [*row[:4], "nothing, 1 skipped", *row[5:]])


def test_a_claim_counts_if_its_cell_passed() -> None:
    cells = {
        f"chapters.{path.name}: Cell {n}": "passed"
        for path in ledger.notebooks(checked.PAGE.parent)
        for n in range(200)
    }
    assert checked.confirmed(cells) == len(claims.registry())
    missing = checked.confirmed({name: "failed" if "one-language" in name else came for name, came in cells.items()})
    assert missing == sum(claim.chapter != "one-language" for claim in claims.registry().values())


def test_a_new_row_replaces_its_old_one_and_the_others_stay_in_order() -> None:
    page = "# T\n\n<!-- begin where -->\n<!-- end where -->\n\nafter\n"
    row = ["Python 3.11.7", "5 of 5", "1 of 1", "nothing", "1 min, 1 MB", "2026-01-01"]
    for name, words in (("binder", "old"), ("pinned", "first"), ("binder", "new")):
        page = checked.renewed(page, {name: [f"{words} <!-- {name} -->", *row]})
    assert list(rows(page)) == ["pinned", "binder"]
    assert rows(page)["binder"][0] == "new <!-- binder -->"
    assert page.startswith("# T\n\n<!-- begin where -->\n\n| where |")
    assert page.endswith("<!-- end where -->\n\nafter\n")
    with pytest.raises(checked.CheckError, match=r"checked\.md must have a table between"):
        checked.renewed("# T\n", {})


def test_environments() -> None:
    assert all(re.fullmatch(r"3\.\d+", one.python) for one in KNOWN.values() if one.needs)
    assert all("==" in line for line in KNOWN["lowest-3.11"].needs)
    lists = [path.stem for path in (checked.ROOT / "tests" / "data").glob("colab-*.txt")]
    assert {name for name in KNOWN if name.startswith("colab")} == set(lists)
    other = replace(KNOWN["newest-3.13"], needs=["torch>=2.5", "numpy>=2"], pins=["torch==2.11.0", "torchaudio==2"])
    assert other.with_torch(None) == other
    assert (other.with_torch("2.13.0").needs, other.with_torch("2.13.0").pins) == (
        ["numpy>=2", "torch==2.13.0"],
        ["torchaudio==2"],
    )
    assert other.with_torch("none").needs == ["numpy>=2"]


def test_what_ran_on_the_same_book_is_not_run_again(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(checked, "PLACE", tmp_path)
    (tmp_path / "test_small.py").write_text("def test_good(): pass\ndef test_bad(): assert 0", encoding="utf-8")
    one = Try("pinned", Environment("x"))
    one.install()
    first = one.part("tests", [str(tmp_path / "test_small.py")], "stamp")
    assert sorted(first["results"].values()) == ["failed", "passed"]
    assert first["bytes"] > 1e7
    monkeypatch.setattr(Try, "run", lambda *_, **__: "")
    assert one.part("tests", [str(tmp_path / "test_small.py")], "stamp") == first
    with pytest.raises(checked.CheckError, match="pinned: tests: pytest ended without a report"):
        one.part("tests", [], "of another book")


def test_what_cannot_be_installed_is_one_line(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(checked, "PLACE", tmp_path)
    with pytest.raises(checked.CheckError, match=r"^x: venv: .*python3\.99.* \(more in .*log\)$"):
        Try("x", Environment("x", "3.99", ["numpy"])).install()


def test_two_threads_are_there_before_the_set_up_cell(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(checked, "PLACE", tmp_path)
    one = Try("x", KNOWN["pinned-2-threads"])
    one.install()
    said = one.run(
        "threads", one.python, "-c", "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['IPYTHONDIR'])"
    )
    assert said.startswith("2 ")
    assert "import numpy" in (tmp_path / "x" / "ipython" / "profile_default" / "startup" / "first.py").read_text(
        encoding="utf-8"
    )

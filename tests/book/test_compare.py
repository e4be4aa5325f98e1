"""How chapters are compared: rounding passes, everything else fails. Tried on records, then through nbval itself."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest

from afp_utils.book import claims, compare
from afp_utils.book.claims import CLAIM, NUMBER, Claim, Expectation, Record

ROOT = Path(__file__).parents[2]
RULES = {
    "near": {"near": 2.0, "within": 0.1},
    "between": {"between": [0.4, 0.6]},
    "below": {"below": 1e-3},
    "several": {"near": [1.0, 2.0], "within": [0.1, 0.1]},
    "yes": {"equals": True},
}


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, Claim]:
    made = {
        name: Claim(
            name, "chapter", f"The claim {name}.", "identity", "this book", "derived", Expectation(**rule), "rounding"
        )
        for name, rule in RULES.items()
    }
    monkeypatch.setattr("afp_utils.book.claims.registry", lambda: made)
    monkeypatch.setattr(compare, "SHARE", 0.05)  # as with the pinned versions, whatever these are
    monkeypatch.setattr(compare, "UNITS", 1)
    made["rivalled"] = replace(made["near"], id="rivalled", rival="The other.")
    return made


@pytest.fixture
def settled() -> Callable[..., bool]:
    """Whether a fresh output is taken for the stored one."""

    def settled(fresh: dict[str, Any], stored: dict[str, Any]) -> bool:
        (outcome,) = compare.settle([{"data": fresh}], [{"data": stored}])
        return outcome == {"data": stored}

    return settled


def claim(name: str, value: Any, rival: Any = None) -> dict[str, Any]:
    return Record(claims.registry()[name], value, rival)._repr_mimebundle_()


def number(text: str, name: str = "x") -> dict[str, Any]:
    return {NUMBER: {name: text}, "text/html": "<!-- quoted in the text -->", "text/plain": f"{name} = {text}"}


@pytest.mark.parametrize(
    ("name", "fresh", "stored"),
    [
        ("near", 2.003, 2.001),  # less than 5 % of the tolerance, and more than a thousandth of nothing
        ("between", 0.509, 0.500),  # less than 5 % of the width
        ("below", 1e-9, 3e-7),  # both hold
        ("several", [1.001, 2.0], [1.0, 2.001]),
        ("yes", True, True),
    ],
)
def test_rounding_of_a_claim_passes(settled: Callable[..., bool], name: str, fresh: Any, stored: Any) -> None:
    assert settled(claim(name, fresh), claim(name, stored))


@pytest.mark.parametrize(
    ("name", "fresh", "stored"),
    [
        ("near", 2.0, 2.09),  # within the tolerance of the claim, but not the same number
        ("between", 0.5, 0.55),
        ("below", 1e-9, 1e-2),  # the stored one does not hold
        ("several", [1.0, 2.0], [1.0, 2.09]),
        ("several", [1.0, 2.0], [1.0, 2.0, 2.0]),
        ("yes", True, False),
    ],
)
def test_altered_value_of_a_claim_fails(settled: Callable[..., bool], name: str, fresh: Any, stored: Any) -> None:
    assert not settled(claim(name, fresh), claim(name, stored))


@pytest.mark.parametrize(("stored", "passes"), [(3.0, True), (3.002, True), (3.09, False), (2.05, False)])
def test_a_rivals_value_is_settled_like_the_value(settled: Callable[..., bool], stored: float, passes: bool) -> None:
    assert settled(claim("rivalled", 2.0, 3.0), claim("rivalled", 2.0, stored)) is passes


@pytest.mark.parametrize(
    "alter",
    [
        lambda data: data.update({"text/markdown": data["text/markdown"].replace("holds", "does not hold")}),
        lambda data: data.update({"text/markdown": data["text/markdown"].replace("2", "2.0")}),
        lambda data: data.update({"text/plain": data["text/plain"].replace("2", "3")}),
        lambda data: data.pop("text/markdown"),
        lambda data: data.update({"image/png": ""}),
        lambda data: data[CLAIM].update(holds="in part"),
        lambda data: data[CLAIM].update(expectation="2 ± 0.2"),
        lambda data: data[CLAIM].update(value=2.04),
        lambda data: data[CLAIM].update(id="between"),
        lambda data: data[CLAIM].update(id="unknown"),
    ],
)
def test_altered_record_of_a_claim_fails(settled: Callable[..., bool], alter: Callable[..., Any]) -> None:
    stored = claim("near", 2.0)
    alter(stored)
    assert not settled(claim("near", 2.0), stored)


@pytest.mark.parametrize(
    ("fresh", "stored"),
    [
        ("0.334", "0.333"),
        ("0.999", "1.00"),
        ("1.24e-05", "1.23e-05"),
        ("12 of 20", "12 of 20"),
        ("-0.50 (7)", "-0.51 (7)"),
    ],
)
def test_last_digit_of_a_number_may_move(settled: Callable[..., bool], fresh: str, stored: str) -> None:
    assert settled(number(fresh), number(stored))


@pytest.mark.parametrize(
    ("fresh", "stored"),
    [
        ("0.335", "0.333"),
        ("1.3e-05", "1.23e-05"),
        ("1.23e-05", "1.23e-06"),
        ("12 of 20", "13 of 20"),
        ("0.5 s", "0.5 h"),
        ("0.5", "-0.5"),
        ("0.5", "0.5 0.5"),
    ],
)
def test_altered_number_fails(settled: Callable[..., bool], fresh: str, stored: str) -> None:
    assert not settled(number(fresh), number(stored))


def test_numbers_are_settled_whatever_the_order_of_their_names(settled: Callable[..., bool]) -> None:
    """A notebook is stored with sorted names: what is shown keeps the order of the cell."""
    fresh = {
        NUMBER: {"slope": "0.334", "runs": "5"},
        "text/html": "<!-- quoted in the text -->",
        "text/plain": "slope = 0.334\nruns = 5",
    }
    stored = {
        NUMBER: {"runs": "5", "slope": "0.333"},
        "text/html": "<!-- quoted in the text -->",
        "text/plain": "slope = 0.333\nruns = 5",
    }
    assert settled(fresh, stored)
    assert not settled(fresh, stored | {"text/plain": "runs = 5\nslope = 0.333"})
    assert not settled(fresh, stored | {NUMBER: {"runs": "6", "slope": "0.333"}})


def test_altered_text_or_name_of_a_number_fails(settled: Callable[..., bool]) -> None:
    assert not settled(number("0.5"), number("0.5") | {"text/plain": "x = 0.6"})
    assert not settled(number("0.5"), number("0.5", name="y"))


def test_on_other_versions_the_claim_itself_says_how_far_a_value_may_move(
    settled: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not settled(claim("near", 2.05), claim("near", 1.98))
    assert not settled(number("0.334"), number("0.331"))
    monkeypatch.setattr(compare, "SHARE", 1.0)
    monkeypatch.setattr(compare, "UNITS", 5)
    assert settled(claim("near", 2.05), claim("near", 1.98))
    assert not settled(claim("near", 2.09), claim("near", 1.91))  # both hold, and are further apart than the tolerance
    assert settled(number("0.334"), number("0.331"))
    assert not settled(number("0.334"), number("0.328"))


def test_other_outputs_are_left_to_nbval() -> None:
    fresh = [{"data": {"text/plain": "0.334"}}, {"name": "stdout", "text": "1"}, claim("near", 2.0)]
    assert compare.settle(fresh, [{"data": {"text/plain": "0.333"}}]) == fresh


# Each cell's code with what is stored in place of its output: the first four must pass, the others fail.
HEAD = "from afp_utils.book import claims\nfrom afp_utils.book.claims import NUMBER"
KEEP: Callable[[str], str] = str
CELLS: list[tuple[str, Callable[[str], str], bool]] = [
    ("claims.numbers(x='0.3334')", lambda text: text.replace("0.3334", "0.3335"), True),
    ("claims.numbers(slope='0.3334', runs='5')", lambda text: text.replace("0.3334", "0.3335"), True),
    ("claims.check('{id}', {value})", KEEP, True),
    ("print(1.25)", KEEP, True),
    ("claims.numbers(y='0.3334')", lambda text: text.replace("0.3334", "0.3394"), False),
    ("claims.numbers(z='0.3334')", lambda text: text.replace("z = 0.3334", "z = 0.3335"), False),
    ("claims.check('{id}', {value})", lambda text: text.replace("</summary>", " indeed</summary>"), False),
    ("claims.check('{id}', {value})", lambda text: text.replace("✓", "✗"), False),
    ("print(1.26)", lambda text: text.replace("1.26", "1.27"), False),
]


def test_through_nbval(tmp_path: Path) -> None:
    """The same through nbval, in one notebook whose stored outputs are altered cell by cell."""
    shutil.copytree(ROOT / "afp_utils", tmp_path / "afp_utils", ignore=shutil.ignore_patterns("*.toml"))
    (tmp_path / "chapters").mkdir()
    (tmp_path / "afp_utils" / "language" / "claims-tiny.toml").write_text(
        '[tiny]\nstatement = "A tiny claim."\nkind = "identity"\nsource = "this book"\nknown = "derived"\nnear = 2.0\nwithin = 0.1\nbecause = "none"\n',
        encoding="utf-8",
    )
    (tmp_path / "chapters" / "conftest.py").write_text(
        (ROOT / "chapters" / "conftest.py").read_text(encoding="utf-8"), encoding="utf-8"
    )
    codes = [HEAD] + [code.format(id="tiny", value=2.0) for code, _, _ in CELLS]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in codes])
    target = tmp_path / "chapters" / "tiny.ipynb"
    nbformat.write(notebook, target)
    execute = (
        "import nbformat, nbclient, sys; path = sys.argv[1]; book = nbformat.read(path, 4);"
        "nbclient.NotebookClient(book, kernel_name='python3').execute(); nbformat.write(book, path)"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "PYTEST_ADDOPTS": ""}
    here: dict[str, Any] = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    subprocess.run([sys.executable, "-c", execute, target], check=True, **here)
    stored = nbformat.read(target, 4)
    for cell, (_, alter, _) in zip(stored.cells[1:], CELLS):
        cell.outputs = nbformat.from_dict(json.loads(alter(json.dumps(cell.outputs, ensure_ascii=False))))
    nbformat.write(stored, target)
    options = "--nbval --nbval-current-env -q -rA -p no:cacheprovider"
    command = [sys.executable, "-m", "pytest", *options.split(), target]
    report = subprocess.run(command, check=False, **here).stdout
    failed = {i for i in range(len(CELLS)) if f"FAILED chapters/tiny.ipynb::Cell {i + 1}" in report}
    assert failed == {i for i, (_, _, passes) in enumerate(CELLS) if not passes}, report
    assert f"{len(CELLS) + 1 - len(failed)} passed" in report


def test_what_others_say_of_the_machine_is_no_output():
    def stderr(text):
        return {"output_type": "stream", "name": "stderr", "text": text}

    said = (
        "Matplotlib is building the font cache; this may take a moment.\n"
        "0.00s - Debugger warning: It seems that frozen modules are being used, which may\n"
        "0.00s - make the debugger miss breakpoints. Please pass -Xfrozen_modules=off\n"
        "/nowhere/matplotlib is not a writable directory\n"
    )
    shown = {"output_type": "stream", "name": "stdout", "text": said}
    assert compare.settle([stderr(said), shown], [shown]) == [shown]
    for own in ("findfont: Font family 'x' not found.\n", "cell.py:1: RuntimeWarning: overflow\n", "1\n"):
        assert compare.settle([stderr(said + own)], []) == [stderr(own)]

"""For all tests: the book's own settings, and the longest chapters first."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from afp_utils.book import claims, notebooks
from afp_utils.book.claims import CLAIM, Expectation
from tests.helpers import toy_claim

settings.register_profile("book", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("book")

ROOT = Path(__file__).parents[1]


def seconds(notebook: Path) -> float:
    """Run time that the chapter stores; unmeasured ones count as long."""
    return notebooks.read(notebook).metadata.get("afp", {}).get("measured", {}).get("seconds", 60.0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the chapters first, the longest in front, so that no worker is left with a long one at the end.

    Before them all, the file that runs four chapters.
    """
    chapters = {item.path for item in items if item.path.suffix == ".ipynb"}
    length = {path: seconds(path) for path in chapters} | {ROOT / "tests" / "test_without_torch.py": 100.0}
    items.sort(key=lambda item: (-length.get(item.path, 0.0), str(item.path) if item.path in length else ""))


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """A registry of two claims, a place for chapters, and the outputs that cells would store."""
    sign = toy_claim(id="toy-sign", kind="identity", rival="", expect=Expectation(equals=True))
    known = {"toy-slope": toy_claim(), "toy-sign": sign}
    monkeypatch.setattr(claims, "registry", lambda: known)
    shown = []
    monkeypatch.setattr(claims, "display", lambda record, **_: shown.append(record))

    def store(name="toy", calls=None):
        cells: list[dict[str, Any]] = [{"cell_type": "markdown", "source": "x"}]
        for record in shown:
            output = {"output_type": "display_data", "data": {CLAIM: record.json()}}
            marks = {"afp": {"calls": (calls or {}).get(record.claim.id, [])}}
            cells.append({"cell_type": "code", "metadata": marks, "outputs": [output]})
        (tmp_path / f"{name}.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
        return tmp_path

    return shown, store

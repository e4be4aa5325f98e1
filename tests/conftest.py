"""For all tests: the repository's root on the path, the book's own settings, and the longest chapters first."""

import os
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for tools/
os.environ.pop("AFP_REPOSITORY", None)  # a fork's tests compare with the address that the notebooks store


def seconds(notebook: Path) -> float:
    """Run time that the chapter stores; unmeasured ones count as long."""
    return nbformat.read(notebook, 4).metadata.get("afp", {}).get("measured", {}).get("seconds", 60.0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the chapters first, the longest in front, so that no worker is left with a long one at the end."""
    chapters = {item.path for item in items if item.path.suffix == ".ipynb"}
    length = {path: seconds(path) for path in chapters}
    items.sort(key=lambda item: (-length.get(item.path, 0.0), str(item.path) if item.path in length else ""))

"""nbval compares the outputs of the chapters by the rules of `afp_utils.book.compare`, and those of no other notebook."""

from pathlib import Path
from typing import Any

import pytest
from nbval.plugin import IPyNbCell

from afp_utils.book import notebooks
from afp_utils.book.compare import Bundle, settle


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave alone what `_toc.yml` does not list: readers' own notebooks."""
    return (
        True
        if collection_path.suffix == ".ipynb"
        and collection_path.stem in notebooks.strangers()
        else None
    )


def pytest_report_header() -> str:
    """Say so once."""
    return (
        f"chapters: not in _toc.yml, left alone: {', '.join(found)}"
        if (found := notebooks.strangers())
        else ""
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """On several workers (`-n 2`), a notebook's cells run one after another on one of them."""
    if (
        config.getoption("numprocesses", None)
        and config.getoption("dist") == "no"
    ):
        config.option.dist = "loadfile"


compare_exactly = IPyNbCell.compare_outputs


def compare_outputs(
    self: IPyNbCell,
    test: list[Bundle],
    ref: list[Bundle],
    skip_compare: Any = None,
) -> bool:
    return compare_exactly(self, settle(test, ref), ref, skip_compare)


IPyNbCell.compare_outputs = compare_outputs

"""nbval compares the outputs of the chapters by the rules of `afp_utils.book.compare`."""

from typing import Any

from nbval.plugin import IPyNbCell

from afp_utils.book.compare import Bundle, settle

compare_exactly = IPyNbCell.compare_outputs


def compare_outputs(
    self: IPyNbCell,
    test: list[Bundle],
    ref: list[Bundle],
    skip_compare: Any = None,
) -> bool:
    return compare_exactly(self, settle(test, ref), ref, skip_compare)


IPyNbCell.compare_outputs = compare_outputs

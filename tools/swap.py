"""Put a folder in the place of another, whoever else does so at the same time: `python tools/swap.py NEW PLACE`.

What stood in PLACE goes beside NEW. Unlike mv, a rename into a folder that another has just put there fails, and is
tried again, instead of nesting the two.
"""

import sys
from contextlib import suppress
from errno import EEXIST, ENOTEMPTY
from itertools import count
from pathlib import Path


def swap(new: Path, place: Path) -> None:
    for turn in count():
        with suppress(FileNotFoundError):
            place.rename(new.with_name(f"{new.name}.old{turn}"))
        try:
            new.rename(place)
        except OSError as error:
            if error.errno not in (EEXIST, ENOTEMPTY):
                raise
        else:
            return


if __name__ == "__main__":
    swap(Path(sys.argv[1]), Path(sys.argv[2]))

"""Which public functions of the package each cell of a chapter calls, recorded in the kernel while the chapter runs.

The runner starts a kernel with `import afp_utils.book.tracing` as its first line, before the package: `checked`, the decorator
of public functions and classes, is replaced by one that also notes the call. What is not checked, such as what a solver
asks for at every step, is not noted: the function that calls it is. After each cell the names go as one
line of JSON to the file that the environment variable AFP_TRACE names.
"""

import functools
import json
import os
from pathlib import Path
from typing import Any

from IPython import get_ipython

from afp_utils.core import refuse

called: set[str] = set()
check = refuse.checked


def noted(function: Any, name: str) -> Any:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        called.add(name)
        return function(*args, **kwargs)

    return call


def traced(thing: Any) -> Any:
    """`checked`, with a note of each call; of a class, each time that one is made."""
    name = f"{thing.__module__.removeprefix('afp_utils.')}.{thing.__qualname__}"
    checked = check(thing)  # which decorates the __init__ of a class, by this function
    return checked if isinstance(thing, type) else noted(checked, name.removesuffix(".__init__"))


def report(result: Any) -> None:
    """Write down what the cell called. Lines that are no cells, such as the one that imports this, are not stored."""
    if result.info.store_history:
        with Path(os.environ["AFP_TRACE"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(sorted(called)) + "\n")
    called.clear()


refuse.checked = traced
if shell := get_ipython():
    shell.events.register("post_run_cell", report)

"""Write into environment.yml what Binder installs by pip: the lines of constraints.txt that the chapters and JupyterLab need.

    python tools/freeze.py

Needed is what the package requires, what shows and checks the chapters, and what these require in turn: by the metadata
of the installed packages, so the environment must be that of constraints.txt, on Linux and the lowest Python.
"""

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / "environment.yml"
SHOWN = ["jupyter-book", "jupyterlab", "nbval", "ipykernel"]
"""What the chapters need beside the package's own requirements."""
LIST = re.compile(r"(?<=/whl/cpu\n).*\Z", re.DOTALL)
"""The end of environment.yml, which this tool writes."""


def closure(lines: list[str]) -> set[str]:
    """Names of the packages that requirements need, directly or through others, themselves among them."""
    waiting = [(Requirement(line), "") for line in lines]
    seen = set[tuple[str, str]]()
    while waiting:
        requirement, parent = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen and (not requirement.marker or requirement.marker.evaluate({"extra": parent})):
                seen.add((name, extra))
                waiting += [(Requirement(line), extra) for line in requires(name) or []]
    return {name for name, _ in seen}


def frozen() -> list[str]:
    """The pinned requirements of Binder's environment, in the order of constraints.txt.

    Raises `ValueError` if one is not pinned.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = closure(project["dependencies"] + SHOWN)
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    found = {canonicalize_name(pin.split("==")[0]): pin for pin in pins}
    if unpinned := sorted(needed - found.keys()):
        raise ValueError(f"constraints.txt must pin all that the chapters need, got no {', '.join(unpinned)}")
    return [f"{pin}+cpu" if name == "torch" else pin for name, pin in found.items() if name in needed]


if __name__ == "__main__":
    text = ENVIRONMENT.read_text(encoding="utf-8")
    ENVIRONMENT.write_text(LIST.sub("".join(f"      - {pin}\n" for pin in frozen()), text), encoding="utf-8")

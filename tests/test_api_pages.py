"""The pages of the package: one for each room, with all its modules, each of which has an example that runs."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "chapters" / "api").glob("*.md"))
SHOWN = [name for page in PAGES for name in re.findall(r"automodule:: afp_utils\.(\w+\.\w+)", page.read_text())]
BEHIND = {"notebooks", "plain", "run", "sphinx", "tracing", "difference"}
"""Modules of the engine that nobody calls but the engine."""


def modules(room: str) -> set[str]:
    """The modules of a room that are neither exercises nor behind others."""
    found = {path.stem for path in (ROOT / "afp_utils" / room).glob("*.py")} - {"__init__"} - BEHIND
    return {name for name in found if not name.startswith("exercises_")}


def test_every_room_with_modules_has_a_page() -> None:
    rooms = {path.parent.name for path in (ROOT / "afp_utils").glob("*/__init__.py")}
    assert {page.stem for page in PAGES} == {room for room in rooms if modules(room)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_all_modules_of_its_room(page: Path) -> None:
    shown = [name for name in SHOWN if name.startswith(f"{page.stem}.")]
    assert sorted(shown) == sorted(f"{page.stem}.{name}" for name in modules(page.stem))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_room_says_what_is_in_it(page: Path) -> None:
    """The names in a room's docstring are those of its modules and of what they hold."""
    room = import_module(f"afp_utils.{page.stem}")
    known = {name for module in modules(page.stem) for name in vars(import_module(f"{room.__name__}.{module}"))}
    named = set(re.findall(r"`([A-Za-z_]\w*)`", room.__doc__ or ""))
    assert named <= known | modules(page.stem) | BEHIND | {"core", "networks", "Trajectory"}
    assert modules(page.stem) <= named


@pytest.mark.parametrize("name", SHOWN)
def test_examples_run(name: str) -> None:
    result = doctest.testmod(import_module(f"afp_utils.{name}"))
    assert result.attempted and not result.failed

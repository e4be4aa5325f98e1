"""In Colab, pip must leave what is there alone: a package that it replaces under a running kernel breaks the session.

`tests/data/colab-*.txt` are the lists of Colab's images, the newest and the one before; each says where it is from.
"""

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
IMAGES = sorted((ROOT / "tests" / "data").glob("colab-*.txt"))
EACH = pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.stem)


def trouble(image: Path, needed: list[str]) -> tuple[list[str], set[str]]:
    """What pip would replace in an image to meet requirements, and the names of what it would add.

    What the image lacks comes with the requirements that the installed version of it has.
    """
    text = image.read_text(encoding="utf-8")
    has = dict(re.findall(r"^([\w-]+)==(\S+)$", text, re.MULTILINE))
    python = re.findall(r"Python (3\.\d+)", text)[0]
    wrong, added, waiting = list[str](), set[str](), list(needed)
    while waiting:
        requirement = Requirement(waiting.pop())
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({"extra": "", "python_version": python}):
            continue
        if name not in has and name not in added:
            added.add(name)
            waiting += requires(name) or []
        elif name in has and has[name] not in requirement.specifier:
            wrong.append(f"{requirement}, has {has[name]}")
    return wrong, added


def test_there_are_two_images() -> None:
    assert len(IMAGES) == 2
    assert all(
        "==" in line or line.startswith("#")
        for image in IMAGES
        for line in image.read_text(encoding="utf-8").splitlines()
    )


@EACH
def test_the_package_replaces_nothing_and_adds_little(image: Path) -> None:
    assert trouble(image, PROJECT["dependencies"]) == ([], {"jaxtyping", "wadler-lindig"})


@EACH
def test_its_python_is_one_of_ours(image: Path) -> None:
    (python,) = re.findall(r"Python (3\.\d+)", image.read_text(encoding="utf-8"))
    assert f"{python}.0" in SpecifierSet(PROJECT["requires-python"])
    assert f"Programming Language :: Python :: {python}" in PROJECT["classifiers"]


@EACH
@pytest.mark.parametrize("bound", ["ipython>=9", "numpy>=2.2", "nbclient<0.10", "jaxtyping>=0.3", "pytest>=99"])
def test_a_bound_above_the_image_is_found(image: Path, bound: str) -> None:
    """`jaxtyping` is not there, and may have any version."""
    wrong, _ = trouble(image, [bound])
    assert len(wrong) == (bound != "jaxtyping>=0.3")

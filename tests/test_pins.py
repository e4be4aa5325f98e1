"""The pins agree: lower bounds in pyproject.toml, exact versions in constraints.txt, Binder's in environment.yml."""

import os
import re
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
MANDATED = {"jupyter-book", "jupyterlab", "numpy", "torch", "matplotlib", "nbval"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOWEST = tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))
RUNTIME = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
PIP = next(entry["pip"] for entry in ENVIRONMENT if isinstance(entry, dict))


def pins(lines: list[str]) -> dict[str, str]:
    """Versions by name; the local label of a build, as in 2.13.0+cpu, is no part of the version."""
    found = [re.fullmatch(r"([\w.-]+)==([^+\s]+)(\+\w+)?", line) for line in lines if not line.startswith("--")]
    assert all(found), f"every line must be NAME==VERSION, got {lines}"
    return {canonicalize_name(pin[1]): pin[2] for pin in found if pin}


PINNED = pins((ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines())
BINDER = pins(PIP)
BOUNDS = [*PROJECT["dependencies"], *(line for extra in PROJECT["optional-dependencies"].values() for line in extra)]


@pytest.mark.parametrize("bound", BOUNDS)
def test_bound_is_open_and_holds_for_the_pin(bound: str) -> None:
    requirement = Requirement(bound)
    assert str(requirement.specifier).count(">=") == 1, f"{bound} must have one lower bound"
    assert Version(PINNED[canonicalize_name(requirement.name)]) in requirement.specifier


@pytest.mark.parametrize("name", sorted(BINDER))
def test_binder_has_the_pinned_version(name: str) -> None:
    assert BINDER[name] == PINNED[name]


def test_mandated_packages_are_in_all_three() -> None:
    assert {canonicalize_name(Requirement(line).name) for line in BOUNDS} >= MANDATED
    assert PINNED.keys() >= MANDATED
    assert BINDER.keys() >= MANDATED


def test_binder_has_all_that_the_chapters_import_and_stays_small() -> None:
    assert BINDER.keys() >= RUNTIME
    extras = {"jupyter-book", "jupyterlab", "nbval", "ipykernel"}
    assert BINDER.keys() - RUNTIME == extras


def test_binder_gets_torch_without_cuda() -> None:
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in PIP
    assert f"torch=={PINNED['torch']}+cpu" in PIP


def test_python_is_one_that_the_package_allows() -> None:
    (python,) = [entry for entry in ENVIRONMENT if str(entry).startswith("python=")]
    lowest = ".".join(map(str, LOWEST))
    assert python == f"python={lowest}", f"environment.yml must take the lowest Python, {lowest}, got {python}"
    assert f"sys.version_info >= {LOWEST}" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.skipif(bool(os.environ.get("AFP_NEWEST")), reason="a run against the newest versions")
def test_installed_versions_are_the_pinned_ones() -> None:
    """All of them on the lowest Python, for which they were written; a newer one needs fewer backports."""
    found = {canonicalize_name(package.name): package.version.split("+")[0] for package in distributions()}
    wrong = {name: found.get(name) for name, pin in PINNED.items() if found.get(name) != pin}
    backports = {name for name, at in wrong.items() if at is None and sys.version_info[:2] > LOWEST}
    assert {name: at for name, at in wrong.items() if name not in backports} == {}

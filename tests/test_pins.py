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

from tools import freeze

ROOT = Path(__file__).parents[1]
MANDATED = {"jupyter-book", "jupyterlab", "numpy", "torch", "matplotlib", "nbval"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOWEST = tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
PIP = next(entry["pip"] for entry in ENVIRONMENT if isinstance(entry, dict))
NEWEST = bool(os.environ.get("AFP_NEWEST"))
LOCKED = pytest.mark.skipif(
    NEWEST or sys.version_info[:2] != LOWEST or sys.platform != "linux",
    reason="Binder's environment is that of the pinned versions on Linux and the lowest Python",
)


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


def test_binder_has_the_pinned_versions() -> None:
    assert {name: pin for name, pin in BINDER.items() if pin != PINNED.get(name)} == {}


def test_mandated_packages_are_in_all_three() -> None:
    assert {canonicalize_name(Requirement(line).name) for line in BOUNDS} >= MANDATED
    assert PINNED.keys() >= MANDATED
    assert BINDER.keys() >= MANDATED


@LOCKED
def test_binder_has_all_that_the_chapters_need_and_no_more() -> None:
    """Every package by name: what `python tools/freeze.py` would write, which follows the requirements anew."""
    needed = pins(freeze.frozen())
    missing, superfluous = sorted(needed.keys() - BINDER.keys()), sorted(BINDER.keys() - needed.keys())
    assert (missing, superfluous) == ([], []), "environment.yml lacks the first, and should not have the second"
    assert PIP[1:] == freeze.frozen(), "environment.yml must list each once, in the order of constraints.txt"


def test_a_requirement_counts_if_its_marker_and_its_extra_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a small tree with a circle, in which `b` needs `c` only with its extra."""
    tree = {"a": ["B[x]", "d; python_version < '3'", "d; extra == 'y'"], "b": ["c; extra == 'x'", "a"], "c": None}
    monkeypatch.setattr(freeze, "requires", tree.__getitem__)
    assert freeze.closure(["a"]) == {"a", "b", "c"}
    assert freeze.closure(["c"]) == {"c"}


def test_binder_gets_torch_without_cuda() -> None:
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in PIP
    assert f"torch=={PINNED['torch']}+cpu" in PIP


def test_python_is_one_that_the_package_allows() -> None:
    """Python and pip are frozen too; the chapters were run on some patch of the same Python."""
    python, pip = [entry for entry in ENVIRONMENT if isinstance(entry, str)]
    assert re.fullmatch(rf"python={LOWEST[0]}\.{LOWEST[1]}\.\d+", python), f"must be a patch of {LOWEST}, got {python}"
    assert re.fullmatch(r"pip=\d+(\.\d+)+", pip), f"must be one version of pip, got {pip}"
    assert f"sys.version_info >= {LOWEST}" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.skipif(NEWEST, reason="a run against the newest versions")
def test_installed_versions_are_the_pinned_ones() -> None:
    """All of them on the lowest Python, for which they were written; a newer one needs fewer backports."""
    found = {canonicalize_name(package.name): package.version.split("+")[0] for package in distributions()}
    wrong = {name: found.get(name) for name, pin in PINNED.items() if found.get(name) != pin}
    backports = {name for name, at in wrong.items() if at is None and sys.version_info[:2] > LOWEST}
    assert {name: at for name, at in wrong.items() if name not in backports} == {}

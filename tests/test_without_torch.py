"""Without torch, and without processes and threads, as in a browser: what imports, what runs, what says that it is left out."""

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

import afp_utils
from afp_utils.book import claims, notebooks

BARE = """
import multiprocessing.process
import os
import subprocess
import sys
import threading
from importlib.machinery import PathFinder


class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name == "torch" else super().find_spec(name, path, target)


def close(start=threading.Thread.start):
    def refused(*_, **__):
        raise OSError("a browser has no processes")

    def only_for_the_kernel(thread):
        if not type(thread).__module__.startswith("zmq."):
            raise RuntimeError("a browser has no threads")
        start(thread)

    os.fork = os.posix_spawn = subprocess.Popen.__init__ = multiprocessing.process.BaseProcess.start = refused
    threading.Thread.start = only_for_the_kernel


sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""
"""What an interpreter runs before all else: it hides torch at once, and after `close` there are no processes and threads."""
NEEDED = {"three-mechanisms": 6, "one-language": 0, "sequence-models": 0, "index-models": 0}
"""The chapters that run without torch, with the number of their claims that need it."""
MODULES = sorted(module.name for module in pkgutil.walk_packages(afp_utils.__path__, "afp_utils."))
NEED_TORCH = [name for name in MODULES if name.startswith("afp_utils.networks.")]
IMPORT_ALL = """
import importlib
import sys

for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        print(name, error.name)
print("torch" in sys.modules)
"""


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The environment of an interpreter without torch."""
    (tmp_path / "sitecustomize.py").write_text(BARE, encoding="utf-8")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(notebooks.ROOT)])}


def said(*names: str, environment: dict[str, str] | None = None) -> list[str]:
    """What an interpreter of its own says of importing modules: those that lack a module, and whether it loaded torch."""
    command = [sys.executable, "-c", IMPORT_ALL, *names]
    return subprocess.run(
        command, env=environment, capture_output=True, encoding="utf-8", check=True
    ).stdout.splitlines()


def test_without_torch_all_modules_import_but_the_networks(bare: dict[str, str]) -> None:
    assert said(*MODULES, environment=bare) == [*(f"{name} torch" for name in NEED_TORCH), "False"]


def test_with_torch_only_the_networks_load_it() -> None:
    """It costs a second and 200 MB."""
    assert said(*(name for name in MODULES if name not in NEED_TORCH)) == ["False"]
    assert said(NEED_TORCH[0]) == ["True"]


@pytest.mark.parametrize("name", NEEDED)
def test_every_cell_runs_without_torch_processes_and_threads(bare: dict[str, str], name: str) -> None:
    """All claims are checked, or said to be left out, just where the chapter asks whether torch is there."""
    notebook = notebooks.read(notebooks.path(name))
    for cell in notebooks.code_cells(notebook):
        cell.outputs = []
    notebook.cells.insert(0, new_code_cell("import sitecustomize; sitecustomize.close()"))
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": notebooks.CHAPTERS}})
    client.execute(env=bare)
    checked = {data[claims.CLAIM]["id"] for _, data in notebooks.outputs(notebook, claims.CLAIM)}
    left_out = [data[claims.NEEDS]["id"] for _, data in notebooks.outputs(notebook, claims.NEEDS)]
    here = {claim.id for claim in claims.registry().values() if claim.chapter == name}
    assert checked == here - set(left_out)
    assert len(here - checked) == NEEDED[name]

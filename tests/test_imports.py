"""Who imports whom: the layers of .importlinter, and the engine, which is for the exercises."""

import subprocess
import sys
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"


def test_imports_run_downwards_and_not_sideways() -> None:
    result = subprocess.run([sys.executable, "-c", LINT], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_of_a_mechanism_only_the_exercises_import_the_engine() -> None:
    graph = grimp.build_graph("afp_utils", cache_dir=None)
    engine = graph.find_descendants("afp_utils.book") | {"afp_utils.book"}
    importers = {importer for module in engine for importer in graph.find_modules_that_directly_import(module)}
    assert [name for name in sorted(importers - engine) if not name.split(".")[-1].startswith("exercises_")] == []

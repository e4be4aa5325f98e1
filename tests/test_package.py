"""What is installed: a wheel with all of the package, and one version that the citation and the changelog share."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path
from zipfile import ZipFile

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
FOLDERS = ("afp_utils", "benchmarks", "chapters", "tests", "tools")
VERSION = re.compile(r"^## (\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)$", re.MULTILINE)


def test_a_wheel_holds_all_of_the_package_and_nothing_else(tmp_path: Path) -> None:
    """Built from a copy, as a build leaves its folders beside the sources."""
    source, wheels = tmp_path / "source", tmp_path / "wheels"
    hidden = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "afp_utils", source / "afp_utils", ignore=hidden)
    shutil.copytree(ROOT / "tools", source / "tools", ignore=hidden)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", wheels, source]
    built = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = wheels.glob("*.whl")
    packed = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    kinds = {".py", ".toml", ".bib", ".typed"}
    written = [path for path in (source / "afp_utils").rglob("*") if path.suffix in kinds and path.name != "ruff.toml"]
    assert packed == {path.relative_to(source).as_posix() for path in written}
    assert "afp_utils/py.typed" in packed


def test_the_version_stands_in_the_changelog_and_the_citation() -> None:
    """pyproject.toml says which one it is; the newest entry comes first."""
    entries = VERSION.findall((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert (CITATION["version"], str(CITATION["date-released"])) == entries[0]
    assert PROJECT["version"] == entries[0][0]
    assert len(entries) == (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").count("\n## "), (
        "every entry names version and date"
    )
    assert date.fromisoformat(entries[0][1]) >= date.fromisoformat(entries[-1][1])


def test_the_citation_has_what_its_format_requires() -> None:
    """Citation File Format 1.2.0: required keys, and the address that the book itself has."""
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION.keys() >= {"authors", "cff-version", "message", "title"}
    assert CITATION["authors"] and all(author.get("name") for author in CITATION["authors"])
    assert (
        CITATION.get("repository-code", "")
        == yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    )


def test_the_encoding_of_every_text_is_named() -> None:
    """Else it is the machine's: ASCII, or that of an old Windows."""
    silent = []
    for file in (file for folder in FOLDERS for file in ROOT.joinpath(folder).rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and "encoding" not in {keyword.arg for keyword in call.keywords}:
                called = ast.unparse(call.func)
                name = "" if called == "Image.open" else called.rpartition(".")[2]  # a picture is no text
                binary = any(ast.unparse(one) in ("'rb'", "'wb'", "'xb'") for one in call.args)
                text = any(ast.unparse(keyword) == "text=True" for keyword in call.keywords)
                if name in ("read_text", "write_text") or (name == "open" and not binary) or text:
                    silent.append(f"{file.relative_to(ROOT)}, line {call.lineno}: {ast.unparse(call)}")
    assert silent == []

"""The set-up and the site as `make` starts them, with a venv, a pip and a builder that only pretend."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tools import swap

ROOT = Path(__file__).parents[1]
PRETEND = {
    "venv/__main__.py": """
import os, pathlib, sys
folder = pathlib.Path(sys.argv[1], "bin")
folder.mkdir()
(folder / "python").symlink_to(sys.executable)
(folder / "jupyter-book").write_text(pathlib.Path(__file__).with_name("builder").read_text())
(folder / "jupyter-book").chmod(0o755)
""",
    "venv/builder": """#!/bin/sh
mkdir -p "$4/_build/html" && (cd "$4/_build/html" && seq 3000 | xargs touch) && touch "$ASKED.$$"
until set -- "$ASKED".* && test $# -ge 3; do sleep 0.01; done # all three have built
""",
    "pip/__main__.py": """
import json, os, pathlib, sys, time
command = " ".join(sys.argv[1:])
with open(os.environ["ASKED"], "a") as log:
    log.write(command + "\\n")
while "GATE" in os.environ and os.path.exists(os.environ["GATE"]):
    time.sleep(0.02)
for part, said in json.loads(os.environ.get("SAYS", "{}")).items():
    if part in command:
        sys.exit(said)
if "--report" in sys.argv:
    needs = ["sympy>=1.13", *(["nvidia-cublas==13; platform_system == 'Linux'"] if "CUDA" in os.environ else [])]
    print(json.dumps({"install": [{"metadata": {"name": "torch", "version": "2.0+cpu", "requires_dist": needs, "description": "see nvidia-smi"}}]}))
""",
    "matplotlib/font_manager.py": """
import os
with open(os.environ["ASKED"], "a") as log:
    log.write(f"fonts into {os.environ['MPLCONFIGDIR'] or 'home'}\\n")
""",
}
OFFLINE = '"ERROR: Could not find a version that satisfies the requirement torch==2.13.0 (from versions: none)"'
WAITING = "set-up: another make is setting up .venv, waiting for it\n"
READY = "set-up: torch\nset-up: all else\n"


class Place:
    """A fresh clone, as far as make needs one."""

    def __init__(self, root: Path) -> None:
        self.root, self.pretend = root / "book", root / "pretend"
        (self.root / "tools").mkdir(parents=True)
        for name in ("Makefile", "pyproject.toml", "constraints.txt", "tools/set_up.py", "tools/swap.py"):
            shutil.copy(ROOT / name, self.root / name)
        for name, text in PRETEND.items():
            (self.pretend / name).parent.mkdir(parents=True, exist_ok=True)
            (self.pretend / name).write_text(text.lstrip(), encoding="utf-8")
            (self.pretend / name).with_name("__init__.py").touch()
        self.log, self.mark = root / "asked", self.root / ".venv" / ".ready"

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AFP_", "MAKE", "MFLAGS"))}
        given = {"PYTHONPATH": str(self.pretend), "ASKED": str(self.log)} | variables
        command = ["make", *(arguments or (".venv/.ready",))]
        if not any(one.startswith("PY=") for one in arguments) and "PATH" not in variables:
            command.append(f"PY={sys.executable}")
        return subprocess.Popen(
            command, cwd=self.root, env=clean | given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        )

    def make(self, *arguments: str, **variables: str) -> tuple[str, str]:
        """What make and its tools say, without make's own line about a failed target."""
        said, error = self.start(*arguments, **variables).communicate(timeout=60)
        return said, "".join(line for line in error.splitlines(keepends=True) if not line.startswith("make:"))

    def asked(self) -> list[str]:
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text
        (self.root / name).write_text(text.replace(old, new), encoding="utf-8")
        later = self.mark.stat().st_mtime + 5 if self.mark.exists() else time.time()
        os.utime(self.root / name, (later, later))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_fresh_clone_is_set_up_once_and_is_ready_without_a_network(place: Place) -> None:
    said, error = place.make()
    assert said.endswith(READY)
    assert said.startswith(f"set-up: Python {sys.version.split()[0]} into .venv")
    assert error == ""
    plan, torch, book, *fonts = place.asked()
    assert plan.startswith("install -q --dry-run --report - torch==")
    assert torch.startswith(
        "install -q torch==2.0+cpu --no-deps --extra-index-url https://download.pytorch.org/whl/cpu"
    )
    assert book == "install -q -e .[book,test] -c constraints.txt"
    assert fonts == [f"fonts into {place.root}/.venv/matplotlib", "fonts into home"]
    assert place.make(SAYS=f'{{"install": {OFFLINE}}}') == ("make: '.venv/.ready' is up to date.\n", "")
    place.change("pyproject.toml", "[tool.ruff]", "[tool.ruff] # a tool's settings, or a fresh checkout of the same")
    assert place.make() == ("", "")
    assert place.asked() == []


def test_changed_requirements_update_and_a_lost_network_leaves_what_was_there(place: Place) -> None:
    place.make()
    place.asked()
    place.change("constraints.txt", "numpy==", "numpy==1")
    said, error = place.make(SAYS=f'{{"install": {OFFLINE}}}')
    assert said == "set-up: the requirements changed, updating .venv\n"
    assert error.startswith("set-up: requirements: no network")
    assert place.mark.exists()
    place.asked()
    assert place.make() == ("set-up: the requirements changed, updating .venv\n" + READY, "")
    assert place.asked()[0] == "install -q --dry-run -e .[book,test] -c constraints.txt"


def test_the_newest_versions_are_another_environment(place: Place) -> None:
    place.make()
    place.asked()
    said, _ = place.make("NEWEST=1", ".venv/.ready-newest")
    assert "into .venv" in said
    assert [line for line in place.asked() if "constraints" in line or "torch==2.13" in line] == []
    assert not place.mark.exists()


def test_an_interrupted_set_up_starts_again(place: Place) -> None:
    place.make(SAYS='{"-e .[book,test]": "killed"}')
    assert not place.mark.exists()
    (place.root / ".venv" / "half").touch()
    assert "into .venv" in place.make()[0]
    assert not (place.root / ".venv" / "half").exists()


def test_a_python_that_has_gone_is_replaced(place: Place) -> None:
    place.make()
    python = place.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python")
    assert "into .venv" in place.make()[0]


@pytest.mark.parametrize(
    ("says", "sentence"),
    [
        (
            f'{{"torch==": {OFFLINE}}}',
            "torch: no network, pip reached no package index; connect (or set a proxy) and run",
        ),
        (
            '{"-e .": "WARNING: Retrying after connection broken by X"}',
            "all else: no network, pip reached no package index",
        ),
        (
            '{"-e .": "OSError: [Errno 28] No space left on device"}',
            "all else: the disk is full; free 2 GB and run make again",
        ),
        ('{"-e .": "a\\nERROR: this and that"}', "all else: ERROR: this and that (more in .venv/set-up.log)"),
    ],
)
def test_a_failure_is_one_sentence(place: Place, says: str, sentence: str) -> None:
    _, error = place.make(SAYS=says)
    assert error.startswith(f"set-up: {sentence}")
    assert error.count("\n") == 1
    assert not place.mark.exists()


def test_an_index_that_stumbles_is_asked_again_and_others_keep_their_retries(place: Place) -> None:
    said, _ = place.make(SAYS='{"--retries 0": "Max retries exceeded"}')
    assert said.endswith(READY)
    asked = place.asked()
    assert [line.split()[-1] for line in asked if "--dry-run" in line] == ["0", "3"]
    assert all(("--no-deps" in line) == ("--retries" in line) for line in asked)


def test_torch_with_cuda_is_never_taken_in_silence(place: Place) -> None:
    said, _ = place.make(CUDA="1")
    assert "set-up: https://download.pytorch.org/whl/cpu has no torch to give, taking the build with CUDA" in said


def test_no_python_an_old_one_none_there_and_none_with_venv(place: Place) -> None:
    tools = place.pretend / "bin"
    tools.mkdir()
    for name in ("make", "sh", "sed", "sleep"):
        (tools / name).symlink_to(str(shutil.which(name)))
    said = place.make(PATH=str(tools))[1]
    assert said.startswith("set-up: the book needs Python 3.11 or newer, and found no python3. Install python3.11")
    (tools / "python3.14").symlink_to(sys.executable)
    assert place.make(PATH=str(tools))[0].endswith(READY)
    assert place.make("-B", ".venv/.ready", "PY=/no/python")[1] == (
        "set-up: PY must be Python 3.11 or newer, got /no/python, which is not there\n"
    )
    place.change("pyproject.toml", 'requires-python = ">=3.11"', 'requires-python = ">=3.99"')
    assert place.make()[1].startswith(f"set-up: PY must be Python 3.99 or newer, got {sys.executable}, 3.")
    place.change("pyproject.toml", 'requires-python = ">=3.99"', 'requires-python = ">=3.11"')
    shutil.rmtree(place.root / ".venv")
    (place.pretend / "sitecustomize.py").write_text("import sys; sys.modules['ensurepip'] = None", encoding="utf-8")
    assert "has no venv module; install it (Debian: python3." in place.make()[1]


def test_paths_with_spaces_and_umlauts_under_any_locale(tmp_path: Path) -> None:
    place = Place(tmp_path / "zwei Wörter")
    python = tmp_path / "ein Püthon" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    said, error = place.make(".venv/.ready", f"PY={python}", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert said.endswith(READY)
    assert error == ""


def pip_runs(place: Place, gate: Path) -> subprocess.Popen[str]:
    """A set-up whose first pip waits at a gate."""
    gate.touch()
    first = place.start(GATE=str(gate))
    while not place.log.exists():
        assert first.poll() is None
        time.sleep(0.02)
    return first


def test_two_at_once_set_up_once_and_the_second_says_that_it_waits(place: Place, tmp_path: Path) -> None:
    first = pip_runs(place, tmp_path / "gate")
    second = place.start()
    assert second.stdout and second.stdout.readline() == WAITING
    (tmp_path / "gate").unlink()
    assert first.communicate(timeout=60)[0].endswith(READY)
    assert second.communicate(timeout=60) == ("", "")
    assert len([line for line in place.asked() if line.startswith("install")]) == 3


def test_the_lock_ends_with_those_who_hold_it(place: Place, tmp_path: Path) -> None:
    """The pip that a killed set-up leaves behind still writes into .venv: the next one waits for it, and no longer."""
    first = pip_runs(place, tmp_path / "gate")
    next(one for one in psutil.Process(first.pid).children(True) if "tools/set_up.py" in one.cmdline()[1:]).kill()
    first.wait(timeout=60)
    second = place.start()
    assert second.stdout and second.stdout.readline() == WAITING
    (tmp_path / "gate").unlink()
    assert second.communicate(timeout=60)[0].endswith(READY)
    assert place.mark.exists()


def test_two_sites_at_once_leave_one_whole(place: Place) -> None:
    place.make()
    for _ in range(4):
        all_three = [place.start("site") for _ in range(3)]
        said = [one.communicate(timeout=60) for one in all_three]
        assert [one.returncode for one in all_three] == [0, 0, 0], said
        assert [path.name for path in (place.root / "_build").iterdir()] == ["html"]
        assert {path.name for path in (place.root / "_build" / "html").iterdir()} == set(map(str, range(1, 3001)))
        for mark in place.root.parent.glob("asked.*"):
            mark.unlink()


def test_a_site_that_another_put_there_meanwhile_is_replaced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("new/html", "html"):
        (tmp_path / name / name[:3]).mkdir(parents=True)
    rename, waiting = Path.rename, ["another"]

    def slow(source: Path, target: Path) -> None:
        rename(source, target)
        if waiting:
            (tmp_path / "html" / waiting.pop()).mkdir(parents=True)

    monkeypatch.setattr(Path, "rename", slow)
    swap.swap(tmp_path / "new" / "html", tmp_path / "html")
    assert [path.name for path in (tmp_path / "html").iterdir()] == ["new"]

"""Make the environment .venv, or bring it up to date: `make` calls `python tools/set_up.py MARK` if MARK is missing or old.

The Python that runs this is the one of the environment. MARK, a file in .venv, is written last and holds a digest of the
requirements: an interrupted set-up starts again, and one with nothing to do needs no network. AFP_NEWEST chooses the newest
versions that pyproject.toml allows instead of the pinned ones, TORCH_INDEX the index of torch without CUDA.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT, PINS = ((ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "constraints.txt"))
VENV = ROOT / ".venv"
PYTHON, LOG = VENV / "bin" / "python", VENV / "set-up.log"
NEWEST = os.environ.get("AFP_NEWEST")
TORCH_INDEX = os.environ.get("TORCH_INDEX") or "https://download.pytorch.org/whl/cpu"
NO_NETWORK = re.compile(r"from versions: none|connection broken|Max retries|Connection\w*Error|timed out|ProxyError")
say = partial(print, "set-up:", flush=True)


def refuse(step, said):
    """Stop with one sentence about what went wrong in a step."""
    reason = (said.strip().splitlines() or ["no word why"])[-1].strip() + f" (more in .venv/{LOG.name})" * LOG.exists()
    if NO_NETWORK.search(said):
        reason = "no network, pip reached no package index; connect (or set a proxy) and run make again"
    if "No space left" in said or "quota exceeded" in said:
        reason = "the disk is full; free 2 GB and run make again"
    sys.exit(f"set-up: {step}: {reason}")


def run(step, *command, may_fail=False, **variables):
    """Run a command, which holds the lock as well, and keep what it says in the log."""
    env = {**os.environ, **variables}
    done = subprocess.run(
        command, cwd=ROOT, env=env, close_fds=False, capture_output=True, encoding="utf-8", check=False
    )
    with open(LOG, "a", encoding="utf-8") as log:
        log.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}\n")
    if done.returncode and not may_fail:
        refuse(step, done.stderr.strip() or done.stdout)
    return done


def pip(step, *arguments, may_fail=False):
    return run(step, str(PYTHON), "-m", "pip", "install", "-q", *arguments, may_fail=may_fail)


def digest():
    """What the environment is made from; the settings of tools are no part of it."""
    import tomllib  # missing in the Pythons that are too old

    project = tomllib.loads(PROJECT)
    parts = [project["build-system"], project["project"], project["tool"]["setuptools"], PINS]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def torch():
    """Install torch in its small build without CUDA; where that cannot be had, say so before taking the other.

    Torch alone: what it needs comes with all else, from the main index and with all of pip's patience.
    """
    say("torch")
    wanted = "torch" if NEWEST else re.findall(r"^torch==.*", PINS, re.MULTILINE)[0]
    index = ["--no-deps", "--extra-index-url", TORCH_INDEX, "--timeout", "20", "--retries"]
    for retries in ("0", "3"):  # an index that is not there costs no wait; one that stumbled gets another try
        done = pip("torch", "--dry-run", "--report", "-", wanted, *index, retries, may_fail=retries == "0")
        plan = [] if done.returncode else [one["metadata"] for one in json.loads(done.stdout)["install"]]
        cuda = sys.platform == "linux" and "nvidia-" in str([one.get("requires_dist") for one in plan])
        if not (done.returncode or cuda):
            break
    if cuda:
        say(f"{TORCH_INDEX} has no torch to give, taking the build with CUDA from the main index (6 GB)")
    for one in plan:  # the very build that was looked at, not what an index says a moment later
        pip("torch", f"torch=={one['version']}", *index, retries)


def make_anew():
    if not importlib.util.find_spec("ensurepip"):
        debian = f"python3.{sys.version_info[1]}-venv"
        sys.exit(f"set-up: {sys.executable} has no venv module; install it (Debian: {debian}) and run make again")
    say(f"Python {sys.version.split()[0]} into .venv (a minute or two, 2 GB)")
    VENV.unlink() if VENV.is_symlink() else shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir()
    run("venv", sys.executable, "-m", "venv", str(VENV))


def set_up(mark):
    works = (
        PYTHON.exists() and not subprocess.run([PYTHON, "-c", ""], stderr=subprocess.DEVNULL, check=False).returncode
    )
    old = mark.read_text(encoding="utf-8") if works and mark.exists() else None
    book = ["-e", ".[book,test]", *([] if NEWEST else ["-c", "constraints.txt"])]
    if old != digest():
        if old is None or NEWEST:
            make_anew()
        else:
            say("the requirements changed, updating .venv")
            pip("requirements", "--dry-run", *book)  # without a network the old environment stays as it is
        for one in VENV.glob(".ready*"):
            one.unlink()
        torch()
        say("all else")
        pip("all else", *book)
        # On its first run matplotlib looks for fonts, and says so among a chapter's outputs. It does so now, for `make`,
        # which sets MPLCONFIGDIR, and for what is started by hand.
        for folder in (str(VENV / "matplotlib"), ""):
            run("fonts", str(PYTHON), "-c", "import matplotlib.font_manager", MPLCONFIGDIR=folder)
    mark.write_text(digest(), encoding="utf-8")


def main():
    lowest = re.findall(r'requires-python = ">=(.*)"', PROJECT)[0]
    if sys.version_info < tuple(map(int, lowest.split("."))):
        sys.exit(f"set-up: PY must be Python {lowest} or newer, got {sys.executable}, {sys.version.split()[0]}")
    with open(__file__, "r+", encoding="utf-8") as lock:  # a lock on this file ends with this process and its children
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another make is setting up .venv, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        os.set_inheritable(lock.fileno(), True)
        set_up(Path(sys.argv[1]).absolute())


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        refuse(".venv", str(error))
    except KeyboardInterrupt:
        sys.exit("set-up: interrupted, run make again")

"""The workflows: actions are pinned, rights are few, nothing is published untested, every promised Python is tried."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github" / "workflows"
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.yml"))}
WORKFLOWS = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
JOBS = [(name, job) for name, workflow in WORKFLOWS.items() for job in workflow["jobs"]]
EACH = pytest.mark.parametrize("name", WORKFLOWS)
EACH_JOB = pytest.mark.parametrize(("name", "job"), JOBS)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HERE = "./.github/workflows/"


def actions(workflow: dict[str, Any]) -> list[str]:
    jobs = workflow["jobs"].values()
    return [part["uses"] for job in jobs for part in (job, *job.get("steps", [])) if "uses" in part]


@EACH
def test_actions_are_pinned_by_commit_with_the_version_beside_it(name: str) -> None:
    lines = re.findall(r"uses: (.*)", TEXTS[name])
    assert [line.split(" #")[0] for line in lines] == actions(WORKFLOWS[name])
    for line in lines:
        local = line.startswith(HERE) and (ROOT / line).exists()
        assert local or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_an_action_is_pinned_in_one_way() -> None:
    pins = {action for workflow in WORKFLOWS.values() for action in actions(workflow) if not action.startswith(HERE)}
    assert len(pins) == len({action.split("@")[0] for action in pins}), sorted(pins)


@EACH
def test_a_workflow_may_read_and_no_more(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}


WRITERS = {
    ("publish", "deploy"): {"pages": "write", "id-token": "write"},
    ("publish", "branch"): {"contents": "write"},
}


@EACH_JOB
def test_only_the_jobs_that_publish_may_write(name: str, job: str) -> None:
    assert WORKFLOWS[name]["jobs"][job].get("permissions", {}) == WRITERS.get((name, job), {})


def test_nothing_from_elsewhere_runs_beside_the_right_to_write_and_the_token_is_given_to_the_push_alone() -> None:
    checkout, *steps, push = WORKFLOWS["publish"]["jobs"]["branch"]["steps"]
    assert checkout["uses"].startswith("actions/checkout@")
    assert [step.keys() - {"run"} for step in steps] == [set()]
    assert all(step["run"].startswith("python3 -m afp_utils.book.address ") for step in steps)
    assert push["run"].startswith("git ")
    assert push["env"] == {"TOKEN": "${{ github.token }}"}
    assert re.findall(r"token.*\}\}|secrets", TEXTS["publish"]) == ["token }}"]


@EACH_JOB
def test_a_job_ends_and_keeps_no_credentials(name: str, job: str) -> None:
    given = WORKFLOWS[name]["jobs"][job]
    assert "timeout-minutes" in given or given.get("uses", "").startswith(HERE)
    for step in given.get("steps", []):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_the_published_branch_is_the_tree_with_the_address_of_the_repository_in_it(tmp_path: Path) -> None:
    """The job's own commands, on a small tree; the push goes into a folder."""
    tree, hub = tmp_path / "tree", tmp_path / "hub.git"
    for name in ("_config.yml", "afp_utils/__init__.py", "afp_utils/book/__init__.py", "afp_utils/book/address.py"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    (tree / "_toc.yml").touch()
    git = ["git", "-c", "user.name=x", "-c", "user.email=x"]
    for command in (["init", "-q", tree], ["init", "-q", "--bare", hub], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], cwd=tree, check=True)
    given = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "Someone/else", "GITHUB_SHA": "abc"}
    there = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_VALUE_0": "https://x-access-token:secret@github.com/Someone/else"}
    there["GIT_CONFIG_KEY_0"] = f"url.{hub}.insteadOf"
    for step in WORKFLOWS["publish"]["jobs"]["branch"]["steps"][1:]:
        environment = os.environ | given | there | {"TOKEN": "secret"}
        subprocess.run(["bash", "-e", "-c", step["run"]], cwd=tree, env=environment, check=True)
    show = ["git", "--git-dir", hub, "show", "published:_config.yml"]
    shown = subprocess.run(show, capture_output=True, encoding="utf-8", check=True).stdout
    assert yaml.safe_load(shown)["repository"] == {
        "url": "https://github.com/Someone/else",
        "branch": "published",
        "path_to_book": "",
    }
    build = [step.get("run") for step in WORKFLOWS["publish"]["jobs"]["build"]["steps"]]
    assert build.index('make address URL="$GITHUB_SERVER_URL/$GITHUB_REPOSITORY" BRANCH=published') == 1
    assert build[2] == "make site", "of the same tree"


def test_nothing_is_published_untested() -> None:
    jobs = WORKFLOWS["publish"]["jobs"]
    assert jobs["deploy"]["needs"] == "branch"
    assert jobs["branch"]["needs"] == "build"
    assert jobs["build"]["needs"] == "test"
    assert not any("if" in part for job in jobs.values() for part in (job, *job.get("steps", [])))
    assert jobs["test"] == {"uses": f"{HERE}test.yml"}, "without conditions, and not allowed to fail"
    deploying = [name for name, workflow in WORKFLOWS.items() if "actions/deploy-pages" in str(actions(workflow))]
    assert deploying == ["publish"]


def test_every_promised_python_is_tried() -> None:
    strategy = WORKFLOWS["test"]["jobs"]["test"]["strategy"]
    promised = [found[1] for entry in PROJECT["classifiers"] if (found := re.search(r":: (3\.\d+)$", entry))]
    assert strategy == {"fail-fast": False, "matrix": {"python": promised}}
    assert PROJECT["requires-python"] == f">={promised[0]}"
    assert promised == [f"3.{minor}" for minor in range(int(promised[0][2:]), int(promised[-1][2:]) + 1)]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(f"python{version}" in makefile for version in promised)

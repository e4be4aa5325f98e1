"""The workflows: actions are pinned, rights are few, nothing is published untested, every promised Python is tried."""

import re
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


@EACH_JOB
def test_only_the_job_that_deploys_may_write(name: str, job: str) -> None:
    rights = WORKFLOWS[name]["jobs"][job].get("permissions", {})
    assert rights == ({"pages": "write", "id-token": "write"} if (name, job) == ("publish", "deploy") else {})


@EACH_JOB
def test_a_job_ends_and_keeps_no_credentials(name: str, job: str) -> None:
    given = WORKFLOWS[name]["jobs"][job]
    assert "timeout-minutes" in given or given.get("uses", "").startswith(HERE)
    for step in given.get("steps", []):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_nothing_is_published_untested() -> None:
    jobs = WORKFLOWS["publish"]["jobs"]
    assert jobs["deploy"]["needs"] == "build"
    assert jobs["build"]["needs"] == "test"
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

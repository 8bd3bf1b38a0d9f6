"""The workflows: none runs for ever or may do more than it has to, and none lists the releases again."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nnspec.clauses.releases import RELEASES

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in FOLDER.iterdir()}

every_workflow = pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=WORKFLOWS)


@every_workflow
def test_each_job_ends_in_time(workflow):
    assert [name for name, job in workflow["jobs"].items() if "timeout-minutes" not in job] == []
    assert "concurrency" in workflow


def test_only_these_jobs_may_write():
    writing = {
        f"{name}.{job}": [what for what, how in settings["permissions"].items() if how == "write"]
        for name, workflow in WORKFLOWS.items()
        for job, settings in workflow["jobs"].items()
        if "permissions" in settings
    }

    assert [
        name for name, workflow in WORKFLOWS.items() if workflow["permissions"] != {"contents": "read"}
    ] == []
    assert writing == {
        "spec.publish": ["pages", "id-token"],
        "records.propose": ["contents", "pull-requests"],
        "canary.canary": ["issues"],
    }


def test_the_site_is_published_when_all_else_is_green():
    jobs = WORKFLOWS["spec"]["jobs"]

    assert sorted(jobs["publish"]["needs"]) == sorted(jobs.keys() - {"publish", "list"})
    assert jobs["release"]["needs"] == "list"


def test_every_python_that_is_supported_runs_the_newest_torch():
    supported = [
        line.rpartition(" ")[2].strip('",')
        for line in (FOLDER.parents[1] / "pyproject.toml").read_text(encoding="utf-8").splitlines()
        if "Python :: 3." in line
    ]

    assert WORKFLOWS["canary"]["jobs"]["python"]["strategy"]["matrix"]["python"] == supported


@every_workflow
def test_no_release_is_named(workflow):
    text = yaml.safe_dump(workflow)

    assert [release for release in RELEASES if f"torch{release}" in text or f"'{release}'" in text] == []


@pytest.mark.parametrize("file", ["tox.ini", ".ci/run"])
def test_each_sentence_of_the_documentation_is_asked_for(file):
    assert "python -m nnspec documentation\n" in (ROOT / file).read_text(encoding="utf-8")

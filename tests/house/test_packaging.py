"""What is installed with the project, and that no torch is put in the place of the one that is there."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

try:
    import tomllib
except ImportError:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = {requirement.name: requirement for requirement in map(Requirement, PROJECT["dependencies"])}


@pytest.mark.parametrize(
    "version", ["2.0.1", "2.15.0+local", "2.16.0.dev20261101+vendor", "2.17.0a0+git1234567"]
)
def test_any_torch_that_is_there_will_do(version):
    assert REQUIREMENTS["torch"].specifier.contains(version, prereleases=True)


def test_nothing_that_is_installed_with_it_asks_for_a_torch():
    others = {
        name: [Requirement(line).name for line in importlib.metadata.requires(name) or ()]
        for name, requirement in REQUIREMENTS.items()
        if name != "torch" and (requirement.marker is None or requirement.marker.evaluate())
    }

    assert [name for name, needs in others.items() if {"torch", "torchvision"} & set(needs)] == []


def test_the_first_command_of_the_readme_asks_for_torchvision():
    first = (ROOT / "README.md").read_text(encoding="utf-8").split("```sh")[1]

    assert "pip install -q -e '.[torchvision]'" in first
    assert PROJECT["optional-dependencies"]["torchvision"] == ["torchvision>=0.15"]


def test_the_oldest_python_is_the_one_that_is_asked_for():
    named = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line]

    assert PROJECT["requires-python"] == f">={named[0]}"

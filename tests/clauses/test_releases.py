"""One list of releases: all that knows a release takes it from ``nnspec/clauses/releases.toml``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nnspec.clauses.releases import PINS, RELEASES, ReleasesError, read

ROOT = Path(__file__).resolve().parents[2]
ROW = '\n["{release}"]\ntorch = "{release}.1"\ntorchvision = "0.31.0"\nbeside = ["numpy<3"]\n'


def test_oldest_first_wherever_they_stand(tmp_path):
    file = tmp_path / "releases.toml"
    rows = [ROW.format(release=release) for release in ("2.10", "2.9", "2.0")]
    file.write_text("".join(rows).replace('beside = ["numpy<3"]\n', "", 1))

    pins = read(file)

    assert list(pins) == ["2.0", "2.9", "2.10"]
    assert pins["2.9"].requirements == ["torch==2.9.1", "torchvision==0.31.0", "numpy<3"]
    assert pins["2.10"].requirements == ["torch==2.10.1", "torchvision==0.31.0"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('["2.4"]\ntorch = "2.4.1"\n', "2.4: is {'torch': '2.4.1'}; say torch and torchvision"),
        ("two = 2\n", "two: is 2; say torch and torchvision"),
        (
            '["2.4"]\ntorch = "2.5.1"\ntorchvision = "0.20"\n',
            "pins torch 2.5.1; name a patch release such as 2.4.0",
        ),
        (
            '["2.4"]\ntorch = "new"\ntorchvision = "0.20"\n',
            "Invalid version: 'new'; name a patch release such as 2.4.0",
        ),
        ('["2.4"\n', "cannot be read: "),
        ("", "lists no release"),
    ],
)
def test_a_row_that_cannot_be_used_is_told(tmp_path, text, what):
    file = tmp_path / "releases.toml"
    file.write_text(text)

    with pytest.raises(ReleasesError) as error:
        read(file)

    assert str(error.value).startswith(str(file))
    assert what in str(error.value)


@pytest.fixture
def newer(tmp_path):
    """A checkout whose list has a release more."""
    for folder in (".ci", "nnspec"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "tox.ini", "toxfile.py"):
        shutil.copy(ROOT / file, tmp_path / file)
    with (tmp_path / "nnspec" / "clauses" / "releases.toml").open("a", encoding="utf-8") as file:
        file.write(ROW.format(release="2.99"))
    return tmp_path


def ask(folder: Path, *arguments: str) -> str:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_new_release_is_added_in_one_place(newer):
    names = [*RELEASES, "2.99"]

    assert json.loads(ask(newer, ".ci/releases", "json")) == names
    assert ask(newer, ".ci/releases", "newest") == "2.99\n"
    assert ask(newer, ".ci/releases", "pins") == "torch==2.99.1\ntorchvision==0.31.0\n"
    assert ask(newer, "-c", "from nnspec.clauses.releases import RELEASES; print(*RELEASES)").split() == names


def test_tox_has_its_environments_and_pins_from_there(newer):
    listed = ask(newer, "-m", "tox", "list", "--no-desc", "-m", "releases").split()
    config = ask(newer, "-m", "tox", "config", "-e", "torch2.99,torch2.4", "-k", "deps", "commands")

    assert listed == [f"torch{release}" for release in [*PINS, "2.99"]]
    assert config.split() == [
        *("[testenv:torch2.99]", "deps", "=", "torch==2.99.1", "torchvision==0.31.0", "numpy<3"),
        *("commands", "=", "python", "-m", "pytest", "spec"),
        *("[testenv:torch2.4]", "deps", "=", *PINS["2.4"].requirements),
        *("commands", "=", "python", "-m", "pytest", "spec"),
    ]


def test_what_follows_two_dashes_is_run_in_place_of_everything(newer):
    config = ask(newer, "-m", "tox", "config", "-e", "torch2.0", "-k", "commands", "--", "spec/a/test_b.py")

    assert config.split()[-4:] == ["python", "-m", "pytest", "spec/a/test_b.py"]

"""The package as it is installed, and the commands outside a checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from nnspec import cli
from nnspec.clauses import parts

ROOT = Path(__file__).resolve().parents[2]

#: A set-up of the user's own that would break any run that it reached.
DISTURBING = {
    "pytest.ini": "[pytest]\naddopts = --no-such-option\n",
    "conftest.py": "raise RuntimeError('a conftest of the user')\n",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """An unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (packed,) = folder.glob("*.whl")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


@pytest.fixture
def nnspec(wheel, tmp_path):
    """Runs a command of the wheel in a folder with a set-up of its own; gives exit code and output."""
    for name, text in DISTURBING.items():
        (tmp_path / name).write_text(text)

    def run(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(wheel), "PYTEST_ADDOPTS": "--no-such-option"}
        command = [sys.executable, "-m", "nnspec", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.parametrize(("folder", "inside"), [("spec", "nnspec/spec"), ("nnspec", "nnspec")])
def test_the_wheel_carries_every_file(wheel, folder, inside):
    written = {path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*.py")}

    assert written <= {path.relative_to(wheel / inside) for path in (wheel / inside).rglob("*.py")}
    assert (wheel / "nnspec" / "pyproject.toml").exists()


def test_the_installed_command_runs_the_specification_from_any_folder(nnspec, wheel, tmp_path):
    code, output = nnspec("verify", "traversal/test_parameters.py", "--device", "cpu")

    assert f"rootdir: {wheel}" in output
    assert "24 clauses: 24 holds" in output
    assert code == 0
    assert {path.name for path in tmp_path.iterdir()} == set(DISTURBING)


def test_the_installed_command_judges_a_module_from_any_folder(nnspec, tmp_path):
    code, output = nnspec("contract", "torch.nn:Linear(4, 3)", "--input", "3,4", "--device", "cpu")

    assert "contract of torch.nn:Linear(4, 3), called with float32 (3, 4)" in output
    assert "rules: " in output
    assert code == 0
    assert {path.name for path in tmp_path.iterdir()} == set(DISTURBING)


def test_a_part_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert cli.main(["verify", "stat"]) == 2
    message = "nnspec verify: stat: the specification has no such part; one of benchmarks, call"
    assert capsys.readouterr().err.startswith(message)


@pytest.mark.parametrize("command", ["lint", "check-records", "compare 2.4 2.5", "releases", "mutate"])
def test_what_needs_a_checkout_says_so(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parts, "__file__", str(tmp_path / "nnspec" / "clauses" / "parts.py"))

    assert cli.main(command.split()) == 2
    assert f"{tmp_path}: no spec/ and docs/ here; run this command in a checkout" in capsys.readouterr().err

"""What the environment asks for changes no outcome, or the run refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Clauses about warnings, defaults, saved files and compiled code: what the environments below would change.
CHAPTERS = (
    "state/test_files.py",
    "state/test_weights_only.py",
    "functional/test_stateless.py",
    "parameter/test_parameter.py",
)
CHAPTERS += ("layers/test_causal_hints.py", "compilation/test_trace.py", "gradients/test_zero_grad.py")

SETTER = """
import pytest, torch

torch.set_default_dtype(torch.float64)
torch.set_default_device("meta")
torch.set_grad_enabled(False)
torch.use_deterministic_algorithms(True)
torch.__future__.set_overwrite_module_params_on_conversion(True)


@pytest.fixture(autouse=True)
def other_dtype():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
"""


def record(folder, *options, **environment):
    """The rows of a run of some chapters."""
    paths = [f"spec/{chapter}" for chapter in CHAPTERS]
    command = [sys.executable, "-m", "pytest", "-q", "--device", "cpu", *options, "--record", folder, *paths]
    environment = {**os.environ, **environment}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-1000:]
    (file,) = folder.iterdir()
    return json.loads(file.read_text(encoding="utf-8"))["clauses"]


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory):
    return record(tmp_path_factory.mktemp("ordinary"))


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        ((), {"PYTHONWARNINGS": "error", "PYTHONHASHSEED": "7"}),
        (("-W", "error"), {"PYTHONHASHSEED": "8"}),
        (("-W", "ignore"), {"TORCH_LOGS": "banana", "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1"}),
        (
            ("-o", "filterwarnings=error"),
            {"PYTHONDEVMODE": "1", "TORCHDYNAMO_DISABLE": "1", "PYTORCH_JIT": "0"},
        ),
        (("-p", "setter"), {}),
    ],
    ids=["PYTHONWARNINGS", "-W error", "-W ignore and torch's variables", "settings", "a plugin"],
)
def test_the_record_is_the_same(tmp_path, ordinary, options, environment):
    (tmp_path / "setter.py").write_text(SETTER)

    assert record(tmp_path / "fresh", *options, PYTHONPATH=str(tmp_path), **environment) == ordinary


@pytest.mark.parametrize(
    ("command", "environment", "told"),
    [
        (["-m", "pytest", "spec/state/test_ties.py"], {"PYTHONOPTIMIZE": "1"}, "leaves assertions out"),
        (["-m", "nnspec", "verify", "state"], {"PYTHONOPTIMIZE": "2"}, "leaves assertions out"),
        (
            ["-m", "pytest", "spec/state/test_ties.py", "-p", "torch"],
            {"TORCH_LOGS": "dynamo"},
            "torch was imported before the specification and with TORCH_LOGS",
        ),
        (
            [
                "-m",
                "pytest",
                "spec/benchmarks",
                "--benchmark-only",
                "--benchmark-json",
                "/proc/no/times.json",
            ],
            {},
            "/proc/no: nothing can be written here",
        ),
        (
            ["-m", "pytest", "spec/benchmarks", "--benchmark-only", "--benchmark-json", "docs"],
            {},
            "--benchmark-json docs: it is a folder; name a file",
        ),
    ],
)
def test_a_run_that_could_not_tell_is_refused(command, environment, told):
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode in (2, 4)
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_run_does_without_the_library_that_reads_files(tmp_path):
    (tmp_path / "msgspec.py").write_text('raise ModuleNotFoundError("msgspec", name="msgspec")')
    folder = tmp_path / "records"
    command = [sys.executable, "-m", "pytest", "-q", "spec/state/test_ties.py", "--record", folder]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    first, second = (
        subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        for _ in range(2)
    )

    assert first.returncode == 0
    assert "recorded in" in first.stdout
    assert second.returncode == 4
    assert "nothing would be recorded" in second.stderr
    assert "it has to be read; pip install msgspec" in second.stderr

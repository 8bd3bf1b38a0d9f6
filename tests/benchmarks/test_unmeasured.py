"""Benchmarks beside the clauses: what runs of them, and what a run that measures leaves."""

import ast
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from nnspec.benchmarks import report, runs

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "spec" / "benchmarks"


def pytest_on_benchmarks(*arguments):
    """Runs the real benchmarks in a process of their own and gives what is shown."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--device", "cpu", *arguments]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {
        **outside,
        "PYTHONPATH": str(ROOT),
    }  # a worker of xdist that is told of one measures nothing
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_unmeasured_only_the_smallest_case_of_each_benchmark_runs():
    shown = pytest_on_benchmarks("spec/benchmarks", "--collect-only", "-q", "-o", "addopts=")
    cases = [line.rpartition("::")[2] for line in shown.splitlines() if "::" in line]

    assert "bench_calling_with_forward_hooks[0]" in cases
    assert "bench_parameters_of_a_tree[wide-10]" in cases
    assert "bench_forward_of_linear[cpu-1]" in cases
    assert "bench_calling_a_function" in cases
    assert len({case.partition("[")[0] for case in cases}) == len(cases)


def test_every_benchmark_says_in_one_sentence_what_is_timed():
    functions = [
        node
        for path in FOLDER.glob("bench_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("bench_")
    ]
    sentences = [ast.get_docstring(function) or "" for function in functions]

    assert [text for text in sentences if "\n" in text or not text.endswith(".") or ". " in text] == []
    assert len(set(sentences)) == len(sentences) > 50
    assert [each.name for each in functions if "benchmark" not in {a.arg for a in each.args.args}] == []


def test_a_call_waits_for_whatever_device_it_is_on(monkeypatch):
    waits_for = runpy.run_path(str(FOLDER / "waiting.py"))["waits_for"]
    for name in ("cuda", "own"):
        module = SimpleNamespace(synchronize=lambda name=name: name, is_available=lambda: False)
        monkeypatch.setattr(torch, name, module, raising=False)
    monkeypatch.setattr(torch, "bare", SimpleNamespace(), raising=False)
    accelerator = SimpleNamespace(
        is_available=lambda: True,
        current_accelerator=lambda: torch.device("mtia"),
        synchronize=lambda: "accelerator",
    )
    monkeypatch.setattr(torch, "accelerator", accelerator, raising=False)
    monkeypatch.setitem(sys.modules, "torch_xla", SimpleNamespace(sync=lambda wait: f"sync, {wait}"))
    monkeypatch.delattr(torch, "mtia", raising=False)

    waited = [waits_for(device)() for device in ("cpu", "cuda", "own", "mtia", "xla")]

    assert waited == [None, "cuda", "own", "accelerator", "sync, True"]
    for device in ("bare", "unheard_of"):
        with pytest.raises(pytest.skip.Exception, match=f"need something that waits for {device}"):
            waits_for(device)
    monkeypatch.delattr(torch, "accelerator")
    with pytest.raises(pytest.skip.Exception, match="need something that waits for mtia"):
        waits_for("mtia")


def test_a_measured_run_says_what_it_timed(tmp_path):
    """A short run of the real ones gives a file that a report can be made of."""
    file = tmp_path / "bench.json"
    chosen = "empty_module or with_forward_hooks or timing_a_layer or (named_modules and deep)"
    chapters = [f"spec/benchmarks/bench_{name}.py" for name in ("calling", "timer", "walking")]
    options = ["--benchmark-only", "--benchmark-max-time=0.001", "--benchmark-min-rounds=1"]
    pytest_on_benchmarks(*chapters, "-q", "-k", chosen, *options, f"--benchmark-json={file}")

    run = runs.read(file)

    operations = {"an empty call", "hooks", "two stopwatches", "named_modules()"}
    assert {row.operation for row in run.rows} == operations
    assert [row.size for row in run.of("hooks")] == [0, 1, 10]
    assert [row[0] for row in report.machinery(run).rows] == ["named_modules()"]
    assert [row.timer is not None for row in run.of("two stopwatches")] == [True, True]


MINIATURE = """
import pytest
import torch

@pytest.mark.needs("cuda", 99)
def bench_much():
    assert 0

@pytest.mark.since("2.5")
def bench_new():
    assert 0

@pytest.mark.before("2.5")
def bench_old():
    assert 1

def bench_on(device):
    assert device == "cpu"

def bench_that_leaves_a_trace():
    torch.set_grad_enabled(False)
"""


def test_marks_and_isolation_are_for_benchmarks_too_which_are_no_clauses(write, pytester, monkeypatch):
    root = write('def test_a():\n    """It is."""\n    assert torch.is_grad_enabled()')
    (root / "spec" / "mini" / "bench_small.py").write_text(MINIATURE)
    files = "python_files=test_*.py bench_*.py"
    monkeypatch.setattr(torch, "__version__", "2.4.1")

    result = pytester.runpytest_inprocess(
        *("--rootdir", root, "-p", "no:cacheprovider", "-rs", "--device", "cpu"),
        *("-o", files, "-o", "python_functions=test_* bench_*", root / "spec"),
    )

    result.assert_outcomes(passed=4, skipped=2, errors=1)
    result.stdout.fnmatch_lines(["1 clause: 1 holds"])
    result.stdout.fnmatch_lines(["*need 99 CUDA devices", "*is for torch since 2.5"])


@pytest.mark.parametrize("mark", ["since('soon')", "needs('luck')"])
def test_a_malformed_mark_of_a_benchmark_is_named(write, pytester, mark):
    root = write('def test_a():\n    """It is."""\n    assert 1')
    (root / "spec" / "mini" / "bench_small.py").write_text(
        f"import pytest\n\n@pytest.mark.{mark}\ndef bench_a():\n    pass\n"
    )

    result = pytester.runpytest_inprocess(
        *("--rootdir", root, "-p", "no:cacheprovider", "-o", "python_functions=bench_*"),
        root / "spec" / "mini" / "bench_small.py",
    )

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert mark in result.stderr.str()

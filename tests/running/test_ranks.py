"""The ranks of spec/parallel: whatever happens to them, the run goes on, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parents[2] / "spec" / "parallel" / "conftest.py"
HELPERS = """
import os, signal, sys, time
import pytest, torch
import torch.distributed as dist

def pids(rank):
    with open("pids.txt", "a") as file:
        print(os.getpid(), file=file)
    return rank
"""


@pytest.fixture
def clauses(pytester: pytest.Pytester) -> Callable[[str], None]:
    """Writes a file of tests beside the real conftest, made less patient and without its slow imports."""
    source = CONFTEST.read_text(encoding="utf-8")
    patience, imports = "PATIENCE = 15", '("torch._dynamo", "torch.distributed.fsdp")'
    assert source.count(patience) == source.count(imports) == 1
    pytester.makeconftest(source.replace(patience, "PATIENCE = 6").replace(imports, "()"))
    return lambda body: pytester.makepyfile(HELPERS + body) and None


def alive(folder: Path) -> list[int]:
    """The ranks that ever ran in ``folder`` and still do."""
    found = map(int, (folder / "pids.txt").read_text().split())
    return [pid for pid in found if Path(f"/proc/{pid}").exists()]


def test_both_ranks_run_and_meet(clauses, pytester):
    clauses("""
def test_sum(ranks):
    def total(rank, scale):
        x = torch.tensor([rank + 1.0]) * scale
        dist.all_reduce(x)
        return rank, x.item()
    assert ranks(pids) == [0, 1]
    assert ranks(total, 10) == [(0, 30.0), (1, 30.0)]

def test_the_same_pair_serves_all(ranks):
    def pid(rank):
        return os.getpid()
    assert ranks(pid) == ranks(pid)
    assert os.getpid() not in ranks(pid)

def test_names_of_the_clause_are_refused(ranks):
    value = 1
    def use(rank):
        return value
    with pytest.raises(AssertionError, match="use runs in another process: pass it .'value',. as arguments"):
        ranks(use)
""")

    result = pytester.runpytest_inprocess("-q")

    result.assert_outcomes(passed=3)
    assert alive(pytester.path) == []


@pytest.mark.parametrize(
    ("fault", "told", "limit"),
    [
        ("raise ImportError('lost')", ["E *ImportError: lost", "*rank1:", "*in work"], 6),
        ("pytest.fail('DID NOT RAISE ValueError')", ["E *AssertionError: DID NOT RAISE ValueError"], 6),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            ["E *ChildProcessError: rank 1 died, or gave no answer*"],
            6,
        ),
        ("os._exit(0)", ["E *ChildProcessError: rank 1 died, or gave no answer*"], 6),
        ("time.sleep(1000)", ["E *ChildProcessError: rank ? died, or gave no answer*"], 15),
        (
            "os.kill(os.getpid(), signal.SIGSTOP)",
            ["E *ChildProcessError: rank ? died, or gave no answer*"],
            15,
        ),
        ("return lambda: None", ["E *ChildProcessError: rank 1 died, or gave no answer*"], 15),
    ],
    ids=["raises", "raises not", "killed", "exits", "hangs", "stopped", "unpicklable"],
)
def test_a_faulty_rank_fails_its_clause_alone(clauses, pytester, fault, told, limit):
    clauses(f"""
def test_before(ranks):
    assert ranks(pids) == [0, 1]

def test_faulty(ranks):
    def work(rank):
        print("last words of", rank)
        if rank == 1:
            {fault}
        dist.all_reduce(torch.ones(1))
    ranks(work)

def test_after(ranks):
    assert ranks(pids) == [0, 1]
""")
    start = time.monotonic()

    result = pytester.runpytest_inprocess("-q")

    assert time.monotonic() - start < limit
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines_random([*told, "*last words of 1"])
    assert alive(pytester.path) == []


def test_a_rank_that_hangs_tells_where(clauses, pytester):
    clauses("""
def test_hanging(ranks):
    def work(rank):
        while rank == 1:
            time.sleep(0.01)
    ranks(work)
""")

    result = pytester.runpytest_inprocess("-q")

    result.stdout.fnmatch_lines(["*rank1:", "Timeout (*", "*in work*"])


def test_a_rank_killed_between_clauses(clauses, pytester):
    clauses("""
def test_before(ranks):
    assert ranks(pids) == [0, 1]
    ranks.processes[0].kill()
    ranks.processes[0].join()

def test_meets_the_dead(ranks):
    ranks(pids)

def test_after(ranks):
    assert ranks(pids) == [0, 1]
""")

    result = pytester.runpytest_inprocess("-q")

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["E *ChildProcessError: rank 0 died, or gave no answer*"])
    assert alive(pytester.path) == []


@pytest.mark.parametrize("taken", ["mkdir", "touch"])
def test_a_meeting_place_that_is_taken(clauses, pytester, taken):
    clauses(f"""
def test_taken(ranks):
    ranks.folder.{taken}()
    ranks(pids)
""")

    result = pytester.runpytest_inprocess("-q")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *FileExistsError: *File exists: '*/pair'"])
    assert not (pytester.path / "pids.txt").exists()


def test_nothing_is_left_in_pytest(clauses, pytester):
    clauses("""
import threading, warnings

def state():
    return dict(os.environ), list(warnings.filters), threading.enumerate(), torch.get_num_threads()

def test_state(ranks):
    before = state()
    ranks(pids)
    after = state()
    for environment in (before[0], after[0]):
        environment.pop("PYTEST_CURRENT_TEST")
    assert before == after
""")

    pytester.runpytest_inprocess("-q").assert_outcomes(passed=1)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_fresh_interpreters_serve_as_well(clauses, pytester, method):
    """Beside a GPU the ranks are not forked from pytest: torch would not survive it."""
    clauses(f"""
def test_fresh(tmp_path):
    from conftest import Ranks
    ranks = Ranks(tmp_path / "pair", "{method}")
    def total(rank):
        x = torch.tensor([rank + 1.0])
        dist.all_reduce(x)
        assert torch.cuda.is_available() is False
        return x.item()
    assert ranks(pids) == [0, 1]
    assert ranks(total) == [3.0, 3.0]
    ranks.close()
""")

    pytester.runpytest_inprocess("-q").assert_outcomes(passed=1)
    assert alive(pytester.path) == []


@pytest.mark.parametrize(
    ("end", "busy"),
    [(signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGKILL, True), (signal.SIGKILL, False)],
)
def test_the_ranks_end_with_pytest(clauses, pytester, end, busy):
    clauses(f"""
def test_long(ranks):
    def work(rank):
        pids(rank)
        while {busy}:
            time.sleep(0.01)
    ranks(work)
    time.sleep(1000)
""")
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=pytester.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    pids = pytester.path / "pids.txt"
    deadline = time.monotonic() + 60
    while not (pids.exists() and len(pids.read_text().split()) == 2):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)

    os.kill(process.pid, end)

    process.communicate(timeout=20)
    deadline = time.monotonic() + 20
    while alive(pytester.path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert alive(pytester.path) == []

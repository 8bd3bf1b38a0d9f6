"""The pytest plugin of the specification: its options and marks, and who runs clauses and who reports them.

With ``pytest -n`` the process that hands out the clauses runs none of them, so it does not import torch.
"""

from __future__ import annotations

import atexit
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnspec.errors import NnspecError, UsageError, importing
from nnspec.records.files import ensure_writable, path_of
from nnspec.running import environment
from nnspec.running.reporting import Reporter

MARKS = (
    'since("2.5"): holds from that release on; before it the clause must not hold',
    'before("2.5"): held up to, not including, that release; from it on it must not hold',
    'needs("cuda", 2): cannot be judged without it',
    'claim("N2-07"): decides this row of docs/claims.toml',
    'question("Q45"): answers this row of docs/questions.toml',
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("specification of torch.nn.Module")
    group.addoption(
        "--device",
        action="append",
        metavar="DEVICE",
        help="a device type to run on, such as cpu or cuda; may be given more than once "
        "(default: every device present)",
    )
    group.addoption(
        "--record",
        metavar="DIR",
        type=path_of,
        help="write the outcome of every clause to DIR/<torch>-<device>.json",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    for mark in MARKS:
        config.addinivalue_line("markers", mark)
    _run_benchmarks_once(config)
    is_worker = hasattr(config, "workerinput")
    hands_out = not is_worker and getattr(config.option, "dist", "no") != "no"
    try:
        environment.set_aside()
        _ensure_times_can_be_written(config)
        if config.getoption("--record") is not None and not is_worker:
            ensure_writable(config.getoption("--record"))
        describe = None if hands_out and not config.getoption("--device") else _prepare(config)
    except NnspecError as error:
        raise pytest.UsageError(str(error)) from None
    if not is_worker:
        config.pluginmanager.register(Reporter(config, describe))


def _ensure_times_can_be_written(config: pytest.Config) -> None:
    """pytest-benchmark would find out at the end of the run."""
    times = config.getoption("benchmark_json", None)
    if not isinstance(times, Path) or hasattr(config, "workerinput"):  # before 5.3 an open file
        return
    if times.is_dir():
        raise UsageError(f"--benchmark-json {times}: it is a folder; name a file")
    ensure_writable(times.parent)


def _prepare(config: pytest.Config) -> Callable[[], dict[str, Any]]:
    """Let this process run clauses; what tells the header of a record that is made of it."""
    with importing():
        from nnspec.running import judging

    config.pluginmanager.register(judging)
    judging.prepare(config)
    return functools.partial(judging.describe, config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``-n`` alone, chapters stay whole; another ``--dist`` is the user's choice."""
    if config.getoption("dist") != "load":
        return None
    from nnspec.running.workers import ByChapter

    return ByChapter(config, log)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        from nnspec.running.workers import end_without_tidying

        atexit.register(end_without_tidying)


def _run_benchmarks_once(config: pytest.Config) -> None:
    """Without a wish to measure, a benchmark runs once and shows that it still works."""
    wished = ("benchmark_only", "benchmark_enable")
    if not any(config.getoption(name, False) for name in wished):
        config.option.benchmark_disable = True

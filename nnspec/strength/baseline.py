"""What the clauses do without a change: which lines each of them runs, and how long it takes."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
import torch.autograd
from _pytest.runner import runtestprotocol

from nnspec.records.record import tidy

Line = tuple[str, int]


@dataclass
class Baseline:
    """What clauses do without a change.

    Attributes:
        clauses: file and line to the node ids of the clauses that run it.
        seconds: the processor time of each clause, by node id.
        failures: the clauses that do not hold, and how they fail.
        modules: what the clauses import.
    """

    clauses: dict[Line, set[str]] = field(default_factory=lambda: defaultdict(set))
    seconds: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)

    def add(self, other: Baseline) -> None:
        """Other clauses join in."""
        for line, nodeids in other.clauses.items():
            self.clauses[line] |= nodeids
        self.seconds |= other.seconds
        self.failures |= other.failures
        self.modules |= other.modules


def failure_of(item: pytest.Item) -> str:
    """Run one clause; how it fails, or nothing."""
    for report in runtestprotocol(item, log=False, nextitem=None):
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            return tidy(crash.message if crash else report.longreprtext) or "failed"
    return ""


def follow(items: Iterable[pytest.Item], files: Iterable[str]) -> Baseline:
    """Run clauses and follow the lines of files, each clause as a context of coverage.

    A backward runs in the thread that calls it, on an accelerator too: those of autograd cannot be followed.
    """
    import coverage

    asked = {os.path.realpath(file): file for file in files}  # coverage resolves links, as in a linked .venv
    lines = coverage.Coverage(data_file=None, config_file=False, include=sorted(asked), messages=False)
    lines.set_option("run:core", "ctrace")  # the other one sees each line once, whichever clause runs it
    baseline = Baseline()
    imported = set(sys.modules)
    with lines.collect(), torch.autograd.set_multithreading_enabled(False):
        for item in items:
            lines.switch_context(item.nodeid)
            if failure := failure_of(item):
                baseline.failures[item.nodeid] = failure
    data = lines.get_data()
    for file in data.measured_files():
        for line, nodeids in data.contexts_by_lineno(file).items():
            baseline.clauses[asked[os.path.realpath(file)], line] = set(nodeids) - {""}
    baseline.modules = set(sys.modules) - imported
    return baseline


def time_each(items: Iterable[pytest.Item]) -> Baseline:
    """Run clauses at full speed."""
    baseline = Baseline()
    for item in items:
        started = time.process_time()
        if failure := failure_of(item):
            baseline.failures[item.nodeid] = failure
        baseline.seconds[item.nodeid] = time.process_time() - started
    return baseline


def import_quietly(modules: Iterable[str]) -> None:
    """Import once what the clauses would import in every process anew."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in sorted(modules):
            if name.partition(".")[0] in ("torch", "torchvision"):
                with contextlib.suppress(Exception):
                    importlib.import_module(name)

"""The clauses, collected once by pytest, with something else done to them than to run them."""

from __future__ import annotations

import functools
import gc
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nnspec.errors import NnspecError
from nnspec.running.judging import CLAUSE
from nnspec.strength.baseline import Baseline, follow, import_quietly, time_each
from nnspec.strength.processes import Piece, results_of
from nnspec.strength.progress import Progress

#: pytest plugins that write, wait or start processes.
UNUSED_PLUGINS = ("cacheprovider", "faulthandler", "xdist", "cov", "randomly", "timeout")

#: A clause may take so many times its ordinary processor time, and so many seconds in any case.
PATIENCE = 20
LEAST_SECONDS = 3.0
#: Ends what waits without working, as a deadlock does.
LONGEST_WAIT = 60.0
BASELINE_SECONDS = 1800.0


class MutationError(NnspecError):
    """Strength cannot be measured; the message says why and what to do."""


class Session:
    """The pytest plugin that works where pytest would run the clauses: a subclass says at what.

    Args:
        jobs: how many processes there are at a time.
        device: ``cpu``, or an accelerator on which the clauses run as well.
        spec: the folder ``spec``.
        progress: is told of each step.
    """

    def __init__(self, jobs: int, device: str, spec: Path, progress: Progress) -> None:
        self.jobs = jobs
        self.devices = tuple(dict.fromkeys(("cpu", device)))
        self.spec = spec
        self.progress = progress
        self.defect = ""

    @property
    def on_accelerator(self) -> bool:
        return self.devices != ("cpu",)

    def work(self, items: Mapping[str, pytest.Item]) -> None:
        """Do it, with the cases of the clauses by node id."""
        raise NotImplementedError

    def start(self) -> None:
        """Collect the clauses and work.

        Raises:
            MutationError: the clauses cannot be collected, or the work says so.
            KeyboardInterrupt: it was interrupted; no process is left.
        """
        if not self.on_accelerator:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        with tempfile.TemporaryDirectory(prefix="nnspec-") as scratch:
            options = ["-q", "-s", "-p", "nnspec.running.plugin"]
            options += [f"--device={device}" for device in self.devices]
            options += ["--basetemp", f"{scratch}/pytest", "-o", "tmp_path_retention_policy=none"]
            options += ["--tb=native"]  # a deep recursion shows its lines of source for minutes otherwise
            options += ["-W", "ignore::pytest.PytestWarning"]
            options += [option for name in UNUSED_PLUGINS for option in ("-p", f"no:{name}")]
            ended = pytest.main([*options, str(self.spec)], plugins=[self])
        if ended == pytest.ExitCode.INTERRUPTED and not self.defect:
            raise KeyboardInterrupt
        if self.defect or ended != pytest.ExitCode.OK:
            raise MutationError(self.defect or f"pytest ended with {pytest.ExitCode(ended).name}")

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.unregister(name="terminalreporter")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.defect:
            self.defect = f"{report.nodeid}: cannot be collected:\n{report.longreprtext}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        try:
            if not self.defect:
                torch.set_num_threads(1)
                # made here: a process that makes it anew empties it for the others
                session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
                self.work({item.nodeid: item for item in session.items if CLAUSE in item.stash})
        except MutationError as error:
            self.defect = str(error)
        finally:
            gc.unfreeze()
        return True

    def run_without_change(self, items: Sequence[pytest.Item], files: Iterable[str]) -> Baseline:
        """Run the clauses: once to see which lines of files they run, once more, backwards, for the time."""
        followed = self._observe(items, functools.partial(follow, files=files))
        if not self.on_accelerator:  # which of the modules looks at it when it is imported, nobody knows
            import_quietly(followed.modules)
        timed = self._observe(items[::-1], time_each)
        return replace(followed, seconds=timed.seconds, failures={**followed.failures, **timed.failures})

    def _observe(
        self, items: Sequence[pytest.Item], observe: Callable[[Sequence[pytest.Item]], Baseline]
    ) -> Baseline:
        share = -(-len(items) // self.jobs) or 1
        groups = [items[start : start + share] for start in range(0, len(items), share)]
        pieces = [
            Piece(None, functools.partial(observe, group), BASELINE_SECONDS, self.on_accelerator)
            for group in groups
        ]
        whole = Baseline()
        for _, failure, baseline in results_of(pieces, self.jobs):
            if failure:
                raise MutationError(f"the clauses were run without a change, and their process {failure}")
            whole.add(baseline)
        return whole


def needs(item: pytest.Item, name: str) -> bool:
    """Whether a clause needs something that is not everywhere."""
    return any(need == name for need, _ in item.stash[CLAUSE].needs)


def limit_for(seconds: float) -> float:
    """How much processor time a clause may take that ordinarily takes so many seconds."""
    return max(LEAST_SECONDS, PATIENCE * seconds)

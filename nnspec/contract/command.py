"""The command ``nnspec contract``: judges modules of the user's."""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import faulthandler
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO
from unittest import mock

import torch

from nnspec.contract.allowances import read_allowances
from nnspec.contract.api import report_on, select, together
from nnspec.contract.limit import ensure_limit
from nnspec.contract.pyproject import Entry, Table, read_table
from nnspec.contract.report import Report, write_junit
from nnspec.contract.rule import load_rules
from nnspec.contract.target import find_target
from nnspec.errors import UsageError
from nnspec.leaving import ends_despite_threads, no_way_out
from nnspec.running import devices


@dataclass(frozen=True)
class Job:
    """A module and rules to judge it by, so that another process can.

    Attributes:
        entry: the module and its inputs.
        allowed: why rules may be violated, by their ids.
        rules: the ids of the rules.
        devices: the device types.
        limit: how many seconds a rule may take, and the first call.
        threads: on how many threads torch computes; None for as many as it likes.
    """

    entry: Entry
    allowed: Mapping[str, str]
    rules: Sequence[str]
    devices: Sequence[str]
    limit: float | None
    threads: int | None = None


def run(options: argparse.Namespace) -> int:
    """Judge each module by every rule.

    Returns:
        0 no error was found, 1 one was, or a warning with ``--strict``, 3 a rule was not judged, because the
        tool itself failed or the time ran out.

    Raises:
        UsageError: no module was named, one cannot be built or called, or an option cannot be used. Of
            several modules the others are judged and shown before.
        FileError: the table of the project cannot be read.
    """
    with contextlib.suppress(Exception):  # a crash in code of C++ says where it was, where there is a stream
        faulthandler.enable()
    table = read_table(Path.cwd() / "pyproject.toml")
    ensure_limit("--limit", options.limit)
    if options.processes < 1:
        raise UsageError(f"-n {options.processes}: is no number of processes")
    output = sys.stdout  # a module may put another one in its place
    junit = _place(options.junit) if options.junit else None
    known, used = load_rules(), devices.select(options.device)
    rules = [rule.id for rule in select(options.only, options.skip)]
    jobs = []
    for entry in _entries(options, table):
        allowed = read_allowances(options.allow, {**table.allow, **entry.allow}, known)
        jobs.append(Job(entry, allowed, rules, used, options.limit))
    progress = _show if sys.stderr.isatty() else None
    with _silenced(output) if options.json else contextlib.nullcontext():
        if options.processes > 1:
            reports = _judge_in_processes(jobs, options.processes, progress)
        else:
            reports = [_together([_try_to_judge(job, progress)]) for job in jobs]
    if progress:
        progress("")
    judged = [report for report in reports if isinstance(report, Report)]
    refused = [report for report in reports if isinstance(report, UsageError)]
    if refused and len(reports) == 1:
        raise refused[0]
    if options.json:
        data = [
            {"module": job.entry.module, "error": str(one)} if isinstance(one, UsageError) else one.to_dict()
            for job, one in zip(jobs, reports, strict=True)
        ]
        print(json.dumps(data[0] if len(data) == 1 else data, indent=2, ensure_ascii=False), file=output)
    elif judged:
        print("\n\n".join(map(str, judged)), file=output)
    if junit:  # last: whatever keeps it from being written, the report is out
        write_junit(judged, junit, map(str, refused))
    if refused:
        output.flush()
        raise UsageError("\n".join(map(str, refused)))
    codes = {report.exit_code(strict=options.strict) for report in judged}
    return 1 if 1 in codes else max(codes)


@contextlib.contextmanager
def _silenced(output: TextIO) -> Iterator[None]:
    """Have what modules print, in whatever way, go to where errors go: JSON stands for itself."""
    output.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
        output.flush()
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _place(file: Path) -> Path:
    """Where a JUnit file is to lie; a module may change the current folder.

    Raises:
        UsageError: it cannot be written there, which would be a pity to hear at the end.
    """
    if file.is_dir():
        raise UsageError(f"--junit {file}: is a folder; name the file in it")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"--junit {file}: there is no folder {file.absolute().parent}; make it first")
    return file.absolute()


def _entries(options: argparse.Namespace, table: Table) -> list[Entry]:
    """The modules to judge, from the command line or else from the table."""
    if options.target is not None:
        return [Entry(options.target, tuple(options.input), options.inputs)]
    entries = table.entries
    if not entries:
        raise UsageError(
            "no module was named; name one, as in: nnspec contract mypkg.models:Net --input 2,3,64,64"
        )
    if not options.input and not options.inputs:
        return entries
    if len(entries) > 1:
        raise UsageError("inputs were given, and no module that takes them; name it")
    return [Entry(entries[0].module, tuple(options.input), options.inputs, entries[0].allow)]


def _try_to_judge(job: Job, progress: Callable[[str], None] | None = None) -> Report | UsageError:
    """Judge a module by the rules of a job; why it cannot be judged is no end of the others."""
    try:
        return _judge(job, progress)
    except UsageError as error:
        return error


def _together(shares: Sequence[Report | UsageError]) -> Report | UsageError:
    """The report of a module from those of its shares, or why there is none."""
    reports = []
    for share in shares:
        if isinstance(share, UsageError):
            return share
        reports.append(share)
    return together(reports)


def _judge(job: Job, progress: Callable[[str], None] | None = None) -> Report:
    """Judge a module by the rules of a job."""
    if job.threads:
        torch.set_num_threads(job.threads)
        return _judge_and_leave(replace(job, threads=None))
    with no_way_out():
        target = find_target(job.entry.module, job.entry.input, job.entry.inputs, job.limit)
        rules = [load_rules()[id_] for id_ in job.rules]
        return report_on(target, rules, job.devices, job.allowed, progress, job.limit)


def _judge_and_leave(job: Job) -> Report:
    """The same in a process of a pool, which ends whatever threads the module leaves there."""
    before = threading.enumerate()
    try:
        return _judge(job)
    finally:
        ends_despite_threads(before, 0)


def _judge_in_processes(
    jobs: Sequence[Job], number: int, progress: Callable[[str], None] | None
) -> list[Report | UsageError]:
    """Judge modules in several processes: each module in one, or a few in shares of the rules."""
    number = min(number, max(2, os.cpu_count() or 1))
    of = 1 if len(jobs) >= number else min(number, len(jobs[0].rules))
    threads = max(1, torch.get_num_threads() // number)
    shares = [
        replace(job, rules=job.rules[first::of], threads=threads) for job in jobs for first in range(of)
    ]
    reports: list[Report | UsageError] = []
    spawn = multiprocessing.get_context("spawn")
    try:
        with (
            _one_temporary_folder(),
            concurrent.futures.ProcessPoolExecutor(number, spawn, _end_with_parent) as pool,
            _ended_if_interrupted(),
        ):
            with _deaf_to_interrupts():
                judged = pool.map(_try_to_judge, shares)
            for report in judged:
                reports.append(report)
                if progress:
                    progress(f"{len(reports)} of {len(shares)}")
    except BrokenProcessPool:
        raise UsageError(
            "a process that judged was ended from outside, as for want of memory, or by a module; try -n 1"
        ) from None
    return [_together(reports[at : at + of]) for at in range(0, len(reports), of)]


@contextlib.contextmanager
def _one_temporary_folder() -> Iterator[None]:
    """Have processes that are started meanwhile keep their temporary files in a folder that goes with them.

    One that is ended in the middle of its work takes none away itself.
    """
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        mock.patch.dict(os.environ, {"TMPDIR": folder}),
    ):
        yield


def _end_with_parent() -> None:
    """Let a process of a pool end as soon as the one that it works for is gone."""
    parent, end = multiprocessing.parent_process(), os._exit

    def wait() -> None:
        if parent:
            parent.join()
        end(1)

    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let processes that are started meanwhile not be told of Ctrl-C, which is for this one to deal with."""
    kept = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, kept)


@contextlib.contextmanager
def _ended_if_interrupted() -> Iterator[None]:
    """Wait for no process of a pool where an error, or Ctrl-C, puts an end to it."""
    try:
        yield
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise


def _show(rule: str) -> None:
    """Show the rule at work in a line of its own on the terminal."""
    print(f"\r\033[K{rule}", end="", file=sys.stderr, flush=True)

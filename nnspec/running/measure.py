"""All that a machine can tell, with one command: for one that is there for minutes only."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

import torch

from nnspec.clauses.parts import find_checkout
from nnspec.errors import UsageError
from nnspec.records.files import ensure_writable
from nnspec.running import devices

#: Workers of a run of the specification: with more of them the longest chapter is still as long.
WORKERS = 8

#: Seconds that a command which is told to end has for what it still wants to write.
GRACE = 20.0

WELL = "well"
FINDINGS = "something was found, see its log"
STOPPED = "stopped, its time was over"

#: The exit codes with which a command has done its work.
DONE = {0: WELL, 1: FINDINGS}


class Step(NamedTuple):
    """One step of a measurement.

    Attributes:
        name: what its log is called.
        purpose: what it does, in words.
        commands: arguments of Python, run one after the other.
        otherwise: run instead if the first of them breaks down.
        share: the part of the time left that it may take.
    """

    name: str
    purpose: str
    commands: Sequence[Sequence[str]]
    otherwise: Sequence[str] = ()
    share: float = 1.0


def run(options: argparse.Namespace) -> int:
    """Measure all that this machine can tell: what a step brings is kept when it ends, well or not.

    Args:
        options: ``folder``, where everything goes; ``minutes``, how long it may take, None for no limit.

    Returns:
        the exit code: 0 every step did its work and found nothing wrong, 1 not so.

    Raises:
        UsageError: the time makes no sense, or the specification is not here.
        FileError: nothing can be written to the folder.
    """
    if options.minutes is not None and not 0 < options.minutes < float("inf"):
        raise UsageError(f"--minutes {options.minutes:g}: how long it may take, a number above 0")
    root, folder = find_checkout(), options.folder.resolve()
    ensure_writable(folder)
    present = devices.present()
    print(f"torch {torch.__version__}, devices: {', '.join(map(devices.describe, present))}")
    if not _reports():
        print("note: the benchmarks' report is not written here, as it needs msgspec; elsewhere:")
        print("      nnspec bench-report times.json --record docs/records")
    started = time.monotonic()
    end = started + 60 * options.minutes if options.minutes else None
    found = {step.name: _take(step, folder, root, end) for step in _steps(folder, present[1:])}
    print(f"\nmeasured in {time.monotonic() - started:.0f} s:")
    for name, what in found.items():
        print(f"  {name}: {what}")
    if len(present) == 1:
        print(
            "  strength: not measured, as there is no accelerator here; nnspec mutate measures it on the CPU"
        )
    for file in sorted(folder.iterdir()):
        print(f"{file}")
    return 0 if set(found.values()) == {WELL} else 1


def _reports() -> bool:
    """Whether what reads the times of the benchmarks can run here: a plain checkout may lack msgspec."""
    return importlib.util.find_spec("msgspec") is not None


def _steps(folder: Path, accelerators: Sequence[str]) -> list[Step]:
    """What there is to do, the most precious first."""
    record = ["-m", "pytest", "spec/", "-q", "--record", str(folder)]
    workers = str(min(WORKERS, os.cpu_count() or 1))
    times = str(folder / "times.json")
    report = ["-m", "nnspec", "bench-report", times, "--record", str(folder)]
    return [
        Step("record", "every clause on every device", [[*record, "-n", workers]], record, share=0.45),
        Step(
            "benchmarks",
            "what the machinery costs, and the devices side by side",
            [
                ["-m", "pytest", "@spec/benchmarks/options.txt", f"--benchmark-json={times}"],
                *([report] if _reports() else []),
            ],
            share=0.75,
        ),
        *(
            Step(
                f"strength-{device}",
                f"how much of a change to what only {device} reaches is noticed",
                [["-m", "nnspec", "mutate", "--device", device, "--record", str(folder)]],
            )
            for device in accelerators
        ),
    ]


def _take(step: Step, folder: Path, root: Path, end: float | None) -> str:
    """Take a step; what came of it, in words."""
    started = time.monotonic()
    until = None if end is None else started + (end - started) * step.share
    if end is not None and end - started < 1:
        return "not begun, no time was left"
    within = "" if until is None else f", within {until - started:.0f} s"
    print(f"\n== {step.name}: {step.purpose}{within}", flush=True)
    with (folder / f"{step.name}.log").open("w", encoding="utf-8") as log:
        outcomes = [_run(step.commands[0], root, until, log)]
        if step.otherwise and outcomes[0] not in (WELL, FINDINGS, STOPPED):
            print(f"== {step.name}: {outcomes[0]}; once more in one process", flush=True)
            outcomes = [_run(step.otherwise, root, until, log)]
        outcomes += [_run(command, root, None, log) for command in step.commands[1:]]
    what = next((outcome for outcome in outcomes if outcome != WELL), WELL)
    print(f"== {step.name}: {what}; {time.monotonic() - started:.0f} s", flush=True)
    return what


def _run(arguments: Sequence[str], root: Path, until: float | None, log: TextIO) -> str:
    """Run a command of Python, show what it shows, and keep that in a log; how it ended, in words."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=root,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    alarms = []
    if until is not None:
        left = max(until - time.monotonic(), 0.0)
        for seconds, number in ((left, signal.SIGINT), (left + GRACE, signal.SIGKILL)):
            alarms.append(threading.Timer(seconds, _signal, [process, number]))
            alarms[-1].start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            log.write(line)
        code = process.wait()
    finally:
        for alarm in alarms:
            alarm.cancel()
        _signal(process, signal.SIGKILL)
    if until is not None and time.monotonic() > until:
        return STOPPED
    return DONE.get(code, f"broke down with exit code {code}, see its log")


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Signal a command and what it has started; one that has ended is left alone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)

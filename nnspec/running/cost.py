"""The command ``python -m nnspec cost``: what a run costs beside importing what it cannot do without."""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nnspec.clauses.clause import Clause
from nnspec.clauses.parts import find_checkout, read_parts
from nnspec.errors import UsageError

FLOOR = "import torch, torchvision, pytest"


class Cost(NamedTuple):
    """What one process and its children took, in seconds."""

    processor: float
    wall: float


def run(options: argparse.Namespace) -> int:
    """Measure runs of the specification in turn with the floor, and print each as a ratio to it.

    Byte code is cached by a round that is not counted. Medians are printed: of processor time, since the
    machine may have other work, and of wall time.

    Raises:
        UsageError: there is no checkout, ``--rounds`` is no positive number, or a run fails.
    """
    if options.rounds < 1:
        raise UsageError(f"--rounds {options.rounds}: how often each is run, a number from 1")
    root = find_checkout()
    commands = _commands(root)
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(options.rounds + 1):
        progress = f"round {number} of {options.rounds}" if number else "a round that is not counted"
        print(progress, file=sys.stderr, flush=True)
        for name, command in commands.items():
            cost = _cost(command, root)
            if number:
                costs[name].append(cost)
    _show(costs)
    return 0


def _commands(root: Path) -> dict[str, list[str]]:
    """What is measured: name to command line, the floor first."""
    pytest = [sys.executable, "-m", "pytest", "-q"]
    parts = read_parts(root / "spec")
    ordinary = [
        f"spec/{part.name}"
        for part in parts
        if not any(_is_slow(clause) for chapter in part.chapters for clause in chapter.clauses)
    ]
    return {
        FLOOR: [sys.executable, "-c", FLOOR],
        "parts without compilation and ranks": [*pytest, *ordinary],
        "all": [*pytest, "spec"],
        "all, -n 2": [*pytest, "spec", "-n", "2"],
    }


def _is_slow(clause: Clause) -> bool:
    """Whether it compiles, or asks for processes of its own."""
    return any(need in ("compile", "distributed") for need, _ in clause.needs)


def _cost(command: Sequence[str], root: Path) -> Cost:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith("PYTEST_")
    }
    before, started = _processor_time(), time.perf_counter()
    ended = subprocess.run(
        command,
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    cost = Cost(_processor_time() - before, time.perf_counter() - started)
    if ended.returncode:
        last = "\n".join(ended.stdout.splitlines()[-5:])
        raise UsageError(
            f"{' '.join(command)}: ended with {ended.returncode}, so nothing is measured:\n{last}"
        )
    return cost


def _processor_time() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _show(costs: dict[str, list[Cost]]) -> None:
    print(f"{'':<40}{'processor':>11}{'':>8}{'wall':>9}{'':>8}")
    for name, rows in costs.items():
        processor = statistics.median(cost.processor for cost in rows)
        wall = statistics.median(cost.wall for cost in rows)
        of_floor = [
            statistics.median(mine[at] / floor[at] for mine, floor in zip(rows, costs[FLOOR], strict=True))
            for at in range(2)
        ]
        print(f"{name:<40}{processor:>9.1f} s{of_floor[0]:>7.2f}x{wall:>7.1f} s{of_floor[1]:>7.2f}x")
    shared = [both.wall / alone.wall for both, alone in zip(costs["all, -n 2"], costs["all"], strict=True)]
    print(f"all with -n 2 takes {statistics.median(shared):.2f} of the wall time of one process")

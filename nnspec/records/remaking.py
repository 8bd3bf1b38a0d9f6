"""Running the specification on supported releases, one after the other, through tox."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from nnspec.clauses.clause import Clause
from nnspec.clauses.releases import PINS
from nnspec.records import checks, reading
from nnspec.records.record import Record


def record_releases(
    releases: Collection[str], clauses: Mapping[str, Clause], root: Path, *, only_pending: bool
) -> list[str]:
    """Run clauses on each release and put what was seen into its record on the CPU.

    One environment of tox is on disk at a time. If only pending rows are asked for, a release without any is
    left as it is, so that an interrupted run goes on where it stopped. A failure does not stop the others.

    Args:
        releases: such as ``2.4``.
        clauses: id to clause.
        root: the checkout, with ``tox.ini``.
        only_pending: run the clauses whose rows are pending, not all.

    Returns:
        the releases on which a clause was violated, or the run could not be made.

    Raises:
        FileError: a record cannot be read.
    """
    failed = []
    for number, release in enumerate(releases, start=1):
        wanted = _wanted(root, release, clauses) if only_pending else list(clauses.values())
        many = "1 clause" if len(wanted) == 1 else f"{len(wanted)} clauses"
        print(f"[{number}/{len(releases)}] torch {release}: {many}", flush=True)
        if wanted and not _run(root, release, [] if len(wanted) == len(clauses) else wanted):
            failed.append(release)
    return failed


def record_of(root: Path, release: str) -> Record | None:
    """The record of a release on the CPU, if there is one.

    Raises:
        FileError: it cannot be read.
    """
    path = root / "docs" / "records" / f"{PINS[release].torch}-cpu.json"
    return reading.read(path) if path.exists() else None


def _wanted(root: Path, release: str, clauses: Mapping[str, Clause]) -> list[Clause]:
    """The clauses to run; where rows have only to be taken out, the first one: its run does that."""
    kept = record_of(root, release)
    if kept is None:
        return list(clauses.values())
    awaited = checks.pending(kept, clauses)
    wanted = [clauses[name] for name in awaited if name in clauses]
    return wanted or ([next(iter(clauses.values()))] if awaited else [])


def _run(root: Path, release: str, clauses: list[Clause]) -> bool:
    """Run clauses, or all of them if none are named, in the environment of a release."""
    environment = root / ".tox" / f"torch{release}"
    shutil.rmtree(environment, ignore_errors=True)  # what an interrupted run left may be incomplete
    command = [sys.executable, "-m", "tox", "run", "-e", f"torch{release}", "--"]
    command += ["-q", "--device", "cpu", "--record", str(root / "docs" / "records")]
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder) / "clauses.txt"
        names.write_text("".join(f"{clause.node(root)}\n" for clause in clauses), encoding="utf-8")
        command.append(f"@{names}" if clauses else "spec")
        try:
            return subprocess.run(command, cwd=root, check=False).returncode == 0
        finally:
            shutil.rmtree(environment, ignore_errors=True)

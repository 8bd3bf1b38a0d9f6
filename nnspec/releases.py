"""The records of all supported releases, made one after the other through tox."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from nnspec import record
from nnspec.clause import RELEASES, Clause


def make(wanted: list[str], root: Path, clauses: Mapping[str, Clause]) -> int:
    """Run the whole spec on each release and record it.

    One environment is on disk at a time. A release whose record is complete and fresh is left as it
    is, so that an interrupted run goes on where it stopped. A failure does not stop the others.

    Args:
        wanted: releases such as ``2.4``; all of them if empty.
        root: the checkout, with ``tox.ini``.
        clauses: id to clause, to see which records are fresh.

    Returns:
        the exit code: 0 if every release wanted has its record and none violates the spec.
    """
    directory = root / "docs" / "records"
    failed = []
    releases = wanted or list(RELEASES)
    for number, release in enumerate(releases, start=1):
        tell(f"[{number}/{len(releases)}] torch {release}")
        if not wanted and is_fresh(directory, release, clauses):
            tell("    its record is complete and fresh")
            continue
        if not _run(release, root, directory):
            failed.append(release)
    if failed:
        tell(f"failed: {', '.join(failed)}; see above, then: python -m nnspec releases {' '.join(failed)}")
    return 1 if failed else 0


def tell(line: str) -> None:
    print(line, flush=True)


def is_fresh(directory: Path, release: str, clauses: Mapping[str, Clause]) -> bool:
    """Whether a release has a record on the CPU that agrees with the clauses as they are."""
    for path in record.record_files(directory):
        try:
            found = record.read(path)
        except record.RecordError:
            continue
        if found.release == release and found.device == "cpu":
            return not record.check(found, clauses)
    return False


def _run(release: str, root: Path, directory: Path) -> bool:
    environment = root / ".tox" / f"torch{release}"
    command = [sys.executable, "-m", "tox", "run", "-e", f"torch{release}", "--"]
    command += ["-q", "--device", "cpu", "--record", str(directory)]
    shutil.rmtree(environment, ignore_errors=True)  # what an interrupted run left may be incomplete
    try:
        return subprocess.run(command, cwd=root, check=False).returncode == 0
    finally:
        shutil.rmtree(environment, ignore_errors=True)

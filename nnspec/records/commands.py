"""The commands about records: check-records, releases, adopt and compare."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from nnspec.clauses.clause import OF_THE_CPU, Clause
from nnspec.clauses.parts import find_checkout, read_clauses
from nnspec.clauses.releases import RELEASES
from nnspec.clauses.specification import Specification, read_specification
from nnspec.errors import FileError, UsageError
from nnspec.records import checks, comparison, reading, record, remaking
from nnspec.records.files import alone_in
from nnspec.records.outcomes import UNMET, VIOLATED
from nnspec.records.record import Record, RecordError
from nnspec.records.used import read_uses

#: What names a run of the torch at hand.
INSTALLED = "installed"

BRING = "bring them with: python -m nnspec releases --pending"


def check(options: argparse.Namespace) -> int:
    """Check records: what is wrong in them fails, what is pending is listed.

    Raises:
        NnspecError: there are no records, or none of a name that was given, or the spec cannot be read.
    """
    for path in options.files:
        if not path.exists():
            raise UsageError(f"{path}: there is no such file; name a record, as docs/records/2.15.0-cpu.json")
    root = find_checkout()
    specification = read_specification(root)
    clauses = specification.clauses
    directory = specification.records_folder
    paths = options.files or record.record_files(directory)
    if not paths:
        raise RecordError(f"{directory}: no records; {record.remake(directory)}")
    records, defects = _read(paths)
    if not options.files:
        defects += [
            f"{path}: no record has such a name, so nothing reads it; name it as 2.15.0-cpu.json, or "
            "take it away"
            for path in record.strange_files(directory)
        ]
    awaited: dict[str, list[str]] = {}
    for kept in records:
        explained = specification.explained(kept.device)
        defects += [f"{kept.name}: {line}" for line in checks.wrong(kept, clauses, explained)]
        for name, why in checks.pending(kept, clauses).items():
            awaited.setdefault(f"{name}: {why}", []).append(_place(kept))
    if options.fresh:
        defects += _contradictions(options.fresh, records, clauses)
    missing = _missing(records) if not options.files else []
    defects += _not_violated(specification, records) if not options.files else []
    for line in defects:
        print(line)
    for line, releases in awaited.items():
        where = "every release" if len(releases) == len(records) > 1 else ", ".join(releases)
        print(f"pending: {line} ({where})")
    for release in missing:
        print(f"pending: torch {release} has no record")
    print(f"{len(paths)} records, {len(defects)} defects, {len(awaited) + len(missing)} pending")
    if awaited or missing:
        print(BRING)
        elsewhere = [kept.name for kept in records if kept.device != "cpu" and checks.pending(kept, clauses)]
        if elsewhere:
            print(f"those of {', '.join(elsewhere)} with a run there and: python -m nnspec adopt DIR")
    return 1 if defects or (options.strict and (awaited or missing)) else 0


def _read(paths: list[Path]) -> tuple[list[Record], list[str]]:
    """The records that can be read, and a line for each that cannot."""
    records, defects = [], []
    for path in paths:
        try:
            records.append(reading.read(path))
        except FileError as error:
            defects.append(str(error))
    return records, defects


def _place(kept: Record) -> str:
    """Where a record was made, in a word: its release, and its device if that is not the CPU."""
    return kept.release if kept.device == "cpu" else kept.name


def _not_violated(specification: Specification, records: list[Record]) -> list[str]:
    """What the table of differences says of a clause and no record of that device bears out."""
    lines = []
    for device in specification.differences:
        of_device = [kept for kept in records if kept.device == device]
        for name in specification.explained(device):
            outcomes = [kept.rows[name].outcome for kept in of_device if name in kept.rows]
            if outcomes and VIOLATED not in outcomes:
                lines.append(f"docs/differences.toml: {device}: {name} is not violated there; take it out")
    return lines


def _missing(records: list[Record]) -> list[str]:
    there = {kept.release for kept in records if kept.device == "cpu"}
    return [release for release in RELEASES if release not in there]


def _contradictions(directory: Path, records: list[Record], clauses: Mapping[str, Clause]) -> list[str]:
    """What freshly made records say differently than the kept ones.

    Left out are pending rows, and what this CPU or that of the kept record cannot judge.
    """
    fresh_records = reading.read_all(directory)
    if not fresh_records:
        raise RecordError(f"{directory}: no records here; make one with: pytest spec/ --record {directory}")
    kept = {same.name: same for same in records}
    lines = []
    for fresh in fresh_records:
        if fresh.name not in kept:
            print(f"{fresh.name}: no such record is kept, so the fresh one has nothing to agree with")
            continue
        pending = checks.pending(kept[fresh.name], clauses)
        rows = (kept[fresh.name].rows, fresh.rows)
        unjudged = {
            name
            for name, clause in clauses.items()
            if any(need in OF_THE_CPU for need, _ in clause.needs)
            and any(name in side and side[name].outcome == UNMET for side in rows)
        }
        besides = pending.keys() | unjudged
        lines += [f"{fresh.name}: {line}" for line in checks.differences(kept[fresh.name], fresh, besides)]
    return lines


def releases(options: argparse.Namespace) -> int:
    """Record releases through tox.

    Raises:
        NnspecError: a release is not supported, or tox is not installed.
    """
    for release in options.release:
        if release not in RELEASES:
            raise UsageError(f"{release!r} is no supported release; one of {', '.join(RELEASES)}")
    if importlib.util.find_spec("tox") is None:
        raise UsageError("tox is not installed; install it with: pip install tox")
    root = find_checkout()
    failed = remaking.record_releases(
        options.release or RELEASES, read_clauses(root / "spec"), root, only_pending=options.pending
    )
    if failed:
        again = " ".join(["python -m nnspec releases", *(["--pending"] if options.pending else []), *failed])
        print(f"failed: {', '.join(failed)}; see above, then: {again}", file=sys.stderr)
    return 1 if failed else 0


def adopt(options: argparse.Namespace) -> int:
    """Take the rows that are pending from records made elsewhere.

    Raises:
        NnspecError: a folder has no record, or one that cannot stand beside the kept one.
    """
    specification = read_specification(find_checkout())
    with alone_in(specification.records_folder):
        brought = [fresh for folder in options.folders for fresh in _brought(folder, specification)]
        _ensure_alike(brought, specification.clauses)
        for fresh in brought:
            print(_adopted(fresh, specification))
    return 0


def _ensure_alike(brought: list[Record], clauses: Mapping[str, Clause]) -> None:
    """See that no two records say different things of a clause as it is now: one would be passed over."""
    seen: dict[tuple[str, str], str] = {}
    for fresh in brought:
        for name, row in fresh.rows.items():
            if name not in clauses or row.digest != clauses[name].digest:
                continue
            other = seen.setdefault((fresh.name, name), row.outcome)
            if other != row.outcome:
                raise RecordError(
                    f"{fresh.name}: one record says {other!r} of {name} and another {row.outcome!r}; "
                    "nothing was adopted"
                )


def _brought(folder: Path, specification: Specification) -> list[Record]:
    """The records of a folder, of which each can be taken from: else nothing is taken from any."""
    records = reading.read_all(folder)
    if not records:
        raise RecordError(f"{folder}: no records here; nothing was adopted")
    for fresh in records:
        explained = specification.explained(fresh.device)
        bad = [name for name, row in fresh.rows.items() if checks.is_unexplained(name, row, explained)]
        if bad:
            raise RecordError(
                f"{fresh.name}: says {fresh.rows[bad[0]].outcome!r} of {bad[0]}; nothing was adopted"
            )
        _kept(fresh, specification.records_folder)
    return records


def _kept(fresh: Record, directory: Path) -> Record | None:
    path = directory / f"{fresh.name}.json"
    return reading.read(path) if path.exists() else None


def _adopted(fresh: Record, specification: Specification) -> str:
    """Put what a record brings into the kept one; what was done, in a line."""
    directory, clauses = specification.records_folder, specification.clauses
    kept = _kept(fresh, directory)
    current = {
        name: row
        for name, row in fresh.rows.items()
        if name in clauses and row.digest == clauses[name].digest
    }
    if kept is not None:
        awaited = checks.pending(kept, clauses)
        if not awaited:
            return f"{fresh.name}: nothing is pending"
        if not clauses.keys() <= current.keys():  # a run of all clauses may be another machine's
            current = {name: row for name, row in current.items() if name in awaited}
    spliced = checks.splice(kept, Record(fresh.run, current), clauses)
    record.write(spliced, directory)
    left = len(checks.pending(spliced, clauses))
    return f"{fresh.name}: {len(current)} rows adopted, {left} pending"


def compare(options: argparse.Namespace) -> int:
    """Say what changes from one torch to another.

    Raises:
        NnspecError: a side cannot be found or read.
    """
    root = find_checkout()
    uses = read_uses(options.used_in) if options.used_in else None
    before, after = _sides(root, options.before, options.after)
    specification = read_specification(root)
    difference = comparison.compare(before, after, specification.clauses)
    comparison.write_changes(difference, specification, uses)
    comparison.explain(difference, specification)
    if options.json:
        print(json.dumps(difference.as_json(), indent=2))
    else:
        print(comparison.as_text(difference, with_clauses=uses is None))
    if uses is not None:
        return 1 if any(change.hurts == "breaks" for change in difference.written) else 0
    return 1 if difference.no_longer_holds else 0


def _sides(root: Path, *wanted: str) -> list[Record]:
    """The records that are meant; what can be refused at once is, before a run that takes minutes."""
    found = {
        name: comparison.find_record(root / "docs" / "records", name) for name in wanted if name != INSTALLED
    }
    if INSTALLED in wanted:
        found[INSTALLED] = _run_now(root)
    return [found[name] for name in wanted]


def _run_now(root: Path) -> Record:
    """Run the whole spec on the torch at hand and read what it recorded."""
    print("running the spec on the torch at hand ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "pytest", str(root / "spec"), "-q", "--device=cpu"]
        command += [f"--record={directory}", "--rootdir", str(root)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        result = subprocess.run(command, cwd=root, env=environment, stdout=sys.stderr, check=False)
        records = reading.read_all(Path(directory))
        if not records:
            raise UsageError(f"the run of the spec left no record (pytest ended with {result.returncode})")
        return records[0]

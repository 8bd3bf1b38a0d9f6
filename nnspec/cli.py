"""The command ``python -m nnspec``."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nnspec import compare, lint, record, releases
from nnspec.chapter import read_spec
from nnspec.clause import RELEASES, Clause, ClauseError
from nnspec.ledger import LedgerError
from nnspec.project import read_project
from nnspec.record import Record, RecordError


class UsageError(Exception):
    """The command cannot be carried out as it was given."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the command line without the program's name; by default the process's own.

    Returns:
        the exit code: 0 well, 1 something was found, 2 the command could not be carried out, 130 interrupted,
        141 nobody reads the output any more.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (UsageError, ClauseError, LedgerError, RecordError) as error:
        print(f"nnspec {options.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print(f"nnspec {options.command}: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nnspec",
        description="Lints, records and compares the executable specification of torch.nn.Module.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("lint", help="see that the specification keeps its own rules")
    command.add_argument("--api", action="store_true", help="list the public names that no clause speaks of")
    command.set_defaults(run=_lint)

    command = commands.add_parser(
        "check-records", help="see that records are valid, complete, not stale, and agree with the bounds"
    )
    command.add_argument("files", nargs="*", type=Path, help="records (default: all in docs/records)")
    command.add_argument(
        "--fresh", type=Path, metavar="DIR", help="a folder of records made just now, which must say the same"
    )
    command.add_argument("--all-releases", action="store_true", help="ask for a record of every release")
    command.set_defaults(run=_check_records)

    command = commands.add_parser("compare", help="say what changes from one torch to another")
    side = "a release (2.4), a record (2.11.0-cuda), a file, or 'installed' for a run of the torch at hand"
    command.add_argument("before", metavar="A", help=side)
    command.add_argument("after", metavar="B", help="likewise")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=_compare)

    command = commands.add_parser("releases", help="record every release, one after the other, through tox")
    command.add_argument("release", nargs="*", help="only these, such as 2.4; made anew even if fresh")
    command.set_defaults(run=_releases)
    command = commands.add_parser(
        "mutate", help="measure how many small changes to torch.nn the spec notices"
    )
    command.add_argument(
        "--sample", type=int, metavar="N", help="try N of the changes, the same ones each time"
    )
    command.add_argument(
        "--only", metavar="PATTERN", help="a file or function, such as module.py or Module.load_state_dict"
    )
    command.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes at a time (default: cores)",
    )
    command.set_defaults(run=_mutate)
    return parser


def project_root() -> Path:
    """The folder that holds ``spec/``: this one, or the checkout that this package lies in.

    Raises:
        UsageError: there is none.
    """
    for root in (Path.cwd(), Path(__file__).resolve().parents[1]):
        if (root / "spec").is_dir() and (root / "docs").is_dir():
            return root
    raise UsageError(f"{Path.cwd()}: no spec/ and docs/ here; run it in a checkout of the project")


def _clauses(root: Path) -> dict[str, Clause]:
    return {clause.id: clause for chapter in read_spec(root / "spec") for clause in chapter.clauses}


def _lint(options: argparse.Namespace) -> int:
    project = read_project(project_root())
    if options.api:
        missing, explained = lint.unnamed(project)
        for line in explained:
            print(f"left out: {line}")
        for name in missing:
            print(f"no clause speaks of {name}")
        print(f"{len(missing)} public names without a clause, {len(explained)} left out with a reason")
        return 1 if missing else 0
    found = lint.findings(project)
    for line in found:
        print(line)
    print(f"{len(project.clauses)} clauses in {len(project.chapters)} chapters, {len(found)} findings")
    return 1 if found else 0


def _check_records(options: argparse.Namespace) -> int:
    root = project_root()
    directory = root / "docs" / "records"
    clauses = _clauses(root)
    found = 0
    paths = options.files or record.record_files(directory)
    if not paths:
        raise RecordError(f"{directory}: no records; {record.REMAKE}")
    seen: dict[str, Record] = {}
    for path in paths:
        try:
            one = record.read(path)
        except RecordError as error:
            print(error)
            found += 1
            continue
        defects = record.check(one, clauses)
        for defect in defects:
            print(f"{path}: {defect}")
        if defects:
            print(f"{path}: mend it with: python -m nnspec releases {one.release}")
        found += len(defects)
        seen[one.name] = one
    if options.all_releases:
        found += _missing_releases(seen)
    if options.fresh:
        found += _differences(options.fresh, seen)
    print(f"{len(paths)} records, {found} defects")
    return 1 if found else 0


def _missing_releases(seen: dict[str, Record]) -> int:
    there = {one.release for one in seen.values() if one.device == "cpu"}
    missing = [release for release in RELEASES if release not in there]
    for release in missing:
        print(f"torch {release}: no record; make it with: python -m nnspec releases {release}")
    return len(missing)


def _differences(directory: Path, seen: dict[str, Record]) -> int:
    """How many rows of freshly made records differ from the kept ones."""
    found = 0
    fresh = record.read_all(directory)
    if not fresh:
        raise RecordError(f"{directory}: no records here; make one with: pytest spec/ --record {directory}")
    for one in fresh:
        kept = seen.get(one.name)
        if kept is None:
            print(f"{one.name}: no such record is kept, so the fresh one has nothing to agree with")
            continue
        lines = record.differences(kept, one)
        found += len(lines)
        for line in lines:
            print(f"{one.name}: {line}")
    return found


def _compare(options: argparse.Namespace) -> int:
    root = project_root()
    before, after = (_side(root, wanted) for wanted in (options.before, options.after))
    found = compare.compare(before, after, _clauses(root))
    print(json.dumps(found.as_json(), indent=2) if options.json else compare.as_text(found))
    return 1 if found.no_longer_holds else 0


def _side(root: Path, wanted: str) -> Record:
    if wanted == "installed":
        return _run_now(root)
    return compare.find_record(root / "docs" / "records", wanted)


def _run_now(root: Path) -> Record:
    """Run the whole spec on the torch at hand and read what it recorded."""
    print("running the spec on the torch at hand ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "pytest", str(root / "spec"), "-q", "--device", "cpu"]
        command += ["--record", directory, "--rootdir", str(root)]
        result = subprocess.run(command, cwd=root, stdout=sys.stderr, check=False)
        found = record.read_all(Path(directory))
        if not found:
            raise UsageError(f"the run of the spec left no record (pytest ended with {result.returncode})")
        return found[0]


def _mutate(options: argparse.Namespace) -> int:
    from nnspec import mutate

    return mutate.run(options.only, options.sample, options.jobs, project_root() / "spec", None)


def _releases(options: argparse.Namespace) -> int:
    for release in options.release:
        if release not in RELEASES:
            raise UsageError(f"{release!r} is no supported release; one of {', '.join(RELEASES)}")
    if importlib.util.find_spec("tox") is None:
        raise UsageError("tox is not installed; install it with: pip install tox")
    root = project_root()
    return releases.make(options.release, root, _clauses(root))

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
from typing import Any

from nnspec import bench_command, compare, launch, lint, record, releases, settings
from nnspec.chapter import read_spec
from nnspec.clause import RELEASES, Clause, ClauseError
from nnspec.ledger import LedgerError
from nnspec.project import read_project
from nnspec.record import Record, RecordError
from nnspec.settings import SettingsError

CONTRACT_EXAMPLES = """\
examples:
  nnspec contract torchvision.models:resnet34 --input 2,3,64,64
  nnspec contract 'mypkg.models:Net(10, bias=False)' --input 2,128:int64 --input 2,128:bool
  nnspec contract mypkg.models:build --inputs mypkg.models:example_inputs
  nnspec contract mypkg.models:build --input 4,16 --allow closures
"""

VERIFY_EXAMPLES = """\
examples:
  nnspec verify
  nnspec verify state copying -v
  nnspec verify --device cuda --record my-records
"""


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
    except (UsageError, ClauseError, FileNotFoundError, LedgerError, RecordError, SettingsError) as error:
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
        description="Runs, lints, records and compares the executable specification of torch.nn.Module.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    _add_runs(commands)
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

    bench_command.add(commands)
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


def _add_runs(commands: Any) -> None:
    """The two commands that work wherever the package is installed."""
    command = commands.add_parser(
        "contract",
        help="see whether a module of your own behaves as a Module",
        description="Puts a module under the clauses that hold for every well-behaved Module.",
        epilog=CONTRACT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "target",
        nargs="?",
        help="a class or function that makes the module, package.module:name or 'package.module:Net(10)' "
        "(default: module in [tool.nnspec] of the pyproject.toml here)",
    )
    command.add_argument(
        "--input", action="append", default=[], metavar="SHAPE[:DTYPE]", help="one positional input"
    )
    command.add_argument("--inputs", metavar="CALLABLE", help="a function that returns the inputs")
    command.add_argument(
        "--allow", action="append", default=[], metavar="CLAUSE", help="a clause that may be violated"
    )
    command.add_argument("--device", action="append", default=[], help="on this device only (default: all)")
    command.add_argument("-v", "--verbose", action="store_true", help="name every clause by its statement")
    command.set_defaults(run=_contract)

    command = commands.add_parser(
        "verify",
        help="run the specification on the torch at hand",
        description="Runs the specification, or parts of it, on the torch at hand.",
        epilog=VERIFY_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("part", nargs="*", help="only these, such as state or state/test_ties.py")
    command.add_argument("--device", action="append", default=[], help="on this device only (default: all)")
    command.add_argument("--record", type=Path, metavar="DIR", help="write every outcome to a file in DIR")
    command.add_argument("-v", "--verbose", action="store_true", help="name every clause by its statement")
    command.set_defaults(run=_verify)


def project_root() -> Path:
    """The folder that holds ``spec/``: this one, or the checkout that this package lies in.

    Raises:
        UsageError: there is none.
    """
    for root in (Path.cwd(), Path(__file__).resolve().parents[1]):
        if (root / "spec").is_dir() and (root / "docs").is_dir():
            return root
    raise UsageError(f"{Path.cwd()}: no spec/ and docs/ here; run this command in a checkout of the project")


def _clauses(root: Path) -> dict[str, Clause]:
    return {clause.id: clause for chapter in read_spec(root / "spec") for clause in chapter.clauses}


def _contract(options: argparse.Namespace) -> int:
    target, inputs, from_callable = options.target, options.input, options.inputs
    if target is None:
        kept = settings.read(Path.cwd())
        if not kept.module:
            raise UsageError(
                "no module was named; name one, as in: nnspec contract mypkg.models:Net --input 2,3,64,64"
            )
        target = kept.module
        if not inputs and not from_callable:
            inputs, from_callable = list(kept.input), kept.inputs or None
    arguments = ["--module", target, *(["--inputs", from_callable] if from_callable else [])]
    for name, values in (("--input", inputs), ("--allow", options.allow), ("--device", options.device)):
        arguments += [word for value in values for word in (name, value)]
    return launch.run(["contract"], ["-rN", "-v" if options.verbose else "-qq", *arguments])


def _verify(options: argparse.Namespace) -> int:
    arguments = [word for value in options.device for word in ("--device", value)]
    if options.record:
        arguments += ["--record", str(options.record)]
    return launch.run(options.part, [*(["-v"] if options.verbose else []), *arguments])


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

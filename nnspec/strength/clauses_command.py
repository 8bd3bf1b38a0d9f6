"""The command ``python -m nnspec strength --clauses``."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

import torch

from nnspec.clauses.parts import find_checkout
from nnspec.errors import FileError
from nnspec.records.files import as_lines, ensure_writable, write_whole
from nnspec.strength import counts
from nnspec.strength.clauses import ClauseSession, Judged
from nnspec.strength.command import ensure_possible
from nnspec.strength.counts import SCHEMA
from nnspec.strength.progress import Progress, Words
from nnspec.strength.reading import read_assertions, read_reasons
from nnspec.strength.session import MutationError
from nnspec.strength.targets import FURTHER_MODULES, MODULES, Change, read_targets


def run(options: argparse.Namespace) -> int:
    """See of each clause whether its assertions can fail, and show those that cannot.

    What the record in ``docs/records`` says of clauses that are as they were is not judged again.

    Args:
        options: ``only``, the ids of clauses; ``jobs``, how many processes at a time; ``record``, the folder
            of the record, by default ``docs/records``.

    Returns:
        the exit code: 0 if every assertion can fail or is explained in ``docs/assertions.toml``, 1 if not.

    Raises:
        MutationError: the clauses cannot be judged.
        TableError: ``docs/assertions.toml`` is not written as it has to be.
        FileError: the record cannot be written.
    """
    ensure_possible(options.jobs)
    root = find_checkout()
    records = options.record or root / "docs" / "records"
    if options.only is None:
        ensure_writable(records)
    explanations = read_reasons(root / "docs" / "assertions.toml")
    ensure_writable(root / "build")
    name = f"assertions-{counts.describe('cpu')['torch']}-cpu.json"
    kept = root / "build" / f"{name}l"
    if kept.exists() and not kept.is_file():
        raise MutationError(
            f"{kept}: what was judged so far is kept in such a file, and this is none; remove it"
        )
    progress = Progress(sys.stderr, Words("clauses", "whole", "not whole"))
    recorded = _recorded(root / "docs" / "records" / name, progress)
    pattern = options.only or "*"
    session = ClauseSession(
        _read_changes,
        recorded,
        kept,
        lambda name: fnmatch.fnmatchcase(name, pattern),
        options.jobs,
        "cpu",
        root / "spec",
        progress,
    )
    try:
        session.start()
    finally:
        progress.end()
    if not session.judged:
        raise MutationError(f"--only {options.only}: no clause that can be judged here has such an id")
    judged = dict(sorted(session.judged.items()))
    unexplained = _show(judged, explanations)
    if options.only is None:
        print(f"recorded in {_write(judged, records)}")
    else:
        print("not recorded: only a whole run is")
    return 1 if unexplained else 0


def _recorded(path: Path, progress: Progress) -> dict[str, Judged]:
    """What the last whole run on this torch found; nothing if that cannot be read."""
    if not path.exists():
        return {}
    try:
        record = read_assertions(path)
    except FileError as error:
        progress.say(f"all clauses are judged anew: {error}")
        return {}
    return {
        name: Judged(digest, number, tuple(record.never_fail.get(name, ())), record.not_judged.get(name, ""))
        for name, (digest, number) in record.judged.items()
    }


def _read_changes() -> list[Change]:
    return [change for target in read_targets((*MODULES, *FURTHER_MODULES)) for change in target.changes]


def _show(judged: Mapping[str, Judged], explanations: Collection[str]) -> list[str]:
    """Print the count of each part and what nobody explained; the latter."""
    print(f"assertions of the clauses on torch {torch.__version__}")
    print(f"{'':<20}{'clauses':>9}{'assertions':>12}{'can fail':>10}{'not judged':>12}")
    clauses: Counter[str] = Counter()
    assertions: Counter[str] = Counter()
    unfailing: Counter[str] = Counter()
    not_judged: Counter[str] = Counter()
    for name, found in judged.items():
        for part in (name.partition(".")[0], "all"):
            clauses[part] += not found.why
            assertions[part] += found.assertions
            unfailing[part] += len(found.unfailing)
            not_judged[part] += bool(found.why)
    for part in [*(part for part in clauses if part != "all"), "all"]:
        can = assertions[part] - unfailing[part]
        print(f"{part:<20}{clauses[part]:>9}{assertions[part]:>12}{can:>10}{not_judged[part]:>12}")
    for name, found in judged.items():
        if found.why:
            print(f"not judged: {name}: {found.why}")
    names = [f"{name}: {text}" for name, found in judged.items() for text in found.unfailing]
    unexplained = [name for name in names if name not in explanations]
    if unexplained:
        print("\nnothing made these fail, and docs/assertions.toml does not say why:")
        print("\n".join(unexplained))
    for name in set(explanations) - set(names):
        if name.partition(":")[0] in judged:
            print(f"outdated in docs/assertions.toml: {name}; remove it")
    return unexplained


def _write(judged: Mapping[str, Judged], directory: Path) -> Path:
    run = counts.describe("cpu")
    table = {
        "schema": SCHEMA,
        "run": run,
        "judged": {name: [found.digest, found.assertions] for name, found in judged.items()},
        "never fail": {name: found.unfailing for name, found in judged.items() if found.unfailing},
        "not judged": {name: found.why for name, found in judged.items() if found.why},
    }
    return write_whole(directory / f"assertions-{run['torch']}-cpu.json", as_lines(table, depth=2))

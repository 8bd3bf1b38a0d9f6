"""How much of a change to torch.nn the specification notices.

One small change at a time is made to a function of torch.nn, in a process of its own that never touches
an installed file, and clauses run until one of them fails. A change with which all of them hold survives:
either it makes no difference, or the specification does not say what it should.

Left out, and counted as not tried, is what runs once when torch is imported: the bodies of modules and
classes outside their functions. Clauses that need torch.distributed are not asked: they run in processes
of their own.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import os
import random
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from pathlib import Path

import torch

from nnspec.clauses.parts import find_checkout
from nnspec.records.files import ensure_writable
from nnspec.running import devices
from nnspec.running.environment import ensure_assertions
from nnspec.strength import counts
from nnspec.strength.measurement import SURVIVED, SURVIVING, VERDICTS, Measurement
from nnspec.strength.progress import Progress, Words
from nnspec.strength.session import MutationError
from nnspec.strength.targets import (
    ACCELERATED_MODULES,
    FURTHER_MODULES,
    MODULES,
    Change,
    Target,
    read_target,
    read_targets,
    short_name,
)

SEED = 20


def run(options: argparse.Namespace) -> int:
    """Measure the strength of the specification and show it; a whole run is recorded.

    Args:
        options: ``only``, the changes to try, such as ``module.py``, ``Module.load_state_dict``,
            ``container.py:Sequential`` or the id of one, also those of :data:`FURTHER_MODULES`;
            ``sample``, how many of them, the same ones each time; ``jobs``, how many processes at a time;
            ``device``, an accelerator on which the clauses run as well, and then what only that reaches is
            changed; ``record``, the folder of the record, by default ``docs/records``.

    Returns:
        the exit code: 0 if every survivor is explained in ``docs/survivors.toml``, 1 if not.

    Raises:
        MutationError: strength cannot be measured.
        UsageError: there is no such device here.
        TableError: ``docs/survivors.toml`` is not written as it has to be.
        FileError: the record cannot be written.
    """
    if options.sample is not None and options.sample < 1:
        raise MutationError(f"--sample {options.sample}: how many changes to try, a number from 1")
    ensure_possible(options.jobs)
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # a process that asked CUDA itself cannot be forked
    devices.select([options.device])
    root = find_checkout()
    records = options.record or root / "docs" / "records"
    is_whole = options.only is None and options.sample is None
    if is_whole:
        ensure_writable(records)
    explanations = _explanations(root / "docs" / "survivors.toml")
    targets = _read_targets(options.only, options.device)
    changes = _select(targets, options.only, options.sample)
    progress = Progress(sys.stderr, Words("changes", "noticed", "survived"))
    progress.begin(len(changes))
    measurement = Measurement(changes, options.jobs, options.device, root / "spec", progress)
    try:
        verdicts = measurement.measure()
    finally:
        progress.end()
    strength = counts.sum_up(targets, changes, verdicts)
    written = counts.write(strength, options.device, records) if is_whole else None

    unexplained = [survivor for survivor in strength.survivors if survivor.id not in explanations]
    _show(strength, verdicts, unexplained)
    _show_outdated(explanations, verdicts, strength.counts.keys() if is_whole else set())
    for nodeid, how in sorted(measurement.left_out.items()):
        print(f"left out, as it does not hold without a change: {nodeid}: {how}")
    print(f"recorded in {written}" if written else "not recorded: only a whole run is")
    return 1 if unexplained or measurement.left_out else 0


def ensure_possible(jobs: int) -> None:
    """See that functions can be changed here.

    Raises:
        MutationError: they cannot, or ``jobs`` makes no sense.
        UsageError: assertions are off.
    """
    ensure_assertions()
    if not hasattr(os, "fork"):
        raise MutationError("each change lives in a forked process, and this system cannot fork")
    if importlib.util.find_spec("coverage") is None:
        raise MutationError("coverage is not installed; install it with: pip install coverage")
    if jobs < 1:
        raise MutationError(f"--jobs {jobs}: how many processes at a time, a number from 1")


def _read_targets(only: str | None, device: str) -> list[Target]:
    """The files that a pattern can be about: all that are known, or those of a whole run."""
    if only is None:
        return [read_target(name) for name in (MODULES if device == "cpu" else ACCELERATED_MODULES)]
    file = only.partition(":")[0] if ".py" in only else ""
    known = (*MODULES, *FURTHER_MODULES)
    return read_targets(name for name in known if not file or _is_file(short_name(name), file))


def _is_file(name: str, wanted: str) -> bool:
    return fnmatch.fnmatchcase(name, wanted) or name.endswith(f"/{wanted}")


def _select(targets: Iterable[Target], only: str | None, sample: int | None) -> list[Change]:
    """The changes to try, in source order.

    Raises:
        MutationError: there are none.
    """
    changes = [change for target in targets for change in target.changes]
    if only is not None:
        changes = [change for change in changes if _matches(change, only)]
    if not changes:
        files = ", ".join(short_name(name) for name in (*MODULES, *FURTHER_MODULES))
        raise MutationError(
            f"--only {only}: no change matches; name a file, one of {files}, a function such as "
            "Module.load_state_dict, both as container.py:Sequential, or the id of a change"
        )
    if sample is not None and sample < len(changes):
        kept = set(random.Random(SEED).sample(range(len(changes)), sample))
        changes = [change for place, change in enumerate(changes) if place in kept]
    return changes


def _matches(change: Change, only: str) -> bool:
    file, _, name = only.partition(":") if ".py" in only else ("", "", only)
    if file and not _is_file(change.file, file):
        return False
    own = change.id.removeprefix(f"{change.file}:")
    return (
        not name
        or own.startswith((f"{name}.", f"{name}:"))
        or any(fnmatch.fnmatchcase(text, name) for text in (own, change.function))
    )


def _show(
    strength: counts.Strength, verdicts: Mapping[str, str], unexplained: Sequence[counts.Survivor]
) -> None:
    """Print the count of each file and the survivors that nobody explained."""
    print(f"strength of the specification on torch {torch.__version__}")
    print(f"{'':<28}{'changes':>9}{'noticed':>9}{'':>9}{'survived':>10}{'not tried':>11}")
    rows = [*strength.counts.items(), *([("all", strength.whole)] if len(strength.counts) > 1 else [])]
    for name, count in rows:
        share = f"{100 * count.share:.1f} %"
        print(
            f"{name:<28}{count.changes:>9}{count.noticed:>9}{share:>9}{count.survived:>10}"
            f"{count.not_tried:>11}"
        )
    number = Counter(verdicts.values())
    print(", ".join(f"{number[verdict]} {verdict}" for verdict in VERDICTS if number[verdict]))
    survivors = strength.survivors
    explained = len(survivors) - len(unexplained)
    messages = sum(counts.MESSAGE in survivor.note for survivor in survivors)
    print(f"{len(survivors)} survivors: {explained} explained, {messages} in the wording of messages only")
    if unexplained:
        print("\nnot explained in docs/survivors.toml:")
    for survivor in unexplained:
        note = f"  ({survivor.note})" if survivor.note else ""
        print(f"{survivor.id}{note}\n    {survivor.text}\n    {survivor.difference}")


def _explanations(path: Path) -> Collection[str]:
    """The changes of which it is known why they stay; none on a machine where nothing could be installed."""
    try:
        from nnspec.strength.reading import read_explanations
    except ModuleNotFoundError as error:
        if error.name != "msgspec":
            raise
        print(f"note: {path} is not read without msgspec, so no survivor is explained", file=sys.stderr)
        return ()
    return read_explanations(path)


def _show_outdated(explanations: Iterable[str], verdicts: Mapping[str, str], whole_files: Set[str]) -> None:
    """Print the explanations of what is noticed now, or is no change to a file any more."""
    for name in explanations:
        verdict = verdicts.get(name, "" if name.partition(":")[0] in whole_files else SURVIVED)
        if verdict not in SURVIVING:
            print(f"outdated in docs/survivors.toml: {name}: {verdict or 'no such change'}; remove it")

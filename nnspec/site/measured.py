"""What was measured: the time that the machinery costs, and the strength of the specification."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nnspec.record import RecordError
from nnspec.site import rst
from nnspec.site.book import Book

BENCHMARKS = """\
What the machinery of nn.Module costs: the median time of each benchmark, in microseconds, on each machine
that was measured. A benchmark is a clause; its example says what is timed.
"""

STRENGTH = """\
How much of a change to torch.nn the specification notices. The source of torch.nn is changed in one small
place, the clauses are run, and at least one of them has to fail. A change that none notices is a survivor,
and has to be explained.
"""


def pages(book: Book) -> dict[str, str]:
    """The page of the benchmarks and the page of the strength."""
    return {"benchmarks.rst": _benchmarks(book), "strength.rst": _strength(book)}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read: {error}; make it anew") from error
    if not isinstance(found, dict):
        raise RecordError(f"{path}: holds no table; make it anew")
    return found


def _benchmarks(book: Book) -> str:
    pieces = [rst.heading("Benchmarks", "="), BENCHMARKS]
    files = sorted(book.records_folder.glob("bench-*.json"))
    if not files:
        pieces.append("Nothing is measured yet. This measures: ``tox -e bench``.\n")
    for path in files:
        found = _read(path)
        pieces += [
            rst.heading(rst.escape(path.stem.removeprefix("bench-")), "-"),
            rst.paragraph(_machine(found)),
            rst.table(("What is timed", "Median, µs", "Spread, µs"), _times(book, found), "times"),
        ]
    return "\n".join(pieces)


def _machine(found: Mapping[str, Any]) -> str:
    machine = found.get("machine_info", {})
    told = [machine.get("cpu", {}).get("brand_raw"), machine.get("system"), found.get("datetime")]
    return ", ".join(str(word) for word in told if word) or "The machine is not named."


def _times(book: Book, found: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for row in found.get("benchmarks", []):
        stats = row["stats"]
        median, spread = (f"{stats[key] * 1e6:.3g}" for key in ("median", "iqr"))
        yield _timed(book, str(row["fullname"])), median, spread


def _timed(book: Book, fullname: str) -> str:
    """A benchmark by its clause: ``spec/benchmarks/test_calling.py::test_a_call[cpu]``."""
    place, _, name = fullname.partition("::")
    function, _, case = name.partition("[")
    part, chapter = Path(place).parent.name, Path(place).stem.removeprefix("test_")
    clause = book.clauses.get(f"{part}.{chapter}.{function.removeprefix('test_')}")
    shown = rst.clause_link(clause) if clause else rst.literal(fullname)
    return f"{shown} ({rst.escape(case.removesuffix(']'))})" if case else shown


def _strength(book: Book) -> str:
    pieces = [rst.heading("Strength", "="), STRENGTH]
    files = sorted(book.records_folder.glob("strength-*.json"))
    if not files:
        pieces.append("Nothing is measured yet. This measures: ``python -m nnspec mutate --record``.\n")
    for path in files:
        pieces += _strength_of(book, path)
    return "\n".join(pieces)


def _strength_of(book: Book, path: Path) -> Iterator[str]:
    found = _read(path)
    run, files = found["run"], found["files"]
    changes, noticed = (sum(count[key] for count in files.values()) for key in ("changes", "noticed"))
    yield rst.heading(f"torch {rst.escape(str(run['torch']))}", "-")
    yield f"**{noticed}** of {changes} changes are noticed: {noticed / max(changes, 1):.1%}.\n"
    header = ("File", "Changes", "Noticed", "Share", "Survived", "Not tried")
    yield rst.table(header, [_file(name, count) for name, count in files.items()], "strength")
    yield rst.heading("Survivors", "~")
    if not found["survivors"]:
        yield "None.\n"
    else:
        rows = [_survivor(book, name, told) for name, told in found["survivors"].items()]
        yield rst.table(("Change", "Line", "What is changed", "Why it stays"), rows, "survivors")


def _file(name: str, count: Mapping[str, int]) -> list[str]:
    share = f"{count['noticed'] / max(count['changes'], 1):.1%}"
    told = [count["changes"], count["noticed"], share, count["survived"], count["not tried"]]
    return [rst.literal(name), *map(str, told)]


def _survivor(book: Book, name: str, told: list[str]) -> list[str]:
    text, what, *note = told
    explained = book.survivors.get(name)
    why = f"{explained['kind']}: {explained['why']}" if explained else "; ".join(note) or "not explained yet"
    return [rst.literal(name), rst.literal(text), rst.escape(what), rst.escape(why)]

"""Two records side by side: what changed from one to the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from packaging.version import InvalidVersion

from nnspec.clauses.clause import Clause
from nnspec.clauses.releases import release_of
from nnspec.clauses.specification import Specification
from nnspec.clauses.tables import HURTS
from nnspec.clauses.threads import ROLES, address
from nnspec.records import checks, reading, record
from nnspec.records.outcomes import ABSENT, ERROR, HOLDS, NO_LONGER, NOT_YET, UNMET, VIOLATED
from nnspec.records.record import Record, RecordError
from nnspec.records.spoken import Names
from nnspec.records.upgrading import written_between
from nnspec.records.used import Uses, places_of

#: Outcomes that say the clause is false there.
FALSE = (NOT_YET, NO_LONGER, ABSENT, VIOLATED)
#: Outcomes that say nothing.
UNJUDGED = (UNMET, ERROR)


@dataclass(frozen=True)
class Change:
    """One clause that differs between two records.

    Attributes:
        id: the clause.
        statement: its statement in plain text; empty for a clause that is no longer in the spec.
        before, after: its outcomes; empty where it has no row.
        links: the threads that its text names.
        why: why a device of one side differs, where that is known.
    """

    id: str
    statement: str
    before: str
    after: str
    links: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class WrittenChange:
    """A change in words.

    Attributes:
        release: the one that brought it.
        hurts: one of :data:`~nnspec.clauses.tables.HURTS`.
        what: what is different, and what was so before.
        do: what to do about it; empty if nothing.
        clauses: ids of those that say so.
        links: the threads.
        places: where somebody's code uses what it speaks of, as ``file:line``; empty if no code was read.
    """

    release: str
    hurts: str
    what: str
    do: str
    clauses: tuple[str, ...]
    links: tuple[str, ...]
    places: tuple[str, ...] = ()


@dataclass
class Comparison:
    """What changed from one record to another.

    Attributes:
        before, after: the names of the records, such as ``2.4.1-cpu``.
        written: the changes that the releases on the way brought, those that hurt first.
        elsewhere: how many of them speak of nothing that somebody's code uses.
        unnamed: how many of those name nothing of the API that could be looked for.
        newly_holds: false before, holds after.
        no_longer_holds: holds before, false after.
        added: without a row before.
        retired: without a row after.
        not_judged: could not be judged on at least one side.
        same: how many rows say the same.
        notes: what a reader must know to trust it, such as stale rows.
    """

    before: str
    after: str
    written: list[WrittenChange] = field(default_factory=list)
    elsewhere: int = 0
    unnamed: int = 0
    newly_holds: list[Change] = field(default_factory=list)
    no_longer_holds: list[Change] = field(default_factory=list)
    added: list[Change] = field(default_factory=list)
    retired: list[Change] = field(default_factory=list)
    not_judged: list[Change] = field(default_factory=list)
    same: int = 0
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """The comparison as plain lists and dicts."""
        return asdict(self)


def compare(before: Record, after: Record, clauses: Mapping[str, Clause]) -> Comparison:
    """What changes for somebody who goes from one torch to another.

    Args:
        before, after: the two runs.
        clauses: id to clause, for statements and links.
    """
    comparison = Comparison(before.name, after.name)
    for name in sorted(before.rows.keys() | after.rows.keys()):
        old, new = before.rows.get(name), after.rows.get(name)
        change = _change(name, old.outcome if old else "", new.outcome if new else "", clauses.get(name))
        if old is None:
            comparison.added.append(change)
        elif new is None:
            comparison.retired.append(change)
        elif old.outcome in UNJUDGED or new.outcome in UNJUDGED:
            comparison.not_judged.append(change)
        elif old.outcome in FALSE and new.outcome == HOLDS:
            comparison.newly_holds.append(change)
        elif old.outcome == HOLDS and new.outcome in FALSE:
            comparison.no_longer_holds.append(change)
        else:
            comparison.same += 1
    comparison.notes.extend(_notes(before, after, clauses))
    return comparison


def _change(name: str, before: str, after: str, clause: Clause | None) -> Change:
    if clause is None:
        return Change(name, "", before, after)
    return Change(name, clause.plain, before, after, threads(clause))


def threads(clause: Clause) -> tuple[str, ...]:
    """The addresses of the pull requests and issues that a clause names."""
    return tuple(
        ROLES[reference.role] % reference.target for reference in clause.references if reference.role in ROLES
    )


def _notes(before: Record, after: Record, clauses: Mapping[str, Clause]) -> list[str]:
    notes = []
    if (before.run, before.rows) == (after.run, after.rows):
        notes.append("both sides are the same run, so nothing can differ")
    for side in dict.fromkeys((before.name, after.name)):
        kept = before if side == before.name else after
        awaited = checks.pending(kept, clauses)
        bring = "python -m nnspec releases --pending"
        if kept.device != "cpu":
            bring = "a run on that device, and python -m nnspec adopt DIR"
        if awaited:
            notes.append(
                f"{len(awaited)} rows of {side} are pending, such as {min(awaited)}: those clauses are newer "
                f"than the record; bring them with: {bring}"
            )
    return notes


def find_record(directory: Path, wanted: str) -> Record:
    """The record that somebody means.

    Args:
        directory: where records are kept.
        wanted: a release (``2.4``), on another device than the CPU if that is named (``2.9-xla``), a version
            (``2.4.1``), a record's name (``2.11.0-cuda``) or a file.

    Raises:
        RecordError: there is none, or it cannot be read.
    """
    if wanted.endswith(".json"):
        return reading.read(Path(wanted))
    names = [path.stem for path in record.record_files(directory)]
    for fits in (_is_name, _is_version, _is_release):
        fitting = [name for name in names if fits(name, wanted)]
        if fitting:
            return reading.read(directory / f"{fitting[0]}.json")
    there = ", ".join(names) or "none"
    raise RecordError(
        f"no record of {wanted!r} in {directory}; there are: {there}. "
        "Name one of them, a file, or 'installed' for a run of the torch at hand"
    )


def _is_name(name: str, wanted: str) -> bool:
    return name == wanted


def _is_version(name: str, wanted: str) -> bool:
    return name == f"{wanted}-cpu"


def _is_release(name: str, wanted: str) -> bool:
    version, _, device = name.partition("-")
    release, dash, wanted_device = wanted.partition("-")
    try:
        return release_of(version) == release and device == (wanted_device if dash else "cpu")
    except InvalidVersion:
        return False


def write_changes(comparison: Comparison, specification: Specification, uses: Uses | None = None) -> None:
    """Add what the releases on the way changed, in words.

    Args:
        comparison: of two records of supported releases.
        specification: the changes.
        uses: what somebody's code uses, if only that matters.
    """
    before, after = (release_of(name.partition("-")[0]) for name in (comparison.before, comparison.after))
    names = Names(specification) if uses is not None else None
    for release, change in written_between(specification, before, after):
        spoken = names.of(change) if names else []
        places = places_of(spoken, uses or {})
        if names and not places:
            comparison.elsewhere += 1
            comparison.unnamed += not spoken
            continue
        comparison.written.append(
            WrittenChange(
                release,
                change.hurts,
                change.what,
                change.do,
                change.clauses,
                tuple(map(address, change.threads)),
                tuple(f"{place.path}:{place.line}" for place in places),
            )
        )


def explain(comparison: Comparison, specification: Specification) -> None:
    """Say why a device differs, of each clause that holds on one side only, where that is known."""
    known: dict[str, str] = {}
    for name in (comparison.before, comparison.after):
        known |= specification.explained(name.partition("-")[2])
    for changes in (comparison.no_longer_holds, comparison.newly_holds):
        changes[:] = [replace(change, why=known.get(change.id, "")) for change in changes]


#: How many places of a change a terminal shows.
PLACES = 3


def as_text(comparison: Comparison, *, with_clauses: bool = True) -> str:
    """The comparison as a terminal shows it: the written changes, what breaks first, then the clauses."""
    lines = [f"{comparison.before} -> {comparison.after}"]
    for hurts, title in HURTS.items():
        changes = [change for change in comparison.written if change.hurts == hurts]
        if changes:
            lines += ["", f"{title} ({len(changes)})"]
            lines += [line for change in changes for line in _told(change)]
    if comparison.elsewhere:
        lines += ["", f"{comparison.elsewhere} changes speak of nothing that this code uses"]
    if comparison.unnamed:
        lines += [
            f"{comparison.unnamed} of them name nothing that can be looked for: told without --used-in only"
        ]
    if with_clauses:
        lines += _clauses_told(comparison)
    lines += [f"note: {note}" for note in comparison.notes]
    return "\n".join(lines)


def _told(change: WrittenChange) -> Iterator[str]:
    yield f"  {change.release}: {change.what.replace('`', '')}"
    if change.do:
        yield f"      do: {change.do.replace('`', '')}"
    yield from (f"      {place}" for place in change.places[:PLACES])
    if len(change.places) > PLACES:
        yield f"      and {len(change.places) - PLACES} more places"


def _clauses_told(comparison: Comparison) -> list[str]:
    """The clauses that differ, and how many do not."""
    lines = []
    lost, won = "no longer holds", "newly holds"
    if comparison.before.partition("-")[0] == comparison.after.partition("-")[0]:  # on two devices
        lost, won = f"holds on {comparison.before} only", f"holds on {comparison.after} only"
    for title, changes in (
        (lost, comparison.no_longer_holds),
        (won, comparison.newly_holds),
        ("added", comparison.added),
        ("retired", comparison.retired),
        ("not judged on both sides", comparison.not_judged),
    ):
        if not changes:
            continue
        lines += ["", f"{title} ({len(changes)})"]
        for change in changes:
            lines.append(f"  {change.statement or change.id}")
            lines.append(f"      {change.id}  [{change.before or '-'} -> {change.after or '-'}]")
            lines += [f"      why: {change.why.replace('`', '')}"] if change.why else []
            lines += [f"      {link}" for link in change.links]
    if not any((comparison.no_longer_holds, comparison.newly_holds, comparison.added, comparison.retired)):
        lines += ["", "nothing that could be judged on both sides differs"]
    return [*lines, "", f"the same on both sides: {comparison.same}"]

"""Rules about the tables beside the clauses: claims, questions, changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nnspec.clauses.releases import RELEASES
from nnspec.clauses.specification import Specification
from nnspec.clauses.tables import HURTS, VERDICTS
from nnspec.decoding import read_toml
from nnspec.errors import FileError


def tables_can_be_read(specification: Specification) -> Iterator[str]:
    """Every table is TOML, also one that only the site, the search or a measurement of hours reads."""
    for path in sorted((specification.root / "docs").glob("*.toml")):
        try:
            read_toml(path)
        except FileError as error:
            yield str(error)


def claims_are_decided(specification: Specification) -> Iterator[str]:
    """Every claim has a verdict that the clauses with its mark bear out, and every claim mark a row."""
    deciding = specification.deciding("claim")
    for claim in specification.claims:
        where = f"docs/claims.toml: {claim.id}"
        if claim.verdict not in VERDICTS:
            yield f"{where}: verdict {claim.verdict!r}; one of {', '.join(VERDICTS)}"
        if claim.verdict == "aside":
            continue
        if claim.verdict != "holds" and not claim.instead:
            yield f"{where}: verdict {claim.verdict!r} but no 'instead'; say what is right"
        if claim.verdict == "changed":
            bounds = [clause.bounds for clause in deciding.get(claim.id, ())]
            if not (any(bound.since for bound in bounds) and any(bound.before for bound in bounds)):
                yield f"{where}: 'changed' asks for clauses bounded on both sides of the change"
    rows = {claim.id: claim.verdict != "aside" for claim in specification.claims}
    yield from _marks_and_rows_agree(specification, "claim", "docs/claims.toml", rows)


def questions_are_answered(specification: Specification) -> Iterator[str]:
    """Every question has clauses that answer it, and every question mark a row."""
    rows = {question.id: True for question in specification.questions}
    yield from _marks_and_rows_agree(specification, "question", "docs/questions.toml", rows)


def _marks_and_rows_agree(
    specification: Specification, mark: str, file: str, rows: Mapping[str, bool]
) -> Iterator[str]:
    """Each mark names a row, and each row that is owed a clause is named by a mark.

    Args:
        specification: what is looked at.
        mark: ``claim`` or ``question``.
        file: the table.
        rows: its ids, each with whether a clause is owed.
    """
    deciding = specification.deciding(mark)
    for row in deciding.keys() - rows.keys():
        for clause in deciding[row]:
            yield f"{clause.place}: {clause.id}: {mark}({row!r}) is no row of {file}"
    for row, is_owed in rows.items():
        if is_owed and row not in deciding:
            yield f"{file}: {row}: no clause decides it; mark one with {mark}({row!r})"


def threads_are_decided(specification: Specification) -> Iterator[str]:
    """Every thread of the log names the clauses that decide it."""
    for thread in specification.threads:
        if not thread.clauses:
            yield f"docs/threads.toml: [{thread.name}]: no clause decides it; name one, or leave it out"


def differences_name_clauses(specification: Specification) -> Iterator[str]:
    """``docs/differences.toml`` names clauses that exist, each once for a device."""
    for device, differences in specification.differences.items():
        named = [(name, difference.what) for difference in differences for name in difference.clauses]
        seen: set[str] = set()
        for name, what in named:
            where = f"docs/differences.toml: {device}: {what!r}"
            if name not in specification.clauses:
                yield f"{where}: there is no clause {name!r}; name one that exists"
            elif name in seen:
                yield f"{where}: {name} is explained twice; name it once"
            seen.add(name)


def changes_are_listed(specification: Specification) -> Iterator[str]:
    """``docs/changes.toml`` lists every bounded clause at the releases of its bounds, and no other."""
    file = "docs/changes.toml"
    listed = {release.name: release for release in specification.changes}
    owed: dict[str, set[str]] = {name: set() for name in RELEASES}
    for clause in specification.clauses.values():
        for bound in (clause.bounds.since, clause.bounds.before):
            if bound:
                owed[bound].add(clause.id)
    for name in listed.keys() - set(RELEASES[1:]):
        yield f"{file}: {name} is no release after {RELEASES[0]}"
    for name in RELEASES[1:]:
        changes = listed[name].changes if name in listed else ()
        there = {clause for change in changes for clause in change.clauses}
        for clause_id in sorted(owed[name] - there):
            yield f"{file}: {name}: does not list {clause_id}, which is bounded there"
        for clause_id in sorted(there - owed[name]):
            yield f"{file}: {name}: lists {clause_id}, and no such clause is bounded there"
        for change in changes:
            if change.hurts not in HURTS:
                yield f"{file}: {name}: {change.what!r}: hurts = {change.hurts!r}; one of {', '.join(HURTS)}"
            if change.hurts in ("breaks", "warns") and not change.do:
                yield f"{file}: {name}: {change.what!r} {change.hurts}; 'do' says what to do about it"
            if not change.clauses and not change.why:
                yield f"{file}: {name}: {change.what!r} has neither clauses nor a why"

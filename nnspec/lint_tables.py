"""The rules about the tables beside the clauses: claims, questions, changes, retired ids."""

from __future__ import annotations

from collections.abc import Iterator

from nnspec import ledger
from nnspec.clause import RELEASES
from nnspec.project import Project


def claims_are_decided(project: Project) -> Iterator[str]:
    """Every claim has a verdict that its clauses bear out, and every claim mark a row."""
    clauses = {clause.id: clause for clause in project.clauses}
    for claim in project.claims:
        where = f"docs/claims.toml: {claim.id}"
        if claim.verdict not in ledger.VERDICTS:
            yield f"{where}: verdict {claim.verdict!r}; one of {', '.join(ledger.VERDICTS)}"
        if claim.verdict == "aside":
            continue
        if claim.verdict != "holds" and not claim.instead:
            yield f"{where}: verdict {claim.verdict!r} but no 'instead'; say what is right"
        if claim.verdict == "changed":
            own = [clauses[name].bounds for name in claim.clauses if name in clauses]
            if not (any(bounds.since for bounds in own) and any(bounds.before for bounds in own)):
                yield f"{where}: 'changed' asks for clauses bounded on both sides of the change"
    yield from _rows_and_marks_agree(project, "claim", "docs/claims.toml", list(project.claims))


def questions_are_answered(project: Project) -> Iterator[str]:
    """Every question has clauses that answer it, and every question mark a row."""
    yield from _rows_and_marks_agree(project, "question", "docs/questions.toml", list(project.questions))


def _rows_and_marks_agree(
    project: Project, kind: str, file: str, rows: list[ledger.Claim] | list[ledger.Question]
) -> Iterator[str]:
    marked: dict[str, list[str]] = {row.id: [] for row in rows}
    for clause in project.clauses:
        for name in clause.answers(kind):
            if name not in marked:
                yield f"{clause.place}: {clause.id}: {kind}({name!r}) is no row of {file}"
            else:
                marked[name].append(clause.id)
    for row in rows:
        if isinstance(row, ledger.Claim) and row.verdict == "aside":
            continue
        if not row.clauses:
            yield f"{file}: {row.id}: no clause decides it"
        for name in row.clauses:
            if name not in project.ids:
                yield f"{file}: {row.id}: names {name}, and there is no such clause"
            elif name not in marked[row.id]:
                yield f"{file}: {row.id}: names {name}, which does not carry {kind}({row.id!r})"
        for name in marked[row.id]:
            if name not in row.clauses:
                yield f"{file}: {row.id}: does not name {name}, which carries {kind}({row.id!r})"


def ids_do_not_vanish(project: Project) -> Iterator[str]:
    """An id that was recorded lives on or is retired with a reason; a retired one is not used again."""
    retired = {row.id: row for row in project.retired}
    for name in sorted(project.recorded - project.ids - retired.keys()):
        yield f"{name}: recorded once, and no longer here; name its successor or say why in spec/RETIRED.toml"
    for name, row in retired.items():
        if name in project.ids:
            yield f"spec/RETIRED.toml: {name}: used again; a retired id is never reused"
        if not row.successor and not row.why:
            yield f"spec/RETIRED.toml: {name}: needs a successor or a why"
        if row.successor and row.successor not in project.ids | retired.keys():
            yield f"spec/RETIRED.toml: {name}: its successor {row.successor} does not exist"


def changes_are_listed(project: Project) -> Iterator[str]:
    """``docs/changes.toml`` has every release, and every bounded clause at the releases of its bounds."""
    if not project.changes:
        return
    file = "docs/changes.toml"
    listed = {release.name: release for release in project.changes}
    for name in RELEASES[1:]:
        release = listed.get(name)
        if release is None or not (release.changes or release.none):
            yield f"{file}: {name}: says nothing; list its changes, or say with 'none' why there are none"
            continue
        found = [clause for change in release.changes for clause in change.clauses]
        owed = {c.id for c in project.clauses if name in (c.bounds.since, c.bounds.before)}
        for clause in sorted(owed.difference(found)):
            yield f"{file}: {name}: does not list {clause}, which is bounded there"
        for clause in sorted(set(found) - owed):
            yield f"{file}: {name}: lists {clause}, and no such clause is bounded there"
        for change in release.changes:
            if not change.clauses and not change.why:
                yield f"{file}: {name}: {change.what!r} has neither clauses nor a why"
    for name in listed.keys() - set(RELEASES[1:]):
        yield f"{file}: {name} is no release after {RELEASES[0]}"

"""Rules about text: statements are sentences about torch, and what they name exists."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch

from nnspec.clauses import public_names
from nnspec.clauses.clause import API_ROLES, Clause, Reference, plain_text, references_in
from nnspec.clauses.specification import Specification

ROLES = API_ROLES | {"issue", "pull", "ref", "doc", "term"}

LONGEST_STATEMENT = 100

_VAGUE = re.compile(r"\bshould\b|\btests? (that|whether|if)\b|\bchecks? (that|whether|if)\b|\bverif", re.I)


def statements_are_sentences(specification: Specification) -> Iterator[str]:
    """The docstring opens with one short sentence that speaks of torch, not of testing."""
    for clause in specification.clauses.values():
        where = f"{clause.place}: {clause.id}"
        said = plain_text(clause.statement)
        if not said:
            yield f"{where}: no statement; say in the docstring's first sentence what torch does"
            continue
        if not said.endswith("."):
            yield f"{where}: the statement does not end with a full stop: {said!r}"
        inner = re.sub(r"``[^`]*``", "x", said[:-1])
        if re.search(r"[a-z)`][.!?] [A-Z]", inner):
            yield f"{where}: more than one sentence; put an empty line after the first: {said!r}"
        if len(said) > LONGEST_STATEMENT:
            yield f"{where}: the statement has {len(said)} characters, at most {LONGEST_STATEMENT}: {said!r}"
        vague = _VAGUE.search(said)
        if vague:
            yield f"{where}: {vague[0]!r} speaks of testing; say what torch does: {said!r}"


def statements_are_unique(specification: Specification) -> Iterator[str]:
    """No two clauses say the same."""
    first: dict[str, Clause] = {}
    for clause in specification.clauses.values():
        if not clause.statement:
            continue
        same = first.setdefault(plain_text(clause.statement).lower(), clause)
        if same is not clause:
            yield f"{clause.place}: {clause.id}: the same statement as {same.id} ({same.place})"


def references_exist(specification: Specification) -> Iterator[str]:
    """What a docstring names exists on a torch on which the clause holds."""
    for chapter in specification.chapters:
        for reference in references_in(chapter.docstring):
            yield from _faults_of(reference, f"{chapter.path}:1: {chapter.id}", judge=False)
    for clause in specification.clauses.values():
        inside = clause.bounds.place(torch.__version__) == "inside"
        for reference in clause.references:
            yield from _faults_of(reference, f"{clause.place}: {clause.id}", judge=inside)


def _faults_of(reference: Reference, where: str, *, judge: bool) -> Iterator[str]:
    """What is wrong with a reference; whether its target exists is looked at if ``judge``."""
    if reference.role not in ROLES:
        yield f"{where}: unknown role :{reference.role}:; one of {', '.join(sorted(ROLES))}"
    elif reference.role in API_ROLES and judge and not public_names.exists(reference.target):
        yield f"{where}: {reference.target} does not exist on torch {torch.__version__}"
    elif reference.role in {"issue", "pull"} and not reference.target.isdigit():
        yield f"{where}: :{reference.role}:`{reference.target}` is no number"

"""Rules about names: ids are words, short and unique, and no recorded one vanishes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from nnspec.clauses.specification import Specification
from nnspec.records import reading

LONGEST_ID = 80
LONGEST_NAME = 50

_WORDS = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def ids_are_words(specification: Specification) -> Iterator[str]:
    """Part, chapter and function are lower-case words, and short enough to say."""
    for clause in specification.clauses.values():
        for name in (clause.part, clause.chapter, clause.name):
            if not _WORDS.fullmatch(name):
                yield f"{clause.place}: {clause.id}: {name!r} is not made of lower-case words"
        if len(clause.name) > LONGEST_NAME:
            yield (
                f"{clause.place}: {clause.id}: the name has {len(clause.name)} characters, "
                f"at most {LONGEST_NAME}; shorten it"
            )
        if len(clause.id) > LONGEST_ID:
            yield f"{clause.place}: {clause.id}: the id has {len(clause.id)} characters, at most {LONGEST_ID}"


def ids_are_unique(specification: Specification) -> Iterator[str]:
    """No two clauses of a chapter have the same name: Python would run the last one only."""
    ids = Counter(clause.id for chapter in specification.chapters for clause in chapter.clauses)
    for name, times in ids.items():
        if times > 1:
            yield f"{name}: {times} clauses have this id; only the last one runs; rename the others"


def ids_do_not_vanish(specification: Specification) -> Iterator[str]:
    """An id that was recorded lives on or is retired with a reason; a retired one is not used again."""
    ids = set(specification.clauses)
    retired = {row.id: row for row in specification.retired}
    recorded = {name for kept in reading.read_all(specification.records_folder) for name in kept.rows}
    for name in sorted(recorded - ids - retired.keys()):
        yield f"{name}: recorded once, and no longer here; name its successor or say why in spec/RETIRED.toml"
    for name, row in retired.items():
        if name in ids:
            yield f"spec/RETIRED.toml: {name}: used again; a retired id is never reused"
        if not row.successor and not row.why:
            yield f"spec/RETIRED.toml: {name}: needs a successor or a why"
        if row.successor and row.successor not in ids | retired.keys():
            yield f"spec/RETIRED.toml: {name}: its successor {row.successor} does not exist"
        if _comes_back(name, {one.id: one.successor for one in specification.retired}):
            yield f"spec/RETIRED.toml: {name}: its successors lead back to it; name one that is here"


def _comes_back(name: str, successors: Mapping[str, str]) -> bool:
    """Whether who follows successors meets an id again."""
    seen, at = {name}, successors.get(name, "")
    while at and at != name:
        if at in seen:
            return False  # a circle further on, which is told of those in it
        seen.add(at)
        at = successors.get(at, "")
    return at == name

"""The command ``python -m nnspec lint``: does the specification keep its own rules?"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from nnspec.clauses import public_names
from nnspec.clauses.clause import API_ROLES
from nnspec.clauses.parts import find_checkout
from nnspec.clauses.specification import Specification, read_specification
from nnspec.clauses.tables import read_left_out
from nnspec.lint import bodies, documentation, ids, site, statements, tables, wording

#: A rule looks at a specification and yields what breaks it, each with the place and the remedy.
Rule = Callable[[Specification], Iterator[str]]

RULES: tuple[Rule, ...] = (
    ids.ids_are_words,
    ids.ids_are_unique,
    bodies.clauses_are_functions,
    bodies.chapters_lie_in_parts,
    bodies.chapters_are_introduced,
    statements.statements_are_sentences,
    statements.statements_are_unique,
    wording.statements_name_what_they_speak_of,
    wording.short_names_are_clear,
    wording.halves_are_asserted,
    wording.nothing_is_no_thing,
    wording.words_are_spelt_as_torch_does,
    bodies.marks_are_known,
    bodies.marks_stand_at_clauses,
    bodies.clauses_have_cases,
    statements.references_exist,
    bodies.bodies_fit_a_screen,
    bodies.clauses_assert,
    bodies.errors_are_matched,
    bodies.spec_stands_apart,
    tables.tables_can_be_read,
    tables.claims_are_decided,
    tables.questions_are_answered,
    tables.threads_are_decided,
    tables.changes_are_listed,
    tables.differences_name_clauses,
    documentation.rows_name_clauses,
    documentation.sentences_have_verdicts,
    ids.ids_do_not_vanish,
    site.shown_clauses_exist,
)


def run(options: argparse.Namespace) -> int:
    """Print what breaks a rule, or which public names no clause speaks of.

    Returns:
        the exit code: 0 if there is nothing to mend, else 1.

    Raises:
        NnspecError: the specification cannot be read.
    """
    specification = read_specification(find_checkout())
    if options.api:
        missing, explained = unnamed(specification)
        for line in explained:
            print(f"left out: {line}")
        for name in missing:
            print(f"no clause speaks of {name}")
        print(f"{len(missing)} public names without a clause, {len(explained)} left out with a reason")
        return 1 if missing else 0
    broken = faults(specification)
    for line in broken:
        print(line)
    clauses, chapters = len(specification.clauses), len(specification.chapters)
    print(f"{clauses} clauses in {chapters} chapters, {len(broken)} faults")
    return 1 if broken else 0


def faults(specification: Specification) -> list[str]:
    """What breaks a rule, in the order of :data:`RULES`."""
    return [fault for rule in RULES for fault in rule(specification)]


def unnamed(specification: Specification) -> tuple[list[str], list[str]]:
    """Public names that no clause refers to.

    Returns:
        the names that none speaks of, and those that ``docs/left_out.toml`` explains, each with why.
    """
    left_out = read_left_out(specification.root / "docs" / "left_out.toml")
    spoken = {
        reference.target
        for clause in specification.clauses.values()
        for reference in clause.references
        if reference.role in API_ROLES
    }
    missing, explained = [], []
    for name in public_names.public_names():
        if name in spoken or any(public_names.same_object(name, other) for other in spoken):
            continue
        if name in left_out:
            explained.append(f"{name}: {left_out[name]}")
        else:
            missing.append(name)
    return missing, explained

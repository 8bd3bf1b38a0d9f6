"""Rules about words: a statement can be understood alone, says what is asserted, and is spelt as torch is."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from nnspec.clauses import public_names
from nnspec.clauses.clause import API_ROLES, Clause, plain_text, references_in
from nnspec.clauses.specification import Specification

_HALVES = re.compile(r"\b(only|neither|nor|unlike)\b|;")
_NO_THING = re.compile(r"\b(is|are) no (?!longer\b|more\b|less\b|matter\b)\w+")
_BRITISH = re.compile(
    r"\b\w*(normalis|initialis|parametris|serialis|synchronis|optimis|quantis|regularis|vectoris)\w*"
)
_SHORT = re.compile(r":(?P<role>\w+):`~(?P<target>[\w.]+)`")
_CODE = re.compile(r"``.+?``|:\w+:`.+?`", re.DOTALL)


def statements_name_what_they_speak_of(specification: Specification) -> Iterator[str]:
    """A statement names torch's API, by a role or as code, so that it can be read alone."""
    for clause in specification.clauses.values():
        names = any(reference.role in API_ROLES for reference in references_in(clause.statement))
        if clause.statement and not names and "``" not in clause.statement:
            yield (
                f"{_where(clause)}: the statement names no API; name what it speaks of with a role or as "
                f"code: {plain_text(clause.statement)!r}"
            )


def short_names_are_clear(specification: Specification) -> Iterator[str]:
    """A shortened name that stands for more than one thing shows its owner."""
    uses: dict[str, dict[str, list[Clause]]] = defaultdict(lambda: defaultdict(list))
    for clause in specification.clauses.values():
        for match in _SHORT.finditer(clause.statement):
            if match["role"] in API_ROLES:
                uses[match["target"].rpartition(".")[2]][match["target"]].append(clause)
    for short, targets in uses.items():
        first = next(iter(targets))
        if len(targets) == 1 or all(public_names.same_object(first, other) for other in targets):
            continue
        for target, clauses in targets.items():
            owner = ".".join(target.split(".")[-2:])
            for clause in clauses:
                yield (
                    f"{_where(clause)}: {short!r} may be {' or '.join(sorted(targets))}; show the owner: "
                    f"`{owner} <{target}>`"
                )


def halves_are_asserted(specification: Specification) -> Iterator[str]:
    """A statement with two halves has more than one assertion."""
    for clause in specification.clauses.values():
        said = plain_text(clause.statement)
        word = _HALVES.search(said)
        if word and not clause.cases and _assertions(clause) < 2:
            yield f"{_where(clause)}: says {word[0]!r} and asserts one thing; assert the other half: {said!r}"


def _assertions(clause: Clause) -> int:
    """How many things a body asserts; each element of a list or tuple counts."""
    number = 0
    for node in ast.walk(ast.parse(clause.body)):
        if isinstance(node, ast.Assert):
            elements = (
                len(part.elts) for part in ast.walk(node.test) if isinstance(part, (ast.List, ast.Tuple))
            )
            number += max([1, *elements, 2 * isinstance(node.test, ast.BoolOp)])
        elif isinstance(node, ast.Call):
            number += ast.unparse(node.func).endswith(("pytest.raises", "pytest.warns", "assert_close"))
    return number


def nothing_is_no_thing(specification: Specification) -> Iterator[str]:
    """People say "is not a leaf" and "a non-leaf", not "is no leaf"."""
    for clause in specification.clauses.values():
        said = plain_text(clause.statement)
        if found := _NO_THING.search(said):
            yield f"{_where(clause)}: {found[0]!r}; say 'is not a', or what it is: {said!r}"


def words_are_spelt_as_torch_does(specification: Specification) -> Iterator[str]:
    """Torch's own words are spelt as in its names: normalization, initialization."""
    for chapter in specification.chapters:
        texts = [(f"{chapter.path}:1: {chapter.id}", chapter.docstring)]
        texts += [(_where(clause), clause.docstring) for clause in chapter.clauses]
        for where, text in texts:
            for word in sorted({match[0] for match in _BRITISH.finditer(_CODE.sub("", text))}):
                yield f"{where}: {word!r}; torch spells it with z"


def _where(clause: Clause) -> str:
    return f"{clause.place}: {clause.id}"

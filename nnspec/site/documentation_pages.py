"""torch's documentation with a verdict at each sentence, and what it gets wrong."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import torch

from nnspec.clauses.clause import Clause, required
from nnspec.documentation.docstrings import CODE, HEADING
from nnspec.documentation.objects import PARTS
from nnspec.documentation.state import Said, read_blocks, read_sentences
from nnspec.documentation.verdicts import FALSE, HARMS, MISLEADING, OPEN, TRUE, Row
from nnspec.site import example
from nnspec.site.api_index import official
from nnspec.site.book import Book
from nnspec.site.templates import render

#: A role, as docstrings write it, with what it shows.
_ROLE = re.compile(r":[\w:+-]+:`~?([^`<]+?)(?:\s*<[^`]*>)?`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^`]*>`_{1,2}")


class Sentence(NamedTuple):
    """A sentence as a page shows it: its text, the verdict and the clauses behind it."""

    text: str
    row: Row | None
    clauses: tuple[Clause, ...]


def pages(book: Book) -> dict[str, str]:
    """A page for each part of the documentation with verdicts, one of what is wrong there; one for all."""
    said = read_sentences(book.documentation)
    judged = {sentence.part for sentence in said if sentence.row}
    parts = [part for part in PARTS if part in judged]
    version = torch.__version__.partition("+")[0]
    wrong = [sentence for sentence in said if sentence.is_wrong]
    written = {f"docstrings/{part}.rst": _part(part, book) for part in parts}
    for part in parts:
        own = [(one, _report(one, version, book)) for one in wrong if one.part == part]
        if own:
            written[f"docstrings/wrong/{part}.rst"] = render(
                "documentation_wrong_part.rst.j2",
                part=part,
                wrong=own,
                sayable=sayable,
                label=_label,
                clauses=book.specification.clauses,
                official=official,
                harms=HARMS,
                torch=version,
            )
    written["docstrings/wrong.rst"] = render(
        "documentation_wrong.rst.j2",
        parts=[part for part in parts if f"docstrings/wrong/{part}.rst" in written],
        wrong=wrong,
        sayable=sayable,
        label=_label,
        harms=HARMS,
        torch=version,
    )
    written["docstrings/index.rst"] = render(
        "documentation.rst.j2",
        rows=[_counts(part, [sentence for sentence in said if sentence.part == part]) for part in parts],
        whole=_counts("all", said),
        wrong=len(wrong),
        torch=version,
    )
    return written


def _part(part: str, book: Book) -> str:
    """A page of objects, each with the blocks of its docstring and their sentences."""
    objects = []
    for name, blocks in read_blocks(part):
        rows = book.documentation.get(name, {})
        shown = [
            (block, [_sentence(said.text, rows.get(said.digest), book) for said in block.sentences])
            for block in blocks
        ]
        objects.append((name, shown))
    kinds = {"heading": HEADING, "code": CODE}
    return render(
        "documentation_part.rst.j2",
        part=part,
        modules=PARTS[part],
        objects=objects,
        kinds=kinds,
        official=official,
        torch=torch.__version__.partition("+")[0],
    )


def _sentence(text: str, row: Row | None, book: Book) -> Sentence:
    clauses = book.specification.clauses
    named = tuple(clauses[name] for name in row.clauses if name in clauses) if row else ()
    return Sentence(sayable(text), row, named)


def sayable(text: str) -> str:
    """A sentence of a docstring with plain `code` in place of roles, for the filter ``marked``."""
    text = _LINK.sub(r"\1", _ROLE.sub(r"`\1`", text.replace("::", ":")))
    return text.replace("``", "`").replace("**", "")


def _label(sentence: Said) -> str:
    """The label of what is said of a wrong sentence: it stays as long as torch words it so."""
    return f"wrong-{sentence.name}-{sentence.digest}"


def _report(sentence: Said, version: str, book: Book) -> str:
    """What a person can file with torch about a sentence."""
    assert sentence.row
    about = f" ({sentence.about})" if sentence.about else ""
    return "\n".join(
        [
            f"{sentence.name}: the documentation says otherwise than torch does",
            "",
            f"The documentation of {sentence.name}{about} says:",
            f"> {sentence.text}",
            "",
            f"Observed on torch {version}: {sentence.row.instead}",
            "",
            *_code(sentence.row.clauses, book),
        ]
    )


def _code(names: Iterable[str], book: Book) -> list[str]:
    """The example of the first of some clauses that runs as it stands.

    If none does, that of the first, with what runs it: pytest, in a checkout.
    """
    clauses = book.specification.clauses
    shown = [
        (clauses[name], book.specification.chapter_of(clauses[name])) for name in names if name in clauses
    ]
    shown.sort(key=lambda one: len(one[0].needs))
    for clause, chapter in shown:
        if not example.only_under_pytest(clause, chapter):
            takes = [f"To run this takes {_required(clause)}:", ""] if clause.needs else []
            return [*takes, "```python", example.standalone(clause, chapter), "```"]
    if not shown:
        return []
    clause, chapter = shown[0]
    command = f"python -m pytest spec/{clause.part}/{clause.path.name} -k {clause.name}"
    taken = f"; it takes {_required(clause)}" if clause.needs else ""
    lead = f"To run this, `{command}` in a checkout of {book.repository or 'this specification'}{taken}:"
    return [lead, "", "```python", example.example(clause, chapter), "```"]


def _required(clause: Clause) -> str:
    return " and ".join(required(name, count) for name, count in clause.needs)


def _counts(part: str, said: Iterable[Said]) -> tuple[object, ...]:
    """A row of the table of parts: how much is documented, can be tested, is decided."""
    said = list(said)
    verdicts = Counter(sentence.verdict for sentence in said)
    decided = verdicts[TRUE] + verdicts[FALSE] + verdicts[MISLEADING]
    undecided = verdicts[OPEN] + verdicts[""]
    testable = decided + undecided
    objects = len({sentence.name for sentence in said})
    share = f"{decided / max(testable, 1):.0%}"
    return part, objects, len(said), testable, share, verdicts[FALSE], verdicts[MISLEADING], undecided

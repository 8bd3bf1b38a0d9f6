"""The documentation of the torch at hand beside the tables."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from nnspec.documentation.docstrings import Block, read_docstring, without_markup
from nnspec.documentation.objects import PARTS, documented
from nnspec.documentation.verdicts import FALSE, MISLEADING, OPEN, Row, Tables

#: From this likeness on, a sentence is an old one that was reworded.
LIKENESS = 0.7


class Said(NamedTuple):
    """A sentence of torch's documentation and what is known of it.

    Attributes:
        part: of the documentation.
        name: of the object.
        about: the argument, the note or the like that it belongs to.
        text: as torch writes it.
        digest: of its normalised text.
        row: the verdict; None if there is none.
        proposal: if there is none, the row of the sentence that this one seems to have been.
    """

    part: str
    name: str
    about: str
    text: str
    digest: str
    row: Row | None
    proposal: Row | None = None

    @property
    def verdict(self) -> str:
        return self.row.verdict if self.row else ""

    @property
    def is_wrong(self) -> bool:
        return self.verdict in (FALSE, MISLEADING)


def read_blocks(part: str) -> Iterator[tuple[str, list[Block]]]:
    """Each object that a part describes, with what its docstring consists of."""
    for name, docstring in documented(part):
        yield name, read_docstring(docstring)


def read_sentences(tables: Tables) -> list[Said]:
    """Every sentence on this torch, in the order of the documentation; one that an object repeats, once."""
    said = []
    for part in PARTS:
        for name, blocks in read_blocks(part):
            rows = tables.get(name, {})
            found = {
                sentence.digest: (block.label, sentence.text)
                for block in blocks
                for sentence in block.sentences
            }
            left = {digest: row for digest, row in rows.items() if digest not in found}
            for digest, (about, text) in found.items():
                row = rows.get(digest)
                proposal = None if row else _most_like(text, left)
                said.append(Said(part, name, about, text, digest, row, proposal))
    return said


def _most_like(text: str, rows: Mapping[str, Row]) -> Row | None:
    """The row whose first words are most like those of a sentence."""
    likeness = {
        row: difflib.SequenceMatcher(None, first_words(text).lower(), row.words.lower()).ratio()
        for row in rows.values()
    }
    best = max(likeness, key=lambda row: likeness[row], default=None)
    return best if best and likeness[best] >= LIKENESS else None


def first_words(text: str) -> str:
    """Enough of a sentence to know it again."""
    return " ".join(without_markup(text).split()[:8])


def gone(tables: Tables, said: list[Said]) -> list[tuple[str, str, Row]]:
    """The rows whose sentence this torch does not have: object, digest, row."""
    there = {(sentence.name, sentence.digest) for sentence in said}
    return [
        (name, digest, row)
        for name, rows in tables.items()
        for digest, row in rows.items()
        if (name, digest) not in there
    ]


def undecided(said: list[Said]) -> list[Said]:
    """The sentences that a clause could decide and none does."""
    return [sentence for sentence in said if sentence.verdict == OPEN]

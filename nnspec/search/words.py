"""Words as the search compares them: pieces of names apart, one spelling, without those that say nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from nnspec.clauses.tables import read_table
from nnspec.decoding import Text

_WORD = re.compile(r"\w+")
_JOINED = re.compile(r"\b([A-Za-z]+)-([a-z]+)\b")
_FRAME = re.compile(r'File "[^"]*", line \d+')
_EXCEPTION = re.compile(r"\b[\w.]*(?:Error|Exception|Warning):")
_HUMP = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z][a-z]+|[a-z]{2,}")


@dataclass(frozen=True)
class Words:
    """The table ``docs/search.toml``.

    Attributes:
        empty: words that say nothing of what is sought.
        spellings: endings of British English, each with the American one.
        synonyms: a word to those that people use for it.
    """

    empty: frozenset[str]
    spellings: Mapping[str, str]
    synonyms: Mapping[str, tuple[str, ...]]

    def split(self, text: str) -> list[str]:
        """The words of a text in order, a name followed by what it is made of.

        ``load_state_dict`` is followed by ``load_state``, ``state_dict``, ``load``, ``state``, ``dict`` and
        ``loadstatedict``, as some people write it.
        What has a hyphen, such as ``fine-tuning``, is found without it too.
        """
        words = [word for name in _WORD.findall(text) for word in (name, *_pieces(name))]
        words += [one + other for one, other in _JOINED.findall(text)]
        lowered = [self._spelt(word.lower()) for word in words]
        return [word for word in lowered if len(word.strip("_")) > 1 and word not in self.empty]

    def sought(self, asked: str, is_known: Callable[[str], bool]) -> list[str]:
        """The words of a query, once each: names as typed, or their pieces where no document has them.

        Of a traceback only the message says what is sought.
        """
        typed = [
            word
            for name in dict.fromkeys(_WORD.findall(_message(asked)))
            for word in (
                [name] if is_known(name.lower()) else [piece.lower() for piece in _HUMP.findall(name)]
            )
        ]
        lowered = dict.fromkeys(self._spelt(word.lower()) for word in typed)
        return [word for word in lowered if len(word.strip("_")) > 1 and word not in self.empty]

    def _spelt(self, word: str) -> str:
        for british, american in self.spellings.items():
            if word.endswith(british):
                return word.removesuffix(british) + american
        return word


def _message(asked: str) -> str:
    """What a pasted traceback ends with: the exception and its message; all of anything else."""
    *frames, last = _FRAME.split(asked)
    exception = _EXCEPTION.search(last)
    return last[exception.start() :] if frames and exception else last


def _pieces(name: str) -> list[str]:
    """The runs of the pieces of a name, the longest first; none of a plain word."""
    pieces = [piece for part in name.split("_") for piece in _HUMP.findall(part)]
    runs = ["_".join(pieces[at : at + run]) for run in (3, 2, 1) for at in range(len(pieces) - run + 1)]
    joined = [name.replace("_", "")] if "_" in name.strip("_") else []
    return [run for run in runs + joined if run != name]


class _Empty(Struct, frozen=True, forbid_unknown_fields=True):
    empty: tuple[Text, ...] = ()


class _Synonyms(Struct, frozen=True, forbid_unknown_fields=True):
    groups: tuple[tuple[Text, ...], ...] = ()


class _Table(Struct, forbid_unknown_fields=True):
    words: _Empty = _Empty()
    spellings: dict[str, Text] = {}
    synonyms: _Synonyms = _Synonyms()


def read_words(path: Path) -> Words:
    """Read ``docs/search.toml``.

    Raises:
        TableError: it is not written as it has to be.
    """
    table = read_table(path, _Table)
    synonyms: dict[str, dict[str, None]] = {}
    for group in table.synonyms.groups:
        for word in group:
            synonyms.setdefault(word, {}).update(dict.fromkeys(other for other in group if other != word))
    return Words(
        frozenset(table.words.empty),
        table.spellings,
        {word: tuple(others) for word, others in synonyms.items()},
    )

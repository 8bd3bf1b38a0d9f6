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
_OWNER = re.compile(r"\b\w+(?=\.[a-z_]+\b(?!\.))")
_INNER = re.compile(r"[a-z][A-Z]")
_HUMP = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z][a-z]+|[a-z]{2,}")


@dataclass(frozen=True)
class Words:
    """The table ``docs/search.toml``.

    Attributes:
        empty: words that say nothing of what is sought.
        owners: what people call a module whose attribute they name, as in ``model.to``.
        spellings: endings of British English, each with the American one.
        synonyms: a word to those that people use for it.
    """

    empty: frozenset[str]
    owners: frozenset[str]
    spellings: Mapping[str, str]
    synonyms: Mapping[str, tuple[str, ...]]

    def split(self, text: str) -> list[str]:
        """The words of a text in order, a name followed by what it is made of.

        ``load_state_dict`` is followed by ``load_state``, ``state_dict``, ``load``, ``state``, ``dict`` and
        ``loadstatedict``, as some people write it.
        What has a hyphen, such as ``fine-tuning``, is found without it too.
        """
        words = [
            word
            for name in _WORD.finditer(text)
            for word in (name[0], *_pieces(name[0]))
            if self._says_something(word, name)
        ]
        words += [one + other for one, other in _JOINED.findall(text)]
        return [self._spelt(word.lower()) for word in words]

    def sought(self, asked: str, is_known: Callable[[str], bool]) -> dict[str, bool]:
        """The words of a query, once each, and whether one is a name of code.

        Names are sought as typed, or their pieces where no document has them. Of a traceback only the message
        says what is sought. What is asked of ``model.to`` is asked of ``module.to``.
        """
        return {
            self._spelt(word.lower()): _is_code(name[0])
            for name in _WORD.finditer(_OWNER.sub(self._owner, _message(asked)))
            for word in ([name[0]] if is_known(name[0].lower()) else _HUMP.findall(name[0]))
            if self._says_something(word, name)
        }

    def _owner(self, name: re.Match[str]) -> str:
        return "module" if name[0].lower() in self.owners else name[0]

    def _says_something(self, word: str, name: re.Match[str]) -> bool:
        """Whether a word, found in a name, says what is sought; ``to`` does as a method only."""
        said = word.lower() not in self.empty or (word == name[0] and _is_method(name))
        return said and len(word.strip("_")) > 1

    def _spelt(self, word: str) -> str:
        for british, american in self.spellings.items():
            if word.endswith(british):
                return word.removesuffix(british) + american
        return word


def _is_method(name: re.Match[str]) -> bool:
    """Whether a name is written as that of a method, such as ``model.to`` or ``to()``."""
    before, after = name.string[: name.start()][-1:], name.string[name.end() :][:1]
    return after == "(" or (before == "." and after != ".")


def _is_code(name: str) -> bool:
    return "_" in name or bool(_INNER.search(name))


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
    owners: tuple[Text, ...] = ()


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
        frozenset(table.words.owners),
        table.spellings,
        {word: tuple(others) for word, others in synonyms.items()},
    )

"""Words as the search compares them: pieces of names apart, one spelling, without those that say nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nnspec.clauses.tables import TableError, read_table

_WORD = re.compile(r"\w+")
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

        ``load_state_dict`` is followed by ``load_state``, ``state_dict``, ``load``, ``state`` and ``dict``.
        """
        words = [word for name in _WORD.findall(text) for word in (name, *_pieces(name))]
        lowered = [self._spelt(word.lower()) for word in words]
        return [word for word in lowered if len(word.strip("_")) > 1 and word not in self.empty]

    def sought(self, asked: str, is_known: Callable[[str], bool]) -> list[str]:
        """The words of a query, once each: names as typed, or their pieces where no document has them."""
        typed = [
            word
            for name in _WORD.findall(asked)
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


def _pieces(name: str) -> list[str]:
    """The runs of the pieces of a name, the longest first; none of a plain word."""
    pieces = [piece for part in name.split("_") for piece in _HUMP.findall(part)]
    runs = ["_".join(pieces[at : at + run]) for run in (3, 2, 1) for at in range(len(pieces) - run + 1)]
    return [run for run in runs if run != name]


def read_words(path: Path) -> Words:
    """Read ``docs/search.toml``.

    Raises:
        TableError: it is not written as it has to be.
    """
    table = read_table(path)
    unknown = sorted(table.keys() - {"words", "spellings", "synonyms"})
    if unknown:
        raise TableError(
            f"{path}: unknown table [{unknown[0]}]; known are [words], [spellings] and [synonyms]"
        )
    empty = table.get("words", {}).get("empty", [])
    spellings = table.get("spellings", {})
    groups = table.get("synonyms", {}).get("groups", [])
    if not _are_texts(empty) or not _are_texts(list(spellings.values())):
        raise TableError(f"{path}: [words] empty is a list of texts, [spellings] an ending for each ending")
    if not isinstance(groups, list) or not all(map(_are_texts, groups)):
        raise TableError(f"{path}: [synonyms] groups is a list of lists of texts")
    synonyms: dict[str, dict[str, None]] = {}
    for group in groups:
        for word in group:
            synonyms.setdefault(word, {}).update(dict.fromkeys(other for other in group if other != word))
    return Words(frozenset(empty), spellings, {word: tuple(others) for word, others in synonyms.items()})


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)

"""The documents in a full-text index of SQLite, for the terminal; the site has them in MiniSearch."""

from __future__ import annotations

import difflib
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from nnspec.search.documents import WEIGHTS, Document
from nnspec.search.words import Words

#: How much a synonym counts beside the word itself.
SYNONYM = 0.4


class Hit(NamedTuple):
    """A document with how well it answers."""

    document: Document
    score: float


class Index:
    """Documents that can be searched.

    Args:
        documents: what can be found.
        words: how words are compared.
    """

    def __init__(self, documents: Sequence[Document], words: Words) -> None:
        self._documents = documents
        self._words = words
        self._base = sqlite3.connect(":memory:")
        fields = ", ".join(WEIGHTS)
        self._base.execute(
            f"CREATE VIRTUAL TABLE documents USING fts5({fields}, tokenize='porter unicode61 tokenchars _')"
        )
        marks = ", ".join("?" * len(WEIGHTS))
        rows = list(map(self._fields, documents))
        self._base.executemany(f"INSERT INTO documents VALUES ({marks})", rows)
        self._vocabulary = sorted({word for row in rows for text in row for word in text.split()})

    def _fields(self, document: Document) -> list[str]:
        text = document.searched
        return [" ".join(dict.fromkeys(self._words.split(text.get(field, "")))) for field in WEIGHTS]

    def find(self, asked: str, limit: int) -> list[Hit]:
        """The documents that answer best, the best first."""
        sought = self._words.sought(asked, lambda name: bool(self._scores(name) or self._close(name)))
        scores: dict[int, float] = defaultdict(float)
        found: dict[int, int] = defaultdict(int)
        for word in sought:
            for key, score in self._best_scores(word).items():
                scores[key] += score
                found[key] += 1
        hits = [
            Hit(document, score * document.weight_for(asked) * found[key] / len(sought))
            for key, score in scores.items()
            for document in [self._documents[key]]
        ]
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    def _best_scores(self, word: str) -> dict[int, float]:
        """What a word finds; one that no document has is completed or corrected."""
        best = self._scores(word)
        others = dict.fromkeys(self._words.synonyms.get(word, ()), SYNONYM)
        if not best:
            others |= dict.fromkeys(self._close(word), 1.0)
            others |= dict.fromkeys((known for known in self._vocabulary if known.startswith(word)), 1.0)
        for other, weight in others.items():
            for key, score in self._scores(other).items():
                best[key] = max(best.get(key, 0.0), weight * score)
        return best

    def _close(self, word: str) -> list[str]:
        """The words of the documents that one may have been meant to be."""
        return difflib.get_close_matches(word, self._vocabulary, 3, 0.8)

    def _scores(self, word: str) -> dict[int, float]:
        """The documents that have a word: key to score."""
        weights = ", ".join(map(str, WEIGHTS.values()))
        rows = self._base.execute(
            f"SELECT rowid, bm25(documents, {weights}) FROM documents WHERE documents MATCH ?", [f'"{word}"']
        )
        return {row - 1: -score for row, score in rows}

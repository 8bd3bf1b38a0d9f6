"""The documents in a full-text index of SQLite, for the terminal; the site has them in MiniSearch."""

from __future__ import annotations

import difflib
import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nnspec.search.documents import NEAREST, STATED, WEIGHTS, Document
from nnspec.search.words import Words

#: How much a synonym counts beside the word itself.
SYNONYM = 0.4

#: How much a name of code counts that few documents have, beside a word, in how much of a query is found.
NAME = 2.0

#: How many documents are few.
FEW = 40

#: BM25+ with the settings of MiniSearch, so that the terminal ranks as the site does: how soon more of a word
#: counts no more, how much less a long field counts, and what a word counts at least.
K, B, FLOOR = 1.2, 0.7, 0.5

#: How SQLite takes a text apart: words without their endings, names whole.
TOKENS = "'porter unicode61 tokenchars _'"


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
        rows = list(map(self._fields, documents))
        self._lengths: dict[str, list[int]] = {}
        for field, texts in zip(WEIGHTS, zip(*rows, strict=True), strict=True):
            self._table(f"field_{field}", texts)
            self._lengths[field] = [len(text.split()) for text in texts]
        self._meant: dict[str, list[str]] = {}
        self._vocabulary = sorted({word for row in rows for text in row for word in text.split()})
        self._phrased(documents)
        self._alike = list(words.synonyms)
        self._table("alike", self._alike)

    def _fields(self, document: Document) -> list[str]:
        text = document.searched
        return [" ".join(dict.fromkeys(self._words.split(text.get(field, "")))) for field in WEIGHTS]

    def _phrased(self, documents: Sequence[Document]) -> None:
        """A table of what people ask and of statements, a row for each, and how much each row says."""
        asked = [(key, text) for key, document in enumerate(documents) for text in document.phrasings]
        stated = [
            (key, document.title) for key, document in enumerate(documents) if document.kind == "clause"
        ]
        self._phrasings = len(asked)
        self._asked_of = [key for key, _ in asked + stated]
        self._table("asked", [" ".join(dict.fromkeys(self._words.split(text))) for _, text in asked + stated])
        self._base.execute("CREATE VIRTUAL TABLE stems USING fts5vocab(asked, instance)")
        rows_of = defaultdict(set)
        for stem, row in self._base.execute("SELECT term, doc FROM stems"):
            rows_of[stem].add(row - 1)
        self._said = [0.0] * len(self._asked_of)
        for rows in rows_of.values():
            for row in rows:
                self._said[row] += self._says(rows)

    def _says(self, rows: Iterable[int]) -> float:
        """How much a word says that these rows have, by how many people use it."""
        return _rarity(max(self._phrasings, 1), sum(row < self._phrasings for row in rows))

    def _table(self, name: str, texts: Sequence[str]) -> None:
        """A table that finds texts by the stems of their words."""
        self._base.execute(f"CREATE VIRTUAL TABLE {name} USING fts5(text, tokenize={TOKENS})")
        self._base.executemany(f"INSERT INTO {name} VALUES (?)", [[text] for text in texts])

    def _rows(self, name: str, word: str) -> list[int]:
        """The rows of a table that have a word, whatever its ending."""
        query = f"SELECT rowid FROM {name} WHERE text MATCH ?"
        return [row - 1 for (row,) in self._base.execute(query, [f'"{word}"'])]

    def _synonyms(self, word: str) -> list[str]:
        """What people say for a word, whatever its ending."""
        alike = [self._alike[row] for row in self._rows("alike", word)]
        return list(dict.fromkeys(other for known in alike for other in self._words.synonyms[known]))

    def find(self, asked: str, limit: int) -> list[Hit]:
        """The documents that answer best, the best first."""
        sought = self._words.sought(asked, lambda name: bool(self._scores(name) or self._close(name)))
        scores: dict[int, float] = defaultdict(float)
        found: dict[int, float] = defaultdict(float)
        total = 0.0
        for word, is_code in sought.items():
            best = self._best_scores(word)
            worth = NAME if is_code and len(best) <= FEW else 1.0
            total += worth
            for key, score in best.items():
                scores[key] += score
                found[key] += worth
        nearest = self._nearest(sought)
        hits = [
            Hit(
                document,
                score
                * document.weight_for(asked)
                * found[key]
                / total
                * (1 + NEAREST * nearest.get(key, 0.0)),
            )
            for key, score in scores.items()
            for document in [self._documents[key]]
        ]
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    def _nearest(self, sought: Iterable[str]) -> dict[int, float]:
        """How near a document's nearest phrasing, or statement, is to what is sought, from 0 to 1."""
        agreed: dict[int, float] = defaultdict(float)
        total = 0.0
        for word in sought:
            best = dict.fromkeys(self._rows("asked", word), 1.0)
            for other in self._synonyms(word):
                for row in self._rows("asked", other):
                    best.setdefault(row, SYNONYM)
            rarity = self._says(best)
            total += rarity
            for row, weight in best.items():
                agreed[row] += rarity * weight
        nearest: dict[int, float] = defaultdict(float)
        for row, weight in agreed.items():
            key = self._asked_of[row]
            near = min(1.0, weight / math.sqrt(total * self._said[row]))
            nearest[key] = max(nearest[key], near * (1.0 if row < self._phrasings else STATED))
        return nearest

    def _best_scores(self, word: str) -> dict[int, float]:
        """What a word finds; one that no document has is completed or corrected."""
        best = self._scores(word)
        others = dict.fromkeys(self._synonyms(word), SYNONYM)
        if not best:
            others |= dict.fromkeys(self._close(word), 1.0)
            others |= dict.fromkeys((known for known in self._vocabulary if known.startswith(word)), 1.0)
        for other, weight in others.items():
            for key, score in self._scores(other).items():
                best[key] = max(best.get(key, 0.0), weight * score)
        return best

    def _close(self, word: str) -> list[str]:
        """The words of the documents that one may have been meant to be."""
        if word not in self._meant:
            self._meant[word] = difflib.get_close_matches(word, self._vocabulary, 3, 0.8)
        return self._meant[word]

    def _scores(self, word: str) -> dict[int, float]:
        """The documents that have a word: key to score."""
        scores: dict[int, float] = defaultdict(float)
        for field, weight in WEIGHTS.items():
            lengths = self._lengths[field]
            having = self._rows(f"field_{field}", word)
            rarity = math.log(1 + (len(lengths) - len(having) + 0.5) / (len(having) + 0.5))
            mean = sum(lengths) / len(lengths)
            for key in having:
                length = lengths[key] / mean
                scores[key] += weight * rarity * (FLOOR + (K + 1) / (1 + K * (1 - B + B * length)))
        return scores


def _rarity(all_of_them: int, having: int) -> float:
    """How much it says that a text has a word: more, the fewer have it."""
    return math.log(1 + all_of_them / max(having, 1))

"""The search page, and what it searches as a script: a page opened from a file may load no JSON."""

from __future__ import annotations

import json
from typing import Any

from nnspec.clauses.releases import RELEASES
from nnspec.search.documents import CHANGED, CHANGES, EXACT, NEAREST, STATED, WEIGHTS, Document, documents
from nnspec.search.index import FEW, NAME, SYNONYM
from nnspec.search.words import Words, read_words
from nnspec.site.book import Book
from nnspec.site.templates import render


def pages(book: Book) -> dict[str, str]:
    """The page and its data."""
    words = read_words(book.specification.root / "docs" / "search.toml")
    found = documents(book.specification, book.rules)
    vocabulary = _Numbers()
    places = _Numbers()
    rows = [_row(document, words, vocabulary, places) for document in found]
    data = {
        "weights": WEIGHTS,
        "exact": EXACT,
        "changed": CHANGED,
        "changes": CHANGES,
        "releases": RELEASES,
        "nearest": NEAREST,
        "stated": STATED,
        "synonym": SYNONYM,
        "name": NAME,
        "few": FEW,
        "words": {
            "empty": sorted(words.empty),
            "owners": sorted(words.owners),
            "spellings": dict(words.spellings),
            "synonyms": dict(words.synonyms),
        },
        "documents": rows,
        "places": [[*place[:3], _numbers(place[1], words, vocabulary)] for place in places],
        "vocabulary": list(vocabulary),
    }
    script = f"window.nnspecSearchData = {json.dumps(data, ensure_ascii=False, separators=(',', ':'))};\n"
    return {"search.rst": render("search.rst.j2"), "_generated/static/search-data.js": script}


class _Numbers(dict[Any, int]):
    """Things that are said once and then by their number, in the order of their coming."""

    def __missing__(self, key: Any) -> int:
        self[key] = len(self)
        return self[key]


def _row(document: Document, words: Words, vocabulary: _Numbers, places: _Numbers) -> list[object]:
    """Id, title, number of the place, weight, and the texts in the order of the weights, without the place.

    A page that ends in the id is told without it: that is the same for all clauses of a chapter.
    """
    page = (
        document.page.removesuffix(document.id)
        if document.page.endswith(f"#{document.id}")
        else document.page
    )
    place = places[document.kind, document.place, page]
    asked = [_numbers(text, words, vocabulary) for text in document.phrasings]
    texts: dict[str, list[Any]] = {
        field: _numbers(document.searched.get(field, ""), words, vocabulary)
        for field in WEIGHTS
        if field != "place"
    }
    texts["asked"] = [numbers for numbers in asked if numbers]
    return [document.id, document.title, place, round(document.weight, 3), *texts.values()]


def _numbers(text: str, words: Words, vocabulary: _Numbers) -> list[int]:
    """The words of a text, each once and by its number."""
    return [vocabulary[word] for word in dict.fromkeys(words.split(text))]

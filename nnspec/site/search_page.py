"""The search page, and what it searches as a script: a page opened from a file may load no JSON."""

from __future__ import annotations

import json

from nnspec.search.documents import EXACT, NEAREST, WEIGHTS, Document, documents
from nnspec.search.index import SYNONYM
from nnspec.search.words import Words, read_words
from nnspec.site.book import Book
from nnspec.site.templates import render


def pages(book: Book) -> dict[str, str]:
    """The page and its data."""
    words = read_words(book.specification.root / "docs" / "search.toml")
    data = {
        "weights": WEIGHTS,
        "exact": EXACT,
        "nearest": NEAREST,
        "synonym": SYNONYM,
        "words": {
            "empty": sorted(words.empty),
            "spellings": dict(words.spellings),
            "synonyms": dict(words.synonyms),
        },
        "documents": [_row(document, words) for document in documents(book.specification, book.rules)],
    }
    script = f"window.nnspecSearchData = {json.dumps(data, ensure_ascii=False, separators=(',', ':'))};\n"
    return {"search.rst": render("search.rst.j2"), "_generated/static/search-data.js": script}


def _row(document: Document, words: Words) -> list[object]:
    """A document with its texts as words, each once; a line for each phrasing of what people ask."""
    fields = {
        field: " ".join(dict.fromkeys(words.split(text))) for field, text in document.searched.items() if text
    }
    phrasings = [" ".join(dict.fromkeys(words.split(text))) for text in document.phrasings]
    fields["asked"] = "\n".join(filter(None, phrasings))
    return [
        *document[:5],
        round(document.weight, 3),
        {name: value for name, value in fields.items() if value},
    ]

"""The command ``python -m nnspec find``: the clauses that answer what is typed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from nnspec import contract
from nnspec.clauses.parts import find_checkout, read_parts
from nnspec.clauses.specification import read_specification
from nnspec.clauses.tables import read_addresses
from nnspec.errors import UsageError, shortened
from nnspec.search.documents import documents
from nnspec.search.index import Hit, Index
from nnspec.search.words import read_words


def run(options: argparse.Namespace) -> int:
    """Print what answers best, the best first: statement, id and address.

    Returns:
        the exit code: 0 if something was found, else 1.

    Raises:
        NnspecError: nothing is asked, or the specification cannot be read.
    """
    asked = " ".join(options.words)
    if not asked.strip():
        raise UsageError("say what to find, such as: nnspec find 'missing keys in state_dict'")
    if options.most < 1:
        raise UsageError(f"--most {options.most}: how many to show, a number from 1")
    root = find_checkout()
    (rules,) = read_parts(Path(contract.__path__[0]))
    index = Index(documents(read_specification(root), rules), read_words(root / "docs" / "search.toml"))
    hits = index.find(asked, options.most)
    site = read_addresses(root / "pyproject.toml").documentation
    if options.json:
        print(json.dumps([_as_json(hit, site) for hit in hits], indent=2))
    else:
        for hit in hits:
            print(f"{hit.document.title}\n    {hit.document.id}\n    {site}{hit.document.page}")
    if not hits:
        print(f"nothing has any of these words: {shortened(asked)}", file=sys.stderr)
    return 0 if hits else 1


def _as_json(hit: Hit, site: str) -> dict[str, object]:
    document = hit.document
    return {
        "id": document.id,
        "kind": document.kind,
        "statement": document.title,
        "place": document.place,
        "address": site + document.page,
    }

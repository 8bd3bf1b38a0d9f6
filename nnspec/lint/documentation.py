"""Rules about the tables of ``docs/documentation``."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from nnspec.clauses.releases import RELEASES, release_of
from nnspec.clauses.specification import Specification
from nnspec.documentation.command import unknown_clauses
from nnspec.documentation.state import read_sentences
from nnspec.documentation.verdicts import read_tables


def rows_name_clauses(specification: Specification) -> Iterator[str]:
    """A row of the documentation names clauses that exist."""
    folder = specification.root / "docs" / "documentation"
    for line in unknown_clauses(read_tables(folder), specification.clauses.keys()):
        yield f"docs/documentation: {line}"


def sentences_have_verdicts(specification: Specification) -> Iterator[str]:
    """Every sentence of the newest supported release's documentation has a row."""
    folder = specification.root / "docs" / "documentation"
    if not folder.is_dir() or release_of(torch.__version__) != RELEASES[-1]:
        return
    for sentence in read_sentences(read_tables(folder)):
        if sentence.row is None:
            yield (
                f"docs/documentation/{sentence.part}.toml: {sentence.name}: no verdict on "
                f"{sentence.text!r}; python -m nnspec documentation prints the row to complete"
            )

"""The command ``python -m nnspec documentation``."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Container

import torch

from nnspec.clauses.parts import find_checkout
from nnspec.clauses.releases import RELEASES, release_of
from nnspec.clauses.specification import read_specification
from nnspec.documentation.state import Said, first_words, gone, read_sentences, undecided
from nnspec.documentation.verdicts import VERDICTS, Row, Tables, read_tables


def run(options: argparse.Namespace) -> int:
    """Say which sentences of torch's documentation are undecided, and which rows are out of date.

    Args:
        options: ``json``, whether to print every sentence as JSON.

    Returns:
        the exit code: 1 if on the newest supported release a sentence has no verdict or is open, or if a row
        names a clause that does not exist; else 0.

    Raises:
        TableError: a table is not written as it has to be.
    """
    root = find_checkout()
    tables = read_tables(root / "docs" / "documentation")
    said = read_sentences(tables)
    if options.json:
        print(json.dumps([_as_json(sentence) for sentence in said], indent=1))
    unknown = unknown_clauses(tables, read_specification(root).clauses.keys())
    new = [sentence for sentence in said if sentence.row is None]
    if not options.json:
        _show(said, new, gone(tables, said), unknown)
    is_newest = release_of(torch.__version__) == RELEASES[-1]
    return 1 if unknown or (is_newest and (new or undecided(said))) else 0


def unknown_clauses(tables: Tables, known: Container[str]) -> list[str]:
    """The rows that name a clause which does not exist, as a line each."""
    return [
        f"{name}: {digest} ({row.words} ...): there is no clause {clause}"
        for name, rows in tables.items()
        for digest, row in rows.items()
        for clause in row.clauses
        if clause not in known
    ]


def _as_json(sentence: Said) -> dict[str, object]:
    row = sentence.row
    return {
        "object": sentence.name,
        "about": sentence.about,
        "sentence": sentence.text,
        "digest": sentence.digest,
        "verdict": sentence.verdict,
        "clauses": list(row.clauses) if row else [],
        "instead": row.instead if row else "",
    }


def _show(said: list[Said], new: list[Said], left: list[tuple[str, str, Row]], unknown: list[str]) -> None:
    _show_rows("without a verdict; rows to complete:", new)
    if left:
        print(f"\n{len(left)} rows whose sentence torch {torch.__version__} does not have:")
        for name, digest, row in left:
            print(f"  {name}: {digest} {row.words} ... ({row.verdict})")
    open_ones = undecided(said)
    if open_ones:
        print(f"\n{len(open_ones)} that no clause decides:")
        for sentence in open_ones:
            print(f"  {sentence.name}: {sentence.digest} {_about(sentence)}{sentence.text}")
    if unknown:
        print("\nrows that name no clause:")
        print("\n".join(unknown))
    verdicts = Counter(sentence.verdict for sentence in said)
    counts = [f"{verdicts[verdict]} {verdict}" for verdict in VERDICTS if verdicts[verdict]]
    if new:
        counts.append(f"{len(new)} without a verdict")
    objects = len({sentence.name for sentence in said})
    print(f"\ntorch {torch.__version__} documents {objects} objects in {len(said)} sentences:")
    print(", ".join(counts))


def _show_rows(heading: str, new: list[Said]) -> None:
    """Sentences as rows for a table, with the verdict of the sentence that each seems to have been."""
    if not new:
        return
    print(f"{len(new)} sentences {heading}")
    name = ""
    for sentence in new:
        if sentence.name != name:
            name = sentence.name
            print(f'\n# docs/documentation/{sentence.part}.toml\n["{name}"]')
        print(f"# {_about(sentence)}{sentence.text}")
        print(as_toml(sentence.digest, sentence.proposal or Row("", ""), first_words(sentence.text)))


def as_toml(digest: str, row: Row, words: str) -> str:
    """A row as a table has it."""
    entries = {"words": words, "verdict": row.verdict, "clauses": list(row.clauses)}
    entries |= {"kind": row.kind, "instead": row.instead, "harm": row.harm}
    shown = (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items() if value)
    return f"{digest} = {{{', '.join(shown)}}}"


def _about(sentence: Said) -> str:
    return f"[{sentence.about}] " if sentence.about else ""

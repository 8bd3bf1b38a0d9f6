"""Pieces of reStructuredText."""

from __future__ import annotations

import textwrap

from nnspec.clause import Clause


def heading(text: str, underline: str) -> str:
    """A heading of one line."""
    return f"{text}\n{underline * max(len(text), 4)}\n"


def code(source: str) -> str:
    """A block of Python."""
    return ".. code-block:: python\n\n" + textwrap.indent(source, "   ") + "\n"


def html(source: str) -> str:
    """A block that only a browser sees."""
    return ".. raw:: html\n\n" + textwrap.indent(source, "   ") + "\n"


def title_of(docstring: str) -> str:
    """The first sentence of an opening, as a heading: without its full stop."""
    return " ".join(docstring.partition("\n\n")[0].split()).removesuffix(".")


def rest_of(docstring: str) -> str:
    """What follows the first paragraph of an opening."""
    return docstring.partition("\n\n")[2].strip()


def escape(text: str) -> str:
    """Text that is no markup, safe to stand in reStructuredText."""
    for mark in ("\\", "*", "`", "|", "_", ":"):
        text = text.replace(mark, "\\" + mark)
    return text


def clause_link(clause: Clause) -> str:
    """The statement of a clause as a link to it."""
    return f":ref:`{escape(clause.plain)} <{clause.id}>`"


def clause_list(clauses: list[Clause]) -> str:
    """A list of clauses by their statements."""
    return "\n".join(f"* {clause_link(clause)}" for clause in clauses) + "\n"

"""Pieces of reStructuredText."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from nnspec.clauses.clause import Clause


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
    """Text that is no markup, safe to stand in reStructuredText, on one line."""
    text = " ".join(text.split())
    for mark in ("\\", "*", "`", "|", "_", ":", "<", ">"):
        text = text.replace(mark, "\\" + mark)
    return text


def paragraph(text: str) -> str:
    """Text that is no markup as a paragraph, whatever it begins with."""
    return f"\\ {escape(text)}\n"


def marked(text: str) -> str:
    """Text whose only markup is `code` between single backticks, whatever it begins with."""
    pieces = " ".join(text.split()).split("`")
    if len(pieces) % 2 == 0:
        return f"\\ {escape(text)}"
    shown = [rf"\ ``{piece}``\ " if at % 2 and piece else escape(piece) for at, piece in enumerate(pieces)]
    shown = [_keep_ends(piece, one) for piece, one in zip(pieces, shown, strict=True)]
    return "\\ " + "".join(shown)


def _keep_ends(piece: str, shown: str) -> str:
    """Escaping takes the blanks at both ends away; between code and text they count."""
    before = " " if piece[:1] == " " else ""
    after = " " if len(piece) > 1 and piece[-1:] == " " else ""
    return f"{before}{shown}{after}"


def thread_links(threads: Iterable[str]) -> str:
    """Threads as links: ``#715`` is one of pytorch/pytorch, others name their repository."""
    return ", ".join(link(name, _address(name)) for name in threads)


def _address(thread: str) -> str:
    repository, _, number = thread.partition("#")
    return f"https://github.com/{repository or 'pytorch/pytorch'}/issues/{number}"


def literal(source: str) -> str:
    """A piece of code in a line of text."""
    source = " ".join(source.split())
    return f"``{source}``" if source and "``" not in source else escape(source)


def clause_link(clause: Clause) -> str:
    """The statement of a clause as a link to it."""
    return f":ref:`{escape(clause.plain)} <{clause.id}>`"


def clause_list(clauses: Iterable[Clause]) -> str:
    """A list of clauses by their statements."""
    return "\n".join(f"* {clause_link(clause)}" for clause in clauses) + "\n"


def link(text: str, address: str) -> str:
    """A link to another place of the web."""
    return f"`{escape(text)} <{address}>`__"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], css: str = "") -> str:
    """A table; the cells are reStructuredText of one line each."""
    lines = [".. list-table::", "   :header-rows: 1"]
    lines += [f"   :class: {css}"] if css else []
    lines.append("")
    for row in (header, *rows):
        first, *others = row
        lines.append(f"   * - {first}")
        lines += [f"     - {cell}" for cell in others]
    return "\n".join(lines) + "\n"

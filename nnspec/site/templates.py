"""The templates of the pages, and what they know of reStructuredText besides Sphinx's own filters."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from sphinx.util import rst

from nnspec.clauses import threads
from nnspec.clauses.chapter import title_of
from nnspec.clauses.clause import plain_text


def render(template: str, /, **names: object) -> str:
    """A page, or a piece of one, from its template in ``templates/``."""
    return _ENVIRONMENT.get_template(template).render(names)


def text(value: object) -> str:
    """Text that is no markup, safe to stand in reStructuredText, on one line."""
    return _escaped(" ".join(str(value).split()))


def _escaped(piece: str) -> str:
    """Escaped as Sphinx does it, but for quotation marks, which become typographic ones."""
    return rst.escape(piece).replace(r"\'", "'").replace(r"\"", '"')


def marked(source: str) -> str:
    """Text whose only markup is `code` between single backticks, whatever it begins with."""
    pieces = " ".join(source.split()).split("`")
    if len(pieces) % 2 == 0:
        return rf"\ {text(source)}"
    return "\\ " + "".join(
        rf"\ ``{piece}``\ " if at % 2 and piece else _escaped(piece) for at, piece in enumerate(pieces)
    )


def label_of(name: str) -> str:
    """The label of a documented object's section; labels have no capitals, so a class says that it is one."""
    return f"doc-class-{name}" if name.rpartition(".")[2][0].isupper() else f"doc-{name}"


def heading(title: str, level: int = 1) -> str:
    """A title with the line below it that says its level, from 1."""
    return f"{title}\n{'=-~^'[level - 1] * rst.textwidth(title)}"


def literal(source: str) -> str:
    """A piece of code in a line of text."""
    source = " ".join(source.split())
    return f"``{source}``" if source and "``" not in source else text(source)


def rest_of(docstring: str) -> str:
    """What follows the first paragraph of an opening."""
    return docstring.partition("\n\n")[2].strip()


_ENVIRONMENT = Environment(
    loader=PackageLoader("nnspec.site"),
    autoescape=select_autoescape(["html.j2"], default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_ENVIRONMENT.filters |= {
    "heading": heading,
    "text": text,
    "marked": marked,
    "literal": literal,
    "title_of": title_of,
    "rest_of": rest_of,
    "plain": plain_text,
    "address": threads.address,
    "short": threads.short,
    "label_of": label_of,
}

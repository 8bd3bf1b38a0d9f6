"""A docstring of torch as what it consists of: headings, code and sentences."""

from __future__ import annotations

import hashlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

HEADING, CODE, TEXT = "heading", "code", "text"

_SECTION = re.compile(
    r"(Args|Arguments|Keyword args|Keyword arguments|Parameters|Attributes|Variables|Shape|Shapes|Inputs?|"
    r"Outputs?|Returns?|Return type|Yields|Raises|Examples?|Notes?|Warnings?|See also|References?|Type|"
    r"Features described in this documentation are classified by release status)( usage)?:{1,2}|"
    r"(Inputs|Outputs): [\w, ()_]+"
)
_UNDERLINE = re.compile(r"([=~^\-])\1{2,}")
_TABLE = re.compile(r"=+( +=+)+")
_DIRECTIVE = re.compile(r"\.\. ?(?P<name>[\w-]+) ?:: ?(?P<text>.*)")
_ANCHOR = re.compile(r"\.\. (_.*:|\[.*\].*|\|.*\|.*|_`.*)|:\w+:")
_NOT_PROSE = ("math", "code", "code-block", "image", "figure", "testcode", "table", "list-table", "include")
_BULLET = re.compile(r"([-*+•]|\d+[.)]|\(\d+\))\s+")
#: Sections that describe one thing after another.
_OF_ITEMS = re.compile(
    r"(Keyword )?arg(ument)?s|Parameters|Attributes|Variables|Inputs?.*|Outputs?.*|Shapes?", re.I
)
_NAME = r"[*`~]*[\w.]+(\[k\]\w*)?[`*]*(, [*`\w]+)*"
_ITEM = re.compile(rf"(?P<name>{_NAME})( ?\((?P<type>.*?)\))? ?(: | - )\s*(?=\S)|:\w+ (?P<field>[\w ]+): *")
_ONLY_ITEM = re.compile(rf"(?P<name>{_NAME})( ?\((?P<type>.*)\))? ?:")
_SIGNATURE = re.compile(r"[\w.]+\(.*\)( ?->.*)?")

#: What ends with a point and no sentence: after the last two, a sentence may begin.
_ABBREVIATION = re.compile(
    r"(?<!\w)(?:e\.g\.|i\.e\.|w\.r\.t\.|a\.k\.a\.|vs\.|cf\.|resp\.|incl\.|approx\.|Eqs?\.|Figs?\.|Secs?\.|pp\.|[A-Z]\."
    r"|(?:etc\.|al\.)(?! [A-Z][a-z]))"
)
_MARKED = re.compile(r"``.+?``|(?::[\w:+-]+:)?`.+?`_{0,2}")
_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[A-Z\"'(`*:\[0-9])")
_ROLE = re.compile(r":[\w:+-]+:(?=`)")
_WORDS = re.compile(r"[a-z]+ [a-z]+ [a-z]+")
_WORD = re.compile(r"[A-Za-z]{2,}")


class Sentence(NamedTuple):
    """A sentence.

    Attributes:
        text: as torch writes it, in one line.
        digest: of its normalised text.
    """

    text: str
    digest: str


@dataclass(frozen=True)
class Block:
    """A heading, some code, or a paragraph.

    Attributes:
        kind: :data:`HEADING`, :data:`CODE` or :data:`TEXT`.
        label: what a paragraph is under or describes: a directive, an argument; or nothing.
        text: of a heading or of code.
        sentences: of a paragraph.
    """

    kind: str
    label: str = ""
    text: str = ""
    sentences: tuple[Sentence, ...] = ()


def sentence(text: str, about: str = "") -> Sentence:
    """A sentence with its digest: markup, capitals and spaces do not count.

    Args:
        text: what it says.
        about: the argument or attribute that it describes: of two, "Default: True" may be true and false.
    """
    normal = " ".join(without_markup(f"{about}: {text}").lower().strip(" .:;").split())
    return Sentence(text, hashlib.sha256(normal.encode()).hexdigest()[:10])


def without_markup(text: str) -> str:
    """A sentence without roles, backticks and asterisks."""
    return re.sub(r"[`*]", "", _ROLE.sub("", text))


def read_docstring(docstring: str) -> list[Block]:
    """What a docstring consists of, in its order."""
    return list(_Reader(inspect.cleandoc(docstring).splitlines()).blocks())


class _Reader:
    """Reads lines from the top; each step takes the lines of one block."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.place = 0
        self.label = ""
        self.in_directive = -1
        self.in_section = -1
        self.has_items = False

    def blocks(self) -> Iterator[Block]:
        while self.place < len(self.lines):
            line = self.lines[self.place]
            text = line.strip()
            indent = _indent(line)
            directive = _DIRECTIVE.fullmatch(text)
            if not text or _ANCHOR.fullmatch(text):
                self.place += 1
            elif text.startswith(">>>") or _TABLE.fullmatch(text):
                yield Block(CODE, text=self._code_to_blank())
            elif text.startswith("```"):
                yield Block(CODE, text=self._fenced())
            elif self._is_underlined():
                self.place += 2
                self._begin_section(text, indent)
                yield Block(HEADING, text=text)
            elif _SIGNATURE.fullmatch(text) and not _WORDS.search(text):
                self.place += 1
                yield Block(CODE, text=text)
            elif directive and directive["name"] in _NOT_PROSE:
                yield self._indented_code(indent)
            elif directive:
                self._begin_directive(directive, indent)
            elif _SECTION.fullmatch(text):
                self.place += 1
                self._begin_section(text, indent)
                yield Block(HEADING, text=text.rstrip(":"))
                if text.endswith("::"):
                    yield from self._literal(indent)
            else:
                yield from self._paragraph(indent)

    def _begin_section(self, heading: str, indent: int) -> None:
        """Headings below that of arguments, as of an example, do not end the arguments."""
        self.in_directive, self.label = -1, ""
        if not self.has_items or indent <= self.in_section:
            self.has_items = bool(_OF_ITEMS.fullmatch(heading.rstrip(":")))
            self.in_section = indent

    def _is_underlined(self) -> bool:
        after = self.lines[self.place + 1].strip() if self.place + 1 < len(self.lines) else ""
        return bool(_UNDERLINE.fullmatch(after))

    def _begin_directive(self, directive: re.Match[str], indent: int) -> None:
        """A note, a warning or the like: its text may begin on its own line."""
        self.in_directive, self.label = indent, directive["name"]
        if directive["text"]:
            self.lines[self.place] = " " * (indent + 3) + directive["text"]
        else:
            self.place += 1

    def _code_to_blank(self) -> str:
        start = self.place
        while self.place < len(self.lines) and self.lines[self.place].strip():
            self.place += 1
        return textwrap.dedent("\n".join(self.lines[start : self.place]))

    def _fenced(self) -> str:
        """Code between two lines of three backticks."""
        self.place += 1
        start = self.place
        while self.place < len(self.lines) and not self.lines[self.place].strip().startswith("```"):
            self.place += 1
        self.place += 1
        return textwrap.dedent("\n".join(self.lines[start : self.place - 1]))

    def _indented_code(self, indent: int) -> Block:
        """This line and what is indented deeper than it."""
        start = self.place
        self.place += 1
        while self.place < len(self.lines):
            line = self.lines[self.place]
            if line.strip() and _indent(line) <= indent:
                break
            self.place += 1
        return Block(CODE, text=textwrap.dedent("\n".join(self.lines[start : self.place]).strip("\n")))

    def _literal(self, indent: int) -> Iterator[Block]:
        """A block of code after ``::``."""
        while self.place < len(self.lines) and not self.lines[self.place].strip():
            self.place += 1
        if self.place < len(self.lines) and _indent(self.lines[self.place]) > indent:
            yield self._indented_code(indent)

    def _paragraph(self, indent: int) -> Iterator[Block]:
        """The lines up to a blank one, the next item or a smaller indentation."""
        if indent <= self.in_directive:
            self.in_directive, self.label = -1, ""
        first = self.lines[self.place].strip()
        about = ""
        if bullet := _BULLET.match(first):
            first = first[bullet.end() :]
        if item := self._item(first):
            about = (item["name"] or item.groupdict().get("field") or "").strip("`*~")
            first = first[item.end() :]
        gathered = [first]
        self.place += 1
        while self.place < len(self.lines):
            line = self.lines[self.place]
            text = line.strip()
            deep = _indent(line)
            if not text or deep < indent or gathered[-1].endswith("::"):
                break
            if text.startswith((">>>", ".. ", "```")) or _BULLET.match(text) or self._is_underlined():
                break
            if _SECTION.fullmatch(text) or (deep == indent and self._item(text)):
                break
            gathered.append(text)
            self.place += 1
        whole = " ".join(part for part in gathered if part)
        sentences = tuple(sentence(said, about) for said in split(whole))
        yield Block(TEXT, about or self.label, sentences=sentences)
        if whole.endswith("::"):
            yield from self._literal(indent)

    def _item(self, text: str) -> re.Match[str] | None:
        """The name and type with which the description of an argument or attribute begins."""
        if not self.has_items and not text.startswith(":"):
            return None
        return _ONLY_ITEM.fullmatch(text) or _ITEM.match(text)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def split(text: str) -> list[str]:
    """The sentences of a paragraph; what holds no word, as a formula alone, is none."""
    hidden: list[str] = []

    def hide(match: re.Match[str]) -> str:
        hidden.append(match[0])
        return f"`{len(hidden) - 1}`"

    def shown(match: re.Match[str]) -> str:
        return hidden[int(match[1])]

    found = []
    for part in _END.split(_ABBREVIATION.sub(hide, _MARKED.sub(hide, text))):
        said = re.sub(r"`(\d+)`", shown, part).strip()
        words = _WORD.findall(re.sub(r":math:`.*?`", "", said))
        if words and (len(words) > 1 or words[0].istitle()):
            found.append(said)
    return found

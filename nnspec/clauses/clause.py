"""What a clause is: text, example, marks, bounds and digest.

One clause is one test function of a chapter, ``spec/<part>/test_<chapter>.py``. Its docstring is
the text, its body the example, its marks say when it holds and what it answers.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from packaging.version import Version

from nnspec.clauses.releases import RELEASES
from nnspec.errors import NnspecError

#: Roles whose target is a name of the API, as opposed to a thread or a term.
API_ROLES = frozenset({"attr", "class", "data", "exc", "func", "meth", "mod", "obj"})

#: What a clause may need, and what a machine has to have for it.
NEEDS = {
    "cuda": "a CUDA device",
    "torchvision": "torchvision that imports",
    "distributed": "torch.distributed",
    "compile": "a Python that this torch.compile supports",
    "bfloat16": "a CPU on which oneDNN computes in bfloat16",
}

#: The needs that one CPU meets and another does not, with the same torch.
OF_THE_CPU = ("bfloat16",)

_ROLE = re.compile(r":(?P<role>[a-z:]+):`(?P<body>[^`]+)`")
_ROLE_BODY = re.compile(r"^(?P<title>.*?)\s*<(?P<target>[^<>]+)>$", re.DOTALL)
_RELEASE = re.compile(r"\d+\.\d+")


def required(name: str, count: int) -> str:
    """What a machine has to have for a need of a clause, such as ``2 CUDA devices``."""
    return f"{count} CUDA devices" if count > 1 else NEEDS[name]


class ClauseError(NnspecError):
    """A clause is not written as the specification asks; the message says where and what to do."""


@dataclass(frozen=True)
class Mark:
    """One ``pytest.mark`` on a clause, with its literal arguments."""

    name: str
    args: tuple[object, ...] = ()


@dataclass(frozen=True)
class Reference:
    """One Sphinx role in a docstring: ``:meth:`~torch.nn.Module.parameters```."""

    role: str
    target: str


@functools.cache
def _minor(version: str) -> tuple[int, ...]:
    return Version(version).release[:2]


@dataclass(frozen=True)
class Bounds:
    """The releases on which a clause holds: from ``since`` on, up to but not including ``before``."""

    since: str | None = None
    before: str | None = None

    def place(self, version: str) -> str:
        """Where a torch version lies: ``"inside"``, ``"not yet"`` or ``"no longer"``."""
        release = _minor(version)
        if self.since and release < _minor(self.since):
            return "not yet"
        if self.before and release >= _minor(self.before):
            return "no longer"
        return "inside"

    @property
    def heading(self) -> str:
        """What a statement begins with that does not hold on every release, such as ``Up to 2.4:``."""
        last = next((r for r in reversed(RELEASES) if self.before and _minor(r) < _minor(self.before)), None)
        if self.since and last:
            return f"From {self.since} to {last}:" if last != self.since else f"On {last}:"
        return f"Since {self.since}:" if self.since else f"Up to {last}:" if last else ""

    def __str__(self) -> str:
        words = []
        if self.since:
            words.append(f"since {self.since}")
        if self.before:
            words.append(f"before {self.before}")
        return ", ".join(words) or "every release"


@dataclass(frozen=True)
class Marked:
    """A clause as far as its marks tell: what a run has to know of it.

    Attributes:
        part: folder of the chapter, such as ``traversal``.
        chapter: file without ``test_``, such as ``parameters``.
        name: function without ``test_``.
        path: file the clause stands in.
        line: line of its ``def``, or of its first mark where it was read from the function; from 1.
        marks: marks other than ``parametrize``, in source order.
    """

    part: str
    chapter: str
    name: str
    path: Path
    line: int
    marks: tuple[Mark, ...]

    @property
    def id(self) -> str:
        return f"{self.part}.{self.chapter}.{self.name}"

    @property
    def place(self) -> str:
        """``file:line``, for messages."""
        return f"{self.path}:{self.line}"

    def node(self, root: Path) -> str:
        """Its name for pytest, run from a folder: ``spec/traversal/test_parameters.py::test_...``."""
        return f"{self.path.relative_to(root).as_posix()}::test_{self.name}"

    @cached_property
    def bounds(self) -> Bounds:
        """Its releases.

        Raises:
            ClauseError: a bound is malformed, given twice, or no supported release lies inside.
        """
        since = self._bound("since")
        before = self._bound("before")
        bounds = Bounds(since, before)
        if not any(bounds.place(release) == "inside" for release in RELEASES):
            raise ClauseError(
                f"{self.place}: {self.id}: its bounds ({bounds}) exclude every supported release, "
                f"{RELEASES[0]} to {RELEASES[-1]}; widen them or retire the clause"
            )
        return bounds

    def _bound(self, name: str) -> str | None:
        given = [mark.args for mark in self.marks if mark.name == name]
        if not given:
            return None
        if len(given) > 1:
            raise ClauseError(f"{self.place}: {self.id}: {name} is given {len(given)} times; keep one")
        args = given[0]
        if len(args) != 1 or not isinstance(args[0], str) or not _RELEASE.fullmatch(args[0]):
            shown = ", ".join(map(repr, args))
            raise ClauseError(
                f'{self.place}: {self.id}: {name}({shown}) is no release; write one as {name}("2.5")'
            )
        if args[0] not in RELEASES:
            raise ClauseError(
                f"{self.place}: {self.id}: {name}({args[0]!r}) is not one of the supported releases, "
                f"{RELEASES[0]} to {RELEASES[-1]}"
            )
        return args[0]

    @cached_property
    def needs(self) -> tuple[tuple[str, int], ...]:
        """What it cannot be judged without: ``(name, how many)``.

        Raises:
            ClauseError: a need is unknown or its count is no positive number.
        """
        needs: list[tuple[str, int]] = []
        for mark in self.marks:
            if mark.name != "needs":
                continue
            name, count = (*mark.args, 1)[:2] if mark.args else (None, 1)
            if name not in NEEDS or len(mark.args) > 2:
                shown = ", ".join(map(repr, mark.args))
                raise ClauseError(
                    f"{self.place}: {self.id}: needs({shown}) is unknown; one of {', '.join(NEEDS)}"
                )
            if type(count) is not int or count < 1:
                raise ClauseError(
                    f"{self.place}: {self.id}: needs({name!r}, {count!r}): how many, as a number from 1"
                )
            needs.append((str(name), count))
        return tuple(needs)

    def ensure_marks(self) -> None:
        """Raise :class:`ClauseError` if a bound or a need is malformed."""
        _ = self.bounds, self.needs

    def answers(self, kind: str) -> tuple[str, ...]:
        """The rows that its ``claim`` or ``question`` marks name."""
        return tuple(str(arg) for mark in self.marks if mark.name == kind for arg in mark.args)

    def has(self, name: str) -> bool:
        """Whether it carries the mark ``name``."""
        return any(mark.name == name for mark in self.marks)


@dataclass(frozen=True)
class Clause(Marked):
    """One statement about torch with the example that decides it.

    Attributes:
        end_line: last line of its body.
        docstring: cleaned docstring, empty if there is none.
        body: source of the body without the docstring, dedented.
        definitions: sources of the imports, helpers and fixtures that it uses.
        cases: sources of its ``parametrize`` decorators.
        arguments: the fixtures and cases it takes.
    """

    end_line: int
    docstring: str
    body: str
    definitions: tuple[str, ...]
    cases: tuple[str, ...]
    arguments: tuple[str, ...]

    @cached_property
    def statement(self) -> str:
        """The first sentence of the docstring, as written."""
        return self._split[0]

    @cached_property
    def prose(self) -> str:
        """What follows the statement."""
        return self._split[1]

    @cached_property
    def _split(self) -> tuple[str, str]:
        first, _, rest = self.docstring.partition("\n\n")
        return " ".join(first.split()), rest.strip()

    @cached_property
    def dated(self) -> str:
        """The statement, and before it the releases on which it holds, where it does not hold on all."""
        return f"{self.bounds.heading} {self.statement}".lstrip()

    @cached_property
    def plain(self) -> str:
        """The dated statement as a terminal shows it: without roles and literal marks."""
        return plain_text(self.dated)

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """The roles of the docstring, in order of first use."""
        return tuple(dict.fromkeys(references_in(self.docstring)))

    @cached_property
    def digest(self) -> str:
        """Twelve hex digits over all that is run: cases, body, the imports, helpers and fixtures they use.

        A statement that is reworded is no new behaviour.
        """
        code = "\0".join([*self.cases, *self.definitions, self.body])
        return hashlib.sha256(code.encode()).hexdigest()[:12]


def plain_text(text: str) -> str:
    """Text without Sphinx roles and literal marks, as a terminal shows it."""

    def shown(match: re.Match[str]) -> str:
        role, body = match["role"], match["body"]
        titled = _ROLE_BODY.match(body)
        if titled:
            return titled["title"]
        if body.startswith("~"):
            body = body[1:].rpartition(".")[2]
        if role in {"issue", "pull"}:
            return f"#{body}"
        return f"{body}()" if role in {"meth", "func"} else body

    return _ROLE.sub(shown, text).replace("``", "")


def references_in(text: str) -> Iterator[Reference]:
    """The roles of a text, in order."""
    for match in _ROLE.finditer(text):
        titled = _ROLE_BODY.match(match["body"])
        target = titled["target"] if titled else match["body"]
        yield Reference(match["role"], target.lstrip("~!"))

"""Every small change to a function, as edits of its syntax tree."""

from __future__ import annotations

import ast
import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, cast

from nnspec.strength.operators import OPERATORS, called, like, other_constant

#: A text with so many spaces is meant for people.
SPACES_OF_A_MESSAGE = 2
#: Code of so many characters is shown whole.
LONGEST_SHOWN = 90

_SKIPPED_FIELDS = frozenset({"annotation", "returns", "decorator_list", "ctx", "type_comment", "type_params"})


class Place(NamedTuple):
    """Where a node stands.

    Attributes:
        first: first line of the statement around it, without the bodies the statement may have.
        last: last line of that.
        is_message: whether it only makes up the text of an error or a warning.
        rebound: the local names that are bound more than once, so that one binding can be dropped.
    """

    first: int
    last: int
    is_message: bool
    rebound: frozenset[str]


@dataclass(frozen=True)
class Edit:
    """One small change to a syntax tree.

    Attributes:
        operator: what kind of change, a key of :data:`OPERATORS` or ``message``.
        line: the line that is changed.
        place: where it stands; where the lines of the statement do not run, nothing differs.
        difference: the change in words.
        parent: the node whose child is replaced.
        field: the field the child stands in.
        index: its place there, if the field is a list.
        replacement: the new child.
        default: the argument whose default changes, and its new value.
    """

    operator: str
    line: int
    place: Place
    difference: str
    parent: ast.AST
    field: str
    index: int | None
    replacement: ast.AST
    default: tuple[str, object] | None = None

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The tree is changed inside the context."""
        old = self._put(self.replacement)
        try:
            yield
        finally:
            self._put(old)

    def _put(self, node: ast.AST) -> ast.AST:
        if self.index is None:
            old = getattr(self.parent, self.field)
            setattr(self.parent, self.field, node)
        else:
            children = getattr(self.parent, self.field)
            old, children[self.index] = children[self.index], node
        return cast("ast.AST", old)


def edits(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Edit]:
    """Every small change to a function, in source order of its statements; defaults come first."""
    if all(_is_text(statement) for statement in function.body):
        return
    place = Place(function.body[0].lineno, function.end_lineno or 0, False, _rebound_names(function))
    yield from _default_edits(function, place)
    for index, statement in enumerate(function.body):
        yield from _edits_within(statement, function, "body", index, place)


def edits_of_statement(statement: ast.stmt) -> Iterator[Edit]:
    """Every small change to a statement outside functions."""
    whole = ast.Module(body=[statement], type_ignores=[])
    yield from _edits_within(statement, whole, "body", 0, Place(0, 0, False, frozenset()))


def _rebound_names(function: ast.AST) -> frozenset[str]:
    bound = Counter(
        node.arg if isinstance(node, ast.arg) else node.id
        for node in ast.walk(function)
        if isinstance(node, ast.arg) or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    )
    return frozenset(name for name, times in bound.items() if times > 1)


def _default_edits(function: ast.FunctionDef | ast.AsyncFunctionDef, place: Place) -> Iterator[Edit]:
    """A default becomes another: ``True`` becomes ``False``, ``None`` becomes ``True``."""
    named = function.args.posonlyargs + function.args.args
    lists: list[tuple[list[ast.arg], str]] = [
        (named[len(named) - len(function.args.defaults) :], "defaults"),
        (function.args.kwonlyargs, "kw_defaults"),
    ]
    for arguments, field in lists:
        for index, (argument, node) in enumerate(zip(arguments, getattr(function.args, field), strict=True)):
            if not isinstance(node, ast.Constant) or node.value is ...:
                continue
            new = other_constant(node.value)
            yield Edit(
                operator="default",
                line=node.lineno,
                place=place,
                difference=f"{argument.arg}={node.value!r} becomes {argument.arg}={new!r}",
                parent=function.args,
                field=field,
                index=index,
                replacement=like(node, value=new),
                default=(argument.arg, new),
            )


def _edits_within(
    node: ast.AST, parent: ast.AST, field: str, index: int | None, place: Place
) -> Iterator[Edit]:
    if _is_text(node):
        return
    place = _place_of(node, place)
    for name, operator in OPERATORS.items():
        for replacement in operator(node, place.rebound):
            yield Edit(
                operator="message" if name == "string" and place.is_message else name,
                line=getattr(node, "lineno", place.first),
                place=place,
                difference=_difference(node, replacement),
                parent=parent,
                field=field,
                index=index,
                replacement=_located(replacement, node),
            )
    inner = place._replace(is_message=place.is_message or _makes_message(node))
    for child, child_field, child_index in _children(node):
        yield from _edits_within(child, node, child_field, child_index, inner)


def _is_text(node: ast.AST) -> bool:
    """Whether a statement does nothing: a docstring, a comment written as a text, or ``...``."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _located(new: ast.AST, old: ast.AST) -> ast.AST:
    if not hasattr(new, "lineno"):
        ast.copy_location(new, old)
    return ast.fix_missing_locations(new)


def _place_of(node: ast.AST, place: Place) -> Place:
    """Where a node stands; of a statement with a body only the lines of its head count."""
    if not isinstance(node, (ast.stmt, ast.ExceptHandler)):
        return place._replace(is_message=place.is_message or _is_message(node))
    body = getattr(node, "body", None)
    last = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or node.lineno
    return place._replace(first=node.lineno, last=last, is_message=False)


def _children(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    for field, value in ast.iter_fields(node):
        if field in _SKIPPED_FIELDS:
            continue
        if isinstance(value, ast.AST):
            yield value, field, None
        elif isinstance(value, list) and not (isinstance(node, (ast.Global, ast.Nonlocal))):
            for index, child in enumerate(value):
                if isinstance(child, ast.AST) and not (
                    isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)
                ):
                    yield child, field, index


def _makes_message(node: ast.AST) -> bool:
    """Whether what stands below a node only makes up the text of an error or a warning."""
    return isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and called(node).startswith("warn"))


def _is_message(node: ast.AST) -> bool:
    texts = [child.value for child in ast.walk(node) if isinstance(child, ast.Constant)]
    return isinstance(node, (ast.Constant, ast.JoinedStr)) and any(
        isinstance(text, str) and text.count(" ") >= SPACES_OF_A_MESSAGE for text in texts
    )


def _difference(old: ast.AST, new: ast.AST) -> str:
    """A change in words; of long code only what stands about the difference."""
    before, after = _one_line(old), _one_line(new)
    if isinstance(new, ast.Pass):
        return f"dropped: {_window(before, 0, LONGEST_SHOWN)}"
    start = _common(before, after)
    rest = min(len(before), len(after)) - start
    end = min(rest, _common(before[::-1], after[::-1]))
    shown = [_window(text, start, len(text) - end) for text in (before, after)]
    return f"{shown[0]} becomes {shown[1]}"


def _common(text: str, other: str) -> int:
    """With how many of the same characters two texts start."""
    pairs = zip(text, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _window(text: str, start: int, end: int) -> str:
    """A text if it is short, else what stands from one place to another and a little around."""
    if len(text) <= LONGEST_SHOWN:
        return text
    start, end = max(0, start - 30), min(len(text), end + 30)
    before, after = "... " if start else "", " ..." if end < len(text) else ""
    part = text[start:end]
    if len(part) > 2 * LONGEST_SHOWN:
        part = f"{part[:LONGEST_SHOWN]} ... {part[-LONGEST_SHOWN:]}"
    return f"{before}{part.strip()}{after}"


def _one_line(node: ast.AST) -> str:
    if isinstance(node, (ast.If, ast.While, ast.With, ast.ExceptHandler)):
        node = like(node, body=[ast.Pass()], **({"orelse": []} if hasattr(node, "orelse") else {}))
    text = " ".join(ast.unparse(ast.fix_missing_locations(node)).split())
    return text.removesuffix(" pass")

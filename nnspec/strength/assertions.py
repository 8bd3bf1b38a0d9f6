"""A clause rewritten so that each of its assertions can be seen to fail, and each of its calls be changed.

An assertion that fails does not end the clause: the next ones are looked at too. ``and`` and the elements of
two lists that are compared count as assertions of their own, as do an error or a warning that is expected
and its message.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, cast

import pytest

from nnspec.strength.returns import OPERATORS, Answers, NotApplicable

#: The name under which a rewritten clause finds its :class:`Watch`.
WATCH = "__watch__"


class Watch:
    """What a rewritten clause tells while it runs.

    Attributes:
        failed: the assertions that failed, by number.
        seen: the assertions that were looked at.
        answers: what its calls answer.
    """

    def __init__(self) -> None:
        self.failed: set[int] = set()
        self.seen: set[int] = set()
        self.answers = Answers()

    def saw(self, number: int, holds: object) -> None:
        """An assertion was looked at."""
        self.seen.add(number)
        if not holds:
            self.failed.add(number)

    def fell(self, number: int) -> None:
        """An assertion failed that is a function of its own."""
        self.saw(number, False)

    def broke(self, number: int) -> None:
        """An assertion could not be worked out; that says little about a strange answer."""
        self.saw(number, self.answers.is_strange)

    def compare(self, number: int, left: object, right: object, count: int) -> None:
        """Two lists or tuples were compared: each element is an assertion of its own."""
        is_pair = isinstance(left, (list, tuple)) and type(left) is type(right)
        if is_pair and len(left) == len(right) == count:  # type: ignore[arg-type]
            for place, (a, b) in enumerate(zip(left, right, strict=True)):  # type: ignore[call-overload]
                self.saw(number + place, a == b)
        else:
            for place in range(count):
                self.saw(number + place, left == right)

    def expects(self, number: int, expect: Any, *args: Any, **kwargs: Any) -> Expected:
        """What takes the place of ``pytest.raises`` and ``pytest.warns``."""
        return Expected(
            self, number, expect is pytest.raises, expect(*args, **kwargs), args[0], "match" in kwargs
        )


@dataclass
class Expected:
    """A block in which an error or a warning is expected; what comes instead does not leave it."""

    watch: Watch
    number: int
    is_error: bool
    context: Any
    kinds: Any
    has_match: bool

    def __enter__(self) -> Any:
        self.info = self.context.__enter__()
        return self.info

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        is_expected = self.is_error and isinstance(error, self.kinds)
        if isinstance(error, (NotApplicable, KeyboardInterrupt, SystemExit)) and not is_expected:
            return False
        answers = self.watch.answers
        error = answers.error_of_block(self.number, error)
        if not self.is_error and answers.has_other_words(self.number):
            for warning in self.info.list:
                warning.message = warning.category("changed")
        try:
            leaves = not self.context.__exit__(kind, error, traceback) and kind is not None
            came = matched = not leaves
        except BaseException:
            matched = False
            came = self._came(kind)
        self.watch.saw(self.number, came)
        if self.has_match and came:
            self.watch.saw(self.number + 1, matched)
        return True

    def _came(self, kind: type[BaseException] | None) -> bool:
        if self.is_error:
            return kind is not None and issubclass(kind, self.kinds)
        return any(issubclass(warning.category, self.kinds) for warning in self.info.list)


@dataclass
class Rewritten:
    """A clause that can be watched.

    Attributes:
        function: takes what the clause takes.
        assertions: each as it is written, in source order.
    """

    function: Callable[..., None]
    assertions: list[str] = field(default_factory=list)


def rewrite(
    function: Callable[..., None], watch: Watch, *, calls: bool = True, inner: bool = False
) -> Rewritten:
    """Rewrite a clause.

    Args:
        function: as it is written.
        watch: what it will tell.
        calls: whether its calls can be changed too, or its assertions are watched only.
        inner: whether those of the functions that it defines can be changed, too.
    """
    lines, first = inspect.getsourcelines(function)
    tree = ast.parse(textwrap.dedent("".join(lines)))
    ast.increment_lineno(tree, first - 1)
    definition = cast("ast.FunctionDef", tree.body[0])
    definition.decorator_list = []
    writer = _Writer(calls, inner, {argument.arg for argument in definition.args.args})
    definition.body = writer.block(definition.body)
    code = compile(ast.fix_missing_locations(tree), inspect.getfile(function), "exec", dont_inherit=True)
    scope = {**function.__globals__, WATCH: watch}
    exec(code, scope)
    return Rewritten(scope[definition.name], writer.assertions)


class _Writer(ast.NodeTransformer):
    """Rewrites the statements of a clause, but not the classes that it defines.

    Of the functions that it defines only the calls are rewritten, if that is wanted.
    """

    def __init__(self, calls: bool, inner: bool, fixtures: set[str]) -> None:
        self.calls = calls
        self.inner = inner
        self.fixtures = fixtures
        self.assertions: list[str] = []
        self.sites = 0
        self.is_inside = False

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        written: list[ast.stmt] = []
        for statement in statements:
            new = self.visit(statement)
            written += new if isinstance(new, list) else [new]
        return written

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if self.inner:
            was_inside, self.is_inside = self.is_inside, True
            node.body = self.block(node.body)
            self.is_inside = was_inside
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.AST | list[ast.stmt]:
        if self.is_inside:
            return self.generic_visit(node)
        return [statement for part in _parts(node.test) for statement in self._watched(part)]

    def _watched(self, part: ast.expr) -> list[ast.stmt]:
        """An assertion that tells whether it holds."""
        number = len(self.assertions)
        pair = _unfolded(part)
        if pair is None:
            self.assertions.append(ast.unparse(part))
            told = _told("saw", number, self.visit(part))
            numbers = [number]
        else:
            left, right, elements = pair
            self.assertions += elements
            told = _told("compare", number, self.visit(left), self.visit(right), ast.Constant(len(elements)))
            numbers = [*range(number, number + len(elements))]
        return [_or_fail([ast.Expr(told)], numbers)]

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        closeness = isinstance(node.value, ast.Call) and ast.unparse(node.value.func).endswith("assert_close")
        if closeness and not self.is_inside:
            number = len(self.assertions)
            self.assertions.append(ast.unparse(node.value))
            held = ast.Expr(_told("saw", number, ast.Constant(value=True)))
            return _or_fail([ast.Expr(self.generic_visit(node.value)), held], [number])  # type: ignore[arg-type]
        return self.generic_visit(node)

    def visit_With(self, node: ast.With) -> ast.AST:
        if self.is_inside:
            return self.generic_visit(node)
        for item in node.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and ast.unparse(call.func) in ("pytest.raises", "pytest.warns"):
                shown = ast.unparse(call)
                number = len(self.assertions)
                has_match = any(word.arg == "match" for word in call.keywords)
                self.assertions += [shown, f"{shown}: its message"] if has_match else [shown]
                told = _told("expects", number, call.func, *call.args)
                told.keywords = call.keywords
                item.context_expr = told
            else:
                item.context_expr = self.visit(call)
        node.body = self.block(node.body)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if not self.calls or _looks_at_its_frame(node):
            return node
        is_fixture = isinstance(node.func, ast.Name) and node.func.id in self.fixtures
        asked = self._asked("fixture" if is_fixture else "call", [node.func, *node.args], node.keywords)
        return ast.copy_location(asked, node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            return self.generic_visit(node)
        return self._operator(node, "GetAttr", [node.value, ast.Constant(node.attr)])

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        return self._operator(node, type(node.op).__name__, [node.left, node.right])

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        index = node.slice
        if isinstance(index, ast.Slice):
            ends = [end or ast.Constant(None) for end in (index.lower, index.upper, index.step)]
            index = ast.Call(ast.Name("slice", ast.Load()), ends, [])
        is_plain = isinstance(node.ctx, ast.Load) and not any(
            isinstance(n, ast.Slice) for n in ast.walk(index)
        )
        return self._operator(node, "GetItem", [node.value, index]) if is_plain else self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        changes = all(isinstance(target, (ast.Attribute, ast.Subscript)) for target in node.targets)
        return self._left_out_if_asked(node) if changes else self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        if not isinstance(node.target, ast.Name):
            return self._left_out_if_asked(node)
        operands = [ast.Name(node.target.id, ast.Load()), node.value]
        value = self._operator(node, f"{type(node.op).__name__} in place", operands)
        return node if value is node else ast.copy_location(ast.Assign([node.target], value), node)  # type: ignore[arg-type]

    def visit_Delete(self, node: ast.Delete) -> ast.AST:
        changes = all(isinstance(target, (ast.Attribute, ast.Subscript)) for target in node.targets)
        return self._left_out_if_asked(node) if changes else self.generic_visit(node)

    def _operator(self, node: ast.AST, name: str, operands: list[ast.expr]) -> ast.AST:
        """An operator as the call that it stands for; the node itself where that is not asked for."""
        if not self.calls or name not in OPERATORS:
            return self.generic_visit(node)
        visited = [self.visit(operand) for operand in operands]
        return ast.copy_location(self._asked("operator", [ast.Constant(name), *visited], []), node)

    def _left_out_if_asked(self, node: ast.stmt) -> ast.AST:
        self.generic_visit(node)
        if not self.calls:
            return node
        return ast.copy_location(ast.If(self._asked("does", [], []), [node], []), node)

    def _asked(self, what: str, args: list[ast.expr], keywords: list[ast.keyword]) -> ast.Call:
        """A call of the answers, with the number of this place."""
        self.sites += 1
        answers = ast.Attribute(ast.Name(WATCH, ast.Load()), "answers", ast.Load())
        method = ast.Attribute(answers, what, ast.Load())
        return ast.Call(method, [ast.Constant(self.sites), *args], keywords)


def _parts(test: ast.expr) -> Iterator[ast.expr]:
    """The halves of ``and``, and the pairs of two lists or tuples that are compared element by element."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for value in test.values:
            yield from _parts(value)
        return
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
        left, right = test.left, test.comparators[0]
        if _is_display(left) and type(left) is type(right) and _is_display(right):
            a, b = cast("ast.List", left).elts, cast("ast.List", right).elts
            if len(a) == len(b) > 1:
                for one, other in zip(a, b, strict=True):
                    yield from _parts(ast.copy_location(ast.Compare(one, [ast.Eq()], [other]), test))
                return
    yield test


def _unfolded(test: ast.expr) -> tuple[ast.expr, ast.expr, list[str]] | None:
    """A list or tuple of things that are worked out, compared with one that is not written out."""
    if not isinstance(test, ast.Compare) or len(test.ops) > 1 or not isinstance(test.ops[0], ast.Eq):
        return None
    left, right = test.left, test.comparators[0]
    for written, other in ((left, right), (right, left)):
        if _is_display(written) and not isinstance(other, (ast.List, ast.Tuple)):
            elements = cast("ast.List", written).elts
            if sum(not _is_constant(element) for element in elements) > 1:
                return left, right, [f"{ast.unparse(element)} in {ast.unparse(test)}" for element in elements]
    return None


def _is_display(node: ast.expr) -> bool:
    return isinstance(node, (ast.List, ast.Tuple)) and not any(isinstance(e, ast.Starred) for e in node.elts)


def _is_constant(node: ast.expr) -> bool:
    if isinstance(node, (ast.List, ast.Tuple)):
        return all(map(_is_constant, node.elts))
    return isinstance(node, ast.Constant) or (isinstance(node, ast.UnaryOp) and _is_constant(node.operand))


def _looks_at_its_frame(node: ast.Call) -> bool:
    if not isinstance(node.func, ast.Name):
        return False
    return node.func.id == "super" or (
        node.func.id in ("locals", "globals", "vars", "dir") and not (node.args or node.keywords)
    )


def _told(what: str, number: int, *arguments: Any) -> ast.Call:
    watch = ast.Attribute(ast.Name(WATCH, ast.Load()), what, ast.Load())
    return ast.Call(watch, [ast.Constant(number), *arguments], [])


def _or_fail(body: list[ast.stmt], numbers: list[int]) -> ast.stmt:
    """Statements after whose error the assertions of these numbers count as failed, or as broken."""
    handlers = [
        ast.ExceptHandler(
            ast.Name(error, ast.Load()), None, [ast.Expr(_told(what, number)) for number in numbers]
        )
        for error, what in (("AssertionError", "fell"), ("Exception", "broke"))
    ]
    return ast.copy_location(ast.Try(body, handlers, [], []), body[0])

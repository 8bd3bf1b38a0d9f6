"""The kinds of small change that can be made to a node of a syntax tree.

The maintained libraries do not fit: mutmut's operators drop no statement, negate no condition and come
with a terminal interface; cosmic-ray's rewrite the installed file and come with a database.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator, Set
from typing import Any, TypeVar

OTHER_TEXT = "XX"

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
#: Comparisons that their opposite already negates.
_OPPOSED = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
#: Calls that can only end in a TypeError when an argument of theirs is None.
_STRICT_CALLS = (
    {"all", "any", "delattr", "dict", "dir", "enumerate", "hasattr", "isinstance", "issubclass", "iter"}
    | {"len", "list", "map", "max", "min", "next", "range", "reversed", "set", "setattr", "sorted", "sum"}
    | {"super", "tuple", "vars", "zip"}
)

_Node = TypeVar("_Node", bound=ast.AST)
_Changed = Iterator[ast.AST]


def like(node: _Node, **fields: Any) -> _Node:
    """A node that differs from another in some fields only."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _none() -> ast.Constant:
    return ast.Constant(value=None)


def _without(items: list[Any], index: int) -> list[Any]:
    return items[:index] + items[index + 1 :]


def _with_item(items: list[Any], index: int, new: ast.AST) -> list[Any]:
    return [*items[:index], new, *items[index + 1 :]]


def other_constant(value: object) -> object:
    """Another value of the same kind; anything but a truth value, a number and a text becomes ``True``."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    return OTHER_TEXT if isinstance(value, str) else True


def called(call: ast.Call) -> str:
    """The last name of what is called."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def comparison(node: ast.AST, rebound: Set[str]) -> _Changed:
    """A comparison becomes another: ``==`` becomes ``!=``, ``<`` becomes ``<=``."""
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            yield like(node, ops=_with_item(node.ops, index, _COMPARISONS[type(operator)]()))


def negated_condition(node: ast.AST, rebound: Set[str]) -> _Changed:
    """The condition of an ``if``, a ``while``, an ``assert`` or a comprehension is negated."""
    if isinstance(node, (ast.If, ast.While, ast.IfExp, ast.Assert)) and _can_negate(node.test):
        yield like(node, test=ast.UnaryOp(op=ast.Not(), operand=node.test))
    if isinstance(node, ast.comprehension):
        for index, test in enumerate(node.ifs):
            if _can_negate(test):
                yield like(node, ifs=_with_item(node.ifs, index, ast.UnaryOp(op=ast.Not(), operand=test)))


def _can_negate(test: ast.expr) -> bool:
    """Whether no other operator makes the same change: ``not x`` loses its ``not``, ``==`` is opposed."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return not isinstance(test.ops[0], _OPPOSED)
    return not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not))


def and_or(node: ast.AST, rebound: Set[str]) -> _Changed:
    """``and`` becomes ``or``, ``or`` becomes ``and``."""
    if isinstance(node, ast.BoolOp):
        yield like(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())


def dropped_operand(node: ast.AST, rebound: Set[str]) -> _Changed:
    """One of what ``and`` or ``or`` joins is dropped."""
    if isinstance(node, ast.BoolOp):
        for index in range(len(node.values)):
            left = _without(node.values, index)
            yield left[0] if len(left) == 1 else like(node, values=left)


def dropped_not(node: ast.AST, rebound: Set[str]) -> _Changed:
    """``not x`` becomes ``x``."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand


def boolean(node: ast.AST, rebound: Set[str]) -> _Changed:
    """``True`` becomes ``False``, ``False`` becomes ``True``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield like(node, value=not node.value)


def number(node: ast.AST, rebound: Set[str]) -> _Changed:
    """A number becomes one larger."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield like(node, value=other_constant(node.value))


def string(node: ast.AST, rebound: Set[str]) -> _Changed:
    """A text becomes another; the texts of errors and warnings are told apart as ``message``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield like(node, value=OTHER_TEXT)
    if isinstance(node, ast.JoinedStr) and any(isinstance(part, ast.Constant) for part in node.values):
        values = [part for part in node.values if not isinstance(part, ast.Constant)]
        yield like(node, values=[ast.Constant(value=OTHER_TEXT), *values])


def shown_value(node: ast.AST, rebound: Set[str]) -> _Changed:
    """A value shown in a text becomes ``None``."""
    if isinstance(node, ast.FormattedValue):
        yield like(node, value=_none())


def dropped_statement(node: ast.AST, rebound: Set[str]) -> _Changed:
    """A statement is dropped: a call, a ``raise``, a ``del``, an assignment to what has a value already."""
    if isinstance(node, (ast.Expr, ast.Raise, ast.Delete, ast.AugAssign, ast.Assert)):
        yield ast.Pass()
    elif isinstance(node, ast.Return):
        if node.value is None:
            yield ast.Pass()
    elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
        target = _target(node)
        if not isinstance(target, ast.Name) or target.id in rebound:
            yield ast.Pass()


def _target(node: ast.Assign | ast.AnnAssign) -> ast.expr:
    return node.targets[0] if isinstance(node, ast.Assign) else node.target


def assigned_none(node: ast.AST, rebound: Set[str]) -> _Changed:
    """The only value given to a name becomes ``None``."""
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and not _is_none(node.value):
        target = _target(node)
        if isinstance(target, ast.Name) and target.id not in rebound and node.value is not None:
            yield like(node, value=_none())


def returned_none(node: ast.AST, rebound: Set[str]) -> _Changed:
    """``return x`` becomes ``return None``."""
    if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield like(node, value=_none())


def argument(node: ast.AST, rebound: Set[str]) -> _Changed:
    """A positional argument of a call becomes ``None``."""
    if isinstance(node, ast.Call) and called(node) not in _STRICT_CALLS:
        for index, value in enumerate(node.args):
            if not isinstance(value, (ast.Starred, ast.Constant, ast.JoinedStr, ast.Lambda)):
                yield like(node, args=_with_item(node.args, index, _none()))


def dropped_argument(node: ast.AST, rebound: Set[str]) -> _Changed:
    """A keyword argument, ``*args``, ``**kwargs`` or the default of ``getattr`` and ``get`` is dropped."""
    if not isinstance(node, ast.Call):
        return
    for index, value in enumerate(node.args):
        is_default = (called(node), index) in {("getattr", 2), ("pop", 1), ("next", 1)} or (
            (called(node), index) == ("get", 1) and not _is_none(value)
        )
        if isinstance(value, ast.Starred) or is_default:
            yield like(node, args=_without(node.args, index))
    for index, keyword in enumerate(node.keywords):
        if keyword.arg != "stacklevel":
            yield like(node, keywords=_without(node.keywords, index))


def arithmetic(node: ast.AST, rebound: Set[str]) -> _Changed:
    """A sum becomes one of its parts, ``+=`` becomes ``=``, another operation its opposite."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield node.left
        yield node.right
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _ARITHMETIC:
        yield like(node, op=_ARITHMETIC[type(node.op)]())
    elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
        yield ast.Assign(targets=[node.target], value=node.value)


def dropped_sign(node: ast.AST, rebound: Set[str]) -> _Changed:
    """``-x`` becomes ``x``."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node.operand


def dropped_bound(node: ast.AST, rebound: Set[str]) -> _Changed:
    """A slice loses a bound: ``x[1:n]`` becomes ``x[1:]``."""
    if isinstance(node, ast.Slice):
        for field in ("lower", "upper", "step"):
            if getattr(node, field) is not None:
                yield like(node, **{field: None})


def raised_type(node: ast.AST, rebound: Set[str]) -> _Changed:
    """Another type is raised."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
        other = ast.Name(id="Exception", ctx=ast.Load())
        if node.exc.func.id != other.id:
            yield like(node, exc=like(node.exc, func=other))


def caught_type(node: ast.AST, rebound: Set[str]) -> _Changed:
    """An ``except`` catches nothing any more."""
    if isinstance(node, ast.ExceptHandler) and node.type is not None:
        yield like(node, type=ast.Tuple(elts=[], ctx=ast.Load()))


def loop(node: ast.AST, rebound: Set[str]) -> _Changed:
    """``break`` becomes ``continue``, ``continue`` becomes ``break``."""
    if isinstance(node, (ast.Break, ast.Continue)):
        yield ast.Continue() if isinstance(node, ast.Break) else ast.Break()


def lambda_none(node: ast.AST, rebound: Set[str]) -> _Changed:
    """The value of a lambda becomes ``None``."""
    if isinstance(node, ast.Lambda) and not _is_none(node.body):
        yield like(node, body=_none())


def dropped_element(node: ast.AST, rebound: Set[str]) -> _Changed:
    """A tuple, list, set or dict that is written out loses one of its elements."""
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)) and len(node.elts) > 1:
        if isinstance(getattr(node, "ctx", None), ast.Store):
            return
        for index in range(len(node.elts)):
            yield like(node, elts=_without(node.elts, index))
    if isinstance(node, ast.Dict):
        for index in range(len(node.keys)):
            yield like(node, keys=_without(node.keys, index), values=_without(node.values, index))


def dropped_context(node: ast.AST, rebound: Set[str]) -> _Changed:
    """The body of a ``with`` runs without its context."""
    if isinstance(node, ast.With) and all(item.optional_vars is None for item in node.items):
        yield ast.If(test=ast.Constant(value=True), body=node.body, orelse=[])


def _is_none(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


#: Name of the operator to the function that makes the change; the default of an argument stands apart.
OPERATORS: dict[str, Callable[[ast.AST, Set[str]], _Changed]] = {
    operator.__name__.replace("_", "-"): operator
    for operator in (
        comparison,
        negated_condition,
        and_or,
        dropped_operand,
        dropped_not,
        boolean,
        number,
        string,
        shown_value,
        dropped_statement,
        assigned_none,
        returned_none,
        argument,
        dropped_argument,
        arithmetic,
        dropped_sign,
        dropped_bound,
        raised_type,
        caught_type,
        loop,
        lambda_none,
        dropped_element,
        dropped_context,
    )
}

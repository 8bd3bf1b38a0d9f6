"""Which names of the API a clause uses in its example, told by the syntax tree."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping

from nnspec.clauses import public_names, syntax
from nnspec.clauses.clause import Clause


def names_used(clause: Clause) -> list[str]:
    """The API names that the example of a clause uses, with the helpers it calls, in order of first use.

    A name is followed through imports, a method through the class whose call a variable holds:
    ``net.parameters`` is ``torch.nn.Module.parameters`` after ``net = nn.Linear(2, 3)``.
    """
    tree = ast.parse("\n".join([*clause.definitions, clause.body]))
    known = dict(syntax.imported(tree))
    known |= {name: cls for name, value in _assigned(tree) if (cls := _class_of(value, known))}
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    found = [_public(syntax.dotted(node, known)) for node in attributes]
    return list(dict.fromkeys(name for name in found if name))


def _assigned(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Each variable with what it is set to, and each class with its first base, in source order."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=function)):
                yield name, function
            case ast.ClassDef(name=name, bases=[base, *_]):
                yield name, base
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and method.args.args:
                        yield method.args.args[0].arg, base


def _class_of(value: ast.expr, known: Mapping[str, str]) -> str:
    """The class that an expression names, empty if it is none of torch's."""
    dotted = syntax.dotted(value, known)
    return dotted if dotted and inspect.isclass(public_names.find(dotted)) else ""


def _public(dotted: str) -> str:
    """A name of torch as its documentation writes it: with the class that defines it; empty if it is none."""
    if not dotted.startswith("torch.") or public_names.find(dotted) is None:
        return ""
    owner, _, name = dotted.rpartition(".")
    cls = public_names.find(owner)
    if not inspect.isclass(cls):
        return dotted
    defining = next((base for base in cls.__mro__ if name in vars(base)), cls)
    home = f"torch.nn.{defining.__name__}"
    return f"{home}.{name}" if public_names.find(home) is defining else f"{owner}.{name}"

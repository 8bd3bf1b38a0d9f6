"""Where the names in a piece of Python lead, told by its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Each name that a piece of code imports, with the dotted name that it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                package = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (package, package)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module or '.'}.{alias.name}"


def dotted(node: ast.expr, known: Mapping[str, str]) -> str:
    """The dotted name that a name or an attribute stands for, empty if that cannot be told.

    Args:
        node: an expression.
        known: what its names stand for, as :func:`imported` tells it.
    """
    if isinstance(node, ast.Name):
        return known.get(node.id, "")
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value, known)):
        return f"{owner}.{node.attr}"
    return ""

"""Which of the written changes speak of what somebody's code uses."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from nnspec.clauses import syntax
from nnspec.errors import UsageError
from nnspec.records.spoken import is_member


class Place(NamedTuple):
    """A line of somebody's code."""

    path: Path
    line: int


#: How the name of a file of Python code may end; a script may have no ending.
OF_PYTHON = (".py", ".pyw", ".pyi", "")

#: What code uses, each with its places: ``torch.nn.Linear`` as imported, ``.zero_grad`` as an attribute.
Uses = Mapping[str, list[Place]]


def read_uses(folder: Path) -> Uses:
    """What the Python files below a folder, or one file, use.

    A name is followed through the imports of its file; of another attribute only the name is known.
    A file that is no Python is told on standard error and left out.

    Raises:
        UsageError: there is no Python file, or none that can be read as one.
    """
    if folder.is_file() and folder.suffix not in OF_PYTHON:  # a notebook reads as a table that uses nothing
        raise UsageError(
            f"{folder}: its name is not that of a Python file; name one in .py, as is made of a notebook "
            "with: jupyter nbconvert --to script"
        )
    found = [folder] if folder.is_file() else sorted(folder.rglob("*.py"))
    paths = [path for path in found if path.is_file()]
    if not paths:
        raise UsageError(
            f"{folder}: no Python files here; name a folder or a file of the code that uses torch"
        )
    uses: dict[str, list[Place]] = defaultdict(list)
    left_out = 0
    for path in paths:
        try:
            tree = ast.parse(path.read_bytes(), filename=path.name)
        except (SyntaxError, ValueError, OSError, RecursionError, MemoryError) as error:
            left_out += 1
            print(f"note: {path} is left out: {str(error) or 'nested too deeply'}", file=sys.stderr)
            continue
        for name, line in _names(tree):
            uses[name].append(Place(path, line))
    if left_out == len(paths):
        raise UsageError(f"{folder}: nothing here can be read as Python; name code that this Python can run")
    return uses


def _names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Each use of a file with its line: dotted names that lead into torch, and other attributes."""
    known = dict(syntax.imported(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, (ast.Attribute, ast.Name)):
            dotted = syntax.dotted(node, known)
            if dotted.startswith("torch."):
                yield dotted, node.lineno
            elif isinstance(node, ast.Attribute) and not dotted:
                yield f".{node.attr}", node.lineno
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield f".{node.name}", node.lineno  # a method that overrides one of torch's


def places_of(names: Iterable[str], uses: Uses) -> list[Place]:
    """Where code uses what a change speaks of; empty if it does not.

    It may use it unseen, through somebody else's function for instance.
    """
    found: dict[Place, None] = {}
    for name in names:
        last = name.rpartition(".")[2]
        used = [f".{last}"] if is_member(name) else [other for other in uses if _is_same(other, name)]
        found |= dict.fromkeys(place for other in used for place in uses.get(other, ()))
    return sorted(found)


def _is_same(used: str, name: str) -> bool:
    """Whether two dotted names may lead to one thing, such as a class and where it is defined."""
    (module, _, last), (other, _, wanted) = used.rpartition("."), name.rpartition(".")
    if last[:1].isupper():
        return bool(module) and re.fullmatch(rf"{re.escape(wanted)}(?:[123]d)?", last) is not None
    if last != wanted or not module:
        return False
    if module == other:
        return True
    if "torch" in (module, other):
        return False
    return module.startswith(f"{other}.") or other.startswith(f"{module}.")

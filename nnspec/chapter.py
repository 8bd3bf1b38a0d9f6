"""Chapters and their clauses, read from the source of ``spec/`` without importing it."""

from __future__ import annotations

import ast
import textwrap
from dataclasses import dataclass
from pathlib import Path

from nnspec.clause import Clause, ClauseError, Mark


@dataclass(frozen=True)
class Chapter:
    """One file of clauses on one concept."""

    part: str
    name: str
    path: Path
    docstring: str
    preamble: str
    clauses: tuple[Clause, ...]
    lines: int

    @property
    def id(self) -> str:
        return f"{self.part}.{self.name}"


def is_chapter(path: Path) -> bool:
    """Whether a file lies where chapters lie: ``spec/<part>/test_<chapter>.py``."""
    return path.suffix == ".py" and path.name.startswith("test_") and path.parent.parent.name == "spec"


def read_spec(root: Path) -> list[Chapter]:
    """All chapters under the folder ``spec``, in order of part and file.

    Args:
        root: the folder ``spec`` itself.

    Raises:
        ClauseError: the folder is not there, holds no chapter, or a file cannot be parsed.
    """
    chapters = [read_chapter(path) for path in sorted(root.glob("*/test_*.py"))]
    if not chapters:
        raise ClauseError(f"{root}: no chapters here; expected {root}/<part>/test_<chapter>.py")
    return chapters


def read_chapter(path: Path) -> Chapter:
    """One chapter with its clauses.

    Raises:
        ClauseError: the file cannot be read or parsed.
    """
    try:
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source, filename=str(path))
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise ClauseError(f"{path}: cannot be read as a chapter: {error}") from error

    part, name = path.parent.name, path.stem.removeprefix("test_")
    lines = source.splitlines()
    definitions = _definitions(tree, lines)
    clauses = tuple(
        _read_clause(node, lines, definitions, part, name, path)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )
    return Chapter(
        part=part,
        name=name,
        path=path,
        docstring=ast.get_docstring(tree) or "",
        preamble=_preamble(tree, lines),
        clauses=clauses,
        lines=len(lines),
    )


def _read_clause(
    node: ast.FunctionDef,
    lines: list[str],
    definitions: dict[str, str],
    part: str,
    chapter: str,
    path: Path,
) -> Clause:
    marks, cases = [], []
    for decorator in node.decorator_list:
        mark = _read_mark(decorator, path)
        if mark.name == "parametrize":
            cases.append(_source(decorator, lines))
        else:
            marks.append(mark)
    has_docstring = ast.get_docstring(node) is not None
    statements = node.body[1:] if has_docstring else node.body
    body = ""
    if statements:
        start = node.body[0].end_lineno if has_docstring else statements[0].lineno - 1
        assert start is not None
        body = textwrap.dedent("\n".join(lines[start : node.end_lineno])).strip("\n")
    return Clause(
        part=part,
        chapter=chapter,
        name=node.name.removeprefix("test_"),
        path=path,
        line=node.lineno,
        end_line=node.end_lineno or node.lineno,
        docstring=ast.get_docstring(node) or "",
        body=body,
        preamble=_used(node, lines, definitions),
        cases=tuple(cases),
        arguments=tuple(argument.arg for argument in node.args.args),
        marks=tuple(marks),
    )


def _read_mark(node: ast.expr, path: Path) -> Mark:
    call = node if isinstance(node, ast.Call) else None
    name = ast.unparse(call.func if call else node)
    if not name.startswith("pytest.mark."):
        raise ClauseError(
            f"{path}:{node.lineno}: @{name}: a clause is decorated with pytest.mark only; "
            "write helpers as plain functions and contexts in the body"
        )
    name = name.removeprefix("pytest.mark.")
    if call is None or name in {"parametrize", "benchmark"}:
        return Mark(name)
    try:
        args = tuple(ast.literal_eval(argument) for argument in call.args)
    except ValueError:
        raise ClauseError(
            f"{path}:{node.lineno}: @{ast.unparse(node)}: arguments of marks are literals"
        ) from None
    if call.keywords:
        raise ClauseError(
            f"{path}:{node.lineno}: @{ast.unparse(node)}: unknown argument "
            f"{call.keywords[0].arg!r}; marks take positional arguments only"
        )
    return Mark(name, args)


def _definitions(tree: ast.Module, lines: list[str]) -> dict[str, str]:
    """What a chapter defines at its top level besides clauses: name to source."""
    found: dict[str, str] = {}
    for node in tree.body:
        names: list[str] = []
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("test_"):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        found.update(dict.fromkeys(names, _source(node, lines)))
    return found


def _used(node: ast.FunctionDef, lines: list[str], definitions: dict[str, str]) -> tuple[str, ...]:
    """Sources of the chapter's definitions that a function uses, directly or through one another."""
    source = _source(node, lines)
    if not any(name in source for name in definitions):
        return ()
    used: dict[str, str] = {}
    waiting: list[ast.AST] = [node]
    while waiting:
        for name in _names(waiting.pop()):
            if name in definitions and name not in used:
                used[name] = definitions[name]
                waiting.append(ast.parse(textwrap.dedent(definitions[name])))
    return tuple(source for name, source in definitions.items() if name in used)


def _names(node: ast.AST) -> list[str]:
    found = [child.id for child in ast.walk(node) if isinstance(child, ast.Name)]
    if isinstance(node, ast.FunctionDef):
        found += [argument.arg for argument in node.args.args]
    return found


def _preamble(tree: ast.Module, lines: list[str]) -> str:
    """Imports and helpers of a chapter: everything at its top level but docstring and clauses."""
    pieces = [
        (node.lineno, node.end_lineno, _source(node, lines))
        for position, node in enumerate(tree.body)
        if not (position == 0 and isinstance(node, ast.Expr))
        and not (isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))
    ]
    text = ""
    previous_end: int | None = None
    for start, end, source in pieces:
        if previous_end is not None:
            adjacent = start - previous_end == 1
            text += "\n" if adjacent else "\n\n"
        text += source
        previous_end = end
    return text


def _source(node: ast.AST, lines: list[str]) -> str:
    start = node.lineno  # type: ignore[attr-defined]
    for decorator in getattr(node, "decorator_list", []):
        start = min(start, decorator.lineno)
    return "\n".join(lines[start - 1 : node.end_lineno])  # type: ignore[attr-defined]

"""Chapters and their clauses, read from the source of ``spec/`` without importing it."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nnspec.clauses.clause import Clause, ClauseError, Mark


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


@dataclass(frozen=True)
class Definition:
    """Something at the top level of a file that a clause may use: an import, a helper, a value, a fixture.

    Attributes:
        name: what it defines.
        source: as written; an import as if it imported that name alone.
        is_autouse: whether it is a fixture of every clause.
        module: the dotted module that ``import a.b`` makes reachable, else empty.
    """

    name: str
    source: str
    is_autouse: bool = False
    module: str = ""

    @cached_property
    def names(self) -> frozenset[str]:
        """The names that it uses itself."""
        return frozenset(_names(ast.parse(self.source)))


def title_of(docstring: str) -> str:
    """The first sentence of an opening, as a heading: without its full stop."""
    return " ".join(docstring.partition("\n\n")[0].split()).removesuffix(".")


def is_chapter(path: Path) -> bool:
    """Whether a file lies where chapters lie: ``spec/<part>/test_<chapter>.py``."""
    return path.suffix == ".py" and path.name.startswith("test_") and path.parent.parent.name == "spec"


def read_chapters(folder: Path) -> list[Chapter]:
    """All chapters of the parts below a folder, in order of part and file.

    Args:
        folder: such as ``spec``.

    Raises:
        ClauseError: the folder is not there, holds no chapter, or a file cannot be parsed.
    """
    chapters = [read_chapter(path) for path in sorted(folder.glob("*/test_*.py"))]
    if not chapters:
        raise ClauseError(f"{folder}: no chapters here; expected {folder}/<part>/test_<chapter>.py")
    return chapters


def read_chapter(path: Path) -> Chapter:
    """One chapter with its clauses.

    Raises:
        ClauseError: the file, or the ``conftest.py`` beside it, cannot be read or parsed.
    """
    tree, lines = parse(path)
    definitions = [*_fixtures(path.with_name("conftest.py")), *_definitions(tree, lines)]
    part, name = path.parent.name, path.stem.removeprefix("test_")
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


def parse(path: Path) -> tuple[ast.Module, list[str]]:
    """A file of Python, and its lines.

    Raises:
        ClauseError: it cannot be read or parsed.
    """
    if path.exists() and not path.is_file():
        raise ClauseError(f"{path}: cannot be read as a chapter: it is no file; remove or rename it")
    try:
        source = path.read_text(encoding="utf-8")
        return ast.parse(source, filename=str(path)), source.splitlines()
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = (error.strerror if isinstance(error, OSError) else str(error)) or "nested too deeply"
        raise ClauseError(f"{path}: cannot be read as a chapter: {why}") from error


def _fixtures(conftest: Path) -> tuple[Definition, ...]:
    """What the ``conftest.py`` of a part defines."""
    return tuple(_definitions(*parse(conftest))) if conftest.exists() else ()


def _read_clause(
    node: ast.FunctionDef,
    lines: list[str],
    definitions: list[Definition],
    part: str,
    chapter: str,
    path: Path,
) -> Clause:
    marks, cases = [], []
    run: list[ast.AST] = [node.args, *node.body]
    for decorator in node.decorator_list:
        mark = _read_mark(decorator, path)
        if mark.name == "parametrize":
            cases.append(_source(decorator, lines))
            run.append(decorator)
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
        definitions=_used(
            frozenset(name for piece in run for name in _names(piece)),
            "\n".join([*cases, body]),
            definitions,
        ),
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
    if call is None or name == "parametrize":
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


def _definitions(tree: ast.Module, lines: list[str]) -> list[Definition]:
    """What a file defines at its top level besides clauses, in its order."""
    definitions: list[Definition] = []
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            definitions.extend(map(_imported, _one_by_one(node)))
            continue
        names: list[str] = []
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("test_"):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            targets = [name for target in node.targets for name in ast.walk(target)]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        source = _source(node, lines)
        decorators = map(ast.unparse, getattr(node, "decorator_list", ()))
        is_autouse = any("autouse=True" in decorator for decorator in decorators)
        definitions.extend(Definition(name, source, is_autouse) for name in names)
    return definitions


def _one_by_one(node: ast.Import | ast.ImportFrom) -> Iterator[ast.Import | ast.ImportFrom]:
    """An import as one import for each name."""
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            yield ast.ImportFrom(node.module, [alias], node.level)
        else:
            yield ast.Import([alias])


def _imported(node: ast.Import | ast.ImportFrom) -> Definition:
    alias = node.names[0]
    is_dotted = isinstance(node, ast.Import) and alias.asname is None and "." in alias.name
    name = alias.asname or alias.name.partition(".")[0]
    return Definition(name, ast.unparse(node), module=alias.name if is_dotted else "")


def _used(names: frozenset[str], source: str, definitions: Iterable[Definition]) -> tuple[str, ...]:
    """Sources of the definitions that a clause uses, directly or through one another, in their order.

    Args:
        names: the names that the clause uses, fixtures included.
        source: its cases and body.
        definitions: those of its chapter and of the fixtures of its part.
    """
    used: dict[Definition, None] = {}
    waiting = [(names, source)]
    while waiting:
        names, source = waiting.pop()
        for definition in definitions:
            is_named = definition.name in names and definition.module in source
            if (is_named or definition.is_autouse) and definition not in used:
                used[definition] = None
                waiting.append((definition.names, definition.source))
    return tuple(definition.source for definition in definitions if definition in used)


def _names(node: ast.AST) -> Iterator[str]:
    """The names and the arguments in a piece of code: an argument of a clause is a fixture."""
    for child in ast.walk(node):
        if isinstance(child, ast.Name):
            yield child.id
        elif isinstance(child, ast.arg):
            yield child.arg


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

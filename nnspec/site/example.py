"""The example of a clause as a reader pastes it: fixtures and cases as plain lines, then the body."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import NamedTuple

from nnspec.clauses.chapter import Chapter
from nnspec.clauses.clause import Clause


class Fixture(NamedTuple):
    """A pytest fixture in plain Python: the line that makes it and the imports which that line needs."""

    line: str
    imports: tuple[str, ...] = ()


FIXTURES = {
    "device": Fixture('device = "cpu"'),
    "monkeypatch": Fixture("monkeypatch = pytest.MonkeyPatch()", ("import pytest",)),
    "no_accelerator": Fixture(
        "torch.cuda.is_available = torch.backends.mps.is_available = lambda: False", ("import torch",)
    ),
    "tmp_path": Fixture(
        "tmp_path = Path(tempfile.mkdtemp())", ("import tempfile", "from pathlib import Path")
    ),
}


@dataclass(frozen=True)
class Cases:
    """One ``parametrize`` of a clause.

    Attributes:
        names: the arguments that it sets.
        first: source lines that set them to the first case.
        rows: for each case the source of each value; empty where the cases are computed.
        source: the cases as written.
    """

    names: tuple[str, ...]
    first: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    source: str


def preamble(chapter: Chapter) -> str:
    """The imports and helpers that the examples of a chapter begin with."""
    lines = chapter.preamble.splitlines()
    used = [FIXTURES[name] for clause in chapter.clauses for name in clause.arguments if name in FIXTURES]
    missing = dict.fromkeys(line for fixture in used for line in fixture.imports if line not in lines)
    return "\n".join([*missing, *lines])


def example(clause: Clause, chapter: Chapter) -> str:
    """What to paste after the preamble: the first case and the fixtures as assignments, then the body."""
    lead = [FIXTURES[name].line for name in clause.arguments if name in FIXTURES]
    for parametrized in cases(clause, chapter):
        lead.extend(parametrized.first)
    return "\n".join(lead) + "\n\n" + clause.body if lead else clause.body


def standalone(clause: Clause, chapter: Chapter) -> str:
    """The example as a program: the imports and helpers that it uses, then what :func:`example` gives."""
    imports = [line for name in clause.arguments if name in FIXTURES for line in FIXTURES[name].imports]
    own = [source for source in clause.definitions if not source.startswith("@pytest.fixture")]
    used = dict.fromkeys([*imports, *own])
    return "\n".join([*used, "", example(clause, chapter)]).strip()


def only_under_pytest(clause: Clause, chapter: Chapter) -> str:
    """The fixture that keeps an example from running outside pytest, empty if there is none."""
    given = {name for case in cases(clause, chapter) for name in case.names} | FIXTURES.keys()
    return next((name for name in clause.arguments if name not in given), "")


def docstring_of(fixture: str, clause: Clause) -> str:
    """The docstring of a fixture that the clause's part defines, else nothing."""
    for definition in map(ast.parse, clause.definitions):
        node = definition.body[0]
        if isinstance(node, ast.FunctionDef) and node.name == fixture:
            return ast.get_docstring(node) or ""
    return ""


def cases(clause: Clause, chapter: Chapter) -> list[Cases]:
    """The cases of a clause, the innermost ``parametrize`` last."""
    return [_cases(source.removeprefix("@"), chapter) for source in clause.cases]


def _cases(source: str, chapter: Chapter) -> Cases:
    call = ast.parse(source, mode="eval").body
    assert isinstance(call, ast.Call)
    names = _names(ast.literal_eval(call.args[0]))
    values = call.args[1]
    written = _source(source, values)
    elements = _elements(source, values, chapter)
    rows = tuple(_row(text, element, len(names)) for text, element in elements)
    by_name = isinstance(values, ast.Name) and not any("pytest.param" in ast.unparse(e) for _, e in elements)
    if any(len(row) != len(names) for row in rows):
        rows = ()
    if not rows or by_name:
        first: tuple[str, ...] = (f"{', '.join(names)} = {_first_of(values, written)}",)
    else:
        first = tuple(f"{name} = {value}" for name, value in zip(names, rows[0], strict=True))
    return Cases(names, first, rows, written)


def _names(given: object) -> tuple[str, ...]:
    if isinstance(given, str):
        return tuple(name.strip() for name in given.split(","))
    assert isinstance(given, (list, tuple))
    return tuple(map(str, given))


def _elements(source: str, values: ast.expr, chapter: Chapter) -> list[tuple[str, ast.expr]]:
    """The source and the node of each case of a list, a slice or a sum, that is written out here or above."""
    if isinstance(values, ast.Subscript) and isinstance(values.slice, ast.Slice):
        lower, upper = values.slice.lower, values.slice.upper
        first = ast.literal_eval(lower) if lower else None
        return _elements(source, values.value, chapter)[first : ast.literal_eval(upper) if upper else None]
    if isinstance(values, ast.Name):
        for node in ast.parse(chapter.preamble).body:
            match node:
                case ast.Assign(targets=[ast.Name(id=values.id)], value=value):
                    return _elements(chapter.preamble, value, chapter)
        return []
    if isinstance(values, ast.BinOp) and isinstance(values.op, ast.Add):
        parts = [_elements(source, part, chapter) for part in (values.left, values.right)]
        return [*parts[0], *parts[1]] if all(parts) else []
    if not isinstance(values, (ast.List, ast.Tuple)):
        return []
    if any(isinstance(element, ast.Starred) for element in values.elts):
        return []
    return [(source, element) for element in values.elts]


def _row(source: str, element: ast.expr, width: int) -> tuple[str, ...]:
    """The sources of the values of one case."""
    if isinstance(element, ast.Call) and ast.unparse(element.func) == "pytest.param":
        return tuple(_source(source, value) for value in element.args)
    if width == 1:
        return (_source(source, element),)
    if isinstance(element, (ast.Tuple, ast.List)):
        return tuple(_source(source, value) for value in element.elts)
    return ()


def _first_of(values: ast.expr, written: str) -> str:
    simple = isinstance(values, (ast.Name, ast.List, ast.Tuple, ast.ListComp, ast.Subscript))
    return f"{written}[0]" if simple else f"next(iter({written}))"


def _source(source: str, node: ast.expr) -> str:
    """A node as written, on one line."""
    text = ast.get_source_segment(source, node) or ast.unparse(node)
    return ast.unparse(node) if "\n" in text else text

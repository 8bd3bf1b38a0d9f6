"""Rules about code: a clause is a short function that asserts something, apart from the instrument."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from nnspec.clauses.chapter import parse
from nnspec.clauses.clause import ClauseError
from nnspec.clauses.specification import Specification

MARKS = {"since", "before", "needs", "claim", "question"}

LONGEST_BODY = 25
LONGEST_CHAPTER = 400
ALL_HELPERS = 150
FIXTURES_OF_A_PART = 100


def clauses_are_functions(specification: Specification) -> Iterator[str]:
    """Clauses stand at the top level of a chapter, in no class and under no condition."""
    for chapter in specification.chapters:
        tree = parse(chapter.path)[0]
        top = {id(node) for node in tree.body}
        for node in ast.walk(tree):
            name = getattr(node, "name", "")
            is_test = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and name.startswith("test_")
            if is_test and (id(node) not in top or isinstance(node, ast.AsyncFunctionDef)):
                yield (
                    f"{chapter.path}:{node.lineno}: {name} is no clause: a clause is a plain function "  # type: ignore[attr-defined]
                    "at the top level of its chapter"
                )


def chapters_lie_in_parts(specification: Specification) -> Iterator[str]:
    """A chapter lies in the folder of its part: one that lies elsewhere is run, and known to nobody."""
    spec = specification.root / "spec"
    chapters = {chapter.path for chapter in specification.chapters}
    for path in sorted(spec.rglob("test_*.py")):
        is_hidden = any(name.startswith(".") for name in path.relative_to(spec).parts)
        if path not in chapters and not is_hidden:
            yield f"{path}: no chapter: one lies in spec/<part>, no higher and no deeper; move it"


def chapters_are_introduced(specification: Specification) -> Iterator[str]:
    """Every chapter has clauses and a docstring, and every part one in its ``__init__.py``."""
    for chapter in specification.chapters:
        if not chapter.docstring:
            yield f"{chapter.path}:1: the chapter has no docstring; it opens the page"
        if not chapter.clauses:
            yield f"{chapter.path}:1: the chapter has no clauses"
    for folder in sorted({chapter.path.parent for chapter in specification.chapters}):
        page = folder / "__init__.py"
        if not page.exists() or not ast.get_docstring(parse(page)[0]):
            yield f"{page}:1: the part has no docstring here; it is the part's opening page"


def marks_stand_at_clauses(specification: Specification) -> Iterator[str]:
    """A chapter marks none of its clauses from afar: only what stands at a clause counts."""
    for chapter in specification.chapters:
        for node in ast.walk(parse(chapter.path)[0]):
            if isinstance(node, ast.Name) and node.id == "pytestmark":
                yield f"{chapter.path}:{node.lineno}: pytestmark counts for no clause; mark each one"


def clauses_have_cases(specification: Specification) -> Iterator[str]:
    """Where a clause names cases there are some: pytest would pass it over."""
    for clause in specification.clauses.values():
        for source in clause.cases:
            call = ast.parse(source.strip().removeprefix("@"), mode="eval").body
            if not isinstance(call, ast.Call):
                continue
            values = [*call.args[1:2], *(word.value for word in call.keywords if word.arg == "argvalues")]
            if any(isinstance(value, (ast.List, ast.Tuple)) and not value.elts for value in values):
                yield f"{clause.place}: {clause.id}: has no case, so it never runs; name one"


def marks_are_known(specification: Specification) -> Iterator[str]:
    """Marks and their arguments are those of the specification, and bounds leave some release."""
    for clause in specification.clauses.values():
        where = f"{clause.place}: {clause.id}"
        try:
            clause.ensure_marks()
        except ClauseError as error:
            yield str(error)
        for mark in clause.marks:
            if mark.name not in MARKS:
                yield f"{where}: unknown mark {mark.name!r}; one of {', '.join(sorted(MARKS))}"
            elif mark.name in {"claim", "question"} and not mark.args:
                yield f"{where}: {mark.name} names no row"


def bodies_fit_a_screen(specification: Specification) -> Iterator[str]:
    """A body has at most 25 lines, a chapter 400, all helpers 150, the fixtures of a part 100."""
    helpers = 0
    for chapter in specification.chapters:
        if chapter.lines > LONGEST_CHAPTER:
            yield f"{chapter.path}: {chapter.lines} lines, at most {LONGEST_CHAPTER}; make two chapters of it"
        for clause in chapter.clauses:
            lines = len(clause.body.splitlines())
            if lines > LONGEST_BODY:
                yield f"{clause.place}: {clause.id}: {lines} lines, at most {LONGEST_BODY}; split it"
        helpers += _helper_lines(chapter.path)
    for path in sorted((specification.root / "spec").rglob("conftest.py")):
        if (lines := _helper_lines(path)) > FIXTURES_OF_A_PART:
            yield f"{path}: {lines} lines of fixtures, at most {FIXTURES_OF_A_PART}"
    if helpers > ALL_HELPERS:
        yield f"spec: {helpers} lines of helpers, at most {ALL_HELPERS}; write them out or drop them"


def _helper_lines(path: Path) -> int:
    tree = parse(path)[0]
    return sum(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("test_")
    )


def _catches(node: ast.AST) -> bool:
    """Whether a body catches an exception; ``forward`` of a module that it defines may."""
    inside = (child for child in ast.iter_child_nodes(node) if not _is_forward(child, node))
    return isinstance(node, ast.ExceptHandler) or any(_catches(child) for child in inside)


def _is_forward(node: ast.AST, owner: ast.AST) -> bool:
    return isinstance(owner, ast.ClassDef) and isinstance(node, ast.FunctionDef) and node.name == "forward"


def clauses_assert(specification: Specification) -> Iterator[str]:
    """A clause asserts something, skips nothing by hand and swallows nothing."""
    for clause in specification.clauses.values():
        where = f"{clause.place}: {clause.id}"
        if not re.search(r"\bassert\b|pytest\.(raises|warns)|assert_close", clause.body):
            yield f"{where}: asserts nothing, so it cannot fail"
        if re.search(r"pytest\.(skip|xfail|importorskip|fail)\b", clause.body):
            yield f"{where}: skips or fails by hand; say what it needs with a needs mark"
        if _catches(ast.parse(clause.body)):
            yield f"{where}: catches an exception; use pytest.raises"
        if "torch.__version__" in clause.body:
            yield f"{where}: looks at the version; write two clauses with bounds"


def errors_are_matched(specification: Specification) -> Iterator[str]:
    """An error that is expected is told by a fragment of its message, ``^$`` where it has none."""
    for clause in specification.clauses.values():
        calls = [node for node in ast.walk(ast.parse(clause.body)) if isinstance(node, ast.Call)]
        for call in calls:
            matched = any(word.arg == "match" for word in call.keywords)
            if ast.unparse(call.func) == "pytest.raises" and not matched:
                yield f"{clause.place}: {clause.id}: {ast.unparse(call)}: any such error will do; add match"


def spec_stands_apart(specification: Specification) -> Iterator[str]:
    """``spec/`` never imports ``nnspec``: they meet in pytest only."""
    for path in sorted((specification.root / "spec").rglob("*.py")):
        for node in ast.walk(parse(path)[0]):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if any(name.partition(".")[0] == "nnspec" for name in names):
                yield f"{path}:{node.lineno}: imports nnspec; they meet in pytest only"  # type: ignore[attr-defined]

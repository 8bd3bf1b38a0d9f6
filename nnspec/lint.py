"""The rules that a specification keeps, one function each.

A rule looks at a :class:`~nnspec.project.Project` and yields what breaks it, each with the place and
the remedy.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from nnspec import api, ledger, lint_tables
from nnspec.clause import API_ROLES, Clause, ClauseError, Reference, plain_text, references_in
from nnspec.project import Project

ROLES = API_ROLES | {"issue", "pull", "ref", "doc", "term"}
MARKS = {"since", "before", "needs", "claim", "question", "observed", "contradicts", "benchmark"}

LONGEST_ID = 80
LONGEST_NAME = 50
LONGEST_STATEMENT = 100
LONGEST_BODY = 25
LONGEST_CHAPTER = 400
LONGEST_MODULE = 400
ALL_HELPERS = 150
FIXTURES_OF_A_PART = 100

_WORDS = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_VAGUE = re.compile(r"\bshould\b|\btests? (that|whether|if)\b|\bchecks? (that|whether|if)\b|\bverif", re.I)
_TITLED_MARKUP = re.compile(r"``(?P<code>[^`]*)``")


def findings(project: Project) -> list[str]:
    """What breaks a rule, in the order of :data:`RULES`."""
    return [found for rule in RULES for found in rule(project)]


def ids_are_words(project: Project) -> Iterator[str]:
    """Part, chapter and function are lower-case words, and short enough to say."""
    for clause in project.clauses:
        for name in (clause.part, clause.chapter, clause.name):
            if not _WORDS.fullmatch(name):
                yield f"{clause.place}: {clause.id}: {name!r} is not made of lower-case words"
        if len(clause.name) > LONGEST_NAME:
            yield (
                f"{clause.place}: {clause.id}: the name has {len(clause.name)} characters, "
                f"at most {LONGEST_NAME}; shorten it"
            )
        if len(clause.id) > LONGEST_ID:
            yield f"{clause.place}: {clause.id}: the id has {len(clause.id)} characters, at most {LONGEST_ID}"


def ids_are_unique(project: Project) -> Iterator[str]:
    """No two clauses of a chapter have the same name: Python would run the last one only."""
    for name, times in Counter(clause.id for clause in project.clauses).items():
        if times > 1:
            yield f"{name}: {times} clauses have this id; only the last one runs; rename the others"


def clauses_are_functions(project: Project) -> Iterator[str]:
    """Clauses stand at the top level of a chapter, in no class and under no condition."""
    for chapter in project.chapters:
        tree = ast.parse(chapter.path.read_text(encoding="utf-8"))
        top = {id(node) for node in tree.body}
        for node in ast.walk(tree):
            name = getattr(node, "name", "")
            is_test = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and name.startswith("test_")
            if is_test and (id(node) not in top or isinstance(node, ast.AsyncFunctionDef)):
                yield (
                    f"{chapter.path}:{node.lineno}: {name} is no clause: a clause is a plain function "  # type: ignore[attr-defined]
                    "at the top level of its chapter"
                )


def chapters_are_introduced(project: Project) -> Iterator[str]:
    """Every chapter has clauses and a docstring, and every part one in its ``__init__.py``."""
    for chapter in project.chapters:
        if not chapter.docstring:
            yield f"{chapter.path}:1: the chapter has no docstring; it opens the page"
        if not chapter.clauses:
            yield f"{chapter.path}:1: the chapter has no clauses"
    for folder in sorted({chapter.path.parent for chapter in project.chapters}):
        page = folder / "__init__.py"
        if not page.exists() or not ast.get_docstring(ast.parse(page.read_text(encoding="utf-8"))):
            yield f"{page}:1: the part has no docstring here; it is the part's opening page"


def statements_are_sentences(project: Project) -> Iterator[str]:
    """The docstring opens with one short sentence that speaks of torch, not of testing."""
    for clause in project.clauses:
        where = f"{clause.place}: {clause.id}"
        if not clause.statement:
            yield f"{where}: no statement; say in the docstring's first sentence what torch does"
            continue
        if not clause.statement.endswith("."):
            yield f"{where}: the statement does not end with a full stop: {clause.plain!r}"
        inner = _TITLED_MARKUP.sub("x", plain_text(clause.statement)[:-1])
        if re.search(r"[a-z)`][.!?] [A-Z]", inner):
            yield f"{where}: more than one sentence; put an empty line after the first: {clause.plain!r}"
        if len(clause.plain) > LONGEST_STATEMENT:
            yield (
                f"{where}: the statement has {len(clause.plain)} characters, "
                f"at most {LONGEST_STATEMENT}: {clause.plain!r}"
            )
        vague = _VAGUE.search(clause.plain)
        if vague:
            yield f"{where}: {vague[0]!r} speaks of testing; say what torch does: {clause.plain!r}"


def statements_are_unique(project: Project) -> Iterator[str]:
    """No two clauses say the same."""
    first: dict[str, Clause] = {}
    for clause in project.clauses:
        if not clause.statement:
            continue
        same = first.setdefault(clause.plain.lower(), clause)
        if same is not clause:
            yield f"{clause.place}: {clause.id}: the same statement as {same.id} ({same.place})"


def references_exist(project: Project) -> Iterator[str]:
    """What a docstring names exists on a torch on which the clause holds."""
    for chapter in project.chapters:
        for reference in references_in(chapter.docstring):
            yield from _faults_of(reference, f"{chapter.path}:1: {chapter.id}", judge=False)
    for clause in project.clauses:
        inside = clause.bounds.place(torch.__version__) == "inside"
        for reference in clause.references:
            yield from _faults_of(reference, f"{clause.place}: {clause.id}", judge=inside)


def _faults_of(reference: Reference, where: str, *, judge: bool) -> Iterator[str]:
    """What is wrong with a reference; whether its target exists is looked at if ``judge``."""
    if reference.role not in ROLES:
        yield f"{where}: unknown role :{reference.role}:; one of {', '.join(sorted(ROLES))}"
    elif reference.role in API_ROLES and judge and not api.exists(reference.target):
        yield f"{where}: {reference.target} does not exist on torch {torch.__version__}"
    elif reference.role in {"issue", "pull"} and not reference.target.isdigit():
        yield f"{where}: :{reference.role}:`{reference.target}` is no number"


def marks_are_known(project: Project) -> Iterator[str]:
    """Marks and their arguments are those of the specification, and bounds leave some release."""
    for clause in project.clauses:
        where = f"{clause.place}: {clause.id}"
        try:
            clause.ensure_marks()
        except ClauseError as error:
            yield str(error)
        for mark in clause.marks:
            if mark.name not in MARKS:
                yield f"{where}: unknown mark {mark.name!r}; one of {', '.join(sorted(MARKS))}"
            elif mark.name == "observed" and mark.args:
                yield f"{where}: observed takes no argument"
            elif mark.name == "contradicts" and [type(arg) for arg in mark.args] != [str]:
                yield f"{where}: contradicts takes one text that names the page or thread"
            elif mark.name in {"claim", "question"} and not mark.args:
                yield f"{where}: {mark.name} names no row"


def bodies_fit_a_screen(project: Project) -> Iterator[str]:
    """A body has at most 25 lines, a chapter 400, all helpers 150, the fixtures of a part 100."""
    helpers = 0
    for chapter in project.chapters:
        if chapter.lines > LONGEST_CHAPTER:
            yield f"{chapter.path}: {chapter.lines} lines, at most {LONGEST_CHAPTER}; make two chapters of it"
        for clause in chapter.clauses:
            lines = len(clause.body.splitlines())
            if lines > LONGEST_BODY:
                yield f"{clause.place}: {clause.id}: {lines} lines, at most {LONGEST_BODY}; split it"
        helpers += _helper_lines(chapter.path)
    for path in sorted((project.root / "spec").rglob("conftest.py")):
        if _helper_lines(path) > FIXTURES_OF_A_PART:
            yield f"{path}: {_helper_lines(path)} lines of fixtures, at most {FIXTURES_OF_A_PART}"
    if helpers > ALL_HELPERS:
        yield f"spec: {helpers} lines of helpers, at most {ALL_HELPERS}; write them out or drop them"


def _helper_lines(path: Path) -> int:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return sum(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("test_")
    )


def clauses_assert(project: Project) -> Iterator[str]:
    """A clause asserts something, skips nothing by hand and swallows nothing."""
    for clause in project.clauses:
        where = f"{clause.place}: {clause.id}"
        if not re.search(r"\bassert\b|pytest\.(raises|warns)|assert_close|\bbenchmark\(", clause.body):
            yield f"{where}: asserts nothing, so it cannot fail"
        if re.search(r"pytest\.(skip|xfail|importorskip|fail)\b", clause.body):
            yield f"{where}: skips or fails by hand; say what it needs with a needs mark"
        if any(isinstance(node, ast.ExceptHandler) for node in ast.walk(ast.parse(clause.body))):
            yield f"{where}: catches an exception; use pytest.raises"
        if "torch.__version__" in clause.body:
            yield f"{where}: looks at the version; write two clauses with bounds"


def spec_and_instrument_are_apart(project: Project) -> Iterator[str]:
    """``spec/`` never imports ``nnspec`` and ``nnspec`` never imports ``spec``."""
    for folder, other in (("spec", "nnspec"), ("nnspec", "spec")):
        for path in sorted((project.root / folder).rglob("*.py")):
            if folder == "nnspec" and "spec" in path.relative_to(project.root / folder).parts:
                continue
            source = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(source)):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                if any(name.split(".")[0] == other for name in names):
                    yield f"{path}:{node.lineno}: imports {other}; they meet in pytest only"  # type: ignore[attr-defined]
            if folder == "nnspec" and source.count("\n") > LONGEST_MODULE:
                yield f"{path}: {source.count(chr(10))} lines, at most {LONGEST_MODULE}"


Rule = Callable[[Project], Iterator[str]]

RULES: tuple[Rule, ...] = (
    ids_are_words,
    ids_are_unique,
    clauses_are_functions,
    chapters_are_introduced,
    statements_are_sentences,
    statements_are_unique,
    marks_are_known,
    references_exist,
    bodies_fit_a_screen,
    clauses_assert,
    spec_and_instrument_are_apart,
    lint_tables.claims_are_decided,
    lint_tables.questions_are_answered,
    lint_tables.changes_are_listed,
    lint_tables.ids_do_not_vanish,
)


def unnamed(project: Project) -> tuple[list[str], list[str]]:
    """Public names that no clause refers to.

    Returns:
        the names that none speaks of, and those that ``docs/left_out.toml`` explains, each with why.
    """
    left_out = ledger.read_table(project.root / "docs" / "left_out.toml")
    spoken = {
        reference.target
        for clause in project.clauses
        for reference in clause.references
        if reference.role in API_ROLES
    }
    missing, explained = [], []
    for name in api.public_names():
        if name in spoken or any(api.same_object(name, other) for other in spoken):
            continue
        if name in left_out:
            explained.append(f"{name}: {left_out[name].get('why', '')}")
        else:
            missing.append(name)
    return missing, explained

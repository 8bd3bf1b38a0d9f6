"""The functions of torch.nn that are changed, and how a change gets into one that is in use.

A change is compiled from the function's source with one edit and put into the living function object,
so that whoever holds the function has the change: a class, a decorator, a property, a global.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType

from nnspec.strength.edits import Edit, edits, edits_of_statement

#: The modules whose strength is measured and recorded.
MODULES = (
    "torch.nn.modules.module",
    "torch.nn.modules.container",
    "torch.nn.parameter",
    "torch.nn.modules.lazy",
)

#: The modules that are measured where there is an accelerator: without one most of them is out of reach.
ACCELERATED_MODULES = (
    "torch.nn.parallel.data_parallel",
    "torch.nn.parallel.parallel_apply",
    "torch.nn.parallel.replicate",
    "torch.nn.parallel.scatter_gather",
    "torch.nn.parallel.comm",
    "torch.nn.parallel._functions",
)

#: The modules that can be asked for as well.
FURTHER_MODULES = (
    "torch.utils.hooks",
    "torch.nn.init",
    "torch.nn.modules.batchnorm",
    "torch.nn.modules.dropout",
    *ACCELERATED_MODULES,
    "torch.nn.utils.clip_grad",
    "torch.nn.utils.convert_parameters",
    "torch.nn.utils.fusion",
    "torch.nn.utils.init",
    "torch.nn.utils.parametrizations",
    "torch.nn.utils.parametrize",
    "torch.nn.utils.prune",
    "torch.nn.utils.stateless",
)

_PREFIXES = ("torch/nn/modules/", "torch/nn/", "torch/")

_Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Change:
    """One small change to one function, ready to be put in.

    Attributes:
        id: ``module.py:Module.train:12:dropped-statement``, the line counted from the ``def``.
        file: the file as the id names it.
        function: its qualified name.
        text: the source line that is changed.
        path: the file as Python names it.
        edit: what is changed.
        functions: the living functions.
        code: what they run instead.
    """

    id: str
    file: str
    function: str
    text: str
    path: str
    edit: Edit
    functions: tuple[FunctionType, ...]
    code: CodeType

    @property
    def lines(self) -> range:
        """The lines of the statement; a clause that runs none of them cannot notice."""
        return range(self.edit.place.first, self.edit.place.last + 1)

    @contextlib.contextmanager
    def put_in(self) -> Iterator[None]:
        """Inside the context the function is changed."""
        kept = [
            (living, living.__code__, living.__defaults__, living.__kwdefaults__) for living in self.functions
        ]
        try:
            for function in self.functions:
                if self.edit.default is None:
                    function.__code__ = self.code
                else:
                    _set_default(function, *self.edit.default)
            yield
        finally:
            for function, code, defaults, kwdefaults in kept:
                function.__code__, function.__defaults__, function.__kwdefaults__ = code, defaults, kwdefaults


@dataclass(frozen=True)
class Target:
    """One file: the changes that can be tried, and how many more cannot.

    Attributes:
        file: the file as ids name it.
        changes: in source order.
        not_tried: how many changes there are to what runs once, on import, or is never alive.
    """

    file: str
    changes: tuple[Change, ...]
    not_tried: int


def short_name(module: str) -> str:
    """A module as ids name it: ``torch.nn.modules.module`` gives ``module.py``."""
    path = f"{module.replace('.', '/')}.py"
    for prefix in _PREFIXES:
        if path.startswith(prefix):
            return path.removeprefix(prefix)
    return path


def read_targets(modules: Iterable[str]) -> list[Target]:
    """Those of some modules that this torch has."""
    targets = []
    for module in modules:
        with contextlib.suppress(ImportError):
            targets.append(read_target(module))
    return targets


def read_target(module: str) -> Target:
    """Every change to the functions of a module, which is imported.

    Raises:
        ImportError: there is no such module in this torch.
    """
    path = importlib.import_module(module).__file__
    if path is None:
        raise ImportError(f"{module} has no source file")
    source = Path(path).read_text(encoding="utf-8")
    lines, tree = source.splitlines(), ast.parse(source)
    file = short_name(module)
    living = _living_functions(path)
    changes: list[Change] = []
    seen: Counter[str] = Counter()
    not_tried = sum(1 for statement in _run_on_import(tree.body) for _ in edits_of_statement(statement))
    for definition, classes in _definitions(tree.body):
        written = _Written(path, definition, classes, _alone(tree, definition, classes))
        functions = tuple(living.get(written.compiled(), ()))
        possible = list(edits(definition))
        if not functions:
            not_tried += len(possible)
            continue
        for edit in possible:
            original = functions[0].__code__
            code = written.changed(edit, original)
            if edit.default is None and code == original:
                continue
            place = f"{file}:{written.name}:{edit.line - definition.lineno}:{edit.operator}"
            seen[place] += 1
            changes.append(
                Change(
                    id=place if seen[place] == 1 else f"{place}:{seen[place]}",
                    file=file,
                    function=written.name,
                    text=lines[edit.line - 1].strip(),
                    path=path,
                    edit=edit,
                    functions=functions,
                    code=code,
                )
            )
    return Target(file, tuple(changes), not_tried)


def _living_functions(path: str) -> dict[CodeType, list[FunctionType]]:
    """The functions from a file that exist in this process, by what they run."""
    functions: dict[CodeType, list[FunctionType]] = {}
    for function in gc.get_objects():
        if type(function) is FunctionType and function.__code__.co_filename == path:
            functions.setdefault(function.__code__, []).append(function)
    return functions


def _definitions(
    body: Iterable[ast.stmt], classes: tuple[ast.ClassDef, ...] = ()
) -> Iterator[tuple[_Definition, tuple[ast.ClassDef, ...]]]:
    """The functions at the top of a module and of its classes; overloads are no functions."""
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if not any(ast.unparse(decorator) == "overload" for decorator in statement.decorator_list):
                yield statement, classes
        elif isinstance(statement, ast.ClassDef):
            yield from _definitions(statement.body, (*classes, statement))
        elif isinstance(statement, (ast.If, ast.Try)):
            yield from _definitions([*statement.body, *statement.orelse], classes)


def _run_on_import(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module and of its classes that define no function and import nothing."""
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            yield from _run_on_import(statement.body)
        elif isinstance(statement, (ast.If, ast.Try)):
            yield from _run_on_import([*statement.body, *statement.orelse])
        elif not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Import, ast.ImportFrom)):
            yield statement


def _alone(tree: ast.Module, definition: _Definition, classes: tuple[ast.ClassDef, ...]) -> ast.Module:
    """A module that holds one definition in its classes, at the same lines.

    The imports stay: a call of what was imported is compiled differently.
    """
    inner: ast.stmt = definition
    for around in reversed(classes):
        inner = ast.copy_location(
            ast.ClassDef(**{**dict(ast.iter_fields(around)), "body": [inner], "decorator_list": []}), around
        )
    return ast.Module(body=[*_imports(tree.body), inner], type_ignores=[])


def _imports(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            yield statement
        elif isinstance(statement, (ast.If, ast.Try)):
            yield from _imports([*statement.body, *statement.orelse])


@dataclass(frozen=True)
class _Written:
    """A function as it is written: its definition, the classes around it, and a module with nothing else."""

    path: str
    definition: _Definition
    classes: tuple[ast.ClassDef, ...]
    alone: ast.Module

    @property
    def name(self) -> str:
        return ".".join(around.name for around in (*self.classes, self.definition))

    def compiled(self) -> CodeType:
        code = compile(self.alone, self.path, "exec", dont_inherit=True)
        for name in self.name.split("."):
            code = next(
                part for part in code.co_consts if isinstance(part, CodeType) and part.co_name == name
            )
        return code

    def changed(self, edit: Edit, original: CodeType) -> CodeType:
        """The code with an edit; it closes over the names that the original code does."""
        with edit.applied():
            code = self.compiled()
            lost = [name for name in original.co_freevars if name not in code.co_freevars]
            return self._compiled_naming(lost) if lost else code

    def _compiled_naming(self, names: list[str]) -> CodeType:
        """The code with names that the function closes over but does not use any more."""
        uses: list[ast.stmt] = [ast.Expr(ast.Name(id=name, ctx=ast.Load())) for name in names]
        never = ast.If(test=ast.Constant(value=False), body=uses, orelse=[])
        self.definition.body.insert(0, ast.fix_missing_locations(ast.copy_location(never, self.definition)))
        try:
            return self.compiled()
        finally:
            del self.definition.body[0]


def _set_default(function: FunctionType, name: str, value: object) -> None:
    if function.__kwdefaults__ and name in function.__kwdefaults__:
        function.__kwdefaults__ = {**function.__kwdefaults__, name: value}
        return
    defaults = list(function.__defaults__ or ())
    named = function.__code__.co_varnames[: function.__code__.co_argcount]
    defaults[named.index(name) - len(named)] = value
    function.__defaults__ = tuple(defaults)

"""A module built once more, in a process whose hashes of texts are others.

Python orders a set of texts by their hashes, and those change from one process to the next. All that is built
in one process has the same order.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from nnspec.contract import tree
from nnspec.contract.findings.registration import is_standard
from nnspec.contract.outcomes import NotApplicable
from nnspec.contract.target import Target, find_maker
from nnspec.contract.zoo import find_model
from nnspec.errors import UsageError

#: With how many hash seeds it is tried to give a module's names another order.
TRIES = 20

#: How many seconds another process may take to build a module.
PATIENCE = 40.0

#: Set in the environment of the process that is started.
_IS_ANOTHER = "NNSPEC_ANOTHER_PROCESS"

#: The orders in which a set of names comes, as they are put into it: names of one place in its table stay so.
_ORDERS = (
    "import json, sys; "
    "print(json.dumps([[list(set(one)), list(set(one[::-1]))] for one in json.load(sys.stdin)]))"
)


class Elsewhere(NamedTuple):
    """What another process saw.

    Attributes:
        names: the names of the module that it built.
        changed: defaults of arguments that its first build changed: of each the constructor, the argument,
            and the value before and after.
        taken: lists and dicts that what makes the module gives to the constructor, and that had more in them
            before: of each the name, and the value before and after.
    """

    names: tree.Names
    changed: list[list[str]]
    taken: list[list[str]]


class Another(NamedTuple):
    """Another process, or what stands for one where there is none.

    Attributes:
        is_at_work: whether it is still at its work.
        tell: waits for it, once, and returns what it saw. It raises NotApplicable where another process
            cannot build the module, or not in time.
    """

    is_at_work: Callable[[], bool]
    tell: Callable[[], Elsewhere]


@contextlib.contextmanager
def building_elsewhere(source: str, net: nn.Module | None, patience: float = PATIENCE) -> Iterator[Another]:
    """Have another process build a module meanwhile.

    Args:
        source: what makes it, as a command line names it; empty if it has no such name.
        net: the same module, built in this process, if it could be.
        patience: how many seconds the process may take from when it is asked what it saw.
    """
    if not source:
        yield _telling("what makes it cannot be imported by its name, as another process would have to")
        return
    if os.environ.get(_IS_ANOTHER):  # what is imported there may judge a module itself
        yield _telling("this is another process already")
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "names.json"
        # it ends once all is written: what is imported or built may have left a thread that does not
        write = f"import os; from {__name__} import write_names; write_names(); os._exit(0)"
        process = subprocess.Popen(
            [sys.executable, "-c", write, source, str(file)],
            env={
                **os.environ,
                "PYTHONHASHSEED": _other_seed(net) if net is not None else "1",
                "PYTHONPATH": os.pathsep.join(sys.path),
                "OMP_NUM_THREADS": "1",
                _IS_ANOTHER: "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                tell = functools.partial(_told, process, file, patience)
                yield Another(lambda: process.poll() is None, tell)
            finally:
                process.kill()


def _telling(reason: str) -> Another:
    def tell() -> Elsewhere:
        raise NotApplicable(reason)

    return Another(lambda: False, tell)


def _told(process: subprocess.Popen[str], file: Path, patience: float) -> Elsewhere:
    """What a process saw, which is waited for."""
    try:
        _, errors = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        raise NotApplicable(
            f"another process took longer than {patience:g} seconds to build it, and was not waited for"
        ) from None
    if process.returncode:
        last = (errors.strip().splitlines() or ["it ended without a word"])[-1]
        raise NotApplicable(f"another process does not build it: {last}")
    names, changed, taken = json.loads(file.read_text(encoding="utf-8"))
    return Elsewhere(tree.Names(*names), changed, taken)


def write_names() -> None:
    """Build the module that the command line names, and write what is seen to the file that it names."""
    source, file = sys.argv[1:]
    try:
        found = find_model(source)
        make = found.make if found else find_maker(source)
        target, built = Target(source, make, lambda: ((), {})), list[nn.Module]()
        given = {name: (value, len(value), _shown(value)) for name, value in _given(source)}
        changed = changing(lambda: built.append(target.build()))
    except UsageError as error:
        sys.exit(" ".join(str(error).split()))
    (net,) = built
    taken = [[name, was, _shown(value)] for name, (value, size, was) in given.items() if len(value) < size]
    names = tree.Names(tree.names(net), list(tree.parameters(net)))
    Path(file).write_text(json.dumps([names, changed, taken]), encoding="utf-8")


def changing(build: Callable[[], object]) -> list[list[str]]:
    """The defaults that a build changes: each is a constructor, an argument and two values."""
    before = {key: _shown(value) for key, value in _defaults()}
    build()
    after = {key: _shown(value) for key, value in _defaults()}
    return [[*key, value, after[key]] for key, value in before.items() if after.get(key, value) != value]


def _given(source: str) -> Iterator[tuple[str, list[Any] | dict[Any, Any]]]:
    """The lists and dicts at the top of its file that a function names which makes the module, by name."""
    try:
        function = pkgutil.resolve_name(source)
    except Exception:  # it is named with arguments, or as a model of a library
        return
    if not inspect.isfunction(function):
        return
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if isinstance(value, (list, dict)):
            yield name, value


def _defaults() -> Iterator[tuple[tuple[str, str], object]]:
    """The lists, dicts and sets that are defaults of constructors, by the constructor and the argument."""
    waiting, seen = [nn.Module], set[type]()
    while waiting:
        owner = waiting.pop()
        if owner in seen:
            continue
        seen.add(owner)
        waiting += owner.__subclasses__()
        with contextlib.suppress(Exception):  # a class that cannot be asked, as of any other module
            yield from _defaults_of(owner)


def _defaults_of(owner: type) -> list[tuple[tuple[str, str], object]]:
    """Likewise of one constructor."""
    constructor = vars(owner).get("__init__")
    if is_standard(owner) or not inspect.isfunction(constructor):
        return []
    return [
        ((f"{owner.__name__}.__init__", name), argument.default)
        for name, argument in inspect.signature(constructor).parameters.items()
        if isinstance(argument.default, (list, dict, set))
    ]


def _shown(value: object) -> str:
    """What is in a value, as far as its parts can be shown."""
    try:
        return repr(value)
    except Exception:
        return ""


def source_of(build: object) -> str:
    """The name by which another process can import a class or function; empty if there is none."""
    try:
        module, name = getattr(build, "__module__", None), getattr(build, "__qualname__", "")
        if not module or module == "__main__":
            return ""
        return f"{module}:{name}" if pkgutil.resolve_name(f"{module}:{name}") is build else ""
    except Exception:
        return ""


def _other_seed(net: nn.Module) -> str:
    """A hash seed with which sets of names come in other orders than here, as far as there is one.

    The names are those that a class of the user's gave: torch's own make no sets.
    """
    stores = [
        {**module._parameters, **module._buffers, **module._modules}
        for module in net.modules()
        if isinstance(module, (nn.ModuleDict, nn.ParameterDict)) or not is_standard(type(module))
    ]
    here = [list(one) for one in {tuple(store) for store in stores} if len(one) > 1]
    alike = dict[str, int]()
    for seed in map(str, range(1, TRIES + 1)):
        done = subprocess.run(
            [sys.executable, "-S", "-c", _ORDERS],
            env={**os.environ, "PYTHONHASHSEED": seed},
            input=json.dumps(here),
            capture_output=True,
            text=True,
            check=True,
        )
        alike[seed] = sum(one in orders for one, orders in zip(here, json.loads(done.stdout), strict=True))
        if not alike[seed]:
            break
    return min(alike, key=alike.__getitem__)

"""A module built once more, in a process whose hashes of texts are others.

Python orders a set of texts by their hashes, and those change from one process to the next. All that is built
in one process has the same order.
"""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path

from torch import nn

from nnspec.contract import tree
from nnspec.contract.findings.registration import is_standard
from nnspec.contract.outcomes import NotApplicable
from nnspec.contract.target import Target, find_maker
from nnspec.contract.zoo import find_model
from nnspec.errors import UsageError

#: With how many hash seeds it is tried to give a module's names another order.
TRIES = 20

#: Set in the environment of the process that is started.
_IS_ANOTHER = "NNSPEC_ANOTHER_PROCESS"

_ORDERS = "import json, sys; print(json.dumps([list(set(one)) for one in json.load(sys.stdin)]))"


def names_elsewhere(source: str, net: nn.Module) -> tree.Names:
    """The names of a module that another process builds.

    Args:
        source: what makes it, as a command line names it; empty if it has no such name.
        net: the same module, built in this process.

    Raises:
        NotApplicable: another process cannot build it.
    """
    if not source:
        raise NotApplicable("what makes it cannot be imported by its name, as another process would have to")
    if os.environ.get(_IS_ANOTHER):  # what is imported there may judge a module itself
        raise NotApplicable("this is another process already")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "names.json"
        done = subprocess.run(
            [sys.executable, "-c", f"from {__name__} import write_names; write_names()", source, str(file)],
            env={
                **os.environ,
                "PYTHONHASHSEED": _other_seed(net),
                "PYTHONPATH": os.pathsep.join(sys.path),
                _IS_ANOTHER: "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
            raise NotApplicable(f"another process does not build it: {last}")
        return tree.Names(*json.loads(file.read_text(encoding="utf-8")))


def write_names() -> None:
    """Build the module that the command line names, and write its names to the file that it names."""
    source, file = sys.argv[1:]
    try:
        found = find_model(source)
        net = Target(source, found.make if found else find_maker(source), lambda: ((), {})).build()
    except UsageError as error:
        sys.exit(" ".join(str(error).split()))
    Path(file).write_text(
        json.dumps(tree.Names(tree.names(net), list(tree.parameters(net)))), encoding="utf-8"
    )


def source_of(build: object) -> str:
    """The name by which another process can import a class or function; empty if there is none."""
    module, name = getattr(build, "__module__", None), getattr(build, "__qualname__", "")
    if not module or module == "__main__":
        return ""
    try:
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
    here = [list(one) for one in {frozenset(store) for store in stores} if len(one) > 1]
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
        alike[seed] = sum(one == other for one, other in zip(here, json.loads(done.stdout), strict=True))
        if not alike[seed]:
            break
    return min(alike, key=alike.__getitem__)

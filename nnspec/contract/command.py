"""The command ``nnspec contract``: judges a module of the user's."""

from __future__ import annotations

import argparse
from pathlib import Path

from nnspec.contract.pyproject import read_table
from nnspec.errors import UsageError
from nnspec.running.start import run_pytest

RULES = Path(__file__).with_name("rules")


def run(options: argparse.Namespace) -> int:
    """Judge a module by every rule.

    Args:
        options: ``target``, ``input``, ``inputs``, ``allow``, ``device`` and ``verbose``.

    Returns:
        0 every rule holds or is accepted, 1 one is violated, 2 the module could not be judged.

    Raises:
        UsageError: no module was named, or the table of the project cannot be read.
    """
    module, shapes, function = options.target, options.input, options.inputs
    if module is None:
        table = read_table(Path.cwd())
        if not table.module:
            raise UsageError(
                "no module was named; name one, as in: nnspec contract mypkg.models:Net --input 2,3,64,64"
            )
        module = table.module
        if not shapes and not function:
            shapes, function = table.input, table.inputs
    arguments = ["-rN", "-v" if options.verbose else "-qq", "--module", module]
    arguments += ["--inputs", function] if function else []
    for name, values in (("--input", shapes), ("--allow", options.allow), ("--device", options.device)):
        arguments += [word for value in values for word in (name, value)]
    return run_pytest([RULES], "nnspec.contract.plugin", arguments)

"""The command ``nnspec contract``: judges a module of the user's."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nnspec.contract.allowances import read_allowances
from nnspec.contract.api import report_on, select
from nnspec.contract.pyproject import read_table
from nnspec.contract.rule import load_rules
from nnspec.contract.target import find_target
from nnspec.errors import UsageError
from nnspec.running import devices


def run(options: argparse.Namespace) -> int:
    """Judge a module by every rule.

    Returns:
        0 no error was found, 1 one was, or a warning with ``--strict``, 3 the tool itself failed.

    Raises:
        UsageError: no module was named, it cannot be built or called, or an option cannot be used.
    """
    module, given, function = options.target, options.input, options.inputs
    table = read_table(Path.cwd())
    if module is None:
        if not table.module:
            raise UsageError(
                "no module was named; name one, as in: nnspec contract mypkg.models:Net --input 2,3,64,64"
            )
        module = table.module
        if not given and not function:
            given, function = table.input, table.inputs
    allowed = read_allowances(options.allow, table.allow, load_rules())
    rules = select(options.only, options.skip)
    used = devices.select(options.device)
    target = find_target(module, given, function)
    report = report_on(target, rules, used, allowed, _show if sys.stderr.isatty() else None)
    if sys.stderr.isatty():
        _show("")
    if options.junit:
        report.write_junit(options.junit)
    print(report.to_json() if options.json else report)
    return report.exit_code(strict=options.strict)


def _show(rule: str) -> None:
    """Show the rule at work in a line of its own on the terminal."""
    print(f"\r\033[K{rule}", end="", file=sys.stderr, flush=True)

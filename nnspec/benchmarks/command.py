"""The command ``python -m nnspec bench-report``."""

from __future__ import annotations

import argparse

from nnspec.benchmarks import figures, report, runs
from nnspec.records.files import ensure_writable, write_whole


def run(options: argparse.Namespace) -> int:
    """Show the tables, write the figures and records that are wished for.

    Returns:
        the exit code, 0.

    Raises:
        FileError: a file cannot be read or written.
        UsageError: two files are of the same torch and device, or figures cannot be drawn here.
    """
    measured = runs.read_all(options.files)
    if options.output:
        figures.ensure_possible()
    for folder in filter(None, (options.output, options.record)):
        ensure_writable(folder)
    pictures = figures.draw(measured) if options.output else {}
    for run in measured:
        print(run.describe())
        for reason in report.missing(run):
            print(f"left out: {reason}")
    print()
    print(report.as_text(report.tables(measured)))
    for name, picture in pictures.items():
        for theme, svg in picture.svg.items():
            print(f"figure: {write_whole(options.output / f'{name}{theme}.svg', svg)}")
    for run in measured if options.record else ():
        print(f"record: {runs.write(run, options.record)}")
    return 0

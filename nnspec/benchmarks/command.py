"""The command ``python -m nnspec bench-report``."""

from __future__ import annotations

import argparse

from nnspec.benchmarks import figures, report, runs
from nnspec.records.files import write_whole


def run(options: argparse.Namespace) -> int:
    """Show the tables, write the figures and records that are wished for.

    Returns:
        the exit code, 0.

    Raises:
        FileError: a file cannot be read, a figure not be drawn, or a file not be written.
    """
    measured = runs.read_all(options.files)
    pictures = figures.draw(measured) if options.output else {}
    for run_of_one_file in measured:
        print(run_of_one_file.describe())
        for what in report.missing(run_of_one_file):
            print(f"left out: {what}")
    print()
    print(report.as_text(report.tables(measured)))
    for name, picture in pictures.items():
        for theme, svg in picture.svg.items():
            print(f"figure: {write_whole(options.output / f'{name}{theme}.svg', svg)}")
    for run_of_one_file in measured if options.record else ():
        print(f"record: {runs.write(run_of_one_file, options.record)}")
    return 0

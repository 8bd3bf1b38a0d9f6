"""The command ``python -m nnspec bench-report``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nnspec import bench, bench_figures, bench_report
from nnspec.record import write_whole

HELP = "make tables and figures of measured times"


def add(commands: Any) -> None:
    """Add the command to the parser of all commands."""
    command = commands.add_parser(
        "bench-report",
        help=HELP,
        description="Makes tables and figures of files of pytest-benchmark, or of records made of them.",
        epilog=f"To get such a file, {bench.MEASURE}",
    )
    command.add_argument("files", nargs="+", type=Path, metavar="FILE", help="what was measured, and on what")
    command.add_argument("--output", type=Path, metavar="DIR", help="write figures as SVG into this folder")
    command.add_argument(
        "--record",
        type=Path,
        metavar="DIR",
        help="keep of each file what is needed, as DIR/bench-<torch>-<device>.json",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show the tables, write the figures and records that are wished for.

    Returns:
        the exit code, 0.

    Raises:
        RecordError: a file cannot be read, a figure not be drawn, or a file not be written.
    """
    runs = bench.read_all(options.files)
    pictures = bench_figures.draw(runs) if options.output else {}
    for one in runs:
        print(one.describe())
        for told in bench_report.missing(one):
            print(f"left out: {told}")
    print()
    print(bench_report.as_text(bench_report.tables(runs)))
    for name, picture in pictures.items():
        for theme, svg in picture.svg.items():
            print(f"figure: {write_whole(options.output / f'{name}{theme}.svg', svg)}")
    for one in runs if options.record else ():
        print(f"record: {bench.write(one, options.record)}")
    return 0

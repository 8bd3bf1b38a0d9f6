"""Judges the models of many libraries by the contract: ``tox -e contract-zoo``.

Usage: python tests/contract/zoo/run.py [--only LIBRARY[:MODEL] ...] [--limit SECONDS] [--out FILE]

Each model is judged in a process of its own. What is found goes into one table, with tabs: library, model,
rule, severity, attribute, what. A rule that the tool could not judge has the severity ``tool``, one that ran
out of time ``late``, and a model that could not be judged at all ``model``. Exits with 1 if the tool failed.
"""

import argparse
import csv
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import torch

from nnspec.contract import check
from nnspec.contract.finding import SEVERITIES
from nnspec.errors import UsageError

from models import LIBRARIES  # isort: skip  (beside this file)

COLUMNS = ("library", "model", "rule", "severity", "attribute", "what")

#: How many times the limit of a rule a model may take.
OF_A_MODEL = 20

FORK = multiprocessing.get_context("fork")


def judge(library, model, make, example, limit, results):
    """Put the rows of one model into a queue."""
    try:
        report = check(make, example, limit=limit)
    except UsageError as error:
        results.put([(library, model, "", "model", "", str(error))])
        return
    rows = [(library, model, f.rule, f.severity, f.attribute, str(f)) for f in report.findings]
    rows += [(library, model, v.rule.id, "tool", "", v.reason) for v in report.failed]
    rows += [(library, model, v.rule.id, "late", "", v.reason) for v in report.unfinished]
    results.put(rows)


def within(seconds, function, *args):
    """The rows that a function puts into a queue in a process of its own; None if it puts none in time."""
    results = FORK.SimpleQueue()
    process = FORK.Process(target=function, args=(*args, results))
    process.start()
    start = time.monotonic()
    while results.empty() and process.is_alive() and time.monotonic() - start < seconds:
        time.sleep(0.05)
    rows = None if results.empty() else results.get()
    process.kill()
    process.join()
    return rows


def library_of(library, only, limit, write):
    """Judge the models of a library, in a process that imports it once."""
    try:
        models = list(LIBRARIES[library]())
    except Exception:
        write([(library, "", "", "model", "", traceback.format_exc())], "")
        return
    for model, make, example in models:
        if only is not None and model not in only:
            continue
        start = time.monotonic()
        rows = within(OF_A_MODEL * limit, judge, library, model, make, example, limit)
        if rows is None:
            rows = [(library, model, "", "model", "", "did not end in time, or ended without a word")]
        write(rows, f"{library}: {model} ({time.monotonic() - start:.0f} s)")


def chosen(words):
    """The libraries to judge, each with the names of its models, or None for all."""
    found = {}
    for word in words:
        library, colon, model = word.partition(":")
        if library not in LIBRARIES:
            sys.exit(f"the zoo has no library {library}; it has {', '.join(LIBRARIES)}")
        found.setdefault(library, [] if colon else None)
        if colon and found[library] is not None:
            found[library].append(model)
    return found or dict.fromkeys(LIBRARIES)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=[], metavar="LIBRARY[:MODEL]")
    parser.add_argument("--limit", type=float, default=30, metavar="SECONDS", help="of a rule; 30")
    parser.add_argument("--out", type=Path, default=Path("build/zoo.tsv"), metavar="FILE")
    options = parser.parse_args()
    libraries = chosen(options.only)
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    torch.set_num_threads(1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(COLUMNS)
        file.flush()  # what is not written yet, each process would write

        def write(rows, heading):
            """Add rows to the table at once, and say what is done."""
            table.writerows([[cell.replace("\n", " | ") for cell in row] for row in rows])
            file.flush()
            counts = Counter(row[3] for row in rows)
            shown = ", ".join(f"{number} {severity}" for severity, number in counts.items()) or "all hold"
            print(f"{heading or rows[0][0]}: {shown}", flush=True)

        for library, only in libraries.items():
            process = FORK.Process(target=library_of, args=(library, only, options.limit, write))
            process.start()
            process.join()
    return summary(options.out)


def summary(path):
    """Say how many findings of each severity the table has; 1 if the tool failed."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    counts = Counter(row["severity"] for row in rows)
    for severity in (*SEVERITIES, "late", "model", "tool"):
        print(f"{severity}: {counts[severity]}")
    return 1 if counts["tool"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""Judges each defect, and its repaired twin, by the contract and by its peers: ``tox -e contract-peers``.

Usage: python tests/contract/peers/compare.py [FOLDER]

Writes ``peers.csv``, a row for each defect, and ``tools.csv``, what they come to, into the folder, by default
the one from which the page takes them. Each tool is used as its documentation says: the contract by
``nnspec.contract.check``, torchtest2 by ``check_model`` with a loss and an optimizer, pytest-torch by a
``ModelSuite`` of all checks that need neither a compiler nor another library. A tool catches a defect where
it says something of the module that it does not say of the twin; what it says of a twin is a false alarm.
"""

import csv
import importlib.metadata
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

import torch
from defects import DEFECTS, OURS

TOOLS = ("nnspec", "pytest-torch", "torchtest2")

#: The learning rate with which tools train.
RATE = 1e-2

DOCS = Path(__file__).parents[3] / "docs" / "contract"


def loss(output, targets=None):
    """How far the floating tensors of an output are from a half: something that every twin can learn."""
    if isinstance(output, torch.Tensor):
        return (output - 0.5).square().mean()
    parts = output.values() if isinstance(output, dict) else output
    return sum(loss(part) for part in parts if part.is_floating_point())


def by_nnspec(make, defect):
    """The rules of which the contract finds an error or a warning."""
    import nnspec.contract

    report = nnspec.contract.check(make, defect.inputs(), skip=["order_in_another_process"])
    return {finding.rule for finding in report.at_least("warning")}


def by_torchtest2(make, defect):
    """The checks that torchtest2 fails, or warns of."""
    import torchtest2

    torch.manual_seed(0)
    net = make()
    low_high = {"output_range": defect.told["range"]} if "range" in defect.told else {}
    try:
        report = torchtest2.check_model(
            net,
            defect.inputs(),
            loss_fn=loss,
            optimizer=torch.optim.Adam(net.parameters(), lr=RATE),
            frozen=[defect.told["frozen"]] if "frozen" in defect.told else [],
            gradcheck="derivative" in defect.told,
            **low_high,
        )
    except Exception as error:
        return {f"raises {type(error).__name__}"}
    return {result.name for result in (*report.failures, *report.warnings)}


def by_pytest_torch():
    """The tests of pytest-torch that fail, by the number of the defect and by which of the two it is."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "junit.xml"
        command = [sys.executable, "-m", "pytest", "--noconftest", "-c", "/dev/null", "-q", "--tb=no"]
        command += ["-p", "no:cacheprovider", "-p", "no:benchmark", "--rootdir", folder, f"--junitxml={file}"]
        subprocess.run([*command, str(Path(__file__).with_name("suites.py"))], check=False)
        cases = ElementTree.parse(file).iter("testcase")
        failed = defaultdict(set)
        for case in cases:
            number, which = re.fullmatch(r".*Test(\d+)(faulty|repaired)", case.get("classname")).groups()
            if case.find("failure") is not None or case.find("error") is not None:
                failed[int(number), which].add(case.get("name").partition("[")[0].removeprefix("test_"))
    return failed


def in_process(judge):
    """What a tool says, by the number of the defect and by which of the two it is."""
    return {
        (number, which): judge(getattr(defect, which), defect)
        for number, defect in enumerate(DEFECTS)
        for which in ("faulty", "repaired")
    }


def main(folder):
    runs = (lambda: in_process(by_nnspec), by_pytest_torch, lambda: in_process(by_torchtest2))
    said = {tool: defaultdict(set, run()) for tool, run in zip(TOOLS, runs, strict=True)}
    of_tests = [defect.source == OURS for defect in DEFECTS]
    with (folder / "peers.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["Defect", "From", *TOOLS])
        for number, defect in enumerate(DEFECTS):
            cells = [", ".join(sorted(_caught(said[tool], number))) or "\N{EN DASH}" for tool in TOOLS]
            table.writerow([defect.name, defect.source, *cells])
    with (folder / "tools.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["", *TOOLS])
        release = torch.__version__.partition("+")[0]
        table.writerow(
            [f"Version, on torch {release}", "this one", *map(importlib.metadata.version, TOOLS[1:])]
        )
        for what, wanted in (("of the contract's own tests", True), ("of its peers' documentation", False)):
            numbers = [number for number, is_ours in enumerate(of_tests) if is_ours == wanted]
            caught = [sum(bool(_caught(said[tool], number)) for number in numbers) for tool in TOOLS]
            table.writerow([f"Caught, of {len(numbers)} {what}", *caught])
        accused = [
            sum(bool(said[tool][number, "repaired"]) for number in range(len(DEFECTS))) for tool in TOOLS
        ]
        table.writerow([f"Twins accused, of {len(DEFECTS)}", *accused])
    for tool in TOOLS:
        for number, defect in enumerate(DEFECTS):
            if accusation := said[tool][number, "repaired"]:
                print(f"{tool}: of the twin of {defect.name!r}: {', '.join(sorted(accusation))}")


def _caught(said, number):
    """What was said of a defect, and not of its twin."""
    return said[number, "faulty"] - said[number, "repaired"]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else DOCS)

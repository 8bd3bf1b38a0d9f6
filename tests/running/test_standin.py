"""The specification on an accelerator that is built here, and that is the CPU."""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import torch
from packaging.version import Version

from nnspec.clauses.parts import read_clauses
from nnspec.records import reading
from nnspec.records.outcomes import FAILURES, UNMET

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.skipif(shutil.which(os.environ.get("CXX", "c++")) is None, reason="there is no C++ compiler"),
    pytest.mark.skipif(
        Version(torch.__version__) < Version("2.11"), reason="it is built on torch 2.11 and later"
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a run of the specification on the device has left its record, and every case in ``cases.xml``."""
    folder = tmp_path_factory.mktemp("standin")
    command = [sys.executable, "-m", "pytest", "spec", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "tests.running.standin", "--device", "standin"]
    command += ["--record", str(folder), "--junitxml", str(folder / "cases.xml")]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),  # ninja may be there
        "TORCH_EXTENSIONS_DIR": str(folder / "built"),
    }
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def kept(folder):
    (file,) = folder.glob("*.json")
    return reading.read(file)


def test_the_device_is_found(kept):
    assert kept.run["devices"] == ["standin (2 x CPU)"]


def test_no_clause_is_violated(kept):
    failed = {name: row.reason for name, row in kept.rows.items() if row.outcome in FAILURES}

    assert failed == {}


def test_every_clause_that_takes_a_device_ran_on_it(folder, kept):
    clauses = read_clauses(ROOT / "spec").values()
    wanted = {clause.id for clause in clauses if "device" in clause.arguments}

    ran = set()
    for case in ElementTree.parse(folder / "cases.xml").iter("testcase"):
        name, _, cases = case.get("name").rstrip("]").partition("[")
        _, part, chapter = case.get("classname").split(".")
        if "standin" in cases.split("-") and case.find("skipped") is None:
            ran.add(".".join(word.removeprefix("test_") for word in (part, chapter, name)))

    assert len(wanted) > 0
    assert wanted - ran == {name for name in wanted if kept.rows[name].outcome == UNMET}

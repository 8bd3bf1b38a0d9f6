"""A small site for the tests: some real chapters, and records made from their bounds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from nnspec.clauses.chapter import read_chapters
from nnspec.clauses.clause import Clause
from nnspec.records import record
from nnspec.records.record import Record, Row

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = (
    "calling/order",
    "gradients/zero_grad",
    "parallel/data_parallel",
    "registration/assignment",
    "registration/stores",
    "state/load_state_dict",
    "state/strict",
    "traversal/modules",
    "traversal/parameters",
    "traversal/resnet34",
)
FILES = (
    "conf.py",
    "contract.rst",
    "index.rst",
    "run.rst",
    "claims.toml",
    "evidence.rst",
    "machines.rst",
    "questions.toml",
    "search.toml",
    "site.toml",
    "survivors.toml",
    "tour.toml",
    "vendors.rst",
)
REPOSITORY = "https://example.org/nnspec"
VERSIONS = ("2.0.1", "2.4.1", "2.5.1", "2.15.0")
CHANGES = """
["2.5"]
[["2.5".changes]]
what = "`_parameters` is a plain dict."
hurts = "breaks"
clauses = ["registration.stores.stores_are_plain_dicts"]
[["2.5".changes]]
what = "`torch.load` warns."
hurts = "warns"
"""
HTML = "<img src=x onerror=alert(1)>"


def make_project(root: Path) -> Path:
    """Some chapters of the real spec with records of four releases; claims and devices hold HTML.

    What was measured is the real thing.
    """
    for name in CHAPTERS:
        part, chapter = name.split("/")
        (root / "spec" / part).mkdir(parents=True, exist_ok=True)
        for file in ("__init__.py", f"test_{chapter}.py"):
            shutil.copy(ROOT / "spec" / part / file, root / "spec" / part / file)
    docs = root / "docs"
    (docs / "records").mkdir(parents=True)
    generated = shutil.ignore_patterns("rules")
    for folder in ("_static", "_templates", "contract"):
        shutil.copytree(ROOT / "docs" / folder, docs / folder, ignore=generated)
    (docs / "documentation").mkdir()
    shutil.copy(ROOT / "docs" / "documentation" / "module.toml", docs / "documentation")
    for file in FILES:
        shutil.copy(ROOT / "docs" / file, docs / file)
    (docs / "changes.toml").write_text(CHANGES)
    (root / "pyproject.toml").write_text(f'[project.urls]\nSource = "{REPOSITORY}"\n')
    for file in (*(ROOT / "docs/records").glob("bench-*"), *(ROOT / "docs/records").glob("strength-*")):
        shutil.copy(file, docs / "records")
    with (docs / "claims.toml").open("a") as claims:
        claims.write(f"\n[X1-01]\nsaid = '{HTML}'\nverdict = 'wrong'\ninstead = '{HTML}'\n")
    clauses = [clause for chapter in read_chapters(root / "spec") for clause in chapter.clauses]
    for version in VERSIONS:
        _record(clauses, version, ["cpu"], docs / "records")
    _record(clauses, "2.15.0", ["cpu", f"cuda ({HTML})"], docs / "records")
    return root


def _record(clauses: list[Clause], version: str, devices: list[str], directory: Path) -> None:
    rows = {}
    for clause in clauses:
        place = clause.bounds.place(version)
        needs_cuda = any(name == "cuda" for name, _ in clause.needs) and len(devices) == 1
        outcome = "unmet" if needs_cuda else "holds" if place == "inside" else place
        rows[clause.id] = Row(outcome, clause.digest, "" if outcome == "holds" else "AssertionError")
    run = {
        "torch": version,
        "torchvision": "0.1",
        "python": "3.11",
        "platform": "Linux",
    }
    record.write(Record({**run, "devices": devices}, rows), directory)


def build(root: Path) -> Path:
    """Build the site of a project, warnings being errors, and return the folder of its pages."""
    pages = root / "html"
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(root / "docs"), str(pages)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return pages

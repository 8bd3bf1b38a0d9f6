"""What CONTRIBUTING.md shows works as it stands there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from nnspec.clauses.specification import read_specification
from nnspec.lint.command import faults

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.fixture
def chapter(checkout):
    """The chapter that the text names, with the example at its end."""
    place = re.search(r"at the end of `(spec/\S+\.py)`", TEXT)[1]
    example = textwrap.dedent(re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1])
    with (checkout / place).open("a", encoding="utf-8") as file:
        file.write(f"\n\n{example}")
    return place


def test_the_example_keeps_the_rules(chapter, checkout):
    assert faults(read_specification(checkout)) == []


def test_the_example_holds_and_is_pending(chapter, ask):
    run = ask("-m", "pytest", chapter, "-q", "-k", "one_tensor_under_two_names", "--device", "cpu")
    checked = ask("-m", "nnspec", "check-records")
    strict = ask("-m", "nnspec", "check-records", "--strict")

    assert "1 clause: 1 holds" in run.stdout
    new = "pending: state.buffers_in_state.one_tensor_under_two_names: new: the clause has not been recorded"
    assert f"{new} (every release)" in checked.stdout
    assert (run.returncode, checked.returncode, strict.returncode) == (0, 0, 1)


def test_every_folder_of_the_instrument_has_its_line():
    told = re.findall(r"^\| `nnspec/(\w+)/` \|", TEXT, re.MULTILINE)
    there = [file.parent.name for file in (ROOT / "nnspec").glob("*/__init__.py")]

    assert sorted(told) == sorted(there)

"""What the tests of the contract share."""

import judging
import pytest

from nnspec.contract.rule import load_rules


@pytest.fixture(scope="session")
def rules():
    """All rules, by id."""
    return load_rules()


@pytest.fixture(scope="session")
def judge():
    """``judge(target)`` gives the verdicts of every rule on a module."""
    return judging.judge

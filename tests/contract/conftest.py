"""What the tests of the contract share."""

import pytest
from judging import judge_by, load_rules

from nnspec.contract.plugin import pytest_assertrepr_compare  # noqa: F401 (a hook of these tests too)

pytest.register_assert_rewrite("nnspec.contract.rules")


@pytest.fixture(scope="session")
def rules():
    """The functions of all rules, by id."""
    return load_rules()


@pytest.fixture(scope="session")
def judge(rules, tmp_path_factory, pytestconfig):
    """``judge(target)`` gives the verdicts of every rule on a module."""
    folder = tmp_path_factory.mktemp("judged")
    return lambda target: judge_by(rules, target, folder, pytestconfig)

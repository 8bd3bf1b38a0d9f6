"""Every rule is judged on every exemplar: it holds or does not apply, and leaves no trace."""

import functools

import pytest
from exemplars import EXEMPLARS
from torch import nn

from nnspec.contract import not_applicable
from nnspec.contract.outcomes import HOLDS, NOT_APPLICABLE
from nnspec.contract.target import Target


@pytest.fixture(scope="module")
def judge_exemplar(judge):
    """``judge_exemplar(name)`` gives the verdicts of every rule on it."""
    return functools.cache(lambda name: judge(Target(name, *EXEMPLARS[name])))


@pytest.mark.parametrize("name", EXEMPLARS)
def test_an_exemplar_violates_no_rule(judge_exemplar, name):
    verdicts = judge_exemplar(name)

    assert [verdict for verdict in verdicts if verdict.outcome not in (HOLDS, NOT_APPLICABLE)] == []
    assert [verdict for verdict in verdicts if verdict.leaked] == []


def test_every_rule_holds_for_an_exemplar(judge_exemplar, rules):
    verdicts = [verdict for name in EXEMPLARS for verdict in judge_exemplar(name)]
    held = {verdict.rule.id for verdict in verdicts if verdict.outcome == HOLDS}

    of_newer_torch = {"loading.assigning_onto_meta"} if not_applicable.no_assign() else set()
    in_another_process = {
        "names.order_in_another_process",
        "names.building_leaves_its_defaults",
    }  # tests/contract/test_another_process.py judges it
    assert rules.keys() - held == of_newer_torch | in_another_process


def test_a_rule_that_needs_a_newer_torch_does_not_apply(judge, monkeypatch):
    monkeypatch.setattr(nn.Module, "load_state_dict", lambda self, state_dict, strict=True: None)

    verdicts = judge(Target("tied", *EXEMPLARS["tied Sequential"]))

    (verdict,) = (verdict for verdict in verdicts if verdict.rule.id == "loading.assigning_onto_meta")
    assert verdict.outcome == NOT_APPLICABLE
    assert verdict.reason.endswith("has no assign=True, which came with 2.1")

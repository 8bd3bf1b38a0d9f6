"""Pruning several parameters at once.

:func:`~torch.nn.utils.prune.global_unstructured` takes the entries of several parameters together, so that
layers may lose different shares of theirs.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune


def test_several_parameters_are_taken_as_one():
    """:func:`prune.global_unstructured <torch.nn.utils.prune.global_unstructured>` with
    ``L1Unstructured`` zeroes the smallest magnitudes of all parameters.

    They are taken together: a layer of small weights may lose all of them. Look at the shares afterwards.
    """
    first, second, third = nn.Linear(2, 2), nn.Linear(2, 1), nn.Linear(1, 2)
    first.weight = nn.Parameter(torch.tensor([[1.0, 6.0], [3.0, 9.0]]))
    second.weight = nn.Parameter(torch.tensor([[2.0, -7.0]]))
    third.weight = nn.Parameter(torch.tensor([[8.0], [4.0]]))
    parameters = [(first, "weight"), (second, "weight"), (third, "weight")]

    assert prune.global_unstructured(parameters, prune.L1Unstructured, amount=4) is None
    assert first.weight.tolist() == [[0.0, 6.0], [0.0, 9.0]]
    assert second.weight.tolist() == [[0.0, -7.0]]
    assert third.weight.tolist() == [[8.0], [0.0]]


def test_global_pruning_counts_what_is_left():
    """``prune.global_unstructured`` keeps earlier masks and prunes a fraction of the entries not yet
    pruned.
    """
    first, second = nn.Linear(2, 2), nn.Linear(2, 1)
    first.weight = nn.Parameter(torch.tensor([[1.0, 6.0], [3.0, 9.0]]))
    second.weight = nn.Parameter(torch.tensor([[2.0, 7.0]]))
    prune.custom_from_mask(first, "weight", torch.tensor([[1, 0], [1, 0]]))

    prune.global_unstructured([(first, "weight"), (second, "weight")], prune.L1Unstructured, amount=0.5)

    assert first.weight.tolist() == [[0.0, 0.0], [3.0, 0.0]]
    assert second.weight.tolist() == [[0.0, 7.0]]


def test_global_scores_are_given_by_parameter():
    """``importance_scores`` of ``prune.global_unstructured`` is a dict with keys such as
    ``(module, "weight")``.
    """
    first, second = nn.Linear(2, 1), nn.Linear(2, 1)
    first.weight = nn.Parameter(torch.tensor([[1.0, 6.0]]))
    second.weight = nn.Parameter(torch.tensor([[2.0, 7.0]]))
    second.bias = nn.Parameter(torch.tensor([8.0]))
    parameters = ((first, "weight"), (second, "weight"), (second, "bias"))
    scores = {(second, "weight"): torch.tensor([[9.0, 0.5]]), (second, "bias"): torch.tensor([0.25])}

    prune.global_unstructured(parameters, prune.L1Unstructured, scores, amount=3)

    assert first.weight.tolist() == [[0.0, 6.0]]
    assert second.weight.tolist() == [[2.0, 0.0]]
    assert second.bias.tolist() == [0.0]


def test_global_scores_are_a_dict():
    """``prune.global_unstructured`` raises ``TypeError`` if ``importance_scores`` is not a dict."""
    with pytest.raises(TypeError, match="importance_scores must be of type dict"):
        prune.global_unstructured([(nn.Linear(2, 1), "weight")], prune.L1Unstructured, [1.0], amount=1)


def test_global_parameters_are_iterable():
    """``prune.global_unstructured`` raises ``TypeError`` if ``parameters`` is not iterable."""
    with pytest.raises(TypeError, match=r"global_unstructured\(\): parameters is not an Iterable"):
        prune.global_unstructured(3, prune.L1Unstructured, amount=1)


def test_channels_are_not_pruned_globally():
    """``prune.global_unstructured`` raises ``TypeError`` for a structured method such as
    ``RandomStructured``.
    """
    with pytest.raises(
        TypeError, match=r'Only "unstructured" PRUNING_TYPE .*RandomStructured.* of type structured'
    ):
        prune.global_unstructured([(nn.Linear(2, 1), "weight")], prune.RandomStructured, amount=1)

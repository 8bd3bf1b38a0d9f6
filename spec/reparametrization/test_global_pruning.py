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
    first.weight = nn.Parameter(torch.tensor([[1.0, -6.0], [3.0, 9.0]]))
    second.weight = nn.Parameter(torch.tensor([[2.0, -2.5]]))
    third.bias = nn.Parameter(torch.tensor([8.0, 4.0]))
    parameters = [(first, "weight"), (second, "weight"), (third, "bias")]

    assert prune.global_unstructured(parameters, prune.L1Unstructured, amount=4) is None
    assert first.weight.tolist() == [[0.0, -6.0], [0.0, 9.0]]
    assert second.weight.tolist() == [[0.0, 0.0]]
    assert third.bias.tolist() == [8.0, 4.0]


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
    layer = nn.Linear(2, 1)

    for scores in ([1.0], [], (1.0, 2.0), torch.rand(1, 2), [((layer, "weight"), torch.rand(1, 2))], 3.0):
        with pytest.raises(TypeError, match="importance_scores must be of type dict"):
            prune.global_unstructured([(layer, "weight")], prune.L1Unstructured, scores, amount=1)


def test_global_parameters_are_iterable():
    """``prune.global_unstructured`` raises ``TypeError`` if ``parameters`` is not iterable."""
    for parameters in (3, nn.Linear(2, 1)):
        with pytest.raises(TypeError, match=r"global_unstructured\(\): parameters is not an Iterable"):
            prune.global_unstructured(parameters, prune.L1Unstructured, amount=1)


@pytest.mark.parametrize(
    ("method", "options"), [(prune.RandomStructured, {}), (prune.LnStructured, {"n": 2})]
)
def test_channels_are_not_pruned_globally(method, options):
    """``prune.global_unstructured`` raises ``TypeError`` for a structured method such as
    ``RandomStructured``.
    """
    with pytest.raises(
        TypeError, match=r'Only "unstructured" PRUNING_TYPE .*Structured.* of type structured'
    ):
        prune.global_unstructured([(nn.Linear(2, 1), "weight")], method, amount=1, **options)


def test_every_parameter_gets_its_own_mask():
    """``prune.global_unstructured`` adds ``weight_mask`` and ``weight_orig`` to the module of each parameter.

    The parameter becomes ``weight_orig``, with its values; ``weight`` is a plain tensor.
    """
    small, large = nn.Linear(2, 1), nn.Linear(2, 1)
    with torch.no_grad():
        small.weight.copy_(torch.tensor([[1.0, -2.0]]))
        large.weight.copy_(torch.tensor([[3.0, -4.0]]))
    parameters = [small.weight, large.weight]

    prune.global_unstructured([(small, "weight"), (large, "weight")], prune.L1Unstructured, amount=3)

    assert [layer.weight_orig is p for layer, p in zip([small, large], parameters, strict=True)] == [
        True,
        True,
    ]
    assert [list(dict(layer.named_parameters())) for layer in (small, large)] == [["bias", "weight_orig"]] * 2
    assert [list(dict(layer.named_buffers())) for layer in (small, large)] == [["weight_mask"]] * 2
    assert [layer.weight_mask.tolist() for layer in (small, large)] == [[[0.0, 0.0]], [[0.0, 1.0]]]
    assert large.weight_orig.tolist() == [[3.0, -4.0]]
    assert large.weight.tolist() == [[0.0, -4.0]]


def test_global_scores_are_not_compared_in_shape():
    """``prune.global_unstructured`` checks the number of ``importance_scores`` only, not their shape.

    Scores of two parameters that were mixed up so go unnoticed if the numbers add up.
    """
    layer = nn.Linear(3, 2)

    prune.global_unstructured(
        [(layer, "weight")],
        prune.L1Unstructured,
        {(layer, "weight"): torch.tensor([6.0, 5.0, 4.0, 1.0, 2.0, 3.0])},
        amount=2,
    )

    assert layer.weight_mask.tolist() == [[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    with pytest.raises(
        IndexError, match=r"shape of the mask .* does not match the shape of the indexed tensor"
    ):
        prune.global_unstructured(
            [(layer, "bias")], prune.L1Unstructured, {(layer, "bias"): torch.rand(3)}, amount=1
        )


def test_only_methods_for_entries_prune_globally():
    """``prune.global_unstructured`` raises ``TypeError`` for a method of type ``"global"``, as
    ``CustomFromMask`` is.

    Only methods of type ``"unstructured"`` are accepted, whatever the name says.
    """
    layer = nn.Linear(3, 2)

    assert prune.CustomFromMask.PRUNING_TYPE == "global"
    with pytest.raises(TypeError, match='Only "unstructured" PRUNING_TYPE supported'):
        prune.global_unstructured([(layer, "weight")], prune.CustomFromMask, mask=torch.ones(6))


@pytest.mark.parametrize("function", [prune.l1_unstructured, prune.random_unstructured])
def test_a_pruning_function_is_not_taken(function):
    """``prune.global_unstructured`` raises ``TypeError`` for a function such as ``prune.l1_unstructured``.

    It wants the class, ``prune.L1Unstructured``, though the documentation speaks of a function.
    """
    layer = nn.Linear(3, 2)

    with pytest.raises(TypeError, match="missing 2 required positional arguments: 'module' and 'name'"):
        prune.global_unstructured([(layer, "weight")], function, amount=1)
    assert list(dict(layer.named_buffers())) == []

    prune.global_unstructured([(layer, "weight")], prune.L1Unstructured, amount=1)
    assert list(dict(layer.named_buffers())) == ["weight_mask"]

"""The classes behind the functions of ``torch.nn.utils.prune``, used by themselves.

Read *pruning* first: the functions call what is here.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

SCORES = torch.tensor([[5.0, 1.0], [4.0, 2.0], [3.0, 6.0], [8.0, 7.0]])


@pytest.mark.parametrize("amount", [3, 0.25, 1], ids=["number", "fraction", "one"])
@pytest.mark.parametrize(
    ("method", "function", "options"),
    [
        (prune.Identity, prune.identity, {}),
        (prune.RandomUnstructured, prune.random_unstructured, {}),
        (prune.L1Unstructured, prune.l1_unstructured, {}),
        (prune.L1Unstructured, prune.l1_unstructured, {"importance_scores": SCORES}),
        (prune.RandomStructured, prune.random_structured, {"dim": 0}),
        (prune.LnStructured, prune.ln_structured, {"n": 1, "dim": 0}),
        (prune.LnStructured, prune.ln_structured, {"n": 2, "dim": 0, "importance_scores": SCORES}),
    ],
    ids=["Identity", "random", "L1", "L1 by scores", "channels", "Ln", "Ln by scores"],
)
def test_apply_does_what_the_function_does(method, function, options, amount):
    """``prune.L1Unstructured.apply`` prunes as ``prune.l1_unstructured`` does, and so do other pruning
    classes.

    So ``prune.L1Unstructured.apply(layer, "weight", amount=3)`` is ``prune.l1_unstructured``, but returns the
    method instead of the module.
    """
    one, other = nn.Linear(2, 4), nn.Linear(2, 4)
    other.load_state_dict(one.state_dict())
    amounts = {} if method is prune.Identity else {"amount": amount}

    torch.manual_seed(3)
    assert type(method.apply(one, "weight", **amounts, **options)) is method
    torch.manual_seed(3)
    assert function(other, "weight", **amounts, **options) is other

    assert torch.equal(one.weight_mask, other.weight_mask)
    assert torch.equal(one.weight, one.weight_orig * one.weight_mask)
    entries = 2 if "dim" in options else 1
    wanted = 0 if not amounts else entries * {3: 3, 0.25: 1 if entries == 2 else 2, 1: 1}[amount]
    assert (one.weight_mask == 0).sum() == wanted


def test_identity_keeps_a_mask():
    """``prune.identity`` and ``Identity.apply`` keep the zeros in the mask of a parameter pruned before.

    Only for one that was not pruned is it a mask of ones. See :func:`~torch.nn.utils.prune.identity`.
    """
    for keep in (prune.identity, prune.Identity.apply):
        layer = nn.Linear(2, 4)
        prune.l1_unstructured(layer, "weight", 3, importance_scores=SCORES)

        keep(layer, "weight")

        assert layer.weight_mask.tolist() == [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        (prune.RandomUnstructured, {}),
        (prune.L1Unstructured, {}),
        (prune.RandomStructured, {"dim": 1}),
        (prune.LnStructured, {"n": 2, "dim": 1}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_amounts_of_the_classes(method, arguments):
    """Pruning classes such as ``L1Unstructured`` raise ``ValueError`` for a fraction outside 0.0 to 1.0.

    So does a negative number; one that is larger than the tensor does so only in ``apply``.
    """
    for amount in (-0.25, 1.5, -1):
        with pytest.raises(ValueError, match="amount"):
            method.apply(nn.Linear(4, 2), "weight", amount=amount, **arguments)
        with pytest.raises(ValueError, match="amount"):
            method(amount=amount, **arguments)
    with pytest.raises(ValueError, match="amount=9 should be smaller"):
        method.apply(nn.Linear(4, 2), "weight", amount=9, **arguments)


@pytest.mark.parametrize("method", [prune.RandomStructured, prune.LnStructured])
def test_a_mask_of_channels_needs_its_dimension(method):
    """``compute_mask`` of ``RandomStructured`` and ``LnStructured`` raises ``IndexError`` if ``dim`` is out
    of range.

    A negative ``dim`` counts from the end.
    """
    norm = {"n": 1} if method is prune.LnStructured else {}
    weight, ones = torch.rand(2, 4) + 1, torch.ones(2, 4)

    with pytest.raises(IndexError, match="Invalid index 2"):
        method(amount=1, dim=2, **norm).compute_mask(weight, ones)
    assert method(amount=1, dim=-1, **norm).compute_mask(weight, ones).sum(0).sort()[0].tolist() == [
        0,
        2,
        2,
        2,
    ]

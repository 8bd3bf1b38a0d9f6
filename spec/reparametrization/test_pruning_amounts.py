"""How much is pruned, and what is taken for small.

An amount is a number of entries or channels, or a fraction of them. What counts as small is told by the
values, or by scores in their place.
"""

import torch
from torch import nn
from torch.nn.utils import prune


def test_a_fraction_of_channels_is_rounded():
    """``prune.random_structured`` rounds a fraction ``amount`` to whole channels: 0.4 of 4 channels are
    two.
    """
    masks = {
        amount: prune.random_structured(nn.Linear(3, 4), "weight", amount, dim=0).weight_mask
        for amount in (0.3, 0.4, 0.6, 0.7, 3)
    }

    left = {amount: int(mask[:, 0].sum()) for amount, mask in masks.items()}
    assert left == {0.3: 3, 0.4: 2, 0.6: 2, 0.7: 1, 3: 1}
    assert all(torch.equal(mask[:, 0], mask[:, 2]) for mask in masks.values())


def test_scores_count_by_their_absolute_value():
    """``prune.l1_unstructured`` and ``ln_structured`` ignore the sign of ``importance_scores``: -9 outranks
    5.

    Scores that may be negative have to be shifted first.
    """
    layer = nn.Linear(3, 1)
    prune.l1_unstructured(layer, "weight", 1, torch.tensor([[5.0, 7.0, -9.0]]))
    assert layer.weight_mask.tolist() == [[0.0, 1.0, 1.0]]

    for n in (1, 2, float("inf")):
        net = nn.Linear(2, 2)
        prune.ln_structured(net, "weight", 1, n, 0, torch.tensor([[5.0, 5.0], [-9.0, -9.0]]))
        assert net.weight_mask.tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_prune_counts_what_the_mask_has_pruned():
    """``L1Unstructured(1).prune(t, default_mask)`` ranks masked entries too, so it may prune nothing new.

    Unlike ``prune.l1_unstructured`` on a pruned module, which counts what is left.
    """
    t, mask = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.0, 1.0, 1.0, 1.0])

    assert prune.L1Unstructured(1).prune(t, mask).tolist() == [0.0, 2.0, 3.0, 4.0]
    assert prune.L1Unstructured(2).prune(t, mask).tolist() == [0.0, 0.0, 3.0, 4.0]

    layer = nn.Linear(4, 1)
    layer.weight = nn.Parameter(t.unsqueeze(0))
    prune.custom_from_mask(layer, "weight", mask.unsqueeze(0))
    prune.l1_unstructured(layer, "weight", 1)
    assert layer.weight.tolist() == [[0.0, 0.0, 3.0, 4.0]]

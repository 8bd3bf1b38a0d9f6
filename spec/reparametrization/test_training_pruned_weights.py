"""Training a layer whose weight is pruned.

:func:`torch.nn.utils.prune.l1_unstructured` and its kin keep the parameter as ``weight_orig`` and compute
``weight`` from it: the one is trained, the other is used.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune


def test_the_gradient_is_that_of_the_original():
    """After pruning, ``weight.grad`` is ``None``, for it is not a leaf; ``weight_orig.grad`` is the gradient.

    Reading ``weight.grad`` warns. ``named_parameters()`` lists ``weight_orig``, so that an optimizer made
    after pruning trains it, as does one made before, for it is the same parameter (:issue:`102245`).
    """
    layer = nn.Linear(2, 1, bias=False)
    parameter = layer.weight
    prune.custom_from_mask(layer, "weight", torch.tensor([[1.0, 0.0]]))
    layer(torch.tensor([3.0, 5.0])).backward()

    assert layer.weight.is_leaf is False
    with pytest.warns(UserWarning, match="is not a leaf Tensor is being accessed"):
        assert layer.weight.grad is None
    assert layer.weight_orig is parameter
    assert layer.weight_orig.grad.tolist() == [[3.0, 0.0]]


@pytest.mark.parametrize(
    ("options", "moved"),
    [({}, 4.0), ({"weight_decay": 1.0}, 3.6), ({"momentum": 0.9}, 3.1)],
    ids=["plain", "weight decay", "momentum"],
)
def test_the_original_may_move_where_pruned(options, moved):
    """Weight decay and old momentum move pruned entries of ``weight_orig``; ``weight`` stays 0 there.

    Their gradient is 0. ``prune.remove`` keeps the zeros.
    """
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.data = torch.tensor([[2.0, 4.0]])
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, **options)
    if "momentum" in options:
        layer.weight.grad = torch.tensor([[0.0, 10.0]])
        optimizer.step()
        layer.weight.data = torch.tensor([[2.0, 4.0]])

    prune.custom_from_mask(layer, "weight", torch.tensor([[1.0, 0.0]]))
    optimizer.zero_grad()
    layer(torch.tensor([0.0, 5.0])).backward()
    optimizer.step()

    assert layer.weight_orig[0, 1].item() == pytest.approx(moved)
    assert layer(torch.tensor([0.0, 5.0])).item() == 0.0
    assert prune.remove(layer, "weight").weight[0, 1].item() == 0.0

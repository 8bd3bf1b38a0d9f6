"""Parameters that a parametrization brings along, and an optimizer that was there before."""

import torch
from torch import nn
from torch.nn.utils import parametrize


def test_an_optimizer_misses_what_is_registered_later():
    """An optimizer made before ``register_parametrization`` trains ``original``, not parameters added by it.

    Hand these to :meth:`~torch.optim.Optimizer.add_param_group`.
    """

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(3.0))

        def forward(self, weight):
            return self.scale * weight

    layer = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    parametrize.register_parametrization(layer, "weight", Scaled())
    original, scale = layer.parametrizations.weight.original, layer.parametrizations.weight[0].scale
    before = original.tolist()

    layer(torch.tensor([1.0, 2.0])).sum().backward()
    optimizer.step()

    assert scale.grad is not None
    assert (scale.item(), original.tolist() == before) == (3.0, False)

    optimizer.add_param_group({"params": [scale]})
    optimizer.step()

    assert scale.item() != 3.0

"""Dropout and the tensor that it is given.

A dropout layer that has nothing to do returns the tensor that it got, and one that works in place writes over
it. Both matter to whoever holds that tensor too.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn


def test_evaluation_returns_the_very_input():
    """In eval mode ``nn.Dropout`` returns the input object itself, also with ``inplace=False``.

    What is then written to the output changes the input; ``clone()`` the result where both are needed.
    :func:`F.dropout(x, training=False) <torch.nn.functional.dropout>` does the same.
    """
    layer, x = nn.Dropout(0.25, inplace=False).eval(), torch.tensor([1.0, 2.0])

    assert layer(x) is x
    assert F.dropout(x, training=False) is x
    assert layer.train()(x) is not x
    leaf = torch.rand(2, requires_grad=True)
    assert [nn.Dropout(0.25, inplace).eval()(leaf) is leaf for inplace in (True, False)] == [True, True]

    layer.eval()(x).mul_(10)

    assert x.tolist() == [10.0, 20.0]


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid])
def test_an_activation_needs_its_output(activation):
    """``nn.Dropout(inplace=True)`` after ``nn.ReLU`` or ``Tanh`` makes ``backward()`` raise ``RuntimeError``.

    These activations keep their output for backward, and dropout writes over it. Use ``inplace=False``;
    behind an ``nn.Linear``, which keeps its input only, ``inplace=True`` works.
    """
    x = torch.rand(4, 2)
    net = nn.Sequential(nn.Linear(2, 3), activation(), nn.Dropout(0.5, inplace=True))

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        net(x).sum().backward()

    net[1] = nn.Identity()
    net(x).sum().backward()

    assert net[0].weight.grad.shape == (3, 2)

"""Functions and modules.

``torch.nn.functional`` holds the computations, ``torch.nn`` the modules that keep what a computation needs.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn


@pytest.mark.claim("N3-01", "N5-11")
def test_linear_wants_its_parameters():
    """:func:`F.linear <torch.nn.functional.linear>` stores no parameters: the weight is a required argument
    of every call.

    The weight is trained only if it is a parameter of a module: a weight made in forward is new each time.
    """
    weight, bias = torch.tensor([[2.0, 3.0]]), torch.tensor([5.0])

    assert F.linear(torch.tensor([10.0, 100.0]), weight, bias).tolist() == [325.0]
    assert F.linear(torch.tensor([10.0, 100.0]), weight).tolist() == [320.0]
    with pytest.raises(TypeError, match="weight"):
        F.linear(torch.tensor([10.0, 100.0]))


@pytest.mark.claim("N3-01")
def test_a_module_passes_its_own_parameters(device):
    """The output of an :class:`nn.Linear <torch.nn.Linear>` is ``F.linear(x, layer.weight, layer.bias)``.

    The function is the computation, the module the place where its tensors live, are trained and saved.
    """
    x = torch.rand(4, 3, device=device)

    for layer in (nn.Linear(3, 2, device=device), nn.Linear(3, 2, bias=False, device=device)):
        assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))


@pytest.mark.claim("N3-01")
def test_a_function_is_no_submodule():
    """:meth:`Module.children <torch.nn.Module.children>` does not include a function called in ``forward``,
    such as ``F.relu``.

    It has no hooks, and printing the module does not show it. ``nn.ReLU`` as an attribute does both.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(2, 3)

        def forward(self, x):
            return F.relu(self.hidden(x))

    net = Net()

    assert list(net.children()) == [net.hidden]
    assert repr(net) == "Net(\n  (hidden): Linear(in_features=2, out_features=3, bias=True)\n)"

    net.activation = nn.ReLU()
    assert list(net.children()) == [net.hidden, net.activation]
    assert "(activation): ReLU()" in repr(net)


@pytest.mark.parametrize("kind", [nn.Parameter, torch.Tensor.requires_grad_], ids=["parameters", "tensors"])
def test_a_function_takes_gradients_to_its_arguments(kind):
    """Gradients flow into the tensors passed to ``F.linear``, whether they are parameters or not."""
    weight = kind(torch.tensor([[2.0, 3.0]]))
    bias = kind(torch.tensor([5.0]))
    x = torch.tensor([10.0, 100.0], requires_grad=True)

    F.linear(x, weight, bias).backward()

    assert x.grad.tolist() == [2.0, 3.0]
    assert weight.grad.tolist() == [[10.0, 100.0]]
    assert bias.grad.tolist() == [1.0]


def test_batch_norm_as_a_function_evaluates_by_default():
    """:func:`F.batch_norm <torch.nn.functional.batch_norm>` normalizes with the given running statistics by
    default.

    A module follows ``eval()`` by itself, a function does not: pass ``training=self.training``, to
    ``F.dropout`` as well, which drops unless it is told not to.
    """
    mean, variance = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 15.0])

    for x in (torch.tensor([[5.0, 10.0]]), torch.tensor([[[5.0], [10.0]]])):
        assert F.batch_norm(x, mean, variance, eps=1.0).flatten().tolist() == [2.0, 2.0]
    assert mean.tolist() == [1.0, 2.0]
    assert variance.tolist() == [3.0, 15.0]
    assert F.dropout(mean, p=1.0).tolist() == [0.0, 0.0]


@pytest.mark.claim("N3-01")
def test_batch_norm_updates_what_it_is_given():
    """``F.batch_norm(..., training=True)`` updates the given running statistics in place.

    That is how a module's buffers are updated. Give clones where the old values are still needed.
    """
    mean, variance = torch.tensor([10.0]), torch.tensor([3.0])

    F.batch_norm(torch.tensor([[2.0], [6.0]]), mean, variance, training=True, momentum=0.5)

    assert mean.tolist() == [7.0]
    assert variance.tolist() == [5.5]

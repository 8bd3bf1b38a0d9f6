"""Leaves: which tensors keep a gradient.

A leaf is a tensor that no recorded operation made. A parameter is one from the start.
"""

import warnings

import pytest
import torch
from torch import nn


def test_a_parameter_is_a_leaf():
    """A parameter is a leaf that requires a gradient and has no ``grad_fn``."""
    weight = nn.Linear(2, 3).weight

    assert (weight.is_leaf, weight.requires_grad, weight.grad_fn) == (True, True, None)


def test_what_a_module_computes_is_no_leaf():
    """What a module computes from trainable parameters is no leaf; what it computes without them is one."""
    layer = nn.Linear(2, 3)
    output = layer(torch.rand(1, 2))
    frozen = layer.requires_grad_(False)(torch.rand(1, 2))

    assert (output.is_leaf, output.grad_fn is None) == (False, False)
    assert (frozen.is_leaf, frozen.grad_fn is None) == (True, True)


@pytest.mark.question("Q35")
def test_what_is_no_leaf_keeps_no_gradient():
    """A tensor that is no leaf gets no gradient in a backward pass; asking for it gives a ``UserWarning``."""
    layer = nn.Linear(2, 3)
    hidden = layer(torch.rand(1, 2))
    hidden.sum().backward()

    with pytest.warns(UserWarning, match="grad attribute of a Tensor that is not a leaf Tensor is being acc"):
        assert hidden.grad is None


@pytest.mark.question("Q35")
def test_retain_grad_keeps_the_gradient():
    """:meth:`~torch.Tensor.retain_grad` makes a tensor that is no leaf keep its gradient.

    So a tensor stored on ``self`` in forward has a gradient only if forward says so.
    """

    class Net(nn.Module):
        def forward(self, x):
            self.hidden = x * 2
            self.hidden.retain_grad()
            return self.hidden * 5

    net = Net()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net(torch.rand(2, requires_grad=True)).sum().backward()
        gradient = net.hidden.grad

    assert (gradient.tolist(), net.hidden.retains_grad, caught) == ([5.0, 5.0], True, [])


@pytest.mark.question("Q35")
def test_retain_grad_comes_before_backward():
    """:meth:`~torch.Tensor.retain_grad` called after the backward pass brings no gradient back."""
    hidden = nn.Linear(2, 3)(torch.rand(1, 2))
    hidden.sum().backward()
    hidden.retain_grad()

    assert hidden.grad is None


def test_retain_grad_does_nothing_to_a_leaf():
    """:meth:`~torch.Tensor.retain_grad` does nothing to a parameter; a frozen one raises ``RuntimeError``."""
    parameter = nn.Parameter(torch.rand(2))
    parameter.retain_grad()
    assert parameter.retains_grad is False

    with pytest.raises(RuntimeError, match="can't retain_grad on Tensor that has requires_grad=False"):
        parameter.requires_grad_(False).retain_grad()


@pytest.mark.question("Q35")
def test_a_moved_tensor_is_no_leaf():
    """A tensor that requires a gradient is no leaf any more once it is cast or moved.

    The gradient goes to the tensor it came from. Casting first, then asking for a gradient, helps.
    """
    x = torch.rand(2, requires_grad=True)
    converted = x.double()
    (converted * 3).sum().backward()

    assert (converted.is_leaf, x.grad.tolist()) == (False, [3.0, 3.0])
    assert torch.rand(2).double().requires_grad_().is_leaf


def test_only_leaves_may_be_frozen():
    """Changing ``requires_grad`` of a tensor that is no leaf raises ``RuntimeError``."""
    output = nn.Linear(2, 3)(torch.rand(1, 2))

    with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf variables"):
        output.requires_grad_(False)
    assert output.detach().requires_grad is False


def test_a_copied_parameter_is_a_leaf_of_its_own():
    """A detached copy of a parameter is a leaf of its own and takes no part in its gradients."""
    layer = nn.Linear(2, 1)
    copy = layer.weight.detach().clone().requires_grad_()
    (layer(torch.tensor([[5.0, 7.0]])) + (copy * 3).sum()).sum().backward()

    assert (copy.is_leaf, copy.grad.tolist()) == (True, [[3.0, 3.0]])
    assert layer.weight.grad.tolist() == [[5.0, 7.0]]

"""Leaves: which tensors keep a gradient.

A leaf is a tensor that no recorded operation made. A parameter is one from the start.
"""

import warnings

import pytest
import torch
from torch import nn


def test_a_parameter_is_a_leaf():
    """By default a new ``nn.Parameter`` is a leaf with ``requires_grad=True`` and without a ``grad_fn``.

    That is so even if it was made of a tensor that was computed from others.
    """
    computed = torch.rand(2, requires_grad=True) * 2
    frozen = nn.Parameter(torch.rand(2), requires_grad=False)
    for parameter in (nn.Linear(2, 3).weight, nn.Parameter(computed), nn.Parameter(frozen)):
        assert parameter.is_leaf is True
        assert parameter.requires_grad is True
        assert parameter.grad_fn is None


def test_what_a_module_computes_is_no_leaf():
    """With grad enabled, ``nn.Linear``'s output is a leaf only if no parameter and no input requires grad."""
    layer = nn.Linear(2, 3)
    x = torch.rand(1, 2)
    assert layer(x).is_leaf is False

    layer.requires_grad_(False)
    assert layer(x).is_leaf is True
    assert layer(x.requires_grad_()).is_leaf is False

    layer.bias.requires_grad_()
    assert layer(x.detach()).is_leaf is False


@pytest.mark.question("Q35")
def test_what_is_no_leaf_keeps_no_gradient():
    """By default ``grad`` of a non-leaf tensor stays ``None`` in ``backward()``; accessing it gives a
    ``UserWarning``.

    Hidden values have no gradient to look at unless :meth:`~torch.Tensor.retain_grad` asks for it before.

    See also :ref:`gradients.leaves.retain_grad_keeps_the_gradient`
    """
    layer = nn.Linear(2, 3)
    hidden = layer(torch.rand(1, 2))
    hidden.sum().backward()

    with pytest.warns(UserWarning, match="grad attribute of a Tensor that is not a leaf Tensor is being acc"):
        assert hidden.grad is None


@pytest.mark.question("Q35")
def test_retain_grad_keeps_the_gradient():
    """:meth:`Tensor.retain_grad() <torch.Tensor.retain_grad>` makes ``backward()`` fill the ``grad`` of a
    non-leaf tensor.

    So a tensor stored on ``self`` in forward has a gradient only if forward says so.
    """

    class Net(nn.Module):
        def forward(self, x):
            self.hidden = x * 2
            self.hidden.retain_grad()
            return self.hidden * 5

    net = Net()
    loss = net(torch.rand(2, requires_grad=True)).sum()
    loss.retain_grad()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss.backward(retain_graph=True)
        assert [net.hidden.grad.tolist(), loss.grad.item()] == [[5.0, 5.0], 1.0]
        loss.backward()
        assert [net.hidden.grad.tolist(), loss.grad.item()] == [[10.0, 10.0], 2.0]
    assert net.hidden.is_leaf is False
    assert net.hidden.retains_grad is True


@pytest.mark.question("Q35")
def test_retain_grad_comes_before_backward():
    """:meth:`Tensor.retain_grad() <torch.Tensor.retain_grad>` called after ``backward()`` does not bring the
    gradient back.

    Gradients of non-leaves are thrown away as soon as they have been passed on. Call it in forward, or
    right after it.
    """
    hidden = nn.Linear(2, 3)(torch.rand(1, 2))
    hidden.sum().backward(retain_graph=True)
    hidden.retain_grad()
    assert hidden.grad is None

    hidden.sum().backward()
    assert hidden.grad.tolist() == [[1.0, 1.0, 1.0]]


def test_retain_grad_does_nothing_to_a_leaf():
    """:meth:`Tensor.retain_grad() <torch.Tensor.retain_grad>` does nothing to a parameter; on a frozen one it
    raises ``RuntimeError``.
    """
    parameter = nn.Parameter(torch.rand(2))
    parameter.retain_grad()
    (parameter * 3).sum().backward()
    assert parameter.retains_grad is False
    assert parameter.grad.tolist() == [3.0, 3.0]

    with pytest.raises(RuntimeError, match="can't retain_grad on Tensor that has requires_grad=False"):
        parameter.requires_grad_(False).retain_grad()


@pytest.mark.question("Q35")
def test_a_moved_tensor_is_no_leaf():
    """``x.to(...)`` to another dtype or device returns a non-leaf tensor if ``x`` requires grad.

    The gradient goes to the tensor it came from, and ``grad`` of the new one stays ``None``. Cast or move
    first, then ask for a gradient. If nothing changes, ``to`` returns the tensor itself.
    """
    x = torch.rand(2, requires_grad=True)
    converted = x.to(torch.float64)
    (converted * 3).sum().backward()

    assert [converted.is_leaf, x.to("meta").is_leaf] == [False, False]
    assert x.grad.tolist() == [3.0, 3.0]
    with pytest.warns(UserWarning, match="grad attribute of a Tensor that is not a leaf Tensor"):
        assert converted.grad is None
    assert torch.rand(2).to(torch.float64).requires_grad_().is_leaf is True
    assert x.to(torch.float32) is x


def test_only_leaves_may_be_frozen():
    """``requires_grad_(False)`` on a non-leaf tensor raises ``RuntimeError``; ``detach()`` works instead."""
    layer = nn.Linear(2, 3)

    for tensor in (layer(torch.rand(1, 2)), layer.weight[0], layer.weight.T, layer.bias.double()):
        with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf variables"):
            tensor.requires_grad_(False)
        assert tensor.requires_grad is True
        assert tensor.detach().requires_grad is False
        assert tensor.detach().tolist() == tensor.tolist()


def test_a_copied_parameter_is_a_leaf_of_its_own():
    """``parameter.detach().clone().requires_grad_()`` is a new leaf with a separate gradient."""
    layer = nn.Linear(2, 1)
    layer(torch.tensor([[5.0, 7.0]])).backward()
    copy = layer.weight.detach().clone().requires_grad_()

    assert copy.is_leaf is True
    assert copy.grad is None
    (layer(torch.tensor([[5.0, 7.0]])) + (copy * 3).sum()).sum().backward()
    assert copy.grad.tolist() == [[3.0, 3.0]]
    assert layer.weight.grad.tolist() == [[10.0, 14.0]]

"""Clearing gradients before the next backward pass.

Gradients add up until they are cleared. ``zero_grad`` of a module clears those of its parameters,
``zero_grad`` of an optimizer those of the parameters it holds.
"""

import inspect
import warnings

import pytest
import torch
from torch import nn


@pytest.mark.question("Q33")
def test_zero_grad_sets_gradients_to_none():
    """:meth:`~torch.nn.Module.zero_grad` sets the gradient of every parameter to ``None``.

    Up to torch 1.13 it left zeros; code that reads ``p.grad`` right afterwards broke (:issue:`92656`).
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    net(torch.rand(1, 2)).sum().backward()

    assert net.zero_grad() is None
    assert [p.grad for p in net.parameters()] == [None] * 4


@pytest.mark.question("Q33")
def test_set_to_none_false_leaves_zeros():
    """With ``set_to_none=False`` gradients are filled with zeros, in the same tensors."""
    layer = nn.Linear(2, 3)
    layer(torch.rand(1, 2)).sum().backward()
    before = [p.grad for p in layer.parameters()]
    layer.zero_grad(False)

    assert all(p.grad is gradient for p, gradient in zip(layer.parameters(), before, strict=True))
    assert [p.grad.tolist() for p in layer.parameters()] == [[[0.0, 0.0]] * 3, [0.0] * 3]


def test_zero_grad_without_gradients_does_nothing():
    """With ``set_to_none=False`` a gradient of ``None`` stays ``None``."""
    layer = nn.Linear(2, 3)
    layer.weight.grad = torch.rand(3, 2)
    layer.zero_grad(set_to_none=False)

    assert layer.bias.grad is None
    assert layer.weight.grad.tolist() == [[0.0, 0.0]] * 3


def test_a_gradient_set_to_none_lives_on():
    """Setting a gradient to ``None`` leaves the old tensor to whoever holds it; zeroing does not."""
    layer = nn.Linear(2, 1)
    layer(torch.tensor([[5.0, 7.0]])).sum().backward()
    held = layer.weight.grad
    layer.zero_grad()
    assert held.tolist() == [[5.0, 7.0]]

    layer.weight.grad = held
    layer.zero_grad(set_to_none=False)
    assert held.tolist() == [[0.0, 0.0]]


@pytest.mark.observed
def test_zeroing_takes_a_gradient_off_its_graph():
    """With ``set_to_none=False`` a gradient made with ``create_graph=True`` is taken off its graph."""
    layer = nn.Linear(2, 1)
    with pytest.warns(UserWarning, match="create_graph=True"):
        layer(torch.rand(1, 2)).pow(2).sum().backward(create_graph=True)
    gradient = layer.weight.grad
    assert gradient.grad_fn is not None
    layer.zero_grad(set_to_none=False)

    assert layer.weight.grad is gradient
    assert (gradient.grad_fn, gradient.requires_grad, gradient.tolist()) == (None, False, [[0.0, 0.0]])


@pytest.mark.observed
def test_zeroing_freezes_a_gradient_that_is_a_leaf():
    """With ``set_to_none=False`` a gradient that is a leaf requires no gradient any more."""
    parameter = nn.Parameter(torch.rand(2))
    net = nn.ParameterList([parameter])
    parameter.grad = torch.rand(2).requires_grad_()
    net.zero_grad(set_to_none=False)

    assert (parameter.grad.requires_grad, parameter.grad.tolist()) == (False, [0.0, 0.0])


def test_zero_grad_reaches_frozen_parameters():
    """:meth:`~torch.nn.Module.zero_grad` also clears gradients that frozen parameters have kept."""
    layer = nn.Linear(2, 3)
    layer(torch.rand(1, 2)).sum().backward()
    layer.requires_grad_(False).zero_grad()

    assert [p.grad for p in layer.parameters()] == [None, None]


def test_zero_grad_reaches_parameters_only():
    """:meth:`~torch.nn.Module.zero_grad` leaves the gradients of inputs and of buffers."""
    layer = nn.Linear(2, 1)
    layer.register_buffer("scale", torch.tensor([3.0], requires_grad=True))
    x = torch.rand(1, 2, requires_grad=True)
    (layer(x) * layer.scale).sum().backward()
    layer.zero_grad()

    assert layer.weight.grad is None
    assert (x.grad is None, layer.scale.grad is None) == (False, False)


@pytest.mark.question("Q33")
def test_optimizers_set_gradients_to_none_too():
    """:meth:`~torch.optim.Optimizer.zero_grad` clears what the optimizer holds, to ``None`` by default."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    optimizer = torch.optim.SGD(net[0].parameters(), lr=0.1)
    net(torch.rand(1, 2)).sum().backward()
    optimizer.zero_grad()

    assert [p.grad is None for p in net.parameters()] == [True, True, False, False]


@pytest.mark.parametrize("foreach", [None, True], ids=["one_by_one", "foreach"])
def test_optimizers_leave_zeros_when_asked(foreach):
    """``zero_grad(set_to_none=False)`` of an optimizer leaves zeros, and leaves ``None`` where it is."""
    layer = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, foreach=foreach)
    gradient = torch.tensor([[5.0, 7.0]])
    layer.weight.grad = gradient
    optimizer.zero_grad(set_to_none=False)

    assert layer.weight.grad is gradient
    assert (gradient.tolist(), layer.bias.grad) == ([[0.0, 0.0]], None)


@pytest.mark.question("Q33")
@pytest.mark.parametrize("owner", [nn.Module, torch.optim.Optimizer], ids=["module", "optimizer"])
def test_none_is_the_default(owner):
    """``set_to_none`` is ``True`` by default, for modules and for optimizers."""
    assert inspect.signature(owner.zero_grad).parameters["set_to_none"].default is True


def test_zero_grad_of_a_replica_warns():
    """:meth:`~torch.nn.Module.zero_grad` of a replica has no effect, and gives a ``UserWarning``."""
    layer = nn.Linear(2, 3)
    layer.bias.grad = gradient = torch.rand(3)
    replica = layer._replicate_for_data_parallel()

    message = r"^Calling .zero_grad\(\) from a module created with nn.DataParallel\(\) has no effect"
    with pytest.warns(UserWarning, match=message):
        replica.zero_grad()
    assert layer.bias.grad is gradient


@pytest.mark.since("2.10")
@pytest.mark.observed
def test_the_warning_points_at_the_call():
    """The warning of ``zero_grad`` on a replica points at the line that called it, not into torch."""
    replica = nn.Linear(2, 3)._replicate_for_data_parallel()
    with pytest.warns(UserWarning, match="has no effect") as caught:
        replica.zero_grad()

    assert [warning.filename for warning in caught] == [__file__]


def test_zero_grad_of_an_ordinary_module_is_silent():
    """:meth:`~torch.nn.Module.zero_grad` of a module that is no replica gives no warning."""
    layer = nn.Linear(2, 3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layer.zero_grad()

    assert caught == []

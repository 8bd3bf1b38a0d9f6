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
    """By default :meth:`Module.zero_grad <torch.nn.Module.zero_grad>` sets the gradient of every parameter to
    ``None``.

    Up to torch 1.13 it left zeros; code that reads ``p.grad`` right afterwards broke (:issue:`92656`).
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 1)))
    net(torch.rand(1, 2)).sum().backward()

    assert net.zero_grad() is None
    assert [p.grad for p in net.parameters()] == [None] * 4


@pytest.mark.question("Q33")
def test_set_to_none_false_leaves_zeros():
    """``module.zero_grad(set_to_none=False)`` fills the gradient tensors with zeros in place.

    It is for code that holds on to the tensors of gradients, or that reads them before the next backward
    pass.
    """
    layer = nn.Linear(2, 3)
    layer(torch.rand(1, 2)).sum().backward()
    weight, bias = layer.weight.grad, layer.bias.grad
    layer.bias.requires_grad_(False)
    nn.Sequential(nn.Sequential(layer)).zero_grad(False)

    assert layer.weight.grad is weight
    assert layer.bias.grad is bias
    assert weight.tolist() == [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    assert bias.tolist() == [0.0, 0.0, 0.0]


def test_zero_grad_without_gradients_does_nothing():
    """``module.zero_grad(set_to_none=False)`` does not change a ``grad`` that is ``None``."""
    layer = nn.Linear(2, 3)
    for net in (layer, nn.Sequential(layer)):
        layer.weight.grad = torch.rand(3, 2)
        net.zero_grad(set_to_none=False)

        assert layer.bias.grad is None
        assert layer.weight.grad.tolist() == [[0.0, 0.0]] * 3


def test_a_gradient_set_to_none_lives_on():
    """``module.zero_grad()`` does not change a gradient tensor that you hold; ``set_to_none=False`` zeros
    it.
    """
    layer = nn.Linear(2, 1)
    layer(torch.tensor([[5.0, 7.0]])).sum().backward()
    held = [p.grad for p in layer.parameters()]
    layer.zero_grad()
    assert [gradient.tolist() for gradient in held] == [[[5.0, 7.0]], [1.0]]

    layer.weight.grad, layer.bias.grad = held
    layer.zero_grad(set_to_none=False)
    assert [gradient.tolist() for gradient in held] == [[[0.0, 0.0]], [0.0]]


def test_zeroing_takes_a_gradient_off_its_graph():
    """``module.zero_grad(set_to_none=False)`` detaches gradients of ``backward(create_graph=True)``."""
    net = nn.Sequential(nn.Linear(2, 1))
    with pytest.warns(UserWarning, match="create_graph=True"):
        net(torch.rand(1, 2)).pow(2).sum().backward(create_graph=True)
    before = [p.grad for p in net.parameters()]
    assert None not in [gradient.grad_fn for gradient in before]

    net.zero_grad(set_to_none=False)
    assert [id(p.grad) for p in net.parameters()] == [id(gradient) for gradient in before]
    assert [gradient.grad_fn for gradient in before] == [None, None]
    assert [gradient.requires_grad for gradient in before] == [False, False]
    assert [gradient.tolist() for gradient in before] == [[[0.0, 0.0]], [0.0]]


def test_zeroing_freezes_a_gradient_that_is_a_leaf():
    """``module.zero_grad(set_to_none=False)`` sets ``requires_grad=False`` on a gradient that is a leaf."""
    layer = nn.PReLU(num_parameters=2)
    gradient = layer.weight.grad = torch.rand(2).requires_grad_()

    nn.Sequential(layer).zero_grad(set_to_none=False)

    assert layer.weight.grad is gradient
    assert gradient.requires_grad is False
    assert gradient.tolist() == [0.0, 0.0]


def test_zero_grad_reaches_frozen_parameters():
    """``module.zero_grad()`` also clears the gradients of frozen parameters."""
    layer = nn.Linear(2, 3)
    for net in (layer, nn.Sequential(layer)):
        net.requires_grad_(True)(torch.rand(1, 2)).sum().backward()
        gradient = layer.weight.grad
        net.requires_grad_(False).zero_grad(set_to_none=False)
        assert layer.weight.grad is gradient
        assert gradient.tolist() == [[0.0, 0.0]] * 3

        net.zero_grad()
        assert [p.grad for p in layer.parameters()] == [None, None]


def test_zero_grad_reaches_parameters_only():
    """``module.zero_grad()`` clears gradients of parameters only, not those of inputs or buffers."""
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 5.0)
    layer.register_buffer("scale", torch.tensor([3.0], requires_grad=True))
    layer.x = x = torch.tensor([[2.0, 4.0]], requires_grad=True)
    (layer(x) * layer.scale).sum().backward()
    layer.zero_grad()

    assert layer.weight.grad is None
    assert x.grad.tolist() == [[15.0, 15.0]]
    assert layer.scale.grad.tolist() == [30.0]


@pytest.mark.question("Q33")
def test_optimizers_set_gradients_to_none_too():
    """:meth:`Optimizer.zero_grad <torch.optim.Optimizer.zero_grad>` sets ``grad`` to ``None`` for the
    parameters that the optimizer was given.

    Those of parameters that the optimizer was not given go on adding up: ``module.zero_grad()`` clears them.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    optimizer = torch.optim.SGD([{"params": net[0].weight}, {"params": net[1].weight}], lr=0.1)
    net(torch.rand(1, 2)).sum().backward()
    net[1].weight.requires_grad_(False)
    optimizer.zero_grad()

    assert [p.grad is None for p in net.parameters()] == [True, False, True, False]

    net[0].bias.grad = torch.tensor([2.0, 3.0, 5.0])
    net(torch.rand(1, 2)).sum().backward()
    optimizer.zero_grad()
    assert torch.allclose(net[0].bias.grad, torch.tensor([2.0, 3.0, 5.0]) + net[1].weight)

    net.zero_grad()
    assert [p.grad for p in net.parameters()] == [None] * 4


@pytest.mark.parametrize("foreach", [None, True], ids=["one_by_one", "foreach"])
def test_optimizers_leave_zeros_when_asked(foreach):
    """``optimizer.zero_grad(set_to_none=False)`` zeros gradients in place; a ``grad`` of ``None`` stays
    ``None``.
    """
    layer = nn.Linear(2, 1)
    optimizer = torch.optim.SGD([{"params": layer.bias}, {"params": layer.weight}], lr=0.1, foreach=foreach)
    gradient = torch.tensor([[5.0, 7.0]])
    layer.weight.grad = gradient
    optimizer.zero_grad(set_to_none=False)

    assert layer.weight.grad is gradient
    assert gradient.tolist() == [[0.0, 0.0]]
    assert layer.bias.grad is None


@pytest.mark.question("Q33")
@pytest.mark.parametrize("owner", [nn.Module, torch.optim.Optimizer], ids=["module", "optimizer"])
def test_none_is_the_default(owner):
    """``Module.zero_grad`` and ``Optimizer.zero_grad`` have ``set_to_none=True`` by default.

    Code that reads ``p.grad`` after it meets ``None``: ask for that, or pass ``set_to_none=False``.
    """
    layer = nn.Linear(2, 1, bias=False)
    zero_grad = (
        layer.zero_grad if owner is nn.Module else torch.optim.SGD(layer.parameters(), lr=0.1).zero_grad
    )
    for options, gradient in (({"set_to_none": False}, [[0.0, 0.0]]), ({}, None)):
        layer.weight.grad = torch.rand(1, 2)
        zero_grad(**options)
        assert (layer.weight.grad if gradient is None else layer.weight.grad.tolist()) == gradient
    assert inspect.signature(owner.zero_grad).parameters["set_to_none"].default is True


def test_zero_grad_of_a_replica_warns():
    """``zero_grad()`` on a replica of ``DataParallel`` clears nothing and gives a ``UserWarning``.

    Clear the gradients of the module that was replicated.
    """
    layer = nn.Linear(2, 3)
    layer.bias.grad = gradient = torch.tensor([2.0, 3.0, 5.0])
    replica = layer._replicate_for_data_parallel()
    replica.weight, replica.bias = layer.weight * 1, layer.bias * 1
    replica.weight.retain_grad()
    replica.weight.sum().backward()

    message = r"^Calling .zero_grad\(\) from a module created with nn.DataParallel\(\) has no effect"
    with pytest.warns(UserWarning, match=message):
        replica.zero_grad()
    for weight in (layer.weight, replica.weight):
        assert weight.grad.tolist() == [[1.0, 1.0]] * 3
    assert layer.bias.grad is gradient
    assert gradient.tolist() == [2.0, 3.0, 5.0]


@pytest.mark.since("2.10")
def test_the_warning_points_at_the_call():
    """The warning of ``zero_grad()`` on a ``DataParallel`` replica names the file of the caller."""
    replica = nn.Linear(2, 3)._replicate_for_data_parallel()
    with pytest.warns(UserWarning, match="has no effect") as caught:
        replica.zero_grad()

    assert [warning.filename for warning in caught] == [__file__]


def test_zero_grad_of_an_ordinary_module_is_silent():
    """``zero_grad()`` on a module that is not a ``DataParallel`` replica does not warn."""
    layer = nn.Linear(2, 3)
    layer(torch.rand(1, 2)).sum().backward()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layer.zero_grad(set_to_none=False)
        layer.zero_grad()

    assert caught == []

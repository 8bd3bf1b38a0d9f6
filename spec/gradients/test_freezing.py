"""Freezing: parameters that take no part in training.

A parameter is frozen if it does not require a gradient. An optimizer looks at the gradient that is there, not
at the flag.
"""

import pytest
import torch
from torch import nn


def test_requires_grad_sets_every_parameter():
    """:meth:`~torch.nn.Module.requires_grad_` sets the flag of every parameter and returns the module."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 1)))

    assert net.requires_grad_(False) is net
    assert [p.requires_grad for p in net.parameters()] == [False] * 4
    assert net(torch.rand(4, 2)).requires_grad is False


def test_requires_grad_thaws_by_default():
    """:meth:`~torch.nn.Module.requires_grad_` without an argument makes all parameters trainable."""
    net = nn.Linear(2, 3).requires_grad_(requires_grad=False)

    assert net.requires_grad_() is net
    assert [p.requires_grad for p in net.parameters()] == [True, True]


def test_freezing_keeps_the_parameters():
    """:meth:`~torch.nn.Module.requires_grad_` changes the parameters in place: an optimizer keeps them."""
    net = nn.Linear(2, 3)
    before = [id(p) for p in net.parameters()]
    net.requires_grad_(False)

    assert [id(p) for p in net.parameters()] == before


def test_requires_grad_leaves_buffers_alone():
    """:meth:`~torch.nn.Module.requires_grad_` changes parameters only, and leaves buffers as they are."""
    norm = nn.BatchNorm1d(2).requires_grad_(True)

    assert [p.requires_grad for p in norm.parameters()] == [True, True]
    assert [buffer.requires_grad for buffer in norm.buffers()] == [False] * 3


def test_a_part_is_frozen_on_its_own():
    """Freezing a submodule leaves the others as they are, and gradients flow through it."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    net[1].requires_grad_(False)
    net(torch.rand(4, 2)).sum().backward()

    assert [name for name, p in net.named_parameters() if p.grad is not None] == ["0.weight", "0.bias"]


@pytest.mark.observed
def test_whole_numbers_cannot_be_thawed():
    """``requires_grad_()`` raises ``RuntimeError`` for a parameter of integers; ``False`` is accepted."""
    net = nn.Module()
    net.index = nn.Parameter(torch.tensor([2, 3]), requires_grad=False)

    assert net.requires_grad_(False) is net
    with pytest.raises(RuntimeError, match="floating point"):
        net.requires_grad_()


def test_freezing_keeps_a_gradient_that_is_there():
    """Freezing a parameter leaves the gradient that it has; the next backward pass adds none."""
    layer = nn.Linear(2, 1)
    layer(torch.tensor([[5.0, 7.0]])).sum().backward()
    layer.weight.requires_grad_(False)
    layer(torch.tensor([[10.0, 30.0]])).sum().backward()

    assert layer.weight.grad.tolist() == [[5.0, 7.0]]
    assert layer.bias.grad.tolist() == [2.0]


def test_freezing_counts_at_the_backward_pass():
    """A parameter frozen after the call gets no gradient from the backward pass through it."""
    layer = nn.Linear(2, 1)
    output = layer(torch.tensor([[5.0, 7.0]])).sum()
    layer.weight.requires_grad_(False)
    output.backward()

    assert layer.weight.grad is None
    assert layer.bias.grad.tolist() == [1.0]


def test_an_attribute_does_not_freeze():
    """Setting ``requires_grad`` on a module makes a plain attribute and freezes nothing."""
    layer = nn.Linear(2, 3)
    layer.requires_grad = False

    assert vars(layer)["requires_grad"] is False
    assert [p.requires_grad for p in layer.parameters()] == [True, True]


def test_a_frozen_layer_may_be_replaced_by_a_trainable_one():
    """A new layer put into a frozen network is trainable."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 5)).requires_grad_(False)
    net[1] = nn.Linear(3, 1)

    assert [name for name, p in net.named_parameters() if p.requires_grad] == ["1.weight", "1.bias"]


@pytest.mark.parametrize("kind", ["frozen", "gradient_of_zeros"])
def test_weight_decay_spares_what_has_no_gradient(kind):
    """An optimizer leaves a parameter without a gradient alone; one with zeros is still decayed."""
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5, weight_decay=0.1)
    if kind == "frozen":
        layer.requires_grad_(False)
    else:
        layer.weight.grad = torch.zeros(1, 2)
    optimizer.step()

    expected = {"frozen": 3.0, "gradient_of_zeros": 3.0 - 0.5 * 0.1 * 3.0}[kind]
    assert torch.allclose(layer.weight, torch.full((1, 2), expected))


def test_a_frozen_parameter_with_an_old_gradient_moves_on():
    """An optimizer still moves a frozen parameter by the gradient that it kept.

    Only ``zero_grad`` after freezing stops it.
    """
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    layer(torch.tensor([[2.0, 4.0]])).sum().backward()
    layer.requires_grad_(False)
    optimizer.step()
    assert layer.weight.tolist() == [[2.0, 1.0]]

    optimizer.zero_grad()
    optimizer.step()
    assert layer.weight.tolist() == [[2.0, 1.0]]


def test_momentum_moves_a_parameter_whose_gradient_is_zero():
    """With momentum a parameter moves on while its gradient is zero, and rests while it is ``None``."""
    parameter = nn.Parameter(torch.tensor([3.0]))
    optimizer = torch.optim.SGD([parameter], lr=1.0, momentum=0.5)
    values = []
    for gradient in (torch.tensor([2.0]), torch.tensor([0.0]), None):
        parameter.grad = gradient
        optimizer.step()
        values.append(parameter.item())

    assert values == [1.0, 0.0, 0.0]

"""Writing first values into a parameter, in place.

A parameter is a leaf that asks for a gradient, and autograd lets nobody write into such a tensor. There are
three ways round: :class:`torch.no_grad`, the functions of :mod:`torch.nn.init`, and ``data``.
"""

import pytest
import torch
from torch import nn


@pytest.mark.claim("N2-25")
def test_writing_into_a_parameter_fails():
    """An in-place operation on a parameter ends in a ``RuntimeError`` and leaves its values."""
    weight = nn.Parameter(torch.tensor([1.5, 2.5]))

    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place"):
        weight.normal_()

    assert weight.tolist() == [1.5, 2.5]


@pytest.mark.claim("N2-25")
def test_writing_into_a_slice_fails():
    """Writing into a slice of a parameter fails too, as a view of a leaf."""
    weight = nn.Parameter(torch.tensor([1.5, 2.5]))

    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
        weight[0] = 7.0

    assert weight.tolist() == [1.5, 2.5]


@pytest.mark.claim("N2-25")
def test_under_no_grad_writing_is_allowed():
    """Under :class:`torch.no_grad` a parameter is written in place, and stays a leaf that requires a
    gradient.
    """
    weight = nn.Parameter(torch.tensor([1.5, 2.5, 3.5]))

    with torch.no_grad():
        weight.fill_(4.0)
        weight[1:] = 5.0

    assert weight.tolist() == [4.0, 5.0, 5.0]
    assert (weight.requires_grad, weight.is_leaf) == (True, True)


@pytest.mark.claim("N2-26")
def test_init_functions_need_no_context():
    """The functions of :mod:`torch.nn.init` write into a parameter without a ``no_grad`` of one's own."""
    weight = nn.Parameter(torch.full((20, 30), 50.0))

    result = nn.init.normal_(weight)

    assert result is weight
    assert abs(weight.mean().item()) < 0.5
    assert (weight.requires_grad, weight.is_leaf) == (True, True)


@pytest.mark.claim("N2-27")
def test_data_needs_no_context():
    """``weight.data.normal_()`` writes into the parameter without ``no_grad``."""
    weight = nn.Parameter(torch.full((20, 30), 50.0))

    weight.data.normal_()

    assert abs(weight.mean().item()) < 0.5
    assert weight.requires_grad is True


def test_a_frozen_parameter_needs_no_context():
    """A frozen parameter is written in place freely."""
    weight = nn.Parameter(torch.rand(2), requires_grad=False)

    weight.fill_(4.0)

    assert weight.tolist() == [4.0, 4.0]


@pytest.mark.claim("N2-30")
def test_apply_initialises_every_module():
    """:meth:`~torch.nn.Module.apply` hands every module to a function, so one function initialises a
    network.
    """

    def initialise(module):
        if isinstance(module, nn.Linear):
            nn.init.constant_(module.weight, 0.5)
            nn.init.constant_(module.bias, 0.25)

    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Linear(2, 1)))

    assert net.apply(initialise) is net
    assert [p.unique().tolist() for p in net.parameters()] == [[0.5], [0.25], [0.5], [0.25]]


@pytest.mark.claim("N2-30")
def test_apply_tells_nobody_what_was_missed():
    """A module that the applied function does not recognise keeps its values, without a word."""

    def initialise(module):
        if type(module) is nn.Linear:
            nn.init.constant_(module.weight, 0.5)

    class Head(nn.Linear):
        pass

    net = nn.Sequential(nn.Linear(20, 2, bias=False), Head(20, 2, bias=False))
    net.apply(initialise)

    assert net[0].weight.unique().tolist() == [0.5]
    assert len(net[1].weight.unique()) == 40

"""A shallow copy of a module.

``copy.copy`` makes a second module that shares its stores with the first. That is seldom what is wanted.
"""

import copy

import pytest
import torch
from torch import nn


def test_a_shallow_copy_shares_everything():
    """A shallow copy is another module with the same parameters, buffers and submodules."""
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    copied = copy.copy(net)

    assert copied is not net
    assert type(copied) is nn.Sequential
    assert [id(p) for p in copied.parameters()] == [id(p) for p in net.parameters()]
    assert [id(m) for m in copied.children()] == [id(m) for m in net.children()]


@pytest.mark.observed
def test_the_stores_are_shared():
    """What is registered on a shallow copy, or deleted from it, is so on the original."""
    net = nn.Linear(2, 3)
    copied = copy.copy(net)
    copied.scale = scale = nn.Parameter(torch.rand(2))
    del copied.bias

    assert [name for name, _ in net.named_parameters()] == ["weight", "scale"]
    assert net.scale is scale


@pytest.mark.observed
def test_hooks_are_shared():
    """A hook registered on a shallow copy is called for the original."""
    calls = []
    net = nn.Linear(2, 3)
    copied = copy.copy(net)
    copied.register_forward_hook(lambda module, args, output: calls.append(module))
    net(torch.rand(4, 2))

    assert calls == [net]


def test_plain_attributes_are_its_own():
    """A plain attribute set on a shallow copy leaves the original, ``training`` included."""
    net = nn.Dropout()
    net.width = 2
    copied = copy.copy(net)
    copied.width = 3
    copied.eval()

    assert (net.width, net.training) == (2, True)
    assert (copied.width, copied.training) == (3, False)


def test_submodules_are_switched_for_both():
    """Switching a shallow copy to evaluation switches the submodules of the original."""
    net = nn.Sequential(nn.Dropout())
    copy.copy(net).eval()

    assert (net.training, net[0].training) == (True, False)


def test_moving_a_shallow_copy_moves_both():
    """Converting a shallow copy converts the original."""
    net = nn.Linear(2, 3)
    copy.copy(net).double()

    assert [p.dtype for p in net.parameters()] == [torch.float64] * 2

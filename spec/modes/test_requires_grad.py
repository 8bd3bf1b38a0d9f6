"""Switching ``requires_grad`` for a whole module.

Freezing is no mode: it says which parameters are trained, not how a layer computes.
"""

import pytest
import torch
from torch import nn


def test_requires_grad_freezes():
    """``requires_grad_(False)`` freezes all parameters of a module and its submodules."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 1)))
    net.requires_grad_(False)

    assert [p.requires_grad for p in net.parameters()] == [False] * 4
    assert net(torch.rand(4, 2)).requires_grad is False


def test_requires_grad_thaws():
    """:meth:`~torch.nn.Module.requires_grad_` without an argument lets all parameters be trained again."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)).requires_grad_(False)
    net.requires_grad_()

    assert [p.requires_grad for p in net.parameters()] == [True] * 4


def test_requires_grad_returns_the_module():
    """:meth:`~torch.nn.Module.requires_grad_` returns the module itself."""
    net = nn.Linear(2, 3)

    assert net.requires_grad_(False) is net
    assert net.requires_grad_(requires_grad=True) is net


def test_a_part_is_frozen():
    """A submodule is frozen on its own, and the rest goes on being trained."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    net[0].requires_grad_(False)
    net(torch.rand(4, 2)).sum().backward()

    assert [p.requires_grad for p in net.parameters()] == [False, False, True, True]
    assert [p.grad is None for p in net.parameters()] == [True, True, False, False]


def test_parameters_stay_the_same():
    """:meth:`~torch.nn.Module.requires_grad_` changes the parameters in place: an optimizer keeps them."""
    net = nn.Linear(2, 3)
    before = [id(p) for p in net.parameters()]
    net.requires_grad_(False)

    assert [id(p) for p in net.parameters()] == before


def test_buffers_are_left_alone():
    """:meth:`~torch.nn.Module.requires_grad_` leaves buffers as they are."""
    net = nn.BatchNorm1d(3)
    net.requires_grad_(True)

    assert [b.requires_grad for b in net.buffers()] == [False, False, False]


def test_freezing_leaves_the_mode():
    """Freezing a module does not switch it to evaluation."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Dropout()).requires_grad_(False)

    assert [module.training for module in net.modules()] == [True, True, True]


@pytest.mark.observed
def test_integers_cannot_be_trained():
    """``requires_grad_()`` raises RuntimeError for a parameter of integers; ``False`` is fine."""
    net = nn.Module()
    net.index = nn.Parameter(torch.tensor([2, 3]), requires_grad=False)

    assert net.requires_grad_(False) is net
    with pytest.raises(RuntimeError, match="floating point"):
        net.requires_grad_()

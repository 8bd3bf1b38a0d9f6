"""The stores of a module: where its parameters, buffers and submodules are kept.

Every module has one store for each kind. A store holds what was set on the module itself; what its
submodules hold is in theirs.
"""

from collections import OrderedDict

import pytest
import torch
from torch import nn


@pytest.mark.claim("N2-08")
def test_stores_keep_the_order_of_registration():
    """A store keeps its entries in the order of registration, not by name."""
    net = nn.Module()
    net.w = nn.Parameter(torch.rand(2))
    net.b = nn.Parameter(torch.rand(3))
    net.a = nn.Parameter(torch.rand(4))

    assert list(net._parameters) == ["w", "b", "a"]


@pytest.mark.claim("N5-17")
def test_own_entries_only():
    """A store holds what was set on the module itself, not what its submodules hold."""
    net = nn.Module()
    net.scale = nn.Parameter(torch.rand(2))
    net.inner = nn.Linear(2, 3)

    assert list(net._parameters) == ["scale"]
    assert list(net._modules) == ["inner"]
    assert list(net.inner._parameters) == ["weight", "bias"]


@pytest.mark.claim("N2-02")
def test_a_sequential_has_every_store():
    """A :class:`~torch.nn.Sequential` has every store, as each module has; that of parameters is empty."""
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())

    assert isinstance(net, nn.Module)
    assert (net._parameters, net._buffers) == ({}, {})
    assert list(net._modules) == ["0", "1"]


@pytest.mark.claim("N2-10")
def test_a_convolution_has_no_submodules():
    """A :class:`~torch.nn.Conv2d` has no submodules, and the parameters ``weight`` and ``bias``."""
    layer = nn.Conv2d(2, 3, 5)

    assert layer._modules == {}
    assert list(layer._parameters) == ["weight", "bias"]


@pytest.mark.claim("N2-09")
def test_keys_are_names_of_attributes():
    """The keys of a store are names of attributes; the values are what was registered, or ``None``."""
    net = nn.Module()
    net.scale = scale = nn.Parameter(torch.rand(2))
    net.inner = inner = nn.ReLU()
    net.register_parameter("bias", None)

    assert net._parameters == {"scale": scale, "bias": None}
    assert net._modules == {"inner": inner}


@pytest.mark.claim("N2-07")
@pytest.mark.before("2.5")
@pytest.mark.observed
def test_stores_are_ordered_dicts():
    """A module keeps its parameters, buffers and submodules in ``OrderedDict`` stores."""
    net = nn.BatchNorm1d(4)

    assert [type(store) for store in (net._parameters, net._buffers, net._modules)] == [OrderedDict] * 3


@pytest.mark.claim("N2-07")
@pytest.mark.since("2.5")
@pytest.mark.observed
def test_stores_are_plain_dicts():
    """A module keeps its parameters, buffers and submodules in plain ``dict`` stores.

    Code that calls ``move_to_end`` on a store fails from torch 2.5 on (:pull:`129164`).
    """
    net = nn.BatchNorm1d(4)

    assert [type(store) for store in (net._parameters, net._buffers, net._modules)] == [dict] * 3

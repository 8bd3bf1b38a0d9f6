"""The dictionaries in which a module keeps its parameters, buffers and submodules.

They are ``_parameters``, ``_buffers`` and ``_modules``. Each holds what was set on the module itself; what
its submodules hold is in theirs.
"""

from collections import OrderedDict

import pytest
import torch
from torch import nn


@pytest.mark.claim("N2-08")
def test_stores_keep_the_order_of_registration():
    """``_parameters``, ``_buffers`` and ``_modules`` keep the order of registration, not alphabetical order.

    State dicts, optimizers and ``repr`` follow it.
    """
    net = nn.Module()
    net.w, net.b = nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(3))
    net.register_buffer("var", torch.rand(2))
    net.register_buffer("mean", torch.rand(2))
    net.tail, net.head = nn.ReLU(), nn.Tanh()
    many = nn.Sequential(*(nn.ReLU() for _ in range(12)))

    assert list(net._parameters) == ["w", "b"]
    assert list(net._buffers) == ["var", "mean"]
    assert list(net._modules) == ["tail", "head"]
    assert list(many._modules) == [str(i) for i in range(12)]
    assert list(net.state_dict()) == ["w", "b", "var", "mean"]
    assert torch.optim.SGD(net.parameters(), lr=0.1).param_groups[0]["params"] == [net.w, net.b]
    assert repr(net) == "Module(\n  (tail): ReLU()\n  (head): Tanh()\n)"


@pytest.mark.claim("N5-17")
def test_own_entries_only():
    """``_parameters``, ``_buffers``, ``_modules`` hold the entries of a module, not those of its submodules.

    What the submodules hold is in theirs. :meth:`~torch.nn.Module.named_parameters` yields all of them.
    """
    net = nn.Module()
    net.scale = nn.Parameter(torch.rand(2))
    norm = nn.BatchNorm1d(3)
    norm.act = nn.ReLU()
    net.norm = norm

    assert list(net._parameters) == ["scale"]
    assert list(net._buffers) == []
    assert list(net._modules) == ["norm"]
    assert list(net.norm._parameters) == ["weight", "bias"]
    assert list(net.norm._buffers) == ["running_mean", "running_var", "num_batches_tracked"]
    assert list(net.norm._modules) == ["act"]
    assert [name for name, _ in net.named_parameters()] == ["scale", "norm.weight", "norm.bias"]


@pytest.mark.claim("N2-02")
def test_a_sequential_has_every_store():
    """A new :class:`~torch.nn.Sequential` has empty ``_parameters`` and ``_buffers``; its layers are in
    ``_modules``.
    """
    linear, norm = nn.Linear(2, 3), nn.BatchNorm1d(3)
    net = nn.Sequential(linear, norm)

    assert net._parameters == {}
    assert net._buffers == {}
    assert net._modules == {"0": linear, "1": norm}


@pytest.mark.claim("N2-10")
def test_a_convolution_has_no_submodules():
    """An :class:`nn.Conv2d <torch.nn.Conv2d>` has parameters ``weight`` and ``bias``, and no submodules."""
    layer = nn.Conv2d(2, 3, 5)

    assert layer._modules == {}
    assert list(layer._parameters) == ["weight", "bias"]


@pytest.mark.claim("N2-09")
def test_keys_are_names_of_attributes():
    """``_parameters``, ``_buffers`` and ``_modules`` map attribute names to parameters, buffers and modules.

    A value is ``None`` where the entry is empty.
    """
    net = nn.Module()
    scale, mean, inner = nn.Parameter(torch.rand(2)), torch.rand(2), nn.ReLU()
    net.scale, net.inner = scale, inner
    net.register_parameter("bias", None)
    net.register_buffer("mean", mean)
    net.register_buffer("var", None)
    net.add_module("last", None)

    assert net._parameters == {"scale": scale, "bias": None}
    assert net._buffers == {"mean": mean, "var": None}
    assert net._modules == {"inner": inner, "last": None}


@pytest.mark.claim("N2-07")
@pytest.mark.before("2.5")
def test_stores_are_ordered_dicts():
    """``_parameters``, ``_buffers`` and ``_modules`` of a new module are of type ``OrderedDict``."""
    net = nn.BatchNorm1d(4)

    assert [type(store) for store in (net._parameters, net._buffers, net._modules)] == [OrderedDict] * 3


@pytest.mark.claim("N2-07")
@pytest.mark.since("2.5")
def test_stores_are_plain_dicts():
    """``_parameters``, ``_buffers`` and ``_modules`` of a new module are of type ``dict``.

    Code that calls ``move_to_end`` on one of them fails from torch 2.5 on (:pull:`129164`). Deleting a layer
    of a :class:`~torch.nn.Sequential` still leaves an ``OrderedDict``.
    """
    stack = nn.Sequential(nn.ReLU(), nn.Tanh())

    for net in (nn.BatchNorm1d(4), stack, nn.ModuleList(), nn.ModuleDict(), nn.ParameterDict()):
        assert [type(store) for store in (net._parameters, net._buffers, net._modules)] == [dict] * 3

    del stack[0]
    assert type(stack._modules) is OrderedDict

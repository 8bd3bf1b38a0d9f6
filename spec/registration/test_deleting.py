"""Deleting an attribute.

``del`` removes a registered attribute from ``_parameters``, ``_buffers`` or ``_modules``. The name is free
afterwards, for anything.
"""

import pytest
import torch
from torch import nn


def test_a_parameter_is_deleted():
    """``del layer.bias`` removes the parameter from the module, and its name from ``_parameters``.

    Where ``forward`` reads ``layer.bias`` it fails then; ``layer.bias = None`` keeps the name.
    """
    layer = nn.Linear(2, 3)
    del layer.bias

    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert list(layer._parameters) == ["weight"]
    assert not hasattr(layer, "bias")
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'bias'"):
        layer(torch.rand(4, 2))

    other = nn.Linear(2, 3)
    other.bias = None
    assert list(other._parameters) == ["weight", "bias"]


def test_a_buffer_is_deleted():
    """``del layer.running_mean`` removes a buffer from its module."""
    layer = nn.BatchNorm1d(4)
    del layer.running_mean

    assert list(layer._buffers) == ["running_var", "num_batches_tracked"]
    assert not hasattr(layer, "running_mean")

    layer.running_mean = torch.rand(4)
    assert list(layer._buffers) == ["running_var", "num_batches_tracked"]


def test_a_submodule_is_deleted():
    """``del net.inner`` removes a submodule from its module."""
    net = nn.Module()
    net.inner, net.empty, net.last = nn.ReLU(), nn.ModuleList(), nn.Tanh()
    del net.inner, net.empty

    assert list(net._modules) == ["last"]
    assert [hasattr(net, name) for name in ("inner", "empty")] == [False, False]


def test_a_plain_attribute_is_deleted():
    """``del net.width`` removes a plain attribute from a module."""
    net = nn.Module()
    net.width, net.depth = 2, 3
    del net.width

    assert not hasattr(net, "width")
    assert net.depth == 3


@pytest.mark.parametrize("name", ["bias", "running_mean", "inner"])
def test_an_empty_entry_is_deleted(name):
    """``del net.bias`` removes the entry of a parameter, a buffer or a submodule that is ``None``."""
    net = nn.Module()
    net.register_parameter("bias", None)
    net.register_buffer("running_mean", None)
    net.add_module("inner", None)
    names = {*net._parameters, *net._buffers, *net._modules}
    delattr(net, name)

    assert names - {*net._parameters, *net._buffers, *net._modules} == {name}
    assert not hasattr(net, name)


def test_the_name_is_free_afterwards():
    """After ``del layer.bias`` the name ``bias`` can be reused for a plain tensor, a buffer or a module."""
    layer = nn.Linear(2, 3)
    del layer.bias
    layer.bias = torch.rand(3)
    assert "bias" in vars(layer)

    del layer.bias
    layer.register_buffer("bias", torch.rand(3))
    assert list(layer._buffers) == ["bias"]

    del layer.bias
    layer.add_module("bias", nn.ReLU())
    assert list(layer._modules) == ["bias"]

    del layer.bias
    layer.bias = nn.Tanh()
    assert list(layer._modules) == ["bias"]
    assert list(layer._parameters) == ["weight"]


def test_a_deleted_buffer_is_forgotten():
    """Deleting a non-persistent buffer removes its name from ``_non_persistent_buffers_set``.

    A buffer that is given the name later is persistent again.
    """
    net = nn.Module()
    net.register_buffer("cache", torch.rand(2), persistent=False)
    net.register_buffer("mask", torch.rand(2), persistent=False)
    net.register_buffer("unset", None, persistent=False)
    del net.cache, net.unset

    assert net._non_persistent_buffers_set == {"mask"}

    net.register_buffer("cache", torch.rand(2))
    assert list(net.state_dict()) == ["cache"]


def test_one_of_two_names_is_deleted():
    """If a module is registered under two names, ``del net.first`` removes only the name ``first``."""
    net = nn.Module()
    layer = nn.Linear(2, 3)
    net.first = net.second = layer
    del net.first

    assert net._modules == {"second": layer}
    assert [name for name, _ in net.named_parameters()] == ["second.weight", "second.bias"]


def test_deleting_what_is_not_there():
    """``del net.bias`` raises ``AttributeError`` if ``net`` itself has no ``bias``, even if a submodule has
    one.
    """
    net = nn.Sequential(nn.Linear(2, 3))

    for owner in (net, nn.ReLU()):
        with pytest.raises(AttributeError, match="bias"):
            del owner.bias


def test_what_the_class_defines_is_not_deleted():
    """``del net.forward`` raises ``AttributeError``, as ``forward`` is defined by the class of the module."""
    net = nn.Linear(2, 3)

    with pytest.raises(AttributeError, match="forward"):
        del net.forward

    net.forward = "plain"
    del net.forward

    assert net.forward(torch.rand(4, 2)).shape == (4, 3)


def test_the_store_comes_before_dict():
    """``del net.x`` looks for ``x`` in parameters first, then in buffers, submodules and plain attributes."""
    net = nn.Module()
    net._modules["x"] = nn.ReLU()
    net._buffers["x"] = torch.rand(2)
    net._parameters["x"] = nn.Parameter(torch.rand(2))
    net.__dict__["x"] = "plain"
    stores = [net._parameters, net._buffers, net._modules, net.__dict__]

    left = []
    for _ in stores:
        del net.x
        left.append(["x" in store for store in stores])

    assert left == [
        [False, True, True, True],
        [False, False, True, True],
        [False, False, False, True],
        [False, False, False, False],
    ]

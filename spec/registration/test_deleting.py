"""Deleting an attribute.

``del`` removes a registered attribute from its store. The name is free afterwards, for anything.
"""

import pytest
import torch
from torch import nn


def test_a_parameter_is_deleted():
    """``del`` removes a parameter from the module together with its entry."""
    layer = nn.Linear(2, 3)
    del layer.bias

    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert list(layer._parameters) == ["weight"]
    assert not hasattr(layer, "bias")


def test_a_buffer_is_deleted():
    """``del`` removes a buffer from the module."""
    layer = nn.BatchNorm1d(4)
    del layer.running_mean

    assert list(layer._buffers) == ["running_var", "num_batches_tracked"]
    assert not hasattr(layer, "running_mean")


def test_a_submodule_is_deleted():
    """``del`` removes a submodule from the module."""
    net = nn.Module()
    net.inner, net.last = nn.ReLU(), nn.Tanh()
    del net.inner

    assert list(net._modules) == ["last"]
    assert not hasattr(net, "inner")


def test_a_plain_attribute_is_deleted():
    """``del`` removes a plain attribute from the module."""
    net = nn.Module()
    net.width, net.depth = 2, 3
    del net.width

    assert not hasattr(net, "width")
    assert net.depth == 3


@pytest.mark.parametrize("name", ["bias", "running_mean", "inner"])
def test_an_empty_entry_is_deleted(name):
    """``del`` removes an empty entry from its store."""
    net = nn.Module()
    net.register_parameter("bias", None)
    net.register_buffer("running_mean", None)
    net.add_module("inner", None)
    delattr(net, name)

    assert name not in {*net._parameters, *net._buffers, *net._modules}
    assert len({*net._parameters, *net._buffers, *net._modules}) == 2


def test_the_name_is_free_afterwards():
    """A name that was deleted can be given to anything."""
    layer = nn.Linear(2, 3)
    del layer.bias
    layer.bias = torch.rand(3)

    assert "bias" in vars(layer)

    del layer.bias
    layer.register_buffer("bias", torch.rand(3))

    assert (list(layer._parameters), list(layer._buffers)) == (["weight"], ["bias"])


@pytest.mark.observed
def test_a_deleted_buffer_is_forgotten():
    """A non-persistent buffer that is deleted is no longer noted as non-persistent."""
    net = nn.Module()
    net.register_buffer("cache", torch.rand(2), persistent=False)
    net.register_buffer("mask", torch.rand(2), persistent=False)
    del net.cache

    assert net._non_persistent_buffers_set == {"mask"}


def test_one_of_two_names_is_deleted():
    """``del`` removes one name; the same object under another name stays."""
    net = nn.Module()
    net.first = net.second = nn.Linear(2, 3)
    del net.first

    assert [name for name, _ in net.named_parameters()] == ["second.weight", "second.bias"]


def test_deleting_what_is_not_there():
    """``del`` of a name that stands for nothing raises ``AttributeError``."""
    net = nn.Sequential(nn.Linear(2, 3))

    with pytest.raises(AttributeError, match="bias"):
        del net.bias


def test_what_the_class_defines_is_not_deleted():
    """``del`` of a name that only the class defines raises ``AttributeError``."""
    net = nn.Linear(2, 3)

    with pytest.raises(AttributeError, match="forward"):
        del net.forward

    assert "forward" in vars(nn.Linear)


@pytest.mark.observed
def test_the_store_comes_before_dict():
    """``del`` of a name that is both registered and plain removes the registered one first."""
    net = nn.Module()
    net._modules["x"] = nn.ReLU()
    net._buffers["x"] = torch.rand(2)
    net._parameters["x"] = nn.Parameter(torch.rand(2))
    net.__dict__["x"] = "plain"
    left = []
    for _ in range(4):
        left.append(("x" in net._parameters, "x" in net._buffers, "x" in net._modules))
        del net.x

    assert left == [(True, True, True), (False, True, True), (False, False, True), (False, False, False)]
    assert "x" not in vars(net)

"""The state dict: the tensors of a module by name.

It is the usual thing to save of a module: values only, no code.
"""

from collections import OrderedDict

import pytest
import torch
from torch import nn


@pytest.mark.claim("N4-02")
def test_keys_are_dotted_names():
    """:meth:`~torch.nn.Module.state_dict` is an ``OrderedDict`` from dotted names to tensors.

    A module without parameters and buffers, such as :class:`~torch.nn.ReLU`, leaves no key.
    """
    state = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)).state_dict()

    assert type(state) is OrderedDict
    assert list(state) == ["0.weight", "0.bias", "2.weight", "2.bias"]


@pytest.mark.claim("N4-03")
def test_an_inner_layer_has_no_prefix():
    """The state dict of an inner layer has the layer's own names, without the path to it."""
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))

    assert list(net[2].state_dict()) == ["weight", "bias"]


def test_without_state_it_is_empty():
    """The state dict of a module without parameters and buffers is empty."""
    assert nn.Sequential(nn.ReLU(), nn.Dropout(0.3)).state_dict() == {}


@pytest.mark.claim("N4-07")
def test_one_value_is_reached_by_its_key():
    """A key of the state dict reaches the values of one parameter; writing there writes the module."""
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))

    net.state_dict()["2.bias"].data.fill_(0.25)

    assert net[2].bias.tolist() == [0.25]


def test_values_are_references(device):
    """The tensors of a state dict share memory with the module, on its device; they are no copies.

    To keep the values of this moment, clone each of them or use ``copy.deepcopy``.
    """
    layer = nn.Linear(2, 3, device=device)
    state = layer.state_dict()

    with torch.no_grad():
        layer.bias.fill_(0.5)

    assert state["bias"].tolist() == [0.5, 0.5, 0.5]
    assert {key: value.data_ptr() for key, value in state.items()} == {
        "weight": layer.weight.data_ptr(),
        "bias": layer.bias.data_ptr(),
    }


def test_an_optimizer_step_changes_a_kept_state_dict():
    """A state dict that was put aside follows every later step of the optimizer."""
    layer = nn.Linear(2, 3, bias=False)
    best = layer.state_dict()
    before = best["weight"].clone()

    layer(torch.tensor([[1.0, 2.0]])).sum().backward()
    torch.optim.SGD(layer.parameters(), lr=0.5).step()

    assert torch.equal(before - best["weight"], torch.tensor([[0.5, 1.0]] * 3))


def test_values_are_detached():
    """The values are plain detached tensors, not :class:`~torch.nn.parameter.Parameter` objects."""
    norm = nn.BatchNorm1d(2)

    state = norm.state_dict()

    assert {type(value) for value in state.values()} == {torch.Tensor}
    assert [value.requires_grad for value in state.values()] == [False] * 5
    assert state["running_mean"] is not norm.running_mean


def test_keep_vars_gives_the_objects_themselves():
    """With ``keep_vars=True`` the values are the very parameters and buffers of the module."""
    norm = nn.BatchNorm1d(2)

    state = norm.state_dict(keep_vars=True)

    assert {key: id(value) for key, value in state.items()} == {
        "weight": id(norm.weight),
        "bias": id(norm.bias),
        "running_mean": id(norm.running_mean),
        "running_var": id(norm.running_var),
        "num_batches_tracked": id(norm.num_batches_tracked),
    }


def test_keep_vars_reaches_submodules():
    """``keep_vars=True`` holds for submodules at any depth."""
    net = nn.Sequential(nn.Linear(2, 3))

    assert net.state_dict(keep_vars=True)["0.weight"] is net[0].weight


def test_order_is_parameters_buffers_submodules():
    """A module's parameters come first, then its buffers, then its submodules, each as registered."""
    net = nn.Module()
    net.inner = nn.Linear(2, 3)
    net.register_buffer("steps", torch.tensor(4))
    net.scale = nn.Parameter(torch.rand(2))
    net.alpha = nn.Parameter(torch.rand(2))

    assert list(net.state_dict()) == ["scale", "alpha", "steps", "inner.weight", "inner.bias"]


def test_entries_of_none_leave_no_key():
    """Parameters, buffers and submodules that are ``None`` leave no key."""
    net = nn.Module()
    net.register_parameter("scale", None)
    net.register_buffer("mask", None)
    net.register_module("head", None)
    net.body = nn.Linear(2, 3, bias=False)

    assert list(net.state_dict()) == ["body.weight"]


def test_frozen_parameters_are_included():
    """Frozen parameters are in the state dict like all others."""
    layer = nn.Linear(2, 3).requires_grad_(False)

    assert list(layer.state_dict()) == ["weight", "bias"]


def test_plain_attributes_are_left_out():
    """Plain tensors, numbers, lists of modules and ``training`` are not in the state dict."""
    net = nn.Module()
    net.plain = torch.rand(2)
    net.rate = 0.3
    net.blocks = [nn.Linear(2, 3)]
    net.scale = nn.Parameter(torch.rand(2))

    assert list(net.state_dict()) == ["scale"]


def test_each_call_makes_a_new_dict():
    """Every call makes a new dict: adding to it or deleting from it leaves the module as it was."""
    layer = nn.Linear(2, 3)
    state = layer.state_dict()

    del state["weight"]
    state["epoch"] = 7

    assert list(layer.state_dict()) == ["weight", "bias"]


def test_a_replaced_parameter_is_not_followed():
    """After a parameter is replaced, an older state dict still holds the old tensor."""
    layer = nn.Linear(2, 3)
    state = layer.state_dict()
    old = layer.weight

    layer.weight = nn.Parameter(torch.rand(3, 2))

    assert state["weight"].data_ptr() == old.data_ptr()
    assert state["weight"].data_ptr() != layer.weight.data_ptr()


@pytest.mark.observed
def test_one_module_may_save_its_own_part():
    """A module that overrides ``_save_to_state_dict`` decides what its own part holds.

    It is called with the dict to fill, the prefix and ``keep_vars``; submodules are saved separately.
    """
    calls = []

    class Table(nn.Module):
        def _save_to_state_dict(self, destination, prefix, keep_vars):
            calls.append((sorted(destination), prefix, keep_vars))
            destination[prefix + "rows"] = torch.tensor([5, 6])

    net = nn.ModuleDict({"first": nn.Linear(2, 3), "table": Table()})

    assert list(net.state_dict(keep_vars=True)) == ["first.weight", "first.bias", "table.rows"]
    assert calls == [(["first.bias", "first.weight"], "table.", True)]

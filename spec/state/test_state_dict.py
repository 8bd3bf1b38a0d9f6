"""The state dict: the tensors of a module by name.

It is the usual thing to save of a module: values only, no code.
"""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn


@pytest.mark.claim("N4-02")
def test_keys_are_dotted_names():
    """:meth:`~torch.nn.Module.state_dict` returns an ``OrderedDict`` that maps dotted names such as
    ``0.weight`` to tensors.

    The keys are those of :meth:`~torch.nn.Module.named_parameters` and of the persistent buffers: renaming an
    attribute or wrapping the module changes them and breaks older checkpoints. A module without parameters
    and buffers, such as :class:`~torch.nn.ReLU`, leaves no key.
    """
    norm = nn.InstanceNorm1d(8, track_running_stats=True)
    norm.register_buffer("cache", torch.rand(2), persistent=False)
    state = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(norm)).state_dict()

    assert type(state) is OrderedDict
    assert list(state) == [
        *["0.weight", "0.bias"],
        *["2.0.running_mean", "2.0.running_var", "2.0.num_batches_tracked"],
    ]
    assert [tuple(value.shape) for value in state.values()] == [(8, 4), (8,), (8,), (8,), ()]


@pytest.mark.claim("N4-03")
def test_an_inner_layer_has_no_prefix():
    """:meth:`~torch.nn.Module.state_dict` of a submodule such as ``net[2]`` has keys without its prefix:
    ``weight``, not ``2.weight``.

    To load it into the whole model, or a part of the whole into the layer, put the prefix on or take it off.
    """
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))

    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert list(net[2].state_dict()) == ["weight", "bias"]


def test_without_state_it_is_empty():
    """:meth:`~torch.nn.Module.state_dict` of a module without parameters, buffers and extra state is an
    empty ``OrderedDict``.
    """
    state = nn.Sequential(nn.ReLU(), nn.Dropout(0.3)).state_dict()

    assert type(state) is OrderedDict
    assert list(state) == []


@pytest.mark.claim("N4-07")
def test_one_value_is_reached_by_its_key():
    """Changing a tensor in :meth:`~torch.nn.Module.state_dict` in place, as by ``fill_()``, changes the
    module's parameter.

    Assigning to the key, ``state["2.bias"] = ...``, changes the dict only.
    """
    net = nn.Sequential(nn.Conv2d(2, 3, 2), nn.ReLU(), nn.Linear(8, 1)).to(memory_format=torch.channels_last)
    net[2].requires_grad_(False)
    state = net.state_dict()

    for value in state.values():
        value.fill_(0.25)
    assert [p.unique().tolist() for p in net.parameters()] == [[0.25]] * 4

    for key in state:
        state[key] = torch.tensor([0.75])
    assert [p.unique().tolist() for p in net.parameters()] == [[0.25]] * 4


def test_values_are_references(device):
    """The tensors in :meth:`~torch.nn.Module.state_dict` share memory with the module's parameters, on the
    same device.

    A "best" state that is kept during training still changes with the model. To keep the values of this
    moment, use ``copy.deepcopy(model.state_dict())`` or save it to a file.
    """
    net = nn.Sequential(nn.Conv2d(2, 3, 2, device=device)).to(memory_format=torch.channels_last)
    net.scale = nn.Parameter(torch.tensor(3.0, device=device))
    state = net.state_dict()

    with torch.no_grad():
        net[0].bias.copy_(torch.tensor([0.5, 0.75, 2.0]))

    assert state["0.bias"].tolist() == [0.5, 0.75, 2.0]
    assert [value.device.type for value in state.values()] == [device] * 3
    assert [value.data_ptr() for value in state.values()] == [p.data_ptr() for p in net.parameters()]
    assert state["0.weight"].stride() == net[0].weight.stride() == (8, 1, 4, 2)


def test_an_optimizer_step_changes_a_kept_state_dict():
    """``optimizer.step()`` also changes an earlier :meth:`model.state_dict() <torch.nn.Module.state_dict>`,
    but not a ``deepcopy`` of it.

    See also :ref:`state.files.a_file_is_a_snapshot`
    """
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    best, copied = layer.state_dict(), copy.deepcopy(layer.state_dict())

    layer(torch.tensor([[1.0, 2.0]])).sum().backward()
    torch.optim.SGD(layer.parameters(), lr=0.5).step()

    assert best["weight"].tolist() == [[2.5, 2.0]]
    assert copied["weight"].tolist() == [[3.0, 3.0]]


def test_values_are_detached():
    """:meth:`~torch.nn.Module.state_dict` holds detached tensors, not ``nn.Parameter`` objects.

    They share memory with the module all the same. ``keep_vars=True`` gives the parameters themselves.
    """
    norm = nn.BatchNorm1d(2)
    norm.running_mean.requires_grad_()
    norm.bias.requires_grad_(False)

    net = nn.Sequential(norm)
    state, variables = net.state_dict(), net.state_dict(keep_vars=True)

    assert {type(value) for value in state.values()} == {torch.Tensor}
    assert [value.requires_grad for value in state.values()] == [False] * 5
    assert state["0.running_mean"] is not norm.running_mean
    assert [v.data_ptr() for v in state.values()] == [v.data_ptr() for v in variables.values()]
    assert variables["0.weight"] is norm.weight


def test_keep_vars_gives_the_objects_themselves():
    """``state_dict(keep_vars=True)`` holds the module's parameter and buffer objects themselves."""
    norm = nn.BatchNorm1d(2)
    ids = {
        "weight": id(norm.weight),
        "bias": id(norm.bias),
        "running_mean": id(norm.running_mean),
        "running_var": id(norm.running_var),
        "num_batches_tracked": id(norm.num_batches_tracked),
    }

    for net, prefix in ((norm, ""), (nn.Sequential(norm), "0.")):
        state = net.state_dict(keep_vars=True)
        assert {key: id(value) for key, value in state.items()} == {prefix + name: ids[name] for name in ids}


def test_keep_vars_reaches_submodules():
    """``state_dict(keep_vars=True)`` also holds the parameter objects of submodules at any depth."""
    net = nn.Sequential(nn.PReLU(), nn.Sequential(nn.PReLU()))

    state = net.state_dict(keep_vars=True)

    assert state["0.weight"] is net[0].weight
    assert state["1.0.weight"] is net[1][0].weight


def test_order_is_parameters_buffers_submodules():
    """The keys of :meth:`~torch.nn.Module.state_dict` are a module's parameters, then its buffers, then those
    of its submodules.

    Within each kind the order is that of registration.
    """
    net = nn.Module()
    net.inner = nn.Linear(2, 3)
    net.first = nn.PReLU()
    net.register_buffer("steps", torch.tensor(4))
    net.register_buffer("age", torch.tensor(5))
    net.scale = nn.Parameter(torch.rand(2))
    net.alpha = nn.Parameter(torch.rand(2))

    assert list(net.state_dict()) == [
        *["scale", "alpha", "steps", "age"],
        *["inner.weight", "inner.bias", "first.weight"],
    ]


def test_entries_of_none_leave_no_key():
    """Parameters, buffers and submodules that are ``None`` have no key in ``state_dict()``."""
    net = nn.Module()
    net.register_parameter("scale", None)
    net.register_buffer("mask", None)
    net.register_module("head", None)
    net.body = nn.Linear(2, 3, bias=False)

    assert list(net.state_dict()) == ["body.weight"]
    assert list(nn.Sequential(net).state_dict(keep_vars=True)) == ["0.body.weight"]


def test_frozen_parameters_are_included():
    """:meth:`~torch.nn.Module.state_dict` includes frozen parameters (``requires_grad=False``) like all
    others.
    """
    net = nn.Sequential(nn.PReLU().requires_grad_(False), nn.Linear(1, 2))
    nn.init.constant_(net[1].weight, 3.0).requires_grad_(False)
    nn.init.constant_(net[1].bias, 5.0)

    for keep_vars in (False, True):
        state = net.state_dict(keep_vars=keep_vars)
        assert {key: value.tolist() for key, value in state.items()} == {
            "0.weight": [0.25],
            "1.weight": [[3.0], [3.0]],
            "1.bias": [5.0, 5.0],
        }


def test_plain_attributes_are_left_out():
    """:meth:`~torch.nn.Module.state_dict` leaves out plain attributes: tensors, numbers, lists of modules,
    and ``self.training``.

    What has to be saved is registered: tensors with :meth:`~torch.nn.Module.register_buffer`, modules in a
    :class:`~torch.nn.ModuleList`. Other values go into extra state, or beside the state dict in a
    checkpoint.
    """
    net = nn.Module()
    net.plain = torch.rand(2, requires_grad=True)
    net.rate = 0.3
    net.blocks = [nn.Linear(2, 3)]
    net.scale = nn.Parameter(torch.rand(2))

    assert list(net.state_dict()) == ["scale"]
    assert list(nn.Sequential(net).state_dict()) == ["0.scale"]
    assert net.training is True


def test_each_call_makes_a_new_dict():
    """Each call of :meth:`~torch.nn.Module.state_dict` without ``destination`` returns a new dict.

    Adding to it or deleting from it leaves the module as it was.
    """
    layer = nn.Linear(2, 3)
    state = layer.state_dict()

    del state["weight"]
    state["epoch"] = 7

    again = layer.state_dict()
    assert again is not state
    assert (list(again), list(state)) == (["weight", "bias"], ["bias", "epoch"])
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]


def test_a_replaced_parameter_is_not_followed():
    """After ``layer.weight = nn.Parameter(...)``, an earlier :meth:`~torch.nn.Module.state_dict` still
    holds the old values.
    """
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    state = layer.state_dict()

    layer.weight = nn.Parameter(torch.tensor([[5.0, 7.0]]))

    assert state["weight"].tolist() == [[3.0, 3.0]]
    assert layer.state_dict()["weight"].tolist() == [[5.0, 7.0]]


def test_one_module_may_save_its_own_part():
    """A module can override ``_save_to_state_dict`` to choose its own entries in ``state_dict()``.

    It is called with the dict to fill, the prefix and ``keep_vars``; submodules are saved separately.
    """
    calls = []

    class Table(nn.Module):
        def _save_to_state_dict(self, destination, prefix, keep_vars):
            calls.append((list(destination), prefix, keep_vars))
            destination[prefix + "rows"] = torch.tensor([5, 6])

    table = Table()
    table.ignored = nn.Parameter(torch.rand(2))
    table.inner = nn.PReLU()
    net = nn.ModuleDict({"first": nn.PReLU(), "table": table})

    state = net.state_dict(keep_vars=True)

    assert list(state) == ["first.weight", "table.rows", "table.inner.weight"]
    assert state["table.rows"].tolist() == [5, 6]
    assert calls == [(["first.weight"], "table.", True)]

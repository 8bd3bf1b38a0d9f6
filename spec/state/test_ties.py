"""Tied weights in the state dict: one tensor under several names.

Where two modules share a parameter, the state dict has it under each of its names.
"""

import io

import pytest
import torch
from torch import nn


@pytest.mark.question("Q63")
def test_every_name_is_a_key():
    """A tied weight is in the state dict under each of its names, each time in the same memory.

    Formats that refuse shared memory, such as safetensors, therefore refuse the state dict.
    """
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[1].weight = net[0].weight

    state = net.state_dict()

    assert [name for name, _ in net.named_parameters()] == ["0.weight"]
    assert list(state) == ["0.weight", "1.weight"]
    assert state["0.weight"].data_ptr() == state["1.weight"].data_ptr()


@pytest.mark.question("Q63")
def test_tied_values_are_different_objects():
    """The values of a tied weight are two tensor objects; with ``keep_vars=True`` they are one."""
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[1].weight = net[0].weight

    state, variables = net.state_dict(), net.state_dict(keep_vars=True)

    assert state["0.weight"] is not state["1.weight"]
    assert variables["0.weight"] is variables["1.weight"]


def test_a_shared_module_is_saved_under_each_name():
    """A module that is registered twice is saved under each of its names."""
    layer = nn.PReLU()

    assert list(nn.Sequential(layer, layer).state_dict()) == ["0.weight", "1.weight"]


def test_loading_keeps_weights_tied():
    """Loading copies in place and so keeps tied weights tied."""
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[1].weight = net[0].weight

    net.load_state_dict(nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)).state_dict())

    assert net[0].weight is net[1].weight


def test_the_last_name_wins():
    """Where the values for a tied weight differ, the one that is loaded last remains, in silence."""
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[1].weight = net[0].weight

    net.load_state_dict({"1.weight": torch.full((3, 3), 2.0), "0.weight": torch.full((3, 3), 5.0)})

    assert torch.equal(net[0].weight, torch.full((3, 3), 2.0))


@pytest.mark.question("Q63")
def test_each_name_is_missed():
    """A name of a tied weight that was dropped from the dict is a missing key, though its values came.

    What was saved without duplicates is loaded with ``strict=False``.
    """
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[1].weight = net[0].weight
    value = torch.arange(9.0).view(3, 3)

    result = net.load_state_dict({"0.weight": value}, strict=False)

    assert result.missing_keys == ["1.weight"]
    assert torch.equal(net[1].weight, value)


@pytest.mark.question("Q63")
def test_a_file_keeps_the_tie():
    """A tied weight that went through a file is two tensors in the same memory, as it was before."""
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[1].weight = net[0].weight
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)

    state = torch.load(file, weights_only=True)

    assert list(state) == ["0.weight", "1.weight"]
    assert state["0.weight"].data_ptr() == state["1.weight"].data_ptr()

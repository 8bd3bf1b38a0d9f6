"""Tied weights in the state dict: one tensor under several names.

Where two modules share a parameter, the state dict has it under each of its names.
"""

import io

import pytest
import torch
from torch import nn


def tied():
    """Two layers with one weight."""
    net = nn.ModuleDict({"encoder": nn.Linear(3, 3, bias=False), "decoder": nn.Linear(3, 3, bias=False)})
    net["decoder"].weight = net["encoder"].weight
    return net


@pytest.mark.question("Q63")
def test_every_name_is_a_key():
    """A tied weight is in the state dict under each of its names, in the same memory.

    Formats that refuse shared memory, such as safetensors, therefore refuse the state dict.
    """
    net = tied()

    state = net.state_dict()

    assert [name for name, _ in net.named_parameters()] == ["encoder.weight"]
    assert list(state) == ["encoder.weight", "decoder.weight"]
    assert state["encoder.weight"].data_ptr() == state["decoder.weight"].data_ptr()


@pytest.mark.question("Q63")
def test_tied_values_are_different_objects():
    """The values of a tied weight are two tensor objects; with ``keep_vars=True`` they are one."""
    state, variables = tied().state_dict(), tied().state_dict(keep_vars=True)

    assert state["encoder.weight"] is not state["decoder.weight"]
    assert variables["encoder.weight"] is variables["decoder.weight"]


def test_a_shared_module_is_saved_under_each_name():
    """A module that is registered twice is saved under each of its names."""
    layer = nn.PReLU()

    assert list(nn.Sequential(layer, layer).state_dict()) == ["0.weight", "1.weight"]


def test_loading_keeps_weights_tied():
    """Loading copies in place and so keeps tied weights tied."""
    net = tied()

    net.load_state_dict(tied().state_dict())

    assert net["encoder"].weight is net["decoder"].weight


def test_the_last_name_wins():
    """Where the values for a tied weight differ, the one that is loaded last remains, in silence."""
    net = tied()

    net.load_state_dict(
        {"decoder.weight": torch.full((3, 3), 2.0), "encoder.weight": torch.full((3, 3), 5.0)}
    )

    assert torch.equal(net["encoder"].weight, torch.full((3, 3), 2.0))


@pytest.mark.question("Q63")
def test_each_name_is_missed():
    """A name of a tied weight that was dropped from the dict is a missing key, though its values came.

    What was saved without duplicates is loaded with ``strict=False``.
    """
    net = tied()
    value = torch.arange(9.0).view(3, 3)

    result = net.load_state_dict({"encoder.weight": value}, strict=False)

    assert result.missing_keys == ["decoder.weight"]
    assert torch.equal(net["decoder"].weight, value)


@pytest.mark.question("Q63")
def test_a_file_keeps_the_tie():
    """:func:`torch.save` writes shared memory once, and :func:`torch.load` gives tensors that share it."""
    file = io.BytesIO()
    torch.save(tied().state_dict(), file)
    file.seek(0)

    state = torch.load(file, weights_only=True)

    assert list(state) == ["encoder.weight", "decoder.weight"]
    assert state["encoder.weight"].data_ptr() == state["decoder.weight"].data_ptr()

"""Buffers in the state dict: which are saved and which are not.

A buffer is saved unless it was registered with ``persistent=False``.
"""

import pytest
import torch
from torch import nn


def test_buffers_are_saved_and_loaded():
    """A buffer is saved and loaded like a parameter."""
    net = nn.Module()
    net.register_buffer("mean", torch.tensor([1.0, 2.0]))

    net.load_state_dict({"mean": torch.tensor([3.0, 4.0])})

    assert {key: value.tolist() for key, value in net.state_dict().items()} == {"mean": [3.0, 4.0]}


@pytest.mark.parametrize("keep_vars", [False, True])
def test_a_non_persistent_buffer_is_not_saved(keep_vars):
    """A buffer with ``persistent=False`` is not in the state dict, with ``keep_vars=True`` neither."""
    net = nn.Module()
    net.register_buffer("cache", torch.rand(2), persistent=False)
    net.register_buffer("mean", torch.rand(2))

    assert [name for name, _ in net.named_buffers()] == ["cache", "mean"]
    assert list(net.state_dict(keep_vars=keep_vars)) == ["mean"]


def test_a_non_persistent_buffer_is_not_missing():
    """A buffer with ``persistent=False`` is not missed while loading, and keeps its value."""
    net = nn.Module()
    net.register_buffer("cache", torch.tensor([1.0, 2.0]), persistent=False)

    assert net.load_state_dict({}) == ([], [])
    assert net.cache.tolist() == [1.0, 2.0]


def test_a_non_persistent_buffer_is_unexpected():
    """A value for a buffer with ``persistent=False`` is an unexpected key and is not loaded.

    Making a buffer non-persistent in a later version of a class breaks its older checkpoints so.
    """
    net = nn.Module()
    net.register_buffer("cache", torch.tensor([1.0, 2.0]), persistent=False)

    result = net.load_state_dict({"cache": torch.tensor([3.0, 4.0])}, strict=False)

    assert result == ([], ["cache"])
    assert net.cache.tolist() == [1.0, 2.0]


def test_persistence_is_each_modules_own():
    """A name that is non-persistent in one module is saved in another, above or below."""
    net = nn.Sequential(nn.Module())
    net.register_buffer("cache", torch.rand(2), persistent=False)
    net[0].register_buffer("cache", torch.tensor([5.0, 6.0]))

    net.load_state_dict({"0.cache": torch.tensor([7.0, 8.0])})

    assert {key: value.tolist() for key, value in net.state_dict().items()} == {"0.cache": [7.0, 8.0]}


@pytest.mark.question("Q07")
def test_a_buffer_of_none_is_neither_saved_nor_loaded():
    """A buffer that is ``None`` is not saved, not missed, and a value for it is an unexpected key.

    Give the buffer a tensor of the right shape before loading.
    """
    net = nn.Module()
    net.register_buffer("mask", None)

    assert list(net.state_dict()) == []
    assert net.load_state_dict({}) == ([], [])
    assert net.load_state_dict({"mask": torch.rand(2)}, strict=False) == ([], ["mask"])
    assert net.mask is None


def test_a_dtype_of_a_buffer_is_kept():
    """A value loaded into an integer buffer loses its fraction."""
    net = nn.Module()
    net.register_buffer("steps", torch.tensor([1, 2]))

    net.load_state_dict({"steps": torch.tensor([3.7, -4.7])})

    assert (net.steps.dtype, net.steps.tolist()) == (torch.int64, [3, -4])

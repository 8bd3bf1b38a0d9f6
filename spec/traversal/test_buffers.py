"""Walking the buffers of a module.

A buffer is a tensor that belongs to a module's state and is not trained, such as the running mean of a
batch normalization. The walk is that of the parameters, over another store.
"""

import inspect

import pytest
import torch
from torch import nn


def test_buffers_is_a_generator():
    """:meth:`Module.buffers() <torch.nn.Module.buffers>` returns a generator over the buffers."""
    norm = nn.BatchNorm1d(4)
    norm.register_buffer("cache", torch.rand(2), persistent=False)

    for walk in (norm.buffers(), norm.buffers(recurse=False)):
        assert inspect.isgenerator(walk)
        assert list(walk) == [norm.running_mean, norm.running_var, norm.num_batches_tracked, norm.cache]
        assert list(walk) == []


def test_named_buffers_adds_the_name():
    """:meth:`Module.named_buffers() <torch.nn.Module.named_buffers>` yields the buffers of ``buffers()`` with
    their names.
    """
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    net[1].register_buffer("cache", torch.rand(2), persistent=False)

    names, buffers = zip(*net.named_buffers(), strict=True)

    assert names == ("1.running_mean", "1.running_var", "1.num_batches_tracked", "1.cache")
    assert buffers[1] is net[1].running_var
    assert [id(b) for b in buffers] == [id(b) for b in net.buffers()]


def test_parameters_are_no_buffers():
    """``named_buffers()`` yields neither parameters nor plain tensors, even if they do not require grad.

    A plain tensor set on a module is neither saved nor moved: see :meth:`~torch.nn.Module.register_buffer`.
    """
    net = nn.Sequential(nn.Module())
    for module in net.modules():
        module.register_buffer("mean", torch.rand(2))
        module.weight = nn.Parameter(torch.rand(3), requires_grad=False)
        module.plain = torch.rand(4)
    net.double()

    assert [name for name, _ in net.named_buffers()] == ["mean", "0.mean"]
    assert list(net.state_dict()) == ["weight", "mean", "0.weight", "0.mean"]
    assert [module.plain.dtype for module in net.modules()] == [torch.float32, torch.float32]


def test_own_buffers_then_those_below():
    """``named_buffers()`` yields a module's own buffers first; with ``recurse=False``, only these.

    The order is the same if a submodule was registered before.
    """
    net = nn.Module()
    net.norm = nn.BatchNorm1d(4, affine=False)
    net.register_buffer("mean", torch.rand(2), persistent=False)
    net.register_buffer("std", torch.rand(3))

    every = [name for name, _ in net.named_buffers()]

    assert every == ["mean", "std", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked"]
    assert [name for name, _ in net.named_buffers(recurse=False)] == ["mean", "std"]
    assert [b.shape for b in net.buffers(recurse=False)] == [(2,), (3,)]
    assert [b.shape for b in net.buffers(False)] == [(2,), (3,)]


def test_a_buffer_of_none_is_left_out():
    """``named_buffers()`` does not yield a buffer registered as ``None``."""
    norm = nn.BatchNorm1d(4, track_running_stats=False)
    norm.register_buffer("extra", torch.rand(2))

    assert list(norm._buffers) == ["running_mean", "running_var", "num_batches_tracked", "extra"]
    assert [name for name, _ in norm.named_buffers()] == ["extra"]
    assert [name for name, _ in norm.named_buffers(recurse=False)] == ["extra"]
    assert [name for name, _ in norm.named_buffers(remove_duplicate=False)] == ["extra"]
    assert [name for name, _ in nn.Sequential(norm).named_buffers()] == ["0.extra"]


@pytest.mark.question("Q13")
def test_a_shared_buffer_is_walked_once():
    """``named_buffers()`` yields a buffer that two modules share once, under its first name.

    With ``remove_duplicate=False`` it is yielded under each name.
    """
    net = nn.Sequential(nn.Module(), nn.Sequential(nn.Module()))
    mask = torch.rand(2, 3)
    net[0].register_buffer("mask", mask)
    net[1][0].register_buffer("cover", mask)
    scale = torch.rand(3)
    net.register_buffer("scale", scale, persistent=False)
    net[0].register_buffer("scale", scale, persistent=False)

    assert [name for name, _ in net.named_buffers()] == ["scale", "0.mask"]
    assert [buffer is mask for buffer in net.buffers()] == [False, True]
    names = [name for name, _ in net.named_buffers(remove_duplicate=False)]
    assert names == ["scale", "0.mask", "0.scale", "1.0.cover"]


def test_shared_buffers_under_every_name():
    """``named_buffers(remove_duplicate=False)`` yields a shared buffer under each of its names."""
    norm = nn.BatchNorm1d(4)
    norm.register_buffer("mean_again", norm.running_mean, persistent=False)
    net = nn.Sequential(norm, norm)

    names = [name for name, _ in net.named_buffers(remove_duplicate=False)]

    own = ["running_mean", "running_var", "num_batches_tracked", "mean_again"]
    assert names == [f"0.{name}" for name in own] + [f"1.{name}" for name in own]
    assert [name for name, _ in norm.named_buffers(recurse=False, remove_duplicate=False)] == own


def test_named_buffers_by_position():
    """``named_buffers(prefix, recurse, remove_duplicate)`` accepts its arguments by position, in this
    order.
    """
    net = nn.Sequential(nn.BatchNorm1d(4))
    net.register_buffer("mean", torch.rand(2))
    net.register_buffer("again", net.mean, persistent=False)

    assert [name for name, _ in net.named_buffers("head", False)] == ["head.mean"]
    assert [name for name, _ in net.named_buffers("head", False, False)] == ["head.mean", "head.again"]
    assert [name for name, _ in net.named_buffers("head")][1] == "head.0.running_mean"


def test_buffers_takes_recurse_only():
    """:meth:`Module.buffers(remove_duplicate=False) <torch.nn.Module.buffers>` raises ``TypeError``."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'remove_duplicate'"):
        nn.BatchNorm1d(4).buffers(remove_duplicate=False)

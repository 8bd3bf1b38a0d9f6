"""Sharing a module's tensors with other processes.

:meth:`~torch.nn.Module.share_memory` moves them to shared memory, so that processes started later see the
same values and each other's changes.
"""

import copy
import pickle
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
import torch.multiprocessing  # teaches ForkingPickler to send tensors
from torch import nn


def test_share_memory_shares_parameters_and_buffers():
    """:meth:`Module.share_memory() <torch.nn.Module.share_memory>` moves all parameters and buffers to shared
    memory.

    It is the first step of training in several processes: workers that are started with the module see each
    other's updates.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.BatchNorm1d(3)))
    net[0].weight.requires_grad_(False)
    net.register_buffer("mask", torch.tensor([True, False]), persistent=False)
    values = [t.tolist() for t in [*net.parameters(), *net.buffers()]]
    before = [t.is_shared() for t in [*net.parameters(), *net.buffers()]]

    returned = net.share_memory()

    assert returned is net
    assert before == [False] * 8
    assert [t.is_shared() for t in [*net.parameters(), *net.buffers()]] == [True] * 8
    assert [t.tolist() for t in [*net.parameters(), *net.buffers()]] == values


def test_share_memory_keeps_the_objects():
    """:meth:`Module.share_memory() <torch.nn.Module.share_memory>` keeps the parameter and buffer objects."""
    norm = nn.BatchNorm1d(2)
    before = {key: id(value) for key, value in norm.state_dict(keep_vars=True).items()}
    mean = norm.running_mean

    nn.Sequential(norm).share_memory()

    assert {key: id(value) for key, value in norm.state_dict(keep_vars=True).items()} == before
    assert mean.is_shared() is True


def test_there_is_nothing_to_share_on_meta():
    """``Module.share_memory()`` raises ``RuntimeError`` for a module on the meta device: it has no memory.

    Give it memory by ``to_empty(device="cpu")`` before. See :meth:`~torch.nn.Module.share_memory`.
    """
    layer = nn.Linear(2, 3, device="meta")

    with pytest.raises(RuntimeError, match="only available on CPU"):
        layer.share_memory()
    shared = layer.to_empty(device="cpu").share_memory()
    assert [p.is_shared() for p in shared.parameters()] == [True, True]


def test_share_memory_shares_gradients():
    """:meth:`Module.share_memory() <torch.nn.Module.share_memory>` also moves existing gradients to shared
    memory.
    """
    layer = nn.Linear(2, 3)
    layer.weight.grad = torch.tensor([[1.5, 2.5]] * 3)

    nn.Sequential(layer).share_memory()

    assert layer.weight.grad.is_shared() is True
    assert layer.weight.grad.tolist() == [[1.5, 2.5]] * 3
    assert layer.bias.grad is None


def test_a_cast_ends_sharing():
    """A cast after :meth:`Module.share_memory() <torch.nn.Module.share_memory>`, such as ``double()``, makes
    new memory that is not shared.

    Cast first. Where nothing changes, as in ``float()`` of a 32-bit module or for integers, it stays shared.
    """
    for cast in ("double", "half", "bfloat16"):
        net = nn.Sequential(nn.BatchNorm1d(2)).share_memory()

        net.float()
        assert [t.is_shared() for t in net.state_dict().values()] == [True] * 5

        getattr(net, cast)()
        assert [t.is_shared() for t in net.state_dict().values()] == [False] * 4 + [True]


def test_a_module_has_no_pin_memory():
    """``nn.Module`` has no ``pin_memory`` method, unlike ``torch.Tensor``.

    Memory is pinned tensor by tensor.
    """
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'pin_memory'"):
        nn.Linear(2, 3).pin_memory()
    assert callable(torch.rand(2).pin_memory)


def test_sending_a_module_shares_its_memory():
    """``torch.multiprocessing`` moves all tensors of a module that it sends to a process to shared memory.

    An argument of ``torch.multiprocessing.spawn`` gets there so: ``share_memory()`` is not needed, and what a
    process writes the others see. Send a ``copy.deepcopy`` where that is not wanted.
    """
    net = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    net.scale = torch.tensor([3.0])

    received = pickle.loads(ForkingPickler.dumps(net))
    nn.init.constant_(received[0].weight, 7.0)
    received.scale.fill_(5.0)

    assert [t.is_shared() for t in [*net.state_dict().values(), net.scale]] == [True] * 8
    assert net[0].weight.tolist() == [[7.0, 7.0]]
    assert net.scale.item() == 5.0


def test_gradients_are_not_sent():
    """``torch.multiprocessing`` sends a parameter without its gradient; tied parameters arrive tied.

    Each process gathers gradients of its own for the values that all share.
    """
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    net[0].weight.grad = torch.ones(2, 2)

    received = pickle.loads(ForkingPickler.dumps(net))

    assert received[0].weight.grad is None
    assert net[0].weight.grad.is_shared() is False
    assert received[1].weight is received[0].weight


@pytest.mark.since("2.5")
def test_a_module_on_meta_is_sent():
    """``torch.multiprocessing`` sends a module on the meta device, which arrives there with its shapes.

    A process can so be told the structure, and load the values by itself.
    """
    layer = nn.Linear(2, 3, device="meta", dtype=torch.float64)

    received = pickle.loads(ForkingPickler.dumps(layer))

    weight = received.weight
    assert (weight.device.type, weight.shape, weight.dtype) == ("meta", (3, 2), torch.float64)


@pytest.mark.before("2.5")
def test_a_module_on_meta_was_not_sent():
    """``torch.multiprocessing`` raises ``RuntimeError`` when it sends a module on the meta device."""
    with pytest.raises(RuntimeError, match="only available on CPU"):
        ForkingPickler.dumps(nn.Linear(2, 3, device="meta"))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_is_not_shared(duplicate):
    """``copy.deepcopy`` and ``pickle`` of a module in shared memory make a copy in memory of its own."""
    norm = nn.BatchNorm1d(2).share_memory()

    duplicated = duplicate(norm)

    assert [t.is_shared() for t in duplicated.state_dict().values()] == [False] * 5
    assert [t.is_shared() for t in norm.state_dict().values()] == [True] * 5

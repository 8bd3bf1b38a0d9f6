"""Uneven batches under DistributedDataParallel.

Ranks that have no more batches wait in ``join()`` for the others and take part in their communication.
"""

import contextlib
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.join import Join
from torch.nn.parallel import DistributedDataParallel as DDP


@pytest.mark.needs("distributed")
def test_join_can_throw_instead(ranks):
    """In ``DDP.join(throw_on_early_termination=True)`` all ranks raise ``RuntimeError`` when one is out of
    data.

    It comes on that rank at the end of the block, on the others in the next call. See
    :meth:`~torch.nn.parallel.DistributedDataParallel.join`.
    """

    def train(rank, first):
        model, steps = DDP(nn.Linear(1, 1)), 0
        message = (
            f"Rank {rank} exhausted all" if rank == first else "Detected at least one rank that exhausted"
        )
        with pytest.raises(RuntimeError, match=message), model.join(throw_on_early_termination=True):
            for _ in range(2 if rank == first else 5):
                model(torch.tensor([[rank + 1.0]])).sum().backward()
                steps += 1
        return steps

    assert [ranks(train, first) for first in (0, 1)] == [[2, 2]] * 2


@pytest.mark.parametrize(("batches", "last"), [((3, 2), 10.0), ((2, 3), 11.0), ((2, 2), 11.0)], ids=str)
@pytest.mark.needs("distributed")
def test_join_ends_with_the_model_of_the_last(ranks, batches, last):
    """At the end of ``DDP.join()`` all ranks have the parameters of the rank that ran out of batches last.

    In a tie it is the highest rank. See :meth:`~torch.nn.parallel.DistributedDataParallel.join`.
    """

    def train(rank, batches):
        net = nn.Linear(1, 1)
        net.bias.requires_grad_(False)
        model = DDP(net)
        with model.join():
            for _ in range(batches[rank]):
                model(torch.tensor([[rank + 1.0]])).sum().backward()
            nn.init.constant_(net.weight, rank + 10.0)
            nn.init.constant_(net.bias, rank + 20.0)
        return net.weight.item(), net.bias.item()

    assert ranks(train, batches) == [(last, last + 10)] * 2


@pytest.mark.needs("distributed")
def test_join_can_be_disabled(ranks):
    """``DDP.join(enable=False)`` broadcasts no parameters at its end: each rank keeps its own.

    Gradients are averaged inside as without it, and all ranks need equally many batches. See
    :meth:`~torch.nn.parallel.DistributedDataParallel.join`.
    """

    def train(rank):
        model = DDP(nn.Linear(1, 1, bias=False))
        with model.join(enable=False):
            model(torch.tensor([[rank + 1.0]])).sum().backward()
            nn.init.constant_(model.module.weight, rank + 10.0)
        return model.module.weight.item(), model.module.weight.grad.item()

    assert ranks(train) == [(10.0, 1.5), (11.0, 1.5)]


@pytest.mark.parametrize(
    ("options", "last"),
    [({}, (1.0, 1.0)), ({"divide_by_initial_world_size": False}, (2.0, 1.0))],
    ids=["default", "divide by who is left"],
)
@pytest.mark.needs("distributed")
def test_joined_models_divide_differently(ranks, options, last):
    """With ``Join([a, b], divide_by_initial_world_size=False)`` only ``a`` averages over the ranks still
    active.

    Gradients of other :class:`~torch.nn.parallel.DistributedDataParallel` models are divided by the number of
    all ranks, as by default those of all models are.
    """

    def train(rank, options):
        a, b = DDP(nn.Linear(1, 1, bias=False)), DDP(nn.Linear(1, 1, bias=False))
        with Join([a, b], **options):
            for _ in range(rank + 1):
                for model in (a, b):
                    model.zero_grad()
                    model(torch.tensor([[rank + 1.0]])).sum().backward()
                grads = a.module.weight.grad.item(), b.module.weight.grad.item()
        return grads

    assert ranks(train, options) == [(1.5, 1.5), last]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_join_leaves_buffers_that_are_not_synced(ranks):
    """``DDP.join()`` ends with the buffers of the last rank, but not if ``forward_sync_buffers=False``.

    Each rank then keeps its own. See :meth:`~torch.nn.parallel.DistributedDataParallel.join`.
    """

    def train(rank, sync):
        net = nn.Linear(1, 1)
        net.register_buffer("mean", torch.tensor(4.0))
        model = DDP(net, forward_sync_buffers=sync)
        with model.join():
            model(torch.tensor([[rank + 1.0]])).sum().backward()
            net.mean.fill_(rank + 10.0)
        return net.mean.item()

    assert [ranks(train, sync) for sync in (None, True)] == [[11.0, 11.0]] * 2
    assert ranks(train, False) == [10.0, 11.0]


@pytest.mark.needs("distributed")
def test_join_knows_only_its_own_communication(ranks):
    """In ``DDP.join()``, an ``all_reduce`` of the training loop times out once other ranks have joined.

    It waits in vain for them. A loss that is reduced for the log is such a thing. See
    :meth:`~torch.nn.parallel.DistributedDataParallel.join`.
    """

    def train(rank):
        group, model, seen = dist.new_group(timeout=timedelta(seconds=1)), DDP(nn.Linear(1, 1)), []
        with model.join():
            for step in range(1 + rank):
                loss = model(torch.ones(1, 1)).sum()
                loss.backward()
                with pytest.raises(RuntimeError, match="Timed out") if step else contextlib.nullcontext():
                    dist.all_reduce(torch.tensor(rank + 1.0), group=group)
                seen.append(step)
        dist.destroy_process_group(group)
        return seen

    assert ranks(train) == [[0], [0, 1]]


@pytest.mark.needs("distributed")
def test_an_early_end_needs_no_division(ranks):
    """In ``DDP.join(throw_on_early_termination=True)``, ``divide_by_initial_world_size`` makes no difference.

    The gradients are averaged over all ranks, until the first one has no more batches and all raise. See
    :meth:`~torch.nn.parallel.DistributedDataParallel.join`.
    """

    def train(rank, by_all):
        model, grads = DDP(nn.Linear(1, 1, bias=False)), []
        options = {"throw_on_early_termination": True, "divide_by_initial_world_size": by_all}
        with pytest.raises(RuntimeError, match="exhausted"), model.join(**options):
            for _ in range(1 + rank):
                model.zero_grad()
                model(torch.tensor([[rank + 1.0]])).sum().backward()
                grads.append(model.module.weight.grad.item())
        return grads

    assert ranks(train, True) == [[1.5], [1.5]]
    assert ranks(train, False) == [[1.5], [1.5]]


@pytest.mark.needs("distributed")
def test_all_join_hooks_get_the_arguments(ranks):
    """``Join([a, b], **kwargs)`` passes the same keyword arguments to ``join_hook()`` of both DDP models.

    See :meth:`~torch.nn.parallel.DistributedDataParallel.join_hook`.
    """

    def train(rank):
        class Model(DDP):
            def join_hook(self, **kwargs):
                given.append((self, kwargs))
                return super().join_hook(**kwargs)

        given, a, b = [], Model(nn.Linear(1, 1)), Model(nn.Linear(1, 1))
        with Join([a, b], divide_by_initial_world_size=False, note="kept"):
            pass
        return (
            [model is expected for (model, _), expected in zip(given, (a, b), strict=True)],
            given[0][1],
            given[1][1],
        )

    options = {"divide_by_initial_world_size": False, "note": "kept"}
    assert ranks(train) == [([True, True], options, options)] * 2

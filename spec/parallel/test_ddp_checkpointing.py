"""DistributedDataParallel and activation checkpointing.

A checkpointed layer runs its forward again in backward. With ``use_reentrant=True`` that is a backward
inside the backward, and DDP counts which gradients have arrived.
"""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.checkpoint import checkpoint


@pytest.mark.parametrize(("times", "mean"), [(1, 1.5), (2, 6.0)], ids=["once", "twice"])
@pytest.mark.needs("distributed")
def test_checkpoints_without_reentry_average(ranks, times, mean):
    """``DDP`` averages gradients under ``checkpoint(use_reentrant=False)``, even if two calls share a layer.

    This is the kind of checkpoint to use with :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank, times):
        class Net(nn.Linear):
            def forward(self, x):
                for _ in range(times):
                    x = checkpoint(super().forward, x, use_reentrant=False)
                return x

        net = Net(1, 1, bias=False)
        nn.init.constant_(net.weight, 2.0)
        model, means = DDP(net), []
        for _ in range(2):
            model.zero_grad()
            model(torch.tensor([[rank + 1.0]])).sum().backward()
            means.append(net.weight.grad.item())
        return means

    assert ranks(train, times) == [[mean, mean]] * 2


@pytest.mark.needs("distributed")
def test_a_reentrant_checkpoint_averages_once(ranks):
    """DDP averages with ``checkpoint(use_reentrant=True)``; ``find_unused_parameters=True`` raises
    ``RuntimeError``.

    The error comes from the backward inside the backward. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        class Net(nn.Linear):
            def forward(self, x):
                return checkpoint(super().forward, x, use_reentrant=True)

        x, net = torch.tensor([[rank + 1.0]], requires_grad=True), Net(1, 1)
        model = DDP(net)
        model(x).sum().backward()
        other = DDP(Net(1, 1), find_unused_parameters=True)
        with pytest.raises(RuntimeError, match="Expected to mark a variable ready only once"):
            other(x).sum().backward()
        return net.weight.grad.item()

    assert ranks(train) == [1.5, 1.5]


@pytest.mark.needs("distributed")
def test_a_layer_checkpointed_twice_goes_wrong(ranks):
    """``DDP`` silently fails to average if two ``checkpoint(use_reentrant=True)`` calls share its first
    layer.

    The first layer's gradient comes last, and is averaged before its second part arrives: ranks drift apart.
    If gradients of earlier layers are still missing, backward raises ``RuntimeError``. Use
    ``use_reentrant=False``, or ``static_graph=True`` in :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        class Net(nn.Linear):
            def forward(self, x):
                for _ in range(2):
                    x = checkpoint(super().forward, x, use_reentrant=True)
                return x

        net = Net(1, 1, bias=False)
        nn.init.constant_(net.weight, 2.0)
        model, x = DDP(net), torch.tensor([[rank + 1.0]], requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            model(x).sum().backward()
        late = DDP(nn.Sequential(nn.Linear(1, 1), Net(1, 1)))
        with pytest.raises(RuntimeError, match="Expected to mark a variable ready only once"):
            late(x).sum().backward()
        return net.weight.grad.item()

    assert ranks(train) == [5.0, 7.0]


@pytest.mark.parametrize(("times", "mean"), [(1, 1.5), (2, 6.0)], ids=["once", "twice"])
@pytest.mark.needs("distributed")
def test_a_static_graph_takes_reentrant_checkpoints(ranks, times, mean):
    """``DDP(static_graph=True)`` averages gradients under ``checkpoint(use_reentrant=True)``.

    A layer may be checkpointed twice, and another may be unused. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank, times):
        class Net(nn.Linear):
            def forward(self, x):
                for _ in range(times):
                    x = checkpoint(super().forward, x, use_reentrant=True)
                return x

        net = Net(1, 1, bias=False)
        net.unused = nn.Linear(1, 1)
        nn.init.constant_(net.weight, 2.0)
        model, grads = DDP(net, static_graph=True), []
        for _ in range(3):
            model.zero_grad()
            model(torch.tensor([[rank + 1.0]], requires_grad=True)).sum().backward()
            grads.append((net.weight.grad.item(), net.unused.weight.grad))
        return grads

    assert ranks(train, times) == [[(mean, None)] * 3] * 2

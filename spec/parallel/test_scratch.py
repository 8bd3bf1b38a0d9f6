"""Scratch."""

import os, time
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


@pytest.mark.needs("distributed")
def test_a(ranks):
    """A."""

    def train(rank):
        model = DistributedDataParallel(nn.Linear(2, 1, bias=False))
        model(torch.full((1, 2), rank + 1.0)).sum().backward()
        return model.module.weight.grad.tolist()

    assert ranks(train) == [[[1.5, 1.5]], [[1.5, 1.5]]]


@pytest.mark.needs("distributed")
@pytest.mark.parametrize("i", range(20))
def test_b(ranks, i):
    """B."""

    def train(rank):
        model = DistributedDataParallel(nn.Linear(2, 1, bias=False))
        model(torch.full((1, 2), rank + 1.0)).sum().backward()
        return model.module.weight.grad.tolist()

    assert ranks(train) == [[[1.5, 1.5]], [[1.5, 1.5]]]


@pytest.mark.needs("distributed")
def test_err(ranks):
    """C."""

    def train(rank):
        print("hello from", rank)
        assert rank == 0
        x = torch.ones(2)
        dist.all_reduce(x)
        return 1

    assert ranks(train) == [1, 1]


@pytest.mark.needs("distributed")
def test_kill(ranks):
    """D."""

    def train(rank):
        print("hello from", rank)
        if rank:
            os.kill(os.getpid(), 9)
        x = torch.ones(2)
        dist.all_reduce(x)
        return 1

    assert ranks(train) == [1, 1]


@pytest.mark.needs("distributed")
def test_hang(ranks):
    """E."""

    def train(rank):
        print("hello from", rank)
        if rank:
            time.sleep(1000)
        return 1

    assert ranks(train) == [1, 1]


@pytest.mark.needs("distributed")
def test_hang2(ranks):
    """F."""

    def train(rank):
        print("hello from", rank)
        if rank:
            os.kill(os.getpid(), 19)
        return 1

    assert ranks(train) == [1, 1]

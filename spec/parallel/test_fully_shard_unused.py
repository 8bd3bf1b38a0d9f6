"""Zero gradients for what a rank does not use, asked for and no longer.

Read *fully_shard_gradients* first.
"""

import pytest
import torch
from torch import nn


@pytest.mark.parametrize(
    ("settings", "unused"),
    [([False], None), ([True], [[0.0]]), ([True, False], None)],
    ids=["off", "on", "off again"],
)
@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_zeros_can_be_switched_off_again(ranks, settings, unused):
    """With FSDP's ``set_reduce_scatter_unused_params(False)``, the default, unused parameters have no
    ``grad``.

    It also ends the zeros after ``True``: ``grad`` is then ``None``. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_reduce_scatter_unused_params`.
    """

    def train(rank, settings):
        from torch.distributed.fsdp import fully_shard

        grads = []
        for calls in ([], settings):
            net = fully_shard(nn.Sequential(nn.Linear(1, 2, bias=False), nn.Linear(1, 2, bias=False)))
            net.forward = net[0].forward
            for setting in calls:
                net.set_reduce_scatter_unused_params(setting)
            net(torch.tensor([[rank + 1.0]])).sum().backward()
            grads.append([None if p.grad is None else p.grad.to_local().tolist() for p in net.parameters()])
        return grads

    assert ranks(train, settings) == [[[[[1.5]], None], [[[1.5]], unused]]] * 2

"""Optimizers and fully_shard: which parameters an optimizer has to hold.

That one made afterwards has shards, with a state of shards, is in *fully_shard_gradients*.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_an_optimizer_made_before_trains_nothing(ranks):
    """An optimizer made before ``fully_shard(net)`` trains nothing: ``step()`` raises no error.

    ``fully_shard`` puts new parameters in place, and the optimizer keeps those from before, which get no
    gradients. Make it afterwards, or put the new parameters into its groups. See
    :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net = nn.Linear(2, 2, bias=False)
        nn.init.ones_(net.weight)
        old, optimizer = net.weight, torch.optim.SGD(net.parameters(), lr=1.0)
        fully_shard(net)
        values = []
        for given in (old, net.weight):
            optimizer.param_groups[0]["params"] = [given]
            net(torch.full((1, 2), 3.0)).sum().backward()
            optimizer.step()
            values.append(net.weight.full_tensor().tolist())
            net.zero_grad()
        return old is net.weight, old.grad, *values

    assert ranks(train) == [(False, None, [[1.0, 1.0]] * 2, [[-2.0, -2.0]] * 2)] * 2

"""fully_shard of a module on the meta device.

A large model is built without values, sharded, and given memory for its shards only. How it gets its values
is the same as without sharding.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_shards_get_memory_and_values(ranks):
    """A module on meta may be sharded by ``fully_shard`` first, and get memory by ``to_empty`` afterwards.

    Each rank then has room for its shard alone. Functions of ``torch.nn.init`` fill it; so may a sharded
    state dict. See :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def build(rank):
        from torch.distributed.fsdp import fully_shard

        net = nn.Linear(2, 3, bias=False, device="meta")
        fully_shard(net)
        before = net.weight.device.type, tuple(net.weight.to_local().shape)
        net.to_empty(device="cpu")
        nn.init.constant_(net.weight, 5.0)
        filled = net.weight.to_local().tolist(), net(torch.tensor([[1.0, 2.0]])).tolist()
        twin = fully_shard(nn.Linear(2, 3, bias=False))
        net.load_state_dict(twin.state_dict())
        return before, filled, net.weight.to_local().equal(twin.weight.to_local())

    assert ranks(build) == [
        (("meta", (2, 2)), ([[5.0, 5.0], [5.0, 5.0]], [[15.0, 15.0, 15.0]]), True),
        (("meta", (1, 2)), ([[5.0, 5.0]], [[15.0, 15.0, 15.0]]), True),
    ]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_a_call_needs_memory_first(ranks):
    """A ``fully_shard`` module that is still on meta raises ``RuntimeError`` when it is called.

    See :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def call(rank):
        from torch.distributed.fsdp import fully_shard

        for first in ("meta", "cpu"):
            net = nn.Sequential(nn.Linear(2, 3, device=first), nn.Linear(3, 2, device="meta"))
            fully_shard(net)
            with pytest.raises(RuntimeError, match="meta device"):
                net(torch.rand(1, 2))
        return True

    assert ranks(call) == [True, True]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_ties_survive_to_empty(ranks):
    """Weights tied on meta and sharded by ``fully_shard`` together are still tied after ``to_empty``."""

    def build(rank):
        from torch.distributed.fsdp import fully_shard

        net = nn.Sequential(
            nn.Linear(2, 2, bias=False, device="meta"), nn.Linear(2, 2, bias=False, device="meta")
        )
        net[1].weight = net[0].weight
        fully_shard(net)
        sharded = net[1].weight is net[0].weight
        net.to_empty(device="cpu")
        return sharded, net[1].weight is net[0].weight

    assert ranks(build) == [(True, True)] * 2

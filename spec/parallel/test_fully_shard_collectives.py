"""The collectives of fully_shard: how it reduces, and in which group.

What it asks a backend for can be seen without one: a custom reduce-scatter is told the operation.
"""

import time

import pytest
import torch
import torch.distributed as dist
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_a_factor_is_multiplied_before_the_sum(join):
    """After ``set_gradient_divide_factor(8)``, ``fully_shard`` reduces by ``PREMUL_SUM`` with 1 / 8, not by
    ``AVG``.

    NCCL then multiplies before it adds. The number of ranks is an ``AVG``, as is the default, and a forced
    sum is divided by ``fully_shard`` itself, as are gradients of other dtypes than float32 and bfloat16. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_gradient_divide_factor`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.fsdp._fully_shard._fsdp_collectives import DefaultReduceScatter

    class Scatter(DefaultReduceScatter):
        def __call__(self, **options):
            asked.append(options["op"])
            options["output_tensor"].fill_(16.0)

    join("fake", 1, 4)
    asked, grads, op = [], [], dist.ReduceOp
    mesh, single, double = init_device_mesh("cpu", (4,)), torch.float32, torch.float64
    settings = [(None, False, single), (8.0, False, single), (4.0, False, single), (8.0, True, single)]
    for factor, force, dtype in (*settings, (8.0, False, double)):
        net = fully_shard(nn.Linear(1, 4, dtype=dtype), mesh=mesh)
        net.set_custom_reduce_scatter(Scatter())
        if factor:
            net.set_gradient_divide_factor(factor)
        net.set_force_sum_reduction_for_comms(force)
        net(torch.ones(1, 1, dtype=dtype)).sum().backward()
        grads.append(net.weight.grad.to_local().item())

    assert asked == [op.AVG, op.PREMUL_SUM, op.AVG, op.SUM, op.SUM]
    assert grads == [16.0, 16.0, 16.0, 2.0, 8.0]
    assert asked[1].__getstate__() == (op.PREMUL_SUM, 0.125)


@pytest.mark.needs("distributed")
@pytest.mark.since("2.8")
def test_mtia_always_sums(join):
    """``fully_shard`` chooses a sum of gradients for MTIA, as ``set_force_sum_reduction_for_comms(True)``
    does.

    For others it chooses an average, which the backend takes. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_force_sum_reduction_for_comms`.
    """
    from torch.distributed.fsdp._fully_shard._fsdp_collectives import _get_gradient_divide_factors as choose

    join("fake", 1, 4)
    world, op = dist.group.WORLD, dist.ReduceOp
    for dtype in (torch.float32, torch.bfloat16):
        chosen = [
            choose(world, None, dtype, device, factor, force)
            for device, force in (
                ("cuda", False),
                ("cpu", False),
                ("cuda", True),
                ("mtia", False),
                ("mtia", True),
            )
            for factor in (None, 8.0)
        ]
        averages, sums = chosen[:4:2], chosen[4:]

        assert averages == [(None, None, op.AVG, op.AVG)] * 2
        assert sums == [(None, 4.0, op.SUM, op.SUM), (None, 8.0, op.SUM, op.SUM)] * 3


@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_an_own_group_is_made_together(ranks):
    """FSDP's ``set_separate_reduce_scatter_group()`` waits until all ranks that share a copy have called it.

    With a mesh of one rank for each copy it waits for nobody. So all of them call it, or none. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_separate_reduce_scatter_group`.
    """

    def separate(rank, sizes):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", sizes, mesh_dim_names=("copies", "shards"))
        net, message = fully_shard(nn.Linear(1, 2), mesh=mesh), torch.ones(1)
        if rank == 1:
            dist.recv(message, 0) if sizes == (2, 1) else time.sleep(0.2)
        begun = time.monotonic()
        net.set_separate_reduce_scatter_group()
        ended = time.monotonic()
        if (rank, sizes) == (0, (2, 1)):
            dist.send(message, 1)
        return begun, ended

    for sizes, waits in (((1, 2), True), ((2, 1), False)):
        (_, ended), (begun, _) = ranks(separate, sizes)
        assert (ended > begun) is waits

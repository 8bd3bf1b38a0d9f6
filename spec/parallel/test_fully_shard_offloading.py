"""fully_shard and devices: on a GPU, and with what it holds on the CPU.

A mesh of GPUs takes parameters to the GPU. With CPUOffloadPolicy the shards, their gradients and so the state
of the optimizer are on the CPU, and only what is gathered for forward and backward is on the GPU.
"""

import inspect

import pytest
import torch
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_nothing_is_offloaded_by_default():
    """By default ``fully_shard`` offloads nothing; ``CPUOffloadPolicy()`` has ``pin_memory=True``.

    The default ``offload_policy`` is a plain :class:`~torch.distributed.fsdp.OffloadPolicy`, which has no
    settings. See :class:`~torch.distributed.fsdp.CPUOffloadPolicy`.
    """
    from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy, fully_shard

    default = inspect.signature(fully_shard).parameters["offload_policy"].default

    assert type(default) is OffloadPolicy
    assert vars(default) == {}
    assert vars(CPUOffloadPolicy()) == {"pin_memory": True}


@pytest.mark.needs("cuda")
@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_a_mesh_of_gpus_takes_parameters_there(join):
    """``fully_shard`` over a mesh of GPUs moves parameters, buffers and inputs to the current CUDA device.

    See :func:`~torch.distributed.fsdp.fully_shard`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    join("nccl", 0, 1)
    net, current = nn.BatchNorm1d(3), torch.device("cuda", torch.cuda.current_device())
    fully_shard(net, mesh=init_device_mesh("cuda", (1,)))
    output = net(torch.rand(2, 3))

    assert net.weight.device == current
    assert net.running_mean.device == current
    assert output.device == current


@pytest.mark.parametrize(
    ("policy", "place"), [("OffloadPolicy", "cuda"), ("CPUOffloadPolicy", "cpu")], ids=["none", "cpu"]
)
@pytest.mark.needs("cuda")
@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_what_a_rank_holds_may_be_on_the_cpu(join, policy, place):
    """With ``CPUOffloadPolicy`` shards of ``fully_shard``, their ``grad`` and Adam's state are on the CPU.

    Forward and backward run on the GPU all the same. With
    :class:`~torch.distributed.fsdp.OffloadPolicy` all of it is on the GPU. See
    :class:`~torch.distributed.fsdp.CPUOffloadPolicy`.
    """
    from torch.distributed import fsdp

    join("nccl", 0, 1)

    class Net(nn.Linear):
        def forward(self, x):
            seen.append((self.weight.device.type, x.device.type))
            return super().forward(x)

    net, seen = Net(2, 3), []
    fsdp.fully_shard(net, offload_policy=getattr(fsdp, policy)())
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()

    held = net.weight, net.weight.grad, optimizer.state[net.weight]["exp_avg"]
    assert seen == [("cuda", "cuda")]
    assert [tensor.to_local().device.type for tensor in held] == [place] * 3


@pytest.mark.parametrize(("reshard", "size"), [(True, 0), (False, 64)])
@pytest.mark.needs("cuda")
@pytest.mark.needs("distributed")
@pytest.mark.since("2.8")
def test_the_gpu_is_freed_after_forward(join, reshard, size):
    """With ``CPUOffloadPolicy``, ``fully_shard(reshard_after_forward=True)`` frees GPU weights after forward.

    With ``False`` it keeps them. See :class:`~torch.distributed.fsdp.CPUOffloadPolicy`.
    """
    from torch.distributed.fsdp import CPUOffloadPolicy, fully_shard

    join("nccl", 0, 1)
    net, whole = nn.Linear(4, 4, bias=False), []
    net.register_forward_hook(lambda module, args, output: whole.append(module.weight))
    fully_shard(net, reshard_after_forward=reshard, offload_policy=CPUOffloadPolicy())
    net(torch.ones(1, 4))

    assert whole[0].device.type == "cuda"
    assert whole[0].untyped_storage().size() == size


@pytest.mark.parametrize("pin", [True, False])
@pytest.mark.needs("cuda")
@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_offloaded_memory_may_be_pinned(join, pin):
    """``CPUOffloadPolicy(pin_memory=True)`` of ``fully_shard`` holds shards and ``grad`` in pinned memory.

    With ``False`` they are in usual memory. See :class:`~torch.distributed.fsdp.CPUOffloadPolicy`.
    """
    from torch.distributed.fsdp import CPUOffloadPolicy, fully_shard

    join("nccl", 0, 1)
    net = fully_shard(nn.Linear(2, 3), offload_policy=CPUOffloadPolicy(pin_memory=pin))
    net(torch.ones(1, 2)).sum().backward()

    assert net.weight.to_local().is_pinned() is pin
    assert net.weight.grad.to_local().is_pinned() is pin


@pytest.mark.needs("cuda")
@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_what_waits_stays_on_the_gpu(join):
    """``CPUOffloadPolicy`` of ``fully_shard`` takes gradients to the CPU when they are reduced, not before.

    So gradients that ``set_requires_gradient_sync(False)`` leaves are on the GPU. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_requires_gradient_sync`.
    """
    from torch.distributed.fsdp import CPUOffloadPolicy, fully_shard

    join("nccl", 0, 1)
    net = fully_shard(nn.Linear(1, 2, bias=False), offload_policy=CPUOffloadPolicy())
    net.set_reshard_after_backward(False)
    net.set_requires_gradient_sync(False)
    net(torch.tensor([[3.0]])).sum().backward()
    waiting = net.weight.grad
    net.set_requires_gradient_sync(True)
    net(torch.tensor([[4.0]])).sum().backward()
    net.reshard()

    assert waiting.device.type == "cuda"
    assert net.weight.grad.to_local().device.type == "cpu"
    assert net.weight.grad.to_local().tolist() == [[7.0], [7.0]]

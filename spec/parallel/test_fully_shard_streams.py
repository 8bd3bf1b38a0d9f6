"""fully_shard: its streams, its buffers, and what it waits for.

On a GPU gathering and reducing run in streams beside the one of forward and backward. On the CPU streams and
waits have no effect, but fully_shard goes the same way, so that it can be watched.
"""

import weakref
from contextlib import nullcontext

import pytest
import torch
import torch.distributed as dist
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_gathering_waits_for_the_step(ranks):
    """After ``set_post_optim_event(event)``, streams of ``fully_shard`` all-gathers wait for it in one
    forward.

    Before it and after it, they wait for all that the current stream has done, such as the optimizer's step.
    Give it a new event after each step. See :meth:`~torch.distributed.fsdp.FSDPModule.set_post_optim_event`.
    """

    def run(rank):
        from torch.distributed.fsdp import fully_shard

        class Stream(torch.cpu.Stream):
            def wait_stream(self, stream):
                seen.extend(["all"] if stream is usual else [])

            def wait_event(self, event):
                seen.extend(["step"] if event is step else [])

        net, usual, step, seen = fully_shard(nn.Linear(1, 2)), torch.cpu.current_stream(), object(), []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.cpu, "Stream", Stream)
            for number in range(3):
                seen.append("forward")
                if number == 1:
                    net.set_post_optim_event(step)
                net(torch.ones(1, 1))
        return seen

    assert ranks(run) == [["forward", *["all"] * 2, "forward", *["step"] * 2, "forward", *["all"] * 2]] * 2


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.needs("distributed")
@pytest.mark.since("2.10")
def test_roots_may_share_their_streams(ranks, share):
    """After ``share_comm_ctx([a, b])``, ``fully_shard`` modules ``a`` and ``b`` gather and reduce in the same
    streams.

    From when both have been called: the first call of ``b`` makes new streams for both. See
    :func:`~torch.distributed.fsdp.share_comm_ctx`.
    """

    def train(rank, share):
        from torch.distributed.fsdp import fully_shard, share_comm_ctx
        from torch.distributed.fsdp._fully_shard import _fsdp_collectives as collectives

        class Gather(collectives.DefaultAllGather):
            def __call__(self, *args, **options):
                seen.append(torch.cpu.current_stream())
                return super().__call__(*args, **options)

        class Scatter(collectives.DefaultReduceScatter):
            def __call__(self, *args, **options):
                seen.append(torch.cpu.current_stream())
                return super().__call__(*args, **options)

        nets, seen = [fully_shard(nn.Linear(1, 2)), fully_shard(nn.Linear(1, 2))], []
        if share:
            share_comm_ctx(nets)
        for net in (*nets, *nets):
            net.set_custom_all_gather(Gather())
            net.set_custom_reduce_scatter(Scatter())
            net(torch.ones(1, 1)).sum().backward()
        return seen[4] is seen[6], seen[5] is seen[7], seen[4] is seen[5], seen[0] is seen[4]

    assert ranks(train, share) == [(share, share, False, not share)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_another_backward_may_follow(ranks):
    """After ``set_is_last_backward(False)`` backward does not wait for ``fully_shard``'s last reduce-scatter.

    So it keeps the input; gradients are averaged all the same. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_is_last_backward`.
    """

    def train(rank, last):
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.fsdp._fully_shard._fsdp_collectives import DefaultReduceScatter

        class Scatter(DefaultReduceScatter):
            def __call__(self, **options):
                inputs.append(weakref.ref(options["input_tensor"].untyped_storage()))
                return super().__call__(**options)

        net, inputs = fully_shard(nn.Linear(1, 2, bias=False)), []
        net.set_custom_reduce_scatter(Scatter())
        net.set_is_last_backward(last)
        net(torch.tensor([[rank + 1.0]])).sum().backward()
        return inputs[0]() is None, net.weight.grad.to_local().tolist()

    assert ranks(train, True) == [(True, [[1.5]])] * 2
    assert ranks(train, False) == [(False, [[1.5]])] * 2


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (True, ["gather 2", "back 2", "gather 1", "back 1", "gather 0", "back 0"]),
        (False, ["gather 1", "back 2", "gather 0", "back 1", "back 0"]),
    ],
)
@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_the_order_is_kept_for_another(ranks, last, expected):
    """After ``set_is_last_backward(False)`` ``fully_shard`` keeps its prefetch order for the next backward.

    After the last backward it forgets in which order to gather ahead: the next one gathers each module when
    its turn comes. See :meth:`~torch.distributed.fsdp.FSDPModule.set_is_last_backward`.
    """

    def train(rank, last):
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.fsdp._fully_shard._fsdp_collectives import DefaultAllGather

        class Gather(DefaultAllGather):
            def __call__(self, *args, **options):
                seen.append(f"gather {self.number}")
                return super().__call__(*args, **options)

        net, seen = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)), []
        for i, layer in enumerate(net):
            layer.register_full_backward_hook(lambda *_, i=i: seen.append(f"back {i}"))
            gather = Gather()
            gather.number = i
            fully_shard(layer).set_custom_all_gather(gather)
        fully_shard(net)
        first, second = (net(torch.ones(1, 2, requires_grad=True)).sum() for _ in range(2))
        net.set_is_last_backward(last)
        first.backward()
        seen.clear()
        second.backward()
        return seen

    assert ranks(train, last) == [expected] * 2


@pytest.mark.parametrize("enable", [True, False])
@pytest.mark.needs("distributed")
@pytest.mark.since("2.8")
def test_buffers_may_be_the_backends(ranks, enable):
    """After ``set_allocate_memory_from_process_group_for_comm(True)`` the backend makes ``fully_shard``'s
    buffers.

    If it can: gloo cannot, NCCL can. Here a stand-in takes the place of the backend. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_allocate_memory_from_process_group_for_comm`.
    """

    def train(rank, enable):
        from torch.distributed.fsdp import fully_shard

        class Backend:
            def supports_tensor_alloc(self, device):
                return True

            def allocate_tensor(self, size, *, dtype, device):
                sizes.append(size)
                return torch.empty(size, dtype=dtype, device=device)

        net, sizes = fully_shard(nn.Linear(1, 4, bias=False)), []
        net.set_allocate_memory_from_process_group_for_comm(True)
        net.set_allocate_memory_from_process_group_for_comm(enable)
        net(torch.ones(1, 1)).sum().backward()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dist.ProcessGroup, "_get_backend", lambda group, device: Backend())
            net(torch.ones(1, 1)).sum().backward()
        return sizes

    assert ranks(train, enable) == [[4, 4, 2] if enable else []] * 2


@pytest.mark.parametrize("custom", ["set_custom_all_gather", "set_custom_reduce_scatter"])
@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_own_buffers_exclude_the_backends(ranks, custom):
    """``set_allocate_memory_from_process_group_for_comm`` raises ``AssertionError`` after
    ``set_custom_all_gather``.

    Both are methods of a ``fully_shard`` module. It raises it after ``set_custom_reduce_scatter`` as well.
    The other way round nothing is raised, and the custom communication takes its buffers where it likes. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_allocate_memory_from_process_group_for_comm`.
    """

    def run(rank, custom):
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Linear(1, 2))
        net.set_allocate_memory_from_process_group_for_comm(True)
        getattr(net, custom)(object())
        for enable in (True, False):
            with pytest.raises(AssertionError, match="comm is custom: object"):
                net.set_allocate_memory_from_process_group_for_comm(enable)

    assert ranks(run, custom) == [None, None]


@pytest.mark.parametrize("custom", ["set_custom_all_gather", "set_custom_reduce_scatter"])
@pytest.mark.needs("distributed")
@pytest.mark.since("2.12")
def test_own_buffers_exclude_symmetric_memory(ranks, custom):
    """``set_symm_mem_for_comm()`` of FSDP raises ``AssertionError`` after ``set_custom_all_gather``.

    It raises ``AssertionError``, after ``set_custom_reduce_scatter`` as well. The other way round nothing is
    raised, and the custom communication takes its buffers where it likes. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_symm_mem_for_comm`.
    """

    def run(rank, custom):
        from torch.distributed import _symmetric_memory
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Linear(1, 2))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_symmetric_memory, "set_backend", lambda name: None)  # the real one wants NCCL
            net.set_symm_mem_for_comm()
            getattr(net, custom)(object())
            with pytest.raises(AssertionError, match="comm is custom: object"):
                net.set_symm_mem_for_comm()

    assert ranks(run, custom) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_symmetric_memory_is_for_gathering(ranks):
    """``set_symm_mem_for_comm(name)`` makes ``fully_shard`` gather into symmetric memory of that backend.

    The default is ``"NCCL"``, and any other name goes on to ``set_backend``, which knows more than that one.
    Here stand-ins take the place of symmetric memory. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_symm_mem_for_comm`.
    """

    def train(rank):
        from torch.distributed import _symmetric_memory
        from torch.distributed.fsdp import fully_shard

        net, calls = fully_shard(nn.Linear(1, 4, bias=False)), []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_symmetric_memory, "set_backend", lambda name: calls.append(name))
            patch.setattr(_symmetric_memory, "get_mem_pool", lambda device: device.type)
            patch.setattr(_symmetric_memory, "rendezvous", lambda t, group: calls.append(len(t)))
            patch.setattr(torch.cpu, "use_mem_pool", lambda pool: calls.append(pool) or nullcontext(), False)
            net.set_symm_mem_for_comm("NVSHMEM")
            net.set_symm_mem_for_comm()
            net(torch.ones(1, 1)).sum().backward()
        return calls

    assert ranks(train) == [["NVSHMEM", "NCCL", "cpu", 4]] * 2

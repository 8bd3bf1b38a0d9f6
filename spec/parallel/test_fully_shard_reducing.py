"""When fully_shard reduces gradients, and what it does with them until then.

Gradients of a backward without synchronization wait on the whole parameters. Over a mesh of two dimensions
there are two steps: a reduce-scatter between the ranks that share a copy, then an all-reduce between copies.
"""

import weakref

import pytest
import torch
import torch.distributed as dist
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.8")
def test_parameters_are_gathered_all_the_same(join):
    """After ``set_requires_gradient_sync(False)``, ``fully_shard`` reduces no gradients, but gathers
    parameters.

    So accumulation is not without communication. Over a mesh of two dimensions it leaves out the
    reduce-scatter and the all-reduce. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_requires_gradient_sync`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor.debug import CommDebugMode

    join("fake", 1, 4)

    def counts(net, sync):
        net.set_requires_gradient_sync(sync)
        with CommDebugMode() as comm:
            net(torch.ones(1, 1)).sum().backward()
        return comm.get_comm_counts()

    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("copies", "shards"))
    one, two = fully_shard(nn.Linear(1, 12), mesh=mesh["shards"]), fully_shard(nn.Linear(1, 12), mesh=mesh)
    ops = torch.ops.c10d

    assert counts(one, sync=False) == {ops._allgather_base_: 1}
    assert counts(one, sync=True) == {ops._allgather_base_: 1, ops._reduce_scatter_base_: 1}
    assert counts(two, sync=False) == {ops._allgather_base_: 1}
    assert counts(two, sync=True) == {
        ops._allgather_base_: 1,
        ops._reduce_scatter_base_: 1,
        ops.allreduce_: 1,
    }


@pytest.mark.needs("distributed")
@pytest.mark.since("2.8")
def test_the_all_reduce_alone_can_wait(join):
    """After ``set_requires_all_reduce(False)``, ``fully_shard`` still does the reduce-scatter, but no
    all-reduce.

    Both there are over a mesh of two dimensions. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_requires_all_reduce`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor.debug import CommDebugMode

    join("fake", 1, 4)
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("copies", "shards"))
    inner = fully_shard(nn.Linear(1, 12), mesh=mesh, reshard_after_forward=False)
    counts, ops = [], torch.ops.c10d
    net = fully_shard(nn.Sequential(inner, nn.Linear(12, 4)), mesh=mesh)
    for wanted in (False, True):
        net.set_requires_all_reduce(wanted)
        output = net(torch.ones(1, 1))
        with CommDebugMode() as comm:
            output.sum().backward()
        counts.append(dict(comm.get_comm_counts()))

    assert counts[0] == {ops._reduce_scatter_base_: 2}
    assert counts[1] == {ops._reduce_scatter_base_: 2, ops.allreduce_: 2}


@pytest.mark.parametrize("setter", ["set_requires_gradient_sync", "set_requires_all_reduce"])
@pytest.mark.needs("distributed")
@pytest.mark.since("2.8")
def test_what_waits_is_kept_apart(ranks, setter):
    """``fully_shard`` keeps gradients that wait to be reduced apart from ``grad``: ``zero_grad()`` misses
    them.

    The next backward that reduces adds them. Here two ranks hold copies. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_requires_gradient_sync`.
    """

    def train(rank, setter):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", (2, 1), mesh_dim_names=("copies", "shards"))
        net = fully_shard(nn.Linear(1, 2, bias=False), mesh=mesh)
        x, seen = torch.tensor([[rank + 1.0]]), []
        for wanted, zero in ((True, False), (False, True), (True, False)):
            getattr(net, setter)(wanted)
            net(x).sum().backward()
            net.reshard()
            seen.append(net.weight.grad.to_local().flatten().tolist())
            if zero:
                net.zero_grad()
            x = x * 10
        return seen

    assert ranks(train, setter) == [[[1.5, 1.5], [1.5, 1.5], [165.0, 165.0]]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.8")
def test_both_kinds_of_waiting_are_apart(ranks):
    """``fully_shard`` keeps gradients that wait for the all-reduce alone apart from those not reduced at all.

    The next complete backward adds both. Here two ranks hold copies. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_requires_gradient_sync`.
    """

    def train(rank):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", (2, 1), mesh_dim_names=("copies", "shards"))
        net = fully_shard(nn.Linear(1, 2, bias=False), mesh=mesh)
        x, seen = torch.tensor([[rank + 1.0]]), []
        net.set_reshard_after_backward(False)
        for sync, all_reduce in ((True, False), (False, False), (True, True)):
            net.set_requires_gradient_sync(sync)
            net.set_requires_all_reduce(all_reduce)
            net(x).sum().backward()
            seen.append(None if net.weight.grad is None else net.weight.grad.flatten().tolist())
            x = x * 10
        net.reshard()
        return seen, net.weight.grad.to_local().flatten().tolist()

    expected = [([None, [10.0 * own] * 2, None], [166.5, 166.5]) for own in (1.0, 2.0)]
    assert ranks(train) == expected


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_the_hook_comes_last(ranks):
    """A ``set_all_reduce_hook`` hook of ``fully_shard`` gets the output of the all-reduce, if there is one.

    Otherwise that of the reduce-scatter. What it returns is ignored. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_all_reduce_hook`.
    """

    def train(rank, copies):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", (copies, 2 // copies), mesh_dim_names=("copies", "shards"))
        net, seen = fully_shard(nn.Linear(1, 2, bias=False), mesh=mesh), []
        net.set_all_reduce_hook(lambda reduced: seen.append(reduced.tolist()) or reduced * 10)
        net(torch.tensor([[rank + 1.0]])).sum().backward()
        return seen, net.weight.grad.to_local().flatten().tolist()

    assert ranks(train, 1) == [([[1.5]], [1.5])] * 2
    assert ranks(train, 2) == [([[1.5, 1.5]], [1.5, 1.5])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_the_hook_may_have_a_stream(ranks):
    """``set_all_reduce_hook(hook, stream=s)`` of ``fully_shard`` runs the hook in the stream ``s``.

    See :meth:`~torch.distributed.fsdp.FSDPModule.set_all_reduce_hook`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net, seen, stream = fully_shard(nn.Linear(1, 2)), [], torch.cpu.Stream()
        net.set_all_reduce_hook(lambda reduced: seen.append(torch.cpu.current_stream()), stream=stream)
        net(torch.ones(1, 1)).sum().backward()
        return [each is stream for each in seen], torch.cpu.current_stream() is stream

    assert ranks(train) == [([True], False)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.8")
def test_the_all_reduce_has_its_own_stream(ranks):
    """Over a 2-D mesh, ``fully_shard`` runs a ``set_all_reduce_hook`` hook in the stream of its all-reduce.

    ``set_all_reduce_hook`` with ``stream=...`` then raises ``ValueError``. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_all_reduce_hook`.
    """

    def train(rank):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        def watched(*args, **options):
            seen.append(torch.cpu.current_stream())
            return all_reduce(*args, **options)

        net, all_reduce, seen = nn.Linear(1, 2), dist.all_reduce, []
        fully_shard(net, mesh=init_device_mesh("cpu", (2, 1), mesh_dim_names=("copies", "shards")))
        with pytest.raises(ValueError, match="stream cannot be set when using native HSDP"):
            net.set_all_reduce_hook(print, stream=torch.cpu.Stream())
        net.set_all_reduce_hook(lambda reduced: seen.append(torch.cpu.current_stream()))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dist, "all_reduce", watched)
            net(torch.ones(1, 1)).sum().backward()
        return len(seen), seen[0] is seen[1], seen[0] is torch.cpu.current_stream()

    assert ranks(train) == [(2, True, False)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_the_reduce_scatter_can_be_replaced(ranks):
    """``set_custom_reduce_scatter(comm)`` makes ``fully_shard`` call ``comm.allocate()`` and ``comm()`` to
    reduce.

    ``allocate()`` is called for the input and for the output, and ``grad`` is what the call put into the
    output. See :meth:`~torch.distributed.fsdp.FSDPModule.set_custom_reduce_scatter`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        class Own:
            def allocate(self, size, *, dtype, device):
                calls.append(("allocate", tuple(size), dtype, device.type))
                return torch.empty(*size, dtype=dtype, device=device)

            def __call__(self, output_tensor, input_tensor, group, op, async_op=False):
                calls.append(("reduce", input_tensor.tolist(), group.size()))
                output_tensor.fill_(7.0)

        net, calls = fully_shard(nn.Linear(1, 4, bias=False)), []
        net.set_custom_reduce_scatter(Own())
        net(torch.tensor([[rank + 1.0]])).sum().backward()
        return calls, net.weight.grad.to_local().flatten().tolist()

    allocated = [("allocate", (4,), torch.float32, "cpu"), ("allocate", (2,), torch.float32, "cpu")]
    expected = [([*allocated, ("reduce", [own] * 4, 2)], [7.0, 7.0]) for own in (1.0, 2.0)]
    assert ranks(train) == expected


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_both_directions_share_a_group(ranks):
    """``fully_shard`` gathers and reduces in the process group of the mesh, each in a stream of its own.

    A group has one communicator, which runs one collective after the other. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_separate_reduce_scatter_group`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.fsdp._fully_shard import _fsdp_collectives as collectives

        class Gather(collectives.DefaultAllGather):
            def __call__(self, **options):
                seen.append((options["group"], torch.cpu.current_stream()))
                return super().__call__(**options)

        class Scatter(collectives.DefaultReduceScatter):
            def __call__(self, **options):
                seen.append((options["group"], torch.cpu.current_stream()))
                return super().__call__(**options)

        net, seen, usual = fully_shard(nn.Linear(1, 2)), [], torch.cpu.current_stream()
        net.set_custom_all_gather(Gather())
        net.set_custom_reduce_scatter(Scatter())
        net(torch.ones(1, 1)).sum().backward()
        groups, streams = zip(*seen, strict=True)
        return [group is dist.group.WORLD for group in groups], len({*streams, usual})

    assert ranks(train) == [([True, True], 3)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_reducing_may_have_its_own_group(ranks):
    """``set_separate_reduce_scatter_group()`` makes ``fully_shard`` reduce gradients in a new process group.

    All submodules over the same ranks share it; with ``recurse=False`` they keep the group of the mesh, to
    which ``False`` returns. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_separate_reduce_scatter_group`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.fsdp._fully_shard._fsdp_collectives import DefaultReduceScatter

        class Scatter(DefaultReduceScatter):
            def __call__(self, **options):
                seen.append(options["group"])
                return super().__call__(**options)

        net, usual, results = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 2)), dist.group.WORLD, []
        for module in (net[0], net):
            fully_shard(module).set_custom_reduce_scatter(Scatter())
        for options in ({"recurse": False}, {}, {"enable": False}):
            net.set_separate_reduce_scatter_group(**options)
            seen = []
            net(torch.ones(1, 1)).sum().backward()
            outer, inner = seen
            ranks = dist.get_process_group_ranks(outer)
            results.append((outer is usual, inner is usual, outer is inner, ranks))
        return results

    expected = [(False, True, False, [0, 1]), (False, False, True, [0, 1]), (True, True, True, [0, 1])]
    assert ranks(train) == [expected] * 2


@pytest.mark.parametrize("recurse", [True, False])
@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_more_inputs_may_be_kept(ranks, recurse):
    """``set_reduce_scatter_max_input_buffers(3)`` lets ``fully_shard`` keep 3 reduce-scatter inputs, else
    one.

    With one, as by default, it frees that of the last module before it makes the next. The largest number of
    all modules counts for all, so ``recurse=False`` makes no difference. Inputs are made in the stream of
    backward, with any number. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_reduce_scatter_max_input_buffers`.
    """

    def train(rank, recurse):
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.fsdp._fully_shard._fsdp_collectives import DefaultReduceScatter

        class Watched(DefaultReduceScatter):
            def allocate(self, *size, **options):
                alive.extend([sum(ref() is not None for ref in inputs)] if len(streams) % 2 == 0 else [])
                streams.append(torch.cpu.current_stream())
                return super().allocate(*size, **options)

            def __call__(self, **options):
                inputs.append(weakref.ref(options["input_tensor"].untyped_storage()))
                return super().__call__(**options)

        results = []
        for number in (1, 3):
            net, inputs, alive, streams = nn.Sequential(*map(nn.Linear, [2] * 4, [2] * 4)), [], [], []
            for module in (*net[:3], net):
                fully_shard(module).set_custom_reduce_scatter(Watched())
            net.set_reduce_scatter_max_input_buffers(number, recurse=recurse)
            net(torch.ones(1, 2)).sum().backward()
            results.append((alive, streams[0] is torch.cpu.current_stream(), len(set(streams))))
        return results

    assert ranks(train, recurse) == [[([0, 0, 0, 0], True, 2), ([0, 1, 2, 2], True, 2)]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_the_number_is_read_once(ranks):
    """``set_reduce_scatter_max_input_buffers`` of ``fully_shard`` changes nothing after the first forward.

    See :meth:`~torch.distributed.fsdp.FSDPModule.set_reduce_scatter_max_input_buffers`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.fsdp._fully_shard._fsdp_collectives import DefaultReduceScatter

        class Watched(DefaultReduceScatter):
            def __call__(self, **options):
                alive.append(sum(ref() is not None for ref in inputs))
                inputs.append(weakref.ref(options["input_tensor"].untyped_storage()))
                return super().__call__(**options)

        net, inputs, alive = nn.Sequential(*[nn.Linear(2, 2) for _ in range(3)]), [], []
        for module in (*net[:2], net):
            fully_shard(module).set_custom_reduce_scatter(Watched())
        output = net(torch.ones(1, 2))
        net.set_reduce_scatter_max_input_buffers(3)
        output.sum().backward()
        net(torch.ones(1, 2)).sum().backward()
        return alive

    assert ranks(train) == [[0] * 6] * 2

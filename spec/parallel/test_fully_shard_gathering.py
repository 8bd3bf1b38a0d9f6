"""When fully_shard gathers parameters.

All parameters that one call of fully_shard took are a group and come together in one all-gather: in forward,
and in backward again if they were let go in between. Here the collectives are counted, or replaced.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_a_group_goes_in_one_piece(ranks):
    """Each ``fully_shard`` group has one all-gather in forward and one reduce-scatter in backward.

    However many parameters it has. See :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.tensor.debug import CommDebugMode

        net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 2))
        fully_shard(net[0], reshard_after_forward=False)
        fully_shard(net, reshard_after_forward=False)
        with CommDebugMode() as forward:
            output = net(torch.ones(1, 2))
        with CommDebugMode() as backward:
            output.sum().backward()
        return [{str(op): n for op, n in each.get_comm_counts().items()} for each in (forward, backward)]

    assert ranks(train) == [[{"c10d._allgather_base_": 2}, {"c10d._reduce_scatter_base_": 2}]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.8")
def test_what_was_freed_is_gathered_again(ranks):
    """``fully_shard(reshard_after_forward=True)`` frees weights after forward and gathers again in backward.

    With ``False`` it keeps them. See :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def train(rank, reshard):
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.tensor.debug import CommDebugMode

        net, whole = nn.Linear(4, 4), []
        net.register_forward_hook(lambda module, args, output: whole.extend(module.parameters()))
        fully_shard(net, reshard_after_forward=reshard)
        with CommDebugMode() as forward:
            output = net(torch.ones(1, 4))
        sizes = [p.untyped_storage().size() for p in whole]
        with CommDebugMode() as backward:
            output.sum().backward()
        counts = [{str(op): n for op, n in each.get_comm_counts().items()} for each in (forward, backward)]
        return counts, sizes

    gather, reduce = {"c10d._allgather_base_": 1}, {"c10d._reduce_scatter_base_": 1}
    assert ranks(train, True) == [([gather, gather | reduce], [0, 0])] * 2
    assert ranks(train, False) == [([gather, reduce], [64, 16])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.8")
def test_forward_itself_gathers_nothing(ranks):
    """``net.forward(x)`` of a ``fully_shard`` module works on shards: forward hooks gather and free.

    Call the module, ``net(x)``. Hooks registered later find the parameters whole before forward, shards after
    it. See :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def call(rank):
        from torch.distributed.fsdp import fully_shard

        class Net(nn.Linear):
            def forward(self, x):
                seen.append(("forward", hasattr(self.weight, "to_local")))
                return x * 2

        net, seen = fully_shard(Net(2, 3), reshard_after_forward=True), []
        net.register_forward_pre_hook(lambda *_: seen.append(("pre", hasattr(net.weight, "to_local"))))
        net.register_forward_hook(lambda *_: seen.append(("post", hasattr(net.weight, "to_local"))))
        net(torch.ones(1, 2))
        net.forward(torch.ones(1, 2))
        return seen

    assert ranks(call) == [[("pre", False), ("forward", False), ("post", True), ("forward", True)]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_a_layer_called_past_the_module(ranks):
    """A layer of a ``fully_shard`` module called outside its forward raises ``RuntimeError``: mixed DTensor.

    So does another method of the module, such as one that only embeds. Call the module, give the layer a
    ``fully_shard`` of its own, or name the method to ``register_fsdp_forward_method`` (:issue:`156535`). See
    :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def call(rank):
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        class Net(nn.Sequential):
            def embed(self, x):
                return self[0](x)

        net, own, named = (Net(nn.Embedding(4, 2), nn.Linear(2, 3)) for _ in range(3))
        x = torch.tensor([0, 2])
        fully_shard(own[0])
        for each in (net, own, named):
            fully_shard(each)
        register_fsdp_forward_method(named, "embed")
        for wrong, given in ((net[0], x), (net[1], torch.rand(1, 2)), (net.embed, x)):
            with pytest.raises(RuntimeError, match=r"got mixed torch\.Tensor and DTensor"):
                wrong(given)
        return [list(output.shape) for output in (net(x), own.embed(x), named.embed(x))]

    assert ranks(call) == [[[2, 3], [2, 2], [2, 2]]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_what_was_not_sharded_stays_plain(ranks):
    """A layer outside of every ``fully_shard``, or assigned later, stays plain; its gradients are not
    reduced.

    Shards and plain layers work together without an error, and the ranks drift apart. Call ``fully_shard`` of
    the whole module last. See :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        outside = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
        later = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
        fully_shard(outside[0])
        fully_shard(later)
        later[1] = nn.Linear(1, 1, bias=False)
        grads = []
        for net in (outside, later):
            with torch.no_grad():
                net[1].weight.fill_(5.0)
            net(torch.tensor([[rank + 1.0]])).sum().backward()
            whole = net[0].weight.full_tensor().item()
            grads.append(
                (net[0].weight.grad.full_tensor().item(), round(net[1].weight.grad.item() / whole, 4))
            )
        return grads

    assert ranks(train) == [[(7.5, 1.0)] * 2, [(7.5, 2.0)] * 2]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_backward_may_do_without(ranks):
    """After ``set_unshard_in_backward(False)``, backward does not gather that ``fully_shard`` module again.

    It has to do without the parameters, as an embedding can. It does not hold for submodules. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_unshard_in_backward`.
    """

    def train(rank, unshard):
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.tensor.debug import CommDebugMode

        net = nn.Sequential(nn.Embedding(4, 2), nn.Linear(2, 2))
        for module in (net[0], net[1], net):
            fully_shard(module, reshard_after_forward=True)
        for module in (net[0], net):
            module.set_unshard_in_backward(unshard)
        output = net(torch.tensor([0, 2]))
        with CommDebugMode() as backward:
            output.sum().backward()
        counts = {str(op): n for op, n in backward.get_comm_counts().items()}
        return counts["c10d._allgather_base_"], counts["c10d._reduce_scatter_base_"]

    assert ranks(train, True) == [(2, 2)] * 2
    assert ranks(train, False) == [(1, 2)] * 2


@pytest.mark.parametrize("named", [[], [1], [1, 2]], ids=["none", "one", "two"])
@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_forward_gathers_ahead(ranks, named):
    """A ``fully_shard`` module gathers modules of its ``set_modules_to_forward_prefetch`` before its own
    forward.

    By default it gathers none ahead. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_modules_to_forward_prefetch`.
    """

    def run(rank, named):
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.tensor.debug import CommDebugMode

        class Layer(nn.Linear):
            def forward(self, x):
                seen.append(comm.get_total_counts())
                return super().forward(x)

        net, seen = nn.Sequential(Layer(2, 2), Layer(2, 2), Layer(2, 2)), []
        for module in (*net, net):
            fully_shard(module)
        net[0].set_modules_to_forward_prefetch([net[i] for i in named])
        with pytest.raises(ValueError, match="Expects FSDPModule but got"):
            net[0].set_modules_to_forward_prefetch([nn.Linear(2, 2)])
        with CommDebugMode() as comm:
            net(torch.ones(1, 2))
        return seen

    expected = {0: [1, 2, 3], 1: [2, 2, 3], 2: [3, 3, 3]}
    assert ranks(run, named) == [expected[len(named)]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_gathering_ahead_comes_second(ranks):
    """A ``fully_shard`` module gathers its own parameters before those that it prefetches for other modules.

    See :meth:`~torch.distributed.fsdp.FSDPModule.set_modules_to_forward_prefetch`.
    """

    def run(rank):
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.fsdp._fully_shard._fsdp_collectives import DefaultAllGather

        class Gather(DefaultAllGather):
            def __call__(self, *args, **options):
                seen.append([hasattr(layer.weight, "to_local") for layer in net])
                return super().__call__(*args, **options)

        net, seen = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), []
        for module in (*net, net):
            fully_shard(module).set_custom_all_gather(Gather())
        net[0].set_modules_to_forward_prefetch([net[1]])
        net[1].set_modules_to_backward_prefetch([net[0]])
        net(torch.ones(1, 2, requires_grad=True)).sum().backward()
        return seen

    assert ranks(run) == [[[True, True], [False, True], [True, True], [True, False]]] * 2


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (None, ["gather 2", "gather 1", "back 2", "gather 0", "back 1", "back 0"]),
        ([1], ["gather 2", "gather 1", "back 2", "gather 0", "back 1", "back 0"]),
        ([1, 0], ["gather 2", "gather 1", "gather 0", "back 2", "back 1", "back 0"]),
        ([0], ["gather 2", "gather 0", "back 2", "gather 1", "back 1", "back 0"]),
    ],
    ids=["default", "the one before", "two", "another"],
)
@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_backward_gathers_ahead(ranks, named, expected):
    """In backward ``fully_shard`` prefetches the module before, or those of
    ``set_modules_to_backward_prefetch``.

    A list replaces the default, and is gathered in the order given; that of the module before alone is as the
    default. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_modules_to_backward_prefetch`.
    """

    def run(rank, named):
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
        if named:
            net[2].set_modules_to_backward_prefetch([net[i] for i in named])
        output = net(torch.ones(1, 2, requires_grad=True))
        seen.clear()
        output.sum().backward()
        return seen

    assert ranks(run, named) == [expected] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_backward_gathers_what_was_written_after_forward(ranks):
    """If parameters change after forward, ``fully_shard`` silently uses the new values in backward.

    The gradient belongs to neither: without ``fully_shard``, or with ``reshard_after_forward=False``,
    backward raises ``RuntimeError``. See :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net, x = nn.Sequential(nn.Linear(1, 2, bias=False)), torch.ones(1, 1, requires_grad=True)
        nn.init.constant_(net[0].weight, 3.0)
        fully_shard(net[0], reshard_after_forward=True)
        fully_shard(net)
        output = net(x)
        with torch.no_grad():
            net[0].weight.mul_(5)
        output.sum().backward()
        kept = fully_shard(nn.Linear(1, 2, bias=False), reshard_after_forward=False)
        loss = kept(x).sum()
        with torch.no_grad():
            kept.weight.mul_(5)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
        return output.tolist(), x.grad.item()

    assert ranks(train) == [([[3.0, 3.0]], 30.0)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_the_all_gather_can_be_replaced(ranks):
    """``set_custom_all_gather(comm)`` makes ``fully_shard`` call ``comm.allocate()`` and ``comm()`` to
    gather.

    The buffer has the dtype ``param_dtype``, the parameters what the call put into it. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_custom_all_gather`.
    """

    def run(rank):
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        class Own:
            def allocate(self, size, *, dtype, device):
                calls.append(("allocate", tuple(size), dtype, device.type))
                return torch.empty(*size, dtype=dtype, device=device)

            def __call__(self, output_tensor, input_tensor, group, async_op=False):
                calls.append(("gather", len(output_tensor), len(input_tensor), group.size()))
                output_tensor.fill_(7.0)

        net, calls = nn.Linear(1, 4, bias=False), []
        fully_shard(net, mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16))
        net.set_custom_all_gather(Own())
        net(torch.ones(1, 1))
        return calls, net.weight.dtype, net.weight.flatten().tolist()

    calls = [("allocate", (4,), torch.bfloat16, "cpu"), ("gather", 4, 2, 2)]
    assert ranks(run) == [(calls, torch.bfloat16, [7.0] * 4)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_a_list_is_gathered_together(ranks):
    """After ``fully_shard([a, b])`` a call of ``a`` gathers the parameters of ``b`` as well, in one
    all-gather.

    See :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def run(rank):
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.tensor.debug import CommDebugMode

        class First(nn.Linear):
            def forward(self, x):
                seen.append([hasattr(layer.weight, "to_local") for layer in net])
                return super().forward(x)

        net, seen = nn.Sequential(First(2, 2), nn.Linear(2, 2)), []
        fully_shard([net[0], net[1]])
        fully_shard(net)
        with CommDebugMode() as comm:
            net(torch.ones(1, 2))
        return seen, comm.get_total_counts()

    assert ranks(run) == [([[False, False]], 1)] * 2

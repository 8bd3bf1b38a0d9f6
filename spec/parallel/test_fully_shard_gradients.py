"""How fully_shard reduces gradients.

It adds up the gradients of all ranks, divides them, and leaves each rank its shard. All parameters that are
sharded together go in one piece.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_the_divide_factor_is_of_one_module(ranks):
    """``set_gradient_divide_factor`` of ``fully_shard`` does not apply to submodules sharded on their own.

    Setters that have an argument ``recurse`` do. Over gloo it takes
    ``set_force_sum_reduction_for_comms(True)``. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_gradient_divide_factor`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net = nn.Sequential(nn.Linear(1, 2, bias=False), nn.Linear(2, 2, bias=False))
        for p in net.parameters():
            nn.init.constant_(p, 1.0)
        fully_shard(net[0])
        fully_shard(net)
        net.set_gradient_divide_factor(8.0)
        net.set_force_sum_reduction_for_comms(True)
        net(torch.tensor([[rank + 1.0]])).sum().backward()
        return [p.grad.to_local().tolist() for p in net.parameters()]

    assert ranks(train) == [[[[3.0]], [[0.375, 0.375]]]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_gloo_does_not_divide(ranks):
    """Over gloo, ``fully_shard`` raises ``RuntimeError`` in backward after ``set_gradient_divide_factor(8)``.

    Only the number of ranks goes, which is the default. ``set_force_sum_reduction_for_comms(True)`` helps.
    See :meth:`~torch.distributed.fsdp.FSDPModule.set_gradient_divide_factor`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Linear(1, 2, bias=False))
        net.set_gradient_divide_factor(2.0)
        net(torch.tensor([[rank + 1.0]])).sum().backward()
        net.set_gradient_divide_factor(8.0)
        with pytest.raises(RuntimeError, match=r"Cannot use ReduceOp\.PREMUL_SUM with Gloo"):
            net(torch.tensor([[rank + 1.0]])).sum().backward()
        forced = fully_shard(nn.Linear(1, 2, bias=False))
        forced.set_gradient_divide_factor(8.0)
        forced.set_force_sum_reduction_for_comms(True)
        forced(torch.tensor([[rank + 1.0]])).sum().backward()
        return net.weight.grad.to_local().tolist(), forced.weight.grad.to_local().tolist()

    assert ranks(train) == [([[1.5]], [[0.375]])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_different_branches_are_mixed_up(ranks):
    """``fully_shard`` silently averages gradients of different parameters if ranks use different ones.

    It matches what arrived by position. Each rank has the mean as ``grad`` of what it used itself. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_reduce_scatter_unused_params`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Sequential(nn.Linear(1, 2, bias=False), nn.Linear(1, 2, bias=False)))
        net.forward = lambda x: net[rank](x)
        net(torch.tensor([[rank + 1.0]])).sum().backward()
        return [None if p.grad is None else p.grad.to_local().tolist() for p in net.parameters()]

    assert ranks(train) == [[[[1.5]], None], [None, [[1.5]]]]


@pytest.mark.parametrize(
    ("used", "grads"),
    [((0, 1), [[[0.5]], [[1.0]]]), ((0, 0), [[[1.5]], [[0.0]]])],
    ids=["by one rank", "by no rank"],
)
@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_unused_parameters_get_zeros(ranks, used, grads):
    """After ``set_reduce_scatter_unused_params(True)``, ``fully_shard`` gives unused parameters zero
    gradients.

    It averages zeros for ranks that do not use one. Under DDP with ``find_unused_parameters=True``, the
    ``grad`` of what no rank uses stays ``None``. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_reduce_scatter_unused_params`.
    """

    def train(rank, used):
        from torch.distributed.fsdp import fully_shard

        net, copy = (nn.Sequential(*(nn.Linear(1, 2, bias=False) for _ in range(2))) for _ in range(2))
        net.forward = lambda x: net[used[rank]](x)
        copy.forward = lambda x: copy[used[rank]](x)
        fully_shard(net).set_reduce_scatter_unused_params(True)
        ddp = nn.parallel.DistributedDataParallel(copy, find_unused_parameters=True)
        for each in (net, ddp):
            each(torch.tensor([[rank + 1.0]])).sum().backward()
        return [p.grad.to_local().tolist() for p in net.parameters()], copy[1].weight.grad is None

    assert ranks(train, used) == [(grads, 1 not in used)] * 2


@pytest.mark.parametrize("recurse", [True, False])
@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_submodules_get_zeros_too(ranks, recurse):
    """``set_reduce_scatter_unused_params(True)`` holds for ``fully_shard`` submodules unless
    ``recurse=False``.

    See :meth:`~torch.distributed.fsdp.FSDPModule.set_reduce_scatter_unused_params`.
    """

    def train(rank, recurse):
        from torch.distributed.fsdp import fully_shard

        class Idle(nn.Linear):
            def forward(self, x):
                return x * 2

        net = nn.Sequential(Idle(2, 2, bias=False), Idle(2, 2, bias=False))
        fully_shard(net[0])
        fully_shard(net).set_reduce_scatter_unused_params(True, recurse=recurse)
        net(torch.ones(1, 2, requires_grad=True)).sum().backward()
        return [None if p.grad is None else p.grad.to_local().tolist() for p in net.parameters()]

    zeros = [[0.0, 0.0]]
    assert ranks(train, recurse) == [[zeros if recurse else None, zeros]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_the_optimizer_has_shards(ranks):
    """The state of an optimizer made after ``fully_shard`` is sharded as the parameters are.

    That is what saves memory: :class:`~torch.optim.Adam` keeps two values for each parameter, here of one row
    out of two. See :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Linear(1, 2, bias=False))
        optimizer = torch.optim.Adam(net.parameters(), betas=(0.5, 0.5))
        net(torch.tensor([[rank + 1.0]])).sum().backward()
        optimizer.step()
        state = optimizer.state[net.weight]
        return [
            (tuple(state[key].shape), state[key].to_local().tolist()) for key in ("exp_avg", "exp_avg_sq")
        ]

    assert ranks(train) == [[((2, 1), [[0.75]]), ((2, 1), [[1.125]])]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_hooks_after_accumulation_get_shards(ranks):
    """After ``fully_shard``, ``register_post_accumulate_grad_hook`` hooks get the sharded parameter and
    ``grad``.

    They run once the gradients of all ranks are reduced, so an optimizer may step there. Register them
    afterwards: a hook of an earlier parameter goes with it (:pull:`129450`). See
    :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net, early, late = nn.Linear(1, 2, bias=False), [], []
        net.weight.register_post_accumulate_grad_hook(early.append)
        fully_shard(net)
        net.weight.register_post_accumulate_grad_hook(
            lambda weight: late.append([weight is net.weight, weight.grad.to_local().tolist()])
        )
        net(torch.tensor([[rank + 1.0]])).sum().backward()
        reduced = net.weight.grad.to_local().tolist()
        return early, late == [[True, reduced]], reduced != [[rank + 1.0]]

    assert ranks(train) == [([], True, True)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_a_hook_may_change_the_reduced(ranks):
    """A ``set_all_reduce_hook`` hook can change the averaged gradient shards of ``fully_shard`` in place.

    See :meth:`~torch.distributed.fsdp.FSDPModule.set_all_reduce_hook`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net, seen = fully_shard(nn.Linear(1, 2, bias=False)), []
        net.set_all_reduce_hook(lambda shards: seen.append(shards.tolist()) or shards.mul_(10))
        net(torch.tensor([[rank + 1.0]])).sum().backward()
        return seen, net.weight.grad.to_local().tolist()

    assert ranks(train) == [([[1.5]], [[15.0]])] * 2


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [(0, ValueError, "must be a positive int, got 0"), (True, TypeError, "must be an int, got bool")],
    ids=["0", "True"],
)
@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_at_least_one_input_buffer(ranks, number, error, message):
    """``set_reduce_scatter_max_input_buffers`` of ``fully_shard`` raises ``ValueError`` for 0, ``TypeError``
    for ``True``.

    See :meth:`~torch.distributed.fsdp.FSDPModule.set_reduce_scatter_max_input_buffers`.
    """

    def run(rank, number, error, message):
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Linear(1, 2))
        with pytest.raises(error, match=message):
            net.set_reduce_scatter_max_input_buffers(number)
        return [net.set_reduce_scatter_max_input_buffers(allowed) for allowed in (1, 2)]

    assert ranks(run, number, error, message) == [[None, None]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
@pytest.mark.parametrize(
    ("kind", "size", "clipped"), [(2.0, 3.0, 0.5), (1.0, 6.0, 0.25), (float("inf"), 1.5, 1.0)]
)
def test_clipping_takes_the_norm_over_all_ranks(ranks, kind, size, clipped):
    """``clip_grad_norm_`` clips a ``fully_shard`` module by the norm over all ranks, and returns a DTensor.

    Call ``full_tensor()`` on it for the number, on every rank; what one rank has of it may be its own part
    only (:issue:`170862`). See :func:`~torch.nn.utils.clip_grad_norm_`.
    """

    def train(rank, kind):
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Linear(1, 4, bias=False))
        net(torch.tensor([[rank + 1.0]])).sum().backward()
        norm = nn.utils.clip_grad_norm_(net.parameters(), max_norm=1.0, norm_type=kind)
        return (
            type(norm).__name__,
            norm.full_tensor().item(),
            net.weight.grad.full_tensor().flatten().tolist(),
        )

    clipped = pytest.approx(clipped, rel=1e-4)
    assert ranks(train, kind) == [("DTensor", pytest.approx(size), [clipped] * 4)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_mixed_gradients_are_not_clipped_together(ranks):
    """``clip_grad_norm_`` of sharded parameters together with plain ones raises ``RuntimeError``.

    Shard the rest of the model too, with ``fully_shard`` on the root, or clip each part on its own.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net = nn.Sequential(fully_shard(nn.Linear(1, 4, bias=False)), nn.Linear(4, 1, bias=False))
        net(torch.ones(1, 1)).sum().backward()
        with pytest.raises(RuntimeError, match=r"got mixed torch\.Tensor and DTensor"):
            nn.utils.clip_grad_norm_(net.parameters(), max_norm=1.0)
        return [type(nn.utils.clip_grad_norm_(part.parameters(), 1.0)).__name__ for part in net]

    assert ranks(train) == [["DTensor", "Tensor"]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.11")
def test_nested_checkpoints_and_two_calls(ranks):
    """``fully_shard`` allows two calls before one backward of checkpointed blocks with sharded layers.

    So does training on pairs, such as DPO. See :func:`~torch.distributed.fsdp.fully_shard`
    (:issue:`153354`).
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard
        from torch.utils.checkpoint import checkpoint

        class Net(nn.Sequential):
            def forward(self, x):
                for block in self:
                    x = checkpoint(block, x, use_reentrant=False)
                return x

        net = Net(*[nn.Sequential(nn.Linear(1, 1), nn.Tanh(), nn.Linear(1, 1)) for _ in range(2)])
        for module in (net[0][0], net[0], net[1][0], net[1], net):
            fully_shard(module)
        (net(torch.rand(3, 1)) + net(torch.rand(3, 1))).sum().backward()
        return all(p.grad is not None for p in net.parameters())

    assert ranks(train) == [True, True]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
@pytest.mark.before("2.11")
def test_nested_checkpoints_and_two_calls_failed(ranks):
    """``fully_shard`` raises ``RuntimeError`` in backward after two calls of checkpointed sharded blocks.

    The second forward of a block finds shards: "got mixed torch.Tensor and DTensor". Call ``backward()``
    after each call. See :func:`~torch.distributed.fsdp.fully_shard` (:issue:`153354`).
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard
        from torch.utils.checkpoint import checkpoint

        class Net(nn.Sequential):
            def forward(self, x):
                for block in self:
                    x = checkpoint(block, x, use_reentrant=False)
                return x

        net = Net(*[nn.Sequential(nn.Linear(1, 1), nn.Tanh(), nn.Linear(1, 1)) for _ in range(2)])
        for module in (net[0][0], net[0], net[1][0], net[1], net):
            fully_shard(module)
        with pytest.raises(RuntimeError, match=r"mixed torch\.Tensor and DTensor"):
            (net(torch.rand(3, 1)) + net(torch.rand(3, 1))).sum().backward()

    assert ranks(train) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_a_parameter_without_elements_is_refused(join):
    """``fully_shard`` raises ``RuntimeError`` in ``backward()`` for a parameter without elements.

    As of ``nn.Linear(2, 0)``. Forward works. See :func:`~torch.distributed.fsdp.fully_shard`.

    See also :ref:`layers.empty_layers.empty_parameters_are_trained`
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    join("fake", 0, 1)
    net = nn.Sequential(nn.Linear(3, 2), nn.utils.skip_init(nn.Linear, 2, 0, bias=False))
    fully_shard(net, mesh=init_device_mesh("cpu", (1,)))

    output = net(torch.rand(4, 3))

    assert output.shape == (4, 0)
    with pytest.raises(RuntimeError, match="_chunk_cat expects non-empty tensor"):
        output.sum().backward()


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_without_a_reset_nothing_is_sharded_again(ranks):
    """After an error in ``backward()``, the next iteration of a ``fully_shard`` module reduces no gradients.

    It raises no error: the parameters stay whole, and each rank keeps the gradients of its own batch. Call
    ``reset_iter_state()`` of the root before it. See :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net, grads = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)), []
        nn.init.ones_(net[1].weight)
        for module in (*net, net):
            fully_shard(module)
        for broken in (False, True, False):
            hook = net[0].register_full_backward_pre_hook(lambda *_: {}["broken"]) if broken else None
            net.zero_grad()
            loss = net(torch.tensor([[rank + 1.0]])).sum()
            if broken:
                with pytest.raises(KeyError, match="broken"):
                    loss.backward()
                hook.remove()
            else:
                loss.backward()
                grads.append((hasattr(net[0].weight, "to_local"), net[0].weight.grad))
        return [(sharded, (grad.full_tensor() if sharded else grad).item()) for sharded, grad in grads]

    assert ranks(train) == [[(True, 1.5), (False, 1.0)], [(True, 1.5), (False, 2.0)]]

"""fully_shard after an error, and backward finished by hand.

``reset_iter_state()`` makes a module usable again after a forward or backward that was broken off. With
``set_manual_backward_finalization`` the caller says when backward is over.
"""

import pytest
import torch
import torch.distributed as dist
from torch import nn


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_after_an_error_the_state_is_reset(ranks, where):
    """After an error, ``reset_iter_state()`` of the ``fully_shard`` root lets the next iteration run
    normally.

    All parameters are shards again. See :meth:`~torch.distributed.fsdp.FSDPModule.reset_iter_state`.
    """

    def train(rank, where):
        from torch.distributed.fsdp import fully_shard

        first, last = nn.Linear(1, 1, bias=False), nn.Linear(1, 2, bias=False)
        nn.init.constant_(first.weight, 3.0)
        nn.init.ones_(last.weight)
        for module in (first, last, net := nn.Sequential(first, last)):
            fully_shard(module)
        if where == "forward":
            hook = last.register_forward_pre_hook(lambda *_: {}["broken"])
        else:
            hook = first.register_full_backward_pre_hook(lambda *_: {}["broken"])
        with pytest.raises(KeyError, match="broken"):
            net(torch.ones(1, 1)).sum().backward()
        hook.remove()
        net.reset_iter_state()
        net.zero_grad()
        sharded = [hasattr(p, "to_local") for p in net.parameters()]
        net(torch.tensor([[rank + 1.0]])).sum().backward()
        sharded += [hasattr(p, "to_local") for p in net.parameters()]
        return sharded, [p.grad.full_tensor().tolist() for p in net.parameters()]

    assert ranks(train, where) == [([True] * 4, [[[3.0]], [[4.5], [4.5]]])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_a_reset_waits_for_an_unshard(ranks):
    """``reset_iter_state()`` of a ``fully_shard`` module waits for a pending ``unshard(async_op=True)``.

    The parameters are shards after it. See
    :meth:`~torch.distributed.fsdp.FSDPModule.reset_iter_state`.
    """

    def reset(rank):
        from torch.distributed.fsdp import fully_shard

        class Work(dist.Work):
            def wait(self, timeout=None):
                calls.append("wait")

        class Gather:
            def allocate(self, size, *, dtype, device):
                return torch.empty(*size, dtype=dtype, device=device)

            def __call__(self, output_tensor, input_tensor, group, async_op=False):
                return Work() if async_op else None

        net, calls = fully_shard(nn.Linear(1, 2)), []
        net.set_custom_all_gather(Gather())
        net(torch.ones(1, 1))
        net.reshard()
        net.unshard(async_op=True)
        calls.append("reset")
        net.reset_iter_state()
        return calls, hasattr(net.weight, "to_local")

    assert ranks(reset) == [(["reset", "wait"], True)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_a_reset_loses_finished_gradients(ranks):
    """``reset_iter_state()`` of a ``fully_shard`` module sets all gradients to ``None``, also finished ones.

    Gradients that were accumulated in iterations that went well are gone, too, and those that
    ``set_requires_gradient_sync(False)`` or ``set_requires_all_reduce(False)`` kept for a later backward:
    start the accumulation anew. See :meth:`~torch.distributed.fsdp.FSDPModule.reset_iter_state`.
    """

    def train(rank):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", (2, 1), mesh_dim_names=("copies", "shards"))
        layer = fully_shard(nn.Linear(1, 1, bias=False), mesh=mesh)
        net, x = fully_shard(nn.Sequential(layer), mesh=mesh), torch.tensor([[rank + 1.0]])
        net(x).sum().backward()
        grads = [layer.weight.grad.to_local().item()]
        net.reset_iter_state()
        grads.append(layer.weight.grad)
        for put_off in (net.set_requires_gradient_sync, net.set_requires_all_reduce):
            put_off(False)
            net(x).sum().backward()
            net.reset_iter_state()
            put_off(True)
            net(x * 10).sum().backward()
            grads.append(layer.weight.grad.to_local().item())
            net.zero_grad()
        return grads

    assert ranks(train) == [[1.5, None, 15.0, 15.0]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_only_a_root_that_ran_is_reset(ranks):
    """``reset_iter_state()`` of a ``fully_shard`` module raises ``AttributeError`` before the first forward.

    After it, ``RuntimeError`` is raised on a module that is not the root. The root is the module that the
    first call went to. See :meth:`~torch.distributed.fsdp.FSDPModule.reset_iter_state`.
    """

    def reset(rank):
        from torch.distributed.fsdp import fully_shard

        layer = nn.Linear(2, 2)
        net = fully_shard(nn.Sequential(fully_shard(layer), nn.Linear(2, 2)))
        for module in (net, layer):
            with pytest.raises(AttributeError, match="has no attribute"):
                module.reset_iter_state()
        net(torch.ones(1, 2))
        with pytest.raises(RuntimeError, match="must be called on the root FSDP module"):
            layer.reset_iter_state()
        return net.reset_iter_state()

    assert ranks(reset) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_finalization_averages_and_shards(ranks):
    """With ``set_manual_backward_finalization(True)``, FSDP's ``finalize_backward()`` averages what backward
    left.

    It averages and reshards modules whose input requires no gradient, such as the first one. Others are
    averaged and resharded in backward as ever. ``set_is_last_backward(False)`` changes nothing then. See
    :meth:`~torch.distributed.fsdp.FSDPModule.finalize_backward`.
    """

    def train(rank, last):
        from torch.distributed.fsdp import fully_shard

        class Net(nn.ModuleList):
            def forward(self, x):
                return self[2](self[0](x) + self[1](x))

        net = Net([nn.Linear(1, 2, bias=False), nn.Linear(1, 2, bias=False), nn.Linear(2, 2, bias=False)])
        for weight in net.parameters():
            nn.init.constant_(weight, 0.5)
        for module in (*net, net):
            fully_shard(module)
        net.set_manual_backward_finalization(True)
        net.set_is_last_backward(last)
        net(torch.tensor([[rank + 1.0]])).sum().backward()
        before = [hasattr(layer.weight, "to_local") for layer in net], net[0].weight.grad.tolist()
        result = net.finalize_backward()
        net.set_manual_backward_finalization(False)
        return before, result, [layer.weight.grad.to_local().tolist() for layer in net]

    after = [[[1.5]], [[1.5]], [[1.5, 1.5]]]
    expected = [(([False, False, True], [[own], [own]]), None, after) for own in (1.0, 2.0)]
    assert ranks(train, True) == expected
    assert ranks(train, False) == expected


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_finalization_keeps_to_gradient_sync(ranks):
    """``finalize_backward()`` of ``fully_shard`` does not average after
    ``set_requires_gradient_sync(False)``.

    It shards the parameters. See :meth:`~torch.distributed.fsdp.FSDPModule.finalize_backward`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net, x = fully_shard(nn.Linear(1, 2, bias=False)), torch.tensor([[rank + 1.0]])
        net.set_manual_backward_finalization(True)
        net.set_requires_gradient_sync(False)
        net(x).sum().backward()
        net.finalize_backward()
        waiting = hasattr(net.weight, "to_local"), net.weight.grad
        net.set_requires_gradient_sync(True)
        net(x * 10).sum().backward()
        net.finalize_backward()
        return waiting, net.weight.grad.to_local().tolist()

    assert ranks(train) == [((True, None), [[16.5]])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_finalization_takes_the_all_reduce(ranks):
    """``finalize_backward()`` of ``fully_shard`` raises ``RuntimeError`` after
    ``set_requires_all_reduce(False)``.

    That is over a mesh of two dimensions: the all-reduce cannot wait. See
    :meth:`~torch.distributed.fsdp.FSDPModule.finalize_backward`.
    """

    def train(rank):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", (2, 1), mesh_dim_names=("copies", "shards"))
        net = fully_shard(nn.Linear(1, 2, bias=False), mesh=mesh)
        net.set_manual_backward_finalization(True)
        net.set_requires_all_reduce(False)
        net(torch.tensor([[rank + 1.0]])).sum().backward()
        with pytest.raises(RuntimeError, match="manual backward finalization requires all-reduce"):
            net.finalize_backward()
        net.set_requires_all_reduce(True)
        net.finalize_backward()
        return net.weight.grad.to_local().flatten().tolist()

    assert ranks(train) == [[1.5, 1.5]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_finalization_without_a_backward(ranks):
    """Before the first forward, ``finalize_backward()`` of a ``fully_shard`` module does nothing.

    After that forward it raises ``RuntimeError``, but with ``set_manual_backward_finalization(True)`` it does
    nothing either if no backward reached the module. See
    :meth:`~torch.distributed.fsdp.FSDPModule.finalize_backward`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net, x = fully_shard(nn.Linear(1, 2)), torch.tensor([[3.0]], requires_grad=True)
        results = [net.finalize_backward()]
        net(x)
        with pytest.raises(RuntimeError, match="requires manual backward finalization"):
            net.finalize_backward()
        net = fully_shard(nn.Linear(1, 2))
        net.set_manual_backward_finalization(True)
        net(x)
        (x * 2).sum().backward()
        return [*results, net.finalize_backward(), net.weight.grad]

    assert ranks(train) == [[None, None, None]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_the_mode_is_kept_until_finalized(ranks):
    """FSDP's ``set_manual_backward_finalization`` raises ``RuntimeError`` while a backward is not finalized.

    ``reset_iter_state()`` ends it as well. It also raises on a submodule, at the
    latest when the ``fully_shard`` root is called. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_manual_backward_finalization`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        layer, x = nn.Linear(1, 1), torch.tensor([[3.0]])
        net = fully_shard(nn.Sequential(fully_shard(layer), nn.Linear(1, 1)))
        net.set_manual_backward_finalization(True)
        net(x).sum().backward()
        with pytest.raises(RuntimeError, match="cannot change mode after backward starts"):
            net.set_manual_backward_finalization(False)
        net.finalize_backward()
        net.set_manual_backward_finalization(False)
        net(x).sum().backward()
        net.set_manual_backward_finalization(True)
        net(x).sum().backward()
        net.reset_iter_state()
        net.set_manual_backward_finalization(False)
        with pytest.raises(RuntimeError, match="must be called on the root FSDP module"):
            layer.set_manual_backward_finalization(True)
        layer = nn.Linear(1, 1)
        net = fully_shard(nn.Sequential(fully_shard(layer)))
        layer.set_manual_backward_finalization(True)
        with pytest.raises(RuntimeError, match="must be called on the root FSDP module"):
            net(x)

    assert ranks(train) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_the_mode_does_not_change_in_backward(ranks):
    """FSDP's ``set_manual_backward_finalization`` raises ``RuntimeError`` when called during backward.

    Between forward and backward it still can be called. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_manual_backward_finalization`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        def late(grad):
            with pytest.raises(RuntimeError, match="cannot change mode during backward"):
                net.set_manual_backward_finalization(False)
            refused.append(rank)

        net, refused = fully_shard(nn.Linear(1, 1, bias=False)), []
        x = torch.tensor([[rank + 1.0]], requires_grad=True)
        loss = net(x).sum()
        x.register_hook(late)
        net.set_manual_backward_finalization(True)
        loss.backward()
        net.finalize_backward()
        return refused, net.weight.grad.to_local().tolist()

    assert ranks(train) == [([0], [[1.5]]), ([1], [])]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_a_handle_is_waited_on(ranks):
    """After FSDP's ``finalize_backward(async_op=True)``, forward raises ``RuntimeError`` until
    ``handle.wait()``.

    The handle is what it returns. A further ``finalize_backward()`` raises ``RuntimeError`` as well, and
    after ``reset_iter_state()`` so does ``wait()``. See
    :meth:`~torch.distributed.fsdp.FSDPModule.finalize_backward`.
    """

    def train(rank):
        from torch.distributed.fsdp import GradientReductionHandle, fully_shard

        net, x = fully_shard(nn.Linear(1, 2, bias=False)), torch.tensor([[rank + 1.0]])
        net.set_manual_backward_finalization(True)
        net(x).sum().backward()
        handle = net.finalize_backward(async_op=True)
        for early in (lambda: net(x), net.finalize_backward):
            with pytest.raises(RuntimeError, match="previous gradient reduction must be waited on"):
                early()
        handle.wait()
        grad = net.weight.grad.to_local().tolist()
        net(x).sum().backward()
        lost = net.finalize_backward(async_op=True)
        net.reset_iter_state()
        with pytest.raises(RuntimeError, match="gradient reduction handle was invalidated"):
            lost.wait()
        return isinstance(handle, GradientReductionHandle), grad

    assert ranks(train) == [(True, [[1.5]])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_a_shared_context_is_reset_by_its_user(ranks):
    """After ``share_comm_ctx([a, b])``, ``b.reset_iter_state()`` raises ``RuntimeError`` in a backward of
    ``a``.

    That backward lasts from ``handle = a.finalize_backward(async_op=True)`` to ``handle.wait()``, or until
    ``a.reset_iter_state()``. See :meth:`~torch.distributed.fsdp.FSDPModule.reset_iter_state`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard, share_comm_ctx

        a, b = fully_shard(nn.Linear(1, 2)), fully_shard(nn.Linear(1, 2))
        share_comm_ctx([a, b])
        a.set_manual_backward_finalization(True)
        for end in ("wait", "reset"):
            a(torch.tensor([[rank + 1.0]])).sum().backward()
            handle = a.finalize_backward(async_op=True)
            with pytest.raises(RuntimeError, match="owned by another FSDP root"):
                b.reset_iter_state()
            handle.wait() if end == "wait" else a.reset_iter_state()
            assert b.reset_iter_state() is None

    assert ranks(train) == [None, None]

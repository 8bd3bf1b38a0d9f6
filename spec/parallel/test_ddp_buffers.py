"""Buffers under DistributedDataParallel.

Buffers are not averaged: those of rank 0 are handed to all.
"""

import threading
import warnings

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP


@pytest.mark.needs("distributed")
def test_buffers_start_equal_too(ranks):
    """By default ``DistributedDataParallel`` copies the buffers of rank 0 to all ranks when constructed."""

    def wrap(rank):
        net = nn.Sequential(nn.Linear(2, 3))
        net[0].register_buffer("mean", torch.tensor([rank + 5.0, rank + 7.0]))
        net.register_buffer("steps", torch.tensor(rank + 3), persistent=False)
        return [buffer.tolist() for buffer in DDP(net).module.buffers()]

    assert ranks(wrap) == [[3, [5.0, 7.0]]] * 2


@pytest.mark.needs("distributed")
def test_buffers_follow_rank_0(ranks):
    """By default a :class:`DDP <torch.nn.parallel.DistributedDataParallel>` call starts with rank 0's
    buffers, unless the last call was in ``no_grad`` or ``no_sync``.

    So does the first call. Statistics of other ranks are lost: :class:`~torch.nn.SyncBatchNorm` counts them.
    """

    def run(rank):
        def count(net, args):
            starts.append([net.steps.item(), net.norm.running_mean.item()])
            net.steps += rank + 1
            net.norm.running_mean += rank + 1

        starts, net, loud = [], nn.Linear(1, 1), torch.enable_grad()
        net.register_buffer("steps", torch.tensor(0), persistent=False)
        net.norm = nn.BatchNorm1d(1)
        net.register_forward_pre_hook(count)
        model = DDP(net)
        net.steps += rank
        for mode in (loud, torch.no_grad(), loud, model.no_sync(), loud, loud):
            with mode:
                model.train(len(starts) % 4 != 0)(torch.ones(1, 1))
        return starts

    assert ranks(run) == [[[n, n] for n in counts] for counts in ([0, 1, 2, 3, 4, 5], [0, 1, 3, 3, 5, 5])]


@pytest.mark.needs("distributed")
def test_after_no_grad_buffers_stay_local(ranks):
    """After a call in ``no_grad`` or ``no_sync``, ``DistributedDataParallel`` skips one broadcast of buffers.

    Ranks keep their own until the call after the next one.
    """

    def run(rank):
        model = DDP(nn.BatchNorm1d(1, momentum=1.0))
        batch = torch.tensor([[rank * 10.0], [rank * 10.0 + 2.0]])
        means = []
        for quiet in (torch.no_grad(), model.no_sync()):
            model.train()
            with quiet:
                model(batch)
            model.eval()
            for _ in range(2):
                model(batch)
                means.append(model.module.running_mean.item())
        return means

    assert ranks(run) == [[1.0, 1.0, 1.0, 1.0], [11.0, 1.0, 11.0, 1.0]]


@pytest.mark.needs("distributed")
def test_buffers_may_stay_local(ranks):
    """``DistributedDataParallel(broadcast_buffers=False)`` lets each rank keep its own updates of buffers."""

    def run(rank):
        net = nn.Sequential(nn.BatchNorm1d(1, momentum=0.5))
        net.register_buffer("steps", torch.tensor(3), persistent=False)
        model = DDP(net, broadcast_buffers=False)
        net.steps += rank
        for mode in (True, True, False):
            model.train(mode)(torch.tensor([[rank * 10.0], [rank * 10.0 + 2.0]]))
        return [buffer.item() for buffer in net.buffers()]

    assert ranks(run) == [[3, 0.75, 1.75, 2], [4, 8.25, 1.75, 2]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.1")
def test_local_buffers_start_local(ranks):
    """``DistributedDataParallel(broadcast_buffers=False)`` starts every rank with its own buffers
    (:pull:`100729`).
    """

    def wrap(rank):
        net = nn.Sequential(nn.Linear(2, 3))
        net[0].register_buffer("mean", torch.tensor([rank + 5.0, rank + 7.0]))
        net.register_buffer("steps", torch.tensor(rank + 3), persistent=False)
        return [buffer.tolist() for buffer in DDP(net, broadcast_buffers=False).module.buffers()]

    assert ranks(wrap) == [[3, [5.0, 7.0]], [4, [6.0, 8.0]]]


@pytest.mark.needs("distributed")
@pytest.mark.before("2.1")
def test_local_buffers_started_equal(ranks):
    """``DistributedDataParallel(broadcast_buffers=False)`` starts every rank with rank 0's buffers."""

    def wrap(rank):
        net = nn.Sequential(nn.Linear(2, 3))
        net[0].register_buffer("mean", torch.tensor([rank + 5.0, rank + 7.0]))
        net.register_buffer("steps", torch.tensor(rank + 3), persistent=False)
        return [buffer.tolist() for buffer in DDP(net, broadcast_buffers=False).module.buffers()]

    assert ranks(wrap) == [[3, [5.0, 7.0]]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_forward_sync_buffers_is_about_forward(ranks):
    """``DistributedDataParallel(forward_sync_buffers=False)`` copies rank 0's buffers once, at construction.

    See :pull:`178054`.
    """

    def run(rank):
        net = nn.Sequential(nn.BatchNorm1d(1, momentum=0.5))
        net[0].running_mean.fill_(rank + 5.0)
        net.register_buffer("steps", torch.tensor(rank + 3), persistent=False)
        model = DDP(net, forward_sync_buffers=False)
        start = net[0].running_mean.item(), net.steps.item()
        net.steps += rank
        for mode in (True, True, False):
            model.train(mode)(torch.tensor([[rank * 10.0], [rank * 10.0 + 2.0]]))
        return start, net[0].running_mean.item(), net.steps.item()

    assert ranks(run) == [((5.0, 3), 2.0, 3), ((5.0, 3), 9.5, 4)]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_broadcast_buffers_is_deprecated(ranks):
    """``DistributedDataParallel`` deprecates ``broadcast_buffers``; ``forward_sync_buffers`` overrides it."""

    def wrap(rank):
        seen = []
        for old, new in ((False, True), (True, False)):
            with pytest.warns(FutureWarning, match="`broadcast_buffers` is deprecated. Use `forward_sync_"):
                model = DDP(nn.BatchNorm1d(1), broadcast_buffers=old)
            with pytest.warns(FutureWarning, match="Both `broadcast_buffers` and `forward_sync_buffers` wer"):
                both = DDP(nn.BatchNorm1d(1), broadcast_buffers=old, forward_sync_buffers=new)
            for each in (model, both):
                each.module.running_mean += rank
                each.eval()(torch.ones(2, 1))
                seen.append((each.forward_sync_buffers, each.module.running_mean.item()))
        return seen

    synced = (True, 0.0)
    assert ranks(wrap) == [[(False, mean), synced, synced, (False, mean)] for mean in (0.0, 1.0)]


@pytest.mark.needs("distributed")
def test_later_buffers_follow_as_well(ranks):
    """``DDP`` also broadcasts buffers added or replaced later, if it wrapped a module that had a buffer.

    If the module had none then, no buffer that comes later is broadcast. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def run(rank, wrap_with):
        net = nn.Linear(1, 1)
        for name in wrap_with:
            net.register_buffer(name, torch.tensor(4.0))
        model = DDP(net)
        net.register_buffer("added", torch.tensor(rank + 5.0))
        net.part = nn.Module()
        net.part.register_buffer("inner", torch.tensor(rank + 2), persistent=False)
        for name in wrap_with:
            setattr(net, name, torch.tensor(rank + 7.0))
        model(torch.ones(1, 1))
        return [buffer.item() for buffer in net.buffers()]

    assert ranks(run, ["replaced"]) == [[7.0, 5.0, 2], [7.0, 5.0, 2]]
    assert ranks(run, []) == [[5.0, 2], [6.0, 3]]


@pytest.mark.needs("distributed")
@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
@pytest.mark.since("2.7")
def test_without_init_sync_buffers_differ(ranks, mode):
    """``DDP(init_sync=False)`` leaves each rank its own buffers until the first call.

    That call hands out those of rank 0. See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def run(rank, mode):
        net = nn.Sequential(nn.Linear(1, 1))
        net.register_buffer("steps", torch.tensor(rank + 3), persistent=False)
        net[0].register_buffer("mean", torch.tensor(rank + 5.0))
        model = DDP(net, init_sync=False).train(mode)
        start = [buffer.item() for buffer in net.buffers()]
        model(torch.ones(1, 1))
        return start, [buffer.item() for buffer in net.buffers()]

    assert ranks(run, mode) == [([3, 5.0], [3, 5.0]), ([4, 6.0], [3, 5.0])]


@pytest.mark.needs("distributed")
def test_only_buffers_make_a_call_wait(ranks):
    """A :class:`DDP <torch.nn.parallel.DistributedDataParallel>` call waits for rank 0 if the module has
    buffers; without buffers it waits for no rank.
    """

    def run(rank, net):
        group, model = dist.new_group(), DDP(net).train(net.training)
        call = threading.Thread(target=model, args=(torch.ones(2, 1),))
        if rank == 0:
            dist.barrier(group)
        call.start()
        call.join(0.1 if list(net.buffers()) else None)
        waits = call.is_alive()
        if rank == 1:
            dist.barrier(group)
        call.join()
        dist.destroy_process_group(group)
        return waits

    assert ranks(run, nn.BatchNorm1d(1)) == [False, True]
    assert ranks(run, nn.BatchNorm1d(1).eval()) == [False, True]
    assert ranks(run, nn.Linear(1, 1)) == [False, False]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_broadcast_buffers_is_none_by_default(ranks):
    """:class:`DDP <torch.nn.parallel.DistributedDataParallel>` gives no warning for
    ``broadcast_buffers=None``, its default, and broadcasts buffers.
    """

    def run(rank, options):
        net = nn.Linear(1, 1)
        net.register_buffer("mean", torch.tensor(rank + 4.0))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = DDP(net, **options)
        start = net.mean.item()
        net.mean.fill_(rank + 5.0)
        model(torch.ones(1, 1))
        return start, net.mean.item()

    assert ranks(run, {}) == [(4.0, 5.0)] * 2
    assert ranks(run, {"broadcast_buffers": None}) == [(4.0, 5.0)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.12")
@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_two_calls_before_one_backward(ranks, mode):
    """``DDP`` allows two calls before one ``backward()`` of a module with BatchNorm (:issue:`175024`).

    The broadcast of buffers before the second call does not count as a change of what the first one saved.
    See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank, mode):
        net = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1).train(mode))
        model = DDP(net)
        x = torch.tensor([[rank + 1.0], [rank + 4.0]], requires_grad=True)
        (model(x) + model(x * 10)).sum().backward()
        return net[1].bias.grad.tolist()

    assert ranks(train, mode) == [[4.0], [4.0]]


@pytest.mark.needs("distributed")
@pytest.mark.before("2.12")
def test_two_calls_before_one_backward_raised(ranks):
    """``DDP`` raises ``RuntimeError`` in ``backward()`` after two calls with BatchNorm in eval mode.

    The broadcast of buffers before the second call changes what the first one saved, in place. That is the
    ``RuntimeError`` of a GAN's discriminator that sees real and fake images. Use
    ``broadcast_buffers=False``. See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        model = DDP(nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1).eval()))
        x = torch.tensor([[rank + 1.0]], requires_grad=True)
        loss = (model(x) + model(x * 10)).sum()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()

    assert ranks(train) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_local_buffers_allow_two_calls(ranks, mode):
    """``DistributedDataParallel(broadcast_buffers=False)`` allows two calls of BatchNorm before backward."""

    def train(rank, mode):
        net = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1).train(mode))
        model = DDP(net, broadcast_buffers=False)
        x = torch.tensor([[rank + 1.0], [rank + 4.0]], requires_grad=True)
        (model(x) + model(x * 10)).sum().backward()
        return net[1].bias.grad.tolist()

    assert ranks(train, mode) == [[4.0], [4.0]]


@pytest.mark.parametrize("transform", ["grad", "jvp", "jacrev", "jacfwd"])
@pytest.mark.needs("distributed")
def test_transforms_refuse_to_hand_out_buffers(ranks, transform):
    """``torch.func.grad`` and ``jvp`` raise ``RuntimeError`` for a DDP model that broadcasts its buffers.

    So do ``jacrev`` and ``jacfwd``: the buffers of rank 0 would be copied inside of the transform. With
    ``broadcast_buffers=False``, or ``model.module``, they work, and average nothing: each rank gets its own
    derivative (:issue:`130932`, :issue:`102197`).
    """

    def derive(rank, transform, broadcast, wrapped):
        net, x = nn.Module(), torch.tensor(rank + 1.0)
        net.weight = nn.Parameter(torch.tensor(3.0))
        net.register_buffer("steps", torch.tensor(0.0))
        net.forward = lambda x: x**2 * net.weight
        model = DDP(net, broadcast_buffers=broadcast)
        model = model if wrapped else model.module
        if transform == "jvp":
            return torch.func.jvp(model, (x,), (torch.tensor(1.0),))[1].item()
        return getattr(torch.func, transform)(model)(x).item()

    assert ranks(derive, transform, False, True) == [6.0, 12.0]
    assert ranks(derive, transform, True, False) == [6.0, 12.0]
    with pytest.raises(RuntimeError, match="would mutate a captured Tensor"):
        ranks(derive, transform, True, True)


@pytest.mark.needs("distributed")
def test_gloo_knows_no_int16(ranks):
    """``DistributedDataParallel`` over gloo raises ``RuntimeError`` for a module with an int16 buffer.

    With ``int64`` it works, and rank 1 gets the value of rank 0.
    """

    def wrap(rank):
        net = nn.Linear(2, 3)
        net.register_buffer("steps", torch.tensor([rank + 5], dtype=torch.int16))
        with pytest.raises(RuntimeError, match="Invalid scalar type"):
            DDP(net)
        net.steps = net.steps.long()
        return DDP(net).module.steps.tolist()

    assert ranks(wrap) == [[5]] * 2


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_gloo_knows_complex_buffers(ranks, dtype):
    """``DistributedDataParallel`` over gloo copies complex buffers of rank 0, such as ``freqs_cis``, to all.

    It does so at the start and before a call.
    """

    def wrap(rank, dtype):
        net = nn.Linear(2, 3)
        net.register_buffer("freqs_cis", torch.tensor([complex(rank + 5, rank + 7)], dtype=dtype))
        model = DDP(net)
        first = net.freqs_cis.tolist()
        net.freqs_cis *= rank + 2
        model(torch.ones(1, 2))
        return first, net.freqs_cis.tolist()

    assert ranks(wrap, dtype) == [([5 + 7j], [10 + 14j])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.1")
def test_gloo_knows_bool_buffers(ranks):
    """``DistributedDataParallel`` over gloo copies a bool buffer, such as a mask, from rank 0 to all."""

    def wrap(rank):
        net = nn.Linear(2, 3)
        net.register_buffer("mask", torch.tensor([rank == 0, rank == 1, True]))
        model = DDP(net)
        start = net.mask.tolist()
        net.mask[2] = rank == 1
        model(torch.ones(1, 2))
        return start, net.mask.tolist()

    assert ranks(wrap) == [([True, False, True], [True, False, False])] * 2

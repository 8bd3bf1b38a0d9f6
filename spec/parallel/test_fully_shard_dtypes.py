"""fully_shard and the dtype of gradients: ``grad_dtype`` of its parameters.

In which dtype gradients are reduced, and add up until then, is said by ``reduce_dtype`` of the policy or, if
there is none, by ``grad_dtype`` of the parameters. See *fully_shard_precision* for the policy itself.
"""

import pytest
import torch
from torch import nn


@pytest.mark.parametrize(
    ("reduce_dtype", "grad_dtype", "waiting", "reduced"),
    [
        (None, "unset", torch.float32, torch.float32),
        (None, torch.float64, torch.float64, torch.float64),
        (None, None, torch.bfloat16, torch.bfloat16),
        (torch.float64, "unset", torch.float64, torch.float32),
        (torch.bfloat16, torch.float64, torch.bfloat16, torch.float64),
        (torch.float64, None, torch.float64, torch.float64),
    ],
)
@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_the_policy_comes_first(ranks, reduce_dtype, grad_dtype, waiting, reduced):
    """``fully_shard`` accumulates and reduces gradients in ``reduce_dtype``, or else in their ``grad_dtype``.

    ``grad_dtype`` of a parameter is its dtype unless it was set; ``None`` takes gradients as they come, here
    in ``param_dtype``. The shards keep to ``grad_dtype``. See
    :class:`~torch.distributed.fsdp.MixedPrecisionPolicy`.
    """

    def train(rank, reduce_dtype, grad_dtype):
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=reduce_dtype)
        net = fully_shard(nn.Linear(1, 2, bias=False), mp_policy=policy)
        if grad_dtype != "unset":
            net.weight.grad_dtype = grad_dtype
        net.set_reshard_after_backward(False)
        for sync, x in ((False, 256.0 - rank * 255), (False, 1.0), (True, 0.0)):
            net.set_requires_gradient_sync(sync)
            before = net.weight.grad
            net(torch.tensor([[x]])).sum().backward()
        net.reshard()
        return before.dtype, net.weight.grad.dtype, net.weight.grad.to_local().tolist()

    mean = 129.0 if waiting is torch.bfloat16 else 129.5  # 256 + 1 is 256 in bfloat16
    assert ranks(train, reduce_dtype, grad_dtype) == [(waiting, reduced, [[mean]])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_the_first_call_fixes_dtypes(ranks):
    """Casting a ``fully_shard`` module by ``float()`` after its first call makes the next raise
    ``RuntimeError``.

    Before it, ``bfloat16()`` and ``grad_dtype`` change its parameters. ``unshard()`` counts as a call;
    ``grad_dtype`` that is set later makes backward raise ``RuntimeError``. See
    :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        x, net = torch.ones(1, 1), fully_shard(nn.Linear(1, 2, bias=False))
        net.bfloat16().weight.grad_dtype = torch.float64
        net(x.bfloat16()).sum().backward()
        net.reshard()
        early = net.weight.dtype, net.weight.grad.dtype
        with pytest.raises(RuntimeError, match="Expected out tensor to have dtype"):
            net.float()(x)
        net = fully_shard(nn.Linear(1, 2, bias=False))
        net.unshard()
        with pytest.raises(RuntimeError, match="Expected out tensor to have dtype"):
            net.bfloat16()(x.bfloat16())
        net = fully_shard(nn.Linear(1, 2, bias=False), reshard_after_forward=True)
        net(x)
        net.weight.grad_dtype = torch.float64
        with pytest.raises(RuntimeError, match="attempting to assign a gradient with dtype"):
            net(x).sum().backward()
        return early

    assert ranks(train) == [(torch.bfloat16, torch.float64)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_an_explicit_dtype_stays(ranks):
    """A ``grad_dtype`` set on a ``fully_shard`` parameter outlasts ``bfloat16()`` and
    ``load_state_dict(assign=True)``.

    Unless the parameter that ``assign=True`` puts in its place has one of its own. See
    :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def change(rank):
        from torch.distributed.fsdp import fully_shard

        net, twin = (fully_shard(nn.Linear(1, 2, bias=False)) for _ in range(2))
        net.weight.grad_dtype = torch.float64
        net.load_state_dict(twin.state_dict(), assign=True)
        seen = [(net.weight.dtype, net.weight.grad_dtype)]
        seen.append((net.bfloat16().weight.dtype, net.weight.grad_dtype))
        net.load_state_dict(twin.state_dict(), assign=True)
        seen.append((net.weight.dtype, net.weight.grad_dtype))
        own = nn.Parameter(twin.state_dict()["weight"])
        own.grad_dtype = torch.float16
        net.load_state_dict({"weight": own}, assign=True)
        return [*seen, (net.weight.dtype, net.weight.grad_dtype)]

    expected = [
        (torch.float32, torch.float64),
        (torch.bfloat16, torch.float64),
        (torch.float32, torch.float64),
        (torch.float32, torch.float16),
    ]
    assert ranks(change) == [expected] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_what_waits_does_not_move(ranks):
    """``to(device)`` of a ``fully_shard`` module moves reduced gradients, but not those still to be reduced.

    The reduced ones keep their dtype. Here they go to the meta device. See
    :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def move(rank):
        from torch.distributed.fsdp import fully_shard

        net, x = fully_shard(nn.Linear(1, 2, bias=False)), torch.ones(1, 1)
        net.weight.grad_dtype = torch.float64
        net(x).sum().backward()
        net.set_requires_gradient_sync(False)
        net.set_reshard_after_backward(False)
        net(x).sum().backward()
        whole = net.weight
        net.to("meta")
        moved = [str(t.device) for t in (net.weight, net.weight.grad, whole.grad)]
        return moved, net.weight.dtype, net.weight.grad.dtype

    assert ranks(move) == [(["meta", "meta", "cpu"], torch.float32, torch.float64)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_zeros_need_a_dtype(ranks):
    """FSDP's backward raises ``ValueError`` for ``set_reduce_scatter_unused_params(True)`` without a dtype.

    That is with ``grad_dtype=None`` and without ``reduce_dtype``: zeros would have no dtype. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_reduce_scatter_unused_params`.
    """

    def train(rank):
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        seen = []
        for reduce, own in ((None, None), (torch.bfloat16, None), (None, torch.float64)):
            policy = MixedPrecisionPolicy(reduce_dtype=reduce)
            net = fully_shard(nn.Linear(1, 2, bias=False), mp_policy=policy)
            net.weight.grad_dtype = own
            net.set_reduce_scatter_unused_params(True)
            loss = net(torch.ones(1, 1)).sum()
            if reduce is own is None:
                with pytest.raises(ValueError, match="requires an explicit MixedPrecisionPolicy"):
                    loss.backward()
            else:
                loss.backward()
                seen.append(net.weight.grad.dtype)
        return seen

    assert ranks(train) == [[torch.bfloat16, torch.float64]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_the_wrapper_reduces_in_param_dtype(ranks):
    """:class:`~torch.distributed.fsdp.FullyShardedDataParallel` with ``param_dtype`` alone averages gradients
    in it.

    ``fully_shard`` did so up to 2.14. See :class:`~torch.distributed.fsdp.MixedPrecisionPolicy`.
    """

    def train(rank, options):
        from torch.distributed.fsdp import FullyShardedDataParallel, MixedPrecision

        policy, cpu = MixedPrecision(param_dtype=torch.bfloat16, **options), torch.device("cpu")
        net = FullyShardedDataParallel(nn.Linear(1, 2, bias=False), mixed_precision=policy, device_id=cpu)
        net(torch.tensor([[256.0 - rank * 255]])).sum().backward()
        return [(p.grad.tolist(), p.grad.dtype) for p in net.parameters()]  # 128.5 is 128 in bfloat16

    assert ranks(train, {}) == [[([128.0], torch.float32)]] * 2
    assert ranks(train, {"reduce_dtype": torch.float32}) == [[([128.5], torch.float32)]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.14")
def test_thawed_parameters_follow_the_policy(ranks):
    """``fully_shard`` reduces in ``reduce_dtype`` also if its parameters were frozen at the first call.

    See :func:`~torch.distributed.fsdp.fully_shard` (:issue:`186998`).
    """

    def train(rank):
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        net, x = nn.Linear(1, 2, bias=False).requires_grad_(False), torch.tensor([[256.0 - rank * 255]])
        fully_shard(net, mp_policy=policy)
        frozen = net(x).requires_grad
        net.requires_grad_(True)
        output = net(x)
        output.sum().backward()
        return frozen, output.dtype, net.weight.grad.dtype, net.weight.grad.full_tensor().tolist()

    expected = (False, torch.bfloat16, torch.float32, [[128.5]] * 2)  # 128.5 is 128 in bfloat16
    assert ranks(train) == [expected, expected]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.8")
@pytest.mark.before("2.14")
def test_thawed_parameters_got_another_dtype(ranks):
    """If ``fully_shard`` parameters were frozen at the first call, backward raises with ``reduce_dtype``."""

    def train(rank):
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        net, x = nn.Linear(2, 4, bias=False).requires_grad_(False), torch.ones(1, 2)
        fully_shard(net, mp_policy=policy)
        net(x)
        net.requires_grad_(True)
        with pytest.raises(RuntimeError, match="attempting to assign a gradient"):
            net(x).sum().backward()
        return "raised"

    assert ranks(train) == ["raised", "raised"]

"""fully_shard and dtypes: its MixedPrecisionPolicy.

A rank keeps its shards in the dtype of the parameters. A policy says in which dtype the whole parameters are
gathered, and so forward and backward run, and in which gradients are averaged.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_param_dtype_is_for_forward(ranks):
    """``param_dtype`` of ``fully_shard`` casts weights and inputs in forward; shards and ``grad`` keep their
    dtype.

    Inputs of integers are not cast. The optimizer works on shards in the dtype of the parameters. See
    :class:`~torch.distributed.fsdp.MixedPrecisionPolicy`.
    """

    def train(rank):
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        class Net(nn.Linear):
            def forward(self, x, *more, scale):
                self.seen = [t.dtype for t in (self.weight, self.bias, x, *more, scale["of"][0])]
                return super().forward(x.to(self.weight.dtype))

        net = fully_shard(Net(4, 4), mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16))
        more = torch.ones(2, dtype=torch.int64), torch.ones(3, dtype=torch.float64)
        net(torch.ones(1, 4), *more, scale={"of": [torch.ones(1)]}).sum().backward()
        return net.seen, {tensor.dtype for p in net.parameters() for tensor in (p, p.grad)}

    seen = [torch.bfloat16] * 3 + [torch.int64] + [torch.bfloat16] * 2
    assert ranks(train) == [(seen, {torch.float32})] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_without_dtypes_nothing_is_cast(ranks):
    """By default :class:`~torch.distributed.fsdp.MixedPrecisionPolicy` has no dtypes: ``fully_shard`` casts
    nothing.

    Only ``cast_forward_inputs`` is ``True``, which takes a ``param_dtype`` to have an effect.
    """

    def run(rank):
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        class Net(nn.Linear):
            def forward(self, x, *, scale):
                self.seen = [t.dtype for t in (self.weight, x, scale)]
                return super().forward(x.to(self.weight.dtype))

        policy = MixedPrecisionPolicy()
        net = fully_shard(Net(4, 4))
        output = net(torch.ones(1, 4, dtype=torch.float64), scale=torch.ones(1, dtype=torch.float16))
        dtypes = policy.param_dtype, policy.reduce_dtype, policy.output_dtype
        return dtypes, policy.cast_forward_inputs, net.seen, output.dtype

    seen = [torch.float32, torch.float64, torch.float16]
    assert ranks(run) == [((None, None, None), True, seen, torch.float32)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_inputs_may_stay_as_they_are(ranks):
    """``MixedPrecisionPolicy(cast_forward_inputs=False)`` of ``fully_shard`` leaves inputs of ``forward``
    alone.

    With a ``param_dtype``, a :class:`~torch.nn.Linear` then raises ``RuntimeError`` for float32 inputs. See
    :class:`~torch.distributed.fsdp.MixedPrecisionPolicy`.
    """

    def run(rank):
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        class Net(nn.Linear):
            def forward(self, x, *, scale):
                self.seen = [t.dtype for t in (self.weight, x, scale)]
                return super().forward(x.to(self.weight.dtype))

        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, cast_forward_inputs=False)
        net = fully_shard(Net(4, 4), mp_policy=policy)
        net(torch.ones(1, 4), scale=torch.ones(1))
        with pytest.raises(RuntimeError, match="must have the same dtype"):
            fully_shard(nn.Linear(4, 4), mp_policy=policy)(torch.ones(1, 4))
        return net.seen

    assert ranks(run) == [[torch.bfloat16, torch.float32, torch.float32]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_output_dtype_casts_outputs(ranks):
    """``MixedPrecisionPolicy(output_dtype)`` of ``fully_shard`` casts floating-point outputs, also in a
    dict.

    And in a list within it. Integers stay. See :class:`~torch.distributed.fsdp.MixedPrecisionPolicy`.
    """

    def run(rank):
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        class Net(nn.Linear):
            def forward(self, x):
                y = super().forward(x)
                return {"y": y, "more": [y.half()], "count": torch.ones(2, dtype=torch.int64)}

        policy, x = MixedPrecisionPolicy(output_dtype=torch.float64), torch.ones(1, 4)
        plain, net = fully_shard(nn.Linear(4, 4), mp_policy=policy), fully_shard(Net(4, 4), mp_policy=policy)
        output = net(x)
        return [tensor.dtype for tensor in (plain(x), output["y"], output["more"][0], output["count"])]

    assert ranks(run) == [[torch.float64] * 3 + [torch.int64]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_backward_remembers_in_param_dtype(ranks):
    """With ``param_dtype``, ``fully_shard`` modules save tensors for backward in that dtype.

    Between the layers of such a module nothing is cast: its input alone is. See
    :class:`~torch.distributed.fsdp.MixedPrecisionPolicy`.
    """

    def run(rank):
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        net, saved, casts = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), [], 0
        fully_shard(net, mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16))
        with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.dtype) or t, lambda t: t):
            steps = [net(torch.ones(1, 4, requires_grad=True)).grad_fn]
        while steps:
            step = steps.pop()
            casts += step.name() == "ToCopyBackward0"
            steps += [before for before, _ in step.next_functions if before]
        return set(saved), casts

    assert ranks(run) == [({torch.bfloat16}, 1)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_param_dtype_alone_averages_in_float32(ranks):
    """Without ``reduce_dtype``, ``fully_shard`` averages gradients in the weights' own dtype, not in
    ``param_dtype``.

    For float32 parameters gradients are thus averaged in float32. ``reduce_dtype=torch.bfloat16`` makes it as
    it was before 2.15. See :class:`~torch.distributed.fsdp.MixedPrecisionPolicy`.
    """

    def average(rank, own, most, options):
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        net = nn.Linear(1, 2, bias=False, dtype=own)
        fully_shard(net, mp_policy=MixedPrecisionPolicy(**options))
        net(torch.tensor([[1.0 if rank else most]])).sum().backward()
        return net.weight.grad.to_local().tolist(), net.weight.grad.dtype

    alone = {"param_dtype": torch.bfloat16}
    both = {"param_dtype": torch.bfloat16, "reduce_dtype": torch.bfloat16}

    assert ranks(average, torch.float32, 2.0**8, alone) == [([[2.0**7 + 0.5]], torch.float32)] * 2
    assert ranks(average, torch.float32, 2.0**8, both) == [([[2.0**7]], torch.float32)] * 2
    assert ranks(average, torch.float64, 2.0**24, alone) == [([[2.0**23 + 0.5]], torch.float64)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
@pytest.mark.before("2.15")
def test_param_dtype_alone_averaged_in_it(ranks):
    """``fully_shard`` with ``param_dtype=torch.bfloat16`` averages gradients in bfloat16, over gloo as well.

    ``reduce_dtype=torch.float32`` averages in float32. See
    :class:`~torch.distributed.fsdp.MixedPrecisionPolicy`.
    """

    def average(rank, options):
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        net = fully_shard(nn.Linear(1, 2, bias=False), mp_policy=MixedPrecisionPolicy(**options))
        net(torch.tensor([[256.0 - rank * 255]])).sum().backward()  # 128.5 is 128 in bfloat16
        return net.weight.grad.to_local().tolist(), net.weight.grad.dtype

    alone = {"param_dtype": torch.bfloat16}
    both = {"param_dtype": torch.bfloat16, "reduce_dtype": torch.float32}

    assert ranks(average, alone) == [([[128.0]], torch.float32)] * 2
    assert ranks(average, both) == [([[128.5]], torch.float32)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_one_group_has_one_dtype(ranks):
    """``fully_shard`` raises ``AssertionError`` in the first call if trainable parameters differ in dtype.

    They are gathered in one piece. Shard the submodules of another dtype on their own. See
    :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def run(rank):
        from torch.distributed.fsdp import fully_shard

        net = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 2, dtype=torch.bfloat16))
        fully_shard(net)
        with pytest.raises(AssertionError, match="FSDP expects uniform original parameter dtype"):
            net(torch.ones(1, 1))

    assert ranks(run) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_parameters_may_keep_their_dtype(ranks):
    """``param_dtype_override_fn`` keeps parameters of ``fully_shard`` in the dtype that it returns for them.

    It is called once for each parameter, when ``fully_shard`` is. ``None`` stands for ``param_dtype``, and is
    the default of the function itself. See
    :class:`~torch.distributed.fsdp.MixedPrecisionPolicy`.
    """

    def run(rank):
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        calls = []

        def keep_biases(p):
            calls.append(tuple(p.shape))
            return p.dtype if p.ndim == 1 else None

        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, param_dtype_override_fn=keep_biases)
        net = fully_shard(nn.Linear(2, 3), mp_policy=policy)
        before = list(calls)
        net.unshard()
        default = MixedPrecisionPolicy(param_dtype=torch.bfloat16).param_dtype_override_fn
        return default, before, calls == before, net.weight.dtype, net.bias.dtype

    assert ranks(run) == [(None, [(3, 2), (3,)], True, torch.bfloat16, torch.float32)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_inputs_are_not_overridden(ranks):
    """``fully_shard`` casts inputs to ``param_dtype``, even if ``param_dtype_override_fn`` exempts all
    weights.

    A :class:`~torch.nn.Linear` then raises ``RuntimeError``, as the dtypes differ. See
    :class:`~torch.distributed.fsdp.MixedPrecisionPolicy`.
    """

    def run(rank):
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, param_dtype_override_fn=lambda p: p.dtype)
        net, seen = fully_shard(nn.Linear(2, 3), mp_policy=policy), []
        net.register_forward_pre_hook(lambda module, args: seen.append((module.weight.dtype, args[0].dtype)))
        with pytest.raises(RuntimeError, match="must have the same dtype"):
            net(torch.ones(1, 2))
        net = fully_shard(nn.Linear(2, 3), mp_policy=policy)
        with pytest.raises(RuntimeError, match="must have the same dtype"):
            net(input=torch.ones(1, 2))
        return seen

    assert ranks(run) == [[(torch.float32, torch.bfloat16)]] * 2


@pytest.mark.parametrize(
    ("result", "message"),
    [(torch.float16, "must return None, param_dtype, or"), (3, "must return a torch.dtype")],
)
@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_overrides_are_param_dtype_or_none_at_all(ranks, result, message):
    """``fully_shard`` raises ``ValueError`` if ``param_dtype_override_fn`` returns a third dtype.

    Allowed are ``None``, ``param_dtype`` and the original dtype of the parameter. See
    :class:`~torch.distributed.fsdp.MixedPrecisionPolicy`.
    """

    def run(rank, result, message):
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, param_dtype_override_fn=lambda p: result)
        with pytest.raises(ValueError, match=message):
            fully_shard(nn.Linear(2, 3), mp_policy=policy)
        for right in (None, torch.bfloat16, torch.float32):
            policy = MixedPrecisionPolicy(
                torch.bfloat16, param_dtype_override_fn=lambda p, right=right: right
            )
            fully_shard(nn.Linear(2, 3), mp_policy=policy)

    assert ranks(run, result, message) == [None, None]

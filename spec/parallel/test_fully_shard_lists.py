"""fully_shard of a list of modules: one group for several modules.

The modules of a list are gathered and reduced together, but are called one by one: not all of them have to be
called in the forward of the whole. A head that is called for one chunk of its input after the other is the
usual case.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_some_may_be_called_later(ranks):
    """After ``fully_shard([a, b])`` the root's forward may call only ``a``; ``b`` may be called after it.

    Here the head is called for each half of a batch. See :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        class Net(nn.Sequential):
            def forward(self, x):
                return self[0](x)

        net = Net(nn.Linear(1, 1, bias=False), nn.Linear(1, 2, bias=False))
        nn.init.constant_(net[0].weight, 3.0)
        nn.init.constant_(net[1].weight, 5.0)
        fully_shard([net[0], net[1]])
        fully_shard(net)
        for _ in range(2):
            net.zero_grad()
            hidden = net(torch.tensor([[rank + 1.0], [10.0]]))
            sum(net[1](chunk).sum() for chunk in hidden.chunk(2)).backward()
        return [p.grad.full_tensor().flatten().tolist() for p in net.parameters()]

    assert ranks(train) == [[[115.0], [34.5, 34.5]]] * 2


@pytest.mark.parametrize("chunks", [2, 3])
@pytest.mark.needs("distributed")
@pytest.mark.since("2.14")
def test_each_backward_is_reduced(ranks, chunks):
    """With ``fully_shard([a, b])`` two calls of ``b`` make two reduce-scatters, unless they share a backward.

    It is the backward that counts, not the call: add up the losses of the chunks to reduce once. See
    :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def train(rank, chunks):
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.tensor.debug import CommDebugMode

        class Net(nn.Sequential):
            def forward(self, x):
                return self[0](x)

        def loss(chunk):
            return net[1](chunk).sum()

        net, scatter = Net(nn.Linear(1, 1), nn.Linear(1, 2)), torch.ops.c10d._reduce_scatter_base_
        fully_shard([net[0], net[1]])
        fully_shard(net)
        hidden = net(torch.ones(6, 1)).detach().requires_grad_()
        with CommDebugMode() as each:
            for chunk in hidden.chunk(chunks):
                loss(chunk).backward()
        with CommDebugMode() as together:
            sum(map(loss, hidden.chunk(chunks))).backward()
        return each.get_comm_counts()[scatter], together.get_comm_counts()[scatter]

    assert ranks(train, chunks) == [(chunks, 1)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_each_call_casts(ranks):
    """Each call of a module in ``fully_shard([a, b], mp_policy=...)`` casts its inputs and its outputs.

    Inputs to ``param_dtype``, outputs to ``output_dtype``. See :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def train(rank):
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        class Net(nn.Sequential):
            def forward(self, x):
                return self[0](x)

        net, seen = Net(nn.Linear(1, 1), nn.Linear(1, 2)), []
        policy = MixedPrecisionPolicy(torch.bfloat16, output_dtype=torch.float64)
        fully_shard([net[0], net[1]], mp_policy=policy)
        fully_shard(net)

        def watch(module, args, kwargs):
            seen.extend(tensor.dtype for tensor in (*args, *kwargs.values()))

        for layer in net:
            layer.register_forward_pre_hook(watch, with_kwargs=True)
        hidden = net(torch.ones(6, 1))
        outputs = net[1](hidden[:3]), net[1](input=hidden[3:])
        return seen, [tensor.dtype for tensor in (hidden, *outputs)]

    assert ranks(train) == [([torch.bfloat16] * 3, [torch.float64] * 3)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.parametrize("together", [True, False], ids=["list", "alone"])
@pytest.mark.since("2.7")
def test_an_output_that_is_kept_instead_of_returned(ranks, together):
    """Backward of an output that a ``fully_shard`` module stores, and does not return, raises
    ``RuntimeError``.

    Hooks on what the module returns gather the parameters for backward: "setStorage ... out of bounds" says
    that nothing did. Return it, also an auxiliary loss (:issue:`183702`). See
    :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def train(rank, together):
        from torch.distributed.fsdp import fully_shard

        class Head(nn.Linear):
            def forward(self, x):
                self.kept = super().forward(x)
                return x * 2

        net = nn.Sequential(nn.Linear(4, 4), Head(4, 2))
        for each in [[net[0], net[1]]] if together else net:
            fully_shard(each, reshard_after_forward=True)
        fully_shard(net, reshard_after_forward=True)
        net(torch.ones(3, 4))
        net[1].kept.sum().backward()

    with pytest.raises(RuntimeError, match=r"setStorage: .* are out of bounds for storage"):
        ranks(train, together)


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_a_kept_output_alone_is_not_reduced(ranks):
    """With ``fully_shard([a, b])`` gradients are not reduced unless the loss has an output that was returned.

    Here a module keeps the loss as an attribute: with ``reshard_after_forward=False`` there is no error, and
    each rank has a gradient and whole parameters of its own. See :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def train(rank, returned):
        from torch.distributed.fsdp import fully_shard

        class Head(nn.Linear):
            def forward(self, x):
                self.kept = super().forward(x).sum()
                return x * 2

        net = nn.Sequential(nn.Linear(1, 2, bias=False), Head(2, 2, bias=False))
        for layer in net:
            nn.init.constant_(layer.weight, 1.0)
        fully_shard([net[0], net[1]], reshard_after_forward=False)
        fully_shard(net, reshard_after_forward=False)
        output = net(torch.tensor([[rank + 1.0]]))
        (net[1].kept + output.sum() * 0 if returned else net[1].kept).backward()
        grad = net[1].weight.grad
        return hasattr(grad, "full_tensor"), (grad.full_tensor() if returned else grad).mean().item()

    assert ranks(train, True) == [(True, 1.5), (True, 1.5)]
    assert ranks(train, False) == [(False, 1.0), (False, 2.0)]

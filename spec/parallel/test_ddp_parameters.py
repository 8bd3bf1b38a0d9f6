"""The parameters that DistributedDataParallel averages the gradients of.

Ranks match their parameters by position, and expect the same shapes and strides. Dtypes and memory formats
may be mixed, the ranks may be fewer than all, and some parameters may be averaged apart from the others.
"""

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP


@pytest.mark.needs("distributed")
def test_a_process_group_averages_by_itself(ranks):
    """``DDP(process_group=group)`` averages gradients over the ranks of that group only.

    Its parameters start equal on these ranks, too. By default the group is that of all ranks. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        alone = [dist.new_group([0]), dist.new_group([1])][rank]
        results = []
        for group in (alone, None):
            net = nn.Linear(1, 1, bias=False)
            nn.init.constant_(net.weight, rank + 5.0)
            model = DDP(net, process_group=group)
            start = net.weight.item()
            model(torch.tensor([[rank + 1.0]])).sum().backward()
            results.append((start, net.weight.grad.item()))
        dist.destroy_process_group(alone)
        return results

    assert ranks(train) == [[(5.0, 1.0), (5.0, 1.5)], [(6.0, 2.0), (5.0, 1.5)]]


@pytest.mark.needs("distributed")
def test_parameters_are_matched_by_position(ranks):
    """``DDP`` averages gradients of parameters with the same position, even if their names differ.

    With parameters registered in another order on one rank, each is averaged with another one, and no error
    tells. See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        net = nn.Module()
        for name in ("ab", "ba")[rank]:
            net.register_parameter(name, nn.Parameter(torch.ones(1)))
        net.forward = lambda x: x * net.a + 10 * x * net.b
        model = DDP(net)
        model(torch.tensor([rank + 1.0])).sum().backward()
        return net.a.grad.item(), net.b.grad.item()

    assert ranks(train) == [((1.0 + 20.0) / 2, (10.0 + 2.0) / 2), ((2.0 + 10.0) / 2, (20.0 + 1.0) / 2)]


@pytest.mark.parametrize(
    ("other", "what"),
    [(torch.ones(3, 2), "sizes"), (torch.ones(3, 2).t(), "strides")],
    ids=["shape", "strides"],
)
@pytest.mark.needs("distributed")
def test_ranks_have_parameters_of_the_same_shape(ranks, other, what):
    """``DDP`` raises ``RuntimeError`` on a rank whose parameter differs in shape or strides from that of rank
    0.

    Rank 0 does not notice, and goes on to hand out its parameters. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def wrap(rank, other, what):
        net = nn.Module()
        net.scale = nn.Parameter(torch.ones(4))
        net.weight = nn.Parameter(other if rank == 1 else torch.ones(2, 3))
        if rank == 0:
            DDP(net)
        else:
            message = rf"params\[1\] in this process .* not to match {what} of the same param in process 0"
            with pytest.raises(RuntimeError, match=message):
                DDP(net)
            dist.broadcast(torch.empty(4 + 6), 0)  # which rank 0 goes on with

    assert ranks(wrap, other, what) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_without_init_sync_shapes_may_differ(ranks):
    """``DDP(init_sync=False)`` does not compare the shapes of parameters between ranks.

    See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def wrap(rank):
        model = DDP(nn.Linear(2 + rank, 1, bias=False), init_sync=False)
        return list(model.module.weight.shape)

    assert ranks(wrap) == [[1, 2], [1, 3]]


@pytest.mark.needs("distributed")
def test_dtypes_may_be_mixed(ranks):
    """``DDP`` averages gradients of a module with float16 and float32 parameters, each in its own dtype.

    See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        net = nn.Module()
        net.a, net.b = nn.Parameter(torch.tensor([2.0]).half()), nn.Parameter(torch.tensor([3.0]))
        net.forward = lambda x: x * net.a.float() * net.b
        model = DDP(net)
        model(torch.tensor([rank + 1.0])).sum().backward()
        return [(str(p.grad.dtype), p.grad.item()) for p in (net.a, net.b)]

    assert ranks(train) == [[("torch.float16", 4.5), ("torch.float32", 3.0)]] * 2


@pytest.mark.needs("distributed")
def test_memory_formats_may_be_mixed(ranks):
    """``DDP`` gives averaged gradients the strides of their parameters, such as those of ``channels_last``.

    See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        net, x = nn.Module(), torch.arange(24.0).view(2, 3, 2, 2)
        net.plain = nn.Parameter(torch.ones(2, 3, 2, 2))
        net.last = nn.Parameter(torch.ones(2, 3, 2, 2).to(memory_format=torch.channels_last))
        net.forward = lambda x: x * net.plain + x * net.last
        model = DDP(net)
        model(x * (rank + 1)).sum().backward()
        strides = net.plain.grad.stride(), net.last.grad.stride()
        return strides, torch.equal(net.plain.grad, x * 1.5), torch.equal(net.last.grad, x * 1.5)

    assert ranks(train) == [(((12, 4, 2, 1), (12, 1, 6, 3)), True, True)] * 2


@pytest.mark.needs("distributed")
def test_autograd_grad_does_not_average(ranks):
    """:func:`torch.autograd.grad` of a ``DDP`` output returns the gradient of the rank, not the mean.

    No error tells. Call ``backward()`` and read ``grad``. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        model, x = DDP(nn.Linear(1, 1, bias=False)), torch.tensor([[rank + 1.0]])
        (grad,) = torch.autograd.grad(model(x).sum(), model.module.weight)
        before = model.module.weight.grad
        model(x).sum().backward()
        return grad.item(), before, model.module.weight.grad.item()

    assert ranks(train) == [(1.0, None, 1.5), (2.0, None, 1.5)]


@pytest.mark.needs("distributed")
def test_ranks_may_share_the_state_of_the_optimizer(ranks):
    """:class:`~torch.distributed.optim.ZeroRedundancyOptimizer` keeps on each DDP rank the Adam state of some
    parameters.

    The steps are those of Adam: each rank hands out what it has updated.
    """

    def train(rank):
        from torch.distributed.optim import ZeroRedundancyOptimizer

        model = DDP(nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)))
        copies = [nn.Parameter(p.detach().clone()) for p in model.parameters()]
        shared = ZeroRedundancyOptimizer(model.parameters(), torch.optim.Adam, lr=0.5)
        model(torch.tensor([[rank + 1.0, 3.0]])).sum().backward()
        shared.step()
        for copy, p in zip(copies, model.parameters(), strict=True):
            copy.grad = p.grad.clone()
        torch.optim.Adam(copies, lr=0.5).step()
        torch.testing.assert_close(list(model.parameters()), copies)
        return [name for name, p in model.module.named_parameters() if p in shared.optim.state]

    assert sorted(ranks(train)) == [["0.weight"], ["1.weight"]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.1")
def test_a_hook_starts_the_delayed_average(ranks):
    """``DDP`` reduces ``delay_all_reduce_named_params`` when ``param_to_hook_all_reduce`` gets its gradient.

    Their gradients have to be there by then. DDP does not wait for this exchange, nor does it give anything
    to wait for. See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        events, works, reduce, net = [], [], dist.all_reduce, nn.Sequential(nn.Linear(1, 1), nn.PReLU())

        def noted(grad, **options):
            events.append(grad.tolist())
            works.append(reduce(grad, **options))

        hooked, bias, slope = (nn.init.constant_(p, -2.0) for p in net.parameters())
        hooked.register_hook(lambda grad: events.append("hooked"))
        bias.register_hook(lambda grad: events.append("delayed"))
        delayed = [("0.bias", bias), ("1.weight", slope)]
        model = DDP(net, delay_all_reduce_named_params=delayed, param_to_hook_all_reduce=hooked)
        dist.all_reduce = noted
        (model(torch.tensor([10.0])) * (rank + 1)).backward()
        dist.all_reduce = reduce
        works[0].wait()
        return events, [p.grad.item() for p in (hooked, bias, slope)]

    assert ranks(train) == [
        (["delayed", "hooked", [-1.0, -11.0]], [-30.0, -3.0, -33.0]),
        (["delayed", "hooked", [-2.0, -22.0]], [-30.0, -3.0, -33.0]),
    ]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.1")
def test_a_parameter_of_the_module_itself_is_averaged_twice(ranks):
    """``DDP`` all-reduces a gradient of ``delay_all_reduce_named_params`` twice if its name has no dot.

    Both averages go into the same gradient, in whichever order: delay parameters of submodules only. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        net, reduce, averages = nn.Sequential(nn.Linear(1, 1)), dist.all_reduce, []
        dist.all_reduce = lambda grad, **options: grad.fill_(100.0)  # in the place of the delayed average
        for module, name in ((net, "0.bias"), (net[0], "bias")):
            hooked, delayed = net.parameters()
            options = {"param_to_hook_all_reduce": hooked}
            model = DDP(module, delay_all_reduce_named_params=[(name, delayed)], **options)
            delayed.grad = None
            (model(torch.tensor([10.0])) * (rank + 1)).backward()
            averages.append(delayed.grad.item())
        dist.all_reduce = reduce
        return averages

    assert ranks(train) == [[100.0, 1.5], [100.0, 1.5]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.1")
def test_delayed_parameters_use_the_process_group(ranks):
    """``DDP`` averages ``delay_all_reduce_named_params`` over its ``process_group``, also in ``no_sync()``.

    What else it is told about gradients does not count for them. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        alone = [dist.new_group([0]), dist.new_group([1])][rank]
        grads, works, reduce = [], [], dist.all_reduce
        dist.all_reduce = lambda grad, **options: works.append(reduce(grad, **options))
        for group in (alone, dist.group.WORLD):
            net = nn.Sequential(nn.Linear(1, 1))
            hooked, delayed = net.parameters()
            options = {"param_to_hook_all_reduce": hooked, "process_group": group}
            model = DDP(net, delay_all_reduce_named_params=[("0.bias", delayed)], **options)
            with model.no_sync():
                (model(torch.tensor([10.0])) * (rank + 1)).backward()
            works.pop().wait()
            grads.append((delayed.grad.item(), hooked.grad.item()))
        dist.all_reduce = reduce
        dist.destroy_process_group(alone)
        return grads

    assert ranks(train) == [[(1.0, 10.0), (1.5, 10.0)], [(2.0, 20.0), (1.5, 20.0)]]


@pytest.mark.needs("distributed")
def test_a_parameter_without_elements_is_taken(ranks):
    """DDP averages gradients beside a parameter without elements, whose ``grad`` keeps its shape.

    See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.utils.skip_init(nn.Linear, 1, 0, bias=False))
        model = nn.parallel.DistributedDataParallel(net)
        hidden = []
        net[0].register_forward_hook(lambda module, args, output: hidden.append(output))
        (model(torch.tensor([[rank + 1.0]])).sum() + hidden[0].sum()).backward()
        return [net[0].weight.grad.tolist(), tuple(net[1].weight.grad.shape)]

    assert ranks(train) == [[[[1.5]], (0, 1)]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_gloo_averages_bfloat16(ranks):
    """``DistributedDataParallel`` over gloo averages the gradients of a ``bfloat16`` module on the CPU.

    They stay bfloat16.
    """

    def train(rank):
        net = nn.Linear(2, 1, bias=False).bfloat16()
        model = DDP(net)
        model(torch.tensor([[rank + 1.0, 5.0]], dtype=torch.bfloat16)).sum().backward()
        return net.weight.grad.tolist(), net.weight.grad.dtype

    assert ranks(train) == [([[1.5, 5.0]], torch.bfloat16)] * 2

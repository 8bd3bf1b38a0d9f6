"""fully_shard: one module whose parameters are spread over several processes.

:func:`~torch.distributed.fsdp.fully_shard` changes a module in place: each rank keeps a slice, or shard, of
every parameter. The whole parameters come together for a call and are let go after it. As with
DistributedDataParallel, ``ranks`` runs a function on two ranks over gloo on the CPU.
"""

import copy

import pytest
import torch
from torch import nn


def fully_shard(module, **options):
    from torch.distributed.fsdp import fully_shard  # torch 2.5 has none

    return fully_shard(module, **options)


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_each_rank_keeps_some_rows(ranks):
    """:func:`~torch.distributed.fsdp.fully_shard` splits parameters by rows; the last rank may get fewer."""

    def shard(rank):
        net = nn.Sequential(nn.Linear(2, 3))
        net.load_state_dict({"0.weight": torch.arange(6.0).view(3, 2), "0.bias": torch.arange(3.0)})
        return [p.to_local().tolist() for p in fully_shard(net).parameters()]

    assert ranks(shard) == [[[[0.0, 1.0], [2.0, 3.0]], [0.0, 1.0]], [[[4.0, 5.0]], [2.0]]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_a_rank_may_keep_nothing(ranks):
    """``fully_shard`` gives the last rank an empty shard if a parameter has fewer rows than ranks."""

    def shard(rank):
        net = nn.Linear(2, 1)
        net.load_state_dict({"weight": torch.tensor([[4.0, 6.0]]), "bias": torch.tensor([5.0])})
        return [(tuple(p.to_local().shape), p.to_local().tolist()) for p in fully_shard(net).parameters()]

    assert ranks(shard) == [[((1, 2), [[4.0, 6.0]]), ((1,), [5.0])], [((0, 2), []), ((0,), [])]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_parameters_are_replaced(ranks):
    """``fully_shard`` replaces parameters by :class:`~torch.distributed.tensor.DTensor` of the same shape."""

    def shard(rank):
        from torch.distributed.tensor import DTensor

        net = nn.Sequential(nn.Linear(2, 3))
        net[0].bias.requires_grad_(False)
        before = list(net.parameters())
        after = dict(fully_shard(net).named_parameters())
        kinds = [isinstance(p, kind) for p in after.values() for kind in (DTensor, nn.Parameter)]
        same = [p is q for p, q in zip(after.values(), before, strict=True)]
        return {name: tuple(p.shape) for name, p in after.items()}, kinds, same

    assert ranks(shard) == [({"0.weight": (3, 2), "0.bias": (3,)}, [True] * 4, [False] * 2)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_the_module_changes_its_class(ranks):
    """``fully_shard`` changes the class of a module in place, for example ``Linear`` to ``FSDPLinear``."""

    def shard(rank):
        from torch.distributed.fsdp import FSDPModule

        result = fully_shard(net := nn.Linear(2, 3))
        return result is net, type(net).__name__, isinstance(net, FSDPModule), isinstance(net, nn.Linear)

    assert ranks(shard) == [(True, "FSDPLinear", True, True)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_ranks_need_not_start_equal(ranks):
    """``fully_shard`` shards each rank's own parameters; unlike DDP, it does not broadcast those of rank 0.

    Nothing is handed out by rank 0: give all ranks the same seed or checkpoint first.
    """

    def shard(rank):
        nets = nn.Linear(1, 2), nn.Linear(1, 2)
        for p in (*nets[0].parameters(), *nets[1].parameters()):
            nn.init.constant_(p, rank + 5.0)
        wrapped = nn.parallel.DistributedDataParallel(nets[0])
        whole = [p.full_tensor().tolist() for p in fully_shard(nets[1]).parameters()]
        return [p.tolist() for p in wrapped.parameters()], whole

    assert ranks(shard) == [([[[5.0], [5.0]], [5.0, 5.0]], [[[5.0], [6.0]], [5.0, 6.0]])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_a_call_uses_the_whole_parameters(ranks):
    """``fully_shard`` gathers the full parameters for ``forward``, the same on every rank."""

    def call(rank):
        seen = []

        class Net(nn.Linear):
            def forward(self, x):
                seen.append((type(self.weight), self.weight.tolist(), self.bias.tolist()))
                return super().forward(x)

        net = Net(1, 3)
        net.load_state_dict({"weight": torch.full((3, 1), rank + 5.0), "bias": torch.full((3,), rank + 2.0)})
        return seen, fully_shard(net)(torch.tensor([[10.0]])).tolist()

    assert ranks(call) == [([(nn.Parameter, [[5.0], [5.0], [6.0]], [2.0, 2.0, 3.0])], [[52, 52, 63]])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
@pytest.mark.claim("N5-28")
def test_gradients_are_averaged_and_sharded(ranks):
    """With ``fully_shard``, also over gloo, each rank's ``grad`` is its shard of the averaged gradient."""

    def train(rank):
        net = fully_shard(nn.Linear(2, 3))
        (net(torch.tensor([[5.0, 10.0]])) * torch.tensor([2.0, 4.0, 6.0]) * (rank + 1)).sum().backward()
        return [p.grad.to_local().tolist() for p in net.parameters()]

    assert ranks(train) == [[[[15.0, 30.0], [30.0, 60.0]], [3.0, 6.0]], [[[45.0, 90.0]], [9.0]]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
@pytest.mark.before("2.9")
def test_gradients_over_gloo_were_summed(ranks):
    """``fully_shard`` over gloo sums gradients instead of averaging them (:issue:`162338`)."""

    def train(rank):
        net = fully_shard(nn.Linear(2, 3))
        (net(torch.tensor([[5.0, 10.0]])) * torch.tensor([2.0, 4.0, 6.0]) * (rank + 1)).sum().backward()
        return [p.grad.to_local().tolist() for p in net.parameters()]

    assert ranks(train) == [[[[30.0, 60.0], [60.0, 120.0]], [6.0, 12.0]], [[[90.0, 180.0]], [18.0]]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_the_root_stays_whole_after_forward(ranks):
    """By default ``fully_shard`` reshards parameters after forward, except those of the root module.

    Backward needs those first. See the argument ``reshard_after_forward``.
    """

    def call(rank):
        net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 1))
        for module in (net[0], net[2], net):
            fully_shard(module)
        net(torch.rand(4, 2))
        return [hasattr(layer.weight, "to_local") for layer in net]

    assert ranks(call) == [[True, False, True]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.8")
def test_reshard_after_forward_decides(ranks):
    """``fully_shard(reshard_after_forward=False)`` keeps parameters whole after forward; ``True`` shards."""

    def call(rank, reshard):
        net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
        for module in (net[0], net):
            fully_shard(module, reshard_after_forward=reshard)
        output = net(torch.rand(4, 2))
        after_forward = [hasattr(layer.weight, "to_local") for layer in net]
        output.sum().backward()
        return after_forward, [hasattr(layer.weight, "to_local") for layer in net]

    assert ranks(call, True) == [([True, True], [True, True])] * 2
    assert ranks(call, False) == [([False, False], [True, True])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_unshard_and_reshard_by_hand(ranks):
    """``unshard()`` on a ``fully_shard`` module gathers full parameters; ``reshard()`` shards them again."""

    def switch(rank):
        net = nn.Linear(1, 3)
        net.load_state_dict({"weight": torch.full((3, 1), rank + 5.0), "bias": torch.full((3,), rank + 2.0)})
        fully_shard(net).unshard()
        first = type(net.weight), [p.tolist() for p in net.parameters()]
        net.reshard()
        second = [len(p.to_local()) for p in net.parameters()]
        net.unshard(async_op=True).wait()
        return first, second, [p.tolist() for p in net.parameters()]

    whole = [[[5.0], [5.0], [6.0]], [2.0, 2.0, 3.0]]
    assert ranks(switch) == [((nn.Parameter, whole), shard, whole) for shard in ([2, 2], [1, 1])]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_gradients_can_wait_for_each_other(ranks):
    """Under ``fully_shard`` over gloo, ``set_requires_gradient_sync(False)`` postpones averaging gradients.

    The first backward after ``set_requires_gradient_sync(True)`` averages the sum, as after
    :meth:`~torch.nn.parallel.DistributedDataParallel.no_sync`.
    """

    def train(rank):
        net, x = fully_shard(nn.Linear(1, 2, bias=False)), torch.tensor([[rank + 1.0]])
        net.set_requires_gradient_sync(False)
        for factor in (1, 100):
            net(x * factor).sum().backward()
        net.reshard()
        waiting = net.weight.grad
        net.set_requires_gradient_sync(True)
        net(x * 10).sum().backward()
        return waiting, net.weight.grad.to_local().tolist()

    assert ranks(train) == [(None, [[166.5]])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
@pytest.mark.question("Q91")
def test_names_and_state_dict_keep_their_keys(ranks):
    """``fully_shard`` keeps the ``state_dict()`` keys and the attributes of the module.

    It does not wrap the module, so nothing begins with ``module.``.
    """

    def shard(rank):
        net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2, bias=False))
        net.scale, net.mean, net[0].label = 5, nn.Buffer(torch.rand(3)), "first"
        fully_shard(net[0])
        fully_shard(net)
        return list(net.state_dict()), net.scale, net[0].label, net[1].in_features

    assert ranks(shard) == [(["mean", "0.weight", "0.bias", "1.weight"], 5, "first", 3)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_a_state_dict_goes_out_and_in(ranks):
    """The ``state_dict()`` of a ``fully_shard`` module can be loaded into another ``fully_shard`` module.

    It holds a rank's shards; ``full_tensor()`` of an entry gathers the whole.
    """

    def reload(rank):
        net, twin = nn.Linear(1, 3), fully_shard(nn.Linear(1, 3))
        net.load_state_dict({"weight": torch.full((3, 1), rank + 5.0), "bias": torch.full((3,), rank + 2.0)})
        state = fully_shard(net).state_dict()
        own = [(t.to_local().tolist(), t.full_tensor().tolist()) for t in state.values()]
        return str(twin.load_state_dict(state)), own, [p.full_tensor().tolist() for p in twin.parameters()]

    matched, whole = "<All keys matched successfully>", [[[5.0], [5.0], [6.0]], [2.0, 2.0, 3.0]]
    shards = ([[5.0], [5.0]], [2.0, 2.0]), ([[6.0]], [3.0])
    assert ranks(reload) == [(matched, list(zip(own, whole, strict=True)), whole) for own in shards]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_a_plain_state_dict_does_not_fit(ranks):
    """Loading a ``state_dict()`` of plain tensors into a ``fully_shard`` module raises ``RuntimeError``.

    With ``assign=True`` it raises ``AttributeError``. Load it before sharding.
    """

    def reload(rank):
        net, state = fully_shard(nn.Sequential(nn.Linear(2, 3))), nn.Linear(2, 3).state_dict(prefix="0.")
        for strict in (True, False):
            with pytest.raises(RuntimeError, match=r"mixed torch\.Tensor and DTensor"):
                net.load_state_dict(state, strict=strict)
        with pytest.raises(AttributeError, match="has no attribute '_local_tensor'"):
            net.load_state_dict(state, assign=True)

    assert ranks(reload) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_buffers_stay_whole(ranks):
    """:func:`~torch.distributed.fsdp.fully_shard` does not shard buffers; every rank keeps its own."""

    def shard(rank):
        net = nn.Sequential(nn.BatchNorm1d(3))
        net.steps = nn.Buffer(torch.tensor([1, 2, 3]), persistent=False)
        for buffer in net.buffers():
            buffer += rank + 5
        return [buffer.tolist() for buffer in fully_shard(net).buffers() if type(buffer) is torch.Tensor]

    assert ranks(shard) == [[[6, 7, 8], [5.0] * 3, [6.0] * 3, 5], [[7, 8, 9], [6.0] * 3, [7.0] * 3, 6]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_submodules_are_sharded_first(ranks):
    """``fully_shard`` on a module skips parameters that were already sharded with a submodule.

    So shard submodules first, the whole last.
    """

    def shard(rank):
        net = nn.Sequential(nn.Sequential(nn.Linear(2, 3)), nn.Linear(3, 1))
        inner = fully_shard(net[0][0])
        taken, plain = inner.weight, net[1].weight
        fully_shard(net)
        kinds = [hasattr(weight, "to_local") for weight in (taken, plain, inner.weight, net[1].weight)]
        return kinds, inner.weight is taken, [type(module).__name__ for module in net.modules()]

    names = ["FSDPSequential", "Sequential", "FSDPLinear", "Linear"]
    assert ranks(shard) == [([True, False, True, True], True, names)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_lists_of_modules_are_refused(ranks):
    """``fully_shard`` raises ``ValueError`` for a ``ModuleList`` or ``ModuleDict``: it has no ``forward``.

    No call would bring their parameters together. Shard their modules one by one.
    """

    def shard(rank):
        for net in (nn.ModuleList([nn.Linear(2, 3)]), nn.ModuleDict({"a": nn.Linear(2, 3)})):
            with pytest.raises(ValueError, match="fully_shard does not support containers"):
                fully_shard(net)

    assert ranks(shard) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_a_module_is_sharded_once(ranks):
    """Calling :func:`~torch.distributed.fsdp.fully_shard` twice on a module raises ``AssertionError``."""

    def shard(rank):
        net = fully_shard(nn.Linear(2, 3))
        for again in (net, [nn.Linear(3, 2), net]):
            with pytest.raises(AssertionError, match="fully_shard has already been applied to"):
                fully_shard(again)

    assert ranks(shard) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_sharded_modules_are_not_copied(ranks):
    """``copy.deepcopy`` of a ``fully_shard`` module raises ``AssertionError``."""

    def shard(rank):
        with pytest.raises(AssertionError, match=r"FSDP does not support deepcopy\. Please use state dict"):
            copy.deepcopy(fully_shard(nn.Linear(2, 3)))

    assert ranks(shard) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
@pytest.mark.question("Q95")
def test_other_methods_see_shards(ranks):
    """``register_fsdp_forward_method`` makes ``fully_shard`` gather parameters for a method other than
    ``forward``.

    Without it, such a method sees what the rank has of the parameters: its shards.
    """

    def call(rank):
        from torch.distributed.fsdp import register_fsdp_forward_method

        class Net(nn.Linear):
            def shape(self):
                return hasattr(self.weight, "to_local"), len(self.weight), len(self.bias)

        net = fully_shard(Net(2, 3))
        before = net.shape()
        register_fsdp_forward_method(net, "shape")
        with pytest.raises(ValueError, match="does not have a method missing"):
            register_fsdp_forward_method(net, "missing")
        return before, net.shape()

    assert ranks(call) == [((True, 3, 3), (False, 3, 3))] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_weights_of_shards_train_together(ranks):
    """An optimizer made after ``fully_shard`` trains the shards, with gradients averaged over all ranks."""

    def train(rank):
        net = nn.Linear(1, 3)
        net.load_state_dict({"weight": torch.full((3, 1), 4.0), "bias": torch.full((3,), 4.0)})
        optimizer = torch.optim.SGD(fully_shard(net).parameters(), lr=0.5)
        (net(torch.tensor([[10.0]])) * (rank + 1)).sum().backward()
        optimizer.step()
        return [p.full_tensor().tolist() for p in net.parameters()]

    assert ranks(train) == [[[[-3.5]] * 3, [3.25] * 3]] * 2

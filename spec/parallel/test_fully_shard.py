"""fully_shard: one module whose parameters are spread over several processes.

:func:`~torch.distributed.fsdp.fully_shard` changes a module in place: each rank keeps a slice, or shard, of
every parameter. The whole parameters come together for a call and are let go after it. As with
DistributedDataParallel, ``ranks`` runs a function on two ranks over gloo on the CPU.
"""

import copy

import pytest
import torch
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_each_rank_keeps_some_rows(ranks):
    """:func:`~torch.distributed.fsdp.fully_shard` cuts parameters by rows; the first rank gets more."""

    def shard(rank):
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Linear(2, 3))
        return [(tuple(p.shape), tuple(p.to_local().shape)) for p in net.parameters()]

    assert ranks(shard) == [[((3, 2), (2, 2)), ((3,), (2,))], [((3, 2), (1, 2)), ((3,), (1,))]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_a_rank_may_keep_nothing(ranks):
    """A parameter with fewer rows than there are ranks leaves the last ranks with an empty shard."""

    def shard(rank):
        from torch.distributed.fsdp import fully_shard

        return tuple(fully_shard(nn.Linear(2, 1, bias=False)).weight.to_local().shape)

    assert ranks(shard) == [(1, 2), (0, 2)]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_parameters_are_replaced(ranks):
    """The parameters are replaced by a :class:`~torch.distributed.tensor.DTensor` of the same shape.

    Make the optimizer afterwards.
    """

    def shard(rank):
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.tensor import DTensor

        net = nn.Linear(2, 3)
        weight = net.weight
        fully_shard(net)
        kinds = [isinstance(net.weight, kind) for kind in (DTensor, nn.Parameter)]
        return [name for name, _ in net.named_parameters()], kinds, net.weight is weight

    assert ranks(shard) == [(["weight", "bias"], [True, True], False)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_the_module_changes_its_class(ranks):
    """The module stays the same object; its class becomes a subclass, named ``FSDP`` and the old name."""

    def shard(rank):
        from torch.distributed.fsdp import FSDPModule, fully_shard

        net = nn.Linear(2, 3)
        result = fully_shard(net)
        return result is net, type(net).__name__, isinstance(net, FSDPModule), isinstance(net, nn.Linear)

    assert ranks(shard) == [(True, "FSDPLinear", True, True)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_ranks_need_not_start_equal(ranks):
    """Each rank cuts its shard out of its own parameters: nothing is handed out by rank 0."""

    def shard(rank):
        from torch.distributed.fsdp import fully_shard

        net = nn.Linear(2, 2, bias=False)
        nn.init.constant_(net.weight, rank + 5.0)
        return fully_shard(net).weight.full_tensor().tolist()

    assert ranks(shard) == [[[5.0, 5.0], [6.0, 6.0]]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_a_call_uses_the_whole_parameters(ranks):
    """In ``forward`` the parameters are whole, and the same on every rank."""

    def call(rank):
        from torch.distributed.fsdp import fully_shard

        net = nn.Linear(2, 3)
        nn.init.constant_(net.weight, rank + 5.0)
        nn.init.zeros_(net.bias)
        seen = []
        net.register_forward_hook(
            lambda m, args, output: seen.append((type(m.weight), m.weight[:, 0].tolist()))
        )
        output = fully_shard(net)(torch.tensor([[1.0, 0.0]]))
        return seen, output.tolist()

    assert ranks(call) == [([(nn.Parameter, [5.0, 5.0, 6.0])], [[5.0, 5.0, 6.0]])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
@pytest.mark.claim("N5-28")
def test_gradients_are_averaged_and_sharded(ranks):
    """After backward each rank holds its shard of the mean of the gradients of all ranks."""

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Linear(2, 3, bias=False))
        net(torch.tensor([[rank + 1.0, 10.0]])).sum().backward()
        return net.weight.grad.to_local().tolist()

    assert ranks(train) == [[[1.5, 10.0], [1.5, 10.0]], [[1.5, 10.0]]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
@pytest.mark.before("2.9")
@pytest.mark.observed
def test_gradients_over_gloo_were_summed(ranks):
    """Over gloo the gradients are summed where a mean is promised (:issue:`162338`)."""

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Linear(2, 3, bias=False))
        net(torch.tensor([[rank + 1.0, 10.0]])).sum().backward()
        return net.weight.grad.to_local().tolist()

    assert ranks(train) == [[[3.0, 20.0], [3.0, 20.0]], [[3.0, 20.0]]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_the_root_stays_whole_after_forward(ranks):
    """After forward the outermost module keeps its whole parameters, others are cut again."""

    def call(rank):
        from torch.distributed.fsdp import fully_shard

        net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        fully_shard(net[1])
        fully_shard(net)
        net(torch.rand(4, 2))
        return [hasattr(p, "to_local") for p in (net[0].weight, net[1].weight)]

    assert ranks(call) == [[False, True]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.8")
def test_reshard_after_forward_decides(ranks):
    """``reshard_after_forward`` says whether a module is cut again after its forward."""

    def call(rank, reshard):
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Linear(2, 3), reshard_after_forward=reshard)
        net(torch.rand(4, 2))
        after_forward = hasattr(net.weight, "to_local")
        net(torch.rand(4, 2)).sum().backward()
        return after_forward, hasattr(net.weight, "to_local")

    assert ranks(call, True) == [(True, True)] * 2
    assert ranks(call, False) == [(False, True)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_unshard_and_reshard_by_hand(ranks):
    """``unshard`` makes the parameters whole, at once or with ``wait``; ``reshard`` cuts them again."""

    def switch(rank):
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Linear(2, 3))
        shapes = [tuple(net.weight.shape) if net.unshard() is None else None]
        whole = [hasattr(net.weight, "to_local")]
        net.reshard()
        whole.append(hasattr(net.weight, "to_local"))
        net.unshard(async_op=True).wait()
        whole.append(hasattr(net.weight, "to_local"))
        return shapes, whole

    assert ranks(switch) == [([(3, 2)], [False, True, False])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_gradients_can_wait_for_each_other(ranks):
    """After ``set_requires_gradient_sync(False)`` gradients gather on each rank until switched on again."""

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Linear(1, 2, bias=False))
        x = torch.tensor([[rank + 1.0]])
        net.set_requires_gradient_sync(False)
        net(x).sum().backward()
        net.reshard()
        waiting = net.weight.grad
        net.set_requires_gradient_sync(True)
        net(x * 10).sum().backward()
        return waiting, net.weight.grad.to_local().tolist()

    assert ranks(train) == [(None, [[16.5]])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
@pytest.mark.question("Q91")
def test_names_and_state_dict_keep_their_keys(ranks):
    """A sharded module is no wrapper: the keys of its state dict are as before, its attributes too."""

    def shard(rank):
        from torch.distributed.fsdp import fully_shard

        net = nn.Linear(2, 3)
        net.scale = 5
        fully_shard(net)
        return [(key, tuple(value.to_local().shape)) for key, value in net.state_dict().items()], net.scale

    assert ranks(shard) == [
        ([("weight", (2, 2)), ("bias", (2,))], 5),
        ([("weight", (1, 2)), ("bias", (1,))], 5),
    ]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_a_state_dict_goes_out_and_in(ranks):
    """The state dict of one sharded module loads into another, and ``full_tensor`` makes its values whole."""

    def reload(rank):
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Linear(2, 3))
        twin = fully_shard(nn.Linear(2, 3))
        result = twin.load_state_dict(net.state_dict())
        whole = [model.state_dict()["weight"].full_tensor().tolist() for model in (net, twin)]
        return str(result), whole[0] == whole[1], len(whole[0])

    assert ranks(reload) == [("<All keys matched successfully>", True, 3)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_a_plain_state_dict_does_not_fit(ranks):
    """A state dict of plain tensors does not load into a sharded module: whole and shard do not mix."""

    def reload(rank):
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Linear(2, 3))
        with pytest.raises(RuntimeError, match=r"mixed torch\.Tensor and DTensor"):
            net.load_state_dict(nn.Linear(2, 3).state_dict())

    assert ranks(reload) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_buffers_stay_whole(ranks):
    """Buffers are not cut: every rank keeps its own."""

    def shard(rank):
        from torch.distributed.fsdp import fully_shard

        net = nn.BatchNorm1d(3)
        net.running_mean.fill_(rank + 5.0)
        return type(fully_shard(net).running_mean), net.running_mean.tolist()

    assert ranks(shard) == [(torch.Tensor, [5.0, 5.0, 5.0]), (torch.Tensor, [6.0, 6.0, 6.0])]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_submodules_are_sharded_first(ranks):
    """A call takes the parameters that no earlier call on a submodule has taken.

    The submodules that it passes keep their class.
    """

    def shard(rank):
        from torch.distributed.fsdp import fully_shard

        net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        fully_shard(net[0])
        fully_shard(net)
        return [type(module).__name__ for module in net.modules()]

    assert ranks(shard) == [["FSDPSequential", "FSDPLinear", "Linear"]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_lists_of_modules_are_refused(ranks):
    """Containers without ``forward`` raise ``ValueError``: no call would bring their parameters together."""

    def shard(rank):
        from torch.distributed.fsdp import fully_shard

        for net in (nn.ModuleList([nn.Linear(2, 3)]), nn.ModuleDict({"a": nn.Linear(2, 3)})):
            with pytest.raises(
                ValueError, match="fully_shard does not support containers that do not implement"
            ):
                fully_shard(net)

    assert ranks(shard) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_a_module_is_sharded_once(ranks):
    """A second call of :func:`~torch.distributed.fsdp.fully_shard` on a module raises ``AssertionError``."""

    def shard(rank):
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Linear(2, 3))
        with pytest.raises(
            AssertionError, match="fully_shard has already been applied to the following module"
        ):
            fully_shard(net)

    assert ranks(shard) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_sharded_modules_are_not_copied(ranks):
    """:func:`copy.deepcopy` of a sharded module raises ``AssertionError``."""

    def shard(rank):
        from torch.distributed.fsdp import fully_shard

        with pytest.raises(AssertionError, match=r"FSDP does not support deepcopy\. Please use state dict"):
            copy.deepcopy(fully_shard(nn.Linear(2, 3)))

    assert ranks(shard) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
@pytest.mark.question("Q95")
def test_other_methods_see_shards(ranks):
    """A method other than ``forward`` finds shards, unless it is registered.

    ``register_fsdp_forward_method`` makes it bring the parameters together as ``forward`` does.
    """

    def call(rank):
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        class Net(nn.Linear):
            def shape(self):
                return hasattr(self.weight, "to_local")

        net = fully_shard(Net(2, 3))
        before = net.shape()
        register_fsdp_forward_method(net, "shape")
        with pytest.raises(ValueError, match="does not have a method missing"):
            register_fsdp_forward_method(net, "missing")
        return before, net.shape()

    assert ranks(call) == [(True, False)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_weights_of_shards_train_together(ranks):
    """An optimizer made after sharding steps on the shards; together they are the trained weight."""

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net = nn.Linear(1, 3, bias=False)
        nn.init.constant_(net.weight, 4.0)
        optimizer = torch.optim.SGD(fully_shard(net).parameters(), lr=0.5)
        net(torch.tensor([[rank + 1.0]])).sum().backward()
        optimizer.step()
        return net.weight.full_tensor().tolist()

    assert ranks(train) == [[[3.25], [3.25], [3.25]]] * 2

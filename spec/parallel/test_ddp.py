"""DistributedDataParallel: one module in each of several processes.

Every process, or rank, wraps a module of its own and trains on its own batches. Here ``ranks`` runs a
function on two ranks, which meet over gloo on the CPU. The function gets the number of its rank, which is
also its seed; the results of rank 0 and rank 1 come back in a list.
"""

import copy

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP


@pytest.mark.needs("distributed")
def test_all_ranks_start_equal(ranks):
    """Wrapping gives every rank the parameters of rank 0."""

    def wrap(rank):
        net = nn.Linear(2, 3)
        before = net.weight.tolist()
        DDP(net)
        return before, net.weight.tolist()

    (before, after), (other_before, other_after) = ranks(wrap)

    assert before != other_before
    assert (after, other_after) == (before, before)


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_init_sync_can_be_left_out(ranks):
    """With ``init_sync=False`` every rank starts with its own parameters."""

    def wrap(rank):
        net = nn.Linear(2, 1, bias=False)
        nn.init.constant_(net.weight, rank + 5.0)
        return DDP(net, init_sync=False).module.weight.tolist()

    assert ranks(wrap) == [[[5.0, 5.0]], [[6.0, 6.0]]]


@pytest.mark.needs("distributed")
def test_parameters_are_kept(ranks):
    """Wrapping keeps the parameters, so that an optimizer made before it still steps on them."""

    def wrap(rank):
        net = nn.Linear(2, 3)
        weight = net.weight
        model = DDP(net)
        return type(model.module.weight), model.module.weight is weight

    assert ranks(wrap) == [(nn.Parameter, True)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.question("Q91")
def test_state_dict_keys_start_with_module(ranks):
    """:class:`~torch.nn.parallel.DistributedDataParallel` puts ``module.`` before every key and name."""

    def wrap(rank):
        model = DDP(nn.Linear(2, 3))
        return list(model.state_dict()), [name for name, _ in model.named_parameters()]

    assert ranks(wrap) == [(["module.weight", "module.bias"], ["module.weight", "module.bias"])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.question("Q91")
def test_attributes_are_found_on_module(ranks):
    """The wrapped module and its attributes are reached through ``module`` only."""

    def wrap(rank):
        net = nn.Linear(2, 3)
        net.scale = 5
        model = DDP(net)
        with pytest.raises(AttributeError, match="'DistributedDataParallel' object has no attribute 'scale'"):
            _ = model.scale
        return model.module is net, model.module.scale

    assert ranks(wrap) == [(True, 5)] * 2


@pytest.mark.needs("distributed")
def test_a_state_dict_of_a_rank_fits_elsewhere(ranks):
    """The state dict of ``module`` on one rank loads into a plain module."""

    def save(rank):
        return DDP(nn.Linear(2, 3)).module.state_dict()

    first, _ = ranks(save)
    net = nn.Linear(2, 3)

    assert str(net.load_state_dict(first)) == "<All keys matched successfully>"
    assert torch.equal(net.weight, first["weight"])


@pytest.mark.needs("distributed")
def test_arguments_are_not_split(ranks):
    """Each rank runs its module once, with all arguments as they were given."""

    def run(rank):
        net = nn.Linear(1, 1)
        net.forward = lambda *args, **kwargs: (args, kwargs)
        return DDP(net)(1, "b", flag=True)

    assert ranks(run) == [((1, "b"), {"flag": True})] * 2


@pytest.mark.needs("distributed")
def test_hooks_run_on_every_rank(ranks):
    """Hooks of the wrapper and of the module are called on every rank, with its own inputs."""

    def run(rank):
        calls = []
        model = DDP(nn.Linear(1, 1))
        model.register_forward_hook(lambda _, args, output: calls.append(("wrapper", args[0].item())))
        model.module.register_forward_hook(lambda _, args, output: calls.append(("module", args[0].item())))
        model(torch.tensor([[rank + 1.0]]))
        return calls

    assert ranks(run) == [[("module", 1.0), ("wrapper", 1.0)], [("module", 2.0), ("wrapper", 2.0)]]


@pytest.mark.needs("distributed")
def test_mode_reaches_the_module(ranks):
    """``train`` and ``eval`` of the wrapper return it and set the mode of the module."""

    def run(rank):
        model = DDP(nn.Linear(1, 1))
        return model.eval() is model, model.module.training, model.train() is model, model.module.training

    assert ranks(run) == [(True, False, True, True)] * 2


@pytest.mark.needs("distributed")
def test_a_copy_averages_as_well(ranks):
    """A deep copy of the wrapper averages gradients of its own module."""

    def train(rank):
        model = DDP(nn.Linear(1, 1, bias=False))
        twin = copy.deepcopy(model)
        twin(torch.tensor([[rank + 1.0]])).sum().backward()
        return model.module.weight.grad, twin.module.weight.grad.item()

    assert ranks(train) == [(None, 1.5)] * 2

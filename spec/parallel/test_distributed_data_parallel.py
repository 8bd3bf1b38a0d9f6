"""DistributedDataParallel: one module in each of several processes.

Every process, or rank, wraps a module of its own and trains on its own batches; the gradients are averaged
during backward. Here ``ranks`` runs a function on two ranks, which meet over gloo on the CPU. The function
gets the number of its rank, which is also its seed; the results of rank 0 and rank 1 come back in a list.
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
def test_buffers_start_equal_too(ranks):
    """Wrapping gives every rank the buffers of rank 0 as well."""

    def wrap(rank):
        net = nn.Linear(2, 3)
        net.register_buffer("mean", torch.tensor([rank + 5.0, rank + 7.0]))
        return DDP(net).module.mean.tolist()

    assert ranks(wrap) == [[5.0, 7.0], [5.0, 7.0]]


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
@pytest.mark.claim("N5-28")
def test_gradients_are_averaged(ranks):
    """After backward every rank holds the mean of the gradients of all ranks.

    :class:`~torch.nn.DataParallel` adds them up instead.
    """

    def train(rank):
        model = DDP(nn.Linear(2, 1, bias=False))
        model(torch.tensor([[rank + 1.0, 10.0]])).sum().backward()
        return model.module.weight.grad.tolist()

    assert ranks(train) == [[[1.5, 10.0]], [[1.5, 10.0]]]


@pytest.mark.needs("distributed")
def test_weights_stay_equal(ranks):
    """Ranks that step on averaged gradients keep equal weights, whatever their batches were."""

    def train(rank):
        model = DDP(nn.Linear(2, 3))
        before = model.module.weight.tolist()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.rand(4, 2)).square().mean().backward()
            optimizer.step()
        return before, model.module.weight.tolist()

    (before, first), (_, second) = ranks(train)

    assert first == second
    assert first != before


@pytest.mark.needs("distributed")
def test_gradients_add_up_over_backwards(ranks):
    """A second backward adds its averaged gradients to the first ones."""

    def train(rank):
        model = DDP(nn.Linear(2, 1, bias=False))
        for scale in (1, 10):
            model(torch.tensor([[rank + 1.0, 10.0]]) * scale).sum().backward()
        return model.module.weight.grad.tolist()

    assert ranks(train) == [[[16.5, 110.0]], [[16.5, 110.0]]]


@pytest.mark.needs("distributed")
def test_no_sync_keeps_gradients_local(ranks):
    """Under :meth:`~torch.nn.parallel.DistributedDataParallel.no_sync` each rank gathers its own gradients.

    The first backward after it averages all that was gathered.
    """

    def train(rank):
        model = DDP(nn.Linear(1, 1, bias=False))
        x = torch.tensor([[rank + 1.0]])
        with model.no_sync():
            model(x).sum().backward()
        local = model.module.weight.grad.item()
        model(x * 10).sum().backward()
        return local, model.module.weight.grad.item()

    assert ranks(train) == [(1.0, 16.5), (2.0, 16.5)]


@pytest.mark.needs("distributed")
def test_no_sync_must_hold_the_forward(ranks):
    """It is the forward that decides: called before ``no_sync``, its gradients are averaged."""

    def train(rank):
        model = DDP(nn.Linear(1, 1, bias=False))
        output = model(torch.tensor([[rank + 1.0]]))
        with model.no_sync():
            output.sum().backward()
        return model.module.weight.grad.item()

    assert ranks(train) == [1.5, 1.5]


@pytest.mark.needs("distributed")
@pytest.mark.observed
def test_no_sync_ends_with_an_error(ranks):
    """``no_sync`` restores the synchronisation it found, also after an error, and may be nested."""

    def train(rank):
        model = DDP(nn.Linear(1, 1))
        seen = []
        with pytest.raises(ValueError, match="lost"), model.no_sync():
            with model.no_sync():
                seen.append(model.require_backward_grad_sync)
            seen.append(model.require_backward_grad_sync)
            raise ValueError("lost")
        return [*seen, model.require_backward_grad_sync]

    assert ranks(train) == [[False, False, True]] * 2


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
def test_parameters_are_kept(ranks):
    """Wrapping keeps the parameters, so that an optimizer made before it still steps on them."""

    def wrap(rank):
        net = nn.Linear(2, 3)
        weight = net.weight
        model = DDP(net)
        return type(model.module.weight), model.module.weight is weight

    assert ranks(wrap) == [(nn.Parameter, True)] * 2


@pytest.mark.needs("distributed")
def test_state_dict_goes_from_one_rank_to_the_other(ranks):
    """A state dict saved on one rank loads into a plain module once the prefix is gone."""

    def save(rank):
        return DDP(nn.Linear(2, 3)).module.state_dict()

    first, _ = ranks(save)
    net = nn.Linear(2, 3)

    assert str(net.load_state_dict(first)) == "<All keys matched successfully>"
    assert torch.equal(net.weight, first["weight"])


@pytest.mark.needs("distributed")
@pytest.mark.question("Q95")
def test_other_methods_do_not_average(ranks):
    """A method called as ``model.module.method`` gives gradients that are not averaged.

    Only a call of the wrapper prepares the averaging. Without backward, such calls are fine.
    """

    def train(rank):
        model = DDP(nn.Linear(1, 1, bias=False))
        model.module.score = lambda x: model.module(x) * 3
        model.module.score(torch.tensor([[rank + 1.0]])).sum().backward()
        return model.module.weight.grad.item()

    assert ranks(train) == [3.0, 6.0]


@pytest.mark.needs("distributed")
@pytest.mark.question("Q93")
def test_a_replaced_weight_is_not_averaged(ranks):
    """A parameter assigned after wrapping is not watched: its gradients differ between ranks.

    Change parameters first, wrap afterwards.
    """

    def train(rank):
        model = DDP(nn.Linear(1, 1))
        model.module.weight = nn.Parameter(torch.tensor([[4.0]]))
        model(torch.tensor([[rank + 1.0]])).sum().backward()
        return model.module.weight.grad.item()

    assert ranks(train) == [1.0, 2.0]


@pytest.mark.needs("distributed")
def test_buffers_follow_rank_0(ranks):
    """Each forward begins by giving every rank the buffers of rank 0.

    Statistics gathered on other ranks are lost.
    """

    def run(rank):
        model = DDP(nn.BatchNorm1d(1, momentum=1.0))
        batches = torch.tensor([[rank * 10.0], [rank * 10.0 + 2.0]])
        model(batches)
        local = model.module.running_mean.item()
        model.eval()
        model(batches)
        return local, model.module.running_mean.item()

    assert ranks(run) == [(1.0, 1.0), (11.0, 1.0)]


@pytest.mark.needs("distributed")
@pytest.mark.filterwarnings("ignore")
def test_buffers_may_stay_local(ranks):
    """With ``broadcast_buffers=False`` every rank keeps what it gathered."""

    def run(rank):
        model = DDP(nn.BatchNorm1d(1, momentum=1.0), broadcast_buffers=False)
        batches = torch.tensor([[rank * 10.0], [rank * 10.0 + 2.0]])
        for _ in range(2):
            model(batches)
        return model.module.running_mean.item()

    assert ranks(run) == [1.0, 11.0]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.1")
def test_local_buffers_are_local_from_the_start(ranks):
    """With ``broadcast_buffers=False`` every rank starts with its own buffers (:pull:`100729`)."""

    def wrap(rank):
        net = nn.Linear(2, 3)
        net.register_buffer("mean", torch.tensor([rank + 5.0]))
        return DDP(net, broadcast_buffers=False).module.mean.item()

    assert ranks(wrap) == [5.0, 6.0]


@pytest.mark.needs("distributed")
@pytest.mark.before("2.1")
@pytest.mark.observed
def test_local_buffers_once_started_equal(ranks):
    """With ``broadcast_buffers=False`` every rank still started with the buffers of rank 0."""

    def wrap(rank):
        net = nn.Linear(2, 3)
        net.register_buffer("mean", torch.tensor([rank + 5.0]))
        return DDP(net, broadcast_buffers=False).module.mean.item()

    assert ranks(wrap) == [5.0, 5.0]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_forward_sync_buffers_is_about_forward(ranks):
    """With ``forward_sync_buffers=False`` buffers start equal and then stay local (:pull:`178054`)."""

    def run(rank):
        net = nn.BatchNorm1d(1, momentum=1.0)
        net.running_mean.fill_(rank + 5.0)
        model = DDP(net, forward_sync_buffers=False)
        start = net.running_mean.item()
        for _ in range(2):
            model(torch.tensor([[rank * 10.0], [rank * 10.0 + 2.0]]))
        return start, net.running_mean.item()

    assert ranks(run) == [(5.0, 1.0), (5.0, 11.0)]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.13")
def test_broadcast_buffers_is_deprecated(ranks):
    """``broadcast_buffers`` warns that it is deprecated, and loses to ``forward_sync_buffers``."""

    def wrap(rank):
        with pytest.warns(
            FutureWarning, match="`broadcast_buffers` is deprecated. Use `forward_sync_buffers`"
        ):
            old = DDP(nn.Linear(2, 3), broadcast_buffers=False)
        with pytest.warns(FutureWarning, match="Both `broadcast_buffers` and `forward_sync_buffers` were"):
            both = DDP(nn.Linear(2, 3), broadcast_buffers=False, forward_sync_buffers=True)
        return old.forward_sync_buffers, both.forward_sync_buffers, DDP(nn.Linear(2, 3)).forward_sync_buffers

    assert ranks(wrap) == [(False, True, True)] * 2


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
def test_arguments_are_not_split(ranks):
    """Each rank runs its module once, with all arguments as they were given."""

    def run(rank):
        net = nn.Linear(1, 1)
        net.forward = lambda *args, **kwargs: (args, kwargs)
        return DDP(net)(1, "b", flag=True)

    assert ranks(run) == [((1, "b"), {"flag": True})] * 2


@pytest.mark.needs("distributed")
def test_a_copy_averages_as_well(ranks):
    """A deep copy of the wrapper averages gradients of its own module."""

    def train(rank):
        model = DDP(nn.Linear(1, 1, bias=False))
        twin = copy.deepcopy(model)
        twin(torch.tensor([[rank + 1.0]])).sum().backward()
        return model.module.weight.grad, twin.module.weight.grad.item()

    assert ranks(train) == [(None, 1.5)] * 2


@pytest.mark.needs("distributed")
def test_a_hook_replaces_the_averaging(ranks):
    """A hook given to ``register_comm_hook`` gets the gradients and decides what becomes of them."""

    def train(rank):
        def keep(state, bucket):
            state.append(bucket.buffer().tolist())
            done = torch.futures.Future()
            done.set_result(bucket.buffer() * 3)
            return done

        seen = []
        model = DDP(nn.Linear(1, 1, bias=False))
        model.register_comm_hook(seen, keep)
        model(torch.tensor([[rank + 1.0]])).sum().backward()
        return seen, model.module.weight.grad.item()

    assert ranks(train) == [([[1.0]], 3.0), ([[2.0]], 6.0)]


@pytest.mark.needs("distributed")
def test_ranks_may_have_different_numbers_of_batches(ranks):
    """Within ``join`` a rank that ran out of batches takes part with zero gradients."""

    def train(rank):
        model = DDP(nn.Linear(1, 1, bias=False))
        grads = []
        with model.join():
            for step in range(rank + 1):
                model.zero_grad()
                model(torch.tensor([[rank + step + 1.0]])).sum().backward()
                grads.append(model.module.weight.grad.item())
        return grads

    assert ranks(train) == [[1.5], [1.5, 1.5]]


@pytest.mark.needs("distributed")
def test_join_can_divide_by_those_who_are_left(ranks):
    """With ``divide_by_initial_world_size=False`` the mean is over the ranks that still have batches."""

    def train(rank):
        model = DDP(nn.Linear(1, 1, bias=False))
        grads = []
        with model.join(divide_by_initial_world_size=False):
            for step in range(rank + 1):
                model.zero_grad()
                model(torch.tensor([[rank + step + 1.0]])).sum().backward()
                grads.append(model.module.weight.grad.item())
        return grads

    assert ranks(train) == [[1.5], [1.5, 3.0]]


@pytest.mark.needs("distributed")
def test_gradients_can_be_views_of_buckets(ranks):
    """With ``gradient_as_bucket_view=True`` the gradients share one piece of memory, the bucket."""

    def train(rank, as_view):
        model = DDP(nn.Linear(2, 3), gradient_as_bucket_view=as_view)
        model(torch.ones(1, 2)).sum().backward()
        places = [p.grad.untyped_storage().data_ptr() for p in model.parameters()]
        return len(set(places))

    assert (ranks(train, True), ranks(train, False)) == ([1, 1], [2, 2])

"""How DistributedDataParallel averages gradients.

During backward the ranks exchange their gradients, and each ends with the mean, unless it was told to wait or
the module was reached past the wrapper.
"""

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP


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
def test_gradients_add_up(ranks):
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
    """The forward decides: called before ``no_sync``, its gradients are averaged."""

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
def test_ranks_may_have_more_batches(ranks):
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
def test_join_can_divide_by_who_is_left(ranks):
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

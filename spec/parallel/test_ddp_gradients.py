"""How DistributedDataParallel averages gradients.

During backward the ranks exchange their gradients, and each ends with the mean, unless it was told to wait or
the module was reached past the wrapper.
"""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP


@pytest.mark.needs("distributed")
@pytest.mark.claim("N5-28")
def test_gradients_are_averaged(ranks):
    """:class:`~torch.nn.parallel.DistributedDataParallel` averages gradients over all ranks in
    ``backward()``.

    Each rank then holds the mean. A loss that is a mean over each rank's batch is one over all then,
    if the batches are equally large. :class:`~torch.nn.DataParallel` adds gradients up instead.
    """

    def train(rank):
        model, means = DDP(nn.Sequential(nn.Identity(), nn.Linear(2, 1))), []
        for training in (True, False):
            model.train(training).zero_grad()
            (model(torch.tensor([[rank + 1.0, 10.0]])) * (rank + 1)).sum().backward()
            means.append([p.grad.tolist() for p in model.module.parameters()])
        return means

    assert ranks(train) == [[[[[2.5, 15.0]], [1.5]]] * 2] * 2


@pytest.mark.needs("distributed")
def test_weights_stay_equal(ranks):
    """``DistributedDataParallel`` keeps weights equal on all ranks, although each trains on other batches.

    They start equal, and each rank steps on the same averaged gradients.
    """

    def train(rank):
        model = DDP(nn.Linear(2, 3))
        before = [p.tolist() for p in model.parameters()]
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.rand(4, 2)).square().mean().backward()
            optimizer.step()
        return before, [p.tolist() for p in model.parameters()]

    (before, first), (_, second) = ranks(train)

    assert first == second
    assert first != before


@pytest.mark.needs("distributed")
def test_gradients_add_up(ranks):
    """A second ``backward()`` under ``DistributedDataParallel`` adds its averaged gradients to the first."""

    def train(rank, as_view):
        model = DDP(nn.Linear(2, 1, bias=False), gradient_as_bucket_view=as_view)
        for scale in (1, 10):
            model(torch.tensor([[rank + 1.0, 10.0]]) * scale).sum().backward()
        return model.module.weight.grad.tolist()

    assert [ranks(train, as_view) for as_view in (False, True)] == [[[[16.5, 110.0]]] * 2] * 2


@pytest.mark.needs("distributed")
def test_no_sync_keeps_gradients_local(ranks):
    """Under ``DistributedDataParallel.no_sync()`` each rank accumulates its own gradients, not averaged.

    The first backward after it averages all that was gathered, so small batches can be added up to a large
    one and exchanged once. See :meth:`~torch.nn.parallel.DistributedDataParallel.no_sync`.

    See also :ref:`parallel.ddp_gradients.no_sync_must_hold_the_forward`
    """

    def train(rank):
        model = DDP(nn.Linear(1, 1))
        with model.no_sync():
            for scale in (1.0, 3.0):
                (model(torch.tensor([[scale]])) * (rank + 1)).sum().backward()
        local = [p.grad.item() for p in model.parameters()]
        (model(torch.tensor([[10.0]])) * (rank + 1)).sum().backward()
        return local, [p.grad.item() for p in model.parameters()]

    assert ranks(train) == [([4.0, 2.0], [21.0, 4.5]), ([8.0, 4.0], [21.0, 4.5])]


@pytest.mark.needs("distributed")
def test_no_sync_must_hold_the_forward(ranks):
    """``DistributedDataParallel.no_sync()`` around ``backward()`` alone does nothing: it must include the
    forward.
    """

    def train(rank):
        model = DDP(nn.Linear(1, 1, bias=False))
        output = model(torch.tensor([[rank + 1.0]]))
        with model.no_sync():
            output.sum().backward()
        averaged = model.module.weight.grad.item()
        model.zero_grad()
        with model.no_sync():
            output = model(torch.tensor([[rank + 1.0]]))
        output.sum().backward()
        return averaged, model.module.weight.grad.item()

    assert ranks(train) == [(1.5, 1.0), (1.5, 2.0)]


@pytest.mark.needs("distributed")
def test_no_sync_ends_with_an_error(ranks):
    """``DistributedDataParallel.no_sync()`` can be nested, and an exception in its block ends it."""

    def train(rank):
        model = DDP(nn.Linear(1, 1, bias=False))

        def gradient():
            model.zero_grad()
            model(torch.tensor([[rank + 1.0]])).sum().backward()
            return model.module.weight.grad.item()

        seen = []
        with pytest.raises(ValueError, match="lost"), model.no_sync():
            with model.no_sync():
                seen.append(gradient())
            seen.append(gradient())
            raise ValueError("lost")
        return [*seen, gradient()]

    assert ranks(train) == [[1.0, 1.0, 1.5], [2.0, 2.0, 1.5]]


@pytest.mark.needs("distributed")
@pytest.mark.question("Q95")
def test_other_methods_do_not_average(ranks):
    """Gradients of ``model.module.method()`` under ``DistributedDataParallel`` are not averaged.

    Only a call of the wrapper prepares the averaging. Without backward, such calls are fine; else let
    ``forward`` choose the method by an argument.
    """

    def train(rank):
        class Net(nn.Linear):
            def score(self, x):
                return self(x) * 3

        model, x = DDP(Net(1, 1, bias=False)), torch.tensor([[rank + 1.0]])
        model.module.score(x).sum().backward()
        past_the_wrapper = model.module.weight.grad.item()
        model.zero_grad()
        model(x).sum().backward()
        return past_the_wrapper, model.module.weight.grad.item()

    assert ranks(train) == [(3.0, 1.5), (6.0, 1.5)]


@pytest.mark.needs("distributed")
@pytest.mark.question("Q93")
def test_a_replaced_weight_is_not_averaged(ranks):
    """``DistributedDataParallel`` does not average gradients of a parameter assigned after wrapping.

    The next call misses a gradient of the old one and raises; with ``find_unused_parameters=True`` no error
    says so, and the ranks drift apart. Change parameters first, wrap afterwards.
    """

    def train(rank, find_unused):
        model = DDP(nn.Linear(1, 1), find_unused_parameters=find_unused)
        model.module.weight = nn.Parameter(torch.tensor([[4.0]]))
        for _ in range(1 + find_unused):
            model(torch.tensor([[rank + 1.0]])).sum().backward()
        if not find_unused:
            with pytest.raises(RuntimeError, match="Expected to have finished reduction in the prior"):
                model(torch.ones(1, 1))
        return model.module.weight.grad.item()

    assert ranks(train, False) == [1.0, 2.0]
    assert ranks(train, True) == [2.0, 4.0]


@pytest.mark.needs("distributed")
def test_a_parameter_used_beside_forward_is_averaged(ranks):
    """``DDP`` averages a parameter used only outside ``forward``, unless ``find_unused_parameters=True``.

    With ``find_unused_parameters=True`` it counts as unused, and backward raises "Expected to mark a variable
    ready only once". So it is with regularization terms of adapters, such as AdaLoRA's. Compute them in
    ``forward``. See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        gradients = []
        for options in ({}, {"find_unused_parameters": True}):
            net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Identity())
            net[1].scale = scale = nn.Parameter(torch.tensor(3.0))
            model = DDP(net, **options)
            loss = model(torch.ones(1, 1)).sum() + scale.square() * (rank + 1)
            if options:
                with pytest.raises(RuntimeError, match="Expected to mark a variable ready only once"):
                    loss.backward()
            else:
                loss.backward()
                gradients.append(scale.grad.item())
        return gradients

    assert ranks(train) == [[9.0], [9.0]]


@pytest.mark.needs("distributed")
@pytest.mark.parametrize("change", ["double", "half"])
def test_a_cast_ends_the_averaging(ranks, change):
    """Casting a module in ``DistributedDataParallel`` there and back silently ends the averaging.

    So does moving it to another device and back (:issue:`104336`). The parameters are the same objects, but
    the hooks that exchange their gradients are gone: each rank goes on with its own. Cast and move before
    wrapping in :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank, change):
        net = nn.Linear(1, 1, bias=False)
        model, weight = DDP(net), net.weight
        gradients = []
        for _ in range(2):
            model.zero_grad()
            model(torch.tensor([[rank + 1.0]])).sum().backward()
            gradients.append(weight.grad.item())
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                getattr(net, change)().float()
        return gradients, net.weight is weight

    assert ranks(train, change) == [([1.5, 1.0], True), ([1.5, 2.0], True)]


@pytest.mark.needs("distributed")
def test_a_hook_replaces_the_averaging(ranks):
    """``DistributedDataParallel.register_comm_hook`` makes gradients what the hook returns, not the mean."""

    def train(rank):
        def keep(state, bucket):
            state.append(bucket.buffer().tolist())
            done = torch.futures.Future()
            done.set_result(bucket.buffer() * 3)
            return done

        seen = []
        model = DDP(nn.Linear(1, 1, bias=False))
        model.register_comm_hook(seen, keep)
        gradients = []
        for scale in (1, 10):
            model.zero_grad()
            model(torch.tensor([[rank + 1.0]]) * scale).sum().backward()
            gradients.append(model.module.weight.grad.item())
        return seen, gradients

    assert ranks(train) == [([[1.0], [10.0]], [3.0, 30.0]), ([[2.0], [20.0]], [6.0, 60.0])]


@pytest.mark.needs("distributed")
def test_ranks_may_have_more_batches(ranks):
    """In ``DistributedDataParallel.join()`` a rank that has no more batches counts as zero gradients.

    Without it the other ranks wait for that one.
    """

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
    """``DDP.join(divide_by_initial_world_size=False)`` averages gradients over ranks that still have batches.

    Ranks without further batches do not count, not even as zeros.
    """

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
    """With ``gradient_as_bucket_view=True``, gradients under :class:`DDP
    <torch.nn.parallel.DistributedDataParallel>` are views of its communication buckets.

    It saves the memory of a second copy of all gradients. The buckets are what the ranks exchange; these
    small gradients fit into one.
    """

    def train(rank, as_view):
        def hook(state, bucket):
            done = torch.futures.Future()
            done.set_result(bucket.buffer())
            state.append(bucket.buffer().untyped_storage().data_ptr())
            return done

        model, buckets = DDP(nn.Linear(2, 3), gradient_as_bucket_view=as_view), []
        model.register_comm_hook(buckets, hook)
        for _ in range(2):
            model(torch.ones(1, 2)).sum().backward()
        return [p.grad.untyped_storage().data_ptr() == buckets[-1] for p in model.parameters()]

    assert ranks(train, True) == [[True, True]] * 2
    assert ranks(train, False) == [[False, False]] * 2


@pytest.mark.needs("distributed")
def test_two_parts_are_trained_in_turn(ranks):
    """``DDP(find_unused_parameters=True)`` averages though calls use parts of a module in turn, as in a GAN.

    Several calls before one ``backward()`` are allowed. The part that is not meant to learn gets gradients
    unless it is frozen, or its output detached. By default such a module raises in the second step; wrapping
    each part in a DDP of its own needs no search.

    See also :ref:`parallel.ddp_errors.unused_parameters_stop_the_next_call`
    """

    def train(rank):
        net = nn.ModuleDict({name: nn.Linear(1, 1, bias=False) for name in ("maker", "judge")})
        net.load_state_dict({"maker.weight": torch.tensor([[2.0]]), "judge.weight": torch.tensor([[3.0]])})
        net.forward = lambda x, *names: net[names[0]](x) if len(names) == 1 else net["judge"](net["maker"](x))
        model, x, grads = DDP(net, find_unused_parameters=True), torch.tensor([[rank + 1.0]]), []

        for step in ("judge", "maker", "both", "judge"):
            model.zero_grad()
            net["judge"].requires_grad_(step != "maker")
            if step == "judge":
                (model(x, "judge") - model(model(x, "maker").detach(), "judge")).sum().backward()
            else:
                model(x, "maker", "judge").sum().backward()
            grads.append([None if p.grad is None else p.grad.item() for p in net.parameters()])
        return grads

    assert ranks(train) == [[[None, -1.5], [4.5, None], [4.5, 3.0], [None, -1.5]]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
def test_what_was_used_in_no_sync_is_averaged_later(ranks):
    """``DDP(find_unused_parameters=True)`` averages what accumulated in ``no_sync()``, used since or not.

    So parts of a model may be left out in any step of an accumulation (:issue:`69031`). See
    :meth:`~torch.nn.parallel.DistributedDataParallel.no_sync`.
    """

    def train(rank):
        net = nn.ModuleDict({"first": nn.Linear(1, 1, bias=False), "last": nn.Linear(1, 1, bias=False)})
        net.forward = lambda name, x: net[name](x)
        model = DDP(net, find_unused_parameters=True)
        x = torch.tensor([[rank + 1.0]])
        with model.no_sync():
            model("first", x).sum().backward()
        local = net["first"].weight.grad.item()
        model("last", x).sum().backward()
        return local, net["first"].weight.grad.item(), net["last"].weight.grad.item()

    assert ranks(train) == [(1.0, 1.5, 1.5), (2.0, 1.5, 1.5)]


@pytest.mark.needs("distributed")
@pytest.mark.before("2.4")
def test_what_was_used_in_no_sync_stayed_local(ranks):
    """``DDP(find_unused_parameters=True)`` leaves local what accumulated in ``no_sync()`` if not used since.

    Take all steps of an accumulation with every part, or none in ``no_sync()`` (:issue:`69031`). See
    :meth:`~torch.nn.parallel.DistributedDataParallel.no_sync`.
    """

    def train(rank):
        net = nn.ModuleDict({"first": nn.Linear(1, 1, bias=False), "last": nn.Linear(1, 1, bias=False)})
        net.forward = lambda name, x: net[name](x)
        model = DDP(net, find_unused_parameters=True)
        x = torch.tensor([[rank + 1.0]])
        with model.no_sync():
            model("first", x).sum().backward()
        model("last", x).sum().backward()
        return net["first"].weight.grad.item(), net["last"].weight.grad.item()

    assert ranks(train) == [(1.0, 1.5), (2.0, 1.5)]

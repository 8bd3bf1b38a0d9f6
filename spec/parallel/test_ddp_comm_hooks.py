"""Hooks for the communication of DistributedDataParallel.

A function given to ``register_comm_hook`` exchanges the gradients of a bucket, or does something else with
them. It returns a Future, which holds what the gradients are to be.
"""

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP


@pytest.mark.needs("distributed")
def test_the_future_of_an_all_reduce(ranks):
    """A DDP communication hook may return the Future of an asynchronous ``all_reduce``.

    ``backward()`` waits for it. DDP does not divide: gradients are the sum. See
    :meth:`~torch.nn.parallel.DistributedDataParallel.register_comm_hook`.
    """

    def train(rank):
        def add(state, bucket):
            work = dist.all_reduce(bucket.buffer(), async_op=True)
            return work.get_future().then(lambda future: future.value()[0])

        model, sums = DDP(nn.Linear(1, 1), bucket_cap_mb=1e-6), []
        model.register_comm_hook(None, add)
        for scale in (1, 10, 100):
            model.zero_grad()
            (model(torch.tensor([[rank + 2.0]])) * scale).sum().backward()
            sums.append([p.grad.item() for p in model.parameters()])
        return sums

    assert ranks(train) == [[[5.0, 2.0], [50.0, 20.0], [500.0, 200.0]]] * 2


@pytest.mark.needs("distributed")
def test_get_future_gives_another_class(ranks):
    """``get_future()`` of an ``all_reduce`` returns a ``torch.Future``, not a ``torch.futures.Future``.

    That is the base class. Its value is a list that holds the tensor. A DDP hook must hand on the tensor
    itself, with ``then()``. See :class:`~torch.futures.Future`.
    """

    def reduce(rank):
        x = torch.tensor([rank + 1.0])
        future = dist.all_reduce(x, async_op=True).get_future()
        [held] = value = future.wait()
        return type(future) is torch.Future, type(value), held.data_ptr() == x.data_ptr(), held.tolist()

    assert ranks(reduce) == [(True, list, True, [3.0])] * 2
    assert torch.futures.Future.__base__ is torch.Future


@pytest.mark.needs("distributed")
def test_point_to_point_has_no_future(ranks):
    """Over gloo ``get_future()`` of ``isend`` and ``irecv`` raises ``RuntimeError``.

    A DDP hook that talks to one other rank waits itself and returns a Future of its own. See
    :meth:`~torch.nn.parallel.DistributedDataParallel.register_comm_hook`.
    """

    def send(rank):
        x = torch.tensor([rank + 1.0])
        work = dist.isend(x, 1) if rank == 0 else dist.irecv(x, 0)
        with pytest.raises(RuntimeError, match="getFuture not implemented"):
            work.get_future()
        work.wait()
        return x.item()

    assert ranks(send) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("kind", "message"),
    [("tensor", "Unable to cast Python instance"), ("list", "Unable to cast .* to Tensor")],
    ids=["a tensor", "a Future of a list"],
)
@pytest.mark.needs("distributed")
def test_a_hook_returns_a_future_of_one_tensor(ranks, kind, message):
    """``backward()`` raises ``RuntimeError`` if a DDP communication hook returns a tensor or a Future of a
    list.

    It wants a Future of one tensor, completed if nothing is left to wait for. See
    :meth:`~torch.nn.parallel.DistributedDataParallel.register_comm_hook`.
    """

    def train(rank, kind, message):
        def hook(state, bucket):
            done, gradients = torch.futures.Future(), bucket.buffer()
            if kind == "tensor":
                return gradients
            done.set_result([gradients])
            return done

        model = DDP(nn.Linear(2, 1, bias=False))
        model.register_comm_hook(None, hook)
        with pytest.raises(RuntimeError, match=message):
            model(torch.ones(1, 2)).sum().backward()

    assert ranks(train, kind, message) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
def test_all_buckets_share_one_state(ranks):
    """``DDP.register_comm_hook(state, hook)`` passes the same ``state`` object to ``hook`` for every bucket.

    See :meth:`~torch.nn.parallel.DistributedDataParallel.register_comm_hook`.
    """

    def train(rank):
        def hook(state, bucket):
            state.append(bucket.index())
            done = torch.futures.Future()
            done.set_result(bucket.buffer())
            return done

        state = [f"rank {rank}"]
        model = DDP(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)), bucket_cap_mb=1e-6)
        model.register_comm_hook(state, hook)
        for _ in range(2):
            model(torch.ones(1, 1)).sum().backward()
        return state

    assert ranks(train) == [["rank 0", 0, 0, 1, 2, 3], ["rank 1", 0, 0, 1, 2, 3]]


@pytest.mark.needs("distributed")
def test_a_late_hook_counts_from_the_next_backward(ranks):
    """``DDP.register_comm_hook`` may be called after a ``backward()``: the next one uses the hook.

    It can be registered once. See :meth:`~torch.nn.parallel.DistributedDataParallel.register_comm_hook`.
    """

    def train(rank):
        def hook(state, bucket):
            done = torch.futures.Future()
            done.set_result(bucket.buffer() * 3)
            return done

        model = DDP(nn.Linear(1, 1, bias=False))
        grads = []
        for hooks in (1, 0):
            model.zero_grad()
            model(torch.tensor([[rank + 1.0]])).sum().backward()
            grads.append(model.module.weight.grad.item())
            for _ in range(hooks):
                model.register_comm_hook(None, hook)
        with pytest.raises(RuntimeError, match="can only be called once"):
            model.register_comm_hook(None, hook)
        return grads

    assert ranks(train) == [[1.5, 3.0], [1.5, 6.0]]


@pytest.mark.needs("distributed")
def test_a_hook_returns_as_much_as_it_got(ranks):
    """``backward()`` raises ``RuntimeError`` if a DDP communication hook returns less than
    ``bucket.buffer()`` holds.

    The buffer is flat, whatever the shapes of its gradients; of a longer result the end is left out. See
    :meth:`~torch.nn.parallel.DistributedDataParallel.register_comm_hook`.
    """

    def train(rank):
        def hook(size, bucket):
            shapes.append(list(bucket.buffer().shape))
            done = torch.futures.Future()
            done.set_result(torch.arange(5.0, 5.0 + size))
            return done

        shapes, short, long = [], DDP(nn.Linear(2, 1)), DDP(nn.Linear(2, 1))
        short.register_comm_hook(2, hook)
        with pytest.raises(RuntimeError, match=r"setStorage: .* are out of bounds for storage"):
            short(torch.ones(1, 2)).sum().backward()
        long.register_comm_hook(4, hook)
        long(torch.ones(1, 2)).sum().backward()
        return shapes, [p.grad.tolist() for p in long.parameters()]

    assert ranks(train) == [([[3], [3]], [[[5.0, 6.0]], [7.0]])] * 2

"""The buckets in which DistributedDataParallel exchanges gradients.

Gradients do not travel one by one: they are put together in buckets. A bucket is exchanged as soon as all
its gradients are there, while backward goes on.
"""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils._python_dispatch import TorchDispatchMode


@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
def test_the_first_backward_has_one_bucket(ranks):
    """In the first backward ``DDP`` has one bucket despite ``bucket_cap_mb``, unless
    ``find_unused_parameters=True``.

    So nothing is exchanged before the last gradient is there. With ``find_unused_parameters=True`` there are
    several from the beginning, if ``static_graph`` is not set as well. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank, unused, static):
        def log(names, bucket):
            exchanged.append("".join(names[p] for p in bucket.parameters()))
            done = torch.futures.Future()
            done.set_result(bucket.buffer())
            return done

        exchanged = []
        net = nn.Module()
        for name in "abc":
            net.register_parameter(name, nn.Parameter(torch.ones(1)))
        net.forward = lambda x: x * net.a * net.b * net.c
        model = DDP(net, bucket_cap_mb=1e-6, find_unused_parameters=unused, static_graph=static)
        model.register_comm_hook({p: name for name, p in net.named_parameters()}, log)
        for _ in range(2):
            model(torch.ones(1)).sum().backward()
        return exchanged

    assert ranks(train, False, False) == [["abc", "c", "b", "a"]] * 2
    for unused in (True, False):
        assert [first for first, *_ in ranks(train, unused, True)] == ["abc", "abc"]
    assert ranks(train, True, False) == [["c", "b", "a", "c", "b", "a"]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
def test_buckets_follow_the_backward(ranks):
    """From the second backward on, ``DDP`` exchanges gradients in the order in which they first arrived.

    The order in which parameters are registered does not matter. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        def log(names, bucket):
            exchanged.append("".join(names[p] for p in bucket.parameters()))
            done = torch.futures.Future()
            done.set_result(bucket.buffer())
            return done

        exchanged = []
        net = nn.Module()
        for name in "abc":
            net.register_parameter(name, nn.Parameter(torch.ones(1)))
        net.forward = lambda x, order: math.prod([x, *(getattr(net, name) for name in order)])
        model = DDP(net, bucket_cap_mb=1e-6)
        model.register_comm_hook({p: name for name, p in net.named_parameters()}, log)
        for order in ("bca", "bca", "abc"):
            model(torch.ones(1), order).sum().backward()
        return list(net._parameters), exchanged[1:]

    assert ranks(train) == [(["a", "b", "c"], ["a", "c", "b", "a", "c", "b"])] * 2


@pytest.mark.needs("distributed")
def test_the_first_bucket_holds_one_mebibyte(ranks):
    """By default the first bucket of ``DDP`` holds 1 MiB of gradients, whereas the others hold 25 MiB.

    Buckets are like this from the second backward on. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        def log(names, bucket):
            exchanged.append("".join(names[p] for p in bucket.parameters()))
            done = torch.futures.Future()
            done.set_result(bucket.buffer())
            return done

        exchanged = []
        net = nn.Module()
        for name, size in {"a": 1, "b": 1, "c": 25 * 2**18 - 1, "d": 1, "e": 2**18 - 1}.items():
            net.register_parameter(name, nn.Parameter(torch.ones(size)))
        net.forward = lambda x: x * net.a * net.b * net.c.mean() * net.d * net.e.mean()
        model = DDP(net)
        model.register_comm_hook({p: name for name, p in net.named_parameters()}, log)
        for _ in range(2):
            model(torch.ones(1)).sum().backward()
        return exchanged[1:]

    assert ranks(train) == [["ed", "cb", "a"]] * 2


@pytest.mark.parametrize(
    ("megabytes", "buckets"),
    [(None, ["f", "edcba"]), (25, ["fedcba"]), (2, ["fed", "cb", "a"])],
    ids=["None", "25", "2"],
)
@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
def test_bucket_cap_mb_is_for_all_buckets(ranks, megabytes, buckets):
    """``DDP(bucket_cap_mb=2)`` closes each bucket at 2 MiB; with ``None`` the first one is closed at 1 MiB.

    ``None`` is the default, and differs from ``bucket_cap_mb=25``, though the other buckets are closed at 25
    MiB with both. See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank, megabytes):
        def log(names, bucket):
            exchanged.append("".join(names[p] for p in bucket.parameters()))
            done = torch.futures.Future()
            done.set_result(bucket.buffer())
            return done

        exchanged = []
        net = nn.Module()
        sizes = {"a": 1, "b": 1, "c": 2**19 - 1, "d": 1, "e": 2**18 - 1, "f": 2**18}
        for name, size in sizes.items():
            net.register_parameter(name, nn.Parameter(torch.ones(size)))
        net.forward = lambda x: x * math.prod(p.mean() for p in net.parameters())
        model = DDP(net, bucket_cap_mb=megabytes)
        model.register_comm_hook({p: name for name, p in net.named_parameters()}, log)
        for _ in range(2):
            model(torch.ones(1)).sum().backward()
        return exchanged[1:]

    assert ranks(train, megabytes) == [buckets, buckets]


@pytest.mark.parametrize(
    ("megabytes", "expected"),
    [(1e-6, ["a"] * 2), (2**-17, ["ab"] * 2), (25, ["abcd"] * 2)],
    ids=["four buckets", "two buckets", "one bucket"],
)
@pytest.mark.needs("distributed")
@pytest.mark.since("2.8")
def test_used_and_unused_in_one_bucket(ranks, megabytes, expected):
    """``DDP(skip_all_reduce_unused_params=True)`` skips a bucket only if all its parameters are unused.

    An unused parameter that shares a bucket with a used one is exchanged with it. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank, megabytes):
        def log(names, bucket):
            exchanged.append("".join(names[p] for p in bucket.parameters()))
            done = torch.futures.Future()
            done.set_result(bucket.buffer())
            return done

        exchanged = []
        net = nn.Module()
        for name in "abcd":
            net.register_parameter(name, nn.Parameter(torch.ones(1)))
        net.forward = lambda x: x * net.a
        skip = {"find_unused_parameters": True, "skip_all_reduce_unused_params": True}
        model = DDP(net, bucket_cap_mb=megabytes, **skip)
        model.register_comm_hook({p: name for name, p in net.named_parameters()}, log)
        for _ in range(2):
            model(torch.ones(1)).sum().backward()
        return exchanged

    assert ranks(train, megabytes) == [expected, expected]


@pytest.mark.needs("distributed")
def test_views_of_buckets_are_not_detached(ranks):
    """With ``gradient_as_bucket_view=True`` in ``DDP``, ``grad.detach_()`` raises ``RuntimeError``.

    ``detach()`` is what works, and ``zero_grad()`` does. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        model = DDP(nn.Linear(2, 3), gradient_as_bucket_view=True)
        model(torch.ones(1, 2)).sum().backward()
        grads = [p.grad for p in model.parameters()]
        for grad in grads:
            with pytest.raises(RuntimeError, match="Can't detach views in-place"):
                grad.detach_()
        detached = [grad.detach().tolist() for grad in grads]
        model.zero_grad(set_to_none=False)
        zeros = [grad.tolist() for grad in grads]
        model.zero_grad()
        return detached, zeros, model.module.weight.grad

    ones, zeros = [[[1.0, 1.0]] * 3, [1.0] * 3], [[[0.0, 0.0]] * 3, [0.0] * 3]
    assert ranks(train) == [(ones, zeros, None)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_copies_and_buckets_are_plain_by_default(ranks):
    """By default ``DDP`` has ``batched_grad_copy=False`` and ``lazy_bucket_allocation=False``.

    With either of them gradients are the same mean. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        plain, means = DDP(nn.Linear(1, 1)), []
        for options in ({}, {"batched_grad_copy": True}, {"lazy_bucket_allocation": True}):
            model = DDP(nn.Linear(1, 1), **options)
            for factor in (1, 2):
                model.zero_grad()
                (factor * model(torch.tensor([[rank + 1.0]])).sum()).backward()
                means.append([p.grad.item() for p in model.parameters()])
        return plain.batched_grad_copy, plain.lazy_bucket_allocation, means

    assert ranks(train) == [(False, False, [[1.5, 1.0], [3.0, 2.0]] * 3)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_lazy_buckets_are_made_one_by_one(ranks):
    """``DDP(lazy_bucket_allocation=True)`` makes a bucket when its gradients become ready.

    So they are not all there when backward begins. By default they are, and backward makes none. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank, lazy):
        from torch.utils._python_dispatch import TorchDispatchMode

        class Log(TorchDispatchMode):
            def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
                seen.extend(["make", *args[0]] if operation is torch.ops.aten.empty.memory_format else [])
                return operation(*args, **(kwargs or {}))

        def hook(seen, bucket):
            seen.extend(["exchange", len(bucket.buffer())])
            done = torch.futures.Future()
            done.set_result(bucket.buffer())
            return done

        seen, model = [], DDP(nn.Linear(5, 7), bucket_cap_mb=1e-6, lazy_bucket_allocation=lazy)
        model.register_comm_hook(seen, hook)
        for _ in range(2):
            loss = model(torch.ones(1, 5)).sum()
            seen.clear()
            with Log():
                loss.backward()
        return seen

    assert ranks(train, True) == [["make", 7, "exchange", 7, "make", 35, "exchange", 35]] * 2
    assert ranks(train, False) == [["exchange", 7, "exchange", 35]] * 2


@pytest.mark.needs("distributed")
def test_the_log_tells_nothing_of_a_static_graph(ranks):
    """``DDP._get_ddp_logging_data()`` has no entry ``can_set_static_graph``, though the documentation names
    it.

    ``get("can_set_static_graph")`` thus gives ``None``, whether the graph is static or not. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank, unused, static):
        model = DDP(nn.Linear(1, 1), find_unused_parameters=unused, static_graph=static)
        for _ in range(12):
            model(torch.tensor([[rank + 1.0]])).sum().backward()
        data = model._get_ddp_logging_data()
        return data["find_unused_parameters"], data["iteration"] > 9, data.get("can_set_static_graph")

    assert 'ddp_logging_data.get("can_set_static_graph")' in DDP.__doc__
    for unused, static in itertools.product((True, False), repeat=2):
        assert ranks(train, unused, static) == [(unused, True, None)] * 2


@pytest.mark.needs("distributed")
def test_gradients_that_were_none_are_copied(ranks):
    """With ``gradient_as_bucket_view=True``, DDP still copies gradients into buckets after ``zero_grad()``.

    It multiplies each into its place. After ``zero_grad(set_to_none=False)`` new gradients are added to the
    views. See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank, options):
        class Log(TorchDispatchMode):
            def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
                seen.append(str(operation.overloadpacket))
                return operation(*args, **(kwargs or {}))

        model = DDP(nn.Linear(2, 3), gradient_as_bucket_view=True)
        for _ in range(3):
            model.zero_grad(**options)
            loss, seen = model(torch.ones(1, 2)).sum(), []
            with Log():
                loss.backward()
        return seen.count("aten.mul"), seen.count("aten.add_")

    assert ranks(train, {}) == [(2, 0), (2, 0)]
    assert ranks(train, {"set_to_none": False}) == [(0, 2), (0, 2)]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.12")
def test_a_bucket_is_copied_at_once(ranks):
    """``DDP(batched_grad_copy=True)`` copies all gradients of a bucket by one ``_foreach_copy_`` and divides
    once.

    By default each is multiplied into the bucket. Here gradients are views of the bucket, and need not be
    copied back. See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank, batched):
        class Log(TorchDispatchMode):
            def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
                seen.append(str(operation.overloadpacket))
                return operation(*args, **(kwargs or {}))

        net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        model = DDP(net, batched_grad_copy=batched, gradient_as_bucket_view=True)
        for _ in range(3):
            model.zero_grad()
            loss, seen = model(torch.ones(1, 2)).sum(), []
            with Log():
                loss.backward()
        return seen.count("aten._foreach_copy_"), seen.count("aten.div_"), seen.count("aten.mul")

    assert ranks(train, False) == [(0, 0, 4)] * 2
    assert ranks(train, True) == [(1, 1, 0)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_a_bucket_is_copied_back_at_once(ranks):
    """``DDP(batched_grad_copy=True)`` copies the averages of a bucket into gradients by one
    ``_foreach_copy_``.

    With ``gradient_as_bucket_view=True`` that is not needed. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank, views):
        class Log(TorchDispatchMode):
            def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
                seen.append(str(operation.overloadpacket))
                return operation(*args, **(kwargs or {}))

        net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        model = DDP(net, batched_grad_copy=True, gradient_as_bucket_view=views)
        for _ in range(3):
            model.zero_grad()
            loss, seen = model(torch.ones(1, 2)).sum(), []
            with Log():
                loss.backward()
        return seen.count("aten._foreach_copy_")

    assert ranks(train, False) == [2, 2]
    assert ranks(train, True) == [1, 1]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_lazy_buckets_live_for_one_backward(ranks):
    """``DDP(lazy_bucket_allocation=True)`` frees its buckets after each backward; by default they are kept.

    See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank, lazy):
        def hook(buckets, bucket):
            buckets.append(StorageWeakRef(bucket.buffer().untyped_storage()))
            done = torch.futures.Future()
            done.set_result(bucket.buffer())
            return done

        buckets, freed = [], []
        model = DDP(nn.Linear(2, 3), lazy_bucket_allocation=lazy)
        model.register_comm_hook(buckets, hook)
        for _ in range(3):
            model.zero_grad()
            model(torch.ones(1, 2)).sum().backward()
            freed.append(buckets[-1].expired())
        return freed

    assert ranks(train, True) == [[True, True, True]] * 2
    assert ranks(train, False) == [[False, False, False]] * 2

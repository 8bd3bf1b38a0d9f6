"""Finishing a DistributedDataParallel backward by hand.

DDP waits for the exchange of gradients at the end of backward. With
``require_manual_backward_finalization`` the caller chooses when to wait.
"""

import time

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_gradients_come_with_finalize_backward(ranks):
    """With ``require_manual_backward_finalization``, DDP averages gradients only in ``finalize_backward()``.

    After ``backward()`` they are the rank's own; with ``gradient_as_bucket_view=True`` they are views of what
    is being exchanged. See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        model = DDP(
            nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)), bucket_cap_mb=1e-6
        )
        model.require_manual_backward_finalization = True
        for p, value in zip(model.parameters(), (3.0, 5.0), strict=True):
            nn.init.constant_(p, value)
        grads = []
        for _ in range(2):
            model.zero_grad()
            model(torch.tensor([[rank + 1.0]])).sum().backward()
            grads.append([p.grad.item() for p in model.parameters()])
            model.finalize_backward()
            grads.append([p.grad.item() for p in model.parameters()])
        return grads

    mean = [7.5, 4.5]
    assert ranks(train) == [[[5.0, 3.0], mean] * 2, [[10.0, 6.0], mean] * 2]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_each_backward_is_finalized_once(ranks):
    """``DDP.finalize_backward()`` raises ``RuntimeError`` before ``backward()``, and if called again after
    it.

    So it does after a backward in ``no_sync()``, and without ``require_manual_backward_finalization`` at any
    time. See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        model, x = DDP(nn.Linear(1, 1, bias=False)), torch.tensor([[rank + 1.0]])
        with pytest.raises(RuntimeError, match="manual backward finalization is not required"):
            model.finalize_backward()
        model(x).sum().backward()
        with pytest.raises(RuntimeError, match="manual backward finalization is not required"):
            model.finalize_backward()
        model.require_manual_backward_finalization = True
        for _ in range(2):
            loss = model(x).sum()
            with pytest.raises(RuntimeError, match="no gradient reduction requires finalization"):
                model.finalize_backward()
            loss.backward()
            model.finalize_backward()
            with pytest.raises(RuntimeError, match="no gradient reduction requires finalization"):
                model.finalize_backward()
        with model.no_sync():
            model(x).sum().backward()
            with pytest.raises(RuntimeError, match="no gradient reduction requires finalization"):
                model.finalize_backward()
        return model.module.weight.grad.item()

    assert ranks(train) == [5.5, 6.5]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_a_forgotten_finalization_is_told(ranks):
    """If DDP requires ``finalize_backward()``, leaving it out raises ``RuntimeError`` in the next iteration.

    It requires it after ``require_manual_backward_finalization = True``. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank, done):
        model, x = DDP(nn.Linear(1, 1)), torch.tensor([[rank + 1.0]])
        model.require_manual_backward_finalization = True
        for _ in range(done):
            model(x).sum().backward()
            model.finalize_backward()
        model(x).sum().backward()
        with pytest.raises(RuntimeError, match="Expected to have finalized the prior backward pass"):
            model(x).sum().backward()

    assert [ranks(train, done) for done in (0, 2)] == [[None, None]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_the_mode_is_set_between_steps(ranks):
    """Changing DDP's ``require_manual_backward_finalization`` after forward raises ``RuntimeError``.

    Set it before forward, or after backward, in manual mode after ``finalize_backward()``. The value that it
    has already may be set at any time. See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        model, x = DDP(nn.Linear(1, 1)), torch.tensor([[rank + 1.0]])
        loss = model(x).sum()
        model.require_manual_backward_finalization = False
        with pytest.raises(RuntimeError, match="cannot be called after forward"):
            model.require_manual_backward_finalization = True
        loss.backward()
        model.require_manual_backward_finalization = True
        loss = model(x).sum()
        model.require_manual_backward_finalization = True
        with pytest.raises(RuntimeError, match="cannot be called after forward"):
            model.require_manual_backward_finalization = False
        loss.backward()
        with pytest.raises(RuntimeError, match="cannot be called after forward"):
            model.require_manual_backward_finalization = False
        model.finalize_backward()
        model.require_manual_backward_finalization = False
        return model.require_manual_backward_finalization

    assert ranks(train) == [False, False]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_the_first_finalization_is_after_backward(ranks):
    """In manual mode DDP's ``should_finalize_after_backward`` is ``True`` in the first iteration, then
    ``False``.

    Manual mode is ``require_manual_backward_finalization = True``; in automatic mode it is always ``False``.
    When it is ``False``, a backward hook may call ``finalize_backward()``. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        seen, x = [], torch.tensor([[rank + 1.0]], requires_grad=True)
        for manual in (False, True):
            model = DDP(nn.Linear(1, 1, bias=False))
            model.require_manual_backward_finalization = manual
            for step in (1, 2, 3):
                loss = model(x * step).sum()
                seen.append(model.should_finalize_after_backward)
                if manual and step == 2:
                    x.register_hook(lambda grad, model=model: model.finalize_backward())
                loss.backward()
                if seen[-1]:
                    model.finalize_backward()
        return seen, model.module.weight.grad.item()

    assert ranks(train) == [([False, False, False, True, False, False], 9.0)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_no_bucket_may_be_missing(ranks):
    """``DDP.finalize_backward()`` raises ``RuntimeError`` in a hook that runs before all buckets are ready.

    Called again after ``backward()`` it works. See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        def too_early(grad):
            with pytest.raises(RuntimeError, match="called before all DDP buckets were ready"):
                model.finalize_backward()
            hooked.append(grad.item())

        net, hooked = nn.Module(), []
        net.a, net.b = nn.Parameter(torch.tensor([2.0])), nn.Parameter(torch.tensor([3.0]))
        net.a.register_hook(too_early)
        net.forward = lambda x: x * net.a + 10 * x * net.b
        model = DDP(net)
        model.require_manual_backward_finalization = True
        model(torch.tensor([rank + 1.0])).sum().backward()
        model.finalize_backward()
        return hooked, net.a.grad.item(), net.b.grad.item()

    assert ranks(train) == [([1.0], 1.5, 15.0), ([2.0], 1.5, 15.0)]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_finalizing_works_in_no_sync(ranks):
    """``DDP.finalize_backward()`` works in ``no_sync()``, if the backward to be finalized ran before.

    After a backward in ``no_sync()`` there is nothing to finalize. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        model, x = DDP(nn.Linear(1, 1, bias=False)), torch.tensor([[rank + 1.0]])
        model.require_manual_backward_finalization = True
        model(x).sum().backward()
        with model.no_sync():
            model.finalize_backward()
            mean = model.module.weight.grad.item()
            model(x).sum().backward()
            with pytest.raises(RuntimeError, match="no gradient reduction requires finalization"):
                model.finalize_backward()
        return mean, model.module.weight.grad.item()

    assert ranks(train) == [(1.5, 2.5), (1.5, 3.5)]


@pytest.mark.needs("distributed")
@pytest.mark.needs("compile")
@pytest.mark.since("2.15")
def test_the_python_reducer_is_not_finalized(ranks):
    """``DDP.finalize_backward()`` raises ``RuntimeError`` with
    ``torch._dynamo.config.optimize_ddp='python_reducer'``.

    See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def wrap(rank):
        with torch._dynamo.config.patch(optimize_ddp="python_reducer"):
            model = DDP(nn.Linear(1, 1))
        with pytest.raises(RuntimeError, match="not supported with the Python reducer"):
            model.finalize_backward()

    assert ranks(wrap) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_the_log_counts_up_to_the_finalization(ranks):
    """``backward_comm_time`` in DDP's logging data includes the time until ``finalize_backward()`` is called.

    It is in nanoseconds. See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        model, x = DDP(nn.Linear(1, 1)), torch.ones(1, 1)
        model.require_manual_backward_finalization = True
        times = []
        for pause in (0, 0.2, 0):
            model(x).sum().backward()
            times.append(model._get_ddp_logging_data().get("backward_comm_time", 0) / 1e9)
            time.sleep(pause)
            model.finalize_backward()
        return times[2]

    first, second = ranks(train)

    assert 0.2 <= first < 2
    assert 0.2 <= second < 2

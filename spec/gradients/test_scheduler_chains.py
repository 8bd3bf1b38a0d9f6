"""Schedulers made of schedulers, and schedulers of no length.

:class:`~torch.optim.lr_scheduler.SequentialLR` hands over from one to the next,
:class:`~torch.optim.lr_scheduler.ChainedScheduler` steps all of them at once. All write to the ``lr`` of the
same optimizer, and each begins anew where it is made. What a single scheduler keeps is in *schedulers*.
"""

import copy

import pytest
import torch
from torch import nn
from torch.optim import SGD, lr_scheduler


def test_at_a_milestone_the_next_scheduler_starts():
    """``SequentialLR`` steps one scheduler at a time; at a milestone the next begins at its epoch 0.

    For a warm-up of 2 epochs the milestone is 2, and the decay behind it is as long as what is left.
    Schedulers that are stepped by hand one after the other each begin where they are made. See
    :class:`torch.optim.lr_scheduler.SequentialLR`.
    """
    groups = [{"params": [nn.Parameter(torch.rand(2))], "lr": lr} for lr in (1.0, 2.0)]
    optimizer, rates = SGD(groups), []
    warm = lr_scheduler.LinearLR(optimizer, 0.25, 1.0, total_iters=2)
    decay = lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    end = lr_scheduler.ConstantLR(optimizer, 0.125, total_iters=3)
    scheduler = lr_scheduler.SequentialLR(optimizer, [warm, decay, end], milestones=[2, 5])

    for _ in range(9):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()

    assert [rate for rate, _ in rates] == [0.25, 0.625, 1.0, 1.0, 0.5, 0.125, 0.125, 0.125, 1.0]
    assert [rate for _, rate in rates] == [2 * rate for rate, _ in rates]
    assert [each.last_epoch for each in (scheduler, warm, decay, end)] == [9, 1, 2, 4]


def test_a_sequence_does_not_go_on_from_last_epoch():
    """``SequentialLR(last_epoch=n)`` counts on from ``n``, but the schedulers in it begin anew.

    The one of that epoch begins at its own epoch 0, as if training had not begun (:issue:`162591`). Load the
    state of the scheduler and that of the optimizer instead. See
    :class:`torch.optim.lr_scheduler.SequentialLR`.

    See also :ref:`gradients.scheduler_chains.a_sequence_is_saved_with_its_parts`
    """
    rates = {}
    for last_epoch, skipped in ((-1, 4), (3, 0)):
        optimizer, seen = SGD([nn.Parameter(torch.rand(2))], lr=1.0), []
        halving = lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
        parts = [lr_scheduler.ConstantLR(optimizer, 0.125, 9), halving]
        scheduler = lr_scheduler.SequentialLR(optimizer, parts, milestones=[3], last_epoch=last_epoch)
        assert [scheduler.last_epoch, parts[0].last_epoch] == [last_epoch + 1, 0]
        for _ in range(skipped + 3):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        rates[last_epoch] = seen[skipped:]

    assert rates[-1] == [0.5, 0.25, 0.125]
    assert rates[3] == [0.125, 1.0, 0.5]


def test_a_sequence_is_saved_with_its_parts():
    """``SequentialLR.state_dict()`` holds the state of each scheduler in it, and loading restores all.

    The rate is that of the optimizer: load its state too, but after the scheduler was made, which sets the
    rate of the first epoch. See :class:`torch.optim.lr_scheduler.SequentialLR`.
    """
    optimizers, schedulers = [SGD([nn.Parameter(torch.rand(2))], lr=1.0) for _ in range(2)], []
    for one in optimizers:
        parts = [lr_scheduler.LinearLR(one, 0.25, 1.0, 2), lr_scheduler.StepLR(one, 2, gamma=0.5)]
        schedulers.append(lr_scheduler.SequentialLR(one, parts, milestones=[2]))
    for _ in range(5):
        optimizers[0].step()
        schedulers[0].step()

    state = copy.deepcopy(schedulers[0].state_dict())
    schedulers[1].load_state_dict(state)
    assert [part["last_epoch"] for part in state["_schedulers"]] == [1, 3]
    assert [one.param_groups[0]["lr"] for one in optimizers] == [0.5, 0.25]

    optimizers[1].load_state_dict(optimizers[0].state_dict())
    for rate in (0.25, 0.25, 0.125):
        for one in (*optimizers, *schedulers):
            one.step()
        assert [one.param_groups[0]["lr"] for one in optimizers] == [rate, rate]


@pytest.mark.since("2.6")
def test_a_sequence_in_a_sequence_is_ahead():
    """``SequentialLR([inner, ...])`` steps an inner ``SequentialLR`` when it is made: that lacks an epoch
    then.

    No step was taken yet (:issue:`196243`). Write all schedulers and milestones in one list. See
    :class:`torch.optim.lr_scheduler.SequentialLR`.

    See also :ref:`gradients.scheduler_chains.behind_a_milestone_only_simple_schedulers`
    """
    pair, rates, schedulers = [SGD([nn.Parameter(torch.rand(2))], lr=1.0) for _ in range(2)], [], []
    for one in pair:
        parts = [lr_scheduler.ConstantLR(one, 0.5, 9), lr_scheduler.ConstantLR(one, 0.25, 9)]
        schedulers.append(lr_scheduler.SequentialLR(one, parts, milestones=[2]))
    schedulers[1] = lr_scheduler.SequentialLR(pair[1], [schedulers[1]], milestones=[])

    for _ in range(4):
        rates.append([one.param_groups[0]["lr"] for one in pair])
        for one in (*pair, *schedulers):
            one.step()

    assert [rate for rate, _ in rates] == [0.5, 0.5, 0.25, 0.25]
    assert [rate for _, rate in rates] == [0.5, 0.25, 0.25, 0.25]


@pytest.mark.before("2.6")
def test_a_sequence_in_a_sequence_began_at_the_full_rate():
    """``SequentialLR([inner, ...])`` begins at the full rate, whatever an inner ``SequentialLR`` has set."""
    optimizer, rates = SGD([nn.Parameter(torch.rand(2))], lr=1.0), []
    parts = [lr_scheduler.ConstantLR(optimizer, 0.5, 9), lr_scheduler.ConstantLR(optimizer, 0.25, 9)]
    inner = lr_scheduler.SequentialLR(optimizer, parts, milestones=[2])
    outer = lr_scheduler.SequentialLR(optimizer, [inner], milestones=[])

    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        outer.step()

    assert rates == [1.0, 1.0, 0.25, 0.25]


@pytest.mark.since("2.8")
def test_a_chain_in_a_sequence_is_ahead():
    """``SequentialLR([chain, ...])`` steps a first ``ChainedScheduler`` when it is made: that lacks an epoch
    then.

    No step was taken yet (:issue:`196243`). See :class:`torch.optim.lr_scheduler.ChainedScheduler`.

    See also :ref:`gradients.scheduler_chains.a_sequence_in_a_sequence_is_ahead`
    """
    optimizer, rates = SGD([nn.Parameter(torch.rand(2))], lr=1.0), []
    chain = lr_scheduler.ChainedScheduler([lr_scheduler.ExponentialLR(optimizer, gamma=0.5)])
    scheduler = lr_scheduler.SequentialLR(optimizer, [chain], milestones=[])

    for _ in range(3):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()

    assert rates == [0.5, 0.25, 0.125]


@pytest.mark.since("2.6")
@pytest.mark.before("2.8")
def test_a_chain_in_a_sequence_kept_its_schedule():
    """A ``ChainedScheduler`` that is first in a ``SequentialLR`` keeps the schedule that it has on its
    own.
    """
    optimizer, rates = SGD([nn.Parameter(torch.rand(2))], lr=1.0), []
    chain = lr_scheduler.ChainedScheduler([lr_scheduler.ExponentialLR(optimizer, gamma=0.5)])
    scheduler = lr_scheduler.SequentialLR(optimizer, [chain], milestones=[])

    for _ in range(3):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()

    assert rates == [1.0, 0.5, 0.25]


@pytest.mark.before("2.6")
def test_a_chain_in_a_sequence_was_refused():
    """Making a ``SequentialLR`` raises ``AttributeError`` if a ``ChainedScheduler`` is in it."""
    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=1.0)
    chain = lr_scheduler.ChainedScheduler([lr_scheduler.ExponentialLR(optimizer, gamma=0.5)])

    with pytest.raises(AttributeError, match="'ChainedScheduler' object has no attribute 'last_epoch'"):
        lr_scheduler.SequentialLR(optimizer, [chain], milestones=[])


def test_behind_a_milestone_only_simple_schedulers():
    """A ``SequentialLR`` behind a milestone of another raises ``NotImplementedError`` or ``TypeError`` at its
    turn.

    It is made without an error, and training stops at the milestone: ``NotImplementedError`` without a text,
    up to torch 2.8 ``TypeError``. A ``ChainedScheduler`` fails alike. See
    :class:`torch.optim.lr_scheduler.SequentialLR`.
    """
    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=1.0)
    warm = lr_scheduler.LinearLR(optimizer, 0.25, 1.0, total_iters=2)
    rest = lr_scheduler.SequentialLR(optimizer, [lr_scheduler.StepLR(optimizer, 9)], milestones=[])
    scheduler = lr_scheduler.SequentialLR(optimizer, [warm, rest], milestones=[2])
    optimizer.step()
    scheduler.step()
    optimizer.step()

    with pytest.raises((NotImplementedError, TypeError), match=r"^$|1 positional argument but 2 were given"):
        scheduler.step()


@pytest.mark.parametrize("turned", [False, True], ids=["in_order", "turned"])
def test_chained_schedulers_multiply(turned):
    """``ChainedScheduler`` of ``ConstantLR`` and ``StepLR`` multiplies their factors, in either order.

    Each of them multiplies the rate that it finds: ``LinearLR``, ``ExponentialLR``, ``MultiStepLR``,
    ``PolynomialLR`` and ``CosineAnnealingLR`` are of that kind too. See
    :class:`torch.optim.lr_scheduler.ChainedScheduler`.

    See also :ref:`gradients.scheduler_chains.some_schedulers_overwrite_those_before`
    """
    groups = [{"params": [nn.Parameter(torch.rand(2))], "lr": lr} for lr in (1.0, 2.0)]
    optimizer, rates = SGD(groups), []
    parts = [lr_scheduler.ConstantLR(optimizer, 0.25, total_iters=2), lr_scheduler.StepLR(optimizer, 1, 0.5)]
    scheduler = lr_scheduler.ChainedScheduler(parts[::-1] if turned else parts)

    for _ in range(5):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()

    assert [rate for rate, _ in rates] == [0.25, 0.125, 0.25, 0.125, 0.0625]
    assert [rate for _, rate in rates] == [2 * rate for rate, _ in rates]
    assert scheduler.get_last_lr() == [0.03125, 0.0625]


@pytest.mark.parametrize(
    ("make", "alone"),
    [
        (lambda one: lr_scheduler.LambdaLR(one, lambda epoch: 1 - epoch / 8), [0.875, 0.75, 0.625]),
        (lambda one: lr_scheduler.CosineAnnealingWarmRestarts(one, T_0=2), [0.5, 1.0, 0.5]),
        (lambda one: lr_scheduler.CyclicLR(one, 0.5, 1.0, 2, cycle_momentum=False), [0.75, 1.0, 0.75]),
    ],
    ids=["LambdaLR", "CosineAnnealingWarmRestarts", "CyclicLR"],
)
def test_some_schedulers_overwrite_those_before(make, alone):
    """In a ``ChainedScheduler``, ``LambdaLR`` or ``CosineAnnealingWarmRestarts`` overrides earlier
    schedulers.

    They compute a rate from ``initial_lr``, whatever ``lr`` is; so does ``CyclicLR``. What stands behind
    multiplies it, but for one epoch only (:issue:`129565`). Write the product as one ``LambdaLR``. See
    :class:`torch.optim.lr_scheduler.ChainedScheduler`.
    """
    pair, rates = [SGD([nn.Parameter(torch.rand(2))], lr=1.0) for _ in range(2)], []
    steps = [lr_scheduler.MultiStepLR(one, milestones=[1, 2], gamma=0.125) for one in pair]
    behind = lr_scheduler.ChainedScheduler([steps[0], make(pair[0])])
    before = lr_scheduler.ChainedScheduler([make(pair[1]), steps[1]])

    for _ in range(3):
        for one in (*pair, behind, before):
            one.step()
        rates.append([one.param_groups[0]["lr"] for one in pair])

    assert [rate for rate, _ in rates] == alone
    assert [rate for _, rate in rates] == [alone[0] / 8, alone[1] / 8, alone[2]]


@pytest.mark.parametrize(
    ("make", "kept"),
    [
        (lambda one: lr_scheduler.StepLR(one, step_size=2, gamma=0.5, last_epoch=3), [0.5, 0.5, 0.25]),
        (lambda one: lr_scheduler.MultiStepLR(one, [2, 3], gamma=0.5, last_epoch=3), [1.0, 1.0, 1.0]),
        (lambda one: lr_scheduler.LambdaLR(one, lambda epoch: 0.5**epoch, 3), [0.0625, 0.03125, 0.015625]),
    ],
    ids=["StepLR", "MultiStepLR", "LambdaLR"],
)
def test_a_fresh_optimizer_has_not_decayed_yet(make, kept):
    """``StepLR(last_epoch=n)`` on a new optimizer begins at its full rate; ``LambdaLR`` at the right one.

    ``StepLR`` multiplies the rate that it finds, and the decays of the epochs before are not made up for.
    ``initial_lr`` in a group only makes the error go away. See :class:`torch.optim.lr_scheduler.StepLR`.

    See also :ref:`gradients.optimizer_state.a_scheduler_goes_on_from_the_first_rate`
    """
    optimizer, rates = SGD([{"params": [nn.Parameter(torch.rand(2))], "initial_lr": 1.0}], lr=1.0), []
    scheduler = make(optimizer)

    for _ in range(3):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()

    assert rates == kept


@pytest.mark.since("2.8")
def test_a_fresh_warm_up_ends_too_high():
    """``LinearLR`` or ``ConstantLR`` with ``last_epoch`` on a new optimizer ends above the intended rate.

    It takes the full rate for that of the middle of the warm-up, and raises it further. Load the state of the
    optimizer, or start at -1 (:pull:`149312`). See :class:`torch.optim.lr_scheduler.LinearLR`.
    """
    for make, options, last in (
        (lr_scheduler.LinearLR, {"start_factor": 0.5, "total_iters": 4, "last_epoch": 1}, 4 / 3),
        (lr_scheduler.ConstantLR, {"factor": 0.5, "total_iters": 4, "last_epoch": 1}, 2.0),
    ):
        optimizer = SGD([{"params": [nn.Parameter(torch.rand(2))], "initial_lr": 1.0}], lr=1.0)
        scheduler = make(optimizer, **options)
        assert optimizer.param_groups[0]["lr"] == 1.0
        for _ in range(5):
            optimizer.step()
            scheduler.step()

        assert optimizer.param_groups[0]["lr"] == pytest.approx(last)


@pytest.mark.before("2.8")
def test_a_fresh_warm_up_went_on_at_once():
    """``LinearLR(start_factor=0.5, last_epoch=1)`` with ``initial_lr=1.0`` starts at 1.2 and ends at 1.6, not
    1.
    """
    optimizer, rates = SGD([{"params": [nn.Parameter(torch.rand(2))], "initial_lr": 1.0}], lr=1.0), []
    scheduler = lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=4, last_epoch=1)

    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()

    assert rates == pytest.approx([1.2, 1.4, 1.6, 1.6])


@pytest.mark.parametrize(
    "make",
    [
        lambda one: lr_scheduler.CosineAnnealingLR(one, T_max=0),
        lambda one: lr_scheduler.StepLR(one, step_size=0),
    ],
    ids=["CosineAnnealingLR", "StepLR"],
)
def test_a_cosine_of_no_length_divides_by_zero(make):
    """``CosineAnnealingLR(T_max=0)`` and ``StepLR(step_size=0)`` raise ``ZeroDivisionError`` in ``step()``.

    They are made without an error: the length is often what is left of the epochs after the warm-up, or the
    batches of a loader divided by something. See :class:`torch.optim.lr_scheduler.CosineAnnealingLR`.
    """
    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=1.0)
    scheduler = make(optimizer)
    optimizer.step()

    with pytest.raises(ZeroDivisionError, match="modulo"):
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 1.0


@pytest.mark.parametrize(
    ("make", "rate"),
    [
        (lambda one: lr_scheduler.LinearLR(one, 0.25, total_iters=0), 0.25),
        (lambda one: lr_scheduler.ConstantLR(one, 0.25, total_iters=0), 0.25),
        (lambda one: lr_scheduler.PolynomialLR(one, total_iters=0), 1.0),
    ],
    ids=["LinearLR", "ConstantLR", "PolynomialLR"],
)
def test_a_warm_up_of_no_length_never_ends(make, rate):
    """``LinearLR`` and ``ConstantLR`` with ``total_iters=0`` keep the rate at their first factor forever.

    It is set when the scheduler is made, and nothing takes it back. So a warm-up that is switched off by 0
    steps trains with a third of the rate by default. ``PolynomialLR`` keeps the full rate. See
    :class:`torch.optim.lr_scheduler.LinearLR`.
    """
    optimizer, rates = SGD([nn.Parameter(torch.rand(2))], lr=1.0), []
    scheduler = make(optimizer)

    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()

    assert rates == [rate] * 4


def test_one_cycle_of_a_single_step_divides_by_zero():
    """``OneCycleLR`` raises ``ZeroDivisionError`` if its rise, ``pct_start * total_steps``, is 1 step long.

    So does ``pct_start=1``, where nothing is left for the way down. It comes with few steps, as when a script
    is tried out; a rise of 0 steps is none. See :class:`torch.optim.lr_scheduler.OneCycleLR`.
    """
    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=1.0, momentum=0.9)

    for steps, share in ((20, 0.05), (2, 0.5), (10, 1.0)):
        with pytest.raises(ZeroDivisionError, match="float division by zero"):
            scheduler = lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=steps, pct_start=share)
            for _ in range(steps):
                optimizer.step()
                scheduler.step()

    assert lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=20, pct_start=0.0).get_last_lr()[0] > 0.9

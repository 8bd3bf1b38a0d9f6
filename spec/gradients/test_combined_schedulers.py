"""Which schedulers can be combined, at which milestones, and what is left to do by hand.

:class:`~torch.optim.lr_scheduler.SequentialLR` and :class:`~torch.optim.lr_scheduler.ChainedScheduler` call
``step()`` without an argument, and look at milestones only where an epoch is equal to one. How those that
are combined go on from one another is in *scheduler chains*.
"""

import pytest
import torch
from torch import nn
from torch.optim import SGD, lr_scheduler


@pytest.mark.since("2.4")
def test_a_plateau_cannot_be_combined():
    """``SequentialLR`` and ``ChainedScheduler`` raise ``ValueError`` for a ``ReduceLROnPlateau`` among the
    schedulers.

    Its ``step`` wants the loss, and theirs has none to hand on. A warm-up before it is stepped by hand. See
    also :ref:`gradients.combined_schedulers.a_plateau_after_a_warm_up`
    """
    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=1.0)
    warm, plateau = lr_scheduler.LinearLR(optimizer), lr_scheduler.ReduceLROnPlateau(optimizer)

    for order in ([warm, plateau], [plateau, warm]):
        with pytest.raises(ValueError, match="SequentialLR does not support `ReduceLROnPlateau` scheduler"):
            lr_scheduler.SequentialLR(optimizer, order, milestones=[2])
        with pytest.raises(ValueError, match="ChainedScheduler does not support `ReduceLROnPlateau`"):
            lr_scheduler.ChainedScheduler(order)


@pytest.mark.before("2.4")
def test_a_combined_plateau_failed_later():
    """A ``ChainedScheduler`` with a ``ReduceLROnPlateau`` raises ``TypeError`` in ``step()``."""
    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=1.0)
    warm, plateau = lr_scheduler.LinearLR(optimizer), lr_scheduler.ReduceLROnPlateau(optimizer)
    chain = lr_scheduler.ChainedScheduler([warm, plateau])
    optimizer.step()

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'metrics'"):
        chain.step()


def test_a_plateau_after_a_warm_up():
    """A warm-up and then a ``ReduceLROnPlateau`` of one optimizer are stepped by hand, one at a time.

    Both in each epoch are one schedule too many: the plateau counts epochs of the warm-up, and what it takes
    off stays off. It reads the rate that it finds, so it may be made before the warm-up is over. See
    :class:`torch.optim.lr_scheduler.ReduceLROnPlateau`.
    """
    for together, expected in (
        (False, [0.25, 0.625, 1.0, 1.0, 0.5]),
        (True, [0.25, 0.625, 0.5, 0.25, 0.125]),
    ):
        optimizer, rates = SGD([nn.Parameter(torch.rand(2))], lr=1.0), []
        warm = lr_scheduler.LinearLR(optimizer, 0.25, total_iters=2)
        plateau = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)

        for epoch in range(5):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if together or epoch < 2:
                warm.step()
            if together or epoch >= 2:
                plateau.step(1.0)

        assert rates == expected


def test_a_plateau_wants_a_metric():
    """``ReduceLROnPlateau.step()`` without the loss, or another metric, raises ``TypeError``.

    A training loop that steps all its schedulers alike has to make an exception of this one: it is stepped
    once after a validation. See :class:`torch.optim.lr_scheduler.ReduceLROnPlateau`.
    """
    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=1.0)
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'metrics'"):
        plateau.step()

    plateau.step(torch.tensor(3.0))
    plateau.step(4.0)
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_a_loss_is_taken_for_an_epoch():
    """``StepLR.step(loss)`` takes the loss for the number of the epoch, with a ``UserWarning``.

    Only ``ReduceLROnPlateau`` wants a metric; others are stepped without an argument. See
    :class:`torch.optim.lr_scheduler.StepLR`.
    """
    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=1.0)
    scheduler = lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    optimizer.step()

    for loss, rate in ((4.5, 0.25), (torch.tensor(2.5), 0.5)):
        with pytest.warns(
            UserWarning, match="The epoch parameter in `scheduler.step\\(\\)` was not necessary"
        ):
            scheduler.step(loss)

        assert [scheduler.last_epoch, optimizer.param_groups[0]["lr"]] == [loss, rate]


def test_schedulers_of_two_optimizers():
    """``SequentialLR`` and ``ChainedScheduler`` raise ``ValueError`` for schedulers of two optimizers.

    Each optimizer has its own, as with a generator and a discriminator, and both are stepped. See
    :class:`torch.optim.lr_scheduler.ChainedScheduler`.
    """
    one, other = (SGD([nn.Parameter(torch.rand(2))], lr=1.0) for _ in range(2))

    for owners in ([one, other, one], [one, one, other], [other, one, one]):
        parts = [lr_scheduler.ConstantLR(owner) for owner in owners]
        with pytest.raises(ValueError, match="all schedulers to belong to the same optimizer"):
            lr_scheduler.SequentialLR(one, parts, milestones=[2, 4])
        with pytest.raises(ValueError, match="all schedulers to belong to the same optimizer"):
            lr_scheduler.ChainedScheduler(parts)


def test_one_milestone_between_two_schedulers():
    """``SequentialLR`` raises ``ValueError`` unless there is one milestone less than there are schedulers.

    A milestone is where the next one begins: the first needs none, and the last has no end.
    """
    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=1.0)
    three = [lr_scheduler.ConstantLR(optimizer) for _ in range(3)]

    for milestones in ([2], [2, 4, 6]):
        with pytest.raises(ValueError, match="to be one more than the number of milestone points"):
            lr_scheduler.SequentialLR(optimizer, three, milestones)


def test_each_part_has_its_own_rate():
    """``SequentialLR`` of ``ConstantLR`` with factors 0.1, 0.5 and 0.2 sets each of them at its milestone.

    All write to the ``lr`` when they are made, the last one last; the sequence sets that of the first again.
    """
    for milestones, factors, expected in (
        ([2, 4], [0.1, 0.5, 0.2], [0.1, 0.1, 0.5, 0.5, 0.2, 0.2]),
        ([2, 4], [1.0, 0.1, 0.5], [1.0, 1.0, 0.1, 0.1, 0.5, 0.5]),
    ):
        second, rates = {"params": [nn.Parameter(torch.rand(2))], "lr": 2.0}, []
        optimizer = SGD([{"params": [nn.Parameter(torch.rand(2))]}, second], lr=1.0)
        parts = [lr_scheduler.ConstantLR(optimizer, factor, total_iters=99) for factor in factors]
        scheduler = lr_scheduler.SequentialLR(optimizer, parts, milestones)
        for _ in range(6):
            rates.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            scheduler.step()

        assert rates == [pytest.approx([rate, 2 * rate]) for rate in expected]


def test_unsorted_milestones_skip_a_scheduler():
    """``SequentialLR`` with milestones ``[4, 2]`` or ``[2, 2]`` never runs the second scheduler.

    They are not sorted, and there is no error. See :class:`torch.optim.lr_scheduler.SequentialLR`.
    """
    for milestones, factors, expected in (
        ([4, 2], [0.1, 0.5, 0.2], [0.1, 0.1, 0.2, 0.2, 0.2, 0.2]),
        ([2, 2], [0.1, 0.5, 0.2], [0.1, 0.1, 0.2, 0.2, 0.2, 0.2]),
    ):
        optimizer, rates = SGD([nn.Parameter(torch.rand(2))], lr=1.0), []
        parts = [lr_scheduler.ConstantLR(optimizer, factor, total_iters=99) for factor in factors]
        scheduler = lr_scheduler.SequentialLR(optimizer, parts, milestones)
        for _ in range(6):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()

        assert rates == pytest.approx(expected)


def test_a_milestone_between_two_epochs():
    """At a milestone of 2.5, the next scheduler of a ``SequentialLR`` multiplies the rate that it finds.

    It is stepped, but not started at its epoch 0, for no epoch is equal to the milestone. What comes of a
    division, such as 5 / 2, is to be rounded. With 2.0 all is as with 2.
    """
    for milestones, factors, expected in (
        ([2.5], [0.1, 0.5], [0.1, 0.1, 0.1, 0.05, 0.05, 0.05]),
        ([2.0], [0.1, 0.5], [0.1, 0.1, 0.5, 0.5, 0.5, 0.5]),
        ([2], [0.1, 0.5], [0.1, 0.1, 0.5, 0.5, 0.5, 0.5]),
    ):
        optimizer, rates = SGD([nn.Parameter(torch.rand(2))], lr=1.0), []
        parts = [lr_scheduler.ConstantLR(optimizer, factor, total_iters=99) for factor in factors]
        scheduler = lr_scheduler.SequentialLR(optimizer, parts, milestones)
        for _ in range(6):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()

        assert rates == pytest.approx(expected)


@pytest.mark.since("2.13")
def test_a_milestone_of_0_begins_with_the_second():
    """``SequentialLR`` with a milestone of 0 begins with the second: a warm-up of 0 epochs is none."""
    optimizer, rates = SGD([nn.Parameter(torch.rand(2))], lr=1.0), []
    parts = [lr_scheduler.ConstantLR(optimizer, factor, total_iters=99) for factor in (0.1, 0.5, 0.2)]
    scheduler = lr_scheduler.SequentialLR(optimizer, parts, [0, 3])
    for _ in range(6):
        rates.append(optimizer.param_groups[0]["lr"])
        assert scheduler.get_last_lr() == rates[-1:]
        optimizer.step()
        scheduler.step()

    assert rates == pytest.approx([0.5, 0.5, 0.5, 0.2, 0.2, 0.2])


@pytest.mark.before("2.13")
def test_a_milestone_of_0_began_with_the_first():
    """``SequentialLR`` with a milestone of 0 begins at the rate of the first scheduler."""
    for milestones, factors, expected in (([0, 3], [0.1, 0.5, 0.2], [0.1]),):
        optimizer, rates = SGD([nn.Parameter(torch.rand(2))], lr=1.0), []
        parts = [lr_scheduler.ConstantLR(optimizer, factor, total_iters=99) for factor in factors]
        scheduler = lr_scheduler.SequentialLR(optimizer, parts, milestones)
        for _ in range(6):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()

        assert rates[:1] == pytest.approx(expected)


@pytest.mark.since("2.10")
def test_a_tensor_for_the_rate_of_a_sequence():
    """``SequentialLR`` fills an ``lr`` that is a tensor, and leaves ``initial_lr`` and ``base_lrs`` alone.

    A compiled optimizer has its rate in a tensor, to be compiled once. See
    :class:`torch.optim.lr_scheduler.SequentialLR`.
    """
    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=torch.tensor(1.0))
    parts = [lr_scheduler.ConstantLR(optimizer, factor, total_iters=99) for factor in (0.25, 0.5)]
    scheduler = lr_scheduler.SequentialLR(optimizer, parts, [1])
    rate, before = optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["lr"].item()
    optimizer.step()
    scheduler.step()

    assert optimizer.param_groups[0]["lr"] is rate
    assert [before, rate.item()] == [0.25, 0.5]
    assert [optimizer.param_groups[0]["initial_lr"], *parts[1].base_lrs] == [1.0, 1.0]

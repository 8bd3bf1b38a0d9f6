"""Schedulers of one's own: what a subclass of ``LRScheduler`` is asked for, and when.

Beside them the simplest schedulers of torch, which are such subclasses too, and a rate that is a tensor.
"""

import pytest
import torch
from torch import nn
from torch.optim import SGD, lr_scheduler, swa_utils


def test_the_first_rate_is_set_by_the_constructor():
    """A subclass of :class:`~torch.optim.lr_scheduler.LRScheduler` is asked for ``get_lr()`` as soon as it is
    made.

    The constructor does the first step, to ``last_epoch`` 0, and sets the rate that ``get_lr`` returns. One
    that multiplies the rate it finds, like this one, has done so before the first batch (:issue:`120735`).
    """
    calls = []

    class Halving(lr_scheduler.LRScheduler):
        def get_lr(self):
            calls.append(self.last_epoch)
            return [group["lr"] * 0.5 for group in self.optimizer.param_groups]

    optimizer = SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    scheduler = Halving(optimizer)
    assert (calls, optimizer.param_groups[0]["lr"], scheduler.get_last_lr()) == ([0], 0.5, [0.5])

    optimizer.step()
    scheduler.step()
    assert (calls, optimizer.param_groups[0]["lr"], scheduler.get_last_lr()) == ([0, 1], 0.25, [0.25])


def test_attributes_come_before_the_constructor_of_torch():
    """An ``LRScheduler`` subclass raises ``AttributeError`` if ``get_lr`` needs what is set after
    ``super().__init__()``.

    That calls ``get_lr``: a scheduler sets its attributes first, unlike a module. ``base_lrs`` and
    ``last_epoch`` are there by then.
    """

    class Early(lr_scheduler.LRScheduler):
        def __init__(self, optimizer):
            self.factor = 0.5
            super().__init__(optimizer)

        def get_lr(self):
            return [rate * self.factor ** (self.last_epoch + 1) for rate in self.base_lrs]

    class Late(Early):
        def __init__(self, optimizer):
            lr_scheduler.LRScheduler.__init__(self, optimizer)
            self.factor = 0.5

    groups = [{"params": [nn.Parameter(torch.ones(1))], "lr": rate} for rate in (1.0, 4.0)]
    assert Early(SGD(groups)).get_last_lr() == [0.5, 2.0]
    with pytest.raises(AttributeError, match="no attribute 'factor'"):
        Late(SGD(groups))


@pytest.mark.parametrize("rates", [[0.5], [0.5, 0.25, 0.125]], ids=["short", "long"])
@pytest.mark.since("2.10")
def test_a_rate_for_each_group(rates):
    """An ``LRScheduler`` subclass raises ``ValueError`` if ``get_lr`` returns fewer or more rates than
    groups.
    """

    class Fixed(lr_scheduler.LRScheduler):
        def get_lr(self):
            return rates

    weights = [nn.Parameter(torch.ones(1)) for _ in range(2)]
    with pytest.raises(ValueError, match=r"zip\(\) argument 2 is (shorter|longer) than argument 1"):
        Fixed(SGD([{"params": [weight]} for weight in weights], lr=1.0))


@pytest.mark.parametrize("rates", [[0.5], [0.5, 0.25, 0.125]], ids=["short", "long"])
@pytest.mark.before("2.10")
def test_groups_without_a_rate_kept_theirs(rates):
    """If ``get_lr`` of an ``LRScheduler`` subclass returns too few rates, the other groups keep theirs.

    Rates beyond the groups are ignored, without an error.
    """

    class Fixed(lr_scheduler.LRScheduler):
        def get_lr(self):
            return rates

    weights = [nn.Parameter(torch.ones(1)) for _ in range(2)]
    optimizer = SGD([{"params": [weight]} for weight in weights], lr=1.0)

    assert Fixed(optimizer).get_last_lr() == [0.5, rates[1] if len(rates) > 1 else 1.0]


def test_a_scheduler_needs_get_lr():
    """An ``LRScheduler`` subclass without ``get_lr`` raises ``NotImplementedError`` when it is made.

    One whose ``get_lr`` returns a number raises ``TypeError``: it is a list, with a rate for each group.
    """

    class Nothing(lr_scheduler.LRScheduler):
        pass

    class Number(lr_scheduler.LRScheduler):
        def get_lr(self):
            return 0.5

    optimizer = SGD([{"params": [nn.Parameter(torch.ones(1))]} for _ in range(2)], lr=1.0)
    with pytest.raises(NotImplementedError, match=r"^$"):
        Nothing(optimizer)
    with pytest.raises(TypeError, match=r"'float' object is not iterable|must support iteration"):
        Number(optimizer)


def test_attributes_of_ones_own_are_saved():
    """``state_dict()`` of an ``LRScheduler`` subclass holds all its attributes but the optimizer, and loads
    them.
    """

    class Power(lr_scheduler.LRScheduler):
        def __init__(self, optimizer, base):
            self.base, self.notes = base, [base]
            super().__init__(optimizer)

        def get_lr(self):
            return [rate * self.base**self.last_epoch for rate in self.base_lrs]

    optimizer = SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    scheduler, other = Power(optimizer, 0.5), Power(SGD(nn.Linear(1, 1).parameters(), lr=7.0), 0.25)
    optimizer.step()
    scheduler.step()
    state = scheduler.state_dict()
    own = {"base": 0.5, "notes": [0.5], "last_epoch": 1, "base_lrs": [1.0]}
    assert {name: state[name] for name in own} == own
    assert {*vars(scheduler)} - {*state} == {"optimizer"}

    other.load_state_dict(state)
    assert other.notes == [0.5]
    other.optimizer.step()
    other.step()
    assert other.get_last_lr() == [0.25]


def test_a_polynomial_falls_to_zero():
    """``PolynomialLR`` multiplies the first rate by ``(1 - epoch / total_iters) ** power``, and stays at 0
    then.

    ``power`` is 1 by default: a straight line to 0. See :class:`~torch.optim.lr_scheduler.PolynomialLR`.
    """
    for power, rates in ((1.0, [2.0, 1.5, 1.0, 0.5, 0.0, 0.0]), (2.0, [2.0, 1.125, 0.5, 0.125, 0.0, 0.0])):
        optimizer = SGD([{"params": [nn.Parameter(torch.ones(1))], "lr": rate} for rate in (2.0, 8.0)])
        options = {} if power == 1.0 else {"power": power}
        scheduler, seen = lr_scheduler.PolynomialLR(optimizer, total_iters=4, **options), []
        for _ in range(6):
            seen.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            scheduler.step()
        assert torch.allclose(torch.tensor(seen), torch.tensor([[rate, 4 * rate] for rate in rates]))


def test_a_factor_for_the_rate_there_is():
    """``MultiplicativeLR`` multiplies the rate it finds by ``lr_lambda(epoch)``, from epoch 1 on.

    ``LambdaLR`` multiplies the first rate instead, and from epoch 0 on: the same function gives another
    schedule. See :class:`~torch.optim.lr_scheduler.MultiplicativeLR`.
    """
    seen = {}
    for kind in (lr_scheduler.MultiplicativeLR, lr_scheduler.LambdaLR):
        optimizer = SGD([{"params": [nn.Parameter(torch.ones(1))], "lr": rate} for rate in (8.0, 16.0)])
        rates, asked = [], []
        scheduler = kind(optimizer, lambda epoch, asked=asked: asked.append(epoch) or 1 / (epoch + 1))
        for _ in range(4):
            rates.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            scheduler.step()
        seen[kind.__name__] = asked[0], pytest.approx([first for first, _ in rates])
        assert [second / first for first, second in rates] == pytest.approx([2.0] * 4)

    assert seen == {
        "MultiplicativeLR": (1, [8.0, 4.0, 4 / 3, 1 / 3]),
        "LambdaLR": (0, [8.0, 4.0, 8 / 3, 2.0]),
    }


def test_a_milestone_may_be_given_twice():
    """``MultiStepLR`` multiplies by ``gamma`` twice at a milestone that is listed twice, and sorts
    milestones.

    See :class:`~torch.optim.lr_scheduler.MultiStepLR`.
    """
    optimizer = SGD([{"params": [nn.Parameter(torch.ones(1))], "lr": rate} for rate in (8.0, 16.0)])
    scheduler, rates = lr_scheduler.MultiStepLR(optimizer, milestones=[4, 2, 2], gamma=0.5), []
    for _ in range(5):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()

    assert rates == [[8.0, 16.0], [8.0, 16.0], [2.0, 4.0], [2.0, 4.0], [1.0, 2.0]]


@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: lr_scheduler.StepLR(optimizer, 1, gamma=0.5),
        lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch),
        lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 2),
        lambda optimizer: lr_scheduler.LinearLR(optimizer, 1.0, 0.5, total_iters=1),
        lambda optimizer: swa_utils.SWALR(optimizer, 0.25, anneal_epochs=1),
    ],
    ids=["step", "lambda", "cosine", "linear", "swa"],
)
@pytest.mark.since("2.4")
def test_a_rate_that_is_a_tensor_is_filled(make):
    """Schedulers such as ``StepLR``, ``LambdaLR`` and ``SWALR`` fill an ``lr`` that is a tensor, in place.

    It stays the same tensor, so a compiled ``step()`` needs no other graph (:issue:`130467`).
    """
    rates = [torch.tensor(0.5), torch.tensor(0.5, dtype=torch.float64)]
    optimizer = SGD([{"params": [nn.Parameter(torch.ones(1))], "lr": rate} for rate in rates])
    scheduler = make(optimizer)
    optimizer.step()
    scheduler.step()

    assert [group["lr"] is rate for group, rate in zip(optimizer.param_groups, rates, strict=True)] == [
        True
    ] * 2
    assert [rate.item() for rate in rates] == pytest.approx([0.25, 0.25])


@pytest.mark.since("2.10")
def test_a_plateau_fills_a_tensor():
    """``ReduceLROnPlateau`` fills an ``lr`` that is a tensor, in place (:issue:`163093`)."""
    rates = [torch.tensor(0.5), torch.tensor(0.75)]
    optimizer = SGD([{"params": [nn.Parameter(torch.ones(1))], "lr": rate} for rate in rates])
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    scheduler.step(1.0)
    scheduler.step(1.0)

    assert [group["lr"] is rate for group, rate in zip(optimizer.param_groups, rates, strict=True)] == [
        True
    ] * 2
    assert [rate.item() for rate in rates] == [0.25, 0.375]


@pytest.mark.before("2.10")
def test_a_plateau_put_a_number_for_a_tensor():
    """``ReduceLROnPlateau`` puts a number in place of an ``lr`` that is a tensor, once it reduces the rate.

    A compiled ``step()`` then needs another graph (:issue:`163093`).
    """
    rate = torch.tensor(0.5)
    optimizer = SGD(nn.Linear(1, 1).parameters(), lr=rate)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    scheduler.step(1.0)
    scheduler.step(1.0)

    assert (type(optimizer.param_groups[0]["lr"]), optimizer.param_groups[0]["lr"]) == (float, 0.25)
    assert rate.item() == 0.5


def test_a_step_that_was_replaced_before():
    """Making a scheduler raises ``AttributeError`` if ``optimizer.step`` was replaced by a plain function.

    So it is with ``optimizer.step = torch.compile(optimizer.step)``: make the scheduler first, or compile a
    function that calls ``step()``. ``ReduceLROnPlateau`` does not look at ``step``.
    """
    optimizer = SGD(nn.Linear(1, 1).parameters(), lr=0.5)
    step = optimizer.step
    optimizer.step = lambda: step()

    with pytest.raises(AttributeError, match=r"no attribute '__(func|self)__'"):
        lr_scheduler.StepLR(optimizer, 1)

    assert lr_scheduler.ReduceLROnPlateau(optimizer).optimizer is optimizer

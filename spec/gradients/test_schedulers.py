"""Learning rate schedulers: the groups of their optimizer, and going on after a break.

A scheduler remembers a value for each parameter group that the optimizer had when the scheduler was made. A
group added later, as for a layer that is thawed on the way, is not among them. The rates themselves stand in
the optimizer and are saved with it.
"""

import pytest
import torch
from torch import nn
from torch.optim import SGD, lr_scheduler

STEPPING = [
    (lr_scheduler.ExponentialLR, {"gamma": 0.5}),
    (lr_scheduler.MultiplicativeLR, {"lr_lambda": lambda epoch: 0.5}),
    (lr_scheduler.LinearLR, {"total_iters": 6}),
    (lr_scheduler.PolynomialLR, {"total_iters": 6}),
]


@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: lr_scheduler.ExponentialLR(optimizer, gamma=0.5),
        lambda optimizer: lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5),
    ],
    ids=["ExponentialLR", "StepLR"],
)
def test_an_added_group_is_scaled_too(make):
    """``StepLR`` and ``ExponentialLR`` also scale a group added by ``add_param_group`` after they were made.

    They multiply what each group has at the moment. The new group decays from its own rate on. See
    :class:`torch.optim.lr_scheduler.StepLR`.
    """
    weight, added = nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(2))
    optimizer = SGD([weight], lr=1.0)
    scheduler = make(optimizer)
    optimizer.add_param_group({"params": [added], "lr": 0.25})

    for _ in range(2):
        optimizer.step()
        scheduler.step()

    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.0625]


@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5),
        lambda optimizer: lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.5),
        lambda optimizer: lr_scheduler.CyclicLR(optimizer, 0.5, 1.0),
        lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 4),
    ],
    ids=["LambdaLR", "MultiplicativeLR", "CyclicLR", "CosineAnnealingWarmRestarts"],
)
@pytest.mark.since("2.10")
def test_an_added_group_is_unknown(make):
    """A ``LambdaLR`` or ``CyclicLR`` made before ``add_param_group`` raises ``ValueError`` in ``step()``.

    They have a value for each group of before. Make the scheduler anew after adding a group. See
    :class:`torch.optim.lr_scheduler.LambdaLR`.
    """
    weight, added = nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(2))
    optimizer = SGD([weight], lr=1.0)
    scheduler = make(optimizer)
    optimizer.add_param_group({"params": [added], "lr": 0.25})
    optimizer.step()

    with pytest.raises(ValueError, match=r"zip\(\) argument 2 is (shorter|longer) than argument 1"):
        scheduler.step()


def test_one_cycle_misses_its_entries():
    """A ``OneCycleLR`` made before ``add_param_group`` raises ``KeyError`` in ``step()``.

    It keeps ``initial_lr``, ``max_lr`` and ``min_lr`` in the groups themselves, which a new group lacks; they
    can be given with it. See :class:`torch.optim.lr_scheduler.OneCycleLR`.
    """
    weight, added = nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(2))
    optimizer = SGD([weight], lr=0.5, momentum=0.9)
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    first = optimizer.param_groups[0]
    optimizer.add_param_group({"params": [added]})
    optimizer.step()

    with pytest.raises(KeyError, match="initial_lr"):
        scheduler.step()

    optimizer.param_groups.pop()
    given = {name: first[name] for name in first if name.endswith(("_lr", "_momentum"))}
    optimizer.add_param_group({"params": [added], **given})
    scheduler.step()
    assert optimizer.param_groups[1]["lr"] == first["lr"]


@pytest.mark.since("2.6")
def test_a_plateau_takes_added_groups():
    """``ReduceLROnPlateau`` reduces a group added later as well, unless ``min_lr`` is a list.

    A list has an entry for each group of before: ``step()`` then raises ``RuntimeError`` and asks to extend
    ``scheduler.min_lrs`` (:pull:`137637`). See :class:`torch.optim.lr_scheduler.ReduceLROnPlateau`.
    """
    weight, added = nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(2))
    optimizers = [SGD([weight], lr=1.0) for _ in range(2)]
    single, listed = (
        lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, min_lr=least)
        for optimizer, least in zip(optimizers, (0.2, [0.2]), strict=True)
    )
    for optimizer in optimizers:
        optimizer.add_param_group({"params": [added], "lr": 0.25})

    for _ in range(3):
        single.step(1.0)
    assert [group["lr"] for group in optimizers[0].param_groups] == [0.25, 0.2]

    listed.step(1.0)
    with pytest.raises(RuntimeError, match="modify the `min_lrs` field"):
        listed.step(1.0)
    listed.min_lrs = [0.2, 0.1]
    listed.step(1.0)
    assert [group["lr"] for group in optimizers[1].param_groups] == [0.5, 0.125]


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (lr_scheduler.LambdaLR, {"lr_lambda": lambda epoch: 1 / (1 + epoch)}),
        (lr_scheduler.StepLR, {"step_size": 3, "gamma": 0.5}),
        (lr_scheduler.MultiStepLR, {"milestones": [1, 5]}),
        (lr_scheduler.CosineAnnealingLR, {"T_max": 10}),
    ],
    ids=["LambdaLR", "StepLR", "MultiStepLR", "CosineAnnealingLR"],
)
def test_a_new_scheduler_may_go_on(make, options):
    """A new ``LambdaLR`` or ``CosineAnnealingLR`` with ``last_epoch=n - 1`` resumes a schedule after ``n``
    steps.

    Load the state of the optimizer first: the first rate stands there, as ``initial_lr``. What starts anew is
    ``_step_count``. A ``ReduceLROnPlateau`` takes no ``last_epoch``: what was best is in its ``state_dict``.
    See :class:`torch.optim.lr_scheduler.LambdaLR`.

    See also :ref:`gradients.schedulers.a_new_step_lr_may_decay_once_more`
    """
    weights = [{"params": [nn.Parameter(torch.rand(2))], "lr": lr} for lr in (0.5, 0.125)]
    optimizer, other = SGD(weights), SGD(weights)
    scheduler, rates = make(optimizer, **options), []
    for _ in range(4):
        optimizer.step()
        scheduler.step()

    other.load_state_dict(optimizer.state_dict())
    resumed = make(other, **options, last_epoch=3)
    for _ in range(5):
        rates.append([group["lr"] for one in (optimizer, other) for group in one.param_groups])
        for each in (optimizer, scheduler, other, resumed):
            each.step()

    for first, second, *those_of_other in rates:
        assert those_of_other == pytest.approx([first, second])
    assert len({rate for rate, *_ in rates}) > 1
    assert scheduler.state_dict()["_step_count"] == resumed.state_dict()["_step_count"] + 4


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (lr_scheduler.StepLR, {"step_size": 2, "gamma": 0.5}),
        (lr_scheduler.MultiStepLR, {"milestones": [2, 4], "gamma": 0.5}),
    ],
    ids=["StepLR", "MultiStepLR"],
)
def test_a_new_step_lr_may_decay_once_more(make, options):
    """A new ``StepLR`` or ``MultiStepLR`` with ``last_epoch=n - 1`` decays again if it did so at step ``n``.

    Making it takes step ``n``, which multiplies the rate that the state of the optimizer brought. Load the
    state of the scheduler instead, after that of the optimizer or before. See
    :class:`torch.optim.lr_scheduler.StepLR`.
    """
    optimizer, other = (SGD([nn.Parameter(torch.rand(2))], lr=0.5) for _ in range(2))
    scheduler, loaded = make(optimizer, **options), make(other, **options)
    for _ in range(4):
        optimizer.step()
        scheduler.step()

    loaded.load_state_dict(scheduler.state_dict())
    other.load_state_dict(optimizer.state_dict())
    assert [one.param_groups[0]["lr"] for one in (optimizer, other)] == [0.125, 0.125]

    make(other, **options, last_epoch=3)
    assert other.param_groups[0]["lr"] == 0.0625


@pytest.mark.since("2.8")
@pytest.mark.parametrize(("make", "options"), STEPPING, ids=[make.__name__ for make, _ in STEPPING])
def test_a_new_exponential_lr_keeps_the_rate(make, options):
    """A new ``ExponentialLR`` or ``LinearLR`` with ``last_epoch=n - 1`` keeps the rate that was loaded.

    Up to torch 2.7 it took step ``n`` once more (:issue:`102261`, :pull:`149312`). See
    :class:`torch.optim.lr_scheduler.ExponentialLR`.
    """
    optimizer, other = (SGD([nn.Parameter(torch.rand(2))], lr=0.5) for _ in range(2))
    scheduler = make(optimizer, **options)
    for _ in range(4):
        optimizer.step()
        scheduler.step()
    other.load_state_dict(optimizer.state_dict())

    resumed = make(other, **options, last_epoch=3)
    assert other.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]

    for each in (optimizer, scheduler, other, resumed):
        each.step()
    assert other.param_groups[0]["lr"] == pytest.approx(optimizer.param_groups[0]["lr"])


@pytest.mark.before("2.8")
def test_a_new_exponential_lr_decayed_once_more():
    """A new ``ExponentialLR`` or ``LinearLR`` with ``last_epoch=n - 1`` takes step ``n`` once more."""
    for make, options in STEPPING:
        optimizer, other = (SGD([nn.Parameter(torch.rand(2))], lr=0.5) for _ in range(2))
        scheduler = make(optimizer, **options)
        for _ in range(4):
            optimizer.step()
            scheduler.step()
        other.load_state_dict(optimizer.state_dict())

        make(other, **options, last_epoch=3)
        assert other.param_groups[0]["lr"] != pytest.approx(optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize(
    ("make", "options", "rates"),
    [
        (lr_scheduler.LambdaLR, {"lr_lambda": lambda epoch: 1 / (1 + epoch)}, [0.1, 0.1]),
        (lr_scheduler.StepLR, {"step_size": 2, "gamma": 0.5}, [0.125, 0.25]),
        (lr_scheduler.CosineAnnealingLR, {"T_max": 4}, [0.0, 0.0]),
        (lr_scheduler.ExponentialLR, {"gamma": 0.5}, [0.03125, 0.25]),
    ],
)
def test_loading_a_scheduler_leaves_the_rate(make, options, rates):
    """``load_state_dict`` of a scheduler such as ``StepLR`` leaves the ``lr`` of the optimizer as it is.

    It sets the count of steps alone. The next ``step()`` of a ``LambdaLR`` computes the right rate from it,
    that of a ``StepLR`` goes on from the wrong one: load the state of the optimizer as well. See
    :class:`torch.optim.lr_scheduler.StepLR`.
    """
    optimizer, other = (SGD([nn.Parameter(torch.rand(2))], lr=0.5) for _ in range(2))
    scheduler, resumed = make(optimizer, **options), make(other, **options)
    for each in (optimizer, scheduler) * 3:
        each.step()

    resumed.load_state_dict(scheduler.state_dict())
    assert [resumed.last_epoch, other.param_groups[0]["lr"]] == [3, 0.5]

    for each in (optimizer, scheduler, other, resumed):
        each.step()
    assert [one.param_groups[0]["lr"] for one in (optimizer, other)] == rates


def test_one_cycle_ends_before_its_last_step():
    """``OneCycleLR`` ends after ``total_steps - 1`` steps; the second further ``step()`` raises
    ``ValueError``.

    ``total_steps``, or ``epochs * steps_per_epoch``, are the batches: the last is trained at the lowest rate.
    ``step()`` once more lifts the rate for a batch too many, and then there is an error, where a loader
    turns out longer. See :class:`torch.optim.lr_scheduler.OneCycleLR`.
    """
    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=1.0, momentum=0.9)
    for options in ({"total_steps": 4}, {"epochs": 2, "steps_per_epoch": 2}):
        scheduler, rates = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, **options), []
        for _ in range(4):
            optimizer.step()
            scheduler.step()
            rates.append(optimizer.param_groups[0]["lr"])

        assert [scheduler.total_steps, rates[2]] == [4, pytest.approx(0.04 / 10000)]
        assert rates[0] > rates[1] > rates[2] < 0.2 < rates[3]
        with pytest.raises(ValueError, match=r"^Tried to step \d times\. The specified number .* is 4$"):
            scheduler.step()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"total_steps": 0}, "Expected positive integer total_steps, but got 0"),
        ({"total_steps": 2.5}, "Expected positive integer total_steps, but got 2.5"),
        ({"epochs": 2, "steps_per_epoch": 0}, "Expected positive integer steps_per_epoch, but got 0"),
        ({"epochs": 2, "steps_per_epoch": -3}, "Expected positive integer steps_per_epoch, but got -3"),
        ({"epochs": -2, "steps_per_epoch": -3}, "Expected positive integer epochs, but got -2"),
        ({}, "You must define either total_steps OR"),
    ],
)
def test_one_cycle_wants_a_length(options, message):
    """``OneCycleLR`` raises ``ValueError`` unless ``total_steps``, or ``epochs`` and ``steps_per_epoch``, is
    positive.

    They have to be integers: a loader that is empty, or an epoch divided by more devices than it has batches,
    makes it 0. See :class:`torch.optim.lr_scheduler.OneCycleLR`.
    """
    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=1.0, momentum=0.9)

    with pytest.raises(ValueError, match=message):
        lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, **options)


@pytest.mark.parametrize(
    ("make", "rates"),
    [
        (lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 2), [0.5, 0.0, 0.5, 1.0, 0.5]),
        (
            lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 2),
            [0.5, 1.0, 0.5, 1.0, 0.5],
        ),
        (lambda optimizer: lr_scheduler.LinearLR(optimizer, 1.0, 0.0, 2), [0.5, 0.0, 0.0, 0.0, 0.0]),
        (lambda optimizer: lr_scheduler.PolynomialLR(optimizer, 2), [0.5, 0.0, 0.0, 0.0, 0.0]),
    ],
    ids=["CosineAnnealingLR", "CosineAnnealingWarmRestarts", "LinearLR", "PolynomialLR"],
)
def test_a_cosine_rises_again(make, rates):
    """``CosineAnnealingLR`` rises again after ``T_max`` steps, to its first rate; ``LinearLR`` stays low.

    Training that goes on longer than planned gets a larger rate with each step. To stop at the end, do not
    call ``step()`` any more. See :class:`torch.optim.lr_scheduler.CosineAnnealingLR`.
    """
    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=1.0)
    scheduler, seen = make(optimizer), []
    for _ in range(5):
        optimizer.step()
        scheduler.step()
        seen.append(optimizer.param_groups[0]["lr"])

    assert seen == pytest.approx(rates, abs=1e-6)


@pytest.mark.parametrize(
    ("make", "short", "long"),
    [
        (lr_scheduler.CosineAnnealingLR, {"T_max": 4}, {"T_max": 40}),
        (lr_scheduler.OneCycleLR, {"max_lr": 1.0, "total_steps": 4}, {"max_lr": 1.0, "total_steps": 40}),
        (lr_scheduler.StepLR, {"step_size": 2}, {"step_size": 20}),
        (lr_scheduler.LinearLR, {"total_iters": 4}, {"total_iters": 40}),
    ],
    ids=["CosineAnnealingLR", "OneCycleLR", "StepLR", "LinearLR"],
)
def test_the_saved_length_is_loaded(make, short, long):
    """``load_state_dict`` of a scheduler replaces its ``T_max`` or ``total_steps`` by the saved one.

    What the new scheduler was made with is lost: a run that is to go on longer keeps the old schedule.
    Set the attribute after loading. See :class:`torch.optim.lr_scheduler.CosineAnnealingLR`.
    """
    optimizers = [SGD([nn.Parameter(torch.rand(2))], lr=1.0, momentum=0.9) for _ in range(2)]
    saved, new = (
        make(optimizer, **given) for optimizer, given in zip(optimizers, (short, long), strict=True)
    )
    (name,) = short.keys() - {"max_lr"}

    before = getattr(new, name)
    new.load_state_dict(saved.state_dict())

    assert [before, getattr(new, name)] == [long[name], short[name]]


@pytest.mark.since("2.8")
def test_a_new_cosine_goes_on_from_the_rate_it_finds():
    """A new ``CosineAnnealingLR`` with ``last_epoch`` goes on from ``lr``, and so may exceed the first rate.

    It multiplies what the optimizer has. Where the state of the optimizer was not loaded, that is the first
    rate, and at the end of the cosine twice of it. Up to torch 2.7 it computed the rate of that step from
    ``initial_lr`` (:pull:`149312`). See :class:`torch.optim.lr_scheduler.CosineAnnealingLR`.

    See also :ref:`gradients.schedulers.a_new_scheduler_may_go_on`
    """
    groups = [{"params": [nn.Parameter(torch.rand(2))], "initial_lr": 1.0, "lr": lr} for lr in (1.0, 0.25)]
    optimizer, rates = SGD(groups), []
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=4, last_epoch=5)
    for _ in range(3):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()

    first, second = zip(*rates, strict=True)
    assert first == pytest.approx((1.0, 1.0 + 0.5**0.5, 2.0))
    assert second == pytest.approx((0.25, 0.25 + 0.25 * 0.5**0.5, 0.5))


@pytest.mark.before("2.8")
def test_a_new_cosine_computed_its_rate():
    """A new ``CosineAnnealingLR`` with ``last_epoch`` computes its rate from ``initial_lr``, not from
    ``lr``.
    """
    groups = [{"params": [nn.Parameter(torch.rand(2))], "initial_lr": 1.0, "lr": lr} for lr in (0.25, 1.0)]
    optimizer, rates = SGD(groups), []
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=4, last_epoch=5)
    for _ in range(3):
        rates += [group["lr"] for group in optimizer.param_groups]
        optimizer.step()
        scheduler.step()

    assert rates == pytest.approx([0.5, 0.5, 0.5 + 0.5 * 0.5**0.5, 0.5 + 0.5 * 0.5**0.5, 1.0, 1.0])

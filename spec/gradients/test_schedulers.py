"""Learning rate schedulers and the groups of their optimizer.

A scheduler remembers a value for each parameter group that the optimizer had when the scheduler was made. A
group added later, as for a layer that is thawed on the way, is not among them.
"""

import pytest
import torch
from torch import nn
from torch.optim import SGD, lr_scheduler


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
    """``LambdaLR`` and ``CyclicLR`` raise ``ValueError`` in ``step()`` after a later ``add_param_group``.

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
    """``OneCycleLR`` raises ``KeyError`` in ``step()`` after a later ``add_param_group``.

    It keeps ``initial_lr``, ``max_lr`` and ``min_lr`` in the groups themselves, which a new group lacks; they
    can be given with it. See :class:`torch.optim.lr_scheduler.OneCycleLR`.
    """
    weight, added = nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(2))
    optimizer = SGD([weight], lr=1.0, momentum=0.9)
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    first = optimizer.param_groups[0]
    optimizer.add_param_group({"params": [added]})
    optimizer.step()

    with pytest.raises(KeyError, match="initial_lr"):
        scheduler.step()

    optimizer.param_groups[1].update(
        {name: first[name] for name in first if name.endswith(("_lr", "_momentum"))}
    )
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

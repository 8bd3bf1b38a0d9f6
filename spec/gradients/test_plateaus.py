"""A rate that is reduced when a loss no longer falls: ``ReduceLROnPlateau``.

What it counts as better and how long it waits decide when. How it is combined with other schedulers is in
*combined_schedulers*.
"""

import pytest
import torch
from torch import nn
from torch.optim import SGD, lr_scheduler


@pytest.mark.parametrize(
    ("losses", "options", "expected"),
    [
        ([1.0] * 8, {"patience": 2}, [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]),
        ([1.0] * 8, {"patience": 2, "cooldown": 1}, [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25]),
        ([1.0, 2.0, 3.0, 0.5, 4.0], {"patience": 2}, [1.0] * 5),
    ],
)
def test_patience_is_one_epoch_more(losses, options, expected):
    """``ReduceLROnPlateau(patience=2)`` reduces the rate at the third epoch in a row that is not better.

    The first loss is always better. After a reduction the count begins anew, and ``cooldown`` epochs are not
    counted.
    """
    optimizer, rates = SGD([{"params": [nn.Parameter(torch.rand(2))]} for _ in range(2)], lr=1.0), []
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, **options)
    for loss in losses:
        scheduler.step(loss)
        rates.append([group["lr"] for group in optimizer.param_groups])

    assert rates == [[rate, rate] for rate in expected]


@pytest.mark.parametrize(
    ("losses", "options", "expected"),
    [
        ([1.0, 0.99995], {"patience": 0}, [1.0, 0.5]),
        ([1.0, 0.9998], {"patience": 0}, [1.0, 1.0]),
        ([5.0, 4.75], {"patience": 0, "threshold": 0.1}, [1.0, 0.5]),
        ([5.0, 4.75], {"patience": 0, "threshold": 0.1, "threshold_mode": "abs"}, [1.0, 1.0]),
        ([5.0, 4.95], {"patience": 0, "threshold": 0.1, "threshold_mode": "abs"}, [1.0, 0.5]),
    ],
)
def test_a_little_better_is_not_better(losses, options, expected):
    """``ReduceLROnPlateau`` counts a loss as better only below 0.9999 of the best, or by another
    ``threshold``.

    With ``threshold_mode="abs"`` it has to be lower by ``threshold`` itself.
    """
    optimizer, rates = SGD([nn.Parameter(torch.rand(2))], lr=1.0), []
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, **options)
    for loss in losses:
        scheduler.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])

    assert rates == expected


@pytest.mark.parametrize(
    ("losses", "options", "expected"),
    [
        ([0.1, 0.2, 0.3], {"patience": 0}, [1.0, 0.5, 0.25]),
        ([0.1, 0.2, 0.3], {"patience": 0, "mode": "max"}, [1.0, 1.0, 1.0]),
    ],
)
def test_an_accuracy_needs_mode_max(losses, options, expected):
    """``ReduceLROnPlateau`` takes lower for better; an accuracy needs ``mode="max"``.

    Without it a rising accuracy reduces the rate in silence. Another word is a ``ValueError``.
    """
    optimizer, rates = SGD([nn.Parameter(torch.rand(2))], lr=1.0), []
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, **options)
    for loss in losses:
        scheduler.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])

    assert rates == expected
    with pytest.raises(ValueError, match="mode minimum is unknown!"):
        lr_scheduler.ReduceLROnPlateau(optimizer, "minimum")


@pytest.mark.parametrize(
    ("losses", "options", "expected"),
    [
        ([1.0, torch.nan, torch.nan, 0.5], {"patience": 0}, [1.0, 0.5, 0.25, 0.25]),
        ([1.0, torch.nan, 0.99999], {"patience": 1}, [1.0, 1.0, 0.5]),
        ([3.0, torch.nan, 2.0, 4.0], {"patience": 0, "mode": "max"}, [1.0, 0.5, 0.25, 0.25]),
        (
            [1.0, torch.nan, 0.9, 0.7],
            {"patience": 0, "threshold_mode": "abs", "threshold": 0.2},
            [1, 0.5, 0.25, 0.25],
        ),
    ],
)
def test_a_loss_that_is_nan_is_not_better(losses, options, expected):
    """``ReduceLROnPlateau`` counts a loss of NaN as not better, and keeps the best one before."""
    optimizer, rates = SGD([nn.Parameter(torch.rand(2))], lr=1.0), []
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, **options)
    for loss in losses:
        scheduler.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])

    assert rates == expected


@pytest.mark.since("2.3")
def test_a_plateau_tells_its_rate():
    """``ReduceLROnPlateau`` has ``get_last_lr()``, also before the first ``step``, and is an
    ``LRScheduler``.
    """
    optimizer = SGD([{"params": [nn.Parameter(torch.rand(2))], "lr": lr} for lr in (1.0, 3.0)])
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)

    assert scheduler.get_last_lr() == [1.0, 3.0]
    for loss, rates in ((2.0, [1.0, 3.0]), (2.5, [0.5, 1.5])):
        scheduler.step(loss)
        assert scheduler.get_last_lr() == rates
    assert isinstance(scheduler, lr_scheduler.LRScheduler)

"""The rate for averaging weights: ``SWALR``.

Stochastic weight averaging (SWA) trains on at a constant rate, which ``SWALR`` goes to over some epochs. What
averages the weights is the subject of *averages* in the part on copying.
"""

import math

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import ExponentialLR
from torch.optim.swa_utils import SWALR


@pytest.mark.parametrize(
    ("strategy", "middle"),
    [
        ("linear", [0.8, 0.6, 0.4]),
        ("cos", [0.2 + 0.4 * (1 + math.sqrt(0.5)), 0.6, 0.2 + 0.4 * (1 - math.sqrt(0.5))]),
    ],
    ids=["linear", "cos"],
)
def test_the_rate_goes_to_a_constant(strategy, middle):
    """``SWALR`` brings ``lr`` to ``swa_lr`` in ``anneal_epochs`` steps, by ``"cos"`` or ``"linear"``, and
    holds it.

    By default it takes 10 steps along a cosine. The rate may rise, too.
    """
    optimizer, seen = SGD([nn.Parameter(torch.zeros(1))], lr=1.0), []
    scheduler = SWALR(optimizer, swa_lr=0.2, anneal_epochs=4, anneal_strategy=strategy)
    for _ in range(6):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    default = SWALR(SGD([nn.Parameter(torch.zeros(1))], lr=1.0), swa_lr=0.2)

    assert seen == pytest.approx([1.0, *middle, 0.2, 0.2])
    assert default.anneal_epochs == 10
    assert default.anneal_func(1 / 3) == pytest.approx(0.25)


def test_no_annealing_sets_the_rate_at_once():
    """``SWALR(anneal_epochs=0)`` sets ``lr`` to ``swa_lr`` when it is made; else making it leaves ``lr``.

    So make it when averaging begins, not at the start of the training.
    """
    found = {}
    for epochs in (0, 1):
        optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        scheduler = SWALR(optimizer, swa_lr=0.25, anneal_epochs=epochs)
        made = optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()
        found[epochs] = (made, optimizer.param_groups[0]["lr"])

    assert found == {0: (0.25, 0.25), 1: (1.0, 0.25)}


def test_it_starts_from_the_rate_it_finds():
    """``SWALR`` anneals from the ``lr`` of the time of its own steps, whatever other schedulers made of it.

    Step one scheduler up to an epoch and then the other: it counts its own steps alone.
    """
    optimizer, seen = SGD([nn.Parameter(torch.zeros(1))], lr=1.0), []
    first, second = ExponentialLR(optimizer, gamma=0.5), SWALR(optimizer, 0.125, 2, "linear")
    for epoch in range(5):
        optimizer.step()
        (first if epoch < 2 else second).step()
        seen.append(optimizer.param_groups[0]["lr"])

    assert seen == pytest.approx([0.5, 0.25, 0.1875, 0.125, 0.125])


def test_groups_have_rates_of_their_own():
    """``swa_lr`` of ``SWALR`` may be a list with a rate for each parameter group; it is written into the
    group.

    A list of another length raises ``ValueError``.
    """
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (1.0, 2.0)]
    optimizer = SGD(groups, lr=0.1)
    scheduler = SWALR(optimizer, swa_lr=[0.5, 0.25], anneal_epochs=1)
    optimizer.step()
    scheduler.step()

    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.25]
    assert [group["swa_lr"] for group in optimizer.param_groups] == [0.5, 0.25]
    with pytest.raises(ValueError, match=r"swa_lr must have the same length as optimizer\.param_groups"):
        SWALR(optimizer, swa_lr=[0.5])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"anneal_strategy": "exp"}, "anneal_strategy must b. one of 'cos' or 'linear', instead got exp"),
        ({"anneal_epochs": -1}, "anneal_epochs must be equal or greater than 0, got -1"),
        ({"anneal_epochs": 2.0}, "anneal_epochs must be equal or greater than 0, got 2.0"),
    ],
    ids=["strategy", "negative", "float"],
)
def test_what_is_no_annealing(options, message):
    """``SWALR`` raises ``ValueError`` for another ``anneal_strategy``, and a negative or float
    ``anneal_epochs``.
    """
    with pytest.raises(ValueError, match=message):
        SWALR(SGD([nn.Parameter(torch.zeros(1))], lr=1.0), swa_lr=0.2, **options)

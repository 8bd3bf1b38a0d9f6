"""Small batches instead of a large one: what has to be divided, and what is clipped when.

``backward()`` adds gradients up; that is in *accumulation*. Here is what it takes for the sum to be that of
the large batch.
"""

import pytest
import torch
from torch import nn


def test_mean_losses_add_up():
    """``backward()`` of 4 mean losses of equal batches gives 4 times the gradient of the whole: divide by 4.

    Without the division the learning rate of SGD is in effect 4 times as large.
    """
    net = nn.Linear(3, 2)
    x, y = torch.rand(8, 3), torch.rand(8, 2)
    nn.MSELoss()(net(x), y).backward()
    whole = net.weight.grad
    net.weight.grad = None
    for part, target in zip(x.chunk(4), y.chunk(4), strict=True):
        nn.MSELoss()(net(part), target).backward()

    assert torch.allclose(net.weight.grad, 4 * whole, atol=1e-6)

    net.weight.grad = None
    for part, target in zip(x.chunk(4), y.chunk(4), strict=True):
        (nn.MSELoss()(net(part), target) / 4).backward()

    assert torch.allclose(net.weight.grad, whole, atol=1e-6)


def test_clipping_once_or_each_time():
    """``clip_grad_norm_`` after each ``backward()`` is not the same as once before ``step()``.

    Each time clips the sum so far, so that the first batch counts less than the last. Accumulate first, clip
    once.
    """
    weight = nn.Parameter(torch.zeros(2))
    gradients = [torch.tensor([4.0, 0.0]), torch.tensor([0.0, 3.0])]
    found = []
    for each in (True, False):
        weight.grad = None
        for gradient in gradients:
            (weight * gradient).sum().backward()
            if each:
                nn.utils.clip_grad_norm_(weight, 1.0)
        nn.utils.clip_grad_norm_(weight, 1.0)
        found.append(weight.grad.tolist())

    assert found[0] == pytest.approx([0.1**0.5, 0.9**0.5], abs=1e-5)
    assert found[1] == pytest.approx([0.8, 0.6], abs=1e-5)


def test_adam_does_not_see_a_factor():
    """Ten times the loss hardly changes a step of ``Adam`` or ``AdamW``, but makes one of ``SGD`` ten times
    as long.

    Adam divides by the root of the mean square, ``eps`` aside. So a forgotten division by the number of
    batches shows with SGD, and with clipping, but not with Adam.
    """
    moved = {}
    for optimizer in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
        for factor in (1.0, 10.0):
            weight = nn.Parameter(torch.tensor([0.0, 0.0]))
            stepper = optimizer([weight], lr=0.5)
            (factor * (weight * torch.tensor([2.0, -3.0])).sum()).backward()
            stepper.step()
            moved[optimizer.__name__, factor] = weight.tolist()

    assert moved["SGD", 1.0] == [-1.0, 1.5]
    assert moved["SGD", 10.0] == [-10.0, 15.0]
    for name in ("Adam", "AdamW"):
        assert moved[name, 1.0] == pytest.approx([-0.5, 0.5])
        assert moved[name, 10.0] == pytest.approx([-0.5, 0.5])


def test_batch_norm_sees_the_small_batches():
    """``nn.BatchNorm1d`` normalizes each small batch by itself: gradients do not add up to the large one's.

    Its running statistics move once for each of them. ``nn.LayerNorm`` and ``nn.GroupNorm`` do not mix
    samples.
    """
    x = torch.randn(8, 3)
    target = torch.randn(8, 3)
    same = {}
    for layer in (nn.BatchNorm1d(3), nn.LayerNorm(3), nn.GroupNorm(1, 3)):
        nn.MSELoss(reduction="sum")(layer(x), target).backward()
        whole = layer.weight.grad
        layer.weight.grad = None
        for part, wanted in zip(x.chunk(4), target.chunk(4), strict=True):
            nn.MSELoss(reduction="sum")(layer(part), wanted).backward()
        same[type(layer).__name__] = torch.allclose(layer.weight.grad, whole, rtol=1e-4, atol=1e-5)
        if isinstance(layer, nn.BatchNorm1d):
            assert layer.num_batches_tracked.item() == 1 + 4

    assert same == {"BatchNorm1d": False, "LayerNorm": True, "GroupNorm": True}


def test_the_last_batches():
    """Gradients left over when an epoch ends go into the next ``step()`` unless ``zero_grad()`` is called.

    A loop that steps every 4 batches of 10 leaves two behind; ``zero_grad()`` only after ``step()`` keeps
    them.
    """
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    steps = []
    for _epoch in range(2):
        for batch in range(10):
            (weight * 1.0).sum().backward()
            if (batch + 1) % 4 == 0:
                steps.append(weight.grad.item())
                optimizer.step()
                optimizer.zero_grad()

    assert steps == [4.0, 4.0, 6.0, 4.0]
    assert weight.grad.item() == 2.0

"""Weight decay: what each optimizer makes of ``weight_decay``.

A penalty on the weights can be part of the gradient, or a step of its own. For plain SGD that is the same.
"""

import pytest
import torch
from torch import nn


def test_decay_of_sgd_is_a_penalty():
    """``SGD(weight_decay=d)`` trains as with ``d / 2 * (weight ** 2).sum()`` added to the loss.

    The gradient that it shows in ``grad`` stays without the penalty.
    """
    trained = []
    for decay, penalty in [(0.5, 0.0), (0.0, 0.5)]:
        weight = nn.Parameter(torch.tensor([4.0, -2.0]))
        optimizer = torch.optim.SGD([weight], lr=0.25, momentum=0.5, weight_decay=decay)
        for _step in range(3):
            optimizer.zero_grad()
            (weight.sum() + penalty / 2 * (weight**2).sum()).backward()
            optimizer.step()
        trained.append(weight.tolist())
        shown = weight.grad.tolist()
        assert (shown == [1.0, 1.0]) is (decay > 0)

    assert trained[0] == pytest.approx(trained[1])


def test_decay_of_adam_is_in_the_gradient():
    """``Adam`` adds ``weight_decay * weight`` to the gradient; ``AdamW`` shrinks the weight by itself.

    Adam divides the penalty by the size of the gradient, as it does with everything, so that large gradients
    hide it. See :issue:`38767`.
    """
    found = {}
    for optimizer in (torch.optim.Adam, torch.optim.AdamW):
        for decay in (0.0, 0.5):
            weight = nn.Parameter(torch.tensor([4.0, 4.0]))
            stepper = optimizer([weight], lr=0.125, weight_decay=decay)
            weight.grad = torch.tensor([-1.0, -1000.0])
            stepper.step()
            found[optimizer.__name__, decay] = weight.tolist()

    assert found["Adam", 0.0] == pytest.approx([4.0 + 0.125] * 2)
    assert found["Adam", 0.5] == pytest.approx([4.0 - 0.125, 4.0 + 0.125])
    assert found["AdamW", 0.0] == pytest.approx([4.0 + 0.125] * 2)
    assert found["AdamW", 0.5] == pytest.approx([4.0 * (1 - 0.125 * 0.5) + 0.125] * 2)


def test_decay_alone():
    """With a gradient of zero, ``AdamW`` shrinks a weight by ``lr * weight_decay``, ``Adam`` moves it by
    ``lr``.

    With a gradient of ``None`` neither does anything.
    """
    found = {}
    for optimizer in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
        weight = nn.Parameter(torch.tensor([4.0, -0.5]))
        idle = nn.Parameter(torch.tensor([4.0]))
        stepper = optimizer([weight, idle], lr=0.125, weight_decay=0.5)
        weight.grad = torch.zeros(2)
        stepper.step()
        found[optimizer.__name__] = weight.tolist()
        assert idle.item() == 4.0

    assert found == {
        "SGD": pytest.approx([4.0 * 0.9375, -0.5 * 0.9375]),
        "Adam": pytest.approx([4.0 - 0.125, -0.5 + 0.125]),
        "AdamW": pytest.approx([4.0 * 0.9375, -0.5 * 0.9375]),
    }


def test_defaults_of_weight_decay():
    """``weight_decay`` is 0.01 in ``AdamW`` by default, and 0 in ``Adam``, ``SGD`` and most others."""
    weight = [nn.Parameter(torch.zeros(1))]
    optim = torch.optim
    found = {
        kind.__name__: kind(weight, lr=0.1).defaults["weight_decay"]
        for kind in (
            optim.AdamW,
            optim.Adam,
            optim.SGD,
            optim.RMSprop,
            optim.Adagrad,
            optim.NAdam,
            optim.RAdam,
        )
    }

    assert found.pop("AdamW") == 0.01
    assert set(found.values()) == {0}
    with pytest.raises(ValueError, match=r"Invalid weight_decay value: -0\.1"):
        optim.SGD(weight, lr=0.1, weight_decay=-0.1)


def test_decay_and_the_learning_rate():
    """The decay of ``AdamW`` and ``SGD`` goes with the learning rate: a rate of 0 decays nothing."""
    for optimizer in (torch.optim.SGD, torch.optim.AdamW):
        for rate in (0.0, 0.25, 0.5):
            weight = nn.Parameter(torch.tensor([4.0]))
            stepper = optimizer([weight], lr=rate, weight_decay=0.5)
            weight.grad = torch.zeros(1)
            stepper.step()

            assert weight.item() == 4.0 * (1 - rate * 0.5)


def test_a_penalty_of_absolute_values():
    """``weight_decay`` knows no L1 penalty: add ``weight.abs().sum()`` to the loss; its slope at 0 is 0.

    Plain steps overshoot zero instead of staying there, so such weights become small, not exactly 0.
    """
    weight = nn.Parameter(torch.tensor([0.5, 0.0, -0.125]))
    optimizer = torch.optim.SGD([weight], lr=0.25)
    seen = []
    for _step in range(3):
        optimizer.zero_grad()
        weight.abs().sum().backward()
        optimizer.step()
        seen.append(weight.tolist())

    assert seen == [[0.25, 0.0, 0.125], [0.0, 0.0, -0.125], [0.0, 0.0, 0.125]]

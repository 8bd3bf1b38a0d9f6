"""Optimizers that divide by the gradients of the past, and others: what they compute.

Adagrad sums up squares, RMSprop takes a mean of them, Adadelta also one of its own steps; Rprop looks at
signs alone. What Adam makes of both means is in *adam_moments*.
"""

import math

import pytest
import torch
from torch import nn
from torch.optim import ASGD, Adadelta, Adagrad, RMSprop, Rprop


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_adagrad_sums_up_squares(foreach):
    """``Adagrad`` divides each gradient by the root of the ``sum`` of all squares so far: steps get shorter.

    The first step is ``lr``. ``initial_accumulator_value`` is what the sum begins with.
    """
    found = {}
    for start in (0.0, 16.0):
        weight, seen = nn.Parameter(torch.zeros(2)), []
        optimizer = Adagrad([weight], lr=1.0, initial_accumulator_value=start, foreach=foreach)
        for grad in (3.0, -4.0):
            before, weight.grad = weight[0].item(), torch.tensor([grad, 7.0])
            optimizer.step()
            seen.append((optimizer.state[weight]["sum"][0].item(), before - weight[0].item()))
        found[start] = seen

    assert found[0.0] == [pytest.approx((9.0, 3 / 3)), pytest.approx((25.0, -4 / 5))]
    assert found[16.0] == [pytest.approx((25.0, 3 / 5)), pytest.approx((41.0, -4 / math.sqrt(41)))]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_adagrad_lowers_its_rate(foreach):
    """``lr_decay`` of ``Adagrad`` divides the rate by ``1 + (step - 1) * lr_decay``; ``lr`` stays as it is.

    So the first step is made with ``lr``.
    """
    weight, seen = nn.Parameter(torch.zeros(2)), []
    optimizer = Adagrad([weight], lr=1.0, lr_decay=0.5, foreach=foreach)
    for grad in (3.0, 4.0, 12.0):
        before, weight.grad = weight[0].item(), torch.tensor([grad, 7.0])
        optimizer.step()
        seen.append(before - weight[0].item())

    assert seen == pytest.approx([1.0, (4 / 5) / 1.5, (12 / 13) / 2])
    assert optimizer.param_groups[0]["lr"] == 1.0


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_rmsprop_does_not_correct(foreach):
    """The first step of ``RMSprop`` is ``lr / sqrt(1 - alpha)``, by default ten times ``lr``.

    ``square_avg`` begins at 0 and is not corrected for that, unlike the means of ``Adam``.
    """
    weight, seen = nn.Parameter(torch.zeros(2)), []
    optimizer = RMSprop([weight], lr=1.0, alpha=0.75, foreach=foreach)
    for grad in (2.0, -4.0):
        before, weight.grad = weight[0].item(), torch.tensor([grad, 7.0])
        optimizer.step()
        seen.append((optimizer.state[weight]["square_avg"][0].item(), before - weight[0].item()))
    default = nn.Parameter(torch.tensor([0.0]))
    default.grad = torch.tensor([3.0])
    RMSprop([default], lr=0.25, foreach=foreach).step()

    assert seen == [pytest.approx((1.0, 2.0)), pytest.approx((4.75, -4 / math.sqrt(4.75)))]
    assert default.item() == pytest.approx(-2.5)


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_rmsprop_may_be_centered(foreach):
    """``RMSprop(centered=True)`` divides by the root of ``square_avg - grad_avg ** 2``, which is smaller."""
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([2.0, 7.0])
    optimizer = RMSprop([weight], lr=1.0, alpha=0.75, centered=True, foreach=foreach)
    optimizer.step()
    state = optimizer.state[weight]

    assert (state["square_avg"][0].item(), state["grad_avg"][0].item()) == (1.0, 0.5)
    assert weight[0].item() == pytest.approx(-2 / math.sqrt(1 - 0.25))


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_rmsprop_may_have_momentum(foreach):
    """``RMSprop(momentum=m)`` adds up the divided gradients in ``momentum_buffer``, without the rate."""
    weight, seen = nn.Parameter(torch.zeros(2)), []
    optimizer = RMSprop([weight], lr=1.0, alpha=0.75, momentum=0.5, foreach=foreach)
    for rate, grad in [(1.0, 2.0), (0.5, -4.0)]:
        optimizer.param_groups[0]["lr"] = rate
        before, weight.grad = weight[0].item(), torch.tensor([grad, 7.0])
        optimizer.step()
        seen.append((optimizer.state[weight]["momentum_buffer"][0].item(), before - weight[0].item()))

    second = 0.5 * 2.0 - 4 / math.sqrt(4.75)
    assert seen == [pytest.approx((2.0, 2.0)), pytest.approx((second, second / 2))]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_where_epsilon_goes(foreach):
    """``RMSprop`` and ``Adagrad`` add ``eps`` to the root of the squares, ``Adadelta`` before it takes the
    root.

    TensorFlow's RMSprop adds it below the root, too: for the same steps, take the root of that ``eps``.
    """
    found = []
    for make, options in [(RMSprop, {"alpha": 0.75}), (Adagrad, {}), (Adadelta, {"rho": 0.75})]:
        weight = nn.Parameter(torch.zeros(2))
        weight.grad = torch.tensor([2.0, 7.0])
        make([weight], lr=1.0, eps=3.0, foreach=foreach, **options).step()
        found.append(-weight[0].item())

    assert found == pytest.approx([2 / (1 + 3), 2 / (2 + 3), 2 * math.sqrt(0 + 3) / math.sqrt(1 + 3)])


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_adadelta_divides_by_its_own_steps(foreach):
    """``Adadelta`` multiplies gradients by the root of ``acc_delta``, its squared steps, over ``square_avg``.

    With ``lr=1.0`` and ``eps=1e-6``, the defaults, it begins with steps of 0.003, whatever the gradient is.
    """
    weight, seen = nn.Parameter(torch.zeros(2)), []
    optimizer = Adadelta([weight], lr=1.0, rho=0.75, eps=1.0, foreach=foreach)
    for grad in (2.0, 2.0):
        before, weight.grad = weight[0].item(), torch.tensor([grad, 7.0])
        optimizer.step()
        seen.append((optimizer.state[weight]["acc_delta"][0].item(), before - weight[0].item()))
    default = nn.Parameter(torch.tensor([0.0, 0.0]))
    default.grad = torch.tensor([3.0, 300.0])
    Adadelta([default], foreach=foreach).step()

    first, second = 2 * math.sqrt(1 / 2), 2 * math.sqrt(1.5 / 2.75)
    expected = [(0.25 * first**2, first), (0.75 * 0.25 * first**2 + 0.25 * second**2, second)]
    assert seen == [pytest.approx(pair) for pair in expected]
    assert default.tolist() == pytest.approx([-0.00316, -0.00316], rel=1e-2)


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_rprop_looks_at_signs(foreach):
    """``Rprop`` steps by ``lr``, then 1.2 times that while the sign stays; where it turns, it waits and
    halves.

    The size of a gradient does not matter, so it is for whole data sets and not for batches. ``etas`` are the
    two factors.
    """
    weight, seen = nn.Parameter(torch.zeros(2)), []
    optimizer = Rprop([weight], lr=1.0, foreach=foreach)
    for grad in (3.0, 500.0, -2.0, -2.0, 0.0, -2.0):
        before, weight.grad = weight[0].item(), torch.tensor([grad, 7.0])
        optimizer.step()
        seen.append((optimizer.state[weight]["step_size"][0].item(), before - weight[0].item()))

    expected = [(1.0, 1.0), (1.2, 1.2), (0.6, 0.0), (0.6, -0.6), (0.6, 0.0), (0.6, -0.6)]
    assert seen == [pytest.approx(pair, abs=1e-6) for pair in expected]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_rprop_keeps_steps_within_bounds(foreach):
    """``step_sizes`` of ``Rprop`` bound its steps, also the first one; a new ``lr`` later does nothing."""
    weight, seen = nn.Parameter(torch.zeros(2)), []
    optimizer = Rprop([weight], lr=1.0, etas=(0.25, 2.0), step_sizes=(0.5, 3.0), foreach=foreach)
    for rate, grad in [(1.0, 2.0), (1.0, 2.0), (9.0, 2.0), (9.0, -2.0), (9.0, -2.0), (9.0, 2.0)]:
        optimizer.param_groups[0]["lr"] = rate
        before, weight.grad = weight[0].item(), torch.tensor([grad, 7.0])
        optimizer.step()
        seen.append(before - weight[0].item())
    far = nn.Parameter(torch.tensor([0.0]))
    far.grad = torch.tensor([2.0])
    Rprop([far], lr=9.0, step_sizes=(0.5, 3.0), foreach=foreach).step()

    assert seen == [1.0, 2.0, 3.0, 0.0, -0.75, 0.0]
    assert optimizer.state[weight]["step_size"][0].item() == 0.5
    assert far.item() == -3.0


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_asgd_averages_beside_the_weights(foreach):
    """``ASGD`` steps like ``SGD``; the averaged weights are in its state as ``ax``, from step ``t0`` on.

    The module never sees them: copy them into the weights by hand. By default ``t0`` is a million.
    """
    found = {}
    for options in ({"t0": 0, "lambd": 0.0}, {"lambd": 0.0}):
        weight, seen = nn.Parameter(torch.tensor([0.0])), []
        optimizer = ASGD([weight], lr=1.0, foreach=foreach, **options)
        for _ in range(4):
            weight.grad = torch.tensor([2.0])
            optimizer.step()
            seen.append((weight.item(), optimizer.state[weight]["ax"].item()))
        found["t0" in options] = seen

    assert found[True] == [(-2.0, -2.0), (-4.0, -4.0), (-6.0, -5.0), (-8.0, -6.0)]
    assert found[False] == [(-2.0, -2.0), (-4.0, -4.0), (-6.0, -6.0), (-8.0, -8.0)]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_asgd_shrinks_weights_and_rate(foreach):
    """``ASGD`` also multiplies weights by ``1 - lambd * eta``; ``eta`` is ``lr / (1 + lambd * lr * step) **
    alpha``.

    The first step is made with ``lr`` itself. By default ``lambd`` is 0.0001 and ``alpha`` 0.75.
    """
    weight, seen = nn.Parameter(torch.tensor([8.0])), []
    optimizer = ASGD([weight], lr=0.5, lambd=0.5, alpha=1.0, foreach=foreach)
    for _ in range(2):
        weight.grad = torch.tensor([1.0])
        optimizer.step()
        seen.append((weight.item(), optimizer.state[weight]["eta"].item()))

    first = 8.0 * (1 - 0.5 * 0.5) - 0.5
    assert seen == [pytest.approx((first, 0.4)), pytest.approx((first * (1 - 0.5 * 0.4) - 0.4, 0.5 / 1.5))]

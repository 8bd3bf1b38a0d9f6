"""NaN and infinity in gradients: where they come from, and how far they go.

A gradient of infinity times 0 is NaN, and one NaN in a gradient is enough to spoil a weight for good.
"""

import math

import pytest
import torch
from torch import nn


def test_slopes_that_are_infinite():
    """``torch.sqrt`` and ``torch.log`` have an infinite gradient at 0: NaN if it is multiplied by 0.

    Add a small number before the root. ``clamp(min=...)`` works too, with a gradient of 0 below the bound.
    """
    zero = torch.zeros(1, requires_grad=True)

    assert torch.autograd.grad(torch.sqrt(zero), zero)[0].item() == math.inf
    assert torch.autograd.grad(torch.log(zero), zero)[0].item() == math.inf
    assert math.isnan(torch.autograd.grad(torch.sqrt(zero) * 0, zero)[0].item())
    assert math.isnan(torch.autograd.grad(torch.log(zero) * 0, zero)[0].item())
    assert math.isnan(torch.autograd.grad(torch.sqrt(zero**2), zero)[0].item())
    assert torch.autograd.grad(torch.sqrt(zero + 0.25), zero)[0].item() == 1.0
    assert torch.autograd.grad(torch.sqrt(zero.clamp(min=0.25)), zero)[0].item() == 0.0


def test_norms_and_deviations_at_zero():
    """The gradient of ``norm()`` at the zero vector is 0, not NaN; so is that of ``std()`` of equal values.

    ``std()`` of one value is NaN, and so is its gradient.
    """
    zeros = torch.zeros(3, requires_grad=True)
    equal, one = torch.full((2,), 5.0, requires_grad=True), torch.ones(1, requires_grad=True)

    assert torch.autograd.grad(zeros.norm(), zeros)[0].tolist() == [0.0, 0.0, 0.0]
    assert torch.autograd.grad(torch.linalg.vector_norm(zeros), zeros)[0].tolist() == [0.0, 0.0, 0.0]
    assert torch.autograd.grad(zeros.std(), zeros)[0].tolist() == [0.0, 0.0, 0.0]
    assert torch.autograd.grad(equal.std(), equal)[0].tolist() == [0.0, 0.0]
    assert math.isnan(one.std().item())
    assert math.isnan(torch.autograd.grad(one.std(), one)[0].item())


def test_where_does_not_keep_nan_out():
    """``torch.where(x > 0, torch.sqrt(x), x)`` has NaN gradients where ``x`` is negative, though not chosen.

    Its gradient is 0 for the branch that was not chosen, and 0 times NaN is NaN. Choose before the root, so
    that it gets a harmless value. See :issue:`187297`.
    """
    x = torch.tensor([-1.0, 4.0], requires_grad=True)
    out = torch.where(x > 0, torch.sqrt(x), x)
    safe = torch.where(x > 0, torch.sqrt(torch.where(x > 0, x, 1.0)), x)

    assert out.tolist() == [-1.0, 2.0]
    assert str(torch.autograd.grad(out.sum(), x)[0].tolist()) == "[nan, 0.25]"
    assert safe.tolist() == [-1.0, 2.0]
    assert torch.autograd.grad(safe.sum(), x)[0].tolist() == [1.0, 0.25]


def test_masks_after_nan():
    """A mask or ``nan_to_num`` on a loss that is NaN makes its value finite, but its gradient stays NaN.

    So it is with an index, with ``masked_fill`` and with a product by 0, where the value is NaN as well.
    """
    keep = torch.tensor([False, True])
    found = []
    for masked in (
        lambda loss: torch.nan_to_num(loss),
        lambda loss: loss.masked_fill(~keep, 0.0),
        lambda loss: loss[keep],
        lambda loss: loss * keep,
    ):
        x = torch.tensor([-1.0, 4.0], requires_grad=True)
        total = masked(torch.sqrt(x)).sum()
        total.backward()
        found.append((total.item(), str(x.grad.tolist())))

    assert found[:3] == [(2.0, "[nan, 0.25]")] * 3
    assert str(found[3]) == "(nan, '[nan, 0.25]')"


def test_a_masked_row_of_a_layer():
    """A row of NaN in a batch spoils the weights of ``nn.Linear`` even if its loss is masked out.

    The gradient of the weight is a sum over rows of output gradient times input, and 0 times NaN is NaN. Take
    the row out of the input, or put zeros there.
    """
    layer = nn.Linear(2, 1, bias=False)
    batch = torch.tensor([[1.0, 2.0], [math.nan, 3.0]])
    layer(batch)[:1].sum().backward()

    assert str(layer.weight.grad.tolist()) == "[[nan, 2.0]]"

    layer.zero_grad()
    layer(torch.nan_to_num(batch))[:1].sum().backward()

    assert layer.weight.grad.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_a_step_with_nan(optimizer):
    """An optimizer's ``step()`` with a NaN gradient makes the weight NaN, which no later step mends.

    Adam keeps NaN in its averages as well, so that loading good weights alone is not enough there.
    """
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    stepper = optimizer([weight], lr=0.1)
    weight.grad = torch.tensor([math.nan, 1.0])
    stepper.step()
    weight.grad = torch.tensor([1.0, 1.0])
    stepper.step()

    assert torch.isnan(weight).tolist() == [True, False]

    with torch.no_grad():
        weight.copy_(torch.tensor([1.0, 2.0]))
    stepper.step()

    assert torch.isnan(weight).tolist() == [optimizer is torch.optim.AdamW, False]


def test_anomaly_mode_names_the_function():
    """In ``torch.autograd.set_detect_anomaly(True)``, ``backward()`` raises where NaN comes up first.

    Infinity is not reported, nor is a NaN that forward made. ``check_nan=False`` leaves the search out.
    """
    x = torch.zeros(2, requires_grad=True)
    with torch.autograd.set_detect_anomaly(True):
        out = (torch.sqrt(x) * 0).sum()
        with (
            pytest.warns(UserWarning, match="Error detected in SqrtBackward0"),
            pytest.raises(
                RuntimeError, match="Function 'SqrtBackward0' returned nan values in its 0th output"
            ),
        ):
            out.backward()
        torch.sqrt(x).sum().backward()

    assert x.grad.tolist() == [math.inf, math.inf]

    x.grad = None
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        (torch.sqrt(x) * 0).sum().backward()

    assert str(x.grad.tolist()) == "[nan, nan]"

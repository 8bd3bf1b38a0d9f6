"""Adafactor: an optimizer that keeps a row and a column for each matrix.

:class:`torch.optim.Adafactor` steps relative to the size of the weight, and remembers less than Adam.
"""

import math

import pytest
import torch
from torch import nn


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
@pytest.mark.since("2.5")
def test_steps_are_relative(foreach):
    """The first step of ``torch.optim.Adafactor`` moves each element by ``lr`` times the RMS of the weight.

    The root mean square is that of the whole tensor, and at least 0.001, the second of ``eps``: a weight of
    zeros barely moves, while ``Adam`` with that ``lr`` would step by ``lr``. See
    :class:`torch.optim.Adafactor`.
    """
    starts = torch.tensor([[2.0, 2.0], [7.0, 1.0], [0.0, 0.0]])
    weights = [nn.Parameter(start.clone()) for start in starts]
    for weight in weights:
        weight.grad = torch.tensor([3.0, -400.0])
    torch.optim.Adafactor(weights, lr=0.5, foreach=foreach).step()
    found = [(start - weight).tolist() for start, weight in zip(starts, weights, strict=True)]

    assert found[0] == pytest.approx([1.0, -1.0])
    assert found[1] == pytest.approx([2.5, -2.5])
    assert found[2] == pytest.approx([0.0005, -0.0005])


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
@pytest.mark.since("2.5")
def test_the_rate_falls_by_itself(foreach):
    """``torch.optim.Adafactor`` takes ``1 / sqrt(step)`` for the rate where that is smaller than ``lr``.

    With the default of 0.01 that begins after 10,000 steps. See :class:`torch.optim.Adafactor`.
    """
    weight, seen = nn.Parameter(torch.tensor([2.0])), []
    optimizer = torch.optim.Adafactor([weight], lr=0.6, foreach=foreach)
    for _ in range(4):
        before, weight.grad = weight.item(), torch.tensor([-3.0])
        optimizer.step()
        seen.append((weight.item() - before) / before)

    assert seen == pytest.approx([0.6, 0.6, 1 / math.sqrt(3), 1 / math.sqrt(4)])
    assert optimizer.param_groups[0]["lr"] == 0.6
    assert torch.optim.Adafactor([weight]).param_groups[0]["lr"] == 0.01


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
@pytest.mark.since("2.5")
def test_a_row_and_a_column_stand_for_a_matrix(foreach):
    """``torch.optim.Adafactor`` keeps ``row_var`` and ``col_var`` of a matrix, means of the squared
    gradients.

    Their product, over the mean of the rows, is what ``Adam`` keeps for each element; it is exact for a
    gradient of rank 1 alone. See :class:`torch.optim.Adafactor`.
    """
    found = []
    for grad in ([[1.0, 2.0, 2.0], [2.0, 4.0, 4.0]], [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]):
        weight = nn.Parameter(torch.full((2, 3), 2.0))
        optimizer = torch.optim.Adafactor([weight], lr=0.5, d=10.0, foreach=foreach)
        weight.grad = torch.tensor(grad)
        optimizer.step()
        state = optimizer.state[weight]
        found.append((state["row_var"].tolist(), state["col_var"].tolist(), (2.0 - weight).tolist()))

    assert sorted(state) == ["col_var", "row_var", "step"]
    assert found[0][0] == [pytest.approx([3.0]), pytest.approx([12.0])]
    assert found[0][1] == [pytest.approx([2.5, 10.0, 10.0])]
    assert found[0][2] == [pytest.approx([1.0, 1.0, 1.0])] * 2
    large = 1 / math.sqrt((1 / 3) * (1 / 2) / (1 / 3))
    assert found[1][2] == [pytest.approx([large, 0.0, 0.0]), pytest.approx([0.0, 0.0, -large])]


@pytest.mark.since("2.5")
def test_what_adafactor_keeps_for_shapes():
    """``torch.optim.Adafactor`` keeps a full ``variance`` of a bias, and rows and columns of a convolution.

    They run along the last two dimensions of the kernel.

    That of a linear layer is small, but that of a 3 by 3 convolution is two thirds of the weight, and there
    is no momentum. See :class:`torch.optim.Adafactor`.
    """
    layers = [nn.Linear(5, 4), nn.Conv2d(2, 4, 3, bias=False)]
    optimizer = torch.optim.Adafactor([p for layer in layers for p in layer.parameters()])
    for parameter in (p for layer in layers for p in layer.parameters()):
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    shapes = [{key: list(value.shape) for key, value in each.items()} for each in optimizer.state.values()]

    assert shapes[0] == {"step": [], "row_var": [4, 1], "col_var": [1, 5]}
    assert shapes[1] == {"step": [], "variance": [4]}
    assert shapes[2] == {"step": [], "row_var": [4, 2, 3, 1], "col_var": [4, 2, 1, 3]}


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
@pytest.mark.since("2.5")
def test_large_updates_are_bounded(foreach):
    """``torch.optim.Adafactor`` scales an update down whose root mean square is above ``d``, by default 1.

    A gradient much larger than those before it would else make a long step. See
    :class:`torch.optim.Adafactor`.
    """
    found = {}
    for bound in (1.0, 10.0):
        weight = nn.Parameter(torch.tensor([2.0, 2.0]))
        optimizer = torch.optim.Adafactor([weight], lr=0.25, d=bound, foreach=foreach)
        for grad in ([1.0, 1.0], [-100.0, 1.0]):
            before, weight.grad = weight.detach().clone(), torch.tensor(grad)
            optimizer.step()
        found[bound] = ((weight - before) / before).tolist()

    large = 100 / math.sqrt(1 + 2**-0.8 * (100**2 - 1))
    size = math.sqrt((large**2 + 1) / 2)
    assert found[1.0] == pytest.approx([0.25 * large / size, -0.25 / size])
    assert found[10.0] == pytest.approx([0.25 * large, -0.25])


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
@pytest.mark.since("2.5")
def test_adafactor_decays_apart(foreach):
    """``weight_decay`` of ``torch.optim.Adafactor`` multiplies the weight by ``1 - lr * weight_decay``.

    It is 0 by default. See :class:`torch.optim.Adafactor`.
    """
    weight = nn.Parameter(torch.tensor([4.0]))
    optimizer = torch.optim.Adafactor([weight], lr=1.0, weight_decay=0.25, foreach=foreach)
    weight.grad = torch.tensor([0.0])
    for expected in (3.0, 2.25, 1.6875):
        optimizer.step()
        assert weight.tolist() == [expected]
    assert torch.optim.Adafactor([weight]).param_groups[0]["weight_decay"] == 0.0

"""Freezing a part of a tensor: some rows of a weight, a triangle of it, a few filters.

Whether a gradient is wanted is said of a tensor as a whole. So a part stands still either because something
puts it back, or because it is no part of the parameter at all.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

OPTIMIZERS = [
    pytest.param(lambda p: torch.optim.SGD(p, lr=0.5), id="SGD"),
    pytest.param(lambda p: torch.optim.SGD(p, lr=0.5, momentum=0.9, weight_decay=0.25), id="decay"),
    pytest.param(lambda p: torch.optim.AdamW(p, lr=0.5, weight_decay=0.25), id="AdamW"),
]


def test_an_element_has_no_flag_of_its_own():
    """``weight[0].requires_grad = False`` raises ``RuntimeError``; on ``weight.data[0]`` it freezes nothing.

    Indexing makes a new tensor each time, and the flag is of that one. Rows, filters or masked elements have
    no flag: mask the weight or its gradient, put values back, or join the weight of two tensors.
    """
    layer = nn.Linear(2, 2, bias=False)
    mask = torch.tensor([[True, False], [True, True]])

    with pytest.raises(RuntimeError, match="only change requires_grad flags of leaf variables"):
        layer.weight[0].requires_grad = False
    with pytest.raises(RuntimeError, match="only change requires_grad flags of leaf variables"):
        layer.weight[mask].requires_grad_(False)
    layer.weight.data[0].requires_grad = False
    layer.weight.data[mask].requires_grad = False
    layer(torch.tensor([[5.0, 7.0]])).sum().backward()
    assert layer.weight.grad.tolist() == [[5.0, 7.0], [5.0, 7.0]]


def test_an_optimizer_takes_no_part_of_a_parameter():
    """An optimizer raises ``ValueError`` for ``weight[:1]``, and with ``weight.data[:1]`` it trains nothing.

    The former is no leaf. The latter is a tensor of its own on the same memory, which never gets a gradient.
    """
    layer = nn.Linear(2, 2, bias=False)
    before = layer.weight.tolist()

    with pytest.raises(ValueError, match="can't optimize a non-leaf Tensor"):
        torch.optim.SGD([layer.weight[:1]], lr=0.5)
    optimizer = torch.optim.SGD([layer.weight.data[:1]], lr=0.5)
    layer(torch.tensor([[2.0, 4.0]])).sum().backward()
    optimizer.step()

    assert layer.weight.tolist() == before


def test_a_masked_weight_has_a_masked_gradient():
    """A parameter that ``forward`` multiplies by a 0/1 mask has zero gradients where the mask is 0.

    Those elements take no part in the output either. The mask is best a buffer, so that it moves along. An
    optimizer with ``weight_decay`` or momentum may still change the parameter there, which nobody sees.
    """

    class Triangle(nn.Linear):
        def __init__(self):
            super().__init__(2, 2, bias=False)
            self.register_buffer("mask", torch.ones(2, 2).tril())

        def forward(self, x):
            return nn.functional.linear(x, self.weight * self.mask)

    layer = Triangle()
    output = layer(torch.tensor([[5.0, 7.0]]))
    output.sum().backward()

    assert layer.weight.grad.tolist() == [[5.0, 0.0], [5.0, 7.0]]
    layer.weight.data[0, 1] = 100.0
    assert torch.equal(layer(torch.tensor([[5.0, 7.0]])), output)


@pytest.mark.parametrize("way", ["a hook", "grad itself"])
def test_a_masked_gradient_leaves_the_rest(way):
    """Plain ``SGD`` does not change elements whose gradient a ``register_hook`` hook sets to zero.

    So it is for ``grad`` itself, set to zero before ``step()``. This is so without ``weight_decay`` and
    without momentum only: see below. A hook of :meth:`torch.Tensor.register_hook` is called with each
    gradient, and is to return a new tensor.
    """
    layer, mask = nn.Linear(2, 2, bias=False), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    nn.init.constant_(layer.weight, 3.0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    if way == "a hook":
        layer.weight.register_hook(lambda gradient: gradient * mask)

    for values in ([[2.0, 3.0], [3.0, 1.0]], [[1.0, 3.0], [3.0, -1.0]]):
        optimizer.zero_grad()
        layer(torch.tensor([[2.0, 4.0]])).sum().backward()
        if way == "grad itself":
            layer.weight.grad *= mask
        optimizer.step()
        assert layer.weight.tolist() == values


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_weight_decay_moves_what_has_a_masked_gradient(kind):
    """``weight_decay`` shrinks elements whose gradient is zero by a mask, as it does all others.

    So rows that are "frozen" by a hook shrink step by step. Put the parameter into a group of its own with
    ``weight_decay=0``, or put the values back.
    """
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    layer.weight.register_hook(lambda gradient: gradient * torch.tensor([[1.0, 0.0]]))
    optimizer = kind(layer.parameters(), lr=0.5, weight_decay=0.25)

    for step in (1, 2):
        layer(torch.tensor([[0.0, 4.0]])).sum().backward()
        optimizer.step()
        assert layer.weight.tolist() == [[3.0 * (1 - 0.5 * 0.25) ** step] * 2]


@pytest.mark.parametrize("kind", [lambda p: torch.optim.SGD(p, lr=0.5, momentum=0.9), torch.optim.Adam])
def test_momentum_moves_what_is_masked_later(kind):
    """``SGD`` with momentum and ``Adam`` go on moving elements whose gradients are masked later in training.

    What they remember of earlier gradients counts. With an optimizer made anew, and masked from its first
    step on, the elements stay.
    """
    layer = nn.Linear(2, 1, bias=False)
    optimizer, values = kind(layer.parameters()), []
    for step in range(4):
        if step == 1:
            layer.weight.register_hook(lambda gradient: gradient * torch.tensor([[1.0, 0.0]]))
        if step == 2:
            optimizer = kind(layer.parameters())
        optimizer.zero_grad()
        layer(torch.tensor([[2.0, 4.0]])).sum().backward()
        optimizer.step()
        values.append(layer.weight[0, 1].item())

    assert values[1] < values[0]
    assert values[1] == values[2] == values[3]


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_values_may_be_put_back(make):
    """Rows that are copied back under ``no_grad`` after each ``step()`` of ``SGD`` or ``AdamW`` stay the
    same.

    The copy costs little. It writes into the parameter in place, so the optimizer still holds it.
    """
    layer = nn.Linear(2, 2, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    optimizer, kept = make(layer.parameters()), layer.weight[:1].detach().clone()

    for _ in range(2):
        optimizer.zero_grad()
        layer(torch.tensor([[2.0, 4.0]])).sum().backward()
        optimizer.step()
        with torch.no_grad():
            layer.weight[:1] = kept

    assert layer.weight[0].tolist() == [3.0, 3.0]
    assert layer.weight[1].tolist() != [3.0, 3.0]


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_a_parametrization_holds_elements(make):
    """A parametrization by :func:`torch.where` of the parameter and a buffer keeps chosen elements fixed.

    The layer stays what it is, ``weight`` gives the joined tensor, and no optimizer reaches the buffer. See
    :func:`~torch.nn.utils.parametrize.register_parametrization`.
    """

    class Hold(nn.Module):
        def __init__(self, weight, free):
            super().__init__()
            self.register_buffer("kept", weight.detach().clone())
            self.register_buffer("free", free)

        def forward(self, weight):
            return torch.where(self.free, weight, self.kept)

    layer = nn.Linear(2, 2, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    free = torch.tensor([[True, False], [False, True]])
    parametrize.register_parametrization(layer, "weight", Hold(layer.weight, free))
    optimizer = make(layer.parameters())
    for _ in range(2):
        layer(torch.tensor([[2.0, 4.0]])).sum().backward()
        optimizer.step()

    assert (layer.weight == 3.0).tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_a_weight_of_two_parameters(make):
    """If ``forward`` joins two parameters into a weight by :func:`torch.cat`, one of them can be frozen.

    For whole rows, such as new classes or new tokens beside old ones, it is the plainest way: each part is
    frozen, saved and given to an optimizer as any parameter.
    """

    class TwoParts(nn.Module):
        def __init__(self):
            super().__init__()
            self.old = nn.Parameter(torch.full((1, 2), 3.0), requires_grad=False)
            self.new = nn.Parameter(torch.full((2, 2), 5.0))

        def forward(self, x):
            return nn.functional.linear(x, torch.cat([self.old, self.new]))

    layer = TwoParts()
    optimizer = make(layer.parameters())
    for _ in range(2):
        layer(torch.tensor([[2.0, 4.0]])).sum().backward()
        optimizer.step()

    assert layer(torch.rand(4, 2)).shape == (4, 3)
    assert layer.old.tolist() == [[3.0, 3.0]]
    assert (layer.new == 5.0).tolist() == [[False, False], [False, False]]

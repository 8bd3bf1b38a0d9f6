"""Initial weights that let the input through: ``eye_`` and ``dirac_``.

Both make a layer pass its input on unchanged, as far as the sizes allow.
"""

import pytest
import torch
from torch import nn


def test_eye_is_the_identity_matrix():
    """:func:`~torch.nn.init.eye_` writes ones on the diagonal of a matrix, square or not, and zeros
    elsewhere.
    """
    weight = torch.full((2, 3), 50.0)

    result = nn.init.eye_(weight)

    assert result is weight
    assert weight.tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize("requires_grad", [True, False], ids=["trained", "frozen"])
def test_eye_keeps_requires_grad(requires_grad):
    """:func:`~torch.nn.init.eye_` leaves ``requires_grad`` as it is."""
    weight = nn.Parameter(torch.rand(2, 3), requires_grad)

    nn.init.eye_(weight)

    assert (weight.requires_grad, weight.is_leaf) == (requires_grad, True)


def test_eye_makes_a_linear_layer_the_identity():
    """An ``nn.Linear`` without bias and with an :func:`~torch.nn.init.eye_` weight returns its input."""
    layer, x = nn.Linear(3, 3, bias=False), torch.rand(2, 3)

    nn.init.eye_(layer.weight)

    assert layer(x).tolist() == x.tolist()


@pytest.mark.parametrize("sizes", [(3,), (2, 3, 4)], ids=["vector", "three dimensions"])
def test_eye_needs_a_matrix(sizes):
    """:func:`~torch.nn.init.eye_` raises ``ValueError`` for a tensor that does not have two dimensions."""
    with pytest.raises(ValueError, match="Only tensors with 2 dimensions are supported"):
        nn.init.eye_(torch.empty(sizes))


@pytest.mark.parametrize(
    ("sizes", "ones"),
    [
        ((2, 3, 5), [[0, 0, 2], [1, 1, 2]]),
        ((3, 2, 4, 7), [[0, 0, 2, 3], [1, 1, 2, 3]]),
        ((3, 2, 4, 7, 9), [[0, 0, 2, 3, 4], [1, 1, 2, 3, 4]]),
    ],
    ids=["one dimension", "two dimensions", "three dimensions"],
)
def test_dirac_has_a_one_in_the_middle(sizes, ones):
    """:func:`~torch.nn.init.dirac_` writes a one in the middle of each kernel from a channel to itself.

    All else is zero: an output channel without an input channel of its number stays silent.
    """
    weight = torch.full(sizes, 50.0)

    result = nn.init.dirac_(weight)

    assert result is weight
    assert weight.nonzero().tolist() == ones
    assert weight.sum().item() == 2.0


@pytest.mark.parametrize(
    ("sizes", "ones"),
    [
        ((6, 3, 5), [[0, 0, 2], [1, 1, 2], [2, 2, 2], [3, 0, 2], [4, 1, 2], [5, 2, 2]]),
        ((6, 2, 4, 7), [[0, 0, 2, 3], [1, 1, 2, 3], [3, 0, 2, 3], [4, 1, 2, 3]]),
        ((4, 3, 4, 7, 9), [[0, 0, 2, 3, 4], [1, 1, 2, 3, 4], [2, 0, 2, 3, 4], [3, 1, 2, 3, 4]]),
    ],
    ids=["one dimension", "two dimensions", "three dimensions"],
)
def test_dirac_in_groups(sizes, ones):
    """``nn.init.dirac_(weight, groups)`` writes its pattern once for each group of output channels."""
    weight = nn.init.dirac_(torch.full(sizes, 50.0), 2)

    assert weight.nonzero().tolist() == ones
    assert weight.sum().item() == len(ones)


def test_dirac_makes_a_convolution_the_identity():
    """A convolution with a :func:`~torch.nn.init.dirac_` weight and ``padding="same"`` returns its input.

    With more than one group give ``groups`` to both.
    """
    layer = nn.Conv2d(4, 4, 3, padding="same", groups=2, bias=False)
    x = torch.rand(2, 4, 5, 6)

    nn.init.dirac_(layer.weight, groups=2)

    assert torch.allclose(layer(x), x)
    assert layer.weight.requires_grad is True


@pytest.mark.parametrize("sizes", [(4, 4), (2, 2, 2, 2, 2, 2)], ids=["two", "six"])
def test_dirac_needs_a_kernel(sizes):
    """:func:`~torch.nn.init.dirac_` raises ``ValueError`` unless there are three, four or five dimensions."""
    with pytest.raises(ValueError, match="Only tensors with 3, 4, or 5 dimensions are supported"):
        nn.init.dirac_(torch.empty(sizes))


def test_groups_of_dirac_must_divide():
    """:func:`~torch.nn.init.dirac_` raises ``ValueError`` if the groups do not divide the first dimension."""
    with pytest.raises(ValueError, match="dim 0 must be divisible by groups"):
        nn.init.dirac_(torch.empty(5, 4, 3), groups=2)


def test_dirac_of_the_old_name():
    """:func:`~torch.nn.init.dirac` writes the pattern of :func:`~torch.nn.init.dirac_`, with a warning."""
    weight = torch.empty(2, 3, 5)

    with pytest.warns(Warning, match="nn.init.dirac`? is now deprecated in favor of `?nn.init.dirac_"):
        result = nn.init.dirac(weight)

    assert result is weight
    assert weight.nonzero().tolist() == [[0, 0, 2], [1, 1, 2]]

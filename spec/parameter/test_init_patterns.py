"""Initial weights that let the input through: ``eye_`` and ``dirac_``.

Both make a layer pass its input on unchanged, as far as the sizes allow.
"""

import pytest
import torch
from torch import nn


def test_eye_is_the_identity_matrix():
    """:func:`nn.init.eye_ <torch.nn.init.eye_>` fills a matrix, square or not, with ones on the diagonal
    and zeros elsewhere.
    """
    weight = torch.full((2, 3), 50.0)

    result = nn.init.eye_(weight)

    assert result is weight
    assert weight.tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert nn.init.eye_(torch.full((2, 2), 50.0)).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert nn.init.eye_(torch.full((3, 2), 50.0)).tolist() == [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize("requires_grad", [True, False], ids=["trained", "frozen"])
def test_eye_keeps_requires_grad(requires_grad):
    """:func:`nn.init.eye_ <torch.nn.init.eye_>` does not change ``requires_grad`` of the tensor."""
    for sizes in ((2, 3), (2, 2)):
        weight = nn.Parameter(torch.rand(sizes), requires_grad)

        nn.init.eye_(weight)

        assert (weight.requires_grad, weight.is_leaf) == (requires_grad, True)


def test_eye_makes_a_linear_layer_the_identity():
    """A square ``nn.Linear`` without bias whose weight is filled by
    :func:`nn.init.eye_ <torch.nn.init.eye_>` returns its input.
    """
    layer, x = nn.Linear(3, 3, bias=False), torch.rand(2, 3)

    nn.init.eye_(layer.weight)

    assert layer(x).tolist() == x.tolist()


@pytest.mark.parametrize("sizes", [(3,), (2, 3, 4)], ids=["vector", "three dimensions"])
def test_eye_needs_a_matrix(sizes):
    """:func:`nn.init.eye_ <torch.nn.init.eye_>` raises ``ValueError`` for a tensor that is not
    two-dimensional.
    """
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
    """:func:`nn.init.dirac_ <torch.nn.init.dirac_>` sets the middle of each kernel ``weight[i, i]`` to 1, and
    all other values to 0.

    An output channel without an input channel of the same number gives zeros.
    """
    weight = torch.full(sizes, 50.0)

    result = nn.init.dirac_(weight)

    assert result is weight
    assert weight.nonzero().tolist() == ones
    assert weight.sum().item() == 2.0


@pytest.mark.parametrize(
    ("sizes", "groups", "ones"),
    [
        ((6, 3, 5), 3, [[0, 0, 2], [1, 1, 2], [2, 0, 2], [3, 1, 2], [4, 0, 2], [5, 1, 2]]),
        ((6, 2, 4, 7), 2, [[0, 0, 2, 3], [1, 1, 2, 3], [3, 0, 2, 3], [4, 1, 2, 3]]),
        ((4, 3, 4, 7, 9), 2, [[0, 0, 2, 3, 4], [1, 1, 2, 3, 4], [2, 0, 2, 3, 4], [3, 1, 2, 3, 4]]),
    ],
    ids=["one dimension", "two dimensions", "three dimensions"],
)
def test_dirac_in_groups(sizes, groups, ones):
    """``nn.init.dirac_(weight, groups)`` repeats the Dirac pattern for each group of output channels."""
    weight = nn.init.dirac_(torch.full(sizes, 50.0), groups)

    assert weight.nonzero().tolist() == ones
    assert weight.sum().item() == len(ones)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("groups", [{}, {"groups": 2}], ids=["default", "groups"])
def test_dirac_makes_a_convolution_the_identity(groups, kernel):
    """``nn.Conv2d(c, c, 3, padding="same", groups=g, bias=False)`` returns its input after
    :func:`dirac_(weight, g) <torch.nn.init.dirac_>`.

    By default both have one group. So it is with any odd kernel size.
    """
    layer = nn.Conv2d(4, 4, kernel, padding="same", bias=False, **groups)
    x = torch.rand(2, 4, 5, 6)

    nn.init.dirac_(layer.weight, **groups)

    assert torch.allclose(layer(x), x)
    assert layer.weight.requires_grad is True


@pytest.mark.parametrize("kernel", [2, 4])
def test_dirac_of_an_even_kernel_shifts(kernel):
    """``nn.Conv1d`` of an even kernel and ``padding="same"`` shifts its input by one after
    :func:`~torch.nn.init.dirac_`.

    An even kernel has no middle: the one is behind it, and a dilation of 3 makes that a shift by two. Odd
    kernels preserve the input.
    """
    even = nn.Conv1d(1, 1, kernel, padding="same", bias=False)
    odd = nn.Conv1d(1, 1, kernel + 1, padding="same", bias=False)
    wide = nn.Conv1d(1, 1, kernel, padding="same", dilation=3, bias=False)
    x = torch.tensor([[[2.0, 3.0, 5.0, 7.0]]])

    for layer in (even, odd, wide):
        nn.init.dirac_(layer.weight)

    assert even(x).tolist() == [[[3.0, 5.0, 7.0, 0.0]]]
    assert wide(x).tolist() == [[[5.0, 7.0, 0.0, 0.0]]]
    assert odd(x).tolist() == [[[2.0, 3.0, 5.0, 7.0]]]


@pytest.mark.parametrize("sizes", [(4, 4), (2, 2, 2, 2, 2, 2)], ids=["two", "six"])
def test_dirac_needs_a_kernel(sizes):
    """:func:`nn.init.dirac_ <torch.nn.init.dirac_>` raises ``ValueError`` for a tensor that does not have
    3, 4 or 5 dimensions.
    """
    with pytest.raises(ValueError, match="Only tensors with 3, 4, or 5 dimensions are supported"):
        nn.init.dirac_(torch.empty(sizes))


def test_groups_of_dirac_must_divide():
    """:func:`nn.init.dirac_ <torch.nn.init.dirac_>` raises ``ValueError`` if ``groups`` does not divide
    the first dimension of the tensor.
    """
    for sizes in ((5, 4, 3), (5, 4, 3, 3), (5, 4, 3, 3, 3)):
        with pytest.raises(ValueError, match="dim 0 must be divisible by groups"):
            nn.init.dirac_(torch.empty(sizes), groups=2)


@pytest.mark.parametrize(
    ("groups", "ones"),
    [((), [[0, 0, 2], [1, 1, 2]]), ((2,), [[0, 0, 2], [1, 0, 2]])],
    ids=["default", "groups"],
)
def test_dirac_of_the_old_name(groups, ones):
    """:func:`nn.init.dirac <torch.nn.init.dirac>`, old name of :func:`nn.init.dirac_ <torch.nn.init.dirac_>`,
    writes the same pattern and warns that it is deprecated.
    """
    weight = torch.empty(2, 3, 5)

    with pytest.warns(Warning, match="nn.init.dirac`? is now deprecated in favor of `?nn.init.dirac_"):
        result = nn.init.dirac(weight, *groups)

    assert result is weight
    assert weight.nonzero().tolist() == ones

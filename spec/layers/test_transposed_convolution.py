"""Transposed convolutions: the way back to a larger image.

:class:`~torch.nn.ConvTranspose2d` has the arguments of :class:`~torch.nn.Conv2d`, but they describe the
convolution that it turns round: its stride makes the output larger, its padding makes it smaller.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

TRANSPOSED = [(nn.ConvTranspose1d, 1), (nn.ConvTranspose2d, 2), (nn.ConvTranspose3d, 3)]


@pytest.mark.parametrize(("convolution", "dimensions"), TRANSPOSED)
def test_a_stride_makes_the_output_larger(convolution, dimensions):
    """``stride`` of ``ConvTranspose2d`` makes the output larger: it spreads the input values, with zeros
    between.

    In ``Conv2d`` the stride makes it smaller. A kernel below the stride leaves gaps, which hold the bias
    alone.
    """
    layer = convolution(1, 1, 1, stride=3)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    x = torch.rand(1, 1, *[4] * dimensions)

    y = layer(x)

    assert y.shape == (1, 1, *[10] * dimensions)
    assert nn.Conv2d(1, 1, 1, stride=3)(torch.rand(1, 1, 10, 10)).shape == (1, 1, 4, 4)
    assert torch.equal(y[(..., *[slice(None, None, 3)] * dimensions)], x)
    assert y.count_nonzero() == x.count_nonzero()

    nn.init.constant_(layer.bias, 7.0)
    assert torch.allclose(layer(x), y + 7.0)


@pytest.mark.parametrize(
    ("convolution", "transposed", "dimensions"),
    [
        (nn.Conv1d, nn.ConvTranspose1d, 1),
        (nn.Conv2d, nn.ConvTranspose2d, 2),
        (nn.Conv3d, nn.ConvTranspose3d, 3),
    ],
    ids=["1d", "2d", "3d"],
)
def test_the_way_back_swaps_the_channels(convolution, transposed, dimensions):
    """``ConvTranspose2d(8, 3, k)``, not ``ConvTranspose2d(3, 8, k)``, accepts what ``Conv2d(3, 8, k)``
    returns.

    ``in_channels`` are those of its own input. The other arguments are the same as those of the
    convolution, and give its sizes back if the stride is 1.
    """
    x = torch.rand(2, 3, *[9] * dimensions)
    y = convolution(3, 8, 4, padding=2, dilation=2)(x)

    assert y.shape == (2, 8, *[7] * dimensions)
    assert transposed(8, 3, 4, padding=2, dilation=2)(y).shape == x.shape
    with pytest.raises(RuntimeError, match="to have 3 channels, but got 8 channels instead"):
        transposed(3, 8, 4, padding=2, dilation=2)(y)


@pytest.mark.parametrize(("convolution", "dimensions"), TRANSPOSED)
def test_output_padding_appends_zeros(convolution, dimensions):
    """With ``padding=0``, ``output_padding`` of ``ConvTranspose2d`` appends zeros, plus the bias.

    So it is with one and three dimensions. With ``padding`` it brings back values that were cut off.
    """
    layer = convolution(2, 3, 3, stride=2, output_padding=1)
    short, cut = convolution(2, 3, 3, stride=2), convolution(2, 3, 3, stride=2, padding=1, output_padding=1)
    short.load_state_dict(layer.state_dict())
    cut.load_state_dict(layer.state_dict())
    x, bias = torch.rand(4, 2, *[5] * dimensions), layer.bias.view(3, *[1] * dimensions)

    expected = F.pad(short(x) - bias, [0, 1] * dimensions) + bias

    assert torch.allclose(layer(x), expected, atol=1e-6)
    assert torch.allclose(cut(x), F.pad(short(x), [-1, 0] * dimensions), atol=1e-6)


@pytest.mark.parametrize(("convolution", "dimensions"), TRANSPOSED)
def test_output_padding_is_below_stride_or_dilation(convolution, dimensions):
    """``ConvTranspose2d`` raises ``RuntimeError`` when called, unless ``output_padding`` is below stride or
    dilation.

    With the default stride and dilation of 1 it can only be 0.
    """
    x = torch.rand(4, 2, *[5] * dimensions)

    assert convolution(2, 3, 3, stride=2, output_padding=1)(x).shape[2:] == (12,) * dimensions
    assert convolution(2, 3, 3, dilation=2, output_padding=1)(x).shape[2:] == (10,) * dimensions
    last = (0,) * (dimensions - 1) + (2,)
    for stride, dilation, padding in ((1, 1, 1), (2, 2, 2), (2, 1, last), (1, 2, last)):
        layer = convolution(2, 3, 3, stride=stride, dilation=dilation, output_padding=padding)
        with pytest.raises(RuntimeError, match="output padding must be smaller than either stride or dil"):
            layer(x)


@pytest.mark.parametrize(("convolution", "dimensions"), TRANSPOSED)
def test_output_size_replaces_output_padding(convolution, dimensions):
    """``output_size`` in a call of ``ConvTranspose2d`` replaces ``output_padding`` of the layer."""
    layer, x = convolution(2, 3, 3, stride=3, output_padding=2), torch.rand(4, 2, *[5] * dimensions)

    assert layer(x).shape == (4, 3, *[17] * dimensions)
    assert layer(x, output_size=[15] * dimensions).shape == (4, 3, *[15] * dimensions)
    assert layer(x[0], output_size=[15] * dimensions).shape == (3, *[15] * dimensions)
    assert layer(x, output_size=[4, 3, *[16] * dimensions]).shape == (4, 3, *[16] * dimensions)


@pytest.mark.parametrize(("convolution", "dimensions"), TRANSPOSED)
def test_an_int_for_output_padding(convolution, dimensions):
    """An int for ``output_padding`` of ``ConvTranspose3d`` counts for all dimensions, like that for
    ``stride``.
    """
    layer = convolution(2, 3, 3, stride=4, output_padding=3)
    model = convolution(2, 3, 3, stride=(4,) * dimensions, output_padding=(3,) * dimensions)

    assert layer.output_padding == (3,) * dimensions
    assert repr(layer) == repr(model)
    assert layer(torch.rand(1, 2, *[5] * dimensions)).shape[2:] == (22,) * dimensions


@pytest.mark.parametrize(
    ("name", "values", "sizes"),
    [
        ("kernel_size", (1, 2, 3), (17, 18, 19)),
        ("stride", (4, 3, 2), (19, 15, 11)),
        ("padding", (0, 1, 2), (19, 17, 15)),
        ("output_padding", (1, 2, 3), (20, 21, 22)),
        ("dilation", (1, 2, 3), (19, 21, 23)),
    ],
)
@pytest.mark.parametrize(("convolution", "dimensions"), TRANSPOSED[1:])
def test_a_tuple_for_a_transposed_convolution(convolution, dimensions, name, values, sizes):
    """``ConvTranspose2d`` reads a tuple such as ``stride=(2, 3)`` as height, width; 3d puts depth first.

    So it does for ``kernel_size``, ``padding``, ``output_padding`` and ``dilation``.
    """
    layer = convolution(2, 3, **{"kernel_size": 3, "stride": 4, name: values[-dimensions:]})

    assert layer(torch.rand(1, 2, *[5] * dimensions)).shape == (1, 3, *sizes[-dimensions:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, 6, 3, 1, 0, 0, 0), "groups must be a positive integer"),
        ((5, 6, 3, 1, 0, 0, 2), "in_channels must be divisible by groups"),
        ((4, 5, 3, 1, 0, 0, 2), "out_channels must be divisible by groups"),
    ],
    ids=["no group", "in_channels", "out_channels"],
)
@pytest.mark.parametrize("convolution", [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d])
def test_groups_of_a_transposed_convolution(convolution, arguments, message):
    """``ConvTranspose2d`` raises ``ValueError`` unless ``groups`` divides ``in_channels`` and
    ``out_channels``.

    ``groups`` comes before ``bias`` and ``dilation`` here, and after ``output_padding``.
    """
    layer = convolution(4, 6, 3, 1, 0, 0, 2, False, 3)
    assert [layer.groups, layer.bias, layer.dilation[0]] == [2, None, 3]

    with pytest.raises(ValueError, match=message):
        convolution(*arguments)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("convolution", "dimensions"), TRANSPOSED)
def test_a_transposed_convolution_has_no_padding_by_name(convolution, dimensions, padding):
    """``ConvTranspose2d(padding="same")`` can be constructed, but raises ``TypeError`` when called.

    So it is with ``"valid"``, in one and three dimensions too. Give a number, and ``output_size`` in the
    call.
    """
    layer = convolution(2, 3, 3, padding=padding)

    with pytest.raises(TypeError, match=r"argument 'padding' .* must be tuple of ints"):
        layer(torch.rand(1, 2, *[5] * dimensions))

"""The arguments of a convolution in one, two and three dimensions.

``Conv1d``, ``Conv2d`` and ``Conv3d`` take one number for all dimensions or a number for each, and pad both
ends of each dimension.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

PLAIN = [(nn.Conv1d, 1), (nn.Conv2d, 2), (nn.Conv3d, 3)]
EVERY = [*PLAIN, (nn.ConvTranspose1d, 1), (nn.ConvTranspose2d, 2), (nn.ConvTranspose3d, 3)]


@pytest.mark.parametrize(("convolution", "dimensions"), EVERY)
def test_defaults_of_a_convolution(convolution, dimensions):
    """``Conv1d`` to ``Conv3d`` default to ``stride=1, padding=0, dilation=1, groups=1,
    padding_mode="zeros"``.

    Transposed convolutions do as well, and have ``output_padding=0``.
    """
    layer = convolution(5, 4, 3)

    assert [layer.stride, layer.dilation] == [(1,) * dimensions] * 2
    assert [layer.padding, layer.output_padding] == [(0,) * dimensions] * 2
    assert layer.groups == 1
    assert layer.padding_mode == "zeros"


@pytest.mark.parametrize(("convolution", "dimensions"), EVERY)
def test_an_int_counts_for_every_dimension(convolution, dimensions):
    """An int for ``kernel_size``, ``stride``, ``padding`` or ``dilation`` of ``Conv3d`` counts for all
    dimensions.

    So it is for the other convolutions. ``Conv1d`` accepts a tuple as well, of one number.
    """
    each = [(3,) * dimensions, (2,) * dimensions, (1,) * dimensions]
    layer = convolution(5, 4, kernel_size=3, stride=2, padding=1, dilation=2)
    model = convolution(5, 4, kernel_size=each[0], stride=each[1], padding=each[2], dilation=each[1])
    model.load_state_dict(layer.state_dict())
    x = torch.rand(2, 5, *[9, 8, 7][:dimensions])

    assert repr(layer) == repr(model)
    assert [layer.kernel_size, layer.stride, layer.padding] == each
    assert torch.equal(layer(x), model(x))


@pytest.mark.parametrize(
    ("name", "values", "sizes"),
    [
        ("kernel_size", (1, 2, 3), (12, 11, 10)),
        ("stride", (1, 2, 3), (10, 5, 4)),
        ("padding", (0, 1, 2), (10, 12, 14)),
        ("dilation", (1, 2, 3), (10, 8, 6)),
    ],
)
@pytest.mark.parametrize(("convolution", "dimensions"), PLAIN)
def test_a_tuple_means_depth_height_and_width(convolution, dimensions, name, values, sizes):
    """``Conv3d`` reads a tuple such as ``kernel_size=(1, 2, 3)`` as depth, height and width, in this order.

    That is the order of the input, ``(N, C, D, H, W)``: the time of a video usually comes first. The same
    holds for ``stride``, ``padding`` and ``dilation``. ``Conv2d`` reads height and width, ``Conv1d`` a tuple
    of one number.
    """
    layer = convolution(5, 4, **{"kernel_size": 3, name: values[-dimensions:]})

    assert layer(torch.rand(2, 5, *[12] * dimensions)).shape == (2, 4, *sizes[-dimensions:])


@pytest.mark.parametrize(("convolution", "dimensions"), PLAIN)
def test_a_stride_passes_positions_over(convolution, dimensions):
    """``Conv1d(stride=2)`` returns every second position of what ``stride=1`` returns, from the first on.

    ``Conv2d`` and ``Conv3d`` do so in each dimension, with a stride for each.
    """
    strides = (2, 3, 4)[:dimensions]
    layer, every = convolution(5, 4, 3, stride=strides, padding=1), convolution(5, 4, 3, padding=1)
    every.load_state_dict(layer.state_dict())
    x = torch.rand(2, 5, *[10, 13, 12][:dimensions])

    some = every(x)[(..., *[slice(None, None, stride) for stride in strides])]

    assert some.shape == (2, 4, *[5, 5, 3][:dimensions])
    assert torch.allclose(layer(x), some, atol=1e-5)


@pytest.mark.parametrize(("convolution", "dimensions"), PLAIN)
@pytest.mark.parametrize(
    ("padding_mode", "mode"),
    [("zeros", "constant"), ("reflect", "reflect"), ("replicate", "replicate"), ("circular", "circular")],
    ids=["zeros", "reflect", "replicate", "circular"],
)
def test_padding_goes_to_both_ends(convolution, dimensions, padding_mode, mode):
    """``Conv2d`` and the like add ``padding`` to both ends of each dimension, filled as ``padding_mode``
    says.

    An image thus grows on four sides, a volume on six. Zeros are only the default. The function
    ``F.pad`` wants its amounts from the last dimension to the first.
    """
    amounts = (2, 1, 3)[:dimensions]
    layer = convolution(1, 1, 1, padding=amounts, bias=False, padding_mode=padding_mode)
    nn.init.ones_(layer.weight)
    x = torch.rand(1, 1, *[4, 3, 5][:dimensions])

    ends = [amount for amount in reversed(amounts) for _ in ("start", "end")]

    assert torch.equal(layer(x), F.pad(x, ends, mode=mode))


@pytest.mark.parametrize(("convolution", "dimensions"), PLAIN)
@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "replicate"])
def test_an_unbatched_input_is_padded_too(convolution, dimensions, padding_mode):
    """``Conv2d`` and the like pad an unbatched input with zeros, by reflection or by replication.

    It computes what a batch of one gives.

    See also :ref:`layers.convolution_arguments.an_unbatched_input_goes_round_too`
    """
    layer = convolution(2, 3, 3, padding=1, padding_mode=padding_mode)
    x = torch.rand(2, *[5] * dimensions)

    assert torch.allclose(layer(x), layer(x[None])[0], atol=1e-6)


@pytest.mark.since("2.1")
@pytest.mark.parametrize(("convolution", "dimensions"), PLAIN)
@pytest.mark.parametrize("padding", [0, 1])
def test_an_unbatched_input_goes_round_too(convolution, dimensions, padding):
    """``Conv2d(padding_mode="circular")`` and the like take an unbatched input.

    It computes what a batch of one gives (:issue:`104860`).
    """
    layer = convolution(2, 3, 3, padding=padding, padding_mode="circular")
    x = torch.rand(2, *[5] * dimensions)

    assert torch.allclose(layer(x), layer(x[None])[0], atol=1e-6)


@pytest.mark.before("2.1")
@pytest.mark.parametrize(("convolution", "dimensions"), PLAIN)
@pytest.mark.parametrize("padding", [0, 1])
def test_an_unbatched_input_did_not_go_round(convolution, dimensions, padding):
    """``Conv2d(padding_mode="circular")`` and the like raise ``RuntimeError`` for an unbatched input.

    They do so even with a padding of 0.
    """
    layer = convolution(2, 3, 3, padding=padding, padding_mode="circular")

    with pytest.raises(RuntimeError, match=r"Invalid padding size, expected \d but got \d"):
        layer(torch.rand(2, *[5] * dimensions))


@pytest.mark.parametrize(
    ("padding_mode", "most", "message"),
    [
        ("reflect", 3, "Padding size should be less than the corresponding input dimension"),
        ("circular", 4, "Padding value causes wrapping around more than once"),
    ],
)
@pytest.mark.parametrize(("convolution", "dimensions"), PLAIN)
def test_an_input_has_enough_to_pad_with(convolution, dimensions, padding_mode, most, message):
    """``Conv1d(padding_mode="circular")`` raises ``RuntimeError`` if ``padding`` exceeds the input's size.

    With ``"reflect"`` it must be less than the size; ``"replicate"`` and ``"zeros"`` pad any amount. So it is
    for ``Conv2d`` and ``Conv3d`` (:issue:`134840`).
    """
    x = torch.rand(1, 1, *[4] * dimensions)
    layer = convolution(1, 1, 1, padding=most, padding_mode=padding_mode)

    assert layer(x).shape == (1, 1, *[4 + 2 * most] * dimensions)
    for padding in (most + 1, (most + 1, 1, 1)[:dimensions], (1, 1, most + 1)[-dimensions:]):
        with pytest.raises(RuntimeError, match=message):
            convolution(1, 1, 1, padding=padding, padding_mode=padding_mode)(x)
    for mode in ("replicate", "zeros"):
        assert convolution(1, 1, 1, padding=9, padding_mode=mode)(x).shape == (1, 1, *[22] * dimensions)


@pytest.mark.parametrize(("convolution", "dimensions"), EVERY)
def test_the_bias_is_added_to_whole_channels(convolution, dimensions):
    """By default ``Conv2d`` and the like add ``bias[c]``, a parameter, to all of output channel ``c``."""
    layer, without = convolution(2, 3, 2), convolution(2, 3, 2, bias=False)
    without.weight = layer.weight
    nn.init.uniform_(layer.bias, 1, 2)
    x = torch.rand(4, 2, *[5] * dimensions)

    bias = layer.bias.view(3, *[1] * dimensions)

    assert isinstance(layer.bias, nn.Parameter)
    assert torch.allclose(layer(x), without(x) + bias, atol=1e-6)


@pytest.mark.parametrize(("convolution", "dimensions"), EVERY)
@pytest.mark.parametrize("more", [-1, 2], ids=["too few", "too many"])
def test_the_number_of_dimensions_must_fit(convolution, dimensions, more):
    """``Conv3d`` takes an input of 5 dimensions, or unbatched of 4; with others it raises ``RuntimeError``.

    ``Conv2d`` takes 4 or 3, ``Conv1d`` 3 or 2; so do the transposed ones. A batch whose channel dimension
    was lost may thus pass as one unbatched input.
    """
    layer = convolution(4, 8, 3, groups=4)
    message = rf"Expected {dimensions + 1}D \(unbatched\) or {dimensions + 2}D \(batched\) input to conv"

    assert layer(torch.rand([4] * (dimensions + 2))).ndim == dimensions + 2
    assert layer(torch.rand([4] * (dimensions + 1))).ndim == dimensions + 1
    with pytest.raises(RuntimeError, match=message):
        layer(torch.rand([4] * (dimensions + 1 + more)))


@pytest.mark.parametrize(("convolution", "dimensions"), PLAIN)
@pytest.mark.parametrize("padding_mode", ["reflect", "replicate"])
def test_complex32_is_not_reflected(convolution, dimensions, padding_mode):
    """On the CPU ``Conv2d`` of ``complex32`` raises ``RuntimeError`` for ``padding_mode="reflect"``.

    So it does for ``"replicate"``, and so do ``Conv1d`` and ``Conv3d``. Use ``complex64``.
    """
    layer = convolution(2, 3, 3, padding=1, padding_mode=padding_mode, dtype=torch.complex64)
    x = torch.rand(1, 2, *[6] * dimensions, dtype=torch.complex64)

    assert layer(x).dtype == torch.complex64
    with pytest.raises(RuntimeError, match="not implemented for 'ComplexHalf'"):
        layer.to(torch.complex32)(x.to(torch.complex32))

"""What a convolution adds up: which channels, and how many positions there are.

What is said of ``Conv2d`` holds for :class:`~torch.nn.Conv1d` and :class:`~torch.nn.Conv3d`, what is said of
``ConvTranspose2d`` for :class:`~torch.nn.ConvTranspose1d` and :class:`~torch.nn.ConvTranspose3d`.
"""

import pytest
import torch
from torch import nn

CONVOLUTIONS = [
    pytest.param(nn.Conv1d, (7,), id="1d"),
    pytest.param(nn.Conv2d, (7, 9), id="2d"),
    pytest.param(nn.Conv3d, (7, 9, 8), id="3d"),
]
TRANSPOSED = [
    pytest.param(nn.ConvTranspose1d, (4,), id="transposed 1d"),
    pytest.param(nn.ConvTranspose2d, (4, 5), id="transposed 2d"),
    pytest.param(nn.ConvTranspose3d, (4, 5, 3), id="transposed 3d"),
]


@pytest.mark.parametrize(("layer", "sizes"), CONVOLUTIONS)
def test_each_window_is_multiplied_by_the_kernel(layer, sizes):
    """``Conv2d`` multiplies each window of its input by its kernel, and sums over all input channels.

    The kernel is not turned round: it is a cross-correlation. The bias of the output channel is added.
    """
    convolution, x = layer(3, 5, 2), torch.randn(4, 3, *sizes)

    windows = x
    for dim in range(2, x.ndim):
        windows = windows.unfold(dim, 2, 1)
    within = [1, *range(x.ndim, windows.ndim)], [1, *range(2, x.ndim)]
    sums = torch.tensordot(windows, convolution.weight, within) + convolution.bias

    torch.testing.assert_close(convolution(x), sums.movedim(-1, 1))


@pytest.mark.parametrize(
    ("groups", "reached"),
    [
        (1, [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]),
        (2, [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]),
        (4, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
    ],
    ids=["one", "two", "depthwise"],
)
@pytest.mark.parametrize(("layer", "sizes"), CONVOLUTIONS + TRANSPOSED)
def test_groups_say_which_inputs_reach_an_output(layer, sizes, groups, reached):
    """With ``groups=1`` every input channel of ``Conv2d`` or ``ConvTranspose2d`` reaches every output
    channel.

    With more groups only those of the same group do, with ``groups=in_channels`` only one.
    """
    convolution = layer(4, 4, 2, groups=groups, bias=False)
    nn.init.uniform_(convolution.weight, 1, 2)
    one_channel_each = torch.eye(4).view(4, 4, *[1] * len(sizes)).expand(4, 4, *sizes)

    outputs = convolution(one_channel_each).flatten(2)

    assert (outputs.amin(2) > 0).int().tolist() == reached
    assert (outputs.amax(2) > 0).int().tolist() == reached


@pytest.mark.parametrize(("layer", "sizes"), CONVOLUTIONS + TRANSPOSED)
def test_two_groups_are_two_layers_side_by_side(layer, sizes):
    """``Conv2d(groups=2)`` or ``ConvTranspose2d(groups=2)`` computes two layers of half the channels, joined.

    The first sees the first half of the input channels and has the first half of the output channels.
    """
    whole, left, right = layer(4, 6, 2, groups=2), layer(2, 3, 2), layer(2, 3, 2)
    (left.weight.data, right.weight.data), (left.bias.data, right.bias.data) = (
        p.detach().chunk(2) for p in whole.parameters()
    )
    x = torch.rand(5, 4, *sizes)

    assert torch.allclose(whole(x), torch.cat([left(x[:, :2]), right(x[:, 2:])], 1), atol=1e-6)


@pytest.mark.parametrize(("layer", "sizes"), CONVOLUTIONS + TRANSPOSED)
def test_a_depthwise_convolution_has_filters_of_its_own(layer, sizes):
    """``Conv2d(c, c * k, groups=c)``, or transposed, applies ``k`` filters of its own to each input channel.

    So output channels ``k * i`` to ``k * (i + 1)`` come of input channel ``i`` alone.
    """
    whole, x = layer(3, 6, 2, groups=3), torch.rand(5, 3, *sizes)
    outputs = []
    for i, channel in enumerate(x.split(1, 1)):
        alone = layer(1, 2, 2)
        alone.weight.data, alone.bias.data = (p.detach().chunk(3)[i] for p in whole.parameters())
        outputs.append(alone(channel))

    assert torch.allclose(whole(x), torch.cat(outputs, 1), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize(("layer", "sizes"), CONVOLUTIONS)
def test_a_complex_convolution_is_four_real_ones(layer, sizes, dtype):
    """``Conv2d(dtype=torch.complex64)`` multiplies complex numbers, and so it does with ``complex128``."""
    whole, x = layer(2, 3, 2, dtype=dtype), torch.randn(5, 2, *sizes, dtype=dtype)
    real, imaginary = (layer(2, 3, 2, bias=False, dtype=x.real.dtype) for _ in range(2))
    real.weight.data, imaginary.weight.data = whole.weight.detach().real, whole.weight.detach().imag
    bias = whole.bias.view(3, *[1] * len(sizes))

    out = whole(x)

    assert out.dtype == dtype
    assert torch.allclose(out.real, real(x.real) - imaginary(x.imag) + bias.real, atol=1e-5)
    assert torch.allclose(out.imag, real(x.imag) + imaginary(x.real) + bias.imag, atol=1e-5)


@pytest.mark.since("2.2")
@pytest.mark.parametrize(("layer", "sizes"), CONVOLUTIONS)
def test_a_complex32_convolution_is_a_rounded_one(layer, sizes):
    """``Conv2d`` of ``complex32`` computes what one of ``complex64`` does, rounded to half precision."""
    convolution, x = layer(2, 3, 2, dtype=torch.complex64), torch.randn(5, 2, *sizes, dtype=torch.complex64)
    wanted = convolution(x)

    out = convolution.to(torch.complex32)(x.to(torch.complex32))

    assert out.dtype == torch.complex32
    assert torch.allclose(out.to(torch.complex64), wanted, atol=0.01)


@pytest.mark.before("2.2")
@pytest.mark.parametrize(("layer", "sizes"), CONVOLUTIONS)
def test_a_complex32_convolution_was_not_implemented(layer, sizes):
    """On the CPU ``Conv2d`` of ``complex32`` raises ``RuntimeError``: it is not implemented for ``Half``."""
    with pytest.raises(RuntimeError, match="not implemented for 'Half'"):
        layer(2, 3, 2, dtype=torch.complex32)(torch.rand(5, 2, *sizes).to(torch.complex32))


@pytest.mark.parametrize("batch", [(5,), ()], ids=["batch", "unbatched"])
@pytest.mark.parametrize(("layer", "sizes"), CONVOLUTIONS)
def test_how_many_positions_a_convolution_has(layer, sizes, batch):
    """``Conv2d`` returns ``(size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1``
    positions.

    The channels are ``out_channels``; an input without a batch dimension gives an output without one.
    """
    for stride, padding, dilation, kernel in [(1, 0, 1, 3), (2, 1, 1, 4), (3, 2, 3, 2)]:
        convolution = layer(2, 3, kernel, stride=stride, padding=padding, dilation=dilation)
        wanted = [(size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 for size in sizes]

        assert convolution(torch.rand(*batch, 2, *sizes)).shape == (*batch, 3, *wanted)


@pytest.mark.parametrize("batch", [(5,), ()], ids=["batch", "unbatched"])
@pytest.mark.parametrize(("layer", "sizes"), TRANSPOSED)
def test_how_many_positions_a_transposed_convolution_has(layer, sizes, batch):
    """``ConvTranspose2d`` returns ``(size - 1) * stride - 2 * padding + extent + output_padding`` positions.

    The extent is that of the dilated kernel, ``dilation * (kernel_size - 1) + 1``.
    """
    for stride, padding, more, dilation, kernel in [(1, 0, 0, 1, 3), (2, 1, 1, 1, 4), (3, 2, 2, 3, 2)]:
        transposed = layer(2, 3, kernel, stride, padding, more, dilation=dilation)
        extent = dilation * (kernel - 1) + 1
        wanted = [(size - 1) * stride - 2 * padding + extent + more for size in sizes]

        assert transposed(torch.rand(*batch, 2, *sizes)).shape == (*batch, 3, *wanted)


@pytest.mark.parametrize(("layer", "sizes"), CONVOLUTIONS)
def test_a_stride_makes_several_sizes_one(layer, sizes):
    """``Conv2d(1, 1, 4, stride=3)`` returns one size for inputs of size 7, 8 and 9; with ``stride=1``
    three.
    """
    inputs = [torch.rand(1, 1, *[size] * len(sizes)) for size in (7, 8, 9)]
    strided, plain = layer(1, 1, 4, stride=3), layer(1, 1, 4)

    assert len({strided(x).shape for x in inputs}) == 1
    assert len({plain(x).shape for x in inputs}) == 3

"""Convolutions: shapes, padding and groups.

A convolution slides one kernel over all positions of an image. Its parameters know the channels and the
kernel, not the size of the image.
"""

import pytest
import torch
from torch import nn


@pytest.mark.claim("N5-04", "N2-14")
def test_the_weight_of_a_convolution():
    """With ``groups=1``, ``Conv2d.weight`` has the shape
    ``(out_channels, in_channels, kernel_height, kernel_width)``.

    More groups divide ``in_channels`` there.
    TensorFlow puts the kernel first: transpose weights that come from there.
    """
    layer = nn.Conv2d(5, 4, (2, 3))

    assert [(name, p.shape) for name, p in layer.named_parameters()] == [
        ("weight", (4, 5, 2, 3)),
        ("bias", (4,)),
    ]
    assert layer(torch.rand(1, 5, 10, 20)).shape == (1, 4, 9, 18)
    assert nn.Conv2d(6, 4, (2, 3), groups=2).weight.shape == (4, 3, 2, 3)


@pytest.mark.claim("N5-04")
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.Conv1d(6, 4, 3, groups=2), (4, 3, 3)),
        (lambda: nn.Conv2d(6, 4, (2, 3), groups=2), (4, 3, 2, 3)),
        (lambda: nn.Conv3d(6, 4, (2, 3, 5), groups=2), (4, 3, 2, 3, 5)),
        (lambda: nn.Conv2d(6, 6, (2, 3), groups=6), (6, 1, 2, 3)),
        (lambda: nn.ConvTranspose1d(6, 4, 3, groups=2), (6, 2, 3)),
        (lambda: nn.ConvTranspose2d(6, 4, (2, 3), groups=2), (6, 2, 2, 3)),
        (lambda: nn.ConvTranspose3d(6, 4, (2, 3, 5), groups=2), (6, 2, 2, 3, 5)),
    ],
    ids=["1d", "2d", "3d", "depthwise", "transposed 1d", "transposed 2d", "transposed 3d"],
)
def test_groups_divide_the_second_size_of_the_weight(make, shape):
    """Dimension 1 of ``Conv2d.weight`` is ``in_channels / groups``; of ``ConvTranspose2d``,
    ``out_channels / groups``.

    The second size is ``in_channels / groups``, in a transposed convolution ``out_channels / groups``.
    """
    layer = make()

    assert layer.weight.shape == shape
    assert layer.bias.shape == (layer.out_channels,)


def test_a_convolution_does_not_flip_its_kernel():
    """``Conv1d`` computes a cross-correlation, without flipping the kernel, and adds the bias."""
    for padding_mode in ("zeros", "reflect", "replicate", "circular"):
        layer = nn.Conv1d(1, 1, 2, padding_mode=padding_mode)
        layer.weight.data = torch.tensor([[[1.0, 10.0]]])
        layer.bias.data = torch.tensor([0.5])

        assert layer(torch.tensor([[[1.0, 2.0, 3.0]]])).tolist() == [[[21.5, 32.5]]]


def test_stride_padding_and_dilation_in_this_order():
    """``Conv2d`` accepts ``stride``, ``padding``, ``dilation``, ``groups`` and ``bias`` positionally, in this
    order.
    """
    layer = nn.Conv2d(4, 6, (3, 5), (2, 1), (1, 3), (3, 2), 2, False)

    assert repr(layer) == (
        "Conv2d(4, 6, kernel_size=(3, 5), stride=(2, 1), padding=(1, 3), dilation=(3, 2), "
        "groups=2, bias=False)"
    )
    assert layer(torch.rand(1, 4, 20, 30)).shape == (1, 6, 8, 28)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.Conv1d(2, 4, 3), "Conv1d(2, 4, kernel_size=(3,), stride=(1,))"),
        (
            lambda: nn.Conv2d(2, 4, 3, padding="same", padding_mode="reflect"),
            "Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), padding=same, padding_mode=reflect)",
        ),
        (
            lambda: nn.Conv1d(2, 4, 3, padding=1, dilation=2, groups=2, bias=False),
            "Conv1d(2, 4, kernel_size=(3,), stride=(1,), padding=(1,), dilation=(2,), groups=2, bias=False)",
        ),
        (
            lambda: nn.ConvTranspose2d(2, 4, 3, stride=2, output_padding=1),
            "ConvTranspose2d(2, 4, kernel_size=(3, 3), stride=(2, 2), output_padding=(1, 1))",
        ),
    ],
    ids=["default", "padding by name", "numbers", "transposed"],
)
def test_a_convolution_prints_what_differs(make, text):
    """``repr`` of ``Conv2d`` and the like shows channels, kernel and stride, and what is not the default."""
    assert repr(make()) == text


@pytest.mark.parametrize(
    ("layer", "sizes"),
    [(nn.Conv1d, (9,)), (nn.Conv2d, (10, 12)), (nn.Conv3d, (10, 9, 7))],
    ids=["1d", "2d", "3d"],
)
@pytest.mark.parametrize("kernel", [(1, 1, 1), (3, 3, 3), (2, 5, 4)], ids=["one", "odd", "mixed"])
@pytest.mark.parametrize("mode", ["zeros", "circular", "replicate", "reflect"])
def test_padding_same_keeps_the_size(layer, sizes, kernel, mode):
    """``Conv2d(padding="same")`` keeps the height and width of its input, whatever the kernel and dilation.

    So ``Conv1d`` and ``Conv3d`` keep all sizes of theirs. It works for a stride of 1 only.
    """
    for dilation in (1, 2):
        same = layer(2, 3, kernel[: len(sizes)], padding="same", dilation=dilation, padding_mode=mode)
        assert same(torch.rand(1, 2, *sizes)).shape == (1, 3, *sizes)
    assert layer(2, 3, kernel[: len(sizes)], padding="same")(torch.rand(2, *sizes)).shape == (3, *sizes)
    with pytest.raises(ValueError, match="not supported for strided convolutions"):
        layer(2, 3, kernel[: len(sizes)], (2, 1, 1)[: len(sizes)], padding="same", padding_mode=mode)


@pytest.mark.parametrize(
    ("mode", "values"),
    [
        ("zeros", [3210.0, 4321.0, 432.0, 43.0]),
        ("circular", [3214.0, 4321.0, 1432.0, 2143.0]),
        ("replicate", [3211.0, 4321.0, 4432.0, 4443.0]),
        ("reflect", [3212.0, 4321.0, 3432.0, 2343.0]),
    ],
)
def test_padding_same_of_an_even_kernel_is_lopsided(mode, values):
    """By default ``Conv1d(padding="same")`` with an even kernel pads one more at the end than at the start.

    So it is for each even kernel with an odd dilation.
    """
    layer, x = nn.Conv1d(1, 1, 4, padding="same", bias=False, padding_mode=mode), torch.arange(1.0, 5.0)
    layer.weight.data = torch.tensor([[[1.0, 10.0, 100.0, 1000.0]]])
    wide = nn.Conv1d(1, 1, 2, padding="same", dilation=3, bias=False)
    wide.weight.data = torch.tensor([[[1.0, 10.0]]])

    assert layer(x.view(1, 1, 4)).tolist() == [[values]]
    assert wide(x.view(1, 1, 4)).tolist() == [[[30.0, 41.0, 2.0, 3.0]]]


@pytest.mark.parametrize(("layer", "sizes"), [(nn.Conv1d, (7,)), (nn.Conv2d, (7, 9)), (nn.Conv3d, (7, 9, 4))])
def test_padding_valid_pads_nothing(layer, sizes):
    """``padding="valid"`` of ``Conv1d``, ``Conv2d`` and ``Conv3d`` means no padding, which is the default."""
    valid, default = layer(2, 3, 4, padding="valid"), layer(2, 3, 4)
    default.load_state_dict(valid.state_dict())
    x = torch.rand(1, 2, *[size + 3 for size in sizes])

    assert valid(x).shape == (1, 3, *sizes)
    assert torch.equal(valid(x), default(x))
    assert layer(2, 3, 4, padding="valid", padding_mode="circular")(x).shape == (1, 3, *sizes)
    assert layer(2, 3, 4, padding=1)(x).shape == (1, 3, *[size + 2 for size in sizes])


@pytest.mark.parametrize(
    ("mode", "values"),
    [
        ("zeros", [0.0, 1.0, 2.0, 3.0, 0.0]),
        ("reflect", [2.0, 1.0, 2.0, 3.0, 2.0]),
        ("replicate", [1.0, 1.0, 2.0, 3.0, 3.0]),
        ("circular", [3.0, 1.0, 2.0, 3.0, 1.0]),
    ],
)
@pytest.mark.parametrize(
    ("convolution", "padding"), [(nn.Conv1d, 1), (nn.Conv2d, (0, 1)), (nn.Conv3d, (0, 0, 1))]
)
def test_padding_mode_says_what_is_padded(convolution, padding, mode, values):
    """``padding_mode`` of ``Conv1d``, ``Conv2d`` and ``Conv3d`` chooses what they pad with: zeros or input
    values.
    """
    layer = convolution(1, 1, 1, padding=padding, bias=False, padding_mode=mode)
    nn.init.ones_(layer.weight)
    row = torch.tensor([1.0, 2.0, 3.0]).view(*layer.weight.shape[:-1], 3)

    assert layer(row).flatten().tolist() == values


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": 0}, "groups must be a positive integer"),
        ({"groups": -2}, "groups must be a positive integer"),
        ({"in_channels": 5, "groups": 2}, "in_channels must be divisible by groups"),
        ({"out_channels": 5, "groups": 2}, "out_channels must be divisible by groups"),
        ({"padding": "full"}, "Invalid padding string 'full', should be one of"),
        ({"padding": "same", "stride": 2}, "padding='same' is not supported for strided convolutions"),
        ({"padding_mode": "mirror"}, "padding_mode must be one of .* but got padding_mode='mirror'"),
    ],
    ids=["no group", "negative", "in_channels", "out_channels", "padding", "stride", "padding_mode"],
)
@pytest.mark.parametrize("layer", [nn.Conv1d, nn.Conv2d, nn.Conv3d])
def test_what_a_convolution_refuses(layer, arguments, message):
    """``Conv1d``, ``Conv2d`` and ``Conv3d`` raise ``ValueError`` for an invalid ``groups``, ``padding``
    string or ``padding_mode``.
    """
    with pytest.raises(ValueError, match=message):
        layer(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3, **arguments})


@pytest.mark.parametrize("layer", [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d])
def test_a_transposed_convolution_pads_zeros_only(layer):
    """``ConvTranspose2d``, like 1d and 3d, raises ``ValueError`` if ``padding_mode`` is not ``"zeros"``."""
    assert layer(2, 3, 2, padding_mode="zeros").padding_mode == "zeros"

    for mode in ("circular", "reflect", "replicate"):
        with pytest.raises(ValueError, match=f'Only "zeros" padding mode is supported for {layer.__name__}'):
            layer(2, 3, 2, padding_mode=mode)


@pytest.mark.parametrize("size", [[13, 16], [2, 4, 13, 16]], ids=["image", "whole output"])
def test_output_size_of_a_transposed_convolution(size):
    """With a stride, ``output_size`` in a call of ``ConvTranspose2d`` selects one of the possible sizes.

    It is given when the layer is called, as the size of the image or of the whole output. Without it the
    smallest is taken, so that going down and up again may lose a row.
    """
    layer = nn.ConvTranspose2d(5, 4, 3, stride=2)

    assert layer(torch.rand(2, 5, 6, 7)).shape == (2, 4, 13, 15)
    assert layer(torch.rand(2, 5, 6, 7), output_size=size).shape == (2, 4, 13, 16)
    assert layer(torch.rand(5, 6, 7), output_size=size[-3:]).shape == (4, 13, 16)


def test_a_wrong_output_size():
    """``ConvTranspose1d`` raises a ``ValueError`` that names the valid range if ``output_size`` is outside
    it.
    """
    layer, x = nn.ConvTranspose1d(5, 4, 3, stride=2), torch.rand(2, 5, 6)

    assert [layer(x, output_size=[size]).shape[-1] for size in (13, 14)] == [13, 14]
    message = r"requested an output size of \[15\], .* range from \[13\] to \[14\]"
    with pytest.raises(ValueError, match=message):
        layer(x, output_size=[15])
    with pytest.raises(ValueError, match=r"requested an output size of \[12\]"):
        layer(x, output_size=[12])
    with pytest.raises(ValueError, match=r"output_size must have 1 or 3 elements \(got 2\)"):
        layer(x, output_size=[4, 13])


def test_an_unbatched_image():
    """``Conv2d`` accepts an image without a batch dimension and returns an output without one."""
    x = torch.rand(2, 6, 7)

    for padding, shape in ((0, (3, 4, 5)), ((1, 2), (3, 6, 9))):
        layer = nn.Conv2d(2, 3, 3, padding=padding)
        assert layer(x).shape == shape
        assert torch.allclose(layer(x), layer(x[None])[0], atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "number"),
    [((1, 3, 6, 7), 3), ((3, 6, 7), 3), ((1, 6, 7, 2), 6), ((6, 7, 2), 6), ((1, 1, 6, 7), 1)],
    ids=["batch", "image", "batch of channels last", "image of channels last", "gray"],
)
def test_the_channels_must_fit(shape, number):
    """``Conv2d`` raises a ``RuntimeError`` naming both numbers if the input channels are not ``in_channels``.

    Images of most libraries have their channels last; torch wants them first.
    """
    for groups in (1, 2):
        with pytest.raises(RuntimeError, match=f"to have 2 channels, but got {number} channels instead"):
            nn.Conv2d(2, 4, 3, groups=groups)(torch.rand(shape))


@pytest.mark.claim("N4-14")
def test_one_network_for_images_of_any_size():
    """A network of ``Conv2d`` and ``AdaptiveAvgPool2d`` accepts images of any size with the same parameters.

    What ties a network to one size is a linear layer behind ``Flatten``.
    """
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten()
    )

    assert sum(p.numel() for p in net.parameters()) == 4 * 3 * 9 + 4 + 2 * 4 * 9 + 2
    for sizes in [(8, 8), (17, 40), (5, 6)]:
        assert net(torch.rand(5, 3, *sizes)).shape == (5, 2 * 2 * 2)


@pytest.mark.claim("N4-14")
def test_a_convolution_treats_every_position_alike():
    """By default ``Conv2d`` is translation equivariant: a shifted image gives a shifted output.

    Padding makes the borders an exception, a stride lets it hold for shifts by whole strides only.
    """
    layer, x = nn.Conv2d(1, 2, 3), torch.rand(1, 1, 8, 9)

    assert torch.allclose(layer(x[..., 1:]), layer(x)[..., 1:], atol=1e-6)
    assert torch.allclose(layer(x[:, :, 2:]), layer(x)[:, :, 2:], atol=1e-6)
    assert torch.allclose(layer(x)[..., 1:], layer(x)[..., :-1], atol=1e-6) is False

    padded, strided = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 2, 3, stride=2)
    assert torch.allclose(padded(x[..., 1:]), padded(x)[..., 1:], atol=1e-6) is False
    assert torch.allclose(padded(x[..., 1:])[..., 1:], padded(x)[..., 2:], atol=1e-6)
    assert torch.allclose(strided(x[..., 2:]), strided(x)[..., 1:], atol=1e-6)
    assert torch.allclose(strided(x[..., 1:])[..., :3], strided(x)[..., 1:], atol=1e-6) is False


def test_a_double_convolution_as_a_module():
    """A block of layers, such as UNet's double convolution, can be one ``nn.Module``, used like a layer.

    It is used like any layer, and its name stands before those of its layers in the state dict.
    """

    class DoubleConvolution(nn.Module):
        def __init__(self, i, o):
            super().__init__()
            self.block = nn.Sequential(
                nn.Conv2d(i, o, 3, padding=1), nn.ReLU(), nn.Conv2d(o, o, 3, padding=1)
            )

        def forward(self, x):
            return self.block(x).relu()

    net = nn.Sequential(DoubleConvolution(3, 4), nn.MaxPool2d(2), DoubleConvolution(4, 8))

    assert net(torch.rand(1, 3, 8, 10)).shape == (1, 8, 4, 5)
    assert list(net.state_dict())[:3] == [
        "0.block.0.weight",
        "0.block.0.bias",
        "0.block.2.weight",
    ]

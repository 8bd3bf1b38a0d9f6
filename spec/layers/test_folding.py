"""Unfolding, folding and shuffling: where each element goes.

These layers have no parameters; they only move elements about, and ``nn.Fold`` adds some of them up.
"""

import re

import pytest
import torch
from torch import nn

IMAGE = torch.arange(9.0).view(1, 1, 3, 3)


def test_columns_are_windows():
    """``nn.Unfold(2)`` returns a column for each window, row by row; its rows are channels, then positions.

    The result has the shape ``(N, C * 2 * 2, windows)``, so a 3D tensor comes out of a 4D one.
    """
    columns = nn.Unfold(2)(IMAGE)

    assert columns[0, :, 0].tolist() == [0.0, 1.0, 3.0, 4.0]
    assert columns[0].T.tolist() == [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]
    assert nn.Unfold(2)(torch.arange(8.0).view(1, 2, 2, 2)).tolist() == [
        [[0], [1], [2], [3], [4], [5], [6], [7]]
    ]
    assert torch.equal(nn.Unfold(2)(torch.cat([IMAGE, IMAGE + 9]))[1], columns[0] + 9)
    assert nn.Unfold(2, dilation=2)(IMAGE).flatten().tolist() == [0, 2, 6, 8]
    assert nn.Unfold(2, padding=1)(IMAGE)[0, :, 0].tolist() == [0, 0, 0, 0.0]
    assert nn.Unfold((1, 3))(IMAGE)[0, :, 2].tolist() == [6, 7, 8]


def test_a_convolution_by_unfolding():
    """A product with what ``nn.Unfold`` returns is a convolution: ``weight.flatten(1) @ columns``."""
    image = torch.rand(2, 3, 5, 6)
    conv = nn.Conv2d(3, 4, (2, 3), stride=2, padding=1, bias=False)
    columns = nn.Unfold((2, 3), stride=2, padding=1)(image)

    out = conv.weight.flatten(1) @ columns

    assert out.shape == (2, 4, 9)
    assert torch.allclose(out.view(2, 4, 3, 3), conv(image), atol=1e-6)


def test_folding_adds_up():
    """``nn.Fold`` adds up values where windows overlap, so it is not the inverse of ``nn.Unfold``.

    Dividing by the number of windows that cover each element, which is what ones give, brings the image back.
    """
    unfold, fold = nn.Unfold(2), nn.Fold((3, 3), 2)
    counts = fold(unfold(torch.ones_like(IMAGE)))

    assert fold(unfold(IMAGE)).tolist() == [[[[0, 2, 2], [6, 16, 10], [6, 14, 8]]]]
    assert counts.tolist() == [[[[1, 2, 1], [2, 4, 2], [1, 2, 1]]]]
    channels = torch.cat([IMAGE, IMAGE.mT + 1], dim=1).repeat(2, 1, 1, 1)
    assert torch.equal(fold(unfold(channels)) / counts, channels)


def test_windows_that_do_not_overlap():
    """With a stride of the kernel size, ``nn.Fold`` undoes ``nn.Unfold``, except where no window reaches."""
    even = torch.arange(48.0).view(1, 2, 4, 6)

    assert torch.equal(nn.Fold((4, 6), 2, stride=2)(nn.Unfold(2, stride=2)(even)), even)
    assert torch.equal(nn.Fold((4, 6), (2, 3), stride=(2, 3))(nn.Unfold((2, 3), stride=(2, 3))(even)), even)
    assert nn.Fold((3, 3), 2, stride=2)(nn.Unfold(2, stride=2)(IMAGE)).tolist() == [
        [[[0, 1, 0], [3, 4, 0], [0, 0, 0]]]
    ]


def test_folding_needs_the_number_of_windows():
    """``nn.Fold`` raises ``RuntimeError`` unless it gets as many columns as there are windows.

    The number of rows has to be a multiple of the kernel's elements.
    """
    columns = nn.Unfold(2)(IMAGE)

    for size, windows in (((4, 4), "3 * 3 = 9"), ((2, 3), "1 * 2 = 2")):
        message = re.escape(f"to match the calculated number of sliding blocks {windows}")
        with pytest.raises(RuntimeError, match=message):
            nn.Fold(size, 2)(columns)
    with pytest.raises(RuntimeError, match="to be divisible by the product of kernel_size"):
        nn.Fold((3, 3), 2)(columns[:, :3])
    with pytest.raises(RuntimeError, match=r"calculated shape of the array of sliding blocks as \(0, 0\)"):
        nn.Unfold(4)(IMAGE)


def test_shuffled_pixels():
    """``nn.PixelShuffle(2)`` makes 2x2 blocks, each of four successive channels at one position.

    ``(N, C * 4, H, W)`` becomes ``(N, C, H * 2, W * 2)``: the channels of an output channel lie side by side,
    and fill its block row by row.
    """
    channels = torch.arange(8.0).view(1, 4, 1, 2)
    image = torch.rand(2, 12, 3, 5)

    assert channels[0, :, 0, 0].tolist() == [0, 2, 4, 6]
    assert nn.PixelShuffle(2)(channels).tolist() == [[[[0, 2, 1, 3], [4, 6, 5, 7]]]]
    assert torch.equal(
        nn.PixelShuffle(2)(image), image.view(2, 3, 2, 2, 3, 5).permute(0, 1, 4, 2, 5, 3).reshape(2, 3, 6, 10)
    )


def test_unshuffled_pixels():
    """``nn.PixelUnshuffle`` is the inverse of ``nn.PixelShuffle``: blocks become channels."""
    image = torch.rand(2, 3, 6, 12)

    assert nn.PixelUnshuffle(2)(torch.arange(4.0).view(1, 1, 2, 2)).flatten().tolist() == [0, 1, 2, 3]
    assert nn.PixelUnshuffle(2)(image).shape == (2, 12, 3, 6)
    for factor in (2, 3):
        assert torch.equal(nn.PixelShuffle(factor)(nn.PixelUnshuffle(factor)(image)), image)
    assert torch.equal(nn.PixelUnshuffle(2)(image)[:, 1], image[:, 0, ::2, 1::2])


def test_what_cannot_be_shuffled():
    """``nn.PixelShuffle(2)`` raises ``RuntimeError`` unless 4 divides the number of channels.

    ``nn.PixelUnshuffle(2)`` raises it unless 2 divides height and width.
    """
    with pytest.raises(RuntimeError, match=r"input\.size\(-3\)=3 is not divisible by 4"):
        nn.PixelShuffle(2)(torch.rand(1, 3, 2, 2))
    with pytest.raises(RuntimeError, match=r"height to be divisible by downscale_factor.*size\(-2\)=3"):
        nn.PixelUnshuffle(2)(torch.rand(1, 1, 3, 2))
    with pytest.raises(RuntimeError, match=r"width to be divisible by downscale_factor.*size\(-1\)=3"):
        nn.PixelUnshuffle(2)(torch.rand(1, 1, 2, 3))


def test_shuffled_channels():
    """``nn.ChannelShuffle(2)`` takes the channels in turn from the first and the second half.

    It draws no random numbers. The groups have to divide the channels.
    """
    channels = torch.arange(72.0).view(2, 6, 2, 3)

    assert torch.equal(nn.ChannelShuffle(2)(channels), channels[:, [0, 3, 1, 4, 2, 5]])
    assert torch.equal(nn.ChannelShuffle(3)(channels), channels[:, [0, 2, 4, 1, 3, 5]])
    assert torch.equal(nn.ChannelShuffle(3)(nn.ChannelShuffle(2)(channels)), channels)
    with pytest.raises(RuntimeError, match="Got 6 channels and 4 groups"):
        nn.ChannelShuffle(4)(channels)

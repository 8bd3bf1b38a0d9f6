"""Pooling: which elements a window covers, and what it divides by.

Windows of a fixed size may hang over the edge, into padding or beyond it; those of adaptive layers are laid
out to fit. ``F.max_pool1d``, ``F.avg_pool2d`` and their kin compute the same.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

NUMBERS = torch.tensor([[[1.0, 2.0, 3.0, 4.0, 5.0]]])


def test_adaptive_windows_overlap():
    """Windows of ``nn.AdaptiveAvgPool1d`` overlap unless the input size is a multiple of the output size.

    Window ``i`` goes from ``floor(i * size / out)`` up to ``ceil((i + 1) * size / out)``, so that its end is
    rounded up. An implementation with windows of one size gives other numbers. ``2d``, ``3d`` and the
    adaptive max pooling lay their windows out alike.
    """
    size, out = 5, 3
    windows = [NUMBERS[0, 0, i * size // out : -((i + 1) * size // -out)].tolist() for i in range(out)]

    assert windows == [[1.0, 2.0], [2.0, 3.0, 4.0], [4.0, 5.0]]
    assert nn.AdaptiveAvgPool1d(3)(NUMBERS).tolist() == [[[1.5, 3.0, 4.5]]]
    assert nn.AdaptiveMaxPool1d(3)(NUMBERS).tolist() == [[[2.0, 4.0, 5.0]]]
    assert nn.AdaptiveAvgPool2d((1, 3))(NUMBERS[:, None]).tolist() == [[[[1.5, 3.0, 4.5]]]]
    assert nn.AdaptiveAvgPool1d(2)(NUMBERS[..., :4]).tolist() == [[[1.5, 3.5]]]


def test_adaptive_pooling_may_enlarge():
    """``nn.AdaptiveAvgPool1d`` accepts an output size above that of its input: windows repeat elements.

    It does not interpolate: see :class:`torch.nn.Upsample`. The same size returns the same values.
    """
    assert nn.AdaptiveAvgPool1d(4)(NUMBERS[..., :2]).tolist() == [[[1.0, 1.0, 2.0, 2.0]]]
    assert nn.AdaptiveAvgPool1d(3)(NUMBERS[..., :2]).tolist() == [[[1.0, 1.5, 2.0]]]
    assert nn.AdaptiveMaxPool1d(3)(NUMBERS[..., :2]).tolist() == [[[1.0, 2.0, 2.0]]]
    assert nn.AdaptiveAvgPool1d(5)(NUMBERS).tolist() == NUMBERS.tolist()


def test_none_keeps_a_size():
    """``None`` in the output size of ``nn.AdaptiveAvgPool2d`` keeps the size of the input there."""
    image = torch.arange(6.0).view(1, 2, 3)

    assert nn.AdaptiveAvgPool2d((None, 1))(image).tolist() == [[[1.0], [4.0]]]
    assert nn.AdaptiveAvgPool2d((1, None))(image).tolist() == [[[1.5, 2.5, 3.5]]]
    assert nn.AdaptiveAvgPool2d((None, 1))(image.repeat(2, 1, 1, 1)).tolist() == [[[[1.0], [4.0]]]] * 2
    assert nn.AdaptiveAvgPool2d((None, None))(image).tolist() == image.tolist()
    assert nn.AdaptiveMaxPool2d((1, None))(image).tolist() == [[[3.0, 4.0, 5.0]]]
    assert nn.AdaptiveAvgPool2d(1)(image).tolist() == [[[2.5]]]


def test_what_is_left_at_the_end_is_dropped():
    """``nn.MaxPool1d`` and ``AvgPool1d`` drop what fills no window; ``ceil_mode=True`` adds a window for it.

    The window is added only if it starts in the input or in the padding before it, so that it covers at
    least one element.
    """
    for x in (NUMBERS, NUMBERS.clone().requires_grad_()):
        assert nn.MaxPool1d(2)(x).tolist() == [[[2.0, 4.0]]]
        assert nn.MaxPool1d(2, ceil_mode=True)(x).tolist() == [[[2.0, 4.0, 5.0]]]
        assert nn.AvgPool1d(2)(x).tolist() == [[[1.5, 3.5]]]
        assert nn.AvgPool1d(2, ceil_mode=True)(x).tolist() == [[[1.5, 3.5, 5.0]]]

    assert nn.MaxPool1d(1, 2, ceil_mode=True)(NUMBERS[..., :4]).tolist() == [[[1.0, 3.0]]]
    assert nn.MaxPool1d(1, 2, ceil_mode=True)(NUMBERS).tolist() == [[[1.0, 3.0, 5.0]]]


def test_averages_count_padding():
    """By default ``nn.AvgPool1d`` counts the zeros of its padding; ``count_include_pad=False`` does not.

    Averages at the border are then too small. That may be seen as a dark frame around an image.
    """
    threes = torch.tensor([[[3.0, 3.0, 3.0, 3.0]]])

    assert nn.AvgPool1d(3, 1, padding=1)(threes).tolist() == [[[2.0, 3.0, 3.0, 2.0]]]
    assert nn.AvgPool1d(3, 1, padding=1, count_include_pad=False)(threes).tolist() == threes.tolist()
    assert nn.AvgPool2d(3, 1, padding=(0, 1))(threes.expand(1, 3, 4)).tolist() == [[[2.0, 3.0, 3.0, 2.0]]]


def test_averages_do_not_count_what_lies_beyond_the_padding():
    """A window that ``ceil_mode=True`` adds to ``nn.AvgPool1d`` counts input and padding, not what is beyond.

    Its divisor is smaller than the kernel: of ``[4, 0, beyond]`` the average is ``4 / 2``, with
    ``count_include_pad=False`` ``4 / 1``.
    """
    numbers = NUMBERS[..., :4]

    assert nn.AvgPool1d(3, 2, padding=1, ceil_mode=True)(numbers).tolist() == [[[1.0, 3.0, 2.0]]]
    assert nn.AvgPool1d(3, 2, 1, True, count_include_pad=False)(numbers).tolist() == [[[1.5, 3.0, 4.0]]]
    assert nn.AvgPool1d(3, 2, ceil_mode=True)(numbers).tolist() == [[[2.0, 3.5]]]


def test_a_divisor_may_be_given():
    """``divisor_override`` of ``nn.AvgPool2d`` divides every window by that number, at the border too.

    With 1 it is sum pooling. 0 raises ``RuntimeError``.
    """
    image = torch.tensor([[[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]]])

    assert nn.AvgPool2d(2, divisor_override=1)(image).tolist() == [[[27.0]]]
    assert nn.AvgPool2d(2, ceil_mode=True, divisor_override=2)(image).tolist() == [[[13.5, 18.0]]]
    with pytest.raises(RuntimeError, match="divisor must be not zero"):
        nn.AvgPool2d(2, divisor_override=0)(image)


def test_the_padding_of_a_maximum_never_wins():
    """``nn.MaxPool1d(padding=1)`` pads with ``-inf``, not with zeros: negative values stay the maximum."""
    for x in (-NUMBERS, (-NUMBERS).requires_grad_()):
        assert nn.MaxPool1d(2, padding=1)(x).tolist() == [[[-1.0, -2.0, -4.0]]]
    assert nn.MaxPool1d(2)(F.pad(-NUMBERS, (1, 1))).tolist() == [[[0.0, -2.0, -4.0]]]


@pytest.mark.parametrize("layer", [nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d])
def test_padding_is_half_a_kernel_at_most(layer):
    """``nn.MaxPool2d`` and ``nn.AvgPool2d`` raise ``RuntimeError`` if padding exceeds half of the kernel.

    The error comes at the call, not at construction. With at most half, each window covers some input. To pad
    more, use :func:`F.pad <torch.nn.functional.pad>` before.
    """
    row = layer in (nn.MaxPool1d, nn.AvgPool1d)
    x, uneven = torch.ones(1, 1, 6, 6)[(0,) * row], [] if row else [(0, 2), (2, 0)]

    assert layer(4, padding=2)(x).shape[-1] == 2
    for too_much in [layer(3, padding=padding) for padding in (2, *uneven)]:
        with pytest.raises(RuntimeError, match="should be at most half of"):
            too_much(x)


def test_indices_of_maxima_are_flat():
    """``nn.MaxPool2d(return_indices=True)`` also returns flat positions: ``row * width + column``.

    :class:`torch.nn.MaxUnpool2d` puts the maxima back there, among zeros. It needs ``output_size`` if
    pooling has dropped a row or a column.
    """
    image = torch.tensor([[[[1.0, 9.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]]])

    images = torch.cat([image, image.flip(3)], 1).repeat(2, 1, 1, 1)

    maxima, indices = nn.MaxPool2d(2, 1, return_indices=True)(images)
    assert maxima.tolist() == [[[[9.0, 9.0], [7.0, 8.0]], [[9.0, 9.0], [8.0, 7.0]]]] * 2
    assert indices.tolist() == [[[[1, 1], [7, 8]], [[1, 1], [6, 7]]]] * 2

    kept, where = nn.MaxPool1d(2, return_indices=True)(NUMBERS)
    assert nn.MaxUnpool1d(2)(kept, where).tolist() == [[[0.0, 2.0, 0.0, 4.0]]]
    assert nn.MaxUnpool1d(2)(kept, where, output_size=(5,)).tolist() == [[[0.0, 2.0, 0.0, 4.0, 0.0]]]


@pytest.mark.parametrize("layer", [nn.MaxPool1d(2), nn.AdaptiveMaxPool1d(2)], ids=["fixed", "adaptive"])
def test_the_first_of_equal_maxima_gets_the_gradient(layer):
    """Of equal maxima in a window of ``nn.MaxPool1d`` or ``AdaptiveMaxPool1d``, the first gets the gradient.

    It is not divided among them, unlike that of :func:`torch.amax`.
    """
    x = torch.tensor([[[7.0, 7.0, 7.0, 7.0]]], requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.tolist() == [[[1.0, 0.0, 1.0, 0.0]]]

    x.grad = None
    x.view(2, 2).amax(1).sum().backward()
    assert x.grad.tolist() == [[[0.5, 0.5, 0.5, 0.5]]]


def test_one_nan_is_the_maximum():
    """``nn.MaxPool1d`` returns NaN for each window that contains a NaN."""
    x = torch.tensor([[[1.0, float("nan"), 3.0, 4.0, float("nan"), 5.0]]])

    for given in (x, x.clone().requires_grad_()):
        result = nn.MaxPool1d(2)(given).flatten()
        assert result.isnan().tolist() == [True, False, True]
        assert result[1] == 4.0


def test_a_sample_of_channels():
    """``nn.MaxPool2d`` reads 3D input as ``(C, H, W)``, and raises ``RuntimeError`` for 2D and 5D input.

    An image without channels is so refused, and ``(N, H, W)`` is pooled as it should be, for channels and
    samples are pooled alike.
    """
    images = torch.arange(16.0).view(2, 2, 4)

    assert nn.MaxPool2d(2)(images).tolist() == [[[5.0, 7.0]], [[13.0, 15.0]]]
    for wrong in (images[0], images[None, None]):
        with pytest.raises(RuntimeError, match=r"3D or 4D \(batch mode\) tensor expected for input"):
            nn.MaxPool2d(2)(wrong)


def test_power_average_of_negative_values():
    """``nn.LPPool1d(p, n)`` returns the ``p``-th root of the sum of ``x ** p``; for ``p=3`` NaN if negative.

    No absolute value is taken, and nothing is divided by the number of elements. With ``p=1`` it is sum
    pooling.
    """
    x = torch.tensor([[[3.0, 4.0, -3.0, -4.0]]])

    assert nn.LPPool1d(2, 2)(x).tolist() == [[[5.0, 5.0]]]
    assert nn.LPPool1d(1, 2)(x).tolist() == [[[7.0, -7.0]]]
    cubes = nn.LPPool1d(3, 2)(x).flatten()
    assert cubes[0].item() == pytest.approx(91 ** (1 / 3))
    assert cubes[1].isnan()


def test_fractional_pooling_draws_in_evaluation_too():
    """``nn.FractionalMaxPool2d`` draws its windows at random, in ``eval()`` too, unless given the samples.

    ``_random_samples``, of shape ``(N, C, 2)``, fixes them.
    """
    layer, image = nn.FractionalMaxPool2d(2, output_size=3), torch.arange(49.0).view(1, 1, 7, 7)
    fixed = nn.FractionalMaxPool2d(2, output_size=3, _random_samples=torch.tensor([[[0.25, 0.75]]]))

    for training in (True, False):
        layer.train(training)
        fixed.train(training)
        assert len({tuple(layer(image).flatten().tolist()) for _ in range(30)}) > 1
        assert len({tuple(fixed(image).flatten().tolist()) for _ in range(30)}) == 1


def test_unpooling_puts_maxima_back():
    """``nn.MaxUnpool2d`` puts each value where its index says, with zeros elsewhere.

    The indices are those of ``nn.MaxPool2d(return_indices=True)``; without them a call raises
    ``TypeError``. A maximum of two windows that overlap comes back once.
    """
    image = torch.tensor([[[[1.0, 2.0, 5.0, 3.0], [4.0, 3.0, 6.0, 7.0]]]])
    values, indices = nn.MaxPool2d(2, return_indices=True)(image)

    assert nn.MaxUnpool2d(2)(values, indices).tolist() == [[[[0, 0, 0, 0], [4, 0, 0, 7]]]]
    assert nn.MaxUnpool2d(2)(values * 10, indices).tolist() == [[[[0, 0, 0, 0], [40, 0, 0, 70]]]]
    both = nn.MaxPool2d(2, return_indices=True)(torch.cat([image, image.flip(2)]))
    assert nn.MaxUnpool2d(2)(*both)[1].tolist() == [[[4, 0, 0, 7], [0, 0, 0, 0]]]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'indices'"):
        nn.MaxUnpool2d(2)(values)

    values, indices = nn.MaxPool1d(2, 1, return_indices=True)(NUMBERS[..., [0, 4, 1]])

    assert values.tolist() == [[[5.0, 5.0]]]
    assert nn.MaxUnpool1d(2, 1)(values, indices).tolist() == [[[0, 5, 0]]]


def test_unpooling_to_a_size():
    """``nn.MaxUnpool2d`` needs ``output_size`` where pooling dropped a row: several sizes pool to one.

    Without it the indices, which count through the pooled image, are out of range or silently mean another
    place. See :issue:`580`.
    """
    image = torch.arange(1.0, 26.0).view(1, 1, 5, 5)
    values, indices = nn.MaxPool2d(2, return_indices=True)(image)
    unpool = nn.MaxUnpool2d(2)

    assert indices.flatten().tolist() == [6, 8, 16, 18]
    assert torch.equal(
        unpool(values, indices, output_size=image.shape), torch.where(torch.isin(image, values), image, 0)
    )
    with pytest.raises(RuntimeError, match="invalid max index: 18"):
        unpool(values, indices)
    with pytest.raises(RuntimeError, match="invalid max index: 8"):
        unpool(values[:, :, :1], indices[:, :, :1])
    assert unpool(values[:, :, :1, :1], indices[:, :, :1, :1] - 3).tolist() == [[[[0, 0], [0, 7]]]]


def test_wrong_sizes_and_indices_of_unpooling():
    """``nn.MaxUnpool1d`` raises ``ValueError`` for a size that a stride more or less would not explain.

    An index of another dtype than int64, or other than one for each value, raises ``RuntimeError``.
    """
    values, indices = nn.MaxPool1d(2, return_indices=True)(NUMBERS)
    unpool = nn.MaxUnpool1d(2)

    assert unpool(values, indices).tolist() == [[[0, 2, 0, 4]]]
    assert unpool(values, indices, output_size=[5]).tolist() == [[[0, 2, 0, 4, 0]]]
    for size in (2, 6):
        with pytest.raises(ValueError, match="must be between 2 and 6"):
            unpool(values, indices, output_size=[size])
    with pytest.raises(RuntimeError, match="should be type int64 but got: Int"):
        unpool(values, indices.int())
    with pytest.raises(RuntimeError, match="Expected shape of indices to be same"):
        unpool(values, indices[..., :1])

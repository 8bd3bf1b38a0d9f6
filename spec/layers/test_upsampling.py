"""Upsampling: how large the output is, and where between the elements its values are read.

``nn.Upsample`` hands its arguments on to ``F.interpolate``, which makes tensors smaller as well as larger.
"""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

NUMBERS = torch.tensor([[[1.0, 2.0, 3.0, 4.0, 5.0]]])
MODES = {3: ["linear"], 4: ["bilinear", "bicubic"], 5: ["trilinear"]}
COPYING = ["nearest", "nearest-exact", "area"]


def test_the_output_size_is_rounded_down():
    """``F.interpolate`` rounds ``size * scale_factor`` down in each dimension; 0 raises ``RuntimeError``.

    A factor that was computed may fall short: ``88 * (120 / 88)`` is a little less than 120. To get the size
    that is wanted, give ``size``.
    """
    factors = [1.5, 1.99, 0.5, 0.3]

    for mode in ("nearest", "nearest-exact", "area", "linear"):
        sizes = [F.interpolate(NUMBERS, scale_factor=factor, mode=mode).shape[-1] for factor in factors]
        assert sizes == [7, 9, 2, 1]
    assert F.interpolate(torch.ones(1, 1, 3, 5), scale_factor=1.5).shape == (1, 1, 4, 7)
    assert F.interpolate(torch.ones(1, 1, 88), scale_factor=120 / 88).shape == (1, 1, 119)
    assert F.interpolate(torch.ones(1, 1, 88), size=120).shape == (1, 1, 120)
    with pytest.raises(RuntimeError, match="Input and output sizes should be greater than 0"):
        F.interpolate(NUMBERS, scale_factor=0.1)


def test_either_a_size_or_a_scale():
    """``F.interpolate`` raises ``ValueError`` if given both ``size`` and ``scale_factor``, or neither.

    ``nn.Upsample`` accepts either at construction, and raises at the call.
    """
    both, neither = nn.Upsample(size=10, scale_factor=2), nn.Upsample()

    with pytest.raises(ValueError, match="only one of size or scale_factor should be defined"):
        F.interpolate(NUMBERS, size=10, scale_factor=2)
    with pytest.raises(ValueError, match="only one of size or scale_factor should be defined"):
        both(NUMBERS)
    with pytest.raises(ValueError, match="either size or scale_factor should be defined"):
        F.interpolate(NUMBERS)
    with pytest.raises(ValueError, match="either size or scale_factor should be defined"):
        neither(NUMBERS)


def test_a_number_for_each_spatial_dimension():
    """A tuple given to ``F.interpolate`` needs a number for each spatial dimension, else ``ValueError``.

    The first two dimensions, batch and channels, do not count: ``(H, W)`` goes with input of shape
    ``(N, C, H, W)``. An image without a batch or channels lacks one, so add it with ``unsqueeze(0)``. A
    single number is that of every dimension.
    """
    image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])

    assert F.interpolate(image, scale_factor=(1, 2)).tolist() == [
        [[[1.0, 1.0, 2.0, 2.0], [3.0, 3.0, 4.0, 4.0]]]
    ]
    assert F.interpolate(image, size=(3, 1)).tolist() == [[[[1.0], [1.0], [3.0]]]]
    assert F.interpolate(image, size=4).shape == (1, 1, 4, 4)
    for numbers in ((2,), (2, 3, 4)):
        for name, word in (("scale_factor", "scale_factor"), ("size", "output")):
            message = f"Input and {word} must have the same number of spatial dimensions"
            with pytest.raises(ValueError, match=message):
                F.interpolate(image, **{name: numbers})


def test_a_scale_may_be_recomputed():
    """``recompute_scale_factor=True`` makes ``F.interpolate`` act as if given the ``size`` rounded down.

    By default values are read at steps of ``1 / scale_factor``, here 2.0, though five elements to two are
    steps of 2.5, and the end of the input is not reached. With ``size`` it raises ``ValueError``.
    """
    plain = F.interpolate(NUMBERS, scale_factor=0.5, mode="linear")
    recomputed = F.interpolate(NUMBERS, scale_factor=0.5, mode="linear", recompute_scale_factor=True)

    assert plain.tolist() == [[[1.5, 3.5]]]
    assert recomputed.tolist() == F.interpolate(NUMBERS, size=2, mode="linear").tolist() == [[[1.75, 4.25]]]
    with pytest.raises(ValueError, match="recompute_scale_factor is not meaningful with an explicit size"):
        F.interpolate(NUMBERS, size=2, recompute_scale_factor=True)


def test_aligned_corners():
    """Linear ``F.interpolate`` with ``align_corners=True`` goes evenly from the first element to the last.

    With ``False`` elements are squares rather than points: of a half size each value is that of the middle
    between two elements, and what lies beyond the first or the last center repeats it.
    """
    numbers = torch.tensor([[[1.0, 2.0, 4.0, 8.0]]])
    pair = torch.tensor([[[0.0, 6.0]]])

    assert F.interpolate(numbers, 2, mode="linear", align_corners=True).tolist() == [[[1.0, 8.0]]]
    assert F.interpolate(numbers, 2, mode="linear", align_corners=False).tolist() == [[[1.5, 6.0]]]

    image = F.interpolate(numbers[None], (1, 2), mode="bilinear", align_corners=True)
    volume = F.interpolate(numbers[None, None], (1, 1, 2), mode="trilinear", align_corners=True)
    assert image.flatten().tolist() == volume.flatten().tolist() == [1.0, 8.0]

    aligned = F.interpolate(pair, 4, mode="linear", align_corners=True)
    assert aligned.flatten().tolist() == pytest.approx([0.0, 2.0, 4.0, 6.0])
    assert F.interpolate(pair, 4, mode="linear", align_corners=False).tolist() == [[[0.0, 1.5, 4.5, 6.0]]]


def test_a_scale_is_one_of_sizes():
    """With ``align_corners=True``, ``scale_factor`` of ``F.interpolate`` scales the size, not the distances.

    Four elements become eight, with seven gaps in place of three. To keep the elements and put one between
    each two, give ``size=2 * n - 1``.
    """
    numbers = torch.tensor([[[0.0, 7.0, 14.0, 21.0]]])

    twice = F.interpolate(numbers, scale_factor=2, mode="linear", align_corners=True)
    between = F.interpolate(numbers, size=7, mode="linear", align_corners=True)

    assert twice.flatten().tolist() == pytest.approx([0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0, 21.0])
    assert between.flatten().tolist() == pytest.approx([0.0, 3.5, 7.0, 10.5, 14.0, 17.5, 21.0])


@pytest.mark.parametrize(("dimensions", "mode"), [(d, mode) for d, modes in MODES.items() for mode in modes])
def test_corners_are_not_aligned_by_default(dimensions, mode):
    """Without ``align_corners``, bilinear ``F.interpolate`` computes as with ``False``, and does not warn.

    So do the other modes that take it. Models of before 0.4 expect ``True``.
    """
    x = torch.tensor([1.0, 2.0, 4.0, 8.0]).view((1,) * (dimensions - 1) + (4,))
    size = (1,) * (dimensions - 3) + (2,)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        default = F.interpolate(x, size, mode=mode)
    assert caught == []
    assert torch.equal(default, F.interpolate(x, size, mode=mode, align_corners=False))
    assert not torch.equal(default, F.interpolate(x, size, mode=mode, align_corners=True))


def test_bilinear_layers_differ_in_the_default():
    """``nn.UpsamplingBilinear2d`` aligns corners; ``nn.Upsample(mode="bilinear")`` does not by default.

    The two are no replacement for each other, unless ``align_corners=True`` is given.
    """
    numbers = torch.tensor([[[[1.0, 2.0, 4.0, 8.0]]]])

    assert nn.UpsamplingBilinear2d((1, 2))(numbers).tolist() == [[[[1.0, 8.0]]]]
    assert nn.Upsample((1, 2), mode="bilinear")(numbers).tolist() == [[[[1.5, 6.0]]]]
    assert nn.Upsample((1, 2), mode="bilinear", align_corners=True)(numbers).tolist() == [[[[1.0, 8.0]]]]


def test_copies_have_no_corners():
    """``F.interpolate(mode="nearest")`` raises ``ValueError`` for any ``align_corners``, even ``False``.

    So do ``"nearest-exact"`` and ``"area"``. ``nn.Upsample`` accepts it, and raises at the call. Leave it out
    or give ``None``.
    """
    for mode in COPYING:
        assert F.interpolate(NUMBERS, 5, mode=mode, align_corners=None).tolist() == NUMBERS.tolist()
        for aligned in (True, False):
            layer = nn.Upsample(5, mode=mode, align_corners=aligned)
            with pytest.raises(
                ValueError, match="align_corners option can only be set with the interpolating"
            ):
                F.interpolate(NUMBERS, 5, mode=mode, align_corners=aligned)
            with pytest.raises(
                ValueError, match="align_corners option can only be set with the interpolating"
            ):
                layer(NUMBERS)


def test_a_linear_mode_for_each_number_of_dimensions():
    """``F.interpolate`` raises ``NotImplementedError`` for 3D input with ``mode="bilinear"``: it takes 4D.

    ``"bicubic"`` takes 4D as well, ``"linear"`` 3D and ``"trilinear"`` 5D, batch and channels included;
    ``"nearest"`` and ``"area"`` take all three, and nothing takes 2D.
    """
    accepted = {mode: dimensions for dimensions, modes in MODES.items() for mode in modes}

    for dimensions in (2, 3, 4, 5, 6):
        x = torch.full((1,) * dimensions, 7.0)
        for mode in [*accepted, *COPYING]:
            if accepted.get(mode, min(max(dimensions, 3), 5)) == dimensions:
                assert F.interpolate(x, 2, mode=mode).shape == (1, 1) + (2,) * (dimensions - 2)
            else:
                with pytest.raises(NotImplementedError, match=rf"[Gg]ot {dimensions}D"):
                    F.interpolate(x, 2, mode=mode)
    with pytest.raises(NotImplementedError, match="Got 3D input, but bilinear mode needs 4D input"):
        F.interpolate(torch.ones(3, 4, 4), 2, mode="bilinear")


def test_nearest_is_not_the_nearest():
    """``F.interpolate(mode="nearest")`` takes the first element of a step, ``"nearest-exact"`` the middle.

    Element ``i`` is at ``floor(i * step)`` and at ``floor((i + 0.5) * step)``. With ``"nearest"`` a mask is
    shifted against its bilinear image; ``"nearest-exact"`` is what Pillow does. For a whole ``scale_factor``
    they are the same.
    """

    def resized(count, width, mode):
        sizes = [(width,), (1, width), (1, 1, width)]  # of a row, an image and a volume
        inputs = [torch.arange(1, count + 1.0).view(1, 1, *size[:-1], count) for size in sizes]
        row, image, volume = (
            F.interpolate(x, size, mode=mode) for x, size in zip(inputs, sizes, strict=True)
        )
        assert row.flatten().tolist() == image.flatten().tolist() == volume.flatten().tolist()
        return row.flatten().tolist()

    assert resized(6, 2, "nearest") == [1.0, 4.0]
    assert resized(6, 2, "nearest-exact") == [2.0, 5.0]
    assert resized(3, 4, "nearest") == [1.0, 1.0, 2.0, 3.0]
    assert resized(3, 4, "nearest-exact") == [1.0, 2.0, 2.0, 3.0]
    for mode in ("nearest", "nearest-exact"):
        assert resized(2, 6, mode) == [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]


def test_bicubic_values_overshoot():
    """Bicubic ``F.interpolate`` exceeds the range of float values beside an edge; bilinear does not.

    Pixels from 0 to 1 come out negative or above 1: ``clamp`` them before they are shown or saved.
    """
    edge = torch.tensor([[[[0.0, 0.0, 256.0, 256.0]]]])

    bicubic = F.interpolate(edge, (1, 8), mode="bicubic").flatten().tolist()
    assert bicubic == [0.0, -9.0, -27.0, 58.0, 198.0, 283.0, 265.0, 256.0]
    bilinear = F.interpolate(edge, (1, 8), mode="bilinear").flatten().tolist()
    assert bilinear == [0.0, 0.0, 0.0, 64.0, 192.0, 256.0, 256.0, 256.0]


@pytest.mark.since("2.1")
def test_bicubic_bytes_are_clamped():
    """Bicubic ``F.interpolate`` of ``uint8`` on the CPU is rounded, and clamped to 0 and 255.

    Nothing wraps around, and no ``clamp`` is needed.
    """
    edge = torch.tensor([[[[0, 0, 255, 255]]]], dtype=torch.uint8, device="cpu")

    enlarged = F.interpolate(edge, (1, 8), mode="bicubic")
    assert enlarged.dtype == torch.uint8
    assert enlarged.flatten().tolist() == [0, 0, 0, 58, 197, 255, 255, 255]


@pytest.mark.before("2.1")
def test_bicubic_bytes_were_refused():
    """Bicubic ``F.interpolate`` of ``uint8`` raises ``RuntimeError`` on the CPU."""
    edge = torch.tensor([[[[0, 0, 255, 255]]]], dtype=torch.uint8, device="cpu")

    with pytest.raises(RuntimeError, match="not implemented for 'Byte'"):
        F.interpolate(edge, (1, 8), mode="bicubic")


def test_bytes_are_the_only_integers():
    """Nearest ``F.interpolate`` takes ``uint8``, and raises ``RuntimeError`` for ``int64``, ``int32`` and
    ``bool``.

    A mask of labels goes through ``mask.float()`` or, with less than 256 classes, ``mask.byte()``, with
    ``mode="nearest"``. Bilinear values of ``uint8``, on the CPU, are rounded.
    """
    labels = torch.tensor([[[[0, 200, 100], [50, 10, 1]]]], dtype=torch.uint8)

    doubled = F.interpolate(labels, (2, 6))
    assert doubled.dtype == torch.uint8
    assert doubled.tolist() == [[[[0, 0, 200, 200, 100, 100], [50, 50, 10, 10, 1, 1]]]]
    smooth = F.interpolate(labels.cpu(), (2, 6), mode="bilinear")
    assert smooth.tolist() == [[[[0, 50, 150, 175, 125, 100], [50, 40, 20, 8, 3, 1]]]]
    for dtype in (torch.int64, torch.int32, torch.bool):
        for mode in ("nearest", "nearest-exact", "bilinear"):
            with pytest.raises(RuntimeError, match=r"not implemented for '(Long|Int|Bool)'"):
                F.interpolate(labels.to(dtype), (2, 6), mode=mode)


def test_antialiasing_averages_what_would_be_skipped():
    """``F.interpolate(antialias=True)`` weighs all elements when it shrinks; plain bilinear skips some.

    It is what Pillow does. Bilinear values of a larger size stay as they are. Bicubic ones change, for the
    cubic is another: its parameter is -0.5 instead of -0.75.
    """
    third, ninth = torch.zeros(1, 1, 1, 8), torch.zeros(1, 1, 1, 9)
    third[..., 3], ninth[..., 4] = 28.0, 256.0

    def resized(x, width, mode):
        both = [F.interpolate(x, (1, width), mode=mode, antialias=flag).flatten() for flag in (False, True)]
        return [[round(number, 3) for number in values.tolist()] for values in both]

    assert resized(third, 2, "bilinear") == [[0.0, 0.0], [5.0, 3.0]]
    plain, filtered = resized(ninth, 18, "bilinear")
    assert plain[6:9] == filtered[6:9] == [0.0, 64.0, 192.0]
    plain, filtered = resized(ninth, 18, "bicubic")
    assert plain[5:9] == [-9.0, -27.0, 67.0, 225.0]
    assert filtered[5:9] == [-6.0, -18.0, 58.0, 222.0]


def test_antialiasing_is_for_images():
    """``F.interpolate(antialias=True)`` raises ``ValueError`` for 3D input, and for ``mode="nearest"``.

    It takes 4D input and ``"bilinear"`` or ``"bicubic"``. ``nn.Upsample`` has no such argument.
    """
    image = torch.ones(1, 1, 8, 8)

    for x, mode in [(image[0], "bilinear"), (NUMBERS, "linear"), (image, "nearest"), (image, "area")]:
        with pytest.raises(ValueError, match="Anti-alias option is"):
            F.interpolate(x, 2, mode=mode, antialias=True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'antialias'"):
        nn.Upsample(2, mode="bilinear", antialias=True)


def test_area_is_adaptive_pooling():
    """``F.interpolate(mode="area")`` is adaptive average pooling, also where it makes the input larger.

    Then it repeats elements, and averages two where a window covers both, rather than interpolating.
    """
    assert F.interpolate(NUMBERS, 3, mode="area").tolist() == [[[1.5, 3.0, 4.5]]]
    assert F.interpolate(NUMBERS[None], (1, 3), mode="area").tolist() == [[[[1.5, 3.0, 4.5]]]]
    assert F.interpolate(NUMBERS[None, None], (1, 1, 3), mode="area").tolist() == [[[[[1.5, 3.0, 4.5]]]]]
    assert F.interpolate(NUMBERS, scale_factor=0.7, mode="area").tolist() == [[[1.5, 3.0, 4.5]]]
    assert F.interpolate(NUMBERS, 7, mode="area").tolist() == [[[1.0, 1.5, 2.5, 3.0, 3.5, 4.5, 5.0]]]
    assert nn.AdaptiveAvgPool1d(7)(NUMBERS).tolist() == [[[1.0, 1.5, 2.5, 3.0, 3.5, 4.5, 5.0]]]
    assert F.interpolate(NUMBERS[..., :4], 8, mode="linear").flatten()[1] == 1.25


def test_gradients_add_up_at_what_was_copied():
    """Gradients of nearest ``F.interpolate`` add up at the copied element; one left out gets 0.

    None is lost: the sum of the gradients of the input is that of the output.
    """
    x = torch.tensor([[[1.0, 2.0, 3.0]]], requires_grad=True)

    F.interpolate(x, 5).backward(torch.tensor([[[1.0, 2.0, 4.0, 8.0, 16.0]]]))
    assert x.grad.tolist() == [[[3.0, 12.0, 16.0]]]

    x.grad = None
    F.interpolate(x[None], (1, 5)).backward(torch.tensor([[[[1.0, 2.0, 4.0, 8.0, 16.0]]]]))
    assert x.grad.tolist() == [[[3.0, 12.0, 16.0]]]

    x.grad = None
    F.interpolate(x, 2).backward(torch.tensor([[[1.0, 2.0]]]))
    assert x.grad.tolist() == [[[1.0, 2.0, 0.0]]]


def test_the_size_that_it_has():
    """``F.interpolate`` to the size that its input has returns the same values, in another tensor."""
    image = torch.tensor([[[[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]]]])

    for mode in [*COPYING, *MODES[4]]:
        same = F.interpolate(image, (2, 3), mode=mode)
        assert same.tolist() == image.tolist()
        assert same.data_ptr() != image.data_ptr()
    for given, mode in ((image[0], "linear"), (image[None], "trilinear")):
        same = F.interpolate(given, given.shape[2:], mode=mode)
        assert same.tolist() == given.tolist()
        assert same.data_ptr() != given.data_ptr()
    assert F.interpolate(image, (2, 3), mode="bilinear", align_corners=True).tolist() == image.tolist()


def test_channels_stay_last():
    """``F.interpolate`` of a tensor in ``channels_last`` format returns one in that format."""
    image = torch.arange(24.0).view(1, 2, 3, 4)
    last = image.to(memory_format=torch.channels_last)

    for mode in [*COPYING, *MODES[4]]:
        larger = F.interpolate(last, (6, 8), mode=mode)
        assert larger.stride() == (96, 1, 16, 2)
        assert F.interpolate(image, (6, 8), mode=mode).stride() == (96, 48, 8, 1)
        torch.testing.assert_close(larger, F.interpolate(image, (6, 8), mode=mode), check_stride=False)


def test_the_layer_keeps_a_float():
    """``nn.Upsample(scale_factor=2)`` has no parameters, keeps ``2.0``, and its repr hides ``align_corners``.

    A tuple becomes one of floats. A list, which ``F.interpolate`` takes, raises ``TypeError``, and 0 counts
    as not given.
    """
    layer = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)

    assert list(layer.parameters()) == list(layer.state_dict()) == []
    assert repr(layer.scale_factor) == "2.0"
    assert repr(layer) == "Upsample(scale_factor=2.0, mode='bilinear')"
    assert repr(nn.Upsample(size=(3, 4))) == "Upsample(size=(3, 4), mode='nearest')"
    assert repr(nn.UpsamplingNearest2d(scale_factor=(2, 3)).scale_factor) == "(2.0, 3.0)"
    assert nn.Upsample(scale_factor=0).scale_factor is None
    with pytest.raises(TypeError, match=r"must be a string or a .*number, not 'list'"):
        nn.Upsample(scale_factor=[2, 3])

"""Padding: what is put around an input, and at which side.

Padding layers such as ``nn.ZeroPad2d`` and ``nn.ReflectionPad1d`` have no parameters and call ``F.pad``. That
a convolution pads by itself is in *convolution_arguments*.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

ROW = torch.tensor([[[1.0, 2.0, 3.0]]])
IMAGE = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])


def test_the_last_dimension_comes_first():
    """``nn.ZeroPad2d((1, 0, 0, 2))`` means left, right, top, bottom: the last dimension comes first.

    ``F.pad`` reads its numbers in the same order, in pairs, and leaves the dimensions that have no pair as
    they are.
    """
    assert nn.ZeroPad2d((1, 0, 0, 2))(IMAGE).tolist() == [[[[0, 1, 2], [0, 3, 4], [0, 0, 0], [0, 0, 0]]]]
    assert nn.ReplicationPad2d((1, 0, 0, 2))(IMAGE).tolist() == [
        [[[1, 1, 2], [3, 3, 4], [3, 3, 4], [3, 3, 4]]]
    ]
    assert F.pad(IMAGE, (1, 0)).tolist() == [[[[0, 1, 2], [0, 3, 4]]]]
    assert F.pad(IMAGE, (0, 0, 1, 0)).tolist() == [[[[0, 0], [1, 2], [3, 4]]]]


def test_a_convolution_counts_the_other_way_round():
    """``padding=(1, 2)`` of :class:`~torch.nn.Conv2d` is ``nn.ZeroPad2d((2, 2, 1, 1))``: height comes first.

    The convolution has a number for each dimension, for both of its ends; ``F.pad`` and the padding layers
    have a number for each end.
    """
    padded = nn.Conv2d(1, 1, 3, padding=(1, 2))
    plain = nn.Conv2d(1, 1, 3)
    plain.load_state_dict(padded.state_dict())

    assert torch.equal(padded(IMAGE), plain(nn.ZeroPad2d((2, 2, 1, 1))(IMAGE)))
    assert padded(IMAGE).shape == (1, 1, 2, 4)
    with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
        plain(nn.ZeroPad2d((1, 1, 0, 0))(IMAGE))


def test_one_number_pads_every_side():
    """``nn.ZeroPad2d(1)`` pads all four sides by 1; ``F.pad`` raises ``TypeError`` for a number."""
    assert nn.ZeroPad2d(1)(IMAGE).tolist() == [[[[0] * 4, [0, 1, 2, 0], [0, 3, 4, 0], [0] * 4]]]
    assert nn.ReflectionPad2d(1).padding == (1, 1, 1, 1)
    with pytest.raises(TypeError, match="must be tuple of ints, not int"):
        F.pad(IMAGE, 1)


def test_what_is_put_there():
    """``nn.ReflectionPad1d`` mirrors without the edge, ``ReplicationPad1d`` repeats it, ``"circular"`` wraps.

    ``mode`` of ``F.pad`` calls them ``"reflect"``, ``"replicate"`` and ``"circular"``; without it, and with
    ``nn.ConstantPad1d``, a value is put there.
    """
    assert nn.ReflectionPad1d(2)(ROW).tolist() == [[[3, 2, 1, 2, 3, 2, 1]]]
    assert nn.ReplicationPad1d(2)(ROW).tolist() == [[[1, 1, 1, 2, 3, 3, 3]]]
    assert F.pad(ROW, (2, 2), mode="circular").tolist() == [[[2, 3, 1, 2, 3, 1, 2]]]
    assert nn.ConstantPad1d(2, 7.5)(ROW).tolist() == [[[7.5, 7.5, 1, 2, 3, 7.5, 7.5]]]
    assert F.pad(ROW, (2, 2)).tolist() == [[[0, 0, 1, 2, 3, 0, 0]]]


@pytest.mark.since("2.1")
def test_circular_layers():
    """``nn.CircularPad1d``, 2d and 3d and ``nn.ZeroPad1d`` and 3d are layers too: not only ``F.pad`` does it.

    See :pull:`106632`.
    """
    solid = IMAGE[None]

    assert nn.CircularPad1d((1, 2))(ROW).tolist() == [[[3, 1, 2, 3, 1, 2]]]
    assert nn.CircularPad2d((1, 0, 1, 0))(IMAGE).tolist() == [[[[4, 3, 4], [2, 1, 2], [4, 3, 4]]]]
    assert nn.CircularPad3d((1, 0, 0, 0, 0, 0))(solid).tolist() == [[[[[2, 1, 2], [4, 3, 4]]]]]
    assert torch.equal(nn.CircularPad2d(1)(IMAGE[0]), nn.CircularPad2d(1)(IMAGE)[0])
    assert nn.ZeroPad1d((0, 1))(ROW).tolist() == [[[1, 2, 3, 0]]]
    assert nn.ZeroPad3d((0, 1, 0, 0, 0, 0))(solid).tolist() == [[[[[1, 2, 0], [3, 4, 0]]]]]


def test_a_reflection_is_smaller_than_the_input():
    """``nn.ReflectionPad1d`` raises ``RuntimeError`` unless the padding is less than the input size.

    There are ``size - 1`` elements to mirror, because the edge is not repeated. To pad by more, pad twice.
    """
    assert nn.ReflectionPad1d((2, 0))(ROW).tolist() == [[[3, 2, 1, 2, 3]]]
    for padding in (3, (3, 0), (0, 4)):
        with pytest.raises(RuntimeError, match="should be less than the corresponding input dimension"):
            nn.ReflectionPad1d(padding)(ROW)
    with pytest.raises(RuntimeError, match=r"padding \(0, 2\) at dimension 2"):
        nn.ReflectionPad2d((1, 1, 0, 2))(IMAGE)

    twice = nn.ReflectionPad1d((1, 0))(nn.ReflectionPad1d((2, 0))(ROW))

    assert twice.tolist() == [[[2, 3, 2, 1, 2, 3]]]


def test_how_far_the_other_ways_go():
    """``F.pad`` with ``mode="circular"`` pads at most by the input size, with ``"replicate"`` by any number.

    Beyond it the circular way raises ``RuntimeError``.
    """
    assert F.pad(ROW, (3, 0), mode="circular").tolist() == [[[1, 2, 3, 1, 2, 3]]]
    assert F.pad(ROW, (5, 0), mode="replicate").tolist() == [[[1, 1, 1, 1, 1, 1, 2, 3]]]
    with pytest.raises(RuntimeError, match="wrapping around more than once"):
        F.pad(ROW, (4, 0), mode="circular")


def test_negative_padding_cuts():
    """Negative padding of ``nn.ZeroPad2d``, ``ReflectionPad1d`` and the like cuts elements off."""
    assert nn.ZeroPad2d((-1, 0, 0, 0))(IMAGE).tolist() == [[[[2], [4]]]]
    assert nn.ReflectionPad1d((-1, 1))(ROW).tolist() == [[[2, 3, 2]]]
    assert nn.ReplicationPad1d((1, -2))(ROW).tolist() == [[[1, 1]]]
    assert F.pad(ROW, (0, -3)).shape == (1, 1, 0)
    with pytest.raises(RuntimeError, match="length must be non-negative"):
        F.pad(ROW, (-2, -2))


def test_a_constant_is_given_and_cast():
    """``nn.ConstantPad1d`` has no default for ``value``, and casts it to the dtype of the input."""
    numbers = torch.tensor([[[1, 2]]])

    assert nn.ConstantPad1d(1, 3.5)(numbers).tolist() == [[[3, 1, 2, 3]]]
    assert nn.ConstantPad1d(1, 3.5)(numbers.double()).tolist() == [[[3.5, 1.0, 2.0, 3.5]]]
    with pytest.raises(RuntimeError, match="cannot be converted to type uint8_t without overflow"):
        nn.ConstantPad1d(1, -1)(numbers.byte())
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'value'"):
        nn.ConstantPad1d(1)


def test_zeros_go_around_any_input():
    """``nn.ZeroPad2d`` takes a 2D input; ``nn.ReflectionPad2d`` takes 3D and 4D, else NotImplementedError.

    An image without channels needs ``image[None]`` first. A 3D input is one image without a batch.
    """
    assert nn.ZeroPad2d((1, 0, 0, 0))(IMAGE[0, 0]).tolist() == [[0, 1, 2], [0, 3, 4]]
    for layer in (nn.ReflectionPad2d((1, 0, 0, 0)), nn.ReplicationPad2d((1, 0, 0, 0))):
        assert torch.equal(layer(IMAGE[0]), layer(IMAGE)[0])
        for wrong in (IMAGE[0, 0], IMAGE[None]):
            with pytest.raises(NotImplementedError, match="padding"):
                layer(wrong)


def test_two_numbers_pad_the_width_alone():
    """``nn.ZeroPad2d((1, 2))`` pads the width only, without an error; ``nn.ReflectionPad2d((1, 2))`` raises.

    Two numbers are not height and width, as they are for a convolution, but the two ends of the last
    dimension. To pad that one alone by reflection or circularly, the input has to be 2D or 3D.
    """
    assert nn.ZeroPad2d((1, 2))(IMAGE).tolist() == [[[[0, 1, 2, 0, 0], [0, 3, 4, 0, 0]]]]
    assert nn.ZeroPad2d((1, 2))(IMAGE[0]).tolist() == [[[0, 1, 2, 0, 0], [0, 3, 4, 0, 0]]]
    with pytest.raises(NotImplementedError, match="padding"):
        nn.ReflectionPad2d((1, 1))(IMAGE)
    with pytest.raises(NotImplementedError, match="padding"):
        F.pad(IMAGE, (1, 1), mode="circular")
    assert F.pad(IMAGE[0], (0, 1), mode="circular").tolist() == [[[1, 2, 1], [3, 4, 3]]]
    with pytest.raises(RuntimeError, match="Padding length must be divisible by 2"):
        nn.ZeroPad2d((1, 2, 0))(IMAGE)


def test_names_of_the_modes():
    """``F.pad(mode="zeros")`` raises ``NotImplementedError``: zeros are ``mode="constant"``, the default.

    ``padding_mode`` of a convolution says ``"zeros"``. A ``value`` counts for ``"constant"`` only.
    """
    assert F.pad(ROW, (1, 0), mode="constant", value=5.0).tolist() == [[[5, 1, 2, 3]]]
    with pytest.raises(NotImplementedError, match="Unrecognised padding mode zeros"):
        F.pad(ROW, (1, 0), mode="zeros")
    with pytest.raises(RuntimeError, match='"reflect" doesn\'t take in value argument'):
        F.pad(ROW, (1, 0), mode="reflect", value=5.0)


def test_gradients_of_padding():
    """Gradients that reach what ``nn.ReflectionPad1d`` mirrors add up at the element; those of zeros are
    lost.

    ``nn.ReplicationPad1d`` and the circular way add them up too.
    """
    grads = torch.tensor([[[1.0, 10.0, 100.0, 1000.0, 10000.0]]])
    found = []
    for mode in ("reflect", "replicate", "circular", "constant"):
        row = ROW.clone().requires_grad_()
        F.pad(row, (1, 1), mode=mode).backward(grads)
        found.append(row.grad.flatten().tolist())

    assert found == [[10, 10101, 1000], [11, 100, 11000], [10010, 100, 1001], [10, 100, 1000]]

"""Convolution and pooling: inputs that do not fit.

Images come from NumPy as bytes and with their channels last, sequences with their features last, and they may
be smaller than a kernel. Most of it raises an error; where sizes happen to agree, nothing does.
"""

import pytest
import torch
from torch import nn


@pytest.mark.parametrize("make", [nn.Conv1d, nn.Conv2d, nn.Conv3d])
def test_a_kernel_that_is_larger(make):
    """``Conv1d`` to ``Conv3d`` raise ``RuntimeError`` if kernel and dilation reach beyond the padded input.

    The message names the padded size and the extent ``dilation * (kernel_size - 1) + 1``. Deep networks meet
    it with small images.
    """
    dims = int(make.__name__[4])
    x = torch.rand(2, 1, *[9, 8, 4][-dims:])

    for layer in (make(1, 1, 3, dilation=2), make(1, 1, 7, padding=1)):
        with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
            layer(x)

    assert make(1, 1, 3, dilation=2, padding=1)(x).shape == (2, 1, *[7, 6, 2][-dims:])
    assert make(1, 1, 6, padding=1)(x).shape == (2, 1, *[6, 5, 1][-dims:])


@pytest.mark.parametrize("make", [nn.MaxPool2d, nn.AvgPool2d])
def test_a_window_that_is_larger(make):
    """By default ``MaxPool2d`` and ``AvgPool2d`` raise "Output size is too small" for a larger kernel.

    It is a ``RuntimeError``. With ``ceil_mode=True`` one window may hang over the end, and
    ``nn.AdaptiveAvgPool2d`` has no such limit.
    """
    x = torch.rand(2, 1, 2, 5)

    for kernel in (3, (3, 1), (1, 6)):
        with pytest.raises(RuntimeError, match="Output size is too small"):
            make(kernel, stride=1)(x)

    assert make(2)(x).shape == (2, 1, 1, 2)
    assert make(3, ceil_mode=True)(x).shape == (2, 1, 1, 2)


def test_bytes_are_not_cast():
    """``nn.Conv2d`` raises ``RuntimeError`` for an image of ``uint8``, ``nn.Linear`` for integers: cast them.

    ``image.float() / 255`` is what most models expect.
    """
    image = torch.tensor([[[[0, 255], [51, 102]]]], dtype=torch.uint8)
    layer = nn.Conv2d(1, 1, 1)

    with pytest.raises(
        RuntimeError, match=r"Input type \(unsigned char\) and bias type \(float\) should be the same"
    ):
        layer(image)
    for integers in (image, image.int(), image.long()):
        with pytest.raises(RuntimeError, match=r"must have the same dtype|expected scalar type"):
            nn.Linear(2, 1)(integers)

    assert layer(image.float() / 255).shape == (1, 1, 2, 2)


@pytest.mark.parametrize(("make", "shape"), [(nn.Conv1d, (2, 5, 3)), (nn.Conv2d, (2, 5, 6, 3))])
def test_channels_come_second(make, shape):
    """``Conv1d`` and ``Conv2d`` take dimension 1 for the channels: with them last, ``RuntimeError`` is
    raised.

    The message names the size that was found there. ``x.movedim(-1, 1)`` puts channels second; ``view`` or
    ``reshape`` to the same shape would mix the values.
    """
    x, layer = torch.rand(shape), make(3, 1, 1)

    with pytest.raises(RuntimeError, match="to have 3 channels, but got 5 channels instead"):
        layer(x)

    moved, reshaped = x.movedim(-1, 1), x.reshape(2, 3, *shape[1:-1])
    assert layer(moved).shape == (2, 1, *shape[1:-1])
    assert moved.shape == reshaped.shape
    assert not torch.equal(moved, reshaped)


def test_as_many_steps_as_channels():
    """``nn.Conv1d(C, ...)`` takes ``(N, L, C)`` without an error if L is C, and mixes steps for features."""
    layer, x = nn.Conv1d(3, 1, 1), torch.rand(2, 3, 3)

    torch.testing.assert_close(layer(x)[:, 0], (x.transpose(1, 2) @ layer.weight[0, :, 0]) + layer.bias)
    assert not torch.isclose(layer(x), layer(x.transpose(1, 2)), atol=0.0).all()


def test_two_dimensions_are_one_sequence():
    """``nn.Conv1d(C, ...)`` takes 2-D input for one sequence ``(C, L)``, not for a batch of ``(N, C)`` or
    ``(N, L)``.

    A batch of one-channel sequences needs its channel: ``x.unsqueeze(1)``.
    """
    layer, x = nn.Conv1d(3, 1, 1), torch.rand(3, 5)

    assert torch.equal(layer(x), layer(x[None])[0])
    with pytest.raises(RuntimeError, match=r"expected input\[1, 5, 3\] to have 3 channels, but got 5"):
        layer(torch.rand(5, 3))
    with pytest.raises(RuntimeError, match="to have 1 channels, but got 8 channels instead"):
        nn.Conv1d(1, 2, 3)(torch.rand(8, 5))
    assert nn.Conv1d(1, 2, 3)(torch.rand(8, 5).unsqueeze(1)).shape == (8, 2, 3)


@pytest.mark.parametrize("make", [nn.Conv1d, nn.Conv2d])
def test_a_batch_without_samples(make):
    """``Conv1d`` and ``Conv2d`` take a batch of no samples and return one; gradients of their weights are
    zeros.
    """
    layer = make(3, 2, 1)

    output = layer(torch.rand(0, 3, *[4] * int(make.__name__[4])))
    output.sum().backward()

    assert output.shape == (0, 2, *[4] * int(make.__name__[4]))
    assert layer.weight.grad.any().item() is False
    assert layer.weight.grad.shape == layer.weight.shape


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"padding": -1}, "negative padding is not supported"),
        ({"stride": 0}, "non-positive stride is not supported"),
        ({"dilation": 0}, "dilation should be greater than zero"),
    ],
    ids=["padding", "stride", "dilation"],
)
def test_numbers_are_found_wrong_at_the_call(given, message):
    """By default ``Conv2d`` takes ``padding=-1``, ``stride=0``, ``dilation=0`` and raises ``RuntimeError`` if
    called.

    With a ``padding_mode`` other than ``"zeros"``, a negative ``padding`` crops the input.
    """
    layer = nn.Conv2d(1, 1, 2, **given)

    with pytest.raises(RuntimeError, match=message):
        layer(torch.rand(1, 1, 4, 4))
    for mode in ("circular", "reflect", "replicate"):
        cropping = nn.Conv2d(1, 1, 2, padding=-1, padding_mode=mode)
        assert cropping(torch.rand(1, 1, 4, 4)).shape == (1, 1, 1, 1)


@pytest.mark.parametrize("kernel", [(2,), (2, 3, 4)], ids=["one", "three"])
def test_a_kernel_of_other_dimensions(kernel):
    """``nn.Conv2d`` accepts a kernel size of one or three numbers, and raises ``RuntimeError`` when called.

    A tuple needs one number for each dimension: ``(2,)`` is not ``(2, 2)``, but ``2`` is.
    """
    layer = nn.Conv2d(1, 1, kernel)

    with pytest.raises(RuntimeError, match="to match the convolution dimensions"):
        layer(torch.rand(1, 1, 4, 4))

    assert nn.Conv2d(1, 1, 2).kernel_size == (2, 2)
    assert nn.Conv2d(1, 1, [2, 3])(torch.rand(1, 1, 4, 4)).shape == (1, 1, 3, 2)

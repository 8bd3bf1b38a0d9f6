"""Normalization: which dimension is the channels, which are averaged over.

``BatchNorm``, ``InstanceNorm`` and ``GroupNorm`` have their channels in dimension 1, ``LayerNorm`` and
``RMSNorm`` count from the end. Sequences ``(N, L, C)`` and images ``(N, C, H, W)`` therefore fit one kind
each.
"""

import pytest
import torch
from torch import nn


def test_features_of_steps_are_not_channels():
    """``BatchNorm1d(C)`` raises ``RuntimeError`` for ``(N, L, C)``: it takes ``(N, C, L)``, channels second.

    "running_mean should contain 5 elements not 3" means that dimension 1 has 5. Transpose before and after,
    or flatten the steps into the batch.
    """
    layer, x = nn.BatchNorm1d(3), torch.rand(2, 5, 3)

    for mode in (True, False):
        with pytest.raises(RuntimeError, match="running_mean should contain 5 elements not 3"):
            layer.train(mode)(x)

    layer.train()
    transposed = layer(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(transposed, layer(x.flatten(0, 1)).view(2, 5, 3))
    torch.testing.assert_close(transposed.mean((0, 1)), torch.zeros(3), atol=1e-5, rtol=0.0)


def test_as_many_steps_as_features():
    """``BatchNorm1d(C)`` silently normalizes steps, not features, of ``(N, L, C)`` if L is C."""
    x = torch.rand(4, 3, 3)

    output = nn.BatchNorm1d(3)(x)

    torch.testing.assert_close(output.mean((0, 2)), torch.zeros(3), atol=1e-5, rtol=0.0)
    assert output.mean((0, 1)).abs().max() > 1e-4


def test_batch_norm_averages_over_all_but_channels():
    """``BatchNorm1d``, ``2d`` and ``3d`` average over the batch and all positions: there is one mean per
    channel.

    Two images of 3x3 are 18 values for each channel; the statistics have the shape ``(C,)``.
    """
    for layer, shape in (
        (nn.BatchNorm1d(2), (3, 2, 4)),
        (nn.BatchNorm2d(2), (3, 2, 4, 5)),
        (nn.BatchNorm3d(2), (3, 2, 4, 5, 6)),
    ):
        x, layer.momentum = torch.rand(shape), 1.0
        over = [d for d in range(len(shape)) if d != 1]

        layer(x)

        torch.testing.assert_close(layer.running_mean, x.mean(over))
        torch.testing.assert_close(layer.running_var, x.var(over))


def test_another_number_of_channels():
    """``BatchNorm2d`` raises ``RuntimeError`` for another number of channels, ``GroupNorm`` as well.

    Both name two numbers: those they were made for and those in dimension 1 of the input.
    """
    x = torch.rand(2, 4, 5, 5)

    for layer in (nn.BatchNorm2d(3), nn.BatchNorm2d(3).eval()):
        with pytest.raises(RuntimeError, match="running_mean should contain 4 elements not 3"):
            layer(x)
    with pytest.raises(RuntimeError, match=r"got weight of shape \[3\] and input of shape \[2, 4, 5, 5\]"):
        nn.GroupNorm(1, 3)(x)
    with pytest.raises(RuntimeError, match="weight should contain 4 elements not 3"):
        nn.BatchNorm2d(3, track_running_stats=False)(x)


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 5), (2, 4, 5, 6), (2, 4, 5, 6, 3)])
def test_group_norm_takes_any_number_of_positions(shape):
    """``GroupNorm`` takes ``(N, C)`` and any dimensions after it: channels are dimension 1, not the last.

    Each sample is normalized by itself, so that it needs no batch and no running statistics.
    """
    layer, x = nn.GroupNorm(2, 4), torch.rand(shape)

    output = layer(x)

    assert output.shape == shape
    torch.testing.assert_close(output[:1], layer(x[:1]))
    torch.testing.assert_close(output.reshape(2, 2, -1).mean(-1), torch.zeros(2, 2), atol=1e-5, rtol=0.0)
    with pytest.raises(RuntimeError, match="at least 2 dimensions for input tensor but received 1"):
        layer(torch.rand(4))


def test_layer_norm_of_an_image():
    """``LayerNorm(C)`` raises ``RuntimeError`` for images ``(N, C, H, W)``: it takes the channels last.

    ``x.movedim(1, -1)`` before and ``movedim(-1, 1)`` after normalizes each pixel over its channels, as
    ConvNeXt does. ``LayerNorm((C, H, W))`` normalizes whole images and fits one size only.
    """
    layer, whole, x = nn.LayerNorm(3), nn.LayerNorm((3, 4, 5)), torch.rand(2, 3, 4, 5)

    with pytest.raises(
        RuntimeError, match=r"expected input with shape \[\*, 3\], but got input of size ?\[2, 3, 4, 5\]"
    ):
        layer(x)
    with pytest.raises(RuntimeError, match=r"expected input with shape \[\*, 3, 4, 5\]"):
        whole(x[..., :4])

    pixels = layer(x.movedim(1, -1)).movedim(-1, 1)
    torch.testing.assert_close(pixels.mean(1), torch.zeros(2, 4, 5), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(whole(x).mean((1, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0.0)


def test_padding_counts_in_batch_norm():
    """In training ``BatchNorm1d`` counts padded steps as any other: zeros of padding pull the mean toward 0.

    Normalize only what is there, ``layer(x[mask])``, which is ``(steps, C)``. ``LayerNorm`` has no such
    trouble: it looks at one step alone.
    """
    layer, mask = (
        nn.BatchNorm1d(2, momentum=1.0),
        torch.tensor([[True, True, True, True], [True, True, False, False]]),
    )
    x = (torch.rand(2, 4, 2) + 1.0) * mask[..., None]

    layer(x.transpose(1, 2))
    padded = layer.running_mean.clone()
    layer(x[mask])

    torch.testing.assert_close(padded, layer.running_mean * 6 / 8)
    torch.testing.assert_close(layer.running_mean, x[mask].mean(0))
    assert torch.equal(nn.LayerNorm(2)(x)[mask], nn.LayerNorm(2)(x[mask]))


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 4)])
def test_an_empty_batch_is_normalized(shape):
    """In training ``BatchNorm1d`` takes a batch of no samples, and leaves its running statistics as they are.

    It counts it all the same.
    """
    layer = nn.BatchNorm1d(3)
    nn.init.constant_(layer.running_mean, 2.0)
    nn.init.constant_(layer.running_var, 5.0)

    assert layer(torch.rand(shape)).shape == shape
    assert layer.num_batches_tracked.item() == 1
    assert layer.running_mean.tolist() == [2.0, 2.0, 2.0]
    assert layer.running_var.tolist() == [5.0, 5.0, 5.0]

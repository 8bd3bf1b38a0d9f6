"""What a normalization divides by: where eps stands, and how channels that lie side by side count.

Which elements are normalized together, and by which variance, is in the chapter on normalization; running
statistics are in the part on modes.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.mark.parametrize(
    ("make", "dimensions"),
    [
        (lambda eps: nn.BatchNorm1d(3, eps), 3),
        (lambda eps: nn.BatchNorm2d(3, eps), 4),
        (lambda eps: nn.BatchNorm3d(3, eps), 5),
        (nn.LazyBatchNorm1d, 3),
        (nn.LazyBatchNorm2d, 4),
        (nn.LazyBatchNorm3d, 5),
        (lambda eps: nn.SyncBatchNorm(3, eps), 3),
        (lambda eps: nn.InstanceNorm1d(3, eps), 3),
        (lambda eps: nn.InstanceNorm2d(3, eps), 4),
        (lambda eps: nn.InstanceNorm3d(3, eps), 5),
        (nn.LazyInstanceNorm1d, 3),
        (nn.LazyInstanceNorm2d, 4),
        (nn.LazyInstanceNorm3d, 5),
        (lambda eps: nn.LayerNorm(2, eps), 3),
        (lambda eps: nn.GroupNorm(3, 3, eps), 3),
    ],
)
def test_eps_stands_under_the_root(make, dimensions):
    """``eps`` of ``BatchNorm``, ``InstanceNorm``, ``LayerNorm`` and ``GroupNorm`` is added to the variance.

    They divide by ``sqrt(var + eps)``, not by ``sqrt(var) + eps``: an ``eps`` of 1e-5 limits what small
    inputs are multiplied by to 316, not to 100,000.
    """
    x = torch.tensor([-2.0, 2.0]).expand(4, 3, *[2] * (dimensions - 2))

    torch.testing.assert_close(make(eps=5.0)(x), x / (4 + 5) ** 0.5)
    evaluated = nn.BatchNorm1d(3, eps=8.0).eval()  # with a running_var of 1
    torch.testing.assert_close(evaluated(torch.ones(2, 3)), torch.full((2, 3), 1 / 3))


@pytest.mark.parametrize("shape", [(2, 6, 4), (2, 6, 4, 3), (2, 6, 4, 3, 2)], ids=["3d", "4d", "5d"])
def test_neighbouring_channels_are_normalised_together(shape):
    """``LocalResponseNorm(3)`` divides by ``(k + alpha * m) ** beta``, ``m`` a mean square over 3 channels.

    They are the channel itself, the one before and the one after, at the same position; behind the first and
    the last there are zeros. A channel is an entry of the second dimension.
    """
    x = 3 * torch.randn(shape)
    around = F.pad(x.flatten(2) ** 2, (0, 0, 1, 1))
    mean = ((around[:, :-2] + around[:, 1:-1] + around[:, 2:]) / 3).view(shape)

    for alpha, beta, k in [(0.5, 0.75, 2.0), (1.5, 0.5, 1.0)]:
        layer = nn.LocalResponseNorm(3, alpha, beta, k)
        torch.testing.assert_close(layer(x), x / (k + alpha * mean) ** beta)


@pytest.mark.parametrize("size", [3, 5])
def test_the_first_channel_counts_for_all(size):
    """``CrossMapLRN2d`` counts the square of the first channel for every channel, unlike
    ``LocalResponseNorm``.

    Its sum slides over the channels and never drops the first one, so that both agree only for channels up
    to ``size // 2``. Use :class:`~torch.nn.LocalResponseNorm`.
    """
    x, side = 3 * torch.randn(2, 9, 4, 3), size // 2
    squares = (x**2).unbind(1)
    windows = [squares[max(c - side, 0) : c + side + 1] for c in range(9)]
    first = [squares[:1] if c > side else () for c in range(9)]
    sums = torch.stack([sum((*ours, *more)) for ours, more in zip(windows, first, strict=True)], 1)

    for alpha, beta, k in [(0.5, 0.75, 2.0), (1.5, 0.5, 1.0)]:
        out = nn.CrossMapLRN2d(size, alpha, beta, k)(x)
        torch.testing.assert_close(out, x / (k + alpha / size * sums) ** beta)
        usual = nn.LocalResponseNorm(size, alpha, beta, k)(x)
        torch.testing.assert_close(out[:, : side + 1], usual[:, : side + 1])
        assert not torch.isclose(out[:, side + 1 :], usual[:, side + 1 :]).all()


@pytest.mark.parametrize("eps", [0.0, -0.5], ids=["zero", "negative"])
@pytest.mark.parametrize(
    "make", [lambda eps: nn.LayerNorm(2, eps), lambda eps: nn.GroupNorm(1, 2, eps)], ids=["layer", "group"]
)
def test_no_eps_is_nan_where_values_are_equal(make, eps):
    """``LayerNorm`` and ``GroupNorm`` with an ``eps`` of 0 or below give NaN if all values in a row are
    equal.

    A row of padding has equal values. Rows that vary enough are computed as usual. ``BatchNorm`` refuses such
    an ``eps`` in training mode from torch 2.10 on.

    See also :ref:`modes.batch_norm.eps_is_positive_in_training`
    """
    output = make(eps)(torch.tensor([[1.0, 5.0], [7.0, 7.0]]))

    torch.testing.assert_close(output[0], torch.tensor([-2.0, 2.0]) / (4 + eps) ** 0.5)
    assert output[1].isnan().all()


@pytest.mark.since("2.4")
@pytest.mark.parametrize("eps", [0.0, -0.5], ids=["zero", "negative"])
def test_rms_norm_without_eps_is_nan_for_zeros(eps):
    """``RMSNorm`` accepts an ``eps`` of 0 or below, and gives NaN for a row of zeros."""
    output = nn.RMSNorm(2, eps)(torch.tensor([[1.0, 7.0], [0.0, 0.0]]))

    torch.testing.assert_close(output[0], torch.tensor([1.0, 7.0]) / (25 + eps) ** 0.5)
    assert output[1].isnan().all()


def test_a_group_of_one_value_leaves_nothing_of_it():
    """``GroupNorm(C, C)`` of an input ``(N, C)`` returns its ``bias``: one value less its mean is 0.

    The gradients of the input and of ``weight`` are 0 too. On some devices the difference is rounded, and
    ``eps`` lets it be multiplied by 316: it grows with the input and is small, but not 0 (:issue:`94288`).
    """
    layer = nn.GroupNorm(2, 2)
    nn.init.constant_(layer.bias, 3.0)
    x = torch.tensor([[2.0, -7.0], [5.0, 11.0]], requires_grad=True)

    output = layer(x)
    output.sum().backward()

    torch.testing.assert_close(output, torch.full((2, 2), 3.0), rtol=0.0, atol=1e-3)
    torch.testing.assert_close(x.grad, torch.zeros(2, 2), rtol=0.0, atol=1e-3)
    torch.testing.assert_close(layer.weight.grad, torch.zeros(2), rtol=0.0, atol=1e-3)
    assert layer.bias.grad.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_one_value_in_a_group_of_one_sample_is_refused(training):
    """``GroupNorm`` raises ``ValueError`` for one value per group in a batch of one, in eval mode too.

    With two samples, or two positions, it computes: the batch counts for this check, though not for the mean.
    ``LayerNorm`` of one value does not raise.
    """
    layer = nn.GroupNorm(2, 2).train(training)

    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        layer(torch.rand(1, 2))
    assert [layer(torch.rand(2, 2)).shape, layer(torch.rand(1, 2, 2)).shape] == [(2, 2), (1, 2, 2)]
    assert nn.LayerNorm(1)(torch.rand(1, 1)).shape == (1, 1)


def test_layer_norm_of_one_feature_returns_its_bias():
    """``LayerNorm(1)`` returns its ``bias``, whatever the input: one feature less its mean is 0.

    It leaves nothing of the input to learn from, and neither the input nor ``weight`` has a gradient but for
    rounding, which grows with the input. To normalize a column over the batch, take
    :class:`~torch.nn.BatchNorm1d`.
    """
    layer = nn.LayerNorm(1)
    nn.init.constant_(layer.bias, 3.0)
    x = torch.tensor([[2.0], [-7.0], [1.9]], requires_grad=True)

    output = layer(x)
    output.sum().backward()

    torch.testing.assert_close(output, torch.full((3, 1), 3.0), rtol=0.0, atol=1e-3)
    torch.testing.assert_close(x.grad, torch.zeros(3, 1), rtol=0.0, atol=1e-3)
    torch.testing.assert_close(layer.weight.grad, torch.zeros(1), rtol=0.0, atol=1e-3)
    assert layer.bias.grad.tolist() == [3.0]
    assert nn.BatchNorm1d(1)(x).std() > 0.5

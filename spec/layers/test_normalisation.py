"""Normalization layers: what they learn, what they remember, what they take.

What training and evaluation mode change is in the part on modes, with the arguments of batch and instance
normalization.
"""

import pytest
import torch
from torch import nn


def test_batch_norm_has_parameters_and_buffers():
    """By default ``BatchNorm2d`` has two parameters, ``weight`` and ``bias``, and three buffers.

    The buffers are in the state dict, but not among the parameters: an average of weights has to copy them.
    """
    layer = nn.BatchNorm2d(3)

    assert [(name, p.shape) for name, p in layer.named_parameters()] == [("weight", (3,)), ("bias", (3,))]
    assert [(name, b.shape) for name, b in layer.named_buffers()] == [
        ("running_mean", (3,)),
        ("running_var", (3,)),
        ("num_batches_tracked", ()),
    ]


@pytest.mark.since("2.12")
@pytest.mark.parametrize(
    ("layer", "sizes"), [(nn.BatchNorm1d, (4,)), (nn.GroupNorm, (2, 4))], ids=["batch", "group"]
)
def test_a_normalisation_without_bias(layer, sizes):
    """``nn.BatchNorm1d`` and ``nn.GroupNorm`` with ``bias=False`` have a ``weight``, but no ``bias``
    (:issue:`157144`).
    """
    net, x = layer(*sizes, bias=False), torch.randn(3, 4)

    assert net.bias is None
    assert [name for name, _ in net.named_parameters()] == ["weight"]
    assert torch.allclose(net(x), layer(*sizes)(x), atol=1e-6)


@pytest.mark.since("2.1")
def test_layer_norm_without_bias():
    """``nn.LayerNorm(bias=False)`` has a ``weight``, but no ``bias``."""
    layer, x = nn.LayerNorm(4, bias=False), torch.randn(3, 4)

    assert layer.bias is None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert torch.allclose(layer(x), nn.LayerNorm(4)(x), atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "sizes"),
    [
        (nn.BatchNorm1d, (3, 4)),
        (nn.BatchNorm1d, (3, 4, 5)),
        (nn.BatchNorm2d, (3, 4, 5, 6)),
        (nn.BatchNorm3d, (3, 4, 5, 6, 2)),
        (nn.InstanceNorm1d, (4, 5)),
        (nn.InstanceNorm1d, (3, 4, 5)),
        (nn.InstanceNorm2d, (4, 5, 6)),
        (nn.InstanceNorm3d, (4, 5, 6, 2)),
    ],
)
def test_shapes_pass_through_a_normalisation(layer, sizes):
    """The output of ``nn.BatchNorm1d``, ``nn.InstanceNorm2d`` and the like has the shape of the input.

    ``BatchNorm1d`` can do without the last dimension, ``InstanceNorm`` without the batch.
    """
    assert layer(4)(torch.rand(sizes)).shape == sizes


def test_layer_norm_covers_the_last_dimensions():
    """``LayerNorm`` normalizes over the last dimensions; its ``weight`` has the shape ``normalized_shape``.

    :class:`~torch.nn.LayerNorm` does so in each row of the batch alone, in training as in evaluation.
    """
    layer = nn.LayerNorm((3, 5))

    result = layer(torch.rand(2, 3, 5) * 10)

    assert layer.weight.shape == (3, 5)
    assert nn.LayerNorm(5).weight.shape == (5,)
    assert result.mean(dim=(1, 2)).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert result.var(dim=(1, 2), unbiased=False).tolist() == pytest.approx([1, 1], abs=1e-3)


def test_group_norm_needs_groups_that_divide():
    """:class:`~torch.nn.GroupNorm` raises ``ValueError`` if ``num_groups`` does not divide
    ``num_channels``.
    """
    assert nn.GroupNorm(2, 4)(torch.rand(3, 4)).shape == (3, 4)

    with pytest.raises(ValueError, match=r"num_channels.* must be divisible by num_groups"):
        nn.GroupNorm(2, 3)


@pytest.mark.parametrize(
    ("layer", "sizes", "option"),
    [(nn.LayerNorm, (4,), "elementwise_affine"), (nn.GroupNorm, (2, 4), "affine")],
    ids=["layer", "group"],
)
def test_a_normalisation_that_learns_nothing(layer, sizes, option):
    """``LayerNorm(elementwise_affine=False)`` and ``GroupNorm(affine=False)`` have no weight and no bias.

    Both attributes are there, and ``None``.
    """
    made, x = layer(*sizes, **{option: False}), torch.randn(3, 4)

    assert made.weight is None
    assert made.bias is None
    assert list(made.state_dict()) == []
    assert torch.allclose(made(x), layer(*sizes)(x), atol=1e-6)


@pytest.mark.since("2.12")
@pytest.mark.observed
def test_normalisations_print_their_bias():
    """``repr`` of ``BatchNorm1d``, ``LayerNorm`` and ``GroupNorm`` shows whether the layer has a bias."""
    plain = nn.BatchNorm1d(4, affine=False, track_running_stats=False)
    layers = (nn.BatchNorm1d(4, 1e-3, 0.2), plain, nn.LayerNorm(4), nn.GroupNorm(2, 4))

    assert [repr(layer) for layer in layers] == [
        "BatchNorm1d(4, eps=0.001, momentum=0.2, affine=True, bias=True, track_running_stats=True)",
        "BatchNorm1d(4, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=False)",
        "LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)",
        "GroupNorm(2, 4, eps=1e-05, affine=True, bias=True)",
    ]


@pytest.mark.before("2.12")
@pytest.mark.observed
def test_normalisations_printed_no_bias():
    """``repr`` of ``BatchNorm1d``, ``LayerNorm`` and ``GroupNorm`` does not show whether the layer has a
    bias.
    """
    plain = nn.BatchNorm1d(4, affine=False, track_running_stats=False)
    layers = (nn.BatchNorm1d(4, 1e-3, 0.2), plain, nn.LayerNorm(4), nn.GroupNorm(2, 4))

    assert [repr(layer) for layer in layers] == [
        "BatchNorm1d(4, eps=0.001, momentum=0.2, affine=True, track_running_stats=True)",
        "BatchNorm1d(4, eps=1e-05, momentum=0.1, affine=False, track_running_stats=False)",
        "LayerNorm((4,), eps=1e-05, elementwise_affine=True)",
        "GroupNorm(2, 4, eps=1e-05, affine=True)",
    ]


@pytest.mark.since("2.4")
def test_rms_norm_has_no_bias():
    """:class:`~torch.nn.RMSNorm` has no bias, and divides its input ``x`` by ``sqrt(mean(x**2) + eps)``.

    The mean is not subtracted. By default eps is the smallest step of the dtype.
    """
    layer = nn.RMSNorm(4, eps=0.75)
    x = torch.tensor([[0.5, -0.5, 0.5, 0.5], [1.0, 2.0, 3.0, 1.0]])

    assert [(name, p.tolist()) for name, p in layer.named_parameters()] == [("weight", [1.0] * 4)]
    assert layer(x)[0].tolist() == pytest.approx([0.5, -0.5, 0.5, 0.5])
    assert layer(x)[1].tolist() == pytest.approx([value / 4.5**0.5 for value in (1.0, 2.0, 3.0, 1.0)])
    assert nn.RMSNorm(4)(x)[0].tolist() == pytest.approx([1.0, -1.0, 1.0, 1.0])

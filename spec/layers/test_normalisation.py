"""Normalisation layers: what they learn, what they remember, what they take.

What training and evaluation mode change is in the part on modes.
"""

import pytest
import torch
from torch import nn


def test_batch_norm_has_parameters_and_buffers():
    """:class:`~torch.nn.BatchNorm2d` learns a weight and a bias, and remembers three buffers."""
    layer = nn.BatchNorm2d(3)

    assert [(name, p.shape) for name, p in layer.named_parameters()] == [("weight", (3,)), ("bias", (3,))]
    assert [(name, b.shape) for name, b in layer.named_buffers()] == [
        ("running_mean", (3,)),
        ("running_var", (3,)),
        ("num_batches_tracked", ()),
    ]


def test_batch_norm_without_either():
    """A batch normalisation with ``affine=False`` and ``track_running_stats=False`` has all its entries
    ``None``.
    """
    layer = nn.BatchNorm1d(3, affine=False, track_running_stats=False)

    assert dict(layer._parameters) == {"weight": None, "bias": None}
    assert dict(layer._buffers) == {"running_mean": None, "running_var": None, "num_batches_tracked": None}
    assert list(layer.state_dict()) == []


@pytest.mark.since("2.12")
@pytest.mark.parametrize(
    "make",
    [lambda: nn.BatchNorm1d(4, bias=False), lambda: nn.GroupNorm(2, 4, bias=False)],
    ids=["batch", "group"],
)
def test_a_normalisation_without_bias(make):
    """Batch and group normalisation take ``bias=False``, and learn a scale only."""
    layer = make()

    assert (layer.bias, [name for name, _ in layer.named_parameters()]) == (None, ["weight"])


@pytest.mark.since("2.1")
def test_layer_norm_without_bias():
    """:class:`~torch.nn.LayerNorm` takes ``bias=False``, and learns a scale only."""
    layer = nn.LayerNorm(4, bias=False)

    assert (layer.bias, [name for name, _ in layer.named_parameters()]) == (None, ["weight"])


@pytest.mark.parametrize(
    ("layer", "expected", "given"),
    [
        (nn.BatchNorm1d, "2D or 3D", 1),
        (nn.BatchNorm1d, "2D or 3D", 4),
        (nn.BatchNorm2d, "4D", 3),
        (nn.BatchNorm2d, "4D", 5),
        (nn.BatchNorm3d, "5D", 4),
        (nn.BatchNorm3d, "5D", 6),
        (nn.InstanceNorm1d, "2D or 3D", 4),
        (nn.InstanceNorm2d, "3D or 4D", 2),
        (nn.InstanceNorm2d, "3D or 4D", 5),
        (nn.InstanceNorm3d, "4D or 5D", 6),
    ],
)
def test_dimensions_of_a_normalisation(layer, expected, given):
    """Batch and instance normalisation refuse an input of other dimensions, naming those allowed."""
    with pytest.raises(ValueError, match=f"^expected {expected} input .got {given}D input.$"):
        layer(2)(torch.rand([2] * given))


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
    """A normalisation returns the shape it was given, with or without the dimensions that may be left out."""
    assert layer(4)(torch.rand(sizes)).shape == sizes


def test_layer_norm_covers_the_last_dimensions():
    """:class:`~torch.nn.LayerNorm` normalises over the last dimensions, and learns as many values as they
    hold.
    """
    layer = nn.LayerNorm((3, 5))

    result = layer(torch.rand(2, 3, 5) * 10)

    assert (layer.weight.shape, nn.LayerNorm(5).normalized_shape) == ((3, 5), (5,))
    assert result.mean(dim=(1, 2)).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert result.var(dim=(1, 2), unbiased=False).tolist() == pytest.approx([1, 1], abs=1e-3)


def test_group_norm_needs_groups_that_divide():
    """:class:`~torch.nn.GroupNorm` refuses channels that its groups do not divide."""
    with pytest.raises(ValueError, match=r"num_channels.* must be divisible by num_groups"):
        nn.GroupNorm(2, 3)


@pytest.mark.parametrize(
    "make",
    [lambda: nn.LayerNorm(4, elementwise_affine=False), lambda: nn.GroupNorm(2, 4, affine=False)],
    ids=["layer", "group"],
)
def test_a_normalisation_that_learns_nothing(make):
    """A layer or group normalisation that learns nothing has weight and bias ``None``."""
    layer = make()

    assert dict(layer._parameters) == {"weight": None, "bias": None}


@pytest.mark.since("2.12")
@pytest.mark.observed
def test_normalisations_print_their_bias():
    """Normalisation layers print their arguments, and whether they have a bias."""
    assert [repr(layer) for layer in (nn.BatchNorm1d(4, 1e-3, 0.2), nn.LayerNorm(4), nn.GroupNorm(2, 4))] == [
        "BatchNorm1d(4, eps=0.001, momentum=0.2, affine=True, bias=True, track_running_stats=True)",
        "LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)",
        "GroupNorm(2, 4, eps=1e-05, affine=True, bias=True)",
    ]


@pytest.mark.before("2.12")
@pytest.mark.observed
def test_normalisations_printed_no_bias():
    """Normalisation layers print their arguments, and nothing about a bias."""
    assert [repr(layer) for layer in (nn.BatchNorm1d(4, 1e-3, 0.2), nn.LayerNorm(4), nn.GroupNorm(2, 4))] == [
        "BatchNorm1d(4, eps=0.001, momentum=0.2, affine=True, track_running_stats=True)",
        "LayerNorm((4,), eps=1e-05, elementwise_affine=True)",
        "GroupNorm(2, 4, eps=1e-05, affine=True)",
    ]


@pytest.mark.since("2.4")
def test_rms_norm_has_no_bias():
    """:class:`~torch.nn.RMSNorm` learns a scale only, and divides by the root of the mean square."""
    layer, x = nn.RMSNorm(4, eps=1e-6), torch.rand(3, 4)

    assert [(name, p.tolist()) for name, p in layer.named_parameters()] == [("weight", [1.0] * 4)]
    assert torch.allclose(layer(x), x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt())

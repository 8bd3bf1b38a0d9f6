"""Batch normalisation.

In training a batch is normalised by its own mean and variance, and running statistics are kept; in
evaluation the running statistics take their place.
"""

import re

import pytest
import torch
from torch import nn

LAYERS = [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d]


@pytest.mark.claim("N5-22")
def test_training_normalises_by_the_batch(device):
    """In training each channel is normalised by the mean and the biased variance of the batch."""
    x = 3 * torch.randn(8, 2, 5, device=device) + 4
    layer = nn.BatchNorm1d(2, eps=0.25).to(device)
    mean, var = x.mean((0, 2), keepdim=True), x.var((0, 2), correction=0, keepdim=True)

    torch.testing.assert_close(layer(x), (x - mean) / (var + 0.25).sqrt())


@pytest.mark.claim("N5-22")
def test_evaluation_normalises_by_what_is_kept(device):
    """In evaluation each channel is normalised by the running statistics, whatever the batch is."""
    layer = nn.BatchNorm1d(2, eps=0.25).to(device).eval()
    layer.running_mean.copy_(torch.tensor([3.0, 5.0]))
    layer.running_var.copy_(torch.tensor([2.0, 6.0]))
    x = torch.tensor([[4.0, 10.0], [1.0, 0.0]], device=device)

    wanted = torch.tensor([[1 / 1.5, 5 / 2.5], [-2 / 1.5, -5 / 2.5]], device=device)
    assert torch.allclose(layer(x), wanted, atol=1e-6)


def test_training_updates_the_running_statistics(device):
    """In training the running statistics move towards those of the batch, by ``momentum``.

    The new value has the weight ``momentum``, the other way round than in an optimizer. The running variance
    is unbiased, unlike the one the batch is normalised by.
    """
    x = 3 * torch.randn(8, 2, 5, device=device) + 4
    layer = nn.BatchNorm1d(2, momentum=0.25).to(device)
    layer(x)

    assert torch.allclose(layer.running_mean, 0.25 * x.mean((0, 2)), atol=1e-6)
    assert torch.allclose(layer.running_var, 0.75 + 0.25 * x.var((0, 2), correction=1), atol=1e-6)


def test_evaluation_leaves_the_running_statistics():
    """In evaluation the running statistics and the count of batches stay as they are."""
    layer = nn.BatchNorm1d(2).eval()
    layer(3 * torch.randn(8, 2) + 4)

    assert (layer.running_mean.tolist(), layer.running_var.tolist()) == ([0, 0], [1, 1])
    assert layer.num_batches_tracked.item() == 0


def test_batches_are_counted():
    """``num_batches_tracked`` counts the batches seen in training."""
    layer = nn.BatchNorm1d(2)
    for _ in range(3):
        layer(torch.randn(8, 2))
    layer.eval()(torch.randn(8, 2))

    assert layer.num_batches_tracked.item() == 3


@pytest.mark.parametrize("layer", LAYERS)
def test_a_new_layer(layer):
    """A new layer has mean 0, variance 1, weight 1 and bias 0, and has seen no batch."""
    state = layer(2).state_dict()

    assert {name: value.tolist() for name, value in state.items()} == {
        "weight": [1, 1],
        "bias": [0, 0],
        "running_mean": [0, 0],
        "running_var": [1, 1],
        "num_batches_tracked": 0,
    }
    assert [value.dtype for value in state.values()] == [torch.float32] * 4 + [torch.int64]


def test_defaults():
    """By default ``eps`` is 1e-5, ``momentum`` is 0.1, and a layer is affine and keeps running statistics."""
    layer = nn.BatchNorm2d(3)

    assert (layer.num_features, layer.eps, layer.momentum) == (3, 1e-5, 0.1)
    assert (layer.affine, layer.track_running_stats) == (True, True)


def test_arguments_in_order():
    """After the features come ``eps``, ``momentum``, ``affine``, ``track_running_stats``, device, dtype."""
    layer = nn.BatchNorm3d(3, 0.5, 0.25, True, False, "meta", torch.float64)

    assert (layer.num_features, layer.eps, layer.momentum) == (3, 0.5, 0.25)
    assert (layer.affine, layer.track_running_stats) == (True, False)
    assert (layer.weight.device.type, layer.weight.dtype) == ("meta", torch.float64)


def test_momentum_none_averages():
    """With ``momentum=None`` the running statistics are the plain average over all batches."""
    batches = [torch.randn(8, 2) + shift for shift in (1.0, 4.0, 9.0)]
    layer = nn.BatchNorm1d(2, momentum=None)
    for x in batches:
        layer(x)

    assert torch.allclose(layer.running_mean, torch.stack([x.mean(0) for x in batches]).mean(0), atol=1e-6)
    assert torch.allclose(layer.running_var, torch.stack([x.var(0) for x in batches]).mean(0), atol=1e-6)


@pytest.mark.observed
def test_momentum_none_wants_the_count():
    """With ``momentum=None`` and without a count the running statistics do not move.

    With a momentum they do.
    """
    averaging, moving = nn.BatchNorm1d(2, momentum=None), nn.BatchNorm1d(2, momentum=1.0)
    averaging.num_batches_tracked = moving.num_batches_tracked = None
    x = torch.randn(8, 2) + 4
    averaging(x)
    moving(x)

    assert averaging.running_mean.tolist() == [0, 0]
    assert torch.allclose(moving.running_mean, x.mean(0), atol=1e-6)


def test_momentum_zero_keeps_the_statistics():
    """With ``momentum=0.0`` the running statistics stay, while batches are counted."""
    layer = nn.BatchNorm1d(2, momentum=0.0)
    layer(torch.randn(8, 2) + 4)

    assert (layer.running_mean.tolist(), layer.running_var.tolist()) == ([0, 0], [1, 1])
    assert layer.num_batches_tracked.item() == 1


def test_without_statistics():
    """With ``track_running_stats=False`` there are no statistics: both modes normalise by the batch."""
    layer = nn.BatchNorm1d(2, track_running_stats=False)
    x = 3 * torch.randn(8, 2) + 4

    assert layer._buffers == {"running_mean": None, "running_var": None, "num_batches_tracked": None}
    assert torch.equal(layer.train()(x), layer.eval()(x))
    assert torch.allclose(layer(x).mean(0), torch.zeros(2), atol=1e-6)


@pytest.mark.observed
def test_tracking_switched_off_later():
    """``track_running_stats`` set to false later stops the updates; evaluation uses what there is."""
    layer = nn.BatchNorm1d(2)
    layer.track_running_stats = False
    x = 3 * torch.randn(8, 2) + 4
    trained, evaluated = layer(x), layer.eval()(x)

    assert (layer.running_mean.tolist(), layer.num_batches_tracked.item()) == ([0, 0], 0)
    assert torch.allclose(trained.mean(0), torch.zeros(2), atol=1e-6)
    assert torch.allclose(evaluated, x / (1 + 1e-5) ** 0.5, atol=1e-6)


@pytest.mark.observed
@pytest.mark.parametrize("missing", ["running_mean", "running_var"])
def test_one_statistic_alone_will_not_do(missing):
    """In evaluation one statistic without the other raises ``RuntimeError``."""
    layer = nn.BatchNorm1d(2).eval()
    setattr(layer, missing, None)

    with pytest.raises(RuntimeError, match=f"{missing} must be defined in evaluation mode"):
        layer(torch.randn(8, 2))


def test_affine_scales_and_shifts():
    """What is normalised is multiplied by ``weight``, and ``bias`` is added, in either mode."""
    layer = nn.BatchNorm1d(2).eval()
    x = torch.randn(8, 2)
    plain = layer(x)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([2.0, 3.0]))
        layer.bias.copy_(torch.tensor([5.0, 7.0]))

    assert torch.allclose(layer(x), plain * torch.tensor([2.0, 3.0]) + torch.tensor([5.0, 7.0]), atol=1e-6)


def test_without_affine():
    """With ``affine=False`` a layer has the entries ``weight`` and ``bias``, both ``None``."""
    layer = nn.BatchNorm2d(2, affine=False)

    assert layer._parameters == {"weight": None, "bias": None}


def test_no_grad_does_not_stop_the_updates():
    """Running statistics are updated under :class:`~torch.no_grad` too.

    Only evaluation mode stops the updates.
    """
    layer = nn.BatchNorm1d(2, momentum=1.0)
    x = torch.randn(8, 2) + 4
    with torch.no_grad():
        layer(x)

    assert torch.allclose(layer.running_mean, x.mean(0), atol=1e-6)


def test_the_statistics_require_no_grad():
    """Running statistics carry no gradient, whatever the input does."""
    layer = nn.BatchNorm1d(2)
    layer(torch.randn(8, 2, requires_grad=True)).sum().backward()

    assert [b.requires_grad for b in layer.buffers()] == [False] * 3
    assert layer.running_mean.grad_fn is None


@pytest.mark.parametrize("shape", [(1, 2), (1, 2, 1)], ids=str)
def test_one_value_cannot_be_normalised(shape):
    """In training a single value per channel raises ``ValueError``; in evaluation it does not.

    The last batch of an epoch is often that small.
    """
    layer = nn.BatchNorm1d(2)
    wanted = f"Expected more than 1 value per channel when training, got input size {torch.Size(shape)}"

    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        layer(torch.randn(shape))

    assert layer.eval()(torch.randn(shape)).shape == shape


@pytest.mark.parametrize("shape", [(2, 2), (1, 2, 2)], ids=str)
def test_two_values_can_be_normalised(shape):
    """In training two values per channel suffice, in the batch or along a dimension."""
    assert nn.BatchNorm1d(2)(torch.randn(shape)).shape == shape


@pytest.mark.parametrize(
    ("layer", "dims", "wanted"),
    [
        (nn.BatchNorm1d, 1, "expected 2D or 3D input (got 1D input)"),
        (nn.BatchNorm1d, 4, "expected 2D or 3D input (got 4D input)"),
        (nn.BatchNorm2d, 3, "expected 4D input (got 3D input)"),
        (nn.BatchNorm2d, 5, "expected 4D input (got 5D input)"),
        (nn.BatchNorm3d, 4, "expected 5D input (got 4D input)"),
        (nn.BatchNorm3d, 6, "expected 5D input (got 6D input)"),
    ],
)
def test_the_dimensions_are_counted(layer, dims, wanted):
    """An input with the wrong number of dimensions raises ``ValueError``, which tells both numbers."""
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        layer(2)(torch.randn([2] * dims))


@pytest.mark.before("2.10")
@pytest.mark.observed
def test_eps_may_be_anything():
    """An ``eps`` of zero or below is taken, in either mode."""
    x = torch.tensor([[1.0, 2.0], [5.0, 4.0]])

    assert torch.allclose(nn.BatchNorm1d(2, eps=0.0)(x), torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), atol=1e-6)
    assert torch.allclose(nn.BatchNorm1d(2, eps=-0.75).eval()(x), 2 * x, atol=1e-6)


@pytest.mark.since("2.10")
@pytest.mark.parametrize("eps", [0.0, -0.5])
def test_eps_is_positive_in_training(eps):
    """In training an ``eps`` of zero or below raises ``ValueError`` (:pull:`166756`)."""
    with pytest.raises(
        ValueError, match=rf"^batch_norm eps must be positive.*, but got {re.escape(str(eps))}$"
    ):
        nn.BatchNorm1d(2, eps=eps)(torch.randn(8, 2))


@pytest.mark.since("2.10")
def test_eps_is_not_negative_in_evaluation():
    """In evaluation an ``eps`` below zero raises ``ValueError``."""
    with pytest.raises(ValueError, match=r"^batch_norm eps must be (positive|non-negative), but got -0.5$"):
        nn.BatchNorm1d(2, eps=-0.5).eval()(torch.randn(8, 2))


@pytest.mark.since("2.10")
@pytest.mark.before("2.12")
@pytest.mark.observed
def test_eps_of_zero_is_refused_in_evaluation():
    """In evaluation an ``eps`` of zero raises ``ValueError`` (:issue:`173337`).

    It was taken before 2.10, and is taken again from 2.12 on.
    """
    with pytest.raises(ValueError, match=r"^batch_norm eps must be positive, but got 0.0$"):
        nn.BatchNorm1d(2, eps=0.0).eval()(torch.randn(8, 2))

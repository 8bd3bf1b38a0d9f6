"""Instance normalisation.

Each channel of each sample is normalised on its own, in both modes unless running statistics were asked for.
"""

import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

LAYERS = [nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d]


def test_each_sample_is_normalised():
    """Each channel of each sample is normalised by its own mean and biased variance, in both modes."""
    x = 3 * torch.randn(4, 2, 5) + 4
    layer = nn.InstanceNorm1d(2, eps=0.25)
    wanted = (x - x.mean(2, keepdim=True)) / (x.var(2, correction=0, keepdim=True) + 0.25).sqrt()

    assert torch.allclose(layer.train()(x), wanted, atol=1e-6)
    assert torch.allclose(layer.eval()(x), wanted, atol=1e-6)


@pytest.mark.parametrize("layer", LAYERS)
def test_no_state_by_default(layer):
    """By default a layer has neither parameters nor statistics, unlike batch normalisation."""
    net = layer(2)

    assert (net.affine, net.track_running_stats, net.eps, net.momentum) == (False, False, 1e-5, 0.1)
    assert list(net.state_dict()) == []


def test_arguments_in_order():
    """The arguments come in the order of those of batch normalisation."""
    layer = nn.InstanceNorm2d(2, 0.5, 0.25, True, True, "meta", torch.float64)

    assert (layer.eps, layer.momentum, layer.affine, layer.track_running_stats) == (0.5, 0.25, True, True)
    assert (layer.weight.device.type, layer.running_mean.dtype) == ("meta", torch.float64)


def test_training_with_statistics():
    """With ``track_running_stats=True`` training normalises each sample and averages what it finds."""
    x = 3 * torch.randn(4, 2, 5) + 4
    layer = nn.InstanceNorm1d(2, momentum=0.25, track_running_stats=True)
    out = layer(x)

    assert torch.allclose(out, nn.InstanceNorm1d(2)(x), atol=1e-6)
    assert torch.allclose(layer.running_mean, 0.25 * x.mean((0, 2)), atol=1e-6)
    assert torch.allclose(layer.running_var, 0.75 + 0.25 * x.var(2).mean(0), atol=1e-6)


def test_evaluation_with_statistics():
    """With ``track_running_stats=True`` evaluation normalises by the statistics and leaves them."""
    layer = nn.InstanceNorm1d(2, eps=0.25, track_running_stats=True).eval()
    layer.running_mean.copy_(torch.tensor([3.0, 5.0]))
    layer.running_var.copy_(torch.tensor([2.0, 6.0]))
    x = torch.tensor([[[4.0, 1.0], [10.0, 0.0]]])

    assert torch.allclose(layer(x), torch.tensor([[[1 / 1.5, -2 / 1.5], [5 / 2.5, -5 / 2.5]]]), atol=1e-6)
    assert layer.running_mean.tolist() == [3, 5]


@pytest.mark.observed
def test_batches_are_not_counted():
    """``num_batches_tracked`` stays 0: it is there, but nothing counts."""
    layer = nn.InstanceNorm1d(2, track_running_stats=True)
    layer(torch.randn(4, 2, 5))

    assert layer.num_batches_tracked.item() == 0


@pytest.mark.since("2.4")
@pytest.mark.observed
def test_momentum_none_keeps_the_statistics():
    """With ``momentum=None`` the statistics stay as they are; no average is taken."""
    layer = nn.InstanceNorm1d(2, momentum=None, track_running_stats=True)
    layer(torch.randn(4, 2, 5) + 4)

    assert (layer.running_mean.tolist(), layer.running_var.tolist()) == ([0, 0], [1, 1])


@pytest.mark.before("2.4")
@pytest.mark.observed
def test_momentum_none_is_refused():
    """With ``momentum=None`` the first call raises ``TypeError``."""
    layer = nn.InstanceNorm1d(2, momentum=None, track_running_stats=True)

    with pytest.raises(TypeError, match="argument 'momentum'"):
        layer(torch.randn(4, 2, 5))


def test_affine():
    """With ``affine=True`` what is normalised is multiplied by ``weight``, and ``bias`` is added."""
    layer = nn.InstanceNorm1d(2, affine=True)
    x = torch.randn(4, 2, 5)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([2.0, 3.0]))
        layer.bias.copy_(torch.tensor([5.0, 7.0]))
    plain = nn.InstanceNorm1d(2)(x)

    assert torch.allclose(
        layer(x), plain * torch.tensor([[2.0], [3.0]]) + torch.tensor([[5.0], [7.0]]), atol=1e-6
    )


@pytest.mark.parametrize(
    ("layer", "dims"), [(nn.InstanceNorm1d, 2), (nn.InstanceNorm2d, 3), (nn.InstanceNorm3d, 4)]
)
def test_a_sample_without_a_batch(layer, dims):
    """A layer takes a single sample and returns a single sample."""
    x = torch.randn([2] + [3] * (dims - 1))

    assert torch.allclose(layer(2)(x), layer(2)(x.unsqueeze(0)).squeeze(0), atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "dims", "wanted"),
    [
        (nn.InstanceNorm1d, 1, "expected 2D or 3D input (got 1D input)"),
        (nn.InstanceNorm1d, 4, "expected 2D or 3D input (got 4D input)"),
        (nn.InstanceNorm2d, 2, "expected 3D or 4D input (got 2D input)"),
        (nn.InstanceNorm2d, 5, "expected 3D or 4D input (got 5D input)"),
        (nn.InstanceNorm3d, 3, "expected 4D or 5D input (got 3D input)"),
        (nn.InstanceNorm3d, 6, "expected 4D or 5D input (got 6D input)"),
    ],
)
def test_the_dimensions_are_counted(layer, dims, wanted):
    """An input with a number of dimensions that a layer does not take raises ``ValueError``."""
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        layer(2)(torch.randn([2] * dims))


@pytest.mark.parametrize("layer", [nn.InstanceNorm1d(2), nn.InstanceNorm1d(2).eval()], ids=["train", "eval"])
def test_one_element_cannot_be_normalised(layer):
    """One element per channel raises ``ValueError``, in both modes, however large the batch is."""
    wanted = "Expected more than 1 spatial element when training, got input size torch.Size([4, 2, 1])"

    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        layer(torch.randn(4, 2, 1))


def test_one_element_will_do_with_statistics():
    """In evaluation with running statistics one element per channel suffices."""
    layer = nn.InstanceNorm1d(2, track_running_stats=True).eval()
    x = torch.randn(4, 2, 1)

    assert torch.allclose(layer(x), x, 1e-4, 1e-4)


@pytest.mark.since("2.1")
@pytest.mark.parametrize(("shape", "dim"), [((4, 3, 5), 1), ((3, 5), 0)], ids=["batch", "sample"])
def test_affine_wants_its_channels(shape, dim):
    """With ``affine=True`` another number of channels raises ``ValueError`` (:pull:`94624`)."""
    wanted = f"expected input's size at dim={dim} to match num_features (2), but got: 3."

    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        nn.InstanceNorm1d(2, affine=True)(torch.randn(shape))


@pytest.mark.since("2.1")
def test_other_channels_are_warned_of():
    """Without ``affine`` another number of channels is normalised all the same, with a warning."""
    x = torch.randn(4, 3, 5)

    with pytest.warns(UserWarning, match="input's size at dim=1 does not match num_features") as caught:
        out = nn.InstanceNorm1d(2)(x)

    assert len(caught) == 1
    assert torch.allclose(out, nn.InstanceNorm1d(3)(x), atol=1e-6)


def test_the_function_uses_the_input():
    """:func:`~torch.nn.functional.instance_norm` uses the statistics of the input unless told otherwise."""
    x = 3 * torch.randn(4, 2, 5) + 4
    mean, var = torch.tensor([3.0, 5.0]), torch.tensor([2.0, 6.0])

    assert torch.allclose(F.instance_norm(x), nn.InstanceNorm1d(2)(x), atol=1e-6)
    assert torch.allclose(
        F.instance_norm(x, mean, var, use_input_stats=False), F.batch_norm(x, mean, var), atol=1e-6
    )

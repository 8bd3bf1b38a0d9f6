"""Instance normalization.

Each channel of each sample is normalized on its own, in both modes unless running statistics were asked for.
What is said of ``InstanceNorm`` holds for :class:`~torch.nn.InstanceNorm1d`,
:class:`~torch.nn.InstanceNorm2d` and :class:`~torch.nn.InstanceNorm3d`.
"""

import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

LAYERS = [nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d]

# Each with the shape of a batch that it takes.
BATCHES = [
    pytest.param(nn.InstanceNorm1d, (4, 2, 5), id="1d"),
    pytest.param(nn.InstanceNorm2d, (4, 2, 5, 3), id="2d"),
    pytest.param(nn.InstanceNorm3d, (4, 2, 5, 3, 6), id="3d"),
]


@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_each_sample_is_normalised(layer, shape):
    """By default ``InstanceNorm`` normalizes each channel of each sample separately, also in eval mode.

    It uses the mean and the biased variance. With ``track_running_stats=True`` eval mode does otherwise.
    """
    x, positions = 3 * torch.randn(shape) + 4, tuple(range(2, len(shape)))
    net = layer(2, eps=0.25)
    mean, var = x.mean(positions, keepdim=True), x.var(positions, correction=0, keepdim=True)
    wanted = (x - mean) / (var + 0.25).sqrt()

    torch.testing.assert_close(net.train()(x), wanted)
    torch.testing.assert_close(net.eval()(x), wanted)
    torch.testing.assert_close(torch.no_grad()(net)(x), wanted)


@pytest.mark.parametrize("layer", LAYERS)
def test_no_state_by_default(layer):
    """By default ``InstanceNorm`` has no parameters and no running statistics, unlike ``BatchNorm``.

    Its output is not scaled or shifted by anything learned. Ask for it with ``affine=True``.
    """
    net = layer(2)

    assert [*net.parameters(), *net.buffers()] == []
    assert [name for name, _ in nn.BatchNorm1d(2).named_parameters()] == ["weight", "bias"]
    assert len(list(nn.BatchNorm1d(2).buffers())) == 3


@pytest.mark.parametrize("layer", LAYERS)
def test_defaults(layer):
    """``InstanceNorm`` defaults to ``eps=1e-5``, ``momentum=0.1``, ``affine=False`` and
    ``track_running_stats=False``.
    """
    net = layer(2)

    assert net.eps == 1e-5
    assert net.momentum == 0.1
    assert net.affine is False
    assert net.track_running_stats is False


def test_arguments_in_order():
    """``InstanceNorm2d(num_features, eps, momentum, affine, track_running_stats, ...)`` is the argument
    order.

    Then come ``device`` and ``dtype``. ``BatchNorm`` has the same order and other defaults.
    """
    for kind in (nn.InstanceNorm2d, nn.BatchNorm2d):
        layer = kind(2, 0.5, 0.25, True, False, "meta", torch.float64)

        assert (layer.num_features, layer.eps, layer.momentum) == (2, 0.5, 0.25)
        assert (layer.affine, layer.track_running_stats) == (True, False)
        assert layer.weight.device.type == "meta"
        assert layer.weight.dtype is torch.float64

    layers = nn.InstanceNorm2d(2), nn.BatchNorm2d(2)
    assert [(layer.affine, layer.track_running_stats) for layer in layers] == [(False, False), (True, True)]


@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_training_with_statistics(layer, shape):
    """In training mode ``InstanceNorm(track_running_stats=True)`` updates ``running_mean`` and
    ``running_var``.

    They are averaged over the samples, and the variance is the unbiased one. The output is that of a layer
    without statistics.
    """
    x, positions = 3 * torch.randn(shape) + 4, tuple(range(2, len(shape)))
    net = layer(2, momentum=0.25, track_running_stats=True)
    out = net(x)

    torch.testing.assert_close(out, layer(2)(x))
    torch.testing.assert_close(net.running_mean, 0.25 * x.mean((0, *positions)))
    torch.testing.assert_close(net.running_var, 0.75 + 0.25 * x.var(positions).mean(0))
    with torch.no_grad():
        net(x)
    torch.testing.assert_close(net.running_mean, (0.75 * 0.25 + 0.25) * x.mean((0, *positions)))

    alone = layer(2, momentum=1.0, track_running_stats=True)
    alone(x[0])
    torch.testing.assert_close(alone.running_mean, x[0].flatten(1).mean(1))
    torch.testing.assert_close(alone.running_var, x[0].flatten(1).var(1))


@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_evaluation_with_statistics(layer, shape):
    """In eval mode ``InstanceNorm(track_running_stats=True)`` uses but does not update its running
    statistics.
    """
    net, x = layer(2, eps=0.25, track_running_stats=True).eval(), 3 * torch.randn(shape) + 4
    net.running_mean.copy_(torch.tensor([3.0, 5.0]))
    net.running_var.copy_(torch.tensor([2.0, 6.0]))

    out = net(x)

    torch.testing.assert_close(out[:, 0], (x[:, 0] - 3.0) / 1.5)
    torch.testing.assert_close(out[:, 1], (x[:, 1] - 5.0) / 2.5)
    torch.testing.assert_close(torch.no_grad()(net)(x[0]), out[0])
    assert net.running_mean.tolist() == [3, 5]
    assert net.running_var.tolist() == [2, 6]


@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_batches_are_not_counted(layer, shape):
    """``num_batches_tracked`` of ``InstanceNorm(track_running_stats=True)`` stays 0 in training mode."""
    for momentum in (0.1, 1.0):
        net = layer(2, momentum=momentum, track_running_stats=True)
        net(torch.randn(shape) + 4)
        net(torch.randn(shape) + 4)

        assert net.num_batches_tracked.item() == 0
        assert net.running_mean.tolist() != [0, 0]


@pytest.mark.since("2.4")
@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_momentum_none_keeps_the_statistics(layer, shape):
    """``InstanceNorm(momentum=None)`` leaves its running statistics unchanged; it does not average.

    ``BatchNorm(momentum=None)`` averages over all batches.
    """
    net, batch_norm = layer(2, momentum=None, track_running_stats=True), nn.BatchNorm1d(2, momentum=None)
    batches = torch.randn(3, *shape) + 4
    for batch in batches:
        net(batch)
        batch_norm(batch.flatten(2))

    assert net.running_mean.tolist() == [0, 0]
    assert net.running_var.tolist() == [1, 1]
    torch.testing.assert_close(batch_norm.running_mean, batches.flatten(3).mean((0, 1, 3)))


@pytest.mark.before("2.4")
@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_momentum_none_is_refused(layer, shape):
    """``InstanceNorm(momentum=None, track_running_stats=True)`` raises ``TypeError`` when called."""
    net = layer(2, momentum=None, track_running_stats=True)

    with pytest.raises(TypeError, match="argument 'momentum'"):
        net(torch.randn(shape))


@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_affine(layer, shape, tracked):
    """``InstanceNorm(affine=True)`` multiplies the normalized input by ``weight`` and adds ``bias``."""
    net, x = layer(2, affine=True, track_running_stats=tracked), torch.randn(shape)
    plain = layer(2, track_running_stats=tracked)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([2.0, 3.0]))
        net.bias.copy_(torch.tensor([5.0, 7.0]))

    for training in (True, False):
        first, second = plain.train(training)(x).unbind(1)
        wanted = torch.stack([first * 2 + 5, second * 3 + 7], dim=1)
        torch.testing.assert_close(net.train(training)(x), wanted)
    torch.testing.assert_close(net(x[0]), wanted[0])


@pytest.mark.since("2.12")
@pytest.mark.parametrize("layer", LAYERS)
def test_affine_without_bias(layer):
    """``InstanceNorm(affine=True, bias=False)`` has a ``weight``, but no ``bias``.

    Without ``affine=True`` it has neither, whatever ``bias`` is.
    """
    net = layer(2, affine=True, bias=False)

    assert net.bias is None
    assert [name for name, _ in net.named_parameters()] == ["weight"]
    assert [*layer(2, bias=True).parameters(), *layer(2, bias=False).parameters()] == []


@pytest.mark.parametrize(
    ("layer", "dims"), [(nn.InstanceNorm1d, 2), (nn.InstanceNorm2d, 3), (nn.InstanceNorm3d, 4)]
)
def test_a_sample_without_a_batch(layer, dims):
    """``InstanceNorm`` accepts a single sample without a batch dimension and returns the same shape."""
    x = torch.randn([2] + [3] * (dims - 1))
    mean, var = x.flatten(1).mean(1), x.flatten(1).var(1, correction=0)
    wanted = (x.flatten(1) - mean.unsqueeze(1)) / (var.unsqueeze(1) + 0.25).sqrt()

    for training in (True, False):
        net = layer(2, eps=0.25).train(training)
        torch.testing.assert_close(net(x), wanted.reshape(x.shape))


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
    """``nn.InstanceNorm2d`` raises ``ValueError`` for 2D input: "expected 3D or 4D input (got 2D input)".

    ``InstanceNorm1d`` expects 2D or 3D input, ``InstanceNorm3d`` 4D or 5D.
    """
    for norm in (layer(2), layer(2).eval()):
        with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
            norm(torch.randn([2] * dims))


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("layer", LAYERS)
def test_one_element_cannot_be_normalised(layer, training):
    """``InstanceNorm`` raises ``ValueError`` for one element per channel, unless eval uses running
    statistics.

    However large the batch is, it raises ``ValueError``. A network whose last feature map is a single pixel
    meets this.
    """
    x = torch.randn(4, 2, *[1] * (1 + LAYERS.index(layer)))
    wanted = f"Expected more than 1 spatial element when training, got input size {x.shape}"

    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        layer(2).train(training)(x)
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        layer(2, track_running_stats=True)(x)
    with pytest.raises(ValueError, match="Expected more than 1 spatial element"):
        layer(2).train(training)(x[0])
    assert layer(2, track_running_stats=True).eval()(x).shape == x.shape
    two = torch.cat([x, x + 1], dim=-1)
    assert layer(2).train(training)(two).shape == two.shape


@pytest.mark.parametrize("layer", LAYERS)
def test_one_element_will_do_with_statistics(layer):
    """``InstanceNorm`` with running statistics accepts one element per channel in eval mode."""
    net = layer(2, eps=0.25, track_running_stats=True).eval()
    net.running_mean.copy_(torch.tensor([3.0, 5.0]))
    net.running_var.copy_(torch.tensor([2.0, 6.0]))
    x = torch.tensor([6.0, 0.0]).view(1, 2, *[1] * (1 + LAYERS.index(layer)))

    for batch in (x, x[0]):
        torch.testing.assert_close(net(batch), torch.tensor([2.0, -2.0]).view(batch.shape))


@pytest.mark.since("2.1")
@pytest.mark.parametrize(
    ("layer", "shape", "dim"),
    [
        (nn.InstanceNorm1d, (4, 3, 5), 1),
        (nn.InstanceNorm1d, (3, 5), 0),
        (nn.InstanceNorm2d, (4, 3, 5, 6), 1),
        (nn.InstanceNorm3d, (3, 5, 6, 2), 0),
    ],
    ids=["batch", "sample", "2d", "3d sample"],
)
@pytest.mark.parametrize("training", [True, False])
def test_affine_wants_its_channels(training, layer, shape, dim):
    """``InstanceNorm(affine=True)`` raises ``ValueError`` if the channels do not match ``num_features``
    (:pull:`94624`).
    """
    for features in (2, 4):
        wanted = f"expected input's size at dim={dim} to match num_features ({features}), but got: 3."
        with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
            layer(features, affine=True).train(training)(torch.randn(shape))


@pytest.mark.since("2.1")
@pytest.mark.parametrize(("layer", "shape"), BATCHES)
@pytest.mark.parametrize("training", [True, False])
def test_other_channels_are_warned_of(training, layer, shape):
    """By default ``InstanceNorm`` warns if the number of channels is not ``num_features``, and still
    works.
    """
    x = torch.randn(shape)

    with pytest.warns(UserWarning, match="input's size at dim=1 does not match num_features") as caught:
        out = layer(3).train(training)(x)

    assert len(caught) == 1
    torch.testing.assert_close(out, layer(2)(x))
    with pytest.warns(UserWarning, match="input's size at dim=0 does not match num_features"):
        layer(1).train(training)(x[0])


@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_the_function_uses_the_input(layer, shape):
    """``F.instance_norm`` normalizes by the statistics of the input unless ``use_input_stats=False``."""
    x = 3 * torch.randn(shape) + 4
    mean, var = torch.tensor([3.0, 5.0]), torch.tensor([2.0, 6.0])

    torch.testing.assert_close(F.instance_norm(x), layer(2)(x))
    torch.testing.assert_close(F.instance_norm(x, mean, var), layer(2)(x))
    torch.testing.assert_close(
        F.instance_norm(x, torch.tensor([3.0, 5.0]), torch.tensor([2.0, 6.0]), use_input_stats=False),
        F.batch_norm(x, torch.tensor([3.0, 5.0]), torch.tensor([2.0, 6.0])),
    )

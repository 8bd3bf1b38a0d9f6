"""SyncBatchNorm: batch normalisation over the batches of all ranks.

The layer takes mean and variance over what all ranks were given, which needs an accelerator. A network is
built with ordinary layers and converted: conversion makes new layers around the old tensors, and shows on any
machine.
"""

import pytest
import torch
from torch import nn


def test_conversion_replaces_batch_norms():
    """:meth:`~torch.nn.SyncBatchNorm.convert_sync_batchnorm` replaces batch normalisations, at any depth.

    The network is changed in place and returned.
    """
    net = nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3), nn.Sequential(nn.BatchNorm2d(3)))
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(net)

    assert converted is net
    assert [type(layer) for layer in (net[0], net[1], net[2][0])] == [
        nn.Conv1d,
        nn.SyncBatchNorm,
        nn.SyncBatchNorm,
    ]


def test_other_layers_are_left_alone():
    """Conversion leaves every other layer the object it was, other normalisations among them."""
    net = nn.Sequential(nn.InstanceNorm1d(3, affine=True), nn.GroupNorm(1, 3), nn.LayerNorm(3), nn.Dropout())
    before = list(net.modules())
    nn.SyncBatchNorm.convert_sync_batchnorm(net)

    assert [a is b for a, b in zip(before, net.modules(), strict=True)] == [True] * 5


def test_a_batch_norm_alone_is_not_changed():
    """A batch normalisation that is converted by itself stays as it is: the new layer is returned."""
    layer = nn.BatchNorm1d(3)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(layer)

    assert (type(layer), type(converted)) == (nn.BatchNorm1d, nn.SyncBatchNorm)


def test_conversion_keeps_parameters_and_buffers():
    """The new layer holds the very parameters and buffers of the old one, under the same keys.

    An optimizer made before the conversion goes on training them, and old checkpoints load.
    """
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    before = net.state_dict(keep_vars=True)
    nn.SyncBatchNorm.convert_sync_batchnorm(net)
    after = net.state_dict(keep_vars=True)

    assert list(after) == list(before)
    assert [after[key] is before[key] for key in before] == [True] * 7


@pytest.mark.parametrize(
    "settings",
    [(3, 0.5, 0.25, True, True), (3, 0.5, None, True, False), (3, 0.5, 0.25, False, True)],
    ids=["both", "no statistics", "not affine"],
)
def test_conversion_keeps_the_settings(settings):
    """Conversion keeps features, ``eps``, ``momentum``, ``affine`` and ``track_running_stats``."""
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm2d(*settings))

    names = ("num_features", "eps", "momentum", "affine", "track_running_stats")
    assert tuple(getattr(converted, name) for name in names) == settings
    assert (converted.weight is None, converted.running_mean is None) == (not settings[3], not settings[4])


@pytest.mark.since("2.12")
def test_conversion_keeps_a_missing_bias():
    """Conversion of a batch normalisation with ``bias=False`` gives one without bias."""
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm1d(3, bias=False))

    assert [name for name, _ in converted.named_parameters()] == ["weight"]


@pytest.mark.since("2.2")
def test_conversion_keeps_the_mode():
    """Each new layer is in the mode of the layer that it replaces."""
    net = nn.Sequential(nn.BatchNorm1d(3).eval(), nn.BatchNorm1d(3))
    nn.SyncBatchNorm.convert_sync_batchnorm(net)

    assert [layer.training for layer in net] == [False, True]


@pytest.mark.before("2.2")
@pytest.mark.observed
def test_conversion_forgets_the_mode():
    """Each new layer is in training mode, whatever the mode of the layer that it replaces."""
    net = nn.Sequential(nn.BatchNorm1d(3).eval(), nn.BatchNorm1d(3))
    nn.SyncBatchNorm.convert_sync_batchnorm(net)

    assert [layer.training for layer in net] == [True, True]


@pytest.mark.observed
def test_conversion_loses_hooks_and_attributes():
    """Hooks and plain attributes of a batch normalisation are lost in the conversion, save ``qconfig``.

    What is to stay is set after the conversion. A subclass is replaced like the class itself.
    """

    class Own(nn.BatchNorm1d):
        pass

    layer = Own(3)
    layer.note, layer.qconfig = "mine", "kept"
    layer.register_forward_hook(print)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(layer)

    assert (type(converted), hasattr(converted, "note"), converted.qconfig) == (
        nn.SyncBatchNorm,
        False,
        "kept",
    )
    assert len(converted._forward_hooks) == 0


@pytest.mark.observed
def test_conversion_misses_a_second_name():
    """A batch normalisation under two names of one module is replaced under the first name only."""
    net = nn.Module()
    net.first = net.second = nn.BatchNorm1d(3)
    nn.SyncBatchNorm.convert_sync_batchnorm(net)

    assert (type(net.first), type(net.second)) == (nn.SyncBatchNorm, nn.BatchNorm1d)
    assert net.first.weight is net.second.weight


def test_every_new_layer_has_the_process_group():
    """The process group given to the conversion is that of every new layer, ``None`` by default."""
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Sequential(nn.BatchNorm1d(3)))
    nn.SyncBatchNorm.convert_sync_batchnorm(net, "the group")

    assert [net[0].process_group, net[1][0].process_group] == ["the group"] * 2
    assert nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm1d(3)).process_group is None


def test_alone_it_is_a_batch_norm(device):
    """Without a process group :class:`~torch.nn.SyncBatchNorm` computes what batch normalisation does."""
    plain, synced = (layer(2, eps=0.25, device=device) for layer in (nn.BatchNorm1d, nn.SyncBatchNorm))
    x = 3 * torch.randn(8, 2, 5, device=device) + 4

    assert torch.equal(synced(x), plain(x))
    assert synced.running_mean.tolist() == plain.running_mean.tolist()
    assert (synced.num_batches_tracked.item(), plain.num_batches_tracked.item()) == (1, 1)
    assert torch.equal(synced.eval()(x), plain.eval()(x))


def test_any_number_of_dimensions():
    """:class:`~torch.nn.SyncBatchNorm` takes any input of at least two dimensions that has channels.

    The layers that it replaces take a fixed number of dimensions.
    """
    layer, shapes = nn.SyncBatchNorm(3), [(4, 3), (4, 3, 2), (4, 3, 2, 2, 2, 2)]

    assert [layer(torch.rand(shape)).shape for shape in shapes] == shapes
    with pytest.raises(ValueError, match=r"^expected at least 2D input \(got 1D input\)$"):
        layer(torch.rand(3))
    with pytest.raises(ValueError, match="number of input channels should be non-zero"):
        layer(torch.rand(4, 0))


@pytest.mark.needs("distributed")
def test_on_the_cpu_it_does_not_train(ranks):
    """Within a process group training on the CPU raises ``ValueError``; evaluation does not.

    Distributed tests on the CPU therefore keep the layers unconverted.
    """

    def call(rank):
        layer, x = nn.SyncBatchNorm(2), torch.rand(4, 2)
        with pytest.raises(ValueError, match="SyncBatchNorm expected input tensor to be on GPU"):
            layer(x)
        without_statistics = nn.SyncBatchNorm(2, track_running_stats=False).eval()
        return layer.eval()(x).shape, without_statistics(x).shape

    assert ranks(call) == [((4, 2), (4, 2))] * 2

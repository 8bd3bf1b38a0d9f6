"""SyncBatchNorm: batch normalization over the batches of all ranks.

The layer takes mean and variance over what all ranks were given, which needs an accelerator. A network is
built with ordinary layers and converted: conversion makes new layers around the old tensors, and shows on any
machine.
"""

import warnings

import pytest
import torch
import torch.distributed as dist
from torch import nn


def test_conversion_replaces_batch_norms():
    """:meth:`~torch.nn.SyncBatchNorm.convert_sync_batchnorm` replaces each BatchNorm by ``SyncBatchNorm``, at
    any depth.

    The network is changed in place and returned. Each rank then normalizes by the mean and variance over all
    ranks, which helps where batches are small. Convert before wrapping in
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """
    inner = nn.Sequential(nn.BatchNorm2d(3), nn.ModuleDict({"deep": nn.BatchNorm3d(3)}))
    net = nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3), inner)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(net)

    assert converted is net
    assert net[2] is inner
    assert [type(layer) for layer in (net[0], net[1])] == [nn.Conv1d, nn.SyncBatchNorm]
    assert [type(layer) for layer in (inner[0], inner[1]["deep"])] == [nn.SyncBatchNorm, nn.SyncBatchNorm]


def test_other_layers_are_left_alone():
    """``convert_sync_batchnorm`` does not change other layers, such as GroupNorm and InstanceNorm."""
    norm = nn.InstanceNorm1d(3, affine=True, track_running_stats=True)
    others = nn.Sequential(nn.InstanceNorm2d(3), nn.InstanceNorm3d(3), nn.Linear(3, 3).requires_grad_(False))
    net = nn.Sequential(norm, nn.GroupNorm(1, 3), nn.LayerNorm(3), nn.Dropout().eval(), others)
    norm.register_forward_hook(print)
    before = [(module, dict(vars(module))) for module in net.modules()], net.state_dict(keep_vars=True)
    nn.SyncBatchNorm.convert_sync_batchnorm(net)

    assert [(module, vars(module)) for module in net.modules()] == before[0]
    assert net.state_dict(keep_vars=True) == before[1]
    assert list(norm._forward_hooks.values()) == [print]
    assert [parameter.requires_grad for parameter in net.parameters()] == [True] * 6 + [False] * 2


def test_a_batch_norm_alone_is_not_changed():
    """``convert_sync_batchnorm(nn.BatchNorm1d(3))`` returns a new layer and does not change the old one."""
    layer = nn.BatchNorm1d(3)
    layer.weight.requires_grad_(False)
    before = dict(vars(layer)), layer.state_dict(keep_vars=True)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(layer)

    assert type(layer) is nn.BatchNorm1d
    assert (vars(layer), layer.state_dict(keep_vars=True)) == before
    assert type(converted) is nn.SyncBatchNorm
    assert layer.weight is converted.weight
    assert [parameter.requires_grad for parameter in layer.parameters()] == [False, True]
    assert layer(torch.rand(4, 3)).shape == (4, 3)


def test_conversion_keeps_parameters_and_buffers():
    """``convert_sync_batchnorm`` keeps the same parameter and buffer objects, under the same keys.

    An optimizer made before the conversion goes on training them, and old checkpoints load.
    """
    inner = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm3d(3))
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2), inner)
    before = net.state_dict(keep_vars=True)
    nn.SyncBatchNorm.convert_sync_batchnorm(net)
    after = net.state_dict(keep_vars=True)

    assert list(after) == list(before)
    assert [after[key] is before[key] for key in before] == [True] * 17


@pytest.mark.parametrize(
    "settings",
    [(3, 0.5, 0.25, True, True), (3, 0.5, None, True, False), (3, 0.5, 0.25, False, True)],
    ids=["both", "no statistics", "not affine"],
)
@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d])
def test_conversion_keeps_the_settings(kind, settings):
    """``convert_sync_batchnorm`` keeps ``eps``, ``momentum``, ``affine`` and ``track_running_stats``."""
    names = ("num_features", "eps", "momentum", "affine", "track_running_stats")
    alone = nn.SyncBatchNorm.convert_sync_batchnorm(kind(*settings))
    (inner,) = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(kind(*settings)))

    for converted in (alone, inner):
        assert tuple(getattr(converted, name) for name in names) == settings
        assert (converted.weight is not None) is converted.affine
        assert (converted.running_mean is not None) is converted.track_running_stats


@pytest.mark.since("2.12")
def test_conversion_keeps_a_missing_bias():
    """``convert_sync_batchnorm`` of a BatchNorm with ``bias=False`` returns a layer without bias."""
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm1d(3, bias=False))

    assert [name for name, _ in converted.named_parameters()] == ["weight"]


@pytest.mark.since("2.2")
def test_conversion_keeps_the_mode():
    """``convert_sync_batchnorm`` keeps the training or evaluation mode of each BatchNorm."""
    inner = nn.Sequential(nn.BatchNorm2d(3).eval(), nn.BatchNorm3d(3))
    net = nn.Sequential(nn.BatchNorm1d(3).eval(), nn.BatchNorm1d(3), inner)
    nn.SyncBatchNorm.convert_sync_batchnorm(net)

    assert [layer.training for layer in (*net, *inner)] == [False, True, True, False, True]
    assert nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm1d(3).eval()).training is False


@pytest.mark.before("2.2")
def test_conversion_forgets_the_mode():
    """``convert_sync_batchnorm`` puts each new layer in training mode, whatever the mode of the old one."""
    net = nn.Sequential(nn.BatchNorm1d(3).eval(), nn.BatchNorm1d(3))
    nn.SyncBatchNorm.convert_sync_batchnorm(net)

    assert [layer.training for layer in net] == [True, True]


def test_conversion_loses_hooks_and_attributes():
    """``convert_sync_batchnorm`` drops hooks and plain attributes of a BatchNorm, except ``qconfig``.

    What is to stay is set after the conversion. A subclass is replaced like the class itself.
    """

    class Own(nn.BatchNorm1d): ...

    layer, x, calls = Own(3), torch.rand(4, 3, requires_grad=True), []
    layer.note, layer.qconfig = "mine", "kept"
    kinds = ["register_forward_pre", "register_forward", "register_full_backward_pre"]
    kinds += ["register_full_backward", "register_state_dict_pre", "_register_state_dict"]
    kinds += ["_register_load_state_dict_pre", "register_load_state_dict_post"]
    for kind in kinds:
        getattr(layer, f"{kind}_hook")(lambda *_, kind=kind: calls.append(kind))
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(layer)

    assert type(converted) is nn.SyncBatchNorm
    assert converted.qconfig == "kept"
    assert not hasattr(converted, "note")
    converted(x).sum().backward()
    converted.load_state_dict(converted.state_dict())
    assert calls == []
    layer(x).sum().backward()
    layer.load_state_dict(layer.state_dict())
    assert calls == kinds


def test_conversion_loses_an_overridden_forward():
    """``convert_sync_batchnorm`` drops what a subclass of BatchNorm overrides, such as ``forward``.

    The new layer is a plain ``SyncBatchNorm`` that computes something else, without an error or warning. It
    keeps the submodules, such as an activation, but does not call them (:issue:`187298`). Libraries with such
    layers have a conversion of their own. See :meth:`~torch.nn.SyncBatchNorm.convert_sync_batchnorm`.
    """

    class BatchNormAct(nn.BatchNorm1d):
        def __init__(self, features):
            super().__init__(features)
            self.act = nn.ReLU()

        def forward(self, x):
            return self.act(super().forward(x))

    layer, x = BatchNormAct(2).eval(), torch.tensor([[-3.0, 5.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        converted = nn.SyncBatchNorm.convert_sync_batchnorm(layer)

    assert layer(x)[0, 0].item() == 0.0
    assert type(converted) is nn.SyncBatchNorm
    assert converted.eval()(x)[0, 0].item() < -2.0
    assert converted.act is layer.act


def test_a_lazy_batch_norm_stays_unusable():
    """``convert_sync_batchnorm`` makes an uncalled lazy BatchNorm a ``SyncBatchNorm(0)``: calls raise
    ``ValueError``.

    It has lost what initializes it in the first call, which raises. Call a lazy model once before converting.
    See :meth:`~torch.nn.SyncBatchNorm.convert_sync_batchnorm`.
    """
    for kind, x in ((nn.LazyBatchNorm1d, torch.rand(4, 2)), (nn.LazyBatchNorm2d, torch.rand(4, 2, 3, 3))):
        converted = nn.SyncBatchNorm.convert_sync_batchnorm(kind())
        called = kind()
        called(x)

        assert type(converted) is nn.SyncBatchNorm
        assert converted.num_features == 0
        assert isinstance(converted.weight, nn.UninitializedParameter)
        for training in (True, False):
            with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
                converted.train(training)(x)
        assert nn.SyncBatchNorm.convert_sync_batchnorm(called)(x).shape == x.shape


def test_conversion_misses_a_second_name():
    """If a BatchNorm has two names in a module, ``convert_sync_batchnorm`` replaces it under the first only.

    The second name keeps the old layer, which shares its parameters with the new one.
    """
    net = nn.Module()
    net.first = net.second = nn.BatchNorm1d(3)
    nn.SyncBatchNorm.convert_sync_batchnorm(net)

    assert type(net.first) is nn.SyncBatchNorm
    assert type(net.second) is nn.BatchNorm1d
    assert [a is b for a, b in zip(net.first.parameters(), net.second.parameters(), strict=True)] == [
        True
    ] * 2


def test_every_new_layer_has_the_process_group():
    """``convert_sync_batchnorm`` sets its argument ``process_group``, by default ``None``, on every new
    layer.
    """
    for arguments, group in (({"process_group": "the group"}, "the group"), ({}, None)):
        net = nn.Sequential(nn.BatchNorm1d(3), nn.Sequential(nn.BatchNorm2d(3)), nn.BatchNorm3d(3))
        nn.SyncBatchNorm.convert_sync_batchnorm(net, **arguments)

        assert [layer.process_group for layer in (net[0], net[1][0], net[2])] == [group] * 3
    assert nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm1d(3), "alone").process_group == "alone"


def test_alone_it_is_a_batch_norm(device):
    """Without a process group :class:`~torch.nn.SyncBatchNorm` computes the same as BatchNorm."""
    plain, synced = (layer(2, 0.25, 0.5, device=device) for layer in (nn.BatchNorm1d, nn.SyncBatchNorm))
    for layer in (plain, synced):
        layer.load_state_dict({"weight": torch.tensor([2.0, 3.0]), "bias": torch.tensor([5.0, 7.0])}, False)
    x, other = 3 * torch.randn(2, 8, 2, 5, device=device) + 4

    assert torch.equal(synced(x), plain(x))
    assert torch.equal(synced(other), plain(other))
    assert synced.running_mean.tolist() == plain.running_mean.tolist()
    assert synced.running_var.tolist() == plain.running_var.tolist()
    assert synced.num_batches_tracked.item() == 2
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    for layer, leaf in zip((plain, synced), inputs, strict=True):
        layer(leaf).square().sum().backward()
    assert inputs[0].grad.tolist() == inputs[1].grad.tolist()
    assert [p.grad.tolist() for p in synced.parameters()] == [p.grad.tolist() for p in plain.parameters()]
    assert torch.equal(synced.eval()(x), plain.eval()(x))


def test_a_new_layer():
    """A new ``SyncBatchNorm`` has the settings and values of a new ``BatchNorm``, and no process group."""
    layer = nn.SyncBatchNorm(3)

    assert [layer.eps, layer.momentum, layer.affine, layer.track_running_stats] == [1e-5, 0.1, True, True]
    assert layer.process_group is None
    assert {name: value.tolist() for name, value in layer.state_dict().items()} == {
        "weight": [1, 1, 1],
        "bias": [0, 0, 0],
        "running_mean": [0, 0, 0],
        "running_var": [1, 1, 1],
        "num_batches_tracked": 0,
    }
    assert [v.dtype for v in layer.state_dict().values()] == [torch.float32] * 4 + [torch.int64]

    for options in ({"eps": 0.5}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}):
        layer, model = nn.SyncBatchNorm(3, **options), nn.BatchNorm1d(3, **options)
        assert repr(layer) == f"Sync{model}".replace("1d", "")
        assert repr(layer.state_dict(keep_vars=True)) == repr(model.state_dict(keep_vars=True))


@pytest.mark.since("2.12")
def test_a_new_layer_without_bias():
    """``SyncBatchNorm(bias=False)`` has a ``weight``, but no ``bias``; with ``affine=False`` it has
    neither.
    """
    layer = nn.SyncBatchNorm(3, bias=False)

    assert layer.bias is None
    assert [(name, p.tolist()) for name, p in layer.named_parameters()] == [("weight", [1, 1, 1])]
    assert list(nn.SyncBatchNorm(3, affine=False, bias=True).parameters()) == []


def test_momentum_none_averages():
    """``SyncBatchNorm(momentum=None)`` keeps the simple average over all batches as its running
    statistics.
    """
    batches = [torch.randn(rows, 2) + rows for rows in (3, 8, 5)]
    layer = nn.SyncBatchNorm(2, momentum=None)
    for x in batches:
        layer(x)

    torch.testing.assert_close(layer.running_mean, torch.stack([x.mean(0) for x in batches]).mean(0))
    torch.testing.assert_close(layer.running_var, torch.stack([x.var(0) for x in batches]).mean(0))


def test_tracking_switched_off():
    """``SyncBatchNorm`` normalizes by the batch in eval mode only if built with
    ``track_running_stats=False``.

    Setting the attribute to ``False`` later stops the updates; evaluation still uses the statistics kept.
    """
    never, later = nn.SyncBatchNorm(2, eps=0.25, track_running_stats=False), nn.SyncBatchNorm(2, eps=0.25)
    later.track_running_stats = False
    x = 3 * torch.randn(8, 2) + 4
    by_the_batch = (x - x.mean(0)) / (x.var(0, correction=0) + 0.25).sqrt()

    torch.testing.assert_close(never(x), by_the_batch)
    torch.testing.assert_close(never.eval()(x), by_the_batch)
    torch.testing.assert_close(later(x), by_the_batch)
    torch.testing.assert_close(later.eval()(x), x / 1.25**0.5)
    assert later.num_batches_tracked.item() == 0


def test_any_number_of_dimensions():
    """:class:`~torch.nn.SyncBatchNorm` raises ``ValueError`` for inputs of fewer than two dimensions or zero
    channels.

    It takes any number from two on. Of the layers that it replaces, ``BatchNorm1d`` takes two or three,
    ``BatchNorm2d`` four and ``BatchNorm3d`` five.
    """
    layer, shapes = nn.SyncBatchNorm(3), [(4, 3, 2, 2, 2, 2)[:number] for number in range(2, 7)]

    assert [layer(torch.rand(shape)).shape for shape in shapes] == shapes
    for norm in (layer, nn.SyncBatchNorm(3).eval()):
        with pytest.raises(ValueError, match=r"^expected at least 2D input \(got 1D input\)$"):
            norm(torch.rand(3))
        with pytest.raises(ValueError, match=r"^expected at least 2D input \(got 0D input\)$"):
            norm(torch.tensor(2.0))
        with pytest.raises(ValueError, match="number of input channels should be non-zero"):
            norm(torch.rand(4, 0))
    for norm, taken in ((nn.BatchNorm1d, "2D or 3D"), (nn.BatchNorm2d, "4D"), (nn.BatchNorm3d, "5D")):
        for shape in (shape for shape in shapes if f"{len(shape)}D" not in taken):
            with pytest.raises(ValueError, match=f"expected {taken} input"):
                norm(3)(torch.rand(shape))


@pytest.mark.needs("distributed")
def test_on_the_cpu_it_does_not_train(ranks):
    """``SyncBatchNorm`` in a process group raises ``ValueError`` in training on the CPU; evaluation works.

    Distributed tests on the CPU therefore keep the layers unconverted.
    """

    def call(rank):
        x, seen = torch.tensor([[2.0], [4.0]]), []
        alone = [dist.new_group([0]), dist.new_group([1])][rank]
        for options in ({}, {"process_group": alone}, {"track_running_stats": False}):
            layer = nn.SyncBatchNorm(1, eps=3.0, **options)
            with pytest.raises(ValueError, match="SyncBatchNorm expected input tensor to be on GPU"):
                layer(x)
            seen.append(layer.eval()(x).tolist())
        dist.destroy_process_group(alone)
        return seen

    by_the_statistics, by_the_batch = [[1.0], [2.0]], [[-0.5], [0.5]]
    assert ranks(call) == [[by_the_statistics, by_the_statistics, by_the_batch]] * 2


@pytest.mark.parametrize("convert", [False, True], ids=["built", "converted"])
@pytest.mark.needs("cuda")
@pytest.mark.needs("distributed")
def test_ranks_share_mean_and_variance(gpu_ranks, convert):
    """:class:`~torch.nn.SyncBatchNorm` normalizes by mean and variance over all ranks of its process group.

    By default these are all ranks. With groups of one rank each normalizes its own batch. So it is with
    layers of :meth:`~torch.nn.SyncBatchNorm.convert_sync_batchnorm`.
    """
    batches = torch.tensor([[[0.0, 5.0], [2.0, 9.0]], [[10.0, 15.0], [12.0, 19.0]]])

    def call(rank, convert, batches):
        alone, outputs = [dist.new_group([0]), dist.new_group([1])][rank], []
        for group in (None, alone):
            layer = nn.SyncBatchNorm(2, process_group=group)
            if convert:
                layer = nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm1d(2), group)
            outputs.append(layer.cuda()(batches[rank].cuda()).detach().cpu())
        dist.destroy_process_group(alone)
        return outputs

    (first, first_alone), (second, second_alone) = gpu_ranks(call, convert, batches)

    plain = nn.BatchNorm1d(2)
    torch.testing.assert_close(torch.cat([first, second]), plain(batches.flatten(0, 1)).detach())
    torch.testing.assert_close(first_alone, plain(batches[0]).detach())
    torch.testing.assert_close(second_alone, plain(batches[1]).detach())

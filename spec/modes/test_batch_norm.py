"""Batch normalization.

In training a batch is normalized by its own mean and variance, and running statistics are kept; in
evaluation the running statistics take their place. What is said of ``BatchNorm`` holds for
:class:`~torch.nn.BatchNorm1d`, :class:`~torch.nn.BatchNorm2d` and :class:`~torch.nn.BatchNorm3d`.
"""

import re

import pytest
import torch
from torch import nn

LAYERS = [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d]

# Each with the shape of a batch that it takes.
BATCHES = [
    pytest.param(nn.BatchNorm1d, (8, 2), id="1d"),
    pytest.param(nn.BatchNorm1d, (8, 2, 5), id="1d with positions"),
    pytest.param(nn.BatchNorm2d, (8, 2, 5, 3), id="2d"),
    pytest.param(nn.BatchNorm3d, (8, 2, 5, 3, 4), id="3d"),
]


@pytest.mark.claim("N5-22")
@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_training_normalises_by_the_batch(layer, shape, device):
    """In training mode ``BatchNorm`` normalizes each channel by the mean and biased variance of the batch.

    A sample's output depends on the others of its batch. Where the output of a sample must not depend on
    the rest of the batch, call :meth:`~torch.nn.Module.eval` first.
    """
    x = 3 * torch.randn(shape, device=device) + 4
    net, others = layer(2, eps=0.25).to(device), (0, *range(2, x.ndim))
    mean, var = x.mean(others, keepdim=True), x.var(others, correction=0, keepdim=True)

    torch.testing.assert_close(net(x), (x - mean) / (var + 0.25).sqrt())
    plain = torch.no_grad()(layer(2, eps=0.25, affine=False).to(device))
    torch.testing.assert_close(plain(x), (x - mean) / (var + 0.25).sqrt())


@pytest.mark.claim("N5-22")
@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_evaluation_normalises_by_what_is_kept(layer, shape, device):
    """By default ``BatchNorm`` in eval mode normalizes by ``running_mean`` and ``running_var``, not by the
    batch.

    If results are good in training and bad in eval mode, the running statistics differ from those of the
    batches: too few steps, too small a ``momentum``, or other data. See *without_statistics* for a layer
    that keeps none.
    """
    net = layer(2, eps=0.25).to(device).eval()
    net.running_mean.copy_(torch.tensor([3.0, 5.0]))
    net.running_var.copy_(torch.tensor([2.0, 6.0]))
    x = 3 * torch.randn(shape, device=device) + 4

    result = net(x)

    torch.testing.assert_close(result[:, 0], (x[:, 0] - 3.0) / 1.5)
    torch.testing.assert_close(result[:, 1], (x[:, 1] - 5.0) / 2.5)
    torch.testing.assert_close(torch.no_grad()(net)(x[:3]), result[:3])


@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_training_updates_the_running_statistics(layer, shape, device):
    """In training mode ``BatchNorm`` moves ``running_mean`` and ``running_var`` toward the batch's values by
    ``momentum``.

    The new value has the weight ``momentum``, the other way round than in an optimizer. The running variance
    is unbiased, unlike the one the batch is normalized by.
    """
    x = 3 * torch.randn(shape, device=device) + 4
    net, others = layer(2, momentum=0.25).to(device), (0, *range(2, x.ndim))
    net.running_mean.fill_(8.0)
    net(x)

    torch.testing.assert_close(net.running_mean, 6.0 + 0.25 * x.mean(others))
    torch.testing.assert_close(net.running_var, 0.75 + 0.25 * x.var(others, correction=1))


@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_evaluation_leaves_the_running_statistics(layer, shape):
    """In eval mode ``BatchNorm`` does not update ``running_mean``, ``running_var`` or
    ``num_batches_tracked``.
    """
    for net in (layer(2), layer(2, momentum=None)):
        net(3 * torch.randn(shape) + 4)
        before = [buffer.tolist() for buffer in net.buffers()]
        net.eval()(3 * torch.randn(shape) + 4)
        torch.no_grad()(net)(3 * torch.randn(shape) + 4)
        assert [buffer.tolist() for buffer in net.buffers()] == before
        net.train()(3 * torch.randn(shape) + 4)
        assert [buffer.tolist() for buffer in net.buffers()] != before


@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_batches_are_counted(layer, shape):
    """``num_batches_tracked`` of ``BatchNorm`` counts the batches seen in training mode only."""
    for net in (layer(2), layer(2, momentum=None)):
        for recorded in (True, False, True):
            with torch.set_grad_enabled(recorded):
                net(torch.randn(shape))
        assert net.num_batches_tracked.item() == 3

        net.eval()(torch.randn(shape))
        assert net.num_batches_tracked.item() == 3


@pytest.mark.parametrize("layer", LAYERS)
def test_a_new_layer(layer):
    """A new ``BatchNorm`` has ``weight`` 1, ``bias`` 0, ``running_mean`` 0, ``running_var`` 1 and
    ``num_batches_tracked`` 0.
    """
    state = layer(2).state_dict()

    assert {name: value.tolist() for name, value in state.items()} == {
        "weight": [1, 1],
        "bias": [0, 0],
        "running_mean": [0, 0],
        "running_var": [1, 1],
        "num_batches_tracked": 0,
    }
    assert [value.dtype for value in state.values()] == [torch.float32] * 4 + [torch.int64]


@pytest.mark.parametrize("layer", LAYERS)
def test_defaults(layer):
    """``BatchNorm`` defaults to ``eps=1e-5``, ``momentum=0.1``, ``affine=True`` and
    ``track_running_stats=True``.
    """
    net = layer(3)

    assert net.num_features == 3
    assert net.eps == 1e-5
    assert net.momentum == 0.1
    assert net.affine is True
    assert net.track_running_stats is True


def test_arguments_in_order():
    """``BatchNorm3d(num_features, eps, momentum, affine, track_running_stats, ...)`` is the argument order.

    Then come ``device`` and ``dtype``.
    """
    layer = nn.BatchNorm3d(3, 0.5, 0.25, True, False, "meta", torch.float64)

    assert (layer.num_features, layer.eps, layer.momentum) == (3, 0.5, 0.25)
    assert (layer.affine, layer.track_running_stats) == (True, False)
    assert layer.weight.device.type == "meta"
    assert layer.weight.dtype is torch.float64
    assert nn.BatchNorm3d(3, 0.5, 0.25, False, True).affine is False


@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_momentum_none_averages(layer, shape):
    """``BatchNorm(momentum=None)`` keeps the simple average over all batches as its running statistics."""
    batches = [torch.randn(shape) + shift for shift in (1.0, 4.0, 9.0)]
    net, others = layer(2, momentum=None), (0, *range(2, len(shape)))
    for x in batches:
        net.train()(x)
        net.eval()(x + 1)

    torch.testing.assert_close(net.running_mean, torch.stack([x.mean(others) for x in batches]).mean(0))
    torch.testing.assert_close(net.running_var, torch.stack([x.var(others) for x in batches]).mean(0))


def test_momentum_none_wants_the_count():
    """``BatchNorm(momentum=None)`` does not update its running statistics if ``num_batches_tracked`` is
    ``None``.

    With a number as ``momentum`` it updates them.
    """
    averaging, moving = nn.BatchNorm1d(2, momentum=None), nn.BatchNorm1d(2, momentum=1.0)
    averaging.num_batches_tracked = moving.num_batches_tracked = None
    x = torch.randn(8, 2) + 4
    averaging(x)
    moving(x)

    assert averaging.running_mean.tolist() == [0, 0]
    assert averaging.running_var.tolist() == [1, 1]
    torch.testing.assert_close(moving.running_mean, x.mean(0))
    torch.testing.assert_close(moving.running_var, x.var(0))


@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_momentum_zero_keeps_the_statistics(layer, shape):
    """``BatchNorm(momentum=0.0)`` does not change its running statistics, but still counts batches."""
    net = layer(2, momentum=0.0)
    net(torch.randn(shape) + 4)
    net(torch.randn(shape) + 4)

    assert net.running_mean.tolist() == [0, 0]
    assert net.running_var.tolist() == [1, 1]
    assert net.num_batches_tracked.item() == 2


@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_without_statistics(layer, shape):
    """``BatchNorm(track_running_stats=False)`` normalizes by batch statistics in training and eval mode."""
    net, others = layer(2, eps=0.25, track_running_stats=False), (0, *range(2, len(shape)))
    x = 3 * torch.randn(shape) + 4
    mean, var = x.mean(others, keepdim=True), x.var(others, correction=0, keepdim=True)
    wanted = (x - mean) / (var + 0.25).sqrt()

    assert net._buffers == {"running_mean": None, "running_var": None, "num_batches_tracked": None}
    torch.testing.assert_close(net.train()(x), wanted)
    torch.testing.assert_close(net.eval()(x), wanted)
    with torch.no_grad():
        torch.testing.assert_close(net(x), wanted)


def test_tracking_switched_off_later():
    """Setting ``track_running_stats = False`` on a ``BatchNorm`` stops updates; eval still uses its
    statistics.

    A layer that is to normalize by the batch in evaluation too is built with ``track_running_stats=False``.
    """
    layer = nn.BatchNorm1d(2, eps=0.25, momentum=1.0)
    layer(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    layer.track_running_stats = False
    x = 3 * torch.randn(8, 2) + 4
    trained, evaluated = layer(x), layer.eval()(x)

    assert layer.running_mean.tolist() == [2, 4]
    assert layer.num_batches_tracked.item() == 1
    torch.testing.assert_close(trained, nn.BatchNorm1d(2, eps=0.25)(x))
    torch.testing.assert_close(evaluated, (x - torch.tensor([2.0, 4.0])) / torch.tensor([2.25, 8.25]).sqrt())


@pytest.mark.parametrize(("layer", "shape"), BATCHES)
@pytest.mark.parametrize("missing", ["running_mean", "running_var"])
def test_one_statistic_alone_will_not_do(missing, layer, shape):
    """In eval mode ``BatchNorm`` raises ``RuntimeError`` if only one of ``running_mean`` and ``running_var``
    is ``None``.
    """
    net = layer(2).eval()
    setattr(net, missing, None)

    with pytest.raises(RuntimeError, match=f"{missing} must be defined in evaluation mode"):
        net(torch.randn(shape))


@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_affine_scales_and_shifts(layer, shape):
    """``BatchNorm`` multiplies the normalized input by ``weight`` and adds ``bias``, in training and eval
    mode.
    """
    x = 3 * torch.randn(shape) + 4
    net, plain = layer(2), layer(2, affine=False)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([2.0, 3.0]))
        net.bias.copy_(torch.tensor([5.0, 7.0]))

    for training in (True, False):
        first, second = plain.train(training)(x).unbind(1)
        wanted = torch.stack([first * 2 + 5, second * 3 + 7], dim=1)
        torch.testing.assert_close(net.train(training)(x), wanted)
    torch.testing.assert_close(torch.no_grad()(net)(x), wanted)


@pytest.mark.parametrize("layer", LAYERS)
def test_without_affine(layer):
    """``BatchNorm(affine=False)`` has ``weight`` and ``bias`` set to ``None``."""
    assert layer(2, affine=False)._parameters == {"weight": None, "bias": None}


@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_no_grad_does_not_stop_the_updates(layer, shape):
    """``BatchNorm`` in training mode updates its running statistics even under
    :class:`torch.no_grad() <torch.no_grad>`.

    A forward pass that is only meant to look, as for a validation loss, changes the layer unless
    :meth:`~torch.nn.Module.eval` was called.
    """
    net, others, x = layer(2, momentum=1.0), (0, *range(2, len(shape))), torch.randn(shape) + 4
    with torch.no_grad():
        net(x)
    torch.testing.assert_close(net.running_mean, x.mean(others))
    torch.testing.assert_close(net.running_var, x.var(others))

    with torch.no_grad():
        net.eval()(x + 1)
    torch.testing.assert_close(net.running_mean, x.mean(others))
    assert net.num_batches_tracked.item() == 1


def test_the_statistics_require_no_grad():
    """The running statistics of ``BatchNorm`` do not require grad, even if the input does."""
    for momentum in (0.1, None):
        layer = nn.BatchNorm1d(2, momentum=momentum)
        layer(torch.randn(8, 2, requires_grad=True)).sum().backward()
        assert [buffer.requires_grad for buffer in layer.buffers()] == [False, False, False]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.BatchNorm1d, (1, 2)),
        (nn.BatchNorm1d, (1, 2, 1)),
        (nn.BatchNorm2d, (1, 2, 1, 1)),
        (nn.BatchNorm3d, (1, 2, 1, 1, 1)),
    ],
)
def test_one_value_cannot_be_normalised(layer, shape):
    """``BatchNorm`` raises ``ValueError`` for one value per channel, unless eval mode uses running
    statistics.

    The last batch of an epoch is often that small: use ``drop_last=True`` in the data loader. A layer with
    ``track_running_stats=False`` raises in evaluation too.
    """
    wanted = f"Expected more than 1 value per channel when training, got input size {torch.Size(shape)}"
    x = torch.full(shape, 3.0)

    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        layer(2)(x)
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        layer(2, track_running_stats=False).eval()(x)
    torch.testing.assert_close(layer(2).eval()(x), x, atol=1e-4, rtol=0)


def test_two_values_can_be_normalised():
    """In training mode two values per channel are enough for ``BatchNorm``: two samples or two positions."""
    layer = nn.BatchNorm1d(2)
    x = torch.tensor([[3.0, 6.0], [5.0, 2.0]])
    wanted = torch.tensor([[-1.0, 1.0], [1.0, -1.0]])

    torch.testing.assert_close(layer(x), wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(layer(x.T.unsqueeze(0)), wanted.T.unsqueeze(0), atol=1e-4, rtol=0)


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
    """``BatchNorm`` raises ``ValueError`` for a wrong number of dimensions: "expected 4D input (got 3D
    input)".
    """
    for norm in (layer(2), layer(2).eval()):
        with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
            norm(torch.randn([2] * dims))


@pytest.mark.before("2.10")
def test_eps_may_be_anything():
    """``BatchNorm`` accepts an ``eps`` that is zero or negative, in training and eval mode."""
    x = torch.tensor([[1.0, 2.0], [5.0, 4.0]])

    torch.testing.assert_close(nn.BatchNorm1d(2, eps=0.0)(x), torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))
    torch.testing.assert_close(nn.BatchNorm1d(2, eps=-0.75).eval()(x), 2 * x)
    torch.testing.assert_close(nn.BatchNorm1d(2, eps=0.0).eval()(x), x)
    torch.testing.assert_close(nn.BatchNorm1d(2, eps=-0.75)(x)[:, 0], torch.tensor([-2.0, 2.0]) / 3.25**0.5)


@pytest.mark.since("2.10")
@pytest.mark.parametrize("eps", [0.0, -0.5])
def test_eps_is_positive_in_training(eps):
    """In training mode ``BatchNorm`` raises ``ValueError`` if ``eps`` is zero or negative
    (:pull:`166756`).
    """
    with pytest.raises(ValueError, match=rf"^batch_norm eps must be.*, but got {re.escape(str(eps))}$"):
        nn.BatchNorm1d(2, eps=eps)(torch.randn(8, 2))


@pytest.mark.since("2.10")
def test_eps_is_not_negative_in_evaluation():
    """In eval mode ``BatchNorm`` raises ``ValueError`` if ``eps`` is negative."""
    with pytest.raises(ValueError, match=r"^batch_norm eps must be (positive|non-negative), but got -0.5$"):
        nn.BatchNorm1d(2, eps=-0.5).eval()(torch.randn(8, 2))


@pytest.mark.since("2.10")
@pytest.mark.before("2.12")
def test_eps_of_zero_is_refused_in_evaluation():
    """In eval mode ``BatchNorm`` raises ``ValueError`` if ``eps`` is zero (:issue:`173337`).

    It was accepted before 2.10, and is accepted again from 2.12 on.
    """
    with pytest.raises(ValueError, match=r"^batch_norm eps must be positive, but got 0.0$"):
        nn.BatchNorm1d(2, eps=0.0).eval()(torch.randn(8, 2))


def test_each_forward_counts_whether_a_step_follows_or_not():
    """In training mode ``BatchNorm`` updates its running statistics in each forward, even without ``step()``.

    With gradients accumulated over four batches it updates four times, each by the statistics of a small one.
    """
    norm = nn.BatchNorm1d(1, momentum=0.5)
    norm(torch.tensor([[3.0], [5.0]]))
    torch.no_grad()(norm)(torch.tensor([[7.0], [9.0]]))

    assert [buffer.item() for buffer in norm.buffers()] == [4.0 / 4 + 8.0 / 2, 1.0 / 4 + 2.0 / 4 + 2.0 / 2, 2]

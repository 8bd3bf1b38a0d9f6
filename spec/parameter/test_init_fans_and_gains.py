"""Fans and gains: how wide the values of Xavier and Kaiming initialization spread.

The fans of a weight are how many inputs reach one output and how many outputs one input reaches. The gain
makes up for the nonlinearity that follows.
"""

import math
import re

import pytest
import torch
from torch import nn


@pytest.mark.claim("N1-02")
@pytest.mark.parametrize(
    ("layer", "fans"),
    [
        (nn.Linear(5, 3), (5, 3)),
        (nn.Conv1d(5, 3, 4), (20, 12)),
        (nn.Conv2d(5, 3, (2, 4)), (40, 24)),
        (nn.Conv2d(6, 4, (2, 4), groups=2), (24, 32)),
        (nn.Conv3d(5, 3, (2, 4, 6)), (240, 144)),
        (nn.ConvTranspose1d(5, 3, 4), (12, 20)),
    ],
    ids=["linear", "convolution", "two dimensions", "groups", "three dimensions", "transposed"],
)
def test_fans_are_read_off_the_shape(layer, fans):
    """In :mod:`torch.nn.init`, ``fan_in`` is ``weight.size(1)``, ``fan_out`` ``weight.size(0)``, each times
    the kernel size.

    For a transposed convolution the two are therefore swapped.
    """
    assert nn.init._calculate_fan_in_and_fan_out(layer.weight) == fans


@pytest.mark.claim("N1-02")
def test_the_weight_of_linear_is_fan_out_by_fan_in():
    """The weight of :class:`nn.Linear <torch.nn.Linear>` has the shape ``(out_features, in_features)``, that
    is ``(fan_out, fan_in)``.

    A weight that your code uses as ``x @ w`` has the opposite order: give ``w.T`` to the functions of
    :mod:`torch.nn.init`.
    """
    layer = nn.Linear(in_features=5, out_features=3)

    assert layer.weight.shape == (3, 5)
    assert nn.init._calculate_fan_in_and_fan_out(layer.weight) == (5, 3)


@pytest.mark.parametrize(
    ("arguments", "gain"),
    [((), 1.0), ((3.0,), 3.0), ((0.5,), 0.5)],
    ids=["default", "large gain", "small gain"],
)
@pytest.mark.parametrize("sizes", [(60, 100, 4), (240, 400)], ids=["convolution", "matrix"])
def test_xavier_uniform(sizes, arguments, gain):
    """``nn.init.xavier_uniform_`` draws between plus and minus ``gain * sqrt(6 / (fan_in + fan_out))``.

    See :func:`~torch.nn.init.xavier_uniform_`. The gain is 1 unless it is given.
    """
    weight = nn.init.xavier_uniform_(torch.empty(sizes), *arguments)

    bound = gain * math.sqrt(6 / (400 + 240))
    assert [weight.min().item(), weight.max().item()] == pytest.approx([-bound, bound], rel=0.01)
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)


@pytest.mark.parametrize(
    ("arguments", "gain"),
    [((), 1.0), ((3.0,), 3.0), ((0.5,), 0.5)],
    ids=["default", "large gain", "small gain"],
)
@pytest.mark.parametrize("sizes", [(60, 100, 4), (240, 400)], ids=["convolution", "matrix"])
def test_xavier_normal(sizes, arguments, gain):
    """``nn.init.xavier_normal_`` draws with mean 0 and std ``gain * sqrt(2 / (fan_in + fan_out))``.

    See :func:`~torch.nn.init.xavier_normal_`. The gain is 1 unless it is given.
    """
    weight = nn.init.xavier_normal_(torch.empty(sizes), *arguments)

    deviation = gain * math.sqrt(2 / (400 + 240))
    assert weight.mean().item() == pytest.approx(0, abs=0.05 * deviation)
    assert weight.std().item() == pytest.approx(deviation, rel=0.03)
    assert weight.max().item() > 3 * deviation


# What is asked for, and the variance of a weight whose fan_in is 400 and fan_out 240.
KAIMING = [
    pytest.param((), 2 / 400, id="default"),
    pytest.param((0.5,), 2 / (1 + 0.25) / 400, id="slope"),
    pytest.param((0, "fan_out"), 2 / 240, id="fan_out"),
    pytest.param((0, "FAN_Out"), 2 / 240, id="capitals"),
    pytest.param((0.5, "fan_in", "tanh"), 25 / 9 / 400, id="nonlinearity"),
]


@pytest.mark.parametrize(("arguments", "variance"), KAIMING)
@pytest.mark.parametrize("sizes", [(60, 100, 4), (240, 400)], ids=["convolution", "matrix"])
def test_kaiming_uniform(sizes, arguments, variance):
    """:func:`nn.init.kaiming_uniform_ <torch.nn.init.kaiming_uniform_>` draws uniformly between plus and
    minus ``gain * sqrt(3 / fan)``.

    The fan is ``fan_in`` and the gain that of ``leaky_relu`` with slope ``a=0``, which is ``sqrt(2)``,
    unless told otherwise.
    """
    weight = nn.init.kaiming_uniform_(torch.empty(sizes), *arguments)

    bound = math.sqrt(3 * variance)
    assert [weight.min().item(), weight.max().item()] == pytest.approx([-bound, bound], rel=0.01)
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)


@pytest.mark.parametrize(("arguments", "variance"), KAIMING)
@pytest.mark.parametrize("sizes", [(60, 100, 4), (240, 400)], ids=["convolution", "matrix"])
def test_kaiming_normal(sizes, arguments, variance):
    """:func:`nn.init.kaiming_normal_ <torch.nn.init.kaiming_normal_>` draws with mean 0 and standard
    deviation ``gain / sqrt(fan)``.
    """
    weight = nn.init.kaiming_normal_(torch.empty(sizes), *arguments)

    deviation = math.sqrt(variance)
    assert weight.mean().item() == pytest.approx(0, abs=0.05 * deviation)
    assert weight.std().item() == pytest.approx(deviation, rel=0.03)
    assert weight.max().item() > 3 * deviation


@pytest.mark.parametrize(
    ("mode", "forward", "backward"), [("fan_in", 1, 1 / 4), ("fan_out", 4, 1)], ids=["fan_in", "fan_out"]
)
@pytest.mark.parametrize("draw", [nn.init.kaiming_uniform_, nn.init.kaiming_normal_])
def test_what_kaiming_keeps(draw, mode, forward, backward):
    """``kaiming_normal_`` with ``mode="fan_in"`` keeps the mean square of ReLU outputs, ``"fan_out"`` of
    gradients.

    So it is with :func:`~torch.nn.init.kaiming_uniform_`. It is not the variance of the weights that is kept.
    Where a layer has other sizes in and out, only one of the two can be had.
    """
    layer = nn.Linear(800, 200, bias=False)
    draw(layer.weight, mode=mode)
    x, upstream = (3 * torch.randn(100, 800)).requires_grad_(), 5 * torch.randn(100, 200)

    out = layer(x).relu()
    out.backward(upstream)

    assert (out.square().mean() / x.square().mean()).item() == pytest.approx(forward, rel=0.1)
    assert (x.grad.square().mean() / upstream.square().mean()).item() == pytest.approx(backward, rel=0.1)


GAINS = [
    ("linear", 1),
    ("conv1d", 1),
    ("conv2d", 1),
    ("conv3d", 1),
    ("conv_transpose1d", 1),
    ("conv_transpose2d", 1),
    ("conv_transpose3d", 1),
    ("sigmoid", 1),
    ("tanh", 5 / 3),
    ("relu", math.sqrt(2)),
    ("selu", 3 / 4),
]


@pytest.mark.parametrize(("nonlinearity", "gain"), GAINS)
def test_the_table_of_gains(nonlinearity, gain):
    """:func:`nn.init.calculate_gain <torch.nn.init.calculate_gain>` returns the gain of a nonlinearity,
    such as ``5/3`` for ``tanh``.
    """
    assert nn.init.calculate_gain(nonlinearity) == gain


@pytest.mark.parametrize(
    ("slope", "used"), [(None, 0.01), (0.5, 0.5), (2, 2), (0, 0)], ids=["default", "float", "integer", "zero"]
)
def test_the_gain_of_leaky_relu(slope, used):
    """``nn.init.calculate_gain("leaky_relu", slope)`` is ``sqrt(2 / (1 + slope**2))``, with slope 0.01 by
    default.
    """
    assert nn.init.calculate_gain("leaky_relu", slope) == math.sqrt(2 / (1 + used**2))


@pytest.mark.parametrize(("nonlinearity", "gain"), GAINS)
def test_the_parameter_is_for_leaky_relu_only(nonlinearity, gain):
    """``nn.init.calculate_gain(name, param)`` ignores ``param`` unless ``name`` is ``"leaky_relu"``."""
    assert nn.init.calculate_gain(nonlinearity, 0.5) == gain
    assert nn.init.calculate_gain(nonlinearity, "steep") == gain
    assert nn.init.calculate_gain("leaky_relu", 0.5) == math.sqrt(2 / 1.25)


@pytest.mark.parametrize("slope", [True, False, "0.2", [0.2]], ids=repr)
def test_the_slope_must_be_a_number(slope):
    """``nn.init.calculate_gain("leaky_relu", slope)`` raises ``ValueError`` for a bool, a string or a
    list.
    """
    with pytest.raises(ValueError, match=f"^negative_slope {re.escape(str(slope))} not a valid number$"):
        nn.init.calculate_gain("leaky_relu", slope)


@pytest.mark.parametrize(
    "nonlinearity",
    ["gelu", "identity", "ReLU", "Leaky_ReLU", "Linear", "Conv2d", "Sigmoid", "Tanh", "SELU"],
)
def test_an_unknown_nonlinearity(nonlinearity):
    """:func:`nn.init.calculate_gain <torch.nn.init.calculate_gain>` raises ``ValueError`` for an unknown
    nonlinearity; names are case-sensitive.
    """
    with pytest.raises(ValueError, match=f"^Unsupported nonlinearity {nonlinearity}$"):
        nn.init.calculate_gain(nonlinearity)

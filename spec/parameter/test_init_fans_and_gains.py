"""Fans and gains: how wide the values of Xavier and Kaiming initialisation spread.

The fans of a weight are how many inputs reach one output and how many outputs one input reaches. The gain
makes up for the nonlinearity that follows.
"""

import math

import pytest
import torch
from torch import nn


@pytest.mark.claim("N1-02")
@pytest.mark.observed
@pytest.mark.parametrize(
    ("layer", "fans"),
    [
        (nn.Linear(5, 3), (5, 3)),
        (nn.Conv1d(5, 3, 4), (20, 12)),
        (nn.Conv2d(5, 3, (2, 4)), (40, 24)),
        (nn.Conv2d(6, 4, (2, 4), groups=2), (24, 32)),
        (nn.ConvTranspose1d(5, 3, 4), (12, 20)),
    ],
    ids=["linear", "convolution", "two dimensions", "groups", "transposed"],
)
def test_fans_are_read_off_the_shape(layer, fans):
    """Fan in is the second size of a weight, fan out the first, each times the size of the kernel.

    For a transposed convolution the two are therefore swapped.
    """
    assert nn.init._calculate_fan_in_and_fan_out(layer.weight) == fans


@pytest.mark.claim("N1-02")
def test_the_weight_of_linear_is_fan_out_by_fan_in():
    """The weight of :class:`~torch.nn.Linear` has the shape ``(fan_out, fan_in)``: outputs first."""
    layer = nn.Linear(5, 3)

    assert layer.weight.shape == (layer.out_features, layer.in_features) == (3, 5)


@pytest.mark.parametrize(("arguments", "gain"), [((), 1.0), ((3.0,), 3.0)], ids=["default", "gain"])
def test_xavier_uniform(arguments, gain):
    """:func:`~torch.nn.init.xavier_uniform_` draws up to ``gain * sqrt(6 / (fan_in + fan_out))`` either side
    of 0.
    """
    torch.manual_seed(3)
    weight = nn.init.xavier_uniform_(torch.empty(3, 5, 4), *arguments)
    torch.manual_seed(3)
    bound = gain * math.sqrt(6 / (5 * 4 + 3 * 4))

    assert torch.allclose(weight, torch.empty(3, 5, 4).uniform_(-bound, bound))


@pytest.mark.parametrize(("arguments", "gain"), [((), 1.0), ((3.0,), 3.0)], ids=["default", "gain"])
def test_xavier_normal(arguments, gain):
    """:func:`~torch.nn.init.xavier_normal_` draws with a deviation of ``gain * sqrt(2 / (fan_in +
    fan_out))``.
    """
    torch.manual_seed(3)
    weight = nn.init.xavier_normal_(torch.empty(3, 5, 4), *arguments)
    torch.manual_seed(3)

    assert torch.allclose(weight, torch.empty(3, 5, 4).normal_(0, gain * math.sqrt(2 / (5 * 4 + 3 * 4))))


KAIMING = [
    pytest.param((), 2 / (5 * 4), id="default"),
    pytest.param((0.5,), 2 / (1 + 0.25) / (5 * 4), id="slope"),
    pytest.param((0, "fan_out"), 2 / (3 * 4), id="fan_out"),
    pytest.param((0, "FAN_Out"), 2 / (3 * 4), id="capitals"),
    pytest.param((0.5, "fan_in", "tanh"), 25 / 9 / (5 * 4), id="nonlinearity"),
]


@pytest.mark.parametrize(("arguments", "variance"), KAIMING)
def test_kaiming_uniform(arguments, variance):
    """:func:`~torch.nn.init.kaiming_uniform_` draws up to ``gain * sqrt(3 / fan)`` either side of 0.

    The fan is ``fan_in`` and the gain that of ``leaky_relu`` with slope ``a=0``, which is ``sqrt(2)``, unless
    told otherwise.
    """
    torch.manual_seed(3)
    weight = nn.init.kaiming_uniform_(torch.empty(3, 5, 4), *arguments)
    torch.manual_seed(3)
    bound = math.sqrt(3 * variance)

    assert torch.allclose(weight, torch.empty(3, 5, 4).uniform_(-bound, bound))


@pytest.mark.parametrize(("arguments", "variance"), KAIMING)
def test_kaiming_normal(arguments, variance):
    """:func:`~torch.nn.init.kaiming_normal_` draws with a deviation of ``gain / sqrt(fan)``."""
    torch.manual_seed(3)
    weight = nn.init.kaiming_normal_(torch.empty(3, 5, 4), *arguments)
    torch.manual_seed(3)

    assert torch.allclose(weight, torch.empty(3, 5, 4).normal_(0, math.sqrt(variance)))


@pytest.mark.parametrize(
    ("nonlinearity", "gain"),
    [
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
    ],
)
def test_the_table_of_gains(nonlinearity, gain):
    """:func:`~torch.nn.init.calculate_gain` knows the gain of each common nonlinearity."""
    assert nn.init.calculate_gain(nonlinearity) == gain


@pytest.mark.parametrize(
    ("slope", "used"), [(None, 0.01), (0.5, 0.5), (2, 2), (0, 0)], ids=["default", "float", "integer", "zero"]
)
def test_the_gain_of_leaky_relu(slope, used):
    """The gain of ``leaky_relu`` is ``sqrt(2 / (1 + slope**2))``, with a slope of 0.01 unless given."""
    assert nn.init.calculate_gain("leaky_relu", slope) == math.sqrt(2 / (1 + used**2))


def test_the_parameter_is_for_leaky_relu_only():
    """:func:`~torch.nn.init.calculate_gain` ignores the parameter for any other nonlinearity."""
    assert nn.init.calculate_gain("relu", 0.5) == math.sqrt(2)


@pytest.mark.parametrize("slope", [True, "0.2", [0.2]], ids=["bool", "string", "list"])
def test_the_slope_must_be_a_number(slope):
    """A slope that is no number, or is a bool, raises a ``ValueError`` that shows it."""
    with pytest.raises(ValueError) as caught:
        nn.init.calculate_gain("leaky_relu", slope)

    assert str(caught.value) == f"negative_slope {slope} not a valid number"


@pytest.mark.parametrize("nonlinearity", ["gelu", "ReLU", "identity"])
def test_an_unknown_nonlinearity(nonlinearity):
    """An unknown nonlinearity raises a ``ValueError`` that names it; capitals matter."""
    with pytest.raises(ValueError, match=f"^Unsupported nonlinearity {nonlinearity}$"):
        nn.init.calculate_gain(nonlinearity)

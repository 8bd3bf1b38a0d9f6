"""Activations and pooling: layers without parameters.

Most of them are a function of :mod:`torch.nn.functional` together with its arguments.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.mark.claim("N5-11")
@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (nn.ReLU(), F.relu),
        (nn.LeakyReLU(0.3), lambda x: F.leaky_relu(x, 0.3)),
        (nn.ELU(0.5), lambda x: F.elu(x, 0.5)),
        (nn.GELU("tanh"), lambda x: F.gelu(x, approximate="tanh")),
        (nn.Hardtanh(-0.5, 0.25), lambda x: F.hardtanh(x, -0.5, 0.25)),
        (nn.Softplus(2, 0.5), lambda x: F.softplus(x, 2, 0.5)),
        (nn.Threshold(0.1, 7.0), lambda x: F.threshold(x, 0.1, 7.0)),
        (nn.Softmax(0), lambda x: F.softmax(x, 0)),
        (nn.LogSoftmax(0), lambda x: F.log_softmax(x, 0)),
        (nn.MaxPool1d(2, 1), lambda x: F.max_pool1d(x, 2, 1)),
        (nn.AvgPool1d(2, 1, 1), lambda x: F.avg_pool1d(x, 2, 1, 1)),
        (nn.AdaptiveAvgPool1d(2), lambda x: F.adaptive_avg_pool1d(x, 2)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_layer_is_a_function_with_its_arguments(layer, function):
    """A layer without parameters computes its function, with the arguments of its constructor."""
    x = torch.randn(3, 5)

    assert torch.equal(layer(x), function(x))
    assert (list(layer.parameters()), list(layer.state_dict())) == ([], [])


@pytest.mark.claim("N5-12")
@pytest.mark.parametrize("name", ["pool", "MaxPool", "MaxPool2d"])
def test_there_is_no_such_function(name):
    """:mod:`torch.nn.functional` has no ``pool`` and no ``MaxPool``: one function is ``max_pool2d``."""
    with pytest.raises(AttributeError, match=f"'torch.nn.functional' has no attribute '{name}'"):
        getattr(F, name)

    assert F.max_pool2d(torch.rand(1, 4, 6), 2).shape == (1, 2, 3)


@pytest.mark.parametrize("make", [nn.ReLU, nn.ELU, nn.Hardtanh], ids=lambda make: make.__name__)
def test_inplace_writes_into_the_input(make):
    """An activation with ``inplace=True`` writes its result into its input and returns that."""
    x = torch.tensor([-3.0, 0.5])
    expected = make()(x).tolist()

    result = make(inplace=True)(x)

    assert result is x
    assert x.tolist() == expected != [-3.0, 0.5]


def test_an_activation_without_state_may_serve_twice():
    """One activation object may stand at several places of a network, as it keeps nothing."""
    relu = nn.ReLU()
    net = nn.Sequential(nn.Linear(2, 3), relu, nn.Linear(3, 3), relu)

    assert [name for name, _ in net.named_modules()] == ["", "0", "1", "2"]
    assert net(torch.rand(4, 2)).min().item() >= 0


def test_prelu_learns_its_slope():
    """:class:`~torch.nn.PReLU` is an activation with a parameter: the slope below zero."""
    layer = nn.PReLU(init=0.5)

    assert [(name, p.shape) for name, p in layer.named_parameters()] == [("weight", (1,))]
    assert layer(torch.tensor([-2.0, 3.0])).tolist() == [-1.0, 3.0]


def test_softmax_without_a_dimension_warns():
    """:class:`~torch.nn.Softmax` without ``dim`` warns and guesses the dimension."""
    x = torch.rand(2, 3)

    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax has been deprecated"):
        result = nn.Softmax()(x)

    assert torch.equal(result, x.softmax(1))


@pytest.mark.parametrize("pool", [nn.MaxPool2d, nn.AvgPool2d])
def test_pooling_steps_by_its_kernel(pool):
    """A pooling layer steps by the size of its kernel unless it is given a stride."""
    x = torch.rand(1, 4, 9, 12)

    assert [pool(*arguments)(x).shape for arguments in ((3,), (3, 1), ((3, 2),))] == [
        (1, 4, 3, 4),
        (1, 4, 7, 10),
        (1, 4, 3, 6),
    ]


def test_how_activations_print():
    """An activation prints the arguments that matter to it."""
    layers = (nn.ReLU(), nn.ReLU(True), nn.LeakyReLU(0.3), nn.Softmax(1), nn.PReLU(3), nn.MaxPool2d(2))

    assert [repr(layer) for layer in layers] == [
        "ReLU()",
        "ReLU(inplace=True)",
        "LeakyReLU(negative_slope=0.3)",
        "Softmax(dim=1)",
        "PReLU(num_parameters=3)",
        "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
    ]

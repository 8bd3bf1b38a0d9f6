"""Activations and pooling: layers without parameters.

Most of them are a function of :mod:`torch.nn.functional` together with its arguments.
"""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.mark.claim("N5-11")
@pytest.mark.parametrize(
    ("layer", "function", "arguments"),
    [
        (nn.ReLU, F.relu, ()),
        (nn.Sigmoid, torch.sigmoid, ()),
        (nn.Tanh, torch.tanh, ()),
        (nn.LeakyReLU, F.leaky_relu, (0.3,)),
        (nn.ELU, F.elu, (0.5,)),
        (nn.CELU, F.celu, (0.5,)),
        (nn.SELU, F.selu, ()),
        (nn.ReLU6, F.relu6, ()),
        (nn.SiLU, F.silu, ()),
        (nn.Mish, F.mish, ()),
        (nn.GLU, F.glu, (1,)),
        (nn.Hardswish, F.hardswish, ()),
        (nn.Hardsigmoid, F.hardsigmoid, ()),
        (nn.Hardshrink, F.hardshrink, (0.25,)),
        (nn.Softshrink, F.softshrink, (0.25,)),
        (nn.Tanhshrink, F.tanhshrink, ()),
        (nn.Softsign, F.softsign, ()),
        (nn.LogSigmoid, F.logsigmoid, ()),
        (nn.GELU, F.gelu, ()),
        (partial(nn.GELU, approximate="tanh"), partial(F.gelu, approximate="tanh"), ()),
        (nn.Hardtanh, F.hardtanh, (-0.5, 0.25)),
        (nn.Softplus, F.softplus, (2, 0.5)),
        (nn.Threshold, F.threshold, (0.1, 7.0)),
        (nn.Softmax, F.softmax, (1,)),
        (nn.LogSoftmax, F.log_softmax, (1,)),
        (nn.Softmin, F.softmin, (1,)),
        (nn.Softmax2d, partial(F.softmax, dim=-3), ()),
        (partial(nn.RReLU, 0.25, 0.25), partial(F.rrelu, lower=0.25, upper=0.25), ()),
        (nn.LocalResponseNorm, F.local_response_norm, (2,)),
        (nn.Upsample, F.interpolate, (4,)),
        (nn.LPPool1d, F.lp_pool1d, (2, 2)),
        (nn.LPPool2d, F.lp_pool2d, (2, (1, 2))),
        (nn.MaxPool1d, F.max_pool1d, (2, 1)),
        (nn.AvgPool1d, F.avg_pool1d, (2, 1, 1)),
        (nn.AdaptiveAvgPool1d, F.adaptive_avg_pool1d, (2,)),
        (nn.AdaptiveMaxPool1d, F.adaptive_max_pool1d, (2,)),
        (nn.MaxPool2d, F.max_pool2d, (2, 1)),
        (nn.AvgPool2d, F.avg_pool2d, (2, 1, 1)),
        (nn.AdaptiveAvgPool2d, F.adaptive_avg_pool2d, (2,)),
        (nn.AdaptiveMaxPool2d, F.adaptive_max_pool2d, (2,)),
        (nn.MaxPool3d, F.max_pool3d, ((1, 2, 1), 1)),
        (nn.AvgPool3d, F.avg_pool3d, ((1, 2, 1), 1)),
        (nn.AdaptiveAvgPool3d, F.adaptive_avg_pool3d, (2,)),
        (nn.AdaptiveMaxPool3d, F.adaptive_max_pool3d, (2,)),
    ],
)
def test_a_layer_is_a_function_with_its_arguments(layer, function, arguments):
    """Layers without parameters compute the same as their function: ``nn.ELU(0.5)(x)`` is ``F.elu(x, 0.5)``.

    In forward either will do. The layer shows when the module is printed and takes hooks; what has parameters
    is better off as a layer, since its function wants them passed in.
    """
    made = layer(*arguments)
    x = torch.tensor([[[-4.0, 0.5, 8.0], [0.25, -0.125, 1.5]]])
    x = x[None] if "3d" in repr(made) else x

    assert torch.equal(made(x), function(x, *arguments))
    assert torch.equal(made.eval()(x), function(x, *arguments))
    assert list(made.parameters()) == []
    assert list(made.state_dict()) == []


@pytest.mark.claim("N5-12")
def test_there_is_no_such_function():
    """The functional form of ``nn.MaxPool2d`` is ``F.max_pool2d``; ``F.MaxPool2d`` and ``F.pool`` do not
    exist.

    The name tells the kind and the dimension; there is no ``F.pool`` and no ``F.MaxPool``.
    """
    x = torch.tensor([[[1.0, 2.0, 4.0, 0.0], [5.0, 3.0, 6.0, 1.0]]])

    assert F.max_pool2d(x, 2).tolist() == nn.MaxPool2d(2)(x).tolist() == [[[5.0, 6.0]]]
    for name in ("pool", "MaxPool", "MaxPool2d"):
        assert hasattr(F, name) is False


@pytest.mark.parametrize(
    "make",
    [
        nn.ReLU,
        nn.ReLU6,
        nn.LeakyReLU,
        nn.ELU,
        nn.CELU,
        nn.SELU,
        nn.SiLU,
        nn.Mish,
        nn.Hardtanh,
        nn.Hardswish,
        nn.Hardsigmoid,
        partial(nn.Threshold, 0.1, 7.0),
        partial(nn.RReLU, 0.25, 0.25),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_inplace_writes_into_the_input(make, training):
    """An activation such as ``nn.ReLU(inplace=True)`` overwrites its input tensor and returns that tensor.

    Whoever holds the input sees it change: a residual added afterwards is not what it was.
    """
    x = torch.tensor([-3.0, -0.5, 0.25])
    values = make().train(training)(x)
    assert x.tolist() == [-3.0, -0.5, 0.25]

    result = make(inplace=True).train(training)(x)

    assert result is x
    assert x.tolist() == values.tolist() != [-3.0, -0.5, 0.25]


def test_an_activation_without_state_may_serve_twice():
    """One :class:`~torch.nn.ReLU` can be used at several places of a network, as it has no state.

    It is listed once by ``named_modules()``, and a hook on it runs at each place.
    """
    relu = nn.ReLU()
    net = nn.Sequential(nn.Linear(2, 3), relu, nn.Linear(3, 3), relu)
    x = torch.tensor([[2.0, -3.0]])
    held, seen = set(vars(relu)), []
    relu.register_forward_hook(lambda module, args, output: seen.append(args[0]))

    first = net[0](x)
    assert torch.equal(net(x), F.relu(net[2](F.relu(first))))
    assert [value.tolist() for value in seen] == [first.tolist(), net[2](F.relu(first)).tolist()]
    assert set(vars(relu)) == held
    assert relu.state_dict() == {}
    assert [name for name, _ in net.named_modules()] == ["", "0", "1", "2"]


def test_prelu_learns_its_slope():
    """:class:`~torch.nn.PReLU` has one parameter, the slope for negative inputs."""
    layer = nn.PReLU(init=0.5)
    assert [(name, p.shape) for name, p in layer.named_parameters()] == [("weight", (1,))]

    for slope in (0.5, -4.0):
        nn.init.constant_(layer.weight, slope)
        for training in (True, False):
            assert layer.train(training)(torch.tensor([-2.0, 3.0])).tolist() == [-2.0 * slope, 3.0]

    layer(torch.tensor([-2.0, 3.0, -5.0])).sum().backward()
    assert layer.weight.grad.tolist() == [-7.0]


@pytest.mark.parametrize("selu", [nn.SELU(), F.selu], ids=["layer", "function"])
def test_selu_keeps_a_standard_normal(selu):
    """``nn.SELU`` keeps mean 0 and std 1 of standard normal input, but does not give them to other input.

    :class:`~torch.nn.SELU` pulls towards them from layer to layer, if the weights have variance
    ``1 / fan_in``: initialize them by ``kaiming_normal_(weight, nonlinearity="linear")``.
    """
    x = torch.randn(100_000)
    same, other = selu(x), selu(3 * x + 1)

    assert [same.mean().item(), same.std().item()] == pytest.approx([0, 1], abs=0.03)
    assert other.mean().item() > 0.5
    assert other.std().item() > 1.5

    x = 3 * torch.randn(200, 600) + 1
    for _ in range(16):
        weight = nn.init.kaiming_normal_(torch.empty(600, 600), nonlinearity="linear")
        x = selu(x @ weight.T)
    assert [x.mean().item(), x.std().item()] == pytest.approx([0, 1], abs=0.1)


@pytest.mark.parametrize(
    ("shape", "dim"),
    [((4,), 0), ((4, 3), 1), ((4, 3, 2), 0), ((4, 3, 2, 5), 1)],
    ids=["1d", "2d", "3d", "4d"],
)
def test_softmax_without_a_dimension_warns(shape, dim):
    """``nn.Softmax`` without ``dim`` warns; it uses ``dim=0`` for 1-D and 3-D tensors, ``dim=1`` for 2-D and
    4-D.

    Over a batch of sequences it adds up to one along the batch then. Say ``dim=-1``.
    """
    x = torch.rand(shape)

    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax has been deprecated"):
        result = nn.Softmax()(x)

    assert torch.equal(result, x.softmax(dim))


@pytest.mark.parametrize("pool", [nn.MaxPool2d, nn.AvgPool2d])
def test_pooling_steps_by_its_kernel(pool):
    """By default ``nn.MaxPool2d`` and ``nn.AvgPool2d`` use the ``kernel_size`` as ``stride``."""
    x = torch.rand(1, 4, 9, 12)

    assert pool(3)(x).shape == (1, 4, 3, 4)
    assert pool((3, 2))(x).shape == (1, 4, 3, 6)
    assert pool(3, stride=1)(x).shape == (1, 4, 7, 10)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.ReLU(), "ReLU()"),
        (nn.ReLU(True), "ReLU(inplace=True)"),
        (nn.ReLU6(), "ReLU6()"),
        (nn.ReLU6(True), "ReLU6(inplace=True)"),
        (nn.RReLU(0.25, 0.5), "RReLU(lower=0.25, upper=0.5)"),
        (nn.RReLU(0.25, 0.5, True), "RReLU(lower=0.25, upper=0.5, inplace=True)"),
        (nn.SELU(), "SELU()"),
        (nn.SELU(True), "SELU(inplace=True)"),
        (nn.SiLU(True), "SiLU(inplace=True)"),
        (nn.Mish(True), "Mish(inplace=True)"),
        (nn.Hardswish(True), "Hardswish()"),
        (nn.Hardsigmoid(True), "Hardsigmoid()"),
        (nn.LeakyReLU(0.3), "LeakyReLU(negative_slope=0.3)"),
        (nn.LeakyReLU(0.3, True), "LeakyReLU(negative_slope=0.3, inplace=True)"),
        (nn.ELU(0.5), "ELU(alpha=0.5)"),
        (nn.ELU(0.5, True), "ELU(alpha=0.5, inplace=True)"),
        (nn.CELU(0.5), "CELU(alpha=0.5)"),
        (nn.CELU(0.5, True), "CELU(alpha=0.5, inplace=True)"),
        (nn.GELU("tanh"), "GELU(approximate='tanh')"),
        (nn.GLU(1), "GLU(dim=1)"),
        (nn.Hardtanh(-0.5, 0.25), "Hardtanh(min_val=-0.5, max_val=0.25)"),
        (nn.Hardshrink(0.25), "Hardshrink(0.25)"),
        (nn.Softshrink(0.25), "Softshrink(0.25)"),
        (nn.Softplus(2.5, 0.5), "Softplus(beta=2.5, threshold=0.5)"),
        (nn.Hardtanh(-0.5, 0.25, True), "Hardtanh(min_val=-0.5, max_val=0.25, inplace=True)"),
        (nn.Threshold(0.1, 7.5), "Threshold(threshold=0.1, value=7.5)"),
        (nn.Threshold(0.1, 7.5, True), "Threshold(threshold=0.1, value=7.5, inplace=True)"),
        (nn.Softmax(1), "Softmax(dim=1)"),
        (nn.LogSoftmax(1), "LogSoftmax(dim=1)"),
        (nn.Softmin(1), "Softmin(dim=1)"),
        (nn.PReLU(3), "PReLU(num_parameters=3)"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_how_activations_print(layer, text):
    """``repr`` of most activations shows their arguments, such as ``GLU(dim=1)``; ``inplace`` only if
    ``True``.

    ``nn.Hardswish`` and ``nn.Hardsigmoid`` show nothing.
    """
    assert repr(layer) == text


def test_how_pooling_layers_print():
    """``repr`` of ``nn.MaxPool2d`` and ``nn.AvgPool2d`` shows kernel, stride and padding."""
    assert repr(nn.MaxPool2d(3, 2, 1)) == (
        "MaxPool2d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False)"
    )
    assert repr(nn.MaxPool2d(3)) == (
        "MaxPool2d(kernel_size=3, stride=3, padding=0, dilation=1, ceil_mode=False)"
    )
    assert repr(nn.AvgPool2d(3)) == "AvgPool2d(kernel_size=3, stride=3, padding=0)"
    assert repr(nn.AvgPool2d(3, 2, 1)) == "AvgPool2d(kernel_size=3, stride=2, padding=1)"

"""The linear layer, and the layers next to it.

:class:`~torch.nn.Linear` is the plainest layer with parameters: a weight, a bias and a product.
"""

import pytest
import torch
from torch import nn


@pytest.mark.claim("N1-01")
def test_linear_is_x_times_a_transposed_plus_b():
    """:class:`~torch.nn.Linear` computes ``x @ weight.T + bias``.

    The weight has a row for each output: it lies the other way round than in a formula ``x @ W``.
    """
    layer = nn.Linear(2, 3)
    layer.weight.data = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    layer.bias.data = torch.tensor([0.5, 0.25, 0.125])

    x = torch.tensor([[10.0, 1.0], [1.0, 0.0]])

    assert layer(x).tolist() == [[12.5, 34.25, 56.125], [1.5, 3.25, 5.125]]
    assert layer(x[0]).tolist() == [12.5, 34.25, 56.125]
    assert layer(x[None]).tolist() == [[[12.5, 34.25, 56.125], [1.5, 3.25, 5.125]]]


@pytest.mark.claim("N2-14")
def test_linear_calls_its_parameters_weight_and_bias():
    """The parameters of :class:`~torch.nn.Linear` are called ``weight`` and ``bias``, not ``w`` and ``b``.

    These are the names in a state dict, so weights saved under others have to be renamed before they are
    loaded.
    """
    layer = nn.Linear(2, 3)

    assert [(name, p.shape) for name, p in layer.named_parameters()] == [("weight", (3, 2)), ("bias", (3,))]
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert [hasattr(layer, name) for name in ("w", "b")] == [False, False]


@pytest.mark.claim("N2-35")
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(2, 3, False),
        lambda: nn.Bilinear(2, 3, 4, False),
        lambda: nn.Conv1d(2, 3, 2, bias=False),
        lambda: nn.Conv2d(2, 3, 2, bias=False),
        lambda: nn.Conv3d(2, 3, 2, bias=False),
        lambda: nn.ConvTranspose1d(2, 3, 2, bias=False),
        lambda: nn.ConvTranspose2d(2, 3, 2, bias=False),
        lambda: nn.ConvTranspose3d(2, 3, 2, bias=False),
    ],
    ids=["linear", "bilinear", "1d", "2d", "3d", "transposed 1d", "transposed 2d", "transposed 3d"],
)
def test_without_bias_the_bias_is_none(make):
    """With ``bias=False``, ``bias`` of ``nn.Linear`` or a convolution is ``None`` and not in the
    ``state_dict()``.

    The name stays registered, so code can ask whether ``layer.bias`` is ``None``. Of recurrent layers
    ``bias`` is the argument itself.
    """
    layer = make()

    assert layer.bias is None
    assert list(layer._parameters) == ["weight", "bias"]
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert list(layer.state_dict()) == ["weight"]
    assert "bias=False" in repr(layer)
    for recurrent in (nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell):
        assert [recurrent(2, 3).bias, recurrent(2, 3, bias=False).bias] == [True, False]


def test_linear_without_bias_is_the_product_alone():
    """``nn.Linear(bias=False)`` computes ``x @ weight.T`` and adds nothing."""
    layer = nn.Linear(2, 3, bias=False)
    layer.weight.data = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])

    for leading in ((), (3,), (4, 3)):
        result = layer(torch.tensor([10.0, 1.0]).expand(*leading, 2))
        assert torch.equal(result, torch.tensor([12.0, 34.0, 56.0]).expand(*leading, 3))


@pytest.mark.parametrize("leading", [(), (4,), (4, 5), (0, 5)], ids=["none", "batch", "two", "empty"])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_works_on_the_last_dimension(leading, bias):
    """:class:`~torch.nn.Linear` transforms the last dimension of its input; all dimensions before it stay."""
    layer, x = nn.Linear(2, 3, bias), torch.rand(*leading, 2)
    rows = x.reshape(-1, 2) @ layer.weight.T + (layer.bias if bias else 0)

    assert layer(x).shape == (*leading, 3)
    assert torch.allclose(layer(x), rows.view(*leading, 3), atol=1e-6)


def test_linear_refuses_another_size():
    """``nn.Linear`` raises a ``RuntimeError`` with both shapes if the last dimension is not ``in_features``.

    An image is flattened before it: see :class:`~torch.nn.Flatten`.
    """
    for shape in ((12, 5), (4, 3, 5)):
        for bias in (True, False):
            with pytest.raises(RuntimeError, match=r"shapes cannot be multiplied .12x5 and 2x3"):
                nn.Linear(2, 3, bias)(torch.rand(shape))
    with pytest.raises(RuntimeError, match=r"1x5 and 2x3|5.*3x2"):
        nn.Linear(2, 3)(torch.rand(5))


@pytest.mark.claim("N4-01")
def test_a_small_network_and_its_result():
    """With grad mode on, the output of a :class:`~torch.nn.Sequential` of trainable linear layers has a
    ``grad_fn``.

    It requires grad: the backward pass starts there. Under :class:`~torch.no_grad` there is no ``grad_fn``.
    """
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))

    result = net(torch.rand(2, 4))

    assert result.shape == (2, 1)
    assert result.requires_grad is True
    assert result.grad_fn.name() == "AddmmBackward0"
    with torch.no_grad():
        assert net(torch.rand(2, 4)).grad_fn is None


def test_bilinear_takes_two_inputs():
    """:class:`~torch.nn.Bilinear` computes ``x1 @ weight[k] @ x2 + bias[k]`` for each output ``k``."""
    layer = nn.Bilinear(2, 3, 4)
    x, y = torch.rand(5, 2), torch.rand(5, 3)

    assert layer.weight.shape == (4, 2, 3)
    assert layer.bias.shape == (4,)
    for k in range(4):
        expected = [(a @ layer.weight[k] @ b + layer.bias[k]).item() for a, b in zip(x, y, strict=True)]
        assert layer(x, y)[:, k].tolist() == pytest.approx(expected, abs=1e-6)
        assert layer(x[0], y[0])[k].item() == pytest.approx(expected[0], abs=1e-6)
        assert layer(x[:, None], y[:, None])[:, 0, k].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "sizes",
    [((5, 2), (1, 3)), ((5, 6, 2), (5, 1, 3)), ((5, 6, 2), (6, 3))],
    ids=["one row", "one column", "fewer dimensions"],
)
def test_bilinear_does_not_broadcast(sizes):
    """:class:`~torch.nn.Bilinear` raises ``RuntimeError`` if its inputs differ in their leading dimensions.

    It does not broadcast. Expand one of them first.
    """
    layer = nn.Bilinear(2, 3, 4)
    x, y = torch.rand(sizes[0]), torch.rand(sizes[1])

    with pytest.raises(RuntimeError, match=r"bilinear\(\): input (batch )?dimensions do not match"):
        layer(x, y)
    with pytest.raises(RuntimeError, match=r"bilinear\(\): input (batch )?dimensions do not match"):
        nn.Bilinear(3, 2, 4)(y, x)

    assert layer(x, y.expand(*x.shape[:-1], 3)).shape == (*x.shape[:-1], 4)


@pytest.mark.since("2.8")
def test_bilinear_needs_a_first_input():
    """:class:`~torch.nn.Bilinear` raises ``ValueError`` if ``in1_features`` is 0."""
    with pytest.raises(ValueError, match=r"in1_features must be > 0, but got (\(in1_features=0\)|0)$"):
        nn.Bilinear(0, 2, 3)


@pytest.mark.before("2.8")
def test_bilinear_divided_by_zero():
    """:class:`~torch.nn.Bilinear` raises ``ZeroDivisionError`` if ``in1_features`` is 0."""
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        nn.Bilinear(0, 2, 3)


def test_bilinear_without_a_second_input():
    """An ``nn.Bilinear`` of ``in2_features=0`` can be constructed, but raises ``RuntimeError`` when called.

    Of the three sizes ``in1_features`` alone is checked when the layer is constructed.
    """
    for bias in (True, False):
        layer = nn.Bilinear(2, 0, 3, bias=bias)

        assert layer.weight.shape == (3, 2, 0)
        for batch in ((4,), (), (4, 5)):
            with pytest.raises(RuntimeError, match="cannot reshape tensor of 0 elements"):
                layer(torch.rand(*batch, 2), torch.rand(*batch, 0))


@pytest.mark.parametrize("bias", [True, False])
def test_bilinear_without_outputs(bias):
    """An ``nn.Bilinear`` of ``out_features=0`` can be constructed and called: its output is empty."""
    layer = nn.Bilinear(2, 3, 0, bias=bias)

    assert layer.weight.shape == (0, 2, 3)
    for batch in ((4,), (), (4, 5)):
        assert layer(torch.rand(*batch, 2), torch.rand(*batch, 3)).shape == (*batch, 0)


def test_identity_takes_anything():
    """:class:`~torch.nn.Identity` accepts any arguments when constructed, and returns its input unchanged.

    So it stands in for a layer that is switched off, such as the head of a network whose features are wanted.
    """
    layer, x = nn.Identity(54, "anything", bias=False), torch.rand(2, 3).T

    assert layer(x) is x
    assert layer("text") == "text"
    assert list(layer.parameters()) == []
    assert repr(layer) == "Identity()"


def test_identity_is_called_with_one_input():
    """:class:`~torch.nn.Identity` ignores arguments of its constructor, but not of a call: it accepts one
    input.

    It cannot stand in for a layer of several inputs, such as :class:`~torch.nn.Bilinear` or attention.
    """
    layer, x = nn.Identity(54, size=3), torch.rand(2)

    assert layer(input=x) is x
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
        layer(x, x)
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'mask'"):
        layer(x, mask=x)


def test_how_linear_layers_print():
    """``repr`` of ``Linear`` or ``Bilinear`` shows the sizes and whether the layer has a bias."""
    assert [repr(nn.Linear(2, 3)), repr(nn.Linear(2, 3, bias=False))] == [
        "Linear(in_features=2, out_features=3, bias=True)",
        "Linear(in_features=2, out_features=3, bias=False)",
    ]
    assert [repr(nn.Bilinear(2, 3, 4)), repr(nn.Bilinear(2, 3, 4, bias=False))] == [
        "Bilinear(in1_features=2, in2_features=3, out_features=4, bias=True)",
        "Bilinear(in1_features=2, in2_features=3, out_features=4, bias=False)",
    ]

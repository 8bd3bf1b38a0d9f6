"""What the constructors of layers have in common.

Nearly every layer with parameters takes ``device`` and ``dtype``. Its arguments stay on it as attributes, and
its parameters are counted like any tensor.
"""

import pytest
import torch
from torch import nn

LAYERS = [
    pytest.param(nn.Linear, (2, 3), id="Linear"),
    pytest.param(nn.Bilinear, (2, 3, 4), id="Bilinear"),
    pytest.param(nn.Conv1d, (2, 3, 2), id="Conv1d"),
    pytest.param(nn.Conv2d, (2, 3, 2), id="Conv2d"),
    pytest.param(nn.Conv3d, (2, 3, 2), id="Conv3d"),
    pytest.param(nn.ConvTranspose1d, (2, 3, 2), id="ConvTranspose1d"),
    pytest.param(nn.ConvTranspose2d, (2, 3, 2), id="ConvTranspose2d"),
    pytest.param(nn.ConvTranspose3d, (2, 3, 2), id="ConvTranspose3d"),
    pytest.param(nn.Embedding, (4, 3), id="Embedding"),
    pytest.param(nn.EmbeddingBag, (4, 3), id="EmbeddingBag"),
    pytest.param(nn.BatchNorm1d, (3,), id="BatchNorm1d"),
    pytest.param(nn.BatchNorm2d, (3,), id="BatchNorm2d"),
    pytest.param(nn.BatchNorm3d, (3,), id="BatchNorm3d"),
    pytest.param(nn.InstanceNorm1d, (3, 1e-5, 0.1, True, True), id="InstanceNorm1d"),
    pytest.param(nn.InstanceNorm2d, (3, 1e-5, 0.1, True, True), id="InstanceNorm2d"),
    pytest.param(nn.InstanceNorm3d, (3, 1e-5, 0.1, True, True), id="InstanceNorm3d"),
    pytest.param(nn.LayerNorm, (3,), id="LayerNorm"),
    pytest.param(nn.GroupNorm, (2, 4), id="GroupNorm"),
    pytest.param(nn.RNN, (2, 3), id="RNN"),
    pytest.param(nn.LSTM, (2, 3), id="LSTM"),
    pytest.param(nn.LSTM, (2, 3, 2, True, False, 0.0, True, 1), id="LSTM of all kinds"),
    pytest.param(nn.GRU, (2, 3), id="GRU"),
    pytest.param(nn.RNNCell, (2, 3), id="RNNCell"),
    pytest.param(nn.LSTMCell, (2, 3), id="LSTMCell"),
    pytest.param(nn.GRUCell, (2, 3), id="GRUCell"),
    pytest.param(nn.PReLU, (), id="PReLU"),
    pytest.param(nn.MultiheadAttention, (4, 2), id="MultiheadAttention"),
    pytest.param(nn.MultiheadAttention, (4, 2, 0.0, True, True, True, 3, 5), id="attention of all kinds"),
    pytest.param(nn.TransformerEncoderLayer, (4, 2, 8), id="TransformerEncoderLayer"),
    pytest.param(nn.TransformerDecoderLayer, (4, 2, 8), id="TransformerDecoderLayer"),
    pytest.param(nn.Transformer, (4, 2, 1, 1, 8), id="Transformer"),
    pytest.param(nn.AdaptiveLogSoftmaxWithLoss, (4, 5, [2]), id="AdaptiveLogSoftmaxWithLoss"),
]


@pytest.mark.parametrize(("layer", "arguments"), LAYERS)
def test_device_and_dtype_are_taken(layer, arguments, device):
    """``nn.Linear`` and other layers create their floating-point tensors with the ``device`` and ``dtype``
    given.

    That spares a copy: without them a layer is made on the CPU in float32, and moved and cast afterwards.
    """
    made = layer(*arguments, device=device, dtype=torch.float64)

    tensors = [t for t in (*made.parameters(), *made.buffers()) if t.is_floating_point()]
    assert {(t.device.type, t.dtype) for t in tensors} == {(torch.device(device).type, torch.float64)}
    assert {t.device.type for t in made.buffers()} <= {torch.device(device).type}

    elsewhere = layer(*arguments, device="meta")
    assert all(t.is_meta for t in (*elsewhere.parameters(), *elsewhere.buffers()))


@pytest.mark.parametrize(("layer", "arguments"), LAYERS)
def test_without_dtype_the_default_is_taken(layer, arguments):
    """Layers constructed without ``dtype``, such as ``nn.Linear``, use the default dtype of that moment.

    :func:`torch.set_default_dtype` later changes nothing about them.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        made = layer(*arguments)
    finally:
        torch.set_default_dtype(before)

    tensors = [t for t in (*made.parameters(), *made.buffers()) if t.is_floating_point()]
    assert {t.dtype for t in tensors} == {torch.float64}


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: nn.Linear(5, 3), 5 * 3 + 3),
        (lambda: nn.Conv2d(6, 4, (2, 3), groups=2), 4 * 3 * 2 * 3 + 4),
        (lambda: nn.ConvTranspose2d(6, 4, (2, 3), groups=2), 6 * 2 * 2 * 3 + 4),
        (lambda: nn.BatchNorm2d(6), 6 + 6),
        (lambda: nn.Embedding(7, 3), 7 * 3),
        (lambda: nn.LSTM(5, 3), 4 * (3 * 5 + 3 * 3 + 3 + 3)),
        (lambda: nn.GRU(5, 3, 2, bidirectional=True), 2 * 3 * (3 * 5 + 9 + 6) + 2 * 3 * (3 * 6 + 9 + 6)),
        (lambda: nn.MultiheadAttention(8, 2), 4 * (8 * 8 + 8)),
        (lambda: nn.TransformerEncoderLayer(8, 2, 5), 4 * (64 + 8) + (8 * 5 + 5) + (5 * 8 + 8) + 4 * 8),
        (lambda: nn.Sequential(nn.Flatten(), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout()), 0),
    ],
    ids=[
        "linear",
        "convolution",
        "transposed convolution",
        "batch norm",
        "embedding",
        "lstm",
        "deep bidirectional gru",
        "attention",
        "encoder layer",
        "no parameters",
    ],
)
def test_how_many_numbers_a_layer_learns(make, count):
    """``sum(p.numel() for p in layer.parameters())`` counts the parameters of a layer, biases included."""
    assert sum(p.numel() for p in make().parameters()) == count


def test_arguments_stay_on_the_layer_as_attributes():
    """Setting ``out_features`` of an ``nn.Linear`` changes how it prints, but not the shape of its weight.

    To change the size of a layer, put a new layer in its place.
    """
    layer = nn.Linear(2, 3)

    layer.out_features = 7

    assert repr(layer) == "Linear(in_features=2, out_features=7, bias=True)"
    assert layer.weight.shape == (3, 2)
    assert layer(torch.rand(1, 2)).shape == (1, 3)


@pytest.mark.parametrize("argument", ["devise", "Bias", "use_bias"])
def test_an_unknown_argument_is_an_error(argument):
    """``nn.Linear``, ``LayerNorm`` and ``Embedding`` raise a ``TypeError`` that names an unknown keyword
    argument.

    :class:`~torch.nn.Identity` takes any.
    """
    for layer in (nn.Linear, nn.LayerNorm, nn.Embedding):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{argument}'"):
            layer(2, 3, **{argument: False})
    assert repr(nn.Identity(2, 3, **{argument: False})) == "Identity()"

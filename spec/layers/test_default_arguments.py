"""Defaults of arguments, as their signatures have them.

What a default means is said where the argument is.
"""

import inspect

import pytest
import torch
from torch import nn


@pytest.mark.parametrize(
    ("function", "defaults"),
    [
        (
            nn.MultiheadAttention,
            {
                "dropout": 0.0,
                "bias": True,
                "add_bias_kv": False,
                "add_zero_attn": False,
                "kdim": None,
                "vdim": None,
                "batch_first": False,
            },
        ),
        (
            nn.MultiheadAttention.forward,
            {
                "key_padding_mask": None,
                "need_weights": True,
                "attn_mask": None,
                "average_attn_weights": True,
                "is_causal": False,
            },
        ),
        (
            nn.Transformer,
            {
                "d_model": 512,
                "nhead": 8,
                "num_encoder_layers": 6,
                "num_decoder_layers": 6,
                "dim_feedforward": 2048,
                "dropout": 0.1,
                "custom_encoder": None,
                "custom_decoder": None,
                "layer_norm_eps": 1e-5,
                "batch_first": False,
                "norm_first": False,
            },
        ),
        (
            nn.TransformerEncoderLayer,
            {
                "dim_feedforward": 2048,
                "dropout": 0.1,
                "layer_norm_eps": 1e-5,
                "batch_first": False,
                "norm_first": False,
            },
        ),
        (
            nn.TransformerDecoderLayer,
            {
                "dim_feedforward": 2048,
                "dropout": 0.1,
                "layer_norm_eps": 1e-5,
                "batch_first": False,
                "norm_first": False,
            },
        ),
        (
            nn.TransformerEncoderLayer.forward,
            {"src_mask": None, "src_key_padding_mask": None, "is_causal": False},
        ),
        (
            nn.TransformerDecoderLayer.forward,
            {"tgt_mask": None, "memory_mask": None, "tgt_is_causal": False, "memory_is_causal": False},
        ),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_defaults_of_attention(function, defaults):
    """By default ``nn.Transformer`` has ``dropout=0.1``, ``MultiheadAttention`` has ``dropout=0.0`` and needs
    no mask.
    """
    parameters = inspect.signature(function).parameters

    assert {name: parameters[name].default for name in defaults} == defaults

    layer, net = nn.MultiheadAttention(4, 2), nn.Transformer(4, 2, 1, 1, 8)
    assert [layer.dropout, layer.batch_first, layer.bias_k, layer.add_zero_attn] == [0.0, False, None, False]
    assert {part.p for part in net.modules() if isinstance(part, nn.Dropout)} == {0.1}
    assert net.encoder.layers[0].self_attn.dropout == 0.1


@pytest.mark.since("2.1")
def test_defaults_of_transformers():
    """``nn.Transformer`` defaults to ``bias=True``, and calls of it to ``src_is_causal=None,
    memory_is_causal=False``.

    ``tgt_is_causal`` is ``None`` as well. With ``None`` it looks whether the mask is a causal one, with
    ``False`` it does not. Encoder and decoder layers have ``bias=True``, too.
    """
    hints = inspect.signature(nn.Transformer.forward).parameters
    names = ["src_is_causal", "tgt_is_causal", "memory_is_causal"]

    assert [hints[name].default for name in names] == [None, None, False]
    for layer in (nn.Transformer, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer):
        assert inspect.signature(layer).parameters["bias"].default is True
        linear = [part for part in layer(4, 2).modules() if isinstance(part, nn.Linear)]
        assert [part.bias.ndim for part in linear] == [1] * len(linear)


@pytest.mark.parametrize("layer", [nn.RNN, nn.LSTM, nn.GRU])
def test_defaults_of_recurrent_layers(layer):
    """``RNN``, ``LSTM`` and ``GRU`` have one layer and one direction by default, biases and no dropout."""
    net, names = layer(3, 5), ["num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size"]

    assert [getattr(net, name) for name in names] == [1, True, False, 0.0, False, 0]
    assert nn.RNN(3, 5).nonlinearity == nn.RNNCell(3, 5).nonlinearity == "tanh"


@pytest.mark.parametrize("cell", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_cells_have_biases(cell):
    """``RNNCell``, ``LSTMCell`` and ``GRUCell`` have biases by default."""
    assert cell(3, 5).bias is True
    assert [name for name, _ in cell(3, 5).named_parameters() if "bias" in name] == ["bias_ih", "bias_hh"]


@pytest.mark.parametrize("layer", [nn.Embedding, nn.EmbeddingBag])
def test_defaults_of_pretrained_embeddings(layer):
    """``Embedding.from_pretrained`` and that of ``EmbeddingBag`` set no ``max_norm`` and no ``padding_idx``.

    The sizes are those of the tensor.
    """
    table = layer.from_pretrained(torch.rand(7, 4))

    assert (table.num_embeddings, table.embedding_dim) == (7, 4)
    assert (table.max_norm, table.norm_type, table.padding_idx) == (None, 2.0, None)
    assert (table.scale_grad_by_freq, table.sparse) == (False, False)


@pytest.mark.parametrize(
    "layer",
    [
        *[nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.LazyConv1d, nn.LazyConv2d, nn.LazyConv3d],
        *[nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d],
        *[nn.LazyConvTranspose1d, nn.LazyConvTranspose2d, nn.LazyConvTranspose3d],
    ],
)
def test_defaults_of_convolutions(layer):
    """``Conv2d``, ``LazyConv2d`` and the like have stride 1, no padding, dilation 1 and a bias by default."""
    inputs = {} if issubclass(layer, nn.modules.lazy.LazyModuleMixin) else {"in_channels": 2}
    net = layer(out_channels=4, kernel_size=3, **inputs)

    assert {*net.stride, *net.dilation} == {1}
    assert {*net.padding} == {0}
    assert (net.groups, net.padding_mode) == (1, "zeros")
    assert [name for name, _ in net.named_parameters()] == ["weight", "bias"]


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose1d,
        nn.ConvTranspose2d,
        nn.ConvTranspose3d,
        nn.LazyConvTranspose1d,
        nn.LazyConvTranspose2d,
        nn.LazyConvTranspose3d,
    ],
)
def test_defaults_of_transposed_convolutions(layer):
    """``ConvTranspose2d``, ``LazyConvTranspose2d`` and the like have ``output_padding=0`` by default."""
    inputs = {} if issubclass(layer, nn.modules.lazy.LazyModuleMixin) else {"in_channels": 2}
    net = layer(out_channels=4, kernel_size=3, **inputs)

    assert {*net.stride, *net.dilation} == {1}
    assert {*net.padding, *net.output_padding} == {0}
    assert (net.groups, net.padding_mode) == (1, "zeros")
    assert [name for name, _ in net.named_parameters()] == ["weight", "bias"]

"""First values of recurrent layers, attention and transformers.

A recurrent layer draws all its parameters alike. Attention draws its input projection, and a transformer all
its matrices, by Xavier initialisation.
"""

import math

import pytest
import torch
from torch import nn


@pytest.mark.question("Q101")
@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_a_recurrent_layer_draws_by_its_hidden_size(make):
    """A recurrent layer draws every parameter from ``-1 / sqrt(hidden_size)`` to ``1 /
    sqrt(hidden_size)``.
    """
    torch.manual_seed(3)
    layer = make(2, 9)
    torch.manual_seed(3)
    model = [torch.empty(p.shape).uniform_(-1 / 3, 1 / 3) for p in layer.parameters()]

    assert [torch.allclose(p, m) for p, m in zip(layer.parameters(), model, strict=True)] == [True] * 4


def test_attention_starts_with_zero_biases():
    """:class:`~torch.nn.MultiheadAttention` starts with all biases zero."""
    layer = nn.MultiheadAttention(4, 2)

    assert (layer.in_proj_bias.tolist(), layer.out_proj.bias.tolist()) == ([0.0] * 12, [0.0] * 4)


@pytest.mark.observed
def test_attention_draws_its_projection_by_xavier():
    """:class:`~torch.nn.MultiheadAttention` draws its input projection with ``xavier_uniform_``, three as
    one.
    """
    layer = nn.MultiheadAttention(4, 2)
    torch.manual_seed(3)
    layer._reset_parameters()
    torch.manual_seed(3)

    model = nn.init.xavier_uniform_(torch.empty(12, 4))
    assert layer.in_proj_weight.tolist() == model.tolist()


@pytest.mark.observed
def test_attention_draws_three_projections():
    """With other key and value sizes :class:`~torch.nn.MultiheadAttention` draws three projections by
    Xavier.
    """
    layer = nn.MultiheadAttention(4, 2, kdim=3, vdim=5, add_bias_kv=True)
    torch.manual_seed(3)
    layer._reset_parameters()
    torch.manual_seed(3)

    model = [nn.init.xavier_uniform_(torch.empty(4, size)).tolist() for size in (4, 3, 5)]
    model += [nn.init.xavier_normal_(torch.empty(1, 1, 4)).tolist() for _ in "kv"]
    names = ("q_proj_weight", "k_proj_weight", "v_proj_weight", "bias_k", "bias_v")
    assert [getattr(layer, name).tolist() for name in names] == model


def test_a_transformer_draws_every_matrix_by_xavier():
    """:class:`~torch.nn.Transformer` draws each of its matrices anew with ``xavier_uniform_``."""
    torch.manual_seed(3)
    net = nn.Transformer(4, 2, 1, 1, 8)
    matrices = [p for p in net.parameters() if p.dim() > 1]
    seen = [p.abs().max().item() for p in matrices]

    bounds = [math.sqrt(6 / (p.size(0) + p.size(1))) for p in matrices]
    assert len(matrices) == 10
    assert [0.7 * bound < most <= bound for most, bound in zip(seen, bounds, strict=True)] == [True] * 10


@pytest.mark.observed
def test_copies_of_an_encoder_layer_start_alike():
    """The layers of a :class:`~torch.nn.TransformerEncoder` are deep copies: they start with the same
    values.
    """
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2)

    first, second = encoder.layers
    assert first.linear1.weight.tolist() == second.linear1.weight.tolist() == layer.linear1.weight.tolist()
    assert first.linear1.weight is not second.linear1.weight

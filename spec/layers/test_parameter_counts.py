"""How many numbers layers learn.

``sum(p.numel() for p in net.parameters())`` counts them. What is worth knowing is of what they are the sum.
"""

import pytest
import torch
from torch import nn


@pytest.mark.parametrize("kernel", [(3,), (3, 4), (3, 4, 5)], ids=["1d", "2d", "3d"])
def test_of_a_convolution(kernel):
    """``Conv1d`` to ``Conv3d`` have ``out * (in // groups * kernel_size + 1)`` parameters, whatever the
    image.

    ``kernel_size`` is the product over its dimensions, and the 1 is the bias. Stride, padding and dilation
    add none.
    """
    make, size = getattr(nn, f"Conv{len(kernel)}d"), torch.Size(kernel).numel()

    for groups in (1, 2):
        layer = make(4, 6, kernel, stride=2, padding=1, dilation=3, groups=groups)
        assert sum(p.numel() for p in layer.parameters()) == 6 * (4 // groups * size + 1)


@pytest.mark.parametrize(("make", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_of_a_recurrent_layer(make, gates):
    """``RNN``, ``GRU`` and ``LSTM`` have ``gates * hidden * (input + hidden + 2)`` parameters; 1, 3 and 4
    gates.

    There are two biases for each gate, of which other libraries have one. In each layer after the first the
    input is the hidden size, twice that if bidirectional; two directions have two sets.
    """
    one, two = make(5, 3), make(5, 3, num_layers=2, bidirectional=True)

    assert sum(p.numel() for p in one.parameters()) == gates * 3 * (5 + 3 + 2)
    assert sum(p.numel() for p in two.parameters()) == 2 * gates * 3 * ((5 + 3 + 2) + (6 + 3 + 2))


def test_of_attention():
    """``MultiheadAttention(embed_dim)`` has ``4 * embed_dim * (embed_dim + 1)`` parameters, whatever the
    heads.
    """
    for heads in (1, 2, 4):
        layer = nn.MultiheadAttention(8, heads)
        assert sum(p.numel() for p in layer.parameters()) == 4 * 8 * (8 + 1)


def test_of_a_transformer_layer():
    """``TransformerEncoderLayer`` counts one attention, two ``Linear`` and two norms; a decoder layer 2, 2,
    3.
    """
    attention, norm, feed = 4 * 8 * 9, 2 * 8, (8 + 1) * 16 + (16 + 1) * 8

    encoder = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16)
    decoder = nn.TransformerDecoderLayer(8, 2, dim_feedforward=16)

    assert sum(p.numel() for p in encoder.parameters()) == attention + feed + 2 * norm
    assert sum(p.numel() for p in decoder.parameters()) == 2 * attention + feed + 3 * norm


def test_statistics_are_not_counted():
    """``parameters()`` of ``BatchNorm2d(C)`` has ``2 * C`` numbers; its statistics and counter are
    buffers.
    """
    layer = nn.BatchNorm2d(5)

    assert sum(p.numel() for p in layer.parameters()) == 10
    assert sum(b.numel() for b in layer.buffers()) == 11
    assert sum(t.numel() for t in layer.state_dict().values()) == 21


def test_a_tied_weight_is_counted_once():
    """A sum over ``parameters()`` counts a tied weight once; one over ``state_dict()`` counts it for each
    name.

    So the numbers of two tools may differ though the model is the same.
    """
    net = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 10, bias=False))
    net[1].weight = net[0].weight

    assert sum(p.numel() for p in net.parameters()) == 40
    assert sum(t.numel() for t in net.state_dict().values()) == 80


def test_only_trainable_ones():
    """``sum(p.numel() for p in net.parameters() if p.requires_grad)`` leaves frozen parameters out."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    net[0].requires_grad_(False)

    assert sum(p.numel() for p in net.parameters()) == 9 + 16
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == 16


def test_bytes_of_a_model():
    """``p.numel() * p.element_size()`` is the memory of a parameter in bytes: half as much after
    ``half()``.
    """
    net = nn.Linear(2, 3)

    assert sum(p.numel() * p.element_size() for p in net.parameters()) == 9 * 4
    assert sum(p.numel() * p.element_size() for p in net.half().parameters()) == 9 * 2
    assert sum(p.numel() * p.element_size() for p in net.double().parameters()) == 9 * 8

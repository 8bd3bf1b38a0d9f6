"""First values of recurrent layers, attention and transformers.

A recurrent layer draws all its parameters alike. Attention draws its input projection, and a transformer all
its matrices, by Xavier initialization.
"""

import math

import pytest
import torch
from torch import nn


@pytest.mark.question("Q101")
@pytest.mark.parametrize(
    ("make", "further"),
    [(make, {}) for make in (nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell)]
    + [(nn.LSTM, {"num_layers": 2}), (nn.LSTM, {"proj_size": 100, "bidirectional": True})],
)
def test_a_recurrent_layer_draws_by_its_hidden_size(make, further):
    """``nn.LSTM`` initializes all parameters uniformly between plus and minus ``1 / sqrt(hidden_size)``.

    So do ``nn.RNN``, ``nn.GRU`` and the cells. Biases are drawn too, whatever the size of the input.
    """
    layer = make(3, 400, **further)

    ranges = [[p.min().item(), p.max().item(), p.std().item()] for p in layer.parameters()]
    evenly = pytest.approx([-0.05, 0.05, 0.05 / math.sqrt(3)], rel=0.1)
    assert ranges == [evenly] * len(ranges)


def test_attention_starts_with_zero_biases():
    """The biases of the input and output projections of ``nn.MultiheadAttention`` are initialized with zeros.

    The rows that ``add_bias_kv`` adds are random.
    """
    for sizes in ({}, {"kdim": 3}):
        layer = nn.MultiheadAttention(4, 2, add_bias_kv=True, **sizes)

        assert layer.in_proj_bias.tolist() == [0.0] * 12
        assert layer.out_proj.bias.tolist() == [0.0] * 4
        assert layer.bias_k.abs().min().item() > 0
        assert layer.bias_v.abs().min().item() > 0


def test_attention_draws_its_projection_by_xavier():
    """:class:`nn.MultiheadAttention <torch.nn.MultiheadAttention>` initializes ``in_proj_weight`` by
    ``xavier_uniform_`` as one matrix, not as three.

    The range is that of a matrix of ``3 * embed_dim`` rows, so narrower than that of three square ones.
    """
    weight = nn.MultiheadAttention(32, 2).in_proj_weight

    bound = math.sqrt(6 / (32 + 3 * 32))
    assert [weight.min().item(), weight.max().item()] == pytest.approx([-bound, bound], rel=0.05)
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_attention_draws_three_projections():
    """``nn.MultiheadAttention`` initializes ``q_proj_weight``, ``k_proj_weight`` and ``v_proj_weight`` by
    ``xavier_uniform_``.

    It has these in place of ``in_proj_weight`` if ``kdim`` or ``vdim`` is not ``embed_dim``. ``add_bias_kv``
    draws its two rows by ``xavier_normal_``.
    """
    layer = nn.MultiheadAttention(4, 2, kdim=3, vdim=5, add_bias_kv=True)
    torch.manual_seed(3)
    layer._reset_parameters()
    torch.manual_seed(3)

    model = [nn.init.xavier_uniform_(torch.empty(4, size)).tolist() for size in (4, 3, 5)]
    model += [nn.init.xavier_normal_(torch.empty(1, 1, 4)).tolist() for _ in "kv"]
    names = ("q_proj_weight", "k_proj_weight", "v_proj_weight", "bias_k", "bias_v")
    assert [getattr(layer, name).tolist() for name in names] == model

    for sizes in ({"kdim": 3}, {"vdim": 5}):
        other = nn.MultiheadAttention(4, 2, **sizes)
        assert other.in_proj_weight is None
        assert other.q_proj_weight.shape == (4, 4)


def test_attention_has_no_public_reset():
    """``nn.MultiheadAttention`` lacks ``reset_parameters()``: calling it in all submodules skips
    ``in_proj_weight``.

    So calling that method of every submodule, as after :meth:`~torch.nn.Module.to_empty`, misses it in a
    transformer. Its own ``_reset_parameters()`` draws it, and sets the biases to zero.
    """
    net = nn.TransformerEncoderLayer(4, 2, 8)
    for parameter in net.parameters():
        nn.init.constant_(parameter, 7.0)

    for module in net.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()

    left = [name for name, p in net.named_parameters() if (p == 7).any()]
    assert left == ["self_attn.in_proj_weight", "self_attn.in_proj_bias"]
    net.self_attn._reset_parameters()
    assert len(net.self_attn.in_proj_weight.unique()) > 40
    assert net.self_attn.in_proj_bias.tolist() == [0.0] * 12
    assert net.self_attn.out_proj.bias.tolist() == [0.0] * 4


def test_a_transformer_draws_every_matrix_by_xavier():
    """:class:`nn.Transformer <torch.nn.Transformer>` initializes each of its weight matrices by
    ``xavier_uniform_``.
    """
    net = nn.Transformer(16, 2, 2, 2, 32)
    matrices = [p for p in net.parameters() if p.dim() > 1]

    bounds = [math.sqrt(6 / (p.size(0) + p.size(1))) for p in matrices]
    assert len(matrices) == 20
    assert [p.max().item() for p in matrices] == pytest.approx(bounds, rel=0.1)
    assert [p.min().item() for p in matrices] == pytest.approx([-bound for bound in bounds], rel=0.1)


def test_copies_of_an_encoder_layer_start_alike():
    """The layers of an ``nn.TransformerEncoder`` start with equal weights: they are copies of one layer.

    Initialize each again, for instance by ``xavier_uniform_`` over the parameters of more than one dimension.
    """
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 3)

    for name, value in layer.named_parameters():
        copies = [one.get_parameter(name) for one in encoder.layers]
        assert [one.tolist() for one in copies] == [value.tolist()] * 3
        assert len({id(one) for one in (*copies, value)}) == 4

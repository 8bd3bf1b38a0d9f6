"""Attention and transformers: the names, shapes and numbers of their parameters.

A transformer is built of attention, linear layers and normalisations, whose names are those in its state
dict.
"""

import pytest
import torch
from torch import nn


def test_attention_packs_its_three_projections():
    """:class:`~torch.nn.MultiheadAttention` keeps the projections of query, key and value in one weight."""
    layer = nn.MultiheadAttention(4, 2)

    assert [(name, p.shape) for name, p in layer.named_parameters()] == [
        ("in_proj_weight", (12, 4)),
        ("in_proj_bias", (12,)),
        ("out_proj.weight", (4, 4)),
        ("out_proj.bias", (4,)),
    ]
    assert (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight, layer.bias_k) == (None,) * 4


@pytest.mark.parametrize(
    ("sizes", "key", "value"), [({"kdim": 3}, 3, 4), ({"vdim": 5}, 4, 5), ({"kdim": 3, "vdim": 5}, 3, 5)]
)
def test_other_sizes_need_three_weights(sizes, key, value):
    """With another ``kdim`` or ``vdim`` :class:`~torch.nn.MultiheadAttention` has three weights instead."""
    layer = nn.MultiheadAttention(4, 2, **sizes)

    assert layer.in_proj_weight is None
    assert [(name, p.shape) for name, p in layer.named_parameters()] == [
        ("q_proj_weight", (4, 4)),
        ("k_proj_weight", (4, key)),
        ("v_proj_weight", (4, value)),
        ("in_proj_bias", (12,)),
        ("out_proj.weight", (4, 4)),
        ("out_proj.bias", (4,)),
    ]


def test_attention_without_bias_and_with_extra_ones():
    """:class:`~torch.nn.MultiheadAttention` takes ``bias=False``, and ``add_bias_kv`` for two more
    parameters.
    """
    layer = nn.MultiheadAttention(4, 2, bias=False, add_bias_kv=True)

    assert (layer.in_proj_bias, layer.out_proj.bias) == (None, None)
    assert [(name, p.shape) for name, p in layer.named_parameters()] == [
        ("in_proj_weight", (12, 4)),
        ("bias_k", (1, 1, 4)),
        ("bias_v", (1, 1, 4)),
        ("out_proj.weight", (4, 4)),
    ]


def test_heads_must_divide_the_embedding():
    """:class:`~torch.nn.MultiheadAttention` refuses heads that do not divide the embedding."""
    with pytest.raises(AssertionError, match="embed_dim must be divisible by num_heads"):
        nn.MultiheadAttention(4, 3)


@pytest.mark.since("2.1")
@pytest.mark.parametrize(("embedding", "heads"), [(0, 2), (4, 0), (4, -2)])
def test_attention_needs_positive_sizes(embedding, heads):
    """:class:`~torch.nn.MultiheadAttention` refuses an embedding or heads that are not positive."""
    with pytest.raises(ValueError, match=f"got embed_dim={embedding} and num_heads={heads} instead"):
        nn.MultiheadAttention(embedding, heads)


def test_the_number_of_heads_changes_no_parameter():
    """The number of heads changes no shape: the heads share the projections out among them."""
    one, four = (nn.MultiheadAttention(8, heads) for heads in (1, 4))

    assert [p.shape for p in one.parameters()] == [p.shape for p in four.parameters()]
    assert [layer.head_dim for layer in (one, four)] == [8, 2]


@pytest.mark.parametrize(
    ("batch_first", "shapes"),
    [(False, ((5, 2, 4), (2, 5, 5))), (True, ((5, 2, 4), (5, 2, 2)))],
    ids=["sequence first", "batch first"],
)
def test_attention_returns_its_weights(batch_first, shapes):
    """:class:`~torch.nn.MultiheadAttention` returns the output and the weights, averaged over the heads.

    The sequence is the first dimension unless ``batch_first=True``.
    """
    layer, x = nn.MultiheadAttention(4, 2, batch_first=batch_first), torch.rand(5, 2, 4)

    output, weights = layer(x, x, x)

    assert (output.shape, weights.shape) == shapes
    assert torch.allclose(weights.sum(-1), torch.ones(shapes[1][:2]))


def test_need_weights_false_returns_none():
    """With ``need_weights=False`` the second result of :class:`~torch.nn.MultiheadAttention` is ``None``."""
    x = torch.rand(5, 2, 4)

    assert nn.MultiheadAttention(4, 2)(x, x, x, need_weights=False)[1] is None


def test_the_parts_of_an_encoder_layer():
    """:class:`~torch.nn.TransformerEncoderLayer` holds attention, two linear layers and two
    normalisations.
    """
    layer = nn.TransformerEncoderLayer(4, 2, 8)

    assert [name for name, m in layer.named_children() if list(m.parameters())] == [
        "self_attn",
        "linear1",
        "linear2",
        "norm1",
        "norm2",
    ]
    assert (layer.linear1.weight.shape, layer.linear2.weight.shape) == ((8, 4), (4, 8))


def test_the_parts_of_a_decoder_layer():
    """:class:`~torch.nn.TransformerDecoderLayer` holds a second attention and a third normalisation."""
    layer = nn.TransformerDecoderLayer(4, 2, 8)

    assert [name for name, m in layer.named_children() if list(m.parameters())] == [
        "self_attn",
        "multihead_attn",
        "linear1",
        "linear2",
        "norm1",
        "norm2",
        "norm3",
    ]


def test_the_usual_transformer():
    """:class:`~torch.nn.Transformer` has six encoder and six decoder layers of width 512, 44 million
    parameters.
    """
    with torch.device("meta"):
        net = nn.Transformer()

    assert (len(net.encoder.layers), len(net.decoder.layers)) == (6, 6)
    assert [name for name, _ in net.named_children()] == ["encoder", "decoder"]
    assert sum(p.numel() for p in net.parameters()) == 44_140_544


@pytest.mark.since("2.1")
def test_a_transformer_without_bias():
    """With ``bias=False`` no part of a :class:`~torch.nn.TransformerEncoderLayer` has a bias."""
    layer = nn.TransformerEncoderLayer(4, 2, 8, bias=False)

    assert [name for name, _ in layer.named_parameters() if "bias" in name] == []
    assert sum(p.numel() for p in layer.parameters()) == 3 * 16 + 16 + 32 + 32 + 4 + 4


def test_a_transformer_keeps_the_shape_of_its_target():
    """A :class:`~torch.nn.Transformer` returns the shape of its target, whatever the length of its source."""
    net = nn.Transformer(4, 2, 1, 1, 8, batch_first=True)

    assert net(torch.rand(3, 7, 4), torch.rand(3, 5, 4)).shape == (3, 5, 4)

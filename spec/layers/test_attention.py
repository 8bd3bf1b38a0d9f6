"""Attention and transformers: the names, shapes and numbers of their parameters.

A transformer is built of attention, linear layers and normalizations, whose names are those in its state
dict.
"""

import pytest
import torch
from torch import nn


def test_attention_packs_its_three_projections():
    """By default ``MultiheadAttention`` keeps the query, key and value projections in one ``in_proj_weight``.

    It is ``in_proj_weight``: their rows one below the other, in this order.
    """
    layer, x = nn.MultiheadAttention(4, 1, batch_first=True), torch.rand(2, 5, 4)

    assert [(name, p.shape) for name, p in layer.named_parameters()] == [
        ("in_proj_weight", (12, 4)),
        ("in_proj_bias", (12,)),
        ("out_proj.weight", (4, 4)),
        ("out_proj.bias", (4,)),
    ]
    same_sizes = nn.MultiheadAttention(4, 2, bias=False, kdim=4, vdim=4)
    assert [name for name, _ in same_sizes.named_parameters()] == ["in_proj_weight", "out_proj.weight"]
    assert [layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight] == [None, None, None]

    query, key, value = (x @ layer.in_proj_weight.T).chunk(3, dim=-1)
    attended = layer.out_proj((query @ key.mT / 2).softmax(-1) @ value)
    assert torch.allclose(layer(x, x, x)[0], attended, atol=1e-6)
    assert torch.allclose(layer(x[0], x[0], x[0])[0], attended[0], atol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "key", "value"), [({"kdim": 3}, 3, 4), ({"vdim": 5}, 4, 5), ({"kdim": 3, "vdim": 5}, 3, 5)]
)
def test_other_sizes_need_three_weights(sizes, key, value):
    """If ``kdim`` or ``vdim`` is not ``embed_dim``, :class:`~torch.nn.MultiheadAttention` has three
    projection weights.
    """
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
    """``MultiheadAttention(bias=False)`` has no biases; ``add_bias_kv=True`` adds ``bias_k`` and
    ``bias_v``.
    """
    layer = nn.MultiheadAttention(4, 2, bias=False, add_bias_kv=True)

    assert layer.in_proj_bias is None
    assert layer.out_proj.bias is None
    assert [(name, p.shape) for name, p in layer.named_parameters()] == [
        ("in_proj_weight", (12, 4)),
        ("bias_k", (1, 1, 4)),
        ("bias_v", (1, 1, 4)),
        ("out_proj.weight", (4, 4)),
    ]
    bare, extra = nn.MultiheadAttention(4, 2, bias=False), nn.MultiheadAttention(4, 2, add_bias_kv=True)
    assert [bare.bias_k, bare.bias_v] == [None, None]
    for biasless in (bare, nn.MultiheadAttention(4, 2, bias=False, kdim=3)):
        assert [name for name, _ in biasless.named_parameters() if "bias" in name] == []
    assert [name for name, _ in extra.named_parameters() if "bias" in name] == [
        *("in_proj_bias", "bias_k", "bias_v", "out_proj.bias")
    ]


def test_the_bias_of_the_keys_is_not_trained():
    """By default the part of ``in_proj_bias`` of ``MultiheadAttention`` for keys gets a gradient of zero.

    It adds the same to all scores of a query, which softmax takes away again; so it stays at its first value,
    which is zero (:issue:`153136`). With ``add_zero_attn=True`` or ``add_bias_kv=True`` it is trained.
    """
    layer, x = nn.MultiheadAttention(4, 2), torch.rand(5, 3, 4)
    assert layer.in_proj_bias.tolist() == [0.0] * 12
    nn.init.normal_(layer.in_proj_bias)

    for need_weights in (True, False):
        layer.zero_grad()
        before = layer(x, x, x, need_weights=need_weights)[0]
        before.pow(2).sum().backward()
        with torch.no_grad():
            layer.in_proj_bias[4:8] += 3.0

        query, key, value = layer.in_proj_bias.grad.chunk(3)
        assert [bool(part.abs().max() > 1e-4) for part in (query, key, value)] == [True, False, True]
        assert torch.allclose(layer(x, x, x, need_weights=need_weights)[0], before, atol=1e-5)
    for option in ("add_zero_attn", "add_bias_kv"):
        other = nn.MultiheadAttention(4, 2, **{option: True})
        other(x, x, x)[0].pow(2).sum().backward()
        assert other.in_proj_bias.grad[4:8].abs().max() > 1e-5


def test_heads_must_divide_the_embedding():
    """``MultiheadAttention`` raises ``AssertionError`` if ``num_heads`` does not divide ``embed_dim``."""
    assert nn.MultiheadAttention(4, 2).head_dim == 2

    for heads in (3, 8):
        with pytest.raises(AssertionError, match="embed_dim must be divisible by num_heads"):
            nn.MultiheadAttention(4, heads)


@pytest.mark.since("2.1")
@pytest.mark.parametrize(("embedding", "heads"), [(0, 2), (-4, 2), (4, 0), (4, -2)])
def test_attention_needs_positive_sizes(embedding, heads):
    """``MultiheadAttention`` raises ``ValueError`` unless ``embed_dim`` and ``num_heads`` are positive."""
    with pytest.raises(ValueError, match=f"got embed_dim={embedding} and num_heads={heads} instead"):
        nn.MultiheadAttention(embedding, heads)


@pytest.mark.parametrize("options", [{}, {"add_bias_kv": True}, {"kdim": 5, "vdim": 6}], ids=str)
def test_the_number_of_heads_changes_no_parameter(options):
    """``num_heads`` of :class:`~torch.nn.MultiheadAttention` does not change the shape of any parameter.

    The heads share the projections out among them: each gets ``embed_dim / num_heads`` rows. A state loads
    into a layer with another number of heads without an error, and means something else there.
    """
    one, four = nn.MultiheadAttention(8, 1, **options), nn.MultiheadAttention(8, 4, **options)
    given = torch.rand(3, 2, 8), torch.rand(4, 2, one.kdim), torch.rand(4, 2, one.vdim)
    four.load_state_dict(one.state_dict())

    assert [p.shape for p in one.parameters()] == [p.shape for p in four.parameters()]
    assert [one.head_dim, four.head_dim] == [8, 2]
    assert torch.allclose(one(*given)[0], four(*given)[0]) is False


def test_each_head_attends_by_itself():
    """``MultiheadAttention`` splits its projections over the heads, each of which attends on its own.

    The parts lie next to each other, and so do the results: ``out_proj`` gets that of the first head first.
    """
    layer, x, heads = nn.MultiheadAttention(6, 3, batch_first=True), torch.randn(2, 5, 6), []
    projections = (x @ layer.in_proj_weight.T).chunk(3, dim=-1)

    for query, key, value in zip(*(each.split(2, dim=-1) for each in projections), strict=True):
        heads.append((query @ key.mT / 2**0.5).softmax(-1) @ value)

    expected = layer.out_proj(torch.cat(heads, dim=-1))
    for need_weights in (True, False):
        assert torch.allclose(layer(x, x, x, need_weights=need_weights)[0], expected, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("options", "keys", "shape"),
    [({}, (7, 2, 4), (2, 5, 7)), ({"batch_first": True}, (5, 7, 4), (5, 2, 7))],
    ids=["sequence first", "batch first"],
)
def test_attention_returns_its_weights(options, keys, shape, training):
    """By default ``MultiheadAttention`` returns the output and the attention weights averaged over the heads.

    The sequence is the first dimension unless ``batch_first=True``. A batch given the wrong way round raises
    no error: it attends over the batch. ``average_attn_weights=False`` returns the weights of each head.
    """
    layer = nn.MultiheadAttention(4, 2, **options).train(training)
    x, key = torch.rand(5, 2, 4), torch.rand(keys)

    output, weights = layer(x, key, key)
    _, of_each_head = layer(x, key, key, average_attn_weights=False)

    assert output.shape == layer(x, x, x)[0].shape == (5, 2, 4)
    assert weights.shape == shape
    assert of_each_head.shape == (shape[0], 2, *shape[1:])
    assert torch.allclose(weights.sum(-1), torch.ones(shape[:2]))
    assert torch.allclose(weights, of_each_head.mean(dim=1))
    with torch.no_grad():
        weights, of_each_head = (layer(x, x, x, average_attn_weights=mean)[1] for mean in (True, False))
    assert torch.allclose(weights, of_each_head.mean(dim=1))


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_need_weights_false_returns_none(training, batch_first):
    """``MultiheadAttention`` called with ``need_weights=False`` returns the output and ``None``.

    It is faster then, as the weights need not be kept.
    """
    layer = nn.MultiheadAttention(4, 2, batch_first=batch_first).train(training)

    for x in (torch.rand(5, 2, 4), torch.rand(5, 4)):
        for grad_mode in (True, False):
            with torch.set_grad_enabled(grad_mode):
                output, weights = layer(x, x, x, need_weights=False)
                wanted, _ = layer(x, x, x)
            assert weights is None
            assert torch.allclose(output, wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (nn.TransformerEncoderLayer(4, 2, 8), 1),
        (nn.TransformerDecoderLayer(4, 2, 8), 2),
        (nn.TransformerEncoderLayer(4, 2, 8, norm_first=True), 1),
        (nn.TransformerDecoderLayer(4, 2, 8, norm_first=True).eval(), 2),
    ],
    ids=["encoder", "decoder", "encoder, norm first", "decoder, norm first"],
)
def test_layers_of_a_transformer_ask_for_no_weights(layer, inputs):
    """``TransformerEncoderLayer`` calls its attention with ``need_weights=False``: no attention map comes
    out.

    So does :class:`~torch.nn.TransformerDecoderLayer`, and no option changes it. A forward pre-hook on
    ``self_attn`` may ask for the weights, and a forward hook keep them; with ``average_attn_weights=False``
    they are those of each head (:issue:`99304`).
    """
    seen, options, x = [], {}, torch.rand(5, 3, 4)
    for attention in [module for module in layer.modules() if isinstance(module, nn.MultiheadAttention)]:
        attention.register_forward_hook(lambda module, args, output: seen.append(output[1]))
        attention.register_forward_pre_hook(
            lambda module, args, kwargs: (args, {**kwargs, **options}), with_kwargs=True
        )

    layer(*[x] * inputs)
    assert seen == [None] * inputs

    options["need_weights"] = True
    layer(*[x] * inputs)
    assert [weights.shape for weights in seen[inputs:]] == [(3, 5, 5)] * inputs

    options["average_attn_weights"] = False
    layer(*[x] * inputs)
    assert [weights.shape for weights in seen[2 * inputs :]] == [(3, 2, 5, 5)] * inputs


def test_need_weights_decides_which_function_computes(monkeypatch):
    """``MultiheadAttention`` calls ``F.scaled_dot_product_attention`` only if ``need_weights=False``.

    The default is ``True``. The layers of a transformer ask for no weights.
    """
    layer, x, calls = nn.MultiheadAttention(4, 2), torch.rand(5, 2, 4), []
    function = nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        nn.functional, function.__name__, lambda *given: calls.append(function.__name__) or function(*given)
    )

    for mode in (False, True):
        layer.train(mode)(x, x, x)
    assert calls == []

    layer(x, x, x, need_weights=False)
    assert calls == ["scaled_dot_product_attention"]

    nn.TransformerEncoderLayer(4, 2, 8)(x)
    assert len(calls) == 2

    nn.TransformerDecoderLayer(4, 2, 8)(x, x)
    assert len(calls) == 4


@pytest.mark.parametrize("batch_first", [True, False])
def test_averaging_needs_weights(batch_first):
    """``average_attn_weights`` of ``MultiheadAttention`` changes nothing if ``need_weights=False``."""
    layer, x = nn.MultiheadAttention(4, 2, batch_first=batch_first), torch.rand(5, 2, 4)

    for mode in (True, False):
        with torch.set_grad_enabled(mode):
            output, weights = layer.train(mode)(x, x, x, need_weights=False)
            of_each_head, none = layer(x, x, x, need_weights=False, average_attn_weights=False)

        assert torch.equal(output, of_each_head)
        assert weights is None
        assert none is None


def test_attention_to_one_sequence():
    """``MultiheadAttention`` computes the same with and without ``batch_first`` if its inputs are
    unbatched.
    """
    layer, other = nn.MultiheadAttention(4, 2), nn.MultiheadAttention(4, 2, batch_first=True)
    other.load_state_dict(layer.state_dict())
    x, key = torch.rand(5, 4), torch.rand(7, 4)

    output, weights = layer(x, key, key)

    assert torch.equal(output, other(x, key, key)[0])
    assert torch.equal(weights, other(x, key, key)[1])
    fast = [each(x, key, key, need_weights=False)[0] for each in (layer, other)]
    assert torch.equal(*fast)
    assert [output.shape, weights.shape] == [(5, 4), (5, 7)]
    assert layer(x, key, key, average_attn_weights=False)[1].shape == (2, 5, 7)


def test_add_zero_attn_adds_a_position():
    """``MultiheadAttention(add_zero_attn=True)`` appends a key and a value of zeros to each sequence.

    So each query has ``S + 1`` weights, the last of which belongs to a score of 0; the batch stays as it is.
    """
    layer, two = (nn.MultiheadAttention(4, heads, add_zero_attn=True) for heads in (1, 2))
    x, plain = torch.rand(5, 2, 4), nn.MultiheadAttention(4, 1)
    nn.init.constant_(two.out_proj.bias, 3.0)
    query, key, value = (x.transpose(0, 1) @ layer.in_proj_weight.T).chunk(3, dim=-1)
    scores = nn.functional.pad(query @ key.transpose(1, 2) / 2, (0, 1))
    padding = torch.tensor([[False, False, False, True, True]] * 2)

    output, weights = layer(x, x, x)

    assert torch.allclose(weights, scores.softmax(-1), atol=1e-6)
    assert torch.allclose(output, layer.out_proj(weights[..., :5] @ value).transpose(0, 1), atol=1e-6)
    assert torch.allclose(layer(x, x, x, need_weights=False)[0], output, atol=1e-6)
    scores[..., 3:5] = float("-inf")
    assert torch.allclose(layer.eval()(x, x, x, padding)[1], scores.softmax(-1), atol=1e-6)
    assert plain(x, x, x)[1].shape == (2, 5, 5)
    assert two(x, x, x, attn_mask=torch.ones(5, 5) == 1)[0].unique().tolist() == [3.0]


def test_add_bias_kv_adds_a_position():
    """``MultiheadAttention(add_bias_kv=True)`` appends the key ``bias_k`` and the value ``bias_v`` to each
    sequence.

    So each query has ``S + 1`` weights. Nothing is added to the keys and values that are given.
    """
    layer, two = (nn.MultiheadAttention(4, heads, add_bias_kv=True) for heads in (1, 2))
    x = torch.rand(5, 2, 4)
    query, key, value = (x.transpose(0, 1) @ layer.in_proj_weight.T).chunk(3, dim=-1)
    key = torch.cat([key, layer.bias_k.expand(2, 1, 4)], dim=1)
    value = torch.cat([value, layer.bias_v.expand(2, 1, 4)], dim=1)

    output, weights = layer(x, x, x)

    assert torch.allclose(weights, (query @ key.transpose(1, 2) / 2).softmax(-1), atol=1e-6)
    assert torch.allclose(output, layer.out_proj(weights @ value).transpose(0, 1), atol=1e-6)
    assert torch.allclose(layer(x, x, x, need_weights=False)[0], output, atol=1e-6)
    for hidden in ({"attn_mask": torch.ones(5, 5) == 1}, {"key_padding_mask": torch.ones(2, 5) == 1}):
        assert layer(x, x, x, **hidden)[1].tolist() == [[[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]] * 5] * 2
        of_value = two.out_proj(two.bias_v).expand(5, 2, 4)
        assert torch.allclose(two(x, x, x, **hidden)[0], of_value, atol=1e-6)


def test_the_parts_of_an_encoder_layer():
    """``TransformerEncoderLayer`` has ``self_attn``, ``linear1``, ``linear2``, ``norm1`` and ``norm2``, in
    this order.
    """
    layer = nn.TransformerEncoderLayer(4, 2, 8)

    parts = [name for name, m in layer.named_children() if list(m.parameters())]
    assert parts == ["self_attn", "linear1", "linear2", "norm1", "norm2"]
    assert layer.linear1.weight.shape == (8, 4)
    assert layer.linear2.weight.shape == (4, 8)
    assert [type(layer.norm1), type(layer.norm2)] == [nn.LayerNorm, nn.LayerNorm]


def test_the_parts_of_a_decoder_layer():
    """``TransformerDecoderLayer`` has ``multihead_attn`` and ``norm3``, unlike
    ``TransformerEncoderLayer``.
    """
    layer, encoder = nn.TransformerDecoderLayer(4, 2, 8), nn.TransformerEncoderLayer(4, 2, 8)

    assert [name for name, m in layer.named_children() if list(m.parameters())] == [
        "self_attn",
        "multihead_attn",
        "linear1",
        "linear2",
        "norm1",
        "norm2",
        "norm3",
    ]
    assert [hasattr(encoder, name) for name in ("multihead_attn", "norm3")] == [False, False]


def test_the_usual_transformer():
    """``nn.Transformer()`` has six encoder and six decoder layers of width 512: 44 million parameters."""
    with torch.device("meta"):
        net = nn.Transformer()

    assert [name for name, _ in net.named_children()] == ["encoder", "decoder"]
    assert [len(net.encoder.layers), len(net.decoder.layers)] == [6, 6]
    assert net.encoder.layers[0].self_attn.embed_dim == 512
    assert sum(p.numel() for p in net.parameters()) == 44_140_544


@pytest.mark.since("2.1")
def test_a_transformer_without_bias():
    """``TransformerEncoderLayer(bias=False)`` has no bias in any of its submodules."""
    layer = nn.TransformerEncoderLayer(4, 2, 8, bias=False)

    assert [name for name, _ in layer.named_parameters() if "bias" in name] == []
    assert sum(p.numel() for p in layer.parameters()) == 3 * 16 + 16 + 32 + 32 + 4 + 4


def test_a_transformer_keeps_the_shape_of_its_target():
    """The output of :class:`~torch.nn.Transformer` has the shape of ``tgt``, whatever the length of
    ``src``.
    """
    net, target = nn.Transformer(4, 2, 1, 1, 8, batch_first=True), torch.rand(3, 5, 4)
    first, turned = nn.Transformer(4, 2, 1, 1, 8), target.transpose(0, 1)

    for length in (7, 2):
        assert net(torch.rand(3, length, 4), target).shape == (3, 5, 4)
        assert first(torch.rand(length, 3, 4), turned).shape == (5, 3, 4)

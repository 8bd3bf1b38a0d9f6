"""Transformers: what their layers compute, with masks and with each other.

The names of their parts are in *attention*, their options in *transformer_options*, hints for causal masks in
*causal_hints*, and evaluation without gradients in *fast_path*.
"""

import re

import pytest
import torch
from torch import nn


@pytest.mark.parametrize("grad_mode", [True, False], ids=["grad", "no grad"])
@pytest.mark.parametrize("options", [{}, {"batch_first": True}], ids=["default", "batch_first"])
@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (nn.TransformerEncoderLayer, 1),
        (nn.TransformerDecoderLayer, 2),
        (nn.Transformer, 2),
        (nn.MultiheadAttention, 3),
    ],
    ids=["encoder layer", "decoder layer", "transformer", "attention"],
)
def test_the_sequence_comes_first_by_default(make, inputs, options, grad_mode):
    """A batch for ``nn.Transformer`` or ``nn.MultiheadAttention`` is ``(seq, batch, feature)`` by default.

    With ``batch_first=True`` it is ``(batch, seq, feature)``, for inputs and outputs alike. A batch
    given the wrong way round raises no error: entries of the batch then look at each other.
    """
    net, x = make(4, 2, **options).eval(), torch.rand(5, 3, 4)
    batch = 0 if options else 1
    changed = x.clone()
    changed.select(batch, 2).mul_(-3)

    with torch.set_grad_enabled(grad_mode):
        before, after = net(*[x] * inputs), net(*[changed] * inputs)
    if make is nn.MultiheadAttention:
        before, after = before[0], after[0]

    assert before.shape == x.shape
    assert not torch.allclose(before.select(batch, 2), after.select(batch, 2), atol=1e-3)
    assert torch.allclose(before.narrow(batch, 0, 2), after.narrow(batch, 0, 2), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: nn.Transformer(4, 2, 1, 1, 8), ["src", "tgt"]),
        (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 1), ["src"]),
        (lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8), 1), ["tgt", "memory"]),
        (lambda: nn.TransformerEncoderLayer(4, 2, 8), ["src"]),
        (lambda: nn.TransformerDecoderLayer(4, 2, 8), ["tgt", "memory"]),
    ],
    ids=["transformer", "encoder", "decoder", "encoder layer", "decoder layer"],
)
def test_the_sequences_a_transformer_requires(make, names):
    """Calling ``nn.Transformer`` without ``src`` and ``tgt``, or a decoder without ``memory``, raises
    ``TypeError``.

    Encoders and their layers need ``src``, decoders and their layers ``tgt`` and ``memory``. All else that
    they take when called may be left out.
    """
    net = make()

    with pytest.raises(TypeError, match=r"missing . required positional argument") as caught:
        net()

    assert re.findall(r"'(\w+)'", str(caught.value)) == names
    assert net(*[torch.rand(5, 3, 4) for _ in names]).shape == (5, 3, 4)


def test_the_encoder_feeds_the_decoder():
    """``nn.Transformer`` calls its encoder with ``src``, and its decoder with ``tgt`` and what comes out."""
    net, source, target = nn.Transformer(4, 2, 1, 1, 8, 0.0), torch.rand(6, 3, 4), torch.rand(5, 3, 4)

    result = net.decoder(target, net.encoder(source))

    assert torch.equal(net(source, target), result)
    assert not torch.allclose(net(source * 2, target), result, atol=1e-4)


@pytest.mark.parametrize("norm_first", [False, True], ids=["default", "norm_first"])
def test_where_an_encoder_layer_normalizes(norm_first):
    """``TransformerEncoderLayer`` normalizes residual sums; with ``norm_first=True`` each block's input
    instead.

    The blocks are self-attention and the feed-forward part.
    """
    options = {"norm_first": True} if norm_first else {}
    layer, x = nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True, **options), torch.rand(5, 3, 4)

    def attend(x):
        return layer.self_attn(x, x, x)[0]

    def feed(x):
        return layer.linear2(layer.linear1(x).relu())

    if norm_first:
        y = x + attend(layer.norm1(x))
        result = y + feed(layer.norm2(y))
    else:
        y = layer.norm1(x + attend(x))
        result = layer.norm2(y + feed(y))
    assert torch.allclose(layer(x), result, atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(layer.eval()(x), result, atol=1e-5)


@pytest.mark.parametrize("norm_first", [False, True], ids=["default", "norm_first"])
def test_where_a_decoder_layer_normalizes(norm_first):
    """``TransformerDecoderLayer`` normalizes residual sums; with ``norm_first=True`` each block's input
    instead.

    The blocks are self-attention, attention to ``memory`` and the feed-forward part. ``memory`` itself is not
    normalized.
    """
    options = {"norm_first": True} if norm_first else {}
    layer = nn.TransformerDecoderLayer(4, 2, 8, 0.0, **options)
    x, memory = torch.rand(5, 3, 4), torch.rand(6, 3, 4)

    def feed(x):
        return layer.linear2(layer.linear1(x).relu())

    if norm_first:
        x1 = layer.norm1(x)
        y = x + layer.self_attn(x1, x1, x1)[0]
        z = y + layer.multihead_attn(layer.norm2(y), memory, memory)[0]
        result = z + feed(layer.norm3(z))
    else:
        y = layer.norm1(x + layer.self_attn(x, x, x)[0])
        z = layer.norm2(y + layer.multihead_attn(y, memory, memory)[0])
        result = layer.norm3(z + feed(z))
    assert torch.allclose(layer(x, memory), result, atol=1e-5)
    assert torch.allclose(layer.eval()(x, memory), result, atol=1e-5)


def test_an_encoder_calls_its_layers_in_turn():
    """``TransformerEncoder`` calls its layers one after the other, each with the masks, and then ``norm``."""
    layer = nn.TransformerEncoderLayer(4, 2, 8, 0.0)
    encoder, x, mask = (
        nn.TransformerEncoder(layer, 3, nn.LayerNorm(4)),
        torch.rand(5, 3, 4),
        torch.eye(5) == 1,
    )
    encoder.layers[1].linear1.weight.data.mul_(3)
    encoder.norm.weight.data.uniform_(1, 5)
    padding = torch.eye(3, 5).flip(1) == 1

    y = x
    for one in encoder.layers:
        y = one(y, src_mask=mask, src_key_padding_mask=padding)

    result = encoder(x, mask=mask, src_key_padding_mask=padding)
    assert torch.allclose(result, encoder.norm(y), atol=1e-5)


def test_a_decoder_calls_its_layers_in_turn():
    """``TransformerDecoder`` calls its layers one after the other, each with the same memory, and then
    ``norm``.
    """
    layer = nn.TransformerDecoderLayer(4, 2, 8, 0.0)
    decoder, x, memory = (
        nn.TransformerDecoder(layer, 3, nn.LayerNorm(4)),
        torch.rand(5, 3, 4),
        torch.rand(6, 3, 4),
    )
    decoder.layers[1].linear1.weight.data.mul_(3)
    decoder.norm.weight.data.uniform_(1, 5)
    given = {"tgt_mask": torch.eye(5) == 1, "memory_mask": torch.eye(5, 6).fliplr() == 1}
    given |= {"tgt_key_padding_mask": torch.eye(3, 5) == 1, "memory_key_padding_mask": torch.eye(3, 6) == 1}

    y = x
    for one in decoder.layers:
        y = one(y, memory, **given)

    assert torch.allclose(decoder(x, memory, **given), decoder.norm(y), atol=1e-5)


def test_copies_of_a_decoder_layer_start_alike():
    """The layers of an ``nn.TransformerDecoder`` start with equal weights: they are copies of one layer."""
    layer = nn.TransformerDecoderLayer(4, 2, 8)
    decoder = nn.TransformerDecoder(layer, 2)

    for original, first, second in zip(
        layer.parameters(), *(part.parameters() for part in decoder.layers), strict=True
    ):
        assert torch.equal(first, original)
        assert torch.equal(second, original)
        assert len({id(original), id(first), id(second)}) == 3


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "mask", [torch.ones(5, 5).triu(1) == 1, torch.full((5, 5), -torch.inf).triu(1)], ids=["boolean", "float"]
)
def test_a_causal_target_mask(mask, training):
    """With a causal ``tgt_mask`` the outputs of ``nn.Transformer`` do not depend on later steps of ``tgt``.

    Without it they do: no mask is made of itself.
    """
    net, source, target = nn.Transformer(4, 2, 1, 2, 8, 0.0), torch.rand(6, 3, 4), torch.rand(5, 3, 4)
    changed = torch.cat([target[:3], -target[3:]])
    net.train(training)

    masked = net(source, target, tgt_mask=mask), net(source, changed, tgt_mask=mask)
    plain = net(source, target), net(source, changed)

    assert torch.allclose(masked[0][:3], masked[1][:3], atol=1e-5)
    assert not torch.allclose(masked[0][3:], masked[1][3:], atol=1e-3)
    assert not torch.allclose(plain[0][:3], plain[1][:3], atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("nested", [False, True], ids=["layer", "decoder"])
def test_a_decoder_masks_nothing_by_default(nested, training):
    """``TransformerDecoder`` and its layers apply no mask unless given one: each step sees all others.

    That holds for the steps of ``tgt`` and of ``memory``.
    """
    net = nn.TransformerDecoderLayer(4, 2, 8, 0.0)
    if nested:
        net = nn.TransformerDecoder(net, 1)
    target, memory = torch.rand(5, 3, 4), torch.rand(5, 3, 4)
    later, other = torch.cat([target[:4], -target[4:]]), torch.cat([memory[:4], -memory[4:]])

    plain = net.train(training)(target, memory)[0]

    assert not torch.allclose(net(later, memory)[0], plain, atol=1e-4)
    assert not torch.allclose(net(target, other)[0], plain, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_padding_is_to_be_hidden_from_the_decoder_as_well(training):
    """``src_key_padding_mask`` of ``nn.Transformer`` hides keys in the encoder only, not in the decoder.

    The decoder attends to the outputs at padded steps unless ``memory_key_padding_mask`` is given, which is
    mostly the same mask.
    """
    net, source, target = nn.Transformer(4, 2, 2, 2, 8, 0.0), torch.rand(6, 3, 4), torch.rand(5, 3, 4)
    padding = torch.arange(6).expand(3, 6) >= 4
    changed = torch.cat([source[:4], -source[4:]])
    net.train(training)

    one = [net(x, target, src_key_padding_mask=padding) for x in (source, changed)]
    both = [
        net(x, target, src_key_padding_mask=padding, memory_key_padding_mask=padding)
        for x in (source, changed)
    ]

    assert not torch.allclose(*one, atol=1e-4)
    assert torch.allclose(*both, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_padding_of_the_target(training):
    """``True`` in ``tgt_key_padding_mask`` of ``nn.Transformer`` hides that step of ``tgt`` as a key;
    ``False`` does not.
    """
    net, source, target = nn.Transformer(4, 2, 1, 2, 8, 0.0), torch.rand(6, 3, 4), torch.rand(5, 3, 4)
    padding = torch.arange(5).expand(3, 5) >= 3
    changed = torch.cat([target[:3], -target[3:]])
    net.train(training)

    hidden = [net(source, x, tgt_key_padding_mask=padding)[:3] for x in (target, changed)]
    seen = [net(source, x, tgt_key_padding_mask=~padding)[:3] for x in (target, changed)]

    assert torch.allclose(*hidden, atol=1e-5)
    assert not torch.allclose(*seen, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_true_in_the_masks_of_a_transformer_forbids(training):
    """``True`` in ``src_mask``, ``tgt_mask`` or ``memory_mask`` of ``nn.Transformer`` hides a key; ``False``
    does not.

    In ``attn_mask`` of :func:`~torch.nn.functional.scaled_dot_product_attention` it is the other way round.
    """
    net, source, target = nn.Transformer(4, 2, 2, 2, 8, 0.0), torch.rand(5, 3, 4), torch.rand(5, 3, 4)
    net.train(training)
    last = torch.arange(5).expand(5, 5) == 4
    other_source, other_target = (torch.cat([x[:4], -x[4:]]) for x in (source, target))

    def differs(x, y, **masks):
        before, after = net(source, target, **masks)[:4], net(x, y, **masks)[:4]
        return not torch.allclose(before, after, atol=1e-5)

    assert differs(other_source, target, src_mask=last, memory_mask=last) is False
    assert differs(other_source, target, src_mask=~last, memory_mask=last) is True
    assert differs(other_source, target, src_mask=last, memory_mask=~last) is True
    assert differs(source, other_target, tgt_mask=last) is False
    assert differs(source, other_target, tgt_mask=~last) is True


@pytest.mark.since("2.1")
@pytest.mark.parametrize(
    ("stack", "inputs"),
    [(nn.TransformerEncoder, 1), (nn.TransformerDecoder, 2)],
    ids=["TransformerEncoder", "TransformerDecoder"],
)
def test_a_layer_of_ones_own_needs_self_attn(stack, inputs):
    """``TransformerEncoder`` and ``TransformerDecoder`` raise ``AttributeError`` for layers without
    ``self_attn``.

    Both read ``layers[0].self_attn.batch_first``. Give your own layer such an attribute, or call the layers
    in a loop.
    """

    class Double(nn.Module):
        def forward(self, x, *memory, **masks):
            return 2 * x

    x = torch.rand(5, 3, 4)
    with pytest.raises(AttributeError, match="no attribute 'self_attn'"):
        stack(Double(), 2)(*[x] * inputs)

    layer = Double()
    layer.self_attn = nn.MultiheadAttention(4, 2)
    assert torch.equal(stack(layer, 2)(*[x] * inputs), 4 * x)


@pytest.mark.before("2.1")
def test_an_encoder_took_layers_of_any_kind():
    """``TransformerEncoder`` and ``TransformerDecoder`` accept layers without ``self_attn``."""

    class Double(nn.Module):
        def forward(self, x, *memory, **masks):
            return 2 * x

    x = torch.rand(5, 3, 4)

    assert torch.equal(nn.TransformerEncoder(Double(), 2)(x), 4 * x)
    assert torch.equal(nn.TransformerDecoder(Double(), 2)(x, x), 4 * x)

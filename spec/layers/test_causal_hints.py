"""Causal masks, and ``is_causal``, the hint that a mask is one.

The hint makes no mask. Where it can be used, the mask that is given with it is not looked at.
"""

import pytest
import torch
from torch import nn

CAUSAL = torch.ones(5, 5).triu(1) == 1


def test_the_square_causal_mask():
    """``Transformer.generate_square_subsequent_mask(n)`` has ``-inf`` above the diagonal and 0 elsewhere."""
    mask = nn.Transformer.generate_square_subsequent_mask(3)

    assert mask.tolist() == [[0, -torch.inf, -torch.inf], [0, 0, -torch.inf], [0, 0, 0]]
    assert mask.dtype == torch.float32


@pytest.mark.since("2.6")
def test_the_square_mask_follows_the_defaults():
    """``Transformer.generate_square_subsequent_mask`` makes the mask of the default device and dtype.

    See :meth:`~torch.nn.Transformer.generate_square_subsequent_mask` (:issue:`137186`).
    """
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            mask = nn.Transformer.generate_square_subsequent_mask(3)
            told = nn.Transformer.generate_square_subsequent_mask(3, torch.device("cpu"), torch.float16)
    finally:
        torch.set_default_dtype(torch.float32)

    assert [mask.dtype, mask.device.type] == [torch.float64, "meta"]
    assert [told.dtype, told.device.type] == [torch.float16, "cpu"]


@pytest.mark.before("2.6")
def test_the_square_mask_was_on_the_cpu():
    """Without ``device``, ``Transformer.generate_square_subsequent_mask`` makes the mask on the CPU.

    It does so whatever :func:`torch.set_default_device` says.
    """
    with torch.device("meta"):
        mask = nn.Transformer.generate_square_subsequent_mask(3)

    assert mask.device.type == "cpu"


@pytest.mark.since("2.1")
@pytest.mark.before("2.6")
def test_the_square_mask_was_of_32_bits():
    """Without ``dtype``, ``Transformer.generate_square_subsequent_mask`` makes a mask of ``torch.float32``.

    It does so whatever :func:`torch.set_default_dtype` says.
    """
    torch.set_default_dtype(torch.float64)
    try:
        mask = nn.Transformer.generate_square_subsequent_mask(3)
    finally:
        torch.set_default_dtype(torch.float32)

    assert mask.dtype == torch.float32


@pytest.mark.parametrize(
    ("layer", "hint", "inputs"),
    [
        (nn.MultiheadAttention(4, 2), "is_causal", 3),
        (nn.TransformerEncoderLayer(4, 2, 8), "is_causal", 1),
        (nn.TransformerEncoderLayer(4, 2, 8, norm_first=True), "is_causal", 1),
        (nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 1), "is_causal", 1),
        (nn.TransformerDecoderLayer(4, 2, 8), "tgt_is_causal", 2),
        (nn.TransformerDecoderLayer(4, 2, 8), "memory_is_causal", 2),
        (nn.TransformerDecoderLayer(4, 2, 8, norm_first=True), "tgt_is_causal", 2),
        (nn.TransformerDecoderLayer(4, 2, 8, norm_first=True), "memory_is_causal", 2),
    ],
    ids=[
        *("attention", "encoder layer", "norm first", "encoder", "decoder layer", "memory"),
        *("decoder layer, norm first", "memory, norm first"),
    ],
)
def test_is_causal_needs_a_mask(layer, hint, inputs):
    """In training mode ``MultiheadAttention`` raises ``RuntimeError`` for ``is_causal=True`` without
    ``attn_mask``.

    So do :class:`~torch.nn.TransformerEncoderLayer`, :class:`~torch.nn.TransformerEncoder` and
    :class:`~torch.nn.TransformerDecoderLayer` without the mask that the hint is about. A hint does not make
    the mask: pass one, such as that of :meth:`~torch.nn.Transformer.generate_square_subsequent_mask`, with
    it.
    """
    x = torch.rand(5, 3, 4)

    with pytest.raises(RuntimeError, match="Need attn_mask if specifying the is_causal hint"):
        layer.train()(*[x] * inputs, **{hint: True})


def test_the_function_takes_either():
    """``F.scaled_dot_product_attention(is_causal=True)`` makes a mask; ``MultiheadAttention`` needs one.

    See :func:`torch.nn.functional.scaled_dot_product_attention` and :issue:`118972`.
    """
    query, key, value = torch.rand(3, 1, 2, 5, 4)
    mask = nn.Transformer.generate_square_subsequent_mask(5)

    alone = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    masked = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)

    torch.testing.assert_close(alone, masked)
    with pytest.raises(RuntimeError, match="Need attn_mask if specifying the is_causal hint"):
        nn.MultiheadAttention(4, 2)(*torch.rand(3, 5, 1, 4), need_weights=False, is_causal=True)


@pytest.mark.since("2.1")
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(
    ("decoder", "hint"),
    [
        (True, "tgt_is_causal"),
        (True, "memory_is_causal"),
        (False, "src_is_causal"),
        (False, "tgt_is_causal"),
        (False, "memory_is_causal"),
    ],
)
def test_is_causal_of_a_transformer_needs_a_mask(decoder, hint, batch_first):
    """In training mode ``TransformerDecoder`` raises ``RuntimeError`` for ``tgt_is_causal=True`` without
    ``tgt_mask``.

    So does :class:`~torch.nn.Transformer`. The hints are ``src_is_causal``, ``tgt_is_causal`` and
    ``memory_is_causal``, each for the mask of that name.
    """
    x = torch.rand(3, 3, 4)
    padding = {hint.replace("is_causal", "key_padding_mask"): torch.zeros(3, 3, dtype=torch.bool)}
    net = nn.Transformer(4, 2, 1, 1, 8, batch_first=batch_first)

    for given in ({}, padding):
        with pytest.raises(RuntimeError, match="Need attn_mask if specifying the is_causal hint"):
            (net.decoder if decoder else net)(x, x, **{hint: True}, **given)


@pytest.mark.parametrize(
    ("layer", "hint", "inputs"),
    [
        (nn.MultiheadAttention(4, 2, batch_first=True), "is_causal", 3),
        (nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), "is_causal", 1),
        (nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 1), "is_causal", 1),
        (nn.TransformerDecoderLayer(4, 2, 8, batch_first=True), "tgt_is_causal", 2),
    ],
    ids=["attention", "encoder layer", "encoder", "decoder layer"],
)
def test_is_causal_alone_does_nothing_in_evaluation(layer, hint, inputs):
    """On their fast path ``MultiheadAttention`` and ``TransformerEncoderLayer`` ignore ``is_causal`` without
    a mask.

    They take it with ``batch_first=True``, in ``eval()`` under ``no_grad``. A model that is evaluated so sees
    the future, and no error says so. ``tgt_is_causal`` of :class:`~torch.nn.TransformerDecoderLayer` is
    ignored in the same way.
    """
    x = torch.rand(3, 5, 4)
    for options in ({}, {"need_weights": False}) if inputs == 3 else ({},):
        with torch.no_grad():
            plain = layer.eval()(*[x] * inputs, **options)
            hinted = layer(*[x] * inputs, **{hint: True}, **options)

        torch.testing.assert_close(hinted, plain)


@pytest.mark.since("2.1")
@pytest.mark.parametrize(
    ("net", "hint"),
    [
        (nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8, batch_first=True), 1), "tgt_is_causal"),
        (nn.Transformer(4, 2, 1, 1, 8, batch_first=True), "src_is_causal"),
        (nn.Transformer(4, 2, 1, 1, 8, batch_first=True), "tgt_is_causal"),
    ],
    ids=["decoder", "source", "target"],
)
def test_a_transformer_in_evaluation_ignores_is_causal(net, hint):
    """``Transformer(batch_first=True)`` in ``eval()`` under ``no_grad`` ignores ``tgt_is_causal`` without a
    mask.

    So does ``src_is_causal``, and ``tgt_is_causal`` of :class:`~torch.nn.TransformerDecoder`.
    """
    x = torch.rand(3, 5, 4)
    with torch.no_grad():
        plain = net.eval()(x, x)
        hinted = net(x, x, **{hint: True})

    torch.testing.assert_close(hinted, plain)


@pytest.mark.parametrize(
    ("make", "mask", "hint", "name", "inputs"),
    [
        (nn.TransformerEncoderLayer, "src_mask", "is_causal", "src", 1),
        (nn.TransformerEncoder, "mask", "is_causal", "src", 1),
        (nn.TransformerDecoderLayer, "tgt_mask", "tgt_is_causal", "tgt", 2),
        (nn.TransformerDecoderLayer, "memory_mask", "memory_is_causal", "memory", 2),
    ],
    ids=["encoder layer", "encoder", "decoder layer", "memory"],
)
@pytest.mark.parametrize("norm_first", [False, True], ids=["norm last", "norm first"])
def test_a_wrong_hint_replaces_the_mask(make, mask, hint, name, inputs, norm_first):
    """In training, without a padding mask, ``is_causal=True`` overrides ``src_mask`` of
    ``TransformerEncoderLayer``.

    A causal mask is applied in its place: a band or prefix mask passed with the hint is lost without an
    error. So it is in :class:`~torch.nn.TransformerEncoder` and :class:`~torch.nn.TransformerDecoderLayer`.
    On the fast path, or with a padding mask, it is the hint that is lost.
    """
    options = {"dropout": 0.0, "batch_first": True, "norm_first": norm_first}
    if make is nn.TransformerEncoder:
        layer = make(nn.TransformerEncoderLayer(4, 2, 8, **options), 1, enable_nested_tensor=not norm_first)
    else:
        layer = make(4, 2, 8, **options)
    x, other, padding = torch.rand(3, 5, 4), torch.eye(5) == 1, torch.zeros(3, 5) == 1

    hinted = layer(*[x] * inputs, **{mask: other, hint: True})
    masked = layer(*[x] * inputs, **{mask: other})
    padded = layer(*[x] * inputs, **{mask: other, hint: True, f"{name}_key_padding_mask": padding})
    with torch.no_grad():
        fast = layer.eval()(*[x] * inputs, **{mask: other, hint: True})

    assert torch.allclose(hinted, layer(*[x] * inputs, **{mask: CAUSAL}), atol=1e-5)
    assert not torch.allclose(hinted, masked, atol=1e-3)
    assert torch.allclose(padded, masked, atol=1e-5)
    assert torch.allclose(fast, hinted if name == "memory" else masked, atol=1e-5)


@pytest.mark.parametrize("size", [3, 7])
def test_a_hint_hides_a_mask_of_a_wrong_size(size):
    """In training, ``is_causal=True`` of ``TransformerEncoderLayer`` accepts a ``src_mask`` of a wrong size.

    A causal mask of the right size is applied, as for any ``src_mask`` with the hint. In ``eval()`` the same
    call raises ``RuntimeError`` on the fast path: a mask made for ``x.shape[0]`` where ``batch_first=True``
    asks for ``x.shape[1]`` is noticed only then (:issue:`115472`).
    """
    layer, x = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True), torch.rand(3, 5, 4)
    wrong = nn.Transformer.generate_square_subsequent_mask(size)

    assert torch.allclose(layer(x, wrong, is_causal=True), layer(x, CAUSAL), atol=1e-5)
    with pytest.raises(RuntimeError, match=rf"torch.Size\(\[{size}, {size}\]\), but should be \(5, 5\)"):
        layer(x, wrong)
    with torch.no_grad(), pytest.raises(RuntimeError, match=f"is invalid for input of size {size * size}"):
        layer.eval()(x, wrong, is_causal=True)


@pytest.mark.since("2.1")
@pytest.mark.parametrize(
    ("net", "name"),
    [
        (nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8, 0.0), 2), "tgt"),
        (nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8, 0.0), 2), "memory"),
        (nn.Transformer(4, 2, 2, 2, 8, 0.0), "src"),
        (nn.Transformer(4, 2, 2, 2, 8, 0.0), "tgt"),
        (nn.Transformer(4, 2, 2, 2, 8, 0.0), "memory"),
    ],
    ids=["decoder", "memory of a decoder", "source", "target", "memory"],
)
def test_a_wrong_hint_to_a_transformer(net, name):
    """In training, without a padding mask, ``tgt_is_causal=True`` overrides ``tgt_mask`` of
    ``TransformerDecoder``.

    A causal mask is applied in its place. The hints for ``src`` and ``memory`` do the same to their masks,
    and so do all three of :class:`~torch.nn.Transformer`. With a padding mask it is the hint that is lost.
    """
    x, other, padding = torch.rand(5, 3, 4), torch.eye(5) == 1, torch.zeros(3, 5) == 1
    given = {f"{name}_mask": other, f"{name}_is_causal": True}

    hinted, masked = net(x, x, **given), net(x, x, **{f"{name}_mask": other})

    assert torch.allclose(hinted, net(x, x, **{f"{name}_mask": CAUSAL}), atol=1e-5)
    assert not torch.allclose(hinted, masked, atol=1e-3)
    assert torch.allclose(net(x, x, **given, **{f"{name}_key_padding_mask": padding}), masked, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_when_attention_uses_the_hint(training):
    """``MultiheadAttention`` uses ``is_causal`` only with ``need_weights=False``, without
    ``key_padding_mask``.

    Otherwise it applies ``attn_mask``, whatever the hint says.
    """
    layer, x, other = nn.MultiheadAttention(4, 2).train(training), torch.rand(5, 3, 4), torch.eye(5) == 1
    causal, masked = layer(x, x, x, attn_mask=CAUSAL)[0], layer(x, x, x, attn_mask=other)[0]
    padding = torch.zeros(3, 5, dtype=torch.bool)
    given = {"attn_mask": other, "is_causal": True}

    assert torch.allclose(layer(x, x, x, need_weights=False, **given)[0], causal, atol=1e-5)
    assert torch.allclose(layer(x, x, x, **given)[0], masked, atol=1e-5)
    assert torch.allclose(
        layer(x, x, x, key_padding_mask=padding, need_weights=False, **given)[0], masked, atol=1e-5
    )


@pytest.mark.parametrize("batch_first", [False, True], ids=["sequence first", "batch first"])
def test_an_encoder_recognizes_a_causal_mask(batch_first):
    """By default ``TransformerEncoder`` calls its layers with ``is_causal=True`` if ``mask`` is a causal one.

    It compares the values; ``is_causal=False`` saves the comparison.
    """
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=batch_first), 2)
    x, hints = torch.rand(3, 5, 4) if batch_first else torch.rand(5, 3, 4), []
    for layer in encoder.layers:
        layer.register_forward_pre_hook(
            lambda layer, args, kwargs: hints.append(kwargs["is_causal"]), with_kwargs=True
        )

    encoder(x, mask=CAUSAL)
    encoder(x, mask=nn.Transformer.generate_square_subsequent_mask(5))
    encoder(x, mask=torch.eye(5) == 1)
    encoder(x)
    encoder(x, mask=CAUSAL, is_causal=False)

    assert hints == [True] * 4 + [False] * 6


@pytest.mark.since("2.1")
@pytest.mark.parametrize("batch_first", [False, True], ids=["sequence first", "batch first"])
def test_a_decoder_recognizes_a_causal_mask(batch_first):
    """By default ``TransformerDecoder`` gives its layers ``tgt_is_causal=True`` for a causal ``tgt_mask``.

    It does not look at ``memory_mask``: ``memory_is_causal`` is ``False`` unless it is passed.
    """
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8, batch_first=batch_first), 2)
    x, hints = torch.rand(3, 5, 4) if batch_first else torch.rand(5, 3, 4), []
    for layer in decoder.layers:
        layer.register_forward_pre_hook(
            lambda layer, args, kwargs: hints.append((kwargs["tgt_is_causal"], kwargs["memory_is_causal"])),
            with_kwargs=True,
        )

    decoder(x, x, tgt_mask=CAUSAL)
    decoder(x, x, tgt_mask=torch.eye(5) == 1)
    decoder(x, x, memory_mask=CAUSAL)
    decoder(x, x, tgt_mask=CAUSAL, tgt_is_causal=False)
    decoder(x, x, memory_mask=CAUSAL, memory_is_causal=True)

    assert hints == [(True, False)] * 2 + [(False, False)] * 6 + [(False, True)] * 2


@pytest.mark.since("2.1")
def test_a_transformer_recognizes_causal_masks():
    """``Transformer`` passes causal hints to its layers if ``src_mask`` and ``tgt_mask`` are causal masks."""
    net, x = nn.Transformer(4, 2, 2, 2, 8), torch.rand(5, 3, 4)
    hints = []
    for layer in (*net.encoder.layers, *net.decoder.layers):
        name = "is_causal" if layer in net.encoder.layers else "tgt_is_causal"
        layer.register_forward_pre_hook(
            lambda layer, args, kwargs, name=name: hints.append((name, kwargs[name])), with_kwargs=True
        )

    net(x, x, src_mask=CAUSAL)
    net(x, x, tgt_mask=CAUSAL)
    net(x, x, src_mask=torch.eye(5) == 1, tgt_mask=torch.eye(5) == 1)

    assert hints == [
        *[("is_causal", True)] * 2,
        *[("tgt_is_causal", False)] * 2,
        *[("is_causal", False)] * 2,
        *[("tgt_is_causal", True)] * 2,
        *[("is_causal", False)] * 2,
        *[("tgt_is_causal", False)] * 2,
    ]


@pytest.mark.before("2.1")
def test_only_layers_took_causal_hints():
    """``nn.Transformer`` and ``TransformerDecoder`` raise ``TypeError`` for ``tgt_is_causal``.

    Their layers accept it.
    """
    layer, x = nn.TransformerDecoderLayer(4, 2, 8), torch.rand(5, 3, 4)

    assert layer(x, x, tgt_mask=CAUSAL, tgt_is_causal=True).shape == (5, 3, 4)
    with pytest.raises(TypeError, match="unexpected keyword argument 'tgt_is_causal'"):
        nn.TransformerDecoder(layer, 1)(x, x, tgt_mask=CAUSAL, tgt_is_causal=True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'tgt_is_causal'"):
        nn.Transformer(4, 2, 1, 1, 8)(x, x, tgt_mask=CAUSAL, tgt_is_causal=True)


def test_the_function_counts_from_the_first_key():
    """``F.scaled_dot_product_attention(is_causal=True)`` lets query ``i`` see keys 0 to ``i``, however many
    there are.

    One new query with a cache of keys so sees the oldest key only: leave ``is_causal`` out there
    (:issue:`144858`). For several see :func:`torch.nn.attention.bias.causal_lower_right`.
    """
    query, key = torch.ones(1, 2, 3), torch.ones(1, 4, 3)
    value = torch.tensor([[[2.0], [4.0], [9.0], [1.0]]])
    attend = nn.functional.scaled_dot_product_attention

    assert attend(query, key, value, is_causal=True).flatten().tolist() == [2.0, 3.0]
    assert attend(query[:, :1], key, value, is_causal=True).flatten().tolist() == [2.0]
    assert attend(query[:, :1], key, value).flatten().tolist() == [4.0]
    assert attend(key, query, value[:, :2], is_causal=True).flatten().tolist() == [2.0, 3.0, 3.0, 3.0]
    last = torch.ones(2, 4, dtype=torch.bool).tril(diagonal=2)
    assert attend(query, key, value, attn_mask=last).flatten().tolist() == [5.0, 4.0]

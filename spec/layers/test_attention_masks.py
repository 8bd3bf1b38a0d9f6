"""Masks of attention: which keys a query may see.

``attn_mask`` says it for each query, ``key_padding_mask`` for each sequence of the batch. In both ``True``
forbids, and a mask of numbers is added to the scores.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("names", [["attn_mask"], ["key_padding_mask"], ["attn_mask", "key_padding_mask"]])
def test_true_in_a_mask_forbids(names, training):
    """``True`` in ``attn_mask`` or ``key_padding_mask`` of ``MultiheadAttention`` makes the weight of a key
    0.

    The mask of a tokenizer means the opposite: pass ``mask == 0``.

    See also :ref:`layers.attention_masks.true_in_the_function_allows`
    """
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True).train(training), torch.rand(3, 5, 4)
    masks = {"attn_mask": torch.ones(5, 5).triu(2) == 1, "key_padding_mask": torch.eye(3, 5) == 1}
    for_each_entry = {"attn_mask": masks["attn_mask"], "key_padding_mask": masks["key_padding_mask"][:, None]}

    with torch.set_grad_enabled(training):
        _, weights = layer(x, x, x, **{name: masks[name] for name in names})

    forbidden = torch.stack([for_each_entry[name].expand(3, 5, 5) for name in names]).any(0)
    assert torch.equal(weights == 0, forbidden)
    assert torch.allclose(weights.sum(-1), torch.ones(3, 5))


def test_true_in_the_function_allows():
    """``True`` in ``attn_mask`` of ``MultiheadAttention`` forbids; in
    ``F.scaled_dot_product_attention`` it allows.

    The layers of a transformer forbid as well. Code that goes from one to the other has to turn its masks
    round.
    """
    x, mask = torch.rand(3, 5, 4), torch.eye(5) == 1
    layer = nn.MultiheadAttention(4, 1, bias=False, batch_first=True)
    layer.in_proj_weight.data = torch.eye(4).repeat(3, 1)
    layer.out_proj.weight.data = torch.eye(4)

    for need_weights in (True, False):
        result, _ = layer(x, x, x, attn_mask=~mask, need_weights=need_weights)
        assert torch.allclose(result, x, atol=1e-6)
    for given in (x, x[None]):
        result = F.scaled_dot_product_attention(given, given, given, attn_mask=mask)
        assert torch.allclose(result, given, atol=1e-6)
    assert not torch.allclose(layer(x, x, x, attn_mask=mask)[0], x, atol=1e-3)

    changed = torch.cat([x[:, :1], torch.zeros(3, 4, 4)], dim=1)  # all but the first step, which is not seen
    encoder = nn.TransformerEncoderLayer(4, 1, 8, dropout=0.0, batch_first=True)
    decoder = nn.TransformerDecoderLayer(4, 1, 8, dropout=0.0, batch_first=True)
    first, other = (encoder(given, src_mask=~mask)[:, 0] for given in (x, changed))
    assert torch.allclose(first, other, atol=1e-6)
    first, other = (decoder(given, x, tgt_mask=~mask)[:, 0] for given in (x, changed))
    assert torch.allclose(first, other, atol=1e-6)
    first, other = (decoder(x, given, memory_mask=~mask)[:, 0] for given in (x, changed))
    assert torch.allclose(first, other, atol=1e-6)


def test_a_float_mask_of_the_function_is_added():
    """A float ``attn_mask`` of ``F.scaled_dot_product_attention`` is added to the scores: ``-inf`` hides a
    key.

    Any other number weights it by its exponential, so one number for all keys of a query changes nothing,
    and a mask of ones and zeros hides none. Integers raise ``RuntimeError``.
    """
    q, k, v = torch.rand(1, 3, 4), torch.rand(1, 5, 4), torch.eye(5)[None]  # the output is the weights
    allowed = torch.rand(3, 5) > 0.4
    allowed[:, 0] = True
    hidden = torch.zeros(3, 5).masked_fill(~allowed, float("-inf"))

    weights = F.scaled_dot_product_attention(q, k, v)
    masked = F.scaled_dot_product_attention(q, k, v, attn_mask=hidden)
    shifted = F.scaled_dot_product_attention(q, k, v, attn_mask=torch.rand(3, 1).expand(3, 5))
    ones = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed.float())

    assert torch.equal(masked[0] > 0, allowed)
    assert torch.allclose(masked, F.scaled_dot_product_attention(q, k, v, attn_mask=allowed), atol=1e-6)
    assert torch.allclose(shifted, weights, atol=1e-6)
    rescaled = weights * allowed.float().exp()
    assert torch.allclose(ones, rescaled / rescaled.sum(-1, keepdim=True), atol=1e-6)
    with pytest.raises(RuntimeError, match="Expected attn_mask dtype to be bool"):
        F.scaled_dot_product_attention(q, k, v, attn_mask=allowed.int())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("name", "shape"), [("attn_mask", (5, 5)), ("key_padding_mask", (3, 5))])
def test_a_float_mask_is_added_before_the_softmax(name, shape, training):
    """A float ``attn_mask`` or ``key_padding_mask`` of ``MultiheadAttention`` is added before the softmax.

    It is added to the scores of query and key, neither to the weights that are returned nor to the keys.
    """
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True).train(training), torch.rand(3, 5, 4)
    mask = torch.randn(shape)
    for_each_head = mask if name == "attn_mask" else mask[:, None, None]

    _, plain = layer(x, x, x, average_attn_weights=False)
    output, weights = layer(x, x, x, average_attn_weights=False, **{name: mask})

    assert torch.allclose(weights, (plain.log() + for_each_head).softmax(-1), atol=1e-5)
    assert not torch.allclose(weights, plain + for_each_head, atol=1e-3)
    assert torch.allclose(layer(x, x, x, need_weights=False, **{name: mask})[0], output, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "mask"), [("attn_mask", torch.eye(5) == 1), ("key_padding_mask", torch.eye(3, 5) == 1)]
)
def test_a_mask_is_boolean_or_float(name, mask):
    """``MultiheadAttention`` accepts boolean and float masks; one of integers raises ``AssertionError``.

    Where a boolean mask is ``True``, the float mask of the same meaning is ``-inf``.
    """
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(3, 5, 4)
    numbers = torch.zeros(mask.shape).masked_fill(mask, -torch.inf)

    for training, options in ((True, {}), (True, {"need_weights": False}), (False, {})):
        result, _ = layer.train(training)(x, x, x, **options, **{name: mask})
        assert torch.equal(result, layer(x, x, x, **options, **{name: numbers})[0])
        for integers in (mask.int(), mask.long(), mask.byte()):
            with pytest.raises(AssertionError, match=f"only bool and floating types of {name} are supported"):
                layer(x, x, x, **options, **{name: integers})


def test_masks_of_two_dtypes_warn(recwarn):
    """``MultiheadAttention`` warns if ``attn_mask`` and ``key_padding_mask`` have different dtypes.

    A query sees what neither mask forbids, as with two boolean masks.
    """
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(3, 5, 4)
    causal, padding = torch.ones(5, 5).triu(1) == 1, torch.eye(3, 5) == 1
    padding[0, 0] = False
    numbers = torch.zeros(5, 5).masked_fill(causal, -torch.inf)

    message = "Support for mismatched key_padding_mask and attn_mask is deprecated"
    for training in (True, False):
        with pytest.warns(UserWarning, match=message):
            _, weights = layer.train(training)(x, x, x, attn_mask=numbers, key_padding_mask=padding)

    assert torch.equal(weights == 0, causal | padding[:, None])
    assert torch.equal(weights, layer(x, x, x, attn_mask=causal, key_padding_mask=padding)[1])
    assert list(recwarn) == []

    numbers = torch.zeros(3, 5).masked_fill(padding, -torch.inf)
    with pytest.warns(UserWarning, match=message):
        assert torch.equal(layer(x, x, x, attn_mask=causal, key_padding_mask=numbers)[1], weights)


def test_a_mask_for_each_head():
    """A 3-D ``attn_mask`` of ``MultiheadAttention`` has one mask per head, entry after entry of the batch.

    A 2-D mask is used for all entries and heads. To give each entry a mask of its own, repeat it:
    ``mask.repeat_interleave(num_heads, dim=0)``. With ``repeat`` the masks get to other entries, and no
    error says so.
    """
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(3, 5, 4)
    masks = torch.zeros(6, 5, 5, dtype=torch.bool)
    masks[3, 0, 4] = True

    output, each = layer(x, x, x, attn_mask=masks, average_attn_weights=False)
    _, alone = layer(x[1], x[1], x[1], attn_mask=masks[2:4], average_attn_weights=False)
    _, every = layer(x, x, x, attn_mask=masks[3], average_attn_weights=False)

    assert (each == 0).nonzero().tolist() == [[1, 1, 0, 4]]
    assert (alone == 0).nonzero().tolist() == [[1, 0, 4]]
    assert torch.allclose(layer(x, x, x, attn_mask=masks, need_weights=False)[0], output, atol=1e-6)
    assert (every == 0).nonzero().tolist() == [[n, head, 0, 4] for n in range(3) for head in range(2)]


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        ((5, 4), RuntimeError, r"The shape of the 2D attn_mask is .*\(4, 5\)"),
        ((3, 4, 5), RuntimeError, r"The shape of the 3D attn_mask is .*\(6, 4, 5\)"),
        ((3, 2, 4, 5), AssertionError, "2-D or 3-D but found 4-D"),
        ((5,), AssertionError, "2-D or 3-D but found 1-D"),
    ],
    ids=["turned", "batch", "batch and heads", "row"],
)
def test_the_shapes_of_an_attention_mask(shape, error, message):
    """By default ``MultiheadAttention`` raises an error unless ``attn_mask`` is ``(L, S)`` or ``(N *
    num_heads, L, S)``.

    ``L`` is the number of queries, ``S`` that of keys, and ``N`` is 1 for unbatched inputs. One mask for each
    entry, ``(N, L, S)``, is too few. A wrong size raises ``RuntimeError``, a wrong number of dimensions
    ``AssertionError``. On the fast path, or with ``is_causal=True`` and ``need_weights=False``, some wrong
    shapes pass.
    """
    layer, query, key = (
        nn.MultiheadAttention(4, 2, batch_first=True),
        torch.rand(3, 4, 4),
        torch.rand(3, 5, 4),
    )

    assert layer(query, key, key, attn_mask=torch.zeros(4, 5))[0].shape == (3, 4, 4)
    assert layer(query, key, key, attn_mask=torch.zeros(6, 4, 5))[0].shape == (3, 4, 4)
    assert layer(query[0], key[0], key[0], attn_mask=torch.zeros(2, 4, 5))[0].shape == (4, 4)
    causal = {"attn_mask": torch.zeros(3, 4, 5), "is_causal": True, "need_weights": False}
    assert layer(query, key, key, **causal)[0].shape == (3, 4, 4)
    for need_weights in (True, False):
        with pytest.raises(error, match=message):
            layer(query, key, key, attn_mask=torch.zeros(shape), need_weights=need_weights)
    with torch.no_grad():
        fast = layer.eval()(query, query, query, attn_mask=torch.zeros(1, 16) == 1)
    assert fast[0].shape == (3, 4, 4)


def test_the_padding_of_one_sequence():
    """In training ``MultiheadAttention`` raises ``AssertionError`` unless ``key_padding_mask`` is 2-D, 1-D
    unbatched.

    On the fast path it is a ``RuntimeError``.
    """
    layer, x, mask = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(3, 5, 4), torch.eye(3, 5) == 1

    _, weights = layer(x[1], x[1], x[1], key_padding_mask=mask[1])

    assert torch.allclose(weights, layer(x, x, x, key_padding_mask=mask)[1][1], atol=1e-6)
    with pytest.raises(AssertionError, match="`key_padding_mask` to be `None` or 1-D but found 2-D"):
        layer(x[1], x[1], x[1], key_padding_mask=mask[:1])
    for wrong in (mask[1], mask[None]):
        message = f"`key_padding_mask` to be `None` or 2-D but found {wrong.ndim}-D"
        with pytest.raises(AssertionError, match=message):
            layer(x, x, x, key_padding_mask=wrong)
    with torch.no_grad(), pytest.raises(RuntimeError, match="mask shape should match input"):
        layer.eval()(x, x, x, key_padding_mask=mask[1])


def test_a_query_without_keys_is_nan():
    """By default a ``MultiheadAttention`` query whose keys are all masked gets NaN weights and NaN output.

    So do the gradients: one sequence that is all padding spoils the projections at the next step, and soon
    the whole model. Leave one key unmasked, or take such sequences out of the batch.

    See also :ref:`layers.attention_masks.without_weights_such_a_query_is_zero`
    """
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(3, 5, 4)
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[1] = True

    output, weights = layer(x, x, x, key_padding_mask=padding)
    output[0].sum().backward()

    assert output.isnan().all(-1).all(-1).tolist() == [False, True, False]
    assert weights.isnan().all(-1).all(-1).tolist() == [False, True, False]
    spoilt = [name for name, p in layer.named_parameters() if p.grad.isnan().any()]
    assert spoilt == ["in_proj_weight", "in_proj_bias", "out_proj.weight"]
    for grad_mode in (True, False):
        with torch.set_grad_enabled(grad_mode):
            results = layer.train(grad_mode)(x, x, x, attn_mask=torch.ones(5, 5) == 1)
        assert [result.isnan().all().item() for result in results] == [True, True]


@pytest.mark.since("2.5")
@pytest.mark.parametrize(
    ("name", "mask"),
    [("attn_mask", torch.ones(5, 5) == 1), ("key_padding_mask", torch.ones(3, 5) == 1)],
    ids=["attn_mask", "key_padding_mask"],
)
def test_without_weights_such_a_query_is_zero(name, mask):
    """In training with ``need_weights=False``, ``MultiheadAttention`` gives no NaN where all keys are masked.

    Such a query gets 0 before ``out_proj``, so its output is the bias of that, and gradients are finite. On
    the fast path, in evaluation, it is NaN all the same. See :class:`~torch.nn.MultiheadAttention`
    (:issue:`41508`).
    """
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(3, 5, 4)
    nn.init.constant_(layer.out_proj.bias, 7.0)

    output, _ = layer(x, x, x, need_weights=False, **{name: mask})
    output.sum().backward()

    assert output.unique().tolist() == [7.0]
    assert layer.in_proj_weight.grad.isfinite().all()
    with torch.no_grad():
        assert layer.eval()(x, x, x, need_weights=False, **{name: mask})[0].isnan().all()


@pytest.mark.before("2.5")
@pytest.mark.parametrize(
    ("name", "mask"),
    [("attn_mask", torch.ones(5, 5) == 1), ("key_padding_mask", torch.ones(3, 5) == 1)],
    ids=["attn_mask", "key_padding_mask"],
)
def test_without_weights_such_a_query_was_nan(name, mask):
    """``MultiheadAttention`` gives NaN where all keys of a query are masked, even if ``need_weights=False``.

    The gradients of all parameters are NaN as well. See :class:`~torch.nn.MultiheadAttention`.
    """
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(3, 5, 4)

    output, _ = layer(x, x, x, need_weights=False, **{name: mask})
    output.sum().backward()

    assert output.isnan().all()
    assert layer.in_proj_weight.grad.isnan().all()


@pytest.mark.since("2.5")
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("layer", [nn.TransformerEncoderLayer, nn.TransformerDecoderLayer])
def test_a_transformer_layer_without_keys_is_finite(layer, norm_first):
    """In training, layers of ``nn.Transformer`` give no NaN for a sequence that is all padding.

    They ask attention for no weights. In evaluation without gradients the fast path of the encoder layer
    makes it NaN. See :class:`~torch.nn.TransformerEncoderLayer`.
    """
    made, x = layer(4, 2, 8, batch_first=True, norm_first=norm_first), torch.rand(3, 5, 4)
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[1] = True
    if layer is nn.TransformerDecoderLayer:
        assert made(x, x, memory_key_padding_mask=padding).isfinite().all()
        assert made(x, x, tgt_key_padding_mask=padding).isfinite().all()
    else:
        assert made(x, src_key_padding_mask=padding).isfinite().all()
        with torch.no_grad():
            fast = made.eval()(x, src_key_padding_mask=padding)
        assert fast.isnan().all(-1).all(-1).tolist() == [False, True, False]


def test_causal_and_left_padding_leave_queries_without_keys():
    """By default, with a causal mask and left padding, ``MultiheadAttention`` gives NaN for padded queries.

    They have no key left. With ``need_weights=False`` there is no NaN in training, since torch 2.5. Pad on
    the right, where a causal mask hides the padding from all that matters. See
    :class:`~torch.nn.MultiheadAttention`.
    """
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(2, 5, 4)
    causal, left = torch.ones(5, 5).triu(1) == 1, torch.tensor([[True, True, False, False, False]] * 2)

    for grad_mode in (True, False):
        with torch.set_grad_enabled(grad_mode):
            output, _ = layer.train(grad_mode)(x, x, x, attn_mask=causal, key_padding_mask=left)
        assert output.isnan().any(-1).tolist() == [[True, True, False, False, False]] * 2

    output, _ = layer(x, x, x, attn_mask=causal, key_padding_mask=left.flip(1))
    assert output.isfinite().all()


def test_merging_one_mask():
    """``MultiheadAttention.merge_masks`` returns a lone ``key_padding_mask`` itself, ``attn_mask`` expanded
    to heads.

    The number beside it is 1 for the former and 2 for the latter; without a mask both are ``None``.
    """
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(3, 5, 4)
    attention, padding = torch.rand(5, 5), torch.rand(3, 5)

    merged, kind = layer.merge_masks(None, padding, x)
    assert merged is padding
    assert kind == 1

    merged, kind = layer.merge_masks(attention, None, x)
    assert torch.equal(merged, attention.expand(3, 2, 5, 5))
    assert kind == 2
    of_heads = torch.rand(6, 5, 5)
    assert torch.equal(layer.merge_masks(of_heads, None, x)[0], of_heads.view(3, 2, 5, 5))
    assert layer.merge_masks(None, None, x) == (None, None)


def test_merging_two_masks():
    """``MultiheadAttention.merge_masks`` adds ``attn_mask`` and ``key_padding_mask``, for each head."""
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(3, 5, 4)
    attention, padding = torch.randn(5, 5), torch.randn(3, 5)

    merged, kind = layer.merge_masks(attention, padding, x)

    assert torch.equal(merged, (attention + padding[:, None, None]).expand(3, 2, 5, 5))
    assert kind == 2
    of_heads = torch.randn(6, 5, 5)
    merged, _ = layer.merge_masks(of_heads, padding, x)
    assert torch.equal(merged, of_heads.view(3, 2, 5, 5) + padding[:, None, None])


@pytest.mark.since("2.1")
def test_merging_two_boolean_masks():
    """``MultiheadAttention.merge_masks`` of two boolean masks is their logical or."""
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(3, 5, 4)
    attention, padding = torch.rand(5, 5) > 0.5, torch.rand(3, 5) > 0.5

    merged, kind = layer.merge_masks(attention, padding, x)

    assert torch.equal(merged, (attention | padding[:, None, None]).expand(3, 2, 5, 5))
    assert kind == 2
    of_heads = torch.rand(6, 5, 5) > 0.5
    merged, _ = layer.merge_masks(of_heads, padding, x)
    assert torch.equal(merged, of_heads.view(3, 2, 5, 5) | padding[:, None, None])

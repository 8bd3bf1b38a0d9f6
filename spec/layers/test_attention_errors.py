"""Attention: what its messages mean.

Most of them are about a size: of the batch, of the sequence or of the features. The commonest cause is
``batch_first``, which is ``False`` by default.
"""

import pytest
import torch
from torch import nn


@pytest.mark.parametrize("batch_first", [True, False])
def test_keys_and_values_go_together(batch_first):
    """``MultiheadAttention`` raises ``AssertionError`` if key and value differ in length or batch size.

    The message shows their shapes with the sequence first.
    """
    layer = nn.MultiheadAttention(4, 2, batch_first=batch_first)

    for shape in ((2, 6, 4), (3, 5, 4)):
        query, key, value = torch.rand(2, 3, 4), torch.rand(2, 5, 4), torch.rand(shape)
        given = (query, key, value) if batch_first else [x.transpose(0, 1) for x in (query, key, value)]
        with pytest.raises(AssertionError, match=r"key shape .*\[5, 2, 4\].* does not match value shape"):
            layer(*given)


def test_a_query_of_another_batch():
    """``MultiheadAttention`` raises ``RuntimeError`` "is invalid for input of size" if the query's batch
    differs.

    One set of keys for a whole batch has to be expanded: nothing is broadcast.
    """
    layer, query = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(2, 3, 4)

    for one, other in ((query, torch.rand(1, 5, 4)), (query[:1], torch.rand(2, 5, 4))):
        with pytest.raises(RuntimeError, match=r"is invalid for input of size"):
            layer(one, other, other)

    keys = torch.rand(1, 5, 4).expand(2, -1, -1)
    assert layer(query, keys, keys)[0].shape == (2, 3, 4)


def test_other_features_than_the_embedding():
    """``MultiheadAttention`` raises an error naming ``embed_dim`` and the query's last size if they differ.

    It is an ``AssertionError``; on the fast path, in ``eval()`` under ``no_grad``, a ``RuntimeError``.
    """
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(2, 3, 6)

    for mode in (True, False):
        with pytest.raises(AssertionError, match="was expecting embedding dimension of 4, but got 6"):
            layer.train(mode)(x, x, x)
    with torch.no_grad(), pytest.raises(RuntimeError, match="embed_dim 4 didn't match last dim of query 6"):
        layer(x, x, x)


def test_dimensions_of_attention():
    """``MultiheadAttention`` raises ``AssertionError`` for an input of 4 dimensions, or a 2-D query of 3-D
    keys.
    """
    layer, x = nn.MultiheadAttention(4, 2), torch.rand(3, 2, 4)

    with pytest.raises(
        AssertionError, match="unbatched 2D or batched 3D tensor but received 4-D query tensor"
    ):
        layer(x[None], x[None], x[None])
    with pytest.raises(AssertionError, match="expected `key` and `value` to be 2-D but found 3-D and 3-D"):
        layer(x[:, 0], x, x)
    for keys in (x[:, 0], x[None]):
        found = f"but found {keys.ndim}-D and {keys.ndim}-D"
        with pytest.raises(AssertionError, match=f"expected `key` and `value` to be 3-D {found}"):
            layer(x, keys, keys)


def test_attention_takes_three_tensors():
    """``MultiheadAttention`` raises ``TypeError`` without key and value: self-attention is ``layer(x, x,
    x)``.
    """
    layer, x = nn.MultiheadAttention(4, 2), torch.rand(3, 2, 4)

    with pytest.raises(TypeError, match="missing 2 required positional arguments: 'key' and 'value'"):
        layer(x)


def test_attention_by_position():
    """Behind key and value ``MultiheadAttention`` takes ``key_padding_mask``, ``need_weights`` and
    ``attn_mask``.

    The fourth argument is not ``attn_mask``: given by position, a mask of ``(L, L)`` is taken for one of
    padding. ``average_attn_weights`` is the seventh.
    """
    layer, x, keys = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(2, 3, 4), torch.rand(2, 5, 4)
    padded, causal = torch.tensor([[False] * 4 + [True], [False] * 5]), torch.ones(3, 5).triu(1).bool()

    output, weights = layer(x, keys, keys, padded, True, causal, False)
    named = layer(
        x,
        keys,
        keys,
        attn_mask=causal,
        key_padding_mask=padded,
        need_weights=True,
        average_attn_weights=False,
    )

    torch.testing.assert_close((output, weights), named)
    assert weights.shape == (2, 2, 3, 5)
    assert layer(x, keys, keys, padded, False)[1] is None
    with pytest.raises(AssertionError, match=r"key_padd.*_mask"):
        layer(x, keys, keys, causal)


@pytest.mark.parametrize("batch_first", [True, False])
def test_source_and_target_have_one_batch_size(batch_first):
    """``nn.Transformer`` raises ``RuntimeError`` unless ``src`` and ``tgt`` have the same batch size.

    Which dimension that is depends on ``batch_first``: with ``False``, ``(N, L, E)`` works only if both are
    equally long.
    """
    net = nn.Transformer(4, 2, 1, 1, 8, batch_first=batch_first)

    with pytest.raises(RuntimeError, match="the batch number of src and tgt must be equal"):
        net(torch.rand(2, 3, 4), torch.rand(3, 2, 4))

    shapes = ((2, 3, 4), (2, 5, 4)) if batch_first else ((3, 2, 4), (5, 2, 4))
    assert net(*map(torch.rand, shapes)).shape == shapes[1]


def test_features_of_a_transformer():
    """``nn.Transformer`` raises ``RuntimeError`` unless ``src`` and ``tgt`` have ``d_model`` features
    each.
    """
    net, x = nn.Transformer(4, 2, 1, 1, 8, batch_first=True), torch.rand(2, 3, 4)

    for src, tgt in ((torch.rand(2, 3, 5), x), (x, torch.rand(2, 3, 5)), (torch.rand(2, 3, 5),) * 2):
        with pytest.raises(RuntimeError, match="the feature number of src and tgt must be equal to d_model"):
            net(src, tgt)


def test_the_layer_given_is_copied():
    """The layer given to ``TransformerEncoder`` or ``TransformerDecoder`` is copied, and not part of the
    stack.

    Assigned to the model as well, its parameters are listed, saved and counted, but never get a gradient: DDP
    then reports unused parameters.
    """
    x = torch.rand(3, 2, 4)
    for kind, stack, inputs in (
        (nn.TransformerEncoderLayer, nn.TransformerEncoder, [x]),
        (nn.TransformerDecoderLayer, nn.TransformerDecoder, [x, x]),
    ):
        net = nn.Module()
        net.layer = kind(4, 2, 8)
        net.stack = stack(net.layer, 2)

        net.stack(*inputs).sum().backward()

        for layer in net.stack.layers:
            assert layer is not net.layer
            assert all(map(torch.equal, layer.parameters(), net.layer.parameters()))
        assert all(p.grad is None for p in net.layer.parameters())
        assert all(p.grad is not None for p in net.stack.parameters())
        assert len(list(net.parameters())) == 3 * len(list(net.layer.parameters()))


def test_a_hint_of_none_is_refused():
    """In training ``TransformerEncoderLayer`` and ``MultiheadAttention`` raise ``TypeError`` for
    ``is_causal=None``.

    So they do not look for a causal mask; ``TransformerEncoder`` does, and takes ``None`` (:issue:`105342`).
    """
    layer, x = nn.TransformerEncoderLayer(4, 2, 8), torch.rand(3, 1, 4)
    mask = nn.Transformer.generate_square_subsequent_mask(3)

    with pytest.raises(TypeError, match="must be bool, not NoneType"):
        layer(x, src_mask=mask, is_causal=None)
    with pytest.raises(TypeError, match="must be bool, not NoneType"):
        layer.self_attn(x, x, x, attn_mask=mask, is_causal=None, need_weights=False)
    assert nn.TransformerEncoder(layer, 1)(x, mask=mask, is_causal=None).shape == (3, 1, 4)

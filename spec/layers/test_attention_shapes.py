"""The shapes that attention and transformers take and return.

L and T are the length of the target, S that of the source, N is the size of the batch. What stands first is
the sequence, with ``batch_first=True`` the batch; one sequence alone needs no batch dimension.
"""

import pytest
import torch
from torch import nn

ORDERS = [
    pytest.param(False, lambda length: (length, 3), id="sequence first"),
    pytest.param(True, lambda length: (3, length), id="batch first"),
    pytest.param(False, lambda length: (length,), id="unbatched"),
    pytest.param(True, lambda length: (length,), id="unbatched, batch first"),
]


@pytest.mark.parametrize(("batch_first", "leading"), ORDERS)
def test_queries_keys_and_values(batch_first, leading):
    """``MultiheadAttention`` takes a query of ``embed_dim``, a key of ``kdim`` and a value of ``vdim``
    features.

    Key and value have the same length, the query one of its own; the output has the shape of the query.
    """
    layer = nn.MultiheadAttention(8, 2, kdim=5, vdim=6, batch_first=batch_first)
    query, key, value = torch.rand(*leading(4), 8), torch.rand(*leading(7), 5), torch.rand(*leading(7), 6)

    assert layer(query, key, value)[0].shape == query.shape
    with pytest.raises(AssertionError, match="expecting key weights shape"):
        layer(query, value, key)
    with pytest.raises(AssertionError, match=r"key's sequence and batch dims .* do not match value's"):
        layer(query, torch.rand(*leading(6), 5), value)
    with pytest.raises(AssertionError, match="expecting embedding dimension of 8, but got 5"):
        layer(query[..., :5], key, value)


@pytest.mark.parametrize(("batch_first", "leading"), ORDERS)
def test_source_and_target_of_a_transformer(batch_first, leading):
    """``nn.Transformer`` takes ``src`` and ``tgt`` as ``(S, N, E)`` and ``(T, N, E)``, or with the batch
    first.

    Unbatched they are ``(S, E)`` and ``(T, E)``. The output has the shape of the target.
    """
    net = nn.Transformer(8, 2, 1, 1, 16, batch_first=batch_first)
    source, target = torch.rand(*leading(7), 8), torch.rand(*leading(4), 8)

    assert net(source, target).shape == target.shape
    for given in ((source[..., :6], target), (source, target[..., :6])):
        with pytest.raises(RuntimeError, match="must be equal to d_model"):
            net(*given)


@pytest.mark.parametrize("name", ["src", "tgt", "memory"])
@pytest.mark.parametrize(("batch_first", "leading"), ORDERS)
def test_padding_masks_of_a_transformer(batch_first, leading, name):
    """A padding mask of ``nn.Transformer`` is ``(N, length)``, whatever ``batch_first``, or unbatched
    ``(length,)``.

    That of ``tgt`` has the length of the target, those of ``src`` and ``memory`` have that of the source.
    """
    net = nn.Transformer(8, 2, 1, 1, 16, batch_first=batch_first)
    source, target = torch.rand(*leading(7), 8), torch.rand(*leading(4), 8)
    length, batch = 4 if name == "tgt" else 7, [3] * (source.ndim - 2)
    masks = [torch.zeros(*batch, size, dtype=torch.bool) for size in (length, length + 1)]

    assert net(source, target, **{f"{name}_key_padding_mask": masks[0]}).shape == target.shape
    with pytest.raises(AssertionError, match=f"key_pad.* {length}.* but got .*{length + 1}"):
        net(source, target, **{f"{name}_key_padding_mask": masks[1]})

"""Attention as a function: ``F.scaled_dot_product_attention``, which modules of one's own call.

It takes heads as an axis of their own, before the sequence, and its masks are about what is allowed. What it
has in common with :class:`~torch.nn.MultiheadAttention` and what not is in *attention_masks* and
*causal_hints*.
"""

import pytest
import torch
from torch.nn import functional as F


def test_scores_are_divided_by_the_root_of_the_width():
    """``F.scaled_dot_product_attention`` divides its scores by the square root of the last size of the query.

    Whoever scales the query beforehand scales twice. Since 2.1, ``scale`` is another factor.
    """
    query, key, value = torch.rand(2, 3, 4, 16), torch.rand(2, 3, 5, 16), torch.rand(2, 3, 5, 9)

    weights = torch.softmax(query @ key.transpose(-2, -1) / 4.0, dim=-1)

    for mask in (None, torch.ones(4, 5, dtype=torch.bool)):
        torch.testing.assert_close(F.scaled_dot_product_attention(query, key, value, mask), weights @ value)


@pytest.mark.since("2.1")
def test_the_scale_may_be_given():
    """``F.scaled_dot_product_attention(scale=s)`` multiplies the scores by ``s`` in place of the default."""
    query, key, value = torch.rand(2, 3, 4, 16), torch.rand(2, 3, 5, 16), torch.rand(2, 3, 5, 16)
    allowed, attention = torch.ones(4, 5, dtype=torch.bool).tril(), F.scaled_dot_product_attention

    for scale in (2.0, -3.0):
        scores = query @ key.transpose(-2, -1) * scale
        causal = torch.softmax(scores.masked_fill(~allowed, -torch.inf), dim=-1) @ value

        full = attention(query, key, value, scale=scale)
        torch.testing.assert_close(full, torch.softmax(scores, dim=-1) @ value)
        torch.testing.assert_close(attention(query, key, value, allowed, scale=scale), causal)
    causal = attention(query, key, value, allowed, scale=2.0)
    torch.testing.assert_close(attention(query, key, value, is_causal=True, scale=2.0), causal)


@pytest.mark.since("2.3")
def test_a_negative_scale_cannot_be_causal():
    """On the CPU ``F.scaled_dot_product_attention(is_causal=True)`` returns NaN for a negative ``scale``.

    It multiplies what is masked, minus infinity, as well. Give the scale its other sign, and ``-query``.
    """
    x = torch.rand(1, 1, 3, 8, device="cpu")

    result = F.scaled_dot_product_attention(x, x, x, is_causal=True, scale=-2.0)
    turned = F.scaled_dot_product_attention(-x, x, x, is_causal=True, scale=2.0)

    assert result[0, 0, 0].isnan().all()
    masked = torch.ones(3, 3, dtype=torch.bool, device="cpu").tril()
    torch.testing.assert_close(turned, F.scaled_dot_product_attention(x, x, x, masked, scale=-2.0))


@pytest.mark.since("2.1")
@pytest.mark.before("2.3")
def test_a_negative_scale_could_be_causal():
    """On the CPU ``F.scaled_dot_product_attention(is_causal=True)`` takes a negative ``scale``."""
    x = torch.rand(1, 1, 3, 8, device="cpu")

    result = F.scaled_dot_product_attention(x, x, x, is_causal=True, scale=-2.0)

    turned = F.scaled_dot_product_attention(-x, x, x, is_causal=True, scale=2.0)
    torch.testing.assert_close(result, turned)


def test_heads_come_before_the_sequence():
    """``F.scaled_dot_product_attention`` attends over the last axis but one: ``(N, heads, L, E)``.

    Given ``(N, L, heads, E)`` it attends over the heads of each step, without an error: the shapes fit. Use
    ``transpose(1, 2)`` before and after.
    """
    x = torch.rand(2, 4, 3, 8)
    right = F.scaled_dot_product_attention(*[x.transpose(1, 2)] * 3).transpose(1, 2)
    wrong = F.scaled_dot_product_attention(x, x, x)
    changed = x.clone()
    changed[:, 1] = 5.0

    assert wrong.shape == right.shape == x.shape
    assert torch.equal(F.scaled_dot_product_attention(changed, changed, changed)[:, 0], wrong[:, 0])
    moved = F.scaled_dot_product_attention(*[changed.transpose(1, 2)] * 3).transpose(1, 2)
    assert not torch.allclose(moved[:, 0], right[:, 0])


@pytest.mark.parametrize("shape", [(4, 5), (1, 5), (2, 1, 1, 5), (2, 1, 4, 5), (3, 4, 5)], ids=str)
def test_a_mask_is_broadcast_to_the_scores(shape):
    """``attn_mask`` of ``F.scaled_dot_product_attention`` is broadcast to ``(N, heads, L, S)``.

    A mask for each sample of a batch, such as one for padding, is ``mask[:, None, None, :]``.
    """
    query, key, value = torch.rand(2, 3, 4, 8), torch.rand(2, 3, 5, 8), torch.rand(2, 3, 5, 8)
    mask = torch.rand(shape) > 0.4
    mask[..., 1] = True

    result = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    added = F.scaled_dot_product_attention(query, key, value, attn_mask=mask.float().log())

    scores = (query @ key.transpose(-2, -1) / 8**0.5).masked_fill(~mask, -torch.inf)
    torch.testing.assert_close(result, torch.softmax(scores, dim=-1) @ value)
    torch.testing.assert_close(added, result)
    assert not torch.allclose(result, F.scaled_dot_product_attention(query, key, value))


def test_a_padding_mask_is_no_matrix():
    """``F.scaled_dot_product_attention`` raises for a padding mask ``(N, S)``, or takes it for ``(L, S)`` if
    ``N`` is ``L``.

    Then each row of it masks a query of every sample, in silence. Give ``mask[:, None, None, :]``.
    """
    padding = torch.tensor([[True, True, False], [True, True, True]])
    query, key = torch.rand(2, 1, 2, 8), torch.rand(2, 1, 3, 8)

    taken = F.scaled_dot_product_attention(query, key, key, attn_mask=padding)
    right = F.scaled_dot_product_attention(query, key, key, attn_mask=padding[:, None, None])
    rows = F.scaled_dot_product_attention(query, key, key, attn_mask=padding.expand(2, 1, 2, 3))

    assert torch.equal(taken, rows)
    assert not torch.allclose(taken, right)
    with pytest.raises(RuntimeError, match=r"size of tensor a .* must match the size of tensor b"):
        F.scaled_dot_product_attention(torch.rand(2, 1, 3, 8), key, key, attn_mask=padding)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int64], ids=str)
def test_a_mask_has_the_dtype_of_the_query(dtype):
    """For a float32 query, ``F.scaled_dot_product_attention`` takes an ``attn_mask`` of bool or float32 only.

    Any other raises ``RuntimeError``. A tokenizer's mask of integers is to be cast: ``mask.bool()``.

    See also :ref:`layers.attention_function.a_float32_mask_fits_any_query`
    """
    x, mask = torch.rand(1, 1, 2, 8), torch.ones(2, 2).tril()
    x_allowed = F.scaled_dot_product_attention(x, x, x, attn_mask=mask.bool())

    with pytest.raises(RuntimeError, match="Expected attn_mask dtype to be bool or"):
        F.scaled_dot_product_attention(x, x, x, attn_mask=mask.to(dtype))
    torch.testing.assert_close(x_allowed, F.scaled_dot_product_attention(x, x, x, is_causal=True))
    torch.testing.assert_close(F.scaled_dot_product_attention(x, x, x, attn_mask=mask.log()), x_allowed)


@pytest.mark.since("2.4")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_a_float32_mask_fits_any_query(dtype):
    """``F.scaled_dot_product_attention`` takes a float32 ``attn_mask`` with a query of any floating dtype.

    The result has the dtype of the query. A mask of another dtype than float32 has to have that of the query.
    """
    x, mask = torch.rand(1, 1, 2, 8, dtype=dtype), torch.tensor([[0.0, -torch.inf], [0.5, 1.5]])

    result = F.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    assert result.dtype == dtype
    torch.testing.assert_close(result, F.scaled_dot_product_attention(x, x, x, attn_mask=mask.to(dtype)))


@pytest.mark.before("2.4")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_a_float32_mask_fitted_no_other_query(dtype):
    """``F.scaled_dot_product_attention`` refuses a float32 ``attn_mask`` with a query of another dtype.

    It raises ``RuntimeError``: write ``mask.to(query.dtype)``.
    """
    x, mask = torch.rand(1, 1, 2, 8, dtype=dtype), torch.tensor([[0.0, -torch.inf], [0.5, 1.5]])

    with pytest.raises(RuntimeError, match="Expected attn_mask dtype to be bool or to match query dtype"):
        F.scaled_dot_product_attention(x, x, x, attn_mask=mask)


@pytest.mark.since("2.5")
def test_a_query_without_keys_gives_zeros():
    """``F.scaled_dot_product_attention`` returns 0 for a query whose ``attn_mask`` allows no key.

    Its gradients are 0 too.
    """
    x = torch.rand(1, 1, 3, 8, requires_grad=True)
    mask = torch.tensor([[True, False, False], [False, False, False], [True, True, True]])

    for given in (mask, torch.zeros(3, 3).masked_fill(~mask, -torch.inf)):
        x.grad = None
        result = F.scaled_dot_product_attention(x, x.detach(), x.detach(), attn_mask=given)
        result.sum().backward()

        torch.testing.assert_close(result[0, 0, 0], x[0, 0, 0])
        assert result[0, 0, 1].tolist() == [0.0] * 8
        assert x.grad[0, 0, 1].tolist() == [0.0] * 8
        assert x.grad[0, 0, 2].abs().sum().item() > 0


@pytest.mark.before("2.5")
def test_a_query_without_keys_gave_nan():
    """``F.scaled_dot_product_attention`` returns NaN for a query whose ``attn_mask`` allows no key."""
    x = torch.rand(1, 1, 2, 8)
    mask = torch.tensor([[True, True], [False, False]])

    result = F.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    assert result[0, 0].isnan().any(dim=-1).tolist() == [False, True]


def test_values_may_be_of_another_width():
    """``F.scaled_dot_product_attention`` returns the length of the query and the last size of the value.

    Query and key need the same last size; key and value the same length.
    """
    query, key = torch.rand(2, 3, 4, 8), torch.rand(2, 3, 5, 8)

    weights = torch.softmax(query @ key.transpose(-2, -1) / 8**0.5, dim=-1)

    for value in (torch.rand(2, 3, 5, 2), torch.rand(2, 3, 5, 11)):
        for mask in (None, torch.ones(4, 5, dtype=torch.bool)):
            result = F.scaled_dot_product_attention(query, key, value, mask)
            torch.testing.assert_close(result, weights @ value)
    with pytest.raises(RuntimeError, match=r"[Ee]xpected|must match|mat1|size"):
        F.scaled_dot_product_attention(query, key[..., :7], value)
    with pytest.raises(RuntimeError, match=r"[Ee]xpected|must match|mat1|size"):
        F.scaled_dot_product_attention(query, key, value[..., :4, :])


def test_one_head_of_keys_serves_all():
    """``F.scaled_dot_product_attention`` broadcasts keys and values of one head to all heads of the query."""
    query, key, value = torch.rand(2, 3, 4, 8), torch.rand(2, 1, 5, 8), torch.rand(2, 1, 5, 8)

    for mask in (None, torch.ones(4, 5, dtype=torch.bool).tril()):
        result = F.scaled_dot_product_attention(query, key, value, mask)

        for head in range(3):
            alone = F.scaled_dot_product_attention(query[:, head], key[:, 0], value[:, 0], mask)
            torch.testing.assert_close(result[:, head], alone)


@pytest.mark.since("2.5")
def test_groups_of_heads_share_keys():
    """``F.scaled_dot_product_attention`` takes fewer heads of keys than of queries with ``enable_gqa=True``
    only.

    Each head of keys serves a group of neighboring query heads, as ``repeat_interleave`` makes it, not
    ``repeat``. The number of groups has to divide that of the heads.
    """
    query, key, value = torch.rand(2, 6, 4, 8), torch.rand(2, 2, 5, 8), torch.rand(2, 2, 5, 8)

    repeated = [tensor.repeat_interleave(3, dim=1) for tensor in (key, value)]
    for mask in (None, torch.ones(4, 5, dtype=torch.bool).tril()):
        grouped = F.scaled_dot_product_attention(query, key, value, mask, enable_gqa=True)
        torch.testing.assert_close(grouped, F.scaled_dot_product_attention(query, *repeated, mask))
    with pytest.raises(RuntimeError, match=r"size of tensor a .* must match the size of tensor b"):
        F.scaled_dot_product_attention(query, key, value)
    with pytest.raises(RuntimeError, match="key and value must divide the number of heads"):
        F.scaled_dot_product_attention(query[:, :3], key, value, enable_gqa=True)


@pytest.mark.since("2.14")
def test_a_mask_beside_is_causal_is_refused():
    """``F.scaled_dot_product_attention`` raises ``RuntimeError`` for an ``attn_mask`` with
    ``is_causal=True``.

    Put the causal part into the mask: ``mask & torch.ones(L, S, dtype=torch.bool).tril()``.
    """
    x = torch.rand(1, 1, 3, 8)

    for mask in (torch.ones(3, 3, dtype=torch.bool), torch.zeros(3, 3)):
        with pytest.raises(RuntimeError, match="Explicit attn_mask should not be set when is_causal=True"):
            F.scaled_dot_product_attention(x, x, x, attn_mask=mask, is_causal=True, enable_gqa=False)


@pytest.mark.since("2.3")
@pytest.mark.before("2.14")
def test_a_mask_beside_is_causal_was_combined():
    """On the CPU ``F.scaled_dot_product_attention`` applies both ``attn_mask`` and ``is_causal=True``."""
    x = torch.rand(1, 1, 3, 8, device="cpu")
    mask = torch.tensor([[True, True, True], [True, True, True], [True, False, True]], device="cpu")

    both = F.scaled_dot_product_attention(x, x, x, attn_mask=mask, is_causal=True)

    torch.testing.assert_close(both, F.scaled_dot_product_attention(x, x, x, attn_mask=mask & mask.tril()))
    assert not torch.allclose(both, F.scaled_dot_product_attention(x, x, x, is_causal=True))


@pytest.mark.since("2.3")
def test_kernels_that_the_cpu_lacks():
    """On the CPU ``sdpa_kernel`` with ``EFFICIENT_ATTENTION`` or ``CUDNN_ATTENTION`` alone makes attention
    raise.

    It excludes all others: ``RuntimeError``, "No viable backend". ``MATH`` and ``FLASH_ATTENTION`` are there.
    """
    attention = torch.nn.attention
    x = torch.rand(1, 2, 3, 8, device="cpu")
    usual = F.scaled_dot_product_attention(x, x, x)

    for backend in (attention.SDPBackend.MATH, attention.SDPBackend.FLASH_ATTENTION):
        with attention.sdpa_kernel(backend):
            torch.testing.assert_close(F.scaled_dot_product_attention(x, x, x), usual)
    for backend in (attention.SDPBackend.EFFICIENT_ATTENTION, attention.SDPBackend.CUDNN_ATTENTION):
        with attention.sdpa_kernel(backend), pytest.raises(RuntimeError, match="No viable backend for"):
            F.scaled_dot_product_attention(x, x, x)


def test_a_float_mask_cast_to_bool_is_turned_round():
    """``attn_mask.bool()`` of a mask of 0 and ``-inf`` allows what it hid, and hides what it allowed.

    For a boolean mask of ``F.scaled_dot_product_attention``, write ``attn_mask == 0``.
    """
    q, k, v = torch.rand(1, 2, 4), torch.rand(1, 3, 4), torch.eye(3)[None]  # the output is the weights
    allowed = torch.tensor([[True, False, False], [True, True, False]])
    added = torch.zeros(2, 3).masked_fill(~allowed, float("-inf"))

    weights = F.scaled_dot_product_attention(q, k, v, attn_mask=added)
    cast = F.scaled_dot_product_attention(q, k, v, attn_mask=added.bool())
    compared = F.scaled_dot_product_attention(q, k, v, attn_mask=added == 0)

    assert torch.equal(weights[0] > 0, allowed)
    assert torch.equal(cast[0] > 0, ~allowed)
    assert torch.allclose(compared, weights, atol=1e-6)

"""Keys and values that a module of one's own keeps between calls.

Generation goes step by step: each call brings one query, and attends to the keys and values of all steps so
far. torch's attention layers have no such cache; here is what one's own has to mind.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn


def test_a_step_with_cached_keys_gives_the_row_of_the_whole():
    """``F.scaled_dot_product_attention`` of one query and the keys so far gives its row of causal attention.

    No mask is needed. ``is_causal=True`` would hide all keys but the first from it.
    """
    query, key, value = torch.rand(3, 1, 5, 4).double().unbind()
    whole = F.scaled_dot_product_attention(query, key, value, is_causal=True)

    for i in range(5):
        keys, values = key[:, : i + 1], value[:, : i + 1]
        step = F.scaled_dot_product_attention(query[:, i : i + 1], keys, values)
        torch.testing.assert_close(step, whole[:, i : i + 1])
        hidden = F.scaled_dot_product_attention(query[:, i : i + 1], keys, values, is_causal=True)
        torch.testing.assert_close(hidden, value[:, :1])


def test_places_not_yet_filled_have_to_be_masked():
    """``F.scaled_dot_product_attention`` gives empty places of a key cache weight unless a mask hides them.

    A key of zeros has a score of 0, not of ``-inf``. A mask of ``True`` for the places up to the step does
    it.
    """
    query = torch.tensor([[[1.0, 0.0]]])
    keys, values = torch.zeros(1, 4, 2), torch.zeros(1, 4, 2)
    keys[:, :2] = torch.tensor([[0.0, 1.0], [0.0, 5.0]])
    values[:, :2] = torch.tensor([[2.0, 4.0], [6.0, 8.0]])

    open_ = F.scaled_dot_product_attention(query, keys, values)
    masked = F.scaled_dot_product_attention(query, keys, values, attn_mask=torch.arange(4)[None] <= 1)

    torch.testing.assert_close(open_, torch.tensor([[[2.0, 3.0]]]))
    torch.testing.assert_close(masked, torch.tensor([[[4.0, 6.0]]]))


@pytest.mark.parametrize("how", ["written in place", "joined"])
def test_a_cache_keeps_the_graph_of_earlier_calls(how):
    """Keys cached with gradients enabled make the next ``backward()`` raise ``RuntimeError``.

    ``deepcopy`` of the module raises as well. The cache is no leaf: it holds the graph of earlier steps. Fill
    it under ``no_grad``, or with ``key.detach()``.
    """

    class Cached(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([2.0]))
            self.register_buffer("keys", torch.zeros(2 if how == "written in place" else 0))

        def forward(self, x, i):
            key = (self.weight * x).exp()
            if how == "joined":
                self.keys = torch.cat([self.keys, key])
            else:
                self.keys[i : i + 1] = key
            return self.keys.sum()

    layer, x = Cached(), torch.tensor([3.0])
    layer(x, 0).backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        layer(x, 1).backward()
    with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
        copy.deepcopy(layer)

    with torch.no_grad():
        (layer := Cached())(x, 0)
    layer(x, 1).backward()
    assert layer.weight.grad is not None


def test_a_cache_left_from_another_batch_does_not_fit():
    """A key cache kept from a batch of another size makes :func:`torch.cat` raise ``RuntimeError``.

    One written by ``index_copy_`` raises as well. Of the same size it is used in silence: reset it.
    """
    old, new = torch.rand(1, 3, 4), torch.rand(2, 1, 4)

    with pytest.raises(RuntimeError, match="Sizes of tensors must match except in dimension 1"):
        torch.cat([old, new], 1)
    with pytest.raises(RuntimeError, match="must have same slice shapes"):
        old.index_copy_(1, torch.tensor([2]), new)

"""Embeddings: tables of vectors, looked up by number.

The table is the weight: one row for each number that the input may hold.
"""

import pytest
import torch
from torch import nn


def test_an_embedding_looks_rows_up():
    """:class:`~torch.nn.Embedding` returns the rows of its weight at the indices in the input."""
    layer = nn.Embedding(5, 3)
    rows = layer.weight.tolist()

    assert len(rows) == 5
    assert layer(torch.tensor([[4, 0], [2, 4]])).tolist() == [[rows[4], rows[0]], [rows[2], rows[4]]]


def test_only_rows_looked_up_get_a_gradient():
    """By default each lookup in ``nn.Embedding`` adds to the gradient of its row; other rows get zeros.

    ``scale_grad_by_freq=True`` divides it by the number of uses.
    """
    often, scaled = nn.Embedding(4, 2), nn.Embedding(4, 2, scale_grad_by_freq=True)

    often(torch.tensor([1, 3, 1])).sum().backward()
    scaled(torch.tensor([1, 3, 1])).sum().backward()

    assert often.weight.grad.tolist() == [[0.0, 0.0], [2.0, 2.0], [0.0, 0.0], [1.0, 1.0]]
    assert scaled.weight.grad.tolist() == [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]


def test_the_padding_row_gets_no_gradient():
    """The row ``padding_idx`` of ``nn.Embedding`` is initialized to zeros, and its gradient is zero.

    So it stays zeros, unless something else than gradients writes into it.
    """
    layer = nn.Embedding(4, 2, padding_idx=1)

    layer(torch.tensor([1, 3, 1])).sum().backward()

    assert layer.weight[1].tolist() == [0.0, 0.0]
    assert layer.weight.grad.tolist() == [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize(("given", "kept"), [(0, 0), (3, 3), (-1, 3), (-4, 0)])
def test_padding_idx_counts_from_the_end(make, given, kept):
    """A negative ``padding_idx`` of ``Embedding`` or ``EmbeddingBag`` is stored as a non-negative index."""
    assert make(4, 2, padding_idx=given).padding_idx == kept


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize("given", [4, -5], ids=["beyond", "before"])
def test_padding_idx_must_be_a_row(make, given):
    """``Embedding`` and ``EmbeddingBag`` raise ``AssertionError`` for a ``padding_idx`` out of range."""
    with pytest.raises(AssertionError, match=r"(?i)padding_idx must be within num_embeddings"):
        make(4, 2, padding_idx=given)


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize(
    ("how", "requires_grad"), [({}, False), ({"freeze": False}, True)], ids=["default", "freeze=False"]
)
def test_a_pretrained_embedding_is_frozen(make, how, requires_grad):
    """``Embedding.from_pretrained`` uses a tensor as the weight, frozen unless ``freeze=False``.

    The layer shares the memory of the tensor. That of ``EmbeddingBag`` does the same.
    """
    table = torch.rand(4, 3)

    layer = make.from_pretrained(table, **how)

    assert type(layer) is make
    assert layer.weight.data_ptr() == table.data_ptr()
    assert [layer.num_embeddings, layer.embedding_dim] == [4, 3]
    assert layer.weight.requires_grad is requires_grad


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_from_pretrained_leaves_the_padding_row(make):
    """``Embedding.from_pretrained`` accepts ``padding_idx`` and ``max_norm``, and does not zero the padding
    row.
    """
    layer = make.from_pretrained(torch.full((4, 3), 2.0), padding_idx=-1, max_norm=9.0, norm_type=1.0)

    assert [layer.padding_idx, layer.max_norm, layer.norm_type] == [3, 9.0, 1.0]
    assert layer.weight[3].tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_a_pretrained_table_has_two_dimensions(make):
    """``Embedding.from_pretrained`` raises ``AssertionError`` for a tensor that is not 2-dimensional."""
    assert make.from_pretrained(torch.rand(3, 2)).weight.shape == (3, 2)

    with pytest.raises(AssertionError, match="Embeddings parameter is expected to be 2-dimensional"):
        make.from_pretrained(torch.rand(3))
    with pytest.raises(AssertionError, match="Embeddings parameter is expected to be 2-dimensional"):
        make.from_pretrained(torch.rand(3, 2, 4))


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.observed
def test_a_table_must_have_the_sizes_given(make):
    """``Embedding(4, 3, _weight=table)`` raises ``AssertionError`` if ``table`` has another shape."""
    table = torch.rand(4, 3)
    assert torch.equal(make(4, 3, _weight=table).weight, table)

    with pytest.raises(
        AssertionError, match="Shape of weight does not match num_embeddings and embedding_dim"
    ):
        make(4, 3, _weight=torch.rand(3, 4))


@pytest.mark.parametrize(
    ("mode", "rows"),
    [
        ("mean", [[2.5, 5.0], [3.0, 3.0]]),
        ("sum", [[5.0, 10.0], [6.0, 6.0]]),
        ("max", [[4.0, 8.0], [3.0, 3.0]]),
    ],
)
def test_a_bag_reduces_its_rows(mode, rows):
    """:class:`~torch.nn.EmbeddingBag` reduces the rows of each bag to one, by default to their mean."""
    table = torch.tensor([[1.0, 2.0], [4.0, 8.0], [3.0, 3.0]])
    bags = torch.tensor([[0, 1], [2, 2]])

    assert nn.EmbeddingBag(3, 2).mode == "mean"
    assert nn.EmbeddingBag.from_pretrained(table, mode=mode)(bags).tolist() == rows


def test_max_norm_changes_the_table():
    """``max_norm`` of ``nn.Embedding`` renormalizes looked-up rows in place, in the weight itself.

    Rows that are not looked up stay long, and the weight changes without an optimizer, in evaluation too.
    """
    table = torch.tensor([[3.0, 4.0], [6.0, 8.0], [30.0, 40.0]])
    layer = nn.Embedding.from_pretrained(table, max_norm=5.0).eval()

    layer(torch.tensor([1]))

    assert layer.weight[1].tolist() == pytest.approx([3.0, 4.0], rel=1e-4)
    assert layer.weight[2].tolist() == [30.0, 40.0]


def test_a_sparse_embedding_has_sparse_gradients():
    """``Embedding(sparse=True)`` gets a sparse gradient, with the rows that were looked up.

    Of the optimizers ``SGD``, ``SparseAdam`` and ``Adagrad`` take it.
    """
    layer = nn.Embedding(4, 2, sparse=True)

    layer(torch.tensor([1])).sum().backward()

    assert layer.weight.grad.is_sparse is True
    assert layer.weight.grad.coalesce().indices().tolist() == [[1]]
    assert layer.weight.grad.to_dense().tolist() == [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]


def test_how_embeddings_print():
    """``repr`` of ``Embedding`` shows the sizes and non-default options; ``EmbeddingBag`` always shows
    ``mode``.

    ``EmbeddingBag`` never shows ``sparse`` and ``include_last_offset``.
    """
    assert repr(nn.Embedding(5, 3)) == "Embedding(5, 3)"
    assert repr(nn.Embedding(5, 3, 0, 1.5, 3.0, True, True)) == (
        "Embedding(5, 3, padding_idx=0, max_norm=1.5, norm_type=3.0, scale_grad_by_freq=True, sparse=True)"
    )
    assert repr(nn.EmbeddingBag(5, 3, sparse=True)) == "EmbeddingBag(5, 3, mode='mean')"
    assert repr(nn.EmbeddingBag(5, 3, mode="sum", padding_idx=0)) == (
        "EmbeddingBag(5, 3, mode='sum', padding_idx=0)"
    )

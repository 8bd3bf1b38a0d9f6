"""Embeddings: tables of vectors, looked up by number.

The table is the weight: one row for each number that the input may hold.
"""

import pytest
import torch
from torch import nn


def test_an_embedding_looks_rows_up():
    """:class:`~torch.nn.Embedding` returns the rows of its weight that the input numbers name."""
    layer = nn.Embedding(5, 3)
    numbers = torch.tensor([[4, 0], [2, 4]])

    assert layer.weight.shape == (5, 3)
    assert layer(numbers).tolist() == layer.weight[numbers].tolist()


def test_only_rows_looked_up_get_a_gradient():
    """The gradient of an embedding is zero but in the rows looked up, where it counts how often."""
    layer = nn.Embedding(4, 2)

    layer(torch.tensor([1, 3, 1])).sum().backward()

    assert layer.weight.grad.tolist() == [[0.0] * 2, [2.0] * 2, [0.0] * 2, [1.0] * 2]


def test_the_padding_row_gets_no_gradient():
    """The row ``padding_idx`` gets no gradient, so it stays as it is."""
    layer = nn.Embedding(4, 2, padding_idx=1)

    layer(torch.tensor([1, 3, 1])).sum().backward()

    assert layer.weight.grad.tolist() == [[0.0] * 2, [0.0] * 2, [0.0] * 2, [1.0] * 2]


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize(("given", "kept"), [(0, 0), (3, 3), (-1, 3), (-4, 0)])
def test_padding_idx_counts_from_the_end(make, given, kept):
    """A negative ``padding_idx`` counts from the end, and is kept as the row it names."""
    assert make(4, 2, padding_idx=given).padding_idx == kept


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize("given", [4, -5], ids=["beyond", "before"])
def test_padding_idx_must_be_a_row(make, given):
    """A ``padding_idx`` outside the table raises ``AssertionError``."""
    with pytest.raises(AssertionError, match=r"(?i)padding_idx must be within num_embeddings"):
        make(4, 2, padding_idx=given)


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize(
    ("how", "requires_grad"), [({}, False), ({"freeze": False}, True)], ids=["default", "freeze=False"]
)
def test_a_pretrained_embedding_is_frozen(make, how, requires_grad):
    """``from_pretrained`` makes an embedding around a tensor, frozen unless ``freeze=False`` is given."""
    table = torch.rand(4, 3)

    layer = make.from_pretrained(table, **how)

    assert (type(layer), layer.weight.data_ptr()) == (make, table.data_ptr())
    assert (layer.num_embeddings, layer.embedding_dim) == (4, 3)
    assert layer.weight.requires_grad is requires_grad


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_from_pretrained_leaves_the_padding_row(make):
    """``from_pretrained`` hands on its other arguments, and leaves the padding row as it finds it."""
    layer = make.from_pretrained(torch.full((4, 3), 2.0), padding_idx=-1, max_norm=9.0, norm_type=1.0)

    assert (layer.padding_idx, layer.max_norm, layer.norm_type) == (3, 9.0, 1.0)
    assert layer.weight[3].tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_a_pretrained_table_has_two_dimensions(make):
    """``from_pretrained`` refuses a tensor that is no table."""
    with pytest.raises(AssertionError, match="Embeddings parameter is expected to be 2-dimensional"):
        make.from_pretrained(torch.rand(3))


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.observed
def test_a_table_must_have_the_sizes_given(make):
    """A table handed over as ``_weight`` must have the sizes of the embedding."""
    with pytest.raises(
        AssertionError, match="Shape of weight does not match num_embeddings and embedding_dim"
    ):
        make(4, 3, _weight=torch.rand(3, 4))


@pytest.mark.parametrize(("mode", "row"), [("mean", [2.5, 5.0]), ("sum", [5.0, 10.0]), ("max", [4.0, 8.0])])
def test_a_bag_reduces_its_rows(mode, row):
    """:class:`~torch.nn.EmbeddingBag` reduces the rows of each bag to one, by default to their mean."""
    table = torch.tensor([[1.0, 2.0], [4.0, 8.0], [3.0, 3.0]])

    assert nn.EmbeddingBag(3, 2).mode == "mean"
    assert nn.EmbeddingBag.from_pretrained(table, mode=mode)(torch.tensor([[0, 1]])).tolist() == [row]


def test_max_norm_changes_the_table():
    """With ``max_norm`` a lookup shortens the rows it finds too long, in the table itself."""
    layer = nn.Embedding.from_pretrained(torch.tensor([[3.0, 4.0], [6.0, 8.0]]), max_norm=5.0)

    layer(torch.tensor([1]))

    assert layer.weight.tolist() == [[3.0, 4.0], pytest.approx([3.0, 4.0], rel=1e-4)]


def test_a_sparse_embedding_has_sparse_gradients():
    """With ``sparse=True`` the gradient of an embedding is a sparse tensor."""
    layer = nn.Embedding(4, 2, sparse=True)

    layer(torch.tensor([1])).sum().backward()

    assert (layer.weight.grad.is_sparse, layer.weight.grad.to_dense().sum().item()) == (True, 2.0)


def test_how_embeddings_print():
    """An embedding prints its sizes, and of the rest what differs from the default."""
    assert [repr(nn.Embedding(5, 3)), repr(nn.Embedding(5, 3, 0, 1.5, 3.0, True, True))] == [
        "Embedding(5, 3)",
        "Embedding(5, 3, padding_idx=0, max_norm=1.5, norm_type=3.0, scale_grad_by_freq=True, sparse=True)",
    ]
    assert (
        repr(nn.EmbeddingBag(5, 3, mode="sum", padding_idx=0))
        == "EmbeddingBag(5, 3, mode='sum', padding_idx=0)"
    )

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


def test_a_list_of_indices_is_refused():
    """``nn.Embedding`` raises ``TypeError`` for a Python list of indices; it takes a tensor."""
    layer = nn.Embedding.from_pretrained(torch.tensor([[2.0, 3.0], [4.0, 5.0]]))

    assert layer(torch.tensor([1, 0])).tolist() == [[4.0, 5.0], [2.0, 3.0]]
    with pytest.raises(TypeError, match=r"'indices' \(position 2\) must be Tensor, not list"):
        layer([1, 0])


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("shape", [(), (3,), (3, 2), (2, 0, 3), (2, 3, 1, 2)], ids=str)
def test_indices_of_any_shape(dtype, shape):
    """``nn.Embedding`` takes int32 or int64 indices of any shape; the rows are the last dimension."""
    layer, indices = nn.Embedding(5, 4), torch.randint(5, shape, dtype=dtype)

    result = layer(indices)

    assert result.shape == (*shape, 4)
    assert torch.equal(result, layer.weight[indices.long()])


@pytest.mark.parametrize(
    "dtype", [torch.int8, torch.int16, torch.uint8, torch.bool, torch.float32, torch.float64], ids=str
)
def test_indices_are_int32_or_int64(dtype):
    """``nn.Embedding`` raises ``RuntimeError`` for indices that are neither int32 nor int64.

    Tokens that were stored as bytes or as int16 are widened first: ``tokens.long()``.
    """
    with pytest.raises(RuntimeError, match="to have one of the following scalar types: Long, Int; but got"):
        nn.Embedding(5, 4)(torch.tensor([1], dtype=dtype))


@pytest.mark.parametrize("index", [5, -1, -100], ids=["beyond", "negative", "ignored"])
def test_an_index_outside_the_table(index):
    """On CPU ``nn.Embedding`` raises ``IndexError`` for an index below 0, or not below ``num_embeddings``.

    The message, *index out of range in self*, names neither the index nor the layer: compare
    ``indices.max()`` with the number of rows, of the positions' table as well. An index does not count from
    the end, though a ``padding_idx`` may. On a GPU the kernel stops at a device-side assert instead, and no
    later call works.
    """
    layer = nn.Embedding(5, 3, padding_idx=-1, device="cpu")

    for dtype in (torch.int64, torch.int32):
        for indices in (torch.tensor([2, index], device="cpu"), torch.tensor([[index], [2]], device="cpu")):
            with pytest.raises(IndexError, match=r"^index out of range in self$"):
                layer(indices.to(dtype))

    with pytest.raises(IndexError, match="out of range"):
        nn.Embedding(5, 3, max_norm=1.0, device="cpu")(torch.tensor([index], device="cpu"))
    assert layer.padding_idx == 4
    assert torch.equal(layer(torch.tensor([4, 0], device="cpu")), layer.weight[[4, 0]])


def test_only_rows_looked_up_get_a_gradient():
    """By default each lookup in ``nn.Embedding`` adds to the gradient of its row; other rows get zeros.

    ``scale_grad_by_freq=True`` divides it by the number of uses.
    """
    for indices in (torch.tensor([1, 3, 1]), torch.tensor([[1], [3], [1]])):
        often, scaled = nn.Embedding(4, 2), nn.Embedding(4, 2, scale_grad_by_freq=True)
        often(indices).sum().backward()
        scaled(indices).sum().backward()

        assert often.weight.grad.tolist() == [[0.0, 0.0], [2.0, 2.0], [0.0, 0.0], [1.0, 1.0]]
        assert scaled.weight.grad.tolist() == [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_the_padding_row_gets_no_gradient(make):
    """The row ``padding_idx`` of ``nn.Embedding`` is initialized to zeros, and its gradient is zero.

    So it stays zeros, unless something else than gradients writes into it. That of ``EmbeddingBag`` does the
    same.

    See also :ref:`layers.embeddings.weight_decay_changes_the_padding_row`
    """
    layer = make(4, 2, padding_idx=1)

    layer(torch.tensor([[1, 3, 1]])).sum().backward()

    assert layer.weight[1].tolist() == [0.0, 0.0]
    assert layer.weight.grad.tolist() == [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_weight_decay_changes_the_padding_row(make):
    """Weight decay of ``AdamW`` shrinks a nonzero row ``padding_idx`` of ``Embedding`` or ``EmbeddingBag``.

    A zero gradient does not keep the row as it is. Give the table a parameter group with ``weight_decay=0``.
    """
    layer = make.from_pretrained(torch.full((4, 2), 3.0), freeze=False, padding_idx=1)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.5)

    layer(torch.tensor([[1, 2]])).sum().backward()
    optimizer.step()

    assert layer.weight.grad[1].tolist() == [0.0, 0.0]
    assert layer.weight[1].tolist() == pytest.approx([3.0 * (1 - 0.5 * 0.01)] * 2)


def test_the_padding_row_may_be_written():
    """``nn.Embedding(padding_idx=1)`` returns for index 1 the values in row 1, zeros or not.

    The option is about gradients and the first values; it masks nothing. See
    *embedding_bag.padding_is_left_out* for the layer that does leave it out.
    """
    layer = nn.Embedding(4, 2, padding_idx=1)
    assert layer(torch.tensor([1])).tolist() == [[0.0, 0.0]]

    with torch.no_grad():
        layer.weight[1] = torch.tensor([5.0, 7.0])

    assert layer(torch.tensor([1])).tolist() == [[5.0, 7.0]]


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize(("given", "kept"), [(0, 0), (3, 3), (-1, 3), (-4, 0)])
def test_padding_idx_counts_from_the_end(make, given, kept):
    """A negative ``padding_idx`` of ``Embedding`` or ``EmbeddingBag`` is stored as a non-negative index."""
    assert make(4, 2, padding_idx=given).padding_idx == kept


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize("given", [4, -5], ids=["beyond", "before"])
def test_padding_idx_must_be_a_row(make, given):
    """``Embedding`` and ``EmbeddingBag`` raise ``AssertionError`` for a ``padding_idx`` out of range."""
    assert [make(4, 2, padding_idx=index).padding_idx for index in (3, -4)] == [3, 0]
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
def test_defaults_of_from_pretrained(make):
    """``from_pretrained`` of ``Embedding`` and ``EmbeddingBag`` has the constructor's defaults, but freezes
    weights.

    They are no ``padding_idx``, no ``max_norm``, ``norm_type=2.0``, ``scale_grad_by_freq=False`` and
    ``sparse=False``.
    """
    for layer in (make(4, 3), make.from_pretrained(torch.rand(4, 3))):
        assert [layer.padding_idx, layer.max_norm, layer.norm_type] == [None, None, 2.0]
        assert [layer.scale_grad_by_freq, layer.sparse] == [False, False]

    assert make(4, 3).weight.requires_grad is True
    assert make.from_pretrained(torch.rand(4, 3)).weight.requires_grad is False


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_a_pretrained_table_has_two_dimensions(make):
    """``Embedding.from_pretrained`` raises ``AssertionError`` for a tensor that is not 2-dimensional."""
    assert make.from_pretrained(torch.rand(3, 2)).weight.shape == (3, 2)

    for shape in ((3,), (3, 2, 4)):
        with pytest.raises(AssertionError, match="Embeddings parameter is expected to be 2-dimensional"):
            make.from_pretrained(torch.rand(shape))


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_a_table_must_have_the_sizes_given(make):
    """``Embedding(4, 3, _weight=table)`` raises ``AssertionError`` if ``table`` has another shape."""
    table = torch.rand(4, 3)
    assert torch.equal(make(4, 3, _weight=table).weight, table)

    message = "Shape of weight does not match num_embeddings and embedding_dim"
    for shape in ((3, 4), (4, 2), (5, 3)):
        with pytest.raises(AssertionError, match=message):
            make(4, 3, _weight=torch.rand(shape))


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
    layer = nn.EmbeddingBag.from_pretrained(table, mode=mode)
    assert layer(bags).tolist() == layer(bags.flatten(), torch.tensor([0, 2])).tolist() == rows


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize("freeze", [True, False])
def test_max_norm_changes_the_table(make, freeze):
    """``max_norm`` of ``nn.Embedding`` renormalizes looked-up rows in place, in the weight itself.

    Rows that are not looked up stay long. The weight changes without an optimizer, in evaluation too, and
    with it the tensor given to ``from_pretrained``, frozen or not. That of ``EmbeddingBag`` does the same.
    """
    table = torch.tensor([[3.0, 4.0], [6.0, 8.0], [30.0, 40.0]])
    layer = make.from_pretrained(table, freeze, max_norm=5.0)

    layer(torch.tensor([[0], [1]]))
    assert layer.weight[1].tolist() == pytest.approx([3.0, 4.0], rel=1e-4)
    assert layer.weight[2].tolist() == [30.0, 40.0]

    torch.no_grad()(layer.eval())(torch.tensor([[2]]))
    assert layer.weight[2].tolist() == pytest.approx([3.0, 4.0], rel=1e-4)
    assert table.tolist() == layer.weight.tolist()


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize(
    ("how", "row"),
    [({"norm_type": 1.0}, [3.0, -4.0]), ({}, [4.2, -5.6]), ({"norm_type": torch.inf}, [5.25, -7.0])],
    ids=["1", "default", "infinity"],
)
def test_norm_type_says_how_long_a_row_is(make, how, row):
    """``norm_type`` of ``Embedding`` and ``EmbeddingBag`` is the p of the norm that ``max_norm`` limits."""
    layer = make.from_pretrained(torch.tensor([[6.0, -8.0], [1.0, -2.0]]), max_norm=7.0, **how)

    layer(torch.tensor([[0, 1]]))

    assert layer.weight[0].tolist() == pytest.approx(row, rel=1e-4)
    assert layer.weight[1].tolist() == [1.0, -2.0]


def test_max_norm_spoils_what_used_the_weight():
    """Calling ``Embedding(max_norm=1.0)`` after ``weight @ x`` makes ``backward()`` to ``x`` raise
    ``RuntimeError``.

    It raises ``RuntimeError``: the call changes the weight in place, which the product kept for the gradient
    of ``x``. Use ``layer.weight.clone()`` there.
    """
    layer, x = nn.Embedding(3, 2, max_norm=1.0), torch.tensor([1, 2])
    other = torch.rand(2, 4, requires_grad=True)
    before = layer.weight @ other
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        (before.sum() + layer(x).sum()).backward()

    ((layer.weight @ other.detach()).sum() + layer(x).sum()).backward()
    cloned = layer.weight.clone() @ other
    layer.zero_grad()
    (cloned.sum() + layer(x).sum()).backward()

    used = torch.tensor([[0.0], [1.0], [1.0]])
    torch.testing.assert_close(layer.weight.grad, other.sum(1) + used)


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_a_sparse_embedding_has_sparse_gradients(make):
    """``Embedding(sparse=True)`` gets a sparse gradient, with the rows that were looked up.

    That of ``EmbeddingBag`` does the same. Few optimizers take it: see
    *a_few_optimizers_take_sparse_gradients*.
    """
    layer = make(4, 2, sparse=True)

    layer(torch.tensor([[3], [1], [3]])).sum().backward()

    assert layer.weight.grad.is_sparse is True
    assert layer.weight.grad.coalesce().indices().tolist() == [[1, 3]]
    assert layer.weight.grad.to_dense().tolist() == [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [2.0, 2.0]]


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_a_sparse_gradient_is_not_scaled_by_frequency(make, recwarn):
    """``Embedding(scale_grad_by_freq=True, sparse=True)`` raises ``RuntimeError`` in ``backward``.

    So does ``EmbeddingBag``; building and calling the layer do not warn of it.
    """
    loss = make(4, 2, scale_grad_by_freq=True, sparse=True)(torch.tensor([[1, 3, 1]])).sum()
    assert list(recwarn) == []

    with pytest.raises(RuntimeError, match="scale_grad_by_freq not supported with sparse gradients"):
        loss.backward()


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize(
    "optimizer", [torch.optim.SGD, torch.optim.SparseAdam, torch.optim.Adagrad, torch.optim.LBFGS]
)
def test_a_few_optimizers_take_sparse_gradients(make, optimizer):
    """``SGD``, ``SparseAdam``, ``Adagrad`` and ``LBFGS`` take the gradient of ``Embedding(sparse=True)``."""
    layer = make(4, 2, sparse=True)
    before = layer.weight.detach().clone()
    stepper = optimizer(layer.parameters(), lr=0.1)

    def closure():
        stepper.zero_grad()
        loss = layer(torch.tensor([[1, 2]])).square().sum()
        loss.backward()
        return loss

    stepper.step(closure)

    assert (layer.weight != before).all(1).tolist() == [False, True, True, False]
    assert (layer.weight != before).any(1).tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("optimizer", "options", "message"),
    [
        (torch.optim.Adam, {}, "does not support sparse gradients"),
        (torch.optim.AdamW, {}, "does not support sparse gradients"),
        (torch.optim.RMSprop, {}, "does not support sparse gradients"),
        (torch.optim.SGD, {"weight_decay": 0.1}, r"add\(sparse, dense\) is not supported"),
        (torch.optim.Adagrad, {"weight_decay": 0.1}, "not compatible with sparse gradients"),
    ],
    ids=["Adam", "AdamW", "RMSprop", "SGD with weight decay", "Adagrad with weight decay"],
)
def test_other_optimizers_refuse_sparse_gradients(optimizer, options, message):
    """``Adam``, and ``SGD`` with ``weight_decay``, raise ``RuntimeError`` for ``Embedding(sparse=True)``.

    So do ``AdamW``, ``RMSprop``, and ``Adagrad`` with ``weight_decay``.
    """
    layer = nn.Embedding(4, 2, sparse=True)
    layer(torch.tensor([1, 2])).sum().backward()

    with pytest.raises(RuntimeError, match=message):
        optimizer(layer.parameters(), lr=0.1, **options).step()


def test_how_embeddings_print():
    """``repr`` of ``Embedding`` shows the sizes and non-default options; ``EmbeddingBag`` always shows
    ``mode``.

    ``EmbeddingBag`` never shows ``sparse`` and ``include_last_offset``.
    """
    assert repr(nn.Embedding(5, 3)) == "Embedding(5, 3)"
    assert repr(nn.Embedding(5, 3, 0, 1.5, 3.0, True, True)) == (
        "Embedding(5, 3, padding_idx=0, max_norm=1.5, norm_type=3.0, scale_grad_by_freq=True, sparse=True)"
    )
    assert repr(nn.Embedding(5, 3, max_norm=1.5)) == "Embedding(5, 3, max_norm=1.5)"
    assert repr(nn.Embedding(5, 3, sparse=True)) == "Embedding(5, 3, sparse=True)"
    assert repr(nn.EmbeddingBag(5, 3, sparse=True, include_last_offset=True)) == (
        "EmbeddingBag(5, 3, mode='mean')"
    )
    assert repr(nn.EmbeddingBag(5, 3, 1.5, 3.0, True)) == (
        "EmbeddingBag(5, 3, max_norm=1.5, norm_type=3.0, scale_grad_by_freq=True, mode='mean')"
    )
    assert repr(nn.EmbeddingBag(5, 3, mode="sum", padding_idx=0)) == (
        "EmbeddingBag(5, 3, mode='sum', padding_idx=0)"
    )


def test_a_sparse_gradient_leaves_the_padding_row_out():
    """The sparse gradient of ``nn.Embedding(sparse=True, padding_idx=1)`` holds nothing for row 1."""
    embedding = nn.Embedding(4, 2, sparse=True, padding_idx=1)
    embedding(torch.tensor([3, 1, 1])).sum().backward()

    assert embedding.weight.grad.coalesce().indices().tolist() == [[3]]
    assert embedding.weight.grad.to_dense().tolist() == [[0, 0], [0, 0], [0, 0], [1, 1]]

"""EmbeddingBag: rows of a table, looked up and reduced in one step.

A bag is a group of indices, and gives one row. Bags of equal length are the rows of a 2D input; bags of any
length stand one after another in a 1D input, and ``offsets`` says where each begins. What the table has in
common with :class:`~torch.nn.Embedding` is in *embeddings*.
"""

import pytest
import torch
from torch import nn

TABLE = torch.tensor([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0], [8.0, 80.0]])


def test_defaults():
    """``EmbeddingBag`` and its ``from_pretrained`` default to ``mode="mean"``,
    ``include_last_offset=False``.
    """
    layer, pretrained = nn.EmbeddingBag(4, 2), nn.EmbeddingBag.from_pretrained(TABLE)

    assert [layer.mode, layer.include_last_offset] == ["mean", False]
    assert [pretrained.mode, pretrained.include_last_offset] == ["mean", False]


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_a_bag_makes_no_tensor_of_its_rows(mode):
    """``EmbeddingBag`` reduces bags without a tensor of all rows looked up, unlike ``Embedding`` then
    ``sum``.

    A bag of 1000 indices needs no memory for 1000 rows.
    """
    table, x = torch.rand(9, 64), torch.randint(9, (5, 1000))
    bag, rows = nn.EmbeddingBag.from_pretrained(table, mode=mode), nn.Embedding.from_pretrained(table)
    reduce = "amax" if mode == "max" else mode

    def largest(function):
        with torch.profiler.profile(profile_memory=True) as seen:
            function(x)
        return max(event.self_cpu_memory_usage for event in seen.events())

    assert largest(lambda x: getattr(rows(x), reduce)(1)) == 5 * 1000 * 64 * 4
    assert largest(bag) < 5 * 1000 * 64 * 4 / 10
    assert torch.allclose(bag(x), getattr(rows(x), reduce)(1), rtol=1e-4)


def test_offsets_say_where_bags_begin():
    """By default ``EmbeddingBag`` of a 1D input begins a bag at each of its ``offsets``, which start with 0.

    See also :ref:`layers.embedding_bag.the_last_offset_may_end_the_last_bag`
    """
    layer = nn.EmbeddingBag.from_pretrained(TABLE, mode="sum")
    x = torch.tensor([0, 1, 2, 3, 3])

    assert layer(x, torch.tensor([0, 2])).tolist() == [[3.0, 30.0], [20.0, 200.0]]
    assert layer(x, torch.tensor([0, 1, 4])).tolist() == [[1.0, 10.0], [14.0, 140.0], [8.0, 80.0]]
    largest = nn.EmbeddingBag.from_pretrained(TABLE, mode="max")
    assert largest(x, torch.tensor([0, 1, 4])).tolist() == [[1.0, 10.0], [8.0, 80.0], [8.0, 80.0]]
    mean = nn.EmbeddingBag.from_pretrained(TABLE)
    assert mean(x, torch.tensor([0, 1, 3])).tolist() == [[1.0, 10.0], [3.0, 30.0], [8.0, 80.0]]
    with pytest.raises(RuntimeError, match=r"offsets\[0\] has to be 0"):
        layer(x, torch.tensor([1, 2]))


def test_one_dimension_needs_offsets():
    """``EmbeddingBag`` raises ``ValueError`` for a 1D input unless ``offsets`` are given, and are 1D too.

    One bag of everything is ``layer(x.unsqueeze(0))``.
    """
    layer, x = nn.EmbeddingBag.from_pretrained(TABLE, mode="sum"), torch.tensor([0, 1, 3])

    for mode in ("sum", "mean", "max"):
        with pytest.raises(ValueError, match=r"^offsets has to be a 1D Tensor but got None$"):
            nn.EmbeddingBag(4, 2, mode=mode)(x)
        with pytest.raises(ValueError, match=r"^offsets has to be a 1D Tensor$"):
            nn.EmbeddingBag(4, 2, mode=mode)(x, torch.tensor([[0, 2]]))
    assert layer(x.unsqueeze(0)).tolist() == [[11.0, 110.0]]


def test_two_dimensions_refuse_offsets():
    """``EmbeddingBag`` raises ``ValueError`` for ``offsets`` with a 2D input, each row of which is a bag.

    They are not ignored. Other numbers of dimensions raise ``ValueError`` as well.
    """
    layer = nn.EmbeddingBag.from_pretrained(TABLE, mode="sum")
    x = torch.tensor([[0, 1], [2, 3]])

    assert layer(x).tolist() == [[3.0, 30.0], [12.0, 120.0]]
    for mode in ("sum", "mean", "max"):
        with pytest.raises(ValueError, match="if input is 2D, then offsets has to be None"):
            nn.EmbeddingBag(4, 2, mode=mode)(x, torch.tensor([0, 2]))
    for wrong in (x.unsqueeze(0), x[0, 0]):
        with pytest.raises(
            ValueError, match=f"to be 1D or 2D Tensor, but got Tensor of dimension {wrong.ndim}"
        ):
            layer(wrong)


def test_the_last_offset_may_end_the_last_bag():
    """With ``EmbeddingBag(include_last_offset=True)`` the last offset ends the last bag and begins none.

    That is the form of a CSR matrix: one offset more than there are bags. Indices after the last offset are
    not used.
    """
    layer = nn.EmbeddingBag.from_pretrained(TABLE, mode="sum", include_last_offset=True)
    x = torch.tensor([0, 1, 2, 3])

    assert layer(x, torch.tensor([0, 1, 4])).tolist() == [[1.0, 10.0], [14.0, 140.0]]
    assert layer(x, torch.tensor([0, 1, 3])).tolist() == [[1.0, 10.0], [6.0, 60.0]]
    for mode, rows in (("mean", [[1.5, 15.0], [6.0, 60.0]]), ("max", [[2.0, 20.0], [8.0, 80.0]])):
        layer = nn.EmbeddingBag.from_pretrained(TABLE, mode=mode, include_last_offset=True)
        assert layer(x, torch.tensor([0, 2, 4])).tolist() == rows


@pytest.mark.since("2.10")
@pytest.mark.parametrize(
    ("mode", "rows"),
    [
        ("sum", [[3.0, 30.0], [12.0, 120.0]]),
        ("mean", [[1.5, 15.0], [6.0, 60.0]]),
        ("max", [[2.0, 20.0], [8.0, 80.0]]),
    ],
)
def test_rows_have_no_last_offset(mode, rows):
    """``EmbeddingBag(include_last_offset=True)`` computes the same as without for a 2D input."""
    layer = nn.EmbeddingBag.from_pretrained(TABLE, mode=mode, include_last_offset=True)
    without = nn.EmbeddingBag.from_pretrained(TABLE, mode=mode)

    assert layer(torch.tensor([[0, 1], [2, 3]])).tolist() == rows
    assert without(torch.tensor([[0, 1], [2, 3]])).tolist() == rows


@pytest.mark.before("2.10")
def test_the_last_row_was_lost():
    """``EmbeddingBag(include_last_offset=True)`` leaves out the last row of a 2D input.

    Leave the option out for a 2D input.
    """
    layer = nn.EmbeddingBag.from_pretrained(TABLE, mode="sum", include_last_offset=True)

    assert layer(torch.tensor([[0, 1], [2, 3]])).tolist() == [[3.0, 30.0]]


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_an_empty_bag_gives_zeros(mode):
    """``EmbeddingBag`` returns zeros for an empty bag, where an offset is the same as the next.

    In each ``mode``; the rows of the table need not be near zero.
    """
    layer = nn.EmbeddingBag.from_pretrained(-TABLE, mode=mode)

    for last in (False, True):
        layer.include_last_offset = last
        result = layer(torch.tensor([1]), torch.tensor([0, 0, 1] + [1] * last))

        assert result.tolist() == [[0.0, 0.0], [-2.0, -20.0], [0.0, 0.0]]


@pytest.mark.parametrize(("mode", "first"), [("sum", 3.0), ("mean", 1.5), ("max", 2.0)])
@pytest.mark.parametrize("offsets", [torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("indices", [torch.int32, torch.int64], ids=str)
def test_indices_and_offsets_may_differ_in_dtype(indices, offsets, mode, first):
    """``EmbeddingBag`` accepts int32 ``input`` with int64 ``offsets``, and the reverse."""
    layer, weighing = (nn.EmbeddingBag.from_pretrained(TABLE, mode=kind) for kind in (mode, "sum"))
    given = torch.tensor([0, 1, 3], dtype=indices), torch.tensor([0, 2], dtype=offsets)

    result = layer(*given)
    weighed = weighing(*given, per_sample_weights=torch.tensor([2.0, 3.0, 5.0]))

    assert result.tolist() == [[first, first * 10], [8.0, 80.0]]
    assert weighed.tolist() == [[8.0, 80.0], [40.0, 400.0]]


def test_per_sample_weights_scale_the_rows():
    """``EmbeddingBag(mode="sum")`` multiplies each row by its entry in ``per_sample_weights``.

    Without them each row counts once.
    """
    layer = nn.EmbeddingBag.from_pretrained(TABLE, mode="sum")
    x, weights = torch.tensor([0, 1, 1, 3]), torch.tensor([3.0, 5.0, 7.0, 0.5])

    assert layer(x, torch.tensor([0, 2]), weights).tolist() == [[13.0, 130.0], [18.0, 180.0]]
    assert layer(x.reshape(2, 2), None, weights.reshape(2, 2)).tolist() == [[13.0, 130.0], [18.0, 180.0]]
    assert layer(x, torch.tensor([0, 2])).tolist() == [[3.0, 30.0], [10.0, 100.0]]


@pytest.mark.parametrize("mode", ["mean", "max"])
def test_only_a_sum_is_weighted(mode):
    """``EmbeddingBag`` raises ``NotImplementedError`` for ``per_sample_weights`` unless ``mode="sum"``.

    The default is ``"mean"``: a weighted mean is a weighted sum with weights that add up to 1.
    """
    layer = nn.EmbeddingBag.from_pretrained(TABLE, mode=mode)

    for x, offsets in ((torch.tensor([[0, 1]]), None), (torch.tensor([0, 1]), torch.tensor([0]))):
        with pytest.raises(NotImplementedError, match="per_sample_weights is only supported for mode='sum'"):
            layer(x, offsets, per_sample_weights=torch.tensor([0.25, 0.75]).view(x.shape))


def test_weights_of_padding_get_no_gradient():
    """The gradient of ``per_sample_weights`` of ``EmbeddingBag`` is 0 where the index is ``padding_idx``.

    Elsewhere it is the row of the table times the gradient of the output, added up.
    """
    table = torch.tensor([[1.0, 2.0], [3.0, 5.0], [7.0, 11.0]])
    layer = nn.EmbeddingBag.from_pretrained(table, mode="sum", freeze=False)
    weights = torch.tensor([[0.5, 0.25, 2.0]], requires_grad=True)

    for padding, expected in ((None, [[30.0, 80.0, 180.0]]), (1, [[30.0, 0.0, 180.0]])):
        weights.grad, layer.padding_idx = None, padding
        output = layer(torch.tensor([[0, 1, 2]]), per_sample_weights=weights)
        (output * 10).sum().backward()
        assert weights.grad.tolist() == expected


@pytest.mark.since("2.6")
@pytest.mark.parametrize("size", [(1, 2), (2,)], ids=["rows", "offsets"])
def test_weights_of_a_frozen_table_are_trained(size):
    """``EmbeddingBag`` with a frozen table gives ``per_sample_weights`` their gradient."""
    layer, weights = nn.EmbeddingBag.from_pretrained(TABLE, mode="sum"), torch.ones(size, requires_grad=True)
    offsets = torch.tensor([0]) if len(size) == 1 else None

    layer(torch.tensor([0, 2]).view(size), offsets, weights).sum().backward()

    assert weights.grad.flatten().tolist() == TABLE[[0, 2]].sum(1).tolist()
    assert layer.weight.grad is None


@pytest.mark.before("2.6")
def test_weights_of_a_frozen_table_were_an_error():
    """``EmbeddingBag`` with a frozen table raises ``RuntimeError`` for trained ``per_sample_weights``.

    Under ``torch.no_grad()`` it does not. A table with ``freeze=False`` that no optimizer is given helps.
    """
    layer, weights = nn.EmbeddingBag.from_pretrained(TABLE, mode="sum"), torch.ones(1, 2, requires_grad=True)

    with torch.no_grad():
        assert layer(torch.tensor([[0, 2]]), per_sample_weights=weights).tolist() == [
            TABLE[[0, 2]].sum(0).tolist()
        ]
    with pytest.raises(RuntimeError, match="isDifferentiableType"):
        layer(torch.tensor([[0, 2]]), per_sample_weights=weights)


def test_per_sample_weights_have_the_shape_of_the_input():
    """``EmbeddingBag`` raises ``ValueError`` if ``per_sample_weights`` has not the shape of the input."""
    layer = nn.EmbeddingBag.from_pretrained(TABLE, mode="sum")

    with pytest.raises(ValueError, match="it must have the same shape as the input"):
        layer(torch.tensor([[0, 1]]), per_sample_weights=torch.tensor([3.0, 5.0]))
    with pytest.raises(ValueError, match="it must have the same shape as the input"):
        layer(torch.tensor([0, 1]), torch.tensor([0]), torch.tensor([3.0]))


@pytest.mark.parametrize(
    ("table", "weights"),
    [(torch.float32, torch.float64), (torch.float64, torch.float32), (torch.float32, torch.int64)],
    ids=str,
)
def test_per_sample_weights_have_the_dtype_of_the_table(table, weights):
    """``EmbeddingBag`` raises ``RuntimeError`` if ``per_sample_weights`` has not the dtype of its weight."""
    layer = nn.EmbeddingBag.from_pretrained(TABLE.to(table), mode="sum")
    x, given = torch.tensor([[0, 1]]), torch.tensor([[3, 5]])

    assert layer(x, per_sample_weights=given.to(table)).tolist() == [[13.0, 130.0]]
    with pytest.raises(RuntimeError, match=r"to have the same type as tensor .*'per_sample_weights'"):
        layer(x, per_sample_weights=given.to(weights))


@pytest.mark.parametrize(
    ("mode", "rows"),
    [
        ("sum", [[5.0, 50.0], [0.0, 0.0]]),
        ("mean", [[2.5, 25.0], [0.0, 0.0]]),
        ("max", [[4.0, 40.0], [0.0, 0.0]]),
    ],
)
def test_padding_is_left_out(mode, rows):
    """``EmbeddingBag(padding_idx=3)`` leaves index 3 out of the sum, mean and maximum, and of the count.

    What is in row 3 never shows: a bag of padding alone gives zeros, whatever was written there.
    """
    for index in (3, -1):
        layer = nn.EmbeddingBag.from_pretrained(TABLE, mode=mode, padding_idx=index)

        assert layer.weight[3].tolist() == [8.0, 80.0]
        assert layer(torch.tensor([[0, 3, 2], [3, 3, 3]])).tolist() == rows
        assert layer(torch.tensor([0, 3, 2, 3]), torch.tensor([0, 3])).tolist() == rows


@pytest.mark.since("2.14")
def test_gradients_may_be_scaled_by_frequency():
    """``EmbeddingBag(scale_grad_by_freq=True)`` divides the gradient of a row by its uses in the input."""
    x = torch.tensor([[1, 3], [1, 2], [1, 1]])
    plain = nn.EmbeddingBag(4, 1, mode="sum")
    scaled = nn.EmbeddingBag(4, 1, mode="sum", scale_grad_by_freq=True)

    plain(x).sum().backward()
    scaled(x).sum().backward()

    assert plain.weight.grad.flatten().tolist() == [0.0, 4.0, 1.0, 1.0]
    assert scaled.weight.grad.flatten().tolist() == [0.0, 1.0, 1.0, 1.0]
    scaled.zero_grad()
    scaled(x.flatten(), torch.tensor([0, 1, 4])).sum().backward()
    assert scaled.weight.grad.flatten().tolist() == [0.0, 1.0, 1.0, 1.0]
    mean = nn.EmbeddingBag(4, 1, mode="mean", scale_grad_by_freq=True)
    mean(x).sum().backward()
    assert mean.weight.grad.flatten().tolist() == [0.0, 0.5, 0.5, 0.5]


@pytest.mark.before("2.14")
def test_gradients_were_scaled_by_other_frequencies():
    """``EmbeddingBag(scale_grad_by_freq=True)`` divides the gradient of a row by the uses of another row.

    Use ``nn.Embedding(scale_grad_by_freq=True)`` and add the rows up.
    """
    x = torch.tensor([[1, 3], [1, 2], [1, 1]])
    scaled = nn.EmbeddingBag(4, 1, mode="sum", scale_grad_by_freq=True)

    scaled(x).sum().backward()

    assert scaled.weight.grad.flatten().tolist() == [0.0, 1.0, 0.25, 0.25]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("scale_grad_by_freq", "max mode does not support scaling the gradient by the frequency"),
        ("sparse", "max mode does not support sparse weights"),
    ],
)
def test_the_maximum_takes_no_such_option(option, message):
    """``EmbeddingBag(mode="max")`` raises ``ValueError`` with ``scale_grad_by_freq`` or ``sparse``.

    It does so when called, not when it is built.
    """
    layer = nn.EmbeddingBag(4, 2, mode="max", **{option: True})

    with pytest.raises(ValueError, match=f"^{message}$"):
        layer(torch.tensor([[0, 1]]))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("index", [5, -1], ids=["beyond", "negative"])
def test_an_index_outside_the_table_of_a_bag(index, mode):
    """On CPU ``nn.EmbeddingBag`` without ``max_norm`` raises ``RuntimeError`` for an index outside its table.

    With ``max_norm``, an index beyond the table raises ``IndexError``. The message tells the index and, but
    for ``mode="max"``, where it stands. See also :ref:`layers.embeddings.an_index_outside_the_table`
    """
    layer = nn.EmbeddingBag(5, 3, mode=mode, device="cpu")
    message = f"found idx to be {index}$" if mode == "max" else rf"Index 1 .*{index}\b"
    bag, begin = torch.tensor([2, index], device="cpu"), torch.tensor([0], device="cpu")

    for given in ((bag[None],), (bag, begin)):
        with pytest.raises(RuntimeError, match=message):
            layer(*given)
    with pytest.raises(IndexError, match="out of range"):
        nn.EmbeddingBag(5, 3, max_norm=1.0, mode=mode, device="cpu")(torch.tensor([[2, 5]], device="cpu"))

    assert torch.equal(layer(torch.tensor([[4]], device="cpu")), layer.weight[[4]])

"""Orthogonal and sparse first values.

:func:`~torch.nn.init.orthogonal_` makes rows or columns that are perpendicular,
:func:`~torch.nn.init.sparse_` leaves most of each column zero.
"""

import pytest
import torch
from torch import nn


@pytest.mark.parametrize("sizes", [(3, 5), (4, 4)], ids=["wide", "square"])
def test_rows_of_a_wide_matrix_are_orthonormal(sizes):
    """:func:`nn.init.orthogonal_ <torch.nn.init.orthogonal_>` makes the rows orthonormal if a matrix has
    at most as many rows as columns.
    """
    weight = torch.empty(sizes)

    result = nn.init.orthogonal_(weight)

    assert result is weight
    assert torch.allclose(weight @ weight.T, torch.eye(sizes[0]), atol=1e-5)


def test_columns_of_a_tall_matrix_are_orthonormal():
    """:func:`nn.init.orthogonal_ <torch.nn.init.orthogonal_>` makes the columns orthonormal if a matrix
    has more rows than columns.
    """
    weight = nn.init.orthogonal_(torch.empty(5, 3))

    assert torch.allclose(weight.T @ weight, torch.eye(3), atol=1e-5)
    assert torch.allclose(weight @ weight.T, torch.eye(5), atol=1e-5) is False


@pytest.mark.parametrize("gain", [3.0, -0.5])
def test_gain_scales_an_orthogonal_matrix(gain):
    """``nn.init.orthogonal_(weight, gain)`` multiplies the orthogonal matrix by ``gain``."""
    for sizes in ((3, 5), (5, 3)):
        torch.manual_seed(3)
        model = nn.init.orthogonal_(torch.empty(sizes))
        torch.manual_seed(3)
        weight = nn.init.orthogonal_(torch.empty(sizes), gain)

        torch.testing.assert_close(weight, gain * model)


def test_trailing_dimensions_are_flattened():
    """``nn.init.orthogonal_`` treats a convolution weight as the matrix ``weight.flatten(1)``.

    That matrix is orthogonal, not the convolution: the norm of its output
    may still differ from that of its input.
    """
    wide, tall = torch.empty(3, 2, 2, 2), torch.empty(5, 3, 1)

    for weight in (wide, tall):
        nn.init.orthogonal_(weight)

    for rows in (wide.view(3, 8), tall.view(5, 3).T):
        assert torch.allclose(rows @ rows.T, torch.eye(3), atol=1e-5)


def test_orthogonal_refuses_channels_last():
    """``nn.init.orthogonal_`` of a ``Conv2d`` weight in ``channels_last`` format raises ``RuntimeError``.

    It fills the tensor by way of a view as a matrix, which that format does not have. Initialize first, then
    convert. A kernel of 1 by 1 is in both formats, and is filled.
    """
    layer = nn.Conv2d(4, 3, 5).to(memory_format=torch.channels_last)
    early, small = nn.Conv2d(4, 3, 5), nn.Conv2d(4, 3, 1).to(memory_format=torch.channels_last)

    with pytest.raises(RuntimeError, match="view size is not compatible with input tensor's size and stride"):
        nn.init.orthogonal_(layer.weight)

    nn.init.orthogonal_(early.weight)
    nn.init.orthogonal_(small.weight)
    for weight in (early.to(memory_format=torch.channels_last).weight, small.weight):
        rows = weight.flatten(1)
        assert torch.allclose(rows @ rows.T, torch.eye(3), atol=1e-5)


def test_the_orthogonal_matrix_has_no_favoured_sign():
    """:func:`nn.init.orthogonal_ <torch.nn.init.orthogonal_>` uses Q of a QR decomposition of normal values,
    with a positive diagonal of R.

    With these signs, no orthogonal matrix is likelier than another.
    """
    torch.manual_seed(3)
    tall, wide = nn.init.orthogonal_(torch.empty(5, 3)), nn.init.orthogonal_(torch.empty(3, 5))

    torch.manual_seed(3)
    r_of_tall = tall.T @ torch.empty(5, 3).normal_()
    r_of_wide = wide @ torch.empty(3, 5).normal_().T

    for r in (r_of_tall, r_of_wide):
        assert torch.allclose(r, r.triu(), atol=1e-5)
        assert (r.diagonal() > 0).tolist() == [True] * 3


def test_an_empty_orthogonal_matrix():
    """:func:`nn.init.orthogonal_ <torch.nn.init.orthogonal_>` of an empty tensor does nothing and returns
    that tensor.
    """
    without_rows, without_columns = torch.empty(0, 3), torch.empty(3, 0)
    before = torch.get_rng_state()

    assert nn.init.orthogonal_(without_rows) is without_rows
    assert nn.init.orthogonal_(without_columns) is without_columns
    assert torch.equal(torch.get_rng_state(), before)


def test_orthogonal_needs_two_dimensions():
    """:func:`nn.init.orthogonal_ <torch.nn.init.orthogonal_>` raises ``ValueError`` for a one-dimensional
    tensor.
    """
    with pytest.raises(ValueError, match="Only tensors with 2 or more dimensions are supported"):
        nn.init.orthogonal_(torch.empty(3))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_orthogonal_knows_no_half_precision(dtype):
    """:func:`nn.init.orthogonal_ <torch.nn.init.orthogonal_>` raises ``RuntimeError`` for ``bfloat16`` and
    ``float16``.

    Its QR decomposition is there for ``float32`` and ``float64`` only. Initialize first, then cast.
    """
    with pytest.raises(RuntimeError, match=r"not implemented for '(BFloat16|Half)'"):
        nn.init.orthogonal_(torch.empty(3, 2, dtype=dtype))

    weight = nn.init.orthogonal_(torch.empty(3, 2)).to(dtype).float()
    torch.testing.assert_close(weight.T @ weight, torch.eye(2), rtol=0, atol=0.02)
    double = nn.init.orthogonal_(torch.empty(3, 2, dtype=torch.float64))
    torch.testing.assert_close(double.T @ double, torch.eye(2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("sparsity", "zeros"), [(0.5, 3), (0.4, 3), (0.0, 0), (1.0, 6)], ids=["half", "rounded up", "none", "all"]
)
def test_sparse_zeroes_a_share_of_each_column(sparsity, zeros):
    """``nn.init.sparse_(weight, sparsity)`` sets that fraction of each column to zero, rounded up.

    A column holds what one input sends to all outputs of an ``nn.Linear``.
    """
    for columns in (4, 9):
        weight = torch.full((6, columns), 50.0)

        result = nn.init.sparse_(weight, sparsity)

        assert result is weight
        assert (weight == 0).sum(dim=0).tolist() == [zeros] * columns


def test_columns_of_sparse_are_zeroed_independently():
    """:func:`nn.init.sparse_ <torch.nn.init.sparse_>` chooses which rows are zero independently for each
    column.
    """
    weight = nn.init.sparse_(torch.empty(20, 30), 0.5)

    patterns = {tuple(column) for column in (weight == 0).T.tolist()}

    assert len(patterns) > 20


@pytest.mark.parametrize(("arguments", "std"), [((), 0.01), ((3.0,), 3.0)], ids=["default", "given"])
def test_the_rest_of_sparse_is_normal(arguments, std):
    """The nonzero values of :func:`nn.init.sparse_ <torch.nn.init.sparse_>` are normal with standard
    deviation ``std``, 0.01 by default.
    """
    weight = nn.init.sparse_(torch.empty(100, 200), 0.5, *arguments)

    kept = weight[weight != 0]
    assert kept.numel() == 10_000
    assert kept.mean().item() == pytest.approx(0, abs=0.05 * std)
    assert kept.std().item() == pytest.approx(std, rel=0.05)
    assert (kept.abs() < std).float().mean().item() == pytest.approx(0.683, abs=0.02)


@pytest.mark.parametrize("sizes", [(3,), (2, 3, 4)], ids=["vector", "three dimensions"])
def test_sparse_needs_a_matrix(sizes):
    """:func:`nn.init.sparse_ <torch.nn.init.sparse_>` raises ``ValueError`` for a tensor that is not
    two-dimensional.
    """
    with pytest.raises(ValueError, match="Only tensors with 2 dimensions are supported"):
        nn.init.sparse_(torch.empty(sizes), 0.5)

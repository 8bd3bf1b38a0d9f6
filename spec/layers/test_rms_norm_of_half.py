"""RMSNorm in half precision.

:class:`~torch.nn.RMSNorm` squares its input, and squares soon leave the range of float16.
"""

import warnings

import pytest
import torch
from torch import nn


@pytest.mark.since("2.6")
def test_squares_do_not_overflow():
    """``nn.RMSNorm`` normalizes float16 values above 256, although their squares exceed float16.

    It computes in float32 and rounds the result.
    """
    x = torch.tensor([300.0, -900.0], dtype=torch.float16)

    result = nn.RMSNorm(2, dtype=torch.float16)(x)

    assert (x * x).isinf().all()
    assert result.dtype == torch.float16
    assert result.tolist() == pytest.approx([0.2**0.5, -(1.8**0.5)], rel=1e-3)


@pytest.mark.since("2.4")
@pytest.mark.before("2.6")
def test_squares_overflowed():
    """``nn.RMSNorm`` turns float16 values above 256 into zeros, since their squares are infinite.

    Cast the input to float32 for the layer.
    """
    x = torch.tensor([300.0, -900.0], dtype=torch.float16)

    assert nn.RMSNorm(2, dtype=torch.float16)(x).tolist() == [0.0, 0.0]


@pytest.mark.since("2.9")
def test_two_dtypes_are_slow():
    """``nn.RMSNorm`` with a float32 weight warns for bfloat16 input: mixed dtypes take a slower way.

    The result has the dtype of the input. Torch warns once in a process. Cast the layer, or compute it in
    ``torch.autocast`` (:issue:`174824`).
    """
    x = torch.tensor([[3.0, -4.0]], dtype=torch.bfloat16)

    with pytest.warns(UserWarning, match="Mismatch dtype between input and weight"):
        result = nn.RMSNorm(2)(x)

    assert result.dtype == torch.bfloat16
    assert result.tolist() == [pytest.approx([0.6 * 2**0.5, -0.8 * 2**0.5], rel=0.01)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert nn.RMSNorm(2, dtype=torch.bfloat16)(x).tolist() == result.tolist()
        assert nn.RMSNorm(2, elementwise_affine=False)(x).tolist() == result.tolist()

"""RMSNorm in half precision.

:class:`~torch.nn.RMSNorm` squares its input, and squares soon leave the range of float16.
"""

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

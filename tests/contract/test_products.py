"""Products in 16 bits."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nnspec.contract.products import AddedInFloat32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_product_is_what_float32_gives_rounded(dtype):
    layer, image = nn.Conv2d(3, 4, 3), torch.randn(2, 3, 8, 8)
    layer.to(dtype)
    with AddedInFloat32():
        short = layer(image.to(dtype))
        product = torch.ones(2, 4, dtype=dtype) @ torch.full((4, 3), 0.1, dtype=dtype)

    wide = layer.float()(image.to(dtype).float())
    assert short.dtype == product.dtype == dtype
    assert torch.equal(short, wide.to(dtype))
    assert torch.equal(product, (4 * torch.full((2, 3), 0.1, dtype=dtype).float()).to(dtype))


def test_a_sum_above_65504_is_infinite_still():
    layer = nn.Linear(4, 1, bias=False)
    nn.init.constant_(layer.weight, 3e4)
    with AddedInFloat32():
        assert layer.half()(torch.ones(1, 4, dtype=torch.float16)).isinf().all()


def test_dtypes_that_differ_are_refused_as_ever():
    layer = nn.Conv2d(3, 4, 3)
    with AddedInFloat32(), pytest.raises(RuntimeError, match="should be the same"):
        layer(torch.ones(1, 3, 8, 8, dtype=torch.bfloat16))


def test_gradients_go_through_it():
    layer = nn.Linear(2, 1).bfloat16()
    with AddedInFloat32():
        layer(torch.ones(3, 2, dtype=torch.bfloat16)).sum().backward()
    assert layer.weight.grad.tolist() == [[3.0, 3.0]]

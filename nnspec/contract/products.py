"""Products in 16 bits, computed as accelerators do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

_PRODUCTS = frozenset(
    {
        torch.ops.aten.addmm.default,
        torch.ops.aten.baddbmm.default,
        torch.ops.aten.bmm.default,
        torch.ops.aten.convolution.default,
        torch.ops.aten.mm.default,
    }
)


class AddedInFloat32(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Products of matrices and convolutions in float16 and bfloat16 are added up in float32, and rounded.

    So do accelerators. A CPU without arithmetic for them takes up to thirty times as long by itself.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """The same in float32, where a product is of plain tensors of one such dtype on the CPU."""
        tensors = [arg for arg in args if isinstance(arg, Tensor)]
        if func not in _PRODUCTS or not all(map(_is_short, tensors)) or len({t.dtype for t in tensors}) > 1:
            return func(*args, **(kwargs or {}))
        wide = [arg.float() if isinstance(arg, Tensor) else arg for arg in args]
        return func(*wide, **(kwargs or {})).to(tensors[0].dtype)


def _is_short(tensor: Tensor) -> bool:
    return type(tensor) in (Tensor, nn.Parameter) and tensor.is_cpu and tensor.dtype in _SHORT


_SHORT = (torch.float16, torch.bfloat16)

"""Masks that say the opposite of what attention asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nnspec.contract.nested import Example, tensors_in


def taken_for_its_inverse(net: nn.Module, example: Example) -> str:
    """That an attention leaves out what an input of ones and zeros has ones for, if so, and what to do."""
    given = example()
    inputs = [tensor for _, tensor in tensors_in(given) if _is_mask(tensor)]
    if not inputs:
        return ""
    for path, left_out in _left_out(net, given):
        if any(left_out.shape == one.shape and torch.equal(left_out, one != 0) for one in inputs):
            return (
                f"`{path}` is given a key_padding_mask that is true where the input has ones, and true means "
                "to leave out; give it the inverse, mask == 0"
            )
    return ""


def _is_mask(tensor: Tensor) -> bool:
    if tensor.dim() != 2 or tensor.is_floating_point() or tensor.is_complex():
        return False
    return set(tensor.flatten().tolist()) == {0, 1}


def _left_out(net: nn.Module, given: tuple[tuple[Any, ...], dict[str, Any]]) -> list[tuple[str, Tensor]]:
    """The places that each attention is told to leave out, by its path."""
    found: list[tuple[str, Tensor]] = []

    def noting(path: str) -> Callable[..., None]:
        def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            mask = kwargs.get("key_padding_mask", args[3] if len(args) > 3 else None)
            if isinstance(mask, Tensor):
                found.append(
                    (path or type(net).__name__, mask if mask.dtype == torch.bool else mask == -torch.inf)
                )

        return note

    handles = [
        module.register_forward_pre_hook(noting(path), with_kwargs=True)
        for path, module in net.named_modules()
        if isinstance(module, nn.MultiheadAttention)
    ]
    args, kwargs = given
    try:
        if handles:
            net(*args, **kwargs)
    except Exception:
        return []
    finally:
        for handle in handles:
            handle.remove()
    return found

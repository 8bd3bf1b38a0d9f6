"""Masks that say the opposite of what attention asks for, or show what is to come."""

from __future__ import annotations

import contextlib
import traceback
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nnspec.contract.nested import Example, given_to, run, tensors_in
from nnspec.contract.wording import place


def taken_for_its_inverse(net: nn.Module, example: Example) -> str:
    """That an attention leaves out what an input of ones and zeros has ones for, if so, and what to do."""
    given = example()
    inputs = [tensor for _, tensor in tensors_in(given) if _is_mask(tensor)]
    if not inputs:
        return ""
    for path, left_out in _left_out(net, lambda: given):
        if any(left_out.shape == one.shape and torch.equal(left_out, one != 0) for one in inputs):
            return (
                f"`{path}` is given a key_padding_mask that is true where the input has ones, and true means "
                "to leave out; give it the inverse, mask == 0"
            )
    return ""


def misplaced(net: nn.Module, example: Example) -> list[str]:
    """Masks of attention that show each place the next one, or what comes after it alone."""
    if all(tensor.dim() > 3 for _, tensor in tensors_in(example())):
        return []  # pictures, in which nothing is to come
    attending = _Attending()
    with attending, contextlib.suppress(Exception):  # what it raises is told by other rules
        run(net, example)
    return list(attending.found)


class _Attending(TorchFunctionMode):
    """Notes what an attention hides from the places of a sequence, if it is no mask of what is to come."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, None] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        hidden = _hidden(name, args, kwargs) if name in _ATTENDING else None
        if hidden is not None and (told := _told(hidden)):
            self.found[f"{name}{place(traceback.extract_stack()[:-1])} {told}"] = None
        return func(*args, **kwargs)


def _told(hidden: Tensor) -> str:
    """What is wrong with a square of what each place is hidden from, if anything is."""
    square = torch.ones_like(hidden)
    if torch.equal(hidden, square.triu(2)):
        return (
            "hides from each place what comes after it, but for the next, which is seen by who is to predict "
            "it; hide all that comes after a place, torch.triu(mask, diagonal=1)"
        )
    if torch.equal(hidden, square.tril()):
        return (
            "shows each place only what comes after it, and the last none: the mask says the opposite of "
            "what is asked for; give it the inverse, ~mask, as true means to leave out to "
            "nn.MultiheadAttention, and to take in to scaled_dot_product_attention"
        )
    return ""


def _hidden(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """Which places are hidden from which, of the first row and head, where there are as many as look."""
    mask = kwargs.get("attn_mask", args[3] if name == _SHOWING and len(args) > 3 else None)
    if name == "softmax":
        mask = args[0] if args else kwargs.get("input")
    if not isinstance(mask, Tensor) or mask.layout != torch.strided or mask.is_nested or not mask.numel():
        return None
    if mask.dim() < 2 or not _LEAST <= mask.shape[-1] == mask.shape[-2]:
        return None
    mask = mask.detach()[(0,) * (mask.dim() - 2)]
    if mask.is_floating_point():
        return mask <= _HIDES
    if mask.dtype != torch.bool:
        return None
    return ~mask if name == _SHOWING else mask


#: Whose mask is true for what is taken in.
_SHOWING = "scaled_dot_product_attention"

_ATTENDING = {"softmax", "multi_head_attention_forward", _SHOWING}

#: Scores as low as this count for nothing.
_HIDES = -1e4

#: Of how many places a mask tells that it is one: of three it hides a single pair.
_LEAST = 4


def _is_mask(tensor: Tensor) -> bool:
    if tensor.dim() != 2 or tensor.is_floating_point() or tensor.is_complex():
        return False
    return set(tensor.flatten().tolist()) == {0, 1}


def padding_masks(net: nn.Module, example: Example) -> list[tuple[str, Tensor]]:
    """The key_padding_mask that each attention is given, with its path."""
    calls = given_to(net, example, lambda one: isinstance(one, nn.MultiheadAttention))
    masks = (
        (path, kwargs.get("key_padding_mask", args[3] if len(args) > 3 else None))
        for path, args, kwargs in calls
    )
    return [(path, mask) for path, mask in masks if isinstance(mask, Tensor)]


def _left_out(net: nn.Module, example: Example) -> list[tuple[str, Tensor]]:
    """The places that each attention is told to leave out, by its path."""
    try:
        masks = padding_masks(net, example)
    except Exception:
        return []
    return [(path, mask if mask.dtype == torch.bool else mask == -torch.inf) for path, mask in masks]

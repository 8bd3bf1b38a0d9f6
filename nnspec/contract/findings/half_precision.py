"""Findings about what bfloat16 and float16 cannot hold."""

from __future__ import annotations

import functools
import math
import traceback
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nnspec.contract.findings.gradients import with_a_row_of_zeros
from nnspec.contract.findings.moving import not_cast, not_computed_in
from nnspec.contract.findings.registration import register
from nnspec.contract.nested import Example, mapped, run, tensors_in
from nnspec.contract.products import AddedInFloat32
from nnspec.contract.tree import Build, ready, tensors
from nnspec.contract.wording import place


class InBfloat16(NamedTuple):
    """A call in bfloat16: what was not cast, what went wrong, and the angles that were taken too coarsely."""

    uncast: list[str]
    wrong: list[str]
    coarse: list[str]


@functools.cache
def in_bfloat16(build: Build, example: Example) -> InBfloat16:
    """The call of a fresh module in train mode in bfloat16."""
    net = register(ready(build, example))
    net.bfloat16()
    if uncast := not_cast(net, torch.bfloat16):
        return InBfloat16(uncast, [], [])
    with _Angles() as angles:
        wrong = not_computed_in(net, example, torch.bfloat16)
    return InBfloat16([], wrong, _too_coarse(angles, torch.bfloat16))


def _too_coarse(angles: _Angles, dtype: torch.dtype) -> list[str]:
    """Sines and cosines of angles that a dtype holds too coarsely."""
    return [
        f"forward takes the {name} of angles up to {largest:.4g} in {dtype}{where}, which holds such a "
        f"number to {step:.2g} only: the results have little to do with those in float32; compute angles in "
        "torch.float32, from positions and rates that are float32, and cast the sines and cosines"
        for where, (name, largest, step) in angles.coarse.items()
    ]


#: To how much of a radian an angle has to be known.
COARSE = 1 / 8


class _Angles(TorchFunctionMode):
    """Notes the calls of sin and cos with angles that are known to an eighth of a radian or less."""

    def __init__(self) -> None:
        super().__init__()
        self.coarse: dict[str, tuple[str, float, float]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "").strip("_")
        if name in {"sin", "cos", "tan"} and args and isinstance(args[0], Tensor):
            angles = args[0]
            if angles.is_floating_point() and angles.numel() and not angles.is_meta:
                largest = float(angles.detach().abs().max())
                step = torch.finfo(angles.dtype).eps * 2 ** math.floor(math.log2(largest)) if largest else 0.0
                if step >= COARSE and math.isfinite(largest):
                    self.coarse.setdefault(place(traceback.extract_stack()), (name, largest, step))
        return func(*args, **(kwargs or {}))


class InHalf(NamedTuple):
    """A call in float16: what of its outputs was a number in float32 and is none, and whether it ran."""

    lost: list[str]
    ran: bool


@functools.cache
def in_half(build: Build, example: Example) -> InHalf:
    """The calls of a module in eval mode in float16, with its inputs and with zeros in their first row."""
    if vanished := _vanished_in_half(build, example):
        return InHalf(vanished, ran=True)
    example = with_a_row_of_zeros(example)
    net, half = register(ready(build, example)), register(ready(build, example))
    net.eval(), half.half(), half.eval()
    expected = tensors_in(run(net, example))
    inputs = mapped(example(), lambda tensor: tensor.half() if tensor.is_floating_point() else tensor)
    try:
        with AddedInFloat32():
            output = run(half, lambda: inputs)
    except Exception:
        return InHalf([], ran=False)  # what it does in other dtypes is said by the rules about them
    if any(_has_lost(tensor) for _, tensor in expected):
        return InHalf([], ran=True)
    if any(map(_has_lost, tensors(half).values())):
        return InHalf([], ran=True)  # a mask in a buffer is -infinity then, as it is to be
    where = _first_lost(half, lambda: inputs) if any(_has_lost(one) for _, one in tensors_in(output)) else ""
    lost = [
        f"`{path}` is NaN or infinite in float16 and a number in float32, if a row of the inputs is "
        f"zero{where}: an eps such as 1e-8 is zero in float16, and what is above 65504 infinite; take "
        "torch.finfo(x.dtype).eps, or compute that part in torch.float32"
        for path, tensor in tensors_in(output)
        if _has_lost(tensor)
    ]
    return InHalf(lost, ran=True)


def _first_lost(half: nn.Module, example: Example) -> str:
    """What makes the first NaN of numbers, and where; empty if there is none."""
    losing = _Losing()
    with AddedInFloat32(), losing:
        run(half, example)
    return losing.found


class _Losing(TorchFunctionMode):
    """Notes the first function that returns NaN of what has none."""

    def __init__(self) -> None:
        super().__init__()
        self.found = ""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.found or not any(_has_nan(one) for _, one in tensors_in(result)):
            return result
        if not any(_has_nan(one) for _, one in tensors_in((args, kwargs or {}))):
            name = getattr(func, "__name__", "").strip("_")
            self.found = f", first of {name}{place(traceback.extract_stack()[:-1])}"
        return result


def _has_nan(tensor: Tensor) -> bool:
    return _has_lost(tensor) and bool(tensor.isnan().any())


def _vanished_in_half(build: Build, example: Example) -> list[str]:
    """Outputs that are zero everywhere in float16, and are not in float32."""
    net, half = register(ready(build, example)), register(ready(build, example))
    net.eval(), half.half(), half.eval()
    expected = tensors_in(run(net, example))
    inputs = mapped(example(), lambda tensor: tensor.half() if tensor.is_floating_point() else tensor)
    try:
        with AddedInFloat32():
            output = tensors_in(run(half, lambda: inputs))
    except Exception:
        return []
    return [
        f"`{path}` is zero everywhere in float16, and up to {largest:.2g} in float32: a sum above 65504 is "
        "infinite there, and what is divided by it zero; take a mean for a sum, or compute that part in "
        "torch.float32"
        for (path, tensor), (_, wide) in zip(output, expected, strict=False)
        if wide.is_floating_point() and tensor.numel() and not _has_lost(wide) and _is_plain(tensor)
        if (largest := float(wide.detach().abs().max())) > _VISIBLE and not bool(tensor.any())
    ]


def _is_plain(tensor: Tensor) -> bool:
    return type(tensor) in (Tensor, nn.Parameter) and tensor.layout == torch.strided and not tensor.is_nested


#: What float16 can tell from zero many times over.
_VISIBLE = 1e-2


def _has_lost(tensor: Tensor) -> bool:
    """Whether a tensor has values that are NaN or infinite, as far as it can be told."""
    if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.is_nested or tensor.is_meta:
        return False
    if type(tensor) not in (Tensor, nn.Parameter):
        return False  # a class of one's own may not know isfinite
    return not bool(tensor.isfinite().all())


def too_large_for_half(sentences: list[str]) -> list[str]:
    """Those of what was found in float16 that say that a number is too large for it, with what to do."""
    return [
        f"{one.rpartition('; ')[0]}; use torch.finfo(x.dtype).min, or -torch.inf"
        for one in sentences
        if "without overflow" in one
    ]

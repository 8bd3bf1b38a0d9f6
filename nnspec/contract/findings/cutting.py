"""Where forward leaves the graph that backward goes along."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from nnspec.contract.nested import Example, run, tensors_in
from nnspec.contract.tree import parameters
from nnspec.contract.wording import own_frames, place


def where_cut(net: nn.Module, example: Example, names: Iterable[str]) -> str:
    """What first cuts off what forward computes with some parameters, and its line, if anything does."""
    own, cutting = parameters(net), _Cutting()
    flags = {name: parameter.requires_grad for name, parameter in own.items()}
    try:
        for name in flags:
            own[name].requires_grad_(name in names)
        with cutting:
            run(net, example)
    except Exception:
        return ""  # frozen parameters may be refused, and outputs without a gradient
    finally:
        for name, flag in flags.items():
            own[name].requires_grad_(flag)
    return cutting.found


class _Cutting(TorchFunctionMode):
    """Notes the first function of what requires a gradient that returns numbers without one."""

    def __init__(self) -> None:
        super().__init__()
        self.found = ""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not self.found and any(one.requires_grad for _, one in tensors_in((args, kwargs or {}))):
            frames = traceback.extract_stack()[:-1]
            if (how := _how(func, result)) and own_frames(frames):
                self.found = f"{how}{place(frames)}"
        return result


def _how(func: Any, result: Any) -> str:
    """How a result has lost its gradient; an empty text if it has not, or is no number."""
    name = getattr(func, "__name__", "")
    if name == "__get__":
        name = getattr(getattr(func, "__self__", None), "__name__", "")
    name = name.strip("_")
    if name in _READING:
        return f"made a plain number by {name}()"
    returned = [one for _, one in tensors_in(result)]
    if not returned or any(one.requires_grad or one.dtype == torch.bool for one in returned):
        return ""
    if not any(one.is_floating_point() or one.is_complex() for one in returned):
        return f"made whole numbers by {name}" if name in _CHOOSING else ""
    return f"cut off by {name}" if torch.is_grad_enabled() else "cut off by no_grad()"


_READING = {"item", "tolist", "numpy", "float", "int", "array"}

_CHOOSING = {"argmax", "argmin", "argsort", "multinomial", "long", "int", "to"}

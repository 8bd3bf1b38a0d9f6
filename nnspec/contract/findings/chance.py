"""Why two equal calls differ: the random numbers that forward draws, or what it keeps."""

from __future__ import annotations

import random
import sys
import traceback
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from nnspec.contract.findings.keeping import kept_tensors, plain_values
from nnspec.contract.findings.registration import is_standard
from nnspec.contract.nested import Example, differences, run
from nnspec.contract.wording import listed, place


class Reason(NamedTuple):
    """What was seen of the difference, to follow a colon, and what to do."""

    seen: str
    cure: str


def why_calls_differ(net: nn.Module, example: Example, path: str) -> Reason:
    """Why two equal calls of a module differ.

    Args:
        net: the module in eval mode.
        example: makes the inputs.
        path: that of the submodule whose output was the first to differ, if one was found.
    """
    changed, is_state = _changed_by_a_call(net, example)
    python = random.getstate()
    with _Drawing(net) as drawing:
        run(net, example)
    is_python = random.getstate() != python
    if drawing.found and drawing.found.made:
        return Reason(
            f": a {drawing.found.made} that forward makes{drawing.found.where} is in train mode, whatever "
            "the mode of the module is",
            "make it in __init__, on self, where eval() reaches it",
        )
    if is_state or (changed and not drawing.found and not is_python):
        seen = (
            f": each call changes {listed(changed)}, and computes with what the one before has left"
            if changed
            else ""
        )
        return Reason(
            seen,
            "take a state as an argument and return it, so that a new sequence begins with none, and keep "
            "nothing from one call to the next",
        )
    if not drawing.found:
        seen = ": forward draws from Python's module random" if is_python else ""
        return Reason(seen, f"{_ONLY_IN_TRAINING}, and keep nothing from one call to the next")
    name, where, _ = drawing.found
    seen = f": forward calls {name}{where}, which draws random numbers"
    layer = net.get_submodule(path) if path else net
    if path and is_standard(type(layer)) and layer.training:
        return Reason(seen, f"leave the mode of `{path}` to train() and eval()")
    return Reason(
        seen, _CURES.get(name, "give it training=self.training" if "dropout" in name else _ONLY_IN_TRAINING)
    )


def _changed_by_a_call(net: nn.Module, example: Example) -> tuple[list[str], bool]:
    """The attributes that a call changes, and whether a call from the same seed gives another output then."""
    first = run(net, example)
    before = {name: tensor.detach().clone() for name, tensor in kept_tensors(net).items()}
    values = plain_values(net)
    is_state = bool(differences(run(net, example), first))
    now: dict[str, Any] = {**kept_tensors(net), **plain_values(net)}
    changed = [
        name
        for name, value in {**before, **values}.items()
        if name in now and differences(now[name], value, exact=True)
    ]
    return changed, is_state


class Draw(NamedTuple):
    """Where a call first draws random numbers from torch.

    Attributes:
        function: of torch, which draws them.
        where: the line of the module's own code, empty if there is none.
        made: the class of a module that forward makes, and that draws them; else empty.
    """

    function: str
    where: str
    made: str


class _Drawing(TorchFunctionMode):
    """Notes the first function of torch that moves its generator."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.found: Draw | None = None
        self._parts = {id(module) for module in net.modules()}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.found:
            return func(*args, **(kwargs or {}))
        before = torch.get_rng_state()
        result = func(*args, **(kwargs or {}))
        if not torch.equal(before, torch.get_rng_state()):
            name = getattr(func, "__name__", "a function").strip("_")
            where = place(traceback.extract_stack()[:-1])
            self.found = Draw(name, where, self._maker(sys._getframe(1)))
        return result

    def _maker(self, frame: FrameType | None) -> str:
        """The class of the innermost module on the stack, if it is no part of the module."""
        while frame is not None:
            module = frame.f_locals.get("self")
            if isinstance(module, nn.Module):
                return "" if id(module) in self._parts else type(module).__name__
            frame = frame.f_back
        return ""


_ONLY_IN_TRAINING = "draw random numbers only if self.training"

_CURES = {
    "scaled_dot_product_attention": "give it a dropout_p of zero unless self.training",
    "multi_head_attention_forward": "give it training=self.training",
}

"""Findings about gradients that are zero."""

from __future__ import annotations

import copy
import re
import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode

from nnspec.contract.findings.backward import (
    gradients,
    has_values,
)
from nnspec.contract.findings.first_step import Step
from nnspec.contract.nested import Example, mapped, run, varied
from nnspec.contract.tree import dotted, parameters
from nnspec.contract.wording import listed, own_frames, place
from nnspec.running import isolation

#: How many steps are taken before a gradient is zero for good: what starts at zero hides what is behind.
STEPS = 4

#: Below which share of the largest gradient a gradient is rounding alone.
ROUNDING = 1e-6


def flat_at_first(step: Step) -> set[str]:
    """Parameters whose gradient is zero, or rounding alone, where others have one."""
    largest = max(step.gradients.values(), default=0.0)
    return {name for name, value in step.gradients.items() if value <= ROUNDING * largest}


def always_zero(net: nn.Module, other: nn.Module, example: Example) -> list[str]:
    """Weights whose gradient is zero in two modules, for other inputs and after steps of training too."""
    examples = [*varied(example), lambda: mapped(example(), _made_small)]
    for module in (*net.modules(), *other.modules()):
        if isinstance(module, _DropoutNd):
            module.eval()  # what it lets through is a matter of chance
    flat = _flat(net, examples) & _flat(other, examples)
    names = sorted(flat - _small(net, example) - _padding_alone(net, example)) if flat else []
    if not names:
        return _out_of_bounds(net, example)
    cure = (
        "start one of two factors with random numbers, and mind that a softmax or a quotient of one "
        "number by itself is 1 whatever it is"
    )
    for name, where in _flat_steps(net, example, names):
        cure = (
            f"{name}{where} is flat, with a slope of zero; pass the gradient by: x + (x.{name}() - "
            "x).detach()"
        )
    return [
        f"the gradient of {listed(names)} is zero, for other inputs, other weights and after {STEPS} steps "
        f"too: {'it stays' if len(names) == 1 else 'they stay'} as built; {cure}"
    ]


def _out_of_bounds(net: nn.Module, example: Example) -> list[str]:
    """Parameters that lie beyond what forward clamps them to, all of their numbers."""
    with _Clamps(parameters(net)) as clamps:
        found = gradients(net, example)
    return [
        f"the gradient of `{name}` is zero: forward takes {function} of it{where}, and all its numbers lie "
        "where that is flat, from where no step moves them; start it within the bounds, or take exp() or "
        "F.softplus() of a free number instead"
        for name, (function, where) in clamps.flat.items()
        if name in found and not bool(found[name].any())
    ]


class _Clamps(TorchFunctionMode):
    """Notes where the module's own code clamps a parameter all of whose numbers lie beyond the bounds.

    Args:
        named: the parameters.
    """

    def __init__(self, named: dict[str, nn.Parameter]) -> None:
        super().__init__()
        self.flat: dict[str, tuple[str, str]] = {}
        self._names = {id(one): name for name, one in named.items() if one.requires_grad}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name in _CLAMPING and args and id(args[0]) in self._names and isinstance(result, Tensor):
            of = args[0].detach()
            if of.numel() and has_values(of) and bool((result.detach() != of).all()):
                where = place(traceback.extract_stack()[:-1])
                self.flat.setdefault(self._names[id(args[0])], (name, where))
        return result


_CLAMPING = {"clamp", "clip", "clamp_min", "clamp_max", "relu", "relu6", "hardtanh"}


def _padding_alone(net: nn.Module, example: Example) -> set[str]:
    """Tables of which a call takes only the row that pads, as for inputs left out: that row never trains."""
    taken: dict[str, bool] = {}
    handles = [
        module.register_forward_pre_hook(_noting_padding(taken, dotted(path, "weight")))
        for path, module in net.named_modules()
        if isinstance(module, nn.Embedding) and module.padding_idx is not None
    ]
    try:
        run(net, example)
    finally:
        for handle in handles:
            handle.remove()
    return {name for name, is_padding in taken.items() if is_padding}


def _noting_padding(taken: dict[str, bool], name: str) -> Callable[..., None]:
    def hook(module: nn.Embedding, args: tuple[Any, ...]) -> None:
        given = args[0] if args and isinstance(args[0], Tensor) else torch.empty(0)
        is_padding = given.numel() > 0 and bool(given.eq(module.padding_idx or 0).all())
        taken[name] = taken.get(name, True) and is_padding

    return hook


def _small(net: nn.Module, example: Example) -> set[str]:
    """Parameters whose gradient is small, and no rounding: in float64 it is as large, as far as that is told.

    A factor of 1e-6 before a branch, as layers are scaled at first, makes that of the branch so small.
    """
    single = gradients(net, example)
    try:
        double = gradients(copy.deepcopy(net).double(), lambda: mapped(example(), _in_float64))
    except Exception:
        return set()
    return {
        name
        for name, one in double.items()
        if name in single and one.numel() and float(one.abs().max()) > float(single[name].abs().max()) / 2 > 0
    }


def _made_small(tensor: Tensor) -> Tensor:
    """The same values a hundredth as far apart: a hinge with a margin is flat where they are far."""
    return tensor / 100 if tensor.is_floating_point() else tensor


def _in_float64(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _flat_steps(net: nn.Module, example: Example, names: list[str]) -> list[tuple[str, str]]:
    """The first place where rounding keeps all named parameters from a gradient, and the function there."""
    with _Steps() as steps:
        run(net, example)
    for step in steps.places:
        with _Steps(passing=step):
            found = gradients(net, example)
        if all(name in found and bool(found[name].any()) for name in names):
            return [step]
    return []


class _Steps(TorchFunctionMode):
    """Notes where the module's own code rounds numbers that have a gradient.

    Args:
        passing: the function and the place that the gradient is to pass by.
    """

    def __init__(self, passing: tuple[str, str] | None = None) -> None:
        super().__init__()
        self.places: dict[tuple[str, str], None] = {}
        self._passing = passing

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        of = args[0] if name.rstrip("_") in _FLAT and args and isinstance(args[0], Tensor) else None
        if of is None or not of.requires_grad:
            return func(*args, **(kwargs or {}))
        frames = traceback.extract_stack()[:-1]
        step = name.rstrip("_"), place(frames)
        if own_frames(frames[-1:]):
            self.places[step] = None
        if step != self._passing:
            return func(*args, **(kwargs or {}))
        flat = getattr(torch, step[0])(of.detach(), *args[1:], **(kwargs or {}))
        passed = of + (flat - of.detach())
        return of.copy_(passed) if name.endswith("_") else passed


_FLAT = {"round", "floor", "ceil", "trunc", "sign", "fix"}


def _flat(net: nn.Module, examples: list[Example]) -> set[str]:
    """Weights without a gradient to speak of in several steps, nor others of their kind."""
    recurrent = {
        dotted(path, name)
        for path, module in net.named_modules()
        if isinstance(module, (nn.RNNBase, nn.RNNCellBase))  # the first step starts from zeros
        for name, _ in module.named_parameters(recurse=False)
    }
    left = {name for name, one in parameters(net).items() if one.dim() > 1} - recurrent
    for step in range(STEPS + 1):
        found: dict[str, Tensor] = {}
        for example in examples if step else examples[:1]:
            found = gradients(net, example, seed=isolation.SEED + step)
            largest = max((float(one.abs().max()) for one in found.values() if one.numel()), default=0.0)
            moved = {
                name
                for name, one in found.items()
                if one.numel() and not float(one.abs().max()) <= ROUNDING * largest
            }
            kinds = {_kind(name) for name in moved}
            left = {name for name in left if name in found and _kind(name) not in kinds}
            if not left:
                return set()
        with torch.no_grad():
            for name, one in parameters(net).items():
                if name in found and largest > 0:
                    one.add_(found[name], alpha=-0.05 / largest)
    return left


def _kind(name: str) -> str:
    """The name of a parameter without the numbers of containers: experts and heads are of one kind."""
    return re.sub(r"\.\d+(?=\.)", ".*", f".{name}")

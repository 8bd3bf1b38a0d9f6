"""The first call of a fresh module and its backward, which several rules look at."""

from __future__ import annotations

import functools
import math
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nnspec.contract.findings.backward import (
    gradients,
    has_values,
    own_nodes,
)
from nnspec.contract.nested import Example, differences, run
from nnspec.contract.tree import Build, buffers, ready
from nnspec.contract.wording import brief, listed, place, text_of, they
from nnspec.running import isolation


class Step(NamedTuple):
    """What one call in train mode and its backward did.

    Attributes:
        refused: the error of backward, if it raised one, as a finding.
        changed: buffers that backward changed, as a finding.
        written: functions whose backward writes to the gradient that it is given, as a finding.
        gradients: of each parameter the largest value of its gradient.
        draws: whether forward drew random numbers.
        functions: the autograd.Functions of the user's own in the graph.
    """

    refused: list[str]
    changed: list[str]
    written: list[str]
    gradients: dict[str, float]
    draws: bool
    functions: frozenset[Any]


@functools.cache
def first_step(build: Build, example: Example) -> Step:
    """The first call of a fresh module in train mode, and its backward."""
    net = ready(build, example)
    before: dict[str, Tensor] = {}
    again: list[str] = []
    given: list[tuple[str, Tensor, Tensor]] = []
    handles: list[Any] = []
    draws: list[bool] = []
    functions: set[Any] = set()

    def between(outputs: list[Tensor]) -> None:
        draws.append(_has_drawn())
        before.update({name: buffer.detach().clone() for name, buffer in buffers(net).items()})
        for path, module in net.named_modules():
            if not isinstance(module, torch.jit.ScriptModule):
                handles.append(module.register_forward_pre_hook(lambda *_, path=path: again.append(path)))
        for node, name in own_nodes(outputs).items():
            handles.append(node.register_prehook(_noting(given, name)))
            functions.add(node._forward_cls)

    try:
        found = gradients(net, example, between=between)
    except RuntimeError as error:
        refused = [f"backward raises {brief(error)}; {_cure_of_backward(build, example, error)}"]
        return Step(refused, [], [], {}, draws=False, functions=frozenset())
    finally:
        for handle in handles:
            handle.remove()
    changed = [
        name
        for name, buffer in buffers(net).items()
        if name in before and differences(buffer, before[name], exact=True)
    ]
    writing = sorted({name for name, now, old in given if differences(now, old, exact=True)})
    largest = {name: float(one.abs().max()) for name, one in found.items() if one.numel() and has_values(one)}
    step = _changed(changed, bool(again)), _writing(writing)
    return Step([], *step, largest, any(draws), frozenset(functions))


def _changed(names: list[str], runs_again: bool) -> list[str]:
    if not names:
        return []
    if not runs_again:
        return [f"backward changes {listed(names)}; let forward change buffers, and backward none"]
    return [
        f"backward changes {listed(names)}: a part of forward runs again there, as checkpoint() has it, and "
        "what it counts is counted twice in a step; leave batch norm out of what is checkpointed"
    ]


def _writing(names: list[str]) -> list[str]:
    if not names:
        return []
    return [
        f"the backward of {', '.join(names)} writes to the gradient that it is given, which other ways back "
        "through the graph get too; compute a new one: grad * 2 for grad *= 2"
    ]


def _cure_of_backward(build: Build, example: Example, error: RuntimeError) -> str:
    if "inplace operation" not in text_of(error):
        return "let every output be computed by what backward can go through"
    net = ready(build, example)
    in_place = {path: module for path, module in net.named_modules() if vars(module).get("inplace") is True}
    for paths in [[path] for path in in_place] + [list(in_place)]:
        if paths and _runs_without(net, example, [in_place[path] for path in paths]):
            return (
                f"{they(paths, 'overwrites', 'overwrite')} a tensor that the step before needs for its "
                "gradient: make it with inplace=False"
            )
    cure = "write x = x + y for x += y, and clone() a tensor before it is written to"
    where = _overwriting(net, example)
    return f"what is written to{where} is needed for a gradient: {cure}" if where else cure


def _overwriting(net: nn.Module, example: Example) -> str:
    """The line of the module's own without whose write backward runs, empty if there is no such line."""
    writes = _InPlace()
    try:
        with writes:
            run(net, example)
    except Exception:
        return ""
    for where in list(dict.fromkeys(writes.seen))[:_LINES]:
        try:
            with _InPlace(where):
                gradients(net, example)
        except RuntimeError:
            continue
        return where
    return ""


class _InPlace(TorchFunctionMode):
    """Notes where the module's own code works in place, and has it work on a copy at one of the lines."""

    def __init__(self, on_a_copy: str = "") -> None:
        super().__init__()
        self.on_a_copy = on_a_copy
        self.seen: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        writes = name in _WRITING or (name.endswith("_") and not name.endswith("__"))
        if (writes or kwargs.get("inplace") is True) and args and isinstance(args[0], Tensor):
            where = place(traceback.extract_stack()[:-1])
            self.seen += [where] if where else []
            if where and where == self.on_a_copy:
                args = (args[0].clone(), *args[1:])
        return func(*args, **kwargs)


_WRITING = {f"__i{name}__" for name in ("add", "sub", "mul", "div", "truediv", "pow", "and", "or", "xor")}

#: At how many lines it is tried whether backward runs without their writes.
_LINES = 12


def _runs_without(net: nn.Module, example: Example, modules: list[nn.Module]) -> bool:
    """Whether backward runs if modules do not work in place."""
    try:
        for module in modules:
            module.inplace = False  # type: ignore[assignment]
        gradients(net, example)
    except RuntimeError:
        return False
    finally:
        for module in modules:
            module.inplace = True  # type: ignore[assignment]
    return True


def hangs_on_draws(net: nn.Module, same: nn.Module, example: Example) -> list[str]:
    """Gradients that are others if numbers are drawn between forward and backward.

    Args:
        net: a fresh module.
        same: another one.
        example: makes the inputs.
    """
    once = gradients(net, example, between=lambda outputs: isolation.seed(isolation.SEED))
    other = gradients(same, example, between=lambda outputs: isolation.seed(isolation.SEED + 1))
    names = [name for name in once if differences(other.get(name), once[name])]
    if not names:
        return []
    return [
        f"the gradient of {they(names, 'is another', 'are others')} if numbers are drawn between the call "
        "and backward: backward computes a part again, and draws other numbers than forward did; use "
        "torch.utils.checkpoint, which puts the generator back"
    ]


def _has_drawn() -> bool:
    """Whether numbers were drawn since the usual seed was set."""
    now = torch.get_rng_state()
    with torch.random.fork_rng([]):
        isolation.seed()
        return not torch.equal(torch.get_rng_state(), now)


def _noting(given: list[tuple[str, Tensor, Tensor]], name: str) -> Callable[..., None]:
    def hook(gradients: tuple[Tensor | None, ...]) -> None:
        given.extend((name, one, one.detach().clone()) for one in gradients if one is not None)

    return hook


def are_finite(step: Step) -> bool:
    """Whether a step went through, and the gradients that have values are numbers, and not infinite."""
    return not step.refused and all(map(math.isfinite, step.gradients.values()))

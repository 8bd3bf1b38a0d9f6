"""What a module tree holds."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from nnspec.contract.nested import Example, is_floating, run

Build = Callable[[], nn.Module]


class Names(NamedTuple):
    """The names of all that a module registers, each with its kind, and those of its parameters in order."""

    all: dict[str, str]
    parameters: list[str]


def ready(build: Build, example: Example) -> nn.Module:
    """A fresh module that rules may do anything to.

    Args:
        build: makes a fresh module from the usual seed.
        example: makes its inputs; a module with lazy parameters is called once.
    """
    net = build()
    return _shaped(copy.deepcopy(net) if _shares(build) else net, example)


def _shaped(net: nn.Module, example: Example) -> nn.Module:
    """A module whose lazy parameters have been given their shapes."""
    registered = (
        vars(module).get(store, {}) for module in net.modules() for store in ("_parameters", "_buffers")
    )
    if any(is_lazy(tensor) for tensors in registered for tensor in tensors.values()):
        run(net, example)
    return net


@functools.cache
def _shares(build: Build) -> bool:
    """Whether two builds share a tensor, so that what is done to one is done to the other."""
    return bool(shared(build(), build()))


def forget_builds() -> None:
    """Let go of what was asked about builds."""
    _shares.cache_clear()


def shared(net: nn.Module, other: nn.Module) -> list[str]:
    """The names in one module of the tensors that lie in the memory of another."""
    theirs = {memory(tensor) for tensor in tensors(other).values() if _has_memory(tensor)}
    return [name for name, tensor in tensors(net).items() if _has_memory(tensor) and memory(tensor) in theirs]


def _has_memory(tensor: Tensor) -> bool:
    return not is_lazy(tensor) and tensor.numel() > 0


def parameters(net: nn.Module) -> dict[str, nn.Parameter]:
    """The registered parameters by name, each under its first name, whatever a class overrides."""
    return _once(entries(net, "_parameters"))


def buffers(net: nn.Module) -> dict[str, Tensor]:
    """The registered buffers by name, each under its first name."""
    return _once(entries(net, "_buffers"))


def copies(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The values of tensors by name; not every kind of tensor can be deep-copied."""
    return {name: tensor.detach().clone() for name, tensor in named.items()}


def copied_state(state: dict[str, Any]) -> dict[str, Any]:
    """A copy of a state dict, in memory of its own, that carries versions as the original does."""
    try:
        return copy.deepcopy(state)
    except Exception:  # sparse tensors cannot be deep-copied, nor those of some classes
        copied = copy.copy(state)
        copied.update((key, one.detach().clone()) for key, one in state.items() if isinstance(one, Tensor))
        return copied


def passing(net: nn.Module) -> set[str]:
    """The names of the buffers that are not persistent."""
    return {
        dotted(path, name)
        for path, module in net.named_modules()
        for name in vars(module).get("_non_persistent_buffers_set", ())
    }


def tensors(net: nn.Module) -> dict[str, Tensor]:
    """The registered parameters and buffers by name."""
    return {**parameters(net), **buffers(net)}


def names(net: nn.Module) -> dict[str, str]:
    """The names of all that is registered, each with its kind."""
    return {
        name: kind
        for kind, store in (("parameter", "_parameters"), ("buffer", "_buffers"), ("submodule", "_modules"))
        for name, _ in entries(net, store)
    }


def entries(net: nn.Module, store: str) -> Iterator[tuple[str, Any]]:
    for path, module in net.named_modules(remove_duplicate=False):
        holder = vars(module).get("_actual_script_module", module)  # what torch.jit.trace gives wraps another
        for name, value in vars(holder).get(store, {}).items():
            if value is not None:
                yield dotted(path, name), value


def _once(entries: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    first: dict[int, tuple[str, Any]] = {}
    for name, value in entries:
        first.setdefault(id(value), (name, value))
    return dict(first.values())


def disturb(net: nn.Module) -> None:
    """Change every floating parameter and buffer in place."""
    with torch.no_grad():
        for tensor in tensors(net).values():
            if is_floating(tensor):
                with contextlib.suppress(RuntimeError):  # expanded and sparse tensors refuse it
                    tensor.mul_(1.25).add_(0.125)


def scatter(net: nn.Module) -> None:
    """Add random numbers to every floating parameter: what starts at zero hides what comes before it."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in parameters(net).values():
            if is_floating(parameter):
                with contextlib.suppress(RuntimeError):  # as in disturb
                    parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter), alpha=0.1)


def memory(tensor: Tensor) -> int:
    """What tells whether two tensors share memory; that of the object where it cannot be told."""
    return address(tensor) or id(tensor)


def address(tensor: Tensor) -> int:
    """Where the memory of a tensor begins; 0 where it has none, or a subclass does not tell."""
    if tensor.is_meta or tensor.is_nested or tensor.layout != torch.strided:
        return 0
    try:
        return tensor.untyped_storage().data_ptr()
    except Exception:
        return 0


def attribute(module: nn.Module, name: str) -> Any:
    """An attribute of a module; None where it is not there, in whatever way its ``__getattr__`` says so."""
    try:
        return getattr(module, name, None)
    except Exception:
        return None


def dotted(path: str, name: str) -> str:
    """The name of an attribute with the path of its module."""
    return f"{path}.{name}" if path else name

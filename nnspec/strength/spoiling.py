"""What a call may spoil on the way: what it was given, what it is a method of, and what it returns."""

from __future__ import annotations

import contextlib
import copy
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

_STORES = ("_parameters", "_buffers", "_modules")


def things_in(given: Iterable[Any]) -> list[Any]:
    """What can be spoilt: modules with all below them, tensors, what lists and dicts hold, functions see."""
    found: dict[int, Any] = {}
    _collect(given, found)
    return list(found.values())


def _collect(given: Iterable[Any], found: dict[int, Any]) -> None:
    for value in given:
        if id(value) in found:
            continue
        if isinstance(value, nn.Module):
            found.update((id(module), module) for module in value.modules())
        elif isinstance(value, (torch.Tensor, dict, list, set)):
            found[id(value)] = value
        elif _is_of_torch(value):
            found[id(value)] = value
            _collect([held for held in vars(value).values() if isinstance(held, (dict, list))], found)
        if isinstance(value, (list, tuple)):
            _collect(value, found)
        elif isinstance(value, Mapping):
            _collect(list(value.values()), found)
        elif isinstance(value, types.FunctionType):
            _collect(_seen_by(value), found)
        elif isinstance(value, types.BuiltinMethodType):
            _collect([value.__self__], found)


def _is_of_torch(value: Any) -> bool:
    return type(value).__module__.startswith("torch.") and hasattr(value, "__dict__")


def _seen_by(function: types.FunctionType) -> Iterator[Any]:
    """The lists, dicts and functions around a function that it uses."""
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):
            if isinstance(cell.cell_contents, (list, dict, types.FunctionType)):
                yield cell.cell_contents


def _stores(thing: Any) -> list[Any]:
    """The dicts in which a module holds things; what holds things itself."""
    return [vars(thing)[name] for name in _STORES] if isinstance(thing, nn.Module) else [thing]


def _tensors(thing: Any) -> list[torch.Tensor]:
    """The tensors of a module without those below it, or the tensor itself."""
    held = [*thing.parameters(False), *thing.buffers(False)] if isinstance(thing, nn.Module) else [thing]
    return [tensor for tensor in held if isinstance(tensor, torch.Tensor)]


def _change_values(thing: Any) -> None:
    for tensor in _tensors(thing):
        if not tensor.is_meta:
            tensor.data.add_(1)


def _flip_flags(thing: Any) -> None:
    if isinstance(thing, nn.Module):
        thing.training = not thing.training
    for tensor in _tensors(thing):
        if tensor.is_leaf and tensor.is_floating_point():
            tensor.requires_grad = not tensor.requires_grad


def _take_away(thing: Any) -> None:
    for store in _stores(thing):
        if isinstance(store, dict) and store:
            store.popitem()
        elif isinstance(store, (list, set)) and store:
            store.pop()
    if isinstance(thing, torch.Tensor):
        thing.grad = None


def _add(thing: Any) -> None:
    if isinstance(thing, nn.Module):
        thing.register_parameter("another_parameter", nn.Parameter(torch.ones(1)))
        thing.register_buffer("another_buffer", torch.ones(1))
        thing._modules["another_module"] = nn.Identity()
        thing.__dict__["another_attribute"] = 1
    elif isinstance(thing, dict):
        thing["another"] = torch.ones(1)
    elif isinstance(thing, list):
        thing.append(torch.ones(1))
    elif isinstance(thing, set):
        thing.add("another")


def _fill(thing: Any) -> None:
    if isinstance(thing, nn.Module):
        for name, value in thing._parameters.items():
            if value is None:
                thing._parameters[name] = nn.Parameter(torch.ones(1))
    for tensor in _tensors(thing):
        if tensor.is_leaf and tensor.requires_grad:
            tensor.grad = torch.ones_like(tensor)


def _replace(thing: Any) -> None:
    if isinstance(thing, nn.Module):
        for entries in _stores(thing):
            for name, value in entries.items():
                entries[name] = copy.deepcopy(value)


def _change_numbers(thing: Any) -> None:
    entries = thing if isinstance(thing, dict) else {}
    if not isinstance(thing, torch.Tensor) and (isinstance(thing, nn.Module) or _is_of_torch(thing)):
        entries = vars(thing)
    if isinstance(thing, list):
        thing[:] = map(_another_number, thing)
    for name, value in entries.items():
        entries[name] = _another_number(value)


def _another_number(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, (int, float)) else value


def _change_kinds(thing: Any) -> None:
    """Another dtype and another shape; of what a module or a dict holds, another device, too."""
    for tensor in _tensors(thing):
        tensor.data = tensor.data.double() if tensor.dtype == torch.float32 else tensor.data.float()
        tensor.data = tensor.data.unsqueeze(0)


def _move(thing: Any) -> None:
    for entries in _stores(thing):
        for name, value in entries.items() if isinstance(entries, dict) else ():
            if isinstance(value, torch.Tensor):
                moved = torch.empty_like(value.data, device="cpu" if value.is_meta else "meta")
                entries[name] = nn.Parameter(moved) if isinstance(value, nn.Parameter) else moved


_SPOILING: dict[str, Callable[[Any], None]] = {
    "changes values": _change_values,
    "flips flags": _flip_flags,
    "takes something away": _take_away,
    "adds something": _add,
    "fills in": _fill,
    "replaces what is held": _replace,
    "changes numbers": _change_numbers,
    "changes kinds": _change_kinds,
    "moves": _move,
}

#: The call is made, and what it was given or is a method of, or what it returns, is changed as well.
SPOILING = {
    f"{name} of what is {of}": (of, spoil)
    for of in ("given", "returned")
    for name, spoil in _SPOILING.items()
}

"""Findings about what a call leaves behind: on the module, on its class or elsewhere."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import sys
import types
import weakref
from typing import Any
from unittest import mock

from torch import Tensor, nn

from nnspec.contract.findings.registration import OF_TORCH, Uses, is_standard
from nnspec.contract.nested import Example, run, tensors_in
from nnspec.contract.tree import (
    buffers,
    dotted,
    entries,
    parameters,
)
from nnspec.contract.wording import listed, they
from nnspec.running import isolation


def kept_alive(ref: weakref.ref[nn.Module]) -> list[str]:
    """That a module is there still though who made it has let go of it."""
    if ref() is not None:
        gc.collect()
    if ref() is None:
        return []
    caches = [
        f"the cache of {owner.__name__}.{name}"
        for module in ref().modules()  # type: ignore[union-attr]
        for owner in type(module).__mro__
        for name, value in vars(owner).items()
        if isinstance(value, functools._lru_cache_wrapper) and not is_standard(owner)
    ]
    what = ", ".join(dict.fromkeys(caches)) or "something outside"
    return [
        f"after a call {what} holds the module, and goes on when all others have let go of it: its memory is "
        "never given back; cache no method, whose first argument is the module, and keep modules by weakref"
    ]


def kept_tensors(net: nn.Module) -> dict[str, Tensor]:
    """The tensors in plain attributes and buffers of all submodules, by path."""
    return {path: tensor for inside in _kept_in(net).values() for path, tensor in inside.items()}


def attributes(net: nn.Module) -> dict[str, Tensor]:
    """The tensors in plain attributes alone, by path."""
    registered = dict(entries(net, "_buffers"))
    return {path: tensor for path, tensor in kept_tensors(net).items() if path not in registered}


def _kept_in(net: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Plain attributes and buffers of all submodules, each with the tensors in it by path."""
    kept = {name: {name: buffer} for name, buffer in entries(net, "_buffers")}
    for path, module in net.named_modules():
        for name, value in vars(module).items():
            if name not in OF_TORCH and not isinstance(value, nn.Module):
                kept[dotted(path, name)] = dict(tensors_in(value, dotted(path, name)))
    return kept


def left_on_it(net: nn.Module, before: dict[str, Tensor], example: Example) -> list[str]:
    """Attributes in which a call has put tensors: with a graph, or where there were none.

    The module is on meta afterwards.
    """
    sentences, registered = [], buffers(net)
    kept = _kept_in(net)
    piled = _piled_up(
        net, {name: len(inside) for name, inside in kept.items() if len(inside)}, before, example
    )
    is_asked = any(path not in before and path not in registered for one in kept.values() for path in one)
    again = _kept_after(net, example) if is_asked else {}
    moved = _moved_along(net)
    anew = _made_on_meta(net, example) if is_asked else set()
    for attribute, inside in kept.items():
        new = {
            path: tensor
            for path, tensor in inside.items()
            if not isinstance(tensor, nn.Parameter) and before.get(path) is not tensor
        }
        graphs = [
            tensor.grad_fn.name()
            for path, tensor in new.items()
            if tensor.grad_fn is not None and (path not in before or before[path].grad_fn is None)
        ]
        added = [tensor for path, tensor in new.items() if path not in before and path not in registered]
        if new and attribute in piled:
            sentences.append(
                f"`{attribute}` keeps what each call puts there, {piled[attribute]} tensors after one, two "
                "and three calls: it fills memory; return it, or keep the last alone, and its detach()"
            )
        elif graphs:
            sentences.append(
                f"`{attribute}` keeps the graph of the last call ({graphs[0]}): it fills memory and "
                "cannot be deep-copied; return it, or keep its detach()"
            )
        elif added and attribute not in moved:
            what = (
                f"a tensor of shape {tuple(added[0].shape)}" if len(added) == 1 else f"{len(added)} tensors"
            )
            is_cache = all(again.get(attribute, {}).get(path) is tensor for path, tensor in new.items())
            if not is_cache:
                sentences.append(
                    f"`{attribute}` keeps {what} from the last call, which .to() does not move; return it, "
                    "or let who wants it register a forward hook"
                )
            elif attribute not in anew:
                sentences.append(
                    f"`{attribute}` keeps {what} for the calls to come, which .to() does not move; ask for "
                    "its device and dtype too before it is used again, make it in each call, or make it in "
                    "__init__, a buffer with persistent=False"
                )
    return sentences


def _piled_up(
    net: nn.Module, kept: dict[str, int], before: dict[str, Tensor], example: Example
) -> dict[str, str]:
    """Attributes that hold more tensors after each of three calls, with how many.

    Args:
        net: the module after one call.
        kept: how many tensors each attribute has after it.
        before: the tensors before it, by path.
        example: makes the inputs.
    """
    if all(path in before for inside in _kept_in(net).values() for path in inside):
        return {}
    counts = [kept]
    for _ in range(2):
        try:
            run(net, example)
        except Exception:
            return {}  # whether it can be called again is another rule's matter
        counts.append({name: len(inside) for name, inside in _kept_in(net).items()})
    first, second, third = counts
    return {
        name: f"{number}, {second[name]} and {third[name]}"
        for name, number in first.items()
        if number < second.get(name, 0) < third.get(name, 0)
    }


def _moved_along(net: nn.Module) -> set[str]:
    """Attributes whose tensors are on meta after a move of the module, which stays there."""
    try:
        net.to("meta")
    except Exception:
        return set()
    return _kept_on_meta(net)


def _kept_after(net: nn.Module, example: Example) -> dict[str, dict[str, Tensor]]:
    """What is kept after one more call; nothing if it raises."""
    try:
        run(net, example)
    except Exception:
        return {}
    return _kept_in(net)


def _made_on_meta(net: nn.Module, example: Example) -> set[str]:
    """Attributes whose tensors a call on meta makes anew there, as a cache does that asks for the device."""
    try:
        run(net, example, lambda tensor: tensor.to("meta"))
    except Exception:
        return set()
    return _kept_on_meta(net)


def _kept_on_meta(net: nn.Module) -> set[str]:
    return {
        attribute
        for attribute, inside in _kept_in(net).items()
        if all(tensor.is_meta for tensor in inside.values())
    }


def kept_elsewhere(net: nn.Module, example: Example) -> list[str]:
    """Containers on the classes of a module, or in their files, with a tensor that forward uses."""
    owners = {owner for module in net.modules() for owner in type(module).__mro__ if not is_standard(owner)}
    places = {owner.__name__: dict(vars(owner)) for owner in owners}
    places |= {
        name: vars(sys.modules[name]) for name in {o.__module__ for o in owners} if name in sys.modules
    }
    places |= {
        f"{owner.__name__}.{name}": _defaults(function)
        for owner in owners
        for name, function in vars(owner).items()
        if isinstance(function, types.FunctionType)
    }
    args, kwargs = example()
    isolation.seed()
    with Uses() as uses:
        net(*args, **kwargs)
    return [
        f"`{place}.{name}` keeps a tensor that forward uses, for every module and for good: it is not moved, "
        "not cast and not let go of; make it in forward, or keep it in a buffer with persistent=False"
        for place, values in sorted(places.items())
        for name, value in list(values.items())
        if isinstance(value, (dict, list)) and not name.startswith("__")
        if any(id(tensor) in uses.seen for _, tensor in tensors_in(value))
    ]


def _defaults(function: types.FunctionType) -> dict[str, Any]:
    """The defaults of the arguments of a function, by name."""
    arguments = inspect.signature(function).parameters.values()
    return {one.name: one.default for one in arguments if one.default is not one.empty}


def layers_made(net: nn.Module, example: Example) -> list[str]:
    """Modules that a call registers a parameter of their own in, and that are not part of the module."""
    parts, made = {id(module) for module in net.modules()}, dict[int, nn.Module]()
    known = {id(parameter): parameter for parameter in parameters(net).values()}
    register = nn.Module.register_parameter

    def noting(module: nn.Module, name: str, param: nn.Parameter | None) -> None:
        if param is not None and id(module) not in parts and id(param) not in known:
            made[id(module)] = module
        register(module, name, param)

    with mock.patch.object(nn.Module, "register_parameter", noting):
        run(net, example)
    stayed = {id(module) for module in net.modules()}
    made = {key: module for key, module in made.items() if key not in stayed}
    return [
        f"forward makes a {kind}: in each call its parameters are new, no optimizer knows them, and no "
        "checkpoint has them; make it in __init__, on self"
        for kind in dict.fromkeys(type(module).__name__ for module in made.values())
    ]


def plain_values(net: nn.Module) -> dict[str, Any]:
    """Numbers, texts and flat containers of them that are attributes of submodules or classes, by path."""
    of_classes = {
        f"{owner.__name__}.{name}": copy.copy(value)
        for owner in {owner for module in net.modules() for owner in type(module).__mro__}
        if not is_standard(owner)
        for name, value in vars(owner).items()
        if not name.startswith("__") and _is_plain(value)
    }
    return of_classes | {
        dotted(path, name): copy.copy(value)
        for path, module in net.named_modules()
        for name, value in vars(module).items()
        if name not in OF_TORCH and _is_plain(value)
    }


def _is_plain(value: object) -> bool:
    if type(value) in (list, set, dict):
        elements = value.values() if isinstance(value, dict) else list(value)  # type: ignore[call-overload]
        return bool(elements) and all(isinstance(element, (int, float, str)) for element in elements)
    return isinstance(value, (int, float, str))


def changed_attributes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Plain attributes that a call has changed: those of one name in a sentence, and those that are gone."""
    grown = {
        path: after[path]
        for path, value in before.items()
        if isinstance(value, (list, dict, set)) and len(after.get(path, ())) > len(value)
    }
    changed: dict[str, list[str]] = {}
    for path, value in before.items():
        if path in after and path not in grown and after[path] != value:
            changed.setdefault(path.rpartition(".")[2], []).append(path)
    why = "it is in no checkpoint, and replicas of DataParallel lose it; make it a buffer"
    sentences = [
        f"`{path}` is a {type(value).__name__} that grows with each call, from {len(before[path])} to "
        f"{len(value)}: it fills memory, and is in no checkpoint; return what it collects, or let who wants "
        "it register a forward hook"
        for path, value in grown.items()
    ] + [
        f"`{path}` is {after[path]!r} after a call and was {before[path]!r} before"
        f"{f', and {listed(others)} likewise' if others else ''}: {why}"
        for path, *others in changed.values()
    ]
    gone = [path for path in before if path not in after]
    if gone:
        sentences.append(
            f"{they(gone, 'has a plain value', 'have plain values')} before a call, and after it none: {why}"
        )
    return sentences

"""Fresh modules for the rules: copies of one build, where a copy is as good as another build.

A large module takes longer to build than to judge by most rules, so it is built once.
"""

from __future__ import annotations

import copy
import functools
import gc
import sys
import types
import weakref
from collections import Counter, OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from nnspec.contract.findings.registration import DEEPEST, OF_TORCH, contained, is_standard, reached
from nnspec.contract.tree import Build
from nnspec.running import isolation

#: What every module has that was initialized.
_OF_INIT = vars(nn.Module()).keys()

#: What a class may override to be copied in a way of its own.
_OF_COPYING = ("__deepcopy__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__new__")

#: What is its own copy.
_ATOMIC = frozenset({type(None), bool, int, float, str, type, types.FunctionType})

#: Of these a module has a dozen with nothing in them.
_OFTEN_EMPTY = (OrderedDict, dict, set)

#: A clone whose memory is copied when it is written to, where this torch has such clones.
_lazy_clone = getattr(torch, "_lazy_clone", torch.clone)

#: What a module may override to come to its attributes in a way of its own.
_OF_ATTRIBUTES = ("__getattribute__", "__getattr__", "__setattr__", "__delattr__")


def copied(make: Build) -> Build:
    """Makes what ``make`` makes, and from the second time on copies where they are as good.

    Args:
        make: makes a fresh module, each time from the same seed.
    """

    @functools.cache
    def copies() -> Build | None:
        made = [make()]
        return _copies(made[0]) if _is_copied_whole(made) else None

    def build() -> nn.Module:
        copy_of_it = copies()
        if copy_of_it is None:
            return make()
        isolation.seed()
        return copy_of_it()

    return build


def looked_at(make: Build) -> Build:
    """Makes a module for rules that only look at one, and gives it to each as long as it stays as it was.

    Args:
        make: makes a fresh module.
    """
    held: list[tuple[nn.Module, list[object] | None]] = []

    def build() -> nn.Module:
        if held:
            net, before = held[0]
            if before is not None and _is_same(before, _seen(net)):
                isolation.seed()
                return net
            held.clear()
        net = make()
        held.append((net, _seen(net)))
        return net

    return build


def _is_same(before: list[object], now: list[object] | None) -> bool:
    return now is not None and len(before) == len(now) and all(map(_are_one, before, now))


def _are_one(before: object, now: object) -> bool:
    return before is now or (type(before) is type(now) is int and before == now)


def _seen(net: nn.Module) -> list[object] | None:
    """What changes if anything in a tree of modules does; None if some of it cannot be told."""
    seen: list[object] = []
    for module in net.modules():
        if not vars(module).keys() >= _OF_INIT or _overrides(module, *_OF_ATTRIBUTES):
            return None
        for value in vars(module).values():
            seen.append(value)
            if type(value) in (dict, list, set, OrderedDict):
                seen += [len(value), *(value.values() if isinstance(value, dict) else value)]
        for tensor in (*module._parameters.values(), *module._buffers.values()):
            if tensor is None:
                continue
            if not _is_plain_tensor(tensor):
                return None
            seen += [tensor._version, tensor.data_ptr(), tensor.requires_grad, tensor.dtype]
    return seen


def _copies(net: nn.Module) -> Build:
    """Makes deep copies of a module that is copied whole and is not changed any more, in a tenth of the time.

    Modules, their dicts and tensors are made here, and deepcopy finds them. A tensor has its memory in
    common with its original until one of them is written to or its address is asked for.
    """
    modules = [module for module in net.modules() if not hasattr(module, "__deepcopy__")]
    stores = [store for module in net.modules() for store in (module._parameters, module._buffers)]
    tensors = {id(tensor): tensor for store in stores for tensor in store.values() if tensor is not None}
    often = Counter(id(value) for module in modules for value in vars(module).values())
    plans = []
    for module in modules:
        values = vars(module).items()
        own = [(name, one) for name, one in values if name in OF_TORCH and often[id(one)] == 1]
        empty = {name: type(one) for name, one in own if type(one) in _OFTEN_EMPTY and not one}
        others = [name for name, one in values if name not in empty and not _is_atomic(one)]
        plans.append((module, empty, others))

    def one_more() -> nn.Module:
        made: dict[int, Any] = {id(module): type(module).__new__(type(module)) for module in modules}
        for place, tensor in tensors.items():
            clone, has_grad = _lazy_clone(tensor.detach()), tensor.requires_grad
            is_parameter = type(tensor) is nn.Parameter
            made[place] = (
                Tensor._make_subclass(nn.Parameter, clone, has_grad)
                if is_parameter
                else clone.requires_grad_(has_grad)
            )
        for module, empty, others in plans:
            state = vars(module).copy()
            state.update((name, kind()) for name, kind in empty.items())
            state.update((name, _copy_of(state[name], made)) for name in others)
            made[id(module)].__setstate__(state)
        return copy.deepcopy(net, made)

    return one_more


def _is_atomic(value: object) -> bool:
    return type(value) in _ATOMIC or (type(value) is tuple and _ATOMIC.issuperset(map(type, value)))


def _copy_of(value: Any, made: dict[int, Any]) -> Any:
    if _is_atomic(value):
        return value
    if id(value) in made:
        return made[id(value)]
    if type(value) is dict:
        made[id(value)] = {}
        made[id(value)].update((_copy_of(key, made), _copy_of(one, made)) for key, one in value.items())
        return made[id(value)]
    return copy.deepcopy(value, made)


def _is_copied_whole(made: list[nn.Module]) -> bool:
    """Whether a deep copy is what another build would be, of the only module in a list.

    Nothing in the module may be known to anyone else, as to a registry or a default argument: then the parts
    of a copy have as many references as its own.
    """
    try:
        if not all(map(_is_plain, made[0].modules())) or _share_memory(made[0]):
            return False
        made.append(copy.deepcopy(made[0]))
        if _references(made[0]) != _references(made[1]):
            gc.collect()
        return _references(made[0]) == _references(made[1])
    except Exception:
        return False
    finally:
        del made[1:]


def _references(net: nn.Module) -> list[int]:
    return [sys.getrefcount(part) for part in (*net.modules(), *net.parameters(), *net.buffers())]


def _share_memory(net: nn.Module) -> bool:
    memories = [one.untyped_storage() for one in (*net.parameters(), *net.buffers()) if one.numel()]
    return len({memory.data_ptr() for memory in memories}) < len(memories)


def _is_plain(module: nn.Module) -> bool:
    if not vars(module).keys() >= _OF_INIT:
        return False
    if isinstance(module, torch.jit.ScriptModule) or _overrides(module, *_OF_COPYING, *_OF_ATTRIBUTES):
        return False
    if any(vars(owner).get("__slots__") for owner in type(module).__mro__ if issubclass(owner, nn.Module)):
        return False  # what is in them is not copied
    tensors = [*module._parameters.values(), *module._buffers.values()]
    if not all(tensor is None or _is_plain_tensor(tensor) for tensor in tensors):
        return False
    values = [value for name, value in vars(module).items() if name not in OF_TORCH or name.endswith("hooks")]
    if any(isinstance(value, weakref.ref) for value in values):
        return False  # that of a copy refers to the original
    hooks = [hook for store in values if isinstance(store, dict) for hook in store.values()]
    if any(contained(function) for function in (*values, *hooks)):
        return False
    return not any(_overrides(value, *_OF_COPYING) or _leads_on(value) for value in values)


def _is_plain_tensor(tensor: Tensor) -> bool:
    """Whether a copy has all that a tensor has: its memory is its own, and nobody put attributes on it."""
    return (
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.layout == torch.strided
        and tensor.is_cpu
        and tensor.is_leaf
        and tensor.grad is None
        and not (tensor.is_conj() or tensor.is_neg())
        and not vars(tensor)
        and tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    )


def _leads_on(value: object) -> bool:
    """Whether a value leads to a module or a tensor."""
    return next(reached(value, DEEPEST, set()), None) is not None


def _overrides(value: object, *names: str) -> bool:
    """Whether a class that is neither Python's nor torch's has one of these methods."""
    owners = [owner for owner in type(value).__mro__ if not is_standard(owner)]
    return any(name in vars(owner) for owner in owners for name in names)

"""Findings about building."""

from __future__ import annotations

import copy
import functools
import inspect
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from nnspec.contract.findings.registration import OF_TORCH, is_standard
from nnspec.contract.nested import differences
from nnspec.contract.tree import Build, dotted, parameters, tensors
from nnspec.contract.wording import brief, kind_of, listed, text_of, they


def uninitialised(net: nn.Module) -> list[str]:
    """Modules that lack what nn.Module.__init__ sets."""
    sentences, waiting, seen = [], [("", net)], set()
    while waiting:
        path, module = waiting.pop(0)
        if id(module) in seen:
            continue
        seen.add(id(module))
        absent = [
            name
            for name in vars(nn.Module())
            if name not in vars(module) and not isinstance(getattr(type(module), name, None), property)
        ]
        if absent and not isinstance(module, torch.jit.ScriptModule):
            sentences.append(
                f"`{path or 'self'}`, {kind_of(module)}, has no {listed(absent)}: nn.Module.__init__ "
                "has not run; call super().__init__() first of all in __init__"
            )
        children = vars(module).get("_modules", {}).items()
        waiting += [(dotted(path, name), child) for name, child in children if child is not None]
    return sentences


def unprinted(net: nn.Module) -> list[str]:
    """The error of ``repr``, or children whose names it leaves out."""
    try:
        text = repr(net)
    except Exception as error:
        return [f"repr raises {brief(error)}; let extra_repr use what __init__ sets"]
    missing = [name for name, _ in net.named_children() if f"({name}):" not in text]
    if not missing:
        return []
    return [f"repr leaves out {listed(missing)}; override extra_repr, not __repr__"]


#: No module has it.
_NOWHERE = "an_attribute_that_is_not_there"


_MISSING = re.compile(r"has no attribute '(\w+)'")


@functools.cache
def not_built_on_meta(build: Build) -> list[str]:
    """What keeps a module from being built under ``torch.device("meta")``."""
    devices = _Devices()
    try:
        with warnings.catch_warnings(), torch.device("meta"), devices:
            warnings.simplefilter("ignore")
            net = build()
    except Exception as error:
        return [
            f'built under torch.device("meta") it raises {brief(error)}; let the constructor read no values '
            "out of tensors, and give no device of its own"
        ]
    elsewhere = [
        name for name, tensor in tensors(net).items() if not tensor.is_meta and not _is_empty(tensor)
    ]
    if not elsewhere:
        return []
    if devices.given:
        why = (
            "the constructor has a device written in; leave device= away, or take it as an argument, None by "
            "default"
        )
    else:
        why = (
            "the constructor makes them with torch.Tensor(...), from numpy or from a tensor that was there "
            "before, which follow no torch.device; use torch.empty, torch.tensor and the like"
        )
    return [f'{they(elsewhere, "is", "are")} not on meta when built under torch.device("meta"): {why}']


def _is_empty(tensor: torch.Tensor) -> bool:
    """Whether a tensor has no values, and is as good on one device as on another."""
    return not is_lazy(tensor) and tensor.numel() == 0


class _Devices(TorchFunctionMode):
    """Notes the devices that functions are called with, other than meta and what ``torch.device`` gives."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[object] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        device = (kwargs or {}).get("device")
        if device is not None and isinstance(result, torch.Tensor) and not result.is_meta:
            self.given.append(device)
        return result


def unfilled(build: Build) -> list[str]:
    """Tensors that are NaN if memory is filled with NaN before it is given away."""
    is_on = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        names = [name for name, tensor in tensors(build()).items() if _has_nan(tensor)]
    finally:
        torch.use_deterministic_algorithms(is_on, warn_only=warns)
    if not names:
        return []
    with _Zeros():  # type: ignore[no-untyped-call]
        known = {name for name, tensor in tensors(build()).items() if _has_nan(tensor)}
    names = [name for name in names if name not in known]
    if not names:
        return []
    return [
        f"{they(names, 'has', 'have')} values that nobody gave: torch.empty takes what is in memory; fill "
        "what it makes, in reset_parameters or with torch.nn.init"
    ]


class _Zeros(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Fills memory with zeros before it is given away: it may be full of NaN already."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        return result.zero_() if func.overloadpacket in _UNFILLED and not result.is_meta else result


#: What gives memory away as it is.
_UNFILLED = {torch.ops.aten.empty, torch.ops.aten.empty_like, torch.ops.aten.empty_strided}
_UNFILLED |= {torch.ops.aten.new_empty, torch.ops.aten.new_empty_strided}


def filled_in_vain(build: Build) -> list[str]:
    """What building fills though it is computed from parameters, which stay as they are."""
    with _Fills() as fills:
        build()
    return [
        f"the constructor calls {function} on a tensor that is computed from parameters, as a "
        "parametrized weight is: the values are lost, and the parameters stay as they were; initialise "
        "before weight_norm and the like are applied"
        for function in dict.fromkeys(fills.functions)
    ]


class _Fills(TorchFunctionMode):
    """Notes what is filled under no_grad() and was computed from parameters, in memory of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.functions: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name, is_init = getattr(func, "__name__", ""), getattr(func, "__module__", "") == nn.init.__name__
        tensor = args[0] if args else kwargs.get("tensor")
        if isinstance(tensor, torch.Tensor) and (
            is_init or (name in _FILLING and not torch.is_grad_enabled())
        ):
            whole = tensor if tensor._base is None else tensor._base
            if whole.grad_fn is not None:
                self.functions.append(name)
        return func(*args, **kwargs)


#: What fills a tensor, whatever was in it.
_FILLING = {"normal_", "uniform_", "fill_", "zero_", "copy_", "bernoulli_", "exponential_", "log_normal_"}


def padding_filled(net: nn.Module) -> list[str]:
    """Embeddings whose row for padding is not zero."""
    paths = [
        path or "self"
        for path, module in net.named_modules()
        if isinstance(module, (nn.Embedding, nn.EmbeddingBag))
        and module.padding_idx is not None
        and bool(module.weight[module.padding_idx].any())
    ]
    if not paths:
        return []
    return [
        f"{they(paths, 'is built', 'are built')} with a row for padding that is not zero: padding counts, "
        "and as no gradient reaches that row it stays so; fill it with zeros after the others are initialised"
    ]


def equal_modules(net: nn.Module) -> list[str]:
    """Modules that equal another one of the tree, so that torch, which keeps them in sets, passes them by."""
    sentences, seen, told = [], dict[nn.Module, str](), set[int]()
    for path, module in net.named_modules(remove_duplicate=False):
        if id(module) in told or not any("__eq__" in vars(owner) for owner in type(module).__mro__[:-1]):
            continue
        told.add(id(module))
        first = seen.setdefault(module, path)
        if first != path:
            sentences.append(
                f"`{path}` equals `{first}` by the __eq__ of {type(module).__name__}: torch keeps modules in "
                "sets, so parameters(), to() and train() pass it by; compare settings by a method of another "
                "name, and leave __eq__ and __hash__ as they are"
            )
    return sentences


def starting_equal(net: nn.Module, other: nn.Module) -> list[str]:
    """Layers of one container whose random numbers are the same, and embeddings of zeros alone.

    Args:
        net: a fresh module.
        other: another one from another seed: what is the same in it was not drawn.
    """
    theirs, sentences = parameters(other), []
    for path, container in net.named_modules():
        if not isinstance(container, _CONTAINERS) or _is_of_torch(net, path):
            continue
        alike: dict[str, list[str]] = {}
        children = {dotted(path, name): child for name, child in container.named_children()}
        for name, child in children.items():
            first = next((one for one in alike if _drawn_alike(children[one], child, one, theirs)), name)
            alike.setdefault(first, []).append(name)
        sentences += [
            f"{listed(names)} start with the same random numbers: they are copies of one layer, and learn "
            "the same where they get the same; make each by itself, [make() for _ in range(n)], or give them "
            "numbers of their own afterwards"
            for names in alike.values()
            if len(names) > 1
        ]
    zeros = [
        path or "self"
        for path, module in net.named_modules()
        if isinstance(module, nn.Embedding)
        and module.weight.requires_grad
        and module.num_embeddings > 1
        and not module.weight.is_meta
        and not bool(module.weight.any())
    ]
    if zeros:
        sentences.append(
            f"{they(zeros, 'is an embedding', 'are embeddings')} of zeros alone, so that all words are alike "
            "at first; if only the row for padding was meant, fill weight[padding_idx], or give the layer "
            "padding_idx"
        )
    return sentences


_CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)


def _is_of_torch(net: nn.Module, path: str) -> bool:
    """Whether a container is made by one of torch's own layers, such as nn.TransformerEncoder."""
    if not path:
        return False
    owner = net.get_submodule(path.rpartition(".")[0])
    return is_standard(type(owner)) and not isinstance(owner, _CONTAINERS)


def _drawn_alike(one: nn.Module, other: nn.Module, path: str, elsewhere: dict[str, nn.Parameter]) -> bool:
    """Whether two modules have equal parameters to be trained, and some of them are random.

    Args:
        one: a module.
        other: another module.
        path: of the first.
        elsewhere: the parameters of a build from another seed.
    """
    if one is other or type(one) is not type(other):
        return False
    mine = {name: value for name, value in one.named_parameters() if value.requires_grad}
    its = dict(other.named_parameters())
    if not mine or any(name not in its or its[name] is value for name, value in mine.items()):
        return False
    if any(is_lazy(value) or differences(its[name], value, exact=True) for name, value in mine.items()):
        return False
    return any(
        bool(differences(elsewhere[dotted(path, name)], value))
        for name, value in mine.items()
        if dotted(path, name) in elsewhere
    )


def repeated(net: nn.Module) -> list[str]:
    """Modules with parameters that one container holds more than once, itself or in its parts."""
    sentences = [*_passed_to_each(net)]
    for path, module in net.named_modules():
        places: dict[int, list[str]] = {}
        for name, child in vars(module).get("_modules", {}).items():
            if child is not None and next(child.parameters(), None) is not None:
                places.setdefault(id(child), []).append(dotted(path, name))
        why = (
            "[layer] * n repeats what it holds; write [make() for _ in range(n)]"
            if isinstance(module, _CONTAINERS)
            else "what changes the one changes the other; copy.deepcopy gives one of its own"
        )
        sentences += [
            f"{listed(names)} are one module, with one set of parameters: {why}, unless that is meant"
            for names in places.values()
            if len(names) > 1
        ]
    return sentences


def _passed_to_each(net: nn.Module) -> Iterator[str]:
    """Modules with parameters that several parts of one container have under the same name."""
    for path, container in net.named_modules():
        if not isinstance(container, _CONTAINERS):
            continue
        places: dict[tuple[int, str], list[str]] = {}
        parts = list({id(part): (name, part) for name, part in container.named_children()}.values())
        for name, part in parts:
            for inner, module in part.named_modules(remove_duplicate=False):
                if inner and next(module.parameters(), None) is not None:
                    places.setdefault((id(module), inner), []).append(dotted(dotted(path, name), inner))
        told: list[str] = []
        for (_, inner), everywhere in places.items():
            if len(everywhere) > 1 and not any(inner.startswith(f"{above}.") for above in told):
                told.append(inner)
                yield (
                    f"{listed(everywhere)} are one module, with one set of parameters, that was made once "
                    "and given to each; make one for each, unless that is meant"
                )


#: The lists, dicts and sets that modules hold, by path and name, each with a copy.
Containers = dict[tuple[str, str], tuple[Any, Any]]


def containers(net: nn.Module) -> Containers:
    """The lists, dicts and sets that a module and its parts hold, each with a copy."""
    return {
        (path, name): (value, copy.copy(value))
        for path, module in net.named_modules()
        for name, value in vars(module).items()
        if type(value) in (dict, list, set) and name not in OF_TORCH
    }


def changed_by_building(before: Containers, another: nn.Module) -> list[str]:
    """Containers of one build that another shares, and that building it changed."""
    other = dict(another.named_modules())
    return [
        f"`{dotted(path, name)}` is one {type(value).__name__} in all builds, and building changes it: what "
        "a build does depends on those before it; make it in __init__, and give no list or dict as a default"
        for (path, name), (value, copied) in before.items()
        if path in other and vars(other[path]).get(name) is value and repr(value) != repr(copied)
    ]


def _has_nan(tensor: torch.Tensor) -> bool:
    if type(tensor) not in (torch.Tensor, nn.Parameter) or tensor.layout != torch.strided or tensor.is_nested:
        return False  # a class of one's own may not know isnan
    return tensor.is_floating_point() and bool(tensor.isnan().any())


def renewed_by_reset(net: nn.Module) -> list[str]:
    """Parameters that are other objects after reset_parameters(), of a module of the user's."""
    told = []
    for path, module in net.named_modules():
        if is_standard(type(module)) or not callable(getattr(type(module), "reset_parameters", None)):
            continue
        before = dict(module.named_parameters())
        if _error_of(module.reset_parameters) is not None:
            continue  # it takes arguments, or says when it may be called
        after = dict(module.named_parameters())
        renewed = [name for name, one in before.items() if after.get(name) is not one]
        if renewed:
            told.append(
                f"after reset_parameters() of `{path or 'self'}` {they(renewed, 'is', 'are')} not the "
                "Parameter that it was: an optimizer made before goes on with the old one, and what is tied "
                "is not any more; make Parameters in __init__, and fill them in reset_parameters, as "
                "nn.init.normal_ does"
            )
    return told


def shadowed_methods(net: nn.Module) -> list[str]:
    """Attributes that are called as a method of nn.Module is, and are no function."""
    return [
        f"`{dotted(path, name)}` hides the method {name}() of nn.Module: who calls it gets a "
        f"{type(value).__name__}; give it another name"
        for path, module in net.named_modules()
        for name, value in vars(module).items()
        if callable(getattr(nn.Module, name, None)) and not callable(value) and name != "forward"
    ]


#: How torch calls methods that a class may override: of each the arguments, the least and the most.
_CALLS: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "train": [((), {}), ((False,), {})],
    "eval": [((), {})],
    "requires_grad_": [((), {}), ((False,), {})],
    "zero_grad": [((), {}), ((), {"set_to_none": True})],
    "parameters": [((), {}), ((), {"recurse": False})],
    "named_parameters": [((), {}), ((), {"prefix": "", "recurse": False})],
    "buffers": [((), {}), ((), {"recurse": False})],
    "named_buffers": [((), {}), ((), {"prefix": "", "recurse": False})],
    "modules": [((), {})],
    "children": [((), {})],
    "named_modules": [((), {}), ((), {"memo": set(), "prefix": ""})],
    "to": [(("cpu",), {}), ((torch.float32,), {}), (("cpu", torch.float32), {"non_blocking": True})],
    "state_dict": [((), {}), ((), {"destination": {}, "prefix": "", "keep_vars": False})],
    "load_state_dict": [(({},), {}), (({},), {"strict": False})],
}
if "assign" in inspect.signature(nn.Module.load_state_dict).parameters:
    _CALLS["load_state_dict"].append((({},), {"strict": True, "assign": True}))


def narrowed(net: nn.Module, methods: Iterable[str] = tuple(_CALLS)) -> list[str]:
    """Overridden methods that do not take what torch gives them."""
    sentences, seen = [], set[tuple[type, str]]()
    for path, module in net.named_modules():
        for name in methods:
            owner = next(owner for owner in type(module).__mro__ if name in vars(owner))
            if is_standard(owner) or (owner, name) in seen or not callable(method := getattr(module, name)):
                continue
            seen.add((owner, name))
            for args, kwargs in _CALLS[name]:
                try:
                    inspect.signature(method).bind(*args, **kwargs)
                except TypeError as error:
                    written = [*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())]
                    sentences.append(
                        f"`{dotted(path, name)}` is overridden and does not take what that of nn.Module "
                        f"takes: {name}({', '.join(written)}) raises TypeError: {error}; give it the same "
                        "arguments, and pass them on, or another name"
                    )
                    break
    return sentences


def swallowed(net: nn.Module) -> list[str]:
    """Classes that have every attribute or raise another error, and properties that miss another name."""
    sentences, seen = [], set[type]()
    for path, module in net.named_modules():
        owner = type(module)
        if owner in seen or isinstance(module, torch.jit.ScriptModule):
            continue
        seen.add(owner)
        error = _error_of(lambda: getattr(module, _NOWHERE))  # noqa: B023
        if error is None:
            sentences.append(
                f"`{path or 'self'}` has any attribute that it is asked for: hasattr is always true, and "
                "what is misspelt is found late; let __getattr__ raise AttributeError"
            )
        elif not isinstance(error, AttributeError):
            sentences.append(
                f"`{path or 'self'}` is asked for an attribute that is not there, and raises {brief(error)}: "
                "hasattr and getattr with a default raise it too; let __getattr__ raise AttributeError"
            )
        for name, value in _properties(owner):
            error = _error_of(lambda: value(module))  # noqa: B023
            missing = _MISSING.search(text_of(error)) if isinstance(error, AttributeError) else None
            if missing and missing[1] != name:
                sentences.append(
                    f"`{dotted(path, name)}` is a property that asks for {missing[1]!r}, which is not there, "
                    f"and so {name!r} is said to be missing; mend the name, or set it in __init__"
                )
    return sentences


def _properties(owner: type) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """The properties of a class of the user's, each with what computes it."""
    for above in owner.__mro__:
        if not is_standard(above):
            for name, value in vars(above).items():
                compute = value.fget if isinstance(value, property) else None
                if compute and getattr(owner, name, None) is value:
                    yield name, compute


def _error_of(ask: Callable[[], object]) -> Exception | None:
    try:
        ask()
    except Exception as error:
        return error
    return None


def left_behind(net: nn.Module, device: str) -> list[str]:
    """Parameters and buffers that are not on a type of device."""
    there = torch.device(device).type
    behind = {name: tensor.device for name, tensor in tensors(net).items() if tensor.device.type != there}
    if not behind:
        return []
    return [
        f"{they(behind, 'is', 'are')} on {next(iter(behind.values()))} after the move to {device}; let "
        "_apply move what is registered, which it does unless it is overridden"
    ]

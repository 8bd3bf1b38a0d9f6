"""Findings about names, and about what builds and copies share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from nnspec.contract.findings.registration import is_standard
from nnspec.contract.tree import Names, names, parameters, shared
from nnspec.contract.wording import kind_of, listed


def names_differ(
    net: nn.Module, other: nn.Module, changing: Callable[[], Iterable[Iterable[str]]] = list
) -> list[str]:
    """Names that only one of two builds has.

    Args:
        net: the one.
        other: the other.
        changing: builds once more, and tells the defaults that this changes.
    """
    here, there = names(net), names(other)
    only = [name for name in here if name not in there] + [name for name in there if name not in here]
    if not only:
        return []
    cure = "take names from what is built, not from a counter, an id, a clock or a random number"
    if changed := list(changing()):
        constructor, argument, before, after = changed[0]
        cure = (
            f"each build changes the default of `{argument}` in {constructor}, as from {before} to {after}: "
            "give None as the default, or work on a copy of what is given"
        )
    these = "this name" if len(only) == 1 else "these names"
    return [f"{listed(only)}: only one of two builds has {these}; {cure}"]


def order_differs(net: nn.Module, other: nn.Module) -> list[str]:
    """The first place at which two builds have different parameters."""
    there = list(parameters(other))
    here = [name for name in parameters(net) if name in there]
    there = [name for name in there if name in here]
    for position, (name, its_name) in enumerate(zip(here, there, strict=True)):
        if name != its_name:
            return [
                f"parameter {position} is `{name}` in one build and `{its_name}` in another: an optimizer's "
                "state is kept by position; register in a fixed order, and not in that of a set"
            ]
    return []


def changed_defaults(changed: Iterable[Iterable[str]]) -> list[str]:
    """Defaults that the first build changes; each is a constructor, an argument and two values."""
    return [
        f"the default of `{argument}` in {constructor} is {before} at first, and {after} once a module was "
        "built: every later build gets what is left; give None as the default, or work on a copy of what "
        "is given"
        for constructor, argument, before, after in changed
    ]


def taken_out(taken: Iterable[Iterable[str]]) -> list[str]:
    """Lists and dicts that the constructor is given, and takes from; each is a name and two values."""
    return [
        f"`{name}`, which the constructor is given, is {before} at first, and {after} once a module was "
        "built: the caller's own is changed, and a second build gets what is left; work on a copy of what is "
        "given"
        for name, before, after in taken
    ]


def wrapped(net: nn.Module) -> list[str]:
    """Parts that are wrapped by torch.compile, DataParallel or DistributedDataParallel."""
    cures = {
        "OptimizedModule": "compile it in place, self.part.compile(), or compile the whole",
        "DataParallel": "wrap the whole, where it is trained",
        "DistributedDataParallel": "wrap the whole, where it is trained",
    }
    return [
        f"`{path}` is wrapped, {kind_of(module)}, and all names in it go through `{path}.{inner}`: a "
        f"checkpoint fits only what is wrapped likewise; {cures[kind]}"
        for path, module in net.named_modules()
        if path and (kind := type(module).__name__) in cures and is_standard(type(module))
        for inner, _ in module.named_children()
    ]


def differs_elsewhere(net: nn.Module, elsewhere: Names) -> list[str]:
    """Names that another process does not give, or the first place at which it has another parameter."""
    only = sorted(names(net).keys() ^ elsewhere.all.keys())
    if only:
        these = "this name" if len(only) == 1 else "these names"
        return [
            f"{listed(only)}: only one of two processes gives {these}; make no name with hash(), an id, a "
            "clock or a random number"
        ]
    for position, (name, its_name) in enumerate(zip(parameters(net), elsewhere.parameters, strict=True)):
        if name != its_name:
            return [
                f"parameter {position} is `{name}` here and `{its_name}` in another process: a set of texts "
                "has another order in each, and an optimizer's state is kept by position; register in the "
                "order of a list, or of sorted(...)"
            ]
    return []


def shared_by_builds(net: nn.Module, other: nn.Module) -> list[str]:
    """Tensors that two builds share."""
    common = shared(net, other)
    if not common:
        return []
    return [
        f"two builds share {listed(common)}, made once as a default argument, on the class or at the top of "
        "a file: what is done to the one is done to the other; make it in __init__"
    ]


def shared_by_copy(net: nn.Module, copied: nn.Module) -> list[str]:
    """Tensors that a deep copy shares with its original."""
    common = shared(net, copied)
    if not common:
        return []
    return [
        f"a deep copy shares {listed(common)} with its original: training the one changes the other; let "
        "__deepcopy__ copy with copy.deepcopy(value, memo), or leave __deepcopy__ away"
    ]


def misnamed(net: nn.Module, walk: Iterable[tuple[str, nn.Parameter]]) -> list[str]:
    """Parameters that a walk yields more than once, or not at all, or that are not registered."""
    walked = list(walk)
    registered = parameters(net)
    all_names: dict[int, list[str]] = {}
    for name, parameter in walked:
        all_names.setdefault(id(parameter), []).append(name)
    known = {id(parameter) for parameter in registered.values()}
    sentences = [
        f"named_parameters() yields {listed(its_names)}, which is one parameter, {len(its_names)} times; "
        "leave named_parameters() as it is"
        for its_names in all_names.values()
        if len(its_names) > 1
    ]
    sentences += [
        f"named_parameters() leaves out `{name}`: no optimizer trains it; leave parameters() and "
        "named_parameters() as they are, and freeze with requires_grad_(False)"
        for name, parameter in registered.items()
        if id(parameter) not in all_names
    ]
    return sentences + [
        f"named_parameters() yields `{name}`, which is not registered; assign it to self"
        for name, parameter in walked
        if id(parameter) not in known
    ]


def misplaced(own: dict[str, Any], whole: dict[str, Any], prefix: str) -> list[str]:
    """Keys that a module has by itself and not, with the prefix, as part of another, or the reverse."""
    lost = [key for key in own if prefix + key not in whole]
    added = [key for key in whole if key.removeprefix(prefix) not in own or not key.startswith(prefix)]
    if not lost and not added:
        return []
    return [
        f"inside another module the state dict has {listed(added) or 'no other key'} instead of "
        f"{listed([prefix + key for key in lost]) or 'none'}; where state_dict or _save_to_state_dict is "
        "overridden, pass destination, prefix and keep_vars on"
    ]

"""Findings about the state dict and about loading."""

from __future__ import annotations

import contextlib
import copy
import inspect
import re
import traceback
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from nnspec.contract.findings.keeping import attributes, kept_tensors
from nnspec.contract.findings.registration import is_standard
from nnspec.contract.nested import Example, differences, is_floating, run
from nnspec.contract.tree import (
    Build,
    address,
    buffers,
    copied_state,
    dotted,
    entries,
    memory,
    names,
    parameters,
    passing,
    tensors,
)
from nnspec.contract.wording import brief, kind_of, listed, own_frames, place, text_of, they


def not_in_state(net: nn.Module, state: Mapping[str, Any]) -> list[str]:
    """Parameters and persistent buffers that a state dict lacks."""
    kept = passing(net)
    wanted = [*parameters(net), *(name for name in buffers(net) if name not in kept)]
    lost = [name for name in wanted if name not in state]
    if not lost:
        return []
    return [
        f"the state dict lacks {listed(lost)}: a checkpoint does not bring back what it computed; where "
        "state_dict or _save_to_state_dict is overridden, leave every entry of super()'s in"
    ]


def brought_back(net: nn.Module, fresh: nn.Module) -> bool:
    """Whether another build that loads the state dict of a module holds its values, whatever the keys are."""
    try:
        fresh.load_state_dict(copied_state(net.state_dict()))
    except Exception:
        return False
    mine, its, kept = tensors(net), tensors(fresh), passing(net)
    return all(
        name in its and not differences(its[name], value, name, exact=True)
        for name, value in mine.items()
        if name not in kept
    )


def not_referred_to(net: nn.Module, state: Mapping[str, Any]) -> list[str]:
    """Entries of a state dict that do not share memory with what they are named for."""
    own = dict(entries(net, "_parameters")) | dict(entries(net, "_buffers"))
    copies = [
        name
        for name, value in state.items()
        if isinstance(value, Tensor)
        and name in own
        and value.numel()
        and address(value.detach()) != address(own[name].detach())
    ]
    if not copies:
        return []
    return [
        f"{listed(copies)} of the state dict {'is a copy' if len(copies) == 1 else 'are copies'}: what is "
        "written there does not reach the module; let state_dict return super()'s values, and copy where a "
        "copy is wanted"
    ]


def sharing_by_accident(net: nn.Module) -> list[str]:
    """Pairs of different parameters or buffers that lie in the same memory."""
    places = [(name, tensor, *_extent(tensor)) for name, tensor in tensors(net).items() if tensor.numel()]
    return [
        f"`{name}` and `{other}` are two tensors in one memory: a cast, a move or a deep copy separates "
        f"them; to tie them, {_tie(tensor, its_tensor)}, and else clone() one of them"
        for index, (name, tensor, storage, start, end) in enumerate(places)
        for other, its_tensor, its_storage, its_start, its_end in places[:index]
        if storage == its_storage and start < its_end and its_start < end and tensor is not its_tensor
    ]


def _tie(tensor: Tensor, other: Tensor) -> str:
    if tensor.shape != other.shape and tensor.dim() == 2 and tensor.shape == other.t().shape:
        return "keep one alone, and take its .t() in forward"
    return "assign the same Parameter"


def sharing_with_attributes(net: nn.Module) -> list[str]:
    """Plain tensor attributes, other than parameters, in the memory of a parameter or buffer."""
    places = {memory(tensor): name for name, tensor in tensors(net).items() if tensor.numel()}
    return [
        f"`{dotted(path, name)}` is a plain tensor in the memory of `{places[memory(value)]}`: what is "
        "loaded there changes it too, and a move separates them; clone() what is put aside, or keep a number"
        for path, module in net.named_modules()
        if not is_standard(type(module))
        for name, value in vars(module).items()
        if isinstance(value, Tensor) and not isinstance(value, nn.Parameter) and value.numel()
        if memory(value) in places
    ]


def _extent(tensor: Tensor) -> tuple[object, int, int]:
    """The memory of a tensor, its first element there, and the one after its last."""
    if tensor.layout != torch.strided or tensor.is_meta:
        return id(tensor), 0, 1
    start = int(tensor.storage_offset())
    length = sum(int((size - 1) * stride) for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return memory(tensor), start, start + length + 1


def larger_than_values(net: nn.Module) -> list[str]:
    """Entries of the state dict whose memory is far larger than all that the state dict has in it."""
    held: dict[int, int] = {}
    places: dict[int, tuple[list[str], int]] = {}
    kept = passing(net)
    for name, value in tensors(net).items():
        if name in kept or is_lazy(value) or not address(value):
            continue
        where, size = address(value), value.untyped_storage().nbytes()
        held[where] = held.get(where, 0) + value.numel() * value.element_size()
        places.setdefault(where, ([], size))[0].append(name)
    return [
        f"{they(list(dict.fromkeys(inside)), 'is a view', 'are views')} of a tensor of {size:,} bytes, and "
        f"{held[where]:,} of them are needed: torch.save writes them all, and memory holds them; clone() "
        "what is taken out of a larger tensor"
        for where, (inside, size) in places.items()
        if size >= 2 * held[where] + _LEAST_TOO_MUCH
    ]


#: How many bytes too many are told.
_LEAST_TOO_MUCH = 1 << 16


def not_back_from_file(path: Path, state: Mapping[str, Any]) -> list[str]:
    """What keeps a state dict from coming back from a file with ``weights_only=True``."""
    try:
        back = torch.load(path, weights_only=True)
    except Exception as error:
        reason = "; ".join(line.strip() for line in text_of(error).splitlines() if "nsupported" in line)[:200]
        cause = reason.rstrip(".") or brief(error)
        own = [f"`{key}`, {kind_of(value)}" for key, value in state.items() if not isinstance(value, Tensor)]
        return [
            f"torch.load(..., weights_only=True) refuses the file: {', '.join(own) or 'a value'} is no "
            f"tensor ({cause}); let get_extra_state return tensors, numbers, texts, and lists and dicts of "
            "these"
        ]
    return [
        f"{difference} after a file; save with torch.save(net.state_dict(), file)"
        for difference in differences(dict(back), dict(state), "state", exact=True)
    ]


def not_taken(fresh: nn.Module, state: dict[str, Any]) -> list[str]:
    """The error of a strict load, or entries that have other values afterwards."""
    kept = copied_state(state)  # a plain dict would lose the versions that a state dict carries
    try:
        fresh.load_state_dict(kept)
    except Exception as error:
        if spread := [name for name, tensor in tensors(fresh).items() if _is_expanded(tensor)]:
            return [
                f"{they(spread, 'is an expanded tensor', 'are expanded tensors')}, with several values in "
                "one place: neither load_state_dict nor an optimizer can write there; use repeat() for "
                "expand(), or clone() what expand() gives"
            ]
        reasons = [line.strip() for line in text_of(error).splitlines()[1:]] or [brief(error)]
        cure = "let saving and loading use the same names and shapes, those of the attributes"
        if all(part.rpartition(".")[2] == "_extra_state" for part in _quoted(" ".join(reasons))):
            cure = (
                "write set_extra_state(state) beside get_extra_state(), and let it put back what that returns"
            )
        return [
            f"a fresh build refuses the state dict of another: {' '.join(reasons)[:300].rstrip('.')}; {cure}"
        ]
    changed = [
        difference
        for name, value in fresh.state_dict().items()
        if name in kept and isinstance(value, Tensor) and isinstance(kept[name], Tensor)
        for difference in differences(value, kept[name], name, exact=True)
    ]
    if not changed:
        return []
    cure = "load every entry of the state dict"
    if not hasattr(state, "_metadata") and (versioned := _versioned(fresh)):
        cure = (
            "return what super().state_dict() returned, with its _metadata: without that the versions are "
            f"lost, and {listed(versioned)} takes what it loads for a checkpoint of an older one"
        )
    if saved := [name for name in _saved_otherwise(fresh) if name in kept]:
        cure = (
            f"saving writes other values than {they(saved, 'has', 'have')}, turned round or computed, and "
            "loading does not undo it: undo it in _load_from_state_dict, or let _save_to_state_dict save "
            "them as they are"
        )
    return [f"{difference} after load_state_dict; {cure}" for difference in changed]


def _saved_otherwise(net: nn.Module) -> list[str]:
    """The parameters and buffers of which a state dict has other values."""
    state = net.state_dict()
    return [
        name
        for name, own in tensors(net).items()
        if isinstance(state.get(name), Tensor) and differences(state[name], own, exact=True)
    ]


def _quoted(text: str) -> list[str]:
    """The keys that an error names; an empty one if it names none."""
    return re.findall(r'"([^"]*)"', text) or [""]


def _versioned(net: nn.Module) -> list[str]:
    """Modules whose class has a version of its own, by which it loads."""
    return [
        path or "self"
        for path, module in net.named_modules()
        if any("_version" in vars(owner) and not is_standard(owner) for owner in type(module).__mro__)
    ]


def _is_expanded(tensor: Tensor) -> bool:
    """Whether several values of a tensor lie in one place."""
    if tensor.layout != torch.strided:
        return False
    return any(size > 1 and stride == 0 for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def differs_after_loading(fresh: nn.Module, net: nn.Module, example: Example) -> list[str]:
    """That a build which has loaded the state of another computes something else, and from what."""
    net.eval()
    fresh.eval()
    different = differences(run(fresh, example), run(net, example))
    if not different:
        return []
    loaded, state = tensors(fresh), net.state_dict()
    strange = [
        name
        for name, buffer in buffers(net).items()
        if name not in state and differences(loaded.get(name), buffer, exact=True)
    ]
    if strange:
        return [
            f"`{name}` is a non-persistent buffer with other values in each build, so that {different[0]} "
            "after loading; register it with persistent=True"
            for name in strange
        ]
    computed = [name for name, tensor in kept_tensors(net).items() if tensor.grad_fn is not None]
    if computed:
        return [
            f"{they(computed, 'is', 'are')} computed from parameters and kept, so that {different[0]} after "
            "loading; use a parametrization (torch.nn.utils.parametrizations), or compute in forward"
        ]
    return [
        f"{different[0]} after loading: forward depends on something that is in no parameter and no buffer; "
        "register it, or keep it in get_extra_state"
    ]


def lost_by_saving(fresh: nn.Module, net: nn.Module, example: Example) -> list[str]:
    """That a module which was called in train mode computes something that no load brings back.

    Args:
        fresh: another build, which loads what the first one saves.
        net: a module that computes the same as such a build does before it is called in train mode.
        example: makes the inputs.
    """
    before = {name: tensor.detach().clone() for name, tensor in buffers(net).items()}
    net.train()
    run(net, example)
    net.eval(), fresh.eval()
    state = net.state_dict()
    try:
        fresh.load_state_dict(copied_state(state))
    except Exception:
        return []  # what a call registers or reshapes is told by other rules
    different = differences(run(fresh, example), run(net, example))
    if not different:
        return []
    lost = [
        name
        for name, buffer in buffers(net).items()
        if name not in state and name in before and differences(buffer, before[name], exact=True)
    ]
    what = "something that it changes is in no parameter and no persistent buffer"
    cure = "make it a buffer"
    if lost:
        what = f"{they(lost, 'is a buffer that is', 'are buffers that are')} not persistent"
        cure = "register it with persistent=True"
    return [
        f"what a call in train mode changes is lost by saving and loading: {what}, and {different[0]} then; "
        + cure
    ]


def stale_after_loading(fresh: nn.Module, net: nn.Module, example: Example, own: set[str]) -> list[str]:
    """That a build which was called before it loads the state of another computes something else.

    Args:
        fresh: the build, with what it does not register registered.
        net: the other, likewise.
        example: makes the inputs.
        own: the entries of the state dict that the module has by itself.
    """
    net.eval()
    fresh.eval()
    before, registered = set(attributes(fresh)), names(fresh)
    shapes = {name: shape for name, shape in _shapes(fresh).items() if name in own}
    with torch.no_grad():
        run(fresh, example)
        if names(fresh) != registered:
            return []  # what a call registers is another rule's matter
        if grown := _reshaped(shapes, _shapes(fresh)):
            return grown
        fresh.load_state_dict(copied_state(net.state_dict()))
        different = differences(run(fresh, example), run(net, example))
    if not different:
        return []
    kept = [name for name in attributes(fresh) if name not in before]
    what = f"{they(kept, 'is', 'are')} of the call before" if kept else "something is kept of the call before"
    return [
        f"{different[0]} after a call and a load: {what}, and computed from the old values; compute it in "
        "each call, or drop it when values are loaded (register_load_state_dict_post_hook)"
    ]


def _shapes(net: nn.Module) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors in a state dict."""
    return {name: tuple(value.shape) for name, value in net.state_dict().items() if isinstance(value, Tensor)}


def _reshaped(before: dict[str, tuple[int, ...]], after: dict[str, tuple[int, ...]]) -> list[str]:
    """Entries of a state dict whose shape a call has changed."""
    return [
        f"`{name}` of the state dict has the shape {after[name]} after a call, and had {shape}: what is "
        "saved before a call does not load after it, nor the reverse; give it one shape in __init__, or keep "
        "it out, with persistent=False"
        for name, shape in before.items()
        if name in after and after[name] != shape
    ]


def not_taken_as_a_part(fresh: nn.Module, net: nn.Module) -> list[str]:
    """The error of a strict load of a module that ``fresh`` is part of, or entries that are not taken.

    Args:
        fresh: a build that takes the state of the other by itself.
        net: another.
    """
    whole, state = nn.ModuleDict({"part": fresh}), nn.ModuleDict({"part": net}).state_dict()
    cure = (
        "where _load_from_state_dict is overridden, look up state_dict[prefix + name], and call that "
        "of super()"
    )
    kept = copied_state(state)
    try:
        whole.load_state_dict(kept)
    except Exception as error:
        reasons = [line.strip() for line in text_of(error).splitlines()[1:]] or [brief(error)]
        return [
            f"as a part of another module it does not load: {' '.join(reasons)[:300].rstrip('.')}; {cure}"
        ]
    return [
        f"{difference} after a module that it is part of has loaded, without an error; {cure}"
        for name, value in whole.state_dict().items()
        if name in kept and isinstance(value, Tensor) and isinstance(kept[name], Tensor)
        for difference in differences(value, kept[name], name.removeprefix("part."), exact=True)
    ]


def accepted_without_a_key(net: nn.Module, state: dict[str, Any]) -> list[str]:
    """That a state dict is loaded though it lacks a key."""
    if not state:
        return []
    left_out = next(iter(state))
    rest = copy.copy(state)
    del rest[left_out]
    try:
        net.load_state_dict(rest)
    except Exception:
        return []
    return [
        f"load_state_dict says nothing of a state dict without `{left_out}`, which keeps the values it was "
        "built with; keep strict=True as the default where it is overridden"
    ]


def part_refused(net: nn.Module) -> list[str]:
    """That an empty state dict is refused with ``strict=False``, or what was missing is not told."""
    empty = copied_state(net.state_dict())
    empty.clear()  # and has its versions still
    for state in (empty, dict[str, Any]()):
        try:
            told = net.load_state_dict(state, strict=False)
        except Exception as error:
            if not own_frames(traceback.extract_tb(error.__traceback__)):
                continue  # torch's own loading
            if state is not empty and not isinstance(error, KeyError):
                continue  # it asks for a version, which is no key
            return [
                f"load_state_dict with strict=False raises {brief(error)} where a key is missing, so that no "
                "part of a checkpoint can be loaded; ask whether the key is there first: if key in state_dict"
            ]
        if not hasattr(told, "missing_keys"):
            return [
                f"load_state_dict returns {kind_of(told)}, and not what was missing and unexpected: with "
                "strict=False nobody learns what was not loaded; return what super().load_state_dict returns"
            ]
    return []


def taken_out(net: nn.Module, state: dict[str, Any]) -> list[str]:
    """Entries that a state dict lacks after it was loaded."""
    before = list(state)
    given = _Written(state)
    if hasattr(state, "_metadata"):
        given._metadata = state._metadata
    try:
        net.load_state_dict(given, strict=False)
    except RuntimeError:
        return []  # what is refused is another rule's matter
    lost = [name for name in before if name not in given]
    if lost:
        return [
            f"load_state_dict takes {listed(lost)} out of the dict that it is given; let it read the dict, "
            "or work on a copy"
        ]
    if given.places:
        return [
            f"load_state_dict writes to the dict that it is given{given.places[0]}, as to rename keys: who "
            "loads it once more, or saves it, has another; let it read the dict, or work on a copy"
        ]
    return []


class _Written(OrderedDict[str, Any]):
    """A state dict that notes where it is written to."""

    _metadata: Any
    places: list[str]

    def __init__(self, state: Mapping[str, Any]) -> None:
        super().__init__()
        for key, value in state.items():
            OrderedDict.__setitem__(self, key, value)
        self.places = []

    def __setitem__(self, key: str, value: Any) -> None:
        self._note()
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        self._note()
        super().__delitem__(key)

    def pop(self, *args: Any, **kwargs: Any) -> Any:
        self._note()
        return super().pop(*args, **kwargs)

    def copy(self) -> OrderedDict[str, Any]:  # type: ignore[override]
        return OrderedDict(self)

    def _note(self) -> None:
        if hasattr(self, "places"):
            self.places.append(place(traceback.extract_stack()[:-2]))


def replaced(before: dict[str, nn.Parameter], after: dict[str, nn.Parameter], by: str) -> list[str]:
    """Parameters that have become other objects."""
    new = [name for name, parameter in before.items() if name in after and after[name] is not parameter]
    if not new:
        return []
    return [
        f"{they(new, 'is another Parameter', 'are other Parameters')} after {by}: an optimizer goes on with "
        "the old; change .data, or copy_ into it under no_grad()"
    ]


def lost_on_meta(construct: Build, whole: nn.Module) -> list[str]:
    """Buffers without values in a module that was built on meta and has loaded the state dict of another.

    Asked for are those of classes whose constructor takes a device, and so may be told meta.

    Args:
        construct: builds the module.
        whole: such a module, built on the CPU.
    """
    passed = passing(whole)
    asked = [name for name in buffers(whole) if name in passed and _takes_a_device(whole, name)]
    if not asked:
        return []
    with torch.device("meta"):
        net = construct()
    net.to_empty(device="cpu")
    its = buffers(net)
    for name in asked:
        if name in its and is_floating(its[name]):
            its[name].detach().fill_(torch.nan)
    for module in net.modules():
        if callable(reset := getattr(module, "reset_parameters", None)):
            with contextlib.suppress(Exception):  # it may want to be told more
                reset()
    net.load_state_dict(copied_state(whole.state_dict()), strict=False)
    now = buffers(net)
    lost = [name for name in asked if name in now and is_floating(now[name]) and _is_empty(now[name])]
    if not lost:
        return []
    return [
        f"built on meta, as large models are, {they(lost, 'has', 'have')} no values: to_empty() gives none, "
        "and a buffer with persistent=False is in no checkpoint; compute it in reset_parameters() too, and "
        "call that in __init__"
    ]


def _takes_a_device(net: nn.Module, name: str) -> bool:
    """Whether the class that registers a buffer is one's own, and its constructor takes a device."""
    owner = type(net.get_submodule(name.rpartition(".")[0]))
    return not is_standard(owner) and "device" in inspect.signature(owner.__init__).parameters


def _is_empty(buffer: Tensor) -> bool:
    return buffer.numel() > 0 and bool(buffer.isnan().all())


def not_assigned(net: nn.Module, state: Mapping[str, Any]) -> list[str]:
    """Entries of a state dict that are still on meta after a load with ``assign=True``."""
    own = dict(entries(net, "_parameters")) | dict(entries(net, "_buffers"))
    stay = [name for name in state if name in own and own[name].is_meta]
    if not stay:
        return []
    return [
        f"{they(stay, 'stays', 'stay')} on meta after load_state_dict(..., assign=True), copied into instead "
        "of assigned; where _load_from_state_dict is overridden, call super()'s"
    ]

"""Findings about copies, and about calls with other tensors in the place of the parameters."""

from __future__ import annotations

import copy
import functools
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nnspec.contract.findings.registration import OF_TORCH, holding_functions, is_standard
from nnspec.contract.nested import Example, differences, run
from nnspec.contract.tree import attribute, disturb, dotted, entries
from nnspec.contract.wording import brief, kind_of, listed, they
from nnspec.running import isolation


def differs_in_a_copy(copied: nn.Module, net: nn.Module, example: Example, what: str) -> list[str]:
    """That a copy computes something else, and the attributes in which it differs.

    Args:
        copied: the copy.
        net: its original.
        example: makes the inputs.
        what: what the copy is called, such as ``a deep copy``.
    """
    flags = _different_values(copied, net)
    net.eval()
    expected = run(net, example)
    refused, output = called_in_eval(copied, example, what)
    different = [] if refused else differences(output, expected)
    if not different:
        return refused
    why = f": {flags[0]}" if flags else ""
    return [
        f"{what} computes something else: {different[0]}{why}; let __deepcopy__, __reduce__ and __getstate__ "
        "take every attribute along, or leave them away"
    ]


def called_in_eval(copied: nn.Module, example: Example, what: str) -> tuple[list[str], Any]:
    """The error of a copy that is set to eval mode and called, and what it returns."""
    try:
        copied.eval()
        return [], run(copied, example)
    except Exception as error:
        return [
            f"{what} raises {brief(error)}, and its original does not; let __deepcopy__, __reduce__ and "
            "__getstate__ take every attribute along, or leave them away"
        ], None


def _different_values(copied: nn.Module, net: nn.Module) -> list[str]:
    theirs = dict(copied.named_modules())
    return [
        f"`{dotted(path, name)}` is {vars(theirs[path]).get(name)!r} on the copy and {value!r} on the "
        "original"
        for path, module in net.named_modules()
        if path in theirs
        for name, value in vars(module).items()
        if isinstance(value, (int, float, str)) and vars(theirs[path]).get(name) != value
    ]


def follows_the_original(copied: nn.Module, after: Any, expected: Any) -> list[str]:
    """That a deep copy computes something else once the original has other values."""
    weak = [
        dotted(path, name)
        for path, module in copied.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, weakref.ref) and isinstance(value(), (nn.Module, Tensor))
    ]
    why = (
        "something in it still refers to the original: let __deepcopy__ copy all, and write functions "
        "kept on self as methods"
    )
    if weak:
        why = (
            f"{they(weak, 'is a weak reference', 'are weak references')}, and in a copy still to the "
            "original: give forward what it needs, or keep the part that owns it"
        )
    return [
        f"after a change of the original, the deep copy gives another output: {difference}; {why}"
        for difference in differences(after, expected)[:1]
    ]


def follows_in_a_copy(net: nn.Module, example: Example) -> list[str]:
    """That a deep copy computes something else once its original, which is changed, has other values."""
    try:
        copied = copy.deepcopy(net)
    except Exception:
        return []  # that it cannot be copied is another rule's matter
    copied.eval()
    expected = run(copied, example)
    disturb(net)
    return follows_the_original(copied, run(copied, example), expected)


def through_pickle(net: nn.Module) -> tuple[list[str], Any]:
    """What keeps a module from coming back from pickle, and what comes back."""
    try:
        pickled = pickle.dumps(net)
    except Exception as error:
        return _not_picklable(net, error), None
    try:
        back = pickle.loads(pickled)
    except Exception as error:
        return [
            f"it is pickled, and pickle.loads raises {brief(error)}; let __new__ and __setstate__ do with "
            "what pickle gives them, and give __new__ no arguments of its own without __getnewargs__"
        ], None
    if not isinstance(back, nn.Module):
        return [
            f"it comes back from pickle as {kind_of(back)}; let __reduce__ name what builds the module, or "
            "leave it away"
        ], None
    return [], back


def _not_picklable(net: nn.Module, error: Exception) -> list[str]:
    """What is said of an error of pickle, with the attribute that it is about."""
    culprits = [
        dotted(path, name)
        for path, module in net.named_modules()
        for name, value in vars(module).items()
        if name not in OF_TORCH and not _is_picklable(value)
    ]
    return [
        f"{listed(culprits) or type(net).__name__} cannot be pickled: {brief(error)}; a class or "
        "function is pickled by its name, so write it at the top of its file, and make locks, files and "
        "generators when they are needed"
    ]


def _is_picklable(value: object) -> bool:
    try:
        pickle.dumps(value)
    except Exception:
        return False
    return True


def ties(net: nn.Module) -> list[list[str]]:
    """The groups of names that lead to one parameter or buffer."""
    groups: dict[int, list[str]] = {}
    for store in ("_parameters", "_buffers"):
        for name, value in entries(net, store):
            groups.setdefault(id(value), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def tied_parameters(net: nn.Module, groups: list[list[str]]) -> list[list[str]]:
    """The groups of names that lead to one parameter: torch itself keeps no others in a cast."""
    named = dict(entries(net, "_parameters"))
    return [group for group in groups if group[0] in named]


def untied(before: list[list[str]], after: list[list[str]], by: str) -> list[str]:
    """Groups of names that do not lead to one tensor any more."""
    return [
        f"{listed(group)} are one tensor, and in {by} they are several; tie them again in __deepcopy__ or "
        "_apply, or leave both as they are"
        for group in before
        if not any(set(group) <= set(other) for other in after)
    ]


def differs_without_gradients(net: nn.Module, example: Example, expected: Any) -> list[str]:
    """Outputs that are others under ``no_grad()``, or the error of a call there."""
    try:
        with torch.no_grad():
            without = run(net, example)
    except Exception as error:
        return [
            f"under no_grad() it raises {brief(error)}; where forward itself needs gradients, write "
            "with torch.enable_grad()"
        ]
    return [
        f"{difference} under no_grad(), in eval mode; let forward ask self.training, not "
        "torch.is_grad_enabled()"
        for difference in differences(without, expected)
    ]


def called_with(net: nn.Module, state: dict[str, Tensor], example: Example) -> Any:
    """What a module returns with other tensors in the place of its own, from the usual seed."""
    args, kwargs = example()
    isolation.seed()
    return torch.func.functional_call(net, state, args, kwargs)


def differs_when_functional(output: Any, expected: Any) -> list[str]:
    """Outputs of ``functional_call`` with copies of a module's own state that are not those of the module."""
    return [
        f"{difference} when torch.func.functional_call gives it copies of its own state; let forward use the "
        "values of its parameters, and ask neither for requires_grad nor for what they are"
        for difference in differences(output, expected)
    ]


def stale(output: Any, expected: Any) -> list[str]:
    """Outputs with the state of another build that are others than those of that build."""
    return [
        "called with the state of another build by torch.func.functional_call it does not compute what that "
        f"build does: {difference}; forward goes on using tensors that __init__ put aside: look each up on "
        "self, in forward"
        for difference in differences(output, expected)[:1]
    ]


def other_once_assigned(net: nn.Module) -> list[str]:
    """Parametrized tensors that are others once they were assigned their own value."""
    sentences = []
    chain: Any
    for path, module in net.named_modules():
        chains = attribute(module, "parametrizations")
        for name, chain in list(chains.items()) if isinstance(chains, nn.ModuleDict) else ():
            own = [type(one).__name__ for one in chain if not is_standard(type(one))]
            if not own or not all(hasattr(one, "right_inverse") for one in chain):
                continue
            with torch.no_grad():
                before = getattr(module, name).detach().clone()
                setattr(module, name, before)
                different = differences(getattr(module, name), before, dotted(path, name))
            sentences += [
                f"{one} once it is assigned its own value, as it is where the parametrization is registered: "
                f"right_inverse of {own[0]} gives what its forward makes something else of; let "
                "right_inverse return what forward takes to give that value"
                for one in different
            ]
    return sentences


def replica(net: nn.Module) -> Any:
    """A copy as DataParallel makes them for each device: with tensors in the place of its parameters."""
    modules = list(net.modules())
    copies: dict[int, Any] = {
        id(module): module._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
        for module in modules
    }
    tensors: dict[int, Tensor] = {}
    for module in modules:
        copied = copies[id(module)]
        copied._former_parameters = {}
        for name, child in module._modules.items():
            copied._modules[name] = None if child is None else copies[id(child)]
        for name, parameter in module._parameters.items():
            if parameter is None:
                copied._parameters[name] = None
            else:
                tensor = tensors.setdefault(id(parameter), parameter.clone())
                setattr(copied, name, tensor)
                copied._former_parameters[name] = tensor
        for name, buffer in module._buffers.items():
            copied._buffers[name] = None if buffer is None else buffer.clone()
    return copies[id(net)]


def passed_by(net: nn.Module, example: Example) -> list[str]:
    """Parts that forward goes on calling after they were replaced by copies with the same tensors."""
    places = [
        (parent, name, part, dotted(path, name))
        for path, parent in net.named_modules()
        for name, part in parent._modules.items()
        if part is not None and not part._modules and not isinstance(part, torch.jit.ScriptModule)
    ]
    copies = {id(part): copy.copy(part) for _, _, part, _ in places}
    own = {id(part): vars(part).get("forward") for _, _, part, _ in places}
    ran: dict[str, None] = {}
    try:
        for parent, name, part, path in places:
            vars(part)["forward"] = _told(part.forward, ran, path)
            setattr(parent, name, copies[id(part)])
        run(net, example)
    except Exception as error:
        return [f"with its parts replaced by copies it raises {brief(error)}; {_OF_PARTS}"]
    finally:  # a part may be shared with others, as the default of an argument is
        for parent, name, part, _ in places:
            parent._modules[name] = part
            vars(part).pop("forward", None)
            vars(part).update({"forward": own[id(part)]} if own[id(part)] is not None else {})
    return [
        f"`{path}` is called after another module was put in its place: a new head, an adapter or a "
        f"quantized layer would not be used; {_OF_PARTS}"
        for path in ran
    ]


_OF_PARTS = "let forward look its parts up on self, and keep them nowhere else"


def _told(forward: Callable[..., Any], ran: dict[str, None], path: str) -> Callable[..., Any]:
    @functools.wraps(forward)
    def told(*args: Any, **kwargs: Any) -> Any:
        ran[path] = None
        return forward(*args, **kwargs)

    return told


def differs_in_a_replica(net: nn.Module, example: Example) -> list[str]:
    """That a replica raises or computes something else."""
    expected = run(net, example)
    try:
        output = run(replica(net), example)
    except Exception as error:
        return [
            f"a replica, which has no parameters, raises {brief(error)}; take the dtype and the device from "
            "the inputs, or from an attribute such as self.weight"
        ]
    functions = holding_functions(net)
    why, cure = "", "look parameters up on self, in forward"
    if functions:
        why, cure = f": in it, too, {they(functions, 'works', 'work')} on the original", "write a method"
    return [f"{difference} in a replica{why}; {cure}" for difference in differences(output, expected)]

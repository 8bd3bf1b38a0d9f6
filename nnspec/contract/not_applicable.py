"""Why a rule is not applicable to a module.

A rule that compares outputs says nothing of a module whose outputs are random, and so on. These functions
return why, as the findings do: an empty list if nothing does. Some rules give a finding as the reason.
"""

from __future__ import annotations

import copy
import functools
import inspect
from typing import NamedTuple

import torch
from torch import nn

from nnspec.contract.findings.building import changed_by_building, containers, not_built_on_meta
from nnspec.contract.findings.calling import second_call_refused
from nnspec.contract.findings.first_step import first_step
from nnspec.contract.findings.gradients import missed_by_backward
from nnspec.contract.findings.half_precision import in_bfloat16, in_half
from nnspec.contract.findings.keeping import attributes, kept_tensors, layers_made
from nnspec.contract.findings.masks import misplaced
from nnspec.contract.findings.moving import not_computed_in, without_kernel
from nnspec.contract.findings.names import names_differ, order_differs, shared_by_builds
from nnspec.contract.findings.registration import hidden, register
from nnspec.contract.findings.rows import no_batch
from nnspec.contract.findings.using_inputs import uncounted
from nnspec.contract.limit import OutOfTime
from nnspec.contract.nested import Example, differences, floating_in, run, tensors_in, varied
from nnspec.contract.tree import Build, attribute, forget_builds, parameters, ready, tensors
from nnspec.contract.wording import brief, kind_of, listed, they


def unrepeatable(build: Build, example: Example) -> list[str]:
    """Why the outputs of two calls in eval mode cannot be compared, even from the same seed."""
    different, moved = _repeated(build, example)
    return different + (
        [f"each call changes {listed(moved)}, so outputs cannot be compared"] if moved else []
    )


def unlike(build: Build, example: Example) -> list[str]:
    """Why two equal calls in eval mode are not alike, whatever they change on the module besides."""
    return _repeated(build, example)[0]


@functools.cache
def _repeated(build: Build, example: Example) -> tuple[list[str], list[str]]:
    """Why two equal calls are not alike, and the attributes whose tensors the second has changed again."""
    net = ready(build, example)
    net.eval()
    first = run(net, example)
    if not tensors_in(first):
        return [f"its output, {kind_of(first)}, has no tensors to compare"], []
    if refusal := one_call_only(build, example):
        return refusal, []
    kept = {path: tensor.detach().clone() for path, tensor in attributes(net).items()}
    if differences(run(net, example), first):
        return ["two equal calls in eval mode from the same seed differ, so outputs cannot be compared"], []
    now = attributes(net)
    moved = [path for path in kept if path in now and differences(now[path], kept[path], exact=True)]
    return [], moved


@functools.cache
def one_call_only(build: Build, example: Example) -> list[str]:
    """The error of a second call, if it raises one."""
    return second_call_refused(ready(build, example), example)


@functools.cache
def not_registered(build: Build, example: Example) -> list[str]:
    """What a fresh module holds and does not register, but for what can be registered for it."""
    return hidden(register(ready(build, example)), example) or layers_made(ready(build, example), example)


@functools.cache
def without_floating_output(build: Build, example: Example) -> list[str]:
    """That no output is a floating tensor, if so."""
    outputs = floating_in(run(ready(build, example), example))
    return [] if outputs else ["it has no floating output"]


@functools.cache
def without_batch(build: Build, example: Example) -> list[str]:
    """Why it cannot be said which rows of the inputs belong to which rows of the outputs."""
    net = ready(build, example)
    net.eval()
    return no_batch(net, example) or kept_from_the_first_call(build, example)


@functools.cache
def kept_from_the_first_call(build: Build, example: Example) -> list[str]:
    """That a call computes with what the one before has kept of other inputs, if so."""
    net, same = ready(build, example), ready(build, example)
    net.eval(), same.eval()
    run(net, example)
    try:
        after, fresh = (run(one, varied(example)[1]) for one in (net, same))
    except Exception:
        return []
    if not differences(after, fresh):
        return []
    return ["with other inputs a second call gives what a first one does not: it takes what that has kept"]


class TwoBuilds(NamedTuple):
    """What is found where a module is built twice."""

    shared: list[str]
    changed: list[str]
    renamed: list[str]


@functools.cache
def two_builds(build: Build) -> TwoBuilds:
    """What two builds share, what the second changes of the first, and how their names differ."""
    net = build()
    before, another = containers(net), build()
    return TwoBuilds(
        shared_by_builds(net, another),
        changed_by_building(before, another),
        names_differ(net, another) + order_differs(net, another),
    )


def sharing(build: Build) -> list[str]:
    """The tensors that two builds share."""
    return two_builds(build).shared


@functools.cache
def missed(build: Build, example: Example) -> dict[str, bool]:
    """Parameters that backward misses in a fresh module, each with whether forward uses it."""
    return missed_by_backward(ready(build, example), example)


@functools.cache
def without_effect(build: Build, example: Example) -> list[str]:
    """Inputs that may be anything, of a fresh module."""
    return uncounted(ready(build, example), example)


@functools.cache
def mismasked(build: Build, example: Example) -> list[str]:
    """Masks that show what is to come, in eval mode; nothing where its call fails, which other rules tell."""
    net = ready(build, example)
    net.eval()
    return misplaced(net, example)


def no_assign() -> list[str]:
    """That this torch cannot assign a state dict, if so."""
    if "assign" in inspect.signature(nn.Module.load_state_dict).parameters:
        return []
    return [f"load_state_dict of torch {torch.__version__} has no assign=True, which came with 2.1"]


def complex_numbers(net: nn.Module, example: Example) -> list[str]:
    """A tensor of complex numbers, which ``double()`` leaves as it is."""
    named = [*tensors(net).items(), *tensors_in(example(), "input")]
    return [
        f"`{name}` has complex numbers, which double() leaves in their precision"
        for name, tensor in named
        if tensor.is_complex()
    ][:1]


def not_in_float64(build: Build, example: Example) -> list[str]:
    """What keeps a fresh module from computing in float64, unless it is torch that has no kernel."""
    found = wrong_in_float64(build, example)
    return [] if without_kernel(found) else found


@functools.cache
def wrong_in_float64(build: Build, example: Example) -> list[str]:
    """What keeps a fresh module from computing in float64."""
    net = register(ready(build, example))
    if reasons := complex_numbers(net, example) + computed_and_kept(net):
        return reasons
    net.double()
    return not_computed_in(net, example, torch.float64)


def computed_and_kept(net: nn.Module) -> list[str]:
    """Tensors that were computed from parameters when the module was built, which no cast reaches."""
    computed = [name for name, tensor in kept_tensors(net).items() if tensor.grad_fn is not None]
    if not computed:
        return []
    return [
        f"{they(computed, 'is', 'are')} computed from parameters and kept; use a parametrization "
        "(torch.nn.utils.parametrizations), or compute in forward"
    ]


def untrained(net: nn.Module) -> list[str]:
    """That no parameter requires a gradient, if so."""
    is_trained = any(parameter.requires_grad for parameter in parameters(net).values())
    return [] if is_trained else ["it has no parameter that requires a gradient"]


def not_deep_copied(net: nn.Module) -> list[str]:
    """The error of ``copy.deepcopy``, and the tensors that it is about."""
    try:
        copied = copy.deepcopy(net)
    except (KeyboardInterrupt, OutOfTime):
        raise
    except BaseException as error:
        computed = [name for name, tensor in kept_tensors(net).items() if tensor.grad_fn is not None]
        if not computed:
            return [f"copy.deepcopy raises {brief(error)}; make what cannot be copied when it is needed"]
        return [
            f"{they(computed, 'is', 'are')} computed from parameters and kept, so that copy.deepcopy raises "
            f"{type(error).__name__}; use a parametrization (torch.nn.utils.parametrizations), or compute in "
            "forward"
        ]
    if not isinstance(copied, nn.Module):
        return [f"copy.deepcopy gives {kind_of(copied)}; let __deepcopy__ return the copy, or leave it away"]
    if isinstance(net, torch.jit.ScriptModule):  # a copy of what was traced is of another class
        return []
    if type(copied).__name__ != type(net).__name__ and not hasattr(type(net), "__deepcopy__"):
        return [
            f"copy.deepcopy gives {kind_of(copied)}: its __getattr__ passes __deepcopy__ on to what it "
            "wraps; let __getattr__ raise AttributeError for names that begin with two underscores"
        ]
    return []


def unpicklable_in_torch(net: nn.Module) -> list[str]:
    """Submodules that torch itself does not pickle."""
    for path, module in net.named_modules():
        if isinstance(attribute(module, "parametrizations"), nn.ModuleDict):
            return [
                f"`{path or 'self'}` is parametrized, and torch saves parametrized modules by state dict only"
            ]
        if isinstance(module, torch.jit.ScriptModule):
            return [f"`{path or 'self'}` is a ScriptModule, which torch saves with torch.jit.save only"]
    return []


def forget() -> None:
    """Let go of the modules that were looked at."""
    for remembered in (_repeated, one_call_only, not_registered, without_floating_output, two_builds):
        remembered.cache_clear()
    missed.cache_clear()
    without_effect.cache_clear()
    mismasked.cache_clear()
    without_batch.cache_clear()
    kept_from_the_first_call.cache_clear()
    wrong_in_float64.cache_clear()
    in_bfloat16.cache_clear()
    first_step.cache_clear()
    in_half.cache_clear()
    forget_builds()
    not_built_on_meta.cache_clear()

"""Findings about gradients."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn

from nnspec.contract.findings.registration import Uses
from nnspec.contract.nested import Example, differences, floating_in
from nnspec.contract.tree import buffers, parameters
from nnspec.contract.wording import brief, count, listed, they
from nnspec.running import isolation


def unused_parameters(net: nn.Module, example: Example) -> list[str]:
    """Parameters that require a gradient, get none, and that no torch function in forward is called with."""
    unused = [name for name, seen in _missed(net, example).items() if not seen]
    if not unused:
        return []
    return [
        f"forward does not use {count(len(unused), 'parameter')}: {they(unused, 'gets', 'get')} no gradient; "
        "remove what is not needed, or give DistributedDataParallel find_unused_parameters=True"
    ]


def cut_off(net: nn.Module, example: Example) -> list[str]:
    """Parameters that forward uses and that get no gradient all the same."""
    cut = [name for name, seen in _missed(net, example).items() if seen]
    if not cut:
        return []
    return [
        f"forward uses {listed(cut)}, and backward does not get there: the graph is cut, by detach(), .data, "
        "no_grad(), .item() or numpy(); cut nothing, or freeze with requires_grad_(False)"
    ]


def _missed(net: nn.Module, example: Example) -> dict[str, bool]:
    """Parameters that require a gradient and get none, each with whether a function is called with it."""
    uses = Uses()
    reached = gradients(net, example, uses)
    return {
        name: id(parameter) in uses.seen
        for name, parameter in parameters(net).items()
        if parameter.requires_grad and name not in reached
    }


def gradients_differ(net: nn.Module, example: Example) -> list[str]:
    """Parameters whose gradients differ in two equal calls, or the error of the second backward.

    Buffers that the first call changes, as batch norm does, are put back before the second.
    """
    before = {name: buffer.detach().clone() for name, buffer in buffers(net).items()}
    first = gradients(net, example)
    with torch.no_grad():
        for name, buffer in buffers(net).items():
            if name in before:
                buffer.copy_(before[name])
    try:
        second = gradients(net, example)
    except RuntimeError as error:
        return [
            f"the backward of a second call raises {brief(error)}; what forward computes from parameters is "
            "to be computed anew in each call, not kept from the first"
        ]
    return [
        f"the gradient of {difference} in a second equal call; keep nothing from one call to the next"
        for name in first
        for difference in differences(second.get(name), first[name], name)
    ]


def not_frozen(named: dict[str, nn.Parameter]) -> list[str]:
    """Those of the named parameters that require a gradient."""
    thawed = [name for name, parameter in named.items() if parameter.requires_grad]
    if not thawed:
        return []
    return [
        f"{they(thawed, 'requires', 'require')} a gradient after requires_grad_(False) and a call; set "
        "requires_grad neither in forward nor in an override of requires_grad_"
    ]


def not_cleared(net: nn.Module) -> list[str]:
    """Parameters with a gradient that is not zero."""
    kept = [
        name
        for name, parameter in parameters(net).items()
        if parameter.grad is not None and bool(parameter.grad.any())
    ]
    if not kept:
        return []
    return [
        f"{they(kept, 'keeps its gradient', 'keep their gradients')} after zero_grad(), and the next "
        "backward adds to what is there; call super().zero_grad() where it is overridden"
    ]


def gradients(net: nn.Module, example: Example, uses: Uses | None = None) -> dict[str, Tensor]:
    """The gradients that one call in the present mode gives, by name; the parameters' own ``grad`` stays.

    Args:
        net: the module.
        example: makes its inputs.
        uses: notes what forward, and not backward, calls functions with.
    """
    args, kwargs = example()
    isolation.seed()
    with uses or contextlib.nullcontext():
        output = net(*args, **kwargs)
    wanted = {name: parameter for name, parameter in parameters(net).items() if parameter.requires_grad}
    outputs = [tensor for _, tensor in floating_in(output) if tensor.requires_grad]
    if not outputs or not wanted:
        return {}
    weights = [
        torch.linspace(1, 2, tensor.numel(), device=tensor.device).to(tensor.dtype).view_as(tensor)
        for tensor in outputs
    ]
    grads = torch.autograd.grad(outputs, list(wanted.values()), weights, allow_unused=True)
    return {name: grad for name, grad in zip(wanted, grads, strict=True) if grad is not None}

"""Findings about gradients."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn

from nnspec.contract.findings.calling import plain_values
from nnspec.contract.findings.registration import Uses
from nnspec.contract.nested import Example, differences, floating_in
from nnspec.contract.tree import buffers, parameters
from nnspec.contract.wording import brief, count, listed, they
from nnspec.running import isolation

#: With how many seeds a parameter has to be missed: layers may be left out by chance.
TRIES = 6


def unused_parameters(net: nn.Module, example: Example) -> list[str]:
    """Parameters that require a gradient, get none, and that no torch function in forward is called with."""
    unused = [name for name, seen in _missed(net, example).items() if not seen]
    if not unused:
        return []
    return [
        f"with this example forward does not use {count(len(unused), 'parameter')}: "
        f"{they(unused, 'gets', 'get')} no gradient; remove what is not needed, or give "
        "DistributedDataParallel find_unused_parameters=True"
    ]


def cut_off(net: nn.Module, example: Example) -> list[str]:
    """Parameters that forward uses and that get no gradient all the same."""
    cut = [name for name, seen in _missed(net, example).items() if seen]
    if not cut:
        return []
    return [
        f"forward uses {listed(cut)}, and backward does not get there: what is computed with it is not "
        "returned, or made a whole number (argmax, a comparison), or cut off, by detach(), .data, "
        "no_grad(), .item(), torch.tensor() or checkpoint(..., use_reentrant=True) of inputs without "
        "gradients; return it and cut nothing, or freeze with requires_grad_(False)"
    ]


def _missed(net: nn.Module, example: Example) -> dict[str, bool]:
    """Parameters that require a gradient and get none, each with whether a function is called with it."""
    uses = Uses()
    reached = set(gradients(net, example, uses))
    wanted = {name: parameter for name, parameter in parameters(net).items() if parameter.requires_grad}
    for seed in range(1, TRIES):
        if reached >= wanted.keys():
            break
        reached |= set(gradients(net, example, uses, isolation.SEED + seed))
    return {name: id(parameter) in uses.seen for name, parameter in wanted.items() if name not in reached}


def gradients_differ(net: nn.Module, example: Example) -> list[str]:
    """Parameters whose gradients differ in two equal calls, or the error of the second backward.

    Buffers that the first call changes, as batch norm does, are put back before the second.
    """
    values = {name: buffer.detach().clone() for name, buffer in buffers(net).items()}
    attributes = plain_values(net)
    first = gradients(net, example)
    is_comparable = plain_values(net) == attributes and _put_back(net, values)
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
        if is_comparable
        for difference in differences(second.get(name), first[name], name)
    ]


def _put_back(net: nn.Module, values: dict[str, Tensor]) -> bool:
    """Give buffers back their values, as far as they are the same buffers still; whether all of them are."""
    now = buffers(net)
    if {name: buffer.shape for name, buffer in now.items()} != {name: v.shape for name, v in values.items()}:
        return False
    changed = [name for name in now if differences(now[name], values[name], exact=True)]
    try:
        with torch.no_grad():
            for name in changed:
                now[name].copy_(values[name])
    except RuntimeError:  # an expanded tensor cannot be written to
        return False
    return True


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


def _weights(tensor: Tensor) -> Tensor:
    """What backward starts with: another number for each value."""
    if tensor.is_nested or tensor.layout != torch.strided:
        return torch.ones_like(tensor)
    return torch.linspace(1, 2, tensor.numel(), device=tensor.device).to(tensor.dtype).view_as(tensor)


def gradients(
    net: nn.Module, example: Example, uses: Uses | None = None, seed: int = isolation.SEED
) -> dict[str, Tensor]:
    """The gradients that one call in the present mode gives, by name; the parameters' own ``grad`` stays.

    Args:
        net: the module.
        example: makes its inputs.
        uses: notes what forward, and not backward, calls functions with.
        seed: of the call.
    """
    args, kwargs = example()
    isolation.seed(seed)
    with uses or contextlib.nullcontext():
        output = net(*args, **kwargs)
    wanted = {name: parameter for name, parameter in parameters(net).items() if parameter.requires_grad}
    outputs = [tensor for _, tensor in floating_in(output) if tensor.requires_grad]
    if not outputs or not wanted:
        return {}
    weights = [_weights(tensor) for tensor in outputs]
    kept = {name: parameter.grad for name, parameter in wanted.items()}
    for parameter in wanted.values():
        parameter.grad = None
    try:  # torch.autograd.grad would miss what a reversible net or a reentrant checkpoint does in backward
        torch.autograd.backward(outputs, weights)
        return {name: parameter.grad for name, parameter in wanted.items() if parameter.grad is not None}
    finally:
        for name, parameter in wanted.items():
            parameter.grad = kept[name]

"""Backward, run for its gradients, and the graph that it walks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nnspec.contract.findings.registration import Uses, is_standard
from nnspec.contract.nested import Example, floating_in, run
from nnspec.contract.tree import parameters
from nnspec.running import isolation


def outputs_of(net: nn.Module, example: Example) -> list[Tensor]:
    """The outputs of a call that backward can start from."""
    return [tensor for _, tensor in floating_in(run(net, example)) if tensor.requires_grad]


def from_a_seed(
    outputs: list[Tensor], wanted: list[nn.Parameter], start: list[Tensor]
) -> tuple[Tensor | None, ...]:
    """Gradients by a graph that stays; what backward draws begins at the usual seed."""
    isolation.seed()
    return torch.autograd.grad(outputs, wanted, start, retain_graph=True, allow_unused=True)


def own_nodes(outputs: list[Tensor]) -> dict[Any, str]:
    """The nodes in the graph of outputs whose function is of the user's, each with the function's name."""
    own, waiting, seen = dict[Any, str](), [tensor.grad_fn for tensor in outputs], set[Any]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        function = getattr(node, "_forward_cls", None)
        if function is not None and not is_standard(function):
            own[node] = function.__name__
        waiting += [above for above, _ in node.next_functions]
    return own


def has_values(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_nested and not tensor.is_meta


def starting_weights(tensor: Tensor) -> Tensor:
    """What backward starts with: another number for each value."""
    if tensor.is_nested or tensor.layout != torch.strided:
        return torch.ones_like(tensor)
    return torch.linspace(1, 2, tensor.numel(), device=tensor.device).to(tensor.dtype).view_as(tensor)


def gradients(
    net: nn.Module,
    example: Example,
    uses: Uses | None = None,
    seed: int = isolation.SEED,
    between: Callable[[list[Tensor]], None] | None = None,
) -> dict[str, Tensor]:
    """The gradients that one call in the present mode gives, by name; the parameters' own ``grad`` stays.

    Args:
        net: the module.
        example: makes its inputs.
        uses: notes what forward, and not backward, calls functions with.
        seed: of the call.
        between: is called with the outputs before backward begins.
    """
    args, kwargs = example()
    isolation.seed(seed)
    with uses or contextlib.nullcontext():
        output = net(*args, **kwargs)
    wanted = {name: parameter for name, parameter in parameters(net).items() if parameter.requires_grad}
    outputs = [tensor for _, tensor in floating_in(output) if tensor.requires_grad]
    if not outputs or not wanted:
        return {}
    weights = [starting_weights(tensor) for tensor in outputs]
    kept = {name: parameter.grad for name, parameter in wanted.items()}
    for parameter in wanted.values():
        parameter.grad = None
    if between:
        between(outputs)
    try:  # torch.autograd.grad would miss what a reversible net or a reentrant checkpoint does in backward
        torch.autograd.backward(outputs, weights)
        return {name: parameter.grad for name, parameter in wanted.items() if parameter.grad is not None}
    finally:
        for name, parameter in wanted.items():
            parameter.grad = kept[name]

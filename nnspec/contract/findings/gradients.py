"""Findings about gradients."""

from __future__ import annotations

import contextlib
import difflib
from typing import Any

import torch
from torch import Tensor, nn

from nnspec.contract.findings.calling import plain_values
from nnspec.contract.findings.registration import Uses, is_standard
from nnspec.contract.nested import Example, differences, floating_in, is_floating, mapped, run
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


def frozen_in_name_only(net: nn.Module) -> list[str]:
    """Parameters to be trained that an attribute of another name, or of a module, was to freeze."""
    sentences = [
        f"`{path or 'self'}` has requires_grad = False, which is a plain attribute of a module: "
        f"its {count(len(trained), 'parameter')} {'is' if len(trained) == 1 else 'are'} trained all the "
        "same; call requires_grad_(False) on it"
        for path, module in net.named_modules()
        if vars(module).get("requires_grad") is False
        and (trained := [one for one in module.parameters() if one.requires_grad])
    ]
    misspelt: dict[str, list[str]] = {}
    for name, parameter in parameters(net).items():
        for attribute, value in vars(parameter).items():
            if value is False and parameter.requires_grad and _RIGHT in _near(attribute):
                misspelt.setdefault(attribute, []).append(name)
    return sentences + [
        f"{they(names, 'has', 'have')} {attribute} = False and {'is' if len(names) == 1 else 'are'} trained "
        f"all the same: a tensor takes any attribute; write {_RIGHT}, with an s and the d, or call "
        f"{_RIGHT}_(False)"
        for attribute, names in misspelt.items()
    ]


_RIGHT = "requires_grad"


def _near(attribute: str) -> list[str]:
    return difflib.get_close_matches(attribute, [_RIGHT], cutoff=0.85)


def not_linear(net: nn.Module, example: Example) -> list[str]:
    """That twice the gradient of the outputs does not give twice those of the parameters."""
    outputs = _outputs(net, example)
    own = sorted(_own_functions(outputs))
    if not own:
        return []
    wanted = {name: parameter for name, parameter in parameters(net).items() if parameter.requires_grad}
    weights = [_weights(tensor) for tensor in outputs]
    try:
        once, twice = (
            torch.autograd.grad(outputs, [*wanted.values()], start, retain_graph=True, allow_unused=True)
            for start in (weights, [2 * weight for weight in weights])
        )
    except RuntimeError:  # a graph that is made in backward, or that can be walked once only
        return []
    for name, one, two in zip(wanted, once, twice, strict=True):
        if one is not None and two is not None and (difference := differences(two, 2 * one, name)):
            return [
                f"the gradient of {difference[0]} from what it is to be, with twice the loss: the backward "
                f"of {', '.join(own)} is not linear in the gradient that it is given, which the chain rule "
                "and the scaling of losses rely on; multiply by that gradient, grad * ..."
            ]
    return []


def _outputs(net: nn.Module, example: Example) -> list[Tensor]:
    """The outputs of a call that backward can start from."""
    return [tensor for _, tensor in floating_in(run(net, example)) if tensor.requires_grad]


def _own_functions(outputs: list[Tensor]) -> set[str]:
    """The names of the functions in the graph of outputs whose class is the user's."""
    names, waiting, seen = set(), [tensor.grad_fn for tensor in outputs], set[Any]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        function = getattr(node, "_forward_cls", None)
        if function is not None and not is_standard(function):
            names.add(function.__name__)
        waiting += [above for above, _ in node.next_functions]
    return names


def not_numbers(net: nn.Module, example: Example, what: str = "") -> list[str]:
    """Parameters whose gradients are NaN where the outputs are not, or infinite.

    Args:
        net: the module.
        example: makes its inputs.
        what: is said of the inputs.
    """
    outputs: list[object] = []
    handle = net.register_forward_hook(lambda module, args, output: outputs.append(output))
    try:
        reached = gradients(net, example)
    except Exception:
        if not what:
            raise
        return []  # other inputs than the example may be refused
    finally:
        handle.remove()
    if any(bool(tensor.isnan().any()) for _, tensor in floating_in(outputs) if _has_values(tensor)):
        return []
    lost = [
        name
        for name, gradient in reached.items()
        if _has_values(gradient) and not bool(gradient.isfinite().all())
    ]
    if not lost:
        return []
    return [
        f"{what or 'with this example '}the outputs are numbers, and the gradients of {listed(lost)} are "
        "NaN or infinite: one such step spoils every weight; where a root, a norm, a logarithm or a quotient "
        "meets zero, add eps under it, sqrt(x + eps), and mind that torch.where does not hide the branch not "
        "taken"
    ]


def _has_values(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_nested and not tensor.is_meta


def with_a_row_of_zeros(example: Example) -> Example:
    """The same inputs with zeros in the first row of all that is floating."""

    def zeroed(tensor: Tensor) -> Tensor:
        if not is_floating(tensor) or tensor.dim() < 2 or not _has_values(tensor):
            return tensor
        changed = tensor.detach().clone()
        changed[0] = 0
        return changed.requires_grad_(tensor.requires_grad)

    return lambda: mapped(example(), zeroed)


def after_inference_mode(net: nn.Module, example: Example) -> list[str]:
    """The error of a step of training after a call in inference mode."""
    net.eval()
    with torch.inference_mode():
        run(net, example)
    net.train()
    try:
        gradients(net, example)
    except RuntimeError as error:
        if "nference tensor" not in str(error):
            raise
        return [
            f"after a call under torch.inference_mode() a step of training raises {brief(error)}: what that "
            "call keeps on the module cannot be trained with; make it in __init__, or in forward each time, "
            "or under torch.inference_mode(False)"
        ]
    return []


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

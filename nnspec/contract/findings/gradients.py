"""Findings about gradients."""

from __future__ import annotations

import contextlib
import difflib
import functools
import traceback
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from nnspec.contract.findings.backward import (
    from_a_seed,
    gradients,
    has_values,
    outputs_of,
    own_nodes,
    starting_weights,
)
from nnspec.contract.findings.cutting import where_cut
from nnspec.contract.findings.keeping import plain_values
from nnspec.contract.findings.registration import Uses
from nnspec.contract.nested import Example, differences, floating_in, is_floating, mapped, run, varied
from nnspec.contract.tree import dotted, parameters, tensors
from nnspec.contract.wording import brief, count, listed, place, text_of, they
from nnspec.running import isolation

#: With how many seeds a parameter has to be missed: layers may be left out by chance.
TRIES = 6


def refused_in_inference_mode(net: nn.Module, example: Example) -> list[str]:
    """The error of a call in inference mode."""
    net.eval()
    try:
        with torch.inference_mode():
            run(net, example)
    except Exception as error:
        return [f"under torch.inference_mode() it raises {brief(error)}"]
    return []


def unused_parameters(missed: Mapping[str, bool]) -> list[str]:
    """Parameters that require a gradient, get none, and that no torch function in forward is called with."""
    unused = [name for name, seen in missed.items() if not seen]
    if not unused:
        return []
    return [
        f"with this example forward does not use {count(len(unused), 'parameter')}: "
        f"{they(unused, 'gets', 'get')} no gradient; remove what is not needed, or give "
        "DistributedDataParallel find_unused_parameters=True"
    ]


def cut_off(net: nn.Module, example: Example, missed: Mapping[str, bool]) -> list[str]:
    """Parameters that forward uses and that get no gradient all the same."""
    cut = [name for name, seen in missed.items() if seen]
    if not cut:
        return []
    if refusing := _without_a_gradient(net, example, cut):
        return refusing
    if replaced := _replaced_by_hooks(net, example, cut):
        return replaced
    how = where_cut(net, example, cut) or (
        "not returned, or made a whole number (argmax, a comparison), or cut off, by detach(), .data, "
        "no_grad(), .item(), torch.tensor() or checkpoint(..., use_reentrant=True) of inputs without "
        "gradients"
    )
    cure = "return it and cut nothing"
    if how.startswith("made whole numbers by"):
        cure = "return it too, or lead the gradient past that, x + (y - x).detach()"
    return [
        f"forward uses {listed(cut)}, and backward does not get there: what is computed with it is {how}; "
        f"{cure}, or freeze with requires_grad_(False)"
    ]


def _replaced_by_hooks(net: nn.Module, example: Example, cut: list[str]) -> list[str]:
    """Submodules with such parameters whose hook returns something without a gradient for their output."""
    told: list[str] = []
    hooked = {
        path: module
        for path, module in net.named_modules()
        if getattr(module, "_forward_hooks", None) and any(name.startswith(dotted(path, "")) for name in cut)
    }
    for path, module in hooked.items():
        computed: list[Any] = []
        first = module.register_forward_hook(lambda *found, to=computed: to.append(found[2]), prepend=True)
        last = module.register_forward_hook(lambda *found, to=computed: to.append(found[2]))
        try:
            run(net, example)
        finally:
            first.remove(), last.remove()
        if len(computed) < 2 or computed[0] is computed[1]:
            continue
        before, after = (any(one.requires_grad for _, one in floating_in(some)) for some in computed[:2])
        if before and not after:
            told.append(
                f"backward does not reach {listed(cut)}: a forward hook of `{path or 'self'}` returns "
                "something, and what a hook returns takes the place of the output, which has no gradient "
                "then; let the hook return None, as a lambda that calls append() does and one that calls "
                "setdefault() does not"
            )
    return told


def _without_a_gradient(net: nn.Module, example: Example, cut: list[str]) -> list[str]:
    """Functions of the user's whose backward returns None for parameters that they are given."""
    known = {id(parameter): name for name, parameter in parameters(net).items()}
    return [
        f"the backward of {function} gives `{name}` no gradient, though its forward is given it: it stays as "
        "built; return its gradient in that place instead of None, or freeze it with requires_grad_(False)"
        for node, function in own_nodes(outputs_of(net, example)).items()
        for above, _ in node.next_functions
        if (name := known.get(id(getattr(above, "variable", None)))) in cut
    ]


def missed_by_backward(net: nn.Module, example: Example) -> dict[str, bool]:
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

    What the first call changes is put back before the second: buffers, as of batch norm, and parameters, as
    of a table that follows a mean, of which another rule tells.
    """
    values = {name: tensor.detach().clone() for name, tensor in tensors(net).items()}
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
    differing = {
        name: found[0]
        for name in first
        if is_comparable and (found := differences(second.get(name), first[name], name))
    }
    if not differing:
        return []
    name, *others = differing
    besides = f", and so with {listed(others)}" if others else ""
    return [
        f"in a second equal call the gradient of {differing[name]}{besides}; "
        "keep nothing from one call to the next"
    ]


def _put_back(net: nn.Module, values: dict[str, Tensor]) -> bool:
    """Give tensors back their values, as far as they are the same still; whether all of them are."""
    now = tensors(net)
    if {name: tensor.shape for name, tensor in now.items()} != {name: v.shape for name, v in values.items()}:
        return False
    changed = [name for name in now if differences(now[name], values[name], exact=True)]
    try:
        with torch.no_grad():
            for name in changed:
                now[name].copy_(values[name])
    except RuntimeError:  # an expanded tensor cannot be written to
        return False
    return True


def touched(net: nn.Module, example: Example) -> list[str]:
    """Parameters whose gradient of an earlier step is not the same after a call."""
    held = {
        name: parameter
        for name, parameter in parameters(net).items()
        if type(parameter) is nn.Parameter and parameter.requires_grad and has_values(parameter)
    }
    for parameter in held.values():
        parameter.grad = torch.ones_like(parameter)
    run(net, example)
    changed = [
        name
        for name, parameter in held.items()
        if parameter.grad is None or not bool((parameter.grad == 1).all())
    ]
    for parameter in held.values():
        parameter.grad = None
    if not changed:
        return []
    return [
        f"a call changes the {'gradient' if len(changed) == 1 else 'gradients'} of {listed(changed)}: who "
        "adds up those of several calls loses what came before; leave zero_grad() and backward() to who "
        "trains, and use torch.autograd.grad where forward needs a gradient"
    ]


def of_the_last_call(net: nn.Module, example: Example) -> list[str]:
    """Gradients of a call that are others once the module was called with other inputs."""
    net.eval()
    outputs = outputs_of(net, example)
    own = sorted(set(own_nodes(outputs).values()))
    if not own:
        return []
    wanted = {name: parameter for name, parameter in parameters(net).items() if parameter.requires_grad}
    weights = [starting_weights(tensor) for tensor in outputs]
    try:
        before = from_a_seed(outputs, [*wanted.values()], weights)
        again = from_a_seed(outputs, [*wanted.values()], weights)
        run(net, varied(example)[1])
        after = from_a_seed(outputs, [*wanted.values()], weights)
    except Exception:  # a graph that can be walked once only, or inputs that are refused
        return []
    for name, one, same, other in zip(wanted, before, again, after, strict=True):
        if one is not None and not differences(same, one) and (found := differences(other, one, name)):
            return [
                f"the gradient of {found[0]} once the module was called again, with other inputs: the "
                f"backward of {', '.join(own)} goes by what the last call has kept; keep what backward needs "
                "on ctx, with ctx.save_for_backward(...)"
            ]
    return []


def starting_alike(net: nn.Module, example: Example) -> list[str]:
    """Linear and convolutional layers whose units are all equal, and have equal gradients."""
    weights = {
        dotted(path, "weight"): module.weight
        for path, module in net.named_modules()
        if isinstance(module, (nn.Linear, _ConvNd)) and isinstance(module.weight, nn.Parameter)
    }
    equal = [
        name
        for name, one in weights.items()
        if one.requires_grad and not is_lazy(one) and has_values(one) and len(one) > 1 and _are_equal(one)
    ]
    if not equal:
        return []
    net.eval()
    found = gradients(net, example)
    alike = [name for name in equal if name in found and bool(found[name].any()) and _are_equal(found[name])]
    if not alike:
        return []
    return [
        f"the rows of {listed(alike)} are all alike, and so are their gradients: the units of such a layer "
        "compute one thing, and stay alike; start weights with random numbers, as nn.init.xavier_uniform_ "
        "does, and biases alone with a constant"
    ]


def _are_equal(tensor: Tensor) -> bool:
    rows = tensor.detach()
    return not differences(rows[-1], rows[0]) and not differences(rows, rows[:1].expand_as(rows))


def steps_without_gradient(net: nn.Module, example: Example) -> list[str]:
    """Places of a sequence that count, and that no gradient of the outputs reaches, where it does others."""
    net.eval()
    chosen: list[Tensor] = []

    def leaf(tensor: Tensor) -> Tensor:
        is_sequence = tensor.is_floating_point() and tensor.dim() == 3 and tensor.shape[1] > 2
        if chosen or not is_sequence or not has_values(tensor):
            return tensor
        chosen.append(tensor.detach().clone().requires_grad_())
        return chosen[0].clone()  # forward may write to it: that is another rule's matter

    outputs = [tensor for _, tensor in floating_in(run(net, example, leaf)) if tensor.requires_grad]
    if not chosen or not outputs:
        return []
    try:
        (found,) = torch.autograd.grad(outputs, chosen, [starting_weights(tensor) for tensor in outputs])
    except RuntimeError:
        return []
    is_reached = found.detach().abs().sum(dim=(0, 2)) > 0
    missed = [step for step, reached in enumerate(is_reached.tolist()) if not reached]
    if not missed or not bool(is_reached.any()):
        return []
    counting = [step for step in missed if _counts_evenly(net, example, step)]
    if counting != missed:
        return []
    return [
        f"the outputs move with {len(missed)} of the {len(is_reached)} steps of a sequence that no gradient "
        "of theirs reaches: it is cut off between the steps of a call, as detach() and .data do; detach a "
        "state between calls alone, h = h.detach() before the loop, if truncating is not meant"
    ]


def _counts_evenly(net: nn.Module, example: Example, step: int) -> bool:
    """Whether outputs move with one step of a sequence, and twice as far if that moves twice as far."""

    def moved(by: float) -> float:
        done: list[bool] = []

        def change(tensor: Tensor) -> Tensor:
            if done or not tensor.is_floating_point() or tensor.dim() != 3 or tensor.shape[1] <= 2:
                return tensor
            done.append(True)
            changed = tensor.clone()
            changed[:, step] += by
            return changed

        with torch.no_grad():
            pairs = zip(floating_in(run(net, example, change)), floating_in(run(net, example)), strict=False)
        return max((float((one - other).abs().max()) for (_, one), (_, other) in pairs), default=0.0)

    once, twice = moved(0.02), moved(0.04)
    return once > _MOVED and 1.5 < twice / once < 2.5


#: By how much an output moves at least, beyond rounding.
_MOVED = 1e-4


def refused_after_two_calls(net: nn.Module, example: Example) -> list[str]:
    """The error of one backward through two calls, where the second wrote to what the first needs."""
    net.train()
    first, before = run(net, example), {name: one._version for name, one in tensors(net).items()}
    second = run(net, example)
    written = [name for name, one in tensors(net).items() if one._version > before.get(name, one._version)]
    outputs = [tensor for _, tensor in floating_in([first, second]) if tensor.requires_grad]
    if not outputs or not written:
        return []
    try:
        torch.autograd.backward(outputs, [starting_weights(tensor) for tensor in outputs])
    except RuntimeError as error:
        if "inplace operation" not in text_of(error):
            return []
        return [
            f"after two calls backward raises {brief(error)}: each call writes to {listed(written)}, which "
            "the graph of the call before still needs; compute with a clone() of what is written to in place"
        ]
    return []


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
    outputs = outputs_of(net, example)
    own = sorted(set(own_nodes(outputs).values()))
    if not own:
        return []
    wanted = {name: parameter for name, parameter in parameters(net).items() if parameter.requires_grad}
    weights = [starting_weights(tensor) for tensor in outputs]
    try:
        once, twice = (
            from_a_seed(outputs, [*wanted.values()], start)
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
    if any(bool(tensor.isnan().any()) for _, tensor in floating_in(outputs) if has_values(tensor)):
        return []
    lost = [
        name
        for name, gradient in reached.items()
        if has_values(gradient) and not bool(gradient.isfinite().all())
    ]
    if not lost:
        return []
    with _Lost() as first, contextlib.suppress(Exception):
        gradients(net, example)
    return [
        f"{what or 'with this example '}the outputs are numbers, and the gradients of {listed(lost)} are "
        f"NaN or infinite{first.told}: one such step spoils every weight; where a root, a norm, a logarithm "
        "or a quotient meets zero, add eps under it, sqrt(x + eps), and mind that torch.where does not hide "
        "the branch not taken"
    ]


class _Lost(TorchFunctionMode):
    """Says at which step of the module's own code backward first makes NaN, or infinity, of numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.told = ""
        self._nodes: list[Any] = []  # a node that nobody holds may lose its hook

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        node = result.grad_fn if isinstance(result, Tensor) else None
        if node is not None and node not in self._nodes[-_LAST:]:
            self._nodes.append(node)
            if where := place(traceback.extract_stack()[:-1]):
                node.register_hook(functools.partial(self._note, f", from {node.name()}{where} on"))
        return result

    def _note(self, what: str, of_inputs: Any, of_outputs: Any) -> None:
        if not self.told and not _all_finite(of_inputs) and _all_finite(of_outputs):
            self.told = what


def _all_finite(gradients: Any) -> bool:
    return all(bool(one.isfinite().all()) for one in gradients if one is not None and has_values(one))


#: Among how many nodes the one is that a step returns again, as a view of a view does.
_LAST = 8


def with_a_row_of_zeros(example: Example) -> Example:
    """The same inputs with zeros in the first row of all that is floating."""

    def zeroed(tensor: Tensor) -> Tensor:
        if not is_floating(tensor) or tensor.dim() < 2 or not has_values(tensor):
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
        if "nference tensor" not in text_of(error):
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

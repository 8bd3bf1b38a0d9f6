"""Findings about gradients."""

from __future__ import annotations

import contextlib
import copy
import difflib
import functools
import math
import re
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from nnspec.contract.findings.calling import plain_values
from nnspec.contract.findings.cutting import where_cut
from nnspec.contract.findings.registration import Uses, is_standard
from nnspec.contract.nested import Example, differences, floating_in, is_floating, mapped, run, varied
from nnspec.contract.tree import Build, buffers, dotted, parameters, ready, tensors
from nnspec.contract.wording import brief, count, listed, own_frames, place, text_of, they
from nnspec.running import isolation

#: With how many seeds a parameter has to be missed: layers may be left out by chance.
TRIES = 6

#: How many steps are taken before a gradient is zero for good: what starts at zero hides what is behind.
STEPS = 4

#: Below which share of the largest gradient a gradient is rounding alone.
ROUNDING = 1e-6


class Step(NamedTuple):
    """What one call in train mode and its backward did.

    Attributes:
        refused: the error of backward, if it raised one, as a finding.
        changed: buffers that backward changed, as a finding.
        written: functions whose backward writes to the gradient that it is given, as a finding.
        gradients: of each parameter the largest value of its gradient.
        draws: whether forward drew random numbers.
    """

    refused: list[str]
    changed: list[str]
    written: list[str]
    gradients: dict[str, float]
    draws: bool


@functools.cache
def first_step(build: Build, example: Example) -> Step:
    """The first call of a fresh module in train mode, and its backward."""
    net = ready(build, example)
    before: dict[str, Tensor] = {}
    again: list[str] = []
    given: list[tuple[str, Tensor, Tensor]] = []
    handles: list[Any] = []
    draws: list[bool] = []

    def between(outputs: list[Tensor]) -> None:
        draws.append(_has_drawn())
        before.update({name: buffer.detach().clone() for name, buffer in buffers(net).items()})
        for path, module in net.named_modules():
            if not isinstance(module, torch.jit.ScriptModule):
                handles.append(module.register_forward_pre_hook(lambda *_, path=path: again.append(path)))
        for node, name in _own_nodes(outputs).items():
            handles.append(node.register_prehook(_noting(given, name)))

    try:
        found = gradients(net, example, between=between)
    except RuntimeError as error:
        refused = [f"backward raises {brief(error)}; {_cure_of_backward(build, example, error)}"]
        return Step(refused, [], [], {}, draws=False)
    finally:
        for handle in handles:
            handle.remove()
    changed = [
        name
        for name, buffer in buffers(net).items()
        if name in before and differences(buffer, before[name], exact=True)
    ]
    writing = sorted({name for name, now, old in given if differences(now, old, exact=True)})
    largest = {
        name: float(one.abs().max()) for name, one in found.items() if one.numel() and _has_values(one)
    }
    return Step([], _changed(changed, bool(again)), _writing(writing), largest, any(draws))


def _changed(names: list[str], runs_again: bool) -> list[str]:
    if not names:
        return []
    if not runs_again:
        return [f"backward changes {listed(names)}; let forward change buffers, and backward none"]
    return [
        f"backward changes {listed(names)}: a part of forward runs again there, as checkpoint() has it, and "
        "what it counts is counted twice in a step; leave batch norm out of what is checkpointed"
    ]


def _writing(names: list[str]) -> list[str]:
    if not names:
        return []
    return [
        f"the backward of {', '.join(names)} writes to the gradient that it is given, which other ways back "
        "through the graph get too; compute a new one: grad * 2 for grad *= 2"
    ]


def _cure_of_backward(build: Build, example: Example, error: RuntimeError) -> str:
    if "inplace operation" not in text_of(error):
        return "let every output be computed by what backward can go through"
    net = ready(build, example)
    in_place = {path: module for path, module in net.named_modules() if vars(module).get("inplace") is True}
    for paths in [[path] for path in in_place] + [list(in_place)]:
        if paths and _runs_without(net, example, [in_place[path] for path in paths]):
            return (
                f"{they(paths, 'overwrites', 'overwrite')} a tensor that the step before needs for its "
                "gradient: make it with inplace=False"
            )
    cure = "write x = x + y for x += y, and clone() a tensor before it is written to"
    where = _overwriting(net, example)
    return f"what is written to{where} is needed for a gradient: {cure}" if where else cure


def _overwriting(net: nn.Module, example: Example) -> str:
    """The line of the module's own without whose write backward runs, empty if there is no such line."""
    writes = _InPlace()
    try:
        with writes:
            run(net, example)
    except Exception:
        return ""
    for where in list(dict.fromkeys(writes.seen))[:_LINES]:
        try:
            with _InPlace(where):
                gradients(net, example)
        except RuntimeError:
            continue
        return where
    return ""


class _InPlace(TorchFunctionMode):
    """Notes where the module's own code works in place, and has it work on a copy at one of the lines."""

    def __init__(self, on_a_copy: str = "") -> None:
        super().__init__()
        self.on_a_copy = on_a_copy
        self.seen: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        writes = name in _WRITING or (name.endswith("_") and not name.endswith("__"))
        if (writes or kwargs.get("inplace") is True) and args and isinstance(args[0], Tensor):
            where = place(traceback.extract_stack()[:-1])
            self.seen += [where] if where else []
            if where and where == self.on_a_copy:
                args = (args[0].clone(), *args[1:])
        return func(*args, **kwargs)


_WRITING = {f"__i{name}__" for name in ("add", "sub", "mul", "div", "truediv", "pow", "and", "or", "xor")}
_WRITING |= {"__setitem__"}

#: At how many lines it is tried whether backward runs without their writes.
_LINES = 12


def _runs_without(net: nn.Module, example: Example, modules: list[nn.Module]) -> bool:
    """Whether backward runs if modules do not work in place."""
    try:
        for module in modules:
            module.inplace = False  # type: ignore[assignment]
        gradients(net, example)
    except RuntimeError:
        return False
    finally:
        for module in modules:
            module.inplace = True  # type: ignore[assignment]
    return True


def hangs_on_draws(net: nn.Module, same: nn.Module, example: Example) -> list[str]:
    """Gradients that are others if numbers are drawn between forward and backward.

    Args:
        net: a fresh module.
        same: another one.
        example: makes the inputs.
    """
    once = gradients(net, example, between=lambda outputs: isolation.seed(isolation.SEED))
    other = gradients(same, example, between=lambda outputs: isolation.seed(isolation.SEED + 1))
    names = [name for name in once if differences(other.get(name), once[name])]
    if not names:
        return []
    return [
        f"the gradient of {they(names, 'is another', 'are others')} if numbers are drawn between the call "
        "and backward: backward computes a part again, and draws other numbers than forward did; use "
        "torch.utils.checkpoint, which puts the generator back"
    ]


def _has_drawn() -> bool:
    """Whether numbers were drawn since the usual seed was set."""
    now = torch.get_rng_state()
    with torch.random.fork_rng([]):
        isolation.seed()
        return not torch.equal(torch.get_rng_state(), now)


def _noting(given: list[tuple[str, Tensor, Tensor]], name: str) -> Callable[..., None]:
    def hook(gradients: tuple[Tensor | None, ...]) -> None:
        given.extend((name, one, one.detach().clone()) for one in gradients if one is not None)

    return hook


def are_finite(step: Step) -> bool:
    """Whether a step went through, and the gradients that have values are numbers, and not infinite."""
    return not step.refused and all(map(math.isfinite, step.gradients.values()))


def flat_at_first(step: Step) -> set[str]:
    """Parameters whose gradient is zero, or rounding alone, where others have one."""
    largest = max(step.gradients.values(), default=0.0)
    return {name for name, value in step.gradients.items() if value <= ROUNDING * largest}


def always_zero(net: nn.Module, other: nn.Module, example: Example) -> list[str]:
    """Weights whose gradient is zero in two modules, for other inputs and after steps of training too."""
    examples = [*varied(example), lambda: mapped(example(), _made_small)]
    for module in (*net.modules(), *other.modules()):
        if isinstance(module, _DropoutNd):
            module.eval()  # what it lets through is a matter of chance
    flat = _flat(net, examples) & _flat(other, examples)
    names = sorted(flat - _small(net, example) - _padding_alone(net, example)) if flat else []
    if not names:
        return _out_of_bounds(net, example)
    cure = (
        "start one of two factors with random numbers, and mind that a softmax or a quotient of one "
        "number by itself is 1 whatever it is"
    )
    for name, where in _flat_steps(net, example, names):
        cure = (
            f"{name}{where} is flat, with a slope of zero; pass the gradient by: x + (x.{name}() - "
            "x).detach()"
        )
    return [
        f"the gradient of {listed(names)} is zero, for other inputs, other weights and after {STEPS} steps "
        f"too: {'it stays' if len(names) == 1 else 'they stay'} as built; {cure}"
    ]


def _out_of_bounds(net: nn.Module, example: Example) -> list[str]:
    """Parameters that lie beyond what forward clamps them to, all of their numbers."""
    with _Clamps(parameters(net)) as clamps:
        found = gradients(net, example)
    return [
        f"the gradient of `{name}` is zero: forward takes {function} of it{where}, and all its numbers lie "
        "where that is flat, from where no step moves them; start it within the bounds, or take exp() or "
        "F.softplus() of a free number instead"
        for name, (function, where) in clamps.flat.items()
        if name in found and not bool(found[name].any())
    ]


class _Clamps(TorchFunctionMode):
    """Notes where the module's own code clamps a parameter all of whose numbers lie beyond the bounds.

    Args:
        named: the parameters.
    """

    def __init__(self, named: dict[str, nn.Parameter]) -> None:
        super().__init__()
        self.flat: dict[str, tuple[str, str]] = {}
        self._names = {id(one): name for name, one in named.items() if one.requires_grad}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name in _CLAMPING and args and id(args[0]) in self._names and isinstance(result, Tensor):
            of = args[0].detach()
            if of.numel() and _has_values(of) and bool((result.detach() != of).all()):
                where = place(traceback.extract_stack()[:-1])
                self.flat.setdefault(self._names[id(args[0])], (name, where))
        return result


_CLAMPING = {"clamp", "clip", "clamp_min", "clamp_max", "relu", "relu6", "hardtanh"}


def _padding_alone(net: nn.Module, example: Example) -> set[str]:
    """Tables of which a call takes only the row that pads, as for inputs left out: that row never trains."""
    taken: dict[str, bool] = {}
    handles = [
        module.register_forward_pre_hook(_noting_padding(taken, dotted(path, "weight")))
        for path, module in net.named_modules()
        if isinstance(module, nn.Embedding) and module.padding_idx is not None
    ]
    try:
        run(net, example)
    finally:
        for handle in handles:
            handle.remove()
    return {name for name, is_padding in taken.items() if is_padding}


def _noting_padding(taken: dict[str, bool], name: str) -> Callable[..., None]:
    def hook(module: nn.Embedding, args: tuple[Any, ...]) -> None:
        given = args[0] if args and isinstance(args[0], Tensor) else torch.empty(0)
        is_padding = given.numel() > 0 and bool(given.eq(module.padding_idx or 0).all())
        taken[name] = taken.get(name, True) and is_padding

    return hook


def _small(net: nn.Module, example: Example) -> set[str]:
    """Parameters whose gradient is small, and no rounding: in float64 it is as large, as far as that is told.

    A factor of 1e-6 before a branch, as layers are scaled at first, makes that of the branch so small.
    """
    single = gradients(net, example)
    try:
        double = gradients(copy.deepcopy(net).double(), lambda: mapped(example(), _in_float64))
    except Exception:
        return set()
    return {
        name
        for name, one in double.items()
        if name in single and one.numel() and float(one.abs().max()) > float(single[name].abs().max()) / 2 > 0
    }


def _made_small(tensor: Tensor) -> Tensor:
    """The same values a hundredth as far apart: a hinge with a margin is flat where they are far."""
    return tensor / 100 if tensor.is_floating_point() else tensor


def _in_float64(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _flat_steps(net: nn.Module, example: Example, names: list[str]) -> list[tuple[str, str]]:
    """The first place where rounding keeps all named parameters from a gradient, and the function there."""
    with _Steps() as steps:
        run(net, example)
    for step in steps.places:
        with _Steps(passing=step):
            found = gradients(net, example)
        if all(name in found and bool(found[name].any()) for name in names):
            return [step]
    return []


class _Steps(TorchFunctionMode):
    """Notes where the module's own code rounds numbers that have a gradient.

    Args:
        passing: the function and the place that the gradient is to pass by.
    """

    def __init__(self, passing: tuple[str, str] | None = None) -> None:
        super().__init__()
        self.places: dict[tuple[str, str], None] = {}
        self._passing = passing

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        of = args[0] if name.rstrip("_") in _FLAT and args and isinstance(args[0], Tensor) else None
        if of is None or not of.requires_grad:
            return func(*args, **(kwargs or {}))
        frames = traceback.extract_stack()[:-1]
        step = name.rstrip("_"), place(frames)
        if own_frames(frames[-1:]):
            self.places[step] = None
        if step != self._passing:
            return func(*args, **(kwargs or {}))
        flat = getattr(torch, step[0])(of.detach(), *args[1:], **(kwargs or {}))
        passed = of + (flat - of.detach())
        return of.copy_(passed) if name.endswith("_") else passed


_FLAT = {"round", "floor", "ceil", "trunc", "sign", "fix"}


def _flat(net: nn.Module, examples: list[Example]) -> set[str]:
    """Weights without a gradient to speak of in several steps, nor others of their kind."""
    recurrent = {
        dotted(path, name)
        for path, module in net.named_modules()
        if isinstance(module, (nn.RNNBase, nn.RNNCellBase))  # the first step starts from zeros
        for name, _ in module.named_parameters(recurse=False)
    }
    left = {name for name, one in parameters(net).items() if one.dim() > 1} - recurrent
    for step in range(STEPS + 1):
        found: dict[str, Tensor] = {}
        for example in examples if step else examples[:1]:
            found = gradients(net, example, seed=isolation.SEED + step)
            largest = max((float(one.abs().max()) for one in found.values() if one.numel()), default=0.0)
            moved = {
                name
                for name, one in found.items()
                if one.numel() and not float(one.abs().max()) <= ROUNDING * largest
            }
            kinds = {_kind(name) for name in moved}
            left = {name for name in left if name in found and _kind(name) not in kinds}
            if not left:
                return set()
        with torch.no_grad():
            for name, one in parameters(net).items():
                if name in found and largest > 0:
                    one.add_(found[name], alpha=-0.05 / largest)
    return left


def _kind(name: str) -> str:
    """The name of a parameter without the numbers of containers: experts and heads are of one kind."""
    return re.sub(r"\.\d+(?=\.)", ".*", f".{name}")


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
    return [
        f"forward uses {listed(cut)}, and backward does not get there: what is computed with it is {how}; "
        "return it and cut nothing, or freeze with requires_grad_(False)"
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
        for node, function in _own_nodes(_outputs(net, example)).items()
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
        if type(parameter) is nn.Parameter and parameter.requires_grad and _has_values(parameter)
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
    outputs = _outputs(net, example)
    own = sorted(set(_own_nodes(outputs).values()))
    if not own:
        return []
    wanted = {name: parameter for name, parameter in parameters(net).items() if parameter.requires_grad}
    weights = [_weights(tensor) for tensor in outputs]
    try:
        before = _from_a_seed(outputs, [*wanted.values()], weights)
        again = _from_a_seed(outputs, [*wanted.values()], weights)
        run(net, varied(example)[1])
        after = _from_a_seed(outputs, [*wanted.values()], weights)
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
        if one.requires_grad and not is_lazy(one) and _has_values(one) and len(one) > 1 and _are_equal(one)
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
        if chosen or not is_sequence or not _has_values(tensor):
            return tensor
        chosen.append(tensor.detach().clone().requires_grad_())
        return chosen[0].clone()  # forward may write to it: that is another rule's matter

    outputs = [tensor for _, tensor in floating_in(run(net, example, leaf)) if tensor.requires_grad]
    if not chosen or not outputs:
        return []
    try:
        (found,) = torch.autograd.grad(outputs, chosen, [_weights(tensor) for tensor in outputs])
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
        torch.autograd.backward(outputs, [_weights(tensor) for tensor in outputs])
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
    outputs = _outputs(net, example)
    own = sorted(set(_own_nodes(outputs).values()))
    if not own:
        return []
    wanted = {name: parameter for name, parameter in parameters(net).items() if parameter.requires_grad}
    weights = [_weights(tensor) for tensor in outputs]
    try:
        once, twice = (
            _from_a_seed(outputs, [*wanted.values()], start)
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


def _from_a_seed(
    outputs: list[Tensor], wanted: list[nn.Parameter], start: list[Tensor]
) -> tuple[Tensor | None, ...]:
    """Gradients by a graph that stays; what backward draws begins at the usual seed."""
    isolation.seed()
    return torch.autograd.grad(outputs, wanted, start, retain_graph=True, allow_unused=True)


def _own_nodes(outputs: list[Tensor]) -> dict[Any, str]:
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
    return all(bool(one.isfinite().all()) for one in gradients if one is not None and _has_values(one))


#: Among how many nodes the one is that a step returns again, as a view of a view does.
_LAST = 8


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


def _weights(tensor: Tensor) -> Tensor:
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
    weights = [_weights(tensor) for tensor in outputs]
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

"""Findings about modes."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.dropout import _DropoutNd

from nnspec.contract.findings.chance import why_calls_differ
from nnspec.contract.findings.registration import is_standard
from nnspec.contract.findings.viewing import enlarged
from nnspec.contract.nested import Example, differences, given_to, kept, mapped, run, tensors_in
from nnspec.contract.tree import buffers, copies, dotted, parameters, tensors
from nnspec.contract.wording import brief, kind_of, listed, they
from nnspec.running import isolation


class State(NamedTuple):
    """A registered tensor at one moment: a copy, and whether it required a gradient."""

    value: Tensor
    requires_grad: bool


def not_itself(net: nn.Module, returned: dict[str, object]) -> list[str]:
    """Methods that return something else than the module."""
    return [
        f"{call} returns {kind_of(value)} instead of the module: `net = net.{call}` loses it; return self "
        "where it is overridden"
        for call, value in returned.items()
        if value is not net
    ]


def left_in_train_mode(net: nn.Module) -> list[str]:
    """Submodules that are still in train mode after ``eval()``."""
    paths = [path or "self" for path, module in net.named_modules() if module.training]
    if not paths:
        return []
    return [
        f"{they(paths, 'is', 'are')} in train mode after eval(): dropout drops and batch norm takes the "
        "statistics of the batch; where train or eval is overridden, call super().train(mode) and return self"
    ]


def eval_of_its_own(net: nn.Module, same: nn.Module) -> list[str]:
    """What the override of ``eval`` does that ``train(False)`` does not.

    Args:
        net: a module after ``eval()``; here that of its parts is called too.
        same: another such build of it, after ``train(False)``.
    """
    overriding = [
        path or "self"
        for path, module in net.named_modules()
        if not is_standard(next(owner for owner in type(module).__mro__ if "eval" in vars(owner)))
    ]
    if not overriding:
        return []
    for path in overriding:
        if path != "self":
            net.get_submodule(path).eval(), same.get_submodule(path).train(False)
    its, others = _settings(net), _settings(same)
    different = [name for name, value in its.items() if differences(value, others.get(name), exact=True)]
    if not different:
        return []
    return [
        f"{they(different, 'is', 'are')} other after eval() than after train(False): "
        f"{they(overriding, 'overrides', 'override')} eval, and the eval() of a whole calls train(False) on "
        "its parts, never their eval(); do it in train(mode), where mode is false, and leave eval as it is"
    ]


def _settings(net: nn.Module) -> dict[str, object]:
    """Flags, numbers and texts of all submodules, and their registered tensors."""
    values: dict[str, object] = dict(tensors(net))
    for path, module in net.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, (bool, int, float, str, type(None))):
                values[dotted(path, name)] = value
    return values


def other_in_training(net: nn.Module, same: nn.Module, example: Example) -> list[str]:
    """That a call in train mode computes something else once one in eval mode has passed.

    Args:
        net: a module that was not called yet.
        same: another such build of it.
        example: makes the inputs.
    """
    before = _settings(net)
    net.eval(), same.eval()
    run(net, example)
    net.train(), same.train()
    now = _settings(net)
    changed = [
        name
        for name, value in before.items()
        if not isinstance(value, Tensor) and name in now and now[name] != value
    ]
    usual = run(same, example)
    try:
        different = differences(run(net, example), usual)[:1]
    except Exception as error:
        return [
            f"once a call in eval mode has passed, one in train mode raises {brief(error)}; leave self as it "
            "is in forward, and what is registered there too"
        ]
    its, others = _settings(net), _settings(same)
    if changed and all(its.get(name) == now[name] == others.get(name) for name in changed):
        return []  # the first call changes it in either mode, and no other
    why = f": `{changed[0]}` is {now[changed[0]]!r} since, and was {before[changed[0]]!r}" if changed else ""
    return [
        f"a call in eval mode changes what later calls in train mode compute, and {difference}{why}; where "
        "the mode asks for another value, give it to a local variable, and leave self as it is"
        for difference in different
    ]


def random_in_training(net: nn.Module, same: nn.Module, example: Example) -> list[str]:
    """That two builds differ in train mode, even from the same seed."""
    net.train(), same.train()
    if differences(run(net, example), run(same, example)):
        return ["two builds differ in train mode from the same seed, so outputs cannot be compared"]
    return []


def put_in_train_mode(net: nn.Module, example: Example) -> list[str]:
    """Submodules that a call in eval mode leaves in train mode."""
    net.eval()
    before = {path for path, module in net.named_modules() if not module.training}
    run(net, example)
    paths = [path or "self" for path, module in net.named_modules() if module.training and path in before]
    if not paths:
        return []
    return [
        f"a call in eval mode leaves {listed(paths)} in train mode, and what comes after computes so; put "
        "the mode back before forward returns, or give a function the mode: F.dropout(x, p, training=True)"
    ]


def left_in_eval_mode(net: nn.Module) -> list[str]:
    """Submodules that are still in eval mode after ``train()``, but for those that are frozen too."""
    frozen = [path for path, module in net.named_modules() if _is_frozen(module)]
    paths = [
        path or "self"
        for path, module in net.named_modules()
        if not module.training and not any(f"{path}.".startswith(f"{above}.") for above in frozen)
    ]
    if not paths:
        return []
    return [
        f"{they(paths, 'is', 'are')} in eval mode after train(); if that is not meant, call "
        "super().train(mode) where train is overridden, and leave it at that"
    ]


def _is_frozen(module: nn.Module) -> bool:
    """Whether a module has parameters, and none that is to be trained."""
    flags = [parameter.requires_grad for parameter in module.parameters()]
    return bool(flags) and not any(flags)


def snapshot(net: nn.Module) -> dict[str, State]:
    """Copies of all registered tensors by name."""
    return {
        name: State(tensor.detach().clone(), tensor.requires_grad) for name, tensor in tensors(net).items()
    }


def changed_by_modes(
    before: dict[str, State], after_eval: dict[str, State], after_train: dict[str, State]
) -> list[str]:
    """Tensors that are not the same before ``eval()``, after it, and after ``train()``."""
    sentences = []
    for call, old, new in (("eval()", before, after_eval), ("train()", after_eval, after_train)):
        there = [name for name in old if name in new]
        flags = [name for name in there if old[name].requires_grad != new[name].requires_grad]
        values = [name for name in there if differences(new[name].value, old[name].value, exact=True)]
        if flags:
            sentences.append(
                f"{call} sets requires_grad of {listed(flags)} to {new[flags[0]].requires_grad}: what was "
                "frozen is trained, or the reverse; leave requires_grad alone there"
            )
        if values:
            sentences.append(
                f"{call} changes the values of {listed(values)}: what is saved depends on the mode; leave "
                "parameters alone there, and compute in forward, by self.training"
            )
        names = [name for name in (*old, *new) if name not in there]
        if names:
            sentences.append(f"{call} registers or removes {listed(names)}; let it set the mode only")
    return sentences


def statistics_of_frozen(net: nn.Module) -> dict[str, Tensor]:
    """Copies of the running statistics of norms whose weight is frozen, by the norm's path."""
    if not any(parameter.requires_grad for parameter in parameters(net).values()):
        return {}
    return {
        path: module.running_mean.clone()
        for path, module in net.named_modules()
        if isinstance(module, _NormBase)
        and module.running_mean is not None
        and module.weight is not None
        and not module.weight.requires_grad
    }


def drifted(before: dict[str, Tensor], after: dict[str, Tensor]) -> list[str]:
    """Norms whose statistics are not what they were."""
    moved = [path for path in before if differences(after.get(path), before[path], exact=True)]
    if not moved:
        return []
    return [
        f"{they(moved, 'has a weight', 'have weights')} that requires no gradient, and a call in train mode "
        "changes the running statistics: what was frozen drifts; keep it in eval mode too, in train(), or "
        "build it with track_running_stats=False"
    ]


def frozen_in_eval_mode(net: nn.Module) -> dict[str, nn.Module]:
    """Dropout in parts that are in eval mode and whose parameters are all frozen, by path."""
    if not any(parameter.requires_grad for parameter in parameters(net).values()):
        return {}
    parts = [path for path, module in net.named_modules() if not module.training and _is_frozen(module)]
    return {
        path: module
        for path, module in net.named_modules()
        if isinstance(module, _DropoutNd) and module.p > 0 and not module.training
        if any(path.startswith(dotted(part, "")) for part in parts)
    }


def dropping_again(dropouts: dict[str, nn.Module]) -> list[str]:
    """Those of some layers that are in train mode."""
    awake = [path for path, module in dropouts.items() if module.training]
    if not awake:
        return []
    return [
        f"{they(awake, 'is', 'are')} in a part that is frozen and built in eval mode, and train() wakes "
        f"{'it' if len(awake) == 1 else 'them'}: what the part gives is noisy in training; override train(), "
        "call that of super(), put the part into eval mode again, and return self"
    ]


def mixed_statistics(net: nn.Module, example: Example) -> list[str]:
    """Norms with running statistics that one call runs on values of clearly different means or spreads."""
    seen: dict[str, list[Tensor]] = {}
    handles = [
        module.register_forward_pre_hook(_collecting(seen, path))
        for path, module in net.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None and module.training
    ]
    if not handles:
        return []
    run(net, example)
    for handle in handles:
        handle.remove()
    return [
        f"one call runs `{path}` {len(given)} times, on values of different mean and spread: its running "
        "statistics fit none of them, and eval mode computes with these; give each place a norm of its own, "
        "unless they are alike in training"
        for path, given in seen.items()
        if any(_are_apart(given[0], other) for other in given[1:])
    ]


def norms_of_one_place(net: nn.Module, example: Example) -> list[str]:
    """Norms of images that get one place for each row, whatever the size of the images is."""
    alone = _given_one_place(net, example)
    if not alone:
        return []
    paths = alone
    for change in (enlarged, _widened):
        try:
            again = _given_one_place(net, lambda change=change: mapped(example(), change))  # type: ignore[misc]
        except Exception:
            if change is _widened:
                continue  # images that are not square are refused
            return []  # images of another size are refused
        paths = [path for path in paths if path in again]
        if not paths:
            return []
    return [
        f"{they(paths, 'is', 'are')} given one place for each row, as after AdaptiveAvgPool2d(1): in train "
        "mode "
        "a batch of one raises there, and the statistics of small batches are rough; take nn.GroupNorm, "
        "or leave that norm out"
    ]


def _given_one_place(net: nn.Module, example: Example) -> list[str]:
    kinds = (nn.BatchNorm2d, nn.BatchNorm3d)
    seen: dict[str, list[Tensor]] = {}
    for path, args, _ in given_to(net, example, lambda one: isinstance(one, kinds) and one.training):
        if args and isinstance(args[0], Tensor):
            seen.setdefault(path, []).append(args[0])
    return [path for path, given in seen.items() if all(set(one.shape[2:]) == {1} for one in given)]


def _widened(tensor: Tensor) -> Tensor:
    """An image so wide that strides leave several places of it."""
    if tensor.dim() not in (4, 5) or not tensor.is_floating_point() or tensor.layout != torch.strided:
        return tensor
    return tensor.repeat_interleave(max(2, -(-_WIDE // max(tensor.shape[-1], 1))), dim=-1)


#: How wide an image is, of which a network of strides leaves one place no more.
_WIDE = 256


def _collecting(seen: dict[str, list[Tensor]], path: str) -> Callable[..., None]:
    def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
        if args and isinstance(args[0], Tensor):
            seen.setdefault(path or type(module).__name__, []).append(args[0].detach().clone())

    return hook


def _are_apart(one: Tensor, other: Tensor) -> bool:
    """Whether a channel has another mean or spread, by far more than chance gives."""
    if one.dim() < 2 or one.shape[1] != other.shape[1]:
        return False
    a, b = (tensor.transpose(0, 1).flatten(1).double() for tensor in (one, other))
    least = min(a.shape[1], b.shape[1])
    if least < _ENOUGH:
        return False
    mean, spread = (a.mean(1) - b.mean(1)).abs(), (a.var(1) + b.var(1)).sqrt()
    ratio = (a.var(1) / b.var(1).clamp(min=1e-12)).log().abs()
    return bool((mean > spread).any() or (ratio > math.log(4)).any())


#: How many values of a channel tell its mean and spread well enough.
_ENOUGH = 32


def _used_up(net: nn.Module) -> list[str]:
    """The attributes that are iterators of Python's, and have nothing more to give."""
    end = object()
    return [
        dotted(path, name)
        for path, module in net.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, (zip, map, filter, enumerate, reversed, types.GeneratorType))
        and next(value, end) is end
    ]


def random_in_eval(net: nn.Module, example: Example) -> list[str]:
    """Where two equal calls begin to differ: the submodule that finished first with another output."""
    finished: list[Finished] = []
    handles = [
        module.register_forward_hook(_noting(finished, path))
        for path, module in net.named_modules()
        if not isinstance(module, torch.jit.ScriptModule)
    ]
    before = copies(tensors(net))
    first = call_seeded(net, example, isolation.SEED)
    changed = [
        name
        for name, tensor in tensors(net).items()
        if name in before and differences(tensor.detach(), before[name], exact=True)
    ]
    once, finished[:] = list(finished), []
    second = call_seeded(net, example, isolation.SEED + 1)
    different = differences(second, first)
    if not different:
        for handle in handles:
            handle.remove()
        return []
    for handle in handles:
        handle.remove()
    pairs = zip(once, finished, strict=False)
    where = next(
        (
            first.path
            for first, again in pairs
            if not differences(again.args, first.args) and differences(again.output, first.output)
        ),
        "",
    )
    if changed:
        return [
            f"two equal calls in eval mode differ, since each changes {listed(changed)}: {different[0]}; "
            "change it only if self.training"
        ]
    if emptied := _used_up(net):
        return [
            f"two equal calls in eval mode differ: {different[0]}; "
            f"{they(emptied, 'is an iterator', 'are iterators')}, as zip, map and enumerate give, and the "
            "first call uses it up; keep what it goes through, and call zip in forward, or list(zip(...)) in "
            "__init__"
        ]
    reason = why_calls_differ(net, example, where)
    return [
        f"two equal calls in eval mode differ, first in the forward of `{where or type(net).__name__}`: "
        f"{different[0]}{reason.seen}; {reason.cure}"
    ]


class Finished(NamedTuple):
    """One call of a submodule: copies of what it was given and of what it returned."""

    path: str
    args: Any
    output: Any


def _noting(finished: list[Finished], path: str) -> Callable[..., None]:
    def hook(module: nn.Module, args: object, output: object) -> None:
        finished.append(Finished(path, kept(args), kept(output)))

    return hook


def call_seeded(net: nn.Module, example: Example, seed: int) -> Any:
    args, kwargs = example()
    isolation.seed(seed)
    return net(*args, **kwargs)


def spoilt_by_one_row(net: nn.Module, again: nn.Module, example: Example) -> list[str]:
    """Outputs and buffers that are NaN after a call in train mode with one row, which did not raise.

    Args:
        net: the module.
        again: another such build of it.
        example: makes the inputs.
    """
    before = [name for name, buffer in buffers(net).items() if _is_spoilt(buffer)]
    try:
        output = run(net, example, lambda tensor: tensor[:1] if tensor.dim() else tensor)
    except Exception:
        return []  # it says so
    given = tensors_in(example())
    if before or any(_is_spoilt(tensor) for _, tensor in given):
        return []
    usual = [path for path, tensor in tensors_in(run(again, example)) if _is_spoilt(tensor)]
    if usual:
        return []  # it is so for any batch
    spoilt = [name for name, buffer in buffers(net).items() if _is_spoilt(buffer)]
    spoilt += [path for path, tensor in tensors_in(output) if _is_spoilt(tensor)]
    if not spoilt:
        return []
    return [
        f"with a batch of one in train mode {they(spoilt, 'is', 'are')} NaN, and what is kept stays so: the "
        "variance of one number is 0 / 0; take it with unbiased=False, or refuse a batch of one as "
        "nn.BatchNorm1d does"
    ]


def _is_spoilt(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.is_meta or tensor.is_nested:
        return False
    return bool(tensor.isnan().any())


def fast_statistics(net: nn.Module) -> list[str]:
    """Norms whose running statistics are for the most part those of the last batch."""
    fast = {
        path or "self": module.momentum
        for path, module in net.named_modules()
        if isinstance(module, _NormBase) and module.running_mean is not None and module.momentum is not None
        if 0.5 < module.momentum < 1
    }
    if not fast:
        return []
    share = next(iter(fast.values()))
    return [
        f"{they(fast, 'has', 'have')} momentum={share:g}, so that each call in train mode replaces "
        f"{share:.0%} of the running statistics, and eval mode computes with those of the last batch; torch "
        f"counts the share of the new: write momentum={1 - share:.3g} for what others call {share:g}"
    ]

"""Findings about what a call does besides computing."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from nnspec.contract.findings.keeping import kept_tensors, plain_values
from nnspec.contract.findings.masks import taken_for_its_inverse
from nnspec.contract.findings.registration import OF_TORCH
from nnspec.contract.nested import Example, differences, mapped, run, tensors_in, varied
from nnspec.contract.tree import (
    buffers,
    copies,
    disturb,
    memory,
    names,
    parameters,
    passing,
)
from nnspec.contract.wording import LONGEST_TEXT, brief, listed, own_frames, place, times


def refused_in_eval(net: nn.Module, example: Example) -> list[str]:
    """The error of a call in eval mode."""
    try:
        run(net, example)
    except Exception as error:
        told = brief(error)
    else:
        return []
    if _is_taken_after_training(net, example):
        return [
            f"in eval mode, before a call in train mode has passed, it raises {told}; let __init__ register "
            "what that call makes, in its full size and with values to start from, as BatchNorm does"
        ]
    return [f"in eval mode it raises {told}; let forward take the same inputs in both modes"]


def _is_taken_after_training(net: nn.Module, example: Example) -> bool:
    """Whether a call in eval mode passes once one in train mode has passed."""
    try:
        net.train()
        run(net, example)
        net.eval()
        run(net, example)
    except Exception:
        return False
    return True
    return []


def hooks_missed(net: nn.Module, calls: list[str]) -> list[str]:
    """That one call of the module did not run a pre-hook and a hook, if so."""
    if calls == ["forward_pre", "forward"]:
        return []
    ran = ", ".join(calls) or "none"
    overrides = [owner.__name__ for owner in type(net).__mro__ if "__call__" in vars(owner)]
    cause = f"{overrides[0]} overrides __call__" if overrides[0] != "Module" else "forward calls self again"
    return [
        f"one call ran these hooks of the module: {ran}; {cause}: write forward instead, and call it by "
        "self(x)"
    ]


def hooks_passed_by(net: nn.Module, example: Example) -> list[str]:
    """Submodules whose forward runs more often than their hooks."""
    runs: Counter[str] = Counter()
    hooked: Counter[str] = Counter()
    parts = {
        path: module
        for path, module in net.named_modules()
        if path and not isinstance(module, torch.jit.ScriptModule)
    }
    own = {path: vars(module)["forward"] for path, module in parts.items() if "forward" in vars(module)}
    handles = []
    for path, module in parts.items():
        handles.append(module.register_forward_hook(lambda *_, path=path: hooked.update([path])))
        vars(module)["forward"] = _counted(module.forward, runs, path)
    try:
        run(net, example)
    finally:  # a module may be shared with others, as the default of an argument is
        for handle in handles:
            handle.remove()
        for path, module in parts.items():
            del vars(module)["forward"]
            vars(module).update({"forward": own[path]} if path in own else {})
    stores = Counter(id(module._forward_hooks) for module in parts.values())
    return [
        f"`{path}`.forward ran {times(count)}, its hooks {times(hooked[path])}: {_why_passed_by(parts[path])}"
        for path, count in runs.items()
        if count != hooked[path]
        if stores[id(parts[path]._forward_hooks)] == 1  # what copy.copy gives has the hooks of the original
    ]


def _why_passed_by(module: nn.Module) -> str:
    """Why hooks of a module do not run, and what to do."""
    (owner, *_) = (owner for owner in type(module).__mro__ if "__call__" in vars(owner))
    if owner is nn.Module:
        return "forward is called directly; call the module itself"
    return f"{owner.__name__} overrides __call__; write forward instead"


def _counted(forward: Callable[..., Any], runs: Counter[str], path: str) -> Callable[..., Any]:
    @functools.wraps(forward)
    def counted(*args: Any, **kwargs: Any) -> Any:
        runs[path] += 1
        return forward(*args, **kwargs)

    return counted


def numbers_read(net: nn.Module, example: Example) -> list[str]:
    """The lines of forward that read numbers out of tensors, under torch.compile too.

    The module is called as if it were compiled: libraries leave short cuts out then.
    """
    with _Reads() as reads:
        try:
            output = run(net, example)
        except Exception:
            return []  # that is told by the rule about eval mode
    if not reads.places or not tensors_in(output):
        return []  # a number may be what it is asked for
    with _as_if_compiled(), _Reads() as reads:
        try:
            run(net, example)
        except Exception:
            return []
    return [
        f"forward reads a number out of a tensor{where}: torch.compile cuts its graph there, and a GPU "
        "waits; compute with the tensor, as torch.where does, unless that is meant"
        for where in reads.places
    ]


@contextlib.contextmanager
def _as_if_compiled() -> Iterator[None]:
    """Let torch.compiler.is_compiling be true, also for who has imported the function itself."""
    flag = mock.patch.object(torch.compiler, "_is_compiling_flag", new=True, create=True)
    with flag, mock.patch.object(torch.compiler, "is_compiling", return_value=True):
        yield


class _Reads(TorchFunctionMode):
    """Notes where the module's own code makes a number of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, None] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in _READING:
            frames = traceback.extract_stack()[:-1]
            if own_frames(frames[-1:]):
                self.places[place(frames)] = None
        return func(*args, **(kwargs or {}))


_READING = {"item", "tolist", "__bool__", "__float__", "__int__", "__index__"}


def second_call_refused(net: nn.Module, example: Example) -> list[str]:
    """The error of a second call with equal inputs, if it raises one and the first does not."""
    run(net, example)
    try:
        run(net, example)
    except Exception as error:
        return [
            f"the first call passes, and a second with equal inputs raises {brief(error)}; let forward use "
            "up nothing that __init__ made"
        ]
    return []


def not_numbers(net: nn.Module, example: Example) -> list[str]:
    """Outputs with NaN, where neither the inputs nor the module have any."""
    given = [*tensors_in(example()), *parameters(net).items(), *buffers(net).items()]
    if any(_nans(tensor) for _, tensor in given):
        return []
    output = run(net, example)
    if not any(_nans(tensor) for _, tensor in tensors_in(output)):
        return []
    with _FirstNaN() as first:
        run(net, example)
    cure = taken_for_its_inverse(net, example) or first.cure
    return [
        f"`{path}` is NaN in {number} of {tensor.numel()} values, and nothing in this example "
        f"is{first.told}; {cure}"
        for path, tensor in tensors_in(output)
        if (number := _nans(tensor))
    ]


class _FirstNaN(TorchFunctionMode):
    """Says which function, called by the module's own code, is the first to make NaN of numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.told = ""
        self.cure = (
            "where a softmax meets a row of -inf alone, fill with torch.finfo(x.dtype).min, and keep "
            "quotients, roots and logarithms from zero and below"
        )

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        had = any(isinstance(one, Tensor) and _nans(one) for one in args)
        result = func(*args, **(kwargs or {}))
        if not self.told and not had and isinstance(result, Tensor) and _nans(result):
            frames = traceback.extract_stack()[:-1]
            name = getattr(func, "__name__", "").strip("_")
            if own_frames(frames) and name not in ("get", "set"):
                self.told = f": the first NaN is what {name} gives{place(frames)}"
                of = args[0] if args else None
                if name in ("pow", "log", "sqrt", "rsqrt", "log2", "log10") and isinstance(of, Tensor):
                    self.told += f", of {float(of.detach().min()):.2g} and more"
                if name == "softmax" and isinstance(of, Tensor) and _leaves_what_is_before(of):
                    self.cure = (
                        "the mask leaves each place those before it, and not itself, so nothing to the "
                        "first; hide what comes after it alone, torch.triu(mask, diagonal=1)"
                    )
        return result


def _leaves_what_is_before(scores: Tensor) -> bool:
    """Whether scores are numbers below the diagonal alone, and -inf on it and above."""
    if scores.dim() < 2 or scores.shape[-1] != scores.shape[-2] or scores.shape[-1] < 2:
        return False
    left = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril(-1)
    return bool((scores.isneginf() == ~left).all())


def _nans(tensor: Tensor) -> int:
    """How many values of a tensor are NaN, as far as it can be told."""
    if is_lazy(tensor) or tensor.layout != torch.strided or tensor.is_nested or tensor.is_meta:
        return 0
    if type(tensor) not in (Tensor, nn.Parameter):
        return 0  # a class of one's own may not know isnan
    return int(tensor.isnan().sum()) if tensor.is_floating_point() else 0


def warned(net: nn.Module, example: Example) -> list[str]:
    """What torch warns of in a call, in either mode, each once."""
    told: dict[str, str] = {}
    for is_training in (True, False):
        with _warning(told):
            net.train(is_training)
            run(net, example)
    return _warnings("in a call", told)


def warned_in_building(construct: Callable[[], nn.Module]) -> list[str]:
    """What torch warns of when a module is built, each once."""
    told: dict[str, str] = {}
    with _warning(told):
        construct()
    return _warnings("when the module is built", told)


@contextlib.contextmanager
def _warning(told: dict[str, str]) -> Iterator[None]:
    """Note what torch warns of, with the place in the module's own code, and swallow errors."""
    callers = len(traceback.extract_stack()) - 2

    def noting(message: Any, category: Any, filename: str, *_: Any, **__: Any) -> None:
        text = " ".join(str(message).partition(" (Triggered internally")[0].split())
        is_of_torch = _TORCH in Path(filename).parents or "(Triggered internally" in str(message)
        if category is UserWarning and is_of_torch and not any(word in text for word in _PASSING):
            told.setdefault(text.rstrip("."), place(traceback.extract_stack()[callers:]))

    always = torch.is_warn_always_enabled()
    with warnings.catch_warnings(), contextlib.suppress(Exception):  # errors are told by other rules
        warnings.simplefilter("always")
        warnings.showwarning = noting
        torch.set_warn_always(True)
        try:
            yield
        finally:
            torch.set_warn_always(always)


def _warnings(when: str, told: dict[str, str]) -> list[str]:
    most = 2 * LONGEST_TEXT  # what to do is often said last
    return [
        f"torch warns {when}{where}: {text if len(text) <= most else f'{text[:most]}...'}; "
        "write what it asks for, or silence it where what it warns of is meant"
        for text, where in told.items()
    ]


_TORCH = Path(torch.__file__).parent

#: Words of warnings about the release, a backend or checks that are off, and of two that other rules explain.
_PASSING = (
    *("deprecat", "prototype", "beta", "is experimental", "indexing argument", "Lazy modules"),
    *("oneDNN", "invariant checks", "enable_nested_tensor", "zero-element tensors"),
    *("None of the inputs have requires_grad=True", "Converting a tensor with requires_grad=True"),
)


def changed_inputs(called: Any, fresh: Any, writes: Writes) -> list[str]:
    """Inputs that are not as they were before the call.

    Args:
        called: the inputs after it.
        fresh: others like it.
        writes: what was seen in the call.
    """
    (args, kwargs), (fresh_args, fresh_kwargs) = called, fresh
    different = differences(args, fresh_args, "args", exact=True)
    different += differences(kwargs, fresh_kwargs, "kwargs", exact=True)
    before = tensors_in((fresh_args, fresh_kwargs), "")
    now = [*tensors_in(args, "args"), *tensors_in(kwargs, "kwargs")]
    marked = [
        path
        for (path, tensor), (_, fresh) in zip(now, before, strict=False)
        if tensor.requires_grad and not fresh.requires_grad
    ]
    return [
        f"the input {difference} after the call{writes.told}; {writes.cure}" for difference in different
    ] + [
        f"the input `{path}` requires a gradient after the call, and did not before; mark a tensor of its "
        "own: x = x.detach().requires_grad_()"
        for path in marked
    ]


class Writes(TorchFunctionMode):
    """Notes what first works in place on a tensor that lies in the memory of an input.

    Args:
        inputs: what the module is given.
    """

    def __init__(self, inputs: object) -> None:
        super().__init__()
        self.told, self.cure = "", "work on a copy: x = x + 1 for x += 1"
        self._inputs = {memory(tensor) for _, tensor in tensors_in(inputs)}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.told or not args or type(args[0]) is not Tensor or memory(args[0]) not in self._inputs:
            return func(*args, **(kwargs or {}))
        of, before = args[0], args[0]._version
        result = func(*args, **(kwargs or {}))
        if of._version != before:
            name = getattr(func, "__name__", "a function").strip("_")
            self.told = f": {name}{place(traceback.extract_stack()[:-1])} writes to it"
            if (kwargs or {}).get("inplace") is True:
                self.cure = "make what is first to work on an input with inplace=False"
        return result


def initialised_once(net: nn.Module, example: Example) -> bool:
    """Whether the first call notes that it was, and a second changes no parameter."""
    notes = {name: one.clone() for name, one in buffers(net).items() if not one.is_floating_point()}
    attributes = plain_values(net)
    run(net, example)
    is_noted = any(differences(buffers(net).get(name), value, exact=True) for name, value in notes.items())
    if not is_noted and plain_values(net) == attributes:
        return False
    disturb(net)
    before = copies(parameters(net))
    run(net, example)
    return not changed_parameters(net, before)


def changed_parameters(net: nn.Module, before: dict[str, Tensor]) -> list[str]:
    """Parameters that a call gave other values.

    What is frozen is left to no optimizer: in train mode forward may have it follow others, as a teacher
    does.
    """
    return [
        f"{difference} after a call; {_why_changed(net, name)}"
        if parameter.requires_grad
        else f"{difference} after a call in eval mode; change it only if self.training"
        for name, parameter in parameters(net).items()
        if parameter.requires_grad or not net.training
        for difference in differences(parameter.data, before.get(name, parameter.data), name, exact=True)
    ]


def follows(net: nn.Module, before: dict[str, Tensor]) -> bool:
    """Whether a call gave frozen parameters other values."""
    return any(
        differences(parameter.data, before.get(name, parameter.data), exact=True)
        for name, parameter in parameters(net).items()
        if not parameter.requires_grad
    )


def _why_changed(net: nn.Module, name: str) -> str:
    """What to do about a parameter that a call changes."""
    path = name.rpartition(".")[0]
    layer = net.get_submodule(path)
    if isinstance(layer, (nn.Embedding, nn.EmbeddingBag)) and layer.max_norm is not None:
        return (
            f"max_norm={layer.max_norm:g} writes to the weight in each call, and in eval mode too; scale "
            "what comes out instead, or clone() the weight wherever else it is used"
        )
    return "let forward compute from it and leave it to the optimizer, or use a parametrization"


def changed_buffers(net: nn.Module, before: dict[str, Tensor]) -> list[str]:
    """Persistent buffers that a call gave other values: the others are where caches are kept."""
    return [
        f"{difference} after a call in eval mode; change it only if self.training"
        for name, buffer in buffers(net).items()
        if name not in passing(net)
        for difference in differences(buffer, before.get(name, buffer), name, exact=True)
    ]


def growing_buffers(net: nn.Module, example: Example) -> list[str]:
    """Buffers that are larger after each of several calls in train mode."""
    net.train()
    shapes: list[dict[str, tuple[int, ...]]] = []
    for _ in range(_CALLS):
        try:
            run(net, example)
        except Exception:
            return []  # whether it can be called again is another rule's matter
        shapes.append({name: tuple(one.shape) for name, one in buffers(net).items() if not is_lazy(one)})
        if len(shapes) == 2 and shapes[0] == shapes[1]:
            return []
    return [
        f"the buffer `{name}` has the shape {shapes[0][name]} after one call in train mode, "
        f"{shapes[1][name]} after two and {last} after {_CALLS}: it fills memory, and a fresh build cannot "
        "load it; give it one shape in __init__, and write over what is oldest"
        for name, last in shapes[-1].items()
        if all(name in some for some in shapes)
        and all(
            math.prod(after[name]) > math.prod(before[name]) for before, after in itertools.pairwise(shapes)
        )
    ]


#: How many calls are made to see whether a buffer grows.
_CALLS = 4


def newly_registered(net: nn.Module, before: dict[str, str]) -> list[str]:
    """What is registered after a call and was not before, but for caches: buffers that are not persistent."""
    return [
        f"the buffer `{name}` is made by the first call: a checkpoint that has it loads into no fresh build; "
        "register it in __init__, with its full shape and values to start from"
        if kind == "buffer"
        else f"the {kind} `{name}` is made by the first call: an optimizer made before it does not know it, "
        "and a fresh build cannot load it; make it in __init__, or use a lazy layer"
        for name, kind in names(net).items()
        if name not in before and name not in passing(net)
    ]


def replaced_parameters(net: nn.Module, before: dict[str, nn.Parameter]) -> list[str]:
    """Parameters in whose place a call puts new ones."""
    return [
        f"each call puts a new Parameter in the place of `{name}`: an optimizer goes on with the old one, "
        "which gets no gradient any more; give what is computed another name: weight = self.weight * mask"
        for name, parameter in parameters(net).items()
        if name in before and before[name] is not parameter and not is_lazy(before[name])
    ]


def hooks_added(net: nn.Module, example: Example) -> list[str]:
    """Submodules and parameters that have more hooks after each of two calls."""
    counts = []
    for _ in range(3):
        run(net, example)
        counts.append(_hooks(net))
    first, second, third = counts
    growing = [path for path in first if first[path] < second.get(path, 0) < third.get(path, 0)]
    if not growing:
        return []
    return [
        f"each call registers one more hook on {listed(growing)}: they all run, and none of them goes; "
        "register it in __init__, or remove() its handle before forward returns"
    ]


def _hooks(net: nn.Module) -> dict[str, int]:
    """How many hooks each submodule and each parameter has."""
    of_modules = {
        path or "self": sum(
            len(store) for name, store in vars(module).items() if name.endswith("_hooks") and name in OF_TORCH
        )
        for path, module in net.named_modules()
    }
    return of_modules | {
        name: len(parameter._backward_hooks or ()) for name, parameter in parameters(net).items()
    }


def overwritten(net: nn.Module, example: Example) -> list[str]:
    """Outputs of a call that a call with other inputs changes."""
    try:
        with torch.no_grad():
            first = run(net, example)
            before = mapped(first, lambda tensor: tensor.detach().clone())
            second = run(net, varied(example)[1])
    except Exception:
        return []  # whether it can do without gradients is another rule's matter
    kept = {memory(tensor): name for name, tensor in kept_tensors(net).items() if tensor.numel()}
    places = [kept[memory(tensor)] for _, tensor in tensors_in(second) if memory(tensor) in kept]
    where = f"both lie in `{places[0]}`" if places else "both lie in one tensor that the module keeps"
    return [
        f"{difference} once the module is called again: {where}; return a new tensor, or clone() what is kept"
        for difference in differences(first, before, exact=True)
    ]

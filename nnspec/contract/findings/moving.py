"""Findings about casts and moves, and about the settings of the process."""

from __future__ import annotations

import copy
import traceback
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nnspec.contract.findings.building import not_built_on_meta
from nnspec.contract.findings.keeping import attributes, kept_tensors
from nnspec.contract.findings.registration import is_standard
from nnspec.contract.limit import OutOfTime
from nnspec.contract.nested import Example, mapped, movable_in, run, tensors_in
from nnspec.contract.products import AddedInFloat32
from nnspec.contract.tree import Build, buffers, dotted, parameters, tensors
from nnspec.contract.wording import brief, place, text_of, they
from nnspec.running import isolation

#: Functions that take tensors of several devices, such as an index on the CPU or the sizes of packed batches.
MEETING_PLACES = frozenset(
    {"__getitem__", "__setitem__", "__set__", "_assert", "copy_", "to", "type_as"}
    | {"_has_compatible_shallow_copy_type"}
    | {"lstm", "gru", "rnn_tanh", "rnn_relu", "_pack_padded_sequence"}
)

#: Functions that make a tensor out of nothing, on the default device and in the default dtype.
FACTORIES = (
    *("arange", "empty", "eye", "full", "hann_window", "linspace", "logspace", "ones", "rand", "randint"),
    *("randn", "randperm", "tensor", "as_tensor", "zeros", "tril_indices", "triu_indices"),
)

#: What torch says where it has no kernel for a dtype; the others of an LSTM under autocast, on a CPU without
#: bfloat16, and of a grouped_mm in float64.
NO_KERNEL = (
    "not implemented for",
    "could not create a primitive",
    "Expected mat_a to be Float32",
    "FFT doesn't support tensors of type",
)


def process_settings() -> dict[str, Any]:
    """The settings of the process that a module leaves alone."""
    return {
        "the default dtype": torch.get_default_dtype(),
        "grad mode": torch.is_grad_enabled(),
        "the default device": torch.empty(0).device,
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "anomaly mode": torch.is_anomaly_enabled(),
        "the number of threads": torch.get_num_threads(),
        **isolation.backend_switches(),
        "the seed": torch.initial_seed(),
        "the number of hooks on all modules": sum(len(store) for store in isolation.GLOBAL_HOOKS),
    }


_CURES = {
    "the seed": "draw from a torch.Generator of its own",
    "the number of hooks on all modules": (
        "register a hook on the modules that it is for, with their register_forward_hook, and leave "
        "register_module_forward_hook and its like to the program"
    ),
}


def changed_settings(before: dict[str, Any], by: str) -> list[str]:
    """Settings that are not what they were."""
    return [
        f"{by} changes {name} of the process from {before[name]} to {value}, for everyone; "
        + _CURES.get(name, "change it in a context, if at all")
        for name, value in process_settings().items()
        if value != before[name]
    ]


def not_cast(net: nn.Module, dtype: torch.dtype) -> list[str]:
    """Floating parameters and buffers that are not of a dtype after a cast to it."""
    left = {
        name: tensor.dtype
        for name, tensor in tensors(net).items()
        if tensor.is_floating_point() and tensor.dtype != dtype
    }
    if not left:
        return []
    return [
        f"{they(left, 'is', 'are')} {next(iter(left.values()))} after the cast to {dtype}; let _apply cast "
        "what is registered, which it does unless it is overridden"
    ]


def not_computed_in(net: nn.Module, example: Example, dtype: torch.dtype) -> list[str]:
    """Floating outputs of another dtype, for a module and inputs of this one, or the error of the call."""
    fresh = _copied(net)
    with _Watch() as watch:
        wrong = _wrong(net, example, dtype)
    if not wrong:
        return []
    cure = _cure_of_dtype(fresh, example, dtype, watch)
    return [f"{sentence}; {cure}" for sentence in wrong]


def _copied(net: nn.Module) -> nn.Module | None:
    try:
        return copy.deepcopy(net)
    except (KeyboardInterrupt, OutOfTime):
        raise
    except BaseException:
        return None


def _wrong(net: nn.Module, example: Example, dtype: torch.dtype) -> list[str]:
    """What goes wrong in one call with inputs in a dtype."""
    inputs = mapped(example(), lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)
    try:
        with AddedInFloat32():
            output = run(net, lambda: inputs)
    except Exception as error:
        return [f"with parameters and inputs in {dtype} it raises {brief(error)}"]
    return [
        f"`{path}` is {tensor.dtype} though parameters and inputs are {dtype}"
        for path, tensor in tensors_in(output)
        if tensor.is_floating_point() and tensor.dtype != dtype
    ]


def second_names(net: nn.Module) -> dict[str, str]:
    """Elements of plain lists and dicts, and attributes of objects, that are buffers, each with its name."""
    named = {id(buffer): name for name, buffer in buffers(net).items() if buffer.is_floating_point()}
    plain = {dotted(path, name) for path, module in net.named_modules() for name in vars(module)}
    return {
        path: named[id(tensor)]
        for path, tensor in attributes(net).items()
        if path not in plain and id(tensor) in named
    }


def left_by_second_names(net: nn.Module, before: dict[str, str]) -> list[str]:
    """Names of buffers that do not lead to the buffers any more after ``double()``."""
    its, now = attributes(net), buffers(net)
    left = {path: name for path, name in before.items() if path in its and its[path] is not now.get(name)}
    if not left:
        return []
    name = next(iter(left.values()))
    what = f"the buffer `{name}` by another name" if len(left) == 1 else "buffers by other names"
    return [
        f"{they(left, 'is', 'are')} {what}, and not any more after a cast or a move, which makes a new "
        "tensor of each buffer: forward goes on with the old one; look it up by the name it is registered "
        f"by, as getattr(self, {name!r}), in forward"
    ]


def imaginary_lost(net: nn.Module) -> list[str]:
    """Buffers of complex numbers that are real after ``to(torch.bfloat16)``, where all parameters are real.

    Who computes with complex parameters casts to no real dtype.
    """
    if any(parameter.is_complex() for parameter in parameters(net).values()):
        return []
    before = [name for name, buffer in buffers(net).items() if buffer.is_complex()]
    net.to(torch.bfloat16)
    after = tensors(net)
    lost = [name for name in before if name in after and not after[name].is_complex()]
    if not lost:
        return []
    return [
        f"{they(lost, 'has', 'have')} complex numbers, of which to(torch.bfloat16) keeps the real parts "
        "only; register real and imaginary parts as two tensors (torch.view_as_real), or make them in forward"
    ]


def _cure_of_dtype(net: nn.Module | None, example: Example, dtype: torch.dtype, watch: _Watch) -> str:
    """What to do about a dtype: a function is blamed if nothing is wrong once it gives the dtype.

    Args:
        net: the module as it was before the call that went wrong; None if it cannot be copied.
        example: makes the inputs.
        dtype: that of parameters and inputs.
        watch: what was seen in that call.
    """
    called = list(watch.factories)
    for names in [[name] for name in called] + [called]:
        if net is None:
            break
        with _Following([getattr(torch, name) for name in names], dtype):
            wrong = _wrong(copy.deepcopy(net), example, dtype)
        if not wrong:
            given = watch.factories[names[0]].get("dtype")
            what = " and ".join(f"torch.{name}" for name in names)
            how = "without dtype=" if given is None else f"with dtype={given}"
            return f"forward calls {what} {how}: give {'it' if len(names) == 1 else 'each'} dtype=x.dtype"
    for function, (name, given) in watch.casting.items():
        if net is None:
            break
        with _Following([function], dtype):
            wrong = _wrong(copy.deepcopy(net), example, dtype)
        if not wrong:
            return f"forward calls {name} with dtype={given}: write .to(x.dtype) behind it"
    return "take the dtype from the inputs: x.to(y.dtype) for .float()"


def without_kernel(sentences: list[str]) -> list[str]:
    """Those of what was found that say that torch itself has no kernel for a dtype here."""
    return [one for one in sentences if "nsupported" in one or any(words in one for words in NO_KERNEL)]


def left_as_a_part(net: nn.Module, part: nn.Module) -> list[str]:
    """Tensors that are on meta where a module was moved by itself, and not where it was moved as a part."""
    moved = {name for name, tensor in kept_tensors(net).items() if tensor.is_meta}
    return [
        f"`{name}` is on {tensor.device} after the move of a module that it is part of, and by itself it "
        "moves along: to() of a whole does not call that of its parts; register it, or override _apply"
        for name, tensor in kept_tensors(part).items()
        if name in moved and not tensor.is_meta
    ]


def _overrides_cuda(net: nn.Module) -> bool:
    """Whether ``cuda()`` of a module or of a part of it is not torch's own."""
    owners = {owner for module in net.modules() for owner in type(module).__mro__ if "cuda" in vars(owner)}
    return not all(map(is_standard, owners))


def cuda_refused(net: nn.Module) -> list[str]:
    """Call ``cuda()`` with meta in the place of a GPU; why it cannot do without one, if so."""
    if not _overrides_cuda(net):
        return []
    to_meta = mock.patch.object(torch.Tensor, "cuda", lambda tensor, *args, **kwargs: tensor.to("meta"))
    with to_meta, mock.patch.object(torch.cuda, "current_device", return_value=0):
        try:
            net.cuda()
        except (AssertionError, RuntimeError) as error:
            if not {"CUDA", "NVIDIA"} & set(text_of(error).split()):
                raise
            return [f"its cuda() asks for a GPU, and there is none: {brief(error)}"]
    return []


def left_by_cuda(net: nn.Module, before: Iterable[str]) -> list[str]:
    """Those of the named parameters and buffers that ``cuda()`` has left behind."""
    now = tensors(net)
    behind = [name for name in before if name in now and not now[name].is_meta]
    if not behind or not _overrides_cuda(net):
        return []
    return [
        f"{they(behind, 'stays', 'stay')} on the CPU after cuda(), which is overridden; call super().cuda(), "
        "or better leave it as it is and override _apply"
    ]


def on_meta(build: Build, ready: Build) -> tuple[nn.Module, list[nn.Parameter]]:
    """A module on the meta device: built there, and moved there if that cannot be.

    Returns:
        the module, and the parameters that it had before it was moved.
    """
    if not not_built_on_meta(build):
        with torch.device("meta"):
            return build(), []
    net = ready()
    before = list(parameters(net).values())
    net.to("meta")
    return net, before


def not_computed_after_a_call(net: nn.Module, example: Example, dtype: torch.dtype) -> list[str]:
    """What goes wrong in a dtype only if the module was called in another before."""
    return [
        f"after a call and a cast, {sentence.rpartition('; ')[0]}; keep nothing of a call that has its "
        "dtype, or ask for the dtype before it is used again"
        for sentence in not_computed_in(net, example, dtype)
    ]


class Call(NamedTuple):
    """One call on the meta device: what was seen on the way, and the error or the output."""

    watch: _Watch
    error: Exception | None
    output: Any


def call_on_meta(net: nn.Module, example: Example, before: Iterable[nn.Parameter]) -> Call:
    """Call a module on the meta device with its inputs moved there.

    Args:
        net: the module.
        example: makes its inputs.
        before: the parameters that it had elsewhere. Who keeps one past the module meets it on the CPU still,
            as on no other device: there a move keeps the parameters, and on meta it makes new ones.
    """
    inputs = mapped(example(), lambda tensor: tensor.to("meta"))
    with _Watch(before) as watch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return Call(watch, None, run(net, lambda: inputs))
        except Exception as error:
            return Call(watch, error, None)


def reading_values(call: Call) -> list[str]:
    """The error of a call on meta where no two devices meet: forward reads values, which meta has not."""
    if call.error is None or call.watch.meetings:
        return []
    return [f"it does not run on the meta device: {brief(call.error)}"]


def not_computed_on_meta(call: Call) -> list[str]:
    """Functions that forward calls with tensors on meta and on the CPU, and outputs on the CPU."""
    cure = _cure(call.watch)
    brought = {id(tensor): where for tensor, where in call.watch.brought}
    taken = [(path, brought[id(tensor)]) for path, tensor in tensors_in(call.output) if id(tensor) in brought]
    if taken:
        return [
            f"`{path}` is on the CPU though parameters and inputs are not: forward brings it there{where}; "
            "return it where it was computed, for who calls to move"
            for path, where in taken
        ]
    if call.watch.meetings:
        return [f"on another device forward calls {meeting}; {cure}" for meeting in call.watch.meetings]
    return [
        f"`{path}` is on {tensor.device} though parameters and inputs are not; {cure}"
        for path, tensor in movable_in(call.output)
        if not tensor.is_meta
    ]


def not_computed_there(net: nn.Module, example: Example, device: str) -> list[str]:
    """Outputs that are not on a device, for a module and inputs there, or the error of the call."""
    inputs = mapped(example(), lambda tensor: tensor.to(device))
    with _Watch() as watch:
        try:
            output = run(net, lambda: inputs)
        except RuntimeError as error:
            return [f"on {device} it raises {brief(error)}; {_cure(watch)}"]
    return [
        f"`{path}` is on {tensor.device} though parameters and inputs are on {device}; {_cure(watch)}"
        for path, tensor in movable_in(output)
        if tensor.device.type != torch.device(device).type
    ]


def described(net: nn.Module) -> dict[str, str]:
    """Shape and dtype of all that is registered, by name."""
    return {name: f"{tuple(tensor.shape)} of {tensor.dtype}" for name, tensor in tensors(net).items()}


def redescribed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Names whose shape or dtype is another."""
    return [
        f"`{name}` is {after[name]} on its way to meta and back, and was {before[name]}; leave _apply and "
        "to() as they are"
        for name in before
        if name in after and before[name] != after[name]
    ]


class _Watch(TorchFunctionMode):
    """Notes the factory functions that forward calls, and functions that two devices meet in."""

    def __init__(self, spared: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.spared = {id(tensor): tensor for tensor in spared}
        self.factories: dict[str, dict[str, Any]] = {}
        self.casting: dict[Callable[..., Any], tuple[str, torch.dtype]] = {}
        self.meetings: dict[str, None] = {}
        self.brought: list[tuple[Tensor, str]] = []
        self.pinned: dict[int, tuple[Tensor, str]] = {}
        self.met = ""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name not in {"to", *FACTORIES} and isinstance(kwargs.get("dtype"), torch.dtype):
            self.casting.setdefault(func, (name, kwargs["dtype"]))
        if name in FACTORIES and getattr(torch, name, None) is func:
            self.factories.setdefault(name, dict(kwargs))
        elif name not in MEETING_PLACES:
            given = [tensor for _, tensor in tensors_in((args, kwargs)) if id(tensor) not in self.spared]
            on_cpu = any(tensor.is_cpu and tensor.dim() > 0 for tensor in given)
            if on_cpu and any(tensor.is_meta for tensor in given):
                where = place(traceback.extract_stack())
                self.meetings[f"{name} with tensors on meta and on cpu{where}"] = None
                self.met = self.met or next(
                    (self.pinned[id(one)][1] for one in given if id(one) in self.pinned), ""
                )
        if name in {"to", "cpu"} and _goes_to_cpu(name, args, kwargs):
            there = torch.zeros(args[0].shape, dtype=args[0].dtype, device="cpu")
            self.brought.append((there, place(traceback.extract_stack())))
            return there
        result = func(*args, **kwargs)
        self._pin(name, (args, kwargs), result)
        return result

    def _pin(self, name: str, given: tuple[tuple[Any, ...], dict[str, Any]], result: Any) -> None:
        """Notes what was made on the CPU and is sent there by name, and what is computed from it."""
        args, kwargs = given
        if (
            name in {"to", "cpu"}
            and isinstance(args[0], Tensor)
            and args[0].is_cpu
            and _names_cpu(name, args, kwargs)
        ):
            where = place(traceback.extract_stack()[:-1])
        else:
            where = next(
                (self.pinned[id(one)][1] for _, one in tensors_in(given) if id(one) in self.pinned), ""
            )
        if where:
            self.pinned.update({id(one): (one, where) for _, one in tensors_in(result) if one.is_cpu})


def _names_cpu(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether ``tensor.to`` or ``tensor.cpu`` is asked for the CPU."""
    devices = [one for one in (*args[1:], *kwargs.values()) if isinstance(one, (str, torch.device))]
    return name == "cpu" or any(torch.device(one).type == "cpu" for one in devices)


def _goes_to_cpu(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether ``tensor.to`` or ``tensor.cpu`` is asked to bring a floating tensor from meta to the CPU."""
    tensor = args[0]
    if not isinstance(tensor, Tensor) or not tensor.is_meta or not tensor.is_floating_point():
        return False
    return _names_cpu(name, args, kwargs)


class _Following(TorchFunctionMode):
    """Lets functions return their floating tensors in a dtype."""

    def __init__(self, functions: list[Callable[..., Any]], dtype: torch.dtype) -> None:
        super().__init__()
        self.functions = functions
        self.dtype = dtype

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not any(func is function for function in self.functions):
            return func(*args, **kwargs)
        try:
            result = func(*args, **kwargs)
        except RuntimeError:  # a value that this dtype alone can hold
            return func(*args, **{**kwargs, "dtype": self.dtype})
        return result.to(self.dtype) if result.is_floating_point() else result


def _cure(watch: _Watch) -> str:
    """What is to be done about a device that does not follow the inputs."""
    if watch.met:
        return (
            f"forward sends what it makes to the CPU{watch.met}: take the device of the inputs, x.device, "
            "and none that was named before"
        )
    for name, kwargs in watch.factories.items():
        if "device" not in kwargs:
            return f"forward calls torch.{name} without device=: give it device=x.device"
        if kwargs["device"] in (torch.device("cpu"), "cpu"):
            return f"forward calls torch.{name} with device={kwargs['device']}: give it device=x.device"
    if watch.brought:
        return (
            f"forward brings a tensor to the CPU{watch.brought[0][1]}: take the device of the inputs, "
            "x.device, and none that was named when the module was built"
        )
    return "take the device from the inputs: x.to(y.device) for .cpu()"

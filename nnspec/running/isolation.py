"""What a clause may change in the process, and how it is put back.

Each entry of :data:`STATES` reads one piece of state that outlives a clause and sets it again.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import random
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

import torch
import torch.nn.modules.module as module_source
import torch.overrides

from nnspec.running import devices

SEED = 20

GLOBAL_HOOKS: list[dict[int, Any]] = [
    value
    for name, value in vars(module_source).items()
    if name.startswith("_global_") and isinstance(value, dict)
]

FUTURE_FLAGS: dict[str, Callable[[], bool]] = {
    name.removeprefix("get_"): get for name, get in vars(torch.__future__).items() if name.startswith("get_")
}


class State(NamedTuple):
    """One piece of process-wide state: how it is read and how it is set."""

    read: Callable[[], Any]
    write: Callable[[Any], None]


class SpoiltBuiltins(Exception):
    """What Python itself gives every module was changed."""


class Snapshot(NamedTuple):
    """The values of all of :data:`STATES` at one moment, by name, and how many modules were imported."""

    values: dict[str, Any]
    modules: int


def _default_device() -> torch.device:
    return torch.empty(0).device


def _set_default_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)


def _global_hooks() -> list[dict[int, Any]]:
    return [store.copy() for store in GLOBAL_HOOKS]


def _set_global_hooks(stores: list[dict[int, Any]]) -> None:
    for store, hooks in zip(GLOBAL_HOOKS, stores, strict=True):
        store.clear()
        store.update(hooks)


def _module_attributes() -> dict[str, Any]:
    """What nn.Module defines, without what Python itself caches on a class that is copied or inspected."""
    cached = ("__slotnames__", "__annotations_cache__")
    return {name: value for name, value in vars(torch.nn.Module).items() if name not in cached}


def _set_module_attributes(attributes: dict[str, Any]) -> None:
    for name in _module_attributes().keys() - attributes.keys():
        delattr(torch.nn.Module, name)
    for name, value in attributes.items():
        if vars(torch.nn.Module).get(name) is not value:
            setattr(torch.nn.Module, name, value)


def _future_flags() -> dict[str, bool]:
    return {name: get() for name, get in FUTURE_FLAGS.items()}


def _set_future_flags(flags: dict[str, bool]) -> None:
    for name, value in flags.items():
        getattr(torch.__future__, f"set_{name}")(value)


def _autocast() -> tuple[bool, torch.dtype]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.is_autocast_cpu_enabled(), torch.get_autocast_cpu_dtype()


def _set_autocast(value: tuple[bool, torch.dtype]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.set_autocast_cpu_enabled(value[0])
        torch.set_autocast_cpu_dtype(value[1])


def backend_switches() -> dict[str, Any]:
    """The switches of torch.backends that decide which kernels run."""
    return {
        "torch.backends.cudnn.enabled": torch.backends.cudnn.enabled,
        "torch.backends.cudnn.benchmark": torch.backends.cudnn.benchmark,
        "torch.backends.cudnn.deterministic": torch.backends.cudnn.deterministic,
        "torch.get_float32_matmul_precision()": torch.get_float32_matmul_precision(),
    }


def _set_backend_switches(switches: dict[str, Any]) -> None:
    for name, value in switches.items():
        if name.startswith("torch.backends"):
            setattr(torch.backends.cudnn, name.rpartition(".")[2], value)
        else:
            torch.set_float32_matmul_precision(value)


def _safe_globals() -> set[Any]:
    if not hasattr(torch.serialization, "get_safe_globals"):
        return set()
    return set(torch.serialization.get_safe_globals())


def _set_safe_globals(safe: set[Any]) -> None:
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(list(safe))


def _mapping() -> Any:
    """How :func:`torch.load` maps a file; None where this torch has one way only."""
    read = getattr(torch.serialization, "get_default_mmap_options", None)
    return read() if read else None


def _set_mapping(flags: int) -> None:
    torch.serialization.set_default_mmap_options(flags)


def _set_environment(environment: dict[Any, Any]) -> None:
    for name in _environment().keys() - environment.keys():
        del os.environ[os.fsdecode(name)]
    for name, value in environment.items():
        os.environ[os.fsdecode(name)] = os.fsdecode(value)


def _environment() -> dict[Any, Any]:
    """The variables as the system spells them: to decode them all takes longer than many a clause."""
    variables = dict(os.environ._data)  # type: ignore[attr-defined]
    variables.pop(os.environ.encodekey("PYTEST_CURRENT_TEST"), None)
    return variables


def _working_directory() -> str:
    """Where this process is; nowhere, if that folder was taken away."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def set_filters(filters: list[Any]) -> None:
    """Let warnings be treated so."""
    warnings.filters[:] = filters  # type: ignore[index]


def _threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if not thread.daemon)


def _set_modes(count: int) -> None:
    """Leave the function modes that were entered; one that was left cannot be entered again."""
    while torch.overrides._len_torch_function_stack() > count:  # type: ignore[attr-defined]
        torch.overrides._pop_mode()  # type: ignore[no-untyped-call]


STATES: dict[str, State] = {
    "grad mode": State(torch.is_grad_enabled, lambda mode: torch._C._set_grad_enabled(mode)),
    "default dtype": State(torch.get_default_dtype, torch.set_default_dtype),
    "default device": State(_default_device, _set_default_device),
    "global hooks": State(_global_hooks, _set_global_hooks),
    "attributes of nn.Module": State(_module_attributes, _set_module_attributes),
    "torch.__future__ flags": State(_future_flags, _set_future_flags),
    "anomaly mode": State(torch.is_anomaly_enabled, torch.set_anomaly_enabled),
    "autocast": State(_autocast, _set_autocast),
    "deterministic algorithms": State(
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms
    ),
    "backend switches": State(backend_switches, _set_backend_switches),
    "safe globals": State(_safe_globals, _set_safe_globals),
    "flags of mapped files": State(_mapping, _set_mapping),
    "thread count": State(torch.get_num_threads, torch.set_num_threads),
    "threads": State(_threads, lambda names: None),
    "function modes": State(torch.overrides._len_torch_function_stack, _set_modes)
    if hasattr(torch.overrides, "_len_torch_function_stack")
    else State(lambda: 0, _set_modes),
    "warnings filters": State(lambda: list(warnings.filters), set_filters),
    "environment": State(_environment, _set_environment),
    "working directory": State(_working_directory, os.chdir),
}

#: What modules that torch imports on first use, such as torch._dynamo, set for good. Taking it away
#: again would break them, so it stays when a clause was the first to need such a module.
SET_BY_IMPORTS = frozenset({"safe globals", "warnings filters", "environment"})


#: What torch starts with. Only what a user's conftest or plugin is likely to set is put back to it.
AS_NEW: dict[str, Any] = {
    "grad mode": True,
    "default dtype": torch.float32,
    "default device": torch.device("cpu"),
    "torch.__future__ flags": dict.fromkeys(FUTURE_FLAGS, False),
    "anomaly mode": False,
    "deterministic algorithms": False,
}

#: Of these, what is looked at before each clause.
_OF_TENSORS = ("default dtype", "default device")


def start_as_new() -> None:
    """Take back what was set in this process before the first clause."""
    for name, value in AS_NEW.items():
        if STATES[name].read() != value:
            STATES[name].write(value)


def ensure_defaults() -> None:
    """Take back the default dtype and device that something has set since the clause was set up."""
    for name in _OF_TENSORS:
        if STATES[name].read() != AS_NEW[name]:
            STATES[name].write(AS_NEW[name])


def seed(value: int = SEED) -> None:
    """Start every generator that a clause may draw from at the same place."""
    random.seed(value)
    torch.default_generator.manual_seed(value)
    devices.seed(value)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(value)


@contextlib.contextmanager
def with_builtins() -> Iterator[None]:
    """Put Python's builtins back at once: what runs a clause needs them. What libraries add to them stays.

    Raises:
        SpoiltBuiltins: they were changed.
    """
    store = vars(builtins)
    before = store.copy()
    try:
        yield
    finally:
        after = store.copy()
        store.update(before)
        changed = [name for name, value in before.items() if name not in after or after[name] is not value]
        if changed:
            raise SpoiltBuiltins(f"it changes Python's builtins: {', '.join(changed)}")


@contextlib.contextmanager
def kept_open() -> Iterator[None]:
    """Let nobody close the output, into which the run is told, and put back another that was set."""

    def refuse() -> NoReturn:
        raise RuntimeError("it closes the output")

    kept: list[Any] = [sys.stdout, sys.stderr]
    for stream in kept:
        with contextlib.suppress(AttributeError):  # there may be none
            stream.close = refuse
    try:
        yield
    finally:
        sys.stdout, sys.stderr = kept
        for stream in kept:
            with contextlib.suppress(AttributeError):  # both may be one
                del stream.close


def snapshot(last: Snapshot | None = None) -> Snapshot:
    """The present values of all of :data:`STATES`.

    Args:
        last: the snapshot before, or what :func:`restore` returned, if there is one. Only the warnings
            filters are read anew then: pytest sets them for each clause.
    """
    if last is None:
        return Snapshot({name: state.read() for name, state in STATES.items()}, len(sys.modules))
    last.values["warnings filters"] = list(warnings.filters)
    return last


def restore(before: Snapshot, *, compiled: bool = True) -> tuple[list[str], Snapshot]:
    """Put everything back.

    Args:
        before: what :func:`snapshot` returned before the clause ran.
        compiled: whether the clause may have compiled something.

    Returns:
        the names of what had been changed, and the snapshot that the next clause is held against.
    """
    leaked = []
    imported = len(sys.modules) > before.modules
    kept = SET_BY_IMPORTS if imported else frozenset[str]()
    for name, state in STATES.items():
        if name not in kept and state.read() != before.values[name]:
            leaked.append(name)
            state.write(before.values[name])
    _forget_kind_of_global_hooks()
    if compiled:
        _forget_compiled_code()
    return leaked, snapshot() if leaked or imported else before


def _forget_kind_of_global_hooks() -> None:
    """torch remembers for good whether a global backward hook was full; a clause starts afresh."""
    module_source._global_is_full_backward_hook = None


def _forget_compiled_code() -> None:
    dynamo = sys.modules.get("torch._dynamo")
    if dynamo is not None:
        with contextlib.suppress(AttributeError):
            dynamo.reset()
            _forget_dynamic_classes(dynamo)


def _forget_dynamic_classes(dynamo: Any) -> None:
    """Up to torch 2.3 a class whose hooks were once compiled is compiled in another way for good."""
    tracker = dynamo.mutation_guard.GenerationTracker
    if not hasattr(tracker, "clear"):
        tracker.dynamic_classes = type(tracker.dynamic_classes)()

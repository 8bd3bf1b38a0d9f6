"""The devices of this machine, and what a clause may need that is not everywhere."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Generator
from typing import Any

import torch
import torch.distributed

from nnspec.clauses.clause import required
from nnspec.errors import UsageError

ACCELERATORS = ("cuda", "mps", "xpu", "mtia", "hpu")

#: Devices that torch has once a library is imported, each with that library.
LIBRARIES = {"xla": "torch_xla"}


@functools.cache
def present() -> tuple[str, ...]:
    """The types of device that torch finds on this machine, ``cpu`` first."""
    return ("cpu", *(name for name in (*ACCELERATORS, *LIBRARIES, private()) if _is_available(name)))


def private() -> str:
    """The type of the device that a vendor may add to torch, by the name that it has been given."""
    renamed = getattr(torch._C, "_get_privateuse1_backend_name", None)
    return renamed() if renamed else "privateuseone"


def module_of(name: str) -> Any:
    """The module with a device type's own functions, such as ``torch.cuda``; None if there is none."""
    if name in LIBRARIES:
        return sys.modules.get(LIBRARIES[name])
    return getattr(torch, name, None)


def _is_available(name: str) -> bool:
    if name in LIBRARIES:
        return LIBRARIES[name] in sys.modules
    module: Any = getattr(torch.backends if name == "mps" else torch, name, None)
    return hasattr(module, "is_available") and bool(module.is_available())


def select(wanted: list[str] | None) -> tuple[str, ...]:
    """The device types that a run is about; a library that one of them comes with is imported.

    Args:
        wanted: those that ``--device`` names; none means all that are present.

    Raises:
        UsageError: this torch finds no such device, or its library cannot be imported.
    """
    for name in wanted or ():
        if name in LIBRARIES:
            _import_library(name)
        if name not in present():
            raise UsageError(f"--device {name}: no such device here; this torch finds {', '.join(present())}")
    return tuple(dict.fromkeys(wanted)) if wanted else present()


def _import_library(name: str) -> None:
    library = LIBRARIES[name]
    try:
        importlib.import_module(library)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--device {name}: it comes with {library}, and {error.name} is not installed here; "
            f"pip install the {library} that fits torch {torch.__version__}"
        ) from error
    except (ImportError, OSError, RuntimeError) as error:
        raise UsageError(
            f"--device {name}: {library} does not import beside torch {torch.__version__}: {error}"
        ) from error
    present.cache_clear()


@contextlib.contextmanager
def told_to_torch() -> Generator[None, None, None]:
    """Let torch say, as of its own, that a device is there which comes with a library.

    Who starts processes asks so whether they may be forked: one that has used a device cannot be.
    """
    there = next((name for name in LIBRARIES if name in present()), None)
    utils: Any = torch._utils
    ordinary = utils._get_available_device_type
    if there is not None:
        utils._get_available_device_type = lambda: ordinary() or there
    try:
        yield
    finally:
        utils._get_available_device_type = ordinary


def wake(names: tuple[str, ...]) -> None:
    """Use each device once: what the first use sets in the process is no clause's doing."""
    for name in names:
        torch.empty(1, device=name)


def seed(value: int) -> None:
    """Start the generator of every accelerator that is in use at the same place, where it has one."""
    for name in present()[1:]:
        module = module_of(name)
        if not getattr(module, "is_initialized", lambda: True)():
            continue
        start = getattr(module, "manual_seed_all", None) or getattr(module, "manual_seed", None)
        if start is not None:
            start(value)


def describe(name: str) -> str:
    """A device type with the hardware's own name where torch tells it: ``cuda (NVIDIA H200)``."""
    module = module_of(name)
    if hasattr(module, "real_devices"):  # torch_xla's word for them, such as TPU:0
        kinds = [device.partition(":")[0] for device in module.real_devices()]
        return f"{name} ({f'{len(kinds)} x ' if len(kinds) > 1 else ''}{kinds[0]})"
    if name == "cpu" or not hasattr(module, "get_device_name"):
        return name
    count = module.device_count() if hasattr(module, "device_count") else 1
    many = f"{count} x " if count > 1 else ""
    return f"{name} ({many}{module.get_device_name()})"


def lacking(name: str, count: int, selected: tuple[str, ...]) -> str:
    """Why a need of a clause is not met here.

    Args:
        name: the need, one of :data:`nnspec.clauses.clause.NEEDS`.
        count: how many of it.
        selected: the device types that this run is about.

    Returns:
        the reason, empty if the need is met.
    """
    is_there: dict[str, Callable[[], bool]] = {
        "cuda": lambda: "cuda" in selected and torch.cuda.device_count() >= count,
        "torchvision": _torchvision_imports,
        "distributed": torch.distributed.is_available,
        "compile": _compile_works,
        "bfloat16": _onednn_has_bfloat16,
    }
    return "" if is_there[name]() else required(name, count)


@functools.cache
def _torchvision_imports() -> bool:
    if importlib.util.find_spec("torchvision") is None:
        return False
    try:
        import torchvision.models  # noqa: F401
    except (ImportError, RuntimeError, OSError):
        return False
    return True


def _onednn_has_bfloat16() -> bool:
    """Whether layers that torch leaves to oneDNN, such as nn.LSTM, take bfloat16; without oneDNN they do."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return True
    ask = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)  # missing in torch 2.0
    return ask is not None and bool(ask())


@functools.cache
def _compile_works() -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1))
        except RuntimeError as error:
            if "not yet supported" in str(error) or "not supported" in str(error):
                return False
            raise
    torch._dynamo.reset()
    return True

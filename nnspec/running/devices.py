"""The devices of this machine, and what a clause may need that is not everywhere."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed

from nnspec.errors import UsageError

ACCELERATORS = ("cuda", "mps", "xpu", "mtia", "hpu")


@functools.cache
def present() -> tuple[str, ...]:
    """The types of device that torch finds on this machine, ``cpu`` first."""
    return ("cpu", *(name for name in (*ACCELERATORS, private()) if _is_available(name)))


def private() -> str:
    """The type of the device that a vendor may add to torch, by the name that it has been given."""
    renamed = getattr(torch._C, "_get_privateuse1_backend_name", None)
    return renamed() if renamed else "privateuseone"


def _is_available(name: str) -> bool:
    module: Any = getattr(torch.backends if name == "mps" else torch, name, None)
    return hasattr(module, "is_available") and bool(module.is_available())


def select(wanted: list[str] | None) -> tuple[str, ...]:
    """The device types that a run is about.

    Args:
        wanted: those that ``--device`` names; none means all that are present.

    Raises:
        UsageError: this torch finds no such device.
    """
    for name in wanted or ():
        if name not in present():
            raise UsageError(f"--device {name}: no such device here; this torch finds {', '.join(present())}")
    return tuple(dict.fromkeys(wanted)) if wanted else present()


def wake(names: tuple[str, ...]) -> None:
    """Use each device once: what the first use sets in the process is no clause's doing."""
    for name in names:
        torch.empty(1, device=name)


def describe(name: str) -> str:
    """A device type with the hardware's own name where torch tells it: ``cuda (NVIDIA H200)``."""
    module: Any = getattr(torch, name, None)
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
    if name == "cuda":
        return _lacking_cuda(count, selected)
    others: dict[str, tuple[Callable[[], bool], str]] = {
        "torchvision": (_torchvision_imports, "torchvision that imports"),
        "distributed": (torch.distributed.is_available, "torch.distributed"),
        "compile": (_compile_works, "a Python that this torch.compile supports"),
    }
    is_there, what = others[name]
    return "" if is_there() else what


def _lacking_cuda(count: int, selected: tuple[str, ...]) -> str:
    there = torch.cuda.device_count() if "cuda" in selected else 0
    if there >= count:
        return ""
    return "a CUDA device" if count == 1 else f"{count} CUDA devices"


@functools.cache
def _torchvision_imports() -> bool:
    if importlib.util.find_spec("torchvision") is None:
        return False
    try:
        import torchvision.models  # noqa: F401
    except (ImportError, RuntimeError, OSError):
        return False
    return True


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

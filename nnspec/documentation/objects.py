"""The objects whose documentation the specification answers for."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from nnspec.errors import UsageError

#: Parts of the documentation, each with the modules whose functions and classes, methods included, it takes.
PARTS: dict[str, tuple[str, ...]] = {
    "module": ("torch.nn.modules.module", "torch.nn.modules.lazy", "torch.nn.parameter"),
    "containers": ("torch.nn.modules.container",),
    "init": ("torch.nn.init",),
    "utils": (
        "torch.nn.utils.clip_grad",
        "torch.nn.utils.convert_parameters",
        "torch.nn.utils.fusion",
        "torch.nn.utils.init",
        "torch.nn.utils.memory_format",
        "torch.nn.utils.rnn",
        "torch.nn.utils._per_sample_grad",
    ),
    "reparametrization": (
        "torch.nn.utils.parametrizations",
        "torch.nn.utils.parametrize",
        "torch.nn.utils.spectral_norm",
        "torch.nn.utils.weight_norm",
    ),
    "pruning": ("torch.nn.utils.prune",),
    "functional": ("torch.nn.utils.stateless", "torch.func"),
    "parallel": (
        "torch.nn.parallel.data_parallel",
        "torch.nn.parallel.parallel_apply",
        "torch.nn.parallel.replicate",
        "torch.nn.parallel.scatter_gather",
        "torch.nn.parallel.comm",
    ),
    "distributed": ("torch.nn.parallel.distributed", "torch.distributed.fsdp"),
    "saving": ("torch.serialization",),
    "optimizer": ("torch.optim.optimizer",),
    "compilation": ("torch",),
    "dropout": ("torch.nn.modules.dropout",),
    "normalization": (
        "torch.nn.modules.batchnorm",
        "torch.nn.modules.instancenorm",
        "torch.nn.modules.normalization",
    ),
    "recurrent": ("torch.nn.modules.rnn",),
    "embedding": ("torch.nn.modules.sparse",),
    "attention": ("torch.nn.modules.activation", "torch.nn.modules.transformer"),
    "linear": ("torch.nn.modules.linear", "torch.nn.modules.conv", "torch.nn.modules.flatten"),
    "losses": ("torch.nn.modules.loss",),
}

#: Of modules that hold much else, what is taken.
ONLY = {
    "torch.func": ("functional_call", "stack_module_state"),
    "torch": ("compile",),
    "torch.nn.modules.activation": ("MultiheadAttention",),
    "torch.distributed.fsdp": (
        "fully_shard",
        "FSDPModule",
        "UnshardHandle",
        "MixedPrecisionPolicy",
        "OffloadPolicy",
        "CPUOffloadPolicy",
        "register_fsdp_forward_method",
        "share_comm_ctx",
    ),
    "torch.nn.parameter": (
        "Parameter",
        "Buffer",
        "UninitializedParameter",
        "UninitializedBuffer",
        "UninitializedTensorMixin",
    ),
}


class Documented(NamedTuple):
    """An object with a docstring of its own.

    Attributes:
        name: where people find it, such as ``torch.nn.Module.to``.
        docstring: as torch has it.
    """

    name: str
    docstring: str


def documented(part: str) -> Iterator[Documented]:
    """What a part of the documentation describes, on this torch, classes first.

    Raises:
        UsageError: Python leaves docstrings out, so that every sentence would seem to be gone.
    """
    if sys.flags.optimize > 1:
        raise UsageError(
            "Python leaves docstrings out (-OO or PYTHONOPTIMIZE=2), so torch says nothing; run without it"
        )
    for path in PARTS[part]:
        try:
            module = importlib.import_module(path)
        except ImportError:
            continue
        names = ONLY.get(path) or [name for name, value in vars(module).items() if _is_own(name, value, path)]
        for name in sorted(names, key=lambda name: not inspect.isclass(getattr(module, name, None))):
            value = getattr(module, name, None)
            if value is not None:
                yield from _with_methods(_public(path, name), value)


def _is_own(name: str, value: Any, path: str) -> bool:
    is_one = inspect.isclass(value) or inspect.isfunction(value)
    return is_one and not name.startswith("_") and value.__module__ == path


def _public(path: str, name: str) -> str:
    """The shortest path under which torch offers it."""
    packages = path.split(".")
    for end in range(1, len(packages)):
        package = importlib.import_module(".".join(packages[:end]))
        if getattr(package, name, None) is getattr(importlib.import_module(path), name):
            return f"{package.__name__}.{name}"
    return f"{path}.{name}"


def _with_methods(name: str, value: Any) -> Iterator[Documented]:
    own = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    if own:
        yield Documented(name, own)
    if inspect.isclass(value):
        for key, member in vars(value).items():
            function = getattr(member, "__func__", member)
            is_method = inspect.isfunction(function) or isinstance(member, property)
            if not key.startswith("_") and is_method and function.__doc__:
                yield Documented(f"{name}.{key}", function.__doc__)

"""The public names that the specification speaks of, as the torch at hand has them."""

from __future__ import annotations

import functools
import inspect
import pkgutil
import types
from collections.abc import Iterator
from typing import Any

CLASSES = (
    "torch.nn.Module",
    "torch.nn.Sequential",
    "torch.nn.ModuleList",
    "torch.nn.ModuleDict",
    "torch.nn.ParameterList",
    "torch.nn.ParameterDict",
    "torch.nn.Parameter",
    "torch.nn.Buffer",
    "torch.nn.UninitializedParameter",
    "torch.nn.UninitializedBuffer",
    "torch.nn.modules.lazy.LazyModuleMixin",
)

MODULES = (
    "torch.nn.init",
    "torch.nn.utils",
    "torch.nn.utils.clip_grad",
    "torch.nn.utils.convert_parameters",
    "torch.nn.utils.parametrize",
    "torch.nn.utils.parametrizations",
    "torch.nn.utils.prune",
    "torch.nn.utils.stateless",
    "torch.nn.parallel",
)


_NOTHING: Any = object()


def exists(target: str) -> bool:
    """Whether a dotted name leads to something on this torch.

    A name that a class only annotates, as ``torch.nn.Module.training``, counts.
    """
    return _found(target) is not _NOTHING


def find(target: str) -> Any:
    """What a dotted name leads to on this torch, ``None`` if it leads nowhere."""
    value = _found(target)
    return None if value is _NOTHING else value


@functools.cache
def _found(target: str) -> Any:
    """What a dotted name leads to, ``_NOTHING`` if it leads nowhere, None if a class only annotates it."""
    try:
        return pkgutil.resolve_name(target)
    except (ImportError, AttributeError, ValueError):
        owner, _, name = target.rpartition(".")
    cls = _found(owner) if owner else _NOTHING
    annotated = isinstance(cls, type) and any(name in inspect.get_annotations(base) for base in cls.__mro__)
    return None if annotated else _NOTHING


def public_names() -> list[str]:
    """Every public name of the API that the specification covers, on this torch, sorted.

    These are the classes with the public attributes that torch.nn itself gives them, and the public
    functions and classes of the modules.
    """
    names: dict[str, None] = {}
    for path in CLASSES:
        cls = _found(path)
        if cls is not _NOTHING:
            names[path] = None
            names.update(dict.fromkeys(_attributes(path, cls)))
    for path in MODULES:
        module = _found(path)
        if module is not _NOTHING:
            names.update(dict.fromkeys(_members(path, module)))
    return sorted(names)


def _attributes(path: str, cls: type) -> Iterator[str]:
    """The public attributes that a class defines itself."""
    for name, value in vars(cls).items():
        if not name.startswith("_") and (callable(value) or isinstance(value, (property, classmethod))):
            yield f"{path}.{name}"
    for name in inspect.get_annotations(cls):
        if not name.startswith("_"):
            yield f"{path}.{name}"


def _members(path: str, module: types.ModuleType) -> Iterator[str]:
    """The public functions and classes that a module offers as its own."""
    listed = getattr(module, "__all__", None)
    for name, value in vars(module).items():
        if name.startswith("_") or not (inspect.isfunction(value) or inspect.isclass(value)):
            continue
        own = value.__module__ == module.__name__
        if own if listed is None else name in listed:
            yield f"{path}.{name}"


def same_object(name: str, other: str) -> bool:
    """Whether two names lead to the same function or class."""
    value = find(name)
    return value is not None and value is find(other)

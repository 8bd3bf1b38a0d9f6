"""Tensors in nested structures: what a module takes and what it returns.

A structure is a tensor, a tuple, a list, a dict, a dataclass, any object with attributes, or such things
within one another.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import math
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nnspec.running import isolation

_FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, functools.partial)

Example = Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]

#: How far into attributes of objects a structure is followed.
DEEPEST = 12

_ATOMS = (str, bytes, int, float, complex, bool, type(None), type, torch.dtype, torch.device, torch.Size)


def tensors_in(value: object, path: str = "output") -> list[tuple[str, Tensor]]:
    """The tensors of a structure, each with the path that leads to it, such as ``output[0].logits``."""
    return [(where, leaf) for where, leaf in _leaves(value, path, DEEPEST) if isinstance(leaf, Tensor)]


def movable_in(value: object) -> list[tuple[str, Tensor]]:
    """The tensors of a structure without the sizes of packed batches, which are on the CPU always."""
    return [(path, leaf) for path, leaf in tensors_in(value) if not path.endswith(".batch_sizes")]


def floating_in(value: object) -> list[tuple[str, Tensor]]:
    """The tensors of a structure that can carry a gradient."""
    return [(path, leaf) for path, leaf in tensors_in(value) if is_floating(leaf)]


def is_floating(tensor: Tensor) -> bool:
    """Whether a tensor has a floating point or complex dtype."""
    return tensor.is_floating_point() or tensor.is_complex()


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A copy of a structure with ``change(tensor)`` in the place of every tensor."""
    memo = {id(leaf): leaf for _, leaf in tensors_in(value)}
    memo |= {id(leaf): change(leaf) for _, leaf in movable_in(value)}
    copied = copy.deepcopy(value, dict(memo))
    _change_others(copied, change, {id(tensor) for tensor in memo.values()}, DEEPEST)
    return copied


def shortened(example: Example, dim: int, least: int = 2) -> Example | None:
    """The same inputs, those as long along a dimension as the first one shorter by one there.

    Args:
        example: makes the inputs.
        dim: the dimension.
        least: how long they have to be; None is returned where they are not.
    """
    size = length(example, dim)
    if size < least:
        return None

    def narrowed(tensor: Tensor) -> Tensor:
        is_as_long = tensor.dim() > dim and tensor.shape[dim] == size
        return tensor.narrow(dim, 0, size - 1).clone() if is_as_long else tensor

    return lambda: mapped(example(), narrowed)


def length(example: Example, dim: int) -> int:
    """How long the first input is along a dimension that has it; 0 if none has."""
    return next((tensor.shape[dim] for _, tensor in tensors_in(example()) if tensor.dim() > dim), 0)


def kept(value: Any) -> Any:
    """A copy of a structure; of its tensors alone where the rest, as a lock or a generator, has none."""
    try:
        return mapped(value, lambda tensor: tensor.detach().clone())
    except Exception:
        return [tensor.detach().clone() for _, tensor in tensors_in(value)]


def _change_others(value: Any, change: Callable[[Tensor], Tensor], done: set[int], depth: int) -> None:
    """Change in place the tensors of a copy that a ``__deepcopy__`` of its own has made without asking."""
    if depth == 0 or isinstance(value, _ATOMS):
        return
    if isinstance(value, (dict, list)):
        holder, entries = value, list(value.items() if isinstance(value, dict) else enumerate(value))
    elif isinstance(value, tuple):
        holder, entries = [], list(enumerate(value))
    elif _children(value) is not None:
        holder = getattr(value, "__dict__", {})
        entries = list(holder.items())
    else:
        return
    for key, child in entries:
        if not isinstance(child, Tensor):
            _change_others(child, change, done, depth - 1)
        elif id(child) not in done and not isinstance(value, tuple):
            holder[key] = change(child)


def run(net: nn.Module, example: Example, change: Callable[[Tensor], Tensor] | None = None) -> Any:
    """What the module returns for its example inputs, from the usual seed.

    Gradients are recorded: a module that computes with them, such as one of forces, cannot do without.

    Args:
        net: the module, called in the mode it is in.
        example: makes the inputs.
        change: is applied to every tensor of the inputs first.
    """
    inputs = example()
    args, kwargs = mapped(inputs, change) if change else inputs
    isolation.seed()
    return net(*args, **kwargs)


class Given(NamedTuple):
    """What a module within another is called with: its path, and the inputs by place and by name."""

    path: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def given_to(net: nn.Module, example: Example, is_wanted: Callable[[nn.Module], bool]) -> list[Given]:
    """What one call of a module gives to those within it that are wanted, in the order of their calls.

    Args:
        net: the module; it is not called if nothing in it is wanted.
        example: makes the inputs.
        is_wanted: whether calls of a module are to be told.
    """
    calls: list[Given] = []

    def noting(path: str) -> Callable[..., None]:
        return lambda module, args, kwargs: calls.append(Given(path, args, kwargs))

    wanted = [(path or type(net).__name__, one) for path, one in net.named_modules() if is_wanted(one)]
    with contextlib.ExitStack() as hooks:
        for path, module in wanted:
            hooks.enter_context(module.register_forward_pre_hook(noting(path), with_kwargs=True))
        if wanted:
            run(net, example)
    return calls


def varied(example: Example) -> list[Example]:
    """The same inputs as they are, with the signs changed, and moved."""

    def of(change: Callable[[Tensor], Tensor]) -> Example:
        return lambda: mapped(
            example(), lambda tensor: change(tensor) if tensor.is_floating_point() else tensor
        )

    return [example, of(lambda tensor: 0.5 - tensor), of(lambda tensor: 2 * tensor - 1)]


def differences(
    got: object, expected: object, path: str = "output", *, exact: bool = False, depth: int = DEEPEST
) -> list[str]:
    """Where two structures differ, in words; NaN equals NaN.

    Args:
        got: the structure that is judged.
        expected: what it is held against.
        path: what both are called.
        exact: tensors are equal in every bit, not only within the tolerance that suits their dtype.
        depth: how far a structure is followed: one may hold itself.
    """
    if depth == 0:
        return []
    children, others = _told(got), _told(expected)
    if isinstance(got, Tensor) and isinstance(expected, Tensor):
        difference = _difference(got.detach(), expected.detach(), exact=exact)
        return [f"`{path}` {difference}"] if difference else []
    if type(got) is not type(expected):
        return [f"`{path}` is a {type(got).__name__} instead of a {type(expected).__name__}"]
    if children is None or others is None:
        return [] if _same_atom(got, expected) else [f"`{path}` is {got!r} instead of {expected!r}"]
    if list(children) != list(others):
        return [f"`{path}` has the entries {_keys(children)} instead of {_keys(others)}"]
    return [
        difference
        for key, child in children.items()
        for difference in differences(child, others[key], path + key, exact=exact, depth=depth - 1)
    ]


def _told(value: object) -> dict[str, object] | None:
    """What an output holds as far as it counts: an object may keep books in attributes without tensors."""
    children = _children(value)
    if children is None or isinstance(value, (Mapping, tuple, list)) or dataclasses.is_dataclass(value):
        return children
    return {name: child for name, child in children.items() if tensors_in(child)}


def _difference(got: Tensor, expected: Tensor, *, exact: bool) -> str:
    if got.is_nested and expected.is_nested:
        pairs = zip(got.unbind(), expected.unbind(), strict=False)
        found = [_difference(one, other, exact=exact) for one, other in pairs]
        return next(filter(None, found), "") if len(found) == expected.size(0) else "has other rows"
    if got.shape != expected.shape:
        return f"has shape {tuple(got.shape)} instead of {tuple(expected.shape)}"
    if got.dtype != expected.dtype:
        return f"has dtype {got.dtype} instead of {expected.dtype}"
    if got.is_meta or expected.is_meta:
        return ""
    if got.layout != torch.strided or got.is_quantized:
        got, expected = (got.dequantize() if got.is_quantized else got.to_dense() for got in (got, expected))
    if got.device == expected.device:
        try:
            is_equal = torch.equal(got, expected)
        except NotImplementedError:  # a class of its own may tell its values by dequantize() only
            got, expected = got.dequantize(), expected.dequantize()
            is_equal = torch.equal(got, expected)
        if is_equal:
            return ""
    got, expected = got.cpu(), expected.cpu()
    if not exact or bool(got.isnan().any()):
        largest = 1.0 if not is_floating(expected) else float(expected.abs().nan_to_num(0, 0, 0).max())
        try:
            relative, absolute = _tolerance(got.dtype, largest)
            torch.testing.assert_close(got, expected, rtol=relative, atol=absolute, equal_nan=True)
        except AssertionError:
            pass
        else:
            return ""
    apart, by = got != expected, ""
    if is_floating(got):
        apart &= ~(got.isnan() & expected.isnan())
        by = f", by up to {float((got - expected).abs().nan_to_num(math.inf)[apart].max()):.2g}"
    return f"differs in {int(apart.sum())} of {got.numel()} values{by}"


def _tolerance(dtype: torch.dtype, largest: float) -> tuple[float, float]:
    """The tolerances of ``torch.testing``; the absolute one grows with the largest value."""
    relative = {torch.float64: 1e-7, torch.float32: 1.3e-6, torch.complex64: 1.3e-6, torch.complex128: 1e-7}
    absolute = {torch.float64: 1e-7, torch.complex128: 1e-7}
    if dtype in (torch.float16, torch.bfloat16):
        return 1.6e-2, 1e-3 * max(1.0, largest)
    return relative.get(dtype, 0.0), absolute.get(dtype, 1e-5) * max(1.0, largest)


def _same_atom(got: object, expected: object) -> bool:
    if isinstance(got, float) and isinstance(expected, float):
        return got == expected or (math.isnan(got) and math.isnan(expected))
    if isinstance(got, _ATOMS):
        return got == expected
    return True


def _keys(children: Mapping[str, object]) -> str:
    return ", ".join(key.strip(".[]") for key in children) or "(none)"


def _leaves(value: object, path: str, depth: int) -> Iterator[tuple[str, object]]:
    children = None if depth == 0 else _children(value)
    if children is None:
        yield path, value
        return
    for key, child in children.items():
        yield from _leaves(child, path + key, depth - 1)


def _children(value: object) -> dict[str, object] | None:
    """What a structure holds, by the text that leads to it; None for a leaf."""
    if isinstance(value, (Tensor, nn.Module, *_ATOMS, *_FUNCTIONS)):
        return None
    if isinstance(value, Mapping):
        return {f"[{key!r}]": child for key, child in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {f".{name}": getattr(value, name) for name in value._fields}
    if isinstance(value, (tuple, list)):
        return {f"[{index}]": child for index, child in enumerate(value)}
    names = getattr(value, "__dict__", None)
    if isinstance(names, dict):
        return {f".{name}": child for name, child in names.items()}
    slots = getattr(type(value), "__slots__", ())
    return {f".{name}": getattr(value, name) for name in slots if hasattr(value, name)} if slots else None

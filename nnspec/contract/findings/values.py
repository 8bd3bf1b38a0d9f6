"""Findings about values: what is NaN for some inputs, what nobody wrote, and what is written twice."""

from __future__ import annotations

import copy
import functools
import random
import sys
import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nnspec.contract.findings.registration import is_standard
from nnspec.contract.nested import Example, differences, is_floating, length, mapped, run, tensors_in
from nnspec.contract.wording import own_frames, place
from nnspec.running import isolation


def written_twice(net: nn.Module, example: Example) -> list[str]:
    """Places that one write of forward gives several values, if what stays there counts."""
    with _Writes() as writes:
        expected = run(net, example)
    if not writes.places:
        return []
    with _Writes(disturbing=True):
        other = run(net, example)
    if not differences(other, expected):
        return []  # nobody reads what is there
    return [
        f"forward writes several values to one place{where}: one of them stays, which one is left open, and "
        "the others are lost; add them up, with index_add_ or index_put_(..., accumulate=True), or write "
        "each place once"
        for where in writes.places
    ]


class _Writes(TorchFunctionMode):
    """Notes where the module's own code writes different values to one place.

    Args:
        disturbing: give such places other values afterwards.
    """

    def __init__(self, *, disturbing: bool = False) -> None:
        super().__init__()
        self.places: dict[str, None] = {}
        self._disturbing = disturbing

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name in _WRITING and not kwargs and all(type(one) in _PLAIN for one in args[:1]):
            written = args[0] if name == "__setitem__" or name.endswith("_") else result
            twice = _written_twice(name, args)
            if twice is not None and len(twice):
                frames = traceback.extract_stack()[:-1]
                if own_frames(frames[-1:]):
                    self.places[place(frames)] = None
                    if self._disturbing and written.is_contiguous():
                        written.detach().view(-1)[twice] += 1
        return result


_WRITING = {"__setitem__", "index_put", "index_put_", "index_copy", "index_copy_", "scatter", "scatter_"}
_PLAIN = (Tensor, nn.Parameter)


def _written_twice(name: str, args: tuple[Any, ...]) -> Tensor | None:
    """The places in the memory of a tensor that a write gives different values, if that can be told."""
    into, values = args[0], args[-1]
    is_dense = into.layout == torch.strided and not into.is_meta and not into.is_nested
    if not is_dense or not isinstance(values, Tensor) or values.layout != torch.strided:
        return None
    every = torch.arange(into.numel(), device=into.device).view(into.shape)
    if name == "__setitem__" or name.startswith("index_put"):
        if len(args) != 3:
            return None
        index = (
            args[1] if isinstance(args[1], tuple) else tuple(args[1]) if name != "__setitem__" else args[1]
        )
        if not any(_is_index(one) for one in (index if isinstance(index, tuple) else (index,))):
            return None
        places = every[index]
    elif len(args) != 4 or not _is_index(args[2]) or not isinstance(args[1], int):
        return None
    elif name.startswith("index_copy"):
        places = every.index_select(args[1], args[2])
    else:
        places = every.gather(args[1], args[2])
        values = values[tuple(slice(size) for size in places.shape)]
    where, order = places.reshape(-1).sort(stable=True)
    given = values.detach().expand(places.shape).reshape(-1)[order]
    is_another = (where[1:] == where[:-1]) & (given[1:] != given[:-1])
    return torch.unique(where[1:][is_another])  # type: ignore[no-any-return]


def _is_index(value: object) -> bool:
    return isinstance(value, Tensor) and value.dtype in (torch.int64, torch.int32)


def left_empty(net: nn.Module, example: Example) -> list[str]:
    """That outputs hang on what was in the memory that forward asks for."""
    try:
        filled = _Filled()
        with filled.with_number(777):
            expected = run(net, example)
        if not filled.places:
            return []
        with filled.with_number(777):
            same = run(net, example)
        with filled.with_number(888):
            other = run(net, example)
    except Exception:
        return []  # whether it can be called twice is for other rules to say
    different = [] if differences(same, expected) else differences(other, expected)
    for made in filled.made:
        made.detach().zero_()  # this memory is given away again
    wheres = list(filled.places)
    return [
        f"{difference} with what was in memory before, which forward asks for{wheres[0]}: a part of it is "
        "never written; take torch.zeros or zeros_like for what torch.empty, empty_like or new_empty gives"
        for difference in different[:1]
    ]


class _Filled(TorchFunctionMode):
    """Fills what the module's own code takes from memory as it is with one number, and notes where."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, None] = {}
        self.made: list[Tensor] = []
        self._number = 0

    def with_number(self, number: int) -> _Filled:
        """The same, from now on with this number."""
        self._number = number
        return self

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in _EMPTY and isinstance(result, Tensor) and is_floating(result):
            frames = traceback.extract_stack()[:-1]
            if own_frames(frames[-1:]):
                self.places[place(frames)] = None
                self.made.append(result)
                result.detach().fill_(self._number)
        return result


_EMPTY = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided"}


def not_numbers_of_one_place(net: nn.Module, example: Example) -> list[str]:
    """Outputs that are NaN for sequences of one place, and not for those of the example."""
    for dim in (1, 2):
        if not _are_sequences(example, dim):
            return []
        size = length(example, dim)
        try:
            output = run(net, example, _cut(dim, size))
        except Exception:
            continue  # a dimension of features, or a module that says so
        return [
            f"`{path}` is NaN in {number} of {tensor.numel()} values for inputs of one place along dimension "
            f"{dim}, and is not for {size}: the std of one number is 0 / 0, and so is the mean of none; give "
            "std and var unbiased=False, and divide by max(n, 1)"
            for (path, tensor), (_, usual) in zip(
                tensors_in(output), tensors_in(run(net, example)), strict=False
            )
            if (number := _nans(tensor)) and not _nans(usual)
        ]
    return []


def _are_sequences(example: Example, dim: int) -> bool:
    """Whether the first input has places along a dimension: features in three, or whole numbers in two."""
    for _, tensor in tensors_in(example()):
        if tensor.dim() > 1:
            is_one = tensor.dim() == 3 if is_floating(tensor) else tensor.dim() == 2
            return is_one and tensor.dim() > dim and tensor.shape[dim] > 1
    return False


def _cut(dim: int, size: int) -> Callable[[Tensor], Tensor]:
    def cut(tensor: Tensor) -> Tensor:
        is_as_long = tensor.dim() > dim and tensor.shape[dim] == size
        return tensor.narrow(dim, 0, 1).clone() if is_as_long else tensor

    return cut


def _nans(tensor: Tensor) -> int:
    if tensor.layout != torch.strided or tensor.is_nested or tensor.is_meta:
        return 0
    return int(tensor.isnan().sum()) if is_floating(tensor) else 0


def not_numbers_of_even_rows(net: nn.Module, example: Example) -> list[str]:
    """Roots and logarithms of what rounding brings below zero, where the numbers of a row are nearly equal.

    And quotients of two zeros, where they are equal.

    Asked are the module itself, and one of each class of its own that has no parts.
    """
    given: dict[type, tuple[nn.Module, Any]] = {}

    def noting(module: nn.Module, args: Any) -> None:
        given.setdefault(type(module), (module, mapped(args, lambda tensor: tensor.detach().clone())))

    handles = [
        module.register_forward_pre_hook(noting)
        for module in net.modules()
        if module is not net and not is_standard(type(module)) and not any(module.children())
    ]
    try:
        expected = run(net, example)
    finally:
        for handle in handles:
            handle.remove()
    if any(_nans(tensor) for _, tensor in tensors_in(expected)):
        return []
    asked: list[tuple[nn.Module, Example]] = [(net, example)]
    asked += [(module, lambda args=args: (args, {})) for module, args in given.values()]  # type: ignore[misc]
    for module, its in asked:
        for scale in _SCALES:
            with _Roots(scale) as roots:
                try:
                    output = run(module, its, functools.partial(_even_rows, scale=scale))
                except Exception:
                    break
            is_nan = any(_nans(tensor) for _, tensor in tensors_in(output))
            if roots.told and is_nan and _is_by_rounding(module, its, scale):
                return [
                    f"with rows of nearly equal numbers {roots.told}: rounding brings there what cannot "
                    "be; take a variance as the mean of (x - mean) ** 2, and clamp what cannot be below "
                    "zero, "
                    "or beyond one, before a root, a logarithm or an arc cosine"
                ]
        if told := _divided_by_no_spread(module, its):
            return [told]
    return []


def _divided_by_no_spread(module: nn.Module, example: Example) -> str:
    """That the module's own code divides zero by zero where all numbers of a row are equal, if so."""
    with _Quotients() as quotients:
        try:
            output = run(module, example, functools.partial(_even_rows, scale=1.0, digits=0.0))
        except Exception:
            return ""
    if not quotients.told or not any(_nans(tensor) for _, tensor in tensors_in(output)):
        return ""
    return (
        f"with rows of equal numbers, such as a blank image, forward divides zero by zero{quotients.told}, "
        "which is NaN: the spread of such a row is zero; add eps to it, x / (std + eps)"
    )


class _Quotients(TorchFunctionMode):
    """Notes the first NaN that the module's own code makes of a quotient of two zeros, once it took a spread.

    Other quotients may be of what cannot be equal, as the places of atoms.
    """

    def __init__(self) -> None:
        super().__init__()
        self.told = ""
        self._taken: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "").strip("_")
        result = func(*args, **(kwargs or {}))
        self._taken.add(name)
        if not any(spread <= self._taken for spread in _SPREADS):
            return result
        if self.told or name not in _DIVIDING or not isinstance(result, Tensor) or not _nans(result):
            return result
        if len(args) > 1 and all(isinstance(one, Tensor) and not _nans(one) for one in args[:2]):
            frames = traceback.extract_stack()[:-1]
            of, by = (one.expand_as(result)[result.isnan()] for one in args[:2])
            if own_frames(frames[-1:]) and not of.any() and not by.any():
                self.told = place(frames)
        return result


_SPREADS = [{"std"}, {"var"}, {"std_mean"}, {"var_mean"}, {"max", "min"}, {"amax", "amin"}, {"aminmax"}]
_DIVIDING = {"div", "truediv", "divide", "true_divide"}


def _is_by_rounding(module: nn.Module, example: Example, scale: float) -> bool:
    """Whether in float64, which rounds far less, no number is that far off, as far as that can be told."""
    try:
        exact = copy.deepcopy(module).double()
        with _Roots(scale, _ROUNDING_OF_FLOAT64) as roots:
            run(exact, example, lambda tensor: _in_float64(_even_rows(tensor, scale)))
    except Exception:
        return True
    return not roots.is_far_off


def _in_float64(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


#: Of what size the numbers are.
_SCALES = (50.1, 127.3, 211.7, 999.9)


def _even_rows(tensor: Tensor, scale: float, digits: float = 1e-6) -> Tensor:
    """Each row full of numbers that differ in their last digits, or not at all."""
    if not tensor.is_floating_point() or tensor.dim() < 2 or tensor.layout != torch.strided:
        return tensor
    numbers = torch.linspace(0.7, 1.3, tensor.shape[0], dtype=torch.float64) * scale
    factors = torch.arange(tensor.numel()).view(tensor.shape).remainder(7).double() * digits + 1
    return (numbers.view(-1, *[1] * (tensor.dim() - 1)) * factors).to(tensor)


#: Which share of its size rounding may move a number by in float32, where several are added up.
_ROUNDING = 1e-6

#: The same in float64.
_ROUNDING_OF_FLOAT64 = 1e-13


class _Roots(TorchFunctionMode):
    """Notes the first NaN that the module's own code makes of a number which rounding has moved too far.

    Args:
        scale: of what size the numbers are that it is given.
        rounding: which share of its size rounding may move a number by.
    """

    def __init__(self, scale: float, rounding: float = _ROUNDING) -> None:
        super().__init__()
        self.told, self.is_far_off = "", False
        self._rounding = rounding * scale**2

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "").strip("_")
        of = args[0].detach() if name in _ROOTS and args and isinstance(args[0], Tensor) else None
        result = func(*args, **(kwargs or {}))
        if of is None or self.told or not _nans(result) or _nans(of):
            return result
        lost = of[result.isnan()]
        worst = float(lost.min() if name not in _ARCS else lost[lost.abs().argmax()])
        frames = traceback.extract_stack()[:-1]
        if abs(worst) - (name in _ARCS) >= self._rounding:
            self.is_far_off = True
        elif own_frames(frames[-1:]):
            self.told = f"forward takes {name} of {worst:.3g}{place(frames)}, which is NaN"
        return result


_ARCS = {"acos", "asin", "arccos", "arcsin"}
_ROOTS = {"sqrt", "rsqrt", "log", "log2", "log10", "pow"} | _ARCS


def drawn_elsewhere(make: Callable[[], nn.Module], example: Example) -> list[str]:
    """Generators of Python and NumPy that a call moves.

    Args:
        make: makes a fresh module.
        example: makes the inputs.
    """
    told = []
    for mode in (True, False):
        net = make()
        net.train(mode)
        args, kwargs = example()
        isolation.seed()
        before = _generators()
        net(*args, **kwargs)
        after = _generators()
        for name, state in before.items():
            if after[name] != state:
                told.append(
                    f"forward in {'train' if mode else 'eval'} mode draws from {name}: torch.manual_seed "
                    "does not seed it, and what is checkpointed draws other numbers again; draw from "
                    "torch, as torch.rand(()) does"
                )
        if told:
            return told
    return []


def _generators() -> dict[str, Any]:
    numpy: Any = sys.modules.get("numpy")
    found: dict[str, Any] = {"Python's module random": random.getstate()}
    if numpy:
        _, keys, *others = numpy.random.get_state()
        found["numpy.random"] = (keys.tobytes(), *others)
    return found

"""Findings about views: what forward takes for a dimension that is none."""

from __future__ import annotations

import itertools
import math
import traceback
from collections.abc import Iterator, Mapping, Set
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nnspec.contract.nested import Example, mapped, run, shortened, tensors_in
from nnspec.contract.wording import own_frames, place

_Shape: TypeAlias = tuple[int, ...]

#: How long inputs have to be to be shortened: of one place nothing can be told.
_LEAST = 3


def mixing(net: nn.Module, example: Example) -> list[str]:
    """Views of the module's own that put numbers of different places along one dimension.

    Sizes may hide it, as where all are powers of two: the module is called with shorter inputs too. There a
    view that left the example as it was may only insist on its width. And what is one longer than wide by
    chance looks laid out on purpose, and does not three steps shorter.
    """
    skewed, widths = False, dict[str, int]()
    for times, dim in ((0, 0), (1, 1), (1, 0), (3, 1)):
        tried: Example | None = example
        for _ in range(times):
            tried = tried and shortened(tried, dim, _LEAST)
        if tried is None or (times > 1 and not skewed):
            continue
        try:
            with _Views() as views:
                run(net, tried)
        except Exception:
            continue  # what is wrong with such inputs is told by other rules
        widths = widths if times else views.widths
        changing = [seen for seen in views.seen if not _insists(seen, widths)]
        shapes = {(before, after) for before, after, _ in changing}
        if found := [one for seen in changing if (one := _mixed(seen, shapes))]:
            return list(dict.fromkeys(found))
        skewed |= any(_cuts_across(*views) and _skews(*views) for views in shapes)
    return []


def _insists(seen: tuple[_Shape, _Shape, str], widths: Mapping[str, int]) -> bool:
    """Whether a view makes what is not as wide as the example just as wide."""
    before, after, where = seen
    return before[-1:] != after[-1:] == (widths.get(where),)


def _mixed(seen: tuple[_Shape, _Shape, str], shapes: Set[tuple[_Shape, _Shape]]) -> str:
    before, after, where = seen
    if not _cuts_across(before, after) or _skews(before, after) or _shifts(before, after, shapes):
        return ""
    return (
        f"forward views {before} as {after}{where}: no dimension of the one is made of dimensions of the "
        "other, and numbers of different places come to lie along one; move dimensions with transpose or "
        "permute first, and merge neighbors only"
    )


def _cuts_across(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Whether a view does more than to split dimensions and to merge neighbors."""
    borders = sorted({*_steps(before), *_steps(after)})
    return any(larger % smaller for smaller, larger in itertools.pairwise(borders))


def _steps(shape: tuple[int, ...]) -> Iterator[int]:
    """How many numbers one step along each dimension passes, and how many there are."""
    return (math.prod(shape[place:]) for place in range(len(shape) + 1))


def _skews(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Whether n rows of n + 1 become n + 1 rows of n: so relative positions are laid out, on purpose."""
    if len(before) < 2 or len(after) < 2:
        return False
    (rows, columns), (its_rows, its_columns) = before[-2:], after[-2:]
    return (rows, columns) == (its_columns, its_rows) and abs(rows - columns) == 1


def _shifts(before: _Shape, after: _Shape, shapes: Set[tuple[_Shape, _Shape]]) -> bool:
    """Whether n rows of m become m rows of n, and all but one of these n rows again: each is moved by one."""
    if len(before) != len(after):
        return False
    first = next(place for place, size in enumerate(before) if size != after[place])
    rows, columns = before[first : first + 2]
    outer, inner = before[:first], before[first + 2 :]
    if after != (*outer, columns, rows, *inner):
        return False
    back = (*outer, columns - 1, rows, *inner), (*outer, rows, columns - 1, *inner)
    forth = (*outer, columns, rows + 1, *inner), (*outer, rows + 1, columns, *inner)
    return back in shapes or forth in shapes


def cut_to_pieces(net: nn.Module, example: Example) -> list[str]:
    """A view that makes several rows of each, which a linear layer takes and the outputs keep."""
    sizes = {tensor.shape[0] for _, tensor in tensors_in(example()) if tensor.dim() > 0}
    if len(sizes) != 1 or min(sizes) < 2:
        return []
    (size,) = sizes
    return _cut_to_pieces(net, example, size) or _cut_if_larger(net, example, size)


def _cut_if_larger(net: nn.Module, example: Example, size: int) -> list[str]:
    """The same for images twice as high and wide, if a view makes the rows that a linear layer takes."""
    with _Views() as views:
        run(net, example)
    if not any(
        len(before) > 2 and len(after) == 2 and after in views.linear for before, after, _ in views.seen
    ):
        return []
    try:
        found = _cut_to_pieces(net, lambda: mapped(example(), enlarged), size)
    except Exception:
        return []  # images of another size are refused
    return [f"given images twice as high and wide, {one}" for one in found]


def enlarged(tensor: Tensor) -> Tensor:
    """An image twice as high and wide."""
    if tensor.dim() not in (4, 5) or not tensor.is_floating_point() or tensor.layout != torch.strided:
        return tensor
    for dim in range(2, tensor.dim()):
        tensor = tensor.repeat_interleave(2, dim=dim)
    return tensor


def _cut_to_pieces(net: nn.Module, example: Example, size: int) -> list[str]:
    shorter = shortened(example, 0, _LEAST)
    found, outputs = _cut(net, example, size)
    if not found or shorter is None:
        return []
    try:
        again, fewer = _cut(net, shorter, size - 1)
    except Exception:
        return []
    (before, after, where), pieces = found[0], found[0][1][0] // size
    if not again or outputs != {pieces * size} or fewer != {pieces * (size - 1)}:
        return []
    return [
        f"forward views {before} as {after}{where}: each of the {size} rows is cut into {pieces}, and the "
        f"outputs have {pieces * size} rows for a batch of {size}; write flatten(1), and make the next layer "
        "as wide as that is"
    ]


def _cut(net: nn.Module, example: Example, size: int) -> tuple[list[Any], set[int]]:
    """Views that cut rows and are taken by a linear layer, and how many rows the outputs have."""
    with _Views() as views:
        output = run(net, example)
    found = [
        (before, after, where)
        for before, after, where in views.seen
        if len(before) > 2 and len(after) == 2 and before[0] == size
        if after[0] > size and after[0] % size == 0
        if after[1] not in _steps(before) and after in views.linear
    ]
    return found, {tensor.shape[0] for _, tensor in tensors_in(output) if tensor.dim() > 0}


class _Views(TorchFunctionMode):
    """Notes the views that the module's own code takes, and the shapes that linear layers are given.

    Attributes:
        seen: the shapes before and after, and the line.
        widths: of those that leave the shape as it is, its last size by the line.
        linear: the shapes that linear layers are given.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[tuple[int, ...], tuple[int, ...], str]] = []
        self.widths: dict[str, int] = {}
        self.linear: set[tuple[int, ...]] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        before = tuple(args[0].shape) if args and isinstance(args[0], Tensor) else ()
        if name == "linear":
            self.linear.add(before)
        result = func(*args, **(kwargs or {}))
        if name in _VIEWING and isinstance(result, Tensor) and 0 not in before:
            after = tuple(result.shape)
            frames = traceback.extract_stack()[:-1]
            if own_frames(frames[-1:]):
                if after == before:
                    self.widths[place(frames)] = after[-1] if after else 0
                else:
                    self.seen.append((before, after, place(frames)))
        return result


_VIEWING = {"view", "reshape", "view_as", "reshape_as"}

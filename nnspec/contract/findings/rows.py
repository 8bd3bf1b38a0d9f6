"""Findings about the rows of a batch."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nnspec.contract.findings.meeting import meeting
from nnspec.contract.findings.modes import call_seeded
from nnspec.contract.nested import Example, differences, is_floating, run, tensors_in
from nnspec.contract.tree import attribute, buffers
from nnspec.contract.wording import brief, count, own_frames, text_of
from nnspec.running import isolation


def no_batch(net: nn.Module, example: Example) -> list[str]:
    """Why it cannot be said which rows of the inputs belong to which rows of the outputs."""
    args, kwargs = example()
    if any(isinstance(value, list) and tensors_in(value) for value in (*args, *kwargs.values())):
        return ["tensors of its inputs are in a list, where each may be a row itself"]
    sizes = {tensor.shape[0] for _, tensor in tensors_in((args, kwargs)) if tensor.dim() > 0}
    sequence_first = _time_first(net)
    if sequence_first and not _has_rows_first(run(net, example), example()):
        return [f"`{sequence_first[0]}` has batch_first=False, so the first dimension does not count rows"]
    if not sizes:
        return ["none of its inputs has rows"]
    if len(sizes) > 1:
        return ["its inputs differ in their first dimension, so it does not count rows"]
    (size,) = sizes
    if size < 2:
        return ["its example has one row only"]
    if not _rows(run(net, example), size):
        return ["no output has a row for each row of its inputs"]
    return _pairs(net, example, size)


def _pairs(net: nn.Module, example: Example, size: int) -> list[str]:
    """That an input has a number for each pair of rows, as the edges of a graph, and so rows are no batch.

    Where it had as many columns by chance, it could do without the last row alone.
    """
    named = [(path, one) for path, one in tensors_in(example(), "input") if one.dim() > 0]
    square = [path for path, tensor in named if tensor.shape[:2] == (size, size)]
    if not square or len(square) == len(named) or not laid_crosswise(net, example):
        return []
    try:
        run(
            net, example, lambda tensor: tensor[:-1, :-1] if tensor.shape[:2] == (size, size) else tensor[:-1]
        )
    except Exception:
        return []
    return [f"`{square[0]}` has a place for each pair of rows, so its rows are no batch"]


def _has_rows_first(output: object, inputs: object) -> bool:
    """Whether every output has the first dimension of a sequence, and none its second.

    Whole numbers in two dimensions are sequences too: those of words.
    """
    shapes = [
        tensor.shape
        for _, tensor in tensors_in(inputs)
        if tensor.dim() > 2 or (tensor.dim() == 2 and not is_floating(tensor))
    ]
    return bool(shapes) and all(
        first != second and tensor.shape[:1] == (first,) and second not in tensor.shape
        for first, second, *_ in shapes
        for _, tensor in tensors_in(output)
    )


def rows_dependent(net: nn.Module, same: nn.Module, example: Example) -> list[str]:
    """Outputs of the first row that change with the other rows.

    Args:
        net: a module that was not called yet.
        same: another such build of it: what one call leaves is not to make the difference.
        example: makes the inputs.
    """
    size = _size(example)
    outputs = _rows(run(net, example), size)
    alike = _rows(run(same, example, lambda tensor: _first_repeated(tensor, size)), size)
    sentences = []
    for (path, output), (_, output_alike) in zip(outputs, alike, strict=False):
        different = differences(output_alike[0], output[0], f"{path}[0]")
        if different and _counts_rows(net, example, path) and not _has_pairs(net, example, path, output):
            why = _why_dependent(net, output, output_alike[0]) + _if_time_is_first(net, example, output)
            where = meeting(net, example, size, lambda tensor: _first_repeated(tensor, size)).where
            first = f", first{where}" if where else ""
            sentences.append(f"{different[0]} when the other rows of the batch are others{first}: {why}")
    return sentences or _rows_in_place(net, example, outputs) or _masked_crosswise(net, example, outputs)


def laid_crosswise(net: nn.Module, example: Example) -> list[str]:
    """That with a row less a number for each row meets another dimension, if so."""
    return [one for one in sizes_refused(net, example) if "laid along a dimension" in one]


def _why_dependent(net: nn.Module, output: Tensor, first: Tensor) -> str:
    """Why an output of the first row changes with the other rows, and what to do.

    Args:
        net: the module.
        output: of a batch.
        first: what the first row of its inputs gives in a batch of equal rows.
    """
    if any(not differences(row, first) for row in output[1:]):
        return _SORTED
    return _time_taken_for_rows(net) or (
        "forward takes a mean, a maximum, a softmax or batch statistics over the first dimension, or fills "
        "rows up to the longest and counts what fills them; mask that, name another dimension, counted from "
        "the end (dim=-1), or use running statistics in eval mode"
    )


_SORTED = (
    "what belongs to it comes out in another row, so forward sorts or shuffles rows; put them back in their "
    "order: out[order.argsort()]"
)


def _are_sorted(reverse: Tensor, output: Tensor) -> bool:
    """Whether rows in the reverse order give the same rows, in an order that is not the reverse."""
    return all(any(not differences(row, other) for other in output) for row in reverse)


def _time_taken_for_rows(net: nn.Module) -> str:
    """That a layer takes time first, if one does, and what to do."""
    if not (paths := _time_first(net)):
        return ""
    return (
        f"`{paths[0]}` takes time first (batch_first=False), and is given rows first, or what view or "
        "reshape has mixed; build it with batch_first=True, or give it x.transpose(0, 1)"
    )


def _time_first(net: nn.Module) -> list[str]:
    return [
        path or type(net).__name__
        for path, module in net.named_modules()
        if attribute(module, "batch_first") is False
    ]


def _if_time_is_first(net: nn.Module, example: Example, output: Tensor) -> str:
    """What to do if it is time that comes first, where what comes second may as well count rows."""
    inputs = [tensor for _, tensor in tensors_in(example()) if tensor.dim() > 0]
    size = output.shape[1] if output.dim() > 1 else 0
    may_have_time = all(
        tensor.shape[1:2] == (size,) and (tensor.dim() > 2 or not is_floating(tensor)) for tensor in inputs
    )
    if size < 2 or not may_have_time or _time_first(net):
        return ""
    try:
        alike = run(net, example, lambda tensor: _first_column_repeated(tensor, size))
    except Exception:
        return ""
    columns = [tensor[:, 0] for _, tensor in tensors_in(alike) if tensor.shape == output.shape]
    if all(differences(column, output[:, 0]) for column in columns):
        return ""
    return "; if time comes first and rows second, say so: self.batch_first = False"


def _first_column_repeated(tensor: Tensor, size: int) -> Tensor:
    return tensor[:, :1].expand(-1, size, *tensor.shape[2:]).clone() if tensor.dim() else tensor


def _rows_in_place(net: nn.Module, example: Example, outputs: list[tuple[str, Tensor]]) -> list[str]:
    """Outputs of rows that change where the rows come in the reverse order."""
    size = _size(example)
    before = {name: buffer.detach().clone() for name, buffer in buffers(net).items()}
    again = _rows(call_seeded(net, example, isolation.SEED + 1), size)
    if any(differences(one, output) for (_, one), (_, output) in zip(again, outputs, strict=False)):
        return []  # that it is random is another rule's matter
    if any(differences(buffer, before.get(name), exact=True) for name, buffer in buffers(net).items()):
        return []  # a state of the calls before, which had rows in other places
    reverse = _rows(run(net, example, lambda tensor: tensor.flip(0) if tensor.dim() else tensor), size)
    why = (
        "forward adds or picks something along the first dimension, such as positions; take them along the "
        "dimension of time"
    )
    return [
        f"{different[0]} when its row comes in another place of the batch: "
        f"{_SORTED if _are_sorted(output_reverse, output) else _time_taken_for_rows(net) or why}"
        f"{_if_time_is_first(net, example, output)}"
        for (path, output), (_, output_reverse) in zip(outputs, reverse, strict=False)
        if (different := differences(output_reverse.flip(0), output, path))
        and _counts_rows(net, example, path)
        and not _has_pairs(net, example, path, output)
    ]


def rows_that_count_for_nothing(net: nn.Module, example: Example) -> list[str]:
    """That one row alone of several changes the outputs: the first or the last."""
    sizes = {tensor.shape[0] for _, tensor in tensors_in(example()) if tensor.dim() > 0}
    if len(sizes) != 1 or min(sizes) < 2 or _time_first(net):
        return []
    (size,) = sizes
    expected = run(net, example)

    def counts(row: int, change: Callable[[Tensor], Tensor] = _mirrored) -> bool:
        again = run(net, example, lambda tensor: _with_another_row(tensor, row, change))
        return bool(differences(again, expected))

    try:
        first, last = counts(0), counts(size - 1)
        if first == last or any(counts(row) for row in range(1, size - 1)):
            return []
        rest = range(1, size) if first else range(size - 1)
        if any(counts(row, _made_small) for row in rest):
            return []  # a hinge is flat where two inputs are far apart, and not where they are near
    except Exception:
        return []  # of inputs that belong together, such as offsets, it refuses others
    which, place = ("first", 0) if first else ("last", -1)
    return [
        f"of the {size} rows of its inputs the {which} alone counts: with other values in all others the "
        f"outputs are the same; where rows come first, out[{place}] is a row, and the {which} step "
        f"out[:, {place}]"
    ]


def _with_another_row(tensor: Tensor, row: int, change: Callable[[Tensor], Tensor]) -> Tensor:
    """The same values but for one row, which has others of their kind."""
    if not tensor.dim() or tensor.layout != torch.strided or tensor.is_nested:
        return tensor
    changed = tensor.clone()
    changed[row] = change(tensor)[row]
    return changed


def _mirrored(tensor: Tensor) -> Tensor:
    """Other values, in the range of these, as probabilities have to be."""
    if tensor.dtype == torch.bool:
        return ~tensor
    if tensor.is_complex() or not tensor.numel():
        return -tensor
    return tensor.max() + tensor.min() - tensor


def _made_small(tensor: Tensor) -> Tensor:
    """Values near zero, and so near those of another input."""
    return tensor / 1000 if tensor.is_floating_point() else tensor


def _masked_crosswise(net: nn.Module, example: Example, outputs: list[tuple[str, Tensor]]) -> list[str]:
    """Outputs of the first row that change with the masks of the others, where all masks are of ones."""
    size, masks = _size(example), list[str]()
    for path, tensor in tensors_in(example(), "input"):
        if _is_of_ones(tensor, size):
            masks.append(path)
    if not masks:
        return []
    try:
        again = _rows(run(net, example, lambda tensor: _last_left_out(tensor, size, slice(1, None))), size)
        first = _rows(run(net, example, lambda tensor: _last_left_out(tensor, size, slice(1))), size)
        every = _rows(run(net, example, lambda tensor: _last_left_out(tensor, size, slice(None))), size)
    except Exception:
        return []
    sorted_out = [
        f"{different[0]} when the masks of the other rows are longer: {_SORTED}"
        for (path, output), (_, other) in zip(every, first, strict=False)
        if (different := differences(other[0], output[0], f"{path}[0]"))
        and any(not differences(row, output[0]) for row in other[1:])
        and _counts_rows(net, example, path)
    ]
    if sorted_out:
        return sorted_out
    if not any(
        differences(other[1:], output[1:]) for (_, other), (_, output) in zip(again, outputs, strict=False)
    ):
        of_the_first = [
            f"{different[0]} when the mask of the first row is another, and none with those of the others: "
            "forward takes the mask of one row for all; leave it its rows, mask[:, None], where it takes "
            "mask[0]"
            for (path, output), (_, other) in zip(outputs, first, strict=False)
            if (different := differences(other[1:], output[1:], f"{path}[1:]"))
            and _counts_rows(net, example, path)
        ]
        if of_the_first:
            return of_the_first
    sentences = []
    for (path, output), (_, other) in zip(outputs, again, strict=False):
        different = differences(other[0], output[0], f"{path}[0]")
        if different and _counts_rows(net, example, path) and not _has_pairs(net, example, path, output):
            where, cure = _how_masks_meet(net, example, size)
            sentences.append(f"{different[0]} when the masks of the other rows are others{where}: {cure}")
    return sentences


def _how_masks_meet(net: nn.Module, example: Example, size: int) -> tuple[str, str]:
    """Where the masks of several rows meet, and what to do."""
    met = meeting(net, example, size, lambda tensor: _last_left_out(tensor, size, slice(1, None)))
    where = f", first{met.where}" if met.where else ""
    if met.where and met.without_rows:
        return where, (
            "one number is taken of all rows, where each has its own; name the dimension of time: "
            "mask.sum(dim=1, keepdim=True) for mask.sum()"
        )
    return where, (
        "what is repeated for each head has to keep the heads of a row together; write "
        "repeat_interleave(heads, dim=0) for repeat(heads, 1, 1), or mask[:, None]"
    )


def _is_of_ones(tensor: Tensor, size: int) -> bool:
    """Whether a tensor is a mask of truth values or whole numbers, and lets everything through."""
    if tensor.dim() < 2 or is_floating(tensor) or tensor.shape[0] != size or tensor.shape[-1] < 2:
        return False
    return tensor.layout == torch.strided and not tensor.is_nested and bool((tensor == 1).all())


def _last_left_out(tensor: Tensor, size: int, rows: slice) -> Tensor:
    """A mask of ones without the last place of some rows."""
    if not _is_of_ones(tensor, size):
        return tensor
    changed = tensor.clone()
    changed[rows, ..., -1] = 0
    return changed


def sizes_refused(net: nn.Module, example: Example) -> list[str]:
    """The error of a call with fewer rows, or outputs that keep their number of rows."""
    rows = count(_size(example) - 1, "row")
    try:
        defect = "" if _with_a_row_less(net, example) else f"no output has {rows}"
    except Exception as error:
        defect = f"it raises {brief(error)}"
    if not defect:
        return []
    cure = "take the number of rows from x.shape[0], or write -1"
    if _meet_crosswise(defect, _size(example)):
        cure = (
            f"a number for each row is laid along a dimension that is as long by chance, {_size(example)}: "
            "give what is taken over a dimension keepdim=True, or [:, None]"
        )
    return [f"with {rows} instead of {_size(example)} {defect}; {cure}"]


def _meet_crosswise(text: str, size: int) -> bool:
    """Whether an error says that the rows of a batch less one met another dimension.

    Where they meet the first dimension, a tensor is of a batch of one size.
    """
    pattern = (
        r"size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\) "
        r"at non-singleton dimension [1-9]"
    )
    sizes = re.search(pattern, text)
    return sizes is not None and {int(sizes[1]), int(sizes[2])} == {size, size - 1}


def one_row_refused(net: nn.Module, example: Example) -> list[str]:
    """The error of a call with one row, or outputs that are no batch of one."""
    try:
        kept = dict(_with_rows(net, example, 1))
    except Exception as error:
        return [f"with 1 row it raises {brief(error)}; squeeze a dimension by its number: x.squeeze(-1)"]
    return [
        f"`{path}` has no row for a batch of one; squeeze a dimension by its number: x.squeeze(-1)"
        for path, _ in _with_rows(net, example, _size(example))
        if path not in kept and _counts_rows(net, example, path)
    ]


def no_rows_refused(net: nn.Module, example: Example) -> list[str]:
    """The error of a reshape with -1 of the module's own in a call without rows."""
    try:
        run(net, example, lambda tensor: tensor[:0] if tensor.dim() else tensor)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1:]
        if "cannot reshape tensor of 0 elements" in text_of(error) and own_frames(last):
            return [
                f"with 0 rows it raises {brief(error)}: of nothing torch cannot tell what -1 is; write "
                "flatten(1) or unflatten(-1, (-1, width)), or the number of columns"
            ]
    return []


def _with_a_row_less(net: nn.Module, example: Example) -> list[tuple[str, Tensor]]:
    """The outputs that have a row less when the inputs do."""
    return _with_rows(net, example, _size(example) - 1)


def _with_rows(net: nn.Module, example: Example, size: int) -> list[tuple[str, Tensor]]:
    """The outputs that have so many rows when the inputs do."""
    return _rows(run(net, example, lambda tensor: tensor[:size] if tensor.dim() else tensor), size)


def _size(example: Example) -> int:
    return next(tensor.shape[0] for _, tensor in tensors_in(example()) if tensor.dim() > 0)


def _rows(output: object, size: int) -> list[tuple[str, Tensor]]:
    return [(path, tensor) for path, tensor in tensors_in(output) if tensor.shape[:1] == (size,)]


def _first_repeated(tensor: Tensor, size: int) -> Tensor:
    return tensor[:1].expand(size, *tensor.shape[1:]).clone() if tensor.dim() else tensor


def _has_pairs(net: nn.Module, example: Example, path: str, output: Tensor) -> bool:
    """Whether an output compares each row with each: then it gets narrower with the inputs too."""
    try:
        less = dict(_with_a_row_less(net, example))[path]
    except Exception:
        return False
    return any(now < before for now, before in zip(less.shape[1:], output.shape[1:], strict=False))


def _counts_rows(net: nn.Module, example: Example, path: str) -> bool:
    """Whether an output gets shorter with the inputs: another dimension may be as long by chance."""
    try:
        return path in dict(_with_a_row_less(net, example))
    except Exception:
        return True

"""Findings about masks, lengths and the padding that they leave out."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nnspec.contract.findings.masks import taken_for_its_inverse
from nnspec.contract.findings.recurrent import last_step_read
from nnspec.contract.findings.using_inputs import inputs_in, named_inputs, other_values, with_changed
from nnspec.contract.nested import Example, differences, given_to, mapped, run, tensors_in
from nnspec.contract.wording import brief, place, text_of


def seen_through(net: nn.Module, example: Example) -> list[str]:
    """Masks that hide nothing: what is at the places that are left out changes the outputs at the others."""
    net.eval()
    named = named_inputs(net, example)
    inputs = dict(inputs_in(example()))
    why = (
        "it is laid along the wrong dimension, or used after places are mixed; in attention, mask the keys, "
        "mask[:, None, :]"
    )
    return [
        f"what `{name}` leaves out of `{of}` changes the outputs at the other places, and the other way "
        f"round: {taken_for_its_inverse(net, example) or why}"
        for name, path in named.items()
        if "mask" in name and _is_mask(inputs[path])
        for of, its_path in named.items()
        if its_path != path
        and inputs[its_path].shape[: inputs[path].dim()] == inputs[path].shape
        and not _hides(net, example, its_path, inputs[path] != 0)
        and not _hides(net, example, its_path, inputs[path] == 0)
    ]


def run_through(net: nn.Module, example: Example) -> list[str]:
    """Layers that run backwards through what lies past the lengths, and outputs before these that change."""
    net.eval()
    layers = _running_backwards(net, example)
    if not layers:
        return []
    named = named_inputs(net, example)
    inputs = dict(inputs_in(example()))
    return [
        f"`{layers[0]}` runs backwards through what lies past `{name}` in `{of}`, and so what is there "
        f"changes the outputs at the other places; give it pack_padded_sequence(x, {name}.cpu(), "
        "enforce_sorted=False) and batch_first= as it has it"
        for name, path in named.items()
        if "length" in name or "lens" in name
        for of, its_path in named.items()
        if (kept := _before(inputs[path], inputs[its_path])) is not None
        and not _hides(net, example, its_path, kept)
    ]


def _running_backwards(net: nn.Module, example: Example) -> list[str]:
    """The recurrent layers of two directions that are given a plain tensor, by path."""
    calls = given_to(net, example, lambda one: isinstance(one, nn.RNNBase) and one.bidirectional)
    plain = (
        path
        for path, args, kwargs in calls
        if any(isinstance(value, Tensor) for value in [*args[:1], *kwargs.values()])
    )
    return list(dict.fromkeys(plain))


def _before(lengths: Tensor, of: Tensor) -> Tensor | None:
    """The places of a batch of sequences before their lengths, if these can be no other numbers."""
    is_whole = not (lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool)
    if not is_whole or lengths.dim() != 1 or of.dim() < 2 or of.shape[0] != len(lengths):
        return None
    longest = int(lengths.max())
    if int(lengths.min()) in (longest, 0) or list(of.shape).count(longest) != 1 or of.shape[1] != longest:
        return None
    return torch.arange(longest) < lengths.cpu()[:, None]


def _is_mask(tensor: Tensor) -> bool:
    """Whether a tensor has a truth value for each of several places in each row, of both kinds."""
    if tensor.dim() < 2 or tensor.is_floating_point() or tensor.is_complex():
        return False
    return set(tensor.flatten().tolist()) == {0, 1}


def _hides(net: nn.Module, example: Example, path: str, kept: Tensor) -> bool:
    """Whether the outputs at the places that are kept hang on those places alone."""

    def change(tensor: Tensor) -> Tensor:
        there = kept.view(*kept.shape, *[1] * (tensor.dim() - kept.dim()))
        return torch.where(there, tensor, other_values(tensor).to(tensor.dtype))

    try:
        outputs, expected = run(net, with_changed(example, path, change)), run(net, example)
    except Exception:
        return True
    return not any(
        differences(_at(got, kept), _at(wanted, kept))
        for (_, got), (_, wanted) in zip(tensors_in(outputs), tensors_in(expected), strict=False)
    )


def _at(output: Tensor, kept: Tensor) -> Tensor:
    """An output at the places that are kept, or all of it if it has no such places."""
    return output[kept] if output.shape[: kept.dim()] == kept.shape else output


def lengths_left_out(net: nn.Module, example: Example) -> list[str]:
    """The error of inputs that are shorter by one, where those shorter by more pass, if sizes do not "
    "match."""
    net.eval()
    for dim in (1, 2, 3):
        size = next((one.shape[dim] for _, one in tensors_in(example()) if one.dim() > max(2, dim)), 0)
        if size < 4:
            continue
        try:
            run(net, example, _narrowed(dim, size, size - 1))
        except Exception as error:
            refusal = error
        else:
            continue
        if not any(words in text_of(refusal) for words in _SIZES):
            continue
        for less in (2, 4, 8):
            if size - less < 2:
                break  # one place is broadcast to any number
            try:
                run(net, example, _narrowed(dim, size, size - less))
            except Exception:
                continue
            else:
                return [
                    f"inputs of {size} and of {size - less} places along dimension {dim} are taken, and with "
                    f"{size - 1} it raises {brief(refusal)}: what is made shorter by a stride and longer "
                    "again has another length then; cut it or fill it up to that of what it meets, x[..., "
                    ":length], or refuse such inputs with an error that says so"
                ]
    return []


_SIZES = ("must match the size of tensor b", "Sizes of tensors must match except in dimension")


def _narrowed(dim: int, size: int, to: int) -> Callable[[Tensor], Tensor]:
    def narrowed(tensor: Tensor) -> Tensor:
        is_as_long = tensor.dim() > dim and tensor.shape[dim] == size
        return tensor.narrow(dim, 0, to).clone() if is_as_long else tensor

    return narrowed


def padding_counted(net: nn.Module, example: Example) -> list[str]:
    """Outputs for each row that change with one more place that the mask leaves out.

    Which of its values leaves out is not known: what changes with either counts all places.
    """
    net.eval()
    named = named_inputs(net, example)
    inputs = dict(inputs_in(example()))
    for name, path in named.items():
        mask = inputs[path]
        if "mask" not in name or mask.dim() != 2 or mask.is_floating_point() or mask.is_complex():
            continue
        if not set(mask.flatten().tolist()) <= {0, 1}:
            continue
        of = {its for its, one in inputs.items() if its != path and one.shape[:2] == mask.shape}
        if not of:
            continue
        expected = tensors_in(run(net, example))
        told, longer = [], []
        for value in (0, 1):
            rows = (mask != value).any(dim=1)
            if not bool(rows.any()):
                continue  # if it left out, nothing would be left
            longer.append((_longer(example, path, of, value), rows))
            try:
                outputs = tensors_in(run(net, longer[-1][0]))
            except Exception as error:
                if value == 0 and (refusal := _not_padded_again(net, example, path, of, error)):
                    return [refusal]
                break  # it takes no more places
            told.append(_apart(outputs, expected, mask, rows))
        else:
            if not told or not all(told):
                continue
            if where := _added(net, longer):
                return [
                    f"{told[0]} with one more place that `{name}` leaves out, whichever of its values does "
                    f"so: the attention{where} is given a mask of ones and zeros in floating numbers, which "
                    "are added to the scores and leave nothing out; give it truth values, mask.bool()"
                ]
            if where := _softmax(net, longer, mask.shape[1] + 1, crossed=True):
                return [
                    f"{told[0]} with one more place that `{name}` leaves out, whichever of its values does "
                    f"so: the softmax{where} is taken along another dimension than that in which the mask "
                    "leaves out; take both along the keys, dim=-1"
                ]
            if where := _softmax(net, longer, mask.shape[1] + 1):
                return [
                    f"{told[0]} with one more place that `{name}` leaves out, whichever of its values does "
                    f"so: the softmax{where} counts what is left out, and a score of zero as exp(0); fill "
                    f"the scores before it, scores.masked_fill(~{name}, torch.finfo(scores.dtype).min)"
                ]
            if layer := last_step_read(net, example):
                return [
                    f"{told[0]} with one more place that `{name}` leaves out, whichever of its values does "
                    f"so: of the output of `{layer}` the last step alone counts, which may be left out; take "
                    f"the last that is not, {name}.sum(dim=1) - 1, or pack what the layer is given"
                ]
            return [
                f"{told[0]} with one more place that `{name}` leaves out, whichever of its values does so: "
                f"how far a batch is filled up counts; divide by {name}.sum(dim=1), and set places that are "
                "left out to zero before a sum or a convolution"
            ]
    return []


def _not_padded_again(net: nn.Module, example: Example, path: str, of: set[str], error: Exception) -> str:
    """That a module takes one more place if the mask leaves it in, and else unpacks what is too short."""
    if not any(words in text_of(error) for words in _SIZES):
        return ""
    with _Unpacked() as unpacked:
        try:
            run(net, _longer(example, path, of, 1))
        except Exception:
            return ""  # it takes no more places
    if not unpacked.places:
        return ""
    return (
        f"with one more place in every row, which the mask leaves out, it raises {brief(error)}: "
        f"pad_packed_sequence{unpacked.places[0]} fills up to the longest row alone; give it "
        "total_length=x.shape[1], or the number of places of what its output meets"
    )


class _Unpacked(TorchFunctionMode):
    """Notes where the module's own code unpacks a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") == "_pad_packed_sequence":
            self.places.append(place(traceback.extract_stack()[:-1]))
        return func(*args, **(kwargs or {}))


def _added(net: nn.Module, longer: list[tuple[Example, Tensor]]) -> str:
    """Where attention is given a mask of ones and zeros that are floating numbers, or nothing."""
    seen = _AddedMasks()
    for example, _ in longer:
        with seen:
            run(net, example)
    return next(iter(seen.places), "")


class _AddedMasks(TorchFunctionMode):
    """Notes where attention is given a mask of ones and zeros, of both, that are floating numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in ("scaled_dot_product_attention", "multi_head_attention_forward"):
            masks = [kwargs.get("attn_mask"), kwargs.get("key_padding_mask"), *args[3:4]]
            for mask in masks:
                is_added = isinstance(mask, Tensor) and mask.is_floating_point() and mask.numel()
                if is_added and bool((mask.eq(0) | mask.eq(1)).all()) and 0 < float(mask.mean()) < 1:
                    self.places.append(place(traceback.extract_stack()[:-1]))
        return func(*args, **kwargs)


def _softmax(
    net: nn.Module, longer: list[tuple[Example, Tensor]], places: int, *, crossed: bool = False
) -> str:
    """Where the module's own code takes a softmax that gives the last place a share, whatever its mask is.

    Args:
        net: the module.
        longer: inputs with one more place, which the mask gives one of its values, and the rows to look at.
        places: how many there are then.
        crossed: asked is for those whose scores are filled along another dimension.
    """
    found, filled = [], dict[str, None]()
    for example, rows in longer:
        with _Softmaxes(rows, places) as seen:
            run(net, example)
        found.append(seen.places)
        filled |= seen.crossed
    if crossed:
        return next(iter(filled), "")
    return next((where for where in found[0] if all(where in others for others in found)), "")


class _Softmaxes(TorchFunctionMode):
    """Notes where the module's own code takes a softmax over so many places, and the last has a share.

    Args:
        rows: the rows in which the share is looked for.
        places: how many there are.
    """

    def __init__(self, rows: Tensor, places: int) -> None:
        super().__init__()
        self.places: dict[str, None] = {}
        self.crossed: dict[str, None] = {}
        self._rows, self._number = rows, places

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") == "softmax" and isinstance(result, Tensor):
            dim = (kwargs or {}).get("dim", args[1] if len(args) > 1 else None)
            is_of_rows = result.shape[:1] == self._rows.shape and result.dim() > 1
            if isinstance(dim, int) and is_of_rows and result.shape[dim] == self._number:
                last = result.detach().select(dim, -1)
                if last.shape[:1] == self._rows.shape and bool((last[self._rows] > 0).all()):
                    self.places[place(traceback.extract_stack()[:-1])] = None
                    if self._is_filled_along_another(args[0].detach(), dim):
                        self.crossed[place(traceback.extract_stack()[:-1])] = None
        return result

    def _is_filled_along_another(self, scores: Tensor, dim: int) -> bool:
        """Whether the last place of another dimension, and not that of this one, is out of reach."""
        others = [
            other
            for other in range(1, scores.dim())
            if other != dim % scores.dim() and scores.shape[other] == self._number
        ]
        return any(bool((scores.select(other, -1)[self._rows] <= _FILLED).all()) for other in others)


#: Below which a score is one that was filled in.
_FILLED = -1e4


def _apart(
    outputs: list[tuple[str, Tensor]], expected: list[tuple[str, Tensor]], mask: Tensor, rows: Tensor
) -> str:
    """Where outputs for some rows differ from those with a place less."""
    for (path, got), (_, wanted) in zip(outputs, expected, strict=False):
        if wanted.shape[:1] != mask.shape[:1] or not wanted.is_floating_point():
            continue
        if wanted.shape[:2] == mask.shape:
            if got.shape != (wanted.shape[0], wanted.shape[1] + 1, *wanted.shape[2:]):
                return ""
            got = got[:, :-1]
        if got.shape != wanted.shape:
            return ""
        if different := differences(got[rows], wanted[rows], path):
            return different[0]
    return ""


def _longer(example: Example, path: str, of: set[str], value: int) -> Example:
    """The same inputs with one more place, which a mask gives one value."""

    def make() -> Any:
        inputs = example()
        named = dict(inputs_in(inputs))
        mask, others = named[path], {id(named[name]) for name in of}

        def lengthened(tensor: Tensor) -> Tensor:
            if tensor is mask:
                return torch.cat([tensor, torch.full_like(tensor[:, :1], value)], dim=1)
            return torch.cat([tensor, tensor[:, :1]], dim=1) if id(tensor) in others else tensor

        return mapped(inputs, lengthened)

    return make

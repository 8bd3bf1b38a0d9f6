"""Findings about what a module makes of its inputs: which count, and in which form they are taken."""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nnspec.contract.findings.keeping import kept_tensors, plain_values
from nnspec.contract.findings.masks import padding_masks
from nnspec.contract.findings.moving import NO_KERNEL
from nnspec.contract.nested import Example, differences, length, mapped, run, shortened, tensors_in, varied
from nnspec.contract.products import AddedInFloat32
from nnspec.contract.tree import buffers, copied_state, parameters, passing, scatter
from nnspec.contract.wording import brief, own_frames, place, text_of, they


def uncounted(net: nn.Module, example: Example) -> list[str]:
    """Inputs that may be anything: no output changes with them, in train mode or in eval mode."""
    scatter(net)
    named = named_inputs(net, example)
    found = [name for name, path in named.items() if _counts_for_nothing(net, example, path)]
    cure = "use it in forward, or do not take it"
    if found and (path := _leaving_all_out(net, example)):
        cure = (
            f"`{path}` is given a key_padding_mask that is true everywhere, and true means to leave out: "
            "give it the inverse, ~mask"
        )
    return [
        f"the input `{name}` counts for nothing: with other values the outputs are the same, in train mode "
        f"and in eval mode; {cure}"
        for name in found
    ]


def _leaving_all_out(net: nn.Module, example: Example) -> str:
    """The path of an attention that is told to leave out every place of every row, or nothing."""
    net.train()
    for path, mask in padding_masks(net, example):
        if mask.dtype == torch.bool and bool(mask.all()):
            return path
    return ""


def _counts_for_nothing(net: nn.Module, example: Example, path: str) -> bool:
    is_tried = False
    for change in (other_values, _stretched, _all_alike, _first_left_out, _last_left_out):
        tensor = dict(inputs_in(example()))[path]
        if not bool(change(tensor).ne(tensor).any()):
            continue
        for is_training in (False, True):
            net.train(is_training)
            try:
                if differences(run(net, with_changed(example, path, change)), run(net, example)):
                    return False
            except Exception:
                return False  # what it may be is for the module to say
            is_tried = True
    return is_tried and not _counts_by_its_shape(net, example, path)


def _counts_by_its_shape(net: nn.Module, example: Example, path: str) -> bool:
    """Whether an output changes with the shape of an input, as the encodings of its positions do."""
    shape = dict(inputs_in(example()))[path].shape
    for dim, size in enumerate(shape):
        if size < 2:
            continue
        shorter = functools.partial(torch.narrow, dim=dim, start=0, length=size - 1)
        try:
            if differences(run(net, with_changed(example, path, shorter)), run(net, example)):
                return True
        except Exception:  # that it has to fit the other inputs says nothing
            continue
    return False


def named_inputs(net: nn.Module, example: Example) -> dict[str, str]:
    """The tensors that forward is given as arguments by name, each with its path in the inputs."""
    args, kwargs = example()
    try:
        given = inspect.signature(net.forward).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return {}
    paths = {id(value): f"[0][{index}]" for index, value in enumerate(args)}
    paths |= {id(value): f"[1][{key!r}]" for key, value in kwargs.items()}
    return {
        name: paths[id(value)]
        for name, value in given.items()
        if isinstance(value, Tensor) and value.numel() and value.layout == torch.strided
    }


def inputs_in(inputs: Any) -> list[tuple[str, Tensor]]:
    return tensors_in(inputs, "")


def with_changed(example: Example, path: str, change: Callable[[Tensor], Tensor]) -> Example:
    """The same inputs, the one at a path changed."""

    def make() -> Any:
        inputs = example()
        chosen = dict(inputs_in(inputs))[path]
        return mapped(inputs, lambda tensor: change(tensor) if tensor is chosen else tensor)

    return make


def other_values(tensor: Tensor) -> Tensor:
    """Other values of the same kind: what is there already, for whole numbers and truth values."""
    if tensor.dtype == torch.bool:
        return ~tensor
    if tensor.is_floating_point():
        return 0.5 - tensor
    return tensor.max() + tensor.min() - tensor if not tensor.is_complex() else -tensor


def _stretched(tensor: Tensor) -> Tensor:
    """Numbers each times another: differences, distances and spreads are the same in a mirror."""
    if not tensor.is_floating_point() and not tensor.is_complex():
        return tensor
    return tensor * torch.linspace(1.5, 3, tensor.numel(), device=tensor.device).view(tensor.shape).to(tensor)


def _all_alike(tensor: Tensor) -> Tensor:
    """Whole numbers that are all the smallest of them: a sum may not change with their order."""
    is_whole = not tensor.is_floating_point() and not tensor.is_complex() and tensor.dtype != torch.bool
    return torch.full_like(tensor, int(tensor.min())) if is_whole else tensor


def _first_left_out(tensor: Tensor) -> Tensor:
    """Of a mask of ones, the first place of the last dimension left out; of one to be added, lowered."""
    return _left_out(tensor, 0)


def _last_left_out(tensor: Tensor) -> Tensor:
    return _left_out(tensor, -1)


def _left_out(tensor: Tensor, place: int) -> Tensor:
    if tensor.dim() < 2 or tensor.is_complex():
        return tensor
    is_added = tensor.is_floating_point() and bool((tensor == 0).all())
    if not is_added and not bool((tensor == 1).all()):
        return tensor
    changed = tensor.clone()
    changed[..., place] = -1 if is_added else 0
    return changed


def kept_for_a_length(make: Callable[[], nn.Module], example: Example) -> list[str]:
    """What a call keeps that a call with longer or shorter inputs cannot do with.

    Args:
        make: makes a fresh module.
        example: makes the inputs.
    """
    net = make()
    net.eval()
    before, parts = _noted(net), set(dict(net.named_modules()))
    run(net, example)
    made = [name for name, value in _noted(net).items() if before.get(name) != value]
    if not made or set(dict(net.named_modules())) != parts:
        return []
    for dim in (1, 0, 2, 3):
        shorter = shortened(example, dim)
        if shorter is None:
            continue
        for first, second in ((example, shorter), (shorter, example)):
            net, fresh = make(), make()
            net.eval(), fresh.eval()
            try:
                run(net, first)
                expected = run(fresh, second)
            except Exception:
                break  # whether it takes such inputs is for the module to say
            try:
                different = [
                    f"another output comes out: {one}" for one in differences(run(net, second), expected)
                ]
            except Exception as error:
                different = [f"it raises {brief(error)}"]
            if different:
                lengths = [length(one, dim) for one in (first, second)]
                return [
                    f"after a call with {lengths[0]} places along dimension {dim} one with {lengths[1]} goes "
                    f"wrong, which goes well by itself: {different[0]}. {they(made, 'is', 'are')} kept of "
                    "the first; make it in each call, or anew where the length is another"
                ]
    return []


def kept_of_other_inputs(net: nn.Module, fresh: nn.Module, example: Example) -> list[str]:
    """That a second call computes with what the first has kept of other inputs of the same shapes.

    Args:
        net: a module that was not called yet.
        fresh: another such build of it.
        example: makes the inputs.
    """
    net.eval(), fresh.eval()
    before, saved = _noted(net), copied_state(net.state_dict())
    run(net, example)
    if differences(dict(net.state_dict()), dict(saved), exact=True):
        return []  # set up by the first inputs, as some norms are, and saved
    once = _noted(net)
    made = [name for name, value in once.items() if before.get(name) != value]
    try:
        after, first = (run(one, varied(example)[1]) for one in (net, fresh))
    except Exception:
        return []  # what it may be given is for the module to say
    kept = f"{they(made, 'is', 'are')} kept" if made else "something is kept, in an attribute or a container,"
    cure = (
        "a shape, a device or an address says nothing of the values: compute what hangs on them in each call"
    )
    if any(_noted(net).get(name) != once[name] for name in made):
        cure = (
            "each call puts another there, as a state that goes on: take it as an argument and return it, so "
            "that a new sequence begins with none"
        )
    return [
        f"{different} in a second call than in a first one with the same inputs: {kept} of the inputs of the "
        f"call before; {cure}"
        for different in differences(after, first)[:1]
    ]


def _noted(net: nn.Module) -> dict[str, object]:
    """What is kept in plain attributes and in buffers that no checkpoint has."""
    noted: dict[str, object] = {name: id(tensor) for name, tensor in kept_tensors(net).items()}
    noted |= plain_values(net)
    saved = set(buffers(net)) - passing(net)
    return {name: value for name, value in noted.items() if name not in saved}


def refused_under_autocast(net: nn.Module, example: Example) -> list[str]:
    """The error of a call under autocast, of a module that has none without."""
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16), AddedInFloat32():
            run(net, example)
    except Exception as error:
        if any(words in text_of(error) for words in NO_KERNEL):
            return []
        cure = "cast what is put into another tensor to its dtype: out[i] = y.to(out.dtype)"
        if "without overflow" in text_of(error):
            cure = "ask what is filled for its dtype, and not the input: torch.finfo(scores.dtype).min"
        elif "unsupported ScalarType" in text_of(error):
            cure = "NumPy has no bfloat16: write .float() before .numpy(), or compute with torch"
        return [
            f"under torch.autocast it raises {brief(error)}: there a layer returns another dtype than it is "
            f"given; {cure}"
        ]
    return []


def refused_in_another_layout(net: nn.Module, example: Example) -> list[str]:
    """The error of a call with the same inputs laid out otherwise in memory, or outputs that are others."""
    if all(_laid_out(tensor).is_contiguous() for _, tensor in inputs_in(example())):
        return []
    what = "with an input whose channels lie last in memory (torch.channels_last), or transposed,"
    cure = "ask for no stride() and no data_ptr() in forward"
    with _Strided() as strided:
        expected = run(net, example)
    if strided.places:
        cure = (
            f"forward gives as_strided{strided.places[0]} strides that are those of one layout alone; take "
            "unfold, or slices and torch.cat, or x.contiguous() first"
        )
    try:
        output = run(net, example, _laid_out)
    except RuntimeError as error:
        return [f"{what} it raises {brief(error)}; write reshape or flatten for view"]
    return [
        f"{difference} {what} than with a contiguous one; {cure}"
        for difference in differences(output, expected)
    ]


class _Strided(TorchFunctionMode):
    """Notes where the module's own code lays strides of its own over a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("as_strided", "as_strided_"):
            frames = traceback.extract_stack()[:-1]
            if own_frames(frames[-1:]):
                self.places.append(place(frames))
        return func(*args, **(kwargs or {}))


def _laid_out(tensor: Tensor) -> Tensor:
    """The same values in another order in memory, of images, videos and sequences of features."""
    if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.is_nested:
        return tensor
    if tensor.dim() == 3:
        return tensor.transpose(1, 2).contiguous().transpose(1, 2)
    if tensor.dim() == 4:
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor.contiguous(memory_format=torch.channels_last_3d) if tensor.dim() == 5 else tensor


def doubled(net: nn.Module, example: Example) -> list[str]:
    """Outputs in float64 of a module whose parameters and inputs are not."""
    given = [*tensors_in(example()), *parameters(net).items()]
    if any(tensor.dtype in (torch.float64, torch.complex128) for _, tensor in given):
        return []
    double = [name for name, buffer in buffers(net).items() if buffer.dtype == torch.float64]
    why = f"{they(double, 'is', 'are')} float64" if double else "forward makes such a tensor"
    return [
        f"`{path}` is float64, and no input and no parameter is: {why}, as NumPy's numbers are; make it with "
        "dtype=torch.float32, or dtype=x.dtype"
        for path, tensor in tensors_in(run(net, example))
        if tensor.dtype == torch.float64
    ]

"""Findings about the autograd.Functions of a module's own."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nnspec.contract.findings.backward import starting_weights
from nnspec.contract.nested import Example, floating_in, run, tensors_in
from nnspec.running import isolation


class _Call(NamedTuple):
    """What a Function was called with, in float64, and which of that wants a gradient."""

    function: Any
    given: list[Any]
    wanted: list[int]


def wrong_backward(net: nn.Module, example: Example, own: Iterable[Any]) -> list[str]:
    """Functions whose backward gives other gradients than their forward has, by finite differences.

    What rounds, or gives its input back, has another backward on purpose.

    Args:
        net: the module.
        example: makes its inputs.
        own: the functions.
    """
    told = []
    for call in _calls(net, example, own) if own else []:
        try:
            told += _told(call)
        except Exception:  # it may refuse float64, or a call of its own
            continue
    return told


def _calls(net: nn.Module, example: Example, own: Iterable[Any]) -> list[_Call]:
    """The first call of each function."""
    calls = dict[Any, _Call]()
    with contextlib.ExitStack() as stack:
        for function in own:
            stack.enter_context(_noting(function, calls))
        run(net, example)
    return list(calls.values())


@contextlib.contextmanager
def _noting(function: Any, calls: dict[Any, _Call]) -> Iterator[None]:
    """Note what a function is called with first."""
    own, forward = vars(function).get("forward"), function.forward
    skipped = 1 if function.setup_context is torch.autograd.Function.setup_context else 0

    def noting(*args: Any) -> Any:
        if function not in calls:
            given = args[skipped:]
            wanted = [
                place
                for place, one in enumerate(given)
                if isinstance(one, Tensor) and one.requires_grad and one.is_floating_point()
            ]
            calls[function] = _Call(function, [_in_float64(one) for one in given], wanted)
        return forward(*args)

    function.forward = staticmethod(noting)
    try:
        yield
    finally:
        if own is None:
            del function.forward
        else:
            function.forward = own


def _in_float64(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.detach().double().clone() if value.is_floating_point() else value.detach().clone()


def _told(call: _Call) -> list[str]:
    tensors = [one for one in call.given if isinstance(one, Tensor)]
    if not call.wanted or sum(one.numel() for one in tensors) > _MOST_VALUES:
        return []
    with _Rounding() as rounding:
        outputs, leaves = _called(call, [])
    if (
        rounding.seen
        or any(one.dtype != torch.float64 for one in outputs)
        or any(
            one.shape == tensor.shape and torch.equal(one, tensor) for one in outputs for tensor in tensors
        )
    ):
        return []
    backward = torch.autograd.grad(
        outputs, leaves, [starting_weights(one) for one in outputs], allow_unused=True
    )
    wrong = []
    for place, gradient in zip(call.wanted, backward, strict=True):
        if gradient is None:
            continue
        for index in _some(gradient.numel()):
            steps = _slope(call, place, index, _STEP), _slope(call, place, index, 2 * _STEP)
            analytic, numeric = float(gradient.reshape(-1)[index]), steps[0]
            if not _alike(*steps, _SMOOTH):
                continue  # a kink, or chance, or numbers of less precision in between
            if abs(numeric) < _NOTHING < abs(analytic):
                return []  # it rounds, or cuts off, and lets gradients pass
            if min(abs(numeric), abs(analytic)) > _NOTHING and not _alike(analytic, numeric, _CLOSE):
                wrong.append((place, analytic, numeric))
    if not wrong:
        return []
    place, analytic, numeric = wrong[0]
    where = _where(call.function.backward)
    return [
        f"the backward of {call.function.__name__}{where} gives {analytic:.3g} for a value of "
        f"`{_argument(call, place)}`, and what its forward returns changes by {numeric:.3g} times as much as "
        "that: training goes another way than down; check it with torch.autograd.gradcheck in float64, or "
        "leave the backward to autograd"
    ]


class _Rounding(TorchFunctionMode):
    """Notes whether numbers are rounded, or made truth values or places that others are multiplied with."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "").strip("_")
        given = [tensor for _, tensor in tensors_in((args, kwargs or {}))]
        if any(tensor.is_floating_point() for tensor in given):
            returned = [tensor for _, tensor in tensors_in(result)]
            places = any(not one.is_floating_point() and one.dtype != torch.bool for one in returned)
            self.seen |= places or name in _ROUNDING
        if any(tensor.dtype == torch.bool for tensor in given):
            self.seen |= name in _COUNTING
        return result


def _called(call: _Call, changes: list[tuple[int, int, float]]) -> tuple[list[Tensor], list[Tensor]]:
    """The outputs of a call with some numbers changed, and what wants a gradient."""
    given = [one.clone() if isinstance(one, Tensor) else one for one in call.given]
    for place, index, step in changes:
        given[place].view(-1)[index] += step
    leaves = [given[place].requires_grad_() for place in call.wanted]
    isolation.seed()
    # what is clones may be written to, and a leaf may not
    returned = call.function.apply(*(one.clone() if isinstance(one, Tensor) else one for one in given))
    return [one for _, one in floating_in(returned) if one.requires_grad], leaves


def _slope(call: _Call, place: int, index: int, step: float) -> float:
    """How much the outputs, weighted, change with one number."""

    def total(by: float) -> float:
        outputs, _ = _called(call, [(place, index, by)])
        return sum(float((one.detach() * starting_weights(one)).sum()) for one in outputs)

    return (total(step) - total(-step)) / (2 * step)


def _alike(one: float, other: float, part: float) -> bool:
    return abs(one - other) <= part * max(abs(one), abs(other)) + _NOTHING


def _some(number: int) -> range:
    """Some places of so many, evenly."""
    return range(0, number, max(1, number // _TRIED))


def _where(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    return f" at {Path(code.co_filename).name}:{code.co_firstlineno}" if code else ""


def _argument(call: _Call, place: int) -> str:
    """The name of what forward is given in a place, without its ctx."""
    names = list(inspect.signature(call.function.forward).parameters)
    names = names[len(names) - len(call.given) :] if len(names) >= len(call.given) else names
    return names[place] if place < len(names) else f"args[{place}]"


_ROUNDING = {"sign", "sgn", "round", "floor", "ceil", "trunc", "frac", "heaviside", "bernoulli"}

#: Functions that make numbers of truth values.
_COUNTING = {"float", "double", "half", "bfloat16", "to", "type", "type_as", "mul", "rmul", "imul"}

#: How many values a Function is looked at with at most, and how many of them are changed, one by one.
_MOST_VALUES = 200_000
_TRIED = 8

#: By how much they are changed, and how much the slopes of this and of twice as much may differ.
_STEP = 1e-5
_SMOOTH = 1e-4

#: How much a gradient may differ from the slope, and what is none.
_CLOSE = 1e-2
_NOTHING = 1e-7

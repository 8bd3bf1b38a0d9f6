"""Findings about what forward passes to a function of torch, and what that makes of it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nnspec.contract.nested import Example, run
from nnspec.contract.wording import own_frames, place


def misgiven(net: nn.Module, example: Example) -> list[str]:
    """Losses that are given another kind of numbers than they take, or numbers that do not stand in pairs."""
    return list(_seen(net, example).misgiven)


def fragile(net: nn.Module, example: Example) -> list[str]:
    """Steps whose result is infinite or NaN for large numbers, and which one function of torch takes well."""
    return list(_seen(net, example).fragile)


def _seen(net: nn.Module, example: Example) -> _Formulas:
    inputs: list[Tensor] = []

    def noting(tensor: Tensor) -> Tensor:
        inputs.append(tensor)
        return tensor

    formulas = _Formulas(inputs)
    with formulas:
        run(net, example, noting)
    return formulas


class _Formulas(TorchFunctionMode):
    """Follows what softmax, sigmoid and exp return to the functions that are given it.

    Args:
        inputs: the tensors that the module is given.
    """

    def __init__(self, inputs: list[Tensor]) -> None:
        super().__init__()
        self.misgiven: dict[str, None] = {}
        self.fragile: dict[str, None] = {}
        self._inputs = inputs
        self._made: dict[int, tuple[Tensor, str]] = {}
        self._kept: dict[int, Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name in _WATCHED and args and all(_is_plain(one) for one in args[:2] if isinstance(one, Tensor)):
            _WATCHED[name](self, name.strip("_"), args, kwargs)
        result = func(*args, **kwargs)
        if isinstance(result, Tensor) and args and isinstance(args[0], Tensor):
            self._follow(name, args, kwargs, result)
        return result

    def made_by(self, value: object) -> str:
        """The function that has made a tensor, among those that are followed; or nothing."""
        found = self._made.get(id(value))
        return found[1] if found and found[0] is value else ""

    def is_given(self, value: object) -> bool:
        """Whether a tensor is one of the inputs, or a cast of one."""
        return any(value is one for one in self._inputs)

    def is_kept(self, value: object) -> bool:
        """Whether a dimension of one was asked for in a tensor."""
        return self._kept.get(id(value)) is value

    def _follow(self, name: str, args: Any, kwargs: Any, result: Tensor) -> None:
        of = args[0]
        if name in _CASTS and self.is_given(of):
            self._inputs.append(result)
        is_asked = name in _SHAPING or kwargs.get("keepdim") or any(one is True for one in args[1:])
        if is_asked or (self.is_kept(of) and name in _ELEMENTWISE):
            self._kept[id(result)] = result
        if name in ("softmax", "sigmoid", "exp"):
            self._made[id(result)] = result, name
        elif name in _CASTS and self.made_by(of):
            self._made[id(result)] = result, self.made_by(of)
        elif name in ("add", "__radd__") and self.made_by(of) == "exp" and _is_one(args[1:]):
            self._made[id(result)] = result, "1 + exp"
        elif name == "sum" and self.made_by(of) == "exp":
            self._made[id(result)] = result, f"sum of exp {id(of)}"

    def logarithm(self, name: str, args: Any, kwargs: Any) -> None:
        """Take note of a logarithm."""
        made = self.made_by(args[0])
        frames = traceback.extract_stack()[:-2]
        if not own_frames(frames[-1:]) or not made:
            return
        if made in _INSTEAD and name != "log1p":
            instead, when = _INSTEAD[made]
            self._tell(
                f"forward takes {name} of what {made} returns{place(frames)}: in float32 that is zero, and "
                f"its logarithm -inf, as soon as {when}; take {instead} of the same scores"
            )
        elif (made == "1 + exp" and name == "log") or (made == "exp" and name == "log1p"):
            self._tell(
                f"forward takes the logarithm of 1 + exp(x){place(frames)}: in float32 exp(x) is inf as soon "
                "as x is above 88; take F.softplus(x)"
            )

    def quotient(self, name: str, args: Any, kwargs: Any) -> None:
        """Take note of a quotient."""
        if len(args) < 2 or self.made_by(args[0]) != "exp":
            return
        frames = traceback.extract_stack()[:-2]
        is_softmax = self.made_by(args[1]) == f"sum of exp {id(args[0])}"
        if is_softmax and own_frames(frames[-1:]) and bool((args[0].detach() > 1).any()):
            self._tell(
                f"forward divides exp(x) by its sum{place(frames)}: in float32 exp(x) is inf, and the "
                "quotient NaN, as soon as x is above 88; take torch.softmax(x, dim)"
            )

    def arc(self, name: str, args: Any, kwargs: Any) -> None:
        """Take note of an arc cosine or sine."""
        of = args[0].detach()
        frames = traceback.extract_stack()[:-2]
        if not args[0].requires_grad or not own_frames(frames[-1:]) or not of.numel():
            return
        number = float(of.abs().max())
        if abs(number - 1) < _AT_ONE:
            self._tell(
                f"forward takes {name} of {number:.7g}{place(frames)}: at one its slope is infinite, and the "
                "gradient NaN or rounding alone; clamp(-1 + 1e-6, 1 - 1e-6) first, or take torch.atan2 of a "
                "sine and a cosine"
            )

    def divergence(self, name: str, args: Any, kwargs: Any) -> None:
        """Take note of a Kullback-Leibler divergence."""
        given = _argument(args, kwargs, 0, "input")
        where = place(traceback.extract_stack()[:-2])
        if where and given.is_floating_point() and given.numel() and float(given.detach().max()) > _ROUNDING:
            self.misgiven[
                f"F.kl_div is given {float(given.detach().max()):.2g} as the logarithm of a probability"
                f"{where}, which is above zero: its input is log-probabilities, and its target "
                "probabilities; give it F.log_softmax(x, dim)"
            ] = None

    def entropy(self, name: str, args: Any, kwargs: Any) -> None:
        """Take note of a cross entropy, or of a negative log-likelihood."""
        given = _argument(args, kwargs, 0, "input")
        where = place(traceback.extract_stack()[:-2])
        if not where or not given.is_floating_point() or not given.numel():
            return
        dim = 0 if given.dim() == 1 else 1
        values = given.detach()
        is_of_ones = bool(((values == 0) | (values == 1)).all())
        if given.shape[dim] < 2 or is_of_ones or not _are_shares(values, dim):
            return
        what = "logits, and takes the softmax itself" if name == "cross_entropy" else "log-probabilities"
        cure = "the scores before the softmax" if name == "cross_entropy" else "F.log_softmax(x, dim)"
        self.misgiven[
            f"F.{name} is given probabilities{where}, which sum to one: it takes {what}; give it {cure}"
        ] = None

    def binary(self, name: str, args: Any, kwargs: Any) -> None:
        """Take note of a binary cross entropy with logits."""
        made = self.made_by(_argument(args, kwargs, 0, "input"))
        where = place(traceback.extract_stack()[:-2])
        if where and made in ("sigmoid", "softmax"):
            self.misgiven[
                f"F.{name} is given what {made} returns{where}: it takes logits, and the sigmoid itself; "
                f"give it the scores before {made}"
            ] = None

    def difference(self, name: str, args: Any, kwargs: Any) -> None:
        """Take note of a difference."""
        one, other = (*args, None)[:2]
        if not isinstance(one, Tensor) or not isinstance(other, Tensor):
            return
        column, row = (one, other) if one.dim() == 2 else (other, one)
        size = row.shape[0] if row.dim() == 1 else 0
        if size < 2 or column.shape != (size, 1) or not column.is_floating_point():
            return
        if not self.is_given(row) or self.is_given(column) or self.is_kept(column) or column._is_view():
            return
        frames = traceback.extract_stack()[:-2]
        if own_frames(frames[-1:]):
            self.misgiven[
                f"forward takes each of {size} numbers of shape {tuple(column.shape)} from each of {size} of "
                f"shape {tuple(row.shape)}{place(frames)}, which gives {size * size}: torch lays the one "
                "along columns and the other along rows; squeeze(-1) the first"
            ] = None

    def _tell(self, finding: str) -> None:
        self.fragile[finding] = None


_Watch = Callable[[_Formulas, str, Any, Any], None]

#: The functions that are looked at, and what looks at them.
_WATCHED: dict[str, _Watch] = {
    **dict.fromkeys(("log", "log_", "log2", "log10", "log1p"), _Formulas.logarithm),
    **dict.fromkeys(("div", "true_divide", "__truediv__"), _Formulas.quotient),
    **dict.fromkeys(("acos", "arccos", "asin", "arcsin"), _Formulas.arc),
    **dict.fromkeys(("cross_entropy", "nll_loss"), _Formulas.entropy),
    **dict.fromkeys(("sub", "__sub__", "subtract"), _Formulas.difference),
    "kl_div": _Formulas.divergence,
    "binary_cross_entropy_with_logits": _Formulas.binary,
}

#: What takes the logarithm of what a function returns, and when that is zero.
_INSTEAD = {
    "softmax": ("F.log_softmax(x, dim)", "one score leads another by 104"),
    "sigmoid": ("F.logsigmoid(x)", "a number is below -104"),
}

_CASTS = {"to", "float", "double", "type", "type_as", "contiguous", "clone"}

#: What gives a tensor a dimension of one because somebody asks for it.
_SHAPING = {"unsqueeze", "__getitem__", "view", "reshape", "expand", "unflatten", "transpose", "t", "permute"}
_ELEMENTWISE = {"sqrt", "square", "pow", "mul", "div", "add", "sub", "log", "exp", "abs", "neg", "clamp"}

#: How near to one the argument of an arc cosine is, and below which size a number is rounding.
_AT_ONE = 1e-6
_ROUNDING = 1e-4


def _is_one(values: Any) -> bool:
    return bool(values) and isinstance(values[0], (int, float)) and values[0] == 1


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_nested and not tensor.is_meta


def _argument(args: Any, kwargs: Any, index: int, name: str) -> Any:
    """What a function is given in a place or by a name; an empty tensor for neither."""
    found = args[index] if len(args) > index else kwargs.get(name)
    return found if isinstance(found, Tensor) else torch.empty(0)


def _are_shares(values: Tensor, dim: int) -> bool:
    """Whether numbers are zero or more and sum to one along a dimension."""
    sums = values.sum(dim)
    return bool((values >= 0).all()) and bool((sums - 1).abs().max() < _ROUNDING)

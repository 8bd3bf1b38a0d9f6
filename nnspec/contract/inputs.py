"""What a module is called with: tensors drawn for shapes, or what a function of the user's returns."""

from __future__ import annotations

import ast
import copy
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import torch

from nnspec.contract.limit import OutOfTime
from nnspec.contract.lookup import find_object
from nnspec.contract.nested import mapped
from nnspec.contract.wording import brief, describe, kind_of
from nnspec.errors import UsageError, shortened
from nnspec.running import isolation

#: Positional and named inputs.
Inputs = tuple[tuple[Any, ...], dict[str, Any]]

#: Whole numbers are drawn from 0 up to, not including, this: small enough for any ordinary embedding.
INTEGERS_BELOW = 10

_INPUT = re.compile(
    r"(?:(?P<fill>ones|zeros):)?(?P<shape>\d{1,18}(?:,\d{1,18})*)(?::(?P<dtype>[A-Za-z]\w*))?"
    r"(?:<(?P<below>\d{1,18})|:(?P<low>-?\d{1,18}(?:\.\d+)?)\.\.(?P<high>-?\d{1,18}(?:\.\d+)?))?"
)
_NAME = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)

_Maker = Callable[[torch.Generator], Any]


def drawn(texts: Iterable[str]) -> Callable[[], Inputs]:
    """Makes inputs for texts such as ``2,3,64,64``, ``mask=ones:2,128`` or ``ids=2,128:int64<100``.

    What is made is always the same. An input that has a name is given by its name.

    Raises:
        UsageError: a text is no input, names no dtype, or one that was named before. The function that is
            returned raises it where torch cannot make what a text asks for.
    """
    positional: list[_Maker] = []
    named: dict[str, _Maker] = {}
    for text in texts:
        match = _NAME.fullmatch(text.strip())
        if not match:
            positional.append(_read_input(text, text))
        elif match[1] in named:
            raise UsageError(f"--input {shortened(text)}: {match[1]} was given before; give each name once")
        else:
            named[match[1]] = _read_input(match[2], text)

    def make() -> Inputs:
        generator = torch.Generator().manual_seed(isolation.SEED)
        args = tuple(one(generator) for one in positional)
        return args, {name: one(generator) for name, one in named.items()}

    return make


def _read_input(text: str, whole: str) -> _Maker:
    """What makes one input.

    Args:
        text: what was given, without the name of the argument.
        whole: with it, for messages.
    """
    where = f"--input {shortened(whole)}"
    if text.startswith("value:") or text in ("None", "True", "False"):
        return _read_value(text.removeprefix("value:"), where)
    maker = _read_shape(text.replace(" ", ""), where)

    def make(generator: torch.Generator) -> torch.Tensor:
        try:
            return maker(generator)
        except Exception as error:  # it is too large, or torch cannot fill its dtype
            raise UsageError(f"{where}: torch cannot make it: {brief(error)}") from None

    return make


def _read_shape(text: str, where: str) -> Callable[[torch.Generator], torch.Tensor]:
    """What makes a tensor."""
    match = _INPUT.fullmatch(text)
    shape = tuple(map(int, match["shape"].split(","))) if match else ()
    if not match or 0 in shape:
        raise UsageError(
            f"{where}: is no shape; write sizes from 1 on with commas, and perhaps a dtype and a "
            "range: 2,3,64,64 or 2,128:int64<100 or 2,3:float32:-1..1 or ones:2,128; with a name before it, "
            "as in mask=ones:2,128; or a value, as in flag=True or scale=value:0.5"
        )
    dtype = getattr(torch, match["dtype"] or ("int64" if match["below"] else "float32"), None)
    if not isinstance(dtype, torch.dtype):
        raise UsageError(
            f"{where}: torch has no dtype '{shortened(match['dtype'])}'; such as float32, int64 or bool"
        )
    low, high = float(match["low"] or 0), float(match["high"] or match["below"] or 0)
    has_range = bool(match["high"] or match["below"])
    if match["fill"] and has_range:
        raise UsageError(f"{where}: {match['fill']} have no range; leave out the one or the other")
    if match["fill"]:
        number = int(match["fill"] == "ones")
        return lambda generator: torch.full(shape, number, dtype=dtype)
    if has_range and (low >= high or (match["below"] and dtype.is_floating_point)):
        raise UsageError(
            f"{where}: is no range for {dtype}; write <100 for whole numbers from 0 on, or a range "
            "from the lowest to, not including, the highest: 2,3:float32:-1..1"
        )
    least, most = _bounds(dtype)
    if has_range and (low < least or high - 1 > most):
        raise UsageError(f"{where}: {dtype} holds numbers from {least} to {most}; give a range in it")
    return lambda generator: _draw(shape, dtype, generator, (low, high) if has_range else None)


def _bounds(dtype: torch.dtype) -> tuple[float, float]:
    """Between which numbers a range may lie: those of whole numbers, where torch knows them."""
    try:
        return torch.iinfo(dtype).min, torch.iinfo(dtype).max
    except TypeError:
        return -math.inf, math.inf


def _read_value(text: str, where: str) -> _Maker:
    """What makes an input that is no tensor."""
    try:
        value = ast.literal_eval(text)
    except Exception:  # what has no end or a list as a key is no ValueError
        raise UsageError(f"{where}: '{shortened(text)}' is no literal, such as 3, 0.5 or 'a'") from None
    return lambda generator: copy.deepcopy(value)


def _draw(
    shape: tuple[int, ...],
    dtype: torch.dtype,
    generator: torch.Generator,
    between: tuple[float, float] | None,
) -> torch.Tensor:
    if dtype.is_complex:
        return torch.randn(shape, generator=generator, dtype=dtype)
    if dtype.is_floating_point:
        if between is None:
            return torch.randn(shape, generator=generator).to(dtype)
        return (between[0] + (between[1] - between[0]) * torch.rand(shape, generator=generator)).to(dtype)
    low, high = between or (0, 2 if dtype == torch.bool else INTEGERS_BELOW)
    return torch.randint(int(low), int(high), shape, generator=generator).to(dtype)


def returned_by(name: str) -> Callable[[], Inputs]:
    """Makes the inputs that a function returns, in tensors of their own.

    Args:
        name: the function, such as ``package.module:function``; it takes nothing.

    Raises:
        UsageError: there is no such function. The function that is returned raises it too, where the user's
            raises an error or returns something else than inputs.
    """
    function = find_object(name, "--inputs")
    if not callable(function):
        raise UsageError(
            f"--inputs {name}: is {kind_of(function)}; name a function that takes nothing and returns the "
            "inputs"
        )

    def make() -> Inputs:
        where = f"--inputs {name}"
        returned = sorted_out(_called(function, where), f"{where}: returned")
        return _copied(lambda: copy.deepcopy(returned), f"{where}: what it returned")

    return make


def _called(function: Callable[[], object], what: str) -> object:
    """What a function of the user's returns."""
    try:
        return function()
    except (KeyboardInterrupt, OutOfTime):
        raise
    except BaseException as error:
        raise UsageError(f"{what}: raised: {describe(error)}") from None


def _copied(copied: Callable[[], Inputs], what: str) -> Inputs:
    """A copy of inputs: what a rule does to its own is not seen by the next."""
    try:
        return copied()
    except Exception as error:
        raise UsageError(f"{what} cannot be copied, and each rule takes a copy: {brief(error)}") from None


def given(example: object) -> Callable[[], Inputs]:
    """Makes the inputs that were given as values, or by a function that returns them.

    Raises:
        UsageError: they are no inputs. The function that is returned raises it where a function of the user's
            returns something else.
    """
    if callable(example) and not isinstance(example, (torch.Tensor, tuple, list, dict)):
        return lambda: sorted_out(_called(example, "the example"), "the example: it returned")
    kept = sorted_out(example, "the example is")
    return lambda: _copied(
        lambda: mapped(kept, lambda tensor: tensor.detach().clone().requires_grad_(tensor.requires_grad)),
        "the example",
    )


def sorted_out(returned: object, what: str) -> Inputs:
    """Positional and named inputs from what was given or returned.

    Raises:
        UsageError: they are no inputs; the message begins with ``what``.
    """
    if isinstance(returned, torch.Tensor):
        return (returned,), {}
    if isinstance(returned, dict) and all(isinstance(key, str) for key in returned):
        return (), dict(returned)
    if type(returned) is tuple and list(map(type, returned)) == [tuple, dict]:
        return returned[0], returned[1]
    if type(returned) in (tuple, list):
        return tuple(returned), {}  # type: ignore[arg-type]
    raise UsageError(
        f"{what} {kind_of(returned)}; expected a tensor, a tuple or list of positional "
        "inputs, a dict of named ones, or a pair (tuple, dict); put any other single input in a tuple"
    )


def in_words(inputs: Inputs) -> str:
    """Inputs in few words: ``float32 (2, 3, 64, 64), mask=bool (2, 64)``."""
    args, kwargs = inputs
    words = [_in_words(value) for value in args]
    words += [f"{name}={_in_words(value)}" for name, value in kwargs.items()]
    return ", ".join(words) or "no input"


def _in_words(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    return kind_of(value)

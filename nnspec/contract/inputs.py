"""What a module is called with: tensors drawn for shapes, or what a function of the user's returns."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable
from typing import Any

import torch

from nnspec.contract.lookup import find_object
from nnspec.contract.nested import mapped
from nnspec.contract.wording import describe, kind_of
from nnspec.errors import UsageError
from nnspec.running import isolation

#: Positional and named inputs.
Inputs = tuple[tuple[Any, ...], dict[str, Any]]

#: Whole numbers are drawn from 0 up to, not including, this: small enough for any ordinary embedding.
INTEGERS_BELOW = 10

_INPUT = re.compile(r"(?P<shape>\d+(,\d+)*)(:(?P<dtype>\w+))?")


def drawn(texts: Iterable[str]) -> Callable[[], Inputs]:
    """Makes positional inputs for shapes such as ``2,3,64,64`` or ``2,128:int64``, always the same.

    Raises:
        UsageError: a text is no shape, or names no dtype.
    """
    wanted = list(map(_read_shape, texts))

    def make() -> Inputs:
        generator = torch.Generator().manual_seed(isolation.SEED)
        return tuple(_draw(shape, dtype, generator) for shape, dtype in wanted), {}

    return make


def _read_shape(text: str) -> tuple[tuple[int, ...], torch.dtype]:
    match = _INPUT.fullmatch(text.replace(" ", ""))
    shape = tuple(map(int, match["shape"].split(","))) if match else ()
    if not match or 0 in shape:
        raise UsageError(
            f"--input {text}: is no shape; write sizes from 1 on with commas, and perhaps a dtype: "
            "2,3,64,64 or 2,128:int64"
        )
    dtype = getattr(torch, match["dtype"] or "float32", None)
    if not isinstance(dtype, torch.dtype):
        raise UsageError(
            f"--input {text}: torch has no dtype {match['dtype']!r}; such as float32, int64 or bool"
        )
    return shape, dtype


def _draw(shape: tuple[int, ...], dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
    if dtype.is_complex:
        return torch.randn(shape, generator=generator, dtype=dtype)
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(dtype)
    high = 2 if dtype == torch.bool else INTEGERS_BELOW
    return torch.randint(0, high, shape, generator=generator).to(dtype)


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
        try:
            returned = copy.deepcopy(function())
        except (Exception, SystemExit) as error:
            raise UsageError(f"--inputs {name}: raised: {describe(error)}") from None
        return sorted_out(returned, f"--inputs {name}: returned")

    return make


def given(example: object) -> Callable[[], Inputs]:
    """Makes the inputs that were given as values, or by a function that returns them.

    Raises:
        UsageError: they are no inputs. The function that is returned raises it where a function of the user's
            returns something else.
    """
    if callable(example) and not isinstance(example, (torch.Tensor, tuple, list, dict)):
        return lambda: sorted_out(example(), "the example: it returned")
    kept = sorted_out(example, "the example is")
    return lambda: mapped(kept, lambda tensor: tensor.detach().clone().requires_grad_(tensor.requires_grad))


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

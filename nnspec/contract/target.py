"""What is put under the contract: a module that can be built again and again, and its example inputs."""

from __future__ import annotations

import ast
import copy
import os
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nnspec.contract import lookup
from nnspec.contract.lookup import SubjectError, kind, told
from nnspec.running import isolation

Inputs = tuple[tuple[Any, ...], dict[str, Any]]

#: Whole numbers are drawn from 0 up to, not including, this: small enough for any ordinary embedding.
INTEGERS_BELOW = 10

_INPUT = re.compile(r"(?P<shape>\d+(,\d+)*)(:(?P<dtype>\w+))?")


@dataclass(frozen=True)
class Subject:
    """A module under the contract.

    Attributes:
        name: how it was given, such as ``torchvision.models:resnet34``.
        make: makes a fresh module.
        give: makes its inputs, positional and named.
    """

    name: str
    make: Callable[[], object]
    give: Callable[[], Inputs]

    def build(self) -> nn.Module:
        """A fresh module on the CPU in train mode; every build starts from the same seed.

        Raises:
            SubjectError: what was made is no module.
        """
        isolation.seed()
        made = self.make()
        if not isinstance(made, nn.Module):
            raise SubjectError(
                f"--module {self.name}: returns {kind(made)}, not a torch.nn.Module; "
                "name a module's class, or a function that returns a fresh module"
            )
        if {tensor.device.type for tensor in _tensors(made)} - {"cpu", "meta"}:
            made.to("cpu")
        if not made.training:
            made.train()
        return made

    def example(self) -> Inputs:
        """The inputs ``(args, kwargs)``: the same values each time, in tensors of their own."""
        isolation.seed()
        return self.give()


def find(target: str, inputs: list[str], from_callable: str | None) -> Subject:
    """The subject that a command line names, built and called once.

    Args:
        target: a class or a function, ``package.module:name`` or ``package.module.name``, perhaps with
            literal arguments: ``package.module:Net(10, bias=False)``.
        inputs: shapes such as ``2,3,64,64`` or ``2,128:int64``, one for each positional input.
        from_callable: a callable that returns the inputs, named as the target is.

    Raises:
        SubjectError: the target or its inputs are not as described, or raise an error of their own.
    """
    if inputs and from_callable:
        raise SubjectError("--input and --inputs were both given; say with one of them what the module takes")
    if not inputs and not from_callable:
        raise SubjectError(
            f"--module {target}: no input was given; say what it is called with: --input 2,3,64,64 for "
            "floats, --input 2,128:int64 for whole numbers, or --inputs package.module:function"
        )
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    give = _drawn(inputs) if inputs else _called(str(from_callable))
    subject = Subject(target, _maker(target), give)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _try(subject)
    return subject


def _try(subject: Subject) -> None:
    """Build and call the subject once."""
    where = f"--module {subject.name}"
    try:
        net = subject.build()
    except SubjectError:
        raise
    except (Exception, SystemExit) as error:
        raise SubjectError(f"{where}: raised when built: {told(error)}{_hint(error)}") from None
    if any(tensor.is_meta for tensor in _tensors(net)):
        raise SubjectError(f"{where}: is built on the meta device, without values; build it on the CPU")
    args, kwargs = subject.example()
    try:
        net(*args, **kwargs)
    except (Exception, SystemExit) as error:
        inputs = shown((args, kwargs))
        raise SubjectError(
            f"{where}: raised when called, in train mode, on {inputs}: {told(error)}"
        ) from None


def _tensors(net: nn.Module) -> list[torch.Tensor]:
    return [*net.parameters(), *net.buffers()]


def _hint(error: BaseException) -> str:
    """What to do where not even the first line of the user's own code was reached."""
    if isinstance(error, TypeError) and not lookup.places(error):
        return (
            "\n  give its arguments, as in 'package.module:Net(10, bias=False)', "
            "or name a function that builds it"
        )
    return ""


def _maker(target: str) -> Callable[[], object]:
    """What makes the module: a class or a function with the literal arguments of the target."""
    name, bracket, rest = target.partition("(")
    args, kwargs = _literals(target, rest) if bracket else ((), {})
    found = lookup.find(name, "--module")
    if isinstance(found, nn.Module):
        raise SubjectError(
            f"--module {target}: is a module already made, and the contract needs a fresh one again and "
            "again; name its class, or a function that builds and returns it"
        )
    if not callable(found):
        raise SubjectError(
            f"--module {target}: is {kind(found)}; name a module's class, or a function that returns a module"
        )
    made: Callable[..., object] = found
    return lambda: made(*copy.deepcopy(args), **copy.deepcopy(kwargs))


def _literals(target: str, rest: str) -> Inputs:
    try:
        call = ast.parse(f"f({rest}", mode="eval").body
        assert isinstance(call, ast.Call)
        assert isinstance(call.func, ast.Name)
        args = tuple(map(ast.literal_eval, call.args))
        kwargs = {one.arg: ast.literal_eval(one.value) for one in call.keywords if one.arg}
        assert len(kwargs) == len(call.keywords)
    except (AssertionError, SyntaxError, ValueError):
        raise SubjectError(
            f"--module {target}: its arguments cannot be read as literals (numbers, texts, None, lists, "
            "tuples, dicts); for anything else write a function that builds the module, and name that"
        ) from None
    return args, kwargs


def _drawn(inputs: list[str]) -> Callable[[], Inputs]:
    """Inputs drawn for the shapes given, always the same."""
    wanted = list(map(_shape_and_dtype, inputs))

    def give() -> Inputs:
        generator = torch.Generator().manual_seed(isolation.SEED)
        return tuple(_draw(shape, dtype, generator) for shape, dtype in wanted), {}

    return give


def _shape_and_dtype(text: str) -> tuple[tuple[int, ...], torch.dtype]:
    match = _INPUT.fullmatch(text.replace(" ", ""))
    shape = tuple(map(int, match["shape"].split(","))) if match else ()
    if not match or 0 in shape:
        raise SubjectError(
            f"--input {text}: is no shape; write sizes from 1 on with commas, and perhaps a dtype: "
            "2,3,64,64 or 2,128:int64"
        )
    dtype = getattr(torch, match["dtype"] or "float32", None)
    if not isinstance(dtype, torch.dtype):
        raise SubjectError(
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


def _called(name: str) -> Callable[[], Inputs]:
    """Inputs that a callable of the user's returns."""
    function = lookup.find(name, "--inputs")
    if not callable(function):
        raise SubjectError(
            f"--inputs {name}: is {kind(function)}; name a function that takes nothing and returns the inputs"
        )

    def give() -> Inputs:
        try:
            returned = copy.deepcopy(function())
        except (Exception, SystemExit) as error:
            raise SubjectError(f"--inputs {name}: raised: {told(error)}") from None
        return _sorted_out(returned, name)

    return give


def _sorted_out(returned: object, name: str) -> Inputs:
    """Positional and named inputs from what a callable returned."""
    if isinstance(returned, torch.Tensor):
        return (returned,), {}
    if isinstance(returned, dict) and all(isinstance(key, str) for key in returned):
        return (), dict(returned)
    if type(returned) is tuple and list(map(type, returned)) == [tuple, dict]:
        return returned[0], returned[1]
    if type(returned) in (tuple, list):
        return tuple(returned), {}  # type: ignore[arg-type]
    raise SubjectError(
        f"--inputs {name}: returned {kind(returned)}; expected a tensor, a tuple or list of positional "
        "inputs, a dict of named ones, or a pair (tuple, dict); put any other single input in a tuple"
    )


def shown(inputs: Inputs) -> str:
    """Inputs in few words: ``float32 (2, 3, 64, 64), mask=bool (2, 64)``."""
    args, kwargs = inputs
    words = [_shown(value) for value in args] + [f"{name}={_shown(value)}" for name, value in kwargs.items()]
    return ", ".join(words) or "no input"


def _shown(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    return kind(value)

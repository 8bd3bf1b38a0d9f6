"""The module that is judged: it can be built again and again, and has example inputs."""

from __future__ import annotations

import ast
import copy
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nnspec.contract import forks, inputs
from nnspec.contract.inputs import Inputs
from nnspec.contract.limit import OutOfTime, within
from nnspec.contract.lookup import find_object
from nnspec.contract.tree import tensors
from nnspec.contract.wording import describe, kind_of, own_frames, text_of
from nnspec.contract.zoo import find_model
from nnspec.errors import UsageError, shortened
from nnspec.running import isolation


@dataclass(frozen=True)
class Target:
    """A module that is judged.

    Attributes:
        name: how it was given, such as ``torchvision.models:resnet34``.
        make: makes a fresh module.
        make_inputs: makes its inputs, positional and named.
        is_made: whether ``make`` copies a module that was there before.
        source: what another process can import to make the module, named as on a command line; or empty.
    """

    name: str
    make: Callable[[], object]
    make_inputs: Callable[[], Inputs]
    is_made: bool = False
    source: str = ""

    def build(self) -> nn.Module:
        """A fresh module on the CPU in train mode; every build starts from the same seed.

        Raises:
            UsageError: what was made is no module.
        """
        return self._build_from(isolation.SEED)

    def build_other(self) -> nn.Module:
        """Likewise from another seed, so that its random numbers are others.

        Raises:
            UsageError: what was made is no module.
        """
        return self._build_from(isolation.SEED + 1)

    def _build_from(self, seed: int) -> nn.Module:
        isolation.seed(seed)
        net = self.make()
        if not isinstance(net, nn.Module):
            raise UsageError(
                f"{self.name}: returns {kind_of(net)}, not a torch.nn.Module; "
                "name a module's class, or a function that returns a fresh module"
            )
        if {tensor.device.type for tensor in tensors(net).values()} - {"cpu", "meta"}:
            net.to("cpu")
        if not net.training:
            net.train()
        return net

    def example(self) -> Inputs:
        """The inputs ``(args, kwargs)``: the same values each time, in tensors of their own."""
        isolation.seed()
        return self.make_inputs()


def find_target(name: str, shapes: Sequence[str], function: str | None, limit: float | None = None) -> Target:
    """The module that a command line names, built and called once.

    Args:
        name: a class or a function, ``package.module:name`` or ``package.module.name``, perhaps with literal
            arguments: ``package.module:Net(10, bias=False)``; or a model of a library, ``timm:NAME``,
            ``torchvision:NAME`` or ``hf:CONFIG``, whose inputs need not be given.
        shapes: such as ``2,3,64,64``, ``2,128:int64<100`` or ``mask=ones:2,128``, one for each input.
        function: or the function that returns the inputs, named as the module is.
        limit: how many seconds building it and calling it may take, each; None for as long as it likes.

    Raises:
        UsageError: the module or its inputs are not as described, raise an error of their own or take
            longer.
    """
    found = find_model(name)
    if shapes and function:
        raise UsageError("--input and --inputs were both given; say with one of them what the module takes")
    if not shapes and not function and not found:
        raise UsageError(
            f"{name}: no input was given; say what it is called with: --input 2,3,64,64 for "
            "floats, --input 2,128:int64 for whole numbers, or --inputs package.module:function"
        )
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    if function:
        make_inputs = inputs.returned_by(function)
    else:
        make_inputs = found.make_inputs if found and not shapes else inputs.drawn(shapes)
    target = Target(name, found.make if found else find_maker(name), make_inputs, source=name)
    try_out(target, limit)
    return target


def try_out(target: Target, limit: float | None = None) -> None:
    """Build and call a module once, and put back what that changes in the process.

    Args:
        target: the module.
        limit: how many seconds each of both may take; None for as long as it likes.

    Raises:
        UsageError: it cannot be built or called, or not in time.
    """
    before = isolation.snapshot()
    with forks.ending(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with isolation.with_builtins(), isolation.kept_open():
                _try(target, limit)
        except isolation.SpoiltBuiltins as error:
            raise UsageError(
                f"{target.name}: when it is built and called, {error}; leave them alone"
            ) from None
        finally:
            isolation.restore(before, compiled=False)  # or rules would miss what the first call changes


def find_maker(name: str) -> Callable[[], object]:
    """What makes the module: a class or a function with the literal arguments that were given.

    Raises:
        UsageError: there is no such class or function, or its arguments are no literals.
    """
    path, bracket, rest = name.partition("(")
    args, kwargs = _read_arguments(name, rest) if bracket else ((), {})
    maker = find_object(path, "")
    if isinstance(maker, nn.Module):
        raise UsageError(
            f"{name}: is a module already made, and the contract needs a fresh one again and "
            "again; name its class, or a function that builds and returns it"
        )
    if not callable(maker):
        raise UsageError(
            f"{name}: is {kind_of(maker)}; name a module's class, or a function that returns a module"
        )
    make: Callable[..., object] = maker
    return lambda: make(*copy.deepcopy(args), **copy.deepcopy(kwargs))


def _read_arguments(name: str, rest: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    try:
        call = ast.parse(f"f({rest}", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError
        args = tuple(map(ast.literal_eval, call.args))
        kwargs = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}
        if len(kwargs) != len(call.keywords):
            raise ValueError
    except Exception:  # what has no end or a list as a key is no ValueError
        raise UsageError(
            f"{shortened(name)}: its arguments cannot be read as literals (numbers, texts, None, lists, "
            "tuples, dicts); for anything else write a function that builds the module, and name that"
        ) from None
    return args, kwargs


def _try(target: Target, limit: float | None) -> None:
    """Build and call the module once."""
    where = target.name
    try:
        net = within(limit, target.build)
    except (KeyboardInterrupt, UsageError):
        raise
    except OutOfTime:
        raise UsageError(f"{where}: was not built within {limit:g} seconds; give a higher limit") from None
    except BaseException as error:
        raise UsageError(f"{where}: raised when built: {describe(error)}{_hint(error)}") from None
    try:
        within(limit, lambda: _ensure_walks(where, net))
        within(limit, lambda: _ensure_state(where, net))
    except OutOfTime:
        raise UsageError(
            f"{where}: a walk through what it holds, or its state_dict(), did not end within {limit:g} "
            "seconds"
        ) from None
    if any(tensor.is_meta for tensor in tensors(net).values()):
        raise UsageError(f"{where}: is built on the meta device, without values; build it on the CPU")
    try:
        args, kwargs = within(limit, target.example)
    except OutOfTime:
        raise UsageError(f"{where}: its inputs were not made within {limit:g} seconds") from None
    try:
        within(limit, lambda: net(*args, **kwargs))
    except KeyboardInterrupt:
        raise
    except OutOfTime:
        raise UsageError(
            f"{where}: its first call did not end within {limit:g} seconds, in train mode, on "
            f"{inputs.in_words((args, kwargs))}; give a higher limit, or smaller inputs"
        ) from None
    except BaseException as error:
        given = inputs.in_words((args, kwargs))
        raise UsageError(
            f"{where}: raised when called, in train mode, on {given}: {describe(error)}{_hint_of_call(error)}"
        ) from None


def _ensure_walks(where: str, net: nn.Module) -> None:
    """See that a module walks what it holds as any does: no rule could tell whose the error is."""
    for name, kind in {"modules": nn.Module, "parameters": torch.Tensor, "buffers": torch.Tensor}.items():
        for walk in (name, f"named_{name}"):
            try:
                for found in getattr(net, walk)():
                    value = found if walk == name else found[1]
                    if not isinstance(value, kind):
                        raise UsageError(
                            f"{where}: its {walk}() gives {kind_of(value)}; a {kind.__name__} was wanted"
                        )
            except (KeyboardInterrupt, OutOfTime, UsageError):
                raise
            except BaseException as error:
                raise UsageError(f"{where}: its {walk}() raises: {describe(error)}") from None


def _ensure_state(where: str, net: nn.Module) -> None:
    """See that a state dict is one, where there is any: what keeps one from being made is for the rules."""
    try:
        state = net.state_dict()
    except (KeyboardInterrupt, OutOfTime):
        raise
    except BaseException:
        return
    if not isinstance(state, Mapping):
        raise UsageError(f"{where}: its state_dict() gives {kind_of(state)}; a dict was wanted")


#: What torch says where there is no GPU.
_WITHOUT_A_GPU = ("not compiled with CUDA", "no NVIDIA driver", "No CUDA GPUs are available")


def _hint_of_call(error: BaseException) -> str:
    """What to do about a call that cannot be made here."""
    return _hint(error) if any(words in text_of(error) for words in _WITHOUT_A_GPU) else ""


def _hint(error: BaseException) -> str:
    """What to do where not even the first line of the user's own code was reached, or is short of a word."""
    frames = traceback.extract_tb(error.__traceback__)
    text = text_of(error)
    if "before Module.__init__() call" in text:
        return "\n  call super().__init__() first of all in __init__"
    if any(words in text for words in _WITHOUT_A_GPU):
        return (
            "\n  it asks for a GPU: leave the device to who calls .to(), and in forward write .to(x.device) "
            "for .cuda()"
        )
    if own_frames(frames):
        return ""
    if isinstance(error, RecursionError):
        return (
            "\n  torch walks all parts, and found them nested without end, for a module is part of one of "
            "its own parts, or too deeply; give the part what it needs when it is called, or keep the whole "
            "in a tuple"
        )
    if "can only concatenate str" in text:
        return "\n  a name under which the module keeps a part is no text; name every part by a text"
    if "object is not iterable" in text and frames[-1].filename == tensors.__code__.co_filename:
        return "\n  torch walks all parts, and its named_modules() gives none; let it yield pairs"
    if "abstract class" in text:
        return "\n  it cannot be built itself; name a class that has all these methods"
    if "unhashable type" in text:
        return (
            "\n  a class with an __eq__ of its own has no __hash__, and torch keeps modules in sets; write "
            "__hash__ = torch.nn.Module.__hash__ in it"
        )
    if isinstance(error, TypeError) and Path(frames[-1].filename) == Path(__file__):
        return (
            "\n  give its arguments, as in 'package.module:Net(10, bias=False)', "
            "or name a function that builds it"
        )
    return ""

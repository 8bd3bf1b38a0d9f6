"""Other answers of the functions that a clause calls: what they return, or do, is changed a little."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import GeneratorType
from typing import Any

import torch
from torch import nn

#: Modules whose functions are what a clause is about; the rest of Python only looks or prepares.
SUBJECTS = ("torch", "torchvision", "copy", "pickle", "_pickle")
#: Of these, what only looks, compares or prepares.
ONLOOKERS = ("torch.testing", "torch.random", "torch.torch_version", "torch._utils", "torch.types")

#: What is asked of a tensor that changes it, or makes another of it; the rest looks or computes.
OF_TENSORS = frozenset(
    {"backward", "bfloat16", "clone", "copy_", "cpu", "cuda", "detach", "detach_", "double", "float", "half"}
    | {"register_hook", "register_post_accumulate_grad_hook", "requires_grad_", "retain_grad", "set_"}
    | {"share_memory_", "to", "type"}
)

#: The call is left out, or made twice.
NOT_DONE, TWICE = "not done", "done twice"
OTHER_WORDS = "another message"

Change = tuple[int, str]


class NotApplicable(BaseException):
    """A change that cannot be made; nothing follows from the run."""


class Answers:
    """What the calls of a clause answer.

    Attributes:
        change: number of a call and what is changed there; none leaves all as it is.
        possible: the changes that the calls of the last run offer.
    """

    def __init__(self) -> None:
        self.change: Change | None = None
        self.possible: dict[Change, None] = {}

    @property
    def is_strange(self) -> bool:
        """Whether an answer is changed to one that the clause may not be able to work with."""
        return self.change is not None and self.change[1] not in (NOT_DONE, TWICE, OTHER_WORDS)

    def error_of_block(self, number: int, error: BaseException | None) -> BaseException | None:
        """The error with which a block ends where one is expected: with other words, if that is asked for."""
        if isinstance(error, Exception) and self.has_other_words(number):
            with contextlib.suppress(TypeError):
                return type(error)("changed")
        return error

    def has_other_words(self, number: int) -> bool:
        """Whether the error or warning that is expected by this assertion is to have other words."""
        change = (-1 - number, OTHER_WORDS)
        self.possible[change] = None
        return self.change == change

    def does(self, number: int) -> bool:
        """Whether an assignment or deletion is carried out."""
        self.possible[number, NOT_DONE] = None
        return self.change != (number, NOT_DONE)

    def call(self, number: int, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function, changed or not."""
        if self.change is not None and self.change[0] == number:
            return _changed(self.change[1], function, args, kwargs)
        if self.change is not None or not _is_subject(function):
            return function(*args, **kwargs)
        try:
            answer = function(*args, **kwargs)
        except Exception:
            self._offer(number, (NOT_DONE, OTHER_WORDS))
            raise
        self._offer(number, (NOT_DONE, TWICE, *SPOILING))
        self._offer(number, [name for name, (kind, _) in OTHERS.items() if isinstance(answer, kind)])
        return answer

    def _offer(self, number: int, changes: Iterable[str]) -> None:
        self.possible.update(((number, change), None) for change in changes)


def _is_subject(function: Any) -> bool:
    receiver = _receiver(function)
    name = getattr(function, "__name__", "")
    if isinstance(function, nn.Module):
        return True
    if isinstance(receiver, torch.Tensor):
        return name in OF_TENSORS
    module = str(getattr(function, "__module__", None) or type(receiver).__module__)
    kind = type(receiver) if receiver is not None and not inspect.ismodule(receiver) else function
    if isinstance(kind, type):
        modules = {base.__module__.partition(".")[0] for base in kind.__mro__}
        return "torch" in modules and not issubclass(
            kind, (torch.Size, torch.dtype, torch.device, torch.Generator)
        )
    computes = module == "torch" and inspect.isbuiltin(function)
    return module.partition(".")[0] in SUBJECTS and not module.startswith(ONLOOKERS) and not computes


def _receiver(function: Any) -> Any:
    receiver = getattr(function, "__self__", None)
    return None if isinstance(receiver, type) or inspect.ismodule(receiver) else receiver


def _changed(change: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if change == NOT_DONE:
        return _nothing(function, args)
    if change == OTHER_WORDS:
        try:
            function(*args, **kwargs)
        except Exception as error:
            with contextlib.suppress(TypeError):
                error = type(error)("changed")
            raise error from None
        raise NotApplicable
    if change == TWICE:
        function(*args, **kwargs)
        return function(*args, **kwargs)
    answer = function(*args, **kwargs)
    try:
        if change in SPOILING:
            for thing in _things((*args, *kwargs.values(), _receiver(function), answer)):
                SPOILING[change](thing)
            return answer
        return OTHERS[change][1](answer, (*args, *kwargs.values(), _receiver(function)))
    except Exception:
        raise NotApplicable from None


def _nothing(function: Any, args: tuple[Any, ...]) -> Any:
    """What a call that is left out gives: a method's receiver, what a function was given, an idle context."""
    if isinstance(function, type) and hasattr(function, "__enter__"):
        return contextlib.nullcontext()
    receiver = _receiver(function)
    if isinstance(function, nn.Module) or receiver is None:
        return args[0] if args else None
    return receiver


def _things(given: Iterable[Any]) -> Iterator[Any]:
    """What can be spoilt: tensors, modules with all below them, dicts, lists and sets with what they hold."""
    for value in given:
        if isinstance(value, nn.Module):
            yield from list(value.modules())
        elif isinstance(value, (torch.Tensor, dict, list, set)):
            yield value
        if isinstance(value, (list, tuple)):
            yield from _things(value)
        elif isinstance(value, Mapping):
            yield from _things(value.values())


def _change_values(thing: Any) -> None:
    tensors = [*thing.parameters(False), *thing.buffers(False)] if isinstance(thing, nn.Module) else [thing]
    for tensor in tensors:
        if isinstance(tensor, torch.Tensor) and not tensor.is_meta:
            tensor.data.add_(1)


def _flip_flags(thing: Any) -> None:
    if isinstance(thing, nn.Module):
        thing.training = not thing.training
        for parameter in thing.parameters(False):
            parameter.requires_grad = not parameter.requires_grad
    elif isinstance(thing, torch.Tensor) and thing.is_leaf:
        thing.requires_grad = not thing.requires_grad


def _take_away(thing: Any) -> None:
    stores = [thing._parameters, thing._buffers, thing._modules] if isinstance(thing, nn.Module) else [thing]
    for store in stores:
        if isinstance(store, dict) and store:
            store.popitem()
        elif isinstance(store, (list, set)) and store:
            store.pop()
    if isinstance(thing, torch.Tensor):
        thing.grad = None


def _add(thing: Any) -> None:
    if isinstance(thing, nn.Module):
        thing.register_parameter("another_parameter", nn.Parameter(torch.ones(1)))
        thing.register_buffer("another_buffer", torch.ones(1))
        thing._modules["another_module"] = nn.Identity()
        thing.__dict__["another_attribute"] = 1
    elif isinstance(thing, dict):
        thing["another"] = torch.ones(1)
    elif isinstance(thing, list):
        thing.append(torch.ones(1))
    elif isinstance(thing, set):
        thing.add("another")
    elif isinstance(thing, torch.Tensor) and thing.is_leaf:
        thing.grad = torch.ones_like(thing)


#: The call is made, and what it was given, what it is a method of and what it returns is changed as well.
SPOILING: dict[str, Callable[[Any], None]] = {
    "changes values": _change_values,
    "flips flags": _flip_flags,
    "takes something away": _take_away,
    "adds something": _add,
}


def _input(answer: Any, given: tuple[Any, ...]) -> Any:
    """The first thing given that could have been the answer but is not."""
    for value in given:
        if value is not answer and isinstance(value, type(answer)):
            return value
    raise NotApplicable


def _other_order(answer: Any) -> Any:
    if isinstance(answer, Mapping):
        return type(answer)(reversed(list(answer.items())))  # type: ignore[call-arg]
    entries = list(answer)[::-1]
    return iter(entries) if isinstance(answer, Iterator) else type(answer)(entries)


def _fewer(answer: Any) -> Any:
    if isinstance(answer, Mapping):
        return type(answer)(list(answer.items())[:-1])  # type: ignore[call-arg]
    entries = list(answer)[:-1]
    return iter(entries) if isinstance(answer, Iterator) else type(answer)(entries)


_MANY = (list, tuple, set, dict, GeneratorType)

#: What else an answer could be: the answers of which there is such another one, and the other one.
OTHERS: dict[str, tuple[Any, Callable[[Any, tuple[Any, ...]], Any]]] = {
    "a zero": (torch.Tensor, lambda answer, given: answer * 0),
    "one more": (torch.Tensor, lambda answer, given: answer + 1),
    "its input": (object, _input),
    "another type": (object, lambda answer, given: _other_type(answer)),
    "another object": (object, lambda answer, given: object()),
    "a copy": (object, lambda answer, given: _copied(answer)),
    "a wrong order of rows": (torch.Tensor, lambda answer, given: answer.flip(0)),
    "another dtype": (
        torch.Tensor,
        lambda answer, given: answer.to(torch.float64 if answer.dtype != torch.float64 else torch.float32),
    ),
    "another shape": (torch.Tensor, lambda answer, given: answer.unsqueeze(0)),
    "a wrong order": (_MANY, lambda answer, given: _other_order(answer)),
    "one fewer": (_MANY, lambda answer, given: _fewer(answer)),
    "a list": (GeneratorType, lambda answer, given: list(answer)),
    "the opposite": (bool, lambda answer, given: not answer),
    "a number more": (int | float, lambda answer, given: answer + 1),
    "a text more": (str, lambda answer, given: f"{answer}x"),
    "None": ((torch.Tensor, bool, int, float, str, *_MANY), lambda answer, given: None),
    "something": (type(None), lambda answer, given: 7),
}


def _copied(answer: Any) -> Any:
    if isinstance(answer, torch.Tensor):
        return answer.detach().clone()
    if isinstance(answer, (bool, int, float, str, type(None), type)):
        raise NotApplicable
    return copy.copy(answer)


def _other_type(answer: Any) -> Any:
    other = copy.copy(answer)
    other.__class__ = type("Other", (type(answer),), {})
    return other

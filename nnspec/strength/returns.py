"""Other answers of the functions that a clause calls: what they return, or do, is changed a little."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import operator
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import GeneratorType
from typing import Any

import torch
from torch import nn

from nnspec.strength.spoiling import SPOILING, things_in

#: Modules whose functions are what a clause is about; the rest of Python only looks or prepares.
SUBJECTS = ("torch", "torchvision", "copy", "pickle", "_pickle")
#: Of these, what only looks, compares or prepares.
ONLOOKERS = ("torch.testing", "torch.random", "torch.torch_version", "torch._utils", "torch.types")

#: What changes a tensor or makes another, beside names with an underscore at the end; the rest only looks.
OF_TENSORS = frozenset(
    {"backward", "bfloat16", "clone", "cpu", "cuda", "detach", "double", "float", "half", "materialize"}
    | {"register_hook", "register_post_accumulate_grad_hook", "retain_grad", "to", "type"}
)

#: What of Python asks a module that it is given.
OF_MODULES = (delattr, dict, dir, getattr, hasattr, iter, len, list, repr, reversed, setattr, str)
#: What operators call, by their names in Python's grammar.
OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": operator.add,
    "Add in place": operator.iadd,
    "Mult": operator.mul,
    "Mult in place": operator.imul,
    "BitOr": operator.or_,
    "BitOr in place": operator.ior,
    "GetItem": operator.getitem,
    "GetAttr": getattr,
}

#: The call is left out, made twice, keeps what it is given, answers as a call before it, warns, draws.
NOT_DONE, TWICE, KEEPS = "not done", "done twice", "keeps all it is given"
EARLIER, WARNS, DRAWS = "an earlier answer", "warns", "draws a number"
OTHER_WORDS = "another message"

Change = tuple[int, str]


class NotApplicable(BaseException):
    """A change that cannot be made; nothing follows from the run."""


class AnyWarning(UserWarning, FutureWarning, DeprecationWarning):
    """Of every kind that torch gives."""


class Answers:
    """What the calls of a clause answer.

    Attributes:
        change: number of a call and what is changed there; none leaves all as it is.
        possible: the changes that the calls of the last run offer.
        remote: the numbers of the calls of that run that only look or compute; they are changed last.
    """

    def __init__(self) -> None:
        self.change: Change | None = None
        self.possible: dict[Change, None] = {}
        self.remote: set[int] = set()
        self.kept: list[Any] = []
        self.given: list[Any] = []

    def begin(self, change: Change | None) -> None:
        """Before a run: what is to be changed in it."""
        self.change = change
        self.kept.clear()
        self.given.clear()
        if change is None:
            self.possible, self.remote = {}, set()

    @property
    def is_strange(self) -> bool:
        """Whether an answer is changed to one that the clause may not be able to work with."""
        return self.change is not None and self.change[1] not in (NOT_DONE, TWICE, OTHER_WORDS)

    def error_of_block(self, number: int, error: BaseException | None) -> BaseException | None:
        """The error with which a block ends where one is expected: with other words, if that is asked for."""
        if error is not None and self.has_other_words(number):
            return _in_other_words(error)
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
        is_subject = _is_subject(function, args)
        if not is_subject and _is_remote(function, args):
            self.remote.add(number)
            is_subject = True
        return self._answer(number, is_subject, function, args, kwargs)

    def fixture(self, number: int, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call what the clause is given to let torch do something, as the ranks are."""
        return self._answer(number, True, function, args, kwargs)

    def operator(self, number: int, name: str, left: Any, right: Any) -> Any:
        """Call what an operator stands for."""
        if name == "GetAttr":
            self.remote.add(number)
        return self.call(number, OPERATORS[name], left, right)

    def _answer(
        self, number: int, is_subject: bool, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if self.change is not None and self.change[0] == number:
            if self.change[1] == KEEPS:
                self.kept += [args, kwargs]
                return function(*args, **kwargs)
            if self.change[1] == EARLIER:
                answer = function(*args, **kwargs)
                return next((given for given in reversed(self.given) if type(given) is type(answer)), answer)
            return _changed(self.change[1], function, args, kwargs)
        if self.change is not None or not is_subject:
            answer = function(*args, **kwargs)
            if self.change is not None and self.change[1] == EARLIER:
                self.given.append(answer)
            return answer
        try:
            answer = function(*args, **kwargs)
        except Exception:
            self._offer(number, (NOT_DONE, OTHER_WORDS, *SPOILING))
            raise
        self._offer(number, (NOT_DONE, TWICE))
        self._offer(number, [name for name, (kind, _) in OTHERS.items() if isinstance(answer, kind)])
        if isinstance(answer, (list, tuple, dict, GeneratorType)):
            self._offer(number, INSIDE)
        self._offer(number, (KEEPS, EARLIER, WARNS, DRAWS, *SPOILING))
        if any(map(_is_function, (*args, *kwargs.values()))):
            self._offer(number, HANDED)
        return answer

    def _offer(self, number: int, changes: Iterable[str]) -> None:
        self.possible.update(((number, change), None) for change in changes)


def _is_subject(function: Any, args: tuple[Any, ...]) -> bool:
    """Whether a call is of what the clause is about."""
    receiver = _receiver(function)
    name = getattr(function, "__name__", "")
    if isinstance(function, nn.Module):
        return True
    module = _module_of(function)
    if module == "_operator" or any(function is asks for asks in OF_MODULES):
        return any(isinstance(arg, nn.Module) for arg in args)
    if isinstance(receiver, torch.Tensor):
        return name in OF_TENSORS or name.endswith("_")
    kind = type(receiver) if receiver is not None and not inspect.ismodule(receiver) else function
    if isinstance(kind, type):
        modules = {base.__module__.partition(".")[0] for base in kind.__mro__}
        return "torch" in modules and not issubclass(
            kind, (torch.Size, torch.dtype, torch.device, torch.Generator)
        )
    computes = module == "torch" and inspect.isbuiltin(function)
    return module.partition(".")[0] in SUBJECTS and not module.startswith(ONLOOKERS) and not computes


def _is_remote(function: Any, args: tuple[Any, ...]) -> bool:
    """Whether a call is of torch all the same: it computes, or asks about something of torch's."""
    if isinstance(_receiver(function), torch.Tensor) or function is inspect.signature:
        return True
    if any(function is asks for asks in OF_MODULES):
        return any(map(_is_of_torch, args))
    module = _module_of(function)
    return module.partition(".")[0] == "torch" and not module.startswith(ONLOOKERS)


def _is_of_torch(value: Any) -> bool:
    module = value.__name__ if isinstance(value, types.ModuleType) else type(value).__module__
    return isinstance(value, torch.Tensor) or str(module).partition(".")[0] == "torch"


def _module_of(function: Any) -> str:
    return str(getattr(function, "__module__", None) or type(_receiver(function)).__module__)


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
            raise _in_other_words(error) from None
        raise NotApplicable
    if change in HANDED:
        with_others = functools.partial(_with_others, change=HANDED[change])
        args = tuple(map(with_others, args))
        return function(*args, **{name: with_others(value) for name, value in kwargs.items()})
    given = (*args, *kwargs.values(), _receiver(function))
    try:
        answer = function(*args, **kwargs)
    except Exception:
        if change in SPOILING:
            _spoil(change, given, None)
        raise
    if change == TWICE:
        return function(*args, **kwargs)
    if change == WARNS:
        warnings.warn("changed", AnyWarning, stacklevel=1)
        return answer
    if change == DRAWS:
        torch.rand(1)
        return answer
    try:
        if change in SPOILING:
            _spoil(change, given, answer)
            return answer
        if change in INSIDE:
            return _inside(answer, *INSIDE[change])
        return OTHERS[change][1](answer, given)
    except Exception:
        raise NotApplicable from None


def _spoil(change: str, given: tuple[Any, ...], answer: Any) -> None:
    of, spoil = SPOILING[change]
    for thing in things_in(given if of == "given" else [answer]):
        spoil(thing)


def _in_other_words(error: BaseException) -> BaseException:
    """The error with another message, if it takes one."""
    kind = type(error)
    with contextlib.suppress(TypeError):
        return kind("changed")
    with contextlib.suppress(TypeError):
        error.__class__ = type(kind.__name__, (kind,), {"__str__": lambda self: "changed"})
    return error


def _is_function(value: Any) -> bool:
    return isinstance(value, (types.FunctionType, types.MethodType))


def _with_others(value: Any, change: Callable[[Any], Any]) -> Any:
    """A function that is handed other things, if it is one."""
    if not _is_function(value):
        return value

    @functools.wraps(value)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        named = {name: _in_tuples(change, given) for name, given in kwargs.items()}
        return value(*_in_tuples(change, args), **named)

    return wrapper


def _in_tuples(change: Callable[[Any], Any], value: Any) -> Any:
    """A value changed, or a tuple with all in it changed."""
    if type(value) is tuple:
        return tuple(_in_tuples(change, one) for one in value)
    return change(value)


#: What the functions that a call is given are handed instead.
HANDED: dict[str, Callable[[Any], Any]] = {
    "hands something for None": lambda value: torch.ones(1) if value is None else value,
    "hands other tensors": lambda value: value + 1 if isinstance(value, torch.Tensor) else value,
}


def _nothing(function: Any, args: tuple[Any, ...]) -> Any:
    """What a call that is left out gives: a method's receiver, what a function was given, an idle context."""
    if isinstance(function, type) and hasattr(function, "__enter__"):
        return contextlib.nullcontext()
    receiver = _receiver(function)
    if isinstance(function, nn.Module) or receiver is None:
        return args[0] if args else None
    return receiver


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
    "a leaf no more": (torch.Tensor, lambda answer, given: answer.detach().requires_grad_() * 1),
    "another shape": (torch.Tensor, lambda answer, given: answer.unsqueeze(0)),
    "a wrong order": (_MANY, lambda answer, given: _other_order(answer)),
    "one fewer": (_MANY, lambda answer, given: _fewer(answer)),
    "a list": (GeneratorType, lambda answer, given: list(answer)),
    "the opposite": (bool, lambda answer, given: not answer),
    "a number more": (int | float, lambda answer, given: answer + 1),
    "a text more": (str, lambda answer, given: f"{answer}x"),
    "None": ((torch.Tensor, bool, int, float, str, *_MANY), lambda answer, given: None),
    "something": (type(None), lambda answer, given: 7),
    "other defaults": (inspect.Signature, lambda answer, given: _other_defaults(answer)),
}


#: The same changes for what a list, tuple, dict or generator holds.
INSIDE = {
    f"inside: {name}": (kind, change)
    for name, (kind, change) in OTHERS.items()
    if name not in ("its input", "a wrong order", "one fewer")
}


def _inside(answer: Any, kind: Any, change: Callable[[Any, tuple[Any, ...]], Any]) -> Any:
    """What holds several things, with all changed that are of this kind, also in the lists that it holds.

    Raises:
        NotApplicable: there is nothing of this kind.
    """
    changed = 0

    def other(value: Any) -> Any:
        nonlocal changed
        if type(value) in (list, tuple):
            return type(value)(map(other, value))
        if isinstance(value, dict):
            return dict(zip(value, map(other, value.values()), strict=True))
        if not isinstance(value, kind):
            return value
        with contextlib.suppress(Exception, NotApplicable):
            value = change(value, ())
            changed += 1
        return value

    found: Any
    if isinstance(answer, GeneratorType):
        found = iter([other(value) for value in answer])
    elif isinstance(answer, dict):
        found = copy.copy(answer)
        found.update({name: other(value) for name, value in answer.items()})
    else:
        found = type(answer)(map(other, answer))
    if not changed:
        raise NotApplicable
    return found


def _other_defaults(answer: inspect.Signature) -> inspect.Signature:
    parameters = [
        value if value.default is value.empty else value.replace(default="another")
        for value in answer.parameters.values()
    ]
    return answer.replace(parameters=parameters)


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

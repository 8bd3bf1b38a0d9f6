"""Which names of the API a written change speaks of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from nnspec.clauses.clause import API_ROLES, references_in
from nnspec.clauses.specification import Specification
from nnspec.clauses.tables import Change

_CODE = re.compile(r"`+([^`]+)`+")
_ROLE = re.compile(r":[\w:]+:`[^`]*`")

#: What is handed to a call, but for calls within.
_ARGUMENTS = re.compile(r"(?<=\()[^()]+(?=\))")

#: A name in code that is no keyword argument, and whether it is called.
_NAME = re.compile(r"(?<![\w.])([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?![\w.]|\s*=(?!=))(\()?")

#: A word that is the name of a class also where it stands in a sentence, such as InstanceNorm.
_CLASS = re.compile(r"\b[A-Z]\w*[A-Z]\w*\b")

#: What an example has of torch.
_USED = re.compile(r"(?<![\w.])(?:torch|nn|F|optim)(?:\.[A-Za-z_]\w*)+")
_SHORT = {"nn": "torch.nn", "F": "torch.nn.functional", "optim": "torch.optim"}
_ALIASES = {"DDP": ("torch.nn.parallel.DistributedDataParallel",)}
_DIMENSIONS = re.compile(r"[123]d$")

#: What nearly every program has: that it is used says nothing.
_MODULES = {"torch", "torch.nn", "torch.nn.functional", "torch.optim"}
_CLASSES = {"torch.Tensor", "torch.nn.Module", "torch.nn.Parameter", "torch.nn.parameter.Parameter"}
_MEMBERS = {"__init__", "backward", "data", "eval", "forward", "grad", "step", "train"}
_VALUES = {
    f"torch.{name}"
    for name in ("bfloat16", "device", "finfo", "float16", "float32", "inf", "no_grad", "tensor")
}
_EVERYWHERE = _MODULES | _CLASSES | _VALUES

Known = dict[str, list[str]]


class Names:
    """The names of the API that the specification knows, by which the words of a change are understood."""

    def __init__(self, specification: Specification) -> None:
        self._clauses = specification.clauses
        clauses = self._clauses.values()
        texts = [chapter.docstring for chapter in specification.chapters] + [one.docstring for one in clauses]
        used = (_whole(name) for one in clauses for name in _USED.findall(one.body))
        self._known = _by_last(used) | _by_last(_linked(texts))

    def of(self, change: Change) -> list[str]:
        """The dotted names that a change speaks of, but those that nearly any program uses.

        Those that its text names. If it names none, those that the statements of its clauses do.
        """
        statements = [self._clauses[name].statement for name in change.clauses if name in self._clauses]
        linked = list(_linked(statements))
        own = _by_last(linked)
        said = [name for text in statements for name in _named(text, self._known | own)]
        plain = [name for name in said if not is_member(name) or _last(name).startswith("_")]
        for names in (_named(change.what, self._known | own), [*linked, *plain], said):
            if specific := [name for name in dict.fromkeys(names) if _is_specific(name)]:
                return specific
        return []


def is_member(name: str) -> bool:
    """Whether a dotted name is that of a method or an attribute of a class."""
    return _last(name.rpartition(".")[0])[:1].isupper()


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _whole(name: str) -> str:
    """A dotted name with what its first piece is short for."""
    first, dot, rest = name.partition(".")
    return _SHORT.get(first, first) + dot + rest


def _is_specific(name: str) -> bool:
    return name not in _EVERYWHERE and not (is_member(name) and _last(name) in _MEMBERS)


def _linked(texts: Iterable[str]) -> Iterator[str]:
    """What texts link to, of the API."""
    for text in texts:
        yield from (one.target for one in references_in(text) if one.role in API_ROLES)


def _by_last(names: Iterable[str]) -> Known:
    """Dotted names by what stands behind their last dot, a class of several dimensions also without them."""
    found: Known = {}
    for name in dict.fromkeys(names):
        last = _last(name)
        found.setdefault(last, []).append(name)
        if last[:1].isupper() and _DIMENSIONS.search(last):
            found.setdefault(_DIMENSIONS.sub("", last), []).append(name)
    return found


def _named(text: str, known: Known) -> Iterator[str]:
    """What a text names without a link: in its code, and as the names of classes."""
    bare = _ROLE.sub(" ", text)
    for code in _CODE.findall(bare):
        for name, called in _NAME.findall(_ARGUMENTS.sub("", code)):
            yield from _resolved(name, known, is_called=bool(called))
    for name in _CLASS.findall(_CODE.sub(" ", bare)):
        yield from _resolved(name, known)


def _resolved(name: str, known: Known, *, is_called: bool = False) -> Iterable[str]:
    """The dotted names that a name may stand for; a mere word such as ``copy`` is none."""
    first, dot, _ = name.partition(".")
    if first in ("torch", *_SHORT):
        return [_whole(name)] if dot else []
    if name in _ALIASES:
        return _ALIASES[name]
    found = known.get(_last(name), [])
    if dot:
        return [other for other in found if other.endswith(f".{name}")] or found
    if name.startswith("_"):
        return found or [f"torch.nn.Module.{name}"]
    is_name = is_called or not name.islower() or "_" in name or not all(map(is_member, found))
    return found if is_name else []

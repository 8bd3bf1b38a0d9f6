"""An object by its name, as in ``package.module:name``, and what is told of an error that it raises."""

from __future__ import annotations

import difflib
import importlib
import linecache
import os
import re
import sysconfig
import traceback
from pathlib import Path

import torch

_NAME = re.compile(r"(?P<path>[^\W\d]\w*(\.[^\W\d]\w*)*)(:(?P<name>[^\W\d]\w*(\.[^\W\d]\w*)*))?")
_NNSPEC, _TORCH = Path(__file__).parent, Path(torch.__file__).parent
_PYTHON = Path(sysconfig.get_path("stdlib"))


class SubjectError(Exception):
    """A module cannot be put under the contract; the message has the module's own error, if it raised one."""


def find(name: str, option: str) -> object:
    """The object that ``package.module:name`` or ``package.module.name`` names.

    Args:
        name: the name.
        option: the option that it was given with, for messages.

    Raises:
        SubjectError: the name is malformed, names nothing, or its module raises when it is imported.
    """
    where = f"{option} {name}"
    if name.partition(":")[0].endswith(".py") or "/" in name or "\\" in name:
        raise SubjectError(
            f"{where}: is a file; name its module as Python imports it from the current folder, "
            "such as package.module:name"
        )
    match = _NAME.fullmatch(name)
    if not match or not (match["name"] or "." in match["path"]):
        raise SubjectError(f"{where}: is no name of the form package.module:name")
    parts = match["path"].split(".")
    shortest = len(parts) if match["name"] else 1
    for end in range(len(parts) if match["name"] else len(parts) - 1, shortest - 1, -1):
        found = _imported(".".join(parts[:end]), where)
        if found is not None:
            return _attribute(found, [*parts[end:], *(match["name"] or "").split(".")], where)
    raise SubjectError(
        f"{where}: there is no module {'.'.join(parts[:shortest])!r}; it was looked for in {os.getcwd()} "
        "and among the installed packages"
    )


def _imported(path: str, where: str) -> object | None:
    """The module of this path, or None if there is none."""
    try:
        return importlib.import_module(path)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{path}.".startswith(f"{missing}."):
            return None
        raise SubjectError(f"{where}: raised when imported: {told(error)}") from None


def _attribute(owner: object, names: list[str], where: str) -> object:
    for name in filter(None, names):
        if not hasattr(owner, name):
            near = difflib.get_close_matches(name, dir(owner), 3)
            meant = f"; did you mean {' or '.join(near)}?" if near else ""
            raise SubjectError(f"{where}: {getattr(owner, '__name__', 'it')} has no {name!r}{meant}")
        owner = getattr(owner, name)
    return owner


def told(error: BaseException) -> str:
    """An error as its author needs it: type, text, and the last line of their own code on its way."""
    place = _place(error)
    return f"{type(error).__name__}: {error}" + (f"\n  {place}" if place else "")


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        line = linecache.getline(error.filename, error.lineno or 0).strip()
        return f"{_relative(error.filename)}:{error.lineno}: {line}"
    frames = places(error)
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    if not own:
        return ""
    return f"{_relative(own[-1].filename)}:{own[-1].lineno}, in {own[-1].name}: {own[-1].line}"


def places(error: BaseException) -> list[traceback.FrameSummary]:
    """Where an error passed through code that is neither the specification's nor torch's nor Python's."""
    return [frame for frame in traceback.extract_tb(error.__traceback__) if _is_foreign(Path(frame.filename))]


def _is_foreign(path: Path) -> bool:
    if not path.is_absolute() or _NNSPEC in path.parents or _TORCH in path.parents:
        return False
    if path.parts[-3:-2] == ("spec",) or {"_pytest", "pluggy"} & set(path.parts):
        return False
    return "site-packages" in path.parts or _PYTHON not in path.parents


def _relative(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if Path.cwd() in path.parents else filename


def kind(found: object) -> str:
    """What an object is, for messages: ``None``, ``an int``, ``a Linear``."""
    name = type(found).__name__
    return "None" if found is None else f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"

"""An object by its name, as in ``package.module:name`` or ``package.module.name``."""

from __future__ import annotations

import difflib
import importlib
import os
import pkgutil
import traceback
from types import ModuleType

from nnspec.contract.wording import describe, own_frames
from nnspec.errors import UsageError, shortened


def find_object(name: str, option: str) -> object:
    """The object of a name.

    Args:
        name: as Python imports it from the current folder, with a colon before what is in the module or not.
        option: the option that it was given with, for messages; empty if it was none.

    Raises:
        UsageError: the name is malformed, names nothing, or its module raises when it is imported.
    """
    where = f"{option} {shortened(name)}".strip()
    if name.partition(":")[0].endswith(".py") or "/" in name or "\\" in name:
        raise UsageError(
            f"{where}: is a file; name its module as Python imports it from the current folder, "
            "such as package.module:name"
        )
    try:
        named = pkgutil.resolve_name(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UsageError(f"{where}: {_why_not(name, error)}") from None
    if isinstance(named, ModuleType):
        raise UsageError(f"{where}: is a Python module; name what is in it, as in package.module:name")
    return named


def _why_not(name: str, error: BaseException) -> str:
    """What keeps a name from leading to an object, from the error that ``resolve_name`` raised."""
    is_the_users = bool(own_frames(traceback.extract_tb(error.__traceback__)))
    if isinstance(error, ValueError) and not is_the_users:
        return "is no name of the form package.module:name"
    if isinstance(error, AttributeError) and not is_the_users:
        owner, missing = getattr(error.obj, "__name__", "it"), str(error.name)
        if isinstance(error.obj, ModuleType) and (hidden := _import_error(f"{owner}.{missing}")):
            return _why_not(name, hidden)
        near = difflib.get_close_matches(missing, dir(error.obj), 3)
        return f"{owner} has no {missing!r}" + (f"; did you mean {' or '.join(near)}?" if near else "")
    path = name.partition(":")[0]
    if isinstance(error, ModuleNotFoundError) and error.name and f"{path}.".startswith(f"{error.name}."):
        return (
            f"there is no module '{shortened(error.name)}'; it was looked for in {os.getcwd()} and among the "
            "installed packages"
        )
    return f"raised when imported: {describe(error)}"


def _import_error(path: str) -> Exception | None:
    """Why a module that is there cannot be imported: ``resolve_name`` takes it for an attribute then."""
    try:
        importlib.import_module(path)
    except ModuleNotFoundError as error:
        return None if f"{path}.".startswith(f"{error.name}.") else error
    except ImportError as error:
        return error
    return None

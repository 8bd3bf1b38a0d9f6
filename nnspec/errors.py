"""The errors that a person can mend."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator
from types import TracebackType

#: As in pyproject.toml.
OLDEST_PYTHON = (3, 10)

#: What stands between this project and a library that it imports.
_BETWEEN = (
    "_frozen_importlib",
    "_frozen_importlib_external",
    "_pytest",
    "contextlib",
    "importlib",
    "nnspec",
    "pkgutil",
)


class NnspecError(Exception):
    """Something that was given cannot be used; the message says where, what was expected and what to do."""


class UsageError(NnspecError):
    """A command cannot be carried out as it was given."""


class FileError(NnspecError):
    """A file cannot be read or written; the message names the file, the place and the remedy."""


@contextlib.contextmanager
def importing() -> Generator[None, None, None]:
    """Say in a line what a library raises when it is imported, such as a torch beside another CUDA.

    Raises:
        UsageError: a library cannot be imported.
    """
    try:
        yield
    except NnspecError:
        raise
    except Exception as error:
        named = getattr(error, "name", None) if isinstance(error, ImportError) else None
        library = _raised_by(error.__traceback__) or str(named or "").partition(".")[0]
        if not library or library in _BETWEEN:
            raise
        if isinstance(error, ModuleNotFoundError) and named:
            raise UsageError(lacking(str(named))) from error
        what = shortened(" ".join(f"{type(error).__name__}: {error}".split()), 300)
        raise UsageError(
            f"{library} cannot be imported: {what}; see that this works: python -c 'import {library}'"
        ) from error


def lacking(name: str) -> str:
    """What to do where a library, or a part of one, is not there.

    Args:
        name: the module that was not found.
    """
    library, _, part = name.partition(".")
    place = getattr(sys.modules.get(library), "__file__", None)
    if part and place:
        return (
            f"{place}: has no {name}, and this needs it; if the file is yours, give it another name than "
            f"{library}, else: pip install --upgrade {library}"
        )
    return f"{library} is not installed, and this needs it: pip install {library}"


def _raised_by(trace: TracebackType | None) -> str:
    """The library that was imported: the first in a traceback that is not in between; empty for none."""
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if name not in _BETWEEN:
            return name
        trace = trace.tb_next
    return ""


def printable(text: str, keep: str = "") -> str:
    """A text whose every character can be shown, those to keep aside; others are escaped."""
    return "".join(one if one.isprintable() or one in keep else ascii(one)[1:-1] for one in text)


def shortened(text: str, most: int = 120) -> str:
    """A text, or its beginning and its end, in printable characters."""
    half = most // 2
    return printable(text if len(text) <= most else f"{text[:half]}...{text[-half:]}")


def ensure_python() -> None:
    """See that Python is not too old: pip would have refused it, but a checkout runs without pip.

    Raises:
        UsageError: it is.
    """
    if sys.version_info < OLDEST_PYTHON:
        found, oldest = (".".join(map(str, one[:2])) for one in (sys.version_info, OLDEST_PYTHON))
        raise UsageError(f"Python {found} is too old for this; run it with {oldest} or newer")


def ensure_folder() -> None:
    """See that there is a folder to work in; without one not even torch can be imported.

    Raises:
        UsageError: it was taken away.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UsageError("the folder that this was started in is gone; change into another one") from None

"""The errors that a person can mend."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from types import TracebackType

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
            raise UsageError(f"{named} is not installed, and this needs it: pip install {named}") from error
        what = shortened(" ".join(f"{type(error).__name__}: {error}".split()), 300)
        raise UsageError(
            f"{library} cannot be imported: {what}; see that this works: python -c 'import {library}'"
        ) from error


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


def ensure_folder() -> None:
    """See that there is a folder to work in; without one not even torch can be imported.

    Raises:
        UsageError: it was taken away.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UsageError("the folder that this was started in is gone; change into another one") from None

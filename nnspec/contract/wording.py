"""How messages and findings speak of errors, of names and of numbers."""

from __future__ import annotations

import linecache
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

import torch

import nnspec

#: How much of the text of an error goes into one line.
LONGEST_TEXT = 300

_HOME = Path(nnspec.__file__).parent
_HOMES = (_HOME, Path(torch.__file__).parent)
_PYTHON = Path(sysconfig.get_path("stdlib"))


def describe(error: BaseException) -> str:
    """An error as its author needs it: type, text, and the last line of their own code on its way."""
    line = _last_line(error)
    text = text_of(error) or "without a text"
    most = 10 * LONGEST_TEXT
    text = text if len(text) <= most else f"{text[:most]}..."
    return f"{type(error).__name__}: {text}" + (f"\n  {line}" if line else "")


def text_of(error: BaseException) -> str:
    """The text of an error of any class."""
    try:
        return str(error)
    except Exception:
        return "its text cannot be shown"


def _last_line(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        source = linecache.getline(error.filename, error.lineno or 0).strip()
        return f"{_relative(error.filename)}:{error.lineno}: {source}"
    foreign = own_frames(traceback.extract_tb(error.__traceback__))
    own = [frame for frame in foreign if "site-packages" not in frame.filename] or foreign
    if not own:
        return ""
    return f"{_relative(own[-1].filename)}:{own[-1].lineno}, in {own[-1].name}: {own[-1].line}"


def _relative(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if Path.cwd() in path.parents else filename


def brief(error: BaseException) -> str:
    """An error's type and the first line of its text, and where the module's own code raised it."""
    line = (text_of(error).strip() or "without a text").splitlines()[0].rstrip(".")
    text = line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]}..."
    return f"{type(error).__name__}: {text}{place(traceback.extract_tb(error.__traceback__))}"


def place(frames: Iterable[traceback.FrameSummary]) -> str:
    """The last line of the module's own code among the frames of a stack, empty if there is none."""
    own = own_frames(frames)
    return f" at {Path(own[-1].filename).name}:{own[-1].lineno}, `{own[-1].line}`" if own else ""


def own_frames(frames: Iterable[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    """The frames of a stack that are neither this package's nor torch's, pytest's or Python's own.

    What called this package is no code of the module's.
    """
    called = list(frames)
    first = next((place for place, frame in enumerate(called) if _HOME in Path(frame.filename).parents), 0)
    return [frame for frame in called[first:] if frame.line and _is_own(Path(frame.filename))]


def _is_own(path: Path) -> bool:
    if not path.is_absolute() or any(home in path.parents for home in _HOMES):
        return False
    if {"_pytest", "pluggy"} & set(path.parts):
        return False
    return bool({"site-packages", "dist-packages"} & set(path.parts)) or _PYTHON not in path.parents


def kind_of(value: object) -> str:
    """What an object is: ``None``, ``an int``, ``a Linear``."""
    name = type(value).__name__ or "object"
    return "None" if value is None else f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def count(number: int, name: str) -> str:
    """A number of things in words: ``1 module``, ``3 modules``."""
    return f"{number} {name}{'' if number == 1 else 's'}"


def times(number: int) -> str:
    """How often in words: ``once``, ``3 times``."""
    return "once" if number == 1 else "never" if number == 0 else f"{number} times"


def listed(names: Iterable[str], most: int = 6) -> str:
    """Names in a row, each marked as code, the last ones left out if there are many."""
    marked = [f"`{name}`" for name in names]
    more = f" and {len(marked) - most} more" if len(marked) > most else ""
    return ", ".join(marked[:most]) + more


def they(names: Iterable[str], singular: str, plural: str) -> str:
    """Names and a verb that goes with their number: ``they(["a", "b"], "is", "are")``."""
    known = list(names)
    return f"{listed(known)} {singular if len(known) == 1 else plural}"

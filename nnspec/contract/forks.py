"""What code of the user's forks does its own work and not that of the contract."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import nnspec

_PACKAGE = str(Path(nnspec.__file__).parent) + os.sep

#: How many are at work that judge a module here.
_at_work = [0]


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """Let a process that code of the user's forks end where it would come back to this package.

    Such a process has a copy of all that goes on here, and would judge the module as well: after ten calls
    that fork there would be a thousand. One that ends by itself, as those of multiprocessing do, is let be.
    """
    _at_work[0] += 1
    try:
        yield
    finally:
        _at_work[0] -= 1


def _watch() -> None:
    """Have a process that was just forked end at the next line of this package that it comes to."""
    frame: FrameType | None = sys._getframe(1)
    while frame and not frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    if not _at_work[0] or frame is None:
        return
    frame.f_trace = _end
    sys.settrace(lambda *_: None)


def _end(frame: FrameType, event: str, argument: Any) -> None:
    os._exit(0)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_watch)

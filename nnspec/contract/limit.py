"""A limit on the time that something may take."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from nnspec.errors import UsageError

Result = TypeVar("Result")

#: Seconds after which it is interrupted again, at least.
AGAIN = 1.0

#: How often somebody's code may keep the interruption to itself.
FORBEARANCE = 3

#: Seconds between two interruptions from then on: one of them will fall outside the ``try`` that keeps them.
HARRYING = 5e-5

OURS = str(Path(__file__).parents[1])


class OutOfTime(BaseException):
    """What was to be done took longer than it may; no ``except Exception`` of a module's keeps it."""


def within(seconds: float | None, function: Callable[[], Result]) -> Result:
    """What a function returns.

    It is interrupted between two lines of Python: one operation of torch is not, however long it takes, and
    no import is, for what was imported in part fails whoever comes next.

    Args:
        seconds: how long the function may take; None and 0 for as long as it likes.
        function: is called without arguments.

    Raises:
        OutOfTime: it took longer.
    """
    if not seconds:
        return function()
    rung = itertools.count()

    def ring(number: int, frame: Any) -> None:
        before = next(rung)
        if before == FORBEARANCE:
            signal.setitimer(signal.ITIMER_REAL, HARRYING, HARRYING)
        _interrupt(frame, is_harried=before >= FORBEARANCE)

    timer = signal.setitimer(signal.ITIMER_REAL, 0)
    kept = signal.signal(signal.SIGALRM, ring)
    try:
        try:  # it may ring before the next line; again and again, for a bare except may keep the first
            signal.setitimer(signal.ITIMER_REAL, seconds, max(seconds, AGAIN))
            return function()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # also where it rang a moment before it was stopped
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, kept)


def _interrupt(frame: Any, *, is_harried: bool) -> None:
    if is_harried and frame.f_code.co_filename.startswith(OURS):
        return  # it is on its way out already, and puts back what it found
    while frame:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return  # it rings again
        frame = frame.f_back
    raise OutOfTime


def ensure_limit(what: str, seconds: float | None) -> None:
    """See that something is a number of seconds, and that they can be limited.

    Raises:
        UsageError: it is not, or they cannot; the message begins with ``what``.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float | None):
        raise UsageError(f"{what}={seconds!r}: is no number of seconds to wait for")
    if not seconds:
        return
    if not 0 < seconds < 10**6:
        is_huge = isinstance(seconds, int) and abs(seconds) > 1e300
        shown = "of hundreds of digits" if is_huge else f"{seconds:g}"
        raise UsageError(f"{what} {shown}: is no number of seconds to wait for")
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        raise UsageError(f"{what} {seconds:g}: time is limited in the main thread, on Linux and macOS, only")

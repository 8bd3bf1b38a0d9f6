"""How a process ends that somebody's code has run in."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Collection, Iterator
from typing import NoReturn

#: How many seconds threads that were left may take to end, once everything else has.
PATIENCE = 5.0


@contextlib.contextmanager
def no_way_out() -> Iterator[None]:
    """Let no code of somebody's end this process at once and with any exit code; what it forks may end."""
    end, here = os._exit, os.getpid()

    def refuse(status: int) -> NoReturn:
        if os.getpid() != here:
            end(status)
        raise SystemExit(f"os._exit({status})")

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = end


def ends_despite_threads(before: Collection[threading.Thread], code: int) -> None:
    """Let this process end, though a thread that was started in it may not.

    Python waits at its end for every thread that is no daemon, so that one of a module would keep a command
    whose report is long out.

    Args:
        before: the threads that there were; nothing is done where only they are left.
        code: the exit code that the process would have.
    """
    if any(not thread.daemon for thread in set(threading.enumerate()).difference(before)):
        threading.Thread(target=_leave, args=(code,), daemon=True).start()


def _leave(code: int) -> None:
    threading.main_thread().join()  # it has ended when Python begins to wait for the others
    time.sleep(PATIENCE)
    os._exit(code)

"""How a process ends that somebody's code has run in."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection

#: How many seconds threads that were left may take to end, once everything else has.
PATIENCE = 5.0


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

"""Work that is done in a forked process and sent back, so that nothing it changes stays."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

CRASHED = "crashed"
TIMED_OUT = "timed out"

#: Memory that work may use beyond what the process had before it, in bytes.
MEMORY = 4 << 30


class Piece(NamedTuple):
    """Some work to do, a key that tells it from others, and how many seconds it may take."""

    key: Any
    work: Callable[[], Any]
    seconds: float


@dataclass
class Child:
    """A forked process.

    Attributes:
        pid: its process id.
        results: where it sends what it worked out.
        deadline: when it is ended, in seconds of the monotonic clock.
    """

    pid: int
    results: Connection
    deadline: float

    def end(self) -> None:
        """Stop it and forget it."""
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            self._reap()

    def _reap(self) -> int:
        self.results.close()
        return os.waitpid(self.pid, 0)[1]

    def receive(self) -> tuple[str, Any]:
        """What came of it: ``("", result)``, or :data:`CRASHED` or :data:`TIMED_OUT` with nothing."""
        result, failure = None, ""
        try:
            result = self.results.recv()
        except (EOFError, OSError):
            failure = CRASHED
        status = self._reap()
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF:
            failure = TIMED_OUT
        return failure, result


def start(work: Callable[[], Any], seconds: float) -> Child:
    """Fork a process that does some work.

    Args:
        work: what it does; what it returns is sent back.
        seconds: how long it may take.
    """
    receiver, sender = Pipe(duplex=False)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _do(work, sender, parent)
    sender.close()
    return Child(pid, receiver, time.monotonic() + seconds)


def _do(work: Callable[[], Any], sender: Connection, parent: int) -> NoReturn:
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        _silence()
        _limit_memory()
        result = work()
        if os.getppid() == parent:
            sender.send(result)
        status = 0
    finally:
        os._exit(status)


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)


def _limit_memory() -> None:
    """A change that makes a list grow for ever ends in a MemoryError."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def limit_next(seconds: float) -> None:
    """End this process when what it does next takes more processor time than that; 0 lifts the limit."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """An interrupt is held back until the end of the context: one that comes amid a fork would be lost."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def results_of(pieces: Iterable[Piece], jobs: int) -> Iterator[tuple[Any, str, Any]]:
    """Do pieces of work in forked processes, so many at a time.

    Args:
        pieces: what is to be done; each is asked for when its turn comes.
        jobs: how many processes there are at a time.

    Yields:
        key, failure and result of each piece, in the order in which they end.
    """
    waiting = iter(pieces)
    running: dict[Connection, tuple[Any, Child]] = {}
    try:
        while True:
            while len(running) < jobs and (piece := next(waiting, None)) is not None:
                with _without_interrupts():
                    child = start(piece.work, piece.seconds)
                    running[child.results] = piece.key, child
            if not running:
                return
            earliest = min(child.deadline for _, child in running.values())
            ready = wait(list(running), timeout=max(0.0, earliest - time.monotonic()))
            for results, (key, child) in list(running.items()):
                if results in ready:
                    failure, result = child.receive()
                elif time.monotonic() > child.deadline:
                    child.end()
                    failure, result = TIMED_OUT, None
                else:
                    continue
                del running[results]
                yield key, failure, result
    finally:
        for _, child in running.values():
            child.end()

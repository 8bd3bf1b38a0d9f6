"""Work that is done in a forked process and sent back, so that nothing it changes stays."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

CRASHED = "crashed"
TIMED_OUT = "timed out"

#: Memory that work may use beyond what the process had before it, in bytes.
MEMORY = 4 << 30


class Piece(NamedTuple):
    """Some work to do, a key that tells it from others, and how many seconds it may take.

    Work on an accelerator has no limit to its memory: the driver reserves addresses far beyond what it uses.
    """

    key: Any
    work: Callable[[], Any]
    seconds: float
    on_accelerator: bool = False


@dataclass(frozen=True)
class Child:
    """A forked process.

    Attributes:
        key: of the piece of work that it does.
        process: the process.
        results: where it sends what it worked out.
        deadline: when it is ended, in seconds of the monotonic clock.
    """

    key: Any
    process: BaseProcess
    results: Connection
    deadline: float

    def finish(self) -> tuple[str, Any]:
        """What came of it: ``("", result)``, or :data:`CRASHED` or :data:`TIMED_OUT` with nothing."""
        if not self.results.poll():
            self.end()
            return TIMED_OUT, None
        try:
            return "", self.results.recv()
        except (EOFError, OSError):
            pass
        finally:
            self.end()
        return TIMED_OUT if self.process.exitcode == -signal.SIGPROF else CRASHED, None

    def end(self) -> None:
        """Stop it, if it still runs; one that has ended keeps its exit code."""
        self.process.kill()
        self.process.join()
        self.results.close()


def _start(piece: Piece) -> Child:
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    process = fork.Process(target=_do, args=(piece, sender))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, about forking
        process.start()
    sender.close()
    return Child(piece.key, process, receiver, time.monotonic() + piece.seconds)


def _do(piece: Piece, sender: Connection) -> None:
    own = os.getpid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _silence()
    if not piece.on_accelerator:
        _limit_memory()
    try:
        result = piece.work()
        if os.getpid() == own:
            sender.send(result)
    finally:
        os._exit(0)  # what a clause left running is not waited for


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
    running: dict[Connection, Child] = {}
    try:
        while True:
            while len(running) < jobs and (piece := next(waiting, None)) is not None:
                with _without_interrupts():
                    child = _start(piece)
                    running[child.results] = child
            if not running:
                return
            earliest = min(child.deadline for child in running.values())
            ready = wait(list(running), timeout=max(0.0, earliest - time.monotonic()))
            for results, child in list(running.items()):
                if results in ready or time.monotonic() > child.deadline:
                    del running[results]
                    yield child.key, *child.finish()
    finally:
        for child in running.values():
            child.end()

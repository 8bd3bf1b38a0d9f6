"""How far a measurement is."""

from __future__ import annotations

import time
from typing import NamedTuple, TextIO


class Words(NamedTuple):
    """What is counted, in words: all of them, the good ones, the others."""

    all: str
    good: str
    others: str


class Progress:
    """Shows how far a measurement is: one line that is renewed on a terminal, else a line every 5 %.

    Args:
        stream: where it is shown.
        words: what is counted.
    """

    def __init__(self, stream: TextIO, words: Words) -> None:
        self.stream = stream
        self.words = words
        self.renews = stream.isatty()
        self.total = self.done = self.survivors = 0
        self.is_open = False
        self.started = time.monotonic()

    def begin(self, total: int, known: int = 0) -> None:
        """So many there are, and so many of them are known from an earlier time."""
        self.total = total - known
        self.say(f"{total} {self.words.all}" + (f", {known} of them known already" if known else ""))

    def say(self, line: str) -> None:
        """Show a line that stays; until the first change is done, time is counted from it."""
        self.end()
        print(line, file=self.stream, flush=True)
        if not self.done:
            self.started = time.monotonic()

    def advance(self, *, survived: bool) -> None:
        """One more change is tried."""
        self.done += 1
        self.survivors += survived
        if self.renews:
            self.stream.write(f"\r\x1b[2K{self._line()}")
            self.stream.flush()
            self.is_open = True
        elif 20 * self.done // self.total > 20 * (self.done - 1) // self.total:
            print(self._line(), file=self.stream, flush=True)

    def _line(self) -> str:
        seconds = (time.monotonic() - self.started) / self.done * (self.total - self.done)
        left = f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
        return (
            f"{self.done}/{self.total} {self.words.all}, {self.done - self.survivors} {self.words.good}, "
            f"{self.survivors} {self.words.others}, {left} left"
        )

    def end(self) -> None:
        """Close the line that is renewed."""
        if self.is_open:
            self.stream.write("\n")
            self.is_open = False

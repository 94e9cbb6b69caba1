"""How far something long is, on stderr: one line that changes on a terminal, else a line at each tenth."""

from __future__ import annotations

import sys
import time
from typing import TextIO


class Progress:
    def __init__(self, out: TextIO = sys.stderr) -> None:
        self._out = out
        self._began = time.monotonic()
        self._tenth: tuple[str, int] | None = None

    def say(self, what: str) -> None:
        """A step that does not tell how far it is."""
        self._write(what, "\n")

    def step(self, what: str, done: int, of: int) -> None:
        share = done / of
        if self._out.isatty():
            self._write(f"{what}: {share:.0%}", "\n" if done == of else "")
        elif self._tenth != (what, int(10 * share)):
            self._tenth = what, int(10 * share)
            self._write(f"{what}: {share:.0%}", "\n")

    def _write(self, what: str, end: str) -> None:
        start = "\r" if self._out.isatty() else ""
        print(f"{start}{time.monotonic() - self._began:6.0f} s  {what}  ", end=end, file=self._out, flush=True)

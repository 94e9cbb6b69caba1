"""What a person sees of `up`: one line per thing that became ready, with the time since the start, then what to do.

Plain text where the output is no terminal, so that a log of it reads the same. A terminal that was closed, or a pipe
that nobody reads any more, costs nothing but the lines.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from pathlib import Path
from typing import Any, TextIO, cast

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from controlplane.up.context import Lent
from controlplane.up.options import UpOptions


class Unminded:
    """A text stream whose errors nobody minds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


class Screen:
    """Lines of progress. Every method prints at once and raises nothing."""

    def __init__(self, stream: TextIO | None = None) -> None:
        unminded = cast("TextIO", Unminded(stream or sys.stdout))
        self._console = Console(file=unminded, highlight=False, soft_wrap=True)
        self._started = time.monotonic()
        self._status: Status | None = None

    def title(self, options: UpOptions) -> None:
        what = "a fleet on this machine" if options.demo else "control plane and broker"
        self._console.print(f"\n[bold]Longshore[/] · {what} · state in {escape(str(options.state))}\n")

    def doing(self, what: str) -> None:
        """What is being waited for; a spinner on a terminal, nothing in a log."""
        if not self._console.is_terminal:
            return
        if self._status is None:
            self._status = self._console.status("", spinner="dots")
            self._status.start()
        self._status.update(f"[dim]{escape(what)} …[/]")

    def quiet(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def done(self, what: str, detail: str = "") -> None:
        took = time.monotonic() - self._started
        self._console.print(f"  [green]✓[/] {what:<16} {escape(detail):<52} [dim]{took:5.1f} s[/]")

    def note(self, sentence: str) -> None:
        self._console.print(f"  [yellow]![/] {escape(sentence)}")

    def failed(self, sentence: str) -> None:
        self.quiet()
        self._console.print(f"\n[red bold]error:[/] {escape(sentence)}")

    def address(self, options: UpOptions, link: str, lent: Lent | None = None) -> None:
        """Where to go and what to try. `lent`: the context by which commands find it from any folder."""
        self.quiet()
        command = _command()
        self._console.print(f"\n  Open  [bold cyan]{escape(link)}[/]")
        self._console.print(
            "        [dim]signs you in once, within 15 minutes; plain HTTP that cannot leave this machine[/]"
        )
        if options.demo:
            self._console.print(f"\n  Try   {command} get nodes")
            self._console.print(
                f"        {command} node slow-down north-quay 300ms   [dim]the cloud node takes over[/]"
            )
            self._console.print(f"        {command} top")
        else:
            self._console.print(
                f"\n  Next  {command} token create   [dim]then on the box: longshore-agent join {options.url} …[/]"
            )
        if lent is not None:
            how = "from any folder" if lent.current else f"from elsewhere with --context {lent.name}"
            self._console.print(f"        [dim]commands find it {how}; it is context {lent.name} while this runs[/]")
        self._console.print("\n  Ctrl-C ends everything; started again, it goes on where it was.\n")

    def stopping(self) -> None:
        self.quiet()
        self._console.print("\n  stopping …")

    def stopped(self) -> None:
        self._console.print("  everything has ended; the state is kept\n")


def _command() -> str:
    """How the user reaches this very `longshore`."""
    beside = Path(sys.executable).with_name("longshore")
    if shutil.which("longshore") == str(beside) or not beside.exists():
        return "longshore"
    here = Path.cwd()
    return str(beside.relative_to(here)) if beside.is_relative_to(here) else str(beside)

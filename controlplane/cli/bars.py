"""Progress on a terminal: a bar per thing that is done. Elsewhere silence, or a line now and then for long things."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

Progress = Callable[[str, int, int | None], None]  # what is done, bytes done, of so many; None: nobody knows
Shares = Callable[[str, float], None]  # what is done, share of it that is
LINE_SECONDS = 10.0  # between lines, where there is no terminal


@contextmanager
def bars() -> Iterator[Progress]:
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:>24}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as shown:
        tasks: dict[str, int] = {}

        def show(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = shown.add_task(what, total=total)
            shown.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]  # rich's TaskID is an int

        yield show


class Lines:
    """Plain lines for logs: at most one in so many seconds, so that what is quick says nothing."""

    def __init__(self, say: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._now = now
        self._doing = ""
        self._began = self._said = now()

    def show(self, doing: str, share: float) -> None:
        now = self._now()
        if doing != self._doing:
            self._doing, self._began = doing, now
        if now - self._said >= LINE_SECONDS:
            self._said = now
            left = (now - self._began) * (1.0 / share - 1.0) if share > 0 else 0.0
            self._say(f"{doing}: {share:.0%}" + (f", {left:.0f} s left" if left > 0 else ""))


@contextmanager
def shares() -> Iterator[Shares]:
    """One bar, for one thing after another, with the time left; without a terminal a line every ten seconds."""
    if not sys.stderr.isatty():
        yield Lines(lambda line: click.echo(line, err=True)).show
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as shown:
        current = ""
        task = shown.add_task("", total=1.0, visible=False)

        def show(doing: str, share: float) -> None:
            nonlocal current
            if doing != current:
                current = doing
                shown.reset(task, description=doing, visible=True)
            shown.update(task, completed=share)

        yield show

"""`longshore push`: a release into the registry, with bars where somebody looks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from controlplane.cli import session
from controlplane.cli.kinds import human_bytes
from controlplane.cli.pushing import Progress, push

EXAMPLES = """Push a release to the registry: a folder with manifest.json, or a tar of one.

A push that was interrupted goes on where it stopped when you run it again. A release is immutable: the same content
again changes nothing, other content under the same version is refused.

\b
Examples:
  longshore push models/harbour/release
  longshore push harbour-1.2.0.tar.gz

A bare .onnx is no release: 'longshore package' makes one of it.
"""


@click.command("push", help=EXAMPLES)
@click.argument("path", type=click.Path(path_type=Path), metavar="DIR|FILE")
def command(path: Path) -> None:
    with session.client() as client, _bars() as progress:
        pushed = push(client, path, progress)
    if pushed.new:
        click.echo(f"release/{pushed.name} pushed ({human_bytes(pushed.sent_bytes)} sent)")
    else:
        click.echo(f"release/{pushed.name} unchanged")
    click.echo(f"  {pushed.digest}")


@contextmanager
def _bars() -> Iterator[Progress]:
    """A bar per file on a terminal, silence elsewhere."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:>24}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[tuple[str, str], int] = {}

        def show(doing: str, file: str, done: int, total: int) -> None:
            key = (doing, file)
            if key not in tasks:
                tasks[key] = bars.add_task(f"{doing} {file}", total=total)
            bars.update(tasks[key], completed=done)  # type: ignore[arg-type]  # rich's TaskID is a NewType of int

        yield show

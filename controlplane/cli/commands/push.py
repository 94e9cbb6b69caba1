"""`longshore push`: a release into the registry, with bars where somebody looks."""

from __future__ import annotations

from pathlib import Path

import click

from controlplane.cli import session
from controlplane.cli.bars import bars
from controlplane.cli.kinds import human_bytes
from controlplane.cli.pushing import push

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
    with session.client() as client, bars() as show:
        pushed = push(client, path, lambda doing, file, done, total: show(f"{doing} {file}", done, total))
    if pushed.new:
        click.echo(f"release/{pushed.name} pushed ({human_bytes(pushed.sent_bytes)} sent)")
    else:
        click.echo(f"release/{pushed.name} unchanged")
    click.echo(f"  {pushed.digest}")

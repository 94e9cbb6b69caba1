"""`longshore push`: a release into the registry, signed, with bars where somebody looks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controlplane.cli import session
from controlplane.cli.bars import bars
from controlplane.cli.kinds import human_bytes
from controlplane.cli.pushing import Pushed, push
from controlplane.signing import documents

if TYPE_CHECKING:
    from controlplane.cli.client import Client
    from controlplane.cli.signing import Terms
    from protos.trust import Listing

EXAMPLES = """Push a release to the registry, and sign it: a folder with manifest.json, or a tar of one.

A push that was interrupted goes on where it stopped when you run it again. A release is immutable: the same content
again changes nothing, other content under the same version is refused. Boxes run only what a release key signed: the
one that --key names, or LONGSHORE_RELEASE_KEY, or that of the 'longshore up' on this machine. Without one it is pushed
and not signed.

\b
Examples:
  longshore push models/harbour/release
  longshore push harbour-1.2.0.tar.gz --key ~/keys/release.key
  longshore push harbour-1.2.1 --floor 7 --for x86_64-cpu

A bare .onnx is no release: 'longshore package' makes one of it.
"""


@click.command("push", help=EXAMPLES)
@click.argument("path", type=click.Path(path_type=Path), metavar="DIR|FILE")
@click.option(
    "--key", "names", multiple=True, metavar="FILE|URI", help="A release key; several where several must sign."
)
@click.option("--floor", type=click.IntRange(0), help="Boxes run no release below this number ever again.")
@click.option(
    "--for", "classes", multiple=True, metavar="CLASS", help="Where it may run, such as x86_64-cpu [default: anywhere]."
)
@click.option("--minimum-agent", metavar="VERSION", help="The oldest agent that may run it.")
def command(
    path: Path, names: tuple[str, ...], floor: int | None, classes: tuple[str, ...], minimum_agent: str | None
) -> None:
    from controlplane.cli.signing import terms

    wished = terms(floor, classes, minimum_agent)
    with session.client() as client:
        with bars() as show:
            pushed = push(client, path, lambda doing, file, done, total: show(f"{doing} {file}", done, total))
        if pushed.new:
            click.echo(f"release/{pushed.name} pushed ({human_bytes(pushed.sent_bytes)} sent)")
        else:
            click.echo(f"release/{pushed.name} unchanged")
        click.echo(f"  {pushed.digest}")
        click.echo(f"  {signed(client, pushed, names, wished)}")


def signed(client: Client, pushed: Pushed, names: tuple[str, ...], terms: Terms) -> str:
    """Sign it where there is a key; what to say of that."""
    from controlplane.cli import signing

    ring = signing.keyring(names, client.context, os.environ)
    if not ring:
        return f"not signed: boxes refuse it until somebody with a release key runs 'longshore sign {pushed.release}'"
    wish = signing.listing(pushed.model, pushed.version, pushed.task, pushed.digest, pushed.size)
    done = signing.sign(client, ring, [wish], terms=terms)
    if done.waits:
        return done.waits
    return told(done.listings[wish.path], changed=done.changed)


def told(listing: Listing, *, changed: bool) -> str:
    """One line about a signature."""
    return f"{'signed' if changed else 'signed already'} as {documents.in_words(listing)}"

"""`longshore withdraw`: releases that no box may install any more."""

from __future__ import annotations

import click

from controlplane.cli import completing, session
from controlplane.cli.commands.sign import needed
from protos import ids

EXAMPLES = """List releases no more: no box installs them from then on.

A box that runs one goes on with it until it is given another; to make boxes refuse it for good, push a release with
--floor above its number. The release stays in the registry; 'sign' lists it again, under a new number.

\b
Examples:
  longshore withdraw harbour@1.2.0
"""


@click.command("withdraw", help=EXAMPLES)
@click.argument("releases", nargs=-1, required=True, metavar="NAME@VERSION...", shell_complete=completing.release)
@click.option(
    "--key", "names", multiple=True, metavar="FILE|URI", help="A release key; several where several must sign."
)
def command(releases: tuple[str, ...], names: tuple[str, ...]) -> None:
    from controlplane.cli import signing

    gone = list(dict.fromkeys(map(ids.release, releases)))
    with session.client() as client:
        done = signing.sign(client, needed(client, names), (), gone)
    if done.waits:
        click.echo(done.waits)
        return
    for model, version in gone:
        click.echo(f"{model}@{version} withdrawn")

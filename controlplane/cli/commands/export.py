"""`longshore export`: what boxes without a network need, in a folder that is carried to them."""

from __future__ import annotations

from pathlib import Path

import click

from controlplane.cli import session

HELP = """Write to DIR, such as a stick, all that boxes without a network need: signed metadata, what each box is told,
and the files of their releases. On the box, 'longshore-agent import DIR' takes it, and leaves its report there.

The same again goes on where it broke off. DIR holds the credentials of these boxes' cameras, so this is for admins.
Without --node and -l it is for every box. See docs/air-gap.md.

\b
Examples:
  longshore export /media/stick/fleet --node quay-1
  longshore export /media/stick/fleet -l site=offshore
  longshore export /media/stick/fleet --node quay-1 --deployment harbour
"""


@click.command("export", help=HELP)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@click.option("--node", "nodes", multiple=True, metavar="NAME", help="For this box; may be given several times.")
@click.option("-l", "--selector", default="", metavar="LABELS", help="For boxes with these labels, such as site=quay.")
@click.option(
    "--deployment", "deployments", multiple=True, metavar="NAME", help="Bring its releases only [default: of all]."
)
def command(folder: Path, nodes: tuple[str, ...], selector: str, deployments: tuple[str, ...]) -> None:
    from controlplane.cli import exporting

    if nodes and selector:
        raise click.UsageError("Name boxes with --node or choose them with -l, not both.")
    with session.client() as client:
        for line in exporting.export(client, exporting.Wish(folder, nodes, selector, deployments)):
            click.echo(line)

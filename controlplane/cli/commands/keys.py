"""`longshore keys`: who may sign what, and other keys in their place."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import click

from controlplane.cli import kinds, output, session
from controlplane.cli.client import Document
from controlplane.cli.commands import proposals

HELP = """Keys of the signed metadata: who may sign what, where each key is held, and how fresh all of it is.

Roles: root says which keys count, targets who may sign releases and assignments; both are offline. release is held by
those who make releases. timestamp, snapshot and assign are online: the control plane signs with them by itself.

Where several must sign, one proposes and the others sign, each on his own machine with his own key: 'propose',
'pending', 'sign', 'cancel'.

\b
Examples:
  longshore keys
  longshore keys propose root --add bo.pub --threshold 2 --key root.key
  longshore keys sign 3f2a91b0c4d7 --key bo.key
  longshore keys rotate release --offline /media/stick/offline
  longshore keys renew --offline /media/stick/offline
"""
TITLES = ("ROLE", "HELD", "KEYS", "THRESHOLD", "VERSION", "AGE", "EXPIRES")
OFFLINE = click.option(
    "--offline",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    metavar="DIR",
    help="Where root.key and targets.key lie.",
)
FORM = click.option("-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table")


@click.group("keys", help=HELP, invoke_without_command=True)
@FORM
@click.pass_context
def command(ctx: click.Context, form: str) -> None:
    if ctx.invoked_subcommand is None:
        from controlplane.cli import signing

        with session.client() as client:
            items = client.listed("metadata")
            waiting = client.listed("proposals") if form == "table" else []
        output.show(output.listed("Role", items), [TITLES, *map(_row, items)], form, none="no signed metadata")
        for each in waiting:
            click.echo(signing.waiting(each))


def _row(item: Document) -> list[str]:
    now = kinds.utc_now()
    left = kinds.elapsed((datetime.fromisoformat(item["expires"]) - now).total_seconds())
    past = datetime.fromisoformat(item["expires"]) <= now
    return [
        item["role"],
        item["held"],
        " ".join(key[:12] for key in item["keys"]),
        f"{item['threshold']} of {len(item['keys'])}",
        str(item["version"]),
        kinds.since("created")(item, now),
        "expired" if past else f"in {left}",
    ]


proposals.add_to(command)


@command.command("rotate")
@click.argument("roles", nargs=-1, required=True, metavar="ROLE...")
@OFFLINE
@click.option("--keys", "count", type=click.IntRange(1, 20), help="How many new key files [default: the threshold].")
@click.option("--threshold", type=click.IntRange(1, 20), default=1, help="How many of them must sign.")
@click.option(
    "--public",
    "publics",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Of release: a public key (PEM) held elsewhere, instead of a new file; may be given several times.",
)
@click.option(
    "--key", "names", multiple=True, metavar="FILE|URI", help="Of release: its private half, to sign with now."
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="For new release keys [default: above --offline]."
)
def rotate(
    roles: tuple[str, ...],
    folder: Path,
    count: int | None,
    threshold: int,
    publics: tuple[Path, ...],
    names: tuple[str, ...],
    out: Path | None,
) -> None:
    """Replace the keys of roles, in one step that boxes follow at their next refresh: the old keys count no more.

    New keys of root and targets are made in --offline, those of release beside it, those of online roles by the control
    plane in its own folder. What hangs on them is signed anew with them.

    \b
    Examples:
      longshore keys rotate timestamp snapshot assign --offline DIR    after somebody broke in
      longshore keys rotate release --offline DIR                       after a release key was stolen
      longshore keys rotate release --offline DIR --keys 3 --threshold 2
      longshore keys rotate release --offline DIR --public ann.pub --key hv:release
      longshore keys rotate root targets --offline DIR --keys 5 --threshold 3
    """
    from controlplane.cli import rotating

    wish = rotating.Wish(roles, count or max(threshold, len(publics)), threshold, publics, names)
    with session.client() as client:
        places = rotating.Places(folder, out or folder.absolute().parent)
        for line in rotating.rotate(client, places, wish, os.environ):
            click.echo(line)


@command.command("renew")
@OFFLINE
def renew(folder: Path) -> None:
    """Sign root and targets for another year, with the keys they have. ('sign --all' does so for releases.)

    \b
    Examples:
      longshore keys renew --offline /media/stick/offline
    """
    from controlplane.cli import rotating

    with session.client() as client:
        places = rotating.Places(folder, folder.absolute().parent)
        for line in rotating.renew(client, places, os.environ):
            click.echo(line)

"""`longshore backup`: a control plane's state as one file, taken beside it while it serves."""

from __future__ import annotations

from pathlib import Path

import click

from controlplane.cli.bars import bars
from controlplane.cli.kinds import human_bytes

EXAMPLES = """Back up a control plane into FILE, while it serves, on the machine where its state lies.

FILE is a tar with the database as of one moment, releases, authority and tokens, and a digest of each. Whoever has it
can name any box of the fleet: it is readable by you only, so keep it as you keep keys, or encrypt it (age, gpg). With
--without-keys the authority's and other keys stay out, and restoring needs them from elsewhere.

\b
Examples:
  longshore backup fleet.tar                of 'longshore up' in this folder
  longshore backup /mnt/fleet-1.tar --state /srv/longshore
  longshore backup fleet.tar --state /srv/longshore --database-url postgresql://longshore@db/longshore
"""


@click.command("backup", help=EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--state", type=click.Path(path_type=Path), default=Path(".longshore"), help="[default: .longshore]")
@click.option(
    "--database-url", envvar="LONGSHORE_DATABASE_URL", default="", help="Where it is not in the state folder."
)
@click.option("--without-keys", is_flag=True, help="Leave out the authority's key, tokens and grants.")
def command(file: Path, state: Path, database_url: str, *, without_keys: bool) -> None:
    from controlplane.backup.run import back_up  # needs much: not for --help

    with bars() as progress:
        manifest = back_up(file, state, database_url, progress, keys=not without_keys)
    click.echo(f"{file}: {len(manifest.files)} files, {human_bytes(manifest.size)}, database {manifest.database}")
    if manifest.keys:
        click.echo("it holds the fleet's keys: whoever has it can name any box, so keep it as you keep keys", err=True)
    else:
        click.echo("it holds no keys: to restore it you need ca/ca.key of this control plane as well", err=True)

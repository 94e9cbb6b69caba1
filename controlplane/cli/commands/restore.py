"""`longshore restore`: a backup into a place where no control plane is yet."""

from __future__ import annotations

from pathlib import Path

import click

from controlplane.cli.bars import bars
from controlplane.cli.kinds import human_bytes

EXAMPLES = """Restore a control plane from FILE, which 'longshore backup' wrote, on the machine where it shall run.

Every byte is proven first. It goes into an empty place only, and appears there whole or not at all. Boxes go on with
the identity they have once the control plane answers under the address they know.

\b
Examples:
  longshore restore fleet.tar               then: longshore up
  longshore restore fleet.tar --state /srv/longshore
  longshore restore fleet.tar --state /srv/longshore --database-url postgresql://longshore@db/longshore
"""


@click.command("restore", help=EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--state", type=click.Path(path_type=Path), default=Path(".longshore"), help="[default: .longshore]")
@click.option("--database-url", envvar="LONGSHORE_DATABASE_URL", default="", help="An empty PostgreSQL database.")
def command(file: Path, state: Path, database_url: str) -> None:
    from controlplane.backup.run import restore  # needs much: not for --help

    with bars() as progress:
        manifest = restore(file, state, database_url, progress)
    click.echo(f"{state}: {len(manifest.files)} files, {human_bytes(manifest.size)}, of {manifest.created}")
    if not manifest.keys:
        click.echo(f"it came without keys: put ca.key into {state / 'controlplane' / 'ca'} before you start", err=True)
    click.echo(f"start it as before, such as: longshore up --state {state}")

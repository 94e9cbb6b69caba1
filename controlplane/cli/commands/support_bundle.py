"""`longshore support-bundle`: one file for whoever helps with a box, without a secret in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from controlplane.cli import completing, session
from controlplane.cli.bars import bars

EXAMPLES = """Pack all that helps to find out what is wrong with a box, without a secret in it.

Node, what it is told, cameras, deployments, outcomes, stats, gaps, log lines, changes, versions. What looks like a
secret is replaced by ***: user names and passwords in URLs, tokens, keys. It is readable by you only; look at it before
you hand it on. The box's own side: 'longshore-agent support-bundle' there.

\b
Examples:
  longshore support-bundle quay-1
  longshore support-bundle quay-1 -o quay-1.tar.gz
"""


@click.command("support-bundle", help=EXAMPLES)
@click.argument("node", shell_complete=completing.node)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="[default: NODE-TIME.tar.gz]")
def command(node: str, output: Path | None) -> None:
    from controlplane.cli.bundle import gather
    from protos.bundle import write

    target = output or Path(f"{node}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz")
    with session.client() as client, bars() as progress:
        client.one("nodes", node)  # before a file is made
        count = write(target, gather(client, node, progress))
    click.echo(f"{target}: {count} files; what looks like a secret was replaced by ***")

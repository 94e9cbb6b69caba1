"""`longshore version`: of this command, and of the control plane where one answers."""

from __future__ import annotations

import platform
from importlib import metadata

import click

from controlplane.cli import session
from protos import versions
from protos.errors import LongshoreError

EXAMPLES = """Versions of this command and of the control plane.

\b
Examples:
  longshore version
  longshore version --client                without asking the control plane
"""


@click.command("version", help=EXAMPLES)
@click.option("--client", "client_only", is_flag=True, help="Only of this command.")
def command(*, client_only: bool) -> None:
    click.echo(f"longshore      {metadata.version('longshore')} (Python {platform.python_version()})")
    if client_only:
        return
    try:
        with session.client() as client:
            told = client.document("GET", "/version")
    except LongshoreError as error:
        click.echo(f"control plane  {error}")
        return
    click.echo(f"control plane  {told['version']} at {client.context.url}")
    click.echo(versions.skew(metadata.version("longshore"), told["version"]) or versions.RULE)

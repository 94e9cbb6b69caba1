"""`longshore whoami`: who the control plane takes this command for."""

from __future__ import annotations

import click

from controlplane.cli import output, session
from controlplane.cli.exits import NotFound
from protos.errors import Rejected

EXAMPLES = """Who the control plane takes you for, and which role you have there.

\b
Examples:
  longshore whoami
  longshore --context harbour whoami -o json
"""


@click.command("whoami", help=EXAMPLES)
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table")
def command(form: str) -> None:
    with session.client() as client:
        try:
            told = client.document("GET", "/whoami")
        except NotFound as error:
            raise Rejected("this control plane is of a release that does not tell; update it to 0.2.0") from error
    if form != "table":
        click.echo(output.structured({**told, "url": client.context.url}, form))
        return
    click.echo(f"{told['who']}, with the role {told['role']}, by the API token {told['via']}, at {client.context.url}")

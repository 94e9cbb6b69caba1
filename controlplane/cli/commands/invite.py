"""`longshore invite`: a one-time sign-in link for somebody, who is made known first if need be."""

from __future__ import annotations

import click

from controlplane.cli import completing, session
from controlplane.cli.client import Client, address
from controlplane.cli.exits import NotFound

EXAMPLES = """Let somebody into the page: prints a link that signs one browser in, once, within 15 minutes.

A viewer reads; an operator also changes the fleet, pushes and trains; an admin also manages people, API tokens
and settings. Without --role a person who is known keeps theirs.

\b
Examples:
  longshore invite ann --role operator
  longshore invite ann                      another link, for her phone
  longshore get people                      who there is
  longshore delete person ann               with her sessions and API tokens
"""


@click.command("invite", help=EXAMPLES)
@click.argument("name", shell_complete=completing.person)
@click.option("--role", type=click.Choice(["viewer", "operator", "admin"]), help="What they may do [default: viewer].")
def command(name: str, role: str | None) -> None:
    with session.client() as client:
        if role or not _known(client, name):
            body = {"kind": "Person", "spec": {"role": role or "viewer"}}
            answer = client.call("PUT", address("people", name), json=body)
            click.echo(f"person/{name} {answer.headers.get('Longshore-Change', 'applied')}", err=True)
        made = client.document("POST", address("people", name, "invite"))
    click.echo(made["url"])


def _known(client: Client, name: str) -> bool:
    try:
        client.one("people", name)
    except NotFound:
        return False
    return True

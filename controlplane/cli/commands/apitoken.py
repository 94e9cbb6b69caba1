"""`longshore apitoken`: API tokens, of people and of services. A token is printed once, to standard output."""

from __future__ import annotations

from typing import Any

import click

from controlplane.cli import completing, kinds, output, session
from controlplane.cli.client import address
from controlplane.cli.commands.delete import each_in_turn

HELP = """API tokens, for scripts and for 'longshore login'. (For boxes: 'longshore token'.)

\b
Examples:
  longshore apitoken create ci --role operator       a service's, with its own role
  longshore apitoken create laptop --person ann      hers, with whatever role she has
  longshore apitoken list
  longshore apitoken delete 4f7a2c9e
"""


@click.group("apitoken", help=HELP)
def command() -> None:
    pass


@command.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice(["viewer", "operator", "admin"]), help="Of a service [default: viewer].")
@click.option(
    "--person",
    metavar="NAME",
    shell_complete=completing.person,
    help="Whose it is; a person's token has that person's role.",
)
@click.option("--ttl", metavar="DURATION", help="How long it works: 12h, 30d [default: until it is deleted].")
def create(name: str, role: str | None, person: str | None, ttl: str | None) -> None:
    """Make an API token.

    \b
    Examples:
      longshore apitoken create ci --role operator --ttl 48h
      longshore apitoken create laptop --person ann
    """
    if role and person:
        raise click.UsageError("A person's token has that person's role: give --person or --role, not both.")
    body = {"name": name, "role": role or "viewer", "person": person, "ttl": ttl}
    with session.client() as client:
        made = client.document("POST", "/apitokens", json={key: value for key, value in body.items() if value})
    click.echo(made["token"])
    click.echo(f"\nShown once; it is apitoken {made['id']}", err=True)


@command.command("list")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table")
def list_(form: str) -> None:
    """API tokens that exist, without their secrets.

    \b
    Examples:
      longshore apitoken list
      longshore apitoken list -o json
    """
    with session.client() as client:
        items = client.listed("apitokens")
    rows = [["ID", "NAME", "PERSON", "ROLE", "LAST USED", "EXPIRES"], *map(_row, items)]
    output.show(output.listed("ApiToken", items), rows, form, none="no API tokens")


def _row(item: dict[str, Any]) -> list[str]:
    now = kinds.utc_now()
    return [
        item["id"],
        item["name"],
        item.get("person") or "-",
        item.get("role") or "the person's",
        kinds.since("lastUsed", " ago")(item, now),
        kinds.text("expires")(item, now),
    ]


@command.command("delete")
@click.argument("token_ids", nargs=-1, required=True, metavar="ID...")
def delete(token_ids: tuple[str, ...]) -> None:
    """Make API tokens useless.

    \b
    Examples:
      longshore apitoken delete 4f7a2c9e
    """
    with session.client() as client:
        each_in_turn([(f"apitoken/{each}", address("apitokens", each)) for each in token_ids], client)

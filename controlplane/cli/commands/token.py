"""`longshore token`: join tokens. The token itself is printed once, to standard output, and never again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from controlplane.cli import completing, kinds, output, session
from controlplane.cli.client import address
from controlplane.cli.commands.delete import each_in_turn
from protos.errors import Rejected

HELP = """Join tokens: one lets one box join, once.

\b
Examples:
  longshore token create                            any box, within an hour
  longshore token create quay-1 --label site=quay   only as node quay-1, with this label
  longshore token create --role cloud --ttl 10m
  longshore token list
  longshore token delete 4f7a2c9e

\b
On the box: longshore-agent join URL --token "$(longshore token create -q)"
"""


@click.group("token", help=HELP)
def command() -> None:
    pass


@command.command("create")
@click.argument("node", required=False, shell_complete=completing.node)
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label the node gets; may be repeated.")
@click.option(
    "--role", type=click.Choice(["edge", "cloud"]), default="edge", help="A box with cameras, or help for it."
)
@click.option("--ttl", default="1h", metavar="DURATION", help="How long it can be used: 10m, 1h, 48h.")
@click.option("-q", "--quiet", is_flag=True, help="Print the token and nothing else.")
def create(node: str | None, labels: tuple[str, ...], role: str, ttl: str, *, quiet: bool) -> None:
    """Make a token for the box NODE, or for any.

    \b
    Examples:
      longshore token create                            any box, within an hour
      longshore token create quay-1 --label site=quay
      longshore token create --role cloud --ttl 10m -q
    """
    body = {"role": role, "ttl": ttl, "labels": _labels(labels), **({"nodeId": node} if node else {})}
    with session.client() as client:
        made = client.document("POST", "/jointokens", json=body)
    click.echo(made["token"])
    if not quiet:
        click.echo(f"\nOnce, until {_short(made['expires'])}, on the box:", err=True)
        url = made.get("url") or "URL"
        click.echo(f"  longshore-agent join {url} --token {'…' if output.coloured() else 'TOKEN'}", err=True)


def _labels(pairs: tuple[str, ...]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for pair in pairs:
        key, found, value = pair.partition("=")
        if not found:
            raise Rejected(f"label {pair!r} must be KEY=VALUE")
        labels[key] = value
    return labels


def _short(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


@command.command("list")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table")
def list_(form: str) -> None:
    """Tokens that exist, without their secrets.

    \b
    Examples:
      longshore token list
      longshore token list -o json
    """
    with session.client() as client:
        items = client.listed("jointokens")
    rows = [["ID", "NODE", "ROLE", "LABELS", "STATE", "EXPIRES"], *map(_row, items)]
    output.show(output.listed("JoinToken", items), rows, form, none="no join tokens")


def _row(item: dict[str, Any]) -> list[str]:
    used, expired = item.get("usedBy") or item.get("used"), kinds.utc_now() > datetime.fromisoformat(item["expires"])
    state = "used" if used else "expired" if expired else "open"
    labels = kinds.labels("labels")(item, kinds.utc_now())
    return [item["id"], item.get("nodeId") or "any", item.get("role") or "edge", labels, state, _short(item["expires"])]


@command.command("delete")
@click.argument("token_ids", nargs=-1, required=True, metavar="ID...")
def delete(token_ids: tuple[str, ...]) -> None:
    """Make tokens useless.

    \b
    Examples:
      longshore token delete 4f7a2c9e
    """
    with session.client() as client:
        each_in_turn([(f"token/{each}", address("jointokens", each)) for each in token_ids], client)

"""`longshore context`: the remembered control planes, and which of them is meant when none is named."""

from __future__ import annotations

import os
from typing import Any

import click

from controlplane.cli import completing, contexts, output, session
from controlplane.cli.contexts import Context
from protos.errors import LongshoreError

LIST = """List the remembered control planes; '*' marks the one in use.

\b
Examples:
  longshore context list
  longshore context list -o json
"""
USE = """Make a context the current one.

\b
Examples:
  longshore context use fleet.example-8443
"""
RENAME = """Give a context another name.

\b
Examples:
  longshore context rename fleet.example-8443 harbour
"""
DELETE = """Forget contexts, with their tokens.

\b
Examples:
  longshore context delete old-site
"""


@click.group("context")
def command() -> None:
    """Which control planes are remembered, and which is in use.

    \b
    Examples:
      longshore context list
      longshore context use harbour
    """


@command.command("list", help=LIST)
@click.option("-o", "--output", "form", type=click.Choice(output.FORMATS), default="table", help="How to print it.")
def list_(form: str) -> None:
    config = contexts.config_path(os.environ)
    used = _used()
    items = [_shown(each, used) for each in contexts.remembered(config)]
    if form in {"json", "yaml"}:
        click.echo(output.structured(output.listed("Context", items), form))
    elif not items:
        click.echo("no contexts; 'longshore login URL' makes one", err=True)
    else:
        rows = [["*" if each["current"] else "", each["name"], each["url"], each["trust"]] for each in items]
        click.echo(output.table(("", "NAME", "URL", "TRUST"), rows, colour=output.coloured()))
    if used is not None and used.name not in {each["name"] for each in items} and form == "table":
        click.echo(f"here in use: {used.url}, from {used.name}", err=True)


@command.command("use", help=USE)
@click.argument("name", shell_complete=completing.context)
def use(name: str) -> None:
    contexts.choose(contexts.config_path(os.environ), name)
    click.echo(f"the current context is now {name}")


@command.command("rename", help=RENAME)
@click.argument("name", shell_complete=completing.context)
@click.argument("new_name")
def rename(name: str, new_name: str) -> None:
    contexts.rename(contexts.config_path(os.environ), name, new_name)
    click.echo(f"{name} is now {new_name}")


@command.command("delete", help=DELETE)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=completing.context)
def delete(names: tuple[str, ...]) -> None:
    for name in names:
        contexts.forget(contexts.config_path(os.environ), name)
        click.echo(f"forgot {name}")


def _used() -> Context | None:
    try:
        return session.context()
    except LongshoreError:
        return None


def _shown(context: Context, used: Context | None) -> dict[str, Any]:
    """Without the token."""
    trust = "its own CA" if context.ca_pem else "public CAs" if context.url.startswith("https") else "plain http"
    current = used is not None and (used.name, used.url) == (context.name, context.url)
    return {"name": context.name, "url": context.url, "trust": trust, "current": current}

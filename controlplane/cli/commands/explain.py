"""`longshore explain`: the fields of a kind, as the control plane in use knows them."""

from __future__ import annotations

import click

from controlplane.cli import completing, explaining, kinds, session

EXAMPLES = """Say what a kind, or one of its fields, means: type, default, bounds.

\b
Examples:
  longshore explain deployment
  longshore explain deployment.spec.offload
  longshore explain camera --recursive      the names of all fields, below one another
"""


@click.command("explain", help=EXAMPLES)
@click.argument("what", metavar="KIND[.FIELD…]", shell_complete=completing.kind)
@click.option("--recursive", is_flag=True, help="All fields below, without their meaning.")
def command(what: str, *, recursive: bool) -> None:
    word, _, path = what.partition(".")
    kind = kinds.named(word)
    with session.client() as client:
        openapi = client.document("GET", "/openapi.json")
    click.echo(explaining.text(openapi, kind, path, deep=recursive))

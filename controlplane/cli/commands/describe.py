"""`longshore describe`: one object with its conditions, and why it has not converged."""

from __future__ import annotations

import click

from controlplane.cli import describing, kinds, output, session
from controlplane.cli.client import address

EXAMPLES = """Show an object, how far it is, and why not further.

\b
Examples:
  longshore describe deployment harbour     which box has not converged, and why
  longshore describe camera gate            why it shows no pictures
  longshore describe node quay-1            what it runs, and what telemetry it had to drop
"""


@click.command("describe", help=EXAMPLES)
@click.argument("kind_word", metavar="KIND")
@click.argument("names", nargs=-1, metavar="NAME...")
def command(kind_word: str, names: tuple[str, ...]) -> None:
    word, found, name = kind_word.partition("/")
    names = (name, *names) if found else names
    if not names:
        raise click.UsageError(f"Name the {word} to describe; 'longshore get {word}' lists them.")
    kind = kinds.named(word)
    with session.client() as client:
        for number, each in enumerate(names):
            document = client.one(kind.plural, each)
            if kind.plural == "nodes":
                document["status"]["gaps"] = client.document("GET", address("nodes", each, "gaps"))["items"]
            text = describing.described(kind, document, kinds.utc_now(), colour=output.coloured())
            click.echo(("\n" if number else "") + text)

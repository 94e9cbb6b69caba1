"""`longshore describe`: one object with its conditions, and why it has not converged."""

from __future__ import annotations

import click

from controlplane.cli import completing, describing, kinds, output, session
from controlplane.cli.client import Client, Document, address
from controlplane.cli.commands.get import fetch, refuse_missing
from controlplane.cli.exits import NotFound

EXAMPLES = """Show an object, how far it is, and why not further.

\b
Examples:
  longshore describe deployment harbour     which box has not converged, and why
  longshore describe camera gate            why it shows no pictures
  longshore describe node quay-1            what it runs, and where its telemetry is
"""


@click.command("describe", help=EXAMPLES)
@click.argument("kind_word", metavar="KIND", shell_complete=completing.kind)
@click.argument("names", nargs=-1, metavar="NAME...", shell_complete=completing.name)
def command(kind_word: str, names: tuple[str, ...]) -> None:
    word, names = kinds.split((kind_word, *names))
    kind = kinds.named(word)
    names = names or ((kind.only,) if kind.only else ())
    if not names:
        raise click.UsageError(f"Name the {word} to describe; 'longshore get {word}' lists them.")
    with session.client() as client:
        found, missing = fetch(client, kind, names, "")
        for number, document in enumerate(found):
            if kind.plural == "nodes":
                document["status"] |= _telemetry(client, document["metadata"]["name"])
            if kind.plural in ("nodes", "cameras"):
                document["status"]["answering"] = _answering(client, kind.name.lower(), document["metadata"]["name"])
            text = describing.described(kind, document, kinds.utc_now(), colour=output.coloured())
            click.echo(("\n" if number else "") + text)
        refuse_missing(missing)


def _answering(client: Client, what: str, name: str) -> list[Document]:
    """Nothing from a control plane of before 0.2, which does not tell it."""
    try:
        items: list[Document] = client.document("GET", "/answering", params={what: name})["items"]
    except NotFound:
        return []
    return items


def _telemetry(client: Client, node: str) -> Document:
    """The books of a box; of a control plane of before 0.2, which keeps none, what it dropped within a day."""
    try:
        return {"telemetry": client.document("GET", address("nodes", node, "telemetry"))}
    except NotFound:
        return {"gaps": client.document("GET", address("nodes", node, "gaps"))["items"]}

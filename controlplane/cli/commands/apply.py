"""`longshore apply`: objects from files to the control plane, each one on its own: a refused one stops no other."""

from __future__ import annotations

from collections.abc import Iterable

import click

from controlplane.cli import documents, session
from controlplane.cli.client import Client, address
from protos.errors import Rejected

EXAMPLES = """Create or update Nodes, Cameras and Deployments.

\b
Examples:
  longshore apply -f harbour.yaml
  longshore apply -f fleet/                 every .yaml, .yml and .json in the folder
  cat camera.json | longshore apply -f -
  longshore get camera gate -o yaml | sed 's/rate: 10/rate: 5/' | longshore apply -f -

A camera whose source shows *** keeps the credentials the control plane has stored.
"""


@click.command("apply", help=EXAMPLES)
@click.option("-f", "--filename", "paths", multiple=True, required=True, metavar="FILE", help="File, folder or -.")
def command(paths: tuple[str, ...]) -> None:
    items = [document for path in paths for document in documents.read(path)]
    with session.client() as client:
        refused = list(_apply_all(client, items))
    if refused:
        raise Rejected(refused[0] if len(items) == 1 else f"{len(refused)} of {len(items)} objects were refused")


def _apply_all(client: Client, items: Iterable[documents.Document]) -> Iterable[str]:
    """Apply each; yield the sentence of each that was refused."""
    several = isinstance(items, list) and len(items) > 1
    for item in items:
        label = str(item.get("kind", "object")).lower()
        try:
            kind, name = documents.identity(item)
            label = f"{kind.name.lower()}/{name}"
            answer = client.call("PUT", address(kind.plural, name), json=item)
        except Rejected as error:
            if several:
                click.echo(f"{label} refused: {error}", err=True)
            yield f"{label}: {error}"
        else:
            click.echo(f"{label} {answer.headers.get('Longshore-Change', 'applied')}")

"""`longshore apply`: objects from files to the control plane, each one on its own: a refused one stops no other."""

from __future__ import annotations

import shlex

import click

from controlplane.cli import documents, session
from controlplane.cli.client import Client, address
from controlplane.written import Written
from protos.errors import Rejected

EXAMPLES = """Create or update Nodes, Cameras, Deployments, People and Settings.

\b
Examples:
  longshore apply -f harbour.yaml
  longshore apply -f fleet/                 every .yaml, .yml and .json in the folder
  cat camera.json | longshore apply -f -
  longshore get camera gate -o yaml | sed 's/rate: 10/rate: 5/' | longshore apply -f -

A camera whose source shows *** keeps the credentials the control plane has stored.
"""


@click.command("apply", help=EXAMPLES)
@click.argument("bare", nargs=-1, metavar="")
@click.option("-f", "--filename", "paths", multiple=True, metavar="FILE", help="File, folder or -.")
def command(paths: tuple[str, ...], bare: tuple[str, ...]) -> None:
    if bare or not paths:
        raise click.UsageError(f"Say what to apply with -f: longshore apply {_with_f(*paths, *bare)}")
    items = [written for path in paths for written in documents.read(path)]
    with session.client() as client:
        refused = [sentence for item in items if (sentence := _apply(client, item, alone=len(items) == 1))]
    if refused:
        raise Rejected(refused[0] if len(items) == 1 else f"{len(refused)} of {len(items)} objects were refused")


def _with_f(*paths: str) -> str:
    return " ".join(f"-f {shlex.quote(path)}" for path in paths or ("FILE",))


def _apply(client: Client, item: Written, *, alone: bool) -> str:
    """Why the object was refused; "" when it was taken. Said at once, unless the command has only this one."""
    label = item.place
    try:
        kind, name = documents.identity(item)
        label = f"{kind.name.lower()}/{name}"
        answer = client.call("PUT", address(kind.plural, name), json=item.document)
    except Rejected as error:
        sentence = str(error) if label == item.place else f"{label} refused: {error}"
        if not alone:
            click.echo(sentence, err=True)
        return sentence
    click.echo(f"{label} {answer.headers.get('Longshore-Change', 'applied')}")
    return ""

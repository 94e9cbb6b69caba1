"""`longshore delete`: objects by name, by label or as listed in a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from controlplane.cli import completing, documents, kinds, session
from controlplane.cli.client import Client, address
from controlplane.cli.exits import NotFound
from controlplane.cli.kinds import Kind
from protos.errors import Rejected

EXAMPLES = """Delete objects.

Deleting a Node revokes its certificate: the control plane refuses the box at its next call, and it needs a new token.
A broker takes the certificate until it expires, within a week.
Deleting a Deployment ends the model on its boxes; deleting a Camera ends its stream. One that cannot be deleted stops
no other.

\b
Examples:
  longshore delete camera gate
  longshore delete deployment harbour-day harbour-night
  longshore delete cameras -l site=old
  longshore delete -f harbour.yaml
"""
Target = tuple[Kind, str]


@click.command("delete", help=EXAMPLES)
@click.argument("kind_word", metavar="[KIND]", required=False, shell_complete=completing.kind)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completing.name)
@click.option("-l", "--selector", default="", metavar="LABELS", help="Label selector instead of names.")
@click.option("-f", "--filename", "paths", multiple=True, metavar="FILE", help="Delete what this file lists.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before a Node is deleted.")
def command(kind_word: str | None, names: tuple[str, ...], selector: str, paths: tuple[str, ...], *, yes: bool) -> None:
    with session.client() as client:
        targets = _targets(client, kind_word, names, selector, paths)
        _ask([name for kind, name in targets if kind.name == "Node"], sure=yes)
        each_in_turn([(f"{kind.name.lower()}/{name}", address(kind.plural, name)) for kind, name in targets], client)


def each_in_turn(targets: Sequence[tuple[str, str]], client: Client) -> None:
    """Delete what lies at these addresses; one that is refused stops no other, and each is reported.

    Raises:
        NotFound, Rejected: some were refused; NotFound when all of those were gone already.
        Retryable: the control plane went away; the rest was not tried.
    """
    failed: list[Rejected] = []
    for label, place in targets:
        try:
            client.call("DELETE", place)
        except Rejected as error:
            failed.append(error)
            if len(targets) > 1:
                click.echo(f"{label} not deleted: {error}", err=True)
        else:
            click.echo(f"{label} deleted")
    if failed:
        sentence = str(failed[0]) if len(targets) == 1 else f"{len(failed)} of {len(targets)} objects were not deleted"
        raise (NotFound if all(isinstance(error, NotFound) for error in failed) else Rejected)(sentence)


def _targets(
    client: Client, word: str | None, names: tuple[str, ...], selector: str, paths: tuple[str, ...]
) -> list[Target]:
    if paths:
        if word or selector:
            raise click.UsageError("Name a KIND and a NAME, or a file with -f; one of the two.")
        return [documents.identity(item) for path in paths for item in documents.read(path)]
    if not word:
        raise click.UsageError("Name a KIND and a NAME, or a file with -f.")
    word, names = kinds.split((word, *names))
    kind = kinds.named(word)
    if bool(names) is bool(selector):
        raise click.UsageError(f"Name the {kind.plural} to delete, or select them with -l; one of the two.")
    chosen = [item["metadata"]["name"] for item in client.listed(kind.plural, selector)] if selector else names
    if not chosen:
        click.echo(f"no {kind.plural} have these labels, so nothing was deleted", err=True)
    return [(kind, each) for each in chosen]


def _ask(nodes: Sequence[str], *, sure: bool) -> None:
    if not nodes or sure:
        return
    if not sys.stdin.isatty():
        raise Rejected("deleting a Node revokes its certificate; say --yes when nobody is there to ask")
    click.confirm(f"Revoke the certificate of {', '.join(nodes)} and delete it?", abort=True)

"""`longshore cancel`: end Runs that wait or go on."""

from __future__ import annotations

import click

from controlplane.cli import completing, kinds, session
from controlplane.cli.commands.train import cancelled
from controlplane.cli.exits import NotFound
from protos.errors import Rejected

EXAMPLES = """End Runs before their time; nothing is published. Log and checkpoints stay until you delete the Run.

\b
Examples:
  longshore cancel run harbour-3
  longshore cancel run/harbour-3 run/harbour-4
"""


@click.command("cancel", help=EXAMPLES)
@click.argument("kind_word", metavar="KIND", shell_complete=completing.kind)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completing.name)
def command(kind_word: str, names: tuple[str, ...]) -> None:
    word, slash, name = kind_word.partition("/")
    wished = [name, *names] if slash else list(names)
    kind = kinds.named(word)
    if kind.name != "Run":
        raise Rejected(f"a {kind.name} cannot be cancelled; runs can: longshore cancel run NAME")
    if not wished:
        raise click.UsageError("Name the run to cancel; 'longshore get runs' lists them.")
    failed: list[Rejected] = []
    with session.client() as client:
        for each in wished:
            try:
                click.echo(cancelled(client, each.removeprefix("run/")))
            except Rejected as error:
                failed.append(error)
                if len(wished) > 1:
                    click.echo(f"run/{each.removeprefix('run/')} not cancelled: {error}", err=True)
    if failed:
        sentence = str(failed[0]) if len(wished) == 1 else f"{len(failed)} of {len(wished)} runs were not cancelled"
        raise (NotFound if all(isinstance(error, NotFound) for error in failed) else Rejected)(sentence)

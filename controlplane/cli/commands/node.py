"""`longshore node`: the switches of a box, one short command each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from controlplane.cli import completing, session
from controlplane.cli.client import Client, Document, address
from controlplane.cli.exits import Conflict

HELP = """Switches of a box. They are desired state: they last until changed, also over restarts.

\b
Examples:
  longshore node slow-down quay-1 300ms     add 300 ms to each inference, to see the cloud help
  longshore node slow-down quay-1 off
  longshore node pause quay-1               take no frames from its cameras
  longshore node resume quay-1
  longshore node label quay-1 site=harbour gpu-        set site, remove gpu
"""
_TRIES = 3  # somebody else may write between our read and our write


@click.group("node", help=HELP)
def command() -> None:
    pass


def _change(name: str, change: Callable[[Document], None], done: str) -> None:
    """Read, change and write back; repeated when somebody else wrote in between."""
    with session.client() as client:
        for left in reversed(range(_TRIES)):
            try:
                _write(client, name, change)
            except Conflict:
                if not left:
                    raise
            else:
                break
    click.echo(f"node/{name} {done}")


def _write(client: Client, name: str, change: Callable[[Document], None]) -> None:
    document = client.one("nodes", name)
    change(document)
    client.call("PUT", address("nodes", name), json=document)


def _spec(**fields: Any) -> Callable[[Document], None]:
    return lambda document: document["spec"].update(fields)


@command.command("slow-down", context_settings={"ignore_unknown_options": True})  # so that -5ms is a duration
@click.argument("name", metavar="NODE", shell_complete=completing.node)
@click.argument("duration", metavar="DURATION|off")
def slow_down(name: str, duration: str) -> None:
    """Add waiting to each inference of a box, such as 300ms; `off` ends it.

    \b
    Examples:
      longshore node slow-down quay-1 300ms
      longshore node slow-down quay-1 off
    """
    if duration.startswith("-"):
        raise click.UsageError(f"A slow-down is 0 or more, such as 300ms, or off; not {duration}.")
    wanted = "0s" if duration == "off" else duration
    done = "runs at full speed" if duration == "off" else f"waits {duration} at each inference"
    _change(name, _spec(slowDown=wanted), done)


@command.command("pause")
@click.argument("name", metavar="NODE", shell_complete=completing.node)
def pause(name: str) -> None:
    """Take no frames from the cameras of a box.

    \b
    Examples:
      longshore node pause quay-1
    """
    _change(name, _spec(paused=True), "paused")


@command.command("resume")
@click.argument("name", metavar="NODE", shell_complete=completing.node)
def resume(name: str) -> None:
    """Take frames again.

    \b
    Examples:
      longshore node resume quay-1
    """
    _change(name, _spec(paused=False), "resumed")


@command.command("label")
@click.argument("name", metavar="NODE", shell_complete=completing.node)
@click.argument("labels", nargs=-1, required=True, metavar="KEY=VALUE|KEY-...")
def label(name: str, labels: tuple[str, ...]) -> None:
    """Set labels of a box, or remove them with KEY-.

    \b
    Examples:
      longshore node label quay-1 site=harbour gpu-        set site, remove gpu
    """

    def change(document: Document) -> None:
        kept = dict(document["metadata"]["labels"])
        for each in labels:
            key, found, value = each.partition("=")
            if found:
                kept[key] = value
            elif each.endswith("-"):
                kept.pop(each[:-1], None)
            else:
                raise click.UsageError(f"{each!r} must be KEY=VALUE, or KEY- to remove it.")
        document["metadata"]["labels"] = kept

    _change(name, change, "labelled")

"""`longshore explain`: the fields of a kind, as the control plane in use knows them; why a frame went where it went."""

from __future__ import annotations

from time import sleep

import click

from controlplane.cli import completing, explaining, frames, kinds, output, session
from controlplane.cli.client import Document, address
from protos.errors import Rejected, Retryable

EXAMPLES = """Say what a kind, or one of its fields, means: type, default, bounds. Or why a frame went where it went.

A frame is NODE/CAMERA#NUMBER; its number is in events (frameSeq) and detections. Without one it is the newest that
ended. A box remembers its last frames, two thousand for each deployment.

\b
Examples:
  longshore explain deployment
  longshore explain deployment.spec.offload
  longshore explain camera --recursive      the names of all fields, below one another
  longshore explain frame quay-1/gate       what could have been done with its newest frame, and what was
  longshore explain frame quay-1/gate#1234 --deployment harbour-watch
"""

FRAME = "frame"
_TRIES, _WAIT = 3, 8.0  # seconds of a request: a box without a broker hears within 15 that somebody looks


@click.command("explain", help=EXAMPLES)
@click.argument("what", metavar="KIND[.FIELD…]|frame", shell_complete=completing.kind)
@click.argument("which", metavar="[NODE/CAMERA[#NUMBER]]", default="")
@click.option("--recursive", is_flag=True, help="All fields below, without their meaning.")
@click.option("--deployment", default="", shell_complete=completing.deployment, help="Of a frame, for this one only.")
@click.option(
    "-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table", help="Of a frame."
)
def command(what: str, which: str, deployment: str, form: str, *, recursive: bool) -> None:
    if what == FRAME:
        _frame(which, deployment, form)
    elif which:
        raise click.UsageError(f"Got unexpected extra argument ({which})")
    else:
        _kind(what, deep=recursive)


def _kind(what: str, *, deep: bool) -> None:
    word, _, path = what.partition(".")
    kind = kinds.named(word)
    with session.client() as client:
        openapi = client.document("GET", "/openapi.json")
    click.echo(explaining.text(openapi, kind, path, deep=deep))


def _frame(which: str, deployment: str, form: str) -> None:
    if not which:
        raise Rejected("say which frame: longshore explain frame NODE/CAMERA#NUMBER")
    document = _asked(frames.named(which), deployment)
    if form == "table":
        click.echo(frames.told(document, colour=output.coloured()))
    else:
        click.echo(output.structured(document, form))


def _asked(frame: frames.FrameName, deployment: str) -> Document:
    wished = {"seq": frame.seq, "node": frame.node, "deployment": deployment, "wait": _WAIT}
    path = address("cameras", frame.camera, "account")
    with session.client() as client:
        for _ in range(_TRIES - 1):
            try:
                return client.document("GET", path, params=wished)
            except Retryable:
                sleep(1.0)
        return client.document("GET", path, params=wished)

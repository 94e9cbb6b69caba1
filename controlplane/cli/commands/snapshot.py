"""`longshore snapshot`: what a camera sees now, in all its pixels, or a region of it."""

from __future__ import annotations

from pathlib import Path
from time import sleep

import click

from controlplane.cli import completing, session
from controlplane.cli.client import address
from protos.errors import Rejected, Retryable

EXAMPLES = """Save the newest picture of a camera: as it gave it, or a region of it, with its masks painted.

A region is x0,y0,x1,y1 from 0,0 top left to 1,1 bottom right, as the boxes of 'longshore get detections'. It comes in
all the pixels that the camera has there, up to --size. FILE is written over; '-' is standard output.

\b
Examples:
  longshore snapshot gate
  longshore snapshot gate --region 0.41,0.52,0.58,0.71 -o boat.jpg
"""

_TRIES, _WAIT = 3, 8.0  # seconds of a request: a box without a broker hears within 15 that somebody looks


@click.command("snapshot", help=EXAMPLES)
@click.argument("camera", shell_complete=completing.camera)
@click.option("-o", "--output", metavar="FILE", help="Where to [default: CAMERA.jpg].")
@click.option("--region", metavar="X0,Y0,X1,Y1", default="", help="Part of the picture [default: all of it].")
@click.option("--size", type=click.IntRange(16, 7680), default=1920, show_default=True, help="Longer side, at most.")
@click.option("--quality", type=click.IntRange(1, 100), default=90, show_default=True, help="Of the JPEG.")
def command(camera: str, output: str | None, **wished: str | int) -> None:
    target = f"{camera}.jpg" if output is None else output
    jpeg, captured = _taken(address("cameras", camera, "snapshot"), {**wished, "wait": _WAIT})
    if target == "-":
        click.echo(jpeg, nl=False)
        return
    try:
        Path(target).write_bytes(jpeg)
    except OSError as error:
        raise Rejected(f"{target} cannot be written: {error.strerror}") from error
    click.echo(f"{target}: {camera} at {captured}, {len(jpeg) / 1000:.1f} kB")


def _taken(path: str, params: dict[str, str | int | float]) -> tuple[bytes, str]:
    with session.client() as client:
        for tries_left in reversed(range(_TRIES)):
            try:
                answer = client.call("GET", path, params=params)
            except Retryable:
                if not tries_left:
                    raise
                sleep(1.0)
            else:
                break
    return answer.content, answer.headers["Longshore-Captured"]

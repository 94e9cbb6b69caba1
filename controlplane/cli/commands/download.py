"""`longshore download`: stored telemetry as a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from controlplane.cli import completing, kinds, session
from protos.errors import LongshoreError, Rejected, Retryable

HELP = """Save stored telemetry as CSV or Parquet, oldest first; it may be larger than memory, here and there.

WHAT is outcomes (how frames ended, how long they took), nodes (what boxes spend), detections, cameras (their health)
or gaps (what boxes declared lost). Outcomes and nodes come by hour; --level minute or raw is finer, and kept for a
shorter time. FILE appears when all of it is there: what broke off leaves FILE.part, which the same again begins anew.
The ending of FILE says the format. See docs/telemetry-store.md.

\b
Examples:
  longshore download outcomes -o year.parquet --since 365d
  longshore download outcomes -o monday.csv --level minute --since 2026-11-23T00:00:00Z --until 2026-11-24T00:00:00Z
  longshore download detections -o boats.parquet --camera gate --since 7d
  longshore download nodes -l site=quay --format csv -o - | head
"""
_WHAT = ("outcomes", "nodes", "detections", "cameras", "gaps")
_FORMATS = ("csv", "parquet")


@click.command("download", help=HELP)
@click.argument("what", type=click.Choice(_WHAT), metavar="WHAT")
@click.option("-o", "--output", metavar="FILE", required=True, help="Where to; '-' is standard output.")
@click.option("--format", "form", type=click.Choice(_FORMATS), help="[default: by the ending of FILE]")
@click.option("--level", type=click.Choice(("raw", "minute", "hour")), help="[default: hour, else raw]")
@click.option("--since", default="30d", show_default=True, help="How long ago, or a moment.")
@click.option("--until", default="0s", help="The same [default: now].")
@click.option("--node", metavar="NAME", default="", shell_complete=completing.node, help="Only of this box.")
@click.option("-l", "--selector", default="", metavar="LABELS", help="Only of boxes with these labels.")
@click.option("--camera", metavar="NAME", default="", shell_complete=completing.camera, help="Only of this camera.")
@click.option(
    "--deployment", metavar="NAME", default="", shell_complete=completing.deployment, help="Only of this deployment."
)
def command(what: str, output: str, form: str | None, level: str | None, selector: str, **chosen: str) -> None:
    written = form or _form(output)
    fine = level or ("hour" if what in ("outcomes", "nodes") else "raw")
    asked = {"what": what, "format": written, "level": fine, "labelSelector": selector, **chosen}
    params = {name: word for name, word in asked.items() if word}
    if output == "-":
        _into(output, params)
        return
    target, part = Path(output), Path(f"{output}.part")
    try:
        size = _into(str(part), params)
        part.replace(target)
    except Retryable as error:
        raise Retryable(f"{error}; {part} is not whole, and the same again begins anew") from error
    click.echo(f"{target}: {what} since {chosen['since']}, {kinds.human_bytes(size)}")


def _form(output: str) -> str:
    """Raises click.UsageError."""
    ending = Path(output).suffix.removeprefix(".")
    if ending not in _FORMATS:
        raise click.UsageError("FILE ends neither in .csv nor in .parquet; say which with --format.")
    return ending


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """Standard output as it is: opened by a name of its own, a file behind it would lose what it holds."""
    if path == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with Path(path).open("wb") as file:
        yield file


def _into(path: str, params: dict[str, str]) -> int:
    """How many bytes. Raises what the control plane says, or Rejected: `path` takes nothing."""
    from controlplane.cli.bars import bars

    size = 0
    with session.client() as client, client.stream("/telemetry/export", params) as pieces, bars() as progress:
        try:
            with _opened(path) as file:
                for piece in pieces:
                    file.write(piece)
                    size += len(piece)
                    progress(params["what"], size, None)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # who read standard output has enough
        except LongshoreError:
            raise
        except OSError as error:
            raise Rejected(f"{path} cannot be written: {error.strerror}") from error
    return size

"""`longshore package`: a release folder from an ONNX file, to be looked at, kept and pushed."""

from __future__ import annotations

from pathlib import Path

import click

from controlplane.cli import packing
from protos.errors import Rejected

EXAMPLES = """Make a release folder (manifest, model, labels, card) from an ONNX file.

A detection model takes image uint8[N,H,W,3] (RGB) and gives boxes float32[N,K,4], scores float32[N,K] and classes
int64[N,K]; any other graph becomes a tensor model, which applications beside the box can call.

\b
Examples:
  longshore package boats.onnx --name boats --version 1.0.0 --labels labels.txt -o boats-1.0.0
  longshore package speech.onnx --name speech --version 2026-11-23 -o speech
  longshore push boats-1.0.0
"""


@click.command("package", help=EXAMPLES)
@click.argument("model", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE.onnx")
@click.option("--name", required=True, help="Name of the model line: a-z, 0-9 and '-'.")
@click.option("--version", required=True, help="Version of this release; immutable once pushed.")
@click.option("--labels", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Class names, one a line.")
@click.option("--card", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Model card, Markdown.")
@click.option("--precision", default="fp32", show_default=True, help="fp32, fp16 or int8.")
@click.option("--fit", type=click.Choice(["letterbox", "stretch"]), default="letterbox", show_default=True)
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), required=True, help="Folder to make.")
def command(
    model: Path, name: str, version: str, labels: Path | None, card: Path | None, precision: str, fit: str, target: Path
) -> None:
    named = packing.labels_in(_text(labels).splitlines()) if labels else ()
    wish = packing.Wish(name, version, named, precision, fit, _text(card) if card else "")
    made = packing.package(model, wish, target)
    if made.input is None:
        what = "a tensor model"
    else:
        what = f"a {made.task} model on {made.input.width}×{made.input.height} pictures, {len(made.labels)} classes"
    click.echo(f"{target}: {made.name} {made.version}, {what}")
    click.echo(f"next: longshore push {target}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected(f"cannot read {path} as text") from error

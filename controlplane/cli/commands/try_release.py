"""`longshore try`: what a release sees, shown on this machine by the agent itself; no control plane is needed."""

from __future__ import annotations

import json
import os
import shlex
from contextlib import suppress
from pathlib import Path

import click

from controlplane import written
from controlplane.cli import naming, proposing, session, trying
from controlplane.cli.exits import Exit
from controlplane.cli.proposing import Tried
from protos.errors import LongshoreError, Rejected
from protos.manifest import Manifest

EXAMPLES = """Show what a release sees on a video, on pictures or on a live camera, on this machine.

RELEASE is a release folder, a tar of one, or NAME@VERSION of the registry. The agent's own capture, engine and drawing
do the work, so what you see is what a box will see. Leaves an annotated film (or pictures), a table of what was found,
and where the time went. Ctrl-C keeps what was written.

\b
Examples:
  longshore try models/harbour/release --source synthetic://harbour
  longshore try boats-1.0.0 --source quay.mp4 --seconds 30
  longshore try boats-1.0.0 --source pictures/ --min-score 0.5 --output looked
  longshore try boats@1.0.0 --source rtsp://viewer:secret@10.0.0.7/live
"""

FIGURES = "figures.json"  # that the agent leaves
PICTURES = (".jpg", ".jpeg", ".png")


@click.command("try", help=EXAMPLES)
@click.argument("release")
@click.option("--source", required=True, help="Video, picture, folder of pictures, rtsp://… or synthetic://harbour.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder to make [default: NAME-VERSION-try].")
@click.option(
    "--seconds", type=click.FloatRange(0.0, min_open=True), help="Of a film [default: what a minute gives; live: 10]."
)
@click.option("--min-score", type=click.FloatRange(0.0, 1.0), default=0.3, show_default=True)
@click.option("--variant", help="Which ONNX file of the release [default: what a box would run].")
def command(release: str, source: str, output: Path | None, min_score: float, **options: float | str | None) -> None:
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    with trying.release(release) as (folder, made):
        target = output or trying.free_folder(made, Path.cwd())
        words = ["try", str(folder), "--source", source, "--output", str(target), "--min-score", f"{min_score}"]
        for key, value in options.items():
            words += [] if value is None else [f"--{key.replace('_', '-')}", f"{value}"]
        code = trying.run_agent(words)
        if made.task == "detection" and code in (Exit.OK, Exit.INTERRUPTED) and target.is_dir():
            _next(release, _tried(made, source, target, min_score, load), target)
    trying.check_ended(code)


def _next(release: str, tried: Tried, target: Path) -> None:
    """What to apply, beside the pictures, and the commands for it."""
    file, proposed = target / "deployment.yaml", proposing.documents(tried)
    file.touch(0o600)  # a source may hold a password
    file.write_text(proposing.as_text(tried, proposed), encoding="utf-8")
    if len(proposed) > 1:
        camera, paced = proposed[0]["metadata"]["name"], tried.pace
        click.echo(f"{file}: camera {camera} at {paced.rate:g} frames a second, answers within {paced.deadline_ms} ms")
    if busy := proposing.busy_note(tried):
        click.echo(f"  {busy}")
    words = [] if naming.named(release) else [["longshore", "push", release]]
    for number, each in enumerate([*words, ["longshore", "apply", "-f", str(file)]]):
        click.echo(f"{'      ' if number else 'next: '}{shlex.join(each)}")
    if len(proposed) > 1 and not tried.node:
        click.echo(f"before apply: set node in {file} to one of 'longshore get nodes'")


def _tried(made: Manifest, source: str, target: Path, min_score: float, load: float) -> Tried:
    figures = target / FIGURES
    measured = json.loads(figures.read_text(encoding="utf-8")) if figures.is_file() else {}
    box, taken = _fleet()
    paced = proposing.measured(measured)
    return Tried(made, _camera_source(source), min_score, paced, box, load, {**_earlier(target), **taken})


def _camera_source(source: str) -> str:
    if "://" in source:
        return source
    path = Path(source)
    return "" if path.is_dir() or path.suffix.lower() in PICTURES else path.resolve().as_uri()


def _fleet() -> tuple[str, dict[str, str]]:
    """A box, and the cameras there are, where a fleet is at hand; a try needs none."""
    try:
        with session.client() as client:
            return proposing.box_of(client.listed("nodes")), proposing.sources(client.listed("cameras"))
    except LongshoreError:
        return "", {}


def _earlier(target: Path) -> dict[str, str]:
    """Cameras that tries beside this one have proposed: they may be applied yet."""
    found: dict[str, str] = {}
    for file in sorted(target.parent.glob("*/deployment.yaml")):
        with suppress(OSError, UnicodeDecodeError, Rejected):
            text = file.read_text(encoding="utf-8") if file.parent != target else ""
            if text.startswith(proposing.BY):
                found |= proposing.sources(each.document for each in written.parse(text, str(file)))
    return found

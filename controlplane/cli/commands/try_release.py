"""`longshore try`: what a release sees, shown on this machine by the agent itself; no control plane is needed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from controlplane.cli import session, trying
from controlplane.cli.bars import bars
from controlplane.cli.exits import Exit
from controlplane.cli.output import as_yaml
from protos.errors import Rejected
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


@click.command("try", help=EXAMPLES)
@click.argument("release")
@click.option("--source", required=True, help="Video, picture, folder of pictures, rtsp://… or synthetic://harbour.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder to make [default: NAME-VERSION-try].")
@click.option("--seconds", type=click.FloatRange(0.0, min_open=True), help="Of a film [default: all; live: 10].")
@click.option("--min-score", type=click.FloatRange(0.0, 1.0), default=0.3, show_default=True)
@click.option("--variant", help="Which ONNX file of the release [default: what a box would run].")
def command(release: str, source: str, output: Path | None, **options: float | str | None) -> None:
    with _release(release) as (folder, made):
        target = output or trying.free_folder(made, Path.cwd())
        words = ["try", str(folder), "--source", source, "--output", str(target)]
        for key, value in options.items():
            words += [] if value is None else [f"--{key.replace('_', '-')}", f"{value}"]
        code = trying.run_agent(words)
        if made.task == "detection" and code in (Exit.OK, Exit.INTERRUPTED) and target.is_dir():
            _next(release, made, target, options["min_score"])
    if code:
        # The agent has said why. Its 4 is a machine to mend, which scripts would take for "no such object" here.
        raise click.exceptions.Exit(Exit.REJECTED if code == Exit.NOT_FOUND else code)


@contextmanager
def _release(text: str) -> Iterator[tuple[Path, Manifest]]:
    wished = trying.named(text)
    if wished is None:
        if not Path(text).exists():
            raise Rejected(f"{text} is not there; name a release folder, a tar of one, or NAME@VERSION of the registry")
        with trying.folder_of(Path(text)) as found:
            yield found
        return
    with session.client() as client, bars() as progress:
        folder = trying.fetched(client, *wished, trying.cache_path(os.environ), progress)
    with trying.folder_of(folder) as found:
        yield found


def _next(release: str, made: Manifest, target: Path, min_score: float | str | None) -> None:
    """A deployment to apply, beside the pictures, and the commands for it."""
    deployment = {
        "apiVersion": "longshore/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{made.name}-watch"},
        "spec": {
            "model": str(made.name),
            "version": str(made.version),
            "nodeSelector": {"matchLabels": {}},
            "minScore": min_score,
        },
    }
    hint = "# On every box, all its cameras; narrow it with matchLabels, such as {site: harbour}.\n"
    (target / "deployment.yaml").write_text(f"{hint}{as_yaml(deployment)}\n", encoding="utf-8")
    if trying.named(release) is None:
        click.echo(f"next: {shlex.join(['longshore', 'push', release])}")
        click.echo(f"      {shlex.join(['longshore', 'apply', '-f', str(target / 'deployment.yaml')])}")
    else:
        click.echo(f"next: {shlex.join(['longshore', 'apply', '-f', str(target / 'deployment.yaml')])}")

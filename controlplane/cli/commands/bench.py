"""`longshore bench`: what this machine does with a release, measured by the agent; no control plane is needed."""

from __future__ import annotations

from pathlib import Path

import click

from controlplane.cli import trying

EXAMPLES = """Measure what this machine can do with a release: limits, what the agent reaches, how many cameras fit.

RELEASE is a release folder, a tar of one, or NAME@VERSION of the registry. Each of its ONNX files is asked as a box
asks it, and ONNX Runtime alone in the same rounds. Leaves a table, the figures and a plot. Let nothing else run
meanwhile; Ctrl-C keeps what was measured.

\b
Examples:
  longshore bench models/harbour/release
  longshore bench boats-1.0.0 --source rtsp://viewer:secret@10.0.0.7/live
  longshore bench boats@1.0.0 --variant int8 --seconds 60 -o json
"""


@click.command("bench", help=EXAMPLES)
@click.argument("release")
@click.option("--source", help="Video or rtsp://… whose decoding is measured [default: a drawn one].")
@click.option("--seconds", type=click.FloatRange(1.0), default=30.0, show_default=True, help="Of measuring.")
@click.option("--variant", help="Only this ONNX file of the release [default: each that runs here].")
@click.option("--threads", type=click.IntRange(0), help="Cores to use [default: all].")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Folder to make [default: NAME-VERSION-bench; none for json]."
)
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table")
def command(release: str, folder: Path | None, form: str, **options: float | str | None) -> None:
    with trying.release(release) as (path, made):
        target = folder or (trying.free_folder(made, Path.cwd(), "bench") if form == "table" else None)
        words = ["bench", str(path), "--output", form]
        for key, value in {**options, "folder": target}.items():
            words += [] if value is None else [f"--{key}", f"{value}"]
        code = trying.run_agent(words)
    trying.check_ended(code)

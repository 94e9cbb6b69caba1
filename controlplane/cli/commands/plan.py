"""`longshore plan`: what a box would answer in time, before it is bought; by the agent's simulator, without any box."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click

from controlplane.cli import trying

EXAMPLES = """What share of the frames of so many cameras would be answered in time, before anything is bought.

The agent's own scheduler decides, in virtual time, what goes to the box, to the cloud, or nowhere. What the box takes
for a frame comes from --figures, which 'longshore bench' leaves, or from --size; how often answers are right from the
evaluation in RELEASE (a release folder, a tar of one, or NAME@VERSION of the registry), or from --size. The table also
shows what would change with another box, link or number of cameras.

\b
Examples:
  longshore plan --cameras 8 --size small=12ms:0.61 --size medium=30ms:0.76 --link 4Mbit/s --budget 1.5Mbit/s
  longshore plan harbour@1.1.0 --figures harbour-1.1.0-bench/figures.json --cameras 6 --rate 5
  longshore plan --cameras 16 --busy 0.5 --size int8=21ms --link 2Mbit/s --unsteady --deadline 500ms -o json
"""


@click.command("plan", help=EXAMPLES)
@click.argument("release", required=False)
@click.option("--cameras", type=click.IntRange(1, 256), required=True, help="That the box looks after.")
@click.option("--rate", type=click.FloatRange(0.1, 60.0), default=10.0, show_default=True, help="Frames a second each.")
@click.option("--busy", type=click.FloatRange(0.01, 1.0), default=1.0, show_default=True, help="Share of its time.")
@click.option("--deadline", default="250ms", show_default=True, help="From a picture's capture to its answer.")
@click.option("--figures", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Of 'longshore bench'.")
@click.option(
    "--size", "sizes", multiple=True, metavar="NAME=TIME[:SHARE]", help="A frame's time on the box, its share right."
)
@click.option("--link", default="0bit/s", show_default=True, help="Uplink to a cloud node; 0bit/s: there is none.")
@click.option("--rtt", default="30ms", show_default=True, help="There and back over the link.")
@click.option("--unsteady", is_flag=True, help="The link wanders, as radio does.")
@click.option("--budget", help="What may be sent of the link [default: all].")
@click.option("--cloud", default="20ms", show_default=True, help="What the cloud node takes for a frame.")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table")
def command(release: str | None, sizes: tuple[str, ...], form: str, *, unsteady: bool, **options: object) -> None:
    words = [word for size in sizes for word in ("--size", size)] + (["--unsteady"] if unsteady else [])
    for key, value in options.items():
        words += [] if value is None else [f"--{key}", f"{value}"]
    with trying.release(release) if release else nullcontext((None, None)) as (path, _):
        code = trying.run_agent(["plan", *([str(path)] if path else []), "--output", form, *words])
    trying.check_ended(code)

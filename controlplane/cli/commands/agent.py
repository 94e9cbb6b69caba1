"""`longshore agent`: releases of the agent itself, which boxes install by the path of any release."""

from __future__ import annotations

from pathlib import Path

import click

HELP = """Releases of the agent itself. Boxes that 'longshore-agent join --install' made update themselves to them.

\b
Examples:
  longshore agent package -o agent-0.3.1
  longshore push agent-0.3.1 --for x86_64-cpu
  longshore apply -f agent.yaml              a Deployment of model longshore-agent: which boxes
"""
PACKAGE = """Make a release of the agent from a checkout: the wheels of its lock, and one of the checkout itself.

pip fetches them, by the hashes of the lock. Push it as any release; boxes install it without a network of their own.

\b
Examples:
  longshore agent package -o agent-0.3.1
  longshore agent package -o agent-0.3.1-gpu --lock agent-gpu --suffix gpu
  longshore agent package -o agent-0.3.1-py313 --python 3.13 --suffix py313
"""


@click.group("agent", help=HELP)
def command() -> None: ...


@command.command("package", help=PACKAGE)
@click.option(
    "-o", "--output", "target", type=click.Path(path_type=Path), required=True, metavar="DIR", help="To make."
)
@click.option(
    "--source",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    metavar="DIR",
    help="A checkout of Longshore [default: this folder].",
)
@click.option(
    "--lock",
    type=click.Choice(["agent-cpu", "agent-openvino", "agent-gpu"]),
    default="agent-cpu",
    help="[default: agent-cpu]",
)
@click.option("--python", default="", metavar="VERSION", help="Of the boxes [default: this command's].")
@click.option("--suffix", default="", metavar="TEXT", help="For the version, where there are several of one.")
def package(target: Path, source: Path, lock: str, python: str, suffix: str) -> None:
    from controlplane.cli import agent_release
    from controlplane.cli.agent_release import Wish
    from controlplane.cli.kinds import human_bytes

    made = agent_release.package(Wish(source, target, lock, python, suffix), agent_release.pip)
    size = human_bytes(sum(entry.size for entry in made.files))
    click.echo(f"{target}: {made.name}@{made.version}, {len(made.files)} files, {size}")
    click.echo(f"  next: longshore push {target}")

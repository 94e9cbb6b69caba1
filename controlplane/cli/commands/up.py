"""`longshore up`: a control plane, with --demo a whole fleet, as one process tree on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

EXAMPLES = """Run a control plane and its broker on this machine; --demo adds boxes, a cloud node and cameras.

Everything ends with Ctrl-C and goes on where it was when started again. Commands find it by themselves: in this folder
by .longshore/context.yaml, elsewhere by a context in ~/.config/longshore/config.yaml that is there while it runs.

\b
Examples:
  longshore up --demo
  longshore up --state /srv/longshore
  longshore up --listen 0.0.0.0 --advertise fleet.example    for boxes beyond this machine
"""


@click.command("up", help=EXAMPLES)
@click.option("--demo", is_flag=True, help="Two boxes, three cameras, a cloud node and a deployed model.")
@click.option("--state", type=click.Path(path_type=Path, file_okay=False), help="Where everything is kept.")
@click.option("--listen", metavar="ADDRESS", help="Where HTTPS, gRPC and the broker listen; default: loopback.")
@click.option("--advertise", metavar="HOST", help="The name that boxes dial; default: the address listened on.")
@click.option("--https-port", type=click.IntRange(1, 65535), help="People and boxes: page, API, joining, files.")
@click.option("--http-port", type=click.IntRange(1, 65535), help="The page for people on this machine.")
@click.option("--grpc-port", type=click.IntRange(1, 65535), help="Boxes, mutual TLS.")
@click.option("--broker-port", type=click.IntRange(1, 65535), help="The MQTT broker.")
@click.option("--rtsp-port", type=click.IntRange(1, 65535), help="The demo's RTSP camera.")
@click.option("--agents-port", type=click.IntRange(1, 65500), help="First port of the demo's agents.")
@click.option("--embedded-broker", is_flag=True, help="Use the built-in broker even where mosquitto is installed.")
@click.option(
    "--no-context", "lend_context", flag_value=False, default=None, help="Leave ~/.config/longshore/config.yaml alone."
)
def command(**given: Any) -> None:
    from controlplane.up import UpOptions, run  # starts processes and needs much: not for --help

    run(UpOptions(**{key: value for key, value in given.items() if value is not None}))

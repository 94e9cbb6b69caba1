"""What runs in the process tree, as data. Pure: options in, children out; nothing is started here.

The order to start follows from what each child needs: broker, RTSP server and control plane together; agents once the
control plane answers. They end in the order of `stage`, each stage together.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from controlplane.config import bracketed
from controlplane.up.broker_rules import Listener
from controlplane.up.options import AGENT_PORT_STEP, UpOptions, here


class Stage(IntEnum):
    """When a child is told to end: agents first, so that their last telemetry still arrives."""

    AGENTS = 0
    CONTROL_PLANE = 1
    BROKER = 2


@dataclass(frozen=True)
class Child:
    """One process of the tree: how to start it, when it is ready, when it ends."""

    name: str
    command: tuple[str, ...]
    stage: Stage
    listens: tuple[str, int] | None = None  # host and port as this machine dials them; ready once somebody answers
    essential: bool = False  # the tree is worth nothing without it


@dataclass(frozen=True)
class LocalAgent:
    """A demo agent: which node it becomes and where it answers."""

    node: str
    role: str
    labels: dict[str, str]
    index: int

    def first_port(self, options: UpOptions) -> int:
        return options.agents_port + self.index * AGENT_PORT_STEP

    def state_dir(self, options: UpOptions) -> Path:
        return options.state / "agents" / self.node


def control_plane(options: UpOptions, listener: Listener, *, mqtt5: bool) -> Child:
    flags = {
        "state": options.state,
        "host": options.listen,
        "https-port": options.https_port,
        "http-port": options.http_port,
        "grpc-port": options.grpc_port,
        "advertise-host": options.advertised,
        "broker-url": f"mqtts://{bracketed(here(listener.host))}:{listener.port}",
        "broker-advertise-url": f"mqtts://{bracketed(options.advertised)}:{listener.port}",
    }
    command = [sys.executable, "-P", "-m", "controlplane.main", "serve"]
    command += [part for flag, value in flags.items() for part in (f"--{flag}", str(value))]
    command += ["--broker-mqtt5"] if mqtt5 else []
    listens = (here(options.listen), options.https_port)
    return Child("control plane", tuple(command), Stage.CONTROL_PLANE, listens, essential=True)


def mosquitto(program: str, configuration: Path, listener: Listener) -> Child:
    return _broker((program, "-c", str(configuration)), listener)


def embedded_broker(listener: Listener, control_plane_name: str) -> Child:
    command = [sys.executable, "-P", "-m", "controlplane.up.embedded_broker", "--host", listener.host]
    command += ["--port", str(listener.port), "--ca", str(listener.ca)]
    command += ["--certificate", str(listener.certificate), "--key", str(listener.key)]
    command += ["--control-plane", control_plane_name]
    return _broker(tuple(command), listener)


def _broker(command: tuple[str, ...], listener: Listener) -> Child:
    return Child("broker", command, Stage.BROKER, (here(listener.host), listener.port), essential=True)


def rtsp_server(python: str, options: UpOptions, clip: Path) -> Child:
    script = Path(__file__).with_name("rtsp_server.py")
    command = (python, str(script), "--clip", str(clip), "--port", str(options.rtsp_port), "--path", "/harbour")
    return Child("RTSP server", command, Stage.AGENTS)


def agent_process(agent: LocalAgent, options: UpOptions) -> Child:
    """Started before there is a control plane to join: it asks for its join token on standard input."""
    first = agent.first_port(options)
    verb = "serve" if agent.role == "cloud" else "run"
    command = [*_AGENT, verb, "--state-dir", str(agent.state_dir(options)), "--http-port", str(first)]
    command += ["--grpc-port", str(first + 1), "--metrics-port", str(first + 2)]
    command += ["--join", options.local_url, "--node-id", agent.node, "--token-stdin"]
    return Child(agent.node, tuple(command), Stage.AGENTS)


_AGENT = (sys.executable, "-P", "-m", "agent.main")

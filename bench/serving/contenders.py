"""Who answers: how each server is started, and over which lines it is asked."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.serving import environments, regions, workloads
from bench.serving.box import TOKEN
from bench.serving.cells import GRPC, HTTP, OURS, REGION
from bench.serving.load import Target
from bench.serving.servers import Command
from bench.serving.workloads import Workload
from tests.servers.ports import free_port
from tests.sim.certificates import Authority

PEERS = Path(__file__).parent / "peers"


@dataclass(frozen=True)
class Line:
    """One way to ask one server; `name` is unique. `prepare` is called once before a workload is asked for so.

    It raises Retryable or OSError where that cannot be.
    """

    name: str
    encoding: str
    target: Target
    prepare: Callable[[ExitStack, Workload], None] = lambda _stack, _workload: None


@dataclass(frozen=True)
class Started:
    """A server to be started: its command, its lines, and whom its certificate is from.

    `late` is called once it answers, and gives the lines that depend on what it says it can.
    """

    command: Command
    lines: tuple[Line, ...]
    ca: str = ""
    late: Callable[[], tuple[Line, ...]] = tuple


@dataclass(frozen=True)
class Contender:
    """`make` takes the folder of models and one for its own files.

    It raises Retryable with the reason where the server cannot be installed.
    """

    name: str
    version: str
    make: Callable[[Path, Path], Started]


def longshore(*, loop: str, tls: bool) -> Contender:
    """The agent's data plane; `tls` adds the same behind certificates."""

    def make(models: Path, own: Path) -> Started:
        token, ports = secrets.token_urlsafe(24), [free_port() for _ in range(4)]
        words = [sys.executable, "-m", "bench.serving.box", str(models), "--loop", loop]
        names = ("http", "grpc", "https", "grpcs")
        words += [word for name, port in zip(names, ports, strict=True) for word in (f"--{name}-port", str(port))]
        plain = Target(ports[0], http2=False, token=token)
        lines = [Line(HTTP, "binary", plain), Line(GRPC, "grpc", Target(ports[1], http2=True, token=token))]
        ca = _certify(own, words) if tls else ""
        if tls:
            lines.append(Line(f"{HTTP}, TLS", "binary", Target(ports[2], http2=False, tls=True, token=token)))
            lines.append(Line(f"{GRPC}, TLS", "grpc", Target(ports[3], http2=True, tls=True, token=token)))
        command = Command(words, own / "log", {TOKEN: token})
        return Started(command, tuple(lines), ca, lambda: _region_lines(plain))

    return Contender(OURS, "", make)


def _region_lines(target: Target) -> tuple[Line, ...]:
    """Where it knows shared memory."""
    if not regions.offered(target):
        return ()
    return (Line(REGION, "region", target, lambda stack, workload: regions.register(stack, target, workload)),)


def _certify(own: Path, words: list[str]) -> str:
    """Add a certificate to the command; PEM of who signed it."""
    authority = Authority.make()
    for name, content in zip(("key", "certificate"), authority.issue("box"), strict=True):
        (own / f"{name}.pem").write_bytes(content)
        words += [f"--{name}", str(own / f"{name}.pem")]
    return authority.pem.decode()


def _fastapi(models: Path, own: Path) -> Started:
    python, port = environments.ready(environments.FASTAPI), free_port()
    command = Command([str(python), str(PEERS / "fastapi_server.py"), str(port)], own / "log", _models(models))
    return Started(command, (Line("FastAPI, raw bytes", "raw", Target(port, http2=False)),))


def _mlserver(models: Path, own: Path) -> Started:
    python, ports = environments.ready(environments.MLSERVER), [free_port() for _ in range(3)]
    for name in workloads.names(models):
        _write(
            own / name / "model-settings.json",
            {
                "name": name,
                "implementation": "mlserver_runtime.OnnxModel",
                "parameters": {"uri": str(models / f"{name}.onnx")},
            },
        )
    _write(
        own / "settings.json",
        {
            "host": "127.0.0.1",
            **dict(zip(("http_port", "grpc_port", "metrics_port"), ports, strict=True)),
            "parallel_workers": 0,  # the faster of its two ways here: with a pool each tensor is pickled
            "grpc_max_message_length": 64 << 20,
            "debug": False,
        },
    )
    words = [str(python.with_name("mlserver")), "start", str(own)]
    command = Command(words, own / "log", {"PYTHONPATH": str(PEERS)}, own)
    return Started(
        command,
        (
            Line("MLServer, HTTP JSON", "json", Target(ports[0], http2=False)),
            Line("MLServer, gRPC", "grpc", Target(ports[1], http2=True)),
        ),
    )


def _triton(models: Path, own: Path) -> Started:
    python, ports = environments.ready(environments.TRITON), [free_port() for _ in range(3)]
    words = [str(python), str(PEERS / "triton_server.py"), *map(str, ports)]
    return Started(
        Command(words, own / "log", _models(models), own),
        (
            Line("Triton, HTTP binary", "binary", Target(ports[0], http2=False)),
            Line("Triton, gRPC", "grpc", Target(ports[1], http2=True)),
        ),
    )


def _models(models: Path) -> dict[str, str]:
    return {"MODELS": str(models), "PYTHONPATH": ""}


def _write(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


PEER_NAMES = ("fastapi", "mlserver", "triton")
_PEERS = {
    "fastapi": Contender("FastAPI", "0.165.0, thread pool", _fastapi),
    "mlserver": Contender("MLServer", "1.7.1, parallel_workers=0", _mlserver),
    "triton": Contender("Triton", "nvidia-pytriton 0.7.0", _triton),
}


def peers(names: Sequence[str]) -> list[Contender]:
    return [_PEERS[name] for name in names]

"""A box that only serves: the agent's own data plane, engines and worker processes over a folder of models.

    python -m bench.serving.box FOLDER --http-port N --grpc-port N [--https-port N --grpcs-port N …]

The bearer token comes in LONGSHORE_BENCH_TOKEN. All that an agent imports is imported, its configuration's defaults
are taken, and it runs on the loop that the agent runs on, so that its start, idling and memory are those of an agent.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import uvloop

from agent import logs, running
from agent.adapters.clock import SystemClock
from agent.config import AgentConfig
from agent.inference.engine import OnnxEngine
from agent.ports import Engine, EngineSpec
from agent.serving.access import Access, ServerCredentials
from agent.serving.admission import Doors
from agent.serving.dataplane import DataPlane
from agent.serving.grpc_server import GrpcServer
from agent.serving.rest_server import RestServer
from agent.telemetry.metrics import Metrics
from agent.version import VERSION
from agent.workers.settled import settle
from bench.serving import workloads
from protos.ids import digest_of
from tests.sim.serving import FakeTable

HOST = "127.0.0.1"
TOKEN = "LONGSHORE_BENCH_TOKEN"
RELEASE = "1.0.0"
LOOPS = {"agent": running.new_loop, "asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def engine_spec(model: bytes, config: AgentConfig) -> EngineSpec:
    """As the agent's board makes it of a tensor release."""
    return EngineSpec(digest_of(model), "tensor", (), None, model, config.provider, config.threads)


async def serve(options: argparse.Namespace) -> None:
    """Listen, load all models, answer until told to end."""
    models = workloads.names(options.folder)
    table = FakeTable(loading=set(models))
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    monotonic = SystemClock().monotonic
    doors = None if options.no_door else Doors(monotonic, AgentConfig().shares)
    plane = DataPlane(table, VERSION, monotonic, Metrics(VERSION, "bench"), admission=doors)
    async with AsyncExitStack() as stack:
        await _listen(stack, plane, options)
        await asyncio.gather(*(_load(stack, table, options.folder, name, options.slow_down) for name in models))
        settle()
        await told.wait()


async def _listen(stack: AsyncExitStack, plane: DataPlane, options: argparse.Namespace) -> None:
    token = os.environ[TOKEN]
    doors = [(Access(token), options.http_port, options.grpc_port)]
    if options.certificate:
        credentials = ServerCredentials(options.certificate, options.key)
        doors.append((Access(token, credentials), options.https_port, options.grpcs_port))
    for access, http_port, grpc_port in doors:
        for server, port in ((RestServer(plane, access), http_port), (GrpcServer(plane, access), grpc_port)):
            await server.start(HOST, port)
            stack.push_async_callback(server.stop)


async def _load(stack: AsyncExitStack, table: FakeTable, folder: Path, name: str, slow_down: float) -> None:
    engine: Engine = OnnxEngine(name)
    stack.push_async_callback(engine.close)
    await engine.start(engine_spec(workloads.model(folder, name), AgentConfig()))
    engine.slow_down(slow_down)
    table.add(name, RELEASE, engine)
    table.loading.discard(name)


def run(main: Coroutine[Any, Any, None], loop: str) -> None:
    """On the loop of that name; `agent`: the one that agents run on."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--loop", choices=list(LOOPS), default="agent")
    parser.add_argument("--slow-down", type=float, default=0.0, help="seconds added to each call, without work")
    parser.add_argument("--no-door", action="store_true", help="everybody goes to the engines at once")
    for name in ("http", "grpc", "https", "grpcs"):
        parser.add_argument(f"--{name}-port", type=int, default=0)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    options = parser.parse_args()
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # as agent.main does
    logs.configure(AgentConfig().log_level, "bench")
    run(serve(options), options.loop)


if __name__ == "__main__":
    main()

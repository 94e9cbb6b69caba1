"""The control-plane process: `python -m controlplane.main serve --state DIR`; `pki` makes keys beforehand.

Start: hold the state folder and the ports, build everything, then listen. Stop, on SIGTERM or SIGINT: no new
connections, what runs may finish, loops and the broker's connection end, the database closes; each step is bounded, and
whatever still hangs after STOP_SECONDS is cut off. With LONGSHORE_PARENT_DEATH=1 the process dies with its parent.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path

import uvloop

from controlplane import pki
from controlplane.adapters.fleet_server import fleet_server
from controlplane.adapters.http_server import http_servers
from controlplane.adapters.listening import bound, held
from controlplane.adapters.tls import ServerCertificate
from controlplane.config import Config, load
from controlplane.container import Services
from controlplane.files import private_folder
from controlplane.fleet import loop as fleet_loop
from controlplane.fleet import servicer
from controlplane.ingest.loop import IngestLoop
from controlplane.logs import configure
from controlplane.training import loop as training_loop
from controlplane.trust import loop as trust_loop
from controlplane.web import create_app
from controlplane.wiring import build
from protos.errors import Fatal, LongshoreError, Retryable

__all__ = ["Services", "create_app", "main"]

log = logging.getLogger(__name__)
DRAIN_SECONDS = 0.5  # for a call that runs when the end comes; a stream would go on for ever
STOP_SECONDS = 2.5  # then the process ends, whatever hangs
CHECK_SECONDS = 3600.0
ROLL_SECONDS = 10.0  # so much later than it was stored, telemetry stands in its minutes and hours
PAUSE_SECONDS = 0.2  # between two parts of a long sweep: others want to write as well
GARBAGE = (50_000, 10, 10)  # objects until it is looked for: a page of a large fleet makes 300,000, and drops them all
_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """0: told to stop. 1: could not go on, with one sentence on standard error."""
    _die_with_parent()
    gc.disable()  # until everything stands: nearly nothing of what a start makes is garbage
    given = vars(_parser().parse_args(arguments))
    try:
        if given.pop("command") == "pki":
            print(pki.write(given["out"], given["broker_host"], time.time()))
            return 0
        config = load(os.environ, **given)
        configure(config.log_level)
        with held(private_folder(config.folder)):
            uvloop.run(serve(config))
    except LongshoreError as error:
        print(f"longshore: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m controlplane.main", description="The Longshore control plane.")
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("pki", help="make the authority and the broker's key pair as files, and end")
    making.add_argument("--out", type=Path, required=True, metavar="DIR")
    making.add_argument("--broker-host", action="append", default=[], metavar="NAME", help="may be given several times")
    serving = commands.add_parser("serve", help="run until told to stop")
    for entry in fields(Config):
        if not entry.metadata.get("flag", True):  # others on this machine see command lines
            continue
        flag = f"--{entry.name.replace('_', '-')}"
        if entry.type == "bool":
            serving.add_argument(flag, action="store_true", default=None)
        else:
            serving.add_argument(flag, metavar=str(entry.type).upper())
    return parser


def _die_with_parent() -> None:
    if os.environ.get("LONGSHORE_PARENT_DEATH") != "1":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:  # it died before we asked
        sys.exit(1)


@dataclass
class Stop:
    """The end, and which loop brought it about if none was asked for."""

    told: asyncio.Event = field(default_factory=asyncio.Event)
    broken: str = ""

    def loop_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            log.critical("the loop %s ended", task.get_name(), exc_info=task.exception())
            self.broken = task.get_name()
            self.told.set()


async def serve(config: Config) -> None:
    """Until SIGTERM or SIGINT. Raises Fatal, Retryable."""
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.told.set)
    async with AsyncExitStack() as stack:
        sockets = _bind(config, stack)
        services = build(config)
        stack.callback(services.database.close)
        names = config.server_names
        certificate = ServerCertificate(services.authority, names, services.clock, config.folder / "ca")
        ingest = await stack.enter_async_context(_telemetry(services))
        await stack.enter_async_context(_loops(services, certificate, ingest, stop))
        await stack.enter_async_context(_fleet(services, certificate))
        contexts = (certificate.context, None)
        await stack.enter_async_context(http_servers(create_app(services), list(zip(sockets, contexts, strict=False))))
        gc.freeze()
        gc.set_threshold(*GARBAGE)
        gc.enable()
        log.info("ready at %s, gRPC at %s", config.base_url, config.fleet_address)
        await stop.told.wait()
        log.info("stopping")
        _cut_off_later(1 if stop.broken else 0)
    if stop.broken:
        raise Fatal(f"the {stop.broken} loop ended by itself, which is a mistake of ours; the log says why")


def _bind(config: Config, stack: AsyncExitStack) -> list[socket.socket]:
    """HTTPS, then plain HTTP. gRPC binds by itself later; whether it can is found out here."""
    with bound(config.host, config.grpc_port, "--grpc-port"):
        pass
    sockets = [stack.enter_context(bound(config.host, config.https_port, "--https-port"))]
    if config.http_port:
        sockets.append(stack.enter_context(bound("127.0.0.1", config.http_port, "--http-port")))
    return sockets


@asynccontextmanager
async def _fleet(services: Services, certificate: ServerCertificate) -> AsyncIterator[None]:
    config = services.config
    server = fleet_server(config.host, config.grpc_port, certificate.credentials())
    servicer.register(server, services.identity, services.boxes, services.looking, services.clock)
    await server.start()
    try:
        yield
    finally:
        await server.stop(DRAIN_SECONDS)


@asynccontextmanager
async def _telemetry(services: Services) -> AsyncIterator[IngestLoop]:
    """First listen no more, then end what is being stored."""
    ingest = IngestLoop(services.telemetry, services.ingest, services.boxes.presence, services.metrics)
    ingest.start()
    services.telemetry.start()
    try:
        yield ingest
    finally:
        await asyncio.to_thread(services.telemetry.stop)
        await asyncio.to_thread(ingest.stop)


@asynccontextmanager
async def _loops(
    services: Services, certificate: ServerCertificate, ingest: IngestLoop, stop: Stop
) -> AsyncIterator[None]:
    """Work beside requests. A loop that ends by itself is a bug and stops the process."""
    loops = {
        "fleet": fleet_loop.run(services.boxes),
        "certificate": _keep_certificate(certificate),
        "sweep": _sweep(services),
        "roll": _roll(services),
        "ingest": _alive(ingest),
        "trust": trust_loop.run(services.trust, services.proposals),
        "training": training_loop.run(services.runs, services.publishing),
    }
    tasks = [asyncio.create_task(work, name=name) for name, work in loops.items()]
    for task in tasks:
        task.add_done_callback(stop.loop_ended)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
        with suppress(LongshoreError):
            await asyncio.to_thread(services.runs.pause)


async def _alive(ingest: IngestLoop) -> None:
    """Ends when the thread does: a control plane that stores nothing must not look well."""
    while True:
        await asyncio.sleep(1)
        if not ingest.alive:
            return


async def _keep_certificate(certificate: ServerCertificate) -> None:
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        if await asyncio.to_thread(certificate.renew_if_due):
            log.info("the server certificate was renewed")


async def _sweep(services: Services) -> None:
    """What nobody needs any more goes a while after the start, when it disturbs least."""
    while True:
        with suppress(Retryable):
            await asyncio.to_thread(services.rollups.prepare)
        await asyncio.sleep(CHECK_SECONDS)
        with suppress(Retryable):
            await asyncio.to_thread(services.registry.sweep)
            for some in (services.ingest.sweep, services.rollups.sweep):
                while await asyncio.to_thread(some):  # noqa: ASYNC110 - a pause, not a poll
                    await asyncio.sleep(PAUSE_SECONDS)
            await asyncio.to_thread(services.identity.sweep)
            await asyncio.to_thread(services.audit.sweep)


async def _roll(services: Services) -> None:
    """A full part at a time while there are any, so that a backlog goes in one go."""
    while True:
        await asyncio.sleep(ROLL_SECONDS)
        with suppress(Retryable):
            while await asyncio.to_thread(services.rollups.roll) == services.rollups.most:
                pass


def _cut_off_later(code: int) -> None:
    """A thread that hangs in a call nobody can cancel must not keep the process."""
    timer = threading.Timer(STOP_SECONDS, os._exit, (code,))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    sys.exit(main())

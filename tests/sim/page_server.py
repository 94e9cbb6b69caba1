"""A control plane with a page, on a loopback port, in threads of this process; its fleet is `fleet_data`'s."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from controlplane.adapters.blob_memory import MemoryBlobStore
from controlplane.adapters.clock import SystemClock
from controlplane.adapters.executor_memory import MemoryExecutor
from controlplane.adapters.http_server import http_servers
from controlplane.adapters.notary import FolderNotary
from controlplane.adapters.notifier_memory import MemoryNotifier
from controlplane.adapters.trust_files import first_documents
from controlplane.adapters.x509 import LocalAuthority, new_ca
from controlplane.config import Config
from controlplane.container import Services
from controlplane.db import Database
from controlplane.migrations.migrate import migrate
from controlplane.registry.grants import Grants
from controlplane.web import create_app
from controlplane.wiring import Adapters, assemble
from tests.sim.control_plane import SimInspector
from tests.sim.fleet_data import HarbourFleet

TICK_SECONDS = 2.0


@dataclass
class PageServer:
    url: str
    services: Services
    fleet: HarbourFleet
    executor: MemoryExecutor  # runs are played

    def sign_in_link(self) -> str:
        return f"{self.url}/signin?code={self.services.identity.create_sign_in_code().text}"


def real_services(folder: Path, executor: MemoryExecutor) -> Services:
    """On the system's clock, because a page lives in real time."""
    clock = SystemClock()
    database = Database(f"sqlite:///{folder / 'longshore.db'}")
    migrate(database)
    adapters = Adapters(
        clock=clock,
        database=database,
        authority=LocalAuthority(*new_ca(clock.unix())),
        blobs=MemoryBlobStore(clock),
        notifier=MemoryNotifier(),
        inspector=SimInspector(),
        executor=executor,
        grants=Grants(b"k" * 32),
        notary=FolderNotary(folder / "controlplane" / "trust"),
    )
    config = Config(state=folder)
    services = assemble(config, adapters)
    services.trust.begin(lambda: first_documents(config.folder / "trust", config.keys_folder, int(clock.unix())))
    services.settings.ensure()
    return services


@contextmanager
def page_server(folder: Path) -> Iterator[PageServer]:
    """Serve until the block ends; the fleet is empty until the test makes it join."""
    executor = MemoryExecutor()
    services = real_services(folder, executor)
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    stopping, ready = threading.Event(), threading.Event()
    server = threading.Thread(target=lambda: asyncio.run(_serve(services, taken, ready, stopping)), name="page")
    server.start()
    assert ready.wait(20)
    try:
        yield PageServer(f"http://127.0.0.1:{taken.getsockname()[1]}", services, HarbourFleet(services), executor)
    finally:
        stopping.set()
        server.join(20)
        services.database.close()


async def _serve(services: Services, taken: socket.socket, ready: threading.Event, stopping: threading.Event) -> None:
    async with http_servers(create_app(services), [(taken, None)]):
        ready.set()
        await asyncio.to_thread(stopping.wait)


@contextmanager
def ticking(fleet: HarbourFleet, seconds: float = TICK_SECONDS) -> Iterator[None]:
    """The fleet goes on talking while the block runs."""
    stopping = threading.Event()

    def run() -> None:
        while not stopping.wait(seconds):
            fleet.tick()

    thread = threading.Thread(target=run, name="fleet")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(20)


def main() -> None:
    """Serve the simulated fleet until interrupted, to look at the page: python -m tests.sim.page_server"""
    import tempfile

    with tempfile.TemporaryDirectory() as folder, page_server(Path(folder)) as server:
        server.fleet.join()
        server.fleet.history()
        with ticking(server.fleet):
            print(server.sign_in_link(), flush=True)
            while True:
                time.sleep(3600)


if __name__ == "__main__":
    main()

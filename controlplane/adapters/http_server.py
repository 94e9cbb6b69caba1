"""Uvicorn on sockets of ours: the same application behind HTTPS and, on this machine, plain HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ssl import SSLContext

import uvicorn
from starlette.types import ASGIApp

DRAIN_SECONDS = 0.5  # for a request that runs when the end comes; a page's event stream would go on for ever
KEEP_ALIVE_SECONDS = 30


class _Listener(uvicorn.Server):
    """One socket. Signals are the process's business, not ours."""

    def __init__(self, app: ASGIApp, taken: socket.socket, context: SSLContext | None) -> None:
        configuration = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        super().__init__(configuration)
        configuration.load()
        configuration.ssl = context
        self._taken = taken
        self.listening = asyncio.Event()

    async def run_on(self) -> None:
        await self._serve([self._taken])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@asynccontextmanager
async def http_servers(
    app: ASGIApp, listeners: Sequence[tuple[socket.socket, SSLContext | None]]
) -> AsyncIterator[None]:
    """Listening inside the block; at its end running requests get DRAIN_SECONDS."""
    servers = [_Listener(app, taken, context) for taken, context in listeners]
    tasks = [asyncio.create_task(server.run_on(), name="http") for server in servers]
    try:
        for server in servers:
            await server.listening.wait()
        yield
    finally:
        for server in servers:
            server.should_exit = True
        _, hanging = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
        for task in hanging:
            task.cancel()

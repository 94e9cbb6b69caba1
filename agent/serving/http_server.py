"""A server of HTTP/1.1 connections: listening, what all of them may hold together, the sweep, the end.

What is served, and who may, is for the class below: `handle`, `denial` and `refusal`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping

from agent.serving import binding
from agent.serving.access import Access
from agent.serving.certificates import Certificates
from agent.serving.http1 import Connection, HttpLimits
from agent.serving.http1_messages import Request, Response
from protos.errors import Fatal


class HttpServer(ABC):
    """Serves on one port; an `Owner` of its connections."""

    early: frozenset[str] = frozenset()  # see Owner
    what = ""  # it is, for errors
    knob = ""  # how the flag of its port begins

    def __init__(self, access: Access | None = None, limits: HttpLimits | None = None) -> None:
        self._access = access or Access()
        self.limits = limits or HttpLimits()
        self.connections: set[Connection] = set()
        self.stopping = False
        self.held = 0  # bytes of all bodies
        self._server: asyncio.Server | None = None
        self._certificates: Certificates | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """Serve; the bound port. Raises Fatal: it cannot listen there, or the door would stand open."""
        self._access.check_bind(host)
        if self._access.credentials is not None:
            self._certificates = Certificates(self._access.credentials)
        tls = self._certificates.context if self._certificates else None
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: Connection(self, loop.time), host, port, ssl=tls)
        except OSError as error:
            raise self.trouble(host, port, error) from error
        self._sweep()
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self, grace: float = 3.0) -> None:
        """No new connections; what is being answered is answered, within the grace. Safe to call twice."""
        self.stopping = True
        if self._server is None:
            return
        self._server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self.connections):
            connection.end_when_idle()
        if open_ones := [connection.closed for connection in self.connections]:
            await asyncio.wait(open_ones, timeout=grace)
        for connection in list(self.connections):
            connection.abort()
        self._server = None

    def reserve(self, nbytes: int) -> bool:
        if self.held + nbytes > self.limits.all_bodies_bytes:
            return False
        self.held += nbytes
        return True

    def release(self, nbytes: int) -> None:
        self.held -= nbytes

    def trouble(self, host: str, port: int, error: OSError) -> Fatal:  # noqa: ARG002 - for servers that know no better
        """Why it cannot listen there, with the next step."""
        return binding.trouble(self.what, host, port, self.knob)

    @abstractmethod
    def refusal(self, status: int, message: str) -> Response: ...

    @abstractmethod
    def denial(self, headers: Mapping[str, str], *, proven: bool) -> Response | None:
        """Why this caller may not send a body, or None."""

    def turned_away(self, request: Request) -> Response | None:  # noqa: ARG002 - for servers that turn nobody away
        """Why a request whose body is not there yet will not be answered, or None."""
        return None

    @abstractmethod
    async def handle(self, request: Request) -> Response:
        """Raises nothing: every error is an answer."""

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        for connection in list(self.connections):
            connection.check_time(loop.time())
        if self._certificates is not None:
            self._certificates.renewed()
        self._sweeper = loop.call_later(self.limits.sweep_seconds, self._sweep)

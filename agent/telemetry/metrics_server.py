"""`/metrics` over plain HTTP: a few lines of asyncio instead of a web framework in the agent's main process.

GET /metrics and /healthz, nothing else; a request that is too long or too slow is cut off. Whoever opens the port
beyond loopback shows names of cameras and models to that network, and nothing that is secret.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from protos.errors import Fatal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
REQUEST_SECONDS = 5.0
MOST_REQUEST_BYTES = 16 << 10

log = logging.getLogger(__name__)


class MetricsServer:
    """Serves what `render` returns at the moment of the request."""

    def __init__(self, render: Callable[[], bytes]) -> None:
        self._render = render
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port, which differs from the one asked for when that was 0.

        Raises:
            Fatal: the port is taken; the sentence says how to choose another.
        """
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=MOST_REQUEST_BYTES)
        except OSError as error:
            raise Fatal(
                f"port {port} on {host} for metrics can't be opened ({error.strerror or error}); "
                "choose another one with --metrics-port or LONGSHORE_AGENT_METRICS_PORT"
            ) from error
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head.partition(b"\r\n")[0]))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
            log.debug("metrics request: %r", error)
        finally:
            writer.close()

    def _answer(self, request_line: bytes) -> bytes:
        method, _, rest = request_line.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", b"only GET is served here\n")
        if path == b"/metrics":
            return _response("200 OK", self._render(), only_head=method == b"HEAD")
        if path == b"/healthz":
            return _response("200 OK", b"ok\n", only_head=method == b"HEAD")
        return _response("404 Not Found", b"only /metrics and /healthz are served here\n")


def _response(status: str, body: bytes, *, only_head: bool = False) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + (b"" if only_head else body)

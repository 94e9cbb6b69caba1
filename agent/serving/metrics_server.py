"""`/metrics` over HTTP: a few lines of asyncio, for one path needs no web framework in the agent's main process.

GET /metrics and /healthz, nothing else; a request that is too long or too slow is cut off. Loopback is open; beyond it
the rules of `access` hold as for inference: TLS, and a certificate of this fleet or the bearer token for /metrics.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable

from agent.serving import binding
from agent.serving.access import Access
from agent.serving.certificates import Certificates
from agent.serving.errors import Denied

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
REQUEST_SECONDS = 5.0
MOST_REQUEST_BYTES = 16 << 10

log = logging.getLogger(__name__)


class MetricsServer:
    """Serves what `render` returns at the moment of the request."""

    def __init__(self, render: Callable[[], bytes], access: Access | None = None) -> None:
        self._render = render
        self._access = access or Access()
        self._certificates: Certificates | None = None
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the bound port. Raises Fatal: it cannot listen there, or the door would stand open."""
        self._access.check_bind(host)
        if self._access.credentials is not None:
            self._certificates = Certificates(self._access.credentials)
        tls = self._certificates.context if self._certificates else None
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=MOST_REQUEST_BYTES, ssl=tls)
        except OSError as error:
            raise binding.trouble("metrics", host, port, "metrics") from error
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._certificates is not None:
            self._certificates.renewed()  # the next handshake shows them: a Prometheus comes again soon
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head, proven=_proven(writer)))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
            log.debug("metrics request: %r", error)
        finally:
            writer.close()

    def _answer(self, head: bytes, *, proven: bool) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", b"only GET is served here\n")
        if path == b"/metrics":
            return self._metrics(head, proven=proven, only_head=method == b"HEAD")
        if path == b"/healthz":
            return _response("200 OK", b"ok\n", only_head=method == b"HEAD")
        return _response("404 Not Found", b"only /metrics and /healthz are served here\n")

    def _metrics(self, head: bytes, *, proven: bool, only_head: bool) -> bytes:
        try:
            self._access.check(_header(head, b"authorization"), proven=proven)
        except Denied as error:
            return _response("401 Unauthorized\r\nWWW-Authenticate: Bearer", f"{error}\n".encode())
        return _response("200 OK", self._render(), only_head=only_head)


def _proven(writer: asyncio.StreamWriter) -> bool:
    """Whether the caller showed a certificate, which the handshake has verified then."""
    tls: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
    return tls is not None and bool(tls.getpeercert())


def _header(head: bytes, wanted: bytes) -> str | None:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == wanted:
            return value.strip().decode("latin-1")
    return None


def _response(status: str, body: bytes, *, only_head: bool = False) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + (b"" if only_head else body)

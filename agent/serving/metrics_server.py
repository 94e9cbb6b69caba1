"""`/metrics` over HTTP, and `/healthz`; nothing else.

A request that is too long or too slow is cut off. Loopback is open; beyond it the rules of `access` hold as for
inference: TLS, and a certificate of this fleet or the bearer token for /metrics.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from agent.serving.access import Access
from agent.serving.errors import Denied
from agent.serving.http1 import HttpLimits
from agent.serving.http1_messages import Request, Response
from agent.serving.http_server import HttpServer

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LIMITS = HttpLimits(
    head_bytes=16 << 10,
    body_bytes=0,
    all_bodies_bytes=0,
    connections=32,
    stall_seconds=5.0,
    request_seconds=5.0,
)

log = logging.getLogger(__name__)


class MetricsServer(HttpServer):
    """Serves what `render` returns at the moment of the request."""

    what, knob = "metrics", "metrics"

    def __init__(self, render: Callable[[], bytes], access: Access | None = None) -> None:
        super().__init__(access, LIMITS)
        self._render = render

    def refusal(self, status: int, message: str) -> Response:
        return _text(status, message)

    def denial(self, headers: Mapping[str, str], *, proven: bool) -> Response | None:
        try:
            self._access.check(headers.get("authorization"), proven=proven)
        except Denied as error:
            return _text(401, str(error), {"WWW-Authenticate": "Bearer"})
        return None

    async def handle(self, request: Request) -> Response:
        path = request.target.partition("?")[0]
        if request.method not in ("GET", "HEAD"):
            return _text(405, "only GET is served here", {"Allow": "GET, HEAD"})
        if path == "/healthz":
            return _text(200, "ok")
        if path != "/metrics":
            return _text(404, "only /metrics and /healthz are served here")
        return self.denial(request.headers, proven=request.proven) or self._metrics()

    def _metrics(self) -> Response:
        try:
            return Response(200, [self._render()], CONTENT_TYPE, {"Cache-Control": "no-store"})
        except Exception:  # the root of one request: a bug of ours costs this request only
            log.exception("the metrics cannot be told")
            return _text(500, "this node made a mistake; its log says more")


def _text(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return Response(status, [f"{sentence}\n".encode()], CONTENT_TYPE, {"Cache-Control": "no-store", **(headers or {})})

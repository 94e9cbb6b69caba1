"""The control plane's own figures: seconds and bytes, labels with few values, one registry per process."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def new_registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


class MeasuredRequests:
    """ASGI middleware: how long each route took to answer. A route is its template, never the path as asked."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._seconds = Histogram(
            "longshore_http_request_seconds",
            "From the request's first byte to the answer's last",
            ("method", "route", "status"),
            registry=registry,
            buckets=_BUCKETS,
        )
        self._received = Counter("longshore_http_received_bytes_total", "Bytes of request bodies", registry=registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), "500"

        async def counted() -> Message:
            message = await receive()
            self._received.inc(len(message.get("body", b"")))
            return message

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, counted, noted)
        finally:
            self._seconds.labels(scope["method"], _template(scope), status).observe(time.perf_counter() - began)


def _template(scope: Any) -> str:
    return getattr(scope.get("route"), "path", "none")

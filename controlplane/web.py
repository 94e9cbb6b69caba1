"""The HTTP application: every folder's routes, one place where errors become answers, limits around all of it.

A refusal is `{"error": {"code", "message"}}` with one sentence; people on a page get the sentence as a page. Nobody
ever sees a traceback. Request bodies are bounded unless a route streams them.
"""

from __future__ import annotations

import logging
import re
from functools import partial
from importlib import metadata

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controlplane.audit.routes import WrittenDown
from controlplane.audit.routes import router as audit
from controlplane.books.domain import Contact, contact
from controlplane.books.metrics import BooksMetrics
from controlplane.books.routes import router as books
from controlplane.config import is_loopback
from controlplane.container import Services
from controlplane.errors import Conflict, Forbidden, NotFound, TooLarge, Unauthenticated
from controlplane.fleet.routes import router as fleet
from controlplane.history.routes import router as history
from controlplane.identity import pages
from controlplane.identity.access import Bearer, Cookie, Current, require_user
from controlplane.identity.routes import pages_router as signing_in
from controlplane.identity.routes import router as identity
from controlplane.insights.metrics import FleetMetrics
from controlplane.insights.routes import router as insights
from controlplane.metrics import MeasuredRequests
from controlplane.people.routes import router as people
from controlplane.registry.routes import router as registry
from controlplane.schemas import Answer
from controlplane.settings.routes import router as settings
from controlplane.training.metrics import RunMetrics
from controlplane.training.routes import router as training
from controlplane.trust.proposal_routes import router as proposals
from controlplane.trust.routes import router as trust
from controlplane.ui.routes import add_pages
from protos.errors import InvalidToken, LongshoreError, Rejected, Retryable

log = logging.getLogger(__name__)
MAX_BODY = 2 << 20  # bytes: above a manifest, below anything that hurts; uploads stream
_ECHOED = 200  # characters of what a caller wrote, in what he is told
_PLAINLY = {
    "missing": "is needed",
    "extra_forbidden": "is no field here",
    "model_attributes_type": "must be an object in JSON",
    "model_type": "must be an object in JSON",
    "dict_type": "must be an object in JSON",
    "string_type": "must be text",
}
_BOUND_BY_THEMSELVES = re.compile("/api/v1/(uploads/.*|metadata|proposals)")  # once it is known who sends

STATUS: tuple[tuple[type[LongshoreError], int, str], ...] = (
    (Unauthenticated, 401, "unauthenticated"),
    (InvalidToken, 401, "invalid-token"),
    (Forbidden, 403, "forbidden"),
    (NotFound, 404, "not-found"),
    (Conflict, 409, "conflict"),
    (TooLarge, 413, "too-large"),
    (Rejected, 422, "rejected"),
    (Retryable, 503, "try-again"),
    (LongshoreError, 500, "broken"),
)


def create_app(services: Services) -> FastAPI:
    app = FastAPI(
        title="Longshore",
        version="v1",
        summary="Fleet control for camera boxes at the edge",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # both load scripts from elsewhere
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.services = services
    for router in (
        identity,
        registry,
        fleet,
        insights,
        history,
        books,
        settings,
        training,
        signing_in,
        people,
        audit,
        trust,
        proposals,
    ):
        app.include_router(router)
    add_pages(app, services)
    services.metrics.register(FleetMetrics(services.fleet, services.registry, services.totals))
    services.metrics.register(BooksMetrics(services.books, partial(_contacts, services)))
    services.metrics.register(RunMetrics(services.training, services.clock))
    _add_own_routes(app)
    _add_handlers(app)
    app.add_middleware(BoundedBodies)
    app.add_middleware(WrittenDown, audit=services.audit)
    app.add_middleware(MeasuredRequests, registry=services.metrics)
    return app


def _contacts(services: Services) -> dict[str, Contact]:
    nodes = services.fleet.list_nodes()
    return {node["metadata"]["name"]: contact(node["status"]) for node in nodes}


def _add_own_routes(app: FastAPI) -> None:
    app.add_api_route("/healthz", healthz, include_in_schema=False)
    app.add_api_route("/readyz", readyz, include_in_schema=False)
    app.add_api_route("/metrics", metrics, include_in_schema=False)
    user = [Depends(require_user)]
    app.add_api_route("/api/v1/version", version, dependencies=user, tags=["longshore"], summary="What runs here")


class VersionAnswer(Answer):
    version: str


def version() -> VersionAnswer:
    return VersionAnswer(version=metadata.version("longshore"))


def healthz() -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok\n")


def readyz(services: Current) -> PlainTextResponse:
    """The database answers too."""
    services.database.ping()
    return PlainTextResponse("ok\n")


def metrics(request: Request, services: Current, bearer: Bearer, cookie: Cookie) -> Response:
    """Open on this machine; beyond it to users."""
    if request.client is None or not is_loopback(request.client.host):
        require_user(request, services, bearer, cookie)
    return Response(generate_latest(services.metrics), media_type=CONTENT_TYPE_LATEST)


# ---- errors ----


def _add_handlers(app: FastAPI) -> None:
    app.add_exception_handler(LongshoreError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(Exception, _broken)


def _refused(request: Request, error: Exception) -> Response:
    status, code = next((status, code) for kind, status, code in STATUS if isinstance(error, kind))
    headers = {}
    if isinstance(error, Retryable):
        headers["Retry-After"] = str(max(1, round(error.after_seconds or 1)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return _answer(request, status, code, str(error), headers)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        why = str(first.get("ctx", {}).get("error", "")).lower()
        return _answer(request, 422, "rejected", f"the body is not JSON: {why} at character {first['loc'][-1]}")
    place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path", "header"))
    place = _shown(place) or "the body"
    if first["type"] in _PLAINLY:
        return _answer(request, 422, "rejected", f"{place} {_PLAINLY[first['type']]}")
    what = str(first["msg"]).removeprefix("Value error, ")
    return _answer(request, 422, "rejected", f"{place}: {what[:1].lower()}{what[1:]}")


def _plain(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        path = _shown(request.url.path)
        return _answer(request, 404, "not-found", f"there is nothing at {path}; see /api/v1/openapi.json")
    if error.status_code == 400:  # what FastAPI says of a body that it could not read at all, JSON's errors apart
        return _answer(request, 422, "rejected", "the body cannot be read; send an object as JSON, in UTF-8")
    if error.status_code == 405:
        allowed = dict(error.headers or {})
        sentence = f"{_shown(request.method)} means nothing at this path; see /api/v1/openapi.json"
        return _answer(request, 405, "rejected", sentence, allowed)
    code = "too-large" if error.status_code == 413 else "rejected"
    return _answer(request, error.status_code, code, str(error.detail), dict(error.headers or {}))


def _shown(text: str) -> str:
    """What a caller wrote, as it may stand in a sentence."""
    return text if len(text) <= _ECHOED else f"{text[:_ECHOED]}…"


def _broken(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _answer(request, 500, "broken", "the control plane made a mistake; its log says which")


def _answer(request: Request, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    if not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", ""):
        page = pages.signed_out() if status == 401 and request.method == "GET" else pages.sentence(message)
        return HTMLResponse(page, status, {**pages.HEADERS, **(headers or {})})
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


# ---- limits ----


class BoundedBodies:
    """ASGI middleware: a body beyond MAX_BODY is refused while it comes, whatever its header said."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _BOUND_BY_THEMSELVES.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        left = MAX_BODY

        async def bounded() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                # Not TooLarge: FastAPI passes on nothing but its own kind from reading a body.
                raise HTTPException(413, f"the request is larger than the {MAX_BODY} bytes allowed")
            return message

        await self._app(scope, bounded, send)

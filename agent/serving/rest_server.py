"""The Open Inference Protocol over REST.

    GET  /v2   /v2/health/live   /v2/health/ready
    GET  /v2/models/{m}[/versions/{v}]         GET …/ready         POST …/infer
    and what `rest_extensions` lists

Every error is `{"error": "<one sentence>"}`; `STATUS` is the one place where its kind becomes a code. Metadata and
inference ask for the token where one is set; health is open to probes.
"""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import unquote

from agent.serving import heads, rest_codec, rest_extensions
from agent.serving.access import Access
from agent.serving.callers import Caller
from agent.serving.dataplane import DataPlane
from agent.serving.errors import (
    BadRequest,
    Conflict,
    Denied,
    Expired,
    Forbidden,
    NotANumber,
    Overloaded,
    TooLarge,
    TurnedAway,
    UnknownModel,
    UnknownRegion,
)
from agent.serving.http1 import HttpLimits
from agent.serving.http1_messages import Request, Response
from agent.serving.http_server import HttpServer
from protos.errors import LongshoreError, Rejected, Retryable

log = logging.getLogger(__name__)

# The most specific kind first.
STATUS: tuple[tuple[type[LongshoreError], int], ...] = (
    (UnknownModel, 404),
    (UnknownRegion, 404),
    (TurnedAway, 429),
    (Overloaded, 429),
    (Expired, 504),
    (TooLarge, 413),
    (Denied, 401),
    (Forbidden, 403),
    (Conflict, 409),
    (Retryable, 503),
    (NotANumber, 500),
    (Rejected, 400),
)
_MAX_INFLATED = 16 << 20  # bytes: inflating runs on the event loop
_SHORT = 256  # characters of a target that is remembered
_INFLATE = 47  # zlib's window bits for gzip and zlib, whichever comes


class RestServer(HttpServer):
    """Serves one data plane on one port."""

    what, knob, early = "REST inference", "http", heads.NAMES

    def __init__(self, plane: DataPlane, access: Access | None = None, limits: HttpLimits | None = None) -> None:
        super().__init__(access, limits)
        self._plane = plane

    # --- what a connection asks -------------------------------------------------------------------------------------

    def refusal(self, status: int, message: str) -> Response:
        headers = {"Retry-After": "1"} if status in (429, 503) else {}
        return Response(status, [rest_codec.error(message)], headers=headers)

    def denial(self, headers: Mapping[str, str], *, proven: bool) -> Response | None:
        try:
            self._access.check(headers.get("authorization"), proven=proven)
        except Denied as error:
            return _failure(error)
        return None

    def turned_away(self, request: Request) -> Response | None:
        """See Owner. What is wrong with a request is said to all of it."""
        match _parts(request.target):
            case ["v2", "models", name, "versions", version, "infer"]:
                return self._turned_away(request, name, version)
            case ["v2", "models", name, "infer"]:
                return self._turned_away(request, name, None)
        return None

    def _turned_away(self, request: Request, name: str, version: str | None) -> Response | None:
        try:
            self._plane.check(name, version, _head(request), "rest")
        except TurnedAway as error:
            return _failure(error)
        except LongshoreError:
            pass
        return None

    async def handle(self, request: Request) -> Response:
        """Raises nothing: every error is an answer."""
        try:
            return await self._route(request)
        except LongshoreError as error:
            return _failure(error)
        except Exception:  # the root of one request: a bug of ours costs this request only
            log.exception("a request to %s failed", request.target.partition("?")[0][:200])
            return Response(500, [rest_codec.error("this node made a mistake; its log says more")])

    # --- routes -----------------------------------------------------------------------------------------------------

    async def _route(self, request: Request) -> Response:
        path = _parts(request.target)
        match path:
            case ["v2", "health", "live"]:
                return _get(request) or Response(200, [b'{"live":true}'])
            case ["v2", "health", "ready"]:
                return _get(request) or _ready(self._plane.ready())
        self._access.check(request.headers.get("authorization"), proven=request.proven)
        match path:
            case ["v2"]:
                return _get(request) or Response(200, [rest_codec.server_metadata(self._plane.server_metadata())])
            case ["v2", "models", name, "versions", version, "infer"]:
                return _only(request, "POST") or await self._infer(request, name, version)
            case ["v2", "models", name, "infer"]:
                return _only(request, "POST") or await self._infer(request, name, None)
        extension = rest_extensions.find(self._plane, request, path)
        if extension is not None:
            method, answer = extension
            return _only(request, method) or rest_extensions.answered(answer)
        return self._model(request, path)

    def _model(self, request: Request, path: Sequence[str]) -> Response:
        match path:
            case ["v2", "models", name, "versions", version]:
                return _get(request) or self._metadata(name, version)
            case ["v2", "models", name, "versions", version, "ready"]:
                return _get(request) or _ready(self._plane.model_ready(name, version), name)
            case ["v2", "models", name]:
                return _get(request) or self._metadata(name, None)
            case ["v2", "models", name, "ready"]:
                return _get(request) or _ready(self._plane.model_ready(name, None), name)
        return _nothing_here()

    def _metadata(self, name: str, version: str | None) -> Response:
        return Response(200, [rest_codec.model_metadata(self._plane.model_metadata(name, version))])

    async def _infer(self, request: Request, name: str, version: str | None) -> Response:
        body = _inflated(request)
        wanted_request, binary = rest_codec.infer_request(
            name, version, body, request.headers.get(rest_codec.HEADER_LENGTH)
        )
        caller = Caller(*request.ends) if wanted_request.shared or wanted_request.into else None
        result = await self._plane.infer(wanted_request, "rest", caller, _head(request))
        document, raw = rest_codec.infer_response(result, binary)
        headers = heads.spent(result.waited, result.service) if request.early else {}
        if not raw:
            return Response(200, [document], headers=headers)
        headers["Inference-Header-Content-Length"] = str(len(document))
        return Response(200, [document, *raw], "application/octet-stream", headers)


def _parts(target: str) -> tuple[str, ...]:
    return _few_parts(target) if len(target) <= _SHORT else _all_parts(target)


def _all_parts(target: str) -> tuple[str, ...]:
    """The path of a request target, in parts; the absolute form, as proxies send it, included."""
    path = target.partition("?")[0]
    if path.startswith(("http://", "https://")):
        path = path.partition("://")[2].partition("/")[2]
    return tuple(unquote(part) for part in path.strip("/").split("/"))


_few_parts = lru_cache(maxsize=256)(_all_parts)  # callers ask for the same few models again and again


def _head(request: Request) -> heads.Head:
    site = request.who or request.ends[0]
    return heads.head(request.headers, site, proven=bool(request.who)) if request.early else heads.plain(site)


def _failure(error: LongshoreError) -> Response:
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    headers = {}
    if status in (429, 503):
        after = error.after_seconds if isinstance(error, Retryable) else None
        headers["Retry-After"] = str(max(1, math.ceil(after or 1.0)))
    if isinstance(error, TurnedAway):
        headers[heads.EXPECTED_WAIT] = heads.milliseconds(error.expected_wait)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(status, [rest_codec.error(str(error))], headers=headers)


def _ready(ready: bool, model: str = "") -> Response:  # noqa: FBT001 - it is the whole answer
    return Response(200 if ready else 503, [rest_codec.readiness(model, ready=ready)])


def _get(request: Request) -> Response | None:
    return _only(request, "GET")


def _only(request: Request, method: str) -> Response | None:
    if request.method == method:
        return None
    return Response(405, [rest_codec.error(f"use {method} here")], headers={"Allow": method})


def _nothing_here() -> Response:
    return Response(404, [rest_codec.error("there is nothing at this path; the inference protocol starts at /v2")])


def _inflated(request: Request) -> memoryview:
    """The body without its content encoding. Raises BadRequest, TooLarge."""
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding == "identity":
        return request.body
    if encoding not in ("gzip", "deflate"):
        raise BadRequest(f"content encoding {encoding[:20]!r} is not known; send gzip, deflate or none")
    inflater = zlib.decompressobj(_INFLATE)
    try:
        content = inflater.decompress(request.body, _MAX_INFLATED + 1)
    except zlib.error as error:
        raise BadRequest(f"the body is not {encoding}") from error
    if len(content) > _MAX_INFLATED:
        raise TooLarge(f"a compressed body may hold {_MAX_INFLATED} bytes; send larger ones uncompressed")
    if not inflater.eof:
        raise BadRequest(f"the {encoding} body is cut short")
    return memoryview(content)

"""The listener of a site cache: `GET` and `HEAD` of `/blobs/<SHA-256>`, with Range; nothing else.

Anybody on the local network may ask, without a proof: what is handed out proves itself, and is no secret on the site.
The listener stands on one local address, callers from elsewhere are refused, and each has a few answers at once. Who
reads too slowly is cut off (agent.serving.http1). A file that is being fetched is answered with 503 and how far it is.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from agent.serving.access import Access
from agent.serving.http1 import HttpLimits
from agent.serving.http1_messages import PIECE, Request, Response
from agent.serving.http_server import HttpServer
from agent.site import ranges
from agent.site.address import is_local
from agent.site.holdings import Coming, Here, Holdings
from agent.supervise import in_thread
from protos.errors import Fatal, LongshoreError, Retryable
from protos.ids import Digest

PATH = "/blobs/"
FETCHED = "Longshore-Fetched"  # bytes, of a file that is being fetched
ASK_AGAIN_SECONDS = 1
MOST_OF_A_CALLER = 16  # files that one address reads at once
READ_BYTES = 4 * PIECE
LIMITS = HttpLimits(
    head_bytes=8 << 10,
    body_bytes=0,
    all_bodies_bytes=0,
    connections=128,
    idle_seconds=5.0,
    stall_seconds=30.0,  # for each 64 KiB of an answer: 2 KiB/s at least
    request_seconds=5.0,
    sweep_seconds=1.0,
    ahead_bytes=128 << 10,
)
_BLOB = re.compile(re.escape(PATH) + r"([0-9a-f]{64})")
_ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

log = logging.getLogger(__name__)


class LocalAccess(Access):
    """Open to everybody, on a local address alone."""

    def check_bind(self, host: str) -> None:
        """See Access."""
        if not is_local(host):
            raise Fatal(f"refusing to be a site cache on {host}, which is no single address of the local network")


class SiteServer(HttpServer):
    """Hands out what `holdings` have. `answers`: how many, by result; `served_bytes`: of files."""

    what = "the site cache"

    def __init__(self, holdings: Holdings) -> None:
        super().__init__(LocalAccess(), LIMITS)
        self._holdings = holdings
        self._reading: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.served_bytes = 0

    def trouble(self, host: str, port: int, error: OSError) -> Fatal:
        """See HttpServer."""
        why = error.strerror or str(error)
        return Fatal(f"{self.what} cannot listen on {host}:{port} ({why}); choose another with --site-cache-listen")

    def refusal(self, status: int, message: str) -> Response:
        self.answers["refused"] += 1
        return _text(status, message)

    def denial(self, headers: Mapping[str, str], *, proven: bool) -> Response | None:  # noqa: ARG002 - as by HttpServer
        return _text(413, "a site cache takes nothing")

    async def handle(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except LongshoreError as error:
            return self.refusal(503, str(error))
        except Exception:  # the root of one request: a bug of ours costs this request only
            log.exception("a question to the site cache cannot be answered")
            return self.refusal(500, "this box made a mistake; its log says more")

    async def _answer(self, request: Request) -> Response:
        caller = request.ends[0]
        if not is_local(caller):
            return self.refusal(403, "a site cache is for the local network")
        if request.method not in ("GET", "HEAD"):
            return self.refusal(405, "only GET and HEAD are served here")
        named = _BLOB.fullmatch(request.target)
        if named is None:
            return self.refusal(
                404, f"only {PATH} and the SHA-256 of a release's file, as 64 hex digits, is served here"
            )
        found = await self._holdings.find(Digest(f"sha256:{named[1]}"))
        if self._reading[caller] >= MOST_OF_A_CALLER:  # looked at last: until the answer is read nothing is waited for
            return self.refusal(429, "this address reads enough at once")
        if isinstance(found, Here):
            return self._part(found, request.headers.get("range"), caller)
        if isinstance(found, Coming):
            self.answers["coming"] += 1
            again = {"Retry-After": str(ASK_AGAIN_SECONDS), FETCHED: str(found.fetched)}
            return _text(503, f"it is being fetched, and {found.fetched} bytes are here", again)
        self.answers["absent"] += 1
        return _text(404, "this site cache has no such file of a release that is signed and assigned")

    def _part(self, found: Here, header: str | None, caller: str) -> Response:
        part = ranges.asked(header, found.size)
        if part is None:
            return self._refused_range(found.size)
        self.answers["served"] += 1
        start, stop = part
        headers = {**_ALWAYS, "Accept-Ranges": "bytes", "ETag": f'"{found.digest}"'}
        whole = (start, stop) == (0, found.size)
        if not whole:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{found.size}"
        stream = _Part(self, found, start, stop, caller)
        return Response(200 if whole else 206, (), "application/octet-stream", headers, stream=stream)

    def _refused_range(self, size: int) -> Response:
        self.answers["refused"] += 1
        return _text(416, "the file ends before", {"Content-Range": f"bytes */{size}"})

    async def read(self, part: _Part) -> AsyncGenerator[bytes, None]:
        """Its bytes, while they are counted as this caller's. Raises LongshoreError."""
        self._reading[part.caller] += 1
        try:
            at = part.start
            while at < part.stop:
                content = await in_thread(part.found.store.span, part.found.digest, at, min(part.stop, at + READ_BYTES))
                if not content:
                    raise Retryable(f"{part.found.digest[:19]}… made room for another while it was read")
                for begin in range(0, len(content), PIECE):
                    piece = content[begin : begin + PIECE]
                    at, self.served_bytes = at + len(piece), self.served_bytes + len(piece)
                    yield piece
        finally:
            self._reading[part.caller] -= 1
            if not self._reading[part.caller]:
                del self._reading[part.caller]


@dataclass(frozen=True)
class _Part:
    """See agent.serving.http1_messages.Stream: bytes [start, stop) of a file."""

    server: SiteServer
    found: Here
    start: int
    stop: int
    caller: str

    @property
    def length(self) -> int:
        return self.stop - self.start

    def pieces(self) -> AsyncGenerator[bytes, None]:
        return self.server.read(self)


def _text(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, [f"{sentence}\n".encode()], "text/plain; charset=utf-8", {**_ALWAYS, **(headers or {})})

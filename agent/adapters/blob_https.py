"""BlobSource over HTTPS Range requests, with the bearer that the last Sync handed out and the pinned CA.

A slow peer is given up: some of the file must come within any `quiet` seconds, and over any `window` seconds at least
`slowest` bytes per second; time that the caller takes between chunks is not the peer's. No answer is read for longer
than `longest`. What came is kept, and the next try goes on from there. How many bytes are taken is the caller's
decision. No redirect is followed, no compression is asked for.
"""

from __future__ import annotations

import math
import re
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from agent.adapters import http_client
from agent.adapters.http_client import Answer, NoHttp, Question
from agent.ports import Grant
from protos.errors import LongshoreError, Retryable
from protos.ids import Digest, hex_of

MOST_AT_ONCE = 1 << 20  # bytes per chunk, by the port
LEAST_AHEAD = 32 << 10  # bytes
ABSENT_SECONDS = 60.0  # until a file that is not there is asked for again: somebody must push it first
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True)
class Patience:
    """How slow a peer may be; seconds and bytes per second."""

    quiet: float = 15.0
    window: float = 30.0
    slowest: float = 512.0  # a sane link at the edge is slow, an attacker's is slower
    longest: float = 3600.0  # then it is asked anew: addresses move, and leave is withdrawn


def pinned(ca: bytes) -> ssl.SSLContext:
    """Trust in this CA (PEM) alone."""
    return ssl.create_default_context(cadata=ca.decode("ascii", "replace"))


class HttpsBlobs:
    """See agent.ports.BlobSource."""

    def __init__(
        self,
        grant: Callable[[], Grant | None],
        trust: Callable[[], ssl.SSLContext | None],
        patience: Patience = Patience(),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`trust`: the TLS context of the pinned CA, asked for at each fetch; None is enough for plain HTTP only."""
        self._grant = grant
        self._trust = trust
        self._patience = patience
        self._monotonic = monotonic

    async def fetch(
        self, digest: Digest, offset: int, rate: float = 0.0, /, *, stop: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """See the port."""
        if stop is not None and stop <= offset:
            return
        async with self._answer(hex_of(digest), ranged(offset, stop), ahead(rate)) as answer:
            _check(answer, digest)
            async with aclosing(taken(answer, offset, stop, self._patience, self._monotonic)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def table(self, digest: Digest, most: int) -> bytes | None:
        """See the port. An answer that is no table is none: files come without one."""
        content = b""
        async with self._answer(f"{hex_of(digest)}/chunks", {}) as answer:
            if answer.status in (401, 403, 503):
                _check(answer, digest)
            if answer.status != 200:  # also of a control plane that knows no tables
                return None
            async for chunk in paced(answer, self._patience, self._monotonic):
                content += chunk
                if len(content) > most:
                    return None
        return content

    @asynccontextmanager
    async def _answer(self, path: str, more: Mapping[str, str], ahead: int | None = None) -> AsyncIterator[Answer]:
        grant = self._grant()
        if grant is None:
            raise Retryable("no leave to fetch files yet; it comes with the next Sync")
        question = Question(f"{grant.url.rstrip('/')}/{path}", {**leave(grant), **more})
        trust = context(question.url, self._trust)
        try:
            async with http_client.ask(question, trust, self._patience.quiet, ahead) as answer:
                yield answer
        except (NoHttp, OSError, TimeoutError) as error:
            raise translate(error, "files") from error


def leave(grant: Grant) -> dict[str, str]:
    """Headers of a question that the grant allows."""
    return {"Authorization": f"Bearer {grant.bearer}", "Accept-Encoding": "identity"}


def context(url: str, trust: Callable[[], ssl.SSLContext | None]) -> ssl.SSLContext | None:
    """How the server at `url` is checked; None: not at all, for it is plain HTTP. Raises Retryable."""
    if url.startswith("http://"):
        return None
    found = trust()
    if found is None:
        raise Retryable("no CA to check the file server with; join this box first")
    return found


async def paced(answer: Answer, patience: Patience, monotonic: Callable[[], float]) -> AsyncIterator[bytes]:
    """The answer's chunks, as long as they come fast enough. Raises Retryable."""
    began = since = monotonic()
    received = 0
    async for chunk in answer.body:
        received += len(chunk)
        came = monotonic()
        yield chunk
        if monotonic() - began > patience.longest:
            raise Retryable(f"one answer brought files for {patience.longest:.0f} s; asked anew")
        since += monotonic() - came
        spent = monotonic() - since
        if spent >= patience.window:
            if received < patience.slowest * spent:
                raise Retryable(f"files come at {received / spent:.0f} bytes/s only; tried again")
            since, received = monotonic(), 0


async def taken(
    answer: Answer, offset: int, stop: int | None, patience: Patience, monotonic: Callable[[], float]
) -> AsyncGenerator[bytes, None]:
    """Of an answer with a file, or a part of one, its bytes [offset, stop); chunks as by the port. Raises Retryable."""
    if answer.status == 416:  # nothing lies behind `offset`
        return
    skip, left = _skip(answer, offset), math.inf if stop is None else stop - offset
    async for chunk in paced(answer, patience, monotonic):
        wanted, skip = chunk[skip:], max(0, skip - len(chunk))
        wanted = wanted[: int(min(left, len(wanted)))]
        left -= len(wanted)
        for start in range(0, len(wanted), MOST_AT_ONCE):
            yield wanted[start : start + MOST_AT_ONCE]
        if not left:  # a server that knows no Range goes on
            return


def ahead(rate: float) -> int | None:
    """Bytes to have in advance: of an eighth of a second, which the kernel doubles; enough for most round trips."""
    return min(max(int(rate / 8), LEAST_AHEAD), MOST_AT_ONCE) if rate else None


def ranged(offset: int, stop: int | None) -> dict[str, str]:
    if not offset and stop is None:
        return {}
    return {"Range": f"bytes={offset}-{'' if stop is None else stop - 1}"}


def _check(answer: Answer, digest: Digest) -> None:
    if answer.status in (200, 206, 416):
        return
    if answer.status in (404, 410):
        sentence = f"the control plane has no file {digest[:19]}…; push the release again, and it goes on by itself"
        raise Retryable(sentence, ABSENT_SECONDS)
    if answer.status in (401, 403):
        raise Retryable("the leave to fetch files has expired; the next Sync brings another")
    raise Retryable(f"the control plane answered {answer.status} for a file", _after(answer))


def _after(answer: Answer) -> float | None:
    seconds = answer.headers.get("retry-after", "")
    return min(float(seconds), 600.0) if seconds.isdigit() else None


def _skip(answer: Answer, offset: int) -> int:
    """Bytes to throw away first: a server that knows no Range sends all of them."""
    if answer.status == 200:
        return offset
    found = _RANGE.fullmatch(answer.headers.get("content-range", ""))
    if not found or int(found[1]) > offset:
        raise Retryable("another part of a file came than the one that was asked for")
    return offset - int(found[1])


def translate(error: Exception, what: str) -> LongshoreError:
    """Trouble of the wire while `what` came, once."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return Retryable(
            "the file server's certificate is not one of our control plane, or this box's clock is wrong; check both"
        )
    return Retryable(f"{what} stopped coming ({text or type(error).__name__})")

"""BlobSource over plain HTTP from the cache of the site: unverified transport, of which nothing is believed.

It is asked by digest and Range, and told nothing else: no bearer, no name of this box. While it fetches a file itself
it says how far it is, and is asked again (agent.site.waiting). What trickles from so near is no help: it is given up
sooner than a control plane. No redirect is followed. Tables of chunks are no files with a digest, so it has none.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from agent.adapters import http_client
from agent.adapters.blob_https import Patience, ahead, ranged, taken, translate
from agent.adapters.http_client import Answer, NoHttp, Question
from agent.ports import Clock
from agent.site.server import FETCHED, PATH
from agent.site.standing import Lacking
from agent.site.waiting import Waiting
from protos.errors import Retryable
from protos.ids import Digest, hex_of

NEAR = Patience(quiet=8.0, window=10.0, slowest=64 << 10, longest=1800.0)
_WHOLE_NUMBER = 18  # digits


class SiteBlobs:
    """See agent.ports.BlobSource. Raises Lacking, too: the cache does not have the file and does not get it."""

    def __init__(self, url: str, clock: Clock, patience: Patience = NEAR) -> None:
        """`url`: `http://ADDRESS:PORT`."""
        self._url = url.rstrip("/")
        self._clock = clock
        self._patience = patience

    async def fetch(
        self, digest: Digest, offset: int, rate: float = 0.0, /, *, stop: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """See the port."""
        waiting = Waiting(self._clock.monotonic())
        while stop is None or offset < stop:
            async with self._answer(digest, offset, stop, rate) as answer:
                fetched = _fetched(answer)
                if fetched is None:
                    _check(answer, digest)
                    parts = taken(answer, offset, stop, self._patience, self._clock.monotonic)
                    async with aclosing(parts) as chunks:
                        async for chunk in chunks:
                            yield chunk
                    return
            await self._clock.sleep(waiting.told(fetched, self._clock.monotonic()))

    async def table(self, digest: Digest, most: int) -> bytes | None:  # noqa: ARG002 - the port's signature
        """See the port."""
        return None

    @asynccontextmanager
    async def _answer(self, digest: Digest, offset: int, stop: int | None, rate: float) -> AsyncIterator[Answer]:
        headers = {"Accept-Encoding": "identity", **ranged(offset, stop)}
        question = Question(f"{self._url}{PATH}{hex_of(digest)}", headers)
        try:
            async with http_client.ask(question, None, self._patience.quiet, ahead(rate)) as answer:
                yield answer
        except (NoHttp, OSError, TimeoutError) as error:
            raise translate(error, "files") from error


def _fetched(answer: Answer) -> int | None:
    """Bytes that the cache has of a file which it still fetches; None: it does not say that it does."""
    told = answer.headers.get(FETCHED.lower(), "")
    return int(told) if answer.status == 503 and told.isdecimal() and len(told) <= _WHOLE_NUMBER else None


def _check(answer: Answer, digest: Digest) -> None:
    if answer.status in (404, 429):  # 429: this address reads enough of it just now
        raise Lacking(f"the site cache does not give {digest[:19]}… now")
    if answer.status not in (200, 206, 416):
        raise Retryable(f"it answered {answer.status}")

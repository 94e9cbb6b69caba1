"""MetadataSource over HTTPS, with the bearer that the last Sync handed out and the pinned CA.

A file has a cap, a total deadline that grows with the cap, and the minimum rate of files (agent.adapters.blob_https).
Files that are asked for one after the other share a connection: a look for news is two, and mostly finds none.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable

from agent.adapters import blob_https, http_client
from agent.adapters.blob_https import Patience
from agent.adapters.http_client import Answer, Kept, NoHttp, Question
from agent.ports import Grant
from agent.trust.errors import Absent
from protos.errors import Retryable

DEADLINE_SECONDS = 60.0  # of any file, and besides it:
DEADLINE_RATE = 2048.0  # bytes per second, over the cap
MOST_REFUSAL = 4096  # bytes that are read of an answer that is no file
_PATIENCE = Patience()


class HttpsMetadata:
    """See agent.trust.metadata.MetadataSource."""

    def __init__(
        self,
        grant: Callable[[], Grant | None],
        trust: Callable[[], ssl.SSLContext | None],
        patience: Patience = _PATIENCE,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        """`trust`: the TLS context of the pinned CA, asked for at each fetch; None is enough for plain HTTP only."""
        self._grant = grant
        self._trust = trust
        self._patience = patience
        self._deadline = deadline_seconds
        self._kept = Kept()

    @property
    def ready(self) -> bool:
        grant = self._grant()
        return bool(grant and grant.metadata_url)

    async def get(self, name: str, most: int) -> bytes:
        """See the port."""
        grant = self._grant()
        if grant is None:
            raise Retryable("no leave to fetch signed metadata yet; it comes with the next Sync")
        if not grant.metadata_url:
            raise Retryable("this control plane offers no signed metadata; update it, and installing goes on by itself")
        url = f"{grant.metadata_url.rstrip('/')}/{name}"
        seconds = self._deadline + most / DEADLINE_RATE
        try:
            async with asyncio.timeout(seconds) as deadline:
                return await self._fetched(url, grant, name, most)
        except (NoHttp, OSError, TimeoutError) as error:
            if deadline.expired():
                raise Retryable(f"{name} did not come within {seconds:.0f} s; tried again") from error
            raise blob_https.translate(error, "signed metadata") from error

    async def _fetched(self, url: str, grant: Grant, name: str, most: int) -> bytes:
        trust, quiet = blob_https.context(url, self._trust), self._patience.quiet
        async with http_client.ask(Question(url, blob_https.leave(grant)), trust, quiet, kept=self._kept) as answer:
            most = most if answer.status == 200 else MOST_REFUSAL
            content = bytearray()
            async for chunk in blob_https.paced(answer, self._patience, time.monotonic):
                content += chunk
                if len(content) > most:
                    break
            _check(answer, name)
            if len(content) > most:
                raise Retryable(f"{name} has more than the {most} bytes it may have; tried again")
            return bytes(content)


def _check(answer: Answer, name: str) -> None:
    if answer.status == 200:
        return
    if answer.status in (404, 410):
        raise Absent(f"the control plane has no {name}")
    if answer.status in (401, 403):
        raise Retryable("the leave to fetch signed metadata has expired; the next Sync brings another")
    raise Retryable(f"the control plane answered {answer.status} for {name}")

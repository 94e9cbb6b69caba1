"""Files of metadata over HTTP: capped, in time, at a rate; what is not there is told from what does not come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from agent.adapters import http_client
from agent.adapters.blob_https import Patience
from agent.adapters.metadata_https import HttpsMetadata
from agent.ports import Grant
from agent.trust.errors import Absent
from agent.trust.fetching import Fetching
from protos.errors import Retryable
from tests.sim.https import Reply, Request, SimHttps

BODY = bytes(range(256)) * 8
QUICK = Patience(quiet=0.3, window=0.2, slowest=2_000.0)


@contextlib.asynccontextmanager
async def source(
    answer: Callable[[Request], Reply], deadline: float = 5.0, patience: Patience = QUICK, *, keeps: bool = True
) -> AsyncIterator[tuple[HttpsMetadata, SimHttps]]:
    async with SimHttps(answer, keeps=keeps).running() as server:
        grant = Grant("https://files", "leave", f"{server.url}/metadata/")
        yield HttpsMetadata(lambda: grant, lambda: None, patience, deadline), server


async def test_a_file_is_asked_for_by_name_with_the_leave_of_the_last_sync() -> None:
    async with source(lambda _: Reply(200, BODY)) as (metadata, server):
        assert await metadata.get("3.root.json", len(BODY)) == BODY
        assert server.requests[0].path == "/metadata/3.root.json"
        assert server.requests[0].headers["authorization"] == "Bearer leave"


async def test_a_byte_too_many_is_refused_and_no_more_are_taken() -> None:
    """Who waits for more waits in vain: the server says that there is more, and sends nothing."""
    async with source(lambda _: Reply(200, BODY, length=1000 * len(BODY))) as (metadata, _):
        with pytest.raises(Retryable, match="more than the 2047 bytes it may have"):
            await metadata.get("timestamp.json", len(BODY) - 1)


async def test_what_is_not_there_is_told_from_what_does_not_come() -> None:
    for status, kind in ((404, Absent), (410, Absent), (403, Retryable), (500, Retryable)):
        async with source(lambda _, status=status: Reply(status)) as (metadata, _):  # type: ignore[misc]
            with pytest.raises(kind) as error:
                await metadata.get("9.root.json", 100)
            assert (type(error.value) is Absent) == (kind is Absent)


async def test_a_peer_that_trickles_is_given_up() -> None:
    async with source(lambda _: Reply(200, BODY, chunk=1, gap=0.05)) as (metadata, _):
        with pytest.raises(Retryable, match="bytes/s only"):
            await metadata.get("timestamp.json", len(BODY))


async def test_a_file_has_a_deadline_however_steadily_it_comes() -> None:
    steady = Patience(quiet=0.3, window=0.2, slowest=1.0)
    async with source(lambda _: Reply(200, BODY[:100], chunk=5, gap=0.05), 0.1, steady) as (metadata, _):
        with pytest.raises(Retryable, match="did not come within"):
            await metadata.get("timestamp.json", 100)


async def test_a_connection_that_ends_early_is_waited_out() -> None:
    async with source(lambda _: Reply(200, BODY, cut=100)) as (metadata, _):
        with pytest.raises(Retryable, match="signed metadata stopped coming"):
            await metadata.get("timestamp.json", len(BODY))


async def test_files_asked_for_one_after_the_other_share_a_connection_found_or_not() -> None:
    async with source(lambda request: Reply(404 if "root" in request.path else 200, BODY)) as (metadata, server):
        for _ in range(3):
            with pytest.raises(Absent):
                await metadata.get("3.root.json", len(BODY))
            assert await metadata.get("timestamp.json", len(BODY)) == BODY
        assert (server.opened, len(server.requests)) == (1, 6)


async def test_a_server_that_closes_after_each_answer_is_dialled_anew() -> None:
    async with source(lambda _: Reply(200, BODY), keeps=False) as (metadata, server):
        for _ in range(2):
            assert await metadata.get("timestamp.json", len(BODY)) == BODY
        assert server.opened == 2


async def test_a_connection_is_used_again_only_after_an_answer_that_was_read_to_its_end() -> None:
    replies = iter([Reply(200, BODY * 1000), Reply(404, BODY * 1000), Reply(200, BODY)])
    async with source(lambda _: next(replies)) as (metadata, server):
        with pytest.raises(Retryable, match="more than"):
            await metadata.get("timestamp.json", len(BODY))
        with pytest.raises(Absent):
            await metadata.get("9.root.json", len(BODY))
        assert await metadata.get("timestamp.json", len(BODY)) == BODY
        assert server.opened == 3


async def test_a_kept_connection_is_closed_when_nothing_more_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "KEPT_SECONDS", 0.02)
    async with source(lambda _: Reply(200, BODY)) as (metadata, server):
        await metadata.get("timestamp.json", len(BODY))
        await asyncio.wait_for(server.idle(), 5)
        assert await metadata.get("timestamp.json", len(BODY)) == BODY
        assert server.opened == 2


async def test_without_a_grant_or_without_signed_metadata_nothing_is_asked() -> None:
    for grant, sentence in ((None, "next Sync"), (Grant("https://files", "leave"), "update it")):
        metadata = HttpsMetadata(lambda grant=grant: grant, lambda: None)  # type: ignore[misc]
        assert not metadata.ready
        with pytest.raises(Retryable, match=sentence):
            await metadata.get("timestamp.json", 100)


async def test_a_thread_that_waits_for_a_file_is_let_go_when_the_agent_ends() -> None:
    class Never:
        ready = True

        async def get(self, name: str, most: int) -> bytes:
            await asyncio.Event().wait()
            return b""

    fetching = Fetching(Never())
    waiting = asyncio.create_task(asyncio.to_thread(fetching, "timestamp.json", 1))
    await asyncio.sleep(0.05)
    fetching.close()
    with pytest.raises(Retryable, match="the agent ends"):
        await waiting
    with pytest.raises(Retryable, match="the agent ends"):
        await asyncio.to_thread(fetching, "timestamp.json", 1)

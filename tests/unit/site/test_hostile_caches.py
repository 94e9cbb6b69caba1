"""Caches that lie, drip, break off, send without end or elsewhere, over real sockets: the release comes all the same.

Each time the rest comes from the control plane, what came before is kept, and what it cost is bounded.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from agent.adapters.blob_https import Patience
from agent.adapters.blob_site import SiteBlobs
from agent.adapters.clock import SystemClock
from agent.site.first import SiteFirst
from agent.site.server import FETCHED
from agent.site.standing import WRONG, Origin, Standing
from agent.site.waiting import LONGEST_SECONDS, STILL_SECONDS
from protos.ids import Digest
from protos.problems import NOTICE
from tests.sim.blobs import SimBlobs
from tests.sim.clock import FakeClock
from tests.sim.https import Reply, Request, SimHttps, collect, ranged
from tests.sim.releases import make
from tests.sim.site import plane

QUICK = Patience(quiet=0.3, window=0.3, slowest=100_000)
RELEASE = make("1.0.0", size=400_000)
MODEL, SIZE = RELEASE.model_digest, len(RELEASE.model)
LONG = 1 << 40


@dataclass
class Near:
    """A box's source, in front of a cache whose every byte the test decides. `server.handler` answers."""

    server: SimHttps
    source: SiteFirst
    standing: Standing
    control_plane: SimBlobs

    async def fetch(self, digest: Digest = MODEL, offset: int = 0, stop: int | None = SIZE) -> bytes:
        began = time.monotonic()
        content = await collect(self.source.fetch(digest, offset, stop=stop))
        assert time.monotonic() - began < 5.0
        return content

    @property
    def codes(self) -> list[str]:
        return [problem.code for problem in self.standing.problems()]


@pytest.fixture
async def near() -> AsyncIterator[Near]:
    async with SimHttps(lambda _: Reply(404)).running() as server:
        standing, control_plane = Standing(server.url), plane(RELEASE)
        cache = SiteBlobs(server.url, SystemClock(), QUICK)
        yield Near(server, SiteFirst(cache, control_plane, standing), standing, control_plane)


def honest(request: Request) -> Reply:
    return ranged(RELEASE.model, request)


def raw(content: bytes, chunk: int = 65_536, gap: float = 0.0) -> Callable[[Request], Reply]:
    return lambda _: Reply(raw=content, chunk=chunk, gap=gap)


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
USELESS = {
    "refuses": lambda _: Reply(500),
    "redirects": lambda _: Reply(302, b"", {"Location": "http://127.0.0.1:1/elsewhere"}),
    "redirects for good": lambda _: Reply(308, b"", {"Location": "http://169.254.169.254/latest"}),
    "asks who is there": lambda _: Reply(401, b"", {"WWW-Authenticate": "Basic"}),
    "says nothing": raw(b""),
    "speaks no HTTP": raw(b"\x16\x03\x01 SSH-2.0\r\n\r\n"),
    "has huge headers": raw(HEAD + b"X: " + b"x" * 300_000),
    "drips headers": raw(HEAD + b"X: " + b"x" * 10_000, chunk=10, gap=0.05),
    "drips framing": raw(CHUNKED + b"5;" + b"x" * 10_000, chunk=len(CHUNKED), gap=0.05),
    "says no length": raw(HEAD + b"\r\nendless"),
    "says another part": lambda _: Reply(206, b"x" * 10, {"Content-Range": f"bytes 300000-300009/{SIZE}"}),
    "says nonsense of the part": lambda _: Reply(206, b"x" * 10, {"Content-Range": "bytes 9-1/x"}),
    "says it ends before": lambda _: Reply(416, b"", {"Content-Range": "bytes */0"}),
    "has many lengths": raw(HEAD + b"Content-Length: 5\r\nContent-Length: 7\r\n\r\nhello"),
    "is busy": lambda _: Reply(503, b"", {"Retry-After": "100000"}),
    "gets nonsense far": lambda _: Reply(503, b"", {FETCHED: "-1"}),
    "gets far beyond numbers": lambda _: Reply(503, b"", {FETCHED: "9" * 5_000}),
}


@pytest.mark.parametrize("how", USELESS)
async def test_a_cache_that_is_useless_costs_a_moment(near: Near, how: str) -> None:
    near.server.handler = USELESS[how]
    assert await near.fetch(offset=1_000) == RELEASE.model[1_000:]
    assert near.standing.came == {Origin.CONTROL_PLANE: SIZE - 1_000}
    assert near.codes == [NOTICE]
    assert len(near.server.requests) == 1
    assert await near.fetch(offset=SIZE - 10) == RELEASE.model[-10:]
    assert len(near.server.requests) == 1  # it is left alone


BROKEN: dict[str, Callable[[Request], Reply]] = {
    "is cut": lambda _: Reply(200, RELEASE.model, cut=150_000),
    "is reset": lambda _: Reply(200, RELEASE.model, cut=150_000, chunk=10_000, gap=0.005, reset=True),
    "falls silent": lambda _: Reply(200, RELEASE.model[:150_000], length=SIZE, chunk=149_999, gap=1.0),
    "ends too early": lambda _: Reply(200, RELEASE.model[:150_000]),
    "drips": lambda _: Reply(200, RELEASE.model, chunk=3_000, gap=0.05),
}


@pytest.mark.parametrize("how", BROKEN)
async def test_what_came_before_it_broke_is_not_fetched_again(near: Near, how: str) -> None:
    near.server.handler = BROKEN[how]
    assert await near.fetch() == RELEASE.model
    came = near.standing.came
    assert 0 < came[Origin.SITE_CACHE] <= 150_000
    assert came[Origin.SITE_CACHE] + came[Origin.CONTROL_PLANE] == SIZE
    assert near.control_plane.fetches == [(MODEL, came[Origin.SITE_CACHE])]
    assert near.codes == [NOTICE]


async def test_of_data_without_an_end_no_more_is_taken_than_was_asked_for(near: Near) -> None:
    near.server.handler = lambda _: Reply(200, RELEASE.model + bytes(8 << 20), length=LONG)
    assert await near.fetch() == RELEASE.model
    assert near.standing.came == {Origin.SITE_CACHE: SIZE}


async def test_a_manifest_without_an_end_is_other_bytes(near: Near) -> None:
    near.server.handler = lambda _: Reply(200, bytes(8 << 20), length=LONG)
    assert await near.fetch(RELEASE.digest, stop=None) == RELEASE.manifest
    assert near.codes == [WRONG]


async def test_other_bytes_than_the_manifest_are_not_handed_on(near: Near) -> None:
    near.server.handler = lambda _: Reply(200, RELEASE.manifest[:-1] + b" ")
    assert await near.fetch(RELEASE.digest, stop=None) == RELEASE.manifest
    assert near.codes == [WRONG]


async def test_a_cache_hears_a_digest_and_a_range_and_nothing_of_the_box(near: Near) -> None:
    near.server.handler = honest
    assert await near.fetch(offset=7) == RELEASE.model[7:]
    [request] = near.server.requests
    assert request.headers.keys() == {"host", "connection", "accept-encoding", "range"}


async def test_one_that_lacks_a_file_is_asked_for_others(near: Near) -> None:
    assert await near.fetch() == RELEASE.model
    assert await near.fetch(RELEASE.digest, stop=None) == RELEASE.manifest
    assert len(near.server.requests) == 2
    assert near.codes == []


async def test_one_where_nobody_answers_is_left_alone(free_port: int) -> None:
    standing, control_plane = Standing("it"), plane(RELEASE)
    cache = SiteBlobs(f"http://127.0.0.1:{free_port}", SystemClock(), QUICK)
    assert await collect(SiteFirst(cache, control_plane, standing).fetch(MODEL, 0, stop=SIZE)) == RELEASE.model
    assert not standing.asks(MODEL)


class Impatient(FakeClock):
    """Waits pass at once."""

    async def sleep(self, seconds: float) -> None:
        self.tick(seconds)


@pytest.mark.parametrize(("grows", "most"), [(0, STILL_SECONDS), (1, LONGEST_SECONDS)])
async def test_one_that_always_says_it_fetches_is_given_up(grows: int, most: float) -> None:
    clock, asked = Impatient(), 0

    def fetching(_: Request) -> Reply:
        nonlocal asked
        asked += 1
        return Reply(503, b"", {FETCHED: str(asked * grows), "Retry-After": "0"})

    async with SimHttps(fetching).running() as server:
        standing, began = Standing(server.url, clock.monotonic), clock.monotonic()
        source = SiteFirst(SiteBlobs(server.url, clock, QUICK), plane(RELEASE), standing)
        assert await collect(source.fetch(MODEL, 0, stop=SIZE)) == RELEASE.model
        assert clock.monotonic() - began <= most + 10.0
    assert standing.came == {Origin.CONTROL_PLANE: SIZE}


async def test_one_that_fetches_a_file_is_waited_for() -> None:
    clock, replies = Impatient(), [Reply(503, b"", {FETCHED: str(each)}) for each in (0, 5, 9)]
    async with SimHttps(lambda request: replies.pop(0) if replies else honest(request)).running() as server:
        standing = Standing(server.url, clock.monotonic)
        source = SiteFirst(SiteBlobs(server.url, clock, QUICK), plane(RELEASE), standing)
        assert await collect(source.fetch(MODEL, 0, stop=SIZE)) == RELEASE.model
    assert standing.came == {Origin.SITE_CACHE: SIZE}

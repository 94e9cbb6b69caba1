"""One body for every BlobSource, and what only a network can do wrong."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from agent.adapters.blob_directory import DirectoryBlobs
from agent.adapters.blob_https import HttpsBlobs, Patience, pinned
from agent.adapters.blob_memory import MemoryBlobs
from agent.adapters.blob_site import SiteBlobs
from agent.ports import BlobSource, Grant
from agent.site.first import SiteFirst
from agent.site.kept import KeptBlobs
from agent.site.standing import Standing
from controlplane.registry import chunking
from protos.errors import Retryable
from protos.ids import Digest, digest_of, hex_of
from protos.manifest import FileEntry
from tests.sim.authority import SimAuthority
from tests.sim.blobs import SimBlobs
from tests.sim.clock import FakeClock
from tests.sim.https import Reply, Request, SimHttps, collect, ranged
from tests.sim.releases import content, make, of_files
from tests.sim.site import SimSite

BODY = content("blob", 700_000)
DIGEST = digest_of(BODY)
EMPTY = digest_of(b"")
BLOBS = {DIGEST: BODY, EMPTY: b""}
TABLE = chunking.table([BODY])
UNKNOWN = digest_of(b"nobody pushed this")
QUICK = Patience(quiet=0.5, window=0.3, slowest=10_000)


def file_server(request: Request) -> Reply:
    """What the control plane does at /blobs/<hex>."""
    if request.headers.get("authorization") != "Bearer leave":
        return Reply(401)
    if request.path == f"/blobs/{hex_of(DIGEST)}/chunks":
        return Reply(200, TABLE)
    body = BLOBS.get(Digest("sha256:" + request.path.rpartition("/")[2]))
    return Reply(404) if body is None else ranged(body, request)


def directory(root: Path, folder: Path) -> DirectoryBlobs:
    folder.mkdir(parents=True, exist_ok=True)
    for digest, body in BLOBS.items():
        (folder / hex_of(digest)).write_bytes(body)
    return DirectoryBlobs(root)


@contextlib.asynccontextmanager
async def https(folder: Path) -> AsyncIterator[HttpsBlobs]:
    authority = SimAuthority(now=time.time())
    tls = authority.server_context(folder, authority.server(life=3650 * 86_400.0))
    trust = pinned(authority.pem)
    async with SimHttps(file_server, tls).running() as server:
        yield HttpsBlobs(lambda: Grant(f"{server.url}/blobs", "leave"), lambda: trust)


@contextlib.asynccontextmanager
async def site(folder: Path) -> AsyncIterator[SimSite]:
    """A site cache that has them, as files of one release."""
    cache = SimSite(folder, MemoryBlobs({}))
    entries = [FileEntry(f"{len(body)}", digest, len(body), "model") for digest, body in BLOBS.items()]
    cache.install(of_files(entries, BLOBS))
    async with cache.running():
        yield cache


@pytest.fixture(
    params=["memory", "directory", "directory of sha256", "https", "sim", "site cache", "site cache first", "kept"]
)
async def source(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobSource]:
    if request.param == "memory":
        yield MemoryBlobs(BLOBS, {DIGEST: TABLE})
    elif request.param == "sim":
        blobs = SimBlobs()
        blobs._blobs.update(BLOBS)
        blobs.tables[DIGEST] = TABLE
        yield blobs
    elif request.param == "site cache":
        async with site(tmp_path) as cache:
            yield SiteBlobs(cache.url, cache.clock)
    elif request.param == "kept":
        async with site(tmp_path) as cache:
            yield KeptBlobs(cache.own)
    elif request.param == "site cache first":
        async with site(tmp_path) as cache:
            network = MemoryBlobs(BLOBS, {DIGEST: TABLE})
            yield SiteFirst(SiteBlobs(cache.url, cache.clock), network, Standing(cache.url))
    elif request.param == "https":
        async with https(tmp_path) as source:
            yield source
    else:
        yield directory(tmp_path, tmp_path if request.param == "directory" else tmp_path / "sha256")


async def test_all_bytes_come_in_order(source: BlobSource) -> None:
    assert await collect(source.fetch(DIGEST, 0)) == BODY


@pytest.mark.parametrize("offset", [1, 65_536, 699_999])
async def test_a_fetch_goes_on_from_its_offset(source: BlobSource, offset: int) -> None:
    assert await collect(source.fetch(DIGEST, offset)) == BODY[offset:]


async def test_there_is_nothing_behind_the_end(source: BlobSource) -> None:
    assert await collect(source.fetch(DIGEST, len(BODY))) == b""


@pytest.mark.parametrize("offset", [0, 1, 65_536, 699_999])
@pytest.mark.parametrize("length", [0, 1, 100_000, 900_000])
async def test_a_fetch_ends_where_it_is_told_to(source: BlobSource, offset: int, length: int) -> None:
    assert await collect(source.fetch(DIGEST, offset, stop=offset + length)) == BODY[offset : offset + length]


async def test_a_table_is_had_whole_or_not_at_all(source: BlobSource) -> None:
    """A stick has none, nor has a site cache."""
    had = await source.table(DIGEST, len(TABLE))
    assert had == (None if isinstance(source, (DirectoryBlobs, KeptBlobs, SiteBlobs)) else TABLE)
    assert await source.table(DIGEST, len(TABLE) - 1) is None


async def test_a_blob_without_a_table_is_no_trouble(source: BlobSource) -> None:
    assert await source.table(EMPTY, 1000) is None


async def test_an_empty_blob_is_empty(source: BlobSource) -> None:
    assert await collect(source.fetch(EMPTY, 0)) == b""


async def test_no_chunk_is_larger_than_a_mebibyte(source: BlobSource) -> None:
    assert max([len(chunk) async for chunk in source.fetch(DIGEST, 0)]) <= 1 << 20


async def test_an_unknown_blob_may_come_later(source: BlobSource) -> None:
    with pytest.raises(Retryable, match=r".{20}"):
        await collect(source.fetch(UNKNOWN, 0))


async def test_a_fetch_may_be_given_up_at_any_chunk(source: BlobSource) -> None:
    async with aclosing(source.fetch(DIGEST, 0)) as chunks:
        async for chunk in chunks:
            assert BODY.startswith(chunk)
            break
    assert await collect(source.fetch(DIGEST, 0)) == BODY


async def test_two_fetches_do_not_disturb_each_other(source: BlobSource) -> None:
    whole, rest = await asyncio.gather(collect(source.fetch(DIGEST, 0)), collect(source.fetch(DIGEST, 300_000)))
    assert (whole, rest) == (BODY, BODY[300_000:])


# ---- bad days of a network ----

Fetch = Callable[[], AsyncIterator[bytes]]


@contextlib.asynccontextmanager
async def plain(handler: Callable[[Request], Reply]) -> AsyncIterator[tuple[HttpsBlobs, SimHttps]]:
    async with SimHttps(handler).running() as server:
        yield HttpsBlobs(lambda: Grant(server.url, "leave"), lambda: None, QUICK), server


async def drain(source: BlobSource, offset: int = 0) -> tuple[bytes, Exception | None]:
    """What came, and how it ended."""
    return await drained(source.fetch(DIGEST, offset))


async def drained(chunks: AsyncIterator[bytes]) -> tuple[bytes, Exception | None]:
    came = b""
    try:
        async for chunk in chunks:
            came += chunk
    except Retryable as error:
        return came, error
    return came, None


async def test_what_came_before_the_wire_broke_is_good_to_keep() -> None:
    async with plain(lambda _: Reply(200, BODY, cut=300_000)) as (source, _):
        came, error = await drain(source)
    assert isinstance(error, Retryable)
    assert came == BODY[:300_000]


async def test_what_came_before_a_reset_is_read_to_its_end() -> None:
    reply = Reply(200, BODY, cut=100_000, chunk=10_000, gap=0.02, reset=True)
    async with plain(lambda _: reply) as (source, server):
        chunks = source.fetch(DIGEST, 0)
        came = await anext(chunks)
        await server.idle()
        await asyncio.sleep(0.05)  # until the box's side heard of it, too
        rest, error = await drained(chunks)
    assert "stopped coming" in str(error)
    assert came + rest == BODY[:100_000]


async def test_a_caller_that_takes_little_still_gets_it_all() -> None:
    async with plain(lambda request: ranged(BODY, request)) as (source, _):
        assert await collect(source.fetch(DIGEST, 5_000, 1_000.0)) == BODY[5_000:]


async def test_a_server_that_knows_no_range_is_read_from_the_start() -> None:
    async with plain(lambda _: Reply(200, BODY)) as (source, _):
        assert await drain(source, 250_000) == (BODY[250_000:], None)


async def test_a_server_that_starts_earlier_than_asked_is_understood() -> None:
    reply = Reply(206, BODY[100_000:], {"Content-Range": f"bytes 100000-699999/{len(BODY)}"})
    async with plain(lambda _: reply) as (source, _):
        assert await drain(source, 250_000) == (BODY[250_000:], None)


@pytest.mark.parametrize("said", ["bytes 300000-699999/700000", "", "lines 1-2/3"])
async def test_a_part_that_is_not_the_one_asked_for_is_not_taken(said: str) -> None:
    async with plain(lambda _: Reply(206, BODY[300_000:], {"Content-Range": said})) as (source, _):
        came, error = await drain(source, 250_000)
    assert came == b""
    assert isinstance(error, Retryable)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "next Sync"),
        (403, "next Sync"),
        (404, "push the release again"),
        (410, "push the release again"),
        (500, "500"),
        (302, "302"),
    ],
)
async def test_each_refusal_says_what_to_do(status: int, sentence: str) -> None:
    async with plain(lambda _: Reply(status, b"", {"Location": "http://127.0.0.1:1/elsewhere"})) as (source, _):
        came, error = await drain(source)
    assert came == b""
    assert isinstance(error, Retryable)
    assert sentence in str(error)


async def test_a_file_that_was_not_pushed_is_asked_for_rarely() -> None:
    async with plain(lambda _: Reply(404)) as (source, _):
        _, error = await drain(source)
    assert isinstance(error, Retryable)
    assert error.after_seconds == 60.0


async def test_a_busy_server_names_the_wait() -> None:
    async with plain(lambda _: Reply(503, b"", {"Retry-After": "7"})) as (source, _):
        _, error = await drain(source)
    assert isinstance(error, Retryable)
    assert error.after_seconds == 7.0


async def test_garbage_instead_of_http_is_retryable() -> None:
    async with plain(lambda _: Reply(raw=b"\x16\x03\x01 this is no HTTP\r\n\r\n")) as (source, _):
        _, error = await drain(source)
    assert isinstance(error, Retryable)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\n\r\nendless until the connection ends",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"",
    ],
)
async def test_an_answer_that_does_not_say_its_length_is_not_taken(raw: bytes) -> None:
    async with plain(lambda _: Reply(raw=raw)) as (source, _):
        came, error = await drain(source)
    assert (came, type(error)) == (b"", Retryable)


async def test_a_chunked_answer_is_understood() -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n quays\r\n0\r\n\r\n"
    async with plain(lambda _: Reply(raw=raw)) as (source, _):
        assert await drain(source) == (b"hello quays", None)


async def test_a_silent_server_is_given_up() -> None:
    async with plain(lambda _: Reply(200, BODY[:10], length=len(BODY), chunk=10, gap=30.0)) as (source, _):
        came, error = await drain(source)
    assert (came, type(error)) == (BODY[:10], Retryable)


async def test_a_server_that_drips_is_given_up() -> None:
    async with plain(lambda _: Reply(200, BODY, chunk=10, gap=0.05)) as (source, _):
        came, error = await drain(source)
    assert BODY.startswith(came)
    assert "bytes/s only" in str(error)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 60_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"x" * 60_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 60_000,
    ],
    ids=["headers", "the extension of a chunk", "trailers"],
)
async def test_a_server_that_drips_what_is_no_part_of_the_file_is_given_up(raw: bytes) -> None:
    began = time.monotonic()
    async with plain(lambda _: Reply(raw=raw, chunk=50, gap=0.05)) as (source, _):
        came, error = await drain(source)
    assert (came, type(error)) == (b"", Retryable)
    assert time.monotonic() - began < 10 * QUICK.quiet  # sent to its end, it takes a minute


async def test_time_that_the_reader_takes_is_not_the_servers() -> None:
    """By a cap of its download, say."""
    clock, came = FakeClock(), b""
    async with SimHttps(file_server).running() as server:
        patience = Patience(longest=math.inf)
        source = HttpsBlobs(lambda: Grant(server.url, "leave"), lambda: None, patience, clock.monotonic)
        async for chunk in source.fetch(DIGEST, 0):
            came += chunk
            clock.tick(300_000.0)
    assert came == BODY


async def test_no_answer_is_read_for_ever() -> None:
    clock = FakeClock()
    async with SimHttps(file_server).running() as server:
        source = HttpsBlobs(lambda: Grant(server.url, "leave"), lambda: None, Patience(), clock.monotonic)
        chunks = source.fetch(DIGEST, 0)
        came = await anext(chunks)
        clock.tick(Patience.longest + 1.0)
        with pytest.raises(Retryable, match="asked anew"):
            await anext(chunks)
        assert came + await collect(source.fetch(DIGEST, len(came))) == BODY


async def test_nobody_listening_is_retryable(free_port: int) -> None:
    source = HttpsBlobs(lambda: Grant(f"http://127.0.0.1:{free_port}", "leave"), lambda: None, QUICK)
    _, error = await drain(source)
    assert isinstance(error, Retryable)


async def test_without_a_grant_nothing_is_asked() -> None:
    _, error = await drain(HttpsBlobs(lambda: None, lambda: None))
    assert "next Sync" in str(error)


async def test_the_bearer_is_in_no_error_and_no_text(free_port: int) -> None:
    grant = Grant(f"http://127.0.0.1:{free_port}", "very-secret")
    _, error = await drain(HttpsBlobs(lambda: grant, lambda: None, QUICK))
    assert "very-secret" not in f"{error!r} {grant!r} {error.__cause__!r}" if error else False


async def test_a_server_of_another_ca_gets_no_bearer(tmp_path: Path) -> None:
    ours, theirs = SimAuthority(now=time.time()), SimAuthority(now=1_795_000_000.0, name="theirs")
    trust = pinned(ours.pem)
    tls = theirs.server_context(tmp_path, theirs.server(life=3650 * 86_400.0))
    async with SimHttps(file_server, tls).running() as server:
        _, error = await drain(HttpsBlobs(lambda: Grant(server.url, "leave"), lambda: trust))
        assert server.requests == []
    assert "certificate" in str(error)


async def test_https_without_a_ca_is_not_tried() -> None:
    _, error = await drain(HttpsBlobs(lambda: Grant("https://127.0.0.1:1", "leave"), lambda: None))
    assert "no CA" in str(error)


async def test_a_server_that_knows_no_range_is_read_up_to_where_it_was_told_to() -> None:
    async with plain(lambda _: Reply(200, BODY)) as (source, _):
        assert await collect(source.fetch(DIGEST, 250_000, stop=260_000)) == BODY[250_000:260_000]


async def test_no_more_is_asked_of_a_server_than_is_wanted() -> None:
    async with plain(lambda request: ranged(BODY, request)) as (source, server):
        await collect(source.fetch(DIGEST, 250_000, stop=260_000))
        await collect(source.fetch(DIGEST, 260_000, stop=260_000))
    assert [request.headers["range"] for request in server.requests] == ["bytes=250000-259999"]


@pytest.mark.parametrize("status", [404, 405, 422, 500, 302])
async def test_a_control_plane_that_answers_without_a_table_has_none(status: int) -> None:
    async with plain(lambda _: Reply(status, b"no", {"Location": "http://127.0.0.1:1/elsewhere"})) as (source, server):
        assert await source.table(DIGEST, 1000) is None
        assert [request.path for request in server.requests] == [f"/{hex_of(DIGEST)}/chunks"]


@pytest.mark.parametrize("reply", [Reply(401), Reply(503), Reply(200, TABLE, cut=100), Reply(raw=b"no HTTP")])
async def test_a_table_that_may_come_later_is_waited_for(reply: Reply) -> None:
    async with plain(lambda _: reply) as (source, _):
        with pytest.raises(Retryable):
            await source.table(DIGEST, len(TABLE))


async def test_an_endless_table_is_not_read_to_its_end() -> None:
    async with plain(lambda _: Reply(200, bytes(100_000), length=1 << 40)) as (source, _):
        assert await source.table(DIGEST, 1000) is None


def test_a_made_release_names_its_blobs_by_content() -> None:
    release = make("1.0.0", 1_000)
    assert all(digest_of(body) == digest for digest, body in release.blobs.items())

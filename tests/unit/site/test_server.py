"""The listener of a site cache, over real sockets: files by digest and Range, and nothing to anybody else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.serving.http1_messages import Request
from agent.site import holdings, server
from agent.site.server import FETCHED, LIMITS, SiteServer
from protos.errors import Fatal
from protos.ids import digest_of, hex_of
from tests.sim.blobs import SimBlobs
from tests.sim.releases import make
from tests.sim.site import SimSite

RELEASE = make("1.0.0", size=300_000)
MODEL = f"/blobs/{hex_of(RELEASE.model_digest)}"
QUICK = replace(LIMITS, idle_seconds=0.3, stall_seconds=0.3, request_seconds=0.3, sweep_seconds=0.05)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[SimSite]:
    site = SimSite(tmp_path, SimBlobs())
    site.install(RELEASE)
    async with site.running():
        yield site


async def ask(site: SimSite, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    answer = await send(site.port, f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    return int(first.split(" ")[1]), dict(line.lower().split(": ", 1) for line in rest), body


async def send(port: int, content: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(content)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


async def test_a_file_comes_by_its_digest(site: SimSite) -> None:
    status, headers, body = await ask(site, MODEL)
    assert (status, body) == (200, RELEASE.model)
    assert headers["etag"] == f'"{RELEASE.model_digest}"'
    assert headers["accept-ranges"] == "bytes"
    assert site.server.answers["served"] == 1
    assert site.server.served_bytes == len(RELEASE.model)


async def test_a_part_of_it_comes_by_range(site: SimSite) -> None:
    status, headers, body = await ask(site, MODEL, range="bytes=100000-199999")
    assert (status, body) == (206, RELEASE.model[100_000:200_000])
    assert headers["content-range"] == "bytes 100000-199999/300000"
    status, headers, _ = await ask(site, MODEL, range="bytes=300000-")
    assert (status, headers["content-range"]) == (416, "bytes */300000")
    for nonsense in ("bytes=9-1", "bytes=0-1,5-6", "lines=1-2", f"bytes={'9' * 500}-", "bytes=-1--1"):
        assert (await ask(site, MODEL, range=nonsense))[0] == 200


async def test_head_tells_the_length_and_sends_nothing(site: SimSite) -> None:
    status, headers, body = await ask(site, MODEL, "HEAD")
    assert (status, headers["content-length"], body) == (200, "300000", b"")
    assert site.server.served_bytes == 0


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/blobs",
        "/blobs/",
        "/blobs/../identity/key.pem",
        "/blobs/%2e%2e/%2e%2e/identity/key.pem",
        "/blobs//etc/passwd",
        f"/blobs/../blobs/{hex_of(RELEASE.model_digest)}",
        f"{MODEL}/chunks",
        f"{MODEL}?x",
        f"{MODEL}%00",
        MODEL.upper(),
        f"/blobs/sha256:{hex_of(RELEASE.model_digest)}",
        f"/blobs/{hex_of(digest_of(b'nobody pushed this'))}",
        "/metadata/root.json",
        "/api/v1/blobs/" + hex_of(RELEASE.model_digest),
        "/state.db",
    ],
)
async def test_nothing_else_is_there(site: SimSite, path: str) -> None:
    status, _, body = await ask(site, path)
    assert status == 404
    assert len(body) < 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_nothing_can_be_changed(site: SimSite, method: str) -> None:
    assert (await ask(site, MODEL, method))[0] == 405


async def test_nothing_is_taken(site: SimSite) -> None:
    assert b" 413 " in await send(site.port, f"PUT {MODEL} HTTP/1.1\r\nContent-Length: 5\r\n\r\nxxxxx".encode())


async def test_a_head_that_is_too_long_and_what_is_no_http_are_refused(site: SimSite) -> None:
    assert b" 431 " in await send(site.port, b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000)
    assert b" 400 " in await send(site.port, b"\x16\x03\x01 hello\r\n\r\n")


async def test_an_answer_says_nothing_of_the_box(site: SimSite) -> None:
    _, headers, _ = await ask(site, MODEL)
    assert headers.keys() <= {
        *("content-type", "content-length", "connection", "accept-ranges", "etag"),
        *("cache-control", "x-content-type-options"),
    }


async def test_who_does_not_finish_a_question_or_asks_none_is_cut_off(site: SimSite) -> None:
    site.server.limits = QUICK
    for said in (b"", b"GET "):
        assert await send(site.port, said) == b""


async def test_who_does_not_read_is_cut_off_and_others_are_served(tmp_path: Path) -> None:
    big = make("2.0.0", size=20_000_000)
    site = SimSite(tmp_path, SimBlobs())
    site.install(big)
    site.server.limits = QUICK
    async with site.running():
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1 << 16)
        writer.write(f"GET /blobs/{hex_of(big.model_digest)} HTTP/1.1\r\n\r\n".encode())
        await asyncio.wait_for(reader.readline(), 10)
        [connection] = site.server.connections
        await asyncio.wait_for(connection.closed, 10)
        assert (await ask(site, f"/blobs/{hex_of(big.digest)}"))[2] == big.manifest
        assert site.server._reading == {}
        writer.close()


async def test_one_address_reads_a_few_files_at_once(tmp_path: Path) -> None:
    big = make("2.0.0", size=20_000_000)
    site = SimSite(tmp_path, SimBlobs())
    site.install(big)
    async with site.running():
        readers = []
        for _ in range(server.MOST_OF_A_CALLER):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1 << 16)
            writer.write(f"GET /blobs/{hex_of(big.model_digest)} HTTP/1.1\r\n\r\n".encode())
            readers.append((await reader.readline(), writer))
        assert (await ask(site, f"/blobs/{hex_of(big.digest)}"))[0] == 429
        for _, writer in readers:
            writer.transport.abort()


async def test_nor_more_where_it_asks_for_them_at_one_moment(tmp_path: Path) -> None:
    big = make("2.0.0", size=20_000_000)
    site = SimSite(tmp_path, SimBlobs())
    site.install(big)
    async with site.running():
        held = [
            await asyncio.open_connection("127.0.0.1", site.port, limit=1 << 16)
            for _ in range(server.MOST_OF_A_CALLER + 8)
        ]
        for _, writer in held:
            writer.write(f"GET /blobs/{hex_of(big.model_digest)} HTTP/1.1\r\n\r\n".encode())
        said = [(await reader.readline()).split(b" ")[1] for reader, _ in held]
        assert (said.count(b"200"), said.count(b"429")) == (server.MOST_OF_A_CALLER, 8)
        for _, writer in held:
            writer.transport.abort()


async def test_no_more_connections_are_held_than_a_bound(site: SimSite) -> None:
    site.server.limits = replace(LIMITS, connections=2)
    held = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(2)]
    assert (await ask(site, MODEL))[0] == 503
    for _, writer in held:
        writer.close()


async def test_a_file_that_is_being_fetched_says_how_far_it_is(site: SimSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdings, "WAIT_SECONDS", 0.1)
    other = make("5.0.0")
    site.assign(other)
    async with site.fetching[other.digest]:
        status, headers, _ = await ask(site, f"/blobs/{hex_of(other.digest)}")
    assert (status, headers[FETCHED.lower()], headers["retry-after"]) == (503, "0", "1")


async def test_a_file_that_goes_while_it_is_read_ends_the_connection_early(site: SimSite) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1 << 10)
    site.server.limits = replace(LIMITS, ahead_bytes=4096)
    writer.write(f"GET {MODEL} HTTP/1.1\r\n\r\n".encode())
    await reader.readline()
    site.own.discard([RELEASE.model_digest])
    rest = 0
    with contextlib.suppress(ConnectionResetError):
        while piece := await asyncio.wait_for(reader.read(1 << 10), 10):
            rest += len(piece)
    assert rest < len(RELEASE.model)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "8.8.8.8", "", "localhost"])
async def test_it_stands_on_no_public_address_and_not_on_all(tmp_path: Path, host: str) -> None:
    with pytest.raises(Fatal, match="no single address of the local network"):
        await SiteServer(SimSite(tmp_path, SimBlobs()).holdings).start(host, 0)


async def test_a_caller_from_elsewhere_is_refused(site: SimSite) -> None:
    for caller in ("8.8.8.8", "2001:db8::1", ""):
        request = Request("GET", MODEL, {}, memoryview(b""), ends=(caller, 5, site.port))
        assert (await site.server.handle(request)).status == 403


async def test_a_port_that_is_taken_is_told_with_the_next_step(site: SimSite, tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=rf"127.0.0.1:{site.port} .*--site-cache-listen"):
        await SiteServer(SimSite(tmp_path / "b", SimBlobs()).holdings).start("127.0.0.1", site.port)

"""Metrics over HTTP: one path, bounded requests, and the rules of the other servers beyond loopback."""

from __future__ import annotations

import asyncio

import pytest

from agent.serving.metrics_server import MetricsServer
from protos.errors import Fatal


async def get(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


async def test_metrics_are_served_over_http_and_nothing_else_is(free_port: int) -> None:
    server = MetricsServer(lambda: b"longshore_up 1\n")
    assert await server.start("127.0.0.1", free_port) == free_port
    found = await get(free_port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert found.startswith(b"HTTP/1.1 200 OK")
    assert found.endswith(b"longshore_up 1\n")
    assert b"200 OK" in await get(free_port, b"GET /healthz HTTP/1.1\r\n\r\n")
    assert b"404" in await get(free_port, b"GET /etc/passwd HTTP/1.1\r\n\r\n")
    assert b"405" in await get(free_port, b"POST /metrics HTTP/1.1\r\n\r\n")
    assert b"400" in await get(free_port, b"x" * 40_000 + b"\r\n\r\n")
    assert b"431" in await get(free_port, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 40_000)
    assert b"413" in await get(free_port, b"GET /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nxxxxx")
    await server.stop()


async def test_a_connection_is_kept_and_head_sends_no_body(free_port: int) -> None:
    server = MetricsServer(lambda: b"longshore_up 1\n")
    await server.start("127.0.0.1", free_port)
    twice = b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    head, _, rest = (await get(free_port, twice)).partition(b"\r\n\r\n")
    assert b"Content-Length: 15" in head
    assert rest.startswith(b"HTTP/1.1 200 OK")
    assert rest.endswith(b"\r\n\r\nok\n")
    await server.stop()


async def test_a_bug_in_the_metrics_is_an_answer(free_port: int, caplog: pytest.LogCaptureFixture) -> None:
    server = MetricsServer(lambda: str(1 / 0).encode())
    await server.start("127.0.0.1", free_port)
    assert b" 500 " in await get(free_port, b"GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert "the metrics cannot be told" in caplog.text
    await server.stop()


async def test_a_taken_port_is_named_with_the_way_to_choose_another(free_port: int) -> None:
    first, second = MetricsServer(bytes), MetricsServer(bytes)
    await first.start("127.0.0.1", free_port)
    with pytest.raises(Fatal, match=rf"port {free_port} .*--metrics-port"):
        await second.start("127.0.0.1", free_port)
    await first.stop()


async def test_beyond_loopback_it_does_not_stand_open(free_port: int) -> None:
    with pytest.raises(Fatal, match="LONGSHORE_AGENT_BEARER_FILE"):
        await MetricsServer(bytes).start("0.0.0.0", free_port)

"""The serving benchmark for real: in its smallest form, and what it refuses to call a measurement."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.serving.access import Access
from agent.serving.dataplane import DataPlane
from agent.serving.grpc_server import GrpcServer
from agent.serving.rest_server import RestServer
from bench import bench_serving
from bench.serving import asking, load
from bench.serving.load import Target
from bench.serving.wire import ENCODINGS
from bench.serving.workloads import WORKLOADS, Array
from protos.errors import Rejected, Retryable
from tests.servers.require import program
from tests.sim.engine import FakeEngine, RealClock
from tests.sim.models import identity
from tests.sim.serving import FakeTable

pytestmark = pytest.mark.e2e

TOKEN = "right"
TINY = WORKLOADS["tiny"]


def test_one_model_is_asked_over_both_transports_and_the_tables_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program("h2load", "nghttp2-client")
    result = tmp_path / "serving.json"
    words = ["--quick", "--workloads", "tiny", "--in-flight", "1", "--seconds", "0.3", "--json", str(result)]
    assert bench_serving.main(words) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("SERVER", "tiny: raw ONNX Runtime", "Longshore, gRPC", "GOAL"))
    told = json.loads(result.read_text())
    lines = {row["line"]: row for row in told["rows"]}
    assert {"Longshore, HTTP binary", "Longshore, gRPC"} <= set(lines)
    assert all(row["rate"] > 0 and row["reason"] == "" and 0 < row["efficiency"] < 1 for row in lines.values())
    assert told["machine"]["cores"] >= 1


@pytest.fixture
async def ports() -> AsyncIterator[dict[str, int]]:
    """Of a server whose `tiny` gives back what it takes, by encoding."""
    sample = identity("FP32", (-1, 16))
    engine, table = FakeEngine([sample], RealClock()), FakeTable()
    await engine.start(sample.spec)
    table.add("tiny", "1.0.0", engine)
    plane = DataPlane(table, "0.1.0", RealClock().monotonic)
    rest, grpc = RestServer(plane, Access(TOKEN)), GrpcServer(plane, Access(TOKEN))
    yield {"binary": await rest.start("127.0.0.1", 0), "grpc": await grpc.start("127.0.0.1", 0)}
    await asyncio.gather(rest.stop(1.0), grpc.stop(1.0), engine.close())


async def checked(ports: dict[str, int], encoding: str, expected: Array) -> int:
    target = Target(ports[encoding], ENCODINGS[encoding].http2, token=TOKEN)
    return await asyncio.to_thread(asking.checked, target, ENCODINGS[encoding], TINY, expected)


@pytest.mark.parametrize("encoding", ["binary", "grpc"])
async def test_an_answer_that_is_not_that_of_onnx_runtime_is_refused(ports: dict[str, int], encoding: str) -> None:
    assert await checked(ports, encoding, TINY.input()) > TINY.input().nbytes
    with pytest.raises(Rejected, match="is not that of ONNX Runtime"):
        await checked(ports, encoding, TINY.input() + 1)


async def pressed(ports: dict[str, int], encoding: str, token: str, path: str = "") -> None:
    program("h2load", "nghttp2-client")
    size = await checked(ports, encoding, TINY.input())
    call = ENCODINGS[encoding].ask(TINY)
    target = Target(ports[encoding], ENCODINGS[encoding].http2, token=token)
    await asyncio.to_thread(load.press, target, replace(call, path=path or call.path), 1, 0.1, size)


async def test_answers_of_another_status_are_no_measurement(ports: dict[str, int]) -> None:
    with pytest.raises(Retryable, match="the first with status 404"):
        await pressed(ports, "binary", TOKEN, path="/v2/models/none/infer")


async def test_errors_over_grpc_are_no_measurement_though_their_status_is_200(ports: dict[str, int]) -> None:
    with pytest.raises(Retryable, match="some are errors"):
        await pressed(ports, "grpc", "wrong")

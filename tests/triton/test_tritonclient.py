"""The current tritonclient, in an environment of its own, drives both transports over real engine workers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.inference.engine import OnnxEngine
from agent.serving.dataplane import DataPlane
from agent.serving.grpc_server import GrpcServer
from agent.serving.rest_server import RestServer
from tests.servers.require import unmet
from tests.sim.engine import RealClock
from tests.sim.models import detector, identity, sum_model
from tests.sim.serving import FakeTable

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / ".venv-triton" / "bin" / "python"
MODELS = {"sum": sum_model(), "text": identity("BYTES"), "harbour": detector()}
CHECKS = (
    *("health", "metadata", "tensors", "text", "image", "pixels", "errors", "async"),
    *("policy", "statistics", "repository", "regions"),
)

pytestmark = pytest.mark.triton


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "white.jpg"
    cv2.imwrite(str(path), np.full((64, 64, 3), 255, np.uint8))
    return path


async def test_tritonclient_is_served_over_http_and_grpc(picture: Path) -> None:
    if not CLIENT.exists():
        unmet("tritonclient has no environment; make it with: scripts/bootstrap triton")
    table, engines = FakeTable(), []
    for name, sample in MODELS.items():
        engine = OnnxEngine(name)
        engines.append(engine)
        await engine.start(sample.spec)
        table.add(name, "1.0.0", engine)
    plane = DataPlane(table, "0.1.0", RealClock().monotonic)
    rest, grpc = RestServer(plane), GrpcServer(plane)
    ports = [await rest.start("127.0.0.1", 0), await grpc.start("127.0.0.1", 0)]
    arguments = [*map(str, ports), str(picture)]
    client = await asyncio.create_subprocess_exec(
        CLIENT,
        Path(__file__).with_name("drive.py"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await client.communicate()
    await asyncio.gather(rest.stop(1.0), grpc.stop(1.0), *(engine.close() for engine in engines))
    plane.regions.close()
    text = said.decode()
    assert client.returncode == 0, text
    for transport in ("http", "grpc"):
        for check in CHECKS:
            assert f"{transport} {check} ok" in text

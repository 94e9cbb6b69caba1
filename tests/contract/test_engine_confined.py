"""The engine's worker in its sandbox: what it says of it, what it cannot have, and that the rest goes on."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.inference import confinement
from agent.inference.datatypes import pack_bytes
from agent.inference.engine import OnnxEngine
from agent.ports import EngineSpec, ModelSignature, Tensor, TensorSpec
from protos.errors import Retryable
from protos.ids import digest_of
from sandbox import cgroup, kernel, landlock
from sandbox.hierarchy import Absent
from sandbox.report import MENDS, Confined
from tests.sim.models import detector, identity, model_bytes, node

OFFERED = landlock.version() >= landlock.NETWORK_VERSION and kernel.machine() is not None
CGROUPS = not isinstance(cgroup.own(), Absent)
ALL = pytest.mark.skipif(not OFFERED, reason="this kernel lacks a layer; Linux 6.7 on x86_64 or aarch64 has all")
MakeEngine = Callable[[], OnnxEngine]


@pytest.fixture
def said() -> list[Confined]:
    return []


@pytest.fixture
async def make(said: list[Confined]) -> AsyncIterator[MakeEngine]:
    made: list[OnnxEngine] = []

    def make_one() -> OnnxEngine:
        made.append(OnnxEngine("test", on_confined=said.append))
        return made[-1]

    yield make_one
    for one in made:
        await one.close()


def environment(pid: int | None) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def opened(pid: int | None) -> dict[int, str]:
    """Descriptors and what lies behind them."""
    return {int(fd.name): str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()}


def hungry() -> EngineSpec:
    """As many zero bytes as it is asked for."""
    signature = ModelSignature((TensorSpec("count", "INT64", (1,)),), (TensorSpec("zeros", "FP32", (-1,)),))
    content = model_bytes([node("ConstantOfShape", ["count"], ["zeros"])], signature)
    return EngineSpec(digest_of(content), "tensor", (), None, content)


async def back(one: OnnxEngine) -> None:
    """Return once its worker was started again."""
    for _ in range(3000):
        if one.restarts and one.ready:
            break
        await asyncio.sleep(0.01)


def count(number: int) -> Tensor:
    return Tensor("count", "INT64", (1,), np.int64(number).tobytes())


@ALL
@pytest.mark.parametrize("spec", [detector().spec, identity("UINT8").spec], ids=["pictures", "tensors"])
async def test_a_worker_says_that_every_layer_holds_before_its_model_is_loaded(
    make: MakeEngine, said: list[Confined], spec: EngineSpec
) -> None:
    await make().start(spec)
    (word,) = said
    assert word.profile == "engine"
    assert [layer.name for layer in word.missing] == ([] if CGROUPS else ["cgroup"])
    assert [layer.name for layer in word.layers] == list(MENDS)


async def test_a_worker_that_came_back_says_it_again(make: MakeEngine, said: list[Confined]) -> None:
    one = make()
    await one.start(identity("UINT8").spec)
    assert one.pid is not None
    os.kill(one.pid, signal.SIGKILL)
    await back(one)
    assert len(said) == 2
    assert said[0] == said[1]


async def test_a_model_that_asks_for_more_memory_than_it_may_have_is_refused_and_the_next_call_runs(
    make: MakeEngine,
) -> None:
    one = make()
    await one.start(hungry())
    with pytest.raises(Retryable, match="memory"):
        await one.infer([count(2 * confinement.ROOM // 4)])
    (zeros,) = await one.infer([count(3)])
    assert bytes(zeros.data) == bytes(12)
    assert one.restarts == 0


@pytest.mark.skipif(not CGROUPS, reason="no cgroup can be made here: see tests/unit/sandbox/test_cgroups.py")
async def test_a_worker_that_outgrows_its_cgroup_is_killed_alone_counted_and_started_again(
    make: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where no address space is limited: here the cgroup is the narrower of both."""
    beside = make()
    await beside.start(identity("UINT8").spec)
    monkeypatch.setattr(confinement, "room", lambda *_: 0)
    one = make()
    await one.start(hungry())
    with pytest.raises(Retryable, match=r"took more memory than the 0\.5 GiB it may have, and was killed"):
        await one.infer([count((1 << 30) // 4)])
    await back(one)
    (zeros,) = await one.infer([count(3)])
    assert bytes(zeros.data) == bytes(12)
    assert (one.restarts, beside.restarts) == (1, 0)


async def test_pictures_are_read_in_a_sandbox_that_opens_no_library(make: MakeEngine) -> None:
    one = make()
    await one.start(detector().spec)
    for suffix in (".jpg", ".png"):
        picture = cv2.imencode(suffix, np.full((48, 96, 3), 255, np.uint8))[1].tobytes()
        found = await one.infer([Tensor("image", "BYTES", (1,), pack_bytes([picture]))], None, 0.5)
        assert len(found) >= 3


async def test_nothing_of_a_worker_goes_to_the_maker_of_its_runtime(make: MakeEngine) -> None:
    """ONNX Runtime's own telemetry keeps a database in the user's home, and a thread that sends."""
    one = make()
    await one.start(identity("UINT8").spec)
    assert b"ORT_DISABLE_TELEMETRY=1" in environment(one.pid)


@ALL
async def test_what_the_worker_has_open_is_nothing_of_the_box(make: MakeEngine) -> None:
    one = make()
    await one.start(replace(detector().spec, threads=2))
    beside_streams = {name for number, name in opened(one.pid).items() if number > 2}
    assert {name.partition(":")[0] for name in beside_streams} == {"socket"}, "its channel"

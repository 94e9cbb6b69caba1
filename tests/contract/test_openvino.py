"""OpenVINO beside ONNX Runtime in an engine's worker: what it runs, what it must not, and what of the sandbox holds.

The contract itself is in test_engine.py, which runs with OpenVINO, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.inference import likeness, trusted
from agent.inference.engine import OnnxEngine
from agent.inference.likeness import Tolerance
from agent.inference.session import Session
from agent.ports import EngineSpec, ModelSignature, Tensor, TensorSpec
from agent.providers import OPENVINO
from agent.release_folder import opened
from agent.workers.process import ENVIRONMENT
from sandbox.report import MENDS, Confined
from tests.contract.test_engine_confined import ALL, CGROUPS
from tests.servers import require
from tests.sim.models import detector, identity, model_bytes, node, picky

ROOT = Path(__file__).parents[2]
SAMPLE = opened(ROOT / "models" / "harbour" / "release").spec
Start = Callable[[EngineSpec, str], Awaitable[OnnxEngine]]


@pytest.fixture(autouse=True)
def _installed() -> None:
    require.openvino()


@pytest.fixture
def said() -> list[Confined]:
    return []


@pytest.fixture
async def start(said: list[Confined]) -> AsyncIterator[Start]:
    made: list[OnnxEngine] = []

    async def one(spec: EngineSpec, provider: str) -> OnnxEngine:
        made.append(OnnxEngine("test", on_confined=said.append))
        await made[-1].start(replace(spec, provider=provider))
        return made[-1]

    yield one
    for each in made:
        await each.close()


def noise() -> Tensor:
    pixels = np.random.default_rng(3).integers(0, 256, (1, 320, 320, 3), np.uint8)
    return Tensor("image", "UINT8", pixels.shape, pixels.tobytes())


async def answers(engine: OnnxEngine) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    kinds = {"FP32": np.float32, "INT64": np.int64}
    return {
        out.name: np.frombuffer(out.data, kinds[out.datatype]).reshape(out.shape)
        for out in await engine.infer([noise()])
    }


@pytest.mark.parametrize("provider", OPENVINO)
async def test_the_sample_model_finds_the_same_with_openvino(start: Start, provider: str) -> None:
    if provider == "openvino-bf16":
        require.bf16()
    fp32, ours = await start(SAMPLE, "cpu"), await start(SAMPLE, provider)
    assert (ours.warmed.declined, ours.width, ours.profile[0][1] > 0) == ("", fp32.width, True)
    expected, found = await answers(fp32), await answers(ours)
    assert likeness.difference("detection", expected, found, likeness.TOLERANCES[OPENVINO[provider]]) == ""
    assert any(not np.array_equal(expected[name], found[name]) for name in expected), "another runtime has answered"


@ALL
async def test_every_layer_holds_but_that_its_memory_may_become_code(start: Start, said: list[Confined]) -> None:
    await start(SAMPLE, "openvino-f32")
    (word,) = said
    assert word.profile == "jit"
    assert [layer.name for layer in word.missing] == ([] if CGROUPS else ["cgroup"])
    assert [layer.name for layer in word.layers] == list(MENDS)


async def test_whole_numbers_that_openvino_would_cut_short_pass_unchanged(start: Start) -> None:
    engine = await start(identity("INT64").spec, "openvino-f32")
    large = np.array([2**62 + 1, -(2**40)]).tobytes()
    (out,) = await engine.infer([Tensor("x", "INT64", (2,), large)])
    assert bytes(out.data) == large
    assert "computes 'x' (INT64) in fewer bits; ONNX Runtime answers instead" in engine.warmed.declined


async def test_a_graph_that_cannot_be_compared_is_run_by_onnx_runtime(start: Start) -> None:
    assert "could not be compared" in (await start(picky().spec, "openvino-f32")).warmed.declined


def test_a_graph_that_openvino_does_not_know_is_run_by_onnx_runtime() -> None:
    signature = ModelSignature((TensorSpec("x", "FP32", (4,)),), (TensorSpec("y", "FP32", (4,)),))
    unknown = node("Unheard", ["x"], ["y"], domain="of.a.stranger")
    content = model_bytes([unknown], signature)
    fp32 = FakeGraph(signature)
    graph, declined = trusted.opened(fp32, content, "f32", "tensor", None, 1)
    assert graph is fp32
    assert "was not used: OpenVINO does not load the model" in declined
    assert "Unheard" in declined
    assert "Exception from" not in declined


class FakeGraph:
    """Answers zeros."""

    def __init__(self, signature: ModelSignature) -> None:
        self.signature = signature

    def run(self, feeds: object, outputs: object = None) -> list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
        return [np.zeros(spec.shape, np.float32) for spec in self.signature.outputs]

    def alone(self, model: bytes, cores: int) -> FakeGraph:
        return self


def test_a_precision_that_answers_too_differently_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    require.bf16()
    session = Session(SAMPLE.model)
    asked = session, SAMPLE.model, "bf16", SAMPLE.task, SAMPLE.input, 1
    assert trusted.opened(*asked)[1] == ""
    monkeypatch.setitem(likeness.TOLERANCES, "bf16", Tolerance(1e-5, 0.0))
    graph, declined = trusted.opened(*asked)
    assert graph is session
    assert declined.startswith("OpenVINO in bf16 gives a score that is off by 0.0")


def outcome(code: str) -> str:
    """What a process with a worker's environment prints."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_it_loads_starts_no_thread_and_nothing_that_tells_its_maker() -> None:
    """Landlock holds for a thread and those it starts, so a worker has one when it enters."""
    loaded = "import os, sys; from agent.inference import trusted; trusted.preload('f32');"
    assert outcome(loaded + "print(len(os.listdir('/proc/self/task')))") == "1"
    told = outcome(
        loaded + "print([name for name in sys.modules if name.startswith('openvino_telemetry') and sys.modules[name]])"
    )
    assert told == "[]"


def test_where_memory_may_not_become_code_onnx_runtime_answers_and_the_way_out_is_told() -> None:
    """As in the unit of a service that was installed for another provider: PR_SET_MDWE, or 77."""
    said = outcome(
        "import ctypes, sys\n"
        "if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): print(77); sys.exit()\n"
        "from agent.inference import trusted\n"
        "from agent.inference.session import Session\n"
        "from tests.sim.models import detector\n"
        "spec = detector().spec\n"
        "trusted.preload('f32')\n"
        "print(trusted.opened(Session(spec.model), spec.model, 'f32', spec.task, spec.input, 1)[1])\n"
    )
    if said == "77":
        require.unmet("this kernel cannot refuse such memory; it needs Linux 6.3")
    assert "run 'longshore-agent join --install' with this --provider" in said


async def test_a_frame_model_of_two_sessions_answers_alike_on_both(start: Start) -> None:
    """One call alone runs over all cores, many run on one each."""
    import asyncio

    engine = await start(detector().spec, "openvino-f32")
    pixels = Tensor("image", "UINT8", (1, 32, 64, 3), bytes(range(256)) * 24)
    (alone, *_) = await engine.infer([pixels])
    crowd = await asyncio.gather(*(engine.infer([pixels]) for _ in range(8)))
    assert {bytes(each[0].data) for each in crowd} == {bytes(alone.data)}

"""Graphs compiled by a real process in its sandbox, kept on a real disk, loaded by a real engine.

No GPU is needed: in TensorRT's place stands ONNX Runtime's optimiser for CPUs (see tests.sim.cpu_compiler). What
TensorRT itself makes of a graph is not tested.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.adapters.compiled_store import CompiledStore
from agent.inference import compiled, compiler
from agent.inference.compiled import Platform
from agent.inference.compiler import Compiler
from agent.inference.engine import OnnxEngine
from agent.inference.patience import LOAD_SECONDS
from agent.ports import EngineSpec, Tensor
from protos.ids import digest_of
from sandbox import kernel, landlock
from sandbox.report import Confined
from tests.sim.models import detector, sum_model

HERE = Platform(("stand-in",), "1.0", "onnxruntime", "")
OFFERED = landlock.version() >= landlock.NETWORK_VERSION and kernel.machine() is not None


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "MODULE", "tests.sim.cpu_compiler")


@pytest.fixture
def store(tmp_path: Path) -> CompiledStore:
    return CompiledStore(tmp_path)


@pytest.fixture
async def engine(store: CompiledStore) -> AsyncIterator[OnnxEngine]:
    one = OnnxEngine("test", compiler=Compiler(store, HERE))
    yield one
    await one.close()


def children() -> set[int]:
    """Processes that run a compiler for us."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == os.getpid() and compiler.MODULE.encode() in words:
            found.add(int(folder.name))
    return found


async def answer(engine: OnnxEngine) -> float:
    """The sum of ones and ones."""
    ones = np.ones((1, 3), np.float32).tobytes()
    total, *_ = await engine.infer([Tensor(name, "FP32", (1, 3), ones) for name in ("a", "b")])
    return float(np.frombuffer(total.data, np.float32)[0])


async def test_what_is_compiled_is_kept_and_not_compiled_again(store: CompiledStore) -> None:
    spec, said = detector().spec, list[Confined]()
    made = await Compiler(store, HERE, said.append).model(spec)
    assert len(said) == 1
    assert store.get(compiled.bound(spec, HERE).key) == made
    assert await Compiler(store, HERE, said.append).model(spec) == made
    assert len(said) == 1, "no process was started"
    assert children() == set()


async def test_another_driver_compiles_anew_and_leaves_nothing_of_the_old(store: CompiledStore) -> None:
    spec, said = detector().spec, list[Confined]()
    await Compiler(store, HERE, said.append).model(spec)
    newer = replace(HERE, driver="2.0")
    await Compiler(store, newer, said.append).model(spec)
    assert len(said) == 2
    assert [each.platform for each in store.kept()] == [newer.key]


@pytest.mark.skipif(not OFFERED, reason="this kernel lacks a layer; Linux 6.7 on x86_64 or aarch64 has all")
async def test_the_process_gives_up_its_rights_before_it_sees_the_graph(store: CompiledStore) -> None:
    said: list[Confined] = []
    await Compiler(store, HERE, said.append).model(detector().spec)
    assert (said[0].profile, said[0].missing) == ("gpu", ())


async def test_an_engine_loads_what_was_compiled(engine: OnnxEngine, store: CompiledStore) -> None:
    await engine.start(sum_model().spec)
    assert len(store.kept()) == 1
    assert await answer(engine) == 2.0


async def test_what_does_not_load_is_forgotten_and_the_model_loaded_as_it_is(
    engine: OnnxEngine, store: CompiledStore
) -> None:
    """As of a driver that changed without saying so."""
    spec = sum_model().spec
    store.put(compiled.bound(spec, HERE).key, HERE.key, b"for another machine")
    await engine.start(spec)
    assert await answer(engine) == 2.0
    assert store.kept() == []


@pytest.mark.parametrize("way", ["part", "free"])
async def test_a_graph_that_is_not_compiled_whole_is_left_to_the_engine_and_not_tried_again(
    store: CompiledStore, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(compiled, "options", lambda _: {way: "1"})
    spec, said = detector().spec, list[Confined]()
    assert await Compiler(store, HERE, said.append).model(spec) is spec.model
    assert await Compiler(store, HERE, said.append).model(spec) is spec.model
    assert len(said) == 1


async def test_what_is_no_graph_is_left_to_the_engine(store: CompiledStore) -> None:
    broken = EngineSpec(digest_of(b"no graph"), "tensor", (), None, b"no graph")
    assert await Compiler(store, HERE).model(broken) == b"no graph"


async def test_a_process_that_falls_costs_only_the_compiling(
    store: CompiledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "MODULE", "tests.sim.falling_compiler")
    spec = detector().spec
    assert await Compiler(store, HERE).model(spec) is spec.model
    assert store.kept() == []


async def test_one_that_takes_too_long_is_ended(store: CompiledStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOAD_SECONDS, "cpu", 0.05)
    spec = detector().spec
    assert await Compiler(store, HERE).model(spec) is spec.model
    assert children() == set()


async def test_an_update_that_is_given_up_ends_the_process(store: CompiledStore) -> None:
    begun = asyncio.Event()
    waiting = asyncio.create_task(Compiler(store, HERE, lambda _: begun.set()).model(detector().spec))
    await begun.wait()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert children() == set()


async def test_two_engines_of_one_release_compile_once(store: CompiledStore) -> None:
    said: list[Confined] = []
    one = Compiler(store, HERE, said.append)
    first, second = await asyncio.gather(one.model(detector().spec), one.model(detector().spec))
    assert first == second
    assert len(said) == 1


async def test_a_full_disk_costs_only_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "compiled").write_text("in the way")
    spec = detector().spec
    made = await Compiler(CompiledStore(tmp_path), HERE).model(spec)
    assert made != spec.model


async def test_the_box_keeps_what_its_disk_has_room_for(store: CompiledStore) -> None:
    specs = [replace(detector().spec, digest=digest_of(bytes([number]))) for number in range(3)]
    made = await Compiler(store, HERE).model(specs[0])
    one = Compiler(store, HERE, budget=2 * len(made) + 1000)
    for spec in specs[1:]:
        await one.model(spec)
    assert {each.key for each in store.kept()} == {compiled.bound(spec, HERE).key for spec in specs[1:]}

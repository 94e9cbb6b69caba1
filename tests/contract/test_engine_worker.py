"""What only the engine with a real worker process can show: crashes, hangs, damaged models, memory and descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.inference.engine import OnnxEngine
from agent.inference.errors import BadInput, BadModel, Expired, Overloaded
from agent.inference.lifecycle import State
from agent.inference.limits import EngineLimits
from agent.ports import EngineSpec, ModelSignature, Place, Tensor, TensorSpec
from agent.types import Geometry, ModelInput, Tap
from agent.workers import memory
from agent.workers.memory import SharedSlots
from agent.workers.restarts import RestartBudget
from protos.errors import Fatal, Rejected, Retryable
from protos.ids import CameraName, DeploymentName
from tests.sim.clock import settle
from tests.sim.descriptors import no_descriptors_left
from tests.sim.models import as_spec, convolutions, detector, endless, identity, model_bytes, node, sum_model

DETECTOR = detector()
TAP = Tap(CameraName("quay"), DeploymentName("harbour"))
GEOMETRY = Geometry(64, 32, 1.0, 1.0, 0, 0)
MakeEngine = Callable[..., OnnxEngine]


@pytest.fixture
async def make() -> AsyncIterator[MakeEngine]:
    made: list[OnnxEngine] = []

    def engine(limits: EngineLimits | None = None, budget: RestartBudget | None = None) -> OnnxEngine:
        made.append(OnnxEngine("test", limits or EngineLimits(), budget))
        return made[-1]

    yield engine
    for one in made:
        await one.close()


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def worker_descriptors(engine: OnnxEngine) -> int:
    return sum(1 for _ in Path(f"/proc/{engine.pid}/fd").iterdir())


def pss(pid: int) -> int:
    """Bytes."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1])


def kill(engine: OnnxEngine) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)


async def under_way(engine: OnnxEngine, calls: int) -> None:
    async with asyncio.timeout(10):
        while engine.under_way != calls:  # noqa: ASYNC110 - a real process is watched
            await asyncio.sleep(0.005)


async def until(state: State, engine: OnnxEngine, restarts: int, seconds: float = 10.0) -> float:
    started = time.monotonic()
    while not (engine.state is state and engine.restarts >= restarts):
        assert time.monotonic() - started < seconds, f"still {engine.state} after {seconds} s"
        await asyncio.sleep(0.005)
    return time.monotonic() - started


async def spawned(engine: OnnxEngine, after: int = 0) -> int:
    """The process id of the next worker."""
    started = time.monotonic()
    while engine.pid is None or engine.pid == after:
        assert time.monotonic() - started < 10
        await asyncio.sleep(0.001)
    return engine.pid


def gone(pid: int | None) -> bool:
    return not Path(f"/proc/{pid}").exists()


def facts(pid: int | None) -> tuple[str, str]:
    """Resource limits and working directory."""
    return Path(f"/proc/{pid}/limits").read_text(), Path(f"/proc/{pid}/cwd").readlink().name


def willingness(pid: int | str | None) -> int:
    """To be ended where memory runs out, as the kernel is told of it."""
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def crowding() -> float:
    """How many runnable processes share a core of this machine, at least 1: times are stretched by it."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def bytes_tensor(count: int) -> Tensor:
    return Tensor("x", "UINT8", (count,), bytes(count))


PIXELS = Tensor("image", "UINT8", (1, 32, 64, 3), bytes(32 * 64 * 3))


async def test_a_killed_worker_is_back_within_a_second_with_its_cameras(make: MakeEngine) -> None:
    engine = make(budget=RestartBudget(first_delay=0.0, longest_delay=0.0))
    await engine.start(DETECTOR.spec)
    assert DETECTOR.spec.input
    slots = SharedSlots.create(1, DETECTOR.spec.input.nbytes)
    slots.view(0)[:] = b"\xff" * DETECTOR.spec.input.nbytes
    await engine.attach(TAP, slots.fd, 1, DETECTOR.spec.input)
    slots.close()  # the engine has its own descriptor
    first = engine.pid
    engine.slow_down(5.0)
    frame = asyncio.ensure_future(engine.detect_slot(TAP, 0, GEOMETRY, 0.5))
    await asyncio.sleep(0.05)
    kill(engine)
    with pytest.raises(Retryable):
        await frame
    engine.slow_down(0.0)
    seconds = [await until(State.READY, engine, 1)]
    for restarts in (2, 3):
        kill(engine)
        seconds.append(await until(State.READY, engine, restarts))
    assert min(seconds) < 1.0 * crowding(), seconds
    assert len((await engine.detect_slot(TAP, 0, GEOMETRY, 0.5)).boxes) == 2
    assert engine.pid != first


async def test_calls_while_the_worker_starts_fail_at_once(make: MakeEngine) -> None:
    engine = make()
    await engine.start(identity("UINT8").spec)
    kill(engine)
    with pytest.raises(Retryable):
        await engine.infer([bytes_tensor(1)])
    assert not engine.ready
    with pytest.raises(Retryable):
        engine.infer([bytes_tensor(1)]).send(None)  # refused before it waits for anything


async def test_fifty_kills_leave_no_descriptor_and_no_memory_behind(make: MakeEngine) -> None:
    engine = make(budget=RestartBudget(limit=1000, first_delay=0.0, longest_delay=0.0))
    sample = identity("UINT8")
    await engine.start(sample.spec)
    await engine.infer([bytes_tensor(100_000)])
    before = descriptors()
    rng, last = random.Random(0), 0
    for _ in range(50):
        last = await spawned(engine, after=last)
        call = asyncio.ensure_future(engine.infer([bytes_tensor(100_000)]))
        await asyncio.sleep(rng.uniform(0, 0.05))
        kill(engine)
        await asyncio.wait([call])
        call.exception()
        del call  # an answer holds memory as long as somebody holds it
    await spawned(engine, after=last)
    await until(State.READY, engine, 50)
    await engine.infer([bytes_tensor(100_000)])
    assert descriptors() == before


async def test_closing_leaves_nothing_behind(make: MakeEngine) -> None:
    await asyncio.create_task(asyncio.sleep(0))
    before = descriptors()
    for _ in range(3):
        engine = make()
        await engine.start(DETECTOR.spec)
        assert DETECTOR.spec.input
        slots = SharedSlots.create(2, DETECTOR.spec.input.nbytes)
        await engine.attach(TAP, slots.fd, 2, DETECTOR.spec.input)
        slots.close()
        pid = engine.pid
        await engine.close()
        assert gone(pid)
    assert descriptors() == before


async def test_a_worker_that_hangs_is_killed_and_replaced(make: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.inference.patience.AT_LEAST", 0.3)
    monkeypatch.setattr("agent.inference.patience.TIMES_USUAL", 0.0)
    engine = make(EngineLimits(look_seconds=0.05))
    await engine.start(endless().spec)
    await engine.infer([Tensor("x", "INT64", (1,), (1).to_bytes(8, "little"))])
    with pytest.raises(Retryable):
        await engine.infer([Tensor("x", "INT64", (1,), (2**62).to_bytes(8, "little"))])
    await until(State.READY, engine, 1)
    await engine.infer([Tensor("x", "INT64", (1,), (1).to_bytes(8, "little"))])


async def test_a_call_that_hangs_is_found_though_others_beside_it_are_answered(
    make: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.inference.patience.AT_LEAST", 2.0)
    monkeypatch.setattr("agent.inference.patience.TIMES_USUAL", 0.0)
    engine = make(EngineLimits(look_seconds=0.05))
    await engine.start(replace(endless(5_000).spec, threads=2))
    assert engine.width == 2
    none, forever = (Tensor("x", "INT64", (1,), count.to_bytes(8, "little")) for count in (0, 2**61))
    hung, answered, began = asyncio.ensure_future(engine.infer([forever])), 0, time.monotonic()
    with contextlib.suppress(Retryable):  # the one that is under way when it is found
        while not hung.done() and time.monotonic() < began + 10.0:
            await engine.infer([none])
            answered += 1
    assert answered
    assert hung.done()
    with pytest.raises(Retryable, match="was killed"):
        await hung
    await until(State.READY, engine, 1)


async def test_a_worker_that_leaks_fails_the_call_that_finds_no_memory_and_is_replaced(
    make: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.inference.engine.MODULE", "tests.sim.leaking_worker")
    engine = make()
    await engine.start(sum_model().spec)
    row = np.ones((1, 3), dtype=np.float32).tobytes()
    inputs = [Tensor(name, "FP32", (1, 3), row) for name in "ab"]
    failed: list[str] = []
    while not failed:
        try:
            await engine.infer(inputs)
        except Retryable as error:
            failed.append(str(error))
    assert "ended with code 1" in failed[0]
    await until(State.READY, engine, 1)
    await engine.infer(inputs)


async def test_a_worker_is_ended_before_the_agent_where_the_box_runs_out_of_memory(make: MakeEngine) -> None:
    engine = make()
    await engine.start(identity("UINT8").spec)
    assert willingness(engine.pid) > willingness("self")


async def test_added_waiting_does_not_count_as_hanging(make: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.inference.patience.AT_LEAST", 0.1)
    monkeypatch.setattr("agent.inference.patience.TIMES_USUAL", 0.0)
    engine = make(EngineLimits(look_seconds=0.02))
    await engine.start(identity("UINT8").spec)
    engine.slow_down(0.4)
    await engine.infer([bytes_tensor(1)])
    assert engine.restarts == 0


async def test_a_damaged_model_is_refused_in_one_sentence_and_its_worker_ends(make: MakeEngine) -> None:
    for content in (b"", b"this is no model", DETECTOR.spec.model[:-100]):
        engine = make()
        with pytest.raises(BadModel) as caught:
            await engine.start(as_spec(content))
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300
        assert gone(engine.pid)


async def test_a_model_that_breaks_its_contract_is_refused(make: MakeEngine) -> None:
    sample = sum_model().spec
    with pytest.raises(BadModel, match="must give 'boxes'"):
        await make().start(EngineSpec(sample.digest, "detection", (), None, sample.model))


async def test_a_gpu_that_is_not_there_is_no_fault_of_the_model(make: MakeEngine) -> None:
    spec = replace(DETECTOR.spec, provider="cuda")
    with pytest.raises(Fatal, match="provider 'cpu'"):
        await make().start(spec)


async def test_a_model_too_large_for_the_box_may_fit_later_and_leaves_no_process(make: MakeEngine) -> None:
    """It fails while it warms up: the runtime cannot get the 4 TiB its graph asks for."""
    signature = ModelSignature((TensorSpec("x", "FP32", (1,)),), (TensorSpec("y", "FP32", (-1,)),))
    nodes = [node("ConstantOfShape", ["n"], ["c"]), node("Add", ["x", "c"], ["y"])]
    huge = model_bytes(nodes, signature, {"n": np.array([1 << 40])})
    await asyncio.to_thread(bool)
    before = descriptors()
    engine = make()
    with pytest.raises(Retryable, match="not enough memory"):
        await engine.start(as_spec(huge))
    assert gone(engine.pid)
    assert descriptors() == before


async def test_a_model_that_names_a_file_finds_none(
    make: MakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """External data is read relative to the working directory; the worker has none, wherever the agent stands."""
    import onnx

    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_bytes(bytes(12))
    signature = ModelSignature((TensorSpec("x", "FP32", (3,)),), (TensorSpec("y", "FP32", (3,)),))
    constants = {"w": np.ones(3, dtype=np.float32)}
    model = onnx.load_from_string(model_bytes([node("Add", ["x", "w"], ["y"])], signature, constants))
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "secret", 0, 12)
    tensor.ClearField("raw_data")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with pytest.raises(BadModel):
        await make().start(as_spec(model.SerializeToString()))


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        (signal.SIGSEGV, BadModel, "crashed its worker 2 times"),
        (signal.SIGABRT, BadModel, "crashed its worker 2 times"),
        (signal.SIGKILL, Retryable, "memory runs out"),
        (signal.SIGBUS, Retryable, "SIGBUS"),
    ],
)
async def test_a_model_is_blamed_for_crashes_while_loading_and_not_for_a_box_that_kills(
    make: MakeEngine, how: signal.Signals, error: type[Exception], words: str
) -> None:
    engine = make()
    start = asyncio.ensure_future(engine.start(DETECTOR.spec))
    ended: set[int] = set()
    while not start.done():
        if engine.pid and engine.pid not in ended:
            ended.add(engine.pid)
            os.kill(engine.pid, how)
        await asyncio.sleep(0.001)
    with pytest.raises(error, match=words):
        await start
    assert len(ended) == 2


async def test_a_box_without_a_descriptor_left_for_the_model_may_load_it_later(make: MakeEngine) -> None:
    engine = make()
    with no_descriptors_left(), pytest.raises(Retryable, match="no memory for a model"):
        await engine.start(DETECTOR.spec)


async def test_a_request_the_box_has_no_memory_for_may_be_tried_again(make: MakeEngine) -> None:
    engine = make()
    await engine.start(identity("UINT8").spec)
    with no_descriptors_left(), pytest.raises(Retryable, match="no memory for 100000 bytes"):
        await engine.infer([bytes_tensor(100_000)])
    await engine.infer([bytes_tensor(100_000)])


async def test_a_large_model_is_copied_beside_the_loop(make: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    copy = memory.seal

    def observed(fd: int, content: bytes) -> None:
        threads.append(threading.get_ident())
        copy(fd, content)

    monkeypatch.setattr(memory, "seal", observed)
    await make().start(DETECTOR.spec)
    assert threads
    assert threading.get_ident() not in threads


async def test_a_worker_that_cannot_be_started_again_now_is_started_when_it_can(make: MakeEngine) -> None:
    engine = make(budget=RestartBudget(first_delay=0.02, longest_delay=0.02))
    await engine.start(identity("UINT8").spec)
    before = descriptors()
    with no_descriptors_left():
        kill(engine)
        await until(State.RESTARTING, engine, 1)
        await asyncio.sleep(0.1)  # several starts fail meanwhile
    await until(State.READY, engine, 1)
    assert engine.restarts == 1, "what the box could not start is no fall of the worker"
    assert descriptors() == before
    await engine.infer([bytes_tensor(1)])


async def test_one_death_while_loading_is_forgiven(make: MakeEngine) -> None:
    engine = make()
    start = asyncio.ensure_future(engine.start(DETECTOR.spec))
    await spawned(engine)
    kill(engine)
    await start
    assert engine.state is State.READY


async def test_a_worker_that_dies_while_it_comes_back_is_no_error_and_comes_back(
    make: MakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make()
    await engine.start(DETECTOR.spec)
    first = await spawned(engine)
    kill(engine)
    await spawned(engine, after=first)
    kill(engine)
    await until(State.READY, engine, restarts=2)
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert [record.getMessage().partition(" starting again")[1] for record in caplog.records] == [" starting again"] * 2


async def test_a_start_that_is_given_up_leaves_no_process(make: MakeEngine) -> None:
    engine = make()
    start = asyncio.ensure_future(engine.start(DETECTOR.spec))
    await spawned(engine)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert gone(engine.pid)


async def test_closing_a_crashing_engine_ends_it(make: MakeEngine) -> None:
    engine = make()
    await engine.start(DETECTOR.spec)
    kill(engine)
    await engine.close()
    assert engine.state is State.CLOSED
    assert gone(engine.pid)


async def test_closing_waits_no_longer_than_it_may_for_what_is_in_flight_and_for_what_waits(make: MakeEngine) -> None:
    engine = make(EngineLimits(drain_seconds=0.1))
    await engine.start(identity("UINT8").spec)
    engine.slow_down(4.0)
    calls = [asyncio.ensure_future(engine.infer([bytes_tensor(1)])) for _ in range(4)]
    await settle()
    await engine.close()
    assert gone(engine.pid)
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in ended] == [Retryable] * 4, "none was waited for until it was answered"


async def test_a_worker_that_keeps_falling_is_started_again_all_the_same(make: MakeEngine) -> None:
    engine = make(budget=RestartBudget(limit=1, longest_delay=0.01))
    await engine.start(identity("UINT8").spec)
    for restarts in (1, 2, 3):
        kill(engine)
        await until(State.READY, engine, restarts)


async def test_a_caller_who_leaves_gives_no_other_request_his_turn_early(make: MakeEngine) -> None:
    """Else callers with little time would fill the worker's queue, and frames would wait behind all of them."""
    engine = make()
    await engine.start(replace(DETECTOR.spec, threads=1))
    engine.slow_down(0.3)
    first = asyncio.ensure_future(engine.infer([PIXELS]))
    await settle()
    others = [asyncio.ensure_future(engine.infer([PIXELS])) for _ in range(3)]
    first.cancel()
    await settle()
    assert engine.under_way == 1
    await asyncio.gather(*others)


async def test_calls_that_meet_find_their_own_callers_memory_and_leave_none_of_it_open(make: MakeEngine) -> None:
    sample, engine = convolutions(320, 8), make()
    await engine.start(replace(sample.spec, threads=2))
    pixels = np.zeros((1, 320, 320, 3), np.uint8)
    here = Tensor("image", "UINT8", pixels.shape, pixels.tobytes())
    wanted = [bytes(out.data) for out in await engine.infer([here])]
    before = worker_descriptors(engine)
    fds = [os.memfd_create("caller") for _ in range(4)]
    for fd in fds:
        os.write(fd, pixels.tobytes())
    names = [spec.name for spec in engine.signature.outputs]
    starts = [pixels.nbytes + index * (1 << 20) for index in range(len(names))]
    for fd in fds:
        os.ftruncate(fd, starts[-1] + (1 << 20))

    async def ask(fd: int) -> None:
        there = Tensor("image", "UINT8", pixels.shape, b"", Place(fd, 0, pixels.nbytes))
        into = {name: Place(fd, start, 1 << 20) for name, start in zip(names, starts, strict=True)}
        answer = await engine.infer([there], names, into=into)
        places = [out.place for out in answer if out.place is not None]
        assert [os.pread(place.fd, place.nbytes, place.offset) for place in places] == wanted

    for _ in range(3):
        await asyncio.gather(*map(ask, fds))
    assert (worker_descriptors(engine), engine.restarts) == (before, 0)
    for fd in fds:
        os.close(fd)


async def test_a_request_that_expired_leaves_nothing_of_its_callers_memory_open(make: MakeEngine) -> None:
    engine = make()
    await engine.start(identity("UINT8").spec)
    fd = os.memfd_create("caller")
    os.ftruncate(fd, 4096)
    before = worker_descriptors(engine)
    for tensor, deadline in (
        (Tensor("x", "UINT8", (4096,), b"", Place(fd, 0, 4096)), time.monotonic() - 1),
        (Tensor("x", "UINT8", (4097,), b"", Place(fd, 0, 4097)), None),
    ):
        with pytest.raises((Expired, BadInput)):
            await engine.infer([tensor], deadline=deadline)
    assert worker_descriptors(engine) == before
    os.close(fd)


async def test_a_caller_who_shrinks_his_memory_again_and_again_never_ends_the_worker(make: MakeEngine) -> None:
    engine = make()
    await engine.start(identity("UINT8").spec)
    size = 1 << 20
    fd, done = os.memfd_create("caller"), threading.Event()

    def shrink_and_grow() -> None:
        while not done.is_set():
            os.ftruncate(fd, 0)
            os.ftruncate(fd, 2 * size)

    shrinking = threading.Thread(target=shrink_and_grow)
    shrinking.start()
    there = Tensor("x", "UINT8", (size,), b"", Place(fd, 0, size))
    try:
        for _ in range(200):
            with contextlib.suppress(BadInput):
                await engine.infer([there], ["y"], into={"y": Place(fd, size, size)})
    finally:
        done.set()
        shrinking.join()
    assert engine.restarts == 0
    os.close(fd)


async def test_tensors_in_a_callers_memory_count_against_the_bound_of_a_request(make: MakeEngine) -> None:
    engine = make(EngineLimits(request_bytes=1000))
    await engine.start(identity("UINT8").spec)
    fd = os.memfd_create("caller")
    os.ftruncate(fd, 4096)
    with pytest.raises(BadInput, match="1001 bytes of tensors"):
        await engine.infer([Tensor("x", "UINT8", (1001,), b"", Place(fd, 0, 1001))])
    await engine.infer([Tensor("x", "UINT8", (1000,), b"", Place(fd, 0, 1000))])
    os.close(fd)


async def test_calls_that_meet_run_at_once_and_a_camera_may_leave_meanwhile(make: MakeEngine) -> None:
    sample, engine = convolutions(640, 32), make()
    assert sample.spec.input
    await engine.start(replace(sample.spec, threads=2))
    assert engine.width == 2
    slots = SharedSlots.create(2, sample.spec.input.nbytes)
    await engine.attach(TAP, slots.fd, 2, sample.spec.input)
    engine.slow_down(0.4)
    began = time.monotonic()
    frames = [asyncio.ensure_future(engine.detect_slot(TAP, slot, GEOMETRY, 0.5)) for slot in (0, 1)]
    await settle()
    await engine.detach(TAP)
    found = await asyncio.gather(*frames)
    assert [len(each.boxes) for each in found] == [len(found[0].boxes)] * 2
    assert time.monotonic() - began < 0.75 * crowding()
    slots.close()


async def test_a_frame_goes_before_the_request_that_the_worker_has_in_hand(make: MakeEngine) -> None:
    sample, engine = convolutions(640, 32), make()
    assert sample.spec.input
    await engine.start(replace(sample.spec, threads=1))
    slots = SharedSlots.create(1, sample.spec.input.nbytes)
    await engine.attach(TAP, slots.fd, 1, sample.spec.input)
    engine.slow_down(0.2)
    ended = list[str]()

    async def ask(name: str, work: Awaitable[object]) -> None:
        await work
        ended.append(name)

    picture = Tensor("image", "UINT8", (1, 640, 640, 3), bytes(sample.spec.input.nbytes))
    asked = [asyncio.ensure_future(ask(f"request {number}", engine.infer([picture]))) for number in range(3)]
    await under_way(engine, 2)
    asked.append(asyncio.ensure_future(ask("frame", engine.detect_slot(TAP, 0, GEOMETRY, 0.5))))
    await asyncio.gather(*asked)
    assert ended.index("frame") < ended.index("request 1") < ended.index("request 2")
    slots.close()


async def test_a_request_whose_caller_left_is_not_begun(make: MakeEngine) -> None:
    sample, engine = convolutions(640, 32), make()
    await engine.start(replace(sample.spec, threads=1))
    picture = Tensor("image", "UINT8", (1, 640, 640, 3), bytes(640 * 640 * 3))
    engine.slow_down(0.3)
    runs = asyncio.ensure_future(engine.infer([picture]))
    await under_way(engine, 1)
    engine.slow_down(30.0)  # for the next, if it began
    left = asyncio.ensure_future(engine.infer([picture]))
    await under_way(engine, 2)
    left.cancel()
    await runs
    await under_way(engine, 0)


async def test_a_worker_for_idle_cores_has_no_thread_that_wants_others_and_comes_back_so() -> None:
    engine = OnnxEngine(idle_only=True, budget=RestartBudget(first_delay=0.0, longest_delay=0.0))
    await engine.start(convolutions().spec)

    def policies() -> set[int]:
        assert engine.pid is not None
        threads = [int(path.name) for path in Path(f"/proc/{engine.pid}/task").iterdir()]
        return {os.sched_getscheduler(thread) for thread in threads}

    assert policies() == {os.SCHED_IDLE}
    kill(engine)
    await until(State.READY, engine, restarts=1)
    assert policies() == {os.SCHED_IDLE}
    await engine.close()


async def test_too_many_requests_are_turned_away_at_once(make: MakeEngine) -> None:
    engine = make(EngineLimits(waiting=3))
    await engine.start(identity("UINT8").spec)
    engine.slow_down(0.05)
    calls = [asyncio.ensure_future(engine.infer([bytes_tensor(1)])) for _ in range(5)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [result for result in results if isinstance(result, Overloaded)]
    assert len(refused) == 2
    assert refused[0].after_seconds


async def test_a_request_too_large_is_refused_and_those_that_wait_take_no_shared_memory(make: MakeEngine) -> None:
    engine = make(EngineLimits(request_bytes=8 << 20, kept_bytes=4 << 20))
    await engine.start(identity("UINT8").spec)
    with pytest.raises(Rejected):
        await engine.infer([bytes_tensor(9 << 20)])
    engine.slow_down(0.05)
    calls = [asyncio.ensure_future(engine.infer([bytes_tensor(7 << 20)])) for _ in range(3)]
    assert [len(tensors) for tensors in await asyncio.gather(*calls)] == [1, 1, 1]
    engine.slow_down(0.0)
    open_now = descriptors()
    await engine.infer([bytes_tensor(7 << 20)])
    assert descriptors() <= open_now


async def test_a_worker_does_not_grow_with_its_requests(make: MakeEngine) -> None:
    engine = make()
    await engine.start(identity("UINT8").spec)
    for _ in range(20):
        await engine.infer([bytes_tensor(3_000_000)])
    assert engine.pid
    before = pss(engine.pid)
    for _ in range(100):
        await engine.infer([bytes_tensor(3_000_000)])
    assert pss(engine.pid) - before < 4 << 20


async def test_memory_that_is_too_small_is_not_attached(make: MakeEngine) -> None:
    engine = make()
    await engine.start(DETECTOR.spec)
    assert DETECTOR.spec.input
    slots = SharedSlots.create(1, DETECTOR.spec.input.nbytes)
    with pytest.raises(Rejected):
        await engine.attach(TAP, slots.fd, 2, DETECTOR.spec.input)
    with pytest.raises(Rejected):
        await engine.attach(TAP, slots.fd, 1, ModelInput(8, 8))
    slots.close()


async def test_the_worker_writes_no_core_and_stands_nowhere() -> None:
    engine = OnnxEngine("test")
    await engine.start(identity("UINT8").spec)
    limits, folder = facts(engine.pid)
    assert next(line for line in limits.splitlines() if "core file" in line).split()[4:6] == ["0", "0"]
    assert folder.endswith("(deleted)")
    await engine.close()

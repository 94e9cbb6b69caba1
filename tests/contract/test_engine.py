"""The Engine port's contract: one body, run against the worker process with each runtime, and the fake."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest

from agent.cameras.letterbox import letterbox
from agent.inference.datatypes import FIXED, pack_bytes
from agent.inference.engine import OnnxEngine
from agent.inference.errors import BadInput, Expired, NotANumber
from agent.inference.requests import MAX_PICTURES
from agent.ports import Engine, InSlot, Place, Tensor
from agent.types import Geometry, Tap
from agent.workers.memory import SharedSlots
from protos.errors import Rejected, Retryable
from protos.ids import CameraName, DeploymentName
from tests.servers.require import openvino
from tests.sim.clock import settle
from tests.sim.engine import FakeEngine, RealClock
from tests.sim.models import BOXES, Sample, as_spec, detector, identity, menagerie, picky, sum_model

DETECTOR, BROKEN = detector(), detector(sane_below=0.5)
FREE = {name: identity(name, (-1, -1, -1)) for name in ("FP32", "BYTES")}
SAMPLES = [
    sum_model(),
    picky(),
    DETECTOR,
    detector(fit="stretch"),
    BROKEN,
    menagerie(),
    *(identity(name) for name in ("UINT8", "INT64", "BYTES")),
    *FREE.values(),
]
TAP = Tap(CameraName("quay"), DeploymentName("harbour"))


@dataclass
class Harness:
    """How to make an engine of one kind, and how to crash it."""

    make: Callable[[], Engine]
    crash: Callable[[Engine], Awaitable[None]]
    made: list[Engine]
    provider: str = "cpu"

    async def started(self, sample: Sample) -> Engine:
        engine = self.make()
        self.made.append(engine)
        await engine.start(replace(sample.spec, provider=self.provider))
        return engine


async def _crash_fake(engine: Engine) -> None:
    assert isinstance(engine, FakeEngine)
    engine.crash()


async def _crash_worker(engine: Engine) -> None:
    assert isinstance(engine, OnnxEngine)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)


@pytest.fixture(params=["worker", "openvino", "fake"])
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    if request.param == "openvino":
        openvino()
        made = Harness(OnnxEngine, _crash_worker, [], "openvino-f32")
    elif request.param == "worker":
        made = Harness(OnnxEngine, _crash_worker, [])
    else:
        made = Harness(lambda: FakeEngine(SAMPLES, RealClock(), most=8), _crash_fake, [])
    yield made
    for engine in made.made:
        await engine.close()


def one_at_a_time(sample: Sample) -> Sample:
    """On one core, so that the second request waits for the first."""
    return replace(sample, spec=replace(sample.spec, threads=1))


def floats(name: str, *values: float, shape: tuple[int, ...]) -> Tensor:
    return Tensor(name, "FP32", shape, np.array(values, dtype=np.float32).tobytes())


def encoded(picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], suffix: str = ".png") -> Tensor:
    ok, content = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert ok
    return Tensor("image", "BYTES", (1,), pack_bytes([content.tobytes()]))


def grey(height: int, width: int, value: int = 255) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((height, width, 3), value, dtype=np.uint8)


async def until_back(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds until `work` succeeds again."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    while True:
        try:
            await work()
        except Retryable:
            assert loop.time() - start < 10
            await asyncio.sleep(0.01)
        else:
            return loop.time() - start


async def test_the_signature_is_what_the_graph_declares(harness: Harness) -> None:
    sample = sum_model()
    engine = await harness.started(sample)
    assert engine.signature == sample.signature


async def test_tensors_go_in_and_come_out(harness: Harness) -> None:
    engine = await harness.started(sum_model())
    shape = (1, 3)
    (total,) = await engine.infer([floats("a", 1, 2, 3, shape=shape), floats("b", 10, 20, 30, shape=shape)])
    assert (total.name, total.datatype, total.shape) == ("total", "FP32", shape)
    assert struct.unpack("<3f", total.data) == (11.0, 22.0, 33.0)


async def test_every_datatype_passes_unchanged(harness: Harness) -> None:
    engine = await harness.started(menagerie())
    data = {name: np.array([0, 1, 1], dtype=FIXED[name].numpy).tobytes() for name in FIXED}
    data["BYTES"] = pack_bytes([b"quay", b"", "Hafen-Süd".encode()])
    answers = await engine.infer([Tensor(name, name, (3,), content) for name, content in data.items()])
    assert {out.name: (out.datatype, out.shape, bytes(out.data)) for out in answers} == {
        f"out_{name}": (name, (3,), content) for name, content in data.items()
    }


async def test_tensors_of_any_size_pass_unchanged(harness: Harness) -> None:
    engine = await harness.started(identity("UINT8"))
    for count in (0, 1, 100_000, 5_000_000, 1, 5_000_000):
        data = np.arange(count, dtype=np.uint8).tobytes()
        (out,) = await engine.infer([Tensor("x", "UINT8", (count,), data)])
        assert bytes(out.data) == data


async def test_text_that_is_no_utf8_is_refused(harness: Harness) -> None:
    engine = await harness.started(identity("BYTES"))
    with pytest.raises(BadInput):
        await engine.infer([Tensor("x", "BYTES", (1,), pack_bytes([b"\xff\xfe"]))])


async def test_concurrent_calls_get_their_own_answers(harness: Harness) -> None:
    engine = await harness.started(identity("INT64"))
    tensors = [Tensor("x", "INT64", (n,), np.full(n, n, dtype=np.int64).tobytes()) for n in range(0, 20_000, 1_000)]
    answers = await asyncio.gather(*(engine.infer([tensor]) for tensor in tensors))
    assert [bytes(answer[0].data) for answer in answers] == [tensor.data for tensor in tensors]


def _row(name: str, shape: tuple[int, ...] = (1, 3)) -> Tensor:
    return floats(name, 1, 2, 3, shape=shape)


UNFIT: dict[str, tuple[list[Tensor], list[str] | None]] = {
    "no input": ([], None),
    "an input missing": ([_row("a")], None),
    "an unknown input": ([_row("a"), _row("c")], None),
    "an input twice": ([_row("a"), _row("a")], None),
    "another rank": ([_row("a", (3,)), _row("b")], None),
    "too few bytes": ([floats("a", 1, 2, shape=(1, 3)), _row("b")], None),
    "a negative size": ([_row("a", (-1, 3)), _row("b")], None),
    "another datatype": ([Tensor("a", "FP64", (1, 3), bytes(24)), _row("b")], None),
    "an unknown output": ([_row("a"), _row("b")], ["sum"]),
    "an output twice": ([_row("a"), _row("b")], ["total", "total"]),
}


async def test_requests_that_do_not_fit_are_refused_and_harm_nothing(harness: Harness) -> None:
    engine = await harness.started(sum_model())
    for why, (tensors, outputs) in UNFIT.items():
        with pytest.raises(Rejected):
            pytest.fail(f"{why} was taken: {await engine.infer(tensors, outputs)}")
        await engine.infer([_row("a"), _row("b")])


async def test_an_input_the_graph_fails_on_is_refused_and_harms_nothing(harness: Harness) -> None:
    engine = await harness.started(picky())
    with pytest.raises(BadInput):
        await engine.infer([floats("x", 1, 2, shape=(2,))])
    (out,) = await engine.infer([floats("x", 1, 2, 3, 4, 5, 6, shape=(6,))])
    assert out.shape == (2, 3)


async def test_a_model_that_does_not_load_is_refused(harness: Harness) -> None:
    engine = harness.make()
    harness.made.append(engine)
    with pytest.raises(Rejected):
        await engine.start(replace(as_spec(b"no model at all"), provider=harness.provider))


async def test_boxes_of_a_frame_are_on_the_picture(harness: Harness) -> None:
    """A 64x64 picture in a 64x32 input: 16 columns of padding left and right, so boxes stretch by two."""
    engine = await harness.started(DETECTOR)
    assert DETECTOR.spec.input
    memory = SharedSlots.create(2, DETECTOR.spec.input.nbytes)
    pixels, geometry = letterbox(grey(64, 64), 32, 64)
    memory.view(1)[:] = pixels.tobytes()
    await engine.attach(TAP, memory.fd, 2, DETECTOR.spec.input)
    found = await engine.detect_slot(TAP, 1, geometry, min_score=0.5)
    assert [box.label for box in found.boxes] == ["boat", "truck"]
    assert [box.score for box in found.boxes] == pytest.approx([0.9, 0.6])
    first, second = found.boxes
    assert (first.x0, first.y0, first.x1, first.y1) == pytest.approx((0.0, 0.25, 0.5, 0.75), abs=1e-6)
    assert (second.x0, second.y0, second.x1, second.y1) == pytest.approx((0.0, 0.0, 1.0, 1.0))
    everything = await engine.detect_slot(TAP, 1, geometry, min_score=0.0)
    assert [box.label for box in everything.boxes] == ["boat", "truck", "7"]
    dark = await engine.detect_slot(TAP, 0, geometry, min_score=0.1)
    assert dark.boxes == ()
    memory.close()


async def test_an_answer_that_is_no_number_is_the_error_of_its_frame_and_tensors_come_as_they_are(
    harness: Harness,
) -> None:
    engine = await harness.started(BROKEN)
    assert BROKEN.spec.input
    memory = SharedSlots.create(2, BROKEN.spec.input.nbytes)
    bright, geometry = letterbox(grey(64, 64), 32, 64)
    memory.view(1)[:] = bright.tobytes()
    await engine.attach(TAP, memory.fd, 2, BROKEN.spec.input)
    assert (await engine.detect_slot(TAP, 0, geometry, 0.0)).model_seconds >= 0.0
    frames = [InSlot(TAP, slot, geometry) for slot in (0, 1)]
    for asked in (frames, frames[1:]):
        with pytest.raises(NotANumber):
            await engine.detect_slots(asked, 0.1)
    with pytest.raises(NotANumber):
        await engine.infer([encoded(grey(32, 64))])
    tensor = Tensor("image", "UINT8", (1, 32, 64, 3), grey(32, 64).tobytes())
    (scores,) = await engine.infer([tensor], ["scores"])
    assert np.isnan(np.frombuffer(scores.data, np.float32)).all()
    assert engine.warmed.in_numbers
    memory.close()


async def test_a_frame_of_a_camera_that_is_not_attached_is_refused(harness: Harness) -> None:
    engine = await harness.started(DETECTOR)
    assert DETECTOR.spec.input
    memory = SharedSlots.create(1, DETECTOR.spec.input.nbytes)
    _, geometry = letterbox(grey(8, 8), 32, 64)
    await engine.attach(TAP, memory.fd, 1, DETECTOR.spec.input)
    await engine.detect_slot(TAP, 0, geometry, 0.5)
    with pytest.raises(Rejected):
        await engine.detect_slot(TAP, 1, geometry, 0.5)
    await engine.detach(TAP)
    await engine.detach(TAP)
    with pytest.raises(Rejected):
        await engine.detect_slot(TAP, 0, geometry, 0.5)
    memory.close()


async def test_frames_in_one_call_are_answered_as_each_alone(harness: Harness) -> None:
    """Eight of two cameras, no two alike in brightness, some of a picture with padding."""
    engine = await harness.started(DETECTOR)
    assert DETECTOR.spec.input
    other = Tap(CameraName("gate"), DeploymentName("harbour"))
    memory = [SharedSlots.create(4, DETECTOR.spec.input.nbytes) for _ in range(2)]
    frames = list[InSlot]()
    for number in range(8):
        camera, slot = divmod(number, 4)
        side = 64 if slot % 2 else 32
        pixels, geometry = letterbox(grey(side, 64, 255 - 20 * number), 32, 64)
        memory[camera].view(slot)[:] = pixels.tobytes()
        frames.append(InSlot((TAP, other)[camera], slot, geometry))
    for tap, each in zip((TAP, other), memory, strict=True):
        await engine.attach(tap, each.fd, 4, DETECTOR.spec.input)
    alone = [(await engine.detect_slot(frame.tap, frame.slot, frame.geometry, 0.1)).boxes for frame in frames]
    assert len({boxes[0].score for boxes in alone}) == 8
    for many in (8, 3, 1):
        together = await engine.detect_slots(frames[:many], 0.1)
        assert [found.boxes for found in together] == alone[:many]
    with pytest.raises(Rejected):
        await engine.detect_slots([*frames[:2], InSlot(TAP, 9, frames[0].geometry)], 0.1)
    for each in memory:
        each.close()


async def test_how_long_calls_take_is_known_before_the_first_and_which_may_hold_several(harness: Harness) -> None:
    engine = await harness.started(DETECTOR)
    sizes = [frames for frames, _ in engine.profile]
    assert sizes[:2] == [1, 2], "a call of this model is mostly the call"
    assert sizes == sorted(sizes)
    (alone, _), *_ = (await harness.started(sum_model())).profile
    assert alone == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
async def test_an_encoded_picture_gives_boxes_on_that_picture(harness: Harness, suffix: str, fit: str) -> None:
    engine = await harness.started(detector(fit=fit))
    boxes, scores, classes, labels = await engine.infer([encoded(grey(64, 64), suffix)], min_score=0.5)
    corners = np.frombuffer(boxes.data, dtype=np.float32).reshape(boxes.shape)
    wanted = [0.0, 0.25, 0.5, 0.75] if fit == "letterbox" else list(BOXES[0])
    assert (boxes.shape, scores.shape, classes.shape, labels.shape) == ((1, 2, 4), (1, 2), (1, 2), (1, 2))
    assert corners[0, 0] == pytest.approx(wanted, abs=1e-6)
    assert bytes(labels.data) == pack_bytes([b"boat", b"truck"])


async def test_a_picture_is_turned_into_rgb(harness: Harness) -> None:
    engine = await harness.started(DETECTOR)
    red, blue = grey(32, 64, 0), grey(32, 64, 0)
    red[:, :, 0] = 255
    blue[:, :, 2] = 255
    (scores,) = await engine.infer([encoded(red)], ["scores"], min_score=0.5)
    assert scores.shape == (1, 2)
    (labels,) = await engine.infer([encoded(blue)], ["labels"], min_score=0.5)
    assert (labels.shape, bytes(labels.data)) == ((1, 0), b"")


PICTURE = bytes(encoded(grey(64, 64)).data)
DAMAGED = {
    "nothing": b"",
    "an empty element": pack_bytes([b""]),
    "text": pack_bytes([b"not a picture"]),
    "a gif": pack_bytes([b"GIF89a" + bytes(100)]),
    "a png without header": pack_bytes([b"\x89PNG\r\n\x1a\n" + bytes(60)]),
    "a png of 4 exapixels": pack_bytes(
        [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\0\0\0" + bytes(60)]
    ),
    "a jpeg without size": pack_bytes([b"\xff\xd8\xff\xe0\0\x10JFIF"]),
    "a jpeg of 4 gigapixels": pack_bytes([b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\x03" + bytes(60)]),
    "a png cut short": pack_bytes([PICTURE[4:80]]),
    "an element cut short": PICTURE[:-1],
    "one byte too many": PICTURE + b"x",
}


async def test_damaged_and_absurd_pictures_are_refused_and_harm_nothing(harness: Harness) -> None:
    engine = await harness.started(DETECTOR)
    for why, data in DAMAGED.items():
        with pytest.raises(BadInput):
            pytest.fail(f"{why} was taken: {await engine.infer([Tensor('image', 'BYTES', (1,), data)])}")
        await engine.infer([encoded(grey(8, 8))])


async def test_pictures_of_every_depth_and_shape_are_read(harness: Harness) -> None:
    engine = await harness.started(DETECTOR)
    pictures: list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = [
        *(np.full((height, width, 3), 255, np.uint8) for height, width in ((1, 1), (1, 3000), (3000, 1), (7, 5))),
        np.full((16, 16), 255, np.uint8),
        np.full((16, 16, 4), 255, np.uint8),
        np.full((16, 16, 3), 65535, np.uint16),
    ]
    for picture in pictures:
        ok, content = cv2.imencode(".png", picture)
        assert ok
        tensor = Tensor("image", "BYTES", (1,), pack_bytes([content.tobytes()]))
        (scores,) = await engine.infer([tensor], ["scores"])
        assert scores.shape[1] >= 1


async def test_more_than_one_picture_is_refused(harness: Harness) -> None:
    engine = await harness.started(DETECTOR)
    picture = bytes(encoded(grey(8, 8)).data)
    with pytest.raises(BadInput):
        await engine.infer([Tensor("image", "BYTES", (2,), picture * 2)])
    await engine.infer([Tensor("image", "BYTES", (1, 1), picture)])


async def test_more_pixels_than_a_camera_can_wait_for_are_refused(harness: Harness) -> None:
    engine = await harness.started(DETECTOR)
    for count in (MAX_PICTURES, MAX_PICTURES + 1):
        pixels = Tensor("image", "UINT8", (count, 32, 64, 3), bytes(count * 32 * 64 * 3))
        if count > MAX_PICTURES:
            with pytest.raises(BadInput, match=f"at most {MAX_PICTURES} per request"):
                await engine.infer([pixels])
        else:
            await engine.infer([pixels])


ABSURD = [(0, 2**31 - 1, 2**31 - 1), (2**31 - 1, 2**31 - 1, 0), (2**31 - 1, 2**31 - 1, 1), (2**16, 0, 2**16)]


@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
async def test_a_shape_that_claims_more_than_any_memory_holds_harms_nothing(harness: Harness, datatype: str) -> None:
    sample = FREE[datatype]
    engine = await harness.started(sample)
    for shape in ABSURD:
        with pytest.raises(BadInput):
            pytest.fail(f"{shape} was taken: {await engine.infer([Tensor('x', datatype, shape, b'')])}")
    await engine.infer([Tensor("x", datatype, (0, 1, 1), b"")])
    assert engine.restarts == 0


async def test_raw_pixels_give_the_raw_outputs_of_the_graph(harness: Harness) -> None:
    engine = await harness.started(DETECTOR)
    pixels = np.full((2, 32, 64, 3), 255, dtype=np.uint8)
    boxes, scores, classes = await engine.infer([Tensor("image", "UINT8", pixels.shape, pixels.tobytes())])
    assert (boxes.shape, scores.shape, classes.shape) == ((2, 4, 4), (2, 4), (2, 4))
    assert bytes(boxes.data) == np.tile(BOXES, (2, 1, 1)).tobytes()


async def test_slowing_down_adds_waiting_and_ends(harness: Harness) -> None:
    engine = await harness.started(DETECTOR)
    assert DETECTOR.spec.input
    memory = SharedSlots.create(1, DETECTOR.spec.input.nbytes)
    await engine.attach(TAP, memory.fd, 1, DETECTOR.spec.input)
    geometry = Geometry(64, 32, 1.0, 1.0, 0, 0)
    engine.slow_down(0.15)
    assert (await engine.detect_slot(TAP, 0, geometry, 0.5)).infer_seconds >= 0.15
    engine.slow_down(0.0)
    assert min([(await engine.detect_slot(TAP, 0, geometry, 0.5)).infer_seconds for _ in range(10)]) < 0.15
    memory.close()


async def test_a_request_whose_time_has_passed_is_not_run(harness: Harness) -> None:
    engine = await harness.started(identity("INT64"))
    one = Tensor("x", "INT64", (1,), bytes(8))
    now = RealClock().monotonic()
    with pytest.raises(Expired):
        await engine.infer([one], deadline=now - 1)
    await engine.infer([one], deadline=now + 60)


async def test_a_caller_who_stops_waiting_harms_nothing(harness: Harness) -> None:
    engine = await harness.started(identity("UINT8"))
    big = Tensor("x", "UINT8", (300_000,), bytes(300_000))
    engine.slow_down(0.1)
    waiting = [asyncio.ensure_future(engine.infer([big])) for _ in range(3)]
    await asyncio.sleep(0.02)
    for task in waiting:
        task.cancel()
    engine.slow_down(0.0)
    (out,) = await engine.infer([big])
    assert out.shape == (300_000,)


async def test_a_crash_fails_what_is_in_flight_and_the_engine_comes_back_with_its_cameras(harness: Harness) -> None:
    engine = await harness.started(DETECTOR)
    assert DETECTOR.spec.input
    memory = SharedSlots.create(1, DETECTOR.spec.input.nbytes)
    memory.view(0)[:] = b"\xff" * DETECTOR.spec.input.nbytes
    await engine.attach(TAP, memory.fd, 1, DETECTOR.spec.input)
    geometry = Geometry(64, 32, 1.0, 1.0, 0, 0)
    engine.slow_down(5.0)
    frame = asyncio.ensure_future(engine.detect_slot(TAP, 0, geometry, 0.5))
    await asyncio.sleep(0.05)
    await harness.crash(engine)
    with pytest.raises(Retryable):
        await frame
    engine.slow_down(0.0)
    await until_back(lambda: engine.detect_slot(TAP, 0, geometry, 0.5))
    assert len((await engine.detect_slot(TAP, 0, geometry, 0.5)).boxes) == 2
    memory.close()


async def test_an_engine_is_ready_while_it_can_answer(harness: Harness) -> None:
    engine = harness.make()
    harness.made.append(engine)
    assert not engine.ready
    await engine.start(replace(identity("UINT8").spec, provider=harness.provider))
    assert engine.ready
    await engine.close()
    assert not engine.ready


async def test_a_frame_waits_for_one_request_at_most(harness: Harness) -> None:
    engine = await harness.started(replace(DETECTOR, spec=replace(DETECTOR.spec, threads=1)))
    assert DETECTOR.spec.input
    memory = SharedSlots.create(1, DETECTOR.spec.input.nbytes)
    await engine.attach(TAP, memory.fd, 1, DETECTOR.spec.input)
    geometry = Geometry(64, 32, 1.0, 1.0, 0, 0)
    ended: list[str] = []

    async def ask(name: str, work: Awaitable[object]) -> None:
        await work
        ended.append(name)

    engine.slow_down(0.15)
    picture = Tensor("image", "UINT8", (1, 32, 64, 3), bytes(32 * 64 * 3))
    tasks = [asyncio.ensure_future(ask(f"request {number}", engine.infer([picture]))) for number in range(3)]
    await settle()
    tasks.append(asyncio.ensure_future(ask("frame", engine.detect_slot(TAP, 0, geometry, 0.5))))
    await asyncio.gather(*tasks)
    assert ended == ["request 0", "frame", "request 1", "request 2"]
    memory.close()


async def test_closing_lets_what_is_in_flight_finish_and_refuses_more(harness: Harness) -> None:
    engine = await harness.started(identity("INT64"))
    one = Tensor("x", "INT64", (1,), bytes(8))
    engine.slow_down(0.1)
    last = [asyncio.ensure_future(engine.infer([one])) for _ in range(3)]
    await asyncio.sleep(0.02)
    await asyncio.gather(engine.close(), engine.close())
    assert [answer[0].shape for answer in await asyncio.gather(*last)] == [(1,)] * 3
    with pytest.raises(Retryable):
        await engine.infer([one])
    await engine.close()


async def test_closing_waits_for_those_who_were_let_in_and_come_yet(harness: Harness) -> None:
    engine = await harness.started(identity("INT64"))
    one = Tensor("x", "INT64", (1,), bytes(8))
    engine.promised.one_more()
    closing = asyncio.ensure_future(engine.close())
    await asyncio.sleep(0.02)
    assert not closing.done()
    assert [answer.shape for answer in await engine.infer([one])] == [(1,)]
    engine.promised.one_less()
    await closing
    with pytest.raises(Retryable):
        await engine.infer([one])


async def test_closing_lets_a_frame_finish_that_is_being_looked_at(harness: Harness) -> None:
    engine = await harness.started(DETECTOR)
    assert DETECTOR.spec.input
    memory = SharedSlots.create(1, DETECTOR.spec.input.nbytes)
    pixels, geometry = letterbox(grey(64, 64), 32, 64)
    memory.view(0)[:] = pixels.tobytes()
    await engine.attach(TAP, memory.fd, 1, DETECTOR.spec.input)
    engine.slow_down(0.1)
    looking = asyncio.ensure_future(engine.detect_slot(TAP, 0, geometry, 0.5))
    await asyncio.sleep(0.02)
    await engine.close()
    assert [box.label for box in (await looking).boxes] == ["boat", "truck"]
    memory.close()


@pytest.fixture
def region() -> Iterator[int]:
    """A caller's memory of one page."""
    fd = os.memfd_create("caller")
    os.ftruncate(fd, 4096)
    yield fd
    os.close(fd)


async def test_requests_that_wait_are_run_by_priority_and_then_by_arrival(harness: Harness) -> None:
    engine = await harness.started(one_at_a_time(identity("INT64")))
    one = Tensor("x", "INT64", (1,), bytes(8))
    ended: list[int] = []

    async def ask(number: int, priority: int) -> None:
        await engine.infer([one], priority=priority)
        ended.append(number)

    engine.slow_down(0.02)
    asked = [0, 200, 0, 1, 100, 2, 1]  # the first runs at once
    await asyncio.gather(*(ask(number, priority) for number, priority in enumerate(asked)))
    assert ended == [0, 3, 6, 5, 2, 4, 1]


async def test_a_caller_who_leaves_the_queue_takes_nobodys_turn(harness: Harness) -> None:
    engine = await harness.started(one_at_a_time(identity("INT64")))
    one = Tensor("x", "INT64", (1,), bytes(8))
    engine.slow_down(0.02)
    calls = [asyncio.ensure_future(engine.infer([one])) for _ in range(4)]
    await settle()
    calls[1].cancel()
    calls[2].cancel()
    await asyncio.wait(calls)
    assert calls[3].result()
    await engine.infer([one])


async def test_what_requests_cost_is_tallied(harness: Harness) -> None:
    engine = await harness.started(one_at_a_time(sum_model()))
    engine.slow_down(0.02)
    shape = (2, 3)
    numbers = [floats(name, *range(6), shape=shape) for name in ("a", "b")]
    await asyncio.gather(engine.infer(numbers), engine.infer(numbers))
    tally = engine.tally
    assert (tally.runs, tally.rows) == (2, 4)
    assert tally.infer >= 0.04
    assert tally.waited >= 0.01  # the second waited for the first
    assert tally.waited + tally.input + tally.infer + tally.output == pytest.approx(tally.seconds)


async def test_inputs_are_read_from_a_callers_memory_and_outputs_written_there(harness: Harness, region: int) -> None:
    engine = await harness.started(sum_model())
    os.pwrite(region, struct.pack("<6f", 1, 2, 3, 10, 20, 30), 8)
    inputs = [Tensor(name, "FP32", (1, 3), b"", Place(region, 8 + at, 12)) for name, at in (("a", 0), ("b", 12))]
    (total,) = await engine.infer(inputs, ["total"], into={"total": Place(region, 100, 64)})
    assert (total.shape, total.data, total.place) == ((1, 3), b"", Place(region, 100, 12))
    assert struct.unpack("<3f", os.pread(region, 12, 100)) == (11, 22, 33)
    assert os.fstat(region).st_size == 4096


async def test_tensors_of_one_request_may_lie_here_and_there(harness: Harness) -> None:
    """Large ones, small ones, in the message, in our memory and in the caller's."""
    engine = await harness.started(sum_model())
    for rows in (1, 10_000):
        numbers = np.arange(rows * 3, dtype=np.float32)
        fd = os.memfd_create("caller")
        os.write(fd, numbers.tobytes())
        place = Place(fd, 0, numbers.nbytes)
        inputs = [Tensor("a", "FP32", (rows, 3), b"", place), Tensor("b", "FP32", (rows, 3), numbers.tobytes())]
        (total,) = await engine.infer(inputs)
        assert bytes(total.data) == (2 * numbers).tobytes()
        (total,) = await engine.infer(inputs, ["total"], into={"total": place})
        assert os.pread(fd, place.nbytes, 0) == (2 * numbers).tobytes()
        os.close(fd)


async def test_outputs_go_where_each_was_asked_for(harness: Harness, region: int) -> None:
    engine = await harness.started(DETECTOR)
    pixels = np.full((2, 32, 64, 3), 255, dtype=np.uint8)
    into = {"scores": Place(region, 0, 64)}
    boxes, scores, classes = await engine.infer([Tensor("image", "UINT8", pixels.shape, pixels.tobytes())], into=into)
    assert (bytes(boxes.data), scores.data, len(classes.data)) == (np.tile(BOXES, (2, 1, 1)).tobytes(), b"", 64)
    assert struct.unpack("<f", os.pread(region, 4, 0)) == pytest.approx((0.9,))


async def test_an_encoded_picture_may_lie_in_a_callers_memory(harness: Harness, region: int) -> None:
    engine = await harness.started(DETECTOR)
    picture = encoded(grey(64, 64))
    size = os.pwrite(region, picture.data, 0)
    image = Tensor("image", "BYTES", (1,), b"", Place(region, 0, size))
    into = {"boxes": Place(region, 2048, 256)}
    _, labels = await engine.infer([image], ["boxes", "labels"], 0.5, into=into)
    assert bytes(labels.data) == pack_bytes([b"boat", b"truck"])
    assert np.frombuffer(os.pread(region, 16, 2048), np.float32) == pytest.approx([0.0, 0.25, 0.5, 0.75], abs=1e-6)
    for name, asked in (("labels", ["labels"]), ("classes", ["classes", "labels"])):
        with pytest.raises(BadInput, match="without a region"):
            await engine.infer([image], asked, into={name: Place(region, 2048, 256)})


async def test_a_caller_who_shrinks_his_memory_costs_his_own_request_alone(harness: Harness, region: int) -> None:
    engine = await harness.started(identity("UINT8"))
    place = Place(region, 1024, 2048)
    inside, there = Tensor("x", "UINT8", (2048,), b"", place), Tensor("x", "UINT8", (2048,), bytes(2048))
    await engine.infer([inside], ["y"], into={"y": place})
    os.ftruncate(region, 1024)
    with pytest.raises(BadInput, match="made smaller"):
        await engine.infer([inside])
    with pytest.raises(BadInput, match="smaller"):
        await engine.infer([there], ["y"], into={"y": place})
    assert (len((await engine.infer([there]))[0].data), engine.restarts) == (2048, 0)
    assert os.fstat(region).st_size == 1024


async def test_an_output_that_does_not_fit_its_memory_is_not_written(harness: Harness, region: int) -> None:
    engine = await harness.started(identity("UINT8"))
    with pytest.raises(BadInput, match="output 'y' is 100 bytes"):
        await engine.infer([Tensor("x", "UINT8", (100,), b"\1" * 100)], ["y"], into={"y": Place(region, 0, 99)})
    assert os.pread(region, 4096, 0) == bytes(4096)


async def test_tensors_in_more_memories_than_a_message_carries_are_refused(harness: Harness) -> None:
    engine = await harness.started(menagerie())
    fds = [os.memfd_create(name) for name in FIXED]
    inputs = [Tensor(name, name, (0,), b"", Place(fd, 0, 0)) for (name, fd) in zip([*FIXED], fds, strict=True)]
    with pytest.raises(BadInput, match="at most 8"):
        await engine.infer([*inputs, Tensor("BYTES", "BYTES", (0,), b"")])
    for fd in fds:
        os.close(fd)

"""An Engine without a process: answers from a table of samples, takes the time it is told to take, crashes on demand.

It keeps the port's contract (tests/contract/test_engine.py runs against it too): one at a time in order of arrival,
frames before requests that wait, Retryable for what a crash interrupts, draining at close.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np
from msgspec import structs

from agent.cameras.letterbox import letterbox
from agent.inference import boxes, lifecycle, picture_header, places, requests
from agent.inference.datatypes import unpack_bytes
from agent.inference.errors import BadInput, BadModel, Expired
from agent.inference.lifecycle import Event, State
from agent.inference.messages import TensorIn
from agent.inference.outputs import boxes_of, with_labels
from agent.inference.promises import Promises
from agent.inference.tensors import datatype_of, to_array, to_wire
from agent.inference.turns import USUAL, Turns
from agent.ports import Clock, Detections, EngineSpec, InSlot, ModelSignature, Place, Tally, Tensor, Warmed
from agent.types import Geometry, ModelInput, Tap
from agent.workers.memory import SharedSlots
from protos.errors import Rejected, Retryable
from tests.sim.models import Array, Sample


class RealClock:
    """agent.ports.Clock as the system has it, for tests of real processes."""

    def monotonic(self) -> float:
        return time.monotonic()

    def unix(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FakeEngine:
    """A call of n frames takes n · `seconds` + `call_seconds` of the clock, and holds `most` of them."""

    def __init__(
        self, samples: Iterable[Sample], clock: Clock, seconds: float = 0.0, call_seconds: float = 0.0, most: int = 1
    ) -> None:
        self._samples = {(sample.spec.model, sample.spec.input): sample for sample in samples}
        self._clock = clock
        self._seconds, self._call_seconds = seconds, call_seconds
        self._state = State.NEW
        self._slow_down = 0.0
        self._taps: dict[Tap, SharedSlots] = {}
        self._turn = asyncio.Lock()
        self._turns = Turns()
        self._running: set[asyncio.Future[None]] = set()
        self._sample: Sample | None = None
        self.restarts = 0
        self.profile = [(n, n * seconds + call_seconds) for n in (1, 2, 4, 8) if n <= most]
        self.calls: list[int] = []  # frames in each
        self.started: list[EngineSpec] = []
        self.warmed = Warmed(seconds + call_seconds, seconds + call_seconds)
        self.width = 1
        self.room = 1
        self.tally = Tally()
        self.promised = Promises()

    @property
    def signature(self) -> ModelSignature:
        return self._loaded.signature

    @property
    def ready(self) -> bool:
        return self._state is State.READY

    @property
    def busy(self) -> bool:
        """Does a call wait or run?"""
        return bool(self._running)

    @property
    def attached(self) -> set[Tap]:
        return set(self._taps)

    async def start(self, spec: EngineSpec) -> None:
        self._state = lifecycle.after(self._state, Event.START)
        self.started.append(spec)
        self._sample = self._samples.get((spec.model, spec.input))
        if self._sample is None:
            self._state = lifecycle.after(self._state, Event.CLOSE)
            raise BadModel("the model does not load: it is not one of this fake's samples")
        self._state = lifecycle.after(self._state, Event.READY)

    async def attach(self, tap: Tap, fd: int, slots: int, model_input: ModelInput) -> None:
        await self.detach(tap)
        self._taps[tap] = SharedSlots.attach(os.dup(fd), slots, model_input.nbytes)

    async def detach(self, tap: Tap) -> None:
        if memory := self._taps.pop(tap, None):
            memory.close()

    async def detect_slot(self, tap: Tap, slot: int, geometry: Geometry, min_score: float) -> Detections:
        (found,) = await self.detect_slots([InSlot(tap, slot, geometry)], min_score)
        return found

    async def detect_slots(self, frames: Sequence[InSlot], min_score: float) -> list[Detections]:
        lifecycle.check_ready(self._state)
        for frame in frames:
            if frame.tap not in self._taps or not 0 <= frame.slot < self._taps[frame.tap].slots:
                raise Rejected(f"slot {frame.slot} of camera {frame.tap.camera} is not attached to this engine")
        self.calls.append(len(frames))
        spent = await self._take_time(None, len(frames))
        size, labels = (self._wanted.height, self._wanted.width), self._loaded.spec.labels
        pixels = b"".join(bytes(self._taps[frame.tap].view(frame.slot)) for frame in frames)
        out = self._loaded.compute({"image": np.frombuffer(pixels, dtype=np.uint8).reshape(-1, *size, 3)})
        found = zip(
            np.asarray(out["boxes"], np.float32),
            np.asarray(out["scores"], np.float32),
            np.asarray(out["classes"], np.int64),
            strict=True,
        )
        rows = [boxes.rows(each, frame.geometry, size, min_score) for frame, each in zip(frames, found, strict=True)]
        share = (spent - self._slow_down) / len(frames)
        return [Detections(boxes_of(each, labels), spent, share) for each in rows]

    async def infer(
        self,
        inputs: Sequence[Tensor],
        outputs: Sequence[str] | None = None,
        min_score: float = 0.0,
        deadline: float | None = None,
        priority: int = 0,
        into: Mapping[str, Place] | None = None,
    ) -> list[Tensor]:
        if self._state is not State.CLOSED or not self.promised.count:
            lifecycle.check_ready(self._state)
        sample = self._loaded
        requests.check(sample.signature, inputs, outputs, image=sample.spec.input is not None)
        picture = sample.spec.input is not None and requests.is_picture(inputs)
        if picture and into:
            places.check_picture(outputs, into)
        places.outside(inputs, into)
        arrived = self._clock.monotonic()
        await self._turns.take(priority or USUAL)
        try:
            spent = await self._take_time(deadline)
        finally:
            self._turns.give()
        tensors = self._computed([_fetched(tensor) for tensor in inputs], min_score, picture=picture)
        self.tally.ran(requests.rows(sample.signature, inputs), self._clock.monotonic() - arrived, spent, 0.0)
        if picture:
            tensors = with_labels(tensors, sample.spec.labels, outputs)
        named = {tensor.name: tensor for tensor in tensors}
        return [_put(named[name], (into or {}).get(name)) for name in outputs or named]

    def _computed(self, inputs: Sequence[Tensor], min_score: float, *, picture: bool) -> list[Tensor]:
        try:
            result = self._picture(inputs[0], min_score) if picture else self._loaded.compute(_arrays(inputs))
        except ValueError as error:
            raise BadInput(f"the model cannot run on this input: {error}") from error
        return [_tensor(name, array) for name, array in result.items()]

    def slow_down(self, seconds: float) -> None:
        self._slow_down = seconds

    def takes(self, seconds: float) -> None:
        """A frame, from now on; warming said otherwise."""
        self._seconds = seconds

    def crash(self) -> None:
        """The worker dies; another is there at once."""
        running, self._running = self._running, set()
        for future in running:
            if not future.done():
                future.set_exception(Retryable("the engine worker ended; it is being started again"))
        self.restarts += 1
        self._state = lifecycle.after(self._state, Event.DIED)
        self._state = lifecycle.after(self._state, Event.READY)

    async def close(self) -> None:
        self._state = lifecycle.after(self._state, Event.CLOSE)
        await self.promised.none()
        await self._turns.take()
        self._turns.give()
        async with self._turn:
            for tap in list(self._taps):
                await self.detach(tap)

    @property
    def _loaded(self) -> Sample:
        assert self._sample is not None
        return self._sample

    @property
    def _wanted(self) -> ModelInput:
        assert self._loaded.spec.input is not None
        return self._loaded.spec.input

    async def _take_time(self, deadline: float | None, frames: int = 1) -> float:
        crash: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running.add(crash)
        try:
            async with self._turn:
                if deadline is not None and self._clock.monotonic() >= deadline:
                    raise Expired("the request's time had passed before its turn came")
                seconds = frames * self._seconds + self._call_seconds + self._slow_down
                work = asyncio.ensure_future(self._clock.sleep(seconds))
                await asyncio.wait({work, crash}, return_when=asyncio.FIRST_COMPLETED)
                work.cancel()
                if crash.done():
                    crash.result()
                return seconds
        finally:
            self._running.discard(crash)

    def _picture(self, tensor: Tensor, min_score: float) -> dict[str, Array]:
        (content,) = unpack_bytes(tensor.name, tensor.data, 1)
        picture_header.check(content)
        decoded = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)
        if decoded is None:
            raise BadInput("the picture is damaged and cannot be decoded")
        wanted = self._wanted
        pixels, geometry = letterbox(decoded, wanted.height, wanted.width, fit=wanted.fit, pad=wanted.pad)
        result = self._loaded.compute({"image": pixels[np.newaxis]})
        boxes.refit(result, geometry, (wanted.height, wanted.width), min_score)
        return result


def _fetched(tensor: Tensor) -> Tensor:
    """The tensor with its bytes, wherever they lie."""
    if tensor.place is None:
        return tensor
    data = os.pread(tensor.place.fd, tensor.place.nbytes, tensor.place.offset)
    if len(data) < tensor.place.nbytes:
        raise BadInput(f"input {tensor.name!r}: its shared memory was made smaller; register the region again")
    return structs.replace(tensor, data=data, place=None)


def _put(tensor: Tensor, place: Place | None) -> Tensor:
    if place is None:
        return tensor
    size = len(tensor.data)
    if size > place.nbytes or os.fstat(place.fd).st_size < place.offset + size:
        raise BadInput(f"output {tensor.name!r} is {size} bytes, and its shared memory is smaller")
    os.pwrite(place.fd, tensor.data, place.offset)
    return structs.replace(tensor, data=b"", place=structs.replace(place, nbytes=size))


def _arrays(inputs: Sequence[Tensor]) -> dict[str, Array]:
    return {t.name: to_array(TensorIn(t.name, t.datatype, t.shape, len(t.data)), memoryview(t.data)) for t in inputs}


def _tensor(name: str, array: Array) -> Tensor:
    ((out,), large) = to_wire([(name, array)])
    return Tensor(name, datatype_of(array), out.shape, out.inline if out.inline is not None else bytes(large[0]))

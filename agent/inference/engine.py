"""The Engine port over a worker process: ONNX Runtime behind a socket, pixels and tensors in shared memory.

Owned by the agent's event loop. Rules that hold here:
- Calls are checked before anything is sent. Frames go to the worker at once, other requests by priority and arrival,
  as many as it runs at once and one more (see `turns`); it takes frames first, so a frame waits for one of them at
  most. The worker answers each once, and does not begin what nobody waits for.
- A worker that dies or hangs fails what is in flight with Retryable and is started again, ever more patiently; the
  model (a sealed memfd kept here) and the taps are given to the new one. Calls meanwhile fail at once: frames do not
  wait.
- Nothing is allocated per frame: a frame is one small message each way.
- `close` drains, bounded; then the worker ends and its memory with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from agent.inference import confinement, lifecycle, messages, places, requests, turns
from agent.inference import inputs as sent
from agent.inference.attached import Attached, in_slot
from agent.inference.calls import Calls, Reply, Terms
from agent.inference.compiler import Compiler, launched
from agent.inference.decoder import Decoder
from agent.inference.fitting import Fitting
from agent.inference.lifecycle import Event, State
from agent.inference.limits import USUAL_LIMITS, EngineLimits
from agent.inference.messages import Detected, FromWorker, Inferred, Loaded, TensorIn, ToWorker
from agent.inference.outputs import boxes_of, in_places, of_graph, tensors_of, with_labels
from agent.inference.patience import LOAD_SECONDS, Patience
from agent.inference.promises import Promises
from agent.inference.regions import Lease, Pool
from agent.inference.turns import USUAL, Turns
from agent.ports import Detections, EngineSpec, InSlot, ModelSignature, Place, Tally, Tensor, Warmed
from agent.supervise import Tasks, in_thread
from agent.types import Geometry, ModelInput, Tap
from agent.workers import endings, memory
from agent.workers.channel import close_all
from agent.workers.memory import SharedSlots
from agent.workers.process import WorkerProcess
from agent.workers.restarts import RestartBudget
from protos.errors import LongshoreError, Rejected, Retryable
from protos.ids import hex_of
from sandbox.report import Confined

log = logging.getLogger(__name__)
MODULE = "agent.inference.worker"
LOAD_TRIES = 2
IN_DECODER = 2  # pictures: as many as it has ready while two calls run
LONGEST_RESTART_SECONDS = 30.0  # between starts of a worker that keeps falling


class OnnxEngine:
    """See agent.ports.Engine."""

    def __init__(
        self,
        name: str = "engine",
        limits: EngineLimits = USUAL_LIMITS,
        budget: RestartBudget | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        on_confined: Callable[[Confined], None] = lambda _: None,
        *,
        awaits_pictures: bool = False,
        idle_only: bool = False,
        compiler: Compiler | None = None,
    ) -> None:
        """`awaits_pictures`: their decoder is there before the first comes. `idle_only`: on cores nobody else wants.
        `compiler`: makes what a worker loads.
        """
        self._limits = limits
        self._budget = budget or RestartBudget(longest_delay=LONGEST_RESTART_SECONDS)
        self._now = monotonic
        self._idle_only = idle_only
        self._compiler = compiler
        self._process: WorkerProcess[FromWorker] = WorkerProcess(
            name, MODULE, messages.FromWorker, self._answered, self._exited, on_confined
        )
        self._tasks = Tasks()
        self._calls = Calls()
        self._turns = Turns()  # of requests; given back when the worker has answered, not when the caller leaves
        self._queued = 0  # requests that wait for it
        self._patience = Patience()
        self._pool = self._new_pool()
        self._awaits_pictures = awaits_pictures
        self._fitting = Fitting(Decoder(f"{name} pictures", on_confined, monotonic))
        self._taps: dict[Tap, Attached] = {}
        self._state = State.NEW
        self._signature = ModelSignature((), ())
        self._checks = requests.Checks(self._signature, image=False)
        self._spec: EngineSpec | None = None
        self._model = -1
        self._last_exit: int | None = None  # of the worker started last
        self._tap_number = 0
        self._slow_down = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self.restarts = 0
        self.profile: Sequence[tuple[int, float]] = ()
        self.warmed = Warmed()
        self.width = 1
        self._in_hand = 0
        self.tally = Tally()
        self.promised = Promises()

    @property
    def signature(self) -> ModelSignature:
        return self._signature

    @property
    def state(self) -> State:
        return self._state

    @property
    def ready(self) -> bool:
        """See the port."""
        return self._state is State.READY

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def room(self) -> int:
        """See the port. Pictures are decoded while those before them run."""
        takes_pictures = self._spec is not None and self._spec.input is not None
        behind = turns.behind(self._patience.usual + self._slow_down)
        return self._turns.limit + behind + (IN_DECODER if takes_pictures else 0)

    @property
    def waiting(self) -> int:
        """Calls that wait or run."""
        return self.under_way + self._queued

    @property
    def under_way(self) -> int:
        """Calls that the worker has not answered yet."""
        return len(self._calls)

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self, spec: EngineSpec) -> None:
        """See the port. What fails in a way that may pass is given one more try."""
        self._state = lifecycle.after(self._state, Event.START)
        self._spec = replace(spec, model=b"")  # the bytes live once, in the sealed memory
        try:
            await launched(self._compiler, spec, self._launch)
            if self._awaits_pictures and spec.input is not None:
                await self._fitting.ready()
        except BaseException:
            self._state = lifecycle.after(self._state, Event.CLOSE)
            await self._end()
            raise
        self._state = lifecycle.after(self._state, Event.READY)

    async def close(self) -> None:
        """See the port."""
        self._state = lifecycle.after(self._state, Event.CLOSE)
        if self._closing is None:
            self._closing = asyncio.create_task(self._drain_and_end(), name="close engine")
        await asyncio.shield(self._closing)

    def slow_down(self, seconds: float) -> None:
        """See the port. Holds from the next call on."""
        self._slow_down = max(0.0, seconds)
        self._allow()

    async def _launch(self, model: bytes) -> None:
        if self._model >= 0:  # compiled, and does not load
            await self._process.stop()
            os.close(self._model)
            self._model = -1
        self._model = await in_thread(memory.sealed, model)
        await self._first_launch()

    async def _first_launch(self) -> None:
        codes: list[int | None] = []
        while True:
            try:
                await self._start_worker()
                await self._load()
                return
            except Retryable as error:
                await self._process.stop()  # before another is started, which would take its channel
                codes.append(self._last_exit)
                if len(codes) == LOAD_TRIES:
                    raise lifecycle.blamed(codes, error) from error
                log.warning("%s; it is tried once more", error)

    async def _start_worker(self) -> None:
        self._last_exit = None
        self._pool = self._new_pool()
        await self._process.start(self._room())
        if self._idle_only:
            self._process.step_back()

    def _room(self) -> int:
        assert self._spec is not None
        return confinement.room(self._spec.provider, os.fstat(self._model).st_size)

    async def _load(self) -> None:
        """Have a fresh worker load the model and attach all taps."""
        assert self._spec is not None
        spec = self._spec
        loaded, _ = await self._ask(
            lambda call: messages.Load(call, spec.task, spec.input, spec.provider, spec.threads),
            Terms(LOAD_SECONDS.get(spec.provider, LOAD_SECONDS["cpu"])),
            fds=[self._model],
        )
        assert isinstance(loaded, Loaded)
        self._signature = ModelSignature(loaded.inputs, loaded.outputs)
        self._checks = requests.Checks(self._signature, image=spec.input is not None)
        self.profile = [(1, loaded.warm_seconds), *loaded.batches]
        self.width, self._in_hand, self.warmed = loaded.width, loaded.in_hand, loaded.warmed
        self._patience.learn(loaded.warm_seconds)
        self._allow()
        for tap in self._taps.values():
            self._process.send(tap.message, [tap.fd])

    async def _relaunch(self, delay: float) -> None:
        await asyncio.sleep(delay)
        try:
            await self._start_worker()
        except Retryable as error:
            if self._state is State.RESTARTING:
                self._launch_again(str(error))  # there is no worker, so no exit of one comes
            return
        try:
            await self._load()
        except LongshoreError as error:
            if self._process.alive:  # else its end was told, and the next is started already
                log.warning("the worker of %s could not load its model and is started again: %s", self._name, error)
                self._process.kill()  # at its exit the next is started
            return
        if self._state is State.RESTARTING:
            self._state = lifecycle.after(self._state, Event.READY)

    def _exited(self, code: int) -> None:
        self._last_exit = code
        how = f"the worker of {self._name} {endings.ended(code, self._process.exceeded)}"
        self._calls.fail_all(f"{how}; it may work in a moment")
        self._patience.idle()
        self._pool.close()
        if self._state in (State.READY, State.RESTARTING):
            self.restarts += 1
            self._launch_again(how)

    def _launch_again(self, why: str) -> None:
        self._state = lifecycle.after(self._state, Event.DIED)
        delay = self._budget.spend(self._now())
        delay = self._budget.longest_delay if delay is None else delay
        log.warning("%s; starting again in %.1f s", why, delay)
        self._tasks.once("restart engine worker", self._relaunch(delay))

    async def _drain_and_end(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.drain_seconds):
                await self.promised.none()
                await self._turns.take()  # behind all requests that wait
                await self._calls.drained()
        await self._end()

    async def _end(self) -> None:
        await self._tasks.stop()
        await asyncio.gather(self._process.stop(), self._fitting.close())
        self._pool.close()
        for tap in self._taps.values():
            os.close(tap.fd)
        self._taps.clear()
        if self._model >= 0:
            os.close(self._model)
            self._model = -1

    # --- frames ---------------------------------------------------------------------------------------------------

    async def attach(self, tap: Tap, fd: int, slots: int, model_input: ModelInput) -> None:
        """See the port. The descriptor stays the caller's. Attaching again replaces."""
        if not memory.holds(fd, slots, model_input.nbytes):
            raise Rejected("the shared memory of this camera is smaller than its slots")
        if self._spec is None or self._spec.input is None:
            raise Rejected("this release takes no pictures, so no camera can be attached to it")
        if (model_input.height, model_input.width) != (self._spec.input.height, self._spec.input.width):
            raise Rejected(f"camera {tap.camera} is fitted for another picture size than this release takes")
        await self.detach(tap)
        self._tap_number += 1
        attached = self._taps[tap] = Attached(self._tap_number, os.dup(fd), slots, model_input)
        self._tell(attached.message, [attached.fd])

    async def detach(self, tap: Tap) -> None:
        """See the port. No error when it is not attached."""
        attached = self._taps.pop(tap, None)
        if attached is None:
            return
        os.close(attached.fd)
        self._tell(messages.Detach(attached.number))

    async def detect_slot(self, tap: Tap, slot: int, geometry: Geometry, min_score: float) -> Detections:
        """See the port."""
        (found,) = await self.detect_slots([InSlot(tap, slot, geometry)], min_score)
        return found

    async def detect_slots(self, frames: Sequence[InSlot], min_score: float) -> list[Detections]:
        """See the port."""
        lifecycle.check_ready(self._state)
        named, slow_down = [in_slot(self._taps, frame) for frame in frames], self._slow_down
        reply, _ = await self._ask(
            lambda call: messages.Detect(call, named, min_score, slow_down),
            Terms(self._patience.limit(slow_down, len(named)), len(named)),
        )
        assert isinstance(reply, Detected)
        assert self._spec is not None
        labels, share = self._spec.labels, reply.model_seconds / len(named)
        return [Detections(boxes_of(rows, labels), reply.infer_seconds, share) for rows in reply.frames]

    def _tell(self, message: ToWorker, fds: Sequence[int] = ()) -> None:
        """Send what needs no answer. A worker that is not there learns it when it comes back."""
        if self._state is State.READY:
            with contextlib.suppress(Retryable):
                self._process.send(message, fds)

    # --- tensors --------------------------------------------------------------------------------------------------

    async def infer(
        self,
        inputs: Sequence[Tensor],
        outputs: Sequence[str] | None = None,
        min_score: float = 0.0,
        deadline: float | None = None,
        priority: int = 0,
        into: Mapping[str, Place] | None = None,
    ) -> list[Tensor]:
        """See the port."""
        arrived = self._now()
        if self._state is not State.CLOSED or not self.promised.count:
            lifecycle.check_ready(self._state)
        assert self._spec is not None
        image = self._spec.input is not None
        rows = self._checks.passed(inputs, outputs)
        self._limits.check(inputs, self.waiting, self._patience.usual)
        picture = image and requests.is_picture(inputs)
        if picture and into:
            places.check_picture(outputs, into)
        asked = of_graph(outputs, picture=picture)
        away = places.outside([] if picture else inputs, into)
        items, leases, fitted = await self._in_turn(inputs, priority, deadline, picture=picture)
        slow_down = self._slow_down
        reply, fds = await self._ask(
            lambda call: messages.Infer(
                call, items, asked, fitted, min_score, deadline, slow_down, away.fetch, away.put
            ),
            Terms(self._patience.limit(slow_down, rows), rows, leases, self._turns.give),
            away.files,
        )
        assert isinstance(reply, Inferred)
        tensors = self._result(reply, fds, outputs if picture else None, picture=picture)
        self._count(reply, rows, arrived)
        return in_places(tensors, reply, into) if into else tensors

    def _count(self, reply: Inferred, rows: int, arrived: float) -> None:
        now = self._now()
        handed_back = max(0.0, now - reply.began - reply.infer_seconds)
        self.tally.ran(rows, now - arrived, reply.infer_seconds, handed_back)

    async def _in_turn(
        self, inputs: Sequence[Tensor], priority: int, deadline: float | None, *, picture: bool
    ) -> tuple[list[TensorIn], list[Lease], Geometry | None]:
        """Wait for the requests before this one; then its tensors, where the worker finds them.

        A picture is decoded meanwhile; the geometry says how it lies in the tensor.
        """
        self._queued += 1
        try:
            if picture:
                return await self._picture_in_turn(inputs[0], priority or USUAL, deadline)
            await self._turns.take(priority or USUAL)
        finally:
            self._queued -= 1
        try:
            self._check_turn()
            began = self._now()
            written = sent.written(inputs, self._pool)
            self.tally.input += self._now() - began
            return *written, None
        except BaseException:
            self._turns.give()
            raise

    async def _picture_in_turn(
        self, picture: Tensor, priority: int, deadline: float | None
    ) -> tuple[list[TensorIn], list[Lease], Geometry]:
        assert self._spec is not None
        assert self._spec.input is not None
        wanted = self._spec.input
        async with self._fitting.pixels(picture, wanted, lambda: self._pool, deadline, priority) as pixels:
            self.tally.input += pixels.seconds
            await self._turns.take(priority)
        try:
            self._check_turn()
            pixels.check(self._pool)
        except BaseException:
            pixels.give()
            self._turns.give()
            raise
        return [sent.of_pixels(pixels, wanted)], [pixels.lease], pixels.geometry

    def _check_turn(self) -> None:
        if self._state is not State.CLOSED:  # what waited when it was closed is still answered
            lifecycle.check_ready(self._state)

    def _result(self, reply: Inferred, fds: list[int], asked: Sequence[str] | None, *, picture: bool) -> list[Tensor]:
        assert self._spec is not None
        tensors = tensors_of(reply, fds)
        return with_labels(tensors, self._spec.labels, asked) if picture else tensors

    # --- the worker -----------------------------------------------------------------------------------------------

    async def _ask(self, message: Callable[[int], ToWorker], terms: Terms, fds: Sequence[int] = ()) -> Reply:
        """Send what `message` makes for a call number, and wait for its answer."""
        first, hungry = not self._calls, self.under_way < self.width + self._in_hand
        call = self._calls.open(terms)
        try:
            self._process.send(message(call.number), fds, at_once=hungry)
        except BaseException:
            self._calls.settle(call.number)
            self._give(terms.leases)
            terms.ended()
            raise
        if first:
            self._next_head()
        try:
            return await call.answer()
        except asyncio.CancelledError:
            self._tell(messages.Cancel(call.number))  # it may not have begun
            raise

    def _answered(self, message: FromWorker, fds: list[int]) -> None:
        call = self._calls.settle(message.call)
        self._next_head()
        if call is None:
            close_all(fds)
            return
        self._give(call.terms.leases)
        if isinstance(message, (Detected, Inferred)):
            self._patience.learn(message.infer_seconds, call.terms.rows)
            self._allow()
        call.end(message, fds)

    def _allow(self) -> None:
        self._turns.limit = turns.limit(self.width, self._in_hand, self._patience.usual + self._slow_down)

    def _give(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            self._pool.give(lease)

    def _next_head(self) -> None:
        oldest = self._calls.oldest
        if oldest is None:
            self._patience.idle()
            return
        self._patience.head(oldest.number, self._now(), oldest.terms.limit)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._limits.look_seconds, self._look)

    def _look(self) -> None:
        """Kill a worker that hangs; look again while something runs."""
        self._timer = None
        if not self._calls:
            return
        if self._patience.overdue(self._now()):
            log.error("the worker of %s hangs; killing it", self._name)
            self._process.kill()
            return
        self._timer = asyncio.get_running_loop().call_later(self._limits.look_seconds, self._look)

    def _new_pool(self) -> Pool:
        return Pool(self._announce, self._forget, self._limits.kept_bytes)

    def _announce(self, chunk: int, region: SharedSlots) -> None:
        self._process.send(messages.Chunk(chunk, region.nbytes), [region.fd])

    def _forget(self, chunk: int) -> None:
        self._process.send(messages.DropChunk(chunk))

    @property
    def _name(self) -> str:
        """For the log: whose engine, and of which release."""
        release = hex_of(self._spec.digest)[:12] if self._spec else "no release"
        return f"{self._process.name} ({release})"

"""The engine worker process: one graph, a thread per call that runs at once, frames before requests.

    python -m agent.inference.worker      (started by agent.workers.process)

It opens no file: the model, camera frames and request tensors come as memory descriptors over its channel, and its
working directory is a deleted one, so that a model naming external data finds none. Before it looks at the model it
gives up its rights (see agent.inference.confinement), and says what of that holds. It ends when its channel closes.
Every call is answered once; what goes wrong with one call is that call's answer, what goes wrong otherwise ends the
process, and the agent starts another.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import resource
import time
from collections.abc import Callable, Sequence

import numpy as np

from agent.inference import boxes, confinement, contract, messages, places, tensors, trusted, warming
from agent.inference.errors import BadInput, BadModel, Expired, NotANumber
from agent.inference.graph import Array, Graph
from agent.inference.lanes import Plan, Rank, Received, Sessions, of_process, planned
from agent.inference.messages import (
    Attach,
    Cancel,
    Chunk,
    Detach,
    Detect,
    Detected,
    DropChunk,
    Failed,
    FromWorker,
    Infer,
    Inferred,
    Load,
    Loaded,
    Reason,
    TensorIn,
    ToWorker,
    aligned,
)
from agent.inference.session import Session
from agent.inference.tensors import Buffer
from agent.ports import ModelSignature, Warmed
from agent.providers import OPENVINO
from agent.types import ModelInput
from agent.workers import memory
from agent.workers.channel import WorkerChannel, close_all
from agent.workers.memory import SharedSlots
from agent.workers.settled import settle
from agent.workers.standing import leave_the_file_system
from protos.errors import Fatal, LongshoreError, Retryable

Answer = tuple[FromWorker, Sequence[Buffer]]  # the message, and large tensors to go beside it
RANKS: dict[type, Rank] = {
    Detect: Rank.FIRST,
    Infer: Rank.NEXT,
    Detach: Rank.APART,  # what runs may still read there
    DropChunk: Rank.APART,
}
REASONS = (
    (Expired, Reason.EXPIRED),
    (Retryable, Reason.AGAIN),
    (BadModel, Reason.MODEL),
    (NotANumber, Reason.NUMBER),
    (Fatal, Reason.BOX),
)


class TapFrames:
    """The slots of one tap as arrays of batch 1, made once."""

    def __init__(self, fd: int, message: Attach) -> None:
        self._memory = SharedSlots.attach(fd, message.slots, message.height * message.width * 3)
        shape = (1, message.height, message.width, 3)
        self.arrays: list[Array] = [
            np.frombuffer(self._memory.view(slot), dtype=np.uint8).reshape(shape) for slot in range(message.slots)
        ]
        self.size = (message.height, message.width)

    def close(self) -> None:
        self.arrays.clear()
        self._memory.close()


class Worker:
    """What the process holds; one method per message. Calls may be handled by several threads, `width` at once."""

    def __init__(self, confine: Callable[[Load, int], None] = lambda *_: None) -> None:
        """`confine` gives up the process's rights; told what is to be loaded, and how many bytes the model has."""
        self._confine = confine
        self._sessions: Sessions | None = None
        self.plan: Plan | None = None  # once a model is loaded
        self._input: ModelInput | None = None
        self._task = "tensor"
        self._clock = time.thread_time  # of the model alone
        self._taps: dict[int, TapFrames] = {}
        self._chunks: dict[int, mmap.mmap] = {}

    def handle(self, message: ToWorker, fds: Sequence[int]) -> Answer | None:
        """The answer, or None for a message that needs none."""
        match message:
            case Detect():
                return self._detect(message), []
            case Infer():
                return places.run(message, fds, self._infer) if fds else self._infer(message)
            case Load():
                return self._load(message, fds[0]), []
            case Attach():
                self._taps[message.tap] = TapFrames(fds[0], message)
            case Detach():
                self._taps.pop(message.tap).close()
            case Chunk():
                self._chunks[message.chunk] = _mapped(fds[0], message.nbytes)
            case DropChunk():
                self._chunks.pop(message.chunk).close()
        return None

    def _load(self, message: Load, fd: int) -> Loaded:
        precision = OPENVINO.get(message.provider)
        if precision is not None:
            trusted.preload(precision)
        self._confine(message, os.fstat(fd).st_size)
        model, cores = memory.read(fd), message.threads or len(os.sched_getaffinity(0))
        session, declined = _opened(message, model, cores)
        provider = "cpu" if declined else message.provider
        clock, self._clock = warming.clock_of(provider), warming.clock_of_calls(provider)
        black, took = _warm(session, message.input, clock)
        plan = planned(cores, message.provider, len(model), took.seconds)
        self._sessions, self._input, self._task = Sessions(session), message.input, message.task
        self.plan = plan
        batches = warming.batches(session, message.task, message.input, message.provider, took.seconds)
        in_numbers = message.task != "detection" or warming.in_numbers(session, message.input, black)
        on_a_core = took.model
        if plan.alone:
            self._sessions.alone = session.alone(model, cores)
            _, took = _warm(self._sessions.alone, message.input, clock)
        del model
        settle()
        signature, warmed = session.signature, Warmed(took.model, on_a_core, in_numbers, declined)
        return Loaded(
            message.call, signature.inputs, signature.outputs, took.seconds, batches, plan.width, plan.in_hand, warmed
        )

    def _detect(self, message: Detect) -> Detected:
        started = time.perf_counter()
        taps = [self._taps[frame.tap] for frame in message.frames]
        pixels = [tap.arrays[frame.slot] for tap, frame in zip(taps, message.frames, strict=True)]
        image = pixels[0] if len(pixels) == 1 else np.concatenate(pixels)
        outputs, model_seconds = self._timed({"image": image}, contract.DETECTION, message.slow_down)
        most = min(boxes.MAX_ROWS, boxes.MESSAGE_ROWS // len(taps))
        rows = [
            boxes.rows((found, scores, classes), frame.geometry, tap.size, message.min_score, most)
            for frame, tap, found, scores, classes in zip(message.frames, taps, *outputs, strict=True)
        ]
        return Detected(message.call, rows, time.perf_counter() - started, model_seconds)

    def _infer(self, message: Infer) -> tuple[Inferred, Sequence[Buffer]]:
        started = time.monotonic()
        if message.deadline is not None and started >= message.deadline:
            raise Expired("the request's time had passed before its turn came")
        feeds = {item.name: tensors.to_array(item, self._bytes_of(item)) for item in message.inputs}
        named = self._outputs(feeds, message) if message.picture is None else self._picture(feeds, message)
        seconds = time.monotonic() - started
        outputs, large = tensors.to_wire(named)
        return Inferred(message.call, outputs, seconds, started), large

    def _outputs(self, feeds: dict[str, Array], message: Infer) -> list[tuple[str, Array]]:
        names = message.outputs or [spec.name for spec in self._signature.outputs]
        return list(zip(names, self._run(feeds, names, message.slow_down), strict=True))

    def _picture(self, feeds: dict[str, Array], message: Infer) -> list[tuple[str, Array]]:
        assert self._input is not None
        assert message.picture is not None
        names = [spec.name for spec in self._signature.outputs]
        result = dict(zip(names, self._run(feeds, names, message.slow_down), strict=True))
        if self._task == "detection":
            boxes.refit(result, message.picture, (self._input.height, self._input.width), message.min_score)
        return [(name, result[name]) for name in message.outputs or names]

    def _run(self, feeds: dict[str, Array], outputs: Sequence[str], slow_down: float) -> list[Array]:
        if slow_down > 0:
            time.sleep(slow_down)
        with self._loaded.taken() as session:
            return session.run(feeds, outputs)

    def _timed(self, feeds: dict[str, Array], outputs: Sequence[str], slow_down: float) -> tuple[list[Array], float]:
        """The outputs, and seconds of the model alone: their clock is two system calls, which requests need not pay."""
        if slow_down > 0:
            time.sleep(slow_down)
        with self._loaded.taken() as session:
            started = self._clock()
            return session.run(feeds, outputs), self._clock() - started

    @property
    def _loaded(self) -> Sessions:
        assert self._sessions is not None  # the agent sends nothing else before `Loaded`
        return self._sessions

    @property
    def _signature(self) -> ModelSignature:
        return self._loaded.many.signature

    def _bytes_of(self, item: TensorIn) -> memoryview:
        if item.inline is not None:
            return memoryview(item.inline)
        return memoryview(self._chunks[item.chunk])[item.offset : item.offset + item.nbytes]


def answer(worker: Worker, message: ToWorker, fds: Sequence[int]) -> Answer | None:
    """`handle`, with an error of ours, of memory, or of numpy over a shape, as that call's answer.

    One that failed because this process has no memory left is failed by its end: the next one would fare no better.
    """
    try:
        return worker.handle(message, fds)
    except (LongshoreError, MemoryError, ValueError) as error:
        call = getattr(message, "call", None)
        if call is None or (isinstance(message, (Detect, Infer)) and _is_of_memory(error) and memory.spent()):
            raise
        return _failed(call, error), []


def _is_of_memory(error: Exception) -> bool:
    return isinstance(error, (MemoryError, Retryable)) and not isinstance(error, Expired)


def _failed(call: int, error: Exception) -> Failed:
    if isinstance(error, MemoryError):
        return Failed(call, Reason.AGAIN, "the box has not enough memory for this inference")
    if isinstance(error, ValueError):
        return Failed(call, Reason.INPUT, f"the model cannot run on this input: {' '.join(str(error).split())[:200]}")
    reason = next((reason for kind, reason in REASONS if isinstance(error, kind)), Reason.INPUT)
    return Failed(call, reason, str(error))


def _opened(message: Load, model: bytes, cores: int) -> tuple[Graph, str]:
    """The graph, and why it is not the one that was asked for. Raises BadModel, Retryable, Fatal."""
    precision = OPENVINO.get(message.provider)
    session = Session(model, message.provider if precision is None else "cpu")
    contract.check(session.signature, message.task, message.input)
    if precision is None:
        return session, ""
    return trusted.opened(session, model, precision, message.task, message.input, cores)


def _warm(session: Graph, model_input: ModelInput | None, clock: warming.Clock) -> tuple[list[Array], warming.Took]:
    """Run once to make the runtime allocate, then to time it; what it said, and the fastest of three, or of one that is
    long.

    A tensor model with free dimensions may refuse our guess of 1; that is no fault of its.
    """
    feeds = warming.zeros(session.signature)
    if model_input is not None:
        feeds = {"image": np.zeros((1, model_input.height, model_input.width, 3), dtype=np.uint8)}
    guessed = model_input is None and any(-1 in spec.shape for spec in session.signature.inputs)
    try:
        said = session.run(feeds)
        return said, warming.fastest(lambda: session.run(feeds), clock)
    except BadInput as error:
        if guessed:
            return [], warming.Took(0.0, 0.0)
        raise BadModel(f"the model loads but does not run: {error}") from error


def _mapped(fd: int, nbytes: int) -> mmap.mmap:
    try:
        return mmap.mmap(fd, nbytes, access=mmap.ACCESS_READ)
    finally:
        os.close(fd)


def _send(channel: WorkerChannel[ToWorker], answer: Answer, send: Callable[[FromWorker], None]) -> None:
    """By `send`; with large tensors in memory of their own."""
    message, large = answer
    if not large:
        send(message)
        return
    with os.fdopen(os.memfd_create("longshore-output", os.MFD_CLOEXEC), "wb", buffering=0) as memory:
        end = 0
        for content in large:
            memory.seek(end)
            end += aligned(memory.write(content) or 0)
        memory.truncate(end)
        channel.send(message, [memory.fileno()])


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump of a hostile model's memory would fill the disk
    channel: WorkerChannel[ToWorker] = WorkerChannel.from_environment(messages.ToWorker)
    leave_the_file_system()
    worker = Worker(lambda load, nbytes: channel.send(confinement.confine(load, nbytes)))
    with contextlib.suppress(EOFError):  # the agent is gone, and with it the reason to be here
        _serve(channel, worker)


def _serve(channel: WorkerChannel[ToWorker], worker: Worker) -> None:
    """Here, until a model is loaded whose calls are worth a thread each.

    Raises:
        EOFError: the agent is gone, before that.
    """
    while worker.plan is None or worker.plan.short:
        received = channel.receive()
        assert received is not None
        result = answer(worker, *received)
        if result is not None:
            _send(channel, result, channel.answer)
    _Threads(channel, worker).lanes.run(worker.plan.width)
    os._exit(0)  # a call that still runs would be in the way of the interpreter's end


class _Threads:
    """The worker's calls, in a thread each."""

    def __init__(self, channel: WorkerChannel[ToWorker], worker: Worker) -> None:
        self._channel = channel
        self._worker = worker
        self.lanes = of_process(channel, _rank, self._act)

    def _act(self, received: Received[ToWorker]) -> None:
        message, fds = received
        result = self._cancel(message) if isinstance(message, Cancel) else answer(self._worker, message, fds)
        if result is not None:
            _send(self._channel, result, self._channel.send)

    def _cancel(self, message: Cancel) -> Answer | None:
        found = self.lanes.withdraw(lambda each: isinstance(each[0], Infer) and each[0].call == message.call)
        if found is None:
            return None
        close_all(found[1])
        return Failed(message.call, Reason.EXPIRED, "nobody waits for it any more"), []


def _rank(received: Received[ToWorker]) -> Rank:
    return RANKS.get(type(received[0]), Rank.AT_ONCE)


if __name__ == "__main__":
    main()

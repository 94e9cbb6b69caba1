"""The Open Inference Protocol without a transport: what is served, what it takes, one inference.

A request finds its engine once; a release that takes over meanwhile changes nothing for it, since the old engine drains
before it ends. A request with a time limit is answered at that time, whatever the engine does. What is served is
desired state's to say: callers may look at it here, and change nothing.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import msgspec

from agent.door.shares import Partition
from agent.errors import TurnedAway
from agent.ports import Engine, Place, Tensor, TensorSpec
from agent.serving import heads, repository, statistics
from agent.serving.admission import Admission, NoDoor, Ran, Wish
from agent.serving.callers import Caller
from agent.serving.errors import BadInput, Expired, NotANumber, NotReady, Overloaded, RefusedRelease, UnknownModel
from agent.serving.heads import Head
from agent.serving.repository import Awaited, Indexed
from agent.serving.shared_memory import RegionPart, Regions
from agent.serving.statistics import ModelStatistics
from protos.errors import LongshoreError, Rejected, Retryable

SERVER_NAME = "longshore"
EXTENSIONS = (
    "binary_tensor_data",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
    "system_shared_memory",
    "longshore_image_bytes",
)
PLATFORM = "onnxruntime_onnx"
MOST_ROWS = 256  # counted of one request
# What an answered request counts as; the most specific kind first.
RESULTS: tuple[tuple[type[LongshoreError], str], ...] = (
    (RefusedRelease, "refused_release"),
    (UnknownModel, "unknown_model"),
    (NotReady, "not_ready"),
    (TurnedAway, "turned_away"),
    (Overloaded, "overloaded"),
    (Expired, "expired"),
    (BadInput, "bad_input"),
    (Retryable, "unavailable"),
    (NotANumber, "not_a_number"),
    (Rejected, "rejected"),
)


@dataclass(frozen=True)
class Served:
    """One release that answers now."""

    name: str
    version: str
    engine: Engine


class ModelTable(Protocol):
    """What this node serves at this moment."""

    def lookup(self, name: str, version: str | None) -> Served:
        """The release of that version if it is loaded, or the one in use when None.

        Raises:
            NotReady: it is wanted here and not there yet.
            RefusedRelease: it is wanted here and never will be there, with the reason.
            UnknownModel: it is neither.
        """
        ...

    def versions(self, name: str) -> list[str]:
        """The versions of `name` that are loaded. Raises UnknownModel."""
        ...

    def ready(self) -> bool:
        """Is everything this node should serve loaded?"""
        ...

    def served(self) -> list[Served]:
        """Everything `lookup` finds, once."""
        ...

    def awaited(self) -> list[Awaited]:
        """What is wanted here and not loaded."""
        ...


class Observer(Protocol):
    """Who counts; `model` is empty for models that do not exist, so that callers cannot make up labels."""

    def answered(self, transport: str, model: str, result: str, seconds: float) -> None: ...


class _Nobody:
    def answered(self, transport: str, model: str, result: str, seconds: float) -> None:
        pass


class InferRequest(msgspec.Struct, frozen=True):
    """One inference. `outputs` None means all; `timeout` is in seconds from now.

    `shared` and `into`: inputs and outputs that lie in shared memory, by name; such an input has no data.
    """

    model: str
    version: str | None
    inputs: list[Tensor]
    outputs: Sequence[str] | None = None
    id: str = ""
    timeout: float | None = None
    min_score: float = 0.0
    priority: int = 0
    deadline_unix_ns: int = 0  # 0: none
    partition: Partition | None = None
    shared: Mapping[str, RegionPart] = {}
    into: Mapping[str, RegionPart] = {}


class InferResult(msgspec.Struct, frozen=True):
    """`into`: as it was asked for. `waited` at the door and `service` in the engine are seconds."""

    model: str
    version: str
    id: str
    outputs: list[Tensor] = []
    into: Mapping[str, RegionPart] = {}
    waited: float = 0.0
    service: float = 0.0


@dataclass(frozen=True)
class ModelMetadata:
    name: str
    versions: list[str]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    platform: str = PLATFORM


@dataclass(frozen=True)
class ServerMetadata:
    name: str
    version: str
    extensions: tuple[str, ...] = EXTENSIONS


class DataPlane:
    """The one core behind both transports."""

    def __init__(
        self,
        models: ModelTable,
        version: str,
        monotonic: Callable[[], float],
        observer: Observer | None = None,
        unix: Callable[[], float] = time.time,
        regions: Regions | None = None,
        admission: Admission | None = None,
    ) -> None:
        """Without `admission` everybody goes to the engines at once."""
        self._models = models
        self._version = version
        self._now = monotonic
        self._unix = unix
        self._observer = observer or _Nobody()
        self.regions = regions or Regions()
        self._admission = admission or NoDoor(monotonic)

    def live(self) -> bool:
        return True

    def ready(self) -> bool:
        return self._models.ready()

    def server_metadata(self) -> ServerMetadata:
        return ServerMetadata(SERVER_NAME, self._version)

    def model_ready(self, name: str, version: str | None) -> bool:
        """False while it loads, or its worker is started again. Raises UnknownModel."""
        try:
            return self._models.lookup(name, version).engine.ready
        except NotReady:
            return False

    def model_metadata(self, name: str, version: str | None) -> ModelMetadata:
        """Raises UnknownModel, NotReady."""
        served = self._models.lookup(name, version)
        signature = served.engine.signature
        return ModelMetadata(served.name, self._models.versions(name), signature.inputs, signature.outputs)

    def statistics(self, name: str, version: str | None) -> list[ModelStatistics]:
        """Of one version, of all of a model, or with "" of all models. Raises UnknownModel, NotReady."""
        found = [each for each in self._models.served() if each.name == name or not name]
        if version:
            found = [self._models.lookup(name, version)]
        elif name and not found:
            self._models.lookup(name, None)  # raises, and says why
        offset = self._unix() - self._now()
        return [statistics.of(each.name, each.version, each.engine.tally, lambda at: at + offset) for each in found]

    # --- the repository: desired state, seen from here --------------------------------------------------------------

    def index(self, *, ready: bool) -> list[Indexed]:
        """What is served and what is awaited; `ready`: only what answers now."""
        loaded = [(each.name, each.version, each.engine.ready) for each in self._models.served()]
        return [each for each in repository.index(loaded, self._models.awaited()) if each.ready or not ready]

    def load(self, name: str, parameters: Mapping[str, object]) -> None:
        """Nothing is to be done for a model that is served. Raises UnknownModel, NotReady, Conflict."""
        repository.check_load(name, parameters)
        try:
            self._models.lookup(name, None)
        except RefusedRelease:
            raise
        except UnknownModel as error:
            raise repository.not_deployed(name) from error

    def unload(self, name: str) -> None:
        """Raises UnknownModel, Conflict: a deployment wants it, or it is not there."""
        served = {each.name for each in self._models.served()}
        if name in served | {each.name for each in self._models.awaited()}:
            raise repository.wanted(name)
        raise repository.not_deployed(name)

    # --- inference --------------------------------------------------------------------------------------------------

    def check(self, model: str, version: str | None, head: Head, transport: str) -> None:
        """What can be said to a request with a deadline before its body is there.

        Raises:
            TurnedAway: it would not be answered in time. Nothing else: what is wrong with it is said to all of it.
        """
        started = self._now()
        try:
            served = self._models.lookup(model, version)
            left = self._timeout(InferRequest(model, version, []), head)
        except LongshoreError:
            return
        if left is None:
            return
        wish = Wish(head.site, head.partition or Partition.LIVE, started + left, head.priority)
        try:
            self._admission.to(served.engine).check(wish)
        except TurnedAway:
            self._observer.answered(transport, served.name, "turned_away", self._now() - started)
            served.engine.tally.ended(self._now(), self._now() - started, ok=False)
            raise

    async def infer(
        self, request: InferRequest, transport: str, caller: Caller | None = None, head: Head = heads.NOTHING
    ) -> InferResult:
        """Run it, and count how it ended. `caller` matters to requests that use shared memory.

        Raises:
            UnknownModel, NotReady, BadInput, TurnedAway, Overloaded, Expired, Retryable; BadRequest, UnknownRegion,
            Forbidden.
        """
        started, served, result = self._now(), None, "cancelled"
        try:
            served = self._models.lookup(request.model, request.version)
            if request.shared or request.into:
                ran = await self._with_regions(served, request, head, started, caller)
            else:
                ran = await self._in_time(served, request, head, started, request.inputs, None)
            result = "ok"
        except LongshoreError as error:
            result = next((name for kind, name in RESULTS if isinstance(error, kind)), "failed")
            raise
        finally:
            now = self._now()
            self._observer.answered(transport, served.name if served else "", result, now - started)
            if served is not None:
                served.engine.tally.ended(now, now - started, ok=result == "ok")
        return InferResult(served.name, served.version, request.id, ran.tensors, request.into, ran.waited, ran.service)

    async def _with_regions(
        self, served: Served, request: InferRequest, head: Head, now: float, caller: Caller | None
    ) -> Ran:
        with self.regions.lent(request.inputs, request.shared, request.into, caller) as (inputs, into):
            return await self._in_time(served, request, head, now, inputs, into)

    async def _in_time(
        self,
        served: Served,
        request: InferRequest,
        head: Head,
        now: float,
        inputs: Sequence[Tensor],
        into: Mapping[str, Place] | None,
    ) -> Ran:
        engine, timeout = served.engine, request.timeout
        if head.timeout is not None or head.deadline_unix_ns or request.deadline_unix_ns:
            timeout = self._timeout(request, head)
        priority, rows = request.priority or head.priority, _rows(engine, inputs)
        partition, way = request.partition or head.partition, self._admission.to(engine)
        asked = inputs, request.outputs, request.min_score
        if timeout is None:
            wish = _untimed(head.site, partition or Partition.BATCH, priority, rows)
            return await way.run(wish, engine.infer, (*asked, None, priority, into))
        deadline = now + timeout
        wish = Wish(head.site, partition or Partition.LIVE, deadline, priority, rows)
        try:
            async with asyncio.timeout(timeout):
                return await way.run(wish, engine.infer, (*asked, deadline, priority, into))
        except TimeoutError as error:
            raise Expired(f"no answer within the {_span(timeout)} the request gave") from error

    def _timeout(self, request: InferRequest, head: Head) -> float | None:
        """Seconds, of what the request and its head say the least. Raises Expired."""
        timeout = request.timeout
        if head.timeout is not None:
            timeout = heads.sooner(timeout, head.timeout)
        if request.deadline_unix_ns:
            timeout = self._time_left(timeout, request.deadline_unix_ns)
        return self._time_left(timeout, head.deadline_unix_ns) if head.deadline_unix_ns else timeout

    def _time_left(self, timeout: float | None, deadline_unix_ns: int) -> float | None:
        """Seconds until the deadline by the wall clock, or the timeout where that is sooner. Raises Expired."""
        left = deadline_unix_ns / 1e9 - self._unix()
        if left <= 0:
            raise Expired(f"the request came {_span(-left)} after its deadline_unix_ns; compare the clocks")
        return heads.sooner(left, timeout)


@lru_cache(maxsize=256)  # most requests are like the one before
def _untimed(site: str, partition: Partition, priority: int, rows: int) -> Wish:
    return Wish(site, partition, math.inf, priority, rows)


def _rows(engine: Engine, inputs: Sequence[Tensor]) -> int:
    """Examples in a request, as its first input tells; that it fits the model is checked later."""
    shape = inputs[0].shape if inputs else ()
    if len(shape) < 2 or shape[0] < 2:
        return 1
    declared = engine.signature.inputs[0].shape if engine.signature.inputs else ()
    return min(shape[0], MOST_ROWS) if declared[:1] == (-1,) else 1


def _span(seconds: float) -> str:
    if seconds < 0.001:
        return f"{max(1, round(seconds * 1e6))} µs"
    return f"{seconds * 1000:.0f} ms"

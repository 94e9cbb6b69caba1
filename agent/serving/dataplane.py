"""The Open Inference Protocol without a transport: what is served, what it takes, one inference.

A request finds its engine once; a release that takes over meanwhile changes nothing for it, since the old engine drains
before it ends. A request with a time limit is answered at that time, whatever the engine does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from agent.ports import Engine, Tensor, TensorSpec
from agent.serving.errors import BadInput, Expired, NotReady, Overloaded, RefusedRelease, UnknownModel
from protos.errors import LongshoreError, Rejected, Retryable

SERVER_NAME = "longshore"
EXTENSIONS = ("binary_tensor_data", "longshore_image_bytes")
PLATFORM = "onnxruntime_onnx"
# What an answered request counts as; the most specific kind first.
RESULTS: tuple[tuple[type[LongshoreError], str], ...] = (
    (RefusedRelease, "refused_release"),
    (UnknownModel, "unknown_model"),
    (NotReady, "not_ready"),
    (Overloaded, "overloaded"),
    (Expired, "expired"),
    (BadInput, "bad_input"),
    (Retryable, "unavailable"),
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


class Observer(Protocol):
    """Who counts; `model` is empty for models that do not exist, so that callers cannot make up labels."""

    def answered(self, transport: str, model: str, result: str, seconds: float) -> None: ...


class _Nobody:
    def answered(self, transport: str, model: str, result: str, seconds: float) -> None:
        pass


@dataclass(frozen=True)
class InferRequest:
    """One inference. `outputs` None means all; `timeout` is in seconds from now."""

    model: str
    version: str | None
    inputs: list[Tensor]
    outputs: list[str] | None = None
    id: str = ""
    timeout: float | None = None
    min_score: float = 0.0


@dataclass(frozen=True)
class InferResult:
    model: str
    version: str
    id: str
    outputs: list[Tensor] = field(default_factory=list)


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
        self, models: ModelTable, version: str, monotonic: Callable[[], float], observer: Observer | None = None
    ) -> None:
        self._models = models
        self._version = version
        self._now = monotonic
        self._observer = observer or _Nobody()

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

    async def infer(self, request: InferRequest, transport: str) -> InferResult:
        """Run it, and count how it ended.

        Raises:
            UnknownModel, NotReady, BadInput, Overloaded, Expired, Retryable.
        """
        started, model, result = self._now(), "", "cancelled"
        try:
            served = self._models.lookup(request.model, request.version)
            model = served.name
            outputs = await self._run(served, request, started)
            result = "ok"
        except LongshoreError as error:
            result = next((name for kind, name in RESULTS if isinstance(error, kind)), "failed")
            raise
        finally:
            self._observer.answered(transport, model, result, self._now() - started)
        return InferResult(served.name, served.version, request.id, outputs)

    async def _run(self, served: Served, request: InferRequest, now: float) -> list[Tensor]:
        if request.timeout is None:
            return await served.engine.infer(request.inputs, request.outputs, request.min_score)
        deadline = now + request.timeout
        try:
            async with asyncio.timeout(request.timeout):
                return await served.engine.infer(request.inputs, request.outputs, request.min_score, deadline)
        except TimeoutError as error:
            raise Expired(f"no answer within the {request.timeout * 1000:.0f} ms the request gave") from error

"""The Open Inference Protocol over gRPC: convert, call, convert.

`CODES` is the one place where the kind of an error becomes a gRPC code. Metadata and inference ask for the token where
one is set; health is open to probes. With `client_ca` no caller without its certificate gets that far. What callers
may have under way is bounded by calls times message; larger tensors go over REST, which counts bytes. A call that may
be tried again is told when, in the metadata that gRPC clients heed (`grpc-retry-pushback-ms`). So one beyond the bound
is turned away here, before its message is read, and not by gRPC, whose own bound tells no time. So is one that would
not be answered in time, where its metadata name its model.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeAlias, TypeVar

import grpc
import grpc.aio
from msgspec import structs

from agent.serving import binding, callers, convert, heads
from agent.serving.access import Access, ServerCredentials
from agent.serving.certificates import Certificates
from agent.serving.dataplane import DataPlane
from agent.serving.errors import (
    BadRequest,
    Conflict,
    Denied,
    Expired,
    Forbidden,
    NotANumber,
    Overloaded,
    TooLarge,
    TurnedAway,
    UnknownModel,
    UnknownRegion,
)
from protos import inference_pb2 as pb
from protos import inference_pb2_grpc
from protos.errors import LongshoreError, Rejected, Retryable

log = logging.getLogger(__name__)
Context: TypeAlias = grpc.aio.ServicerContext
Message: TypeAlias = Any  # of whichever method
Told: TypeAlias = dict[str, str]  # metadata of a call
Answer: TypeAlias = Callable[[Message, Context], Awaitable[Message]]
R = TypeVar("R")

# The most specific kind first.
CODES: tuple[tuple[type[LongshoreError], grpc.StatusCode], ...] = (
    (UnknownModel, grpc.StatusCode.NOT_FOUND),
    (UnknownRegion, grpc.StatusCode.NOT_FOUND),
    (TurnedAway, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (Expired, grpc.StatusCode.DEADLINE_EXCEEDED),
    (TooLarge, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (Denied, grpc.StatusCode.UNAUTHENTICATED),
    (Forbidden, grpc.StatusCode.PERMISSION_DENIED),
    (Conflict, grpc.StatusCode.FAILED_PRECONDITION),
    (Retryable, grpc.StatusCode.UNAVAILABLE),
    (NotANumber, grpc.StatusCode.INTERNAL),
    (Rejected, grpc.StatusCode.INVALID_ARGUMENT),
)
INFER = "/inference.GRPCInferenceService/ModelInfer"
MAX_CALLS = 128  # at once; an engine lets 64 wait, so that it is the one to say so, and health has room beside them
AGAIN_SECONDS = 1.0  # after which one that found no room may come again
MAX_REQUEST = 16 << 20  # bytes; 32 pictures of 400x400
MAX_ANSWER = 64 << 20  # bytes
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_REQUEST),
    ("grpc.max_send_message_length", MAX_ANSWER),
    ("grpc.so_reuseport", 0),  # two agents on one port would share its callers unnoticed
    # Boxes hold connections through quiet hours and ping to see a dead uplink early.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


class _Servicer(inference_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self, plane: DataPlane, access: Access) -> None:
        self._plane = plane
        self._access = access
        # The handshake lets nobody through who shows no certificate.
        self._proven = access.credentials is not None and access.credentials.client_ca is not None
        self.port = 0  # as bound

    async def ServerLive(self, request: pb.ServerLiveRequest, context: Context) -> pb.ServerLiveResponse:  # noqa: ARG002, N802
        return pb.ServerLiveResponse(live=self._plane.live())

    async def ServerReady(self, request: pb.ServerReadyRequest, context: Context) -> pb.ServerReadyResponse:  # noqa: ARG002, N802
        return pb.ServerReadyResponse(ready=self._plane.ready())

    async def ModelReady(self, request: pb.ModelReadyRequest, context: Context) -> pb.ModelReadyResponse:  # noqa: N802
        async def answer() -> pb.ModelReadyResponse:
            try:
                ready = self._plane.model_ready(request.name, request.version or None)
            except UnknownModel:  # clients ask in order to wait: "no" is an answer
                ready = False
            return pb.ModelReadyResponse(ready=ready)

        return await self._admitted(context, answer)

    async def ServerMetadata(  # noqa: N802
        self,
        request: pb.ServerMetadataRequest,  # noqa: ARG002
        context: Context,
    ) -> pb.ServerMetadataResponse:
        async def answer() -> pb.ServerMetadataResponse:
            return convert.server_metadata(self._plane.server_metadata())

        return await self._admitted(context, answer)

    async def ModelMetadata(self, request: pb.ModelMetadataRequest, context: Context) -> pb.ModelMetadataResponse:  # noqa: N802
        async def answer() -> pb.ModelMetadataResponse:
            return convert.model_metadata(self._plane.model_metadata(request.name, request.version or None))

        return await self._admitted(context, answer)

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Context) -> pb.ModelInferResponse:  # noqa: N802
        return await self.infer(request, context, _told(context.invocation_metadata()))

    async def infer(self, request: pb.ModelInferRequest, context: Context, told: Told) -> pb.ModelInferResponse:
        """ModelInfer, of a call whose metadata were looked at."""

        async def answer() -> pb.ModelInferResponse:
            wanted = convert.infer_request(request, context.time_remaining())
            caller = self._caller(context) if wanted.shared or wanted.into else None
            result = await self._plane.infer(wanted, "grpc", caller, self._head(context, told))
            context.set_trailing_metadata(tuple(heads.spent(result.waited, result.service).items()))
            return convert.infer_response(result)

        return await self._admitted(context, answer, told)

    # --- extensions -------------------------------------------------------------------------------------------------

    async def ModelStatistics(  # noqa: N802
        self, request: pb.ModelStatisticsRequest, context: Context
    ) -> pb.ModelStatisticsResponse:
        async def answer() -> pb.ModelStatisticsResponse:
            return convert.model_statistics(self._plane.statistics(request.name, request.version or None))

        return await self._admitted(context, answer)

    async def RepositoryIndex(  # noqa: N802
        self, request: pb.RepositoryIndexRequest, context: Context
    ) -> pb.RepositoryIndexResponse:
        async def answer() -> pb.RepositoryIndexResponse:
            return convert.repository_index(self._plane.index(ready=request.ready))

        return await self._admitted(context, answer)

    async def RepositoryModelLoad(  # noqa: N802
        self, request: pb.RepositoryModelLoadRequest, context: Context
    ) -> pb.RepositoryModelLoadResponse:
        async def answer() -> pb.RepositoryModelLoadResponse:
            self._plane.load(request.model_name, dict(request.parameters))
            return pb.RepositoryModelLoadResponse()

        return await self._admitted(context, answer)

    async def RepositoryModelUnload(  # noqa: N802
        self, request: pb.RepositoryModelUnloadRequest, context: Context
    ) -> pb.RepositoryModelUnloadResponse:
        async def answer() -> pb.RepositoryModelUnloadResponse:
            self._plane.unload(request.model_name)
            return pb.RepositoryModelUnloadResponse()

        return await self._admitted(context, answer)

    async def SystemSharedMemoryStatus(  # noqa: N802
        self, request: pb.SystemSharedMemoryStatusRequest, context: Context
    ) -> pb.SystemSharedMemoryStatusResponse:
        async def answer() -> pb.SystemSharedMemoryStatusResponse:
            return convert.region_statuses(self._plane.regions.status(request.name, self._caller(context)))

        return await self._admitted(context, answer)

    async def SystemSharedMemoryRegister(  # noqa: N802
        self, request: pb.SystemSharedMemoryRegisterRequest, context: Context
    ) -> pb.SystemSharedMemoryRegisterResponse:
        async def answer() -> pb.SystemSharedMemoryRegisterResponse:
            self._plane.regions.register(convert.region(request), self._caller(context))
            return pb.SystemSharedMemoryRegisterResponse()

        return await self._admitted(context, answer)

    async def SystemSharedMemoryUnregister(  # noqa: N802
        self, request: pb.SystemSharedMemoryUnregisterRequest, context: Context
    ) -> pb.SystemSharedMemoryUnregisterResponse:
        async def answer() -> pb.SystemSharedMemoryUnregisterResponse:
            self._plane.regions.unregister(request.name, self._caller(context))
            return pb.SystemSharedMemoryUnregisterResponse()

        return await self._admitted(context, answer)

    # --- every call -------------------------------------------------------------------------------------------------

    def _head(self, context: Context, told: Told) -> heads.Head:
        """Raises BadRequest."""
        who = _certificate_name(context) if self._proven else ""
        return heads.head(told, who or _host(context.peer()), proven=bool(who))

    async def turned_away(self, context: Context, told: Told) -> None:
        """Ends a call by its metadata that would not be answered in time."""
        if heads.MODEL not in told:
            return
        left = context.time_remaining()
        if left is None and heads.TIMED.isdisjoint(told):
            return

        async def look() -> None:
            with contextlib.suppress(BadRequest):
                head = self._head(context, told)
                head = structs.replace(head, timeout=heads.sooner(head.timeout, left))
                self._plane.check(told[heads.MODEL], told.get(heads.VERSION) or None, head, "grpc")

        await self._admitted(context, look, told)

    def _caller(self, context: Context) -> callers.Caller | None:
        return callers.of_grpc(context.peer(), self.port)

    async def _admitted(self, context: Context, answer: Callable[[], Awaitable[R]], told: Told | None = None) -> R:
        """Check the caller, run, and end the call with the code of an error. `told`: its metadata, where at hand."""
        try:
            told = _told(context.invocation_metadata()) if told is None else told
            self._access.check(told.get("authorization"), proven=self._proven)
            return await answer()
        except LongshoreError as error:
            code = next((code for kind, code in CODES if isinstance(error, kind)), grpc.StatusCode.INTERNAL)
            await context.abort(code, str(error), _pushback(error))
        except Exception:  # the root of one call: a bug of ours costs this call only
            log.exception("a gRPC call failed")
            await context.abort(grpc.StatusCode.INTERNAL, "this node made a mistake; its log says more")
        raise AssertionError("abort raises")


class _Intake(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc.aio has no types
    """Lets MAX_CALLS in at a time, and none that its metadata alone turn away."""

    def __init__(self, servicer: _Servicer) -> None:
        self._servicer = servicer
        self._inside = 0

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """Every method takes one message; as one that takes a stream of them it is called before that has come."""
        method = await continuation(handler_call_details)
        if method is None:
            return method

        async def call(messages: AsyncIterator[Message], context: Context) -> Message:
            return await self._let_in(method.unary_unary, messages, context)

        async def infer(messages: AsyncIterator[Message], context: Context) -> Message:
            told = _told(handler_call_details.invocation_metadata)  # once: gRPC reads them anew each time it is asked
            await self._servicer.turned_away(context, told)
            return await self._let_in(partial(self._servicer.infer, told=told), messages, context)

        behavior = infer if handler_call_details.method == INFER else call
        return grpc.stream_unary_rpc_method_handler(behavior, method.request_deserializer, method.response_serializer)

    async def _let_in(self, answer: Answer, messages: AsyncIterator[Message], context: Context) -> Message:
        if self._inside >= MAX_CALLS:
            error = Overloaded(f"{self._inside} calls are under way on this node; try again later", AGAIN_SECONDS)
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error), _pushback(error))
        self._inside += 1
        try:
            async for message in messages:
                return await answer(message, context)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this call came without its message")
        finally:
            self._inside -= 1


class GrpcServer:
    """Serves one data plane on one port."""

    def __init__(self, plane: DataPlane, access: Access | None = None) -> None:
        self._plane = plane
        self._access = access or Access()
        self._server: grpc.aio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Serve; the bound port. Raises Fatal: it cannot listen there, or the door would stand open."""
        self._access.check_bind(host)
        servicer = _Servicer(self._plane, self._access)
        server = grpc.aio.server(interceptors=[_Intake(servicer)], options=_OPTIONS)
        inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound = servicer.port = _bind(server, address, self._access.credentials)
        except RuntimeError as error:  # it tells no more than that it could not bind
            raise binding.trouble("gRPC inference", host, port, "grpc") from error
        await server.start()
        self._server = server
        return bound

    async def stop(self, grace: float = 3.0) -> None:
        """No new calls; calls under way end within the grace or are cancelled. Safe to call twice."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(grace)


def _bind(server: grpc.aio.Server, address: str, credentials: ServerCredentials | None) -> int:
    if credentials is None:
        return int(server.add_insecure_port(address))
    return int(server.add_secure_port(address, Certificates(credentials).for_grpc()))


def _told(metadata: Iterable[tuple[str, str | bytes]] | None) -> Told:
    """Of a name that comes twice the last counts, as over REST."""
    return {name: value for name, value in metadata or () if isinstance(value, str)}


def _certificate_name(context: Context) -> str:
    """Of the caller, whom the handshake let through."""
    names = context.auth_context().get("x509_common_name", ())
    return next((name.decode(errors="replace") for name in names), "")


def _host(peer: str) -> str:
    """`ipv4:127.0.0.1:4711` without its port."""
    return peer.rpartition(":")[0]


def _pushback(error: LongshoreError) -> tuple[tuple[str, str], ...]:
    """When to try again, in milliseconds, where that helps."""
    if isinstance(error, Expired) or not isinstance(error, Retryable) or error.after_seconds is None:
        return ()
    pushback = ("grpc-retry-pushback-ms", str(max(1, round(error.after_seconds * 1000))))
    if not isinstance(error, TurnedAway):
        return (pushback,)
    after = ("retry-after", str(max(1, math.ceil(error.after_seconds))))
    return pushback, after, (heads.EXPECTED_WAIT, heads.milliseconds(error.expected_wait))

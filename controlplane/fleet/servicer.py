"""The gRPC side of the fleet: convert, call, convert. Who calls is what the mutual TLS handshake proved, nothing else.

The certificate's fingerprint is looked up on every call and every `RECHECK_SECONDS` on a stream, so that a deleted node
is refused at its next call and its stream ends soon. Use cases block, so they run in threads; pictures go straight from
the stream into memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TypeAlias, TypeVar

import grpc
import grpc.aio

from controlplane.errors import Forbidden, NotFound, TooLarge, Unauthenticated
from controlplane.fleet import wire
from controlplane.fleet.boxes import BoxService
from controlplane.fleet.looking import MAX_PICTURE_BYTES, Looking
from controlplane.identity.service import IdentityService
from controlplane.ports import Clock
from protos import fleet_pb2, fleet_pb2_grpc
from protos.errors import LongshoreError, Retryable
from protos.ids import CameraName, NodeId

RECHECK_SECONDS = 30.0  # a stream of a revoked box ends within this time
WISH_SECONDS = 0.5  # a wish that came between two looks is told within this time
NEW_CAMERA_SECONDS = 1.0  # a camera added while somebody looks is shown within this time
_JPEG_START = b"\xff\xd8\xff"

T = TypeVar("T")
Context: TypeAlias = grpc.aio.ServicerContext

_CODES: tuple[tuple[type[LongshoreError], grpc.StatusCode], ...] = (
    (Unauthenticated, grpc.StatusCode.UNAUTHENTICATED),
    (Forbidden, grpc.StatusCode.PERMISSION_DENIED),
    (NotFound, grpc.StatusCode.NOT_FOUND),
    (TooLarge, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (Retryable, grpc.StatusCode.UNAVAILABLE),
)


def status_code(error: LongshoreError) -> grpc.StatusCode:
    """What the agent reads: UNAVAILABLE means later, everything else means never like this."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), grpc.StatusCode.INVALID_ARGUMENT)


class FleetServicer(fleet_pb2_grpc.FleetServicer):
    def __init__(self, identity: IdentityService, boxes: BoxService, looking: Looking, clock: Clock) -> None:
        self._identity = identity
        self._boxes = boxes
        self._looking = looking
        self._clock = clock

    async def Sync(self, request: fleet_pb2.SyncRequest, context: Context) -> fleet_pb2.SyncResponse:  # noqa: N802
        def use() -> fleet_pb2.SyncResponse:
            return wire.answer(self._boxes.sync(self._identity.device(certificate), wire.report(request)))

        certificate = await _certificate(context)
        return await _told(context, asyncio.to_thread(use))

    async def Renew(self, request: fleet_pb2.RenewRequest, context: Context) -> fleet_pb2.Certificate:  # noqa: N802
        def use() -> fleet_pb2.Certificate:
            issued = self._identity.renew(self._identity.device(certificate), request.csr_pem)
            return wire.certificate(issued, self._identity.ca_pem)

        certificate = await _certificate(context)
        return await _told(context, asyncio.to_thread(use))

    async def Watch(  # noqa: N802
        self, request_iterator: AsyncIterator[fleet_pb2.WatchFrame], context: Context
    ) -> fleet_pb2.WatchSummary:
        certificate = await _certificate(context)
        received, checked, node, cameras = 0, float("-inf"), NodeId(""), frozenset[CameraName]()
        async for frame in request_iterator:
            shown = frame.snapshot.camera or frame.accounts.camera or frame.picture.camera
            known = frame.WhichOneof("body") == "log" or shown in cameras
            if self._clock.monotonic() - checked > (RECHECK_SECONDS if known else NEW_CAMERA_SECONDS):
                node, cameras = await _told(context, asyncio.to_thread(self._may_show, certificate))
                checked = self._clock.monotonic()
            self._take(frame, node, cameras)
            received += 1
        return fleet_pb2.WatchSummary(received=received)

    async def Wishes(  # noqa: N802
        self,
        request: fleet_pb2.WishesRequest,
        context: Context,
    ) -> AsyncIterator[fleet_pb2.SnapshotWish]:
        certificate = await _certificate(context)
        _, cameras = await _told(context, asyncio.to_thread(self._may_show, certificate))
        end, told, asked = self._clock.monotonic() + RECHECK_SECONDS, 0, 0
        while self._clock.monotonic() < end:
            for wish in self._looking.wishes(cameras, told):
                told = wish.number
                yield wire.snapshot_wish(wish)
            for frame in self._looking.frame_wishes(cameras, asked) if request.accounts else ():
                asked = frame.number
                yield wire.frame_wish(frame)
            await self._looking.changed(WISH_SECONDS)

    def _may_show(self, certificate: bytes) -> tuple[NodeId, frozenset[CameraName]]:
        node = self._identity.device(certificate)
        return node, self._boxes.cameras_of(node)

    def _take(self, frame: fleet_pb2.WatchFrame, node: NodeId, cameras: frozenset[CameraName]) -> None:
        """Keep what it shows; pictures of cameras that are not the box's, too large or no JPEG are dropped."""
        match frame.WhichOneof("body"):
            case "log":
                self._looking.put_line(node, wire.log_line(frame.log))
            case "snapshot":
                snapshot = wire.snapshot(frame.snapshot)
                if snapshot.camera in cameras and (snapshot.failure or _is_picture(snapshot.jpeg)):
                    self._looking.put_snapshot(snapshot)
            case "accounts":
                accounts = wire.frame_accounts(frame.accounts)
                if accounts.camera in cameras:
                    self._looking.put_accounts(accounts)
            case _:
                picture = wire.picture(frame.picture)
                if picture.camera in cameras and _is_picture(picture.jpeg):
                    self._looking.put_picture(picture)


def _is_picture(jpeg: bytes) -> bool:
    return len(jpeg) <= MAX_PICTURE_BYTES and jpeg.startswith(_JPEG_START)


async def _certificate(context: Context) -> bytes:
    """The certificate that the handshake proved, PEM."""
    shown = context.auth_context().get("x509_pem_cert", [])
    if not shown:
        await context.abort(
            grpc.StatusCode.UNAUTHENTICATED, "a client certificate is needed; join the box with a token"
        )
    return bytes(shown[0])


async def _told(context: Context, call: Awaitable[T]) -> T:
    """The result; one of our errors ends the call with its sentence."""
    try:
        return await call
    except LongshoreError as error:
        await context.abort(status_code(error), str(error))
        raise  # abort has raised; this tells the type checker


def register(
    server: grpc.aio.Server, identity: IdentityService, boxes: BoxService, looking: Looking, clock: Clock
) -> None:
    """Serve the fleet on `server`, whose credentials must require client certificates of our CA."""
    fleet_pb2_grpc.add_FleetServicer_to_server(FleetServicer(identity, boxes, looking, clock), server)

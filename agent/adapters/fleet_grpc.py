"""FleetLink over gRPC with mutual TLS: Sync, Renew, Watch, Wishes. The only client of the Fleet service.

One channel, made with the identity of that moment; `reload` makes the next call use a new one, which is how a renewed
certificate comes into use. A failed Sync reloads too. A call that fails for the wire's sake is Retryable; a box that
the control plane no longer admits is Rejected.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import grpc
import grpc.aio

from agent.identity.store import Identity
from agent.ports import Grant, SyncReply
from agent.supervise import cancelled
from protos import fleet_pb2, fleet_pb2_grpc
from protos.errors import LongshoreError, Rejected, Retryable

T = TypeVar("T")
TIMEOUT_SECONDS = 10.0
_OPTIONS = [
    ("grpc.keepalive_time_ms", 20_000),  # a half-open connection is noticed within half a minute
    ("grpc.keepalive_timeout_ms", 8_000),
    ("grpc.max_receive_message_length", 4 << 20),
]
_NOT_ADMITTED = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.NOT_FOUND,
}
_OUR_FAULT = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.FAILED_PRECONDITION}


class GrpcFleetLink:
    """See agent.ports.FleetLink."""

    def __init__(self, identity: Callable[[], Identity]) -> None:
        """`identity`: asked for whenever a channel is made; its member says where the control plane is."""
        self._identity = identity
        self._channel: grpc.aio.Channel | None = None
        self._retired: list[grpc.aio.Channel] = []

    async def sync(self, report: bytes) -> SyncReply:
        """See the port."""
        request = fleet_pb2.SyncRequest.FromString(report)
        await self._close_retired()
        try:
            answer = await _kept(self._stub().Sync(request, timeout=TIMEOUT_SECONDS))
        except grpc.aio.AioRpcError as error:
            self.reload()  # the next try connects at once: how long to wait is the caller's decision, not gRPC's
            raise self._translate(error) from error
        return SyncReply(
            desired=answer.desired.SerializeToString(deterministic=True),
            grant=_grant(answer.grant, answer.clock_unix_ms),
            clock_unix=answer.clock_unix_ms / 1000,
        )

    async def renew(self, csr_pem: str) -> tuple[str, str]:
        """See the port."""
        try:
            answer = await _kept(self._stub().Renew(fleet_pb2.RenewRequest(csr_pem=csr_pem), timeout=TIMEOUT_SECONDS))
        except grpc.aio.AioRpcError as error:
            raise self._translate(error) from error
        return answer.certificate_pem, answer.ca_pem

    async def watch(self, frames: AsyncIterator[bytes]) -> None:
        """See the port."""
        try:
            await _kept(self._stub().Watch(_messages(frames)))
        except grpc.aio.AioRpcError as error:
            raise self._translate(error) from error

    async def wishes(self) -> AsyncIterator[bytes]:
        """See the port."""
        call = self._stub().Wishes(fleet_pb2.WishesRequest(accounts=True))
        try:
            while (wish := await _kept(call.read())) is not grpc.aio.EOF:
                yield wish.SerializeToString()
        except grpc.aio.AioRpcError as error:
            raise self._translate(error) from error
        finally:
            call.cancel()

    def reload(self) -> None:
        """The identity changed: the next call opens a new channel, and the next Sync closes the old one."""
        if self._channel is not None:
            self._retired.append(self._channel)
            self._channel = None

    async def close(self) -> None:
        self.reload()
        await self._close_retired()

    async def _close_retired(self) -> None:
        while self._retired:
            await self._retired.pop().close(0.5)

    def _stub(self) -> fleet_pb2_grpc.FleetAsyncStub:
        if self._channel is None:
            own = self._identity()
            credentials = grpc.ssl_channel_credentials(own.ca, own.key, own.certificate)
            self._channel = grpc.aio.secure_channel(own.member.fleet_address, credentials, options=_OPTIONS)
        return fleet_pb2_grpc.FleetStub(self._channel)  # type: ignore[return-value]  # the generated stub serves both kinds of channel

    def _translate(self, error: grpc.aio.AioRpcError) -> LongshoreError:
        code, details = error.code(), error.details() or ""
        if code in _NOT_ADMITTED:
            reason = details or "it was deleted; join again with a new token"
            return Rejected(f"the control plane does not admit this box: {reason}")
        if code in _OUR_FAULT:
            return Rejected(
                f"the control plane does not understand this agent ({details}); update the older of the two"
            )
        return Retryable(_untrusted(details) or f"the control plane is away: {_reason(code, details)}")


def _grant(told: fleet_pb2.FileGrant, now_unix_ms: int) -> Grant:
    """By the control plane's clock, it runs out after a time that this box can measure."""
    seconds = (told.expires_unix_ms - now_unix_ms) / 1000 if told.expires_unix_ms else math.inf
    return Grant(told.base_url, told.bearer, told.metadata_url, told.metadata_version, seconds)


async def _kept(call: Awaitable[T]) -> T:
    """The answer. A channel that is closed under its calls, as after a renewal, is a wire that broke: Retryable."""
    try:
        return await call
    except asyncio.CancelledError:
        if cancelled():
            raise
        raise Retryable("the connection to the control plane was closed and is opened anew") from None


def _untrusted(details: str) -> str:
    """What is wrong with the certificate that the server showed, by gRPC's details; "" when that is not the trouble."""
    if "not yet valid" in details or "has expired" in details:
        return "the control plane's certificate is not valid by this box's clock; set the clock, or run NTP"
    if "Hostname Verification" in details:
        return (
            "what answers at the control plane's address shows a certificate for another name; start the control plane "
            "with that address in --advertise, or join this box again at the right one"
        )
    if "CERTIFICATE_VERIFY_FAILED" in details:
        return (
            "what answers at the control plane's address shows a certificate of another CA: it is another control "
            "plane, or somebody sits in between; nothing was sent to it"
        )
    return ""


def _reason(code: grpc.StatusCode, details: str) -> str:
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"no answer within {TIMEOUT_SECONDS:g} s"
    return f"{code.name.lower()} ({details[:200]})"


async def _messages(frames: AsyncIterator[bytes]) -> AsyncIterator[fleet_pb2.WatchFrame]:
    async for frame in frames:
        yield fleet_pb2.WatchFrame.FromString(frame)

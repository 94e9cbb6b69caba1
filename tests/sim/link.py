"""A control plane without a wire; implements agent.ports.FleetLink."""

from __future__ import annotations

from collections.abc import AsyncIterator

from agent.ports import Clock, Grant, SyncReply
from protos import fleet_pb2
from protos.errors import LongshoreError


class SimLink:
    """`desired` is answered to every Sync, unless `failure` is set. `offset`: how far its clock is ahead of the box."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.desired = fleet_pb2.DesiredState(generation=1, sync_interval_seconds=15)
        self.answer: bytes | None = None  # instead of `desired`
        self.failure: LongshoreError | None = None
        self.offset = 0.0
        self.metadata_version = 0
        self.reports: list[fleet_pb2.SyncRequest] = []
        self.times: list[float] = []

    async def sync(self, report: bytes) -> SyncReply:
        self.times.append(self.clock.monotonic())
        self.reports.append(fleet_pb2.SyncRequest.FromString(report))
        if self.failure is not None:
            raise self.failure
        content = self.desired.SerializeToString() if self.answer is None else self.answer
        grant = Grant("https://files", f"bearer-{len(self.times)}", "https://metadata", self.metadata_version)
        return SyncReply(content, grant, self.clock.unix() + self.offset)

    async def renew(self, csr_pem: str) -> tuple[str, str]:
        raise NotImplementedError

    async def watch(self, frames: AsyncIterator[bytes]) -> None:
        raise NotImplementedError

    async def wishes(self) -> AsyncIterator[bytes]:
        raise NotImplementedError
        yield b""

    async def close(self) -> None:
        return

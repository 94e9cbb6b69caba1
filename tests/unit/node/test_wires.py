"""What a box is connected to: one connection at a time, whatever meets."""

from __future__ import annotations

import asyncio

import pytest

from agent import wires
from agent.adapters.cloud_grpc import GrpcCloud
from agent.desired import CloudNode
from agent.identity.store import Identity, Membership
from agent.ports import CloudInference
from agent.wires import CloudWire
from protos.ids import NodeId

HERE = Identity(Membership(NodeId("quay-1"), "https://127.0.0.1:8443", "127.0.0.1:8444"), b"", b"", b"")
NODE = CloudNode("cloud-1", "grpc://127.0.0.1:1")


async def test_a_wish_and_a_renewal_that_meet_leave_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[GrpcCloud] = []
    closed: list[GrpcCloud] = []

    class Slow(GrpcCloud):
        """Takes a moment to close, as a broker's goodbye does."""

        def __init__(self, *given: object) -> None:
            super().__init__(*given)  # type: ignore[arg-type]  # as they came
            made.append(self)

        async def close(self) -> None:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await super().close()
            closed.append(self)

    monkeypatch.setattr(wires, "GrpcCloud", Slow)
    offered: list[CloudInference | None] = []
    wire = CloudWire(lambda: HERE, offered.append)
    await wire.connect([NODE])
    await asyncio.gather(wire.renewed(), wire.connect([NODE]), wire.connect([NODE]))
    assert len(made) - len(closed) == 1
    assert offered[-1] is made[-1]
    await wire.close()
    assert closed == made

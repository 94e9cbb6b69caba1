"""FleetLink over real mutual TLS: what is said, what is heard, and what each failure means."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import grpc
import pytest

from agent.adapters.fleet_grpc import GrpcFleetLink
from agent.identity.store import Identity
from protos import fleet_pb2
from protos.errors import Rejected, Retryable
from tests.sim.authority import DAY, SimAuthority
from tests.sim.fleet_server import SimFleetServer
from tests.unit.link.conftest import Joined


def report(generation: int = 0) -> bytes:
    return fleet_pb2.SyncRequest(observed_generation=generation, boot_id="boot").SerializeToString()


async def test_a_report_goes_up_and_desired_state_comes_down(joined: Joined) -> None:
    joined.fleet.desired.generation = 7
    reply = await joined.link.sync(report(3))
    assert fleet_pb2.DesiredState.FromString(reply.desired).generation == 7
    assert (reply.grant.bearer, reply.grant.url) == ("secret", joined.fleet.grant.base_url)
    assert abs(reply.clock_unix - time.time()) < 5
    node, told = joined.fleet.reports[0]
    assert (node, told.observed_generation) == ("quay-1", 3)


async def test_the_same_desired_state_is_the_same_bytes(joined: Joined) -> None:
    joined.fleet.desired.labels.update({f"key{n}": "value" for n in range(20)})
    assert (await joined.link.sync(report())).desired == (await joined.link.sync(report())).desired


async def test_a_deleted_box_is_told_so_for_good(joined: Joined) -> None:
    joined.fleet.deleted.add("quay-1")
    with pytest.raises(Rejected, match=r"quay-1 was deleted.*new token"):
        await joined.link.sync(report())


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN])
async def test_trouble_in_the_control_plane_passes(joined: Joined, code: grpc.StatusCode) -> None:
    joined.fleet.failing = code
    with pytest.raises(Retryable, match="away"):
        await joined.link.sync(report())
    joined.fleet.failing = None
    await joined.link.sync(report())


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
async def test_a_revoked_box_is_rejected(joined: Joined, code: grpc.StatusCode) -> None:
    joined.fleet.failing = code
    with pytest.raises(Rejected, match="does not admit"):
        await joined.link.sync(report())


async def test_a_control_plane_that_is_down_is_retryable(identities: Callable[[str], Identity], free_port: int) -> None:
    link = GrpcFleetLink(lambda: identities(f"127.0.0.1:{free_port}"))
    with pytest.raises(Retryable, match="away"):
        await link.sync(report())
    await link.close()


async def test_a_control_plane_that_comes_back_is_found_again(
    identities: Callable[[str], Identity], authority: SimAuthority, free_port: int
) -> None:
    link = GrpcFleetLink(lambda: identities(f"127.0.0.1:{free_port}"))
    with pytest.raises(Retryable):
        await link.sync(report())
    async with SimFleetServer(authority).running(port=free_port):
        await link.sync(report())
        await link.close()


async def test_a_server_of_another_ca_is_not_talked_to(identities: Callable[[str], Identity]) -> None:
    impostor = SimFleetServer(SimAuthority(now=time.time(), name="impostor"))
    async with impostor.running():
        link = GrpcFleetLink(lambda: identities(impostor.address))
        with pytest.raises(Retryable, match="shows a certificate of another CA"):
            await link.sync(report())
        await link.close()
    assert impostor.reports == []


async def test_a_server_with_a_certificate_for_another_name_is_not_talked_to(
    identities: Callable[[str], Identity], authority: SimAuthority
) -> None:
    fleet = SimFleetServer(authority)
    async with fleet.running(authority.server("127.0.0.9")):
        link = GrpcFleetLink(lambda: identities(fleet.address))
        with pytest.raises(Retryable, match=r"shows a certificate for another name.*--advertise"):
            await link.sync(report())
        await link.close()
    assert fleet.reports == []


@pytest.mark.parametrize(("life", "backdated"), [(-1 * DAY, 30 * DAY), (30 * DAY, -5 * DAY)])
async def test_a_server_whose_certificate_is_not_valid_now_makes_the_clock_suspect(
    identities: Callable[[str], Identity], authority: SimAuthority, life: float, backdated: float
) -> None:
    fleet = SimFleetServer(authority)
    async with fleet.running(authority.server(life=life, backdated=backdated)):
        link = GrpcFleetLink(lambda: identities(fleet.address))
        with pytest.raises(Retryable, match="not valid by this box's clock; set the clock"):
            await link.sync(report())
        await link.close()


@pytest.mark.parametrize("days", [-1.0, 1.0])
async def test_a_box_clock_a_day_wrong_still_reaches_the_control_plane(
    identities: Callable[[str], Identity], authority: SimAuthority, days: float
) -> None:
    """As seen from the box, all leaves were issued a day ago, or will be tomorrow."""
    authority.now += days * DAY
    fleet = SimFleetServer(authority)
    async with fleet.running(authority.server()):
        link = GrpcFleetLink(lambda: identities(fleet.address))
        await link.sync(report())
        await link.close()


async def test_a_renewed_certificate_is_used_from_the_next_call_on(joined: Joined) -> None:
    await joined.link.sync(report())
    old = joined.store.load()
    key = joined.keys.new_key()
    joined.store.stage_key(key)
    certificate, ca = await joined.link.renew(joined.keys.request(key, "quay-1"))
    joined.store.commit(old.member, certificate.encode(), ca.encode())
    joined.link.reload()
    await joined.link.sync(report())
    assert joined.fleet.certificates[0].encode() == old.certificate
    assert joined.fleet.certificates[-1] == certificate


async def test_what_somebody_looks_at_is_streamed(joined: Joined) -> None:
    async def frames() -> AsyncIterator[bytes]:
        for line in ("one", "two"):
            yield fleet_pb2.WatchFrame(log=fleet_pb2.LogLine(message=line)).SerializeToString()

    await joined.link.watch(frames())
    assert [frame.log.message for frame in joined.fleet.frames] == ["one", "two"]


async def test_wishes_come_as_they_are_told(joined: Joined) -> None:
    joined.fleet.wishes = [fleet_pb2.SnapshotWish(number=number, camera="gate") for number in (1, 2)]
    told = [fleet_pb2.SnapshotWish.FromString(wish).number async for wish in joined.link.wishes()]
    assert told == [1, 2]
    joined.fleet.deleted.add("quay-1")
    with pytest.raises(Rejected, match="deleted"):
        assert [wish async for wish in joined.link.wishes()] == []


async def test_a_refused_stream_says_why(joined: Joined) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        return
        yield b""

    joined.fleet.deleted.add("quay-1")
    with pytest.raises(Rejected, match="deleted"):
        await joined.link.watch(nothing())


async def test_a_watch_whose_channel_is_renewed_under_it_ends_as_a_broken_wire(joined: Joined) -> None:
    async def frames() -> AsyncIterator[bytes]:
        while True:
            yield fleet_pb2.WatchFrame().SerializeToString()
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(joined.link.watch(frames()))
    async with asyncio.timeout(5):
        while not joined.fleet.frames:  # noqa: ASYNC110 - the far side has no event to wait for
            await asyncio.sleep(0.01)
    joined.link.reload()
    await joined.link.sync(report())
    with pytest.raises(Retryable, match="opened anew"):
        await watching

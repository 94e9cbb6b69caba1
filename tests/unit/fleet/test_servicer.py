"""The gRPC side over real mutual TLS: who a box is, is what its certificate proves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import astuple
from pathlib import Path

import grpc
import grpc.aio
import pytest

from controlplane.adapters.fleet_server import fleet_server
from controlplane.adapters.tls import ServerCertificate
from controlplane.adapters.x509 import LocalAuthority, new_ca
from controlplane.fleet import servicer
from controlplane.fleet.accounts import FrameWish
from controlplane.fleet.looking import SnapshotWish
from controlplane.fleet.servicer import NEW_CAMERA_SECONDS, RECHECK_SECONDS
from controlplane.identity.domain import Wish
from protos import fleet_pb2, fleet_pb2_grpc
from protos.ids import CameraName, NodeId
from protos.regions import Region
from tests.sim.box_key import new_key
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane

JPEG = b"\xff\xd8\xff\xe0picture"


class Server:
    """A control plane with its gRPC port open, and boxes that join it."""

    def __init__(self, house: SimControlPlane, address: str) -> None:
        self.house = house
        self.address = address

    def join(self, name: str) -> tuple[bytes, bytes]:
        """A box's key and certificate."""
        key = new_key()
        token = self.house.identity.create_join_token(NodeId(name), {}, "edge", None)
        joined = self.house.identity.enrol(token.text, key.csr_pem, Wish(name, {}, ""), "test")
        return key.private_pem, joined.certificate.pem.encode()

    def channel(self, key: bytes | None, certificate: bytes | None) -> grpc.aio.Channel:
        ca = self.house.authority.ca_pem.encode()
        return grpc.aio.secure_channel(self.address, grpc.ssl_channel_credentials(ca, key, certificate))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SimControlPlane]:
    # TLS checks certificates against the real time, so this clock starts there.
    made = SimControlPlane(tmp_path, FakeClock(unix=time.time()), sync_interval_seconds=15)
    yield made
    made.close()


@pytest.fixture
async def server(house: SimControlPlane, tmp_path: Path, free_port: int) -> AsyncIterator[Server]:
    certificate = ServerCertificate(house.authority, ("localhost", "127.0.0.1"), house.clock, tmp_path)
    grpc_server = fleet_server("127.0.0.1", free_port, certificate.credentials())
    services = house.services
    servicer.register(grpc_server, services.identity, services.boxes, services.looking, services.clock)
    await grpc_server.start()
    yield Server(house, f"127.0.0.1:{free_port}")
    await grpc_server.stop(None)


async def refusal(call: object) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]  # grpc has no types
    return caught.value


async def test_a_box_syncs_as_whoever_its_certificate_names(server: Server) -> None:
    async with server.channel(*server.join("quay-1")) as channel:
        stub = fleet_pb2_grpc.FleetStub(channel)
        answer = await stub.Sync(fleet_pb2.SyncRequest(boot_id="b", inventory=fleet_pb2.Inventory(agent_version="9")))
    assert answer.desired.generation == 1
    assert answer.desired.labels == {"role": "edge"}
    node = server.house.services.fleet.get_node("quay-1")
    assert (node["status"]["phase"], node["status"]["inventory"]["agentVersion"]) == ("Online", "9")


async def test_the_grant_of_a_sync_opens_files(server: Server) -> None:
    async with server.channel(*server.join("quay-1")) as channel:
        answer = await fleet_pb2_grpc.FleetStub(channel).Sync(fleet_pb2.SyncRequest())
    assert answer.grant.base_url.endswith("/api/v1/blobs")
    headers = {"Authorization": f"Bearer {answer.grant.bearer}"}
    statuses = []
    for path in (f"blobs/{'0' * 64}", "nodes"):
        shown = await asyncio.to_thread(server.house.stranger.get, f"/api/v1/{path}", headers=headers)
        statuses.append(shown.status_code)
    assert statuses == [404, 401]


async def test_nobody_gets_in_without_a_certificate(server: Server) -> None:
    async with server.channel(None, None) as channel:
        error = await refusal(fleet_pb2_grpc.FleetStub(channel).Sync(fleet_pb2.SyncRequest(), timeout=10))
    assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_of_another_ca_is_refused_at_the_handshake(server: Server) -> None:
    key = new_key()
    stranger = LocalAuthority(*new_ca(time.time())).sign_device(key.csr_pem, NodeId("quay-1"), time.time(), 1)
    async with server.channel(key.private_pem, stranger.pem.encode()) as channel:
        error = await refusal(fleet_pb2_grpc.FleetStub(channel).Sync(fleet_pb2.SyncRequest(), timeout=10))
    assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_of_our_ca_that_nobody_was_given_is_refused(server: Server) -> None:
    """Our own server's, for example: the CA alone makes nobody a box."""
    key = new_key()
    forged = server.house.authority.sign_device(key.csr_pem, NodeId("quay-1"), time.time(), 1)
    server.join("quay-1")
    async with server.channel(key.private_pem, forged.pem.encode()) as channel:
        error = await refusal(fleet_pb2_grpc.FleetStub(channel).Sync(fleet_pb2.SyncRequest()))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_deleted_node_is_refused_at_its_next_call_with_a_sentence(server: Server) -> None:
    async with server.channel(*server.join("quay-1")) as channel:
        stub = fleet_pb2_grpc.FleetStub(channel)
        await stub.Sync(fleet_pb2.SyncRequest())
        server.house.services.fleet.delete_node("quay-1")
        error = await refusal(stub.Sync(fleet_pb2.SyncRequest()))
        renewal = await refusal(stub.Renew(fleet_pb2.RenewRequest(csr_pem=new_key().csr_pem)))
    for each in (error, renewal):
        assert each.code() is grpc.StatusCode.UNAUTHENTICATED
        assert "join again with a new token" in str(each.details())


async def test_a_renewed_certificate_works_beside_the_old_one(server: Server) -> None:
    old = server.join("quay-1")
    key = new_key()
    async with server.channel(*old) as channel:
        renewed = await fleet_pb2_grpc.FleetStub(channel).Renew(fleet_pb2.RenewRequest(csr_pem=key.csr_pem))
    assert renewed.ca_pem == server.house.authority.ca_pem
    assert renewed.not_after_unix_ms > time.time() * 1000
    for pair in ((key.private_pem, renewed.certificate_pem.encode()), old):
        async with server.channel(*pair) as channel:
            await fleet_pb2_grpc.FleetStub(channel).Sync(fleet_pb2.SyncRequest())


async def test_a_request_that_is_no_csr_is_refused(server: Server) -> None:
    async with server.channel(*server.join("quay-1")) as channel:
        error = await refusal(fleet_pb2_grpc.FleetStub(channel).Renew(fleet_pb2.RenewRequest(csr_pem="nonsense")))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


def shot(camera: str, content: bytes = JPEG) -> fleet_pb2.WatchFrame:
    return fleet_pb2.WatchFrame(picture=fleet_pb2.Picture(camera=camera, captured_unix_ms=7, jpeg=content))


def said(text: str) -> fleet_pb2.WatchFrame:
    return fleet_pb2.WatchFrame(log=fleet_pb2.LogLine(unix_ms=7, level="INFO", logger="agent", message=text))


def add_camera(server: Server, name: str, node: str) -> None:
    server.house.services.fleet.apply_camera(name, {"spec": {"node": node, "source": "synthetic://harbour"}})


async def test_pictures_and_lines_of_a_watch_can_be_looked_at(server: Server) -> None:
    box = server.join("quay-1")
    add_camera(server, "gate", "quay-1")

    async def frames() -> AsyncIterator[fleet_pb2.WatchFrame]:
        for frame in (shot("gate", JPEG + b"1"), said("hello rtsp://u:hunter2@cam/"), shot("gate", JPEG + b"2")):
            yield frame

    async with server.channel(*box) as channel:
        summary = await fleet_pb2_grpc.FleetStub(channel).Watch(frames())
    assert summary.received == 3
    looking = server.house.services.looking
    picture = looking.picture(CameraName("gate"))
    assert picture is not None
    assert picture.jpeg == JPEG + b"2"
    assert [line.message for line in looking.lines(NodeId("quay-1"))] == ["hello rtsp://***@cam/"]


async def test_a_camera_added_while_somebody_looks_is_shown_soon(server: Server) -> None:
    box = server.join("quay-1")
    add_camera(server, "gate", "quay-1")
    looking = server.house.services.looking

    async def frames() -> AsyncIterator[fleet_pb2.WatchFrame]:
        yield shot("gate")
        while looking.picture(CameraName("gate")) is None:
            await looking.changed(5)
        add_camera(server, "berth", "quay-1")
        server.house.clock.tick(NEW_CAMERA_SECONDS + 0.1)
        yield shot("berth")

    async with server.channel(*box) as channel:
        await fleet_pb2_grpc.FleetStub(channel).Watch(frames())
    assert looking.picture(CameraName("berth")) is not None


async def test_a_box_shows_its_own_cameras_only_and_only_jpegs_of_a_sane_size(server: Server) -> None:
    box = server.join("quay-1")
    server.join("quay-2")
    add_camera(server, "gate", "quay-1")
    add_camera(server, "berth", "quay-2")

    async def frames() -> AsyncIterator[fleet_pb2.WatchFrame]:
        yield shot("berth")
        yield shot("gate", b"<script>")
        yield shot("gate", JPEG + bytes(1 << 20))
        yield fleet_pb2.WatchFrame()

    async with server.channel(*box) as channel:
        summary = await fleet_pb2_grpc.FleetStub(channel).Watch(frames())
    assert summary.received == 4
    looking = server.house.services.looking
    assert looking.picture(CameraName("berth")) is looking.picture(CameraName("gate")) is None


async def test_the_stream_of_a_deleted_box_ends_soon(server: Server) -> None:
    box = server.join("quay-1")

    async def frames() -> AsyncIterator[fleet_pb2.WatchFrame]:
        yield said("one")
        while not server.house.services.looking.lines(NodeId("quay-1")):
            await server.house.services.looking.changed(5)
        server.house.services.fleet.delete_node("quay-1")
        server.house.clock.tick(RECHECK_SECONDS + 1)
        yield said("two")

    async with server.channel(*box) as channel:
        error = await refusal(fleet_pb2_grpc.FleetStub(channel).Watch(frames()))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert server.house.services.looking.lines(NodeId("quay-1")) == []


async def test_a_wish_is_told_to_the_cameras_box_alone_and_answered_by_its_snapshot(server: Server) -> None:
    boxes = server.join("quay-1"), server.join("quay-2")
    add_camera(server, "gate", "quay-1")
    add_camera(server, "berth", "quay-2")
    looking, part = server.house.services.looking, Region(0.2, 0.3, 0.4, 0.5)
    wish = SnapshotWish(CameraName("gate"), 640, 80, part)
    waiting = asyncio.create_task(asyncio.to_thread(looking.wait_snapshot, wish, 10.0))
    async with server.channel(*boxes[1]) as channel:
        others = fleet_pb2_grpc.FleetStub(channel).Wishes(fleet_pb2.WishesRequest())
        async with server.channel(*boxes[0]) as own:
            stub = fleet_pb2_grpc.FleetStub(own)
            told = await stub.Wishes(fleet_pb2.WishesRequest()).read()
            assert (told.camera, told.max_side, told.quality) == ("gate", 640, 80)
            assert (told.region.x0, told.region.y0, told.region.x1, told.region.y1) == astuple(part)

            async def frames() -> AsyncIterator[fleet_pb2.WatchFrame]:
                for jpeg in (b"<script>", JPEG):
                    taken = fleet_pb2.Snapshot(wish=told.number, camera="gate", captured_unix_ms=7, jpeg=jpeg)
                    yield fleet_pb2.WatchFrame(snapshot=taken)

            await stub.Watch(frames())
        server.house.clock.tick(RECHECK_SECONDS + 1)
        assert await others.read() is grpc.aio.EOF, "it ends, and has told nothing"
    snapshot = await waiting
    assert snapshot is not None
    assert (snapshot.jpeg, snapshot.captured_unix_ms) == (JPEG, 7)


async def test_a_box_answers_for_its_own_cameras_only(server: Server) -> None:
    box = server.join("quay-2")
    server.join("quay-1")
    add_camera(server, "gate", "quay-1")
    looking = server.house.services.looking
    waiting = asyncio.create_task(
        asyncio.to_thread(looking.wait_snapshot, SnapshotWish(CameraName("gate"), 640, 80), 1.0)
    )
    while not (wishes := looking.wishes({CameraName("gate")})):
        await looking.changed(5)

    async def frames() -> AsyncIterator[fleet_pb2.WatchFrame]:
        yield fleet_pb2.WatchFrame(snapshot=fleet_pb2.Snapshot(wish=wishes[0].number, camera="gate", jpeg=JPEG))

    async with server.channel(*box) as channel:
        await fleet_pb2_grpc.FleetStub(channel).Watch(frames())
    assert await waiting is None


async def test_a_question_about_a_frame_reaches_boxes_that_can_answer_it_alone_and_their_own_cameras_count(
    server: Server,
) -> None:
    box, other = server.join("quay-1"), server.join("quay-2")
    add_camera(server, "gate", "quay-1")
    looking = server.house.services.looking
    waiting = asyncio.create_task(asyncio.to_thread(looking.wait_accounts, FrameWish(CameraName("gate"), 17), 10.0))
    async with server.channel(*box) as channel, server.channel(*other) as foreign:
        stub = fleet_pb2_grpc.FleetStub(channel)
        older = stub.Wishes(fleet_pb2.WishesRequest())
        told = await stub.Wishes(fleet_pb2.WishesRequest(accounts=True)).read()
        assert (told.camera, told.HasField("frame"), told.frame.seq) == ("gate", True, 17)

        async def frames(why: str) -> AsyncIterator[fleet_pb2.WatchFrame]:
            account = fleet_pb2.FrameAccount(deployment="watch", seq=17, why=why, features={"slack\x00": float("nan")})
            told_of = fleet_pb2.FrameAccounts(wish=told.number, camera="gate", accounts=[account])
            yield fleet_pb2.WatchFrame(accounts=told_of)

        await fleet_pb2_grpc.FleetStub(foreign).Watch(frames("forged"))
        await stub.Watch(frames("It was run on the box.\x1b[31m"))
        server.house.clock.tick(RECHECK_SECONDS + 1)
        assert await older.read() is grpc.aio.EOF, "it would have taken it for a snapshot"
    accounts = await waiting
    assert accounts is not None
    (account,) = accounts.accounts
    assert (account.seq, account.why, account.features) == (17, "It was run on the box. [31m", {"slack ": 0.0})

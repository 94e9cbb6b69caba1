"""Joining over real TLS: the secret leaves the box only towards the control plane that made the token."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.enroll_https import HttpsFrontDoor
from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.x509 import X509Keys
from agent.identity.joining import Wish, join
from agent.identity.store import Identity
from protos.errors import InvalidToken, LongshoreError, Rejected, Retryable
from protos.tokens import JoinToken
from tests.sim.authority import DAY, SimAuthority
from tests.sim.front_door import SECRET, SimFrontDoor
from tests.sim.https import Reply, Request, SimHttps


@dataclass
class Quay:
    """A box with an empty state directory, in front of a control plane."""

    folder: Path
    authority: SimAuthority
    door: SimFrontDoor
    server: SimHttps

    @property
    def store(self) -> IdentityDirectory:
        return IdentityDirectory(self.folder, X509Keys())

    async def join(self, token: JoinToken | None = None, url: str | None = None, **wish: Any) -> Identity:
        wished = Wish(token or self.door.token(), labels={"site": "harbour"}, agent_version="0.1.0", **wish)
        door = HttpsFrontDoor(url or self.server.url)
        return await asyncio.to_thread(join, wished, door, X509Keys(), self.store)

    @property
    def sent(self) -> bytes:
        """Everything the server read."""
        return b"".join(request.body + repr(request).encode() for request in self.server.requests)


@pytest.fixture
def authority() -> SimAuthority:
    return SimAuthority(now=time.time())


@pytest.fixture
async def quay(tmp_path: Path, authority: SimAuthority) -> AsyncIterator[Quay]:
    door = SimFrontDoor(authority, "127.0.0.1:8444")
    tls = authority.server_context(tmp_path, authority.server())
    async with SimHttps(door, tls).running() as server:
        yield Quay(tmp_path / "state", authority, door, server)


async def test_a_box_with_a_token_becomes_a_member(quay: Quay) -> None:
    identity = await quay.join()
    assert (identity.member.node_id, identity.member.fleet_address) == ("quay-1", "127.0.0.1:8444")
    assert identity.member.url == quay.server.url
    assert quay.store.load() == identity
    assert X509Keys().facts(identity.certificate).node_id == "quay-1"


async def test_the_request_carries_name_labels_role_and_no_key(quay: Quay) -> None:
    quay.door.role = "cloud"
    await quay.join(node_id="gate-7", role="cloud")
    sent = json.loads(quay.server.requests[1].body)
    assert (sent["nodeId"], sent["role"], sent["labels"]) == ("gate-7", "cloud", {"site": "harbour"})
    assert "PRIVATE" not in quay.sent.decode()


async def test_the_token_decides_the_role_and_it_is_kept(quay: Quay) -> None:
    quay.door.role = "cloud"
    assert (await quay.join()).member.role == "cloud"
    assert "role" not in json.loads(quay.server.requests[1].body)
    assert quay.store.load().member.role == "cloud"


async def test_the_key_is_readable_by_its_user_only(quay: Quay) -> None:
    quay.door.lost_answers = 1
    with pytest.raises(Retryable):
        await quay.join()
    keys = list((quay.folder / "identity").glob("key*"))
    assert [stat.S_IMODE(key.stat().st_mode) for key in keys] == [0o600]
    await quay.join()
    keys = list((quay.folder / "identity").glob("key*"))
    assert [(key.name, stat.S_IMODE(key.stat().st_mode)) for key in keys] == [("key.pem", 0o600)]


async def test_the_secret_is_in_no_file_and_no_text(quay: Quay) -> None:
    identity = await quay.join()
    kept = b"".join(path.read_bytes() for path in (quay.folder / "identity").iterdir())
    assert SECRET.encode() not in kept
    assert SECRET not in repr(identity)
    assert "PRIVATE" not in repr(identity)


async def test_a_token_of_another_control_plane_never_shows_its_secret(quay: Quay) -> None:
    other = SimAuthority(now=time.time(), name="other")
    with pytest.raises(InvalidToken, match="another control plane"):
        await quay.join(JoinToken(other.pin, "abcdefgh", SECRET))
    assert SECRET.encode() not in quay.sent
    assert not quay.store.joined


async def test_a_server_that_shows_our_ca_but_has_another_certificate_gets_no_secret(
    quay: Quay, tmp_path: Path
) -> None:
    thief = SimAuthority(now=time.time(), name="thief")
    async with SimHttps(quay.door, thief.server_context(tmp_path, thief.server())).running() as server:
        with pytest.raises(Rejected, match="its own CA does not vouch"):
            await quay.join(url=server.url)
        assert SECRET.encode() not in b"".join(request.body for request in server.requests)


async def test_a_genuine_ca_with_a_thiefs_beside_it_gets_no_secret(quay: Quay, tmp_path: Path) -> None:
    thief = SimAuthority(now=time.time(), name="thief")
    for shown in (quay.authority.pem + thief.pem, thief.pem + quay.authority.pem):
        quay.door.shows = shown
        async with SimHttps(quay.door, thief.server_context(tmp_path, thief.server())).running() as server:
            with pytest.raises(Rejected, match="2 certificates came where one belongs"):
                await quay.join(url=server.url)
            assert [request.method for request in server.requests] == ["GET"]


async def test_a_second_ca_slipped_into_the_answer_is_not_kept(quay: Quay) -> None:
    quay.door.gives = quay.authority.pem + SimAuthority(now=time.time(), name="thief").pem
    with pytest.raises(Rejected, match="where one belongs"):
        await quay.join()
    assert not quay.store.joined


async def test_what_else_stands_in_the_file_of_the_ca_is_not_kept(quay: Quay) -> None:
    quay.door.shows = quay.door.gives = b"Subject: our CA\n" + quay.authority.pem + b"\nthe end\n"
    assert (await quay.join()).ca == quay.authority.pem


async def test_a_certificate_for_another_name_gets_no_secret(quay: Quay, tmp_path: Path) -> None:
    tls = quay.authority.server_context(tmp_path, quay.authority.server("127.0.0.9"))
    async with SimHttps(quay.door, tls).running() as server:
        with pytest.raises(Rejected, match="under this name"):
            await quay.join(url=server.url)
        assert [request.method for request in server.requests] == ["GET"]


async def test_a_token_used_twice_is_refused(quay: Quay, tmp_path: Path) -> None:
    await quay.join()
    quay.folder = tmp_path / "second"
    with pytest.raises(InvalidToken, match="used already"):
        await quay.join()
    assert not quay.store.joined


async def test_when_the_answer_gets_lost_the_second_try_joins(quay: Quay) -> None:
    quay.door.lost_answers = 1
    with pytest.raises(Retryable, match="cannot be reached"):
        await quay.join()
    assert not quay.store.joined
    assert (await quay.join()).member.node_id == "quay-1"
    assert quay.store.joined


async def test_a_try_with_another_token_begins_with_another_key(quay: Quay) -> None:
    quay.door.lost_answers = 1
    with pytest.raises(Retryable):
        await quay.join()
    await quay.join(quay.door.token("ijklmnop"))
    assert quay.door.spent["abcdefgh"] != quay.door.spent["ijklmnop"]
    assert [path.name for path in (quay.folder / "identity").glob("key*")] == ["key.pem"]


async def test_a_member_of_this_fleet_may_join_again(quay: Quay) -> None:
    first = await quay.join()
    again = await quay.join(quay.door.token("ijklmnop"))
    assert again.key != first.key
    assert quay.store.load() == again


async def test_a_member_of_another_fleet_leaves_it_only_when_told_to(quay: Quay, tmp_path: Path) -> None:
    first = await quay.join()
    door = SimFrontDoor(SimAuthority(now=time.time(), name="other"), "127.0.0.1:9444")
    tls = door.authority.server_context(tmp_path, door.authority.server())
    async with SimHttps(door, tls).running() as server:
        with pytest.raises(Rejected, match=f"in the fleet of {quay.server.url}.*--replace"):
            await quay.join(door.token(), server.url)
        assert (quay.store.load(), server.requests) == (first, [])
        await quay.join(door.token(), server.url, leave_fleet=True)
    assert quay.store.load().member.fleet_address == "127.0.0.1:9444"


async def test_joining_mends_an_identity_that_cannot_be_read(quay: Quay) -> None:
    await quay.join()
    (quay.folder / "identity" / "node.json").write_text("garbage")
    await quay.join(quay.door.token("ijklmnop"))
    assert quay.store.load().member.node_id == "quay-1"


async def test_an_expired_token_is_refused(quay: Quay) -> None:
    quay.door.expired = True
    with pytest.raises(InvalidToken, match="expired"):
        await quay.join()


async def test_an_unreachable_control_plane_is_retryable(quay: Quay, free_port: int) -> None:
    with pytest.raises(Retryable, match="cannot be reached"):
        await quay.join(url=f"https://127.0.0.1:{free_port}")


@pytest.mark.parametrize("days", [-1.0, 1.0])
async def test_a_box_clock_a_day_wrong_still_joins(tmp_path: Path, days: float) -> None:
    authority = SimAuthority(now=time.time() + days * DAY)
    door = SimFrontDoor(authority)
    tls = authority.server_context(tmp_path, authority.server())
    async with SimHttps(door, tls).running() as server:
        await Quay(tmp_path / "state", authority, door, server).join()


@pytest.mark.parametrize("days", [-400.0, 400.0])
async def test_a_box_clock_beyond_the_certificates_is_named(tmp_path: Path, days: float) -> None:
    authority = SimAuthority(now=time.time() + days * DAY)
    door = SimFrontDoor(authority)
    tls = authority.server_context(tmp_path, authority.server())
    async with SimHttps(door, tls).running() as server:
        with pytest.raises(Rejected, match="this box's clock"):
            await Quay(tmp_path / "state", authority, door, server).join()


@pytest.mark.parametrize(
    "url",
    ["http://fleet:8443", "fleet", "ftp://fleet", "https://", "https://fleet/path", "https://[::1", "https://fleet:x"],
)
def test_an_address_that_is_not_https_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(Rejected, match="https://HOST"):
        HttpsFrontDoor(url)


def answering(reply: Reply) -> SimHttps:
    return SimHttps(lambda _: reply)


@pytest.mark.parametrize(
    ("reply", "kind", "sentence"),
    [
        (Reply(404, b"<html>"), Rejected, "no Longshore control plane"),
        (Reply(200, b"<html>hello</html>"), Rejected, "no PEM certificate"),
        (Reply(200, b"x" * 1_000_000), Rejected, "more than"),
        (Reply(302, b"", {"Location": "http://127.0.0.1:1/"}), Rejected, "no Longshore control plane"),
        (Reply(raw=b"SSH-2.0-OpenSSH\r\n\r\n"), Retryable, "cannot be reached"),
    ],
)
async def test_what_is_no_control_plane_is_said_to_be_none(
    quay: Quay, reply: Reply, kind: type[LongshoreError], sentence: str
) -> None:
    quay.server.handler = lambda _: reply
    with pytest.raises(kind, match=sentence):
        await quay.join()
    assert not quay.store.joined


@pytest.mark.parametrize(
    ("status", "body", "kind", "sentence"),
    [
        (401, b'{"error": {"code": "x", "message": "not known here"}}', InvalidToken, "not known here"),
        (422, b'{"error": {"code": "x", "message": "bad label"}}', Rejected, "bad label"),
        (409, b'{"error": {"code": "x", "message": "name taken"}}', InvalidToken, "name taken"),
        (503, b"busy", Retryable, "503"),
        (200, b"not json", Rejected, "not readable"),
        (200, b"{}", Rejected, "no PEM certificate"),
    ],
)
async def test_each_refusal_of_the_token_keeps_its_sentence(
    quay: Quay, status: int, body: bytes, kind: type[LongshoreError], sentence: str
) -> None:
    door = quay.door

    def handler(request: Request) -> Reply:
        return door(request) if request.method == "GET" else Reply(status, body)

    quay.server.handler = handler
    with pytest.raises(kind, match=sentence):
        await quay.join()
    assert not quay.store.joined


async def test_a_certificate_of_another_ca_is_not_kept(quay: Quay) -> None:
    quay.door.signer = SimAuthority(now=time.time(), name="other")
    with pytest.raises(Rejected, match="another CA"):
        await quay.join()
    assert not quay.store.joined


async def test_a_certificate_for_another_box_is_not_kept(quay: Quay) -> None:
    quay.door.other_node = "somebody-else"
    with pytest.raises(Rejected, match="another box"):
        await quay.join()
    assert not quay.store.joined


def test_a_box_that_has_not_joined_says_how(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="longshore-agent join"):
        IdentityDirectory(tmp_path, X509Keys()).load()


async def test_the_root_of_signed_metadata_comes_with_the_certificate_and_is_for_this_user_alone(quay: Quay) -> None:
    quay.door.root = b"the newest root"
    await quay.join()
    kept = quay.folder / "identity" / "root.json"
    assert kept.read_bytes() == b"the newest root"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


async def test_a_control_plane_without_a_root_takes_none_away_from_its_box(quay: Quay) -> None:
    quay.door.root = b"a root"
    await quay.join()
    quay.door.root = b""
    await quay.join(quay.door.token("ijklmnop"))
    assert (quay.folder / "identity" / "root.json").read_bytes() == b"a root"

"""A certificate renews itself, also after it expired; a crash at any write leaves a key and a certificate that fit."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import load_pem_x509_certificate, load_pem_x509_csr

from agent.adapters import files
from agent.adapters.enroll_https import HttpsLateDoor
from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.x509 import X509Keys
from agent.errors import DiskFull
from agent.identity.renewal import LATE_RETRY_SECONDS, LOOK_SECONDS, RETRY_SECONDS, Renewal
from agent.identity.store import Identity, Membership
from protos.errors import LongshoreError, Rejected, Retryable
from protos.ids import NodeId
from tests.sim.authority import DAY, SimAuthority
from tests.sim.clock import FakeClock
from tests.sim.front_door import SimFrontDoor
from tests.sim.https import Reply, SimHttps
from tests.sim.link import SimLink

MEMBER = Membership(NodeId("quay-1"), "https://127.0.0.1:8443", "127.0.0.1:8444")


class RenewingLink(SimLink):
    """Signs with `authority`, for `node`."""

    def __init__(self, clock: FakeClock, authority: SimAuthority) -> None:
        super().__init__(clock)
        self.authority = authority
        self.node = "quay-1"
        self.gives = authority.pem  # the CA beside the certificate
        self.renewals = 0

    async def renew(self, csr_pem: str) -> tuple[str, str]:
        if self.failure is not None:
            raise self.failure
        self.renewals += 1
        self.authority.now = self.clock.unix() + self.offset
        return self.authority.device(csr_pem, self.node).decode(), self.gives.decode()


class SimLateDoor:
    """Signs with `authority` what is proven with the key of the certificate."""

    def __init__(self, link: RenewingLink) -> None:
        self.link = link
        self.failure: LongshoreError | None = None
        self.proofs: list[bytes] = []

    async def renew(self, old: Identity, request: str, proof: bytes) -> tuple[str, str]:
        self.proofs.append(proof)
        if self.failure is not None:
            raise self.failure
        key = load_pem_x509_certificate(old.certificate).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        content = load_pem_x509_csr(request.encode()).public_bytes(serialization.Encoding.DER)
        key.verify(proof, content, ec.ECDSA(hashes.SHA256()))
        self.link.authority.now = self.link.clock.unix()
        return self.link.authority.device(request, self.link.node).decode(), self.link.gives.decode()


class Box:
    """A box that joined at the start of the test's time."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock(unix=time.time())
        self.authority = SimAuthority(self.clock.unix())
        self.link = RenewingLink(self.clock, self.authority)
        self.keys = X509Keys()
        self.store = IdentityDirectory(folder, self.keys)
        self.renewed: list[Identity] = []
        key = self.keys.new_key()
        self.store.stage_key(key)
        self.first = self.store.commit(
            MEMBER, self.authority.device(self.keys.request(key, "quay-1"), "quay-1"), self.authority.pem
        )
        self.door = SimLateDoor(self.link)
        self.renewal = Renewal(
            link=self.link,
            door=self.door,
            store=self.store,
            keys=self.keys,
            clock=self.clock,
            offset=lambda: self.link.offset,
            renewed=self.renewed.append,
            spread=0.0,
        )

    def fits(self) -> bool:
        """Key and certificate on disk belong together."""
        identity = self.store.load()
        return self.keys.public_key(identity.key) == self.keys.facts(identity.certificate).public_key


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


async def test_a_young_certificate_is_left_alone(box: Box) -> None:
    assert await box.renewal.look() == LOOK_SECONDS
    assert box.link.renewals == 0


async def test_past_half_its_life_a_fresh_key_and_certificate_come(box: Box) -> None:
    box.clock.tick(15 * DAY + 1)
    await box.renewal.look()
    new = box.store.load()
    assert box.renewed == [new]
    assert new.key != box.first.key
    assert box.fits()
    await box.renewal.look()
    assert box.link.renewals == 1


async def test_the_control_planes_clock_decides_not_the_boxs(box: Box) -> None:
    box.link.offset = 15 * DAY + 1
    await box.renewal.look()
    assert box.link.renewals == 1


@pytest.mark.parametrize("error", [Retryable("away"), Rejected("not now")])
async def test_a_failed_renewal_keeps_the_old_identity_and_tries_again(box: Box, error: LongshoreError) -> None:
    box.clock.tick(16 * DAY)
    box.link.failure = error
    assert await box.renewal.look() == RETRY_SECONDS
    assert box.store.load() == box.first
    box.link.failure = None
    await box.renewal.look()
    assert box.fits()
    assert box.renewed


async def test_a_certificate_for_another_box_is_not_kept(box: Box) -> None:
    box.clock.tick(16 * DAY)
    box.link.node = "somebody-else"
    await box.renewal.look()
    assert (box.store.load(), box.renewed) == (box.first, [])


@pytest.mark.parametrize("instead", [True, False])
async def test_another_ca_than_the_pinned_one_is_not_kept(box: Box, instead: bool) -> None:
    thief = SimAuthority(box.clock.unix(), name="thief")
    box.link.authority = thief if instead else box.authority
    box.link.gives = thief.pem if instead else box.authority.pem + thief.pem
    box.clock.tick(16 * DAY)
    assert await box.renewal.look() == RETRY_SECONDS
    assert (box.store.load(), box.renewed) == (box.first, [])


async def test_a_box_that_was_away_for_weeks_renews_after_expiry_with_proof_of_its_key(box: Box) -> None:
    box.clock.tick(70 * DAY)
    assert await box.renewal.look() == LOOK_SECONDS
    assert (len(box.door.proofs), box.link.renewals) == (1, 0)
    assert box.renewed == [box.store.load()]
    assert box.fits()
    assert box.renewal.problem is None


async def test_a_certificate_that_has_expired_is_told_and_tried_again_soon(
    box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    box.clock.tick(33 * DAY)
    box.door.failure = Retryable("nobody answers")
    for _ in range(3):
        assert await box.renewal.look() == LATE_RETRY_SECONDS
    assert box.renewal.problem is not None
    assert box.renewal.problem.code == "certificate-expired"
    assert "expired 3 days ago; the running agent renews it" in box.renewal.problem.message
    assert [record.getMessage() for record in caplog.records] == [
        box.renewal.problem.message,
        "certificate not renewed: nobody answers",
    ]
    assert box.store.load() == box.first


async def test_a_refused_late_renewal_says_what_the_control_plane_said(box: Box) -> None:
    box.clock.tick(200 * DAY)
    box.door.failure = Rejected("this box's certificate expired more than 90 days ago; join again with a new token")
    assert await box.renewal.look() == RETRY_SECONDS
    assert box.renewal.problem is not None
    assert "join again with a new token" in box.renewal.problem.message


async def test_a_full_disk_keeps_the_old_identity(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes, mode: int = 0o644) -> None:
        raise DiskFull("no space left")

    box.clock.tick(16 * DAY)
    monkeypatch.setattr(files, "write_atomic", full)
    await box.renewal.look()
    assert box.store.load() == box.first


async def test_looking_at_the_certificate_needs_no_cryptography(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(X509Keys, "facts", lambda *_: pytest.fail("the certificate was parsed again"))
    await box.renewal.look()
    assert box.store.load() == box.first


async def test_unreadable_facts_are_made_anew(box: Box) -> None:
    (box.store.path / "facts.json").write_bytes(b"garbage")
    assert box.store.facts() == box.keys.facts(box.first.certificate)


async def test_an_identity_that_cannot_be_read_for_now_does_not_end_the_watch_over_it(box: Box) -> None:
    certificate = box.store.path / "cert.pem"
    certificate.rename(box.store.path / "elsewhere")
    assert await box.renewal.look() == RETRY_SECONDS


class PowerCut(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("point", range(7))
async def test_a_power_cut_at_any_write_leaves_a_key_that_fits(
    box: Box, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    box.clock.tick(16 * DAY)
    calls = iter(range(100))

    def cut(real: object) -> object:
        def call(*arguments: object, **more: object) -> object:
            if next(calls) == point:
                raise PowerCut
            return real(*arguments, **more)  # type: ignore[operator]  # any function of files

        return call

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_atomic", cut(files.write_atomic))
        patch.setattr(files, "finalise", cut(files.finalise))
        ended_early = False
        try:
            await box.renewal.look()
        except PowerCut:
            ended_early = True
    assert ended_early == (point < 6)  # staged key, CA, node, certificate, its facts, and the key's final place
    assert box.fits()
    await box.renewal.look()
    assert box.fits()


# ---- the front door, over real TLS ----


@pytest.fixture
async def served(box: Box, tmp_path: Path) -> AsyncIterator[SimHttps]:
    """The control plane of `box`; the box's certificate has expired."""
    door = SimFrontDoor(box.authority)
    tls = box.authority.server_context(tmp_path, box.authority.server())
    async with SimHttps(door, tls).running() as server:
        member = replace(MEMBER, url=server.url)
        key = box.keys.new_key()
        box.store.stage_key(key)
        ended = box.authority.device(box.keys.request(key, "quay-1"), "quay-1", life=-DAY, backdated=8 * DAY)
        box.first = box.store.commit(member, ended, box.authority.pem)
        box.renewal.door = HttpsLateDoor()
        yield server


async def test_a_certificate_is_renewed_at_the_front_door(box: Box, served: SimHttps) -> None:
    await box.renewal.look()
    assert box.renewed
    assert box.fits()
    assert b"PRIVATE" not in served.requests[0].body


async def test_nothing_is_sent_to_a_server_of_another_ca(box: Box, served: SimHttps, tmp_path: Path) -> None:
    thief = SimAuthority(now=box.clock.unix(), name="thief")
    async with SimHttps(served.handler, thief.server_context(tmp_path, thief.server())).running() as server:
        box.store.commit(replace(MEMBER, url=server.url), box.first.certificate, box.authority.pem)
        assert await box.renewal.look() == RETRY_SECONDS
        assert server.requests == []


@pytest.mark.parametrize(
    ("reply", "seconds", "sentence"),
    [
        (Reply(raw=b""), LATE_RETRY_SECONDS, "renews it as soon as"),
        (Reply(503, b"busy"), LATE_RETRY_SECONDS, "renews it as soon as"),
        (Reply(401, b'{"error": {"message": "no longer accepted"}}'), RETRY_SECONDS, "no longer accepted"),
        (Reply(200, b"not json"), RETRY_SECONDS, "not readable"),
        (Reply(200, b"{}"), RETRY_SECONDS, "no PEM certificate"),
        (Reply(200, b"x" * 1_000_000), RETRY_SECONDS, "more than"),
    ],
)
async def test_each_trouble_at_the_front_door_keeps_the_old_identity_and_its_own_sentence(
    box: Box, served: SimHttps, reply: Reply, seconds: float, sentence: str
) -> None:
    served.handler = lambda _: reply
    assert await box.renewal.look() == seconds
    assert box.renewal.problem is not None
    assert sentence in box.renewal.problem.message
    assert box.store.load() == box.first

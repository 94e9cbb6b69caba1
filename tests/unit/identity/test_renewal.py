"""A certificate renews itself; a crash at any write leaves a key and a certificate that fit."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.adapters import files
from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.x509 import X509Keys
from agent.errors import DiskFull
from agent.identity.renewal import LOOK_SECONDS, RETRY_SECONDS, Renewal
from agent.identity.store import Identity, Membership
from protos.errors import LongshoreError, Rejected, Retryable
from protos.ids import NodeId
from tests.sim.authority import DAY, SimAuthority
from tests.sim.clock import FakeClock
from tests.sim.link import SimLink

MEMBER = Membership(NodeId("quay-1"), "https://127.0.0.1:8443", "127.0.0.1:8444")


class RenewingLink(SimLink):
    """Signs with `authority`, for `node`."""

    def __init__(self, clock: FakeClock, authority: SimAuthority) -> None:
        super().__init__(clock)
        self.authority = authority
        self.node = "quay-1"
        self.renewals = 0

    async def renew(self, csr_pem: str) -> tuple[str, str]:
        if self.failure is not None:
            raise self.failure
        self.renewals += 1
        self.authority.now = self.clock.unix() + self.offset
        return self.authority.device(csr_pem, self.node).decode(), self.authority.pem.decode()


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
        self.renewal = Renewal(
            self.link, self.store, self.keys, self.clock, lambda: self.link.offset, self.renewed.append, spread=0.0
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


async def test_an_expired_certificate_is_told(box: Box) -> None:
    box.clock.tick(31 * DAY)
    box.link.failure = Rejected("expired")
    await box.renewal.look()
    assert box.renewal.problem is not None
    assert box.renewal.problem.code == "certificate-expired"


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

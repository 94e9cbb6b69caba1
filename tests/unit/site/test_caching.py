"""A box as it is told: without a cache, as one, or asking one; what it measures of it, and what doctor says."""

from __future__ import annotations

import errno
import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from agent import doctor, outside
from agent.adapters.clock import SystemClock
from agent.adapters.release_store import DiskReleaseStore
from agent.caching import CLOSED, LISTEN_AGAIN_SECONDS, Caching
from agent.config import AgentConfig
from agent.doctor import Facts
from agent.findings import Finding
from agent.outside import Outside
from agent.telemetry.metrics import Metrics
from agent.trust.service import SignedTrust
from agent.update.steps import Ports
from protos.errors import Fatal
from protos.ids import hex_of
from protos.problems import NOTICE
from tests.sim.clock import FakeClock
from tests.sim.https import collect
from tests.sim.release_serving import SimServing
from tests.sim.releases import make
from tests.sim.signed_box import SignedBox, signed_box
from tests.sim.signed_repository import SignedRepository
from tests.sim.site import plane
from tests.sim.trust import SimTrust
from tests.unit.site.test_server import send

RELEASE = make("1.0.0")
SIZE = len(RELEASE.model)
FACTS = Facts(provider="cpu", distributions={"onnxruntime": "1.32.0"}, capabilities={})


def told(metrics: Metrics) -> dict[str, float]:
    found = re.findall(r"^longshore_((?:release|site)\S+) (\S+)$", metrics.render().decode(), re.MULTILINE)
    return {series: float(value) for series, value in found}


def ports(caching: Caching, box: SignedBox, folder: Path) -> Ports:
    stores = DiskReleaseStore(folder), SimServing(FakeClock())
    return Ports(caching.source, *stores, SimTrust(), box.approvals, site=caching.standing)


async def test_a_box_without_the_option_listens_nowhere_and_takes_all_from_the_control_plane(tmp_path: Path) -> None:
    caching, metrics = Caching(AgentConfig(state_dir=tmp_path), plane(RELEASE), SystemClock()), Metrics("0", "quay-1")
    assert await collect(caching.source.fetch(RELEASE.model_digest, 0, stop=SIZE)) == RELEASE.model
    caching.measure(metrics)
    assert told(metrics) == {'release_bytes{source="control-plane"}': SIZE}
    assert caching.problems() == []
    assert not (tmp_path / "site").exists()
    await caching.stop()


async def test_a_box_that_asks_one_where_nobody_is_says_so(tmp_path: Path, free_port: int) -> None:
    config = AgentConfig(state_dir=tmp_path, site_cache=f"http://127.0.0.1:{free_port}")
    caching = Caching(config, plane(RELEASE), SystemClock())
    assert await collect(caching.source.fetch(RELEASE.model_digest, 0, stop=SIZE)) == RELEASE.model
    assert [problem.code for problem in caching.problems()] == [NOTICE]
    assert f"http://127.0.0.1:{free_port}" in caching.problems()[0].message


async def test_a_box_that_is_one_fetches_what_is_signed_for_others_and_takes_it_from_itself(
    tmp_path: Path, free_port: int
) -> None:
    config = AgentConfig(state_dir=tmp_path / "box", site_cache_listen=f"127.0.0.1:{free_port}")
    control_plane = plane(RELEASE)
    async with signed_box(tmp_path / "signed", SignedRepository()) as box:
        box.repository.deploy(RELEASE, "1.0.0")
        caching, metrics = Caching(config, control_plane, SystemClock()), Metrics("0", "quay-1")
        assert isinstance(box.trust, SignedTrust)
        await caching.start(ports(caching, box, tmp_path / "box"), box.trust)
        for digest in (RELEASE.digest, RELEASE.model_digest):
            head = f"GET /blobs/{hex_of(digest)} HTTP/1.1\r\nConnection: close\r\n\r\n".encode()
            answer = await send(free_port, head)
            assert answer.endswith(RELEASE.blobs[digest])
        assert await collect(caching.source.fetch(RELEASE.model_digest, 0, stop=SIZE)) == RELEASE.model
        caching.measure(metrics)
        both = SIZE + len(RELEASE.manifest)
        assert told(metrics) == {
            'release_bytes{source="site-cache"}': SIZE,
            'site_cache_answers{result="served"}': 2,
            'site_cache_bytes{of="served"}': both,
            'site_cache_bytes{of="fetched"}': both,
            'site_cache_bytes{of="held"}': both,
        }
        assert control_plane.sent[RELEASE.model_digest] == SIZE
        await caching.stop()
        await caching.stop()


async def test_a_box_whose_address_is_not_there_yet_goes_on_and_listens_once_it_is(
    tmp_path: Path, free_port: int
) -> None:
    config, clock = AgentConfig(state_dir=tmp_path / "box", site_cache_listen=f"127.0.0.1:{free_port}"), FakeClock()
    async with signed_box(tmp_path / "signed", SignedRepository()) as box:
        caching = Caching(config, plane(RELEASE), clock)
        assert isinstance(box.trust, SignedTrust)
        with socket.create_server(("127.0.0.1", free_port)):
            await caching.start(ports(caching, box, tmp_path / "box"), box.trust)
            await clock.advance(LISTEN_AGAIN_SECONDS)
            [problem] = caching.problems()
            assert (problem.code, f"127.0.0.1:{free_port}" in problem.message) == (CLOSED, True)
        await clock.advance(LISTEN_AGAIN_SECONDS)
        assert (await send(free_port, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")).startswith(b"HTTP/1.1 404")
        assert caching.problems() == []
        await caching.stop()


async def test_a_box_that_never_came_to_listen_stops(tmp_path: Path, free_port: int) -> None:
    config, clock = AgentConfig(state_dir=tmp_path / "box", site_cache_listen=f"127.0.0.1:{free_port}"), FakeClock()
    async with signed_box(tmp_path / "signed", SignedRepository()) as box:
        caching = Caching(config, plane(RELEASE), clock)
        assert isinstance(box.trust, SignedTrust)
        with socket.create_server(("127.0.0.1", free_port)):
            await caching.start(ports(caching, box, tmp_path / "box"), box.trust)
            await caching.stop()
        await clock.advance(2 * LISTEN_AGAIN_SECONDS)
        with pytest.raises(ConnectionRefusedError):
            await send(free_port, b"")


async def test_a_disk_that_does_not_tell_what_is_held_leaves_the_other_figures(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: DiskReleaseStore) -> int:
        raise Fatal("the disk is read-only")

    config, metrics = AgentConfig(state_dir=tmp_path, site_cache_listen=f"127.0.0.1:{free_port}"), Metrics("0", "quay")
    async with signed_box(tmp_path / "signed", SignedRepository()) as box:
        caching = Caching(config, plane(RELEASE), SystemClock())
        assert isinstance(box.trust, SignedTrust)
        await caching.start(ports(caching, box, tmp_path), box.trust)
        monkeypatch.setattr(DiskReleaseStore, "used_bytes", fails)
        caching.measure(metrics)
        assert told(metrics) == {'site_cache_bytes{of="served"}': 0, 'site_cache_bytes{of="fetched"}': 0}
        await caching.stop()


def findings(facts: Facts, beyond: Outside) -> list[Finding]:
    found = [*doctor.diagnose(facts), *outside.diagnose(beyond)]
    return [finding for finding in found if finding.subject == "site cache"]


def test_doctor_says_nothing_of_a_cache_where_there_is_none() -> None:
    assert findings(FACTS, Outside()) == []


@pytest.mark.parametrize(
    ("error", "running", "level", "words"),
    [
        (0, "", "ok", "hands out release files at 10.0.0.5:8003"),
        (errno.EADDRINUSE, "77", "ok", "hands out release files"),
        (errno.EADDRINUSE, "", "broken", "choose another with --site-cache-listen"),
        (errno.EADDRNOTAVAIL, "77", "broken", "choose another with --site-cache-listen"),
    ],
)
def test_doctor_says_whether_this_box_can_be_one(error: int, running: str, level: str, words: str) -> None:
    facts = replace(FACTS, site_cache="10.0.0.5:8003", site_cache_error=error, running=running)
    [finding] = findings(facts, Outside())
    assert (finding.level, words in finding.sentence) == (level, True)


def test_doctor_says_whether_the_one_that_is_asked_answers() -> None:
    url = "http://10.0.0.5:8003"
    [well] = findings(FACTS, Outside(site_cache=url))
    [away] = findings(FACTS, Outside(site_cache=url, site_cache_error="no answer within 5 s"))
    assert (well.level, well.sentence) == ("ok", f"{url} answers")
    assert (away.level, "from the control plane" in away.sentence) == ("note", True)

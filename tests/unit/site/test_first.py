"""A box with a cache on its site: it asks that first, and whatever it does, the release comes, and is the right one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from agent.site import first
from agent.site.first import SiteFirst
from agent.site.standing import FIRST_SECONDS, LIED_SECONDS, WRONG, Origin
from agent.update.download import Download
from agent.update.machine import State
from protos import manifest as manifests
from protos.problems import NOTICE
from tests.sim.blobs import SimBlobs
from tests.sim.https import collect
from tests.sim.releases import content, make
from tests.unit.update.conftest import QUAY, Box

CACHE = "http://10.0.0.5:8003"
BACKBONE = content("backbone", 1_500_000)
OLD = make("1.0.0", model=BACKBONE + content("old head", 20_000))
NEW = make("2.0.0", model=BACKBONE + content("new head", 120_000))


@dataclass
class Site:
    """A box and its cache, which has the same releases as the control plane."""

    box: Box
    cache: SimBlobs

    async def update(self) -> None:
        self.box.offer(NEW)
        await self.box.until(lambda: self.box.settled_on(NEW), step=1.0)
        assert self.box.releases.read(NEW.model_digest) == NEW.model
        assert self.box.report.refused == ()

    @property
    def problems(self) -> list[str]:
        return [problem.code for problem in self.box.standing.problems()]

    def sent(self, source: SimBlobs) -> int:
        """Of the new model."""
        return source.sent[NEW.model_digest]


@pytest.fixture
async def site(box: Box) -> Site:
    assert isinstance(box.cache, SimBlobs)
    box.standing.place = CACHE
    for source in (box.blobs, box.cache):
        source.add(OLD, NEW)
    return Site(box, box.cache)


async def test_a_release_comes_from_the_cache_alone(site: Site) -> None:
    await site.update()
    assert site.box.blobs.fetches == []
    assert site.box.standing.came == {Origin.SITE_CACHE: NEW.total + len(NEW.manifest)}
    assert site.problems == []


async def test_without_a_cache_it_comes_from_the_control_plane(site: Site) -> None:
    site.box.standing.place = ""
    await site.update()
    assert site.cache.fetches == []
    assert site.box.standing.came == {Origin.CONTROL_PLANE: NEW.total + len(NEW.manifest)}


async def test_a_cache_that_is_away_costs_one_question_and_is_told(site: Site) -> None:
    site.cache.away = True
    await site.update()
    assert len(site.cache.fetches) == 1
    assert site.problems == [NOTICE]
    assert "files come from the control plane meanwhile" in site.box.standing.problems()[0].message


async def test_what_came_before_the_cache_broke_off_is_not_fetched_again(site: Site) -> None:
    site.cache.break_after = 100_000
    await site.update()
    assert site.sent(site.cache) == 100_000
    assert site.sent(site.box.blobs) == len(NEW.model) - 100_000
    assert site.problems == [NOTICE]


async def test_when_both_break_it_goes_on_where_it_was_with_whom_is_there(site: Site) -> None:
    site.cache.break_after, site.box.blobs.away = 100_000, True
    await site.update()
    assert site.sent(site.cache) == len(NEW.model)
    assert site.sent(site.box.blobs) == 0


async def test_wrong_bytes_are_thrown_away_and_the_release_is_not_blamed(site: Site) -> None:
    site.cache.wrong[NEW.model_digest] = bytes(len(NEW.model))
    await site.update()
    assert site.sent(site.box.blobs) == len(NEW.model)
    assert site.problems == [WRONG]
    assert CACHE in site.box.standing.problems()[0].message


async def test_one_wrong_byte_behind_bytes_of_the_control_plane_is_found(site: Site) -> None:
    site.box.standing.place, site.box.blobs.break_after = "", 100_000
    site.box.offer(NEW)
    await site.box.until(lambda: site.box.releases.staged(NEW.model_digest) >= 100_000)
    site.box.standing.place, site.box.blobs.break_after = CACHE, None
    site.cache.wrong[NEW.model_digest] = NEW.model[:-1] + bytes([NEW.model[-1] ^ 1])
    await site.update()
    assert site.problems == [WRONG]


async def test_other_bytes_in_place_of_the_manifest_are_not_handed_on(site: Site) -> None:
    site.cache.wrong[NEW.digest] = OLD.manifest
    await site.update()
    assert site.problems == [WRONG]
    assert [digest for digest, _ in site.box.blobs.fetches if digest == NEW.digest] == [NEW.digest]


async def test_a_manifest_without_an_end_is_not_read_to_its_end(site: Site) -> None:
    site.cache.wrong[NEW.digest] = bytes(50 * manifests.MAX_BYTES)
    await site.update()
    assert site.cache.sent[NEW.digest] <= 2 * manifests.MAX_BYTES
    assert site.problems == [WRONG]


async def test_a_longer_file_is_cut_at_its_length_and_a_shorter_one_goes_on_from_the_control_plane(site: Site) -> None:
    site.cache.wrong[NEW.model_digest] = NEW.model + bytes(1 << 20)
    await site.update()
    assert (site.sent(site.cache), site.sent(site.box.blobs)) == (len(NEW.model), 0)


async def test_a_file_that_ends_too_early_goes_on_from_the_control_plane(site: Site) -> None:
    site.cache.wrong[NEW.model_digest] = NEW.model[:300_000]
    await site.update()
    assert (site.sent(site.cache), site.sent(site.box.blobs)) == (300_000, len(NEW.model) - 300_000)


async def test_a_cache_that_lied_is_asked_again_an_hour_later(site: Site) -> None:
    site.cache.wrong[NEW.model_digest] = bytes(len(NEW.model))
    await site.update()
    asked = len(site.cache.fetches)
    await site.box.install(OLD)
    assert len(site.cache.fetches) == asked
    await site.box.clock.advance(LIED_SECONDS)
    newest = make("3.0.0")
    site.cache.add(newest)
    await site.box.install(newest)
    assert len(site.cache.fetches) > asked


async def test_what_a_lying_cache_gave_before_a_reboot_costs_a_fetch_and_no_refusal(site: Site) -> None:
    site.cache.wrong[NEW.model_digest], site.cache.break_after = bytes(len(NEW.model)), 100_000
    site.box.blobs.away = True
    site.box.offer(NEW)
    await site.box.until(lambda: site.box.releases.staged(NEW.model_digest) >= 100_000, step=1.0)
    await site.box.power_cut()
    site.box.blobs.away, site.box.standing = False, type(site.box.standing)(CACHE, site.box.clock.monotonic)
    site.box.start({QUAY: NEW.digest})
    await site.update()


async def test_chunks_that_are_here_are_copied_and_the_rest_comes_from_the_cache(site: Site) -> None:
    await site.box.install(OLD)
    site.box.blobs.cut()
    site.box.blobs.sent.clear()
    await site.update()
    assert 0 < site.sent(site.cache) < len(NEW.model) / 4
    assert site.sent(site.box.blobs) == 0


async def test_a_wrong_chunk_of_the_cache_is_its_fault_and_not_the_tables(site: Site) -> None:
    await site.box.install(OLD)
    site.box.blobs.cut()
    site.box.blobs.sent.clear()
    site.cache.wrong[NEW.model_digest] = bytes(len(NEW.model))
    await site.update()
    assert site.problems == [WRONG]
    assert site.sent(site.box.blobs) < len(NEW.model) / 4  # by tables once more


async def test_the_rules_of_a_download_hold_for_the_cache_as_well(site: Site) -> None:
    site.box.rule(Download(trouble="waits for somebody"))
    site.box.offer(NEW)
    await site.box.until(lambda: site.box.report.held, step=1.0)
    assert (site.cache.fetches, site.box.report.state) == ([], State.PULLING)


async def test_a_cache_that_does_well_again_is_asked_for_the_rest_of_a_long_file(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first, "PIECE", 200_000)
    standing, clock = site.box.standing, site.box.clock
    site.cache.break_after = 100_000
    came = b""
    async for chunk in SiteFirst(site.cache, site.box.blobs, standing).fetch(NEW.model_digest, 0, stop=len(NEW.model)):
        came += chunk
        if len(came) > 150_000:
            site.cache.break_after = None
            clock.tick(FIRST_SECONDS)
    assert came == NEW.model
    assert site.sent(site.box.blobs) == 200_000


async def test_a_cache_that_was_away_hears_of_the_manifest_before_it_is_asked_for_its_files(site: Site) -> None:
    source = SiteFirst(site.cache, site.box.blobs, site.box.standing)
    site.cache.away = True
    assert await collect(source.fetch(NEW.digest, 0)) == NEW.manifest
    site.cache.away = False
    site.box.clock.tick(FIRST_SECONDS)
    for offset in (0, 100_000):
        assert await collect(source.fetch(NEW.model_digest, offset, stop=len(NEW.model))) == NEW.model[offset:]
    asked = [digest for digest, _ in site.cache.fetches]
    assert asked == [NEW.digest, NEW.digest, NEW.model_digest, NEW.model_digest]
    assert site.sent(site.box.blobs) == 0

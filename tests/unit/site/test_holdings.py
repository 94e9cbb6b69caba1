"""What a site cache hands out and fetches: files of signed, assigned releases, each once, within its room."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import TypeVar

import pytest

from agent.errors import DiskFull
from agent.site import holdings
from agent.site.holdings import Coming, Here
from agent.site.pulls import UNWANTED_SECONDS
from protos.errors import Retryable
from protos.ids import Digest, digest_of
from protos.manifest import Manifest
from tests.sim.blobs import SimBlobs
from tests.sim.clock import FakeClock
from tests.sim.releases import MadeRelease, make
from tests.sim.site import SimSite, keep, listing, plane

T = TypeVar("T")
OWN, OTHERS, THIRD = make("1.0.0"), make("2.0.0", size=90_000), make("3.0.0", size=50_000)


class Cache(SimSite):
    """With a clock of the test, which moves while something is waited for."""

    def __init__(self, folder: Path, source: SimBlobs, *, most: int = 1 << 30, rate: float = 0.0) -> None:
        self.fake, self.plane = FakeClock(), source
        super().__init__(folder, source, clock=self.fake, most=most, rate=rate)

    async def passing(self, work: Awaitable[T], step: float = 0.1) -> T:
        task = asyncio.ensure_future(work)
        async with asyncio.timeout(20):
            while not task.done():
                await self.fake.advance(step)
                await asyncio.sleep(0.001)  # disk threads take real time
        return task.result()

    async def once(self, digest: Digest) -> Here | Coming | None:
        """What somebody who asks once is told."""
        return await self.passing(self.holdings.find(digest))

    async def find(self, digest: Digest) -> Here | None:
        """What is told in the end."""
        while isinstance(found := await self.once(digest), Coming):
            continue
        return found

    async def has(self, *digests: Digest) -> None:
        for digest in digests:
            assert isinstance(await self.find(digest), Here), digest

    async def has_all(self, release: MadeRelease) -> None:
        await self.has(release.digest, *release.blobs)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path, plane(OWN, OTHERS, THIRD))


async def test_files_of_releases_that_this_box_runs_are_handed_out_without_asking_anybody(cache: Cache) -> None:
    cache.install(OWN)
    await cache.has_all(OWN)
    assert (cache.plane.fetches, cache.looked) == ([], [])


async def test_a_release_that_nobody_signed_is_not_handed_out_though_it_runs_here(cache: Cache) -> None:
    cache.install(OWN, signed=False)
    assert [await cache.find(digest) for digest in OWN.blobs] == [None] * len(OWN.blobs)


async def test_what_lies_on_the_disk_and_is_of_no_release_is_not_handed_out(cache: Cache) -> None:
    secret = b"a file that came here by a mistake"
    keep(cache.own, digest_of(secret), secret)
    keep(cache.extra, digest_of(secret), secret)
    cache.install(OWN)
    assert await cache.find(digest_of(secret)) is None


async def test_what_is_assigned_to_other_boxes_is_fetched_once_and_proven(cache: Cache) -> None:
    cache.assign(OTHERS)
    await cache.has_all(OTHERS)
    await cache.has_all(OTHERS)
    assert sorted(digest for digest, _ in cache.plane.fetches) == sorted(OTHERS.blobs)
    assert cache.extra.read(OTHERS.model_digest) == OTHERS.model
    assert cache.own.kept() == {}


async def test_what_is_not_listed_is_not_fetched(cache: Cache) -> None:
    assert await cache.find(OTHERS.digest) is None
    assert await cache.find(OTHERS.model_digest) is None
    assert cache.plane.fetches == []


async def test_a_file_is_handed_out_once_its_manifest_is_here(cache: Cache) -> None:
    cache.assign(OTHERS)
    assert await cache.find(OTHERS.model_digest) is None
    await cache.has(OTHERS.digest, OTHERS.model_digest)


async def test_a_release_that_was_withdrawn_is_not_handed_out_any_more(cache: Cache) -> None:
    cache.assign(OTHERS)
    await cache.has_all(OTHERS)
    cache.forget(OTHERS)
    assert await cache.find(OTHERS.model_digest) is None


async def test_files_of_a_manifest_that_was_forgotten_while_it_was_read_are_not_known(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.assign(OTHERS)
    await cache.has_all(OTHERS)
    cache.version += 1
    described, reads, goes_on = cache.holdings._described, threading.Event(), threading.Event()

    def late(digest: Digest) -> Manifest | None:
        if digest in cache.holdings._manifests:
            reads.set()
            assert goes_on.wait(20)
        return described(digest)

    monkeypatch.setattr(cache.holdings, "_described", late)
    first = asyncio.ensure_future(cache.find(OTHERS.digest))
    assert await asyncio.to_thread(reads.wait, 20)
    cache.forget(OTHERS)
    assert isinstance(await cache.once(THIRD.digest), Coming)  # hears of newer metadata
    goes_on.set()
    await first
    assert await cache.find(OTHERS.model_digest) is None


async def test_after_a_restart_what_is_kept_is_looked_up_and_handed_out(cache: Cache, tmp_path: Path) -> None:
    cache.assign(OTHERS)
    await cache.has_all(OTHERS)
    again = Cache(tmp_path, SimBlobs())
    again.assign(OTHERS)
    await again.has(OTHERS.model_digest)
    assert again.plane.fetches == []


async def test_while_metadata_cannot_be_told_what_is_known_is_handed_out(cache: Cache) -> None:
    cache.assign(OTHERS)
    await cache.has_all(OTHERS)
    cache.trouble = Retryable("away")
    await cache.has(OTHERS.model_digest)
    assert await cache.find(THIRD.digest) is None


async def test_many_that_want_a_file_at_once_cause_one_fetch(cache: Cache) -> None:
    cache.assign(OTHERS)
    await cache.has(OTHERS.digest)
    await asyncio.gather(*(cache.has(OTHERS.model_digest) for _ in range(8)))
    assert [digest for digest, _ in cache.plane.fetches].count(OTHERS.model_digest) == 1


async def test_strangers_cause_a_bounded_number_of_looks(cache: Cache) -> None:
    looked: list[Digest] = []

    async def listed(digest: Digest, *, anew: bool = False) -> None:
        looked.append(digest)
        await asyncio.Event().wait()

    cache.holdings.listed = listed
    unknown = [Digest(f"sha256:{each:064}") for each in range(200)]
    found = await cache.passing(asyncio.gather(*map(cache.holdings.find, unknown)))
    assert len(looked) <= holdings.MOST_SOUGHT
    assert (found.count(Coming(0)), found.count(None)) == (holdings.MOST_SOUGHT, 200 - holdings.MOST_SOUGHT)
    assert cache.pulls._asked == {}
    await cache.holdings.close()


async def test_wrong_bytes_are_not_handed_out_and_not_kept(cache: Cache) -> None:
    cache.assign(OTHERS)
    await cache.has(OTHERS.digest)
    cache.plane.wrong[OTHERS.model_digest] = bytes(len(OTHERS.model))
    assert await cache.find(OTHERS.model_digest) is None
    assert cache.extra.staged(OTHERS.model_digest) == 0
    cache.plane.wrong.clear()
    await cache.has(OTHERS.model_digest)


async def test_a_wire_that_breaks_goes_on_where_it_stopped(cache: Cache) -> None:
    cache.assign(OTHERS)
    await cache.has(OTHERS.digest)
    cache.plane.break_after = 40_000
    assert await cache.find(OTHERS.model_digest) is None
    cache.plane.break_after = None
    await cache.has(OTHERS.model_digest)
    assert cache.plane.sent[OTHERS.model_digest] == len(OTHERS.model)


async def test_who_wants_what_is_being_fetched_hears_how_far_it_is(tmp_path: Path) -> None:
    cache = Cache(tmp_path, plane(OTHERS), rate=8_000.0)
    cache.assign(OTHERS)
    await cache.has(OTHERS.digest)
    first = await cache.once(OTHERS.model_digest)
    second = await cache.once(OTHERS.model_digest)
    assert isinstance(first, Coming)
    assert isinstance(second, Coming)
    assert 0 < first.fetched < second.fetched < len(OTHERS.model)
    await cache.holdings.close()


async def test_what_is_fetched_keeps_to_its_rate_and_ends_when_nobody_wants_it(tmp_path: Path) -> None:
    cache = Cache(tmp_path, plane(OTHERS), rate=1_000.0)
    cache.plane.chunk = 1_000
    cache.assign(OTHERS)
    await cache.has(OTHERS.digest)
    began = cache.fake.monotonic()
    assert isinstance(await cache.once(OTHERS.model_digest), Coming)
    await cache.passing(cache.fake.sleep(3 * UNWANTED_SECONDS), step=1.0)
    staged = cache.extra.staged(OTHERS.model_digest)
    assert 0 < staged <= UNWANTED_SECONDS * 1_000 + 3_000
    assert cache.fake.monotonic() - began >= 3 * UNWANTED_SECONDS
    assert cache.extra.staged(OTHERS.model_digest) == staged


async def test_a_file_that_an_update_of_this_box_fetches_is_not_fetched_twice(cache: Cache) -> None:
    cache.assign(OTHERS)
    await cache.has(OTHERS.digest)
    async with cache.fetching[OTHERS.model_digest]:
        cache.own.append(OTHERS.model_digest, OTHERS.model[:5_000])
        assert await cache.once(OTHERS.model_digest) == Coming(5_000)
        cache.own.append(OTHERS.model_digest, OTHERS.model[5_000:])
        cache.own.complete(OTHERS.model_digest)
    await cache.has(OTHERS.model_digest)
    assert OTHERS.model_digest not in [digest for digest, _ in cache.plane.fetches]
    assert cache.own.has(OTHERS.model_digest)


async def test_what_an_update_of_this_box_has_is_hashed_before_it_is_handed_out(cache: Cache) -> None:
    cache.assign(OTHERS)
    await cache.has(OTHERS.digest)
    cache.own.append(OTHERS.model_digest, bytes(len(OTHERS.model)))
    await cache.has(OTHERS.model_digest)
    assert not cache.own.has(OTHERS.model_digest)
    assert cache.extra.read(OTHERS.model_digest) == OTHERS.model


async def test_what_was_asked_for_last_stays_where_there_is_no_room_for_all(tmp_path: Path) -> None:
    cache = Cache(tmp_path, plane(OWN, OTHERS, THIRD), most=170_000)
    for release in (OWN, OTHERS, THIRD):
        cache.assign(release)
        await cache.has(release.digest, release.model_digest)
        assert cache.extra.used_bytes() <= 170_000
    assert not cache.extra.has(OWN.model_digest)
    assert cache.extra.has(OTHERS.model_digest)
    assert cache.extra.has(THIRD.model_digest)


async def test_the_manifest_of_files_that_are_asked_for_stays_with_them(tmp_path: Path) -> None:
    cache = Cache(tmp_path, plane(OWN, OTHERS, THIRD), most=170_000)
    for release in (OWN, OTHERS):
        cache.assign(release)
        await cache.has(release.digest, release.model_digest)
    await cache.has(OWN.model_digest)
    cache.assign(THIRD)
    await cache.has(THIRD.digest, THIRD.model_digest)
    assert cache.extra.has(OWN.digest)
    assert cache.extra.has(OWN.model_digest)
    assert not cache.extra.has(OTHERS.model_digest)


async def test_what_does_not_fit_at_all_is_not_begun_and_takes_nothing_away(tmp_path: Path) -> None:
    cache = Cache(tmp_path, plane(OWN, OTHERS), most=80_000)
    cache.assign(OWN)
    cache.assign(OTHERS)
    await cache.has(OWN.digest, OWN.model_digest, OTHERS.digest)
    assert await cache.find(OTHERS.model_digest) is None
    assert cache.extra.has(OWN.model_digest)
    with pytest.raises(DiskFull, match="SITE_CACHE_BYTES"):
        await cache.pulls.pull(OTHERS.model_digest, len(OTHERS.model))


async def test_what_is_being_fetched_has_its_room_to_its_end(tmp_path: Path) -> None:
    cache = Cache(tmp_path, plane(OTHERS, THIRD), most=100_000)
    for release in (OTHERS, THIRD):
        cache.assign(release)
        await cache.has(release.digest)
    await asyncio.gather(cache.find(OTHERS.model_digest), cache.find(THIRD.model_digest))
    assert cache.extra.used_bytes() <= 100_000
    assert [cache.extra.has(each.model_digest) for each in (OTHERS, THIRD)].count(True) == 1


async def test_what_begins_while_room_is_made_for_another_is_not_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = make("6.0.0", size=65_000)
    cache = Cache(tmp_path, plane(large, OTHERS, THIRD), most=150_000)
    for release in (large, OTHERS, THIRD):
        cache.assign(release)
        await cache.has(release.digest)
    await cache.has(large.model_digest)
    sweeps, goes_on, sweep = threading.Event(), threading.Event(), cache.extra.sweep

    def late(keep: Iterable[Digest]) -> None:
        sweeps.set()
        assert goes_on.wait(20)
        sweep(keep)

    monkeypatch.setattr(cache.extra, "sweep", late)
    for release in (OTHERS, THIRD):
        cache.pulls.asked(release.model_digest)
    first = asyncio.ensure_future(cache.pulls.pull(OTHERS.model_digest, len(OTHERS.model)))
    await asyncio.to_thread(sweeps.wait, 20)
    second = asyncio.ensure_future(cache.pulls.pull(THIRD.model_digest, len(THIRD.model)))
    await asyncio.wait({second}, timeout=0.3)
    goes_on.set()
    await asyncio.gather(first, second)
    assert not cache.extra.has(large.model_digest)
    assert [cache.extra.has(each.model_digest) for each in (OTHERS, THIRD)] == [True, True]


async def test_what_the_box_itself_has_makes_room_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, plane(OWN, OTHERS, THIRD), most=170_000)
    for release in (OWN, OTHERS):
        cache.assign(release)
        await cache.has(release.digest, release.model_digest)
    await cache.has(OWN.model_digest)
    cache.install(OWN)
    cache.assign(THIRD)
    await cache.has(THIRD.digest, THIRD.model_digest)
    assert not cache.extra.has(OWN.model_digest)
    await cache.has(OWN.model_digest, OTHERS.model_digest)


async def test_a_disk_that_is_nearly_full_is_left_to_the_box(tmp_path: Path) -> None:
    cache = Cache(tmp_path, plane(OTHERS))
    cache.pulls.spare = 1 << 60
    cache.assign(OTHERS)
    assert await cache.find(OTHERS.digest) is None
    assert cache.extra.used_bytes() == 0


async def test_a_listing_of_another_size_than_came_is_not_handed_out(cache: Cache) -> None:
    cache.listings[OTHERS.digest] = listing(OTHERS.digest, len(OTHERS.manifest) - 1)
    assert await cache.find(OTHERS.digest) is None

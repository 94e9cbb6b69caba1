"""A box whose deployments have rules for fetching: what waits, what comes how fast, what is told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.adapters.state_memory import MemoryState
from agent.errors import DiskFull
from agent.update import download
from agent.update.download import Download, Window
from agent.update.machine import State
from protos.ids import DeploymentName
from tests.sim import releases
from tests.unit.update.conftest import QUAY, Box

OLD, NEW, OTHER = releases.make("1.0.0"), releases.make("2.0.0"), releases.make("1.0.0", name="other")
GATE = DeploymentName("gate")


def window(box: Box, opens: float, hours: float = 1.0) -> Window:
    """That opens in so many hours by the box's clock."""
    now = datetime.fromtimestamp(box.clock.unix(), UTC)
    minute = 60 * now.hour + now.minute
    return Window(int(minute + 60 * opens) % 1440, int(minute + 60 * (opens + hours)) % 1440, UTC, "UTC")


async def held(box: Box) -> str:
    await box.until(lambda: box.report.held, step=0.0)
    return box.report.message


async def test_a_first_release_waits_for_its_window_and_comes_when_it_opens(box: Box) -> None:
    box.rule(Download(window=window(box, opens=3.0)))
    box.blobs.add(OLD)
    box.offer(OLD)
    assert (await held(box)).startswith("waits for its window, which opens at ")
    await box.minutes(170)
    assert (box.blobs.fetches, box.report.state, box.report.held) == ([], State.PULLING, True)
    await box.until(lambda: box.settled_on(OLD), step=30.0)
    assert (box.report.held, box.report.message) == (False, "")


async def test_a_box_that_waits_for_its_window_is_quiet(box: Box) -> None:
    """Each report of it is answered by a Sync, which says the same again."""
    box.answers_reports = True
    box.rule(Download(window=window(box, opens=3.0)))
    box.offer(OLD)
    await held(box)
    before = box.changes
    await box.minutes(120)
    assert box.changes - before <= 120 / 10 + 3


async def test_the_old_release_answers_while_the_new_one_waits(box: Box) -> None:
    await box.install(OLD)
    box.rule(Download(window=window(box, opens=3.0)))
    box.blobs.add(NEW)
    box.offer(NEW)
    await held(box)
    await box.minutes(60)
    assert box.serving.answers(QUAY) == OLD.digest


async def test_a_release_that_lies_on_the_disk_needs_no_window(box: Box) -> None:
    await box.install(OLD)
    await box.install(NEW)
    box.rule(Download(window=window(box, opens=3.0)))
    box.offer(OLD)
    await box.until(lambda: box.settled_on(OLD), step=1.0)


async def test_a_window_that_is_taken_away_lets_the_box_go_on_at_once(box: Box) -> None:
    box.rule(Download(window=window(box, opens=12.0)))
    box.blobs.add(OLD)
    box.offer(OLD)
    await held(box)
    for _ in range(3):  # as Sync says the same again and again
        box.offer(OLD)
        await box.minutes(1)
    looked = box.clock.unix()
    box.rule(Download())
    await box.until(lambda: bool(box.blobs.fetches))
    assert box.clock.unix() == looked


async def test_a_window_that_closes_ends_the_fetch_and_the_next_goes_on_there(box: Box) -> None:
    large = releases.make("3.0.0", size=600_000)
    box.rule(Download(bytes_per_second=2_000.0, window=window(box, opens=0.0, hours=0.05)))
    box.blobs.add(large)
    box.offer(large)
    await box.until(lambda: box.report.held, step=1.0)
    assert 0 < box.report.bytes_done < large.total
    assert box.blobs.sent[large.model_digest] < 500_000
    box.rule(Download())
    await box.until(lambda: box.settled_on(large), step=1.0)
    assert box.blobs.sent[large.model_digest] == 600_000  # no byte twice


async def test_what_answered_and_was_damaged_on_the_disk_is_fetched_again_outside_of_the_window(box: Box) -> None:
    await box.install(OLD)
    box.rules = {QUAY: Download(window=window(box, opens=3.0))}
    await box.power_cut()
    box.releases.discard([OLD.model_digest])
    opens = box.clock.unix() + 3 * 3600
    box.start({QUAY: OLD.digest})
    await box.until(lambda: box.serving.answers(QUAY) == OLD.digest, step=1.0)
    assert box.clock.unix() < opens


async def test_a_box_gets_its_turn_when_its_share_of_the_jitter_has_passed(box: Box) -> None:
    delay = 7200 * download.share("quay-1", QUAY)
    box.rule(Download(jitter=7200.0))
    box.blobs.add(OLD)
    box.offer(OLD)
    since = box.clock.unix()
    assert (await held(box)).startswith("waits for its turn")
    await box.until(lambda: bool(box.blobs.fetches), step=10.0)
    assert delay <= box.clock.unix() - since < delay + 20


async def test_a_box_that_is_started_again_and_again_gets_its_turn_all_the_same(box: Box) -> None:
    box.rule(Download(jitter=7200.0))
    box.blobs.add(OLD)
    box.offer(OLD)
    since = box.clock.unix()
    await held(box)
    while not box.blobs.fetches and box.clock.unix() < since + 7200:
        await box.minutes(4)
        await box.power_cut()
        box.start({QUAY: OLD.digest})
    assert box.blobs.fetches


class FullDisk(MemoryState):
    def put(self, key: str, value: bytes) -> None:
        raise DiskFull("no room")


async def test_a_box_whose_disk_is_full_gets_its_turn_all_the_same(box: Box) -> None:
    box.downloads.state = FullDisk()
    box.rule(Download(jitter=7200.0))
    box.blobs.add(OLD)
    box.offer(OLD)
    since = box.clock.unix()
    await box.until(lambda: bool(box.blobs.fetches), step=30.0)
    assert box.clock.unix() - since < 7200


async def test_when_a_release_was_needed_is_forgotten_with_its_deployment(box: Box) -> None:
    box.rule(Download(jitter=7200.0))
    box.offer(OLD)
    await held(box)
    assert box.state.keys("needed/") == ["needed/quay"]
    box.downloads.plan({})
    assert box.state.keys("needed/") == []


@pytest.mark.parametrize(("caps", "least"), [((10_000.0,), 60.0), ((10_000.0, 10_000.0), 120.0)])
async def test_what_comes_keeps_to_the_cap_and_deployments_that_pull_at_once_share_it(
    box: Box, caps: tuple[float, ...], least: float
) -> None:
    first, second = releases.make("3.0.0", size=600_000), releases.make("3.0.0", size=600_000, name="other")
    chosen = (first, second)[: len(caps)]
    box.blobs.chunk = 4_096
    box.rule(*[Download(bytes_per_second=cap) for cap in caps])
    box.blobs.add(*chosen)
    box.offer(*chosen)
    since = box.clock.monotonic()
    await box.until(lambda: sum(box.blobs.sent.values()) >= 600_000 * len(caps), step=0.25)
    assert least - 2 <= box.clock.monotonic() - since < 1.3 * least


async def test_a_narrow_deployment_beside_a_wide_one_takes_no_more_than_its_own(box: Box) -> None:
    wide, narrow = releases.make("3.0.0", size=400_000), releases.make("3.0.0", size=400_000, name="other")
    box.blobs.chunk = 4_096
    box.rule(Download(bytes_per_second=40_000.0), Download(bytes_per_second=4_000.0))
    box.blobs.add(wide, narrow)
    box.offer(wide, narrow)
    since = box.clock.monotonic()
    await box.until(lambda: box.blobs.sent[wide.model_digest] >= 400_000, step=0.25)
    seconds = box.clock.monotonic() - since
    assert sum(box.blobs.sent.values()) <= 40_000 * (seconds + 1) + 10_000
    assert box.blobs.sent[narrow.model_digest] <= 4_000 * (seconds + 1) + 4_096


async def test_a_deployment_without_a_cap_is_not_slowed_by_one_that_has_one(box: Box) -> None:
    box.rule(Download(bytes_per_second=100.0))
    box.blobs.add(OLD, OTHER)
    box.offer(OLD, OTHER)
    before = box.clock.monotonic()
    await box.until(lambda: box.serving.answers(GATE) == OTHER.digest, step=0.25)
    assert box.clock.monotonic() - before < 60
    assert box.blobs.sent[OLD.model_digest] < 20_000

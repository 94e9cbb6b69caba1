"""Updates from signed metadata: what is not approved waits or is refused by name, and what answers always goes on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.trust.errors import NotApproved
from agent.update import steps
from agent.update.downloads import Downloads
from agent.update.machine import State
from agent.update.shadow import Shadows
from protos.errors import Retryable
from tests.sim import releases
from tests.sim.signed_repository import QUAY, SignedRepository
from tests.sim.signed_update import UpdatedBox

OLD, NEW = releases.make("1.0.0", 9_000), releases.make("2.0.0", 9_000)
DAY = 86_400.0


@pytest.fixture
async def box(tmp_path: Path, repository: SignedRepository) -> AsyncIterator[UpdatedBox]:
    box = UpdatedBox(tmp_path, repository, OLD, NEW)
    yield box
    await box.close()


async def running(box: UpdatedBox) -> UpdatedBox:
    """OLD is signed, and answers."""
    box.repository.deploy(OLD, "1.0.0")
    box.offer(OLD)
    await box.until(lambda: box.runs(OLD))
    return box


async def look(box: UpdatedBox) -> None:
    """A Sync brings the hint that there is newer metadata, and it is looked at."""
    box.trust.hint(box.repository.roles["timestamp"].version)
    await box.refresh()


async def test_what_is_not_signed_waits_with_the_next_step_and_goes_on_once_it_is(box: UpdatedBox) -> None:
    await running(box)
    report = await box.settles(NEW)
    assert (report.state, report.refused, box.answers) == (State.PULLING, (), OLD.digest)
    assert "assign/quay/release" in report.message
    assert not box.releases.has(NEW.digest)
    box.repository.deploy(NEW, "2.0.0")
    await look(box)
    await box.until(lambda: box.runs(NEW))
    assert box.report.message == ""


async def test_newer_metadata_ends_a_wait_at_once(box: UpdatedBox) -> None:
    await running(box)
    await box.settles(NEW)
    for _ in range(12):
        await box.clock.advance(60.0)  # ever more patiently
    box.repository.deploy(NEW, "2.0.0")
    before = box.clock.monotonic()
    await look(box)
    await box.until(lambda: box.runs(NEW))
    assert box.clock.monotonic() - before < 5.0


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("device-class", {"device_classes": ("aarch64-cuda",)}),
        ("minimum-agent", {"minimum_agent": "0.4"}),
    ],
)
async def test_a_rule_that_excludes_this_box_is_told_by_name_and_is_asked_again_when_it_changes(
    box: UpdatedBox, rule: str, fields: dict[str, object]
) -> None:
    await running(box)
    box.repository.deploy(NEW, "2.0.0", **fields)
    await look(box)
    report = await box.settles(NEW)
    assert (report.state, report.refused, box.answers) == (State.FAILED, (NEW.digest,), OLD.digest)
    assert report.message.startswith(f"{rule}: models/harbour/2.0.0")
    box.repository.deploy(NEW, "2.0.0")
    await look(box)
    await box.until(lambda: box.runs(NEW))


async def test_a_rule_is_asked_again_after_a_start_for_the_agent_may_be_another(box: UpdatedBox) -> None:
    await running(box)
    box.repository.deploy(NEW, "2.0.0", minimum_agent="0.4")
    await look(box)
    await box.settles(NEW)
    await box.restarted()
    box.trust.kind = type(box.trust.kind)(("x86_64-cpu",), "0.4.0")
    box.offer(NEW)
    await box.until(lambda: box.runs(NEW))


async def test_a_manifest_that_is_not_what_was_listed_is_refused_by_name(box: UpdatedBox) -> None:
    await running(box)
    box.repository.deploy(NEW, "2.0.1")
    await look(box)
    report = await box.settles(NEW)
    assert report.state is State.FAILED
    assert report.message.startswith("manifest-differs: models/harbour/2.0.1")
    assert box.answers == OLD.digest


async def test_a_manifest_for_another_task_than_the_one_listed_is_refused(box: UpdatedBox) -> None:
    await running(box)
    box.repository.deploy(NEW, "2.0.0", task="classification")
    await look(box)
    assert "manifest-differs" in (await box.settles(NEW)).message


async def test_after_a_power_cut_what_was_approved_answers_without_network_metadata_or_a_right_clock(
    box: UpdatedBox,
) -> None:
    await running(box)
    box.repository.away = Retryable("the simulated network is away")
    box.blobs.away = True
    box.clock.jump(400 * DAY)
    await box.restarted()
    await box.until(lambda: box.answers == OLD.digest)
    box.clock.jump(-800 * DAY)
    await box.restarted()
    await box.until(lambda: box.answers == OLD.digest)


async def test_a_file_damaged_on_disk_is_fetched_again_though_metadata_has_expired(box: UpdatedBox) -> None:
    await running(box)
    box.repository.away = Retryable("the simulated network is away")
    model = box.folder / "blobs" / "sha256" / OLD.model_digest.removeprefix("sha256:")
    model.write_bytes(b"?" + OLD.model[1:])
    await box.restarted()
    await box.until(lambda: box.answers == OLD.digest)


async def test_what_an_agent_without_signatures_confirmed_goes_on_and_nothing_else_does(box: UpdatedBox) -> None:
    await running(box)
    for key in [*box.state.keys("approved/"), "trust/since", "trust/floors"]:
        box.state.delete(key)
    box.places.keep_floors(b"")
    box.repository.away = Retryable("the simulated network is away")
    await box.restarted()
    await box.until(lambda: box.answers == OLD.digest)
    assert box.approvals[OLD.digest].listing is None
    assert "network is away" in (await box.settles(NEW)).message
    box.state.delete(f"approved/{OLD.digest}")  # only once in the life of a box
    await box.restarted()
    await box.until(lambda: "network is away" in box.report.message)
    for _ in range(40):  # what would come back takes a thread's time
        await box.clock.advance(5.0)
        await asyncio.sleep(0.005)
    assert box.answers is None


async def test_an_old_state_that_is_put_back_alone_brings_no_release_below_a_floor_back(box: UpdatedBox) -> None:
    await running(box)
    await box.close()
    shutil.copy(box.folder / "state.db", box.folder / "copy")
    box.start()
    box.repository.deploy(NEW, "2.0.0", number=2, floor=2)
    box.offer(NEW)
    await box.until(lambda: box.runs(NEW))
    await box.close()
    (box.folder / "copy").rename(box.folder / "state.db")
    box.repository.away = Retryable("the simulated network is away")
    for _ in range(2):  # what was ended once stays so
        box.start()
        box.offer(NEW)
        await box.until(lambda: "nothing answers: the simulated network is away" in box.report.message)
        assert box.answers is None
        await box.close()
    box.repository.away = None
    box.start()
    box.offer(NEW)
    await box.until(lambda: box.runs(NEW))


async def test_what_answers_while_its_floor_rises_goes_on_over_a_start(box: UpdatedBox) -> None:
    await running(box)
    box.blobs.away = True
    box.repository.deploy(NEW, "2.0.0", number=2, floor=2)
    await look(box)
    box.offer(NEW)
    await box.until(lambda: box.floors.now.releases == {"harbour": 2})
    box.repository.away = Retryable("the simulated network is away")
    await box.restarted()
    await box.until(lambda: box.answers == OLD.digest)


async def test_approvals_of_releases_that_left_are_forgotten(box: UpdatedBox) -> None:
    await running(box)
    box.repository.deploy(NEW, "2.0.0")
    await look(box)
    box.offer(NEW)
    await box.until(lambda: box.runs(NEW))
    box.updater.offer({})
    await box.until(lambda: not box.updater.reports())
    assert list(box.approvals) == []


async def test_a_shadow_needs_an_assignment_of_its_own(box: UpdatedBox) -> None:
    await running(box)
    listing = box.repository.listed(NEW, "2.0.0")
    box.repository.publish()
    shown: list[str] = []

    class Shadowing:
        async def shadow(self, deployment: object, release: object, variant: object, model: object) -> None:
            shown.append(str(deployment))

        async def unshadow(self, deployment: object) -> None:
            return

    shadows = Shadows(box.updater._around.ports, Shadowing(), box.clock, Downloads(box.clock, box.state))
    await look(box)
    shadows.offer({QUAY: NEW.digest})
    await box.until(lambda: "assign/quay/shadow" in shadows.messages[QUAY])
    box.repository.assign(listing, shadow=True)
    box.repository.publish()
    await look(box)
    shadows.wake()
    await box.until(lambda: shown == [QUAY])
    await shadows.close()


async def test_a_release_is_verified_against_its_own_approval_and_no_other(box: UpdatedBox) -> None:
    await running(box)
    ports = box.updater._around.ports
    verified = await steps.verify(ports, box.approvals[OLD.digest])
    assert verified.approval.listing is not None
    box.repository.deploy(OLD, "3.0.0")
    await look(box)
    other = await steps.approve(ports, QUAY, OLD.digest)
    with pytest.raises(NotApproved, match="manifest-differs"):
        await steps.verify(ports, other)

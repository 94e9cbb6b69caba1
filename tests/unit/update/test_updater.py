"""A box with the real updater: what answers, what is fetched, what is remembered; power cuts and bad days included."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.update.machine import LIMITS, State
from protos import manifest as manifests
from tests.sim import releases
from tests.unit.update.conftest import QUAY, Box

OLD, NEW, NEWER = releases.make("1.0.0"), releases.make("2.0.0"), releases.make("3.0.0")


async def test_a_wanted_release_ends_up_answering(box: Box) -> None:
    await box.install(OLD)
    assert box.serving.answers(QUAY) == OLD.digest
    assert (box.report.message, box.report.bytes_done, box.report.bytes_total) == ("", OLD.total, OLD.total)


async def test_the_old_release_answers_until_the_new_one_does(box: Box) -> None:
    await box.install(OLD)
    await box.install(NEW)
    assert [digest for _, digest in box.serving.history] == [OLD.digest, NEW.digest]


async def test_after_confirming_one_engine_is_left(box: Box) -> None:
    await box.install(OLD)
    await box.install(NEW)
    assert [loaded.release for loaded in box.serving.loaded(QUAY)] == [NEW.digest]


async def test_offering_the_same_again_changes_nothing(box: Box) -> None:
    await box.install(OLD)
    before = (list(box.blobs.fetches), list(box.serving.history), box.changes)
    for _ in range(5):
        box.offer(OLD)
        await box.clock.advance(30)
    assert (box.blobs.fetches, box.serving.history, box.changes) == before


async def test_a_file_two_releases_share_is_fetched_once(box: Box) -> None:
    await box.install(OLD)
    fetched = len(box.blobs.fetches)
    await box.install(NEW)
    assert len(box.blobs.fetches) - fetched == 3  # manifest, model, card: the labels are there already


async def test_a_broken_wire_goes_on_where_it_stopped(box: Box) -> None:
    box.blobs.break_after = 20_000
    await box.install(OLD)
    offsets = [offset for digest, offset in box.blobs.fetches if digest == OLD.model_digest]
    assert offsets == [0, 20_000, 40_000]
    assert box.blobs.sent[OLD.model_digest] == len(OLD.model)


async def test_without_a_network_the_old_release_answers_and_the_new_one_waits(box: Box) -> None:
    await box.install(OLD)
    box.blobs.away = True
    box.offer(NEW)
    await box.until(lambda: "network is away" in box.report.message, step=1.0)
    await box.minutes(60)
    assert (box.report.state, box.report.active) == (State.PULLING, OLD.digest)
    assert "network is away" in box.report.message
    box.blobs.away = False
    await box.install(NEW)


async def test_the_wait_between_tries_grows_and_is_capped(box: Box) -> None:
    box.blobs.away = True
    box.offer(OLD)
    await box.until(lambda: bool(box.clock.sleeping))
    for _ in range(60):
        await box.clock.advance(60)
        await box.until(lambda: bool(box.clock.sleeping))
    assert 40 < len(box.blobs.fetches) < 90  # an hour at about one a minute, after the first quick ones


async def test_a_new_offer_ends_the_wait(box: Box) -> None:
    box.blobs.away = True
    box.offer(OLD)
    await box.until(lambda: bool(box.clock.sleeping))
    tries = len(box.blobs.fetches)
    box.offer(OLD)  # a Sync came through: there is a network
    await box.until(lambda: len(box.blobs.fetches) > tries)


async def test_a_file_changed_on_the_way_is_refused_and_the_old_one_answers(box: Box) -> None:
    await box.install(OLD)
    box.blobs.add(NEW)
    box.blobs.wrong[NEW.model_digest] = b"!" + NEW.model[1:]
    box.offer(NEW)
    report = await box.reach(State.FAILED, NEW)
    assert report.refused == (NEW.digest,)
    assert "model.onnx is not what the manifest names" in report.message
    assert box.serving.answers(QUAY) == OLD.digest
    assert box.blobs.sent[NEW.model_digest] == 2 * len(NEW.model)  # one extra download, then no more
    assert not box.releases.has(NEW.model_digest)


async def test_a_file_that_nothing_loads_is_hashed_as_well(box: Box) -> None:
    box.blobs.add(NEW)
    (card,) = (digest for digest, content in NEW.blobs.items() if content.startswith(b"# harbour"))
    box.blobs.wrong[card] = b"!" + NEW.blobs[card][1:]
    box.offer(NEW)
    report = await box.reach(State.FAILED, NEW)
    assert "card.md is not what the manifest names" in report.message
    assert not box.releases.has(card)


async def test_bytes_garbled_once_are_fetched_again(box: Box) -> None:
    box.blobs.add(OLD)
    box.blobs.wrong[OLD.model_digest] = b"!" + OLD.model[1:]
    box.offer(OLD)
    await box.until(lambda: box.blobs.sent[OLD.model_digest] == len(OLD.model))
    box.blobs.wrong.clear()
    await box.install(OLD)
    assert box.report.refused == ()


async def test_a_manifest_without_an_end_is_not_read_to_its_end(box: Box) -> None:
    box.blobs.wrong[NEW.digest] = bytes(10 * manifests.MAX_BYTES)
    box.offer(NEW)
    await box.reach(State.FAILED, NEW)
    assert box.blobs.sent[NEW.digest] <= 2 * (manifests.MAX_BYTES + box.blobs.chunk)  # wrong bytes may be an accident


@pytest.mark.parametrize("wrong", [b"", b"short", releases.content("endless", 5_000_000)])
async def test_a_manifest_changed_on_the_way_is_refused(box: Box, wrong: bytes) -> None:
    await box.install(OLD)
    box.blobs.add(NEW)
    box.blobs.wrong[NEW.digest] = wrong
    box.offer(NEW)
    await box.reach(State.FAILED, NEW)
    assert box.serving.answers(QUAY) == OLD.digest


async def test_endless_data_stops_where_the_manifest_says(box: Box) -> None:
    box.blobs.add(NEW)
    box.blobs.wrong[NEW.model_digest] = NEW.model + releases.content("endless", 5_000_000)
    await box.install(NEW)  # the right bytes are a prefix, and no more were taken
    assert box.blobs.sent[NEW.model_digest] <= len(NEW.model) + box.blobs.chunk


async def test_a_truncated_file_is_refused(box: Box) -> None:
    box.blobs.add(NEW)
    box.blobs.wrong[NEW.model_digest] = NEW.model[:-1]
    box.offer(NEW)
    await box.reach(State.FAILED, NEW)
    assert box.serving.answers(QUAY) is None


async def test_a_file_the_control_plane_does_not_have_is_told_and_waited_for(box: Box) -> None:
    await box.install(OLD)
    box.blobs.add(NEW)
    box.blobs.remove({NEW.model_digest: b""})
    box.offer(NEW)
    await box.until(lambda: "no such file" in box.report.message)
    await box.clock.advance(86_400)
    assert (box.report.state, box.report.active, box.report.refused) == (State.PULLING, OLD.digest, ())
    await box.install(NEW)  # it was pushed again


async def test_a_file_that_is_not_there_is_asked_for_rarely_though_every_report_is_answered(box: Box) -> None:
    box.answers_reports = True
    box.blobs.add(OLD)
    box.blobs.remove({OLD.model_digest: b""})
    box.offer(OLD)
    for _ in range(600):
        await box.clock.advance(1)
        await box.until(lambda: bool(box.clock.sleeping))
    assert 5 < len([digest for digest, _ in box.blobs.fetches if digest == OLD.model_digest]) < 20


async def test_a_release_that_does_not_load_is_refused(box: Box) -> None:
    await box.install(OLD)
    box.serving.refuses.add(NEW.digest)
    box.blobs.add(NEW)
    box.offer(NEW)
    report = await box.reach(State.FAILED, NEW)
    assert "does not load" in report.message
    assert "does not load" in box.updater.refusal(QUAY, NEW.digest)
    assert box.updater.refusal(QUAY, OLD.digest) == ""
    assert [loaded.release for loaded in box.serving.loaded(QUAY)] == [OLD.digest]


async def test_an_unhealthy_release_is_rolled_back_and_remembered(box: Box) -> None:
    await box.install(OLD)
    box.serving.unhealthy.add(NEW.digest)
    box.blobs.add(NEW)
    box.offer(NEW)
    report = await box.reach(State.FAILED, NEW)
    assert (report.active, report.refused) == (OLD.digest, (NEW.digest,))
    assert [digest for _, digest in box.serving.history] == [OLD.digest, NEW.digest, OLD.digest]
    fetched = len(box.blobs.fetches)
    box.offer(NEW)
    await box.clock.advance(3600)
    assert len(box.blobs.fetches) == fetched


@pytest.mark.parametrize("seen", ["when warmed", "on trial"])
async def test_a_release_beyond_its_latency_budget_is_refused_until_the_budget_allows_it(box: Box, seen: str) -> None:
    await box.install(OLD)
    slow = box.serving.takes if seen == "when warmed" else box.serving.takes_on_trial
    slow[NEW.digest], box.serving.budget = 0.08, 0.05
    box.blobs.add(NEW)
    box.updater.afford({QUAY: 0.05})
    box.offer(NEW)
    report = await box.reach(State.FAILED, NEW)
    assert (report.active, report.refused) == (OLD.digest, (NEW.digest,))
    assert report.message.startswith("latency-budget: ")
    assert [loaded.release for loaded in box.serving.loaded(QUAY)] == [OLD.digest]
    assert (NEW.digest in [digest for _, digest in box.serving.history]) == (seen == "on trial")
    await box.power_cut()
    box.start({QUAY: NEW.digest})
    box.updater.afford({QUAY: 0.07})
    assert (await box.reach(State.FAILED, NEW)).refused == (NEW.digest,)
    box.updater.afford({QUAY: 0.1})  # 80 ms are allowed, and this process has not seen it slow
    await box.until(lambda: box.settled_on(NEW), step=1.0)
    assert box.report.refused == ()


async def test_without_a_latency_budget_what_was_too_slow_for_one_is_tried_again(box: Box) -> None:
    await box.install(OLD)
    box.serving.takes_on_trial[NEW.digest], box.serving.budget = 0.08, 0.05
    box.blobs.add(NEW)
    box.offer(NEW)
    await box.reach(State.FAILED, NEW)
    box.serving.budget = 0.0
    box.updater.afford({QUAY: 0.0})
    await box.until(lambda: box.settled_on(NEW), step=1.0)


async def test_a_budget_gives_no_other_refusal_back(box: Box) -> None:
    await box.install(OLD)
    box.serving.unhealthy.add(NEW.digest)
    box.blobs.add(NEW)
    box.offer(NEW)
    await box.reach(State.FAILED, NEW)
    tries = len(box.serving.warmed)
    for budget in (0.05, 60.0, 0.0):
        box.updater.afford({QUAY: budget})
        await box.clock.advance(3600)
    assert len(box.serving.warmed) == tries
    assert box.report.refused == (NEW.digest,)


async def test_a_refused_release_stays_refused_over_a_power_cut_and_another_release(box: Box) -> None:
    await box.install(OLD)
    box.serving.unhealthy.add(NEW.digest)
    box.blobs.add(NEW)
    box.offer(NEW)
    await box.reach(State.FAILED, NEW)
    await box.power_cut()
    box.start()
    await box.install(NEWER)
    box.offer(NEW)
    report = await box.reach(State.FAILED, NEW)
    assert (report.active, report.message[:15]) == (NEWER.digest, "refused before:")


async def test_a_release_that_gets_no_memory_waits_beside_the_old_one_and_says_so(box: Box) -> None:
    await box.install(OLD)
    box.serving.out_of_memory = 1_000
    box.blobs.add(NEW)
    box.offer(NEW)
    await box.until(lambda: "simulated memory" in box.report.message, step=1.0)
    await box.minutes(100)
    assert (box.report.state, box.report.active, box.report.refused) == (State.WARMING, OLD.digest, ())
    assert "simulated memory" in box.report.message
    box.serving.out_of_memory = 0
    await box.install(NEW)


async def test_a_release_that_gets_memory_later_is_installed(box: Box) -> None:
    box.serving.out_of_memory = 2
    await box.install(OLD)


@pytest.mark.parametrize("state", [State.PULLING, State.WARMING, State.CONFIRMING])
async def test_a_newer_release_supersedes_the_one_under_way(box: Box, state: State) -> None:
    await box.install(OLD)
    box.blobs.add(NEW)
    box.blobs.hang = state is State.PULLING
    box.serving.warm_seconds = 1e6 if state is State.WARMING else 0.0
    box.offer(NEW)
    await box.until(lambda: box.report.state is state)
    box.blobs.hang = False
    box.serving.warm_seconds = 0.0
    await box.install(NEWER)
    assert NEW.digest not in box.report.refused
    assert [loaded.release for loaded in box.serving.loaded(QUAY)] == [NEWER.digest]


async def test_undoing_while_confirming_answers_with_the_old_one_at_once(box: Box) -> None:
    await box.install(OLD)
    box.blobs.add(NEW)
    box.offer(NEW)
    await box.until(lambda: box.report.state is State.CONFIRMING)
    now = box.clock.monotonic()
    box.offer(OLD)
    await box.until(lambda: box.settled_on(OLD))
    assert box.clock.monotonic() == now
    assert box.serving.answers(QUAY) == OLD.digest


async def test_two_deployments_update_beside_each_other(box: Box) -> None:
    box.blobs.add(OLD, NEW)
    box.offer(OLD, NEW)
    await box.until(
        lambda: (
            [r.state for r in box.updater.reports()] == [State.IDLE] * 2 and box.serving.answers("gate") == NEW.digest
        ),
        step=1.0,
    )
    assert (box.serving.answers(QUAY), box.serving.answers("gate")) == (OLD.digest, NEW.digest)


async def test_a_withdrawn_deployment_stops_answering_and_its_files_go(box: Box) -> None:
    await box.install(OLD)
    box.updater.offer({})
    await box.until(lambda: not box.updater.reports())
    assert box.serving.answers(QUAY) is None
    assert not any(box.releases.has(digest) for digest in OLD.blobs)
    assert box.state.keys("update/") == []


async def test_a_deployment_withdrawn_and_wanted_again_comes_back(box: Box) -> None:
    await box.install(OLD)
    box.updater.offer({})
    await box.install(OLD)
    assert box.serving.answers(QUAY) == OLD.digest


async def test_a_deployment_withdrawn_in_the_middle_leaves_nothing(box: Box) -> None:
    box.blobs.add(OLD)
    box.serving.warm_seconds = 1e6
    box.offer(OLD)
    await box.until(lambda: box.report.state is State.WARMING)
    box.updater.offer({})
    await box.until(lambda: not box.updater.reports())
    assert box.serving.loaded(QUAY) == []


async def test_the_disk_holds_two_releases_at_most(box: Box) -> None:
    for release in (OLD, NEW, NEWER):
        await box.install(release)
    assert not box.releases.has(OLD.model_digest)
    assert box.releases.has(NEW.model_digest)


async def test_after_a_power_cut_the_box_answers_from_disk_without_a_network(box: Box) -> None:
    await box.install(OLD)
    await box.power_cut()
    box.blobs.away = True
    fetched = len(box.blobs.fetches)
    box.start({QUAY: OLD.digest})
    await box.until(lambda: box.serving.answers(QUAY) == OLD.digest)
    assert (len(box.blobs.fetches), box.report.active) == (fetched, OLD.digest)
    box.blobs.away = False
    box.offer(OLD)  # reconnecting changes nothing
    await box.clock.advance(60)
    assert len(box.blobs.fetches) == fetched
    assert [digest for _, digest in box.serving.history] == [OLD.digest]


async def test_a_power_cut_while_confirming_goes_back_and_tries_again(box: Box) -> None:
    await box.install(OLD)
    box.blobs.add(NEW)
    box.offer(NEW)
    await box.until(lambda: box.report.state is State.CONFIRMING)
    await box.power_cut()
    fetched = len(box.blobs.fetches)
    box.start()
    await box.until(lambda: box.settled_on(OLD))
    await box.install(NEW)
    assert len(box.blobs.fetches) == fetched  # all of it was on disk


async def test_a_release_that_fells_the_box_each_time_is_given_up(box: Box) -> None:
    await box.install(OLD)
    box.blobs.add(NEW)
    for _ in range(LIMITS[State.WARMING]):
        box.offer(NEW)
        await box.until(lambda: box.report.state is State.CONFIRMING)
        await box.power_cut()
        box.start()
    box.offer(NEW)
    report = await box.reach(State.FAILED, NEW)
    assert (report.active, report.refused) == (OLD.digest, (NEW.digest,))


async def test_a_release_damaged_on_disk_is_fetched_again(box: Box) -> None:
    await box.install(OLD)
    await box.power_cut()
    path = box.folder / "blobs" / "sha256" / OLD.model_digest.removeprefix("sha256:")
    path.write_bytes(b"!" + OLD.model[1:])
    box.start()
    await box.install(OLD)
    assert box.blobs.sent[OLD.model_digest] == 2 * len(OLD.model)


async def test_a_damaged_release_gives_way_to_the_one_before(box: Box) -> None:
    await box.install(OLD)
    await box.install(NEW)
    await box.power_cut()
    (box.folder / "blobs" / "sha256" / NEW.model_digest.removeprefix("sha256:")).unlink()
    box.blobs.away = True
    box.start({QUAY: NEW.digest})
    await box.until(lambda: box.serving.answers(QUAY) == OLD.digest)
    box.blobs.away = False
    await box.install(NEW)


async def test_bytes_lost_from_a_staged_file_are_noticed(box: Box) -> None:
    box.blobs.add(OLD)
    box.blobs.break_after = 20_000
    box.offer(OLD)
    await box.until(lambda: box.releases.staged(OLD.model_digest) == 20_000)
    await box.power_cut()
    part = box.folder / "staging" / f"{OLD.model_digest.removeprefix('sha256:')}.part"
    part.write_bytes(b"\0" * 20_000)  # what a power cut leaves of unsynced pages
    box.blobs.break_after = None
    box.start()
    await box.install(OLD)
    assert box.report.refused == ()


async def test_an_unreadable_record_starts_anew(box: Box) -> None:
    await box.install(OLD)
    box.state.put(f"update/{QUAY}", b"garbage")
    await box.power_cut()
    box.start()
    await box.install(OLD)


async def test_a_full_disk_is_told_and_waited_out(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    await box.install(OLD)
    box.blobs.add(NEW)
    monkeypatch.setattr(type(box.releases), "free_bytes", lambda _: 1 << 20)
    box.offer(NEW)
    await box.until(lambda: bool(box.updater.problems()))
    assert [problem.code for problem in box.updater.problems()] == ["disk-full"]
    assert "needs 8.1 MiB more and the disk has 1.0 MiB" in box.updater.problems()[0].message
    assert box.serving.answers(QUAY) == OLD.digest
    monkeypatch.undo()
    await box.install(NEW)
    assert box.updater.problems() == []


async def test_what_would_not_fit_the_quota_of_releases_is_told_with_numbers_until_it_does(box: Box) -> None:
    await box.install(OLD)
    box.blobs.add(NEW)
    box.quota = 100_000
    box.offer(NEW)
    await box.until(lambda: bool(box.updater.problems()))
    (problem,) = box.updater.problems()
    assert problem.code == "release-quota"
    assert "needs 0.1 MiB more and releases take 0.1 MiB of the 0.1 MiB they may on this box" in problem.message
    assert "raise boxes.releases.quota" in problem.message
    assert box.serving.answers(QUAY) == OLD.digest
    box.quota = 130_000
    await box.install(NEW)
    assert box.updater.problems() == []
    assert box.releases.used_bytes() <= box.quota


async def test_the_release_before_makes_way_for_the_next_within_the_quota_and_what_answers_stays(box: Box) -> None:
    box.quota = 130_000  # for two
    versions = [releases.make(f"{number}.0.0") for number in range(1, 5)]
    for release in versions:
        await box.install(release)
        assert box.releases.used_bytes() <= box.quota
    assert [box.releases.has(release.model_digest) for release in versions] == [False, False, True, True]
    box.quota = 1  # less than what answers: nothing is taken from it
    box.offer(versions[-1])
    await box.minutes(5)
    assert box.serving.answers(QUAY) == versions[-1].digest
    assert box.releases.has(versions[-1].model_digest)


async def test_a_full_state_database_holds_the_update_where_it_is(box: Box) -> None:
    await box.install(OLD)
    box.blobs.add(NEW)
    limit_pages(box, 1)
    box.offer(NEW)
    for _ in range(30):  # the record may fit once or twice into pages that are there
        await box.clock.advance(60)
    assert box.serving.answers(QUAY) in (OLD.digest, NEW.digest)
    limit_pages(box, 1_000_000)
    await box.install(NEW)


def limit_pages(box: Box, pages: int) -> None:
    box.state._database().execute(f"PRAGMA max_page_count = {pages}")


async def test_reports_tell_how_much_has_come(box: Box, tmp_path: Path) -> None:
    box.blobs.add(OLD)
    box.blobs.break_after = 20_000
    box.offer(OLD)
    await box.until(lambda: box.report.bytes_done > 0)
    assert box.report.bytes_total == OLD.total
    assert 0 < box.report.bytes_done < OLD.total

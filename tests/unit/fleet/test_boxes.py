"""What boxes do: report and learn what to run, come and go."""

from __future__ import annotations

import asyncio

import pytest

from controlplane.errors import Forbidden
from controlplane.fleet import loop
from controlplane.fleet.boxes import BoxService
from controlplane.fleet.reports import Inventory
from controlplane.registry.grants import Grants
from protos.errors import Retryable
from tests.sim.fleet import SimFleet, digest

CLOUD_URL = "grpcs://cloud-1.example:8001"


def test_a_sync_may_be_repeated_without_harm(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    fleet.push()
    fleet.camera("gate", "quay-1")
    fleet.deploy()
    first = quay.sync()
    for _ in range(3):
        again = quay.sync()
        assert (again.desired, again.generation) == (first.desired, first.generation)
    assert fleet.service.get_node("quay-1")["status"]["generation"] == first.generation


def test_a_sync_hands_out_a_grant_for_files_that_is_the_boxs_own_and_ends(fleet: SimFleet) -> None:
    answer = fleet.join("quay-1").sync()
    grant = Grants(b"k" * 32).check(answer.grant_bearer, fleet.now_ms)
    assert (grant.node, grant.expires_ms) == ("quay-1", fleet.now_ms + 900_000)
    assert answer.grant_expires_unix_ms == grant.expires_ms
    assert answer.grant_bearer not in repr(answer)


def test_a_box_that_was_deleted_is_refused_in_a_sentence(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    quay.sync()
    fleet.service.delete_node("quay-1")
    with pytest.raises(Forbidden, match="node quay-1 was deleted; to bring it back, join the box with a new token"):
        quay.sync()


def test_a_box_that_joins_again_gets_a_generation_it_has_not_seen(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    for source in ("a", "b", "c"):
        fleet.camera("gate", "quay-1", f"synthetic://{source}")
        quay.sync()
    seen = quay.report.observed_generation
    fleet.service.delete_node("quay-1")
    fleet.join("quay-1")
    assert quay.sync().generation > seen


def test_a_reporting_box_is_online_and_goes_offline_after_three_missed_intervals(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    fleet.clock.tick(60)
    quay.sync()
    fleet.clock.tick(45)
    assert fleet.boxes.notice_silence() == []
    fleet.clock.tick(1)
    assert fleet.boxes.notice_silence() == ["quay-1"]
    assert fleet.boxes.notice_silence() == []
    assert fleet.service.get_node("quay-1")["status"]["phase"] == "Offline"
    quay.sync()
    assert fleet.service.get_node("quay-1")["status"]["phase"] == "Online"


def test_boxes_are_not_called_silent_for_a_time_in_which_nobody_listened(fleet: SimFleet) -> None:
    fleet.join("quay-1").sync()
    fleet.clock.tick(3600)
    boxes = fleet.restarted()
    fleet.clock.tick(30)
    assert boxes.notice_silence() == []
    fleet.clock.tick(16)
    assert boxes.notice_silence() == ["quay-1"]


def test_the_last_will_of_a_box_makes_it_offline_at_once(fleet: SimFleet) -> None:
    fleet.join("quay-1").sync()
    fleet.boxes.presence("quay-1", online=False, boot_id="boot-1")
    assert fleet.service.get_node("quay-1")["status"]["phase"] == "Offline"
    fleet.boxes.presence("quay-1", online=True, boot_id="boot-1")
    assert fleet.service.get_node("quay-1")["status"]["phase"] == "Online"


@pytest.mark.parametrize("news", [{"boot_id": "boot-0"}, {"boot_id": "boot-1", "retained": True}])
def test_old_news_from_the_broker_say_nothing(fleet: SimFleet, news: dict[str, object]) -> None:
    fleet.join("quay-1").sync()
    fleet.boxes.presence("quay-1", online=False, **news)  # type: ignore[arg-type]  # two keywords, by parameter
    assert fleet.service.get_node("quay-1")["status"]["phase"] == "Online"


def test_presence_of_a_box_nobody_knows_makes_no_node_and_is_cleared_at_the_broker(fleet: SimFleet) -> None:
    fleet.boxes.presence("stranger", online=True)
    assert fleet.service.list_nodes() == []
    assert list(fleet.notifier.forgotten) == ["stranger"]


@pytest.mark.parametrize("retained", [False, True])
def test_what_the_broker_keeps_of_a_deleted_box_is_cleared_whenever_it_is_heard(
    fleet: SimFleet, *, retained: bool
) -> None:
    """The broker was away when it was deleted, or the box is still connected and told its last will just now."""
    fleet.join("quay-1").sync()
    fleet.service.delete_node("quay-1")
    assert list(fleet.notifier.forgotten) == ["quay-1"]
    fleet.boxes.presence("quay-1", online=False, boot_id="boot-1", retained=retained)
    assert list(fleet.notifier.forgotten) == ["quay-1", "quay-1"]


def test_a_control_plane_that_starts_clears_what_is_kept_of_boxes_deleted_before(fleet: SimFleet) -> None:
    for name in ("quay-1", "quay-2"):
        fleet.join(name)
    fleet.service.delete_node("quay-1")
    fleet.notifier.forgotten.clear()
    boxes = fleet.restarted()
    for number in range(1, 4):
        loop.tick(boxes, number)
    assert list(fleet.notifier.forgotten) == ["quay-1"]
    fleet.join("quay-1")
    fleet.notifier.forgotten.clear()
    loop.tick(fleet.restarted(), 1)
    assert list(fleet.notifier.forgotten) == []


def test_edges_learn_of_a_cloud_node_when_it_comes_and_forget_it_when_it_goes(fleet: SimFleet) -> None:
    quay, cloud = fleet.join("quay-1"), fleet.join("cloud-1", "cloud")
    fleet.push()
    fleet.deploy(cloudSelector={"matchLabels": {"role": "cloud"}})
    assert quay.sync().desired.cloud == ()
    fleet.hints()
    cloud.sync(inventory=Inventory(inference_grpc_url=CLOUD_URL))
    assert fleet.hints() == ["quay-1"]
    assert [(item.node_id, item.url) for item in quay.sync().desired.cloud] == [("cloud-1", CLOUD_URL)]
    fleet.boxes.presence("cloud-1", online=False, boot_id="boot-1")
    assert fleet.hints() == ["quay-1"]
    assert quay.sync().desired.cloud == ()


def test_a_silent_cloud_node_is_taken_from_the_edges(fleet: SimFleet) -> None:
    quay, cloud = fleet.join("quay-1"), fleet.join("cloud-1", "cloud")
    fleet.push()
    fleet.deploy()
    cloud.sync(inventory=Inventory(inference_grpc_url=CLOUD_URL))
    fleet.clock.tick(50)
    quay.sync()
    fleet.hints()
    assert fleet.boxes.notice_silence() == ["cloud-1"]
    assert fleet.hints() == ["quay-1"]
    assert quay.sync().desired.cloud == ()


def test_a_cloud_node_runs_what_it_is_to_help_with(fleet: SimFleet) -> None:
    cloud = fleet.join("cloud-1", "cloud")
    fleet.push()
    fleet.camera("gate", "cloud-1")
    fleet.deploy()
    state = cloud.sync().desired
    assert [(item.digest, item.cameras) for item in state.deployments] == [(digest("1.0.0"), ())]
    assert state.cameras == ()


def test_a_late_box_is_nudged_again_until_it_acts_on_the_newest(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    quay.sync()
    fleet.camera("gate", "quay-1")
    fleet.hints()
    assert fleet.boxes.nudge_late() == ["quay-1"]
    assert fleet.hints() == ["quay-1"]
    quay.sync()
    quay.sync()
    assert fleet.boxes.nudge_late() == []


def test_conditions_remember_since_when_they_are_what_they_are(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    quay.sync()
    assert fleet.boxes.keep_transitions() == 1
    since = fleet.service.get_node("quay-1")["status"]["conditions"][0]["lastTransitionTime"]
    fleet.clock.tick(10)
    quay.sync()
    fleet.boxes.keep_transitions()
    ready = fleet.service.get_node("quay-1")["status"]["conditions"][0]
    assert ready["lastTransitionTime"] == since
    assert fleet.boxes.keep_transitions() == 0


def test_one_tick_notices_nudges_and_dates(fleet: SimFleet) -> None:
    fleet.join("quay-1").sync()
    fleet.clock.tick(46)
    loop.tick(fleet.boxes, 15)
    ready = fleet.service.get_node("quay-1")["status"]["conditions"][0]
    assert (ready["status"], ready["reason"]) == ("False", "Offline")


async def test_a_database_that_is_away_does_not_end_the_loop(
    fleet: SimFleet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ticks: list[int] = []

    def tick(_: BoxService, number: int) -> None:
        ticks.append(number)
        raise Retryable("the database is away")

    async def sleep(_: float) -> None:
        if len(ticks) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(loop, "tick", tick)
    with pytest.raises(asyncio.CancelledError):
        await loop.run(fleet.boxes, sleep)
    assert ticks == [1, 2, 3]
    assert "the database is away" in caplog.text


def test_a_node_without_anything_stored_of_its_report_shows_as_joined(fleet: SimFleet) -> None:
    fleet.join("quay-1", site="quay")
    document = fleet.service.get_node("quay-1")
    assert document["status"]["phase"] == "Joined"
    assert document["metadata"]["labels"] == {"site": "quay"}
    assert "start 'longshore-agent run' on it" in document["status"]["conditions"][0]["message"]

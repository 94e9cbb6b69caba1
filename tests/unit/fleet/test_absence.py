"""Who is gone is shown within five minutes, whatever killed it; who is there is not called gone, whatever broke."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from controlplane.fleet.desired import Broker
from controlplane.fleet.generations import MOST_SILENT_SECONDS
from tests.sim.clock import FakeClock
from tests.sim.fleet import SETTINGS, SimBox, SimFleet, sqlite

MOST = 300  # seconds
BEAT = 190
SILENT = 280  # a beat, and time to find another way


def absent_after(fleet: SimFleet, name: str = "quay-1") -> int:
    """Seconds until it is shown as offline, in its own condition as well."""
    for second in range(2 * MOST):
        fleet.boxes.notice_silence()
        ready = fleet.service.get_node(name)["status"]["conditions"][0]
        if ready["status"] == "False":
            assert fleet.service.get_node(name)["status"]["phase"] == "Offline"
            return second
        fleet.clock.tick(1)
    raise AssertionError("it is never shown as offline")


def quiet(fleet: SimFleet, name: str = "quay-1") -> SimBox:
    """A box whose beats arrive."""
    box = fleet.join(name)
    box.sync(silent_seconds=SILENT)
    return box


def beat(fleet: SimFleet) -> None:
    fleet.boxes.presence("quay-1", online=True)


def phase(fleet: SimFleet) -> str:
    return str(fleet.service.get_node("quay-1")["status"]["phase"])


def test_the_power_goes_right_after_a_beat(fleet: SimFleet) -> None:
    quiet(fleet)
    for _ in range(3):
        fleet.clock.tick(BEAT)
        beat(fleet)
    assert SILENT <= absent_after(fleet) <= MOST


def test_the_power_goes_right_after_a_sync(fleet: SimFleet) -> None:
    quiet(fleet)
    assert absent_after(fleet) <= MOST


def test_the_process_is_killed_and_the_broker_tells_its_will(fleet: SimFleet) -> None:
    quiet(fleet)
    fleet.boxes.presence("quay-1", online=False, boot_id="boot-1")
    assert absent_after(fleet) == 0


def test_it_dies_while_the_control_plane_is_away_from_the_broker(fleet: SimFleet) -> None:
    """Its will is heard by nobody, and is old news afterwards."""
    quiet(fleet)
    fleet.boxes.presence("quay-1", online=False, boot_id="boot-1", retained=True)
    assert absent_after(fleet) <= MOST


def test_it_dies_without_a_broker(fleet: SimFleet) -> None:
    fleet.join("quay-1").sync(silent_seconds=0)
    assert absent_after(fleet) <= 3 * SETTINGS.sync_interval_seconds + 1


def test_it_dies_while_its_beats_do_not_arrive(fleet: SimFleet) -> None:
    box = quiet(fleet)
    fleet.clock.tick(BEAT)
    box.sync(silent_seconds=0)
    assert absent_after(fleet) <= 3 * SETTINGS.sync_interval_seconds + 1


def test_it_dies_just_before_the_control_plane_starts_again(fleet: SimFleet) -> None:
    quiet(fleet)
    fleet.restarted()
    assert absent_after(fleet) <= MOST


def test_an_agent_of_before_is_missed_after_three_intervals(fleet: SimFleet) -> None:
    fleet.join("quay-1").sync()
    assert absent_after(fleet) == 3 * SETTINGS.sync_interval_seconds + 1


def test_what_a_box_claims_of_its_silence_is_bounded(fleet: SimFleet) -> None:
    fleet.join("quay-1").sync(silent_seconds=1 << 31)
    assert absent_after(fleet) == MOST_SILENT_SECONDS + 1 <= MOST


def test_a_box_that_beats_and_never_syncs_is_there(fleet: SimFleet) -> None:
    quiet(fleet)
    for _ in range(500):
        fleet.clock.tick(BEAT)
        assert fleet.boxes.notice_silence() == []
        beat(fleet)
    assert phase(fleet) == "Online"


def test_a_box_whose_beats_stop_arriving_is_not_called_gone(fleet: SimFleet) -> None:
    """The last one arrived; the next finds no answer in ten seconds, and then an interval, a call and two tries."""
    box = quiet(fleet)
    for second in range(BEAT + 10 + 12 + 10 + 15):
        fleet.clock.tick(1)
        assert fleet.boxes.notice_silence() == [], second
    box.sync(silent_seconds=0)
    for _ in range(100):
        fleet.clock.tick(SETTINGS.sync_interval_seconds)
        assert fleet.boxes.notice_silence() == []
        box.sync(silent_seconds=0)
    assert phase(fleet) == "Online"


def test_a_box_that_was_called_gone_is_there_again_with_its_next_beat(fleet: SimFleet) -> None:
    quiet(fleet)
    absent_after(fleet)
    beat(fleet)
    assert phase(fleet) == "Online"
    assert SILENT <= absent_after(fleet) <= MOST


def test_a_beat_is_when_a_box_was_last_heard(fleet: SimFleet) -> None:
    quiet(fleet)
    before = fleet.service.get_node("quay-1")["status"]["lastSeen"]
    fleet.clock.tick(BEAT)
    beat(fleet)
    assert fleet.service.get_node("quay-1")["status"]["lastSeen"] > before


def test_boxes_are_told_to_beat_and_cloud_nodes_to_call_in(tmp_path: Path, clock: FakeClock) -> None:
    broker = Broker("127.0.0.1", 8883, tls=True, mqtt5=True, beat_seconds=BEAT)
    fleet = SimFleet(sqlite(tmp_path / "other"), clock, replace(SETTINGS, broker=broker, quiet_sync_seconds=86_400))
    box, cloud = fleet.join("quay-1").sync().desired, fleet.join("cloud-1", "cloud").sync().desired
    assert box.broker is not None
    assert cloud.broker is not None
    assert (box.broker.beat_seconds, box.quiet_sync_seconds) == (BEAT, 86_400)
    assert (cloud.broker.beat_seconds, cloud.quiet_sync_seconds) == (0, 0)

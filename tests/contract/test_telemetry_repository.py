"""One body for both databases: storing telemetry exactly once, and reading it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from agent.telemetry import records
from agent.telemetry.classes import RecordClass
from agent.telemetry.records import Gap, Latencies, NodeStats, OutcomeWindow, Waiting
from agent.types import Box
from controlplane.db import Database
from controlplane.history import service as history_service
from controlplane.ingest import wire
from controlplane.ingest.domain import Batch
from controlplane.ingest.intake import MOST_COUNT
from controlplane.ingest.service import IngestService
from controlplane.insights import service as insights_service
from controlplane.insights.domain import Span
from controlplane.insights.matching import Wanted
from controlplane.insights.repository import Only
from controlplane.insights.service import InsightsService, Page
from controlplane.tables import Detection
from protos.errors import Rejected
from protos.ids import NodeId
from protos.outcomes import Outcome
from tests.sim.clock import FakeClock
from tests.sim.fleet import SimFleet
from tests.sim.stored import stored
from tests.sim.telemetry import TAP, draft, finished, stats

NODE = NodeId("quay-1")
BIG = 2**63 - 1
NOW = 1_795_000_000_000
THEN = NOW - 100_000


class Store:
    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.fleet = SimFleet(database, clock)
        self.fleet.join(NODE)
        self.counted: list[Mapping[str, Any]] = []
        self.ingest = IngestService(database, clock, self.counted.extend)
        self.insights = InsightsService(database, clock)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = Database(url)
    yield Store(database, clock)
    database.close()


def batch(*rows: tuple[int, records.Draft], epoch: str = "e1", node: NodeId = NODE) -> Batch:
    waiting = [Waiting(each.record_class, seq, each.body) for seq, each in rows]
    return wire.batch(node, records.batch(epoch, waiting), NOW)


def window(end_ms: int, due: int) -> records.Draft:
    counts: dict[str, int] = {Outcome.OK_LOCAL: due - 1, Outcome.SHED: 1}
    latencies = Latencies((0, due - 1), 0.001 * (due - 1))
    return records.outcomes(OutcomeWindow(TAP, end_ms - 2000, end_ms, counts, latencies, uplink_bytes=10))


def test_telemetry_is_stored_once_however_often_it_comes(store: Store) -> None:
    first = batch((1, draft(number=1)), (2, stats()), (3, draft(RecordClass.ALARM)))
    for _ in range(3):
        store.ingest.store([first, first])
    assert stored(store.fleet.database, NODE, "e1") == (3, 0)


def test_the_largest_numbers_fit(store: Store) -> None:
    stats = records.node_stats(NodeStats(0.5, BIG, BIG), BIG, BIG, BIG)
    store.ingest.store([batch((MOST_COUNT, stats))])
    (row,) = store.insights.node_stats(NODE, 0, 10)
    assert (row.seq, row.memory_bytes, row.at_ms) == (MOST_COUNT, BIG, NOW)


def test_text_of_any_script_comes_back(store: Store) -> None:
    health = records.camera_health(TAP.camera, "retrying", "401 ✗ “größe” 漢字 \0 🚢", 5)  # type: ignore[arg-type]
    store.ingest.store([batch((1, health))])
    (row,) = store.insights.camera_history(TAP.camera, 0, 10)
    assert row.reason == "401 ✗ “größe” 漢字  🚢"


def test_outcomes_add_up_over_windows(store: Store) -> None:
    store.ingest.store([batch((1, window(10_000, 5)), (2, window(12_000, 7)), (3, window(99_000, 100)))])
    windows = store.insights.windows(Only(), 0, 50_000)
    assert sum(sum(each.counts.values()) for each in windows) == 12
    assert store.insights.windows(Only(camera="other"), 0, 50_000) == []
    assert len(store.insights.windows(Only(NODE, TAP.camera, TAP.deployment), 0, 50_000)) == 2
    assert sorted(each.end_ms for each in store.insights.counts(0, 50_000)) == [10_000, 12_000]


def test_latencies_add_up_over_windows(store: Store) -> None:
    store.ingest.store([batch((1, window(THEN + 10_000, 5)), (2, window(THEN + 12_000, 7)))])
    answers = store.insights.outcomes(Only(), Span(THEN, THEN + 20_000, 10_000)).total.answers
    assert list(answers.frames) == [0, 10]
    assert answers.seconds == pytest.approx(0.01)


def test_a_span_with_too_many_windows_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_service, "MAX_WINDOWS", 2)
    windows = [window(THEN + at_ms, due) for at_ms, due in ((10_000, 5), (12_000, 7), (99_000, 100))]
    store.ingest.store([batch(*enumerate(windows, 1))])
    assert store.insights.outcomes(Only(), Span(THEN, THEN + 50_000, 1_000)).total.due == 12
    with pytest.raises(Rejected, match="a shorter span"):
        store.insights.outcomes(Only(), Span(THEN, THEN + 100_000, 1_000))


def test_outcomes_are_counted_once_however_often_they_come(store: Store) -> None:
    """In one transaction, in the next one, and together with what is new."""
    first, second = batch((1, window(10_000, 5)), (2, window(12_000, 7))), batch((2, window(12_000, 7)), (3, draft()))
    for batches in ([first, first], [second], [batch((4, window(14_000, 9))), first]):
        store.ingest.store(batches)
    assert sorted(row["frames_due"] for row in store.counted) == [5, 7, 9]


def test_detections_come_newest_first_and_only_those_asked_for(store: Store) -> None:
    frames = [finished(number, captured_unix_ns=(NOW - 100 + number) * 1_000_000) for number in range(1, 9)]
    store.ingest.store([batch(*((frame.seq, records.frame(frame)) for frame in frames))])
    page = store.insights.detections(Wanted(0, BIG, camera=TAP.camera), 3)
    assert [each.row.seq for each in page.items] == [8, 7, 6]
    assert store.insights.detections(Wanted(0, BIG, deployment="other"), 3) == Page([], None)


def seen(number: int, *boxes: Box) -> tuple[int, records.Draft]:
    return number, records.frame(finished(number, boxes=boxes, captured_unix_ns=(NOW - 100 + number) * 1_000_000))


BOAT = Box(0.1, 0.1, 0.2, 0.2, 0.9, "boat", ("water", "gate"))
TRUCK = Box(0.5, 0.1, 0.6, 0.2, 0.4, "truck", ("quay",))
FAINT = Box(0.5, 0.1, 0.6, 0.2, 0.35, "boat", ("quay",))
ODD = Box(0.5, 0.1, 0.6, 0.2, 0.8, "100%_sure", ("water",))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, {4: 1, 3: 0, 2: 2, 1: 2}),
        ({"label": "boat"}, {2: 2, 1: 1}),
        ({"label": "truck", "zone": "quay"}, {1: 1}),
        ({"label": "boat", "zone": "quay"}, {2: 1}),
        ({"label": "boat", "zone": "quay", "min_score": 0.5}, {}),
        ({"min_score": 0.5}, {4: 1, 2: 1, 1: 1}),
        ({"zone": "water"}, {4: 1, 2: 1, 1: 1}),
        ({"label": "100%_sure"}, {4: 1}),
        ({"label": "100_"}, {}),
        ({"label": "oat"}, {}),
    ],
)
def test_what_is_asked_of_a_box_is_asked_of_one_box(store: Store, asked: dict[str, Any], found: dict[int, int]) -> None:
    store.ingest.store([batch(seen(1, BOAT, TRUCK), seen(2, BOAT, FAINT), seen(3), seen(4, ODD))])
    page = store.insights.detections(Wanted(0, BIG, **asked), 100)
    assert {each.row.seq: len(each.boxes) for each in page.items} == found


def test_pages_follow_each_other_without_a_gap_though_moments_are_equal(store: Store) -> None:
    store.fleet.join("quay-2")
    frames = [records.frame(finished(number, captured_unix_ns=NOW * 1_000_000)) for number in range(1, 6)]
    for node in (NODE, NodeId("quay-2")):
        store.ingest.store([batch(*enumerate(frames, 1), node=node)])
    got, after = [], None
    for _ in range(4):
        page = store.insights.detections(Wanted(0, BIG), 3, after)
        got += [(each.row.node_id, each.row.seq) for each in page.items]
        after = page.after
    assert after is None
    assert got == [(node, seq) for node in ("quay-2", "quay-1") for seq in (5, 4, 3, 2, 1)]


def test_a_page_that_would_look_into_too_many_rows_ends_early_and_says_where(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(insights_service, "CHUNK", 2)
    monkeypatch.setattr(insights_service, "MOST_CHUNKS", 2)
    faint, strong = Box(0, 0, 1, 1, 0.4, "boat"), Box(0, 0, 1, 1, 0.9, "truck")
    store.ingest.store([batch(*(seen(number, faint, strong) for number in range(2, 9)), seen(1, BOAT))])
    wanted = Wanted(0, BIG, label="boat", min_score=0.5)
    page = store.insights.detections(wanted, 10)
    assert (page.items, page.after and page.after.seq) == ([], 5)
    page = store.insights.detections(wanted, 10, page.after)
    assert ([each.row.seq for each in page.items], page.after and page.after.seq) == ([1], 1)
    assert store.insights.detections(wanted, 10, page.after) == Page([], None)


def test_rows_of_before_are_found_though_nothing_is_noted_of_them(store: Store) -> None:
    store.ingest.store([batch(seen(1, BOAT), seen(2, TRUCK))])
    with store.fleet.database.begin() as session:
        session.execute(update(Detection).values(labels=None, zones=None, top_score=None))
    page = store.insights.detections(Wanted(0, BIG, label="boat", zone="gate", min_score=0.5), 10)
    assert [each.row.seq for each in page.items] == [1]


def test_labels_without_end_are_stored_and_found(store: Store) -> None:
    crowd = [Box(0, 0, 1, 1, 0.9, f"{number:03d}" + "漢" * 50) for number in range(100)]
    store.ingest.store([batch(seen(1, *crowd), seen(2, TRUCK))])
    assert len(store.insights.detections(Wanted(0, BIG, label=crowd[70].label), 10).items) == 1


def test_the_newest_figures_of_each_box(store: Store) -> None:
    store.fleet.join("quay-2")
    now = store.insights.now_ms
    for seq, at in ((1, now - 5_000), (2, now - 1_000)):
        store.ingest.store([batch((seq, records.node_stats(NodeStats(seq, 1, 1), 0, 0, at)))])
    old = records.node_stats(NodeStats(9, 1, 1), 0, 0, now - 7_200_000)
    store.ingest.store([batch((1, old), node=NodeId("quay-2"))])
    assert {name: row.cpu_cores_used for name, row in store.insights.latest_stats().items()} == {NODE: 2}


def test_declared_drops_are_summed(store: Store) -> None:
    holes = [Gap(RecordClass.DETECTION, 1, 9, lost, "full") for lost in (4, 5)]
    gaps = [records.Draft(RecordClass.GAP, records.gap(each)) for each in holes]
    store.ingest.store([batch((10, gaps[0]), (11, gaps[1]))])
    assert stored(store.fleet.database, NODE, "e1") == (2, 9)
    (lost,) = store.insights.lost()
    assert (lost.node, lost.record_class, lost.reason, lost.records, lost.at_ms) == (NODE, "detection", "full", 9, NOW)
    assert store.insights.lost("quay-2") == []


def test_writers_that_store_the_same_at_once_do_not_stand_in_each_others_way(store: Store) -> None:
    """Two replicas of ingest, or one that was slow to die."""
    batches = [batch(*((seq, draft(number=seq)) for seq in range(start, start + 40))) for start in (1, 21, 41, 61)]
    failures: list[BaseException] = []

    def work(order: list[Batch]) -> None:
        try:
            for each in order:
                store.ingest.store([each])
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(order,)) for order in (batches, batches[::-1], batches)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert stored(store.fleet.database, NODE, "e1") == (100, 0)


def test_old_rows_can_be_swept(store: Store) -> None:
    store.ingest.store([batch((1, draft()), (2, draft(RecordClass.METRIC)))])
    store.fleet.clock.tick(9 * 86_400)  # PostgreSQL keeps rows until their part goes whole
    store.ingest.store([batch((3, draft(number=3)))])
    assert [store.ingest.sweep() for _ in range(2)] == [2, 0]
    assert stored(store.fleet.database, NODE, "e1") == (1, 0)

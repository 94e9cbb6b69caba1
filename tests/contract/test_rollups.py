"""One body for both databases: minutes and hours hold each stored record exactly once, whatever comes between."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text

from agent.telemetry import records
from agent.telemetry.records import Latencies, NodeStats, OutcomeWindow, Waiting
from agent.types import Tap
from controlplane import tables
from controlplane.books.service import BooksService
from controlplane.db import Database
from controlplane.history.repository import HistoryRepository
from controlplane.ingest import wire
from controlplane.ingest.domain import Batch
from controlplane.ingest.service import IngestService
from controlplane.insights.domain import Span
from controlplane.insights.repository import Only
from controlplane.partitions import domain as partitions
from controlplane.partitions.repository import PartitionRepository
from controlplane.rollups import domain, service
from controlplane.rollups import tables as rolled
from controlplane.rollups.domain import CAP, ROLLED, SUMS, Level
from controlplane.rollups.repository import RollupRepository
from controlplane.rollups.service import RollupService
from controlplane.settings.service import SettingsService
from protos.decided import Decided
from protos.ids import CameraName, DeploymentName, NodeId
from protos.outcomes import Outcome, Stage
from tests.sim.clock import FakeClock
from tests.sim.fleet import SimFleet

NODES = (NodeId("quay-1"), NodeId("quay-2"))
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


class Store:
    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.database, self.clock = database, clock
        self.fleet = SimFleet(database, clock)
        for node in NODES:
            self.fleet.join(node)
        self.ingest = IngestService(database, clock)
        self.rollups = RollupService(database, clock)

    @property
    def now_ms(self) -> int:
        return int(self.clock.unix() * 1000)

    def batch(self, node: NodeId, first: int, *drafts: records.Draft) -> Batch:
        waiting = [Waiting(each.record_class, seq, each.body) for seq, each in enumerate(drafts, first)]
        return wire.batch(node, records.batch("e1", waiting), self.now_ms)

    def roll(self) -> None:
        while self.rollups.roll():
            pass

    def raw(self) -> Counter[str]:
        """The oracle: stored rows, added up in Python."""
        total: Counter[str] = Counter()
        with self.database.read() as session:
            for row in session.scalars(select(tables.OutcomeCount)):
                total.update(domain.outcome_sums(vars(row)))
        return total

    def sums(self, level: Level, *, cameras: bool = True) -> Counter[str]:
        table = rolled.OUTCOMES[level]
        query = select(*(func.sum(table.c[name]) for name in SUMS)).join_from(
            table, rolled.SERIES, table.c.series == rolled.SERIES.c.id
        )
        query = query.where(rolled.SERIES.c.camera != "" if cameras else rolled.SERIES.c.camera == "")
        with self.database.read() as session:
            (row,) = session.execute(query)
        return Counter({name: int(value) for name, value in zip(SUMS, row, strict=True) if value})

    def steps(self, level: Level) -> Counter[tuple[str, str, int]]:
        """Frames answered by the box, by box, camera and start of the step."""
        table, series = rolled.OUTCOMES[level], rolled.SERIES.c
        query = select(series.node_id, series.camera, table.c.start_ms, table.c.ok_local).where(series.camera != "")
        with self.database.read() as session:
            found = session.execute(query.join_from(table, rolled.SERIES, table.c.series == series.id)).all()
        return +Counter({(node, camera, start_ms): ok or 0 for node, camera, start_ms, ok in found})

    def steps_of_rows(self, level: Level) -> Counter[tuple[str, str, int]]:
        """The oracle of `steps`."""
        found: Counter[tuple[str, str, int]] = Counter()
        with self.database.read() as session:
            for row in session.scalars(select(tables.OutcomeCount)):
                found[row.node_id, row.camera, row.at_ms // level.ms * level.ms] += row.counts.get(Outcome.OK_LOCAL, 0)
        return +found

    def stats(self, level: Level) -> list[dict[str, Any]]:
        with self.database.read() as session:
            table = rolled.STATS[level]
            found = session.execute(select(table).order_by(table.c.node_id, table.c.start_ms)).mappings()
            return [dict(row) for row in found]


@pytest.fixture
def store(database: Database, clock: FakeClock) -> Store:
    return Store(database, clock)


@pytest.fixture
def postgres(postgres_url: str, clock: FakeClock) -> Iterator[Store]:
    database = Database(postgres_url)
    yield Store(database, clock)
    database.close()


def window(rng: random.Random, end_ms: int) -> records.Draft:
    camera = CameraName(f"camera-{rng.randrange(3)}")
    ok, shed, cloud = rng.randrange(9), rng.randrange(3), rng.randrange(3)
    counts: dict[str, int] = {Outcome.OK_LOCAL: ok, Outcome.SHED: shed, Outcome.OK_CLOUD: cloud}
    box = Latencies((0, *[0] * rng.randrange(30), ok), ok * 0.0123456)
    up = Latencies((cloud,), cloud * 0.25)
    stages = {Stage.INFER: ok * 0.01, Stage.CLOUD: cloud * 0.2}
    tap = Tap(camera, DeploymentName("harbour"))
    told = {Decided.LOCAL: ok, Decided.SHED: shed, Decided.LOOKS: 1, Decided.LOAD: rng.random()}
    return records.outcomes(OutcomeWindow(tap, end_ms - 2000, end_ms, counts, box, up, 7 * cloud, stages, told))


def told_of_days(store: Store, rng: random.Random, *, count: int = 60) -> list[Batch]:
    """Batches of two boxes, some of it days old."""
    batches = []
    for node in NODES:
        for first in range(1, count, 10):
            ages = [rng.choice((0, 1, 70, 3_600, 90_000, 400_000)) * 1000 + rng.randrange(5000) for _ in range(10)]
            batches.append(store.batch(node, first, *(window(rng, store.now_ms - age) for age in ages)))
    return batches


@pytest.mark.parametrize("seed", range(4))
def test_hours_minutes_and_raw_rows_add_up_to_the_same_however_often_and_in_whatever_order_records_come(
    store: Store, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a roller that now and then dies between its statements, and one that takes few at a time."""
    for name in ("ROLL_NOTES", "ROLL_MANY"):
        monkeypatch.setattr(service, name, 7)
    rng = random.Random(seed)
    deliveries = told_of_days(store, rng) * 3
    rng.shuffle(deliveries)
    for batch in deliveries:
        store.ingest.store([batch])
        if rng.random() < 0.3:
            die_in(store, monkeypatch, rng.choice(("take", "add_outcomes", "add_stats")))
        if rng.random() < 0.3:
            store.rollups.roll()
    store.roll()
    raw = store.raw()
    assert raw["ok_local"] > 0
    for level in ROLLED:
        assert (store.sums(level), store.sums(level, cameras=False)) == (raw, raw)
        assert store.steps(level) == store.steps_of_rows(level)


def die_in(store: Store, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A roll that ends right behind this step, before it is committed."""
    real = getattr(RollupRepository, step)

    def dying(self: RollupRepository, *given: Any) -> None:
        real(self, *given)
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(RollupRepository, step, dying)
        with pytest.raises(ZeroDivisionError):
            store.rollups.roll()


def test_a_transaction_that_is_not_committed_adds_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingest dies after it noted what it stores."""
    (batch, *_) = told_of_days(store, random.Random(1))
    real = RollupRepository.note

    def dying(self: RollupRepository, *given: Any) -> None:
        real(self, *given)
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(RollupRepository, "note", dying)
        with pytest.raises(ZeroDivisionError):
            store.ingest.store([batch])
    assert store.rollups.roll() == 0
    store.ingest.store([batch])
    store.roll()
    assert store.sums(Level.HOUR) == store.raw()


def test_two_replicas_that_store_and_two_that_roll_up_at_once_count_nothing_twice(store: Store) -> None:
    batches, failures, stop = told_of_days(store, random.Random(5)), list[BaseException](), threading.Event()

    def guarded(work: Any) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)
                raise

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def rolling() -> None:
        while not stop.is_set():
            store.rollups.roll()

    rollers = [guarded(rolling) for _ in range(2)]
    for thread in [guarded(lambda order=order: store.ingest.store(order)) for order in (batches, batches[::-1])]:
        thread.join()
    stop.set()
    for thread in rollers:
        thread.join()
    store.roll()
    assert failures == []
    assert store.sums(Level.MINUTE) == store.sums(Level.HOUR) == store.raw()


def test_what_a_box_spends_is_mean_and_extremes_and_its_outbox_as_told_last(store: Store) -> None:
    start = store.now_ms // HOUR_MS * HOUR_MS - HOUR_MS
    told = [(2, 0.5, 10, 70, 1), (5, 1.5, 30, 50, 9), (3, 1.0, 20, 90, 4)]  # at, cores, memory, disk, waiting
    for seq, (at, cpu, memory, disk, waiting) in enumerate(told, 1):
        draft = records.node_stats(NodeStats(cpu, memory, disk), waiting, seq, start + at * 1000)
        store.ingest.store([store.batch(NODES[0], seq, draft)] * 2)
        store.roll()
    for level in ROLLED:
        (row,) = store.stats(level)
        assert (row["samples"], row["cpu"], row["cpu_max"]) == (3, 3_000_000, 1_500_000)
        assert (row["memory"], row["memory_max"], row["disk_free_min"]) == (60, 30, 50)
        assert (row["last_ms"], row["outbox_waiting"], row["outbox_dropped"]) == (start + 5000, 9, 2)


def test_a_number_that_no_box_can_mean_breaks_no_sum(store: Store) -> None:
    big = 2**63 - 1
    tap = Tap(CameraName("quay"), DeploymentName("harbour"))
    drafts = [
        records.outcomes(OutcomeWindow(tap, store.now_ms - 2, store.now_ms - 1, {Outcome.OK_LOCAL: big}))
        for _ in range(3)
    ]
    stats = records.node_stats(NodeStats(1e300, big, big), big, big, store.now_ms)
    store.ingest.store([store.batch(NODES[0], 1, *drafts, stats)])
    store.roll()
    assert store.sums(Level.HOUR)["ok_local"] == CAP
    assert store.stats(Level.HOUR)[0]["memory"] == CAP


def test_a_year_of_numbers_that_no_box_can_mean_is_still_added_up(store: Store) -> None:
    """SQLite's own sum gives up beyond 63 bits: one box would close the pages of all."""
    hours = [{"series": 1, "start_ms": hour * HOUR_MS, "uplink_bytes": CAP} for hour in range(9_000)]
    with store.database.begin() as session:
        session.execute(insert(rolled.SERIES), [{"id": 1, "node_id": "quay-1", "camera": "", "deployment": "harbour"}])
        session.execute(insert(rolled.OUTCOMES[Level.HOUR]), hours)
    span = Span(0, 9_000 * HOUR_MS, 9_000 * HOUR_MS)
    with store.database.read() as session:
        (whole,) = HistoryRepository(session).summed(Level.HOUR, Only(), span)
    assert whole.sums.uplink_bytes == 9_000 * CAP


def test_each_level_is_forgotten_when_the_settings_say_so(store: Store) -> None:
    spec = {"telemetry": {"retention": "1m", "minutes": "1h", "hours": "1d"}}
    SettingsService(store.database, store.clock).apply("fleet", {"spec": spec})
    store.ingest.store(told_of_days(store, random.Random(2)))
    store.roll()
    store.clock.tick(30 * 60)
    assert store.rollups.sweep() > 0
    start = rolled.OUTCOMES[Level.MINUTE].c.start_ms
    with store.database.read() as session:
        assert (session.scalar(select(func.min(start))) or 0) >= store.now_ms - HOUR_MS
        assert (session.scalar(select(func.min(rolled.OUTCOMES[Level.HOUR].c.start_ms))) or 0) >= store.now_ms - DAY_MS
    while store.rollups.sweep():
        pass
    assert store.sums(Level.HOUR) != store.sums(Level.MINUTE)


# ---- parts by time ----


def rows_of(store: Store, table: str) -> int:
    with store.database.read() as session:
        return session.scalar(text(f"SELECT count(*) FROM {table}")) or 0


def parts_of(store: Store, name: str) -> list[str]:
    with store.database.read() as session:
        query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass(:name)"
        return sorted(session.scalars(text(query), {"name": name}))


@pytest.mark.postgres
def test_parts_are_made_ahead_and_dropped_whole_when_their_time_is_over(postgres: Store) -> None:
    today = postgres.now_ms // DAY_MS
    postgres.rollups.prepare()
    postgres.rollups.prepare()
    made = [f"outcome_counts_p{today + day}" for day in range(3)]
    assert parts_of(postgres, "outcome_counts") == ["outcome_counts_default", *made]
    postgres.ingest.store([postgres.batch(NODES[0], 1, window(random.Random(1), postgres.now_ms - 1))])
    assert (rows_of(postgres, made[0]), rows_of(postgres, "outcome_counts_default")) == (1, 0)
    postgres.clock.tick(8 * 86_400)
    postgres.rollups.prepare()
    assert made[0] not in parts_of(postgres, "outcome_counts")
    assert rows_of(postgres, "outcome_counts") == 0


@pytest.mark.postgres
def test_what_came_late_into_a_part_is_kept_as_long_as_anything_else(postgres: Store) -> None:
    """A box was dark for days, or its clock is days behind: nobody would know any more what it told an hour ago."""
    postgres.rollups.prepare()
    part, rng = f"outcome_counts_p{postgres.now_ms // DAY_MS}", random.Random(1)
    postgres.clock.tick(6.5 * 86_400)
    postgres.ingest.store([postgres.batch(NODES[0], 1, window(rng, postgres.now_ms - 6 * DAY_MS - HOUR_MS))])
    postgres.clock.tick(2 * 86_400)
    postgres.rollups.prepare()
    assert rows_of(postgres, part) == 1
    assert BooksService(postgres.database, postgres.clock).verify(NODES[0]).deviations == []
    postgres.clock.tick(6 * 86_400)
    postgres.rollups.prepare()
    assert part not in parts_of(postgres, "outcome_counts")
    assert BooksService(postgres.database, postgres.clock).verify(NODES[0]).deviations == []


@pytest.mark.postgres
def test_what_fits_no_part_is_kept_and_moves_into_its_part_when_that_is_made(postgres: Store) -> None:
    """A box whose clock is two days fast, and one that is in 1970."""
    rng = random.Random(1)
    drafts = [window(rng, postgres.now_ms + 2 * DAY_MS), window(rng, 5_000)]
    postgres.ingest.store([postgres.batch(NODES[0], 1, *drafts)])
    assert rows_of(postgres, "outcome_counts_default") == 2
    postgres.rollups.prepare()
    assert rows_of(postgres, "outcome_counts_default") == 1
    assert rows_of(postgres, f"outcome_counts_p{postgres.now_ms // DAY_MS + 2}") == 1
    postgres.ingest.store([postgres.batch(NODES[0], 1, *drafts)])
    assert rows_of(postgres, "outcome_counts") == 2, "a repeat has the key it had"


@pytest.mark.postgres
def test_parts_have_the_keys_and_indexes_of_their_table(postgres: Store) -> None:
    postgres.rollups.prepare()
    with postgres.database.read() as session:
        for table in partitions.PARTED:
            assert PartitionRepository(session).parts(table), table
            query = "SELECT count(*) FROM pg_index WHERE indrelid = to_regclass(:name) AND indisvalid"
            counts = {
                session.scalar(text(query), {"name": name}) for name in (table.name, *parts_of(postgres, table.name))
            }
            assert len(counts) == 1, table


@pytest.mark.postgres
def test_a_part_that_somebody_holds_is_left_for_the_next_sweep(
    postgres: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from controlplane.partitions import repository
    from protos.errors import Retryable

    monkeypatch.setattr(repository, "PATIENCE", "50ms")
    with postgres.database.begin() as held:
        held.execute(text("LOCK TABLE detections_default IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(Retryable):
            postgres.rollups.prepare()
    postgres.rollups.prepare()
    assert len(parts_of(postgres, "detections")) == 4

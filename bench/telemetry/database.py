"""What of the boxes of a stage lies in the database, each record by the name that its producer gave it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import select

from bench.telemetry.history import Books, Counted, Found, History, Hole, Made, Tally
from controlplane.db import Database, Session
from controlplane.tables import (
    AgentStart,
    CameraHealth,
    Detection,
    Epoch,
    Gap,
    NodeStat,
    OutcomeCount,
    RecordConflict,
)
from protos import telemetry_pb2 as wire
from tests.sim import made


def history(
    database: Database, node: str, accepted: Mapping[tuple[str, str], int], burst: int, books: Books | None
) -> History:
    """Of a box that tests.sim.telemetry_box was; what was `accepted`, its ledger says."""
    with database.read() as session:
        found = [Found(epoch, seq, made) for epoch, seq, made in _all(session, node)]
        holes = [_hole(gap) for gap in session.scalars(select(Gap).where(Gap.node_id == node))]
        epochs = session.scalars(select(Epoch).where(Epoch.node_id == node)).all()
    counted = [Counted(of.epoch, of.stored, of.dropped, of.up_to) for of in epochs]
    told = [_tally(of) for of in epochs if of.told_ms]
    return History(node, accepted, found, holes, told, counted, books, burst)


def any_of(database: Database, node: str) -> bool:
    """Is a frame of the box stored?"""
    with database.read() as session:
        return session.scalar(select(Detection.seq).where(Detection.node_id == node).limit(1)) is not None


def conflicts(database: Database, node: str) -> list[Made]:
    """Records that came under the name of another, and were kept aside."""
    with database.read() as session:
        aside = session.scalars(select(RecordConflict.content).where(RecordConflict.node_id == node))
        return [made.of(wire.Record.FromString(content)) for content in aside]


def forks(database: Database, node: str) -> int:
    """Starts that another start had come before, too: copies of one disk."""
    with database.read() as session:
        before = session.scalars(select(AgentStart.before).where(AgentStart.node_id == node)).all()
        return len(before) - len(set(before))


def _all(session: Session, node: str) -> Iterator[tuple[str, int, Made | None]]:
    """The way back from tests.sim.made."""
    frames = select(
        Detection.epoch, Detection.seq, Detection.deployment, Detection.frame_seq, Detection.top_score
    ).where(Detection.node_id == node)
    for epoch, seq, run, number, score in session.execute(frames):
        yield epoch, seq, Made(run.removeprefix("run-"), "detection" if score else "debug", number)
    windows = select(OutcomeCount.epoch, OutcomeCount.seq, OutcomeCount.deployment, OutcomeCount.uplink_bytes)
    for epoch, seq, run, number in session.execute(windows.where(OutcomeCount.node_id == node)):
        yield epoch, seq, Made(run.removeprefix("run-"), "metric", number)
    stats = select(NodeStat.epoch, NodeStat.seq, NodeStat.memory_bytes).where(NodeStat.node_id == node)
    for epoch, seq, name in session.execute(stats):
        yield epoch, seq, made.of_stats(name)
    health = select(CameraHealth.epoch, CameraHealth.seq, CameraHealth.reason).where(CameraHealth.node_id == node)
    for epoch, seq, reason in session.execute(health):
        yield epoch, seq, made.of_health(reason)
    for epoch, seq in session.execute(select(Gap.epoch, Gap.seq).where(Gap.node_id == node)):
        yield epoch, seq, None


def _hole(gap: Gap) -> Hole:
    epoch = gap.gap_epoch or gap.epoch
    return Hole(epoch, gap.record_class, gap.first_seq, gap.last_seq, gap.dropped, gap.lower_bound)


def _tally(of: Epoch) -> Tally:
    return Tally(of.epoch, of.record_class, of.told_accepted, of.told_waiting, of.told_dropped)

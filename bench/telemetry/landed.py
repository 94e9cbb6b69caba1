"""When telemetry of boxes that came back landed in the database, and what that says: rates, fairness, lag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import func, select

from agent.trial.tally import percentile
from controlplane.db import Database
from controlplane.tables import CameraHealth, Detection, NodeStat, OutcomeCount

TABLES = (Detection, OutcomeCount, CameraHealth, NodeStat)
LOOKS = (0.25, 0.5, 0.75)  # of the backlog: when fairness is looked at


@dataclass(frozen=True)
class Landed:
    """So many records of a box, stored in one moment. `live`: they happened after the boxes had come back."""

    node: str
    live: bool
    stored_ms: int
    records: int


def landed(database: Database, nodes: str, back_ms: int) -> list[Landed]:
    """Of the nodes whose names begin with `nodes`."""
    found = []
    with database.read() as session:
        for table in TABLES:
            live = table.at_ms >= back_ms
            counted = select(table.node_id, live, table.stored_ms, func.count()).where(table.node_id.startswith(nodes))
            for node, new, stored_ms, count in session.execute(counted.group_by(table.node_id, live, table.stored_ms)):
                found.append(Landed(node, bool(new), int(stored_ms), count))
    return found


def lags(database: Database, nodes: str, back_ms: int, until_ms: int) -> list[float]:
    """Seconds from the moment a frame was told to the transaction that stored it, of those told within two moments."""
    of = select(Detection.stored_ms - Detection.at_ms).where(
        Detection.node_id.startswith(nodes), Detection.at_ms >= back_ms, Detection.at_ms <= until_ms
    )
    with database.read() as session:
        return [int(lag) / 1000 for lag in session.scalars(of)]


@dataclass(frozen=True)
class Drain:
    """How a backlog went. Rates are records a second, over `seconds` since the boxes came back."""

    backlog: int
    live: int
    seconds: float
    backlog_rate: float
    rate: float
    jain: float  # over boxes, the worst of all looks
    ended_ms: int


def drain(found: Sequence[Landed], back_ms: int) -> Drain:
    backlog = [each for each in found if not each.live]
    ended = max(each.stored_ms for each in backlog)
    seconds = (ended - back_ms) / 1000
    waited = sum(each.records for each in backlog)
    live = sum(each.records for each in found if each.live and each.stored_ms <= ended)
    fair = min(jain(_by_then(backlog, share)) for share in LOOKS)
    return Drain(waited, live, seconds, waited / seconds, (waited + live) / seconds, fair, ended)


def jain(shares: Iterable[float]) -> float:
    """1: all have the same; 1/n: one has all."""
    given = list(shares)
    squares = len(given) * sum(each * each for each in given)
    return sum(given) ** 2 / squares if squares else 0.0


def _by_then(backlog: Sequence[Landed], share: float) -> Iterable[int]:
    """Records of each box that were stored when this share of all was; what one transaction stored is one."""
    counts = Counter({each.node: 0 for each in backlog})
    left = share * sum(each.records for each in backlog)
    for _, moment in groupby(sorted(backlog, key=_stored_ms), key=_stored_ms):
        if left <= 0:
            break
        for each in moment:
            counts[each.node] += each.records
            left -= each.records
    return counts.values()


def _stored_ms(each: Landed) -> int:
    return each.stored_ms


def told(seconds: Sequence[float]) -> dict[str, float]:
    return {name: round(percentile(seconds, share), 3) for name, share in (("p50", 0.5), ("p99", 0.99), ("most", 1.0))}

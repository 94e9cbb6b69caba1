"""What ingest stores and says, as values. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from controlplane.ingest.numbers import SeqRange
from controlplane.settings.domain import Spec
from protos.ids import NodeId

DAY_MS = 86_400_000
LEAST_BOOKS_MS = 30 * DAY_MS
LAST_DAY = 40_000  # in 2079
REFUSED = "refused: "  # how the reason of a Gap begins that stands for a record which broke a rule
UNDER_WAY_MS = 2_000  # a batch may be this long; a smaller difference says nothing about the box's clock


class Kind(StrEnum):
    """What a record is about; the names are those of the wire's oneof."""

    FRAME = "frame"
    OUTCOMES = "outcomes"
    CAMERA = "camera"
    NODE = "node"
    GAP = "gap"


NAMED = ("node_id", "epoch", "seq", "stored_ms", "digest")  # columns of every record that say nothing of its body
COLUMNS: Mapping[Kind, tuple[str, ...]] = {
    Kind.FRAME: (
        "at_ms", "camera", "deployment", "release_digest", "captured_unix_ns", "ts_source", "outcome",
        "latency_seconds", "ran_on", "boxes", "happened", "frame_seq", "labels", "zones", "top_score", "told_day",
    ),
    Kind.OUTCOMES: (
        "at_ms", "camera", "deployment", "start_ms", "end_ms", "frames_due", "counts", "box", "cloud", "uplink_bytes",
        "stages", "decided", "rung_why", "told_day",
    ),
    Kind.CAMERA: ("at_ms", "camera", "state", "reason", "told_day"),
    Kind.NODE: (
        "at_ms", "cpu_cores_used", "memory_bytes", "disk_free_bytes", "outbox_waiting", "outbox_dropped", "told_day",
    ),
    Kind.GAP: (
        "at_ms", "record_class", "first_seq", "last_seq", "dropped", "reason", "gap_epoch", "lower_bound",
    ),
}  # fmt: skip


DOCUMENTS = frozenset(("boxes", "happened"))  # columns whose cells are JSON already


class Row(NamedTuple):
    """One record, checked. A tuple, because there are twenty thousand of them in a second."""

    kind: Kind
    seq: int
    digest: int  # of `content`
    cells: tuple[Any, ...]  # by COLUMNS of its kind
    content: bytes  # the record as it came, without its number

    @property
    def values(self) -> dict[str, Any]:
        """By column."""
        named = zip(COLUMNS[self.kind], self.cells, strict=True)
        return {name: json.loads(cell) if name in DOCUMENTS else cell for name, cell in named}

    @property
    def damaged(self) -> bool:
        """It stands for a record that its box can't read any more, under that record's own number."""
        if self.kind is not Kind.GAP or self.values["reason"].startswith(REFUSED):
            return False
        return self.hole.dropped == 0 and self.hole.first == self.hole.last == self.seq

    @property
    def hole(self) -> Hole:
        """What a Gap declares."""
        _at_ms, record_class, first, last, dropped, _reason, epoch, _lower_bound = self.cells
        return Hole(epoch, record_class, first, last, dropped)


class Hole(NamedTuple):
    """Records of one class of the epoch (empty: of the Gap's own) that were dropped, all numbered in [first, last]."""

    epoch: str
    record_class: str
    first: int
    last: int
    dropped: int

    @property
    def exact(self) -> bool:
        """All of these numbers were dropped. Agents that number all classes in one line can't say so of most holes."""
        return 1 <= self.first <= self.last and self.dropped == self.last - self.first + 1


@dataclass(frozen=True)
class Arrival:
    """When a batch came, by our clock, and when its box sent it, by the box's own (0: it did not say).

    Boxes have wrong clocks, and who asks for the last minute means ours. How wrong the box's was at sending corrects
    all that the batch tells, new or days old: right for what was recorded in the same boot, with the clock as it was at
    sending; wrong by the jump for what was recorded before that clock was set. Nothing happened after it came, which
    bounds what a wild clock can do.
    """

    received_ms: int
    sent_ms: int = 0

    @property
    def offset_ms(self) -> int:
        """What to add to the box's clock to get ours."""
        offset = self.received_ms - self.sent_ms
        return offset if self.sent_ms and abs(offset) >= UNDER_WAY_MS else 0

    def at_ms(self, told_ms: int) -> int:
        """A moment that the box told, by our clock."""
        return min(max(0, told_ms + self.offset_ms), self.received_ms)


def told_day(told_ms: int) -> int:
    """The day since 1970 of a moment as its box told it, right or wrong: by nothing but the record, see
    tables.RecordColumns. Of a wild clock the nearest we know.
    """
    return min(max(0, told_ms // DAY_MS), LAST_DAY)


@dataclass(frozen=True)
class Tally:
    """The books of an epoch as its box has them. `oldest_ms` and `told_ms` are by our clock; 0: none waits."""

    epoch: str
    record_class: str
    accepted: int
    waiting: int
    dropped: int
    oldest_ms: int
    told_ms: int

    @property
    def progress(self) -> tuple[int, int, int]:
        """Only ever grows: numbers are given out, records are settled, drops are declared."""
        return self.accepted, self.accepted - self.waiting, self.dropped


@dataclass(frozen=True)
class Batch:
    """One message of one box. `refused` says of each Gap that stands for a record that broke a rule why.

    `start` and `before` are empty for an agent that does not tell them: it does not know `up_to` either.
    """

    node: NodeId
    epoch: str
    rows: tuple[Row, ...]
    refused: tuple[str, ...] = ()
    unnumbered: tuple[int, ...] = ()  # what came as the numbers of records that can't be named by them, nor stored
    start: str = ""
    before: str = ""
    tallies: tuple[Tally, ...] = field(default=(), repr=False)

    @property
    def records(self) -> int:
        return len(self.rows) + len(self.unnumbered)


def refusal(seq: int, record_class: str, reason: str, at_ms: int) -> tuple[Any, ...]:
    """The cells of what is stored in place of a record that breaks a rule: a Gap under the record's own number.

    The row counts as that record, so that what a box accepted adds up; `dropped` counts those without a row: none.
    """
    return at_ms, record_class, seq, seq, 0, REFUSED + reason, "", False


def retention(settings: Spec) -> dict[Kind, int]:
    """How long each kind is kept, in milliseconds. Gaps stay: they are few, and what is missing stays missing."""
    telemetry = settings.telemetry_retention_ms
    return {
        Kind.FRAME: settings.detections_retention_ms,
        **dict.fromkeys((Kind.OUTCOMES, Kind.CAMERA, Kind.NODE), telemetry),
    }


def books_kept(settings: Spec) -> int:
    """How long lines of numbers, starts and conflicts are kept after their last word, in milliseconds: as long as
    anything that was counted from records, and a month at least, so that a conflict is seen.
    """
    return max(
        LEAST_BOOKS_MS,
        settings.detections_retention_ms,
        settings.telemetry_retention_ms,
        settings.minutes_retention_ms,
        settings.hours_retention_ms,
    )


@dataclass(frozen=True)
class Receipt:
    """What a box need not send again of an epoch: every number up to `up_to`, and `ranges`."""

    node: NodeId
    epoch: str
    up_to: int
    ranges: tuple[SeqRange, ...]

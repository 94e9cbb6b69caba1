"""What ingest stores and says, as values. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from controlplane.settings.domain import Spec
from protos.ids import NodeId

DAY_MS = 86_400_000
LAST_DAY = 40_000  # in 2079
UNDER_WAY_MS = 2_000  # a batch may be this long; a smaller difference says nothing about the box's clock


class Kind(StrEnum):
    """What a record is about; the names are those of the wire's oneof."""

    FRAME = "frame"
    OUTCOMES = "outcomes"
    CAMERA = "camera"
    NODE = "node"
    GAP = "gap"


@dataclass(frozen=True)
class Row:
    """One record, checked: its values by column name."""

    kind: Kind
    seq: int
    values: Mapping[str, Any]


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
class Batch:
    """One message of one box. `seqs` are all records of it; `refused` says of each Gap that stands for one why."""

    node: NodeId
    epoch: str
    rows: tuple[Row, ...]
    seqs: tuple[int, ...]
    refused: tuple[str, ...] = ()


def refusal(seq: int, record_class: str, reason: str, at_ms: int) -> Row:
    """What is stored in place of a record that breaks a rule: a Gap under the record's own number.

    The row counts as that record, so that what a box accepted adds up; `dropped` counts those without a row: none.
    """
    hole = {"record_class": record_class, "first_seq": seq, "last_seq": seq, "dropped": 0}
    return Row(Kind.GAP, seq, {**hole, "reason": f"refused: {reason}", "at_ms": at_ms})


def retention(settings: Spec) -> dict[Kind, int]:
    """How long each kind is kept, in milliseconds. Gaps stay: they are few, and what is missing stays missing."""
    telemetry = settings.telemetry_retention_ms
    return {
        Kind.FRAME: settings.detections_retention_ms,
        **dict.fromkeys((Kind.OUTCOMES, Kind.CAMERA, Kind.NODE), telemetry),
    }


@dataclass(frozen=True)
class Receipt:
    """These records of a box need not be sent again."""

    node: NodeId
    epoch: str
    ranges: tuple[tuple[int, int], ...]


def receipts(batches: Iterable[Batch]) -> list[Receipt]:
    """One per box and epoch, with as few ranges as there can be."""
    seqs: dict[tuple[NodeId, str], set[int]] = {}
    for batch in batches:
        seqs.setdefault((batch.node, batch.epoch), set()).update(batch.seqs)
    return [Receipt(node, epoch, tuple(ranges(numbers))) for (node, epoch), numbers in seqs.items()]


def ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Closed ranges that cover exactly `numbers`."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found

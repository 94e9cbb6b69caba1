"""What ingest stores and says, as values. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from protos.ids import NodeId


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
class Batch:
    """One message of one box. `seqs` are all records of it, `refused` says why some are not among the rows."""

    node: NodeId
    epoch: str
    rows: tuple[Row, ...]
    seqs: tuple[int, ...]
    refused: tuple[str, ...] = ()


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

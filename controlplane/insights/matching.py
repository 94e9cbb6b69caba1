"""Which detections are wanted, and which of their boxes. Pure.

What is asked of a box (label, zone, score) is asked of one and the same box. A result shows the boxes that match; asked
for boxes, one without any is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from protos.errors import Rejected

Boxes = list[Mapping[str, Any]]


@dataclass(frozen=True)
class Place:
    """Where a detection stands in the order of all: by time, then by name. Later comes first in a list."""

    at_ms: int
    node: str
    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.at_ms}/{self.node}/{self.epoch}/{self.seq}"


def place(text: str) -> Place | None:
    """The inverse of `str`; None of nothing. Raises Rejected."""
    if not text:
        return None
    try:
        at_ms, node, epoch, seq = text.split("/")
        return Place(int(at_ms), node, epoch, int(seq))
    except ValueError as error:
        raise Rejected("continue is not metadata.continue of a page before; start again without it") from error


@dataclass(frozen=True)
class Wanted:
    """What to leave in; an empty name leaves all in. Of [since, until), unix milliseconds."""

    since_ms: int
    until_ms: int
    node: str = ""
    camera: str = ""
    deployment: str = ""
    label: str = ""
    zone: str = ""
    min_score: float = 0.0

    @property
    def of_boxes(self) -> bool:
        """Whether boxes are asked for, and not results."""
        return bool(self.label or self.zone or self.min_score)

    def chosen(self, boxes: Iterable[Mapping[str, Any]]) -> Boxes | None:
        """The boxes to show; None: leave the result out."""
        if not self.of_boxes:
            return list(boxes)
        return [box for box in boxes if self._matches(box)] or None

    def _matches(self, box: Mapping[str, Any]) -> bool:
        return (
            box["score"] >= self.min_score
            and (not self.label or box["label"] == self.label)
            and (not self.zone or self.zone in box.get("zones", ()))
        )

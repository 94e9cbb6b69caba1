"""What the page of events shows: what cameras saw, how they and their boxes fared, newest first. Pure.

Pages follow each other by time: a page ends with all events of its last millisecond that were read, and the next one
begins before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from controlplane.insights.domain import Lost, moment_ms
from controlplane.shape import moment
from controlplane.ui import figures
from controlplane.ui.page import Document
from protos.errors import Rejected

Facts = dict[str, Any]
ON_A_PAGE = 50
KINDS = (
    ("", "everything"),
    ("detection", "detections"),
    ("camera", "camera health"),
    ("gap", "lost telemetry"),
    ("change", "who changed what"),
)
SPANS = (("1h", "the last hour"), ("24h", "the last day"), ("7d", "the last week"), ("30d", "the last month"))
LOST = {
    "alarm": "alarm",
    "detection": "detection",
    "metric": "measurement",
    "debug": "frame without a find",
    # as agents before 0.2 name them
    "frame": "detection",
    "outcomes": "outcome count",
    "camera": "camera state",
    "node": "measurement",
}
MOST_TAGS = 6


@dataclass(frozen=True)
class Filters:
    """As they stand in the address; all texts."""

    kind: str = ""
    since: str = "24h"
    camera: str = ""
    node: str = ""
    label: str = ""
    zone: str = ""
    minScore: str = ""  # noqa: N815 - the address has REST's names
    before: str = ""  # unix milliseconds: where the page begins

    @property
    def any(self) -> bool:
        return replace(self, since="24h", before="") != Filters()

    def wants(self, kind: str) -> bool:
        """What only detections have leaves the others out."""
        if self.kind:
            return self.kind == kind
        return kind == "detection" or not (self.label or self.zone or self.minScore)

    def span(self, now_ms: int) -> tuple[int, int]:
        """[since, until) in unix milliseconds. Raises Rejected."""
        days = self.since[:-1] if self.since.endswith("d") else ""
        since = now_ms - int(days) * 86_400_000 if days.isdecimal() else moment_ms(self.since, now_ms, "since")
        if self.before and not self.before.isdecimal():
            raise Rejected("before must be a moment in milliseconds; go back to the newest events")
        return since, int(self.before) if self.before else now_ms + 60_000

    def score(self) -> float:
        """Raises Rejected."""
        try:
            score = float(self.minScore or 0)
        except ValueError as error:
            raise Rejected("the least score must be a number from 0 to 1") from error
        if not 0 <= score <= 1:
            raise Rejected("the least score must be a number from 0 to 1")
        return score

    def address(self, **changed: str) -> str:
        """Of the page with these filters, some of them changed."""
        given = {**vars(self), **changed}
        kept = {key: value for key, value in given.items() if value and (key, value) != ("since", "24h")}
        return f"/events?{urlencode(kept)}" if kept else "/events"


def page(events: Iterable[Facts], filters: Filters) -> Facts:
    """The newest of `events` that make a page, and the addresses beside it."""
    ordered = sorted(events, key=lambda each: -int(each["at_ms"]))
    end = ON_A_PAGE
    while 0 < end < len(ordered) and ordered[end]["at_ms"] == ordered[end - 1]["at_ms"]:
        end += 1
    shown = ordered[:end]
    older = filters.address(before=str(shown[-1]["at_ms"])) if len(ordered) > end or len(shown) >= ON_A_PAGE else ""
    return {
        "events": shown,
        "older": older,
        "newest": filters.address(before="") if filters.before else "",
        "filtered": filters.any,
    }


def detection(row: Document, at_ms: int) -> Facts:
    """Of one frame in which something was found."""
    boxes: Sequence[Document] = row["boxes"]
    counts = Counter(str(box["label"]) for box in boxes)
    found = ", ".join(f"{count} × {label}" if count > 1 else label for label, count in counts.most_common())
    zones = sorted({zone for box in boxes for zone in box.get("zones", ())})
    happened = dict.fromkeys(f"{each['what']} {each['line'] or each['zone']}" for each in row.get("happened", ()))
    best = max((box["score"] for box in boxes), default=0.0)
    latency = figures.milliseconds(row["latencySeconds"])
    where = "on the box" if row["ranOn"] == "local" else f"by {row['ranOn']}"
    return {
        **_moment("detection", at_ms),
        "title": found or "nothing found",
        "tags": [*happened, *(f"in {zone}" for zone in zones)][:MOST_TAGS],
        "sentence": f"best {best:.2f} · answered {where} in {latency} ms · {row['deployment']}",
        "state": "seen",
        "camera": row["camera"],
        "node": row["node"],
    }


def camera(row: Document, at_ms: int) -> Facts:
    """A camera that changed how it is; `reason` without credentials."""
    well = row["state"] == "running"
    return {
        **_moment("camera", at_ms),
        "title": f"{row['camera']} is {row['state']}",
        "tags": [],
        "sentence": row["reason"] or ("pictures come in" if well else "its box did not say why"),
        "state": "ok" if well else "bad",
        "camera": row["camera"],
        "node": row["node"],
    }


def gap(lost: Lost) -> Facts:
    """Telemetry a box gave up."""
    what = LOST.get(lost.record_class, "record")
    many = figures.plural(lost.records, what, f"{what}s") if lost.records else f"Some {what}s"
    shown = {"title": f"{many} lost", "tags": [], "sentence": lost.reason, "state": "bad", "camera": ""}
    return {**_moment("gap", lost.at_ms), **shown, "node": lost.node}


def change(row: Document, at_ms: int) -> Facts:
    """What somebody changed."""
    place = row["object"]
    said = f"as {row['role']}, by {row['via']}"
    shown = {"title": f"{row['who']}: {row['verb']} {place}", "tags": [], "sentence": said, "state": "changed"}
    return {**_moment("change", at_ms), **shown, "camera": "", "node": ""}


def _moment(kind: str, at_ms: int) -> Facts:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return {
        "kind": kind,
        "at_ms": at_ms,
        "at": moment(at_ms),
        "time": at.strftime("%H:%M:%S"),
        "day": at.strftime("%d %b"),
    }

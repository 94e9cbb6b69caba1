"""The spec of Settings: one object, `fleet`, that is always there. JSON ↔ frozen value, every rule checked. Pure.

What is left out has its default. A quota of `none` means: no bound but the disk's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controlplane.fields import Fields
from controlplane.fleet import quantities
from protos import trust
from protos.errors import Rejected

NAME = "fleet"
NONE = "none"
DAY_MS = 86_400_000
LEAST_RETENTION_MS, MOST_RETENTION_MS = 60_000, 3_650 * DAY_MS
LEAST_QUOTA = 1 << 20  # of the registry, and of an outbox: below it not even a busy minute fits
LEAST_RELEASES = 16 << 20  # of a box: it holds two releases, the one that answers and the one to come
MOST = 1 << 60
LEAST_LIFE_MS, MOST_LIFE_MS = 3_600_000, 180 * DAY_MS  # of what is signed online


@dataclass(frozen=True)
class BoxQuotas:
    """Of each box's disk, in bytes; None: no bound. What a box itself was told at its start bounds it further."""

    release_bytes: int | None = None
    outbox_bytes: int = 256 << 20  # never without: it would take the whole disk while the broker is away


@dataclass(frozen=True)
class Lifetimes:
    """How long what is signed online is good for new installs; longer where a site has no network."""

    timestamp_ms: int = DAY_MS
    snapshot_ms: int = 30 * DAY_MS
    assign_ms: int = 7 * DAY_MS

    @property
    def seconds(self) -> Mapping[str, int]:
        """By role."""
        told = {trust.TIMESTAMP: self.timestamp_ms, trust.SNAPSHOT: self.snapshot_ms, trust.ASSIGN: self.assign_ms}
        return {role: milliseconds // 1000 for role, milliseconds in told.items()}


@dataclass(frozen=True)
class Spec:
    detections_retention_ms: int = 7 * DAY_MS
    telemetry_retention_ms: int = 7 * DAY_MS  # outcomes, health of cameras, figures of boxes, as they came
    registry_quota: int | None = None  # bytes of all releases together
    boxes: BoxQuotas = BoxQuotas()
    metadata: Lifetimes = Lifetimes()
    minutes_retention_ms: int = 30 * DAY_MS  # outcomes and figures of boxes by minute; never shorter than the above
    hours_retention_ms: int = 800 * DAY_MS  # the same by hour


def spec(value: object) -> Spec:
    """Raises Rejected."""
    fields = Fields(value, "spec")
    raw_ms, minutes_ms, hours_ms = fields.take("telemetry", _levels, default=_LEVELS)
    read = Spec(
        detections_retention_ms=fields.take("detections", _retention, default=Spec.detections_retention_ms),
        telemetry_retention_ms=raw_ms,
        registry_quota=fields.take("registry", _quota(LEAST_QUOTA, Spec.registry_quota), default=Spec.registry_quota),
        boxes=fields.take("boxes", _boxes, default=BoxQuotas()),
        metadata=fields.take("metadata", _lifetimes, default=Lifetimes()),
        minutes_retention_ms=minutes_ms,
        hours_retention_ms=hours_ms,
    )
    fields.done()
    return read


def document(value: Spec) -> dict[str, object]:
    """`spec(document(s)) == s`."""
    return {
        "detections": {"retention": quantities.span_text(value.detections_retention_ms)},
        "telemetry": {
            "retention": quantities.span_text(value.telemetry_retention_ms),
            "minutes": quantities.span_text(value.minutes_retention_ms),
            "hours": quantities.span_text(value.hours_retention_ms),
        },
        "registry": {"quota": _size(value.registry_quota)},
        "boxes": {
            "releases": {"quota": _size(value.boxes.release_bytes)},
            "outbox": {"quota": _size(value.boxes.outbox_bytes)},
        },
        "metadata": {
            trust.TIMESTAMP: quantities.span_text(value.metadata.timestamp_ms),
            trust.SNAPSHOT: quantities.span_text(value.metadata.snapshot_ms),
            trust.ASSIGN: quantities.span_text(value.metadata.assign_ms),
        },
    }


def _retention(value: object, where: str) -> int:
    fields = Fields(value, where)
    kept = fields.take("retention", _span, default=7 * DAY_MS)
    fields.done()
    return kept


_LEVELS = Spec.telemetry_retention_ms, Spec.minutes_retention_ms, Spec.hours_retention_ms


def _levels(value: object, where: str) -> tuple[int, int, int]:
    fields, (raw_ms, minutes_ms, hours_ms) = Fields(value, where), _LEVELS
    read = (
        fields.take("retention", _span, default=raw_ms),
        fields.take("minutes", _span, default=minutes_ms),
        fields.take("hours", _span, default=hours_ms),
    )
    fields.done()
    return read


def _span(value: object, where: str) -> int:
    return _between(value, where, LEAST_RETENTION_MS, MOST_RETENTION_MS)


def _life(value: object, where: str) -> int:
    return _between(value, where, LEAST_LIFE_MS, MOST_LIFE_MS)


def _between(value: object, where: str, least: int, most: int) -> int:
    milliseconds = quantities.duration_ms(value, where)
    if not least <= milliseconds <= most:
        raise Rejected(f"{where} must be from {quantities.span_text(least)} to {quantities.span_text(most)}")
    return milliseconds


def _lifetimes(value: object, where: str) -> Lifetimes:
    fields = Fields(value, where)
    read = Lifetimes(
        timestamp_ms=fields.take(trust.TIMESTAMP, _life, default=Lifetimes.timestamp_ms),
        snapshot_ms=fields.take(trust.SNAPSHOT, _life, default=Lifetimes.snapshot_ms),
        assign_ms=fields.take(trust.ASSIGN, _life, default=Lifetimes.assign_ms),
    )
    fields.done()
    if read.timestamp_ms > min(read.snapshot_ms, read.assign_ms):
        raise Rejected(f"{where}.timestamp must not be longer than snapshot and assign, which it leads to")
    return read


def _boxes(value: object, where: str) -> BoxQuotas:
    fields = Fields(value, where)
    releases = BoxQuotas.release_bytes
    quotas = BoxQuotas(
        release_bytes=fields.take("releases", _quota(LEAST_RELEASES, releases), default=releases),
        outbox_bytes=fields.take("outbox", _outbox, default=BoxQuotas.outbox_bytes),
    )
    fields.done()
    return quotas


def _outbox(value: object, where: str) -> int:
    fields = Fields(value, where)
    size = fields.take("quota", quantities.size_bytes, default=BoxQuotas.outbox_bytes)
    fields.done()
    if not LEAST_QUOTA <= size <= MOST:
        raise Rejected(f"{where}.quota must be at least {quantities.size_text(LEAST_QUOTA)}")
    return size


def _quota(least: int, default: int | None) -> Callable[[object, str], int | None]:
    def read(value: object, where: str) -> int | None:
        fields = Fields(value, where)
        found: int | None = fields.take("quota", lambda size, place: _bytes(size, place, least), default=default)
        fields.done()
        return found

    return read


def _bytes(value: object, where: str, least: int) -> int | None:
    if value == NONE:
        return None
    size = quantities.size_bytes(value, where)
    if not least <= size <= MOST:
        raise Rejected(f"{where} must be {NONE}, or at least {quantities.size_text(least)}")
    return size


def _size(value: int | None) -> str:
    return NONE if value is None else quantities.size_text(value)

"""What a minute and an hour of telemetry add up to, and which of raw, minutes and hours answers a question. Pure.

Rules that hold here:

- all is whole numbers (seconds as microseconds), so that sums are the same in whatever order they are made;
- a step holds the records whose `at_ms` lies in it: late ones land where they belong;
- what a record says beyond CAP counts as CAP, so that no box can make a sum too large for the database;
- the sums of a box's cameras stand beside them, with an empty camera: a page of a box needs a tenth of the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from protos.decided import Decided
from protos.errors import Rejected
from protos.outcomes import LATENCY_BOUNDS_MS, Outcome, Stage

CAP = 1 << 50
DAY_MS = 86_400_000
MOST_RAW_MS = 1_800_000  # a span that raw records answer: 900 windows of a camera
MOST_MINUTES_MS = 2 * DAY_MS  # the same of minutes: 2,880
ALL_CAMERAS = ""

_BUCKETS = range(len(LATENCY_BOUNDS_MS) + 1)
FRAMES = tuple(outcome.value for outcome in Outcome)
BOX = tuple(f"box_{number:02}" for number in _BUCKETS)
CLOUD = tuple(f"cloud_{number:02}" for number in _BUCKETS)
STAGES = {stage.value: f"stage_{stage}_us" for stage in Stage}
DECIDED = {each.value: f"decided_{each}" for each in Decided}  # in millionths
SUMS = (*FRAMES, *BOX, "box_us", *CLOUD, "cloud_us", "uplink_bytes", *STAGES.values(), *DECIDED.values())

Sums = dict[str, int]  # by column; what is zero is left out
SeriesKey = tuple[str, str, str]  # box, camera, deployment


class Level(StrEnum):
    """How fine telemetry is."""

    RAW = "raw"
    MINUTE = "minute"
    HOUR = "hour"

    @property
    def ms(self) -> int:
        """Of a step; what is raw may begin and end anywhere."""
        return {Level.RAW: 1, Level.MINUTE: 60_000, Level.HOUR: 3_600_000}[self]

    def start(self, at_ms: int) -> int:
        return at_ms - at_ms % self.ms


ROLLED = (Level.MINUTE, Level.HOUR)


@dataclass(frozen=True)
class Kept:
    """For how long each level is kept, in milliseconds; a coarser one never shorter than a finer one."""

    raw: int
    minutes: int
    hours: int

    def of(self, level: Level) -> int:
        found = {Level.RAW: self.raw, Level.MINUTE: max(self.raw, self.minutes)}
        return found.get(level, max(self.raw, self.minutes, self.hours))


@dataclass(frozen=True)
class Stat:
    """What a box spent in a step. Processor in millionths of a core; `last_ms`: when the outbox was as told."""

    samples: int
    cpu: int
    cpu_max: int
    memory: int
    memory_max: int
    disk_free_min: int
    last_ms: int
    outbox_waiting: int
    outbox_dropped: int

    def plus(self, other: Stat) -> Stat:
        newest = max(self, other, key=lambda each: (each.last_ms, each.outbox_waiting, each.outbox_dropped))
        return Stat(
            samples=_capped(self.samples + other.samples),
            cpu=_capped(self.cpu + other.cpu),
            cpu_max=max(self.cpu_max, other.cpu_max),
            memory=_capped(self.memory + other.memory),
            memory_max=max(self.memory_max, other.memory_max),
            disk_free_min=min(self.disk_free_min, other.disk_free_min),
            last_ms=newest.last_ms,
            outbox_waiting=newest.outbox_waiting,
            outbox_dropped=newest.outbox_dropped,
        )


Outcomes = dict[tuple[SeriesKey, int], Sums]  # (series, start of the step)
Stats = dict[tuple[str, int], Stat]  # (box, start of the step)


def outcome_sums(row: Mapping[str, Any]) -> Sums:
    """Of one OutcomeCount by column name."""
    found = {outcome: row["counts"].get(outcome, 0) for outcome in FRAMES}
    for names, latencies in ((BOX, row["box"]), (CLOUD, row["cloud"])):
        found |= dict(zip(names, latencies["frames"], strict=False))
    found |= {"box_us": _micro(row["box"]["seconds"]), "cloud_us": _micro(row["cloud"]["seconds"])}
    found |= {STAGES[stage]: _micro(seconds) for stage, seconds in row.get("stages", {}).items() if stage in STAGES}
    found |= {DECIDED[each]: _micro(told) for each, told in row.get("decided", {}).items() if each in DECIDED}
    found["uplink_bytes"] = row["uplink_bytes"]
    return {name: _capped(number) for name, number in found.items() if number > 0}


def outcome_deltas(rows: Iterable[Mapping[str, Any]]) -> Outcomes:
    """What these OutcomeCounts add to their minutes."""
    found: Outcomes = {}
    for row in rows:
        key = (row["node_id"], row["camera"], row["deployment"]), Level.MINUTE.start(row["at_ms"])
        found[key] = added(found.get(key, {}), outcome_sums(row))
    return found


def stat_deltas(rows: Iterable[Mapping[str, Any]]) -> Stats:
    """What these NodeStats add to their minutes."""
    found: Stats = {}
    for row in rows:
        key, told = (row["node_id"], Level.MINUTE.start(row["at_ms"])), stat(row)
        found[key] = found[key].plus(told) if key in found else told
    return found


def stat(row: Mapping[str, Any]) -> Stat:
    cpu, memory = _micro(row["cpu_cores_used"]), _capped(row["memory_bytes"])
    disk, waiting, dropped = (_capped(row[name]) for name in ("disk_free_bytes", "outbox_waiting", "outbox_dropped"))
    return Stat(1, cpu, cpu, memory, memory, disk, row["at_ms"], waiting, dropped)


def added(one: Mapping[str, int], other: Mapping[str, int]) -> Sums:
    return {name: _capped(one.get(name, 0) + other.get(name, 0)) for name in {**one, **other}}


def outcomes_by(level: Level, minutes: Outcomes) -> Outcomes:
    """In the steps of `level`, each camera and all cameras of a box together."""
    found: Outcomes = {}
    for ((node, camera, deployment), start_ms), sums in minutes.items():
        for series in ((node, camera, deployment), (node, ALL_CAMERAS, deployment)):
            key = series, level.start(start_ms)
            found[key] = added(found.get(key, {}), sums)
    return found


def stats_by(level: Level, minutes: Stats) -> Stats:
    found: Stats = {}
    for (node, start_ms), stat in minutes.items():
        key = node, level.start(start_ms)
        found[key] = found[key].plus(stat) if key in found else stat
    return found


def levels_of(since_ms: int, until_ms: int, step_ms: int, now_ms: int, kept: Kept) -> list[Level]:
    """Those that answer [since, until) in such steps and are still kept. First stands the finest that is some thousand
    rows of each camera, behind it what is coarser, for who asks about many.

    Raises Rejected: `step` is too fine for what is kept of so long ago.
    """
    length = until_ms - since_ms
    wanted = Level.RAW if length <= MOST_RAW_MS else Level.MINUTE if length <= MOST_MINUTES_MS else Level.HOUR
    there = [level for level in Level if since_ms >= now_ms - kept.of(level)] or [Level.HOUR]
    good = [level for level in there if step_ms % level.ms == 0]
    if not good:
        raise Rejected(f"of so long ago there are only {there[0]}s: take a step of whole {there[0]}s, or a later since")
    return [level for level in good if level.ms >= wanted.ms] or good[-1:]


def _micro(number: float) -> int:
    return _capped(round(min(number, float(CAP)) * 1e6))


def _capped(number: int) -> int:
    return min(max(0, number), CAP)

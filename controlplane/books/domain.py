"""The books of a box, by class: accepted = stored + dropped + waiting + unaccounted, always. Pure.

Rules that hold here:

- stored and dropped are what this database holds: records, and records that stored Gaps declare; accepted and waiting
  are what the box told last. What came since stands in no outbox any more, so it is taken off what it told to wait;
- what the box counts as dropped and whose Gap is still under way counts as waiting until that Gap is here;
- a record is *unaccounted* when nobody has it: neither the database, nor a Gap, nor, by its own word, the box. That is
  not said while things are in flight, but when nothing waits, or the box told its books longer ago than SETTLE_MS;
- what waited in an outbox that the box no longer has can't come any more, and is unaccounted;
- of a box that tells no books (an agent before 0.2) accepted is what can be seen: at least the highest number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any

CLASSES = ("alarm", "detection", "metric", "debug", "gap")  # most important first; the last is never dropped
UNTOLD = ""  # of an agent that numbers all classes in one line
DAY_MS = 86_400_000
SETTLE_MS = 60_000  # a batch and its acknowledgement are under way for seconds
RECENT_MS = 7 * 86_400_000  # conflicts of before are told, and call nobody
LATE_MS = 300_000  # what waits longer at a box that is connected wants looking at

Range = tuple[int, int]


@dataclass(frozen=True)
class Line:
    """One epoch as the table has it (controlplane.tables.Epoch)."""

    node: str
    epoch: str
    record_class: str
    start: str
    first_ms: int
    last_ms: int
    up_to: int
    beyond: tuple[Range, ...]
    stored: int
    dropped: int
    told_accepted: int = 0
    told_waiting: int = 0
    told_dropped: int = 0
    told_oldest_ms: int = 0
    told_ms: int = 0

    @property
    def of(self) -> str:
        """Its class; none where it numbers all of them, as agents before 0.2 do, which had other classes."""
        return self.record_class if self.record_class in CLASSES else UNTOLD

    @property
    def heard_ms(self) -> int:
        return max(self.told_ms, self.last_ms)

    @property
    def highest(self) -> int:
        """The greatest number that is known to have been given out."""
        return max((self.up_to, *(last for _, last in self.beyond)))

    @property
    def accepted(self) -> int:
        seen = self.stored + self.dropped
        return max(self.told_accepted, seen) if self.told_ms else max(self.highest, seen)


@dataclass(frozen=True)
class Start:
    """A start of an agent (controlplane.tables.AgentStart)."""

    node: str
    start: str
    before: str
    first_ms: int
    last_ms: int


@dataclass(frozen=True)
class Clash:
    """Records of a box that came under the name of another (controlplane.tables.RecordConflict), of one epoch."""

    node: str
    epoch: str
    records: int
    first_seq: int
    first_ms: int
    last_ms: int


class State(StrEnum):
    AT_REST = "at rest"
    UNDER_WAY = "under way"
    UNACCOUNTED = "unaccounted"


@dataclass(frozen=True)
class Sums:
    """Of one line, one class or one box; they add up."""

    accepted: int = 0
    stored: int = 0
    dropped: int = 0
    waiting: int = 0
    unaccounted: int = 0
    oldest_ms: int = 0  # when the oldest that waits was accepted, by our clock; 0: none waits, or nobody said

    def plus(self, other: Sums) -> Sums:
        moments = [each for each in (self.oldest_ms, other.oldest_ms) if each]
        return Sums(
            self.accepted + other.accepted,
            self.stored + other.stored,
            self.dropped + other.dropped,
            self.waiting + other.waiting,
            self.unaccounted + other.unaccounted,
            min(moments, default=0),
        )

    @property
    def state(self) -> State:
        if self.unaccounted:
            return State.UNACCOUNTED
        return State.UNDER_WAY if self.waiting else State.AT_REST


@dataclass(frozen=True)
class Dropped:
    """What a box declared dropped of one class for one reason. `at_ms`: when the last of it was told."""

    node: str
    record_class: str
    reason: str
    records: int
    gaps: int
    first_ms: int
    at_ms: int
    lower_bound: bool = False  # at least so many


@dataclass(frozen=True)
class Conflict:
    """More than one box under one name, in one sentence with the next step. `at_ms`: when the second was heard last."""

    node: str
    kind: str  # record, start or outbox: of what there are two
    at_ms: int
    sentence: str

    def recent(self, now_ms: int) -> bool:
        """It calls somebody; one that was set right long ago does not."""
        return now_ms - self.at_ms < RECENT_MS


@dataclass(frozen=True)
class NodeBooks:
    node: str
    classes: Mapping[str, Sums] = field(default_factory=dict)
    dropped: Sequence[Dropped] = ()
    conflicts: Sequence[Conflict] = ()
    told_ms: int = 0  # when telemetry of this box came last
    untold: bool = False  # some of it is of an agent that tells no books

    @property
    def total(self) -> Sums:
        return total(self.classes.values())

    @property
    def lower_bound(self) -> bool:
        return any(each.lower_bound for each in self.dropped)


def total(sums: Iterable[Sums]) -> Sums:
    whole = Sums()
    for each in sums:
        whole = whole.plus(each)
    return whole


def books(
    node: str,
    lines: Sequence[Line],
    now_ms: int,
    starts: Sequence[Start] = (),
    dropped: Sequence[Dropped] = (),
    clashes: Sequence[Clash] = (),
) -> NodeBooks:
    """All of one box."""
    classes: dict[str, Sums] = {}
    for line, sums in judged(lines, starts, now_ms):
        classes[line.of] = classes.get(line.of, Sums()).plus(sums)
    told = [*(each.last_ms for each in lines), *(each.told_ms for each in lines)]
    ordered = {each: classes[each] for each in sorted(classes, key=rank)}
    untold = any(not each.told_ms for each in lines)
    return NodeBooks(node, ordered, tuple(dropped), conflicts(starts, clashes), max(told, default=0), untold)


def judged(lines: Sequence[Line], starts: Sequence[Start], now_ms: int) -> list[tuple[Line, Sums]]:
    """Each line of one box with its sums."""
    gaps_wait = any(each.record_class == "gap" and _held(each) for each in lines)
    gone = _left_behind(lines, starts)
    return [(line, _sums(line, now_ms, gaps_wait=gaps_wait, gone=line in gone)) for line in lines]


def rank(record_class: str) -> int:
    return CLASSES.index(record_class) if record_class in CLASSES else len(CLASSES)


def _held(line: Line) -> int:
    """Records in the outbox, by the box's last word less what came since."""
    missing = line.accepted - line.stored - line.dropped
    return min(missing, line.told_waiting) if line.told_ms else missing


def _sums(line: Line, now_ms: int, *, gaps_wait: bool, gone: bool) -> Sums:
    missing, held = line.accepted - line.stored - line.dropped, _held(line)
    fresh = now_ms - line.told_ms <= SETTLE_MS
    undeclared = min(missing - held, max(0, line.told_dropped - line.dropped))  # their Gap is under way
    waiting = held + (undeclared if fresh or gaps_wait else 0)
    if line.told_ms and fresh and waiting:
        waiting = missing  # acknowledgements are under way as well: too early to judge
    if gone:
        waiting = 0
    oldest = line.told_oldest_ms if waiting else 0
    return Sums(line.accepted, line.stored, line.dropped, waiting, missing - waiting, oldest)


# ---- outboxes, one after another or two at once ----


def _left_behind(lines: Sequence[Line], starts: Sequence[Start]) -> frozenset[Line]:
    """Lines of an outbox that the box no longer has."""
    if not starts:
        return frozenset()
    known = {each.start: each for each in starts}
    newest = max(starts, key=lambda each: (each.last_ms, each.first_ms))
    root = _root(newest.start, known)
    return frozenset(line for line in lines if _replaced(line, root, known) or _passed_over(line, starts))


def _replaced(line: Line, root: Start | None, known: Mapping[str, Start]) -> bool:
    """The box tells from an outbox that began empty after this line was told last."""
    if root is None or not line.start or line.heard_ms >= root.first_ms:
        return False
    return _root(line.start, known) != root


def _passed_over(line: Line, starts: Sequence[Start]) -> bool:
    """A start tells first of all lines that its outbox holds: those that began later have told for DAY_MS, and nothing
    of this one. Ingest forgets lines by the same rule (IngestRepository.forget_books).
    """
    later = [each for each in starts if line.told_ms and each.first_ms > line.heard_ms]
    return bool(later) and max(each.last_ms for each in later) - min(each.first_ms for each in later) >= DAY_MS


def _root(start: str, known: Mapping[str, Start]) -> Start | None:
    """The start whose outbox was new, on the way back from `start`; None where one between was never told, or is so old
    that it was forgotten.
    """
    oldest = _oldest(known[start], known) if start in known else None
    return None if oldest is None or oldest.before else oldest


def _oldest(start: Start, known: Mapping[str, Start]) -> Start:
    """The first that is known, on the way back from `start`."""
    seen: set[str] = set()
    while start.before in known and start.start not in seen:
        seen.add(start.start)
        start = known[start.before]
    return start


def conflicts(starts: Sequence[Start], clashes: Sequence[Clash]) -> tuple[Conflict, ...]:
    """Of one box; the newest first."""
    found = [*_forks(starts), *_twins(starts), *map(_clash, clashes)]
    return tuple(sorted(found, key=lambda each: -each.at_ms))


_APART = "take the copy off the network and let it join under a name of its own ('longshore token create NAME')"


def _forks(starts: Sequence[Start]) -> list[Conflict]:
    after: dict[str, list[Start]] = {}
    for each in starts:
        if each.before:
            after.setdefault(each.before, []).append(each)
    return [
        Conflict(
            those[0].node,
            "start",
            sorted(_heard(each, after) for each in those)[-2],
            f"{len(those)} starts of {those[0].node} follow the same one ({before[:8]}): its disk was cloned, or put "
            f"back from a copy; if two boxes run under this name, {_APART}",
        )
        for before, those in after.items()
        if len(those) > 1
    ]


def _heard(start: Start, after: Mapping[str, Sequence[Start]]) -> int:
    """When this start, or one that came of it, was heard last."""
    last, ahead, seen = 0, [start], set()
    while ahead:
        each = ahead.pop()
        if each.start not in seen:
            seen.add(each.start)
            last = max(last, each.last_ms)
            ahead += after.get(each.start, ())
    return last


def _twins(starts: Sequence[Start]) -> list[Conflict]:
    """Two outboxes of which neither came of the other, as far as is known, and that tell at the same time."""
    known = {each.start: each for each in starts}
    outboxes: dict[str, list[Start]] = {}
    for each in starts:
        oldest = _oldest(each, known)
        outboxes.setdefault(oldest.before or oldest.start, []).append(each)
    spans = {
        min(those, key=lambda each: each.first_ms): max(each.last_ms for each in those) for those in outboxes.values()
    }
    ordered = sorted(spans, key=lambda each: each.first_ms)
    return [
        Conflict(
            later.node,
            "outbox",
            spans[earlier],
            f"two outboxes tell under the name {later.node} at the same time: two boxes have its certificate; {_APART}",
        )
        for earlier, later in pairwise(ordered)
        if spans[earlier] > later.first_ms + SETTLE_MS
    ]


def _clash(told: Clash) -> Conflict:
    many = f"{told.records} records" if told.records > 1 else "a record"
    sentence = (
        f"{many} of {told.node} came under the name of another (epoch {told.epoch[:8]}, from number {told.first_seq} "
        f"on); the first is kept, the other aside: two boxes have one identity; {_APART}"
    )
    return Conflict(told.node, "record", told.last_ms, sentence)


# ---- the link ----


class Link(StrEnum):
    CONNECTED = "connected"
    SILENT = "silent"  # since `since_ms`
    REFUSED = "refused"  # the box is here and its telemetry is not taken
    BY_FILE = "by file"  # a site without a network
    NEVER = "never"


@dataclass(frozen=True)
class Contact:
    """What is known of the way from a box to here. `refused`: why nobody takes its telemetry, by its own report."""

    phase: str  # controlplane.fleet.status.Phase
    seen_ms: int = 0
    refused: str = ""


@dataclass(frozen=True)
class Linked:
    link: Link
    since_ms: int = 0  # of silence: when something came last
    sentence: str = ""


NOT_TAKEN = "telemetry"  # how the codes of a box's problems begin when nobody takes its telemetry


def contact(status: Mapping[str, Any]) -> Contact:
    """From the status of a node's document."""
    seen = datetime.fromisoformat(status["lastSeen"]).timestamp() if status["lastSeen"] else 0
    told = [each["message"] for each in status["problems"] if each["code"].startswith(NOT_TAKEN)]
    return Contact(status["phase"], int(seen * 1000), told[0] if told else "")


def linked(found: Contact, kept: NodeBooks) -> Linked:
    if found.phase == "ByFile":
        return Linked(Link.BY_FILE, found.seen_ms, "what it told was carried here by hand")
    heard = max(found.seen_ms, kept.told_ms)
    if not heard:
        return Linked(Link.NEVER, 0, "has told nothing yet; start its agent")
    if found.phase != "Online":
        return Linked(Link.SILENT, heard, "is silent; what it accepts waits in its outbox until it is back")
    if found.refused:
        return Linked(Link.REFUSED, kept.told_ms, found.refused)
    return Linked(Link.CONNECTED, kept.told_ms)


def waits_long(sums: Sums, now_ms: int) -> bool:
    """Something waits for longer than it should at a box that is connected."""
    return bool(sums.waiting and sums.oldest_ms and now_ms - sums.oldest_ms > LATE_MS)


# ---- the fleet ----


@dataclass(frozen=True)
class FleetBooks:
    """`classes`: of all boxes; `open`: boxes of which something waits or is unaccounted, by name, with that alone."""

    now_ms: int
    classes: Mapping[str, Sums] = field(default_factory=dict)
    open: Mapping[str, NodeBooks] = field(default_factory=dict)
    conflicts: Sequence[Conflict] = ()

    @property
    def total(self) -> Sums:
        return total(self.classes.values())


def fleet(
    now_ms: int, settled: Mapping[str, Sums], opened: Mapping[str, NodeBooks], told: Sequence[Conflict]
) -> FleetBooks:
    """`settled`: sums of every line that is not among `opened`."""
    classes = dict(settled)
    for kept in opened.values():
        for name, sums in kept.classes.items():
            classes[name] = classes.get(name, Sums()).plus(sums)
    unfinished = {name: kept for name, kept in opened.items() if kept.total.state is not State.AT_REST}
    return FleetBooks(now_ms, {each: classes[each] for each in sorted(classes, key=rank)}, unfinished, tuple(told))

"""HTTP bodies of the books."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import Field

from controlplane.books.checking import Deviation
from controlplane.books.domain import Conflict, Dropped, FleetBooks, Linked, NodeBooks, Sums
from controlplane.books.service import Page, Verified
from controlplane.listing import ListMetadata, WholeList
from controlplane.schemas import Answer
from controlplane.shape import API_VERSION, moment, moment_or_never
from controlplane.tables import Gap


class SumsAnswer(Answer):
    """accepted = stored + dropped + waiting + unaccounted."""

    accepted: int = Field(description="records that were committed in the box's outbox")
    stored: int = Field(description="records in this database, each once")
    dropped: int = Field(description="records that Gaps in this database declare dropped")
    waiting: int = Field(description="records that are in the outbox or under way, by the box's last word")
    unaccounted: int = Field(description="records that nobody has; judged only when nothing of them is under way")
    oldest_waiting: str | None = Field(description="when the oldest that waits was accepted; null: none waits")
    state: str = Field(description="at rest, under way or unaccounted")


class ClassSumsAnswer(SumsAnswer):
    record_class: str = Field(
        description="alarm, detection, metric, debug or gap; empty: an agent before 0.2, all in one"
    )


class DroppedAnswer(Answer):
    record_class: str
    reason: str
    records: int
    gaps: int = Field(description="Gap records that declare them")
    first: str
    at: str = Field(description="when the last of them was told")
    lower_bound: bool = Field(description="at least so many: the agent died before it could write down how many more")


class LinkAnswer(Answer):
    state: str = Field(description="connected, silent, refused, by file or never")
    since: str | None = Field(description="when something came last")
    sentence: str


class ConflictAnswer(Answer):
    node: str
    kind: str = Field(description="what there are two of: record (one name, two contents), start (after one), outbox")
    at: str
    sentence: str


class NodeBooksAnswer(Answer):
    api_version: str = API_VERSION
    kind: str = "TelemetryBooks"
    node: str
    total: SumsAnswer
    classes: list[ClassSumsAnswer]
    dropped: list[DroppedAnswer]
    conflicts: list[ConflictAnswer]
    link: LinkAnswer
    told: str | None = Field(description="when telemetry of this box came last")
    lower_bound: bool = Field(description="some of what was dropped is at least so many")
    untold: bool = Field(
        description="some of it is of an agent before 0.2, which tells no books: accepted is what is seen"
    )


class FleetBooksAnswer(Answer):
    api_version: str = API_VERSION
    kind: str = "FleetTelemetryBooks"
    total: SumsAnswer
    classes: list[ClassSumsAnswer]
    open: dict[str, SumsAnswer] = Field(description="boxes of which something waits or is unaccounted, with that alone")
    conflicts: list[ConflictAnswer]


class GapRecordAnswer(Answer):
    """One stored Gap."""

    at: str = Field(description="when it came, by the control plane's clock")
    node: str
    record_class: str
    epoch: str = Field(description="whose numbers first and last are")
    first: int
    last: int
    dropped: int
    reason: str
    lower_bound: bool = Field(description="at least so many")
    refused: bool = Field(description="the control plane refused this one record; its number is kept by this Gap")


class GapRecordList(Answer):
    api_version: str = API_VERSION
    kind: str = "GapRecordList"
    metadata: ListMetadata = ListMetadata()
    items: list[GapRecordAnswer]


class ConflictList(WholeList):
    items: list[ConflictAnswer]


class DeviationAnswer(Answer):
    node: str
    record_class: str
    epoch: str
    code: str = Field(description="docs/telemetry.md says what each means")
    sentence: str


class VerificationAnswer(Answer):
    """A part of the lines of one box, recounted; `metadata.continue` is where the next part begins."""

    api_version: str = API_VERSION
    kind: str = "TelemetryVerification"
    metadata: ListMetadata
    node: str
    total: SumsAnswer = Field(description="of the whole box")
    lines: int = Field(description="lines of numbers recounted in this part: one for each class and start of the agent")
    rows: int = Field(description="records found in them")
    swept: int = Field(description="records that were counted, and that retention has taken since")
    deviations: list[DeviationAnswer]


def sums(value: Sums) -> SumsAnswer:
    return SumsAnswer(**_figures(value))


def _figures(value: Sums) -> dict[str, Any]:
    return {
        "accepted": value.accepted,
        "stored": value.stored,
        "dropped": value.dropped,
        "waiting": value.waiting,
        "unaccounted": value.unaccounted,
        "oldest_waiting": moment_or_never(value.oldest_ms),
        "state": value.state.value,
    }


def _classes(found: Iterable[tuple[str, Sums]]) -> list[ClassSumsAnswer]:
    return [ClassSumsAnswer(record_class=name, **_figures(each)) for name, each in found]


def _dropped(value: Dropped) -> DroppedAnswer:
    return DroppedAnswer(
        record_class=value.record_class,
        reason=value.reason,
        records=value.records,
        gaps=value.gaps,
        first=moment(value.first_ms),
        at=moment(value.at_ms),
        lower_bound=value.lower_bound,
    )


def _conflict(value: Conflict) -> ConflictAnswer:
    return ConflictAnswer(node=value.node, kind=value.kind, at=moment(value.at_ms), sentence=value.sentence)


def books(kept: NodeBooks, link: Linked) -> NodeBooksAnswer:
    return NodeBooksAnswer(
        node=kept.node,
        total=sums(kept.total),
        classes=_classes(kept.classes.items()),
        dropped=[_dropped(each) for each in kept.dropped],
        conflicts=[_conflict(each) for each in kept.conflicts],
        link=LinkAnswer(state=link.link.value, since=moment_or_never(link.since_ms), sentence=link.sentence),
        told=moment_or_never(kept.told_ms),
        lower_bound=kept.lower_bound,
        untold=kept.untold,
    )


def fleet(kept: FleetBooks) -> FleetBooksAnswer:
    return FleetBooksAnswer(
        total=sums(kept.total),
        classes=_classes(kept.classes.items()),
        open={name: sums(each.total) for name, each in kept.open.items()},
        conflicts=[_conflict(each) for each in kept.conflicts],
    )


def gaps(found: Page) -> GapRecordList:
    metadata = ListMetadata(next=str(found.after or ""))
    return GapRecordList(metadata=metadata, items=[gap(row) for row in found.gaps])


def gap(row: Gap) -> GapRecordAnswer:
    refused = row.dropped == 0 and row.first_seq == row.last_seq
    return GapRecordAnswer(
        at=moment(row.at_ms),
        node=row.node_id,
        record_class=row.record_class,
        epoch=row.gap_epoch or row.epoch,
        first=row.first_seq,
        last=row.last_seq,
        dropped=1 if refused else row.dropped,
        reason=row.reason,
        lower_bound=row.lower_bound,
        refused=refused,
    )


def conflicts(found: Sequence[Conflict]) -> ConflictList:
    return ConflictList(items=[_conflict(each) for each in found])


def verification(found: Verified) -> VerificationAnswer:
    return VerificationAnswer(
        metadata=ListMetadata(next=found.after),
        node=found.kept.node,
        total=sums(found.kept.total),
        lines=found.lines,
        rows=found.rows,
        swept=found.swept,
        deviations=[_deviation(each) for each in found.deviations],
    )


def _deviation(value: Deviation) -> DeviationAnswer:
    return DeviationAnswer(
        node=value.node,
        record_class=value.record_class,
        epoch=value.epoch,
        code=value.code.value,
        sentence=value.sentence,
    )

"""HTTP bodies of insights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from controlplane.insights.answering import Answering
from controlplane.insights.domain import Bucket, Lost, Sums
from controlplane.insights.matching import Boxes
from controlplane.insights.service import Outcomes, Page
from controlplane.listing import ListMetadata, WholeList
from controlplane.schemas import Answer
from controlplane.shape import API_VERSION, moment
from controlplane.tables import CameraHealth, Detection, NodeStat


class BoxAnswer(Answer):
    """Corners, normalised to the picture."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float
    label: str
    zones: list[str] = Field(default_factory=list, description="of its camera, in which the box stands")
    track: int | None = Field(default=None, description="the same thing has the same number; null: none yet")


class HappeningAnswer(Answer):
    """What a thing did at a line or in a zone."""

    what: str = Field(description="crossed, entered, left or dwelt")
    line: str | None = Field(description="that it crossed")
    direction: str | None = Field(description="left-to-right or right-to-left, along the line from its first point")
    zone: str | None = Field(description="that it entered, left or dwelt in")
    seconds: float | None = Field(description="in the zone so far, when it left or dwelt")
    label: str
    track: int


class DetectionAnswer(Answer):
    node: str
    camera: str
    deployment: str
    release_digest: str
    captured: str = Field(description="by the box's clock")
    at: str = Field(description="the same by the control plane's clock; newest first means by this")
    captured_unix_ns: str = Field(description="as text: JavaScript's numbers are too small for it")
    ts_source: str
    outcome: str
    latency_seconds: float
    ran_on: str = Field(description='"local" or the cloud node')
    boxes: list[BoxAnswer]
    happened: list[HappeningAnswer] = Field(
        default_factory=list, description="at lines and zones, since the frame before"
    )
    frame_seq: int
    stored: str


class DetectionList(Answer):
    api_version: str = API_VERSION
    kind: str = "DetectionList"
    metadata: ListMetadata = ListMetadata()
    items: list[DetectionAnswer]


class SumsAnswer(Answer):
    due: int = Field(description="frames; equals the sum of counts")
    looked_at: int = Field(description="of them, all but those in which nothing moved")
    in_time: int
    by_box: int = Field(description="frames the box answered, in time or late")
    by_cloud: int = Field(description="frames a cloud node answered, in time or late")
    counts: dict[str, int]
    latency_p50_seconds: float = Field(description="capture to answer, of answered frames; 2.5 stands for more too")
    latency_p95_seconds: float
    uplink_bytes: int
    stage_seconds: dict[str, float] = Field(
        description="where the time of answered frames went; their sum is all of it"
    )


class BucketAnswer(SumsAnswer):
    start: str


class OutcomesAnswer(Answer):
    since: str
    until: str
    step_seconds: float
    level: str = Field(description="what it was added up from: raw, minute or hour")
    total: SumsAnswer
    buckets: list[BucketAnswer]
    nodes: dict[str, SumsAnswer]
    cameras: dict[str, SumsAnswer]
    deployments: dict[str, SumsAnswer]


class AnsweringAnswer(SumsAnswer):
    camera: str
    node: str
    deployment: str
    release: str
    deadline_seconds: float
    frame_seconds: float = Field(description="mean of inference on the box; 0 when it answered none")
    trouble: str = Field(description="why many frames are not answered in time, and what to do; empty when most are")


class AnsweringList(WholeList):
    items: list[AnsweringAnswer]


class NodeStatAnswer(Answer):
    at: str
    cpu_cores_used: float
    memory_bytes: int
    disk_free_bytes: int
    outbox_waiting: int
    outbox_dropped: int


class NodeStatList(WholeList):
    items: list[NodeStatAnswer]


class CameraHealthAnswer(Answer):
    at: str
    node: str
    state: str
    reason: str


class CameraHealthList(WholeList):
    items: list[CameraHealthAnswer]


class GapAnswer(Answer):
    record_class: str = Field(
        description="alarm, detection, metric, debug; of before 0.2 frame, outcomes, camera, node"
    )
    dropped: int = Field(description="records of that class that the box gave up for this reason")
    reason: str
    at: str = Field(description="when the box told of the last of them")


class GapList(WholeList):
    items: list[GapAnswer]


def detections(found: Page) -> DetectionList:
    metadata = ListMetadata(next=str(found.after or ""))
    return DetectionList(metadata=metadata, items=[detection(each.row, each.boxes) for each in found.items])


def detection(row: Detection, boxes: Boxes) -> DetectionAnswer:
    return DetectionAnswer(
        node=row.node_id,
        camera=row.camera,
        deployment=row.deployment,
        release_digest=row.release_digest,
        captured=moment(row.captured_unix_ns // 1_000_000),
        at=moment(row.at_ms),
        captured_unix_ns=str(row.captured_unix_ns),
        ts_source=row.ts_source,
        outcome=row.outcome,
        latency_seconds=row.latency_seconds,
        ran_on=row.ran_on,
        boxes=[BoxAnswer(**box) for box in boxes],
        happened=[HappeningAnswer(**each) for each in row.happened],
        frame_seq=row.frame_seq,
        stored=moment(row.stored_ms),
    )


def sums(value: Sums) -> SumsAnswer:
    return SumsAnswer(**_figures(value))


def bucket(value: Bucket) -> BucketAnswer:
    return BucketAnswer(start=moment(value.start_ms), **_figures(value.sums))


def _figures(value: Sums) -> dict[str, Any]:
    return {
        "due": value.due,
        "looked_at": value.looked_at,
        "in_time": value.in_time,
        "by_box": value.box.answered,
        "by_cloud": value.cloud.answered,
        "counts": dict(value.counts),
        "latency_p50_seconds": value.answers.percentile(0.5),
        "latency_p95_seconds": value.answers.percentile(0.95),
        "uplink_bytes": value.uplink_bytes,
        "stage_seconds": {stage: round(seconds, 6) for stage, seconds in value.stages.items()},
    }


def answering(found: Iterable[Answering]) -> AnsweringList:
    return AnsweringList(items=[_answering(each) for each in found])


def _answering(value: Answering) -> AnsweringAnswer:
    return AnsweringAnswer(
        camera=value.camera,
        node=value.node,
        deployment=value.objective.deployment,
        release=value.objective.release,
        deadline_seconds=value.objective.deadline_ms / 1000,
        frame_seconds=value.frame_ms / 1000,
        trouble=value.trouble,
        **_figures(value.sums),
    )


def outcomes(value: Outcomes) -> OutcomesAnswer:
    return OutcomesAnswer(
        since=moment(value.span.since_ms),
        until=moment(value.span.until_ms),
        step_seconds=value.span.step_ms / 1000,
        level=value.level,
        total=sums(value.total),
        buckets=[bucket(each) for each in value.buckets],
        nodes={name: sums(each) for name, each in value.by_node.items()},
        cameras={name: sums(each) for name, each in value.by_camera.items()},
        deployments={name: sums(each) for name, each in value.by_deployment.items()},
    )


def node_stat(row: NodeStat) -> NodeStatAnswer:
    return NodeStatAnswer(
        at=moment(row.at_ms),
        cpu_cores_used=row.cpu_cores_used,
        memory_bytes=row.memory_bytes,
        disk_free_bytes=row.disk_free_bytes,
        outbox_waiting=row.outbox_waiting,
        outbox_dropped=row.outbox_dropped,
    )


def camera_health(row: CameraHealth) -> CameraHealthAnswer:
    return CameraHealthAnswer(at=moment(row.at_ms), node=row.node_id, state=row.state, reason=row.reason)


def gap(value: Lost) -> GapAnswer:
    at = moment(value.at_ms)
    return GapAnswer(record_class=value.record_class, dropped=value.records, reason=value.reason, at=at)

"""HTTP bodies of the registry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from controlplane.listing import ListMetadata
from controlplane.registry.difference import Difference, Line
from controlplane.registry.domain import StoredFile, StoredModel, StoredRelease
from controlplane.registry.domain import Upload as StoredUpload
from controlplane.schemas import Answer, Body, Metadata
from controlplane.shape import API_VERSION, moment
from protos import judged
from protos import manifest as manifests
from protos.errors import InvalidManifest
from protos.ids import ModelName, Version, hex_of
from protos.trust import Listing

Listings = Mapping[tuple[ModelName, Version], Listing]


class NewUpload(Body):
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class UploadAnswer(Answer):
    id: str  # empty when the file is here already
    offset: int
    size: int
    complete: bool


class File(Answer):
    path: str
    sha256: str
    size: int
    role: str


class JudgedCost(Answer):
    """t(n) = frame·n + call, of a call of n pictures on one thread of the machine that packaged."""

    frame_seconds: float
    call_seconds: float


class JudgedVariant(Answer):
    name: str
    metric: float
    right: float = Field(description="share of pictures whose answer is the labels'")
    confidence: list[tuple[float, float]] = Field(description="score → share of such answers that were right")
    cost: JudgedCost | None = Field(description="null: not measured")


class JudgedJpeg(Answer):
    quality: int
    max_side: int
    bytes: int = Field(description="of a usual picture")
    metric: float
    right: float


class Judged(Answer):
    """What packaging measured on labelled pictures, as the manifest has it."""

    metric: str
    pictures: int
    objects: int
    variants: list[JudgedVariant]
    jpeg: list[JudgedJpeg]


class ReleaseSpec(Answer):
    model: str
    version: str
    digest: str
    task: str
    files: list[File]
    judged: Judged | None = Field(description="null: nobody evaluated it, and boxes take careful priors")


class SignatureAnswer(Answer):
    number: int = Field(description="grows within the model, release by release")
    floor: int = Field(description="boxes that saw this run no release with a lower number, ever again")
    device_classes: list[str] = Field(description="where it may run; none: anywhere")
    minimum_agent: str
    signed_by: str
    signed_at: str


class MeasuredAnswer(Answer):
    """One model file as the gate tried it when the release was pushed."""

    peak_bytes: int
    microseconds: int


class ReleaseStatus(Answer):
    signed: SignatureAnswer | None = Field(description="null: no release key signed it, and boxes refuse it")
    measured: dict[str, MeasuredAnswer] = Field(description="by file; empty for a release from before the gate")


class ReleaseAnswer(Answer):
    api_version: str = API_VERSION
    kind: str = "Release"
    metadata: Metadata
    spec: ReleaseSpec
    status: ReleaseStatus


class ReleaseList(Answer):
    api_version: str = API_VERSION
    kind: str = "ReleaseList"
    metadata: ListMetadata
    items: list[ReleaseAnswer]


class TensorAnswer(Answer):
    name: str
    type: str
    shape: list[str] = Field(description='sizes; a name such as "N" or "?" where it is free')


class GraphAnswer(Answer):
    opset: int
    producer: str
    inputs: list[TensorAnswer]
    outputs: list[TensorAnswer]
    nodes: int
    operators: dict[str, int]
    parameters: int
    weights: dict[str, int] = Field(description="numbers in initialisers, by type")


class GraphsAnswer(Answer):
    files: dict[str, GraphAnswer] = Field(description="by file, of those that can be read")


class LineAnswer(Answer):
    name: str
    before: str
    after: str
    change: str = Field(description="same, added, removed or changed")


class FileLineAnswer(Answer):
    path: str
    before: int | None = Field(description="bytes; null where it is not there")
    after: int | None
    change: str


class DifferenceAnswer(Answer):
    manifest: list[LineAnswer]
    input: list[LineAnswer]
    labels: list[LineAnswer]
    variants: list[LineAnswer]
    files: list[FileLineAnswer]
    figures: list[LineAnswer] = Field(description="numbers in tables of the cards")
    graph: list[LineAnswer]
    operators: list[LineAnswer]


class ModelStatus(Answer):
    releases: list[str]  # versions, oldest first


class ModelAnswer(Answer):
    api_version: str = API_VERSION
    kind: str = "Model"
    metadata: Metadata
    spec: dict[str, Any] = Field(default_factory=dict)
    status: ModelStatus


class ModelList(Answer):
    api_version: str = API_VERSION
    kind: str = "ModelList"
    metadata: ListMetadata
    items: list[ModelAnswer]


def upload(state: StoredUpload) -> UploadAnswer:
    return UploadAnswer(id=state.id, offset=state.offset, size=state.size, complete=state.complete)


def release(stored: StoredRelease, listings: Listings) -> ReleaseAnswer:
    metadata = Metadata(
        name=stored.name,
        labels=dict(stored.labels),
        annotations=dict(stored.annotations),
        uid=stored.uid,
        generation=1,
        resource_version="1",
        creation_timestamp=moment(stored.created_ms),
    )
    spec = ReleaseSpec(
        model=stored.model,
        version=stored.version,
        digest=stored.digest,
        task=stored.task,
        files=[_file(entry) for entry in stored.files],
        judged=_judged(stored.manifest),
    )
    status = ReleaseStatus(signed=_signature(stored, listings), measured=_measured(stored))
    return ReleaseAnswer(metadata=metadata, spec=spec, status=status)


def _signature(stored: StoredRelease, listings: Listings) -> SignatureAnswer | None:
    found = listings.get((stored.model, stored.version))
    if found is None or found.digest != stored.digest:
        return None
    return SignatureAnswer(
        number=found.number,
        floor=found.floor,
        device_classes=list(found.device_classes),
        minimum_agent=found.minimum_agent,
        signed_by=found.signed_by,
        signed_at=moment(found.signed_ms),
    )


def _measured(stored: StoredRelease) -> dict[str, MeasuredAnswer]:
    return {
        path: MeasuredAnswer(peak_bytes=each.peak_bytes, microseconds=each.microseconds)
        for path, each in stored.measured.items()
    }


def _judged(manifest: bytes) -> Judged | None:
    """None as well where it was stored under rules that this version can't read any more."""
    try:
        found = manifests.parse(manifest).judged
    except InvalidManifest:
        return None
    if found is None:
        return None
    return Judged(
        metric=found.metric,
        pictures=found.pictures,
        objects=found.objects,
        variants=[_judged_variant(each) for each in found.variants],
        jpeg=[
            JudgedJpeg(
                quality=each.quality, max_side=each.max_side, bytes=each.bytes, metric=each.metric, right=each.right
            )
            for each in found.jpeg
        ],
    )


def _judged_variant(found: judged.JudgedVariant) -> JudgedVariant:
    cost = found.cost
    return JudgedVariant(
        name=found.name,
        metric=found.metric,
        right=found.right,
        confidence=list(found.confidence),
        cost=JudgedCost(frame_seconds=cost.frame / 1e6, call_seconds=cost.call / 1e6) if cost else None,
    )


def _file(entry: StoredFile) -> File:
    return File(path=entry.path, sha256=hex_of(entry.digest), size=entry.size, role=entry.role)


def difference(found: Difference) -> DifferenceAnswer:
    return DifferenceAnswer(
        manifest=_lines(found.manifest),
        input=_lines(found.input),
        labels=_lines(found.labels),
        variants=_lines(found.variants),
        files=[
            FileLineAnswer(path=each.path, before=each.before, after=each.after, change=each.change)
            for each in found.files
        ],
        figures=_lines(found.figures),
        graph=_lines(found.graph or ()),
        operators=_lines(found.operators or ()),
    )


def _lines(lines: Iterable[Line]) -> list[LineAnswer]:
    return [LineAnswer(name=each.name, before=each.before, after=each.after, change=each.change) for each in lines]


def model(stored: StoredModel) -> ModelAnswer:
    metadata = Metadata(
        name=stored.name,
        labels=dict(stored.labels),
        uid=stored.uid,
        generation=stored.generation,
        resource_version=str(stored.resource_version),
        creation_timestamp=moment(stored.created_ms),
    )
    return ModelAnswer(metadata=metadata, status=ModelStatus(releases=[each.version for each in stored.releases]))

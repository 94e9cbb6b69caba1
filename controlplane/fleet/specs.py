"""What an operator may write in the `spec` of a Node, Camera or Deployment: JSON ↔ frozen value, every rule checked.

An unknown field is refused, because it is a typo of a known one more often than anything else. Defaults stand in the
dataclasses; an omitted section means its defaults. Refusals name the field and how to write it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.fields import Fields, duration, flag, number, text, whole
from controlplane.fleet import downloads, quantities, selectors, sources, terms, watching, zones
from controlplane.fleet.downloads import Download
from controlplane.fleet.selectors import Selector
from controlplane.fleet.terms import Terms
from controlplane.fleet.watching import Motion
from controlplane.fleet.zones import Line, Zone
from protos import ids, pace
from protos.errors import Rejected
from protos.ids import ModelName, NodeId, Version
from protos.manifest import AGENT_MODEL

MAX_RATE = 60.0  # frames per second of one camera: above it decoding alone fills a core
MAX_SLOW_DOWN_MS = 10_000
NO_BUDGET = "none"
_LABELS_SHOWN = 20  # in one sentence
MOST_CLASSES = 256  # of one Deployment: above it, leave the others out by minScore or in the model


@dataclass(frozen=True)
class NodeSpec:
    paused: bool = False  # no frame is taken from any camera
    slow_down_ms: int = 0  # waiting added to each local inference


@dataclass(frozen=True)
class CameraSpec:
    node: NodeId
    source: str = field(repr=False)  # whole, credentials included: never shown, see sources.stripped
    rate: float = pace.RATE  # frames due per second
    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()
    masks: tuple[Zone, ...] = ()
    motion: Motion = watching.ALWAYS


@dataclass(frozen=True)
class OffloadSpec:
    enabled: bool = True
    uplink_bits_per_second: int = 4_000_000
    jpeg_quality: int = 80


@dataclass(frozen=True)
class ShadowSpec:
    """A candidate that sees some of the frames, to be compared and never shown."""

    candidate: tuple[ModelName, Version] | None = None
    share: float = 0.1  # of the frames, as far as boxes have time for them

    @property
    def release(self) -> str:
        """As it is written; empty: none."""
        return "@".join(self.candidate or ())


@dataclass(frozen=True)
class DeploymentSpec:
    model: ModelName
    version: Version
    node_selector: Selector = selectors.EVERYTHING
    camera_selector: Selector = selectors.EVERYTHING
    cloud_selector: Selector = selectors.EVERYTHING
    deadline_ms: int = pace.DEADLINE_MS  # from capture
    offload: OffloadSpec = OffloadSpec()
    min_score: float = 0.3
    detections_per_second: float = 2.0  # recorded per camera, at most
    classes: tuple[str, ...] = ()  # labels to look for; empty: all that the release has
    events: bool = True  # what is recorded is told to applications as well
    shadow: ShadowSpec = ShadowSpec()
    download: Download = downloads.AT_ONCE
    latency_budget_ms: int = 0  # an inference of a new release, of the model alone; 0: none
    terms: Terms = terms.AS_EVER


def _rate(value: object, where: str) -> float:
    rate = number(0, MAX_RATE)(value, where)
    if rate == 0:
        raise Rejected(f"{where} must be more than 0 and at most {MAX_RATE:g} frames per second")
    return rate


def node_spec(value: object) -> NodeSpec:
    """Raises Rejected."""
    fields = Fields(value, "spec")
    spec = NodeSpec(
        paused=fields.take("paused", flag, default=False),
        slow_down_ms=fields.take("slowDown", duration(0, MAX_SLOW_DOWN_MS), default=0),
    )
    fields.done()
    return spec


def check_role(labels: Mapping[str, str] | None, role: str) -> None:
    """A label that says otherwise would be shown, and no selector would see it. Raises Rejected."""
    said = (labels or {}).get("role", role)
    if said != role:
        raise Rejected(f"label role={said} contradicts this node, which is {role}; join it anew to change its role")


def camera_spec(value: object, stored_source: str | None = None) -> CameraSpec:
    """The spec; a source that shows masked credentials gets those of `stored_source` back.

    Raises:
        Rejected: without a word of the source in it.
    """
    fields = Fields(value, "spec")
    spec = CameraSpec(
        node=fields.need("node", lambda node, where: ids.node_id(text(node, where))),
        source=fields.need("source", lambda source, _: _source(source, stored_source)),
        rate=fields.take("rate", _rate, default=CameraSpec.rate),
        zones=fields.take("zones", zones.from_spec, default=()),
        lines=fields.take("lines", zones.lines_from_spec, default=()),
        masks=fields.take("masks", zones.masks_from_spec, default=()),
        motion=fields.take("motion", watching.motion_from_spec, default=watching.ALWAYS),
    )
    fields.done()
    return spec


def _source(value: object, stored: str | None) -> str:
    return sources.checked(sources.merged(value, stored) if isinstance(value, str) else value)


def deployment_spec(value: object) -> DeploymentSpec:
    """Raises Rejected."""
    fields = Fields(value, "spec")
    deadline_ms, latency_budget_ms = fields.take("objective", _objective, default=_objective(None, "spec.objective"))
    spec = DeploymentSpec(
        model=fields.need("model", lambda model, where: ids.model_name(text(model, where))),
        version=fields.need("version", lambda version, where: ids.version(text(version, where))),
        node_selector=fields.take("nodeSelector", selectors.from_spec, default=selectors.EVERYTHING),
        camera_selector=fields.take("cameraSelector", selectors.from_spec, default=selectors.EVERYTHING),
        cloud_selector=fields.take("cloudSelector", selectors.from_spec, default=selectors.EVERYTHING),
        deadline_ms=deadline_ms,
        latency_budget_ms=latency_budget_ms,
        offload=fields.take("offload", _offload, default=OffloadSpec()),
        min_score=fields.take("minScore", number(0, 1), default=DeploymentSpec.min_score),
        classes=fields.take("classes", _classes, default=()),
        events=fields.take("events", flag, default=True),
        shadow=fields.take("shadow", _shadow, default=ShadowSpec()),
        download=fields.take("download", downloads.download_from_spec, default=downloads.AT_ONCE),
        terms=fields.take("terms", terms.terms_from_spec, default=terms.AS_EVER),
        detections_per_second=fields.take(
            "detectionsPerSecond", number(0, MAX_RATE), default=DeploymentSpec.detections_per_second
        ),
    )
    fields.done()
    return spec


def _classes(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(label, str) and label for label in value):
        raise Rejected(f"{where} must be a list of labels, such as [boat, truck]; empty means all")
    if len(value) > MOST_CLASSES:
        raise Rejected(f"{where}: {len(value)} labels are more than the {MOST_CLASSES} allowed")
    return tuple(dict.fromkeys(value))


def check_labels(spec: DeploymentSpec, labels: Sequence[str]) -> None:
    """The release can tell what is asked for and has a value; `labels` are those it has. Raises Rejected."""
    for sentence in strange_labels(spec, labels):
        raise Rejected(sentence)


def strange_labels(spec: DeploymentSpec, labels: Sequence[str]) -> list[str]:
    """A sentence for each label that is asked for or has a value and is none of `labels`, which the release has."""
    known = ", ".join(labels[:_LABELS_SHOWN]) + (", …" if len(labels) > _LABELS_SHOWN else "")
    there_are = f"there are {known}" if known else "it has none"
    worth = tuple(label for label, _ in spec.terms.values)
    return [
        f"spec.{where}: {spec.model} {spec.version} has no label {label!r}; {there_are}"
        for where, wanted in (("classes", spec.classes), ("terms.values", worth))
        for label in wanted
        if label not in labels
    ]


def check_shadow(model: ModelName, candidate: tuple[ModelName, Version]) -> None:
    """Raises Rejected: an agent is compared with nothing."""
    if AGENT_MODEL in (model, candidate[0]):
        raise Rejected("spec.shadow: a release of the agent runs alone; leave spec.shadow out")


def _objective(value: object, where: str) -> tuple[int, int]:
    """Deadline and latency budget."""
    fields = Fields(value, where)
    deadline = fields.take("deadline", duration(1, pace.MAX_DEADLINE_MS), default=DeploymentSpec.deadline_ms)
    budget = fields.take("latencyBudget", _latency_budget, default=DeploymentSpec.latency_budget_ms)
    fields.done()
    return deadline, budget


def _latency_budget(value: object, where: str) -> int:
    if value == NO_BUDGET:
        return 0
    try:
        return duration(1, pace.MAX_DEADLINE_MS)(value, where)
    except Rejected as error:
        raise Rejected(f"{error}; {NO_BUDGET} sets no limit") from error


def _offload(value: object, where: str) -> OffloadSpec:
    fields = Fields(value, where)
    spec = OffloadSpec(
        enabled=fields.take("enabled", flag, default=OffloadSpec.enabled),
        uplink_bits_per_second=fields.take(
            "uplink", quantities.bits_per_second, default=OffloadSpec.uplink_bits_per_second
        ),
        jpeg_quality=fields.take("jpegQuality", whole(1, 100), default=OffloadSpec.jpeg_quality),
    )
    fields.done()
    return spec


def _shadow(value: object, where: str) -> ShadowSpec:
    fields = Fields(value, where)
    candidate = fields.take("release", _candidate, default=None)
    share = fields.take("share", number(0, 1), default=ShadowSpec.share)
    fields.done()
    if share == 0:
        raise Rejected(f"{where}.share must be more than 0 and at most 1; an empty {where}.release compares nothing")
    return ShadowSpec(candidate, share)


def _candidate(value: object, where: str) -> tuple[ModelName, Version] | None:
    release = text(value, where)
    return ids.release(release, where) if release else None


def node_document(spec: NodeSpec) -> dict[str, object]:
    """`node_spec(node_document(s)) == s`; so for the two below, but for a camera's credentials."""
    return {"paused": spec.paused, "slowDown": quantities.duration_text(spec.slow_down_ms)}


def camera_document(spec: CameraSpec) -> dict[str, object]:
    """As anybody may see it: without credentials."""
    shown = {"node": spec.node, "source": sources.stripped(spec.source), "rate": spec.rate}
    watched = {"masks": zones.to_spec(spec.masks), "motion": watching.motion_to_spec(spec.motion)}
    drawn = {"zones": zones.to_spec(spec.zones), "lines": zones.to_spec(spec.lines)}
    return {**shown, **drawn, **watched}


def deployment_document(spec: DeploymentSpec) -> dict[str, object]:
    return {
        "model": spec.model,
        "version": spec.version,
        "nodeSelector": selectors.to_spec(spec.node_selector),
        "cameraSelector": selectors.to_spec(spec.camera_selector),
        "cloudSelector": selectors.to_spec(spec.cloud_selector),
        "objective": {
            "deadline": quantities.duration_text(spec.deadline_ms),
            "latencyBudget": quantities.duration_text(spec.latency_budget_ms) if spec.latency_budget_ms else NO_BUDGET,
        },
        "offload": {
            "enabled": spec.offload.enabled,
            "uplink": quantities.rate_text(spec.offload.uplink_bits_per_second),
            "jpegQuality": spec.offload.jpeg_quality,
        },
        "minScore": spec.min_score,
        "classes": list(spec.classes),
        "detectionsPerSecond": spec.detections_per_second,
        "events": spec.events,
        "shadow": {"release": spec.shadow.release, "share": spec.shadow.share},
        "download": downloads.download_to_spec(spec.download),
        "terms": terms.terms_to_spec(spec.terms),
    }

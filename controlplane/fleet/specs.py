"""What an operator may write in the `spec` of a Node, Camera or Deployment: JSON ↔ frozen value, every rule checked.

An unknown field is refused, because it is a typo of a known one more often than anything else. Defaults stand in the
dataclasses; an omitted section means its defaults. Refusals name the field and how to write it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from controlplane.fleet import quantities, selectors, sources
from controlplane.fleet.selectors import Selector
from protos import ids
from protos.errors import Rejected
from protos.ids import ModelName, NodeId, Version

T = TypeVar("T")
MAX_RATE = 60.0  # frames per second of one camera: above it decoding alone fills a core
MAX_SLOW_DOWN_MS = 10_000
MAX_DEADLINE_MS = 60_000


@dataclass(frozen=True)
class NodeSpec:
    paused: bool = False  # no frame is taken from any camera
    slow_down_ms: int = 0  # waiting added to each local inference


@dataclass(frozen=True)
class CameraSpec:
    node: NodeId
    source: str = field(repr=False)  # whole, credentials included: never shown, see sources.stripped
    rate: float = 10.0  # frames due per second


@dataclass(frozen=True)
class OffloadSpec:
    enabled: bool = True
    uplink_bits_per_second: int = 4_000_000
    jpeg_quality: int = 80


@dataclass(frozen=True)
class DeploymentSpec:
    model: ModelName
    version: Version
    node_selector: Selector = selectors.EVERYTHING
    camera_selector: Selector = selectors.EVERYTHING
    cloud_selector: Selector = selectors.EVERYTHING
    deadline_ms: int = 250  # from capture
    offload: OffloadSpec = OffloadSpec()
    min_score: float = 0.3
    detections_per_second: float = 2.0  # recorded per camera, at most


class _Fields:
    """Reads a mapping field by field; `done` refuses what nobody asked for."""

    def __init__(self, value: object, where: str) -> None:
        if value is not None and not isinstance(value, Mapping):
            raise Rejected(f"{where} must be an object")
        self._left = dict(value or {})
        self._known: list[str] = []
        self.where = where

    def take(self, key: str, read: Callable[[object, str], T], default: T) -> T:
        self._known.append(key)
        value = self._left.pop(key, None)
        return default if value is None else read(value, f"{self.where}.{key}")

    def need(self, key: str, read: Callable[[object, str], T]) -> T:
        if self._left.get(key) is None:
            raise Rejected(f"{self.where}.{key} is needed")
        self._known.append(key)
        return read(self._left.pop(key), f"{self.where}.{key}")

    def done(self) -> None:
        for key in self._left:
            raise Rejected(f"{self.where}.{key} is no field here; there are {', '.join(sorted(self._known))}")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise Rejected(f"{where} must be a string; put quotes round {value!r}")
    return value


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise Rejected(f"{where} must be true or false")
    return value


def _number(low: float, high: float) -> Callable[[object, str], float]:
    def read(value: object, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise Rejected(f"{where} must be a number from {low:g} to {high:g}")
        return float(value)

    return read


def _whole(low: int, high: int) -> Callable[[object, str], int]:
    def read(value: object, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Rejected(f"{where} must be a whole number from {low} to {high}")
        return value

    return read


def _rate(value: object, where: str) -> float:
    number = _number(0, MAX_RATE)(value, where)
    if number == 0:
        raise Rejected(f"{where} must be more than 0 and at most {MAX_RATE:g} frames per second")
    return number


def _duration(low_ms: int, high_ms: int) -> Callable[[object, str], int]:
    def read(value: object, where: str) -> int:
        milliseconds = quantities.duration_ms(value, where)
        if not low_ms <= milliseconds <= high_ms:
            bounds = f"{quantities.duration_text(low_ms)} to {quantities.duration_text(high_ms)}"
            raise Rejected(f"{where} must be from {bounds}")
        return milliseconds

    return read


def node_spec(value: object) -> NodeSpec:
    """Raises Rejected."""
    fields = _Fields(value, "spec")
    spec = NodeSpec(
        paused=fields.take("paused", _flag, default=False),
        slow_down_ms=fields.take("slowDown", _duration(0, MAX_SLOW_DOWN_MS), default=0),
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
    fields = _Fields(value, "spec")
    spec = CameraSpec(
        node=fields.need("node", lambda node, where: ids.node_id(_text(node, where))),
        source=fields.need("source", lambda source, _: _source(source, stored_source)),
        rate=fields.take("rate", _rate, default=CameraSpec.rate),
    )
    fields.done()
    return spec


def _source(value: object, stored: str | None) -> str:
    return sources.checked(sources.merged(value, stored) if isinstance(value, str) else value)


def deployment_spec(value: object) -> DeploymentSpec:
    """Raises Rejected."""
    fields = _Fields(value, "spec")
    spec = DeploymentSpec(
        model=fields.need("model", lambda model, where: ids.model_name(_text(model, where))),
        version=fields.need("version", lambda version, where: ids.version(_text(version, where))),
        node_selector=fields.take("nodeSelector", selectors.from_spec, default=selectors.EVERYTHING),
        camera_selector=fields.take("cameraSelector", selectors.from_spec, default=selectors.EVERYTHING),
        cloud_selector=fields.take("cloudSelector", selectors.from_spec, default=selectors.EVERYTHING),
        deadline_ms=fields.take("objective", _objective, default=DeploymentSpec.deadline_ms),
        offload=fields.take("offload", _offload, default=OffloadSpec()),
        min_score=fields.take("minScore", _number(0, 1), default=DeploymentSpec.min_score),
        detections_per_second=fields.take(
            "detectionsPerSecond", _number(0, MAX_RATE), default=DeploymentSpec.detections_per_second
        ),
    )
    fields.done()
    return spec


def _objective(value: object, where: str) -> int:
    fields = _Fields(value, where)
    deadline = fields.take("deadline", _duration(1, MAX_DEADLINE_MS), default=DeploymentSpec.deadline_ms)
    fields.done()
    return deadline


def _offload(value: object, where: str) -> OffloadSpec:
    fields = _Fields(value, where)
    spec = OffloadSpec(
        enabled=fields.take("enabled", _flag, default=OffloadSpec.enabled),
        uplink_bits_per_second=fields.take(
            "uplink", quantities.bits_per_second, default=OffloadSpec.uplink_bits_per_second
        ),
        jpeg_quality=fields.take("jpegQuality", _whole(1, 100), default=OffloadSpec.jpeg_quality),
    )
    fields.done()
    return spec


def node_document(spec: NodeSpec) -> dict[str, object]:
    """`node_spec(node_document(s)) == s`; so for the two below, but for a camera's credentials."""
    return {"paused": spec.paused, "slowDown": quantities.duration_text(spec.slow_down_ms)}


def camera_document(spec: CameraSpec) -> dict[str, object]:
    """As anybody may see it: without credentials."""
    return {"node": spec.node, "source": sources.stripped(spec.source), "rate": spec.rate}


def deployment_document(spec: DeploymentSpec) -> dict[str, object]:
    return {
        "model": spec.model,
        "version": spec.version,
        "nodeSelector": selectors.to_spec(spec.node_selector),
        "cameraSelector": selectors.to_spec(spec.camera_selector),
        "cloudSelector": selectors.to_spec(spec.cloud_selector),
        "objective": {"deadline": quantities.duration_text(spec.deadline_ms)},
        "offload": {
            "enabled": spec.offload.enabled,
            "uplink": quantities.rate_text(spec.offload.uplink_bits_per_second),
            "jpegQuality": spec.offload.jpeg_quality,
        },
        "minScore": spec.min_score,
        "detectionsPerSecond": spec.detections_per_second,
    }

"""Desired state as the agent's own values: the one place where its wire message is read.

What the control plane sent is trusted to be its own (mTLS) but not to be sane: a camera, deployment or cloud node that
makes no sense is left out and named in `refused`, so that the rest of the box goes on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from agent.berths.update import AgentWish
from agent.offload.terms import Terms
from agent.pipeline.board import CameraWish, DeploymentWish, ShadowWish
from agent.pipeline.run import LaneSettings
from agent.tracking.rules import Marks
from agent.types import Line, Tap, Zone
from agent.update.download import FREE, Download, Window
from protos import fleet_pb2 as wire
from protos import ids
from protos.errors import InvalidName
from protos.fleet_pb2 import CameraSpec, CloudEndpoint, DeploymentSpec, DesiredState
from protos.ids import CameraName, DeploymentName
from protos.manifest import AGENT_MODEL

_DAY_MINUTES = 24 * 60
LOOK_EVERY_MS = 10_000  # at a camera in which nothing moves, where desired state does not say


@dataclass(frozen=True)
class CloudNode:
    node_id: str
    url: str


@dataclass(frozen=True)
class Broker:
    host: str
    port: int
    tls: bool
    mqtt5: bool
    beat_seconds: int = 0  # the box says this often that it is there; 0: it need not


@dataclass(frozen=True)
class Quotas:
    """Of this box's disk, in bytes; 0: none set."""

    release_bytes: int = 0
    outbox_bytes: int = 0


@dataclass(frozen=True)
class Desired:
    """Everything this box should be."""

    generation: int = 0
    cameras: tuple[CameraWish, ...] = ()
    deployments: tuple[DeploymentWish, ...] = ()
    slow_down: float = 0.0  # seconds per inference
    paused: bool = False
    cloud: tuple[CloudNode, ...] = ()
    broker: Broker | None = None
    watch_until: float = 0.0  # unix seconds
    silent: frozenset[DeploymentName] = frozenset()  # no events of these
    records_per_second: dict[DeploymentName, float] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    quotas: Quotas = Quotas()
    downloads: dict[DeploymentName, Download] = field(default_factory=dict)
    agent: AgentWish | None = None  # the agent's own release; None: nobody says which

    @property
    def marks(self) -> dict[CameraName, Marks]:
        """Of the cameras that have any."""
        return {each.name: Marks(each.zones, each.lines) for each in self.cameras if each.zones or each.lines}

    @property
    def taps(self) -> set[Tap]:
        """Of cameras that are here."""
        here = {camera.name for camera in self.cameras}
        return {Tap(camera, wish.name) for wish in self.deployments for camera in wish.cameras if camera in here}


def desired(state: DesiredState) -> Desired:
    refused: list[str] = []
    cameras = [made for spec in state.cameras if (made := _camera(spec, refused))]
    found = [wish for spec in state.deployments if (wish := _deployment(spec, refused))]
    deployments = [wish for wish in found if wish.model != AGENT_MODEL]
    agent = _agent([wish for wish in found if wish.model == AGENT_MODEL], refused)
    return Desired(
        generation=state.generation,
        cameras=tuple(cameras),
        deployments=tuple(deployments),
        slow_down=state.switches.slow_down_ms / 1000,
        paused=state.switches.paused,
        cloud=tuple(node for told in state.cloud if (node := _cloud_node(told, refused))),
        broker=_broker(state),
        watch_until=state.watch_until_unix_ms / 1000,
        silent=frozenset(DeploymentName(spec.name) for spec in state.deployments if spec.silent),
        records_per_second={wish.name: _rate(state, wish.name) for wish in deployments},
        refused=tuple(refused),
        quotas=Quotas(state.quotas.release_bytes, state.quotas.outbox_bytes),
        downloads={DeploymentName(spec.name): _download(spec) for spec in state.deployments},
        agent=agent,
    )


def _agent(wishes: list[DeploymentWish], refused: list[str]) -> AgentWish | None:
    """One at most: where several select this box, the first by name counts."""
    if not wishes:
        return None
    names = sorted(wish.name for wish in wishes)
    if len(names) > 1:
        refused.append(f"deployments {', '.join(names)} all name the agent of this box; let one of them select it")
    first = next(wish for wish in wishes if wish.name == names[0])
    return AgentWish(first.name, first.version, first.digest)


def _camera(spec: CameraSpec, refused: list[str]) -> CameraWish | None:
    try:
        return CameraWish(
            name=ids.camera_name(spec.name),
            source=spec.source,
            rate=spec.rate,
            zones=tuple(map(_zone, spec.zones)),
            lines=tuple(line for told in spec.lines if (line := _line(spec.name, told, refused))),
            masks=tuple(mask for told in spec.masks if (mask := _mask(spec.name, told, refused))),
            look_every=(spec.motion.every_ms or LOOK_EVERY_MS) / 1000 if spec.HasField("motion") else 0.0,
        )
    except InvalidName as error:
        refused.append(str(error))
        return None


def _zone(told: wire.Zone) -> Zone:
    return Zone(told.name, tuple((point.x, point.y) for point in told.points), told.dwell_seconds)


def _line(camera: str, told: wire.Line, refused: list[str]) -> Line | None:
    points = [(point.x, point.y) for point in told.points]
    if len(points) == 2 and points[0] != points[1]:
        return Line(told.name, (points[0], points[1]))
    refused.append(f"line {told.name[:63]!r} of camera {camera} has no two points; give it two that differ")
    return None


def _mask(camera: str, told: wire.Zone, refused: list[str]) -> Zone | None:
    if len(told.points) >= 3 and all(0 <= each <= 1 for point in told.points for each in (point.x, point.y)):
        return _zone(told)
    refused.append(
        f"mask {told.name[:63]!r} of camera {camera} is no part of its picture; give it three corners or more, each "
        "from 0,0 to 1,1"
    )
    return None


def _deployment(spec: DeploymentSpec, refused: list[str]) -> DeploymentWish | None:
    try:
        cameras = tuple(ids.camera_name(name) for name in spec.cameras)
        return DeploymentWish(
            name=ids.deployment_name(spec.name),
            model=ids.model_name(spec.model),
            version=ids.version(spec.version),
            digest=ids.digest(spec.digest),
            cameras=cameras,
            settings=LaneSettings(
                deadline=(spec.deadline_ms or 1000) / 1000,
                min_score=spec.min_score,
                jpeg_quality=spec.offload.jpeg_quality or 80,
                offload=spec.offload.enabled and not spec.terms.all_stay,
                classes=frozenset(spec.classes),
                terms=_terms(spec, cameras),
            ),
            bits_per_second=float(spec.offload.bits_per_second),
            shadow=_shadow(spec),
            latency_budget=spec.latency_budget_ms / 1000,
        )
    except InvalidName as error:
        refused.append(str(error))
        return None


def _terms(spec: DeploymentSpec, cameras: tuple[CameraName, ...]) -> Terms:
    """Those of the box where the control plane knows none. Deadline and uplink stand elsewhere in the wish."""
    told, usual = spec.terms, Terms()
    if not spec.HasField("terms"):
        return usual
    given = {field.name: value for field, value in told.ListFields() if _sane(value)}
    return Terms(
        values={label: worth for label, worth in told.values.items() if _sane(worth)},
        camera_values={CameraName(name): worth for name, worth in told.camera_values.items() if _sane(worth)},
        money_per_day=given.get("money_per_day"),
        watts=given.get("watts"),
        grams_per_hour=given.get("grams_per_hour"),
        money_per_gigabyte=given.get("money_per_gigabyte", usual.money_per_gigabyte),
        money_per_cloud_second=given.get("money_per_cloud_second", usual.money_per_cloud_second),
        grams_per_kwh=given.get("grams_per_kwh", usual.grams_per_kwh),
        floor_rate=given.get("floor_rate", 0.0),
        safety=told.safety,
        stays=frozenset([*map(CameraName, told.stays), *(cameras if told.all_stay else ())]),
    )


def _sane(value: object) -> bool:
    """No number, or one that counts something."""
    return not isinstance(value, float) or (math.isfinite(value) and value >= 0)


def _shadow(spec: DeploymentSpec) -> ShadowWish | None:
    """A share that is no share is none: the deployment goes on without."""
    told = spec.shadow
    return ShadowWish(ids.digest(told.digest), told.share) if told.digest and 0.0 < told.share <= 1.0 else None


def _download(spec: DeploymentSpec) -> Download:
    """Of a control plane that knows none: at once."""
    told = spec.download
    if not spec.HasField("download"):
        return FREE
    window, trouble = None, ""
    try:
        window = _window(told.window) if told.HasField("window") else None
    except (KeyError, ValueError, OSError):  # no such zone, or what cannot name one
        trouble = _no_zone(told.window.zone)
    return Download(told.bits_per_second / 8, window, told.jitter_ms / 1000, trouble)


def _window(told: wire.DailyWindow) -> Window:
    zone = ZoneInfo(told.zone) if told.zone else None
    return Window(told.opens_minute % _DAY_MINUTES, told.closes_minute % _DAY_MINUTES, zone, told.zone)


def _no_zone(zone: str) -> str:
    return (
        f"waits: this box knows no time zone {zone[:63]!r}; install tzdata on it, or write the window of the "
        "deployment without a zone"
    )


def _cloud_node(told: CloudEndpoint, refused: list[str]) -> CloudNode | None:
    if _is_address(told.url):
        return CloudNode(told.node_id, told.url)
    # The address itself is not repeated: whoever wrote it wrongly may have written a password into it.
    refused.append(
        f"cloud node {told.node_id[:63]!r} has no address that can be asked: it must read grpc://HOST:PORT or "
        "grpcs://HOST:PORT; correct what this node listens at"
    )
    return None


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    plain = parts.netloc and "@" not in parts.netloc and not (parts.path or parts.query or parts.fragment)
    return parts.scheme in ("grpc", "grpcs") and bool(plain and parts.hostname and port) and url.isprintable()


def _broker(state: DesiredState) -> Broker | None:
    told = state.broker
    return Broker(told.host, told.port, told.tls, told.mqtt5, told.beat_seconds) if told.host else None


def _rate(state: DesiredState, name: DeploymentName) -> float:
    return next(spec.detections_per_second for spec in state.deployments if spec.name == name)

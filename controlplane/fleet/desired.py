"""What one box should run, from the objects of the fleet. Pure: the same objects give the same value.

- An edge node is in a Deployment if nodeSelector matches it; its cameras are in it if cameraSelector matches them too.
  A node with no matching camera still loads the release: applications beside the box may ask it.
- A cloud node is in a Deployment if cloudSelector matches it, and gets no cameras.
- An edge node hears of the online cloud nodes of those of its deployments that may offload.
- A Deployment whose release the registry lacks is left out; its status says so.

Everything is sorted, so that the fingerprint changes only when the meaning does. Generation and watch_until are not
part of the state: the first counts its changes, the second is about who is looking.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

import msgspec

from controlplane.fleet import downloads, terms, watching
from controlplane.fleet.downloads import Download
from controlplane.fleet.objects import CLOUD, EDGE, Camera, Deployment, Fleet, Node, Releases
from controlplane.fleet.specs import DeploymentSpec, OffloadSpec, ShadowSpec
from controlplane.fleet.terms import Terms
from controlplane.fleet.watching import Motion
from controlplane.fleet.zones import Line, Zone
from controlplane.settings.domain import BoxQuotas
from protos.ids import CameraName
from protos.manifest import AGENT_MODEL


@dataclass(frozen=True)
class DesiredCamera:
    name: str
    source: str = field(repr=False)  # with credentials: this value goes to the owning box and nowhere else
    rate: float = 10.0
    labels: tuple[tuple[str, str], ...] = ()
    generation: int = 1
    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()
    masks: tuple[Zone, ...] = ()
    motion: Motion = watching.ALWAYS


@dataclass(frozen=True)
class DesiredShadow:
    digest: str
    share: float
    signed: bool = True


@dataclass(frozen=True)
class DesiredDeployment:
    name: str
    model: str
    version: str
    digest: str
    cameras: tuple[str, ...]
    deadline_ms: int
    offload: OffloadSpec
    min_score: float
    detections_per_second: float
    classes: tuple[str, ...] = ()
    events: bool = True
    shadow: DesiredShadow | None = None
    signed: bool = True  # not told, since no box would believe it: a signature is what wakes the boxes
    download: Download = downloads.AT_ONCE
    latency_budget_ms: int = 0
    terms: Terms = terms.AS_EVER


@dataclass(frozen=True)
class CloudEndpoint:
    node_id: str
    url: str


@dataclass(frozen=True)
class Broker:
    """Where agents find the broker."""

    host: str
    port: int
    tls: bool = False
    mqtt5: bool = True
    beat_seconds: int = 0  # a box says this often that it is there; 0: it need not


@dataclass(frozen=True)
class DesiredState:
    cameras: tuple[DesiredCamera, ...] = ()
    deployments: tuple[DesiredDeployment, ...] = ()
    slow_down_ms: int = 0
    paused: bool = False
    cloud: tuple[CloudEndpoint, ...] = ()
    broker: Broker | None = None
    sync_interval_seconds: int = 15
    quiet_sync_seconds: int = 0  # while its beats arrive and its report says nothing new; 0: never rarely
    labels: tuple[tuple[str, str], ...] = ()
    quotas: BoxQuotas = field(default_factory=BoxQuotas)

    def fingerprint(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


def desired_state(
    node: Node, fleet: Fleet, broker: Broker | None, sync_interval_seconds: int, quiet_sync_seconds: int = 0
) -> DesiredState:
    """What `node` should run now."""
    cameras = cameras_of(node, fleet.cameras)
    if broker is not None and node.role == CLOUD:  # boxes wait for it: who is gone has to be known sooner
        broker = replace(broker, beat_seconds=0)
    deployments = fleet.wanted[node.name]
    return DesiredState(
        cameras=tuple(_camera(camera) for camera in cameras),
        deployments=tuple(
            _deployment(item, node, cameras, fleet) for item in deployments if _digest(item, fleet.releases)
        ),
        slow_down_ms=node.spec.slow_down_ms,
        paused=node.spec.paused,
        cloud=tuple(_endpoints(node, deployments, fleet.nodes)),
        broker=broker,
        sync_interval_seconds=sync_interval_seconds,
        quiet_sync_seconds=quiet_sync_seconds if broker is not None and broker.beat_seconds else 0,
        labels=tuple(sorted(node.labels.items())),
        quotas=fleet.quotas,
    )


def selects(deployment: Deployment, node: Node) -> bool:
    """Whether `node` should run `deployment`."""
    return node.should_run(deployment.spec)


def sees(spec: DeploymentSpec, camera: Camera) -> bool:
    """Whether a camera of a selected node is in it. A release of the agent looks at none."""
    return spec.model != AGENT_MODEL and spec.camera_selector.matches(camera.meta.labels)


def cameras_of(node: Node, cameras: Iterable[Camera]) -> list[Camera]:
    if node.role != EDGE:
        return []
    return sorted((camera for camera in cameras if camera.spec.node == node.name), key=lambda camera: camera.name)


def _digest(deployment: Deployment, releases: Releases) -> str:
    return releases.get((deployment.spec.model, deployment.spec.version), "")


def _camera(camera: Camera) -> DesiredCamera:
    return DesiredCamera(
        name=camera.name,
        source=camera.spec.source,
        rate=camera.spec.rate,
        labels=tuple(sorted(camera.meta.labels.items())),
        generation=camera.meta.generation,
        zones=camera.spec.zones,
        lines=camera.spec.lines,
        masks=camera.spec.masks,
        motion=camera.spec.motion,
    )


def _deployment(deployment: Deployment, node: Node, cameras: list[Camera], fleet: Fleet) -> DesiredDeployment:
    spec = deployment.spec
    seen = tuple(camera.name for camera in cameras if sees(spec, camera))
    return DesiredDeployment(
        name=deployment.name,
        model=spec.model,
        version=spec.version,
        digest=_digest(deployment, fleet.releases),
        cameras=seen,
        deadline_ms=spec.deadline_ms,
        offload=_offload(spec, node, seen),
        min_score=spec.min_score,
        detections_per_second=spec.detections_per_second,
        classes=spec.classes,
        events=spec.events,
        shadow=_shadow(spec.shadow, fleet),
        signed=(spec.model, spec.version) not in fleet.unsigned,
        download=spec.download,
        latency_budget_ms=spec.latency_budget_ms,
        terms=spec.terms,
    )


def _offload(spec: DeploymentSpec, node: Node, cameras: Collection[CameraName]) -> OffloadSpec:
    """Off where an agent of before 0.2 would send up what stays: it knows no terms, and proves no metadata either."""
    old = node.report.trust is None
    kept = spec.terms.all_stay or (old and spec.terms.keep(cameras))
    return replace(spec.offload, enabled=False) if kept else spec.offload


def _shadow(spec: ShadowSpec, fleet: Fleet) -> DesiredShadow | None:
    """None for a release that the registry lost, too: there is nothing to compare with."""
    digest = fleet.releases.get(spec.candidate) if spec.candidate else None
    return DesiredShadow(digest, spec.share, spec.candidate not in fleet.unsigned) if digest else None


def _endpoints(node: Node, deployments: Iterable[Deployment], nodes: Iterable[Node]) -> list[CloudEndpoint]:
    """The cloud nodes that `node` may ask for help, by name."""
    if node.role != EDGE:
        return []
    helped = [item for item in deployments if item.spec.offload.enabled and not item.spec.terms.all_stay]
    clouds = [
        cloud
        for cloud in nodes
        if cloud.role == CLOUD
        and cloud.online
        and cloud.report.inventory.inference_grpc_url
        and any(selects(item, cloud) for item in helped)
    ]
    return [
        CloudEndpoint(node_id=cloud.name, url=cloud.report.inventory.inference_grpc_url)
        for cloud in sorted(clouds, key=lambda item: item.name)
    ]

"""The objects of a fleet as frozen values: what the repository loads and everything pure decides on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from controlplane.fleet.reports import Report
from controlplane.fleet.selectors import Labelled
from controlplane.fleet.specs import CameraSpec, DeploymentSpec, NodeSpec
from controlplane.settings.domain import BoxQuotas
from protos.ids import CameraName, DeploymentName, Digest, ModelName, NodeId, Version

EDGE = "edge"
CLOUD = "cloud"


@dataclass(frozen=True)
class Meta:
    """What every object carries. `generation` counts changes of the spec, `resource_version` every stored change."""

    uid: str
    created_unix_ms: int
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    generation: int = 1
    resource_version: int = 1


@dataclass(frozen=True)
class Condition:
    """One statement about an object. `status` is True, False or Unknown; `message` is a sentence."""

    type: str
    status: str
    reason: str
    message: str
    since_unix_ms: int  # of the last change of `status`


Transitions = Mapping[str, tuple[str, int]]  # condition type -> (status, since, unix ms)


@dataclass(frozen=True)
class Node:
    name: NodeId
    meta: Meta
    role: str
    spec: NodeSpec
    online: bool = False
    last_seen_unix_ms: int = 0  # 0: it joined and never called
    report: Report = field(default_factory=Report)
    desired_generation: int = 0
    desired_fingerprint: str = ""
    watch_until_unix_ms: int = 0
    transitions: Transitions = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        """Its labels, and its role as one."""
        return {**self.meta.labels, "role": self.role}

    @property
    def selected_by(self) -> dict[str, str]:
        """What selectors see: its labels, and its name as `node` unless it has another label of that key."""
        return {"node": self.name, **self.labels}

    def should_run(self, spec: DeploymentSpec) -> bool:
        return (spec.cloud_selector if self.role == CLOUD else spec.node_selector).matches(self.selected_by)


@dataclass(frozen=True)
class Camera:
    name: CameraName
    meta: Meta
    spec: CameraSpec
    transitions: Transitions = field(default_factory=dict)


@dataclass(frozen=True)
class Deployment:
    name: DeploymentName
    meta: Meta
    spec: DeploymentSpec
    transitions: Transitions = field(default_factory=dict)


ReleaseKey = tuple[ModelName, Version]
Releases = Mapping[ReleaseKey, Digest]  # what the registry holds, by name


@dataclass(frozen=True)
class Fleet:
    """All of it at one moment: the input of every decision about desired state and status."""

    nodes: tuple[Node, ...]
    cameras: tuple[Camera, ...]
    deployments: tuple[Deployment, ...]
    releases: Releases
    quotas: BoxQuotas = field(default_factory=BoxQuotas)  # of each box's disk
    served_only: Mapping[ReleaseKey, str] = field(default_factory=dict)  # releases that find no boxes, with their task
    unsigned: frozenset[ReleaseKey] = frozenset()  # releases that boxes refuse, for want of a signature

    @cached_property
    def running(self) -> Mapping[DeploymentName, tuple[Node, ...]]:
        """The nodes that should run each Deployment, by name; cloud nodes included."""
        edge, cloud = (
            Labelled((node.selected_by, node) for node in self.nodes if (node.role == CLOUD) is away)
            for away in (False, True)
        )
        return {
            each.name: tuple(
                sorted(
                    (*edge.matching(each.spec.node_selector), *cloud.matching(each.spec.cloud_selector)),
                    key=lambda node: node.name,
                )
            )
            for each in self.deployments
        }

    @cached_property
    def wanted(self) -> Mapping[NodeId, Sequence[Deployment]]:
        """The Deployments that each node should run, by name."""
        found: dict[NodeId, list[Deployment]] = {node.name: [] for node in self.nodes}
        for deployment in sorted(self.deployments, key=lambda item: item.name):
            for node in self.running[deployment.name]:
                found[node.name].append(deployment)
        return found

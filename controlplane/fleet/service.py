"""What people do with the fleet: look at, apply and delete Nodes, Cameras and Deployments. One transaction each.

Documents go in and out (plain JSON values); credentials of cameras never come out. After a change the desired states
are refreshed in the same transaction and the boxes concerned are nudged after the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import uuid4

from controlplane.db import Database, Session
from controlplane.errors import NotFound
from controlplane.fleet import changes, envelope, generations, previewing, selectors, specs
from controlplane.fleet.changes import Change
from controlplane.fleet.generations import WATCH_MS, Hint, Settings
from controlplane.fleet.looking import Looking
from controlplane.fleet.objects import EDGE, Camera, Deployment, Fleet, Meta, Node
from controlplane.fleet.repository import FleetRepository
from controlplane.fleet.selection import Selected, selection
from controlplane.fleet.specs import DeploymentSpec
from controlplane.ports import Clock, Notifier
from protos import ids
from protos import manifest as manifests
from protos.errors import Rejected
from protos.ids import ModelName, Version

Document = dict[str, Any]
Publish = Callable[[Session], None]  # signs what follows from the Deployments, in the same transaction


Item = TypeVar("Item", Node, Camera, Deployment)


@dataclass(frozen=True)
class Applied:
    document: Document
    change: Change


@dataclass(frozen=True)
class Overview:
    nodes: list[Document]
    cameras: list[Document]
    deployments: list[Document]


@dataclass(frozen=True)
class Names:
    """What there is to choose from, sorted."""

    nodes: list[str]
    cameras: list[str]
    zones: list[str]


class FleetService:
    """Blocking and thread-safe."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        notifier: Notifier,
        looking: Looking,
        configured: Settings,
        publish: Publish,
    ) -> None:
        self._database = database
        self._clock = clock
        self._notifier = notifier
        self._looking = looking
        self._settings = configured
        self._publish = publish

    # ---- nodes ----

    def list_nodes(self, label_selector: str = "", limit: int | None = None, after: str = "") -> list[Document]:
        """By name, from the first after `after` on."""
        fleet, now = self._fleet(), self._now()
        return [envelope.node(item, fleet, now) for item in _chosen(fleet.nodes, label_selector, limit, after)]

    def get_node(self, name: str) -> Document:
        """Raises NotFound."""
        with self._database.read() as session:
            repository = FleetRepository(session)
            node = _found(repository.node(name), "node", name)
            return envelope.node(node, repository.surroundings(node), self._now())

    def apply_node(self, name: str, body: object) -> Applied:
        """Raises Rejected, Conflict, NotFound: a node is made by joining, not here."""
        wish = changes.written(body, "Node", name)
        with self._database.begin() as session:
            repository = FleetRepository(session)
            stored = repository.node(name, lock=True)
            if stored is None:
                raise NotFound(f"node {name} has not joined; make a token for it with 'longshore token create {name}'")
            spec = specs.node_spec(wish.spec)
            specs.check_role(wish.labels, stored.role)
            meta, change = changes.updated(stored.meta, wish, spec_changed=spec != stored.spec)
            hints: list[Hint] = []
            if change is not Change.UNCHANGED:
                repository.put_node(replace(stored, meta=meta, spec=spec))
                hints = generations.refresh(repository, self._settings)
        generations.send(self._notifier, hints)
        return Applied(self.get_node(name), change)

    def delete_node(self, name: str) -> None:
        """Forget the box; it is refused at its next call. Its cameras stay, for when it joins again."""
        with self._database.begin() as session:
            repository = FleetRepository(session)
            node = _found(repository.node(name, lock=True), "node", name)
            repository.delete_node(node.name, self._now())
            hints = generations.refresh(repository, self._settings)
        self._looking.forget_node(node.name)
        self._notifier.forget(node.name)
        generations.send(self._notifier, hints)

    # ---- cameras ----

    def list_cameras(self, label_selector: str = "", limit: int | None = None, after: str = "") -> list[Document]:
        fleet, now = self._fleet(), self._now()
        owners = {node.name: node for node in fleet.nodes}
        chosen = _chosen(fleet.cameras, label_selector, limit, after)
        return [envelope.camera(item, owners.get(item.spec.node), now) for item in chosen]

    def get_camera(self, name: str) -> Document:
        """Raises NotFound."""
        with self._database.read() as session:
            repository = FleetRepository(session)
            camera = _found(repository.camera(name), "camera", name)
            return envelope.camera(camera, repository.node(camera.spec.node), self._now())

    def apply_camera(self, name: str, body: object) -> Applied:
        """Raises Rejected, Conflict."""
        wish = changes.written(body, "Camera", name)
        with self._database.begin() as session:
            repository = FleetRepository(session)
            stored = repository.camera(name, lock=True)
            spec = specs.camera_spec(wish.spec, stored.spec.source if stored else None)
            meta, change = self._meta(wish, stored, spec_changed=stored is None or spec != stored.spec)
            hints = []
            if change is not Change.UNCHANGED:
                repository.put_camera(Camera(ids.camera_name(name), meta, spec))
                hints = generations.refresh(repository, self._settings)
        generations.send(self._notifier, hints)
        return Applied(self.get_camera(name), change)

    def delete_camera(self, name: str) -> None:
        """Raises NotFound."""
        self._delete(lambda repository: repository.delete_camera(_found(repository.camera(name), "camera", name).name))
        self._looking.forget_camera(ids.camera_name(name))

    # ---- deployments ----

    def list_deployments(self, label_selector: str = "", limit: int | None = None, after: str = "") -> list[Document]:
        fleet, now = self._fleet(), self._now()
        chosen = _chosen(fleet.deployments, label_selector, limit, after)
        return [envelope.deployment(item, fleet, now) for item in chosen]

    def get_deployment(self, name: str) -> Document:
        """Raises NotFound."""
        with self._database.read() as session:
            repository = FleetRepository(session)
            deployment = _found(repository.deployment(name), "deployment", name)
            return envelope.deployment(deployment, repository.fleet(), self._now())

    def apply_deployment(self, name: str, body: object) -> Applied:
        """Raises Rejected, also when the registry lacks the release; Conflict."""
        wish = changes.written(body, "Deployment", name)
        spec = specs.deployment_spec(wish.spec)
        with self._database.begin() as session:
            repository = FleetRepository(session)
            stored = repository.deployment(name, lock=True)
            changed = stored is None or spec != stored.spec
            if changed:
                _check_release(repository, spec)
            meta, change = self._meta(wish, stored, spec_changed=changed)
            hints = []
            if change is not Change.UNCHANGED:
                deployment = Deployment(ids.deployment_name(name), meta, spec)
                repository.put_deployment(deployment)
                hints = generations.refresh(repository, self._settings, generations.concerned(stored, deployment))
                self._publish(session)
        generations.send(self._notifier, hints)
        return Applied(self.get_deployment(name), change)

    def preview_deployment(self, name: str, body: object) -> Selected:
        """What such a deployment would choose; nothing is stored. Whether the release is there, only applying it says.

        Raises:
            Rejected: what is wrong with it.
        """
        spec = specs.deployment_spec(changes.written(body, "Deployment", name).spec)
        fleet, now = self._fleet(), self._now()
        chosen = selection(spec, fleet)
        owners = {node.name: node for node in chosen.nodes}
        return Selected(
            warnings=previewing.warnings(spec, chosen, self._labels(spec)),
            nodes=[envelope.node(node, fleet, now) for node in chosen.nodes],
            cloud=[envelope.node(node, fleet, now) for node in chosen.cloud],
            cameras=[envelope.camera(each, owners.get(each.spec.node), now) for each in chosen.cameras],
        )

    def delete_deployment(self, name: str) -> None:
        """Raises NotFound."""
        self._delete(
            lambda repository: repository.delete_deployment(
                _found(repository.deployment(name), "deployment", name).name
            )
        )

    # ---- all of it ----

    def overview(self) -> Overview:
        """Every node, camera and deployment, as of one moment."""
        fleet = self._fleet()
        return _overview(fleet.nodes, fleet.cameras, fleet, self._now())

    def around_node(self, name: str) -> Overview:
        """A node, its cameras, and the deployments that it should run, of which the boxes of others are left out.

        Raises NotFound.
        """
        with self._database.read() as session:
            repository = FleetRepository(session)
            node = _found(repository.node(name), "node", name)
            around = repository.surroundings(node)
        return _overview((node,), around.cameras, around, self._now())

    def around_camera(self, name: str) -> Overview:
        """A camera, its node if there is one, and the deployments that this node should run, see `around_node`.

        Raises NotFound.
        """
        with self._database.read() as session:
            repository = FleetRepository(session)
            camera = _found(repository.camera(name), "camera", name)
            node = repository.node(camera.spec.node)
            around = repository.surroundings(node) if node else Fleet((), (), (), {})
        return _overview((node,) if node else (), (camera,), around, self._now())

    def names(self) -> Names:
        with self._database.read() as session:
            repository = FleetRepository(session)
            nodes, cameras = repository.node_names(), repository.camera_names()
            zones = repository.zone_names()
        return Names(sorted(nodes), sorted(cameras), sorted(zones))

    def edge_names(self) -> list[str]:
        """Nodes that can have cameras, sorted."""
        with self._database.read() as session:
            return sorted(FleetRepository(session).node_names(EDGE))

    def look_at_camera(self, name: str) -> None:
        """Somebody looks at this camera: its box streams for the next 30 s. Raises NotFound."""
        with self._database.read() as session:
            camera = _found(FleetRepository(session).camera(name), "camera", name)
        self._look(camera.spec.node)

    def look_at_node(self, name: str) -> None:
        """Somebody looks at this box: it streams for the next 30 s. Raises NotFound."""
        with self._database.read() as session:
            _found(FleetRepository(session).node(name), "node", name)
        self._look(ids.node_id(name))

    def _look(self, name: ids.NodeId) -> None:
        """Extend `watch_until`, in steps of half of it: a page that asks each second must not write each second."""
        now = self._now()
        with self._database.read() as session:
            node = FleetRepository(session).node(name)
        if node is None or node.watch_until_unix_ms - now > WATCH_MS // 2:
            return
        with self._database.begin() as session:
            FleetRepository(session).put_watch(name, now + WATCH_MS)
        generations.send(self._notifier, [Hint(name, node.desired_generation, now + WATCH_MS)])

    def _fleet(self) -> Fleet:
        with self._database.read() as session:
            return FleetRepository(session).fleet()

    def _meta(
        self, wish: changes.Written, stored: Camera | Deployment | None, *, spec_changed: bool
    ) -> tuple[Meta, Change]:
        if stored is None:
            return changes.created(wish, str(uuid4()), self._now()), Change.CREATED
        return changes.updated(stored.meta, wish, spec_changed=spec_changed)

    def _delete(self, delete: Callable[[FleetRepository], None]) -> None:
        with self._database.begin() as session:
            repository = FleetRepository(session)
            delete(repository)
            hints = generations.refresh(repository, self._settings)
            self._publish(session)
        generations.send(self._notifier, hints)

    def _labels(self, spec: DeploymentSpec) -> Sequence[str] | None:
        """Of its release, or None where the registry lacks that."""
        with self._database.read() as session:
            content = FleetRepository(session).release_manifest(spec.model, spec.version)
        return None if content is None else manifests.parse(content).labels

    def _now(self) -> int:
        return int(self._clock.unix() * 1000)


def _overview(nodes: Sequence[Node], cameras: Sequence[Camera], fleet: Fleet, now_ms: int) -> Overview:
    """These of the fleet, and all of its deployments."""
    owners = {node.name: node for node in fleet.nodes}
    return Overview(
        nodes=[envelope.node(each, fleet, now_ms) for each in _chosen(nodes)],
        cameras=[envelope.camera(each, owners.get(each.spec.node), now_ms) for each in _chosen(cameras)],
        deployments=[envelope.deployment(each, fleet, now_ms) for each in _chosen(fleet.deployments)],
    )


def _found(item: Item | None, kind: str, name: str) -> Item:
    if item is None:
        raise NotFound(f"there is no {kind} {name!r}; see 'longshore get {kind}s'")
    return item


def _check_release(repository: FleetRepository, spec: DeploymentSpec) -> None:
    """The registry has it, and it can tell the labels that are asked for. Raises Rejected."""
    content = _manifest(repository, spec.model, spec.version)
    if spec.classes or spec.terms.values:
        specs.check_labels(spec, manifests.parse(content).labels)
    if spec.shadow.candidate is not None:
        specs.check_shadow(spec.model, spec.shadow.candidate)
        _manifest(repository, *spec.shadow.candidate)


def _manifest(repository: FleetRepository, model: ModelName, version: Version) -> bytes:
    content = repository.release_manifest(model, version)
    if content is None:
        missing = f"release {version} of model {model} is not in the registry"
        raise Rejected(f"{missing}; push it with 'longshore push DIR' or see 'longshore get releases'")
    return content


def _chosen(items: Sequence[Item], label_selector: str = "", limit: int | None = None, after: str = "") -> list[Item]:
    """Sorted here, not by the database, whose order of names depends on its language."""
    selector = selectors.parse(label_selector)
    chosen = [item for item in items if item.name > after and selector.matches(_labels(item))]
    return sorted(chosen, key=lambda item: item.name)[:limit]


def _labels(item: Node | Camera | Deployment) -> Any:
    return item.selected_by if isinstance(item, Node) else item.meta.labels

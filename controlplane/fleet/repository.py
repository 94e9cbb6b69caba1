"""All SQL of the fleet: rows of `tables` ↔ values of `objects`. No rule is decided here.

A repository lives inside one transaction of `Database`. Who changes an object locks its row first. Who settles what a
box should run locks the node's row and reads the rest afterwards: that order makes a change and a Sync that meet see
each other on PostgreSQL; SQLite runs one writer at a time anyway. A deleted node keeps its row: its name may come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Select, Text, bindparam, cast, delete, select, update
from sqlalchemy.orm import Session

from controlplane import tables
from controlplane.fleet.objects import CLOUD, Camera, Deployment, Fleet, Node, Transitions
from controlplane.fleet.reports import Inventory, Report
from controlplane.fleet.rows import meta, meta_columns
from controlplane.fleet.specs import CameraSpec, DeploymentSpec, NodeSpec
from controlplane.fleet.watching import Motion
from controlplane.fleet.zones import Line, Zone
from controlplane.settings.domain import BoxQuotas
from controlplane.settings.repository import SettingsRepository
from protos.ids import CameraName, DeploymentName, Digest, ModelName, NodeId, Version
from protos.manifest import AGENT

_REPORT_COLUMNS = ("deployments", "cameras", "problems", "clock_unix_ms", "trust", "silent_seconds", "by_file")
MOST_REMEMBERED = 20_000  # specs; each takes a kilobyte
MOST_NAMED = 100  # deployments in one query
_WRITTEN = cast(tables.Deployment.spec, Text).label("written")
_DEPLOYMENT_COLUMNS = (
    *(getattr(tables.Deployment, name) for name in ("name", "uid", "created_ms", "labels", "annotations", "status")),
    *(getattr(tables.Deployment, name) for name in ("generation", "resource_version")),
    _WRITTEN,
)


_NODES = tables.Base.metadata.tables[tables.Node.__tablename__]
_PUT_DESIRED = (
    update(_NODES)
    .where(_NODES.c.id == bindparam("told"))
    .values(desired_generation=bindparam("told_generation"), desired_hash=bindparam("told_hash"))
)


@dataclass(frozen=True)
class Told:
    """What a node is told: its number and fingerprint."""

    node: NodeId
    generation: int
    fingerprint: str


class FleetRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    # ---- the fleet as a whole ----

    def fleet(self) -> Fleet:
        whole = (tuple(self.nodes()), tuple(self.cameras()), tuple(self.deployments()), self.releases())
        return Fleet(*whole, self._quotas(), self.served_only(), self.unsigned())

    def surroundings(self, node: Node) -> Fleet:
        """The part of the fleet that `node`'s desired state and conditions depend on."""
        query = select(tables.Node).where(tables.Node.role == CLOUD, tables.Node.deleted_ms.is_(None))
        clouds = [_node(row) for row in self._session.scalars(query) if row.id != node.name]
        return Fleet(
            nodes=(node, *clouds),
            cameras=tuple(self.cameras(node.name)),
            deployments=tuple(self._deployments_of(node)),
            releases=self.releases(),
            quotas=self._quotas(),
            unsigned=self.unsigned(),
        )

    def releases(self) -> dict[tuple[ModelName, Version], Digest]:
        rows = self._session.execute(select(tables.Release.model, tables.Release.version, tables.Release.digest))
        return {(ModelName(model), Version(version)): Digest(digest) for model, version, digest in rows}

    def served_only(self) -> dict[tuple[ModelName, Version], str]:
        """Releases that cameras cannot show, with their task."""
        query = select(tables.Release.model, tables.Release.version, tables.Release.task)
        rows = self._session.execute(query.where(tables.Release.task.not_in(("detection", AGENT))))
        return {(ModelName(model), Version(version)): task for model, version, task in rows}

    def unsigned(self) -> frozenset[tuple[ModelName, Version]]:
        """Releases that no release key listed; none before there is signed metadata."""
        release, listing = tables.Release, tables.Listing
        same = (listing.model == release.model) & (listing.version == release.version)
        query = select(release.model, release.version).outerjoin(listing, same & (listing.digest == release.digest))
        begun = select(tables.SignedDocument.role).limit(1).exists()
        rows = self._session.execute(query.where(listing.model.is_(None), begun))
        return frozenset((ModelName(model), Version(version)) for model, version in rows)

    def release_manifest(self, model: ModelName, version: Version) -> bytes | None:
        """The very bytes that were pushed."""
        query = select(tables.Release.manifest)
        return self._session.scalar(query.where(tables.Release.model == model, tables.Release.version == version))

    def _quotas(self) -> BoxQuotas:
        return SettingsRepository(self._session).spec().boxes

    # ---- names, for whoever shows nothing else ----

    def node_names(self, role: str = "") -> list[NodeId]:
        """Of all roles, or of one."""
        query = select(tables.Node.id).where(tables.Node.deleted_ms.is_(None))
        return [
            NodeId(name) for name in self._session.scalars(query.where(tables.Node.role == role) if role else query)
        ]

    def camera_names(self) -> list[CameraName]:
        return [CameraName(name) for name in self._session.scalars(select(tables.Camera.name))]

    def zone_names(self) -> set[str]:
        """Of whatever camera; what many cameras have drawn alike is read once."""
        drawn = self._session.scalars(select(cast(tables.Camera.zones, Text)).distinct())
        return {zone.name for each in drawn for zone in msgspec.json.decode(each, type=tuple[Zone, ...])}

    # ---- nodes ----

    def nodes(self) -> list[Node]:
        query = select(tables.Node).where(tables.Node.deleted_ms.is_(None)).order_by(tables.Node.id)
        return [_node(row) for row in self._session.scalars(query)]

    def deleted_nodes(self) -> list[NodeId]:
        query = select(tables.Node.id).where(tables.Node.deleted_ms.is_not(None)).order_by(tables.Node.id)
        return [NodeId(name) for name in self._session.scalars(query)]

    def lock_nodes(self) -> None:
        """Wait for, and then hold, every node that is not deleted; always in the order of their names."""
        query = select(tables.Node.id).where(tables.Node.deleted_ms.is_(None)).order_by(tables.Node.id)
        self._session.execute(query.with_for_update()).all()

    def node(self, name: str, *, lock: bool = False) -> Node | None:
        query = select(tables.Node).where(tables.Node.id == name, tables.Node.deleted_ms.is_(None))
        if lock:
            query = query.with_for_update().execution_options(populate_existing=True)
        row = self._session.scalars(query).one_or_none()
        return _node(row) if row else None

    def put_node(self, node: Node) -> None:
        """Store what an operator may change of it."""
        spec = {"paused": node.spec.paused, "slow_down_ms": node.spec.slow_down_ms}
        self._update_node(node.name, spec=spec, **meta_columns(node.meta))

    def put_report(self, name: NodeId, report: Report, seen_ms: int) -> None:
        """Store what a box said; saying it over the network makes it online."""
        whole: dict[str, Any] = msgspec.to_builtins(report)
        self._update_node(
            name,
            inventory=whole["inventory"],
            report={key: whole[key] for key in _REPORT_COLUMNS},
            boot_id=report.boot_id,
            epoch=report.epoch,
            observed_generation=report.observed_generation,
            last_seen_ms=seen_ms,
            online=not report.by_file,
        )

    def put_presence(self, name: NodeId, *, online: bool, heard_ms: int | None) -> None:
        """`heard_ms`: when the box itself said it; None: others noticed."""
        heard = {} if heard_ms is None else {"last_seen_ms": heard_ms}
        self._update_node(name, online=online, **heard)

    def put_desired(self, told: Sequence[Told]) -> None:
        """Not to be read again in this transaction: the ORM, slow where a Deployment tells a thousand, is not asked."""
        if told:
            rows = [
                {"told": each.node, "told_generation": each.generation, "told_hash": each.fingerprint} for each in told
            ]
            self._session.connection().execute(_PUT_DESIRED, rows)

    def put_watch(self, name: NodeId, until_unix_ms: int) -> None:
        self._update_node(name, watch_until_ms=until_unix_ms)

    def delete_node(self, name: NodeId, now_ms: int) -> None:
        """Mark it deleted, forget what it said and was told, and revoke its certificates."""
        forgotten: dict[str, Any] = {key: {} for key in ("spec", "status", "annotations", "report", "inventory")}
        forgotten |= dict.fromkeys(("desired_generation", "observed_generation", "watch_until_ms"), 0)
        forgotten |= {"boot_id": "", "epoch": "", "desired_hash": "", "last_seen_ms": None}
        self._update_node(name, deleted_ms=now_ms, online=False, **forgotten)
        certificates = update(tables.Certificate).where(
            tables.Certificate.node_id == name, tables.Certificate.revoked_ms.is_(None)
        )
        self._session.execute(certificates.values(revoked_ms=now_ms))

    def _update_node(self, name: NodeId, **columns: Any) -> None:
        self._session.execute(update(tables.Node).where(tables.Node.id == name).values(**columns))

    # ---- cameras ----

    def cameras(self, node: NodeId | None = None) -> list[Camera]:
        columns = tables.Camera.__table__.columns  # rows, not objects that could be changed: half of the time
        query = select(*columns).order_by(tables.Camera.name)
        if node is not None:
            query = query.where(tables.Camera.node_id == node)
        return [_camera(row) for row in self._session.execute(query)]

    def camera(self, name: str, *, lock: bool = False) -> Camera | None:
        row = self._session.get(tables.Camera, name, with_for_update=lock or None)
        return _camera(row) if row else None

    def put_camera(self, camera: Camera) -> None:
        spec = camera.spec
        self._put(
            tables.Camera(
                name=camera.name,
                node_id=spec.node,
                source=spec.source,
                rate=spec.rate,
                zones=msgspec.to_builtins(spec.zones),
                lines=msgspec.to_builtins(spec.lines),
                masks=msgspec.to_builtins(spec.masks),
                motion=msgspec.to_builtins(spec.motion),
                **meta_columns(camera.meta),
            )
        )

    def delete_camera(self, name: CameraName) -> None:
        self._session.execute(delete(tables.Camera).where(tables.Camera.name == name))

    # ---- deployments ----

    def deployments(self) -> list[Deployment]:
        """Read with every change, so without the ORM, and each spec is understood once."""
        return self._read_deployments(select(*_DEPLOYMENT_COLUMNS))

    def _deployments_of(self, node: Node) -> list[Deployment]:
        """At every Sync of every box: of those that it does not run nothing but the spec is looked at."""
        written = self._session.execute(select(tables.Deployment.name, _WRITTEN))
        names = [name for name, spec in written if node.should_run(_spec(spec))]
        if len(names) > MOST_NAMED:
            return self.deployments()
        return self._read_deployments(select(*_DEPLOYMENT_COLUMNS).where(tables.Deployment.name.in_(names)))

    def _read_deployments(self, query: Select[Any]) -> list[Deployment]:
        rows: Iterable[Any] = self._session.execute(query.order_by(tables.Deployment.name))
        return [
            Deployment(DeploymentName(row.name), meta(row), _spec(row.written), _transitions(row.status))
            for row in rows
        ]

    def deployment(self, name: str, *, lock: bool = False) -> Deployment | None:
        row = self._session.get(tables.Deployment, name, with_for_update=lock or None)
        return (
            Deployment(DeploymentName(row.name), meta(row), _read(row.spec), _transitions(row.status)) if row else None
        )

    def put_deployment(self, deployment: Deployment) -> None:
        spec: dict[str, Any] = msgspec.to_builtins(deployment.spec)
        self._put(tables.Deployment(name=deployment.name, spec=spec, **meta_columns(deployment.meta)))

    def delete_deployment(self, name: DeploymentName) -> None:
        self._session.execute(delete(tables.Deployment).where(tables.Deployment.name == name))

    def _put(self, row: tables.Camera | tables.Deployment) -> None:
        """Insert or replace; visible to the next query of this transaction."""
        self._session.merge(row)
        self._session.flush()

    # ---- since when a condition is what it is ----

    def put_transitions(self, item: Node | Camera | Deployment, transitions: Transitions) -> None:
        table: Any
        match item:
            case Node():
                table, key = tables.Node, tables.Node.id
            case Camera():
                table, key = tables.Camera, tables.Camera.name
            case Deployment():
                table, key = tables.Deployment, tables.Deployment.name
        status = {"transitions": {kind: list(entry) for kind, entry in transitions.items()}}
        self._session.execute(update(table).where(key == item.name).values(status=status))


def _transitions(status: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    return {kind: (status, since) for kind, (status, since) in status.get("transitions", {}).items()}


def _node(row: tables.Node) -> Node:
    return Node(
        name=NodeId(row.id),
        meta=meta(row),
        role=row.role,
        spec=NodeSpec(bool(row.spec.get("paused", False)), int(row.spec.get("slow_down_ms", 0))),
        online=row.online,
        last_seen_unix_ms=row.last_seen_ms or 0,
        report=_report(row),
        desired_generation=row.desired_generation,
        desired_fingerprint=row.desired_hash,
        watch_until_unix_ms=row.watch_until_ms,
        transitions=_transitions(row.status),
    )


def _report(row: tables.Node) -> Report:
    whole = {
        **row.report,
        "boot_id": row.boot_id,
        "epoch": row.epoch,
        "observed_generation": row.observed_generation,
        "inventory": msgspec.convert(row.inventory, Inventory),
    }
    return msgspec.convert(whole, Report)


def _camera(row: Any) -> Camera:
    """Of a tables.Camera, or of its columns."""
    zones, masks = (msgspec.convert(drawn, tuple[Zone, ...]) for drawn in (row.zones, row.masks))
    lines, motion = msgspec.convert(row.lines, tuple[Line, ...]), msgspec.convert(row.motion, Motion)
    spec = CameraSpec(NodeId(row.node_id), row.source, row.rate, zones, lines, masks, motion)
    return Camera(CameraName(row.name), meta(row), spec, _transitions(row.status))


def _read(spec: Mapping[str, Any]) -> DeploymentSpec:
    """Without the rules for what people write: what was taken once must load, whatever they have become."""
    return msgspec.convert(spec, DeploymentSpec)


@lru_cache(maxsize=MOST_REMEMBERED)
def _spec(written: str) -> DeploymentSpec:
    """As `_read`, of the text that is stored."""
    return msgspec.json.decode(written, type=DeploymentSpec)

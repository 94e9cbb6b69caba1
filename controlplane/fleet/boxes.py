"""What boxes do with the fleet: report and learn what to run, come and go. Who they are is `identity`'s to say.

Level-triggered: a Sync may be repeated or lost without harm; its answer is computed from the tables each time. Silence
and presence only say who is there; they start and stop nothing on a box.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from controlplane.db import Database, Session
from controlplane.errors import Forbidden, NotFound
from controlplane.fleet import generations, reports, status
from controlplane.fleet.desired import DesiredState
from controlplane.fleet.generations import Hint, Settings
from controlplane.fleet.objects import CLOUD, Camera, Condition, Deployment, Fleet, Node
from controlplane.fleet.reports import Report
from controlplane.fleet.repository import FleetRepository
from controlplane.ports import Clock, Notifier
from controlplane.registry.grants import Grants
from protos.ids import CameraName, NodeId


@dataclass(frozen=True)
class Answer:
    """To one Sync."""

    desired: DesiredState
    generation: int
    watch_until_unix_ms: int
    blobs_url: str
    metadata_url: str
    metadata_version: int  # of the newest timestamp; 0 before there is one
    grant_expires_unix_ms: int
    now_unix_ms: int
    grant_bearer: str = field(repr=False)


class BoxService:
    """Blocking and thread-safe."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        notifier: Notifier,
        grants: Grants,
        configured: Settings,
        metadata_version: Callable[[Session], int],
    ) -> None:
        """`metadata_version`: of the newest signed timestamp."""
        self._database = database
        self._clock = clock
        self._notifier = notifier
        self._grants = grants
        self._settings = configured
        self._metadata_version = metadata_version
        self._started_ms = self._now()

    def sync(self, name: NodeId, report: Report) -> Answer:
        """Store what a box says and answer what it should do. Raises Forbidden when it was deleted meanwhile."""
        now = self._now()
        with self._database.begin() as session:
            repository = FleetRepository(session)
            before = _member(repository, name)
            repository.put_report(name, report, now)
            node = replace(before, report=report, online=True, last_seen_unix_ms=now)
            fleet = repository.surroundings(node)
            metadata_version = self._metadata_version(session)
            desired, generation, _ = generations.settle(repository, node, fleet, self._settings)
        if _offers_differently(before, node):
            self.refresh()  # in a transaction of its own: it locks all nodes in order, this one held one already
        return self._answer(node, desired, generation, metadata_version)

    def hear(self, name: NodeId, report: Report) -> bool:
        """Store what a box wrote into a file that was carried here; whether it was news.

        Raises:
            Rejected: something newer is known.
            Forbidden: the box was deleted.
        """
        now = self._now()
        with self._database.begin() as session:
            repository = FleetRepository(session)
            before = _member(repository, name)
            if not reports.news(before.report, report, now):
                return False
            told = replace(report, by_file=True)
            repository.put_report(name, told, max(before.last_seen_unix_ms, min(report.clock_unix_ms, now)))
            node = replace(before, report=told)
            generations.settle(repository, node, repository.surroundings(node), self._settings)
        return True

    def _answer(self, node: Node, desired: DesiredState, generation: int, metadata_version: int) -> Answer:
        now = self._now()
        expires = now + self._settings.grant_seconds * 1000
        return Answer(
            desired=desired,
            generation=generation,
            watch_until_unix_ms=node.watch_until_unix_ms,
            blobs_url=self._settings.blobs_url,
            metadata_url=self._settings.metadata_url,
            metadata_version=metadata_version,
            grant_bearer=self._grants.give(node.name, expires),
            grant_expires_unix_ms=expires,
            now_unix_ms=now,
        )

    def desired(self, name: NodeId) -> tuple[int, DesiredState]:
        """What a box is told now, with its number; credentials and all. Raises NotFound."""
        with self._database.read() as session:
            repository = FleetRepository(session)
            node = repository.node(name)
            if node is None:
                raise NotFound(f"there is no node {name}; see 'longshore get nodes'")
            state = generations.told(node, repository.surroundings(node), self._settings)
        return node.desired_generation, state

    def cameras_of(self, name: NodeId) -> frozenset[CameraName]:
        """Whose pictures a box may send."""
        with self._database.read() as session:
            return frozenset(camera.name for camera in FleetRepository(session).cameras(name))

    # ---- presence ----

    def presence(self, name: str, *, online: bool, boot_id: str = "", retained: bool = False) -> None:
        """What the broker says of a box: its birth, a beat, or its last will.

        A retained message is old news, and the will of an earlier start of the agent says nothing about this one. Of a
        deleted box the broker is to keep nothing: it may have been away then, and that box may still reach it.
        """
        with self._database.read() as session:
            known = FleetRepository(session).node(name) is not None
        if not known:
            self._notifier.forget(NodeId(name))
        if not known or retained:
            return
        with self._database.begin() as session:
            repository = FleetRepository(session)
            node = repository.node(name, lock=True)
            if node is None or (not online and boot_id != node.report.boot_id):
                return
            repository.put_presence(node.name, online=online, heard_ms=self._now() if online else None)
        if node.role == CLOUD and node.online is not online:
            self.refresh()

    def notice_silence(self) -> list[NodeId]:
        """Turn boxes offline that were not heard for longer than they said, or three intervals; the ones it was.

        Counted from the start of this process at the earliest: while the control plane was away nobody could call.
        """
        with self._database.read() as session:
            late = [node.name for node in FleetRepository(session).nodes() if self._silent(node)]
        if not late:
            return []
        with self._database.begin() as session:
            repository = FleetRepository(session)
            gone = [node for name in late if (node := repository.node(name, lock=True)) and self._silent(node)]
            for node in gone:
                repository.put_presence(node.name, online=False, heard_ms=None)
        if any(node.role == CLOUD for node in gone):
            self.refresh()
        return [node.name for node in gone]

    def _silent(self, node: Node) -> bool:
        heard = max(node.last_seen_unix_ms, self._started_ms)
        return node.online and heard < self._now() - self._settings.silence_ms(node.report.silent_seconds)

    def forget_deleted(self) -> None:
        """Have the broker keep nothing of boxes deleted before: it, or this process, may have been away just then."""
        with self._database.read() as session:
            deleted = FleetRepository(session).deleted_nodes()
        for name in deleted:
            self._notifier.forget(name)

    # ---- keeping books ----

    def nudge_late(self) -> list[NodeId]:
        """Hint again to each online box that acts on something older than it should; the ones it were."""
        with self._database.read() as session:
            nodes = FleetRepository(session).nodes()
        late = [node for node in nodes if node.online and node.report.observed_generation != node.desired_generation]
        hints = [Hint(node.name, node.desired_generation, node.watch_until_unix_ms) for node in late]
        generations.send(self._notifier, hints)
        return [node.name for node in late]

    def keep_transitions(self) -> int:
        """Write down since when each condition is what it is; the number of objects in which one changed."""
        now = self._now()
        with self._database.read() as session:
            found = [
                (item, kept)
                for item, conditions in _conditions(FleetRepository(session).fleet())
                if (kept := status.transitions(status.dated(conditions, item.transitions, now))) != item.transitions
            ]
        if found:
            with self._database.begin() as session:
                repository = FleetRepository(session)
                for item, kept in found:
                    repository.put_transitions(item, kept)
        return len(found)

    def refresh(self) -> None:
        """Settle every box, and nudge those for which something changed."""
        with self._database.begin() as session:
            hints = generations.refresh(FleetRepository(session), self._settings)
        generations.send(self._notifier, hints)

    def _now(self) -> int:
        return int(self._clock.unix() * 1000)


def _member(repository: FleetRepository, name: NodeId) -> Node:
    """Locked. Raises Forbidden: it was deleted."""
    node = repository.node(name, lock=True)
    if node is None:
        raise Forbidden(f"node {name} was deleted; to bring it back, join the box with a new token")
    return node


def _offers_differently(before: Node, after: Node) -> bool:
    """Whether other boxes must learn something of a cloud node: it came back, or serves elsewhere."""
    if after.role != CLOUD:
        return False
    old, new = before.report.inventory.inference_grpc_url, after.report.inventory.inference_grpc_url
    return before.online != after.online or old != new


def _conditions(fleet: Fleet) -> Iterable[tuple[Node | Camera | Deployment, list[Condition]]]:
    owners = {node.name: node for node in fleet.nodes}
    for node in fleet.nodes:
        yield node, status.node_conditions(node, fleet)
    for camera in fleet.cameras:
        yield camera, status.camera_conditions(camera, owners.get(camera.spec.node))
    for deployment in fleet.deployments:
        steps = status.boxes(deployment, fleet)
        yield deployment, status.deployment_conditions(deployment, steps, fleet)

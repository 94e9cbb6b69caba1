"""Desired state and its number, kept in step with the objects.

A node's row remembers the fingerprint of what it was last told and a generation that grows when that changes. Every use
case that changes an object ends with `refresh`, in its own transaction; what comes back is sent as hints after the
commit. Nothing depends on the hints: a Sync computes the same again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controlplane.config import Config
from controlplane.fleet.desired import Broker, DesiredState, desired_state, selects
from controlplane.fleet.objects import Deployment, Fleet, Node
from controlplane.fleet.repository import FleetRepository, Told
from controlplane.ports import Notifier
from protos.ids import NodeId

_SANE = 1 << 53  # a box that claims more has a broken disk or bad intentions
MOST_SILENT_SECONDS = 290  # whatever a box says: who is gone is shown within five minutes
WATCH_MS = 30_000  # one look keeps a box streaming for so long


@dataclass(frozen=True)
class Settings:
    """What the fleet needs to know of the configuration."""

    broker: Broker | None
    sync_interval_seconds: int
    blobs_url: str
    metadata_url: str
    grant_seconds: int
    quiet_sync_seconds: int = 0

    def silence_ms(self, told_seconds: int) -> int:
        """A box that was not heard for so long is offline: as it said itself, or three missed reports.

        `told_seconds`: by its last report, 0 where it has to call in.
        """
        return 1000 * max(3 * self.sync_interval_seconds, min(told_seconds, MOST_SILENT_SECONDS))


def settings(config: Config) -> Settings:
    broker, speaks = config.broker_for_boxes, (config.broker_mqtt5, config.beat_seconds)
    return Settings(
        broker=Broker(broker.host, broker.port, broker.tls, *speaks) if broker else None,
        sync_interval_seconds=config.sync_interval_seconds,
        blobs_url=f"{config.base_url}/api/v1/blobs",
        metadata_url=f"{config.base_url}/api/v1/metadata",
        grant_seconds=config.grant_seconds,
        quiet_sync_seconds=config.quiet_sync_seconds,
    )


@dataclass(frozen=True)
class Hint:
    """Tells a box to sync now."""

    node: NodeId
    generation: int
    watch_until_unix_ms: int


def next_generation(node: Node, fingerprint: str) -> int:
    """The number of what `node` should do now; grows when it differs from what it was told before.

    It also grows beyond what the box acts on: a control plane restored from an old backup must not reuse a number.
    """
    observed = node.report.observed_generation
    ahead = node.desired_generation < observed < _SANE
    if node.desired_fingerprint == fingerprint and not ahead:
        return node.desired_generation
    return max(node.desired_generation, observed if ahead else 0) + 1


def settle(
    repository: FleetRepository, node: Node, fleet: Fleet, configured: Settings
) -> tuple[DesiredState, int, Hint | None]:
    """Compute what `node` should do, store its number, and say what to send if that is new."""
    state, now = _settled(node, fleet, configured)
    if now.generation == node.desired_generation:
        return state, now.generation, None
    repository.put_desired([now])
    return state, now.generation, Hint(node.name, now.generation, node.watch_until_unix_ms)


def told(node: Node, fleet: Fleet, configured: Settings) -> DesiredState:
    """What `node` should run now, by this configuration."""
    return desired_state(
        node, fleet, configured.broker, configured.sync_interval_seconds, configured.quiet_sync_seconds
    )


def _settled(node: Node, fleet: Fleet, configured: Settings) -> tuple[DesiredState, Told]:
    state = told(node, fleet, configured)
    fingerprint = state.fingerprint()
    return state, Told(node.name, next_generation(node, fingerprint), fingerprint)


def refresh(
    repository: FleetRepository, configured: Settings, concerned: Callable[[Node], bool] = lambda _: True
) -> list[Hint]:
    """Settle every node that is `concerned`; the hints to send after the commit."""
    repository.lock_nodes()
    fleet = repository.fleet()
    settled = [(node, _settled(node, fleet, configured)[1]) for node in fleet.nodes if concerned(node)]
    news = [(node, now) for node, now in settled if now.generation != node.desired_generation]
    repository.put_desired([now for _, now in news])
    return [Hint(node.name, now.generation, node.watch_until_unix_ms) for node, now in news]


def concerned(*deployments: Deployment | None) -> Callable[[Node], bool]:
    """By a Deployment as it was and as it is: who runs it, before or after. It says nothing to anybody else."""
    known = [each for each in deployments if each]
    return lambda node: any(selects(each, node) for each in known)


def send(notifier: Notifier, hints: Iterable[Hint]) -> None:
    for hint in hints:
        notifier.hint(hint.node, hint.generation, hint.watch_until_unix_ms)

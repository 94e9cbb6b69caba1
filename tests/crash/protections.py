"""Takes one protection of the update away, inside the process of one boot: the crash tests must then turn red."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from agent.trust.agreement import Approval
from agent.update import progress, steps, verify
from agent.update.machine import State
from agent.update.progress import Progress
from agent.update.record import Event
from agent.update.verify import VerifiedBytes, VerifiedRelease
from protos.ids import DeploymentName
from protos.manifest import parse


def _no_verification() -> None:
    """Bytes are loaded as they came."""

    def trusting(content: bytes, approval: Approval, files: object, kept: object = ()) -> VerifiedRelease:
        return VerifiedRelease(approval, parse(content))

    verify.verify = trusting
    verify.content_of = lambda entry, content: VerifiedBytes(content)


def _no_keeping_of_what_answers() -> None:
    """Files of the release that answers go as soon as another one is wanted."""
    Progress.releases = property(lambda self: (self.target,) if self.target else ())  # type: ignore[method-assign,assignment]  # taken away on purpose


def _no_confirming() -> None:
    """A release counts as good as soon as it was swapped to."""
    real = progress.advanced

    def hasty(record: Progress, event: Event, message: str = "", rule: str = "", took: float = 0.0) -> Progress:
        after = real(record, event, message, rule, took)
        return replace(after, active=after.target) if after.state is State.CONFIRMING else after

    progress.advanced = hasty


def _no_warming_first() -> None:
    """The old engine goes before the new one is there."""
    real = steps.warm

    async def careless(ports: steps.Ports, deployment: DeploymentName, release: VerifiedRelease) -> None:
        await ports.serving.remove(deployment)
        await real(ports, deployment, release)

    steps.warm = careless


_AWAY: dict[str, Callable[[], None]] = {
    "verification": _no_verification,
    "keeping what answers": _no_keeping_of_what_answers,
    "confirming": _no_confirming,
    "warming beside the old one": _no_warming_first,
}
NAMES = tuple(_AWAY)


def take_away(name: str) -> None:
    if name:
        _AWAY[name]()

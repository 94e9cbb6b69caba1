"""Signed metadata that approves what it is told to, without any; implements agent.update.trust.Trust."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.trust import agreement
from agent.trust.agreement import Approval
from protos.errors import LongshoreError
from protos.ids import DeploymentName, Digest


@dataclass
class SimTrust:
    """Approves everything; `trouble` of a digest is raised instead, `away` of any."""

    trouble: dict[Digest, LongshoreError] = field(default_factory=dict)
    away: LongshoreError | None = None
    asked: list[tuple[DeploymentName, Digest, bool]] = field(default_factory=list)

    async def approved(self, deployment: DeploymentName, digest: Digest, *, shadow: bool = False) -> Approval:
        """See the port."""
        self.asked.append((deployment, digest, shadow))
        error = self.trouble.get(digest, self.away)
        if error is not None:
            raise error
        return agreement.confirmed_before(digest)

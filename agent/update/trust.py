"""Trust: what an update asks of the part that knows what was signed."""

from __future__ import annotations

from typing import Protocol

from agent.trust.agreement import Approval
from protos.ids import DeploymentName, Digest


class Trust(Protocol):
    """Calls may overlap, and any may be cancelled."""

    async def approved(self, deployment: DeploymentName, digest: Digest, *, shadow: bool = False) -> Approval:
        """Leave to install the release that desired state names. `shadow`: for comparing only.

        Raises:
            NotYet: it is not signed, or not assigned to this deployment, by what is known now.
            Stale, Untrusted, Retryable: what is known is not fresh, or not to be believed, or does not come.
            NotApproved: signed metadata excludes it; the sentence begins with the rule.
        """
        ...

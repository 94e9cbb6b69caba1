"""Serving: what an update asks of the part that runs engines and answers with them."""

from __future__ import annotations

from typing import Protocol

from agent.update.verify import VerifiedBytes, VerifiedRelease
from protos.ids import DeploymentName, Digest
from protos.manifest import Variant


class Serving(Protocol):
    """One deployment has at most one release that answers, one that did before it, and one candidate.

    Calls for one deployment come one at a time; those of different deployments may overlap. Any call may be cancelled;
    `abandon` follows then. After a start of the process, `warm` and `swap` bring back the release from disk, without
    `confirm`.
    """

    async def warm(
        self, deployment: DeploymentName, release: VerifiedRelease, variant: Variant, model: VerifiedBytes
    ) -> float:
        """Load this variant of a candidate beside what answers, and run it on real shapes; seconds that one inference
        took. What answers is not touched. A variant of a lighter size is loaded beside what is loaded of the candidate
        already; any other begins it anew.

        Raises:
            Rejected: this release does not load or run here; the sentence says why.
            Retryable: it may later (no memory now, a GPU that does not start, a worker that was killed).
            Fatal: it does once somebody has mended the box.
        """
        ...

    async def judge(self, deployment: DeploymentName, digest: Digest) -> dict[str, str]:
        """What warming said of the candidate `digest`: its sizes that must not answer, and why, which were closed.

        Raises:
            Unfit: none of them may; `abandon` follows.
        """
        ...

    async def swap(self, deployment: DeploymentName, digest: Digest) -> None:
        """From the next batch on the candidate `digest` answers; what answered before stays loaded."""
        ...

    async def confirm(self, deployment: DeploymentName, digest: Digest, seconds: float) -> bool:
        """Watch `digest` answer for `seconds`, and what it was asked for meanwhile to its end. True: it stayed healthy,
        or was asked for nothing; the one before it was drained and closed. False: its worker crashed, its frames failed
        or hang; both are still there. Raises Unfit instead where a rule says what is wrong with its answers.
        """
        ...

    async def abandon(self, deployment: DeploymentName, digest: Digest) -> None:
        """Close `digest`; if it answers, the one before it does first. No error when `digest` is not loaded."""
        ...

    async def remove(self, deployment: DeploymentName) -> None:
        """Answer no longer for this deployment: drain and close all it has. No error when it has nothing."""
        ...

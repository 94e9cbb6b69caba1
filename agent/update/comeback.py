"""Bringing back what was confirmed, in rounds, after a start or whenever nothing answers.

Rules that hold here: nothing is given up and nothing that is whole is deleted. Bytes found damaged are fetched again,
anything else, a mistake of ours included, is tried again. The release before comes back in place of the last one at
once if that one is at fault. If the box is, that usually passes, and nothing may lead from the older release back to
the newer: so only after a while.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable

from agent.errors import Damaged, passing
from agent.ports import Clock
from agent.update import steps
from agent.update.hindrance import MISTAKE, Hindrance
from protos.errors import LongshoreError, Rejected
from protos.ids import DeploymentName, Digest

log = logging.getLogger(__name__)

ROUNDS_FOR_THE_LAST = 5  # half a minute at the usual waits


class Comeback:
    """Of one deployment. A round may be made when it is `due`, and only while nothing unconfirmed is loaded."""

    def __init__(self, ports: steps.Ports, deployment: DeploymentName, clock: Clock, hindrance: Hindrance) -> None:
        self.hindrance = hindrance
        self._ports = ports
        self._deployment = deployment
        self._clock = clock
        self._next_round = -math.inf  # monotonic seconds
        self._rounds = 0  # that failed, since something answered
        self._lost: Digest | None = None  # what `fetch` must bring before it is tried again

    @property
    def seconds_left(self) -> float:
        """Until the next round."""
        return max(0.0, self._next_round - self._clock.monotonic())

    @property
    def due(self) -> bool:
        return self.seconds_left == 0.0

    async def round(self, confirmed: Iterable[Digest]) -> Digest | None:
        """One try, best first: the release that answers again (call `over` then), or None until the next round."""
        try:
            for digest in confirmed:
                if digest == self._lost:
                    continue
                error = await self._try(digest)
                if error is None:
                    return digest
                if not isinstance(error, Rejected) and self._rounds < ROUNDS_FOR_THE_LAST:
                    break
            return None
        finally:
            self._rounds += 1
            self._next_round = self._clock.monotonic() + self.hindrance.backoff.next()

    async def fetch(self) -> None:
        """Fetch what was found damaged, from where it stopped. Ends only by being cancelled; a round is due in time."""
        if self._lost is not None:
            try:
                approval = await steps.approval_of(self._ports, self._deployment, self._lost)
                await steps.pull(self._ports, approval, lambda *_: None)
                self._lost = None
            except LongshoreError as error:
                self.hindrance.error = passing(error)
        await asyncio.Event().wait()

    def over(self) -> None:
        """A release answers. When none does again, the next round is due at once."""
        self.hindrance.over()
        self._rounds = 0
        self._next_round = -math.inf
        self._lost = None

    async def _try(self, digest: Digest) -> LongshoreError | None:
        try:
            await steps.restore(self._ports, self._deployment, digest)
        except LongshoreError as error:
            if str(error) != str(self.hindrance.error):
                log.warning("%s: release %s does not come back: %s", self._deployment, digest[:19], error)
            self.hindrance.error = passing(error)
            if isinstance(error, Damaged):
                self._lost = self._lost or digest
            return error
        except Exception:  # it must not keep a newer release from being tried
            log.exception("%s: release %s does not come back", self._deployment, digest[:19])
            self.hindrance.error = MISTAKE
            return MISTAKE
        return None

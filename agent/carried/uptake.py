"""The running agent takes up what was carried here, and writes a report when somebody waits for one.

What the box is told is believed if the fleet's CA signed it for this box, and acted on unless the control plane answers
or the box acts on something newer. Files that the box has installed go. Nothing here ends the agent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.adapters.carried_folder import CarriedFolder
from agent.carried import sealed
from agent.identity.store import Identity, Keys
from agent.link.loop import SyncLoop
from agent.ports import Clock
from agent.supervise import in_thread
from agent.types import Problem
from agent.update.store import ReleaseStore
from protos.errors import LongshoreError

log = logging.getLogger(__name__)
LOOK_SECONDS = 2.0


@dataclass
class Uptake:
    """`hint`: a timestamp of this version may be had."""

    folder: CarriedFolder
    identity: Callable[[], Identity]
    keys: Keys
    clock: Clock
    sync: SyncLoop
    releases: ReleaseStore
    hint: Callable[[int], None]
    problem: Problem | None = None
    _stamp: tuple[int, ...] = field(default=(0, 0))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await self.clock.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Once."""
        try:
            if (stamp := self.folder.stamp()) != self._stamp:
                await self._take()
                self._stamp, self.problem = stamp, None
            if self.folder.report_wanted:
                content = sealed.report(self.sync.report(), self.identity(), self.keys)
                await in_thread(self.folder.keep_report, content)
            self.folder.drop(digest for digest in self.folder.blobs() if self.releases.has(digest))
        except LongshoreError as error:
            if self.problem is None or self.problem.message != str(error):
                log.warning("carried: %s", error)
            self.problem = Problem("carried-refused", str(error))

    async def _take(self) -> None:
        told = sealed.state(self.folder.state(), self.identity(), self.keys)
        taken = self.sync.carried(told.desired)
        log.info("carried: generation %d%s", told.desired.generation, "" if taken else " is not newer")
        self.hint(self.folder.versions()[0])

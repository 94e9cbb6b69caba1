"""The running agent takes up what was carried here, and writes a report when somebody waits for one.

What the box is told is believed if the fleet's CA signed it for this box, and acted on unless the control plane answers
or the box acts on something newer. Files that the box has installed go. Nothing here ends the agent.

By which way the newest word came, over the network or by hand, is on disk: an agent that updates itself must show that
the next word will reach it by the same way (agent.berths.progress.judged). An import counts once, while nothing
answers; whatever the control plane answers counts after it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from agent.adapters.carried_folder import CarriedFolder
from agent.carried import sealed
from agent.identity.store import Identity, Keys
from agent.link.loop import SyncLoop
from agent.ports import Clock, StateStore
from agent.supervise import in_thread
from agent.trust.service import SignedTrust
from agent.types import Problem
from agent.update.store import ReleaseStore
from protos.errors import LongshoreError

log = logging.getLogger(__name__)
KEY = "carried"
LOOK_SECONDS = 2.0


class Word(msgspec.Struct, frozen=True):
    """The last that was carried here and acted on. `by_hand`: the control plane has not answered since."""

    written_unix_ms: int = 0
    by_hand: bool = False


@dataclass
class Uptake:
    """Of a running agent."""

    folder: CarriedFolder
    identity: Callable[[], Identity]
    keys: Keys
    clock: Clock
    sync: SyncLoop
    releases: ReleaseStore
    trust: SignedTrust
    state: StateStore
    problem: Problem | None = None
    _stamp: tuple[int, ...] = field(default=(0, 0))
    _acted: bool = False  # on what has that stamp

    @property
    def by_hand(self) -> bool:
        """The newest word on what is wanted here was carried, and not heard over the network."""
        return not self.sync.connected and self._word.by_hand

    @property
    def took(self) -> bool:
        """This process has proven what lies here, signed metadata too, and acts on it."""
        view, known = self.trust.view, self._stamp == self.folder.stamp()
        return self._acted and known and view is not None and view.timestamp >= self.folder.versions()[0]

    def answered(self) -> None:
        """The control plane has. A disk that fails is tried again at the next answer."""
        if (word := self._word).by_hand:
            with contextlib.suppress(LongshoreError):
                self._keep(msgspec.structs.replace(word, by_hand=False))

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
                self._stamp = stamp
            if self.folder.report_wanted:
                content = sealed.report(self.sync.report(), self.identity(), self.keys)
                await in_thread(self.folder.keep_report, content)
            self.folder.drop(digest for digest in self.folder.blobs() if self.releases.has(digest))
            self.problem = None
        except LongshoreError as error:
            if self.problem is None or self.problem.message != str(error):
                log.warning("carried: %s", error)
            self.problem = Problem("carried-refused", str(error))

    async def _take(self) -> None:
        told = sealed.state(self.folder.state(), self.identity(), self.keys)
        self._acted = self.sync.carried(told.desired)
        log.info("carried: generation %d%s", told.desired.generation, "" if self._acted else " is not newer")
        if self._acted and told.written_unix_ms > self._word.written_unix_ms:
            self._keep(Word(told.written_unix_ms, by_hand=True))
        self.trust.hint(self.folder.versions()[0])

    @property
    def _word(self) -> Word:
        """What cannot be read is none: the network is asked for then."""
        try:
            return msgspec.json.decode(self.state.get(KEY) or b"{}", type=Word)
        except msgspec.MsgspecError:
            return Word()

    def _keep(self, word: Word) -> None:
        self.state.put(KEY, msgspec.json.encode(word))

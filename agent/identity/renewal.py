"""Renewal: a fresh key and certificate past half of the old one's life, asked for over the old one.

The old identity stays in use until the new one is kept; a failed try is repeated, patiently, for days are left. One
that has expired admits to no call; it is renewed at the front door, with a proof that its key is here, so that
a box which was away for weeks comes back by itself. The CA stays the one that was pinned.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from agent.identity.decisions import expiry_problem, renew_at
from agent.identity.store import Identity, IdentityStore, Keys
from agent.ports import Clock, FleetLink
from agent.types import Problem
from protos.errors import LongshoreError, Rejected, Retryable

log = logging.getLogger(__name__)

LOOK_SECONDS = 600.0  # between two looks at the certificate
RETRY_SECONDS = 300.0
LATE_RETRY_SECONDS = 30.0  # of a box that cannot be reached before it has succeeded


class LateDoor(Protocol):
    """Where a certificate is renewed after it expired (adapter: agent.adapters.enroll_https)."""

    async def renew(self, old: Identity, request: str, proof: bytes) -> tuple[str, str]:
        """Certificate PEM and CA PEM for the key of `request`; the server is verified with the CA of `old`.

        Raises:
            Rejected: the control plane does not renew it, or the server is another one.
            Retryable: it cannot be reached.
        """
        ...


@dataclass
class Renewal:
    """`offset`: seconds to add to the box's clock (SyncLoop.clock_offset). `renewed`: use the new identity now."""

    link: FleetLink
    door: LateDoor
    store: IdentityStore
    keys: Keys
    clock: Clock
    offset: Callable[[], float]
    renewed: Callable[[Identity], None]
    spread: float = field(default_factory=random.random)
    problem: Problem | None = None
    _told: str = ""

    async def run(self) -> None:
        """Look, and renew when it is time; until cancelled."""
        while True:
            await self.clock.sleep(await self.look())

    async def look(self) -> float:
        """Renew if it is time. Seconds until the next look."""
        try:
            return await self._look()
        except Retryable as error:
            self._tell(error)
            usual = RETRY_SECONDS if self.problem is None else LATE_RETRY_SECONDS
            return max(usual, error.after_seconds or 0.0)
        except LongshoreError as error:
            self._tell(error)
            if self.problem is not None:
                self.problem = Problem(self.problem.code, str(error))
            return RETRY_SECONDS

    async def _look(self) -> float:
        facts = self.store.facts()
        now = self.clock.unix() + self.offset()
        before, self.problem = self.problem, expiry_problem(facts, now)
        if self.problem is not None and before is None:
            log.warning("%s", self.problem.message)
        due = renew_at(facts, self.spread)
        if now < due:
            return min(LOOK_SECONDS, due - now)
        await self._renew(self.store.load(), late=self.problem is not None)
        self.problem, self._told = None, ""
        return LOOK_SECONDS

    async def _renew(self, old: Identity, *, late: bool) -> None:
        key = self.keys.new_key()
        self.store.stage_key(key)
        request = self.keys.request(key, old.member.node_id)
        if late:
            answer = await self.door.renew(old, request, self.keys.prove(old.key, request))
        else:
            answer = await self.link.renew(request)
        certificate, ca = (self.keys.only(pem.encode()) for pem in answer)
        self._check(old, key, certificate, ca)
        self.renewed(self.store.commit(old.member, certificate, ca))
        log.info("certificate renewed")

    def _check(self, old: Identity, key: bytes, certificate: bytes, ca: bytes) -> None:
        facts = self.keys.facts(certificate)
        ours = (self.keys.public_key(key), old.member.node_id)
        if (facts.public_key, facts.node_id) != ours or not self.keys.signed_by(certificate, ca):
            raise Rejected("the control plane answered with a certificate that is not for this box; the old one stays")
        if self.keys.facts(ca).public_key != self.keys.facts(old.ca).public_key:
            raise Rejected("the control plane answered with another CA than this box joined; the old certificate stays")

    def _tell(self, error: LongshoreError) -> None:
        """Once for each reason: it is tried again for as long as it takes."""
        if self._told != str(error):
            log.warning("certificate not renewed: %s", error)
            self._told = str(error)

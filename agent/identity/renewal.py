"""Renewal: a fresh key and certificate past half of the old one's life, asked for over the old one.

The old identity stays in use until the new one is kept; a failed try is repeated, patiently, for weeks are left.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.identity.decisions import expiry_problem, renew_at
from agent.identity.store import Identity, IdentityStore, Keys
from agent.ports import Clock, FleetLink
from agent.types import Problem
from protos.errors import LongshoreError, Rejected, Retryable

log = logging.getLogger(__name__)

LOOK_SECONDS = 600.0  # between two looks at the certificate
RETRY_SECONDS = 300.0


@dataclass
class Renewal:
    """`offset`: seconds to add to the box's clock (SyncLoop.clock_offset). `renewed`: use the new identity now."""

    link: FleetLink
    store: IdentityStore
    keys: Keys
    clock: Clock
    offset: Callable[[], float]
    renewed: Callable[[Identity], None]
    spread: float = field(default_factory=random.random)
    problem: Problem | None = None

    async def run(self) -> None:
        """Look, and renew when it is time; until cancelled."""
        while True:
            await self.clock.sleep(await self.look())

    async def look(self) -> float:
        """Renew if it is time. Seconds until the next look."""
        try:
            return await self._look()
        except LongshoreError as error:
            log.warning("certificate not renewed: %s", error)
            return max(RETRY_SECONDS, (error.after_seconds or 0.0) if isinstance(error, Retryable) else 0.0)

    async def _look(self) -> float:
        facts = self.store.facts()
        now = self.clock.unix() + self.offset()
        self.problem = expiry_problem(facts, now)
        due = renew_at(facts, self.spread)
        if now < due:
            return min(LOOK_SECONDS, due - now)
        await self._renew(self.store.load())
        return LOOK_SECONDS

    async def _renew(self, old: Identity) -> None:
        key = self.keys.new_key()
        self.store.stage_key(key)
        certificate, ca = await self.link.renew(self.keys.request(key, old.member.node_id))
        self._check(old, key, certificate.encode(), ca.encode())
        self.renewed(self.store.commit(old.member, certificate.encode(), ca.encode()))
        log.info("certificate renewed")

    def _check(self, old: Identity, key: bytes, certificate: bytes, ca: bytes) -> None:
        facts = self.keys.facts(certificate)
        ours = (self.keys.public_key(key), old.member.node_id)
        if (facts.public_key, facts.node_id) != ours or not self.keys.signed_by(certificate, ca):
            raise Rejected("the control plane answered with a certificate that is not for this box; the old one stays")

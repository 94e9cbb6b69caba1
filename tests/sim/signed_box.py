"""What a box has of trust, on a real disk, beside a simulated repository."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

from agent.adapters.state_sqlite import SqliteState
from agent.adapters.trust_files import TrustFiles
from agent.signed import put_together
from agent.trust.agreement import Approval, Kind
from agent.trust.kept import Approvals, KeptFloors
from protos.ids import DeploymentName, Digest
from tests.sim.clock import FakeClock
from tests.sim.signed_repository import QUAY, SignedRepository

KIND = Kind(("x86_64-cpu",), "0.3.0")
FLEET = "f" * 64


class SignedBox:
    """One box. `restarted` is the next boot, with what lies on its disk."""

    def __init__(self, folder: Path, repository: SignedRepository, *, root: bytes | None = None) -> None:
        """`root`: trusted first, as kept at enrolment; None: the repository's first."""
        self.folder, self.repository = folder, repository
        self.clock = FakeClock(unix=time.time())
        self.woken = 0
        (folder / "identity").mkdir(parents=True, exist_ok=True)
        self.places = TrustFiles(folder / "identity")
        if not self.places.root():
            self.places.keep_root(repository.first_root if root is None else root)
        self.start()

    def start(self) -> None:
        self.state = SqliteState(self.folder / "state.db")
        self.floors = KeptFloors(self.state, self.places, FLEET)
        self.approvals = Approvals(self.state)
        folder, source = self.folder / "trust", self.repository
        self.trust = put_together(folder, source, self.floors, self.places, self.clock, KIND, self._changed)

    async def restarted(self) -> SignedBox:
        await self.close()
        self.start()
        return self

    async def refresh(self) -> None:
        """Look again, now. Raises what a refresh does."""
        await self.trust.refresh()

    async def approved(self, digest: Digest, deployment: DeploymentName = QUAY, *, shadow: bool = False) -> Approval:
        """With the newest metadata there is."""
        self.trust._current = False
        return await self.trust.approved(deployment, digest, shadow=shadow)

    async def close(self) -> None:
        await self.trust.close()
        self.state.close()

    def _changed(self) -> None:
        self.woken += 1


@contextlib.asynccontextmanager
async def signed_box(folder: Path, repository: SignedRepository) -> AsyncIterator[SignedBox]:
    box = SignedBox(folder, repository)
    try:
        yield box
    finally:
        await box.close()

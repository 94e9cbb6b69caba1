"""One boot of a simulated box in a process of its own: real updater, real disk, simulated network and engines.

    python -m tests.crash.world        serves Boots: tests.crash.lives

What must survive the process is in the state directory: the updater's own files, and one of ours (`sent`: bytes that
crossed the network).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec

from agent.adapters import files
from agent.adapters.clock import SystemClock
from agent.adapters.release_store import DiskReleaseStore
from agent.adapters.state_sqlite import SqliteState
from agent.adapters.trust_files import TrustFiles
from agent.signed import put_together
from agent.trust.agreement import Kind
from agent.trust.kept import Approvals, KeptFloors
from agent.trust.service import SignedTrust
from agent.update.machine import State
from agent.update.runner import Updater, UpdateSettings
from agent.update.steps import Ports
from protos.errors import Retryable
from protos.ids import DeploymentName, Digest
from tests.crash import protections
from tests.crash.lives import serve
from tests.sim import releases
from tests.sim.blobs import SimBlobs
from tests.sim.crashing import Crashing, CrashingBlobs, CrashPoint
from tests.sim.release_serving import SimServing
from tests.sim.signed_repository import SignedRepository
from tests.sim.trust import SimTrust

QUAY = DeploymentName("quay")
OLD, NEW, NEWER = (releases.make(version, 40_000) for version in ("1.0.0", "2.0.0", "3.0.0"))
BY_NAME = {"old": OLD, "new": NEW, "newer": NEWER}
NAMES = {release.digest: name for name, release in BY_NAME.items()}
AWAY = Retryable("the simulated control plane is away")


def _published(repository: SignedRepository) -> dict[str, dict[str, bytes]]:
    """What is served while each of them is deployed, one after the other."""
    served = {}
    for name, version in (("old", "1.0.0"), ("new", "2.0.0"), ("newer", "3.0.0")):
        repository.deploy(BY_NAME[name], version)
        served[name] = dict(repository.files)
    return served


REPOSITORY = SignedRepository()  # before any boot is forked: all see the same keys
PUBLISHED = _published(REPOSITORY)


class Boot(msgspec.Struct, frozen=True):
    """What is asked of one process."""

    folder: str
    wants: str | None  # "old", "new", "newer"; None: deployment withdrawn
    online: bool = True
    kill_at: int | None = None
    unhealthy: bool = False  # "new" crashes after the swap
    damaged: bool = False  # the bytes of "new" change on the way
    supersede: bool = False  # "newer" is wanted as soon as "new" warms
    without: str = ""  # a protection taken away, see tests.crash.protections
    signed: bool = False  # from signed metadata, with the box's own floors and files
    kill_after: float | None = None  # seconds


class Seen(msgspec.Struct, frozen=True):
    """How it went. `killed`: by the crash point."""

    killed: bool = False
    answers: str | None = None
    state: str = ""
    violations: list[str] = []
    labels: list[str] = []
    error: str = ""


class CountedBlobs:
    """Writes down what crossed the network, before it is handed on: a kill does not undo a download."""

    def __init__(self, inner: SimBlobs, path: Path) -> None:
        self._inner = inner
        self._path = path

    async def fetch(
        self, digest: Digest, offset: int, rate: float = 0.0, /, *, stop: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        async for chunk in self._inner.fetch(digest, offset, rate, stop=stop):
            with self._path.open("a") as log:
                log.write(f"{digest} {len(chunk)}\n")
            yield chunk

    async def table(self, digest: Digest, most: int) -> bytes | None:
        return await self._inner.table(digest, most)


def downloads(folder: Path) -> Counter[str]:
    """Bytes per digest over all boots."""
    counted: Counter[str] = Counter()
    with contextlib.suppress(FileNotFoundError):
        for line in (folder / "sent").read_text().splitlines():
            digest, size = line.split()
            counted[digest] += int(size)
    return counted


class World:
    """The box of one boot. Its witness is asked before every port call."""

    def __init__(self, boot: Boot) -> None:
        self.boot = boot
        self.clock = SystemClock()
        self.serving = SimServing(self.clock)
        self.violations: list[str] = []
        self.point = CrashPoint(boot.kill_at, self._witness)
        self._answered = False
        if boot.unhealthy:
            self.serving.unhealthy.add(NEW.digest)
        if boot.supersede:
            self.serving.during = self._supersede
        folder = Path(boot.folder)
        self._state = SqliteState(folder / "state.db")
        self.trust = self._signed(folder) if boot.signed else None
        ports = Ports(
            CrashingBlobs(CountedBlobs(self._blobs(), folder / "sent"), self.point),
            Crashing(DiskReleaseStore(folder), "releases", self.point),
            Crashing(self.serving, "serving", self.point),
            self.trust or SimTrust(away=None if boot.online else AWAY),
            Approvals(Crashing(self._state, "approvals", self.point)),
        )
        settings = UpdateSettings(confirm_seconds=0.0, first_retry_seconds=0.002, longest_retry_seconds=0.01)
        self.updater = Updater(ports, Crashing(self._state, "state", self.point), self.clock, settings)

    async def run(self) -> Seen:
        self.updater.start()
        self._offer(self.boot.wants)
        try:
            async with asyncio.timeout(10):
                while not self._settled():
                    await self.clock.sleep(0.001)
        except TimeoutError:
            return self._seen("did not settle within 10 s")
        finally:
            await self.close()
        return self._seen()

    async def close(self) -> None:
        await self.updater.close()
        if self.trust:
            await self.trust.close()
        self._state.close()

    def _signed(self, folder: Path) -> SignedTrust:
        REPOSITORY.files = PUBLISHED[self.boot.wants or "old"]
        REPOSITORY.away = None if self.boot.online else AWAY
        places = TrustFiles(folder / "identity")
        files.make_directory(folder / "identity")
        if not places.root():
            places.keep_root(REPOSITORY.first_root)
        floors = KeptFloors(self._state, places, "fleet")
        return put_together(folder / "trust", REPOSITORY, floors, places, self.clock, Kind((), "1.0.0"))

    def _blobs(self) -> SimBlobs:
        blobs = SimBlobs(chunk=16_384, away=not self.boot.online)
        blobs.add(OLD, NEW, NEWER)
        if self.boot.damaged:
            blobs.wrong[NEW.model_digest] = b"!" + NEW.model[1:]
        return blobs

    def _offer(self, name: str | None) -> None:
        self.updater.offer({QUAY: BY_NAME[name].digest} if name else {})

    def _supersede(self, call: str) -> None:
        if call == f"warm {NEW.digest}":
            asyncio.get_running_loop().call_soon(self._offer, "newer")

    def _settled(self) -> bool:
        reports = self.updater.reports()
        if not reports:
            return True
        report = reports[0]
        if not self.boot.online:  # a boot without a network is over when it answers, or waits for the network
            return bool(report.active) or (report.state is State.PULLING and "away" in report.message)
        if self.boot.supersede and report.target != NEWER.digest:
            return False
        ended = report.state is State.FAILED and bool(report.active)
        return ended or (report.state is State.IDLE and report.active == report.target)

    def _witness(self, label: str) -> None:
        """At any moment: whole releases only, and once something answers, something always does."""
        for loaded in self.serving.loaded(QUAY):
            release = BY_NAME[NAMES[loaded.release]]
            if loaded.model != release.model_digest:
                self.violations.append(f"{label}: bytes of another model answer as {NAMES[loaded.release]}")
        answers = self.serving.answers(QUAY)
        if self._answered and answers is None and self.boot.wants is not None:
            self.violations.append(f"{label}: nothing answers any more")
        self._answered = self._answered or answers is not None

    def _seen(self, error: str = "") -> Seen:
        self._witness("end")
        answers = self.serving.answers(QUAY)
        state = next((report.state.value for report in self.updater.reports()), "")
        return Seen(False, NAMES[answers] if answers else None, state, self.violations, self.point.labels, error)


async def _lived(boot: Boot) -> Seen:
    return await World(boot).run()


def boot_here(boot: Boot) -> Seen:
    """One boot in this process: it may end it."""
    protections.take_away(boot.without)
    try:
        return asyncio.run(_lived(boot))
    except (Retryable, AssertionError) as error:
        return Seen(error=repr(error))


if __name__ == "__main__":
    killed = Seen(killed=True)
    serve(Boot, boot_here, killed, lambda why: Seen(error=why), lambda boot: boot.kill_after)

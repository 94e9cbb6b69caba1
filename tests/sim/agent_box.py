"""A box whose agent updates itself: the real launcher, update, berths, floors and files; simulated network and systemd.

What runs is told by the berth that the launcher picked: the environment outside, or the release in a berth. An agent
that is of a version in `sick` is up and answers nothing; one in `deaf` cannot sync; one in `blind` takes up nothing
that is carried; one in `falls` ends at each start.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent import launcher
from agent.adapters import berths_disk, files
from agent.adapters.berths_disk import DiskBerths
from agent.adapters.release_store import DiskReleaseStore
from agent.adapters.state_sqlite import SqliteState
from agent.berths import progress
from agent.berths.choice import FOLDER, OUTSIDE, PYTHON
from agent.berths.machine import Place
from agent.berths.progress import Health
from agent.berths.update import AgentUpdate, AgentWish, Around
from agent.trust.kept import Approvals
from agent.update.downloads import Downloads
from agent.update.serving import Serving
from agent.update.steps import Ports
from agent.update.trust import Trust
from agent.update.walk import Report
from protos.ids import DeploymentName, Digest, Version
from tests.sim.blobs import SimBlobs
from tests.sim.clock import FakeClock
from tests.sim.crashing import Crashing, CrashPoint
from tests.sim.release_serving import SimServing
from tests.sim.releases import MadeRelease
from tests.sim.trust import SimTrust

AGENTS = DeploymentName("agents")
NORTH = DeploymentName("north")
OUTSIDE_VERSION = "0.2.0"
CONFIRM = 3.0  # seconds


def filled(place: Path) -> None:
    """In place of `venv` and `pip`: an environment that is a folder with a program. For tests that cut hundreds."""
    (place / PYTHON).parent.mkdir(parents=True)
    (place / PYTHON).write_text("#!/bin/sh\n")


def quickly(patch: pytest.MonkeyPatch) -> None:
    """As long as `patch` holds, in this process."""
    patch.setattr(berths_disk, "_filled", filled)
    patch.setattr(berths_disk, "_check", lambda place, release: None)
    patch.setattr(progress, "UNCONFIRMED_SECONDS", 3 * CONFIRM)


@dataclass
class Faults:
    sick: frozenset[Digest] = frozenset()
    deaf: frozenset[Digest] = frozenset()
    blind: frozenset[Digest] = frozenset()
    falls: frozenset[Digest] = frozenset()
    unloadable: frozenset[Digest] = frozenset()


@dataclass
class AgentBox:
    folder: Path
    blobs: SimBlobs = field(default_factory=SimBlobs)
    trust: Trust = field(default_factory=SimTrust)
    faults: Faults = field(default_factory=Faults)
    point: CrashPoint = field(default_factory=CrashPoint)
    loads: Callable[[Path], bool] | None = None
    clock: FakeClock = field(default_factory=FakeClock)
    network: bool = True
    by_hand: bool = False  # the newest word was carried here
    starts: list[str] = field(default_factory=list)

    # ---- one start ----

    def start(self) -> bool:
        """As systemd does: the launcher, then the agent. False: the agent fell at once."""
        files.make_directory(self.folder)
        berth = launcher.picked(self.folder / FOLDER, self.loads or self._loads)
        self.starts.append(berth)
        self.disk = DiskBerths(self.folder, berth)
        self.runs = self.disk.release(berth)
        if self.runs in self.faults.falls:
            return False
        self.ending = asyncio.Event()
        on_trial = progress.place(self.disk.choice(), berth) is Place.TRIAL
        self.state = SqliteState(self.folder / "state.db", on_trial=on_trial)
        self.update = AgentUpdate(self._around(Crashing(self.state, "state", self.point)))
        self._task = asyncio.create_task(self.update.run())
        return True

    def _loads(self, python: Path) -> bool:
        release = self.disk_release(python.parents[2])
        return python.exists() and release is not None and release not in self.faults.unloadable

    def disk_release(self, place: Path) -> Digest | None:
        return DiskBerths(self.folder, "").release(place.name)

    def _around(self, state: Crashing) -> Around:
        serving: Serving = SimServing(self.clock)
        releases = Crashing(DiskReleaseStore(self.folder), "releases", self.point)
        ports = Ports(self.blobs, releases, serving, self.trust, Approvals(state))
        berths = Crashing(self.disk, "berths", self.point)
        told = self._health, lambda: self.by_hand, self.ending.set, OUTSIDE_VERSION, CONFIRM
        return Around(ports, berths, state, self.clock, Downloads(self.clock, state), *told)

    def _health(self) -> Health:
        answering = frozenset() if self.runs in self.faults.sick else frozenset({NORTH})
        synced, took = self.network and self.runs not in self.faults.deaf, self.runs not in self.faults.blind
        return Health(synced, frozenset({NORTH}), answering, took)

    async def stop(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self.state.close()

    # ---- a life ----

    async def lives(self, wanted: MadeRelease, version: str, *, starts: int = 12, until: str = "") -> Report:
        """Starts and restarts until the update rests with `wanted` decided, or is in the state `until`."""
        wish = AgentWish(AGENTS, Version(version), wanted.digest)
        for _ in range(starts):
            if not self.start():
                continue
            self.update.offer(wish)
            try:
                if await self._lived(until):
                    return self.update.reports()[0]
            finally:
                await self.stop()
        raise AssertionError(f"not decided after {starts} starts: {self.starts}")

    async def _lived(self, until: str) -> bool:
        async with asyncio.timeout(60):
            while not self.ending.is_set():
                if self._decided() or self.update.record.state == until:
                    return True
                await self.clock.look(1.0)
        return self.update.record.state == until

    def _decided(self) -> bool:
        return self.update.record.resting and self.update._event() is None

    def whole(self) -> bool:
        """What would start now is there: the environment outside, or a berth with all of a release."""
        berths = DiskBerths(self.folder, "")
        kept = berths.choice().kept
        return kept == OUTSIDE or (berths.release(kept) is not None and (self.folder / FOLDER / kept / PYTHON).exists())

"""A box that is made to run what no gate would let through: the real updater, board, engines and sandbox.

A good release answers before. Each hostile one is then assigned as if it had been signed, and watched: whether the file
it may not open is opened, whether its worker has a socket or a child, whether the release before it goes on answering,
and what the box reports of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent.adapters.clock import SystemClock
from agent.adapters.release_store import DiskReleaseStore
from agent.adapters.state_sqlite import SqliteState
from agent.config import AgentConfig
from agent.inference import patience
from agent.inference.engine import OnnxEngine
from agent.pipeline.board import Board
from agent.ports import Tensor
from agent.trust.kept import Approvals
from agent.update.machine import State
from agent.update.measured import Measured
from agent.update.runner import Updater, UpdateSettings
from agent.update.steps import Ports
from protos import manifest
from protos.errors import LongshoreError
from protos.ids import DeploymentName, ModelName, Version, digest_of
from protos.manifest import FileEntry, Manifest, Variant
from sandbox.report import Confined
from tests.sim.blobs import SimBlobs
from tests.sim.captures import SimCaptures
from tests.sim.models import sum_model
from tests.sim.releases import MadeRelease
from tests.sim.trust import SimTrust

QUAY = DeploymentName("quay")
LOAD_SECONDS = 4.0  # instead of minutes: hostile models use up whatever there is
SERVING_SECONDS = 10.0  # the longest that the release before may be silent
SETTLED_SECONDS = 30.0
_LOOK_SECONDS = 0.02
_OPENED = 0x20  # IN_OPEN


@dataclass
class Watched:
    """What a hostile release did to a box."""

    name: str
    answered: bool = False  # it loaded and became the one that answers: harmless, for all that could be seen
    reported: str = ""
    read_a_file: bool = False
    sockets: int = 0  # beside its channel
    children: int = 0
    silent_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def survived(self) -> bool:
        told = self.answered or bool(self.reported)
        harmed = self.read_a_file or self.sockets or self.children
        return told and not harmed and self.silent_seconds <= SERVING_SECONDS


class ForcedBox:
    def __init__(self, folder: Path, provider: str) -> None:
        self.canary = _canary(folder / "canary")
        self.confined: list[Confined] = []
        self._engines: list[OnnxEngine] = []
        self._locked: set[int | None] = set()
        self._blobs, clock = SimBlobs(), SystemClock()
        self._state = SqliteState(folder / "state.db")
        config = AgentConfig(provider=provider, threads=1)
        self.board = Board(config, clock, SimCaptures(), self._engine, lambda _: None)
        measured = Measured(self._state, "cpu")
        trust, approvals = SimTrust(), Approvals(self._state)
        ports = Ports(self._blobs, DiskReleaseStore(folder), self.board, trust, approvals, measured=measured)
        self.updater = Updater(ports, self._state, clock, UpdateSettings(confirm_seconds=0.2), lambda: None)
        self.good = released("good", sum_model().spec.model)
        self._last = time.monotonic()
        self._silent = 0.0

    def _engine(self, name: str) -> OnnxEngine:
        """A worker is looked at from its word on: before it closes what it inherits, it holds more than its channel."""

        def told(word: Confined) -> None:
            self.confined.append(word)
            self._locked.add(engine.pid)

        engine = OnnxEngine(name, on_confined=told)
        self._engines.append(engine)
        return engine

    async def assign(self, name: str, content: bytes) -> Watched:
        """As if it had passed everything."""
        watched, release = Watched(name), released(f"r{digest_of(content)[7:19]}", content)
        started, before = time.monotonic(), len(self._engines)
        with opened(self.canary) as was_opened:
            await self._settle(release, lambda: self._look(watched, before))
            watched.read_a_file = was_opened()
        report = self.updater.reports()[0]
        watched.answered, watched.reported = report.active == release.digest, report.message
        await self.recover()
        watched.silent_seconds, self._silent = self._silent, 0.0
        watched.seconds = time.monotonic() - started
        return watched

    async def recover(self) -> None:
        """The good release answers."""
        await self._settle(self.good, lambda: None)
        self._last = time.monotonic()

    async def _settle(self, release: MadeRelease, look: Callable[[], None]) -> None:
        """Until the box has an opinion of it."""
        self._blobs.add(release)
        self.updater.offer({QUAY: release.digest})
        until = time.monotonic() + SETTLED_SECONDS
        while time.monotonic() < until and not self._has_opinion(release):
            look()
            await self._ask()
            await asyncio.sleep(_LOOK_SECONDS)

    def _has_opinion(self, release: MadeRelease) -> bool:
        report = next(iter(self.updater.reports()), None)
        if report is None or report.target != release.digest:
            return False
        settled = report.state is State.IDLE and report.active == release.digest
        return settled or (release is not self.good and bool(report.message))

    async def _ask(self) -> None:
        """The release that answers, when that is the good one."""
        loaded = self.board.answering.get(QUAY)
        if loaded is None or loaded.digest != self.good.digest:
            self._last = time.monotonic()
            return
        numbers = np.ones((1, 3), np.float32).tobytes()
        with contextlib.suppress(LongshoreError):
            (total,) = await loaded.engine.infer([Tensor(name, "FP32", (1, 3), numbers) for name in "ab"])
            assert bytes(total.data) == np.full((1, 3), 2, np.float32).tobytes()
            now = time.monotonic()
            self._silent, self._last = max(self._silent, now - self._last), now

    def _look(self, watched: Watched, before: int) -> None:
        for engine in self._engines[before:]:
            if engine.pid not in self._locked:
                continue
            with contextlib.suppress(OSError):
                folder = Path(f"/proc/{engine.pid}")
                names = [str(fd.readlink()) for fd in (folder / "fd").iterdir()]
                watched.sockets = max(watched.sockets, sum(name.startswith("socket:") for name in names) - 1)
                children = [(task / "children").read_text().split() for task in (folder / "task").iterdir()]
                watched.children = max(watched.children, sum(map(len, children)))

    async def close(self) -> None:
        await self.updater.close()
        await self.board.close()
        self._state.close()


@asynccontextmanager
async def forced_box(folder: Path, provider: str = "cpu") -> AsyncIterator[ForcedBox]:
    """One whose good release answers."""
    before = patience.LOAD_SECONDS["cpu"]
    patience.LOAD_SECONDS["cpu"] = LOAD_SECONDS
    box = ForcedBox(folder, provider)
    try:
        box.updater.start()
        await box.recover()
        yield box
    finally:
        await box.close()
        patience.LOAD_SECONDS["cpu"] = before


def released(version: str, content: bytes) -> MadeRelease:
    """As a tensor model, whatever it is."""
    entry = FileEntry("model.onnx", digest_of(content), len(content), "model")
    variants = (Variant("fp32", "fp32", "model.onnx"),)
    described = Manifest(ModelName("hostile"), Version(version), "tensor", None, (), variants, (entry,))
    written = manifest.to_bytes(described)
    digest = manifest.release_digest(written)
    return MadeRelease(digest, written, content, {entry.digest: content, digest: written})


def _canary(folder: Path) -> Path:
    """A file that is not to be opened, and two more names of it."""
    from tests.hostile.outside import CANARY, SECRET

    folder.mkdir()
    path = folder / CANARY
    path.write_bytes(SECRET * 128)
    (folder / "symlink").symlink_to(path)
    (folder / "hardlink").hardlink_to(path)
    return path


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Callable[[], bool]]:
    """Whether anybody opened the file meanwhile, as the kernel tells it (inotify)."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert watch >= 0
    assert libc.inotify_add_watch(watch, os.fsencode(path), _OPENED) >= 0

    def was() -> bool:
        try:
            return bool(os.read(watch, 4096))
        except BlockingIOError:
            return False

    try:
        yield was
    finally:
        os.close(watch)

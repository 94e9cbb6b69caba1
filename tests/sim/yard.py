"""A yard of cameras: real capture workers and a keeper of accounts who gives slots back, or holds them when told to.

Waiting is for events, never for time: `frames(tap, n)` returns when n more frames of the tap have come.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agent.adapters.clock import SystemClock
from agent.cameras.capture import Captured, Captures
from agent.cameras.captured import PassedOver
from agent.cameras.stats import CameraStats
from agent.types import CameraState, ModelInput, Tap, Zone
from protos.ids import CameraName, DeploymentName
from sandbox.report import Confined

PATIENCE = 30.0  # seconds until a test is given up; workers start slowly on a busy machine
SMALL = "synthetic://harbour?seed=1&width=160&height=96"


@dataclass(frozen=True)
class Plan:
    """A camera as a test wants it."""

    name: CameraName
    source: str = field(default=SMALL, repr=False)
    rate: float = 30.0
    look_every: float = 0.0
    masks: tuple[Zone, ...] = ()


def plan(name: str, source: str = SMALL, rate: float = 30.0) -> Plan:
    return Plan(CameraName(name), source, rate)


def tap(camera: str, deployment: str = "watch") -> Tap:
    return Tap(CameraName(camera), DeploymentName(deployment))


class Yard:
    """Captures and everything they said."""

    def __init__(self, slots: int = 4) -> None:
        self.captures = Captures(
            SystemClock(),
            self._on_frame,
            self._on_superseded,
            self._on_health,
            slots,
            random.Random(1),
            self._on_confined,
            self._on_still,
        )
        self.confined: list[Confined] = []  # what each worker said of its sandbox
        self.seen: defaultdict[Tap, list[Captured]] = defaultdict(list)
        self.superseded: Counter[Tap] = Counter()
        self.still: defaultdict[Tap, list[PassedOver]] = defaultdict(list)
        self.unaccounted: list[Captured] = []  # frames whose number says that one before was never told, or is old
        self.numbers: Counter[Tap] = Counter()  # the last of each tap
        self.health: defaultdict[str, list[CameraStats]] = defaultdict(list)
        self.holding: set[Tap] = set()  # taps whose slots are not given back
        self.order: defaultdict[Tap, list[tuple[int, int]]] = defaultdict(list)  # what was held, in order
        self._changed = asyncio.Event()

    async def apply(self, *plans: Plan, taps: dict[Tap, ModelInput] | None = None) -> None:
        """Without `taps`, each camera feeds one deployment."""
        feeds = {tap(each.name): ModelInput(64, 64) for each in plans} if taps is None else taps
        await self.captures.apply(plans, feeds)

    def state(self, camera: str) -> CameraState:
        return self.captures.stats()[CameraName(camera)].state

    async def frames(self, of: Tap, count: int) -> list[Captured]:
        """The next `count` frames of a tap."""
        start = len(self.seen[of])
        await self.until(lambda: len(self.seen[of]) >= start + count)
        return self.seen[of][start : start + count]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def give_back(self, of: Tap) -> None:
        """Release what is held, and hold no more."""
        self.holding.discard(of)
        for slot, _ in self.order.pop(of, []):
            self.captures.release(of, slot)

    def _on_frame(self, captured: Captured) -> None:
        self.seen[captured.tap].append(captured)
        told = (
            len(self.seen[captured.tap]) + len(self.still[captured.tap]) + self.superseded[captured.tap]
        )  # more where a memory was taken away
        if not self.numbers[captured.tap] < captured.seq <= told:
            self.unaccounted.append(captured)
        self.numbers[captured.tap] = captured.seq
        if captured.tap in self.holding:
            self.order[captured.tap].append((captured.slot, captured.seq))
        else:
            self.captures.release(captured.tap, captured.slot)
        self._changed.set()

    def _on_confined(self, word: Confined) -> None:
        self.confined.append(word)
        self._changed.set()

    def _on_still(self, frame: PassedOver) -> None:
        self.still[frame.tap].append(frame)
        self._changed.set()

    def _on_superseded(self, of: Tap, count: int) -> None:
        self.superseded[of] += count
        self._changed.set()

    def _on_health(self, camera: CameraName, stats: CameraStats) -> None:
        self.health[camera].append(stats)
        self._changed.set()


@asynccontextmanager
async def opened_yard() -> AsyncIterator[Yard]:
    """Whatever happens in it, every due frame is told once."""
    yard = Yard()
    yield yard
    await yard.captures.close()
    assert yard.unaccounted == []

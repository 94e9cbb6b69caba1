"""Capture workers without processes: frames are drawn by the test, slots are real shared memory.

Implements agent.pipeline.run.Captures and keeps account: a slot announced and not released is held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from agent.cameras.captured import CameraPlan, Captured, PassedOver
from agent.types import Geometry, ModelInput, Tap, View
from agent.workers.memory import SharedSlots
from protos.errors import Retryable
from protos.ids import CameraName

SLOTS = 4


class SimCaptures:
    """`announce` makes a frame of a tap due; `deliver` is where it goes."""

    def __init__(self, deliver: Callable[[Captured], None] = lambda _: None) -> None:
        self.deliver = deliver
        self.cameras: tuple[CameraPlan, ...] = ()
        self.taps: dict[Tap, ModelInput] = {}
        self.held: Counter[tuple[Tap, int]] = Counter()
        self.encoded = 0
        self.views: list[View] = []  # that were asked for
        self.looked: list[tuple[CameraName, float]] = []  # what was asked
        self.paces: dict[Tap, float] = {}  # as told last
        self.short_of_memory = False
        self._memory: dict[Tap, SharedSlots] = {}
        self._seq: Counter[Tap] = Counter()

    async def apply(self, cameras: Iterable[CameraPlan], taps: Mapping[Tap, ModelInput]) -> None:
        self.cameras = tuple(cameras)
        for tap in [tap for tap, pixels in self.taps.items() if taps.get(tap) != pixels]:
            if tap in self._memory:
                self._memory.pop(tap).close()
        for tap, pixels in taps.items():
            if tap not in self._memory and not self.short_of_memory:
                self._memory[tap] = SharedSlots.create(SLOTS, pixels.nbytes)
        self.taps = dict(taps)

    def slots_fd(self, tap: Tap) -> tuple[int, int]:
        if tap not in self._memory:
            raise Retryable(f"{tap} has no slots now")
        return self._memory[tap].fd, SLOTS

    def announce(self, tap: Tap, now: float) -> int:
        """The seq of the frame that is due now."""
        self._seq[tap] += 1
        seq = self._seq[tap]
        slot = seq % SLOTS
        self.held[tap, slot] += 1
        pixels = self.taps[tap]
        geometry = Geometry(pixels.width, pixels.height, 1.0, 1.0, 0, 0)
        self.deliver(Captured(tap, seq, slot, now, int(now * 1e9), geometry, pixels, "clock", 0.0, 0.0))
        return seq

    def paint(self, tap: Tap, value: int) -> None:
        """Every frame of a tap shows this grey from now on."""
        memory, pixels = self._memory[tap], self.taps[tap]
        for slot in range(SLOTS):
            memory.view(slot)[:] = bytes([value]) * pixels.nbytes

    def pace(self, tap: Tap, rate: float) -> None:
        self.paces[tap] = rate

    def look(self, camera: CameraName, until: float) -> None:
        self.looked.append((camera, until))

    def pass_over(self, tap: Tap, now: float) -> PassedOver:
        """A frame of a tap is due in which nothing moves; the test says where it goes."""
        self._seq[tap] += 1
        return PassedOver(tap, self._seq[tap], now, int(now * 1e9), "clock")

    def release(self, tap: Tap, slot: int) -> None:
        self.held[tap, slot] -= 1

    async def encode(self, tap: Tap, slot: int, view: View) -> bytes:
        self.encoded += 1
        self.views.append(view)
        return b"\xff\xd8 a picture \xff\xd9"

    @property
    def outstanding(self) -> int:
        return sum(self.held.values())

    def close(self) -> None:
        for memory in self._memory.values():
            memory.close()

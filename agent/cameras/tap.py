"""A tap as the capture worker sees it: slots to fill, and the decoded pictures behind those in use.

Every frame offered gets the next number and is either announced with its slot or counted as superseded, as are frames
that were due and never taken; one that is passed over is told without a slot. Numbers have no gaps. Frames are offered
by one capture thread at a time; slots come back on the worker's main thread.

A tap may take fewer of its camera's frames than come: those it does not take were never due, and have no number.
"""

from __future__ import annotations

import math
import threading
import time

import numpy as np

from agent.cameras.messages import FrameReady, SetTap, Still, Superseded
from agent.cameras.pacer import Pacer
from agent.cameras.source import Picture, Shot
from agent.types import Geometry
from agent.workers.memory import SharedSlots


class TapWriter:
    """See the module."""

    def __init__(self, message: SetTap, fd: int) -> None:
        self.number, self.camera = message.tap, message.camera
        self.rate = message.rate  # frames a second that it takes at most
        self._pacer: Pacer | None = None  # where more come
        self._coming = math.inf  # frames a second
        self.looked_at = -math.inf  # when the last announced frame was captured
        self._wanted = message.wanted
        self._memory = SharedSlots.attach(fd, message.slots, message.wanted.nbytes)
        shape = (message.wanted.height, message.wanted.width, 3)
        self._arrays = [
            np.frombuffer(self._memory.view(slot), dtype=np.uint8).reshape(shape) for slot in range(message.slots)
        ]
        # The slot given back last is taken first: fewer pages are ever touched.
        self._free = [slot for slot in reversed(range(message.slots)) if slot not in message.busy]
        self._kept: dict[int, tuple[int, Picture]] = {}
        self._geometries: dict[int, Geometry] = {}  # of what each slot holds, so that bars are painted once
        self._seq = message.next_seq - 1
        self._lock = threading.Lock()

    def pace(self, coming: float) -> None:
        """So many frames a second come: take what its own rate leaves of them, evenly."""
        self._coming = coming
        if self.rate >= coming:
            self._pacer = None
        elif self._pacer is None:
            self._pacer = Pacer(self.rate)
        else:
            self._pacer.rate = self.rate

    def due(self, stream_time: float) -> bool:
        """Whether it takes this one of the frames that come, by their camera's clock."""
        pacer = self._pacer
        return pacer is None or pacer.due(stream_time)

    def missed(self, count: int) -> int:
        """How many it would have taken of `count` frames that never came."""
        pacer = self._pacer
        return count if pacer is None else pacer.missed(count / self._coming)

    def offer(self, shot: Shot) -> FrameReady | Superseded:
        """Put a due frame into a free slot, if there is one."""
        with self._lock:
            if not self._free:
                self._seq += 1
                return Superseded(self.number, self._seq, 1)
            slot = self._free.pop()
            try:
                return self._fill(slot, shot)
            except BaseException:
                self._free.append(slot)
                raise

    def pass_over(self, shot: Shot) -> Still:
        """A due frame in which nothing moves."""
        with self._lock:
            self._seq += 1
            return Still(self.number, self._seq, shot.captured, shot.captured_unix_ns, shot.ts_source)

    def miss(self, count: int) -> Superseded:
        """Frames were due that nobody took, because the box was busy."""
        with self._lock:
            self._seq += count
            return Superseded(self.number, self._seq, count)

    def release(self, slot: int) -> None:
        self._kept.pop(slot, None)
        if 0 <= slot < len(self._arrays) and slot not in self._free:
            self._free.append(slot)

    def picture(self, slot: int, seq: int) -> Picture | None:
        """The decoded picture of a frame whose slot was not given back."""
        kept_seq, picture = self._kept.get(slot, (0, None))
        return picture if kept_seq == seq else None

    def close(self) -> None:
        with self._lock:
            self._arrays.clear()
            self._free.clear()
            self._kept.clear()
            self._memory.close()

    def _fill(self, slot: int, shot: Shot) -> FrameReady:
        started = time.perf_counter()
        geometry = shot.picture.fit(self._wanted, self._arrays[slot], self._geometries.pop(slot, None))
        self._geometries[slot] = geometry
        seconds = time.perf_counter() - started
        self._seq += 1
        self._kept[slot] = (self._seq, shot.picture)
        self.looked_at = shot.captured
        return FrameReady(
            self.number,
            self._seq,
            slot,
            shot.captured,
            shot.captured_unix_ns,
            geometry,
            shot.ts_source,
            shot.decode_seconds,
            seconds,
        )

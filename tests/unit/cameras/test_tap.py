"""A tap in the worker: slots filled, kept and given back."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from agent.cameras.letterbox import Pixels
from agent.cameras.loop import Camera, CaptureLoop
from agent.cameras.messages import FrameReady, SetTap, Still, Superseded
from agent.cameras.picture import RgbPicture
from agent.cameras.source import FrameSource, Picture, Shot
from agent.cameras.source_av import FileSource
from agent.cameras.spec import CameraSpec, File, parse
from agent.cameras.tap import TapWriter
from agent.types import Geometry, ModelInput
from agent.workers.memory import SharedSlots

WANTED = ModelInput(32, 32)


def shot(tone: int = 9, picture: Picture | None = None) -> Shot:
    picture = picture or RgbPicture(np.full((32, 32, 3), tone, np.uint8))
    return Shot(picture, 0.0, 1.0, 1_000_000_000, "clock", 0.001)


@pytest.fixture
def memory() -> Iterator[SharedSlots]:
    memory = SharedSlots.create(3, WANTED.nbytes)
    yield memory
    memory.close()


def writer(memory: SharedSlots, next_seq: int = 1, busy: list[int] | None = None) -> TapWriter:
    return TapWriter(SetTap(7, "quay", 3, WANTED, next_seq, busy or []), os.dup(memory.fd))


def test_a_frame_is_put_into_a_free_slot_and_announced(memory: SharedSlots) -> None:
    tap = writer(memory, next_seq=41)
    told = tap.offer(shot(tone=200))
    assert isinstance(told, FrameReady)
    assert (told.tap, told.seq) == (7, 41)
    assert bytes(memory.view(told.slot)) == bytes([200]) * WANTED.nbytes
    tap.close()


def test_without_a_free_slot_the_frame_is_superseded_and_its_number_used(memory: SharedSlots) -> None:
    tap = writer(memory)
    told = [tap.offer(shot()) for _ in range(4)]
    assert told[3] == Superseded(7, 4, 1)
    assert isinstance(told[0], FrameReady)
    tap.release(told[0].slot)
    after = tap.offer(shot())
    assert isinstance(after, FrameReady)
    assert (after.seq, after.slot) == (5, told[0].slot)
    tap.close()


def test_slots_that_are_still_read_are_not_used(memory: SharedSlots) -> None:
    tap = writer(memory, busy=[0, 2])
    first, second = tap.offer(shot()), tap.offer(shot())
    assert isinstance(first, FrameReady)
    assert first.slot == 1
    assert isinstance(second, Superseded)
    tap.release(2)
    third = tap.offer(shot())
    assert isinstance(third, FrameReady)
    assert third.slot == 2
    tap.close()


def test_the_picture_behind_a_slot_is_kept_until_it_is_given_back(memory: SharedSlots) -> None:
    tap = writer(memory)
    told = tap.offer(shot(tone=3))
    assert isinstance(told, FrameReady)
    picture = tap.picture(told.slot, told.seq)
    assert picture is not None
    assert picture.rgb(32)[0, 0, 0] == 3
    assert tap.picture(told.slot, told.seq + 1) is None
    tap.release(told.slot)
    assert tap.picture(told.slot, told.seq) is None
    tap.close()


def test_a_slot_given_back_twice_or_never_known_is_free_only_once(memory: SharedSlots) -> None:
    tap = writer(memory)
    told = tap.offer(shot())
    assert isinstance(told, FrameReady)
    for slot in (told.slot, told.slot, 99, -1):
        tap.release(slot)
    kinds = [type(tap.offer(shot())) for _ in range(4)]
    assert kinds.count(FrameReady) == 3
    tap.close()


def test_bars_are_there_whatever_shape_the_slot_held_before(memory: SharedSlots) -> None:
    tap = TapWriter(SetTap(7, "quay", 1, WANTED, 1, []), os.dup(memory.fd))
    for height, width in ((16, 32), (16, 32), (32, 16), (32, 32), (16, 32)):
        told = tap.offer(shot(picture=RgbPicture(np.full((height, width, 3), 9, np.uint8))))
        assert isinstance(told, FrameReady)
        held = np.frombuffer(memory.view(told.slot), np.uint8).reshape(32, 32, 3)
        assert int((held == 9).sum()) == 3 * height * width
        assert int((held == WANTED.pad).sum()) == 3 * (32 * 32 - height * width)
        tap.release(told.slot)
    tap.close()


class Broken(RgbPicture):
    """A picture that cannot be fitted."""

    def fit(self, wanted: ModelInput, out: Pixels, before: Geometry | None = None) -> Geometry:
        raise ValueError("damaged")


def test_a_picture_that_fails_uses_neither_slot_nor_number(memory: SharedSlots) -> None:
    tap = writer(memory)
    with pytest.raises(ValueError, match="damaged"):
        tap.offer(shot(picture=Broken(np.zeros((1, 1, 3), np.uint8))))
    told = [tap.offer(shot()) for _ in range(3)]
    assert [frame.seq for frame in told] == [1, 2, 3]
    assert all(isinstance(frame, FrameReady) for frame in told)
    tap.close()


def test_frames_that_nobody_took_use_their_numbers(memory: SharedSlots) -> None:
    tap = writer(memory)
    assert tap.miss(3) == Superseded(7, 3, 3)
    told = tap.offer(shot())
    assert isinstance(told, FrameReady)
    assert told.seq == 4
    tap.close()


def test_a_frame_that_is_passed_over_uses_its_number_and_no_slot(memory: SharedSlots) -> None:
    tap = writer(memory)
    looked_at = tap.offer(shot())
    assert tap.pass_over(shot()) == Still(7, 2, 1.0, 1_000_000_000, "clock")
    told = [tap.offer(shot()) for _ in range(2)]
    assert [type(looked_at), *map(type, told)] == [FrameReady] * 3
    tap.close()


class Yard:
    """A camera in the worker that sees the same still picture once a second, but for what a test does."""

    def __init__(self, memory: SharedSlots, every: float) -> None:
        self.said: list[msgspec.Struct] = []
        self.camera = Camera("quay", self.said.append, 0)
        self.camera.watch_for_motion(every)
        self.taps = [writer(memory)]
        self.camera.taps = tuple(self.taps)
        self.now = 100.0

    def see(self, pictures: int, tone: int = 90) -> str:
        """How the frames ended: `L`ooked at, `s`till, `d`ropped."""
        kinds, heard = {FrameReady: "L", Still: "s", Superseded: "d"}, len(self.said)
        picture = RgbPicture(np.full((64, 96, 3), tone, np.uint8))
        picture.pixels[:, 48:] //= 2
        for _ in range(pictures):
            self.now += 1.0
            self.camera.take(Shot(picture, self.now, self.now, int(self.now * 1e9), "clock", 0.0), due=True, missed=0)
            for told in self.said[heard:]:
                if isinstance(told, FrameReady):
                    next(tap for tap in self.taps if tap.number == told.tap).release(told.slot)
        return "".join(kinds[type(told)] for told in self.said[heard:])


@pytest.fixture
def still(memory: SharedSlots) -> Iterator[Yard]:
    """Twelve seconds after the start: what is looked at because of that is over."""
    yard = Yard(memory, every=5.0)
    assert yard.see(12) == "LLLLssssLsss"
    yield yard
    yard.camera.end()


def test_a_still_camera_is_looked_at_when_its_time_has_come(still: Yard) -> None:
    assert still.see(11) == "sLssssLssss"


def test_a_camera_that_asks_for_no_gate_is_looked_at_always(still: Yard) -> None:
    still.camera.watch_for_motion(0.0)
    assert still.see(5) == "LLLLL"


def test_what_the_agent_asks_for_is_looked_at(still: Yard) -> None:
    still.camera.look_until(still.now + 2.0)
    assert still.see(4) == "LLss"


def test_another_place_after_a_reconnect_is_looked_at(still: Yard) -> None:
    still.camera.opened()
    assert still.see(5)[:4] == "LLLL"


def test_a_new_tap_is_looked_at_by_itself(still: Yard, memory: SharedSlots) -> None:
    newcomer = TapWriter(SetTap(8, "quay", 3, WANTED, 1, []), os.dup(memory.fd))
    still.taps.append(newcomer)
    still.camera.taps = tuple(still.taps)
    assert still.see(1) == "sL"


def test_a_look_that_found_no_slot_is_made_up_for(still: Yard, memory: SharedSlots) -> None:
    (tap,) = still.taps
    busy, tap._free = tap._free, []
    assert still.see(3) == "sdd"
    tap._free = busy
    assert still.see(2) == "Ls"


def test_a_picture_that_cannot_be_fitted_was_due_for_every_tap(memory: SharedSlots) -> None:
    said: list[msgspec.Struct] = []
    camera = Camera("quay", said.append, 0)
    camera.taps = (writer(memory), writer(memory))
    with pytest.raises(ValueError, match="damaged"):
        camera.take(shot(picture=Broken(np.zeros((1, 1, 3), np.uint8))), due=True, missed=2)
    assert said == [Superseded(7, 2, 2)] * 2 + [Superseded(7, 3, 1)] * 2
    camera.end()


def test_a_closed_tap_fills_nothing(memory: SharedSlots) -> None:
    tap = writer(memory)
    tap.close()
    assert isinstance(tap.offer(shot()), Superseded)


class Asked(FileSource):
    """One that keeps what rates it was asked for."""

    def __init__(self, asked: list[float]) -> None:
        super().__init__(File("/quay.mp4"))
        self._asked = asked

    def pace(self, rate: float) -> None:
        self._asked.append(rate)


class Paced:
    """A camera of 25 pictures a second, of which ten are due, and its taps at these rates."""

    def __init__(self, memory: SharedSlots, *rates: float) -> None:
        self.said: list[msgspec.Struct] = []
        self.asked: list[float] = []
        self.camera = Camera("quay", self.said.append, 0, self._source)
        self.taps = [self._tap(memory, number, rate) for number, rate in enumerate(rates)]
        self.camera.taps = tuple(self.taps)
        spec = parse("quay", "file:///quay.mp4", 10.0)
        self.camera._spec, self.camera._loop = spec, CaptureLoop(self.camera, spec)
        self.camera._loop._source = self._source(spec)
        self.camera.repace()

    def _source(self, _: CameraSpec) -> FrameSource:
        return Asked(self.asked)

    @staticmethod
    def _tap(memory: SharedSlots, number: int, rate: float) -> TapWriter:
        return TapWriter(SetTap(number, "quay", 3, WANTED, 1, [0, 1, 2], rate=rate), os.dup(memory.fd))

    def pictures(self, count: int, skipped: float = 0.0) -> list[list[float]]:
        """When a frame of each tap was due, by the camera's clock."""
        loop, due = self.camera._loop, [list[float]() for _ in self.taps]
        assert loop is not None
        for number in range(count):
            before = len(self.said)
            loop._take(replace(shot(), stream_time=number / 25, skipped=skipped))
            for each in self.said[before:]:
                if isinstance(each, Superseded):  # no slot is free
                    due[each.tap] += [number / 25] * each.count
        return due


def test_a_lowered_tap_gets_evenly_spaced_frames_of_the_cameras_own_pictures(memory: SharedSlots) -> None:
    paced = Paced(memory, 5.0)
    (due,) = paced.pictures(250)
    assert len(due) in (50, 51)
    gaps = {round(later - earlier, 3) for earlier, later in itertools.pairwise(due)}
    assert gaps <= {0.16, 0.2}, "to one of its pictures"
    assert paced.asked[-1] == 5.0, "and no more is wanted of its source"


def test_a_camera_gives_what_its_fastest_tap_takes_and_each_tap_takes_its_own(memory: SharedSlots) -> None:
    paced = Paced(memory, 2.0, 5.0, math.inf)
    assert [len(due) for due in paced.pictures(250)] == [pytest.approx(each, abs=1) for each in (20, 50, 100)]
    assert paced.asked[-1] == 10.0
    paced.taps[2].rate = 4.0
    paced.camera.repace()
    assert paced.asked[-1] == 5.0
    paced.camera.taps = paced.camera.taps[:1]
    paced.camera.repace()
    assert paced.asked[-1] == 2.0


def test_a_tap_may_not_take_more_than_its_camera_was_told_to_give(memory: SharedSlots) -> None:
    paced = Paced(memory, 60.0)
    assert [len(due) for due in paced.pictures(250)] == [100]


def test_frames_that_a_busy_box_missed_count_at_the_rate_of_the_tap(memory: SharedSlots) -> None:
    paced = Paced(memory, 2.0, 10.0)
    slow, fast = paced.pictures(10, skipped=1.0)
    assert abs(len(fast) - len(slow) * 5) <= 5
    assert 98 <= len(fast) <= 105


def test_what_a_lowered_tap_does_not_take_has_no_number(memory: SharedSlots) -> None:
    paced = Paced(memory, 5.0)
    (due,) = paced.pictures(250)
    assert [each.seq for each in paced.said if isinstance(each, Superseded)] == list(range(1, len(due) + 1))

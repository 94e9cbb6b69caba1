"""Live pictures: drawn only while somebody looks, newest first, and no frame waits for them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from agent.looking import PICTURE_BITS, Looking, together
from agent.ports import SyncReply
from agent.types import Box, Finished, Tap, View, Zone
from protos.errors import Rejected, Retryable
from protos.fleet_pb2 import FrameAccounts, FrameWish, LogLine, SnapshotWish, WatchFrame
from protos.fleet_pb2 import Region as WireRegion
from protos.ids import CameraName, DeploymentName, digest_of
from protos.outcomes import Outcome
from protos.regions import WHOLE, Region
from tests.sim.clock import FakeClock, settle

QUAY = CameraName("quay")


class Painter:
    def __init__(self) -> None:
        self.drawn: list[tuple[str, int, str]] = []
        self.snapped: list[tuple[str, View]] = []
        self.fails = False
        self.padding = 0  # bytes that make each picture larger
        self.bug: Exception | None = None

    async def preview(
        self,
        camera: CameraName,
        boxes: tuple[Box, ...],
        caption: str,
        captured_unix_ns: int | None,
        zones: tuple[Zone, ...],
    ) -> bytes:
        if self.fails:
            raise Retryable("the capture worker is being started again")
        self.drawn.append((camera, len(boxes), caption))
        return f"picture {len(self.drawn)}".encode() + bytes(self.padding)

    async def snapshot(self, camera: CameraName, view: View) -> tuple[bytes, int]:
        if self.bug is not None:
            raise self.bug
        if self.fails:
            raise Retryable("the capture worker is being started again")
        self.snapped.append((camera, view))
        return b"a snapshot" + bytes(self.padding), 7_000_000


class Link:
    """A control plane that takes what comes; `broken` streams end with an error."""

    def __init__(self) -> None:
        self.frames: list[WatchFrame] = []
        self.streams = 0
        self.broken = 0
        self.wished: list[SnapshotWish] = []
        self.asked = 0  # for wishes
        self.too_old = False

    async def watch(self, frames: AsyncIterator[bytes]) -> None:
        self.streams += 1
        if self.streams <= self.broken:
            raise Retryable("the stream broke")
        async for frame in frames:
            self.frames.append(WatchFrame.FromString(frame))

    async def wishes(self) -> AsyncIterator[bytes]:
        self.asked += 1
        if self.too_old:
            raise Rejected("the control plane does not understand this agent")
        while self.wished:
            yield self.wished.pop(0).SerializeToString()

    async def sync(self, report: bytes) -> SyncReply:
        raise NotImplementedError

    async def renew(self, csr_pem: str) -> tuple[str, str]:
        raise NotImplementedError

    async def close(self) -> None: ...


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.painter, self.link = Painter(), Link()
        self.idle: list[CameraName] = []
        self.looking = Looking(self.clock, self.painter, lambda: self.idle, account=self.account)
        self.tasks = [asyncio.create_task(each(self.link)) for each in (self.looking.serve, self.looking.answer)]

    def account(self, wish: SnapshotWish) -> FrameAccounts:
        return FrameAccounts(wish=wish.number, camera=wish.camera, failure=f"frame {wish.frame.seq} is not known")

    def look(self) -> None:
        self.looking.look_until(self.clock.unix() + 30)

    def frame(self, outcome: Outcome = Outcome.OK_LOCAL) -> Finished:
        now = self.clock.monotonic()
        release = digest_of(b"1") if outcome is Outcome.OK_LOCAL else None
        tap = Tap(QUAY, DeploymentName("watch"))
        return Finished(tap, 1, outcome, now - 0.02, 10**18, now, release=release)

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.looking.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await settle()
    yield world
    await world.end()


async def test_nothing_is_drawn_or_sent_while_nobody_looks(world: World) -> None:
    world.looking.show(world.frame())
    await settle()
    assert world.painter.drawn == []
    assert world.link.streams == 0


async def test_an_older_word_does_not_end_what_a_newer_one_asked_for(world: World) -> None:
    now = world.clock.unix()
    world.looking.look_until(now + 30)
    world.looking.look_until(now + 5)
    world.clock.tick(29)
    assert world.looking.wanted
    world.clock.tick(2)
    assert not world.looking.wanted


async def test_a_wrong_clock_does_not_make_a_box_stream_for_ever(world: World) -> None:
    world.looking.look_until(world.clock.unix() + 86_400)  # a box a day behind that has not heard the right time yet
    world.clock.jump(-86_400)
    world.clock.tick(61)
    assert not world.looking.wanted


def test_a_picture_in_which_nothing_moved_says_when_it_was_looked_at() -> None:
    tap = Tap(QUAY, DeploymentName("watch"))
    still = Finished(tap, 1, Outcome.STALE_TRACK, 100.0, 10**18, 100.0, (Box(0, 0, 1, 1, 0.9, "boat"),), age=3.21)
    drawn = together(still, [])
    assert (drawn.boxes, drawn.caption) == (still.boxes, "still: nothing moved, looked at 3.2 s before")


async def test_a_viewer_gets_pictures_with_outcome_latency_and_caption(world: World) -> None:
    world.look()
    world.looking.show(world.frame())
    await settle()
    [sent] = world.link.frames
    assert (sent.picture.camera, sent.picture.outcome) == ("quay", "ok_local")
    assert sent.picture.latency_ms == pytest.approx(20)
    assert world.painter.drawn == [("quay", 0, "on the box, 20 ms")]


async def test_a_frame_without_an_answer_says_why_in_words(world: World) -> None:
    world.look()
    world.looking.show(world.frame(Outcome.SHED))
    await settle()
    assert world.painter.drawn == [("quay", 0, "shed: no answer was possible by the deadline")]


def boxed(world: World, deployment: str, label: str) -> Finished:
    tap = Tap(QUAY, DeploymentName(deployment))
    return replace(world.frame(), tap=tap, boxes=(Box(0.1, 0.1, 0.2, 0.2, 0.9, label),))


async def test_a_picture_shows_what_all_deployments_of_its_camera_found_and_whose_it_is(world: World) -> None:
    boats = boxed(world, "boats", "boat")
    people = replace(boxed(world, "people", "person"), outcome=Outcome.SHED)
    assert together(boats, []).boxes == boats.boxes
    both = together(boats, [people])
    assert [box.label for box in both.boxes] == ["boats: boat", "people: person"]
    assert both.caption == "boats: on the box, 20 ms   people: shed: no answer was possible by the deadline"
    world.look()
    world.looking.show(boats)
    await settle()
    world.clock.tick(1)
    world.looking.show(boxed(world, "people", "person"))
    await settle()
    world.clock.tick(1)
    world.looking.show(boxed(world, "boats", "boat"))
    await settle()
    world.clock.tick(4)  # the people's deployment has been silent for too long
    world.looking.show(boxed(world, "boats", "boat"))
    await settle()
    assert [boxes for _, boxes, _ in world.painter.drawn] == [1, 2, 2, 1]


async def test_pictures_are_capped_however_fast_frames_end(world: World) -> None:
    world.look()
    for _ in range(20):
        world.looking.show(world.frame())
        await settle()
        world.clock.tick(0.05)
    assert len(world.painter.drawn) in (4, 5)  # a second of frames, five pictures a second at most


async def test_pictures_of_all_cameras_together_stay_within_their_bits_and_share_them(world: World) -> None:
    world.painter.padding = 100_000
    cameras = [Tap(CameraName(f"camera-{number}"), DeploymentName("watch")) for number in range(6)]

    async def seconds(count: int) -> list[WatchFrame]:
        before = len(world.link.frames)
        for _ in range(10 * count):
            world.look()
            for tap in cameras:
                world.looking.show(replace(world.frame(), tap=tap))
                await settle()
            world.clock.tick(0.1)
        return world.link.frames[before:]

    await seconds(3)  # until their size is known
    sent = await seconds(30)
    assert sum(8 * len(frame.picture.jpeg) for frame in sent) <= PICTURE_BITS * 30
    shares = Counter(frame.picture.camera for frame in sent)
    assert max(shares.values()) - min(shares.values()) <= 1
    assert min(shares.values()) >= 20


async def test_a_camera_without_answers_still_moves(world: World) -> None:
    world.look()
    for _ in range(20):
        world.looking.show(world.frame(Outcome.SHED))
        await settle()
        world.clock.tick(0.1)
    assert len(world.painter.drawn) == 4


async def test_a_camera_that_feeds_nothing_is_shown_bare(world: World) -> None:
    world.idle = [CameraName("spare")]
    world.look()
    await settle()
    assert world.painter.drawn == [("spare", 0, "no deployment answers for this camera")]


async def test_log_lines_wait_for_the_next_viewer(world: World) -> None:
    world.looking.say(LogLine(level="info", message="hello"))
    await settle()
    assert world.link.frames == []
    world.look()
    await settle()
    assert [frame.log.message for frame in world.link.frames] == ["hello"]


async def test_a_broken_stream_is_opened_again(world: World) -> None:
    world.link.broken = 2
    world.look()
    await world.clock.advance(3)
    assert world.link.streams == 3


async def test_a_picture_that_cannot_be_drawn_costs_nothing_else(world: World) -> None:
    world.painter.fails = True
    world.look()
    world.looking.show(world.frame())
    await settle()
    world.painter.fails = False
    world.clock.tick(0.3)
    world.looking.show(world.frame())
    await settle()
    assert len(world.link.frames) == 1


def answers(world: World) -> list[tuple[int, bytes, str]]:
    found = (frame.snapshot for frame in world.link.frames if frame.WhichOneof("body") == "snapshot")
    return [(each.wish, each.jpeg, each.failure) for each in found]


async def test_a_wish_for_a_snapshot_is_answered_on_the_watch_stream(world: World) -> None:
    part = WireRegion(x0=0.2, y0=0.3, x1=0.4, y1=1.5)
    world.link.wished = [
        SnapshotWish(number=4, camera="quay", max_side=640, quality=80),
        SnapshotWish(number=5, camera="quay", max_side=1920, quality=95, region=part),
    ]
    await world.clock.advance(5)
    assert world.link.wished, "nobody looks, so nothing is asked for"
    world.look()
    await world.clock.advance(1)
    assert world.painter.snapped == [
        ("quay", View(640, 80, WHOLE)),
        ("quay", View(1920, 95, Region(0.2, 0.3, 0.4, 1.0))),
    ]
    assert answers(world) == [(4, b"a snapshot", ""), (5, b"a snapshot", "")]


async def test_an_account_is_given_at_once_however_many_snapshots_wait(world: World) -> None:
    world.look()
    world.painter.padding = 125_000
    snapshots = [SnapshotWish(number=number, camera="quay", quality=80) for number in range(1, 4)]
    world.link.wished = [*snapshots, SnapshotWish(number=9, camera="quay", frame=FrameWish(seq=17))]
    await world.clock.advance(0.5)
    told = [frame.accounts for frame in world.link.frames if frame.WhichOneof("body") == "accounts"]
    assert [(each.wish, each.camera, each.failure) for each in told] == [(9, "quay", "frame 17 is not known")]
    assert len(answers(world)) == 1


async def test_a_wish_that_cannot_be_met_is_answered_with_why(world: World) -> None:
    world.look()
    world.painter.fails = True
    nothing = WireRegion(x0=0.5, y0=0.5, x1=0.5, y1=float("nan"))
    world.link.wished = [
        SnapshotWish(number=4, camera="quay", max_side=640, quality=80),
        SnapshotWish(number=5, camera="quay", max_side=640, quality=80, region=nothing),
    ]
    await world.clock.advance(2)
    (first, second) = answers(world)
    assert first == (4, b"", "the capture worker is being started again")
    assert second[:2] == (5, b"")
    assert "shares of the picture" in second[2]


async def test_snapshots_keep_within_their_share_of_the_uplink(world: World) -> None:
    world.look()
    world.painter.padding = 125_000
    world.link.wished = [SnapshotWish(number=number, camera="quay", quality=80) for number in range(1, 5)]
    await world.clock.advance(1.5)
    assert len(answers(world)) in (2, 3), "a second each"
    await world.clock.advance(3)
    assert len(answers(world)) == 4


async def test_who_would_wait_too_long_for_a_snapshot_is_told_at_once(world: World) -> None:
    world.look()
    world.painter.padding = 125_000
    world.link.wished = [SnapshotWish(number=number, camera="quay", quality=80) for number in range(1, 8)]
    await world.clock.advance(0.5)
    refused = [(wish, why) for wish, _, why in answers(world) if why]
    assert [wish for wish, _ in refused] == [5, 6, 7]
    assert "ask again in a few seconds" in refused[0][1]
    await world.clock.advance(6)
    assert len(world.painter.snapped) == 4
    world.link.wished = [SnapshotWish(number=8, camera="quay", quality=80)]
    world.look()
    await world.clock.advance(2)
    assert len(world.painter.snapped) == 5, "their turns are over"


async def test_a_mistake_of_ours_with_snapshots_keeps_no_later_one_away(world: World) -> None:
    world.look()
    world.painter.bug = KeyError("nobody thought of this")
    world.link.wished = [SnapshotWish(number=number, camera="quay", quality=80) for number in range(1, 5)]
    await world.clock.advance(2)
    world.painter.bug, world.link.wished = None, [SnapshotWish(number=5, camera="quay", quality=80)]
    world.look()
    await world.clock.advance(2)
    assert (5, b"a snapshot", "") in answers(world)


async def test_a_wish_that_is_told_twice_is_answered_once(world: World) -> None:
    world.look()
    world.painter.padding = 125_000
    world.link.wished = [SnapshotWish(number=number, camera="quay", quality=80) for number in (1, 2, 1, 2)]
    await world.clock.advance(4)
    assert [wish for wish, _, _ in answers(world)] == [1, 2]


async def test_a_stream_that_stands_still_keeps_few_snapshots(world: World) -> None:
    world.link.broken = 1_000
    for number in range(1, 60):
        world.look()
        world.link.wished = [SnapshotWish(number=number, camera="quay", quality=80)]
        await world.clock.advance(2)
    assert len(world.painter.snapped) > 40
    assert len(world.looking._answers) == 16


async def test_a_control_plane_without_wishes_is_asked_seldom(world: World) -> None:
    world.link.too_old = True
    for _ in range(6):
        world.look()
        await world.clock.advance(10)
    assert world.link.asked in (2, 3)

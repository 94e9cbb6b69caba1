"""Frames of all taps: what is kept for which, for how long, and how much is told at most."""

from __future__ import annotations

from agent.tracking.following import HAPPENINGS_PER_SECOND, MOST_HAPPENINGS, Following
from agent.tracking.rules import Marks
from agent.types import Box, Finished, Happening, Line, Tap, What, Zone
from protos.ids import CameraName, DeploymentName, Digest
from protos.outcomes import Outcome
from tests.sim.telemetry import RELEASE, TAP, finished
from tests.sim.walking import Walker, straight

YARD = Zone("yard", ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)))
MARKS = {TAP.camera: Marks((YARD,), (Line("gate", ((0.5, 0.9), (0.5, 0.3))),))}
OTHER = Tap(CameraName("quay"), DeploymentName("other"))
NEXT_RELEASE = Digest("sha256:" + "cd" * 32)
WALKER = Walker(straight((0.2, 0.7), (0.1, 0)))


def frame(t: float, *boxes: Box, tap: Tap = TAP, release: Digest = RELEASE) -> Finished:
    return finished(1, tap=tap, at=1_000.05 + t, latency=0.05, boxes=boxes, release=release)


def following(*taps: Tap) -> Following:
    made = Following()
    made.plan(MARKS, taps or (TAP,))
    return made


def test_boxes_get_zones_and_numbers_and_the_frame_says_what_happened() -> None:
    follow = following().follow
    frames = [follow(frame(t / 5, WALKER.box(t / 5))) for t in range(30)]
    assert [each.boxes[0].track for each in frames[:3]] == [0, 1, 1]
    assert all(each.boxes[0].zones == ("yard",) for each in frames)
    assert [each.what for one in frames for each in one.happened] == [What.ENTERED, What.CROSSED]


def test_two_deployments_of_a_camera_count_for_themselves() -> None:
    both = following(TAP, OTHER)
    for t in range(3):
        one = both.follow(frame(t / 5, WALKER.box(t / 5)))
        two = both.follow(frame(t / 5, Box(0.1, 0.1, 0.2, 0.3, 0.9, "boat"), WALKER.box(t / 5), tap=OTHER))
    assert [box.track for box in one.boxes] == [1]
    assert [box.track for box in two.boxes] == [1, 2]


def test_another_release_finds_who_is_there() -> None:
    made = following()
    for t in range(30):
        made.plan(dict(MARKS), (TAP,))  # desired state comes again and again
        told = made.follow(frame(t / 5, WALKER.box(t / 5), release=NEXT_RELEASE if t > 15 else RELEASE))
        assert [box.track for box in told.boxes] == [1 if t else 0]


def test_a_camera_that_is_gone_leaves_nothing_and_comes_back_as_new() -> None:
    made = following(TAP, OTHER)
    for t in range(3):
        made.follow(frame(t / 5, WALKER.box(t / 5)))
    made.plan({}, ())
    assert len(made) == 0
    last = frame(0.8, WALKER.box(0.8))
    assert made.follow(last) is last
    assert len(made) == 0  # a frame that ends afterwards brings nothing back
    made.plan(MARKS, (TAP,))
    assert made.follow(frame(1, WALKER.box(1))).boxes[0].track == 0


def test_a_frame_nobody_answered_says_nothing_of_who_is_there() -> None:
    made = following()
    for t in range(40):
        if t % 2:
            unanswered = finished(1, Outcome.SHED, at=1_000.05 + t / 5)
            assert made.follow(unanswered) is unanswered
        else:
            told = made.follow(frame(t / 5, WALKER.box(t / 5)))
            assert told.boxes[0].track == (1 if t else 0)


def still(t: float, *boxes: Box) -> Finished:
    """Nothing moved in it: nobody looked, and it has the boxes that were found last."""
    return finished(1, Outcome.STALE_TRACK, at=1_000.05 + t, boxes=boxes, release=None)


def test_who_stands_still_is_there_while_nothing_moves_and_nobody_looks() -> None:
    zone = Zone("yard", YARD.points, dwell_seconds=4.0)
    made, box = following(), Box(0.4, 0.4, 0.5, 0.8, 0.9, "person")
    made.plan({TAP.camera: Marks((zone,))}, (TAP,))
    looks = [made.follow(frame(t / 5, box)) for t in range(3)]
    rests = [made.follow(still(t / 2, box)) for t in range(1, 20)]
    last = made.follow(frame(10, box))
    assert [[box.track for box in each.boxes] for each in (*looks, *rests, last)] == [[0], *[[1]] * 22]
    assert [each.what for one in (*looks, last) for each in one.happened] == [What.ENTERED, What.DWELT]
    assert all(each.happened == () for each in rests)  # they are not recorded: it would be lost with them
    assert 4 <= last.happened[0].seconds < 5


def test_a_box_that_was_found_once_is_no_thing_because_nothing_moves() -> None:
    made, ghost = following(), Box(0.4, 0.4, 0.5, 0.8, 0.9, "person")
    made.follow(frame(0, ghost))
    assert all(made.follow(still(t / 5, ghost)).boxes[0].track == 0 for t in range(1, 20))


def test_an_answer_that_comes_late_tells_nothing_twice() -> None:
    made = following()
    told: list[Happening] = []
    for t in range(40):
        told += made.follow(frame(t / 5, WALKER.box(t / 5))).happened
        late = made.follow(frame(t / 5 - 0.3, WALKER.box(t / 5 - 0.3)))
        assert late.happened == ()
    assert [each.what for each in told] == [What.ENTERED, What.CROSSED]
    assert late.boxes[0].track == 1


def test_a_model_gone_mad_is_not_told_of_without_end() -> None:
    made, told, frames = following(), 0, 600
    for t in range(frames):
        crowd = [Box(x / 50, 0.5, x / 50 + 0.015, 0.6, 0.9, f"thing-{t // 2}") for x in range(50)]
        told += len(made.follow(frame(t / 20, *crowd)).happened)
    assert MOST_HAPPENINGS <= told <= MOST_HAPPENINGS + HAPPENINGS_PER_SECOND * frames / 20 + 1
    assert made.dropped > 1_000

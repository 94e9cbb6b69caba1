"""What a trial counts and how its bar reads."""

from __future__ import annotations

import io

from agent.trial.progress import Progress, line
from agent.trial.tally import Tally, percentile, text
from agent.types import Box
from tests.sim.clock import FakeClock


def box(label: str, score: float) -> Box:
    return Box(0, 0, 1, 1, score, label)


def test_boxes_are_counted_over_pictures_and_pictures_once() -> None:
    tally = Tally()
    tally.add([box("boat", 0.5), box("boat", 0.9)], {"inference": 0.004})
    tally.add([box("boat", 0.7)], {"inference": 0.008})
    boat = tally.classes["boat"]
    assert (boat.found, boat.pictures, boat.best) == (3, 2, 0.9)
    assert text(tally, 0.3).splitlines()[-1].split() == ["inference", "4.0", "ms", "8.0", "ms"]


def test_nothing_found_says_above_which_score() -> None:
    tally = Tally()
    tally.add([], {"inference": 0.001})
    assert text(tally, 0.3).startswith("nothing with a score of 0.3 or more")


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.0
    assert [percentile(list(range(1, 101)), share) for share in (0.001, 0.95, 1.0)] == [1, 95, 100]
    assert percentile([7.0], 0.95) == 7.0
    assert percentile([], 0.95) == 0.0


def test_the_bar_says_share_rate_and_time_left() -> None:
    assert line(30, 0.25, 10.0).endswith(" 25%  30 pictures  3.0/s  0:30 left")
    assert line(30, 0.0, 10.0) == "30 pictures  3.0/s"


def test_no_bar_goes_where_nobody_looks(clock: FakeClock) -> None:
    stream = io.StringIO()
    Progress(stream, clock.monotonic).show(1, 0.5)
    assert stream.getvalue() == ""


def test_a_bar_is_drawn_a_few_times_a_second(clock: FakeClock) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    progress = Progress(stream, clock.monotonic)
    for done in range(1, 101):
        progress.show(done, done / 100)
    assert stream.getvalue().count("\r") == 1

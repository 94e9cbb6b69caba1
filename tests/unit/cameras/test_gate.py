"""When a camera is looked at though nothing moves: a gate that never goes blind, in virtual time."""

from __future__ import annotations

import math

import pytest

from agent.cameras.gate import GUST_PICTURES, HELD_SECONDS, SETTLED_SECONDS, Change, Gate

PERIOD = 0.2


def opened(gate: Gate, seen: str, start: float = 100.0) -> str:
    """How a gate stands at pictures PERIOD apart: `.` still, `m` motion, `a` anew; `#` open, `-` closed."""
    words = {".": Change.STILL, "m": Change.MOTION, "a": Change.ANEW}
    return "".join("#" if gate.open(words[each], start + n * PERIOD) else "-" for n, each in enumerate(seen))


def test_it_is_closed_while_nothing_moves() -> None:
    assert opened(Gate(10), "....") == "----"


def test_it_is_open_while_something_moves_and_a_while_after() -> None:
    held = round(HELD_SECONDS / PERIOD)
    assert opened(Gate(10), "..mmm" + "." * (held + 2)) == "--###" + "#" * held + "--"


def test_a_slow_camera_is_held_open_for_pictures_not_seconds() -> None:
    gate = Gate(10)
    for number, seen in enumerate([Change.MOTION, Change.MOTION, Change.STILL, Change.STILL, Change.STILL]):
        assert gate.open(seen, number * 2.0)
    assert not gate.open(Change.STILL, 10.0)


def test_a_gust_opens_it_for_a_moment_only() -> None:
    assert opened(Gate(10), "..m....m...") == "--" + "###--" + "###-"
    assert GUST_PICTURES == 2


def test_a_start_and_a_switch_of_light_are_looked_at_until_the_background_has_settled() -> None:
    settled = round(SETTLED_SECONDS / PERIOD)
    assert opened(Gate(10), "a" + "." * settled + "...") == "#" * (settled + 1) + "---"


def test_it_stays_open_for_as_long_as_it_is_asked_to() -> None:
    gate = Gate(10)
    gate.ask(100.0 + 4 * PERIOD)
    gate.ask(100.0 + 2 * PERIOD)
    assert opened(gate, ".......") == "#####--"


@pytest.mark.parametrize(("looked_at", "overdue"), [(-math.inf, True), (90.0, True), (90.4, True), (91.0, False)])
def test_a_tap_is_looked_at_again_after_its_time_whatever_the_pictures_show(looked_at: float, *, overdue: bool) -> None:
    assert Gate(10).overdue(looked_at, 100.0) is overdue

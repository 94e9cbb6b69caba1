"""When a box may fetch, and how fast: windows in any zone, turns, caps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.update import download
from agent.update.download import BURST_SECONDS, FREE, LOOK_AGAIN_SECONDS, Download, Hold, Window
from protos.ids import DeploymentName

QUAY = DeploymentName("quay")
NIGHT = Window(22 * 60, 5 * 60, UTC, "UTC")
NOON = Window(11 * 60 + 30, 13 * 60, UTC, "UTC")
LONG_AGO = 0.0


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def held(rules: Download, now: float, part: float = 0.0, since: float = LONG_AGO) -> Hold | None:
    return download.hold(rules, part, since, now)


def test_without_rules_nothing_is_held() -> None:
    assert held(FREE, at("2026-11-27T12:00")) is None


@pytest.mark.parametrize("time", ["22:00", "23:59", "00:00", "04:59"])
def test_a_night_is_open_past_midnight(time: str) -> None:
    assert held(Download(window=NIGHT), at(f"2026-11-27T{time}")) is None


@pytest.mark.parametrize("time", ["05:00", "12:00", "21:59"])
def test_outside_of_the_night_a_box_says_when_it_opens(time: str) -> None:
    hold = held(Download(window=NIGHT), at(f"2026-11-27T{time}"))
    assert hold is not None
    assert hold.reason == "waits for its window, which opens at 22:00 (UTC)"


@pytest.mark.parametrize(("time", "is_open"), [("11:29", False), ("11:30", True), ("12:59", True), ("13:00", False)])
def test_a_window_within_one_day(time: str, is_open: bool) -> None:
    assert (held(Download(window=NOON), at(f"2026-11-27T{time}")) is None) is is_open


def test_what_is_held_is_looked_at_again_when_it_opens_and_within_ten_minutes() -> None:
    soon, late = (
        held(Download(window=NOON), at("2026-11-27T11:28")),
        held(Download(window=NOON), at("2026-11-27T09:00")),
    )
    assert (soon and soon.seconds, late and late.seconds) == (120.0, LOOK_AGAIN_SECONDS)


def test_a_window_is_that_of_its_zone_in_winter_and_in_summer() -> None:
    window = Window(22 * 60, 5 * 60, ZoneInfo("Europe/Berlin"), "Europe/Berlin")
    for day, opens in (("2026-12-01", "21:00"), ("2026-07-01", "20:00")):
        moment = at(f"{day}T{opens}")
        assert held(Download(window=window), moment) is None
        assert held(Download(window=window), moment - 1) is not None


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 5), ("2026-10-24", 7), ("2026-06-01", 6)])
def test_a_night_in_which_clocks_change_opens_and_closes_by_the_clock(day: str, hours: int) -> None:
    window = Window(23 * 60, 5 * 60, ZoneInfo("Europe/Berlin"), "Europe/Berlin")
    opens = at(f"{day}T23:00", "Europe/Berlin")
    minutes = [held(Download(window=window), opens + 60 * minute) is None for minute in range(24 * 60 - 120)]
    assert minutes == [True] * 60 * hours + [False] * (len(minutes) - 60 * hours)


def test_a_window_that_opens_in_the_hour_that_clocks_skip_opens_all_the_same() -> None:
    window = Window(2 * 60 + 30, 4 * 60, ZoneInfo("Europe/Berlin"), "Europe/Berlin")
    assert held(Download(window=window), at("2026-03-29T03:45", "Europe/Berlin")) is None


def test_without_a_zone_a_window_is_that_of_the_place_where_the_box_is(monkeypatch: pytest.MonkeyPatch) -> None:
    here = datetime.fromtimestamp(at("2026-11-27T12:00"))
    window = Window(60 * here.hour, (60 * here.hour + 60) % 1440)
    assert held(Download(window=window), at("2026-11-27T12:00")) is None
    hold = held(Download(window=window), at("2026-11-27T11:59"))
    assert hold is not None
    assert "(where the box is)" in hold.reason


def shares() -> Iterator[float]:
    return (download.share(f"quay-{number}", QUAY) for number in range(1_000))


def test_a_fleet_is_spread_evenly_and_the_same_way_every_time() -> None:
    spread = sorted(shares())
    assert spread == sorted(shares())
    assert max(abs(part - index / 1_000) for index, part in enumerate(spread)) < 0.06  # Kolmogorov-Smirnov, p > 0.1 %


def test_the_deployments_of_a_box_have_turns_of_their_own() -> None:
    assert download.share("quay-1", QUAY) != download.share("quay-1", DeploymentName("gate"))


def test_a_box_waits_its_share_of_the_jitter_after_it_needed_the_release() -> None:
    rules, since = Download(jitter=600.0), at("2026-11-27T12:00")
    hold = held(rules, since + 149, part=0.25, since=since)
    assert hold == Hold("waits for its turn, 600 s are given to all boxes", 1.0)
    assert held(rules, since + 150, part=0.25, since=since) is None


def test_a_box_waits_its_share_of_the_jitter_after_its_window_opened() -> None:
    rules = Download(window=NIGHT, jitter=3600.0)
    hold = held(rules, at("2026-11-27T22:10"), part=0.5)
    assert hold == Hold("waits for its window, which opens at 22:30 (UTC)", LOOK_AGAIN_SECONDS)
    assert held(rules, at("2026-11-27T22:30"), part=0.5) is None
    assert held(rules, at("2026-11-28T04:59"), part=0.5) is None


def test_a_release_that_comes_within_the_window_is_spread_too() -> None:
    rules, since = Download(window=NIGHT, jitter=3600.0), at("2026-11-27T23:00")
    assert held(rules, since + 1799, part=0.5, since=since) is not None
    assert held(rules, since + 1800, part=0.5, since=since) is None


def test_a_jitter_longer_than_the_window_still_lets_every_box_in() -> None:
    rules = Download(window=NOON, jitter=86_400.0)
    opened = [held(rules, at(f"2026-11-27T12:{minute:02}"), part=0.999) for minute in range(59)]
    assert opened[-1] is not None
    assert held(rules, at("2026-11-27T12:59:59"), part=0.999) is None


def test_a_clock_that_was_set_back_holds_nothing() -> None:
    now = at("2026-11-27T12:00")
    assert held(Download(jitter=600.0), now, part=0.5, since=now + 86_400) is None


def test_a_box_that_cannot_tell_its_window_fetches_nothing_and_says_why() -> None:
    rules = Download(trouble="waits: this box knows no time zone 'Mars/Base'")
    assert held(rules, at("2026-11-27T12:00")) == Hold(rules.trouble, LOOK_AGAIN_SECONDS)


@given(
    st.integers(0, 1439),
    st.integers(1, 1438),
    st.floats(0, 0.999),
    st.floats(0, 86_400),
    st.integers(1_700_000_000, 1_900_000_000),
    st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia", "Australia/Lord_Howe"]),
)
def test_whatever_the_rules_a_box_gets_its_turn_within_two_days(
    opens: int, minutes: int, part: float, jitter: float, now: int, zone: str
) -> None:
    """Looked at when it says so, it is let in, or a look later."""
    rules = Download(window=Window(opens, (opens + minutes) % 1440, ZoneInfo(zone)), jitter=jitter)
    moment, until = float(now), now + 2 * 86_400.0
    while (hold := held(rules, moment, part)) is not None and moment < until:
        assert 0 < hold.seconds <= LOOK_AGAIN_SECONDS
        moment += hold.seconds
    assert hold is None


def test_no_more_than_the_cap_comes_over_any_while_but_for_a_moment_of_it() -> None:
    due, now, came = -1e9, 1_000.0, []
    for _ in range(500):
        now += 0.001  # the wire is fast
        due = download.paced(due, 65_536, 250_000.0, now)
        came.append((now, 65_536))
        now = max(now, due)
    for first in range(0, 500, 7):
        for last in range(first, 500, 13):
            seconds = came[last][0] - came[first][0]
            assert sum(count for _, count in came[first : last + 1]) <= 250_000 * (seconds + BURST_SECONDS) + 65_536


def test_a_long_pause_is_not_made_good_by_a_burst() -> None:
    assert download.paced(0.0, 1_000, 1_000.0, 10_000.0) == 10_001.0 - BURST_SECONDS


def test_rules_that_say_the_same_are_the_same() -> None:
    zone = ZoneInfo("Europe/Berlin")
    assert replace(FREE, window=Window(0, 60, zone)) == Download(window=Window(0, 60, ZoneInfo("Europe/Berlin")))

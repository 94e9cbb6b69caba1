"""accepted = stored + dropped + waiting + unaccounted, whatever a box and its records went through."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.books import domain
from controlplane.books.domain import SETTLE_MS, Clash, Contact, Line, Link, NodeBooks, Start, State, Sums

NOW = 1_795_000_000_000
LINE = Line("quay-1", "e1", "detection", "s1", NOW - 9_000, NOW, 0, (), 0, 0)


def sums(line: Line, *others: Line, now: int = NOW, starts: tuple[Start, ...] = ()) -> Sums:
    return domain.judged([line, *others], starts, now)[0][1]


def told(accepted: int, stored: int, dropped: int = 0, waiting: int = 0, **more: int) -> Line:
    figures: dict[str, Any] = {"told_accepted": accepted, "told_waiting": waiting, "told_dropped": dropped}
    counted = replace(LINE, stored=stored, dropped=dropped, up_to=stored + dropped, told_ms=NOW)
    return replace(counted, **{**figures, **more})


def test_at_rest_everything_is_stored_or_declared() -> None:
    found = sums(told(10, 7, dropped=3))
    assert found == Sums(10, 7, 3)
    assert found.state is State.AT_REST


def test_what_waits_is_under_way_and_not_lost() -> None:
    found = sums(told(10, 4, waiting=6, told_oldest_ms=NOW - 50))
    assert (found.waiting, found.unaccounted, found.oldest_ms) == (6, 0, NOW - 50)
    assert found.state is State.UNDER_WAY


def test_what_came_after_the_box_told_waits_no_more() -> None:
    assert sums(told(10, 9, waiting=6)).waiting == 1
    later = sums(told(10, 12, waiting=6))  # and what it accepted since is counted
    assert (later.accepted, later.waiting, later.state) == (12, 0, State.AT_REST)


def test_what_nobody_has_is_unaccounted_at_once_when_nothing_waits() -> None:
    assert sums(told(10, 8)).unaccounted == 2


def test_what_nobody_has_while_others_wait_is_judged_when_the_box_told_long_enough_ago() -> None:
    line = told(10, 4, waiting=4)
    assert sums(line).unaccounted == 0
    assert sums(line, now=NOW + SETTLE_MS + 1).unaccounted == 2
    assert sums(line, now=NOW + SETTLE_MS + 1).waiting == 4


def test_a_drop_whose_gap_is_under_way_waits_and_one_whose_gap_never_came_is_unaccounted() -> None:
    line = told(10, 7, told_dropped=3)
    gaps = replace(told(1, 0, waiting=1), record_class="gap", epoch="g1")
    arrived = replace(told(1, 1), record_class="gap", epoch="g1")
    late = NOW + SETTLE_MS + 1
    assert sums(line).waiting == 3
    assert (sums(line, gaps, now=late).waiting, sums(line, gaps, now=late).unaccounted) == (3, 0)
    assert (sums(line, arrived, now=late).waiting, sums(line, arrived, now=late).unaccounted) == (0, 3)


def test_what_waited_in_an_outbox_that_is_gone_is_unaccounted() -> None:
    line = told(10, 4, waiting=6)
    first, after = Start("quay-1", "s1", "", NOW - 9_000, NOW), Start("quay-1", "s2", "s1", NOW + 10, NOW + 500)
    anew = Start("quay-1", "s3", "", NOW + 10, NOW + 500)
    unknown = Start("quay-1", "s3", "never-told", NOW + 10, NOW + 500)
    assert sums(line, starts=(first, after)).unaccounted == 0
    assert sums(line, starts=(first, anew)).unaccounted == 6
    assert sums(line, starts=(first, unknown)).unaccounted == 0  # its outbox may be the same one


def test_a_line_that_later_starts_do_not_tell_of_for_a_day_is_of_an_outbox_that_is_gone() -> None:
    """Whichever start came first: the oldest ones are forgotten."""
    line = told(10, 4, waiting=6)
    later = Start("quay-1", "s9", "forgotten", NOW + 10, NOW + 10 + domain.DAY_MS)
    assert sums(line, starts=(later,)).unaccounted == 6
    assert sums(line, starts=(replace(later, last_ms=later.last_ms - 1),)).waiting == 6
    assert sums(replace(line, told_ms=later.first_ms), starts=(later,)).waiting == 6, "told by it"
    assert sums(replace(line, told_ms=0), starts=(later,)).unaccounted == 0, "an agent before 0.2 tells of none"


def test_of_a_box_that_tells_no_books_accepted_is_what_can_be_seen() -> None:
    old = replace(LINE, record_class="", stored=7, dropped=1, up_to=5, beyond=((9, 11),))
    found = sums(old, now=NOW + 10**9)
    assert (found.accepted, found.waiting, found.unaccounted) == (11, 3, 0)
    assert domain.books("quay-1", [old], NOW).untold


@given(
    accepted=st.integers(0, 50),
    stored=st.integers(0, 60),
    dropped=st.integers(0, 60),
    waiting=st.integers(0, 60),
    told_dropped=st.integers(0, 60),
    told_ms=st.sampled_from([0, NOW, NOW - 10 * SETTLE_MS]),
    gone=st.booleans(),
)
def test_the_books_add_up_whatever_is_told(
    accepted: int, stored: int, dropped: int, waiting: int, told_dropped: int, told_ms: int, gone: bool
) -> None:
    counted = replace(LINE, stored=stored, dropped=dropped, up_to=stored, told_accepted=accepted)
    line = replace(counted, told_waiting=waiting, told_dropped=told_dropped, told_ms=told_ms)
    starts = (Start("quay-1", "s1", "", 0, 1), Start("quay-1", "s9", "", NOW + 1, NOW + 2)) if gone else ()
    found = sums(line, starts=starts)
    assert found.accepted == found.stored + found.dropped + found.waiting + found.unaccounted
    assert min(found.waiting, found.unaccounted) >= 0


def test_classes_add_up_over_starts_in_order_of_importance() -> None:
    debug = replace(told(5, 5), record_class="debug", epoch="d")
    kept = domain.books("quay-1", [debug, told(10, 7, dropped=3), replace(told(2, 2), epoch="e2")], NOW)
    assert list(kept.classes) == ["detection", "debug"]
    assert kept.classes["detection"] == Sums(12, 9, 3)
    assert kept.total == Sums(17, 14, 3)


def test_two_starts_after_one_are_a_cloned_disk() -> None:
    first = Start("quay-1", "s1", "", NOW, NOW)
    chain = [first, Start("quay-1", "s2", "s1", NOW, NOW), Start("quay-1", "s3", "s2", NOW, NOW)]
    assert domain.conflicts(chain, ()) == ()
    later = Start("quay-1", "s5", "s3", NOW, NOW + 9)  # of the other branch
    (fork,) = domain.conflicts([*chain, later, Start("quay-1", "s4", "s2", NOW, NOW + 5)], ())
    assert (fork.kind, fork.at_ms) == ("start", NOW + 5)  # when the second was heard last
    assert "longshore token create" in fork.sentence


def test_a_conflict_that_is_over_calls_nobody_after_a_week() -> None:
    conflict = domain.Conflict("quay-1", "start", NOW, "")
    assert conflict.recent(NOW + domain.RECENT_MS - 1)
    assert not conflict.recent(NOW + domain.RECENT_MS)


def test_two_outboxes_that_tell_at_once_are_two_boxes_and_one_after_the_other_are_one() -> None:
    first = Start("quay-1", "s1", "", NOW, NOW + 10)
    later = Start("quay-1", "s2", "", NOW + 20, NOW + 10 * SETTLE_MS)
    assert domain.conflicts([first, later], ()) == ()
    (twin,) = domain.conflicts([replace(first, last_ms=NOW + 5 * SETTLE_MS), later], ())
    assert twin.kind == "outbox"


def test_outboxes_whose_first_starts_were_forgotten_are_told_apart_all_the_same() -> None:
    """And one whose starts were never all told is one."""
    first, later = Start("quay-1", "s5", "s4", NOW, NOW), Start("quay-1", "t5", "t4", NOW + 20, NOW + 10 * SETTLE_MS)
    assert domain.conflicts([first, later], ()) == ()
    (twin,) = domain.conflicts([replace(first, last_ms=NOW + 5 * SETTLE_MS), later], ())
    assert twin.kind == "outbox"
    (fork,) = domain.conflicts([replace(first, last_ms=NOW + 5 * SETTLE_MS), replace(later, before="s4")], ())
    assert fork.kind == "start"


def test_a_record_under_the_name_of_another_is_told_with_what_to_do() -> None:
    (told_,) = domain.conflicts((), [Clash("quay-1", "abcdefghijk", 3, 17, NOW, NOW)])
    assert "3 records of quay-1" in told_.sentence
    assert "number 17" in told_.sentence


@pytest.mark.parametrize(
    ("contact", "heard", "link"),
    [
        (Contact("Joined"), 0, Link.NEVER),
        (Contact("Online", NOW), NOW, Link.CONNECTED),
        (Contact("Online", NOW, "the broker refuses"), NOW, Link.REFUSED),
        (Contact("Offline", NOW - 5), NOW - 9, Link.SILENT),
        (Contact("ByFile", NOW - 5), NOW - 9, Link.BY_FILE),
    ],
)
def test_the_link_of_a_box_is_told_by_what_is_heard(contact: Contact, heard: int, link: Link) -> None:
    found = domain.linked(contact, NodeBooks("quay-1", told_ms=heard))
    assert found.link is link
    assert link is not Link.SILENT or found.since_ms == NOW - 5


def test_a_problem_of_telemetry_is_what_refuses() -> None:
    problems = [{"code": "disk-full", "message": "no room"}, {"code": "telemetry-refused", "message": "Not authorized"}]
    status = {"phase": "Online", "lastSeen": "2026-11-28T00:00:00.000Z", "problems": problems}
    assert domain.contact(status) == Contact("Online", 1_795_824_000_000, "Not authorized")
    assert domain.contact({**status, "problems": problems[:1], "lastSeen": None}) == Contact("Online")

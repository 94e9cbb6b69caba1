"""When a certificate is renewed and what a wrong clock means: values in, decisions out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.identity import decisions
from agent.identity.decisions import CertificateFacts

DAY = 86_400.0
ISSUED = 1_795_000_000.0


def issued(life: float) -> CertificateFacts:
    return CertificateFacts(ISSUED - decisions.BACKDATED_SECONDS, ISSUED + life, "00", "quay-1")


def test_a_certificate_is_renewed_past_half_its_life() -> None:
    assert decisions.renew_at(issued(30 * DAY), 0.0) == ISSUED + 15 * DAY


def test_backdating_does_not_make_a_short_certificate_due_at_once() -> None:
    assert decisions.renew_at(issued(3_600.0), 0.0) == ISSUED + 1_800.0


@given(st.floats(60, 365 * DAY), st.floats(0, 1))
def test_a_fleet_renews_spread_over_a_tenth_of_the_life(life: float, spread: float) -> None:
    due = decisions.renew_at(issued(life), spread)
    assert ISSUED + 0.49 * life <= due <= ISSUED + 0.61 * life


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (0.5, None),
        (1.0, "0 seconds ago; the running agent renews it"),
        (91.0, "agent renews it"),
        (92.0, "token create"),
    ],
)
def test_a_certificate_that_has_expired_is_told_with_what_to_do(days: float, words: str | None) -> None:
    problem = decisions.expiry_problem(issued(DAY), ISSUED + days * DAY)
    assert (problem is None) is (words is None)
    if problem and words:
        assert (problem.code, words in problem.message) == ("certificate-expired", True)


@pytest.mark.parametrize(
    ("joined", "asked", "words"),
    [
        ("edge", "edge", None),
        ("cloud", "edge", "'longshore-agent serve'"),
        ("edge", "cloud", "'longshore-agent run'"),
        ("lighthouse", "edge", "newer agent"),
    ],
)
def test_a_box_is_started_as_what_it_joined_as(joined: str, asked: str, words: str | None) -> None:
    problem = decisions.role_problem(joined, asked)
    assert (problem is None) is (words is None)
    assert words is None or (problem and words in problem and f"--role {asked}" in problem)


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (86_400.0, "24 hours behind"),
        (-86_400.0, "24 hours ahead of"),
        (90.0, "90 seconds behind"),
        (-600.0, "10 minutes ahead of"),
        (10 * 365 * DAY, "3650 days behind"),
    ],
)
def test_a_wrong_clock_is_told_by_how_much(offset: float, words: str) -> None:
    problem = decisions.clock_problem(offset)
    assert problem is not None
    assert words in problem.message


@pytest.mark.parametrize("offset", [0.0, 59.0, -59.0])
def test_a_clock_a_minute_off_is_nobodys_business(offset: float) -> None:
    assert decisions.clock_problem(offset) is None

"""How a deployment stands: shares of where its frames went, one sentence why, and what was spent in a day."""

from __future__ import annotations

import pytest

from agent.offload import standing
from agent.offload.explain import Account
from agent.offload.ledger import Ledger
from agent.offload.standing import Link, Routes
from protos.ids import CameraName
from protos.outcomes import Outcome

LINK = Link(3e6, 0.04)
MINUTE_BITS = 60e6


def account(chosen: str, at: float = 100.0, size: str = "", outcome: Outcome | None = None) -> Account:
    return Account(CameraName("gate"), 1, at, chosen=chosen, size=size, outcome=outcome)


def test_each_frame_of_the_last_seconds_went_one_way() -> None:
    found = standing.routes(
        [
            account("local", size="large"),
            account("local"),
            account("local", size="small"),
            account("cloud"),
            account("cascade", size="large"),
            account("hedge"),
            account("shed", outcome=Outcome.SHED),
            account("local", outcome=Outcome.SUPERSEDED),
            account("cloud", at=80.0),
        ],
        "large",
        now=101.0,
    )
    assert found == Routes(8, local=0.25, small=0.125, cloud=0.25, hedge=0.125, shed=0.25)


def test_of_no_frame_there_are_no_shares() -> None:
    assert standing.routes([account("cloud")], "", now=200.0) == Routes()


@pytest.mark.parametrize(
    ("found", "load", "link", "left", "said"),
    [
        (Routes(), 0.0, None, None, "no frame comes"),
        (
            Routes(9, local=1),
            0.62,
            None,
            None,
            "the box is asked for 62 % of what it can infer, and answers all itself",
        ),
        (Routes(9, local=1), 1.04, None, None, "104 % of what it can infer; it answers all the same"),
        (
            Routes(9, local=0.5, cloud=0.4, hedge=0.1),
            2.0,
            LINK,
            9e6,
            "200 % of what it can infer: 50 % is sent to the cloud",
        ),
        (Routes(9, local=0.5, small=0.5), 1.5, LINK, 9e6, ": 50 % is answered by a smaller size"),
        (Routes(9, local=0.5, shed=0.5), 2.0, None, None, ": 50 % is given up since no cloud node helps"),
        (Routes(9, cloud=0.9, shed=0.1), 2.0, LINK, 1e6, "given up since the uplink budget of this minute is spent"),
        (Routes(9, cloud=0.9, shed=0.1), 2.0, LINK, 9e6, "since what 3.0 Mbit/s would carry in time is worth less"),
        (Routes(9, local=0.9, shed=0.1), 0.9, LINK, 9e6, "given up since newer frames took their place"),
    ],
)
def test_why_is_one_sentence(found: Routes, load: float, link: Link | None, left: float | None, said: str) -> None:
    assert said in standing.why(found, load, link, left, MINUTE_BITS)


def test_what_was_spent_counts_for_a_day() -> None:
    ledger = Ledger()
    for hour in range(30):
        ledger.paid(1.0, hour * 3600.0)
    assert ledger.within_day(29 * 3600.0) == 24.0
    assert ledger.within_day(60 * 3600.0) == 0.0


def test_what_was_not_needed_after_all_is_given_back() -> None:
    ledger = Ledger()
    ledger.paid(0.5, 100.0)
    ledger.paid(-0.2, 101.0)
    assert ledger.within_day(102.0) == pytest.approx(0.3)
    ledger.paid(-0.5, 103.0)
    assert ledger.within_day(104.0) == 0.0

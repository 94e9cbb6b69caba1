"""How a deployment stands: shares of where its frames went, one sentence why, and what was spent in a day."""

from __future__ import annotations

import pytest

from agent.offload import standing
from agent.offload.explain import Account, Score
from agent.offload.ledger import Ledger
from agent.offload.standing import Routes
from protos.ids import CameraName
from protos.outcomes import Outcome


def account(chosen: str, at: float = 100.0, size: str = "", outcome: Outcome | None = None) -> Account:
    return Account(CameraName("gate"), 1, at, chosen=chosen, size=size, outcome=outcome)


def shed(why_not: str) -> Account:
    """One that the box had no time for, and why it did not go up."""
    made = account("shed", outcome=Outcome.SHED)
    made.scores["cloud"] = Score(0.0, 0.0, 0.0, 0.0, why_not)
    return made


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
    ("found", "load", "said"),
    [
        (Routes(), 0.0, "no frame comes"),
        (Routes(9, local=1), 0.62, "the box is asked for 62 % of what it can infer, and answers all itself"),
        (Routes(9, local=1), 1.04, "104 % of what it can infer; it answers all the same"),
        (Routes(9, local=0.5, cloud=0.4, hedge=0.1), 2.0, "200 % of what it can infer: 50 % is sent to the cloud"),
        (Routes(9, local=0.5, small=0.5), 1.5, ": 50 % is answered by a smaller size"),
    ],
)
def test_why_is_one_sentence(found: Routes, load: float, said: str) -> None:
    assert said in standing.why([], found, load, now=101.0)


@pytest.mark.parametrize(
    ("given_up", "said"),
    [
        (shed("no cloud"), "no cloud node may be asked"),
        (shed("its pictures stay on the box"), "its pictures stay on the box"),
        (shed("the uplink budget is spent"), "the uplink budget of this minute is spent"),
        (shed("not in time"), "the cloud would not be in time either"),
        (shed(""), "other frames are worth more"),
        (account("local", outcome=Outcome.SUPERSEDED), "newer frames took their place"),
        (account("cloud", outcome=Outcome.EXPIRED), "no answer came in time"),
    ],
)
def test_what_is_given_up_for_one_reason_is_given_up_since_that(given_up: Account, said: str) -> None:
    accounts = [given_up, given_up, given_up, account("local")]
    assert told(accounts).endswith(f": 75 % is given up since {said}")


def test_what_is_given_up_for_several_reasons_has_the_two_most_frequent_with_their_shares() -> None:
    stays, dear = shed("its pictures stay on the box"), shed("")
    accounts = [dear, stays, stays, stays, dear, shed("the breaker is open"), *[account("local")] * 4]
    assert told(accounts).endswith(
        ": 60 % is given up (30 % since its pictures stay on the box, 20 % since other frames are worth more)"
    )


def test_a_reason_of_next_to_no_frames_is_not_told() -> None:
    accounts = [shed("no cloud"), *[shed("")] * 299, *[account("local")] * 100]
    assert told(accounts).endswith(": 75 % is given up since other frames are worth more")


def told(accounts: list[Account]) -> str:
    return standing.why(accounts, standing.routes(accounts, "", now=101.0), 2.0, now=101.0)


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

"""The lines of the decision log."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agent.offload.decisions import Decision, decision, read, written
from agent.offload.explain import Account, Draw
from agent.types import Box, Finished, Tap
from protos.ids import digest_of
from protos.outcomes import Outcome
from tests.sim.decisions import HARBOUR, QUAY, decided

FINISHED = Finished(
    Tap(QUAY, HARBOUR),
    4,
    Outcome.OK_LOCAL,
    captured=10.0,
    captured_unix_ns=1_795_000_000_500_000_000,
    finished=10.2,
    boxes=(Box(0, 0, 1, 1, 0.9, "person"),),
    release=digest_of(b"1"),
)


def test_a_line_gives_back_the_decision_and_says_which_share_is_kept() -> None:
    made = decided()
    line = written(made, 0.25)
    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    (found,), passed_over = read([line])
    assert passed_over == 0
    assert found.sampled == 0.25
    assert (found.scores, found.draws, found.features, found.outcome) == (
        made.scores,
        made.draws,
        made.features,
        made.outcome,
    )


def test_what_is_no_decision_is_passed_over_and_counted() -> None:
    line = written(decided(), 1.0)
    later = json.dumps({**json.loads(line), "version": 2}).encode()
    found, passed_over = read([line[:40], b"\n", b"[1]\n", b"\xff\xfe\n", later, line, line[:-30]])
    assert (len(found), passed_over) == (1, 6)


def test_a_feature_of_an_older_line_has_the_name_that_it_has_now() -> None:
    """What was called load there is how slow the box was, times what was measured warm."""
    ((found,), _) = read([written(decided(features={"load": 1.2, "value": 2.0}), 1.0)])
    assert found.features == {"slowness": 1.2, "value": 2.0}


def test_a_line_holds_no_box_of_what_was_seen() -> None:
    made = decision(Account(QUAY, 4, 10.0, chosen="local"), FINISHED, right=0.6)
    assert b"person" not in written(made, 1.0)
    assert (made.captured, round(made.latency, 6), made.seq) == (1_795_000_000.5, 0.2, 4)


@pytest.mark.parametrize(
    ("outcome", "reward"), [(Outcome.OK_CLOUD, 1.5), (Outcome.CLOUD_LATE, 0.0), (Outcome.SHED, 0.0)]
)
def test_a_frame_earns_its_value_times_how_likely_its_answer_is_right_if_that_was_in_time(
    outcome: Outcome, reward: float
) -> None:
    assert decided(outcome=outcome, features={"value": 2.0}).reward == reward


def test_what_nobody_answered_is_right_in_no_case() -> None:
    assert decision(Account(QUAY, 4, 10.0), replace(FINISHED, release=None), right=0.6).right == 0.0


def test_the_propensity_of_a_frame_is_that_of_all_its_draws() -> None:
    draws = [Draw(again=False, ahead=0.0, price=0.1, likely=0.25, went=False), Draw(True, 0.0, 0.1, 0.5, True)]
    assert decided(draws=draws).propensity == 0.375
    assert Decision(HARBOUR, QUAY, 1, 0.0, Outcome.SHED, "shed").propensity == 1.0

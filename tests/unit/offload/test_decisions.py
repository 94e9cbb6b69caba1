"""The lines of the decision log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.offload.decisions import Decision, decision, read, written
from agent.offload.explain import Account, Draw
from agent.offload.replay import FACTORS
from agent.replaying import replayed
from agent.types import Box, Finished, Tap
from protos.ids import digest_of
from protos.outcomes import Outcome
from tests.sim.decisions import HARBOUR, QUAY, decided, lived

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
    deep = b'{"x":' + b"[" * 200_000
    found, passed_over = read([line[:40], b"\n", b"[1]\n", b"\xff\xfe\n", deep, later, line, line[:-30]])
    assert (len(found), passed_over) == (1, 7)


DRAW = {"again": False, "ahead": 0.0, "price": 0.1, "likely": 0.5, "went": True}
SCORE = {"worth": 0.5, "on_time": 0.9, "price": 0.1, "score": 0.4}
ABSURD: list[Mapping[str, object]] = [
    *({name: far} for name in ("captured", "latency", "right", "sampled") for far in (1e308, 1e18, -1e18)),
    *({name: far} for name in ("seq", "uplink_bytes", "version") for far in (10**400, 10**19, -1)),
    *({"features": {"value": far}} for far in (1e308, -1e308)),
    *({"draws": [{**DRAW, name: far}]} for name in ("ahead", "price", "likely") for far in (1e308, -1e308)),
    {"draws": [{**DRAW, "likely": 0.0}]},  # what has no chance is not done
    {"draws": [{**DRAW, "likely": 1.0, "went": False}]},
    {"draws": [DRAW] * 1000},
    *({"scores": {"local": {**SCORE, name: 1e308}}} for name in SCORE),
    *({name: "harb\u001b[2Jour"} for name in ("deployment", "camera", "chosen", "ran_on", "route", "size")),
    {"chosen": "x" * 100_000},
    {"scores": {"local\n": SCORE}},
]


@pytest.mark.parametrize("absurd", ABSURD, ids=lambda absurd: str(absurd)[:60])
def test_a_line_of_the_right_types_that_tells_what_cannot_be_is_passed_over_too(absurd: Mapping[str, object]) -> None:
    line = json.dumps({**json.loads(written(decided(), 1.0)), **absurd}).encode()
    found, passed_over = read([line, written(decided(), 1.0)])
    assert (len(found), passed_over) == (1, 1)


def test_all_that_a_busy_box_writes_is_read() -> None:
    lived_through = list(lived(20.0))
    found, passed_over = read(written(each, 0.5) for each in lived_through)
    assert (len(found), passed_over) == (len(lived_through), 0)


@given(st.data())
def test_whatever_numbers_a_log_holds_it_is_replayed_and_counted(data: st.DataObject) -> None:
    numbers = st.one_of(
        st.integers(-(10**30), 10**30),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from([0, 1, 10**400]),
    )
    lines = []
    for _ in range(3):
        whole = json.loads(written(decided(), 1.0))
        places = [whole, whole["features"], whole["draws"][0], whole["scores"]["local"]]
        place = data.draw(st.sampled_from(places))
        place[data.draw(st.sampled_from([key for key in place if isinstance(place[key], (int, float))]))] = data.draw(
            numbers
        )
        lines.append(json.dumps(whole).encode() + b"\n")
    with TemporaryDirectory() as folder:
        log = Path(folder) / "decisions.jsonl"
        log.write_bytes(b"".join([*lines, written(decided(), 1.0)]))
        told = json.loads(replayed(log, "", FACTORS, as_json=True))
        assert replayed(log, "", FACTORS, as_json=False)
    assert told["passedOver"] + told["deployments"][0]["decisions"] == 4


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

"""When nobody acknowledging is an alarm, and what it says."""

from __future__ import annotations

import pytest

from agent.telemetry.silence import ALARM_SECONDS, NOBODY, Silence


def test_it_counts_from_the_first_sending_that_nothing_answered() -> None:
    silence = Silence()
    assert (silence.seconds(5.0), silence.alarm_at) == (0.0, None)
    silence.asked(10.0)
    silence.asked(50.0)
    assert silence.seconds(60.0) == 50.0
    assert silence.alarm_at == 10.0 + ALARM_SECONDS
    assert not silence.alarming(10.0 + ALARM_SECONDS - 0.1)
    assert silence.alarming(10.0 + ALARM_SECONDS)


def test_an_acknowledgement_ends_it_and_while_others_are_awaited_it_begins_anew() -> None:
    silence = Silence()
    silence.asked(0.0)
    silence.heard(130.0, waits=True)
    assert (silence.alarming(130.0), silence.seconds(140.0)) == (False, 10.0)
    silence.heard(150.0, waits=False)
    assert silence.seconds(1_000.0) == 0.0


def test_without_a_connection_there_is_none() -> None:
    silence = Silence()
    silence.asked(0.0)
    silence.closed()
    assert not silence.alarming(1_000.0)


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        (NOBODY, "see that the control plane runs and reaches it"),
        ("Not authorized", "takes no telemetry of this box (Not authorized)"),
        ("", "see that the control plane runs and reaches its database"),
    ],
)
def test_the_sentence_says_where_to_look(reason: str, says: str) -> None:
    assert says in Silence(0.0, reason).sentence

"""What a camera says of itself: one sentence for each thing that can be wrong, from whatever the system said."""

from __future__ import annotations

import errno

import pytest

from agent.cameras.source import SENTENCES, Reason, SourceLost
from agent.cameras.source_av import _translated


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_one_sentence_that_starts_with_its_name(reason: Reason) -> None:
    assert SENTENCES[reason].startswith(f"{reason}: ")
    assert "\n" not in SENTENCES[reason]


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EBUSY, Reason.BUSY),
        (errno.ENODEV, Reason.NOT_FOUND),
        (errno.ENOTTY, Reason.NOT_FOUND),
        (errno.EHOSTUNREACH, Reason.UNREACHABLE),
        (errno.ETIMEDOUT, Reason.STALLED),
    ],
)
def test_what_the_system_says_becomes_a_reason_without_its_text(number: int, reason: Reason) -> None:
    with pytest.raises(SourceLost) as caught, _translated(Reason.STALLED):
        raise OSError(number, "rtsp://admin:s3cr3t@host")
    assert caught.value.reason is reason
    assert str(caught.value) == SENTENCES[reason]
    assert caught.value.__cause__ is None

"""How a worker ended is said once, for capture and engine workers alike."""

from __future__ import annotations

import signal

import pytest

from agent.workers.endings import ended


@pytest.mark.parametrize(
    ("code", "exceeded", "words"),
    [
        (3, 0, "ended with code 3"),
        (-signal.SIGSEGV, 0, "was ended by SIGSEGV"),
        (-40, 0, "was ended by signal 40"),  # a real-time signal, which has no name
        (-signal.SIGKILL, 0, "was killed by SIGKILL, as happens when it hangs or memory runs out"),
        (-signal.SIGKILL, 3 << 30, "took more memory than the 3.0 GiB it may have, and was killed"),
    ],
)
def test_an_end_is_said_in_words_that_follow_a_name(code: int, exceeded: int, words: str) -> None:
    assert ended(code, exceeded) == words

"""How a worker process ended, in words that follow its name."""

from __future__ import annotations

import signal

from sandbox.hierarchy import beyond


def ended(code: int, exceeded: int = 0) -> str:
    """`code`: of its exit, below 0 a signal's. `exceeded`: bytes that it might have and that were not enough."""
    if exceeded:
        return beyond(exceeded)
    if code == -signal.SIGKILL:
        return "was killed by SIGKILL, as happens when it hangs or memory runs out"
    return f"was ended by {_name(-code)}" if code < 0 else f"ended with code {code}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most of the real-time signals have none
        return f"signal {number}"

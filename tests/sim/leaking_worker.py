"""Workers that never give memory back: `python -m tests.sim.leaking_worker`, in place of a real one.

With arguments a capture worker, each of whose drawn pictures leaks; without, an engine worker, each of whose inferences
does. What leaks is address space, which the box does not miss, and which a worker's limit counts.
"""

from __future__ import annotations

import mmap
import sys
from typing import Any

from agent.cameras import source_synthetic
from agent.cameras import worker as capture_worker
from agent.inference import session
from agent.inference import worker as engine_worker

LEAK = 512 << 20  # bytes, each time
_kept: list[mmap.mmap] = []


def leak() -> None:
    try:
        _kept.append(mmap.mmap(-1, LEAK))
    except OSError as error:
        _fill()
        raise MemoryError("as its allocator says it") from error


def _fill() -> None:
    """The rest goes in smaller pieces."""
    try:
        while True:
            _kept.append(mmap.mmap(-1, 1 << 20))
    except OSError:
        pass


def _leaking(act: Any) -> Any:
    def act_and_leak(*arguments: Any, **more: Any) -> Any:
        leak()
        return act(*arguments, **more)

    return act_and_leak


if __name__ == "__main__":
    session.Session.run = _leaking(session.Session.run)  # type: ignore[method-assign]
    source_synthetic.SyntheticSource.read = _leaking(source_synthetic.SyntheticSource.read)  # type: ignore[method-assign]
    (capture_worker if len(sys.argv) > 1 else engine_worker).main()

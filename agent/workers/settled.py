"""A process once it has started: what it holds by then stays, so the collector need not look at it again.

A full collection of what the agent's main process has imported takes a hundredth of a second, in which no frame and no
request goes on; the collector is left with what comes and goes.
"""

from __future__ import annotations

import ctypes
import gc


def settle() -> None:
    """Give back what starting left behind; keep the rest, unlooked at."""
    gc.collect()
    gc.freeze()
    ctypes.CDLL(None).malloc_trim(0)

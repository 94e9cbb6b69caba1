"""How many values of one tensor are converted on the agent's event loop, each bound worth about 20 ms.

Beyond it frames would wait for a caller. Binary tensors are not converted at all, so they know no such bound.
"""

from __future__ import annotations

from agent.inference.datatypes import BYTES

MAX_NUMBERS = 1 << 18
MAX_TEXTS = 1 << 15


def most(datatype: str) -> int:
    """Values of this datatype."""
    return MAX_TEXTS if datatype == BYTES else MAX_NUMBERS

"""Whether frames that wait can all be answered in time, and which is given up when they cannot. Pure.

Rules that hold here:

- Frames are run in the order given, which is that of their deadlines: what is due later is never ahead of a frame.
- A set is feasible when each frame of it ends by its deadline, each call taking what is planned for the cheapest size.
- Of those up to the first that misses, the one is given up that costs least. All take the engine alike, so this leaves
  the most worth: Moore and Hodgson's rule with weights.

Source: Moore, "An n job, one machine sequencing algorithm for minimizing the number of late jobs", 1968.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def ends(free: Sequence[float], calls: Sequence[float], count: int) -> list[float]:
    """When each of `count` frames is answered, in their order, monotonic seconds.

    `free`: when the engine can take up a further call, sorted, one for each that it runs at once. `calls`: seconds of a
    call of one frame, of two, and so on; as many as a call holds while many wait.
    """
    slots, full, found = list(free), len(calls), []
    for position in range(count):
        inside = position % full
        if inside == 0 and position:
            heapq.heapreplace(slots, slots[0] + calls[-1])  # sorted is a heap
        found.append(slots[0] + calls[inside])
    return found


def first_miss(due: Sequence[float], answered: Sequence[float]) -> int | None:
    """The first that is answered after it is due; None where all are in time."""
    for position, end in enumerate(answered):
        if end > due[position]:
            return position
    return None


def cheapest(losses: Sequence[float]) -> int:
    """The one whose giving up costs least; of equal ones the last."""
    best = len(losses) - 1
    for position in range(len(losses) - 2, -1, -1):
        if losses[position] < losses[best]:
            best = position
    return best

"""The sizes of a release that a box runs: the full one, and the lighter ones beside it.

Rules that hold here:

- The full size is loaded first, then each lighter one, from bytes that were proven as any file's.
- A size that does not load here, or for which there is no memory, is left out, and the box says so; the release answers
  in those that load. It fails only where none does, for the reason of the first.
- What is wrong with the bytes or the box is no matter of a size, and passes as it is: it is mended and tried again.
- What was left out is tried again when the release is loaded again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from agent.errors import Damaged
from protos.errors import LongshoreError, Rejected, Retryable

SPARE_BYTES = 256 << 20  # of memory, for a worker itself and for whatever else the box does
TIMES_MODEL = 4  # its size on disk: weights twice over, and what a run takes

Loads = Mapping[str, Callable[[], Awaitable[None]]]


async def loaded(loads: Loads) -> dict[str, str]:
    """Load each of these sizes, in this order; those that were left out, and why."""
    left_out: dict[str, LongshoreError] = {}
    for size, load in loads.items():
        try:
            await load()
        except Damaged:
            raise
        except (Rejected, Retryable) as error:
            left_out[size] = error
    if len(left_out) == len(loads):
        raise next(iter(left_out.values()))
    return {size: str(error) for size, error in left_out.items()}


def memory(model_bytes: int) -> int:
    """Bytes that one more engine may take, of a model of that size on disk."""
    return SPARE_BYTES + TIMES_MODEL * model_bytes


def check_memory(free: int, model_bytes: int, what: str = "it", instead: str = "") -> None:
    """Raises Retryable where one more engine may find too little. `free`: bytes of the box's memory.

    `what` is loaded, and `instead` is what a person may do, for the sentence.
    """
    needed = memory(model_bytes)
    if free < needed:
        raise Retryable(f"the box has {free >> 20} MiB of memory left, and {what} may take {needed >> 20} MiB{instead}")


def sentence(left_out: Mapping[str, str]) -> str:
    """What a person is told of them; "" where none is."""
    told = [f"its {size} size is left out here: {why}" for size, why in left_out.items()]
    return f"{'; '.join(told)}; it is tried again when the release is loaded again" if told else ""

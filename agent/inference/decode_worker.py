"""The process that decodes pictures: bytes that came from anywhere, by a large native library, and so on its own.

    python -m agent.inference.decode_worker      (started by agent.workers.process)

It opens nothing, and gives up its rights before it hears of a picture. A picture's claim of its size is checked before
it is decoded; the pixels go straight into the caller's memory, which stays the model's. Pictures are decoded by a few
threads at once. What is wrong with one is its answer; it ends when its channel closes.
"""

from __future__ import annotations

import mmap
import os
import resource
import time
from collections.abc import Sequence

import numpy as np

from agent.inference import confinement, pictures, places
from agent.inference.datatypes import unpack_bytes
from agent.inference.errors import Expired
from agent.inference.lanes import Rank, of_process
from agent.inference.messages import Decode, Decoded, Failed, Part, Reason
from agent.inference.requests import IMAGE
from agent.workers import memory
from agent.workers.channel import WorkerChannel, close_all
from protos.errors import LongshoreError

MOST_THREADS = 4  # they compete with the models for the cores


def decoded(message: Decode, fds: Sequence[int], now: float) -> Decoded:
    """Write the pixels; takes the descriptors. Raises BadInput, Expired."""
    try:
        if message.deadline is not None and now >= message.deadline:
            raise Expired("the request's time had passed before its picture's turn came")
        content = message.content
        if len(fds) > 1:
            content = places.content_of(Part(IMAGE, 1, message.offset, message.nbytes), fds[1])
        (picture,) = unpack_bytes(IMAGE, content, 1)
        wanted = message.input
        # The mapping goes with the array that looks at it.
        out = np.frombuffer(mmap.mmap(fds[0], 0), np.uint8, wanted.nbytes, message.target)
        return Decoded(message.call, pictures.fit(picture, wanted, out.reshape(wanted.shape)))
    finally:
        close_all(fds)


def answer(message: Decode, fds: Sequence[int]) -> Decoded | Failed:
    """`decoded`, or why not.

    Where this process has no memory left it is no fault of the picture, whatever the library says, and raised: with
    the end of the process it comes back.
    """
    try:
        return decoded(message, fds, time.monotonic())
    except Expired as error:
        return Failed(message.call, Reason.EXPIRED, str(error))
    except (LongshoreError, MemoryError) as error:
        if memory.spent():
            raise
        return _failed(message.call, error)


def _failed(call: int, error: Exception) -> Failed:
    if isinstance(error, MemoryError):
        return Failed(call, Reason.AGAIN, "the box has not enough memory for this picture")
    return Failed(call, Reason.INPUT, str(error))


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump of a hostile picture's memory would fill the disk
    channel: WorkerChannel[Decode] = WorkerChannel.from_environment(Decode)
    try:
        channel.send(confinement.confine_decoder())
    except EOFError:
        return  # the agent, or its wish to decode here, has gone meanwhile

    lanes = of_process(channel, lambda _: Rank.NEXT, lambda received: channel.send(answer(*received)))
    lanes.run(min(MOST_THREADS, len(os.sched_getaffinity(0))))
    os._exit(0)  # a picture that is still decoded would be in the way of the interpreter's end


if __name__ == "__main__":
    main()

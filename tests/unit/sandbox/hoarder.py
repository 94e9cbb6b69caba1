"""A worker that takes what it is asked to: MiB of memory files that it never maps, or below 0 as many threads."""

from __future__ import annotations

import os
import threading

from agent.workers.channel import WorkerChannel
from sandbox import profiles
from sandbox.entry import enter
from tests.unit.workers.messages import Answer, Ask

ROOM = 4 << 30  # bytes of address space
GPU = "gpu"  # in the worker's words: no address space is limited


def taken(mebibytes: int) -> int:
    memory, piece = os.memfd_create("hoard"), bytes(1 << 20)
    written = sum(os.write(memory, piece) for _ in range(mebibytes))
    os.close(memory)
    return written >> 20


def started(wanted: int) -> int:
    """As many as the box allows."""
    threading.stack_size(64 << 10)
    over, threads = threading.Event(), list[threading.Thread]()
    try:
        for _ in range(wanted):
            thread = threading.Thread(target=over.wait)
            thread.start()
            threads.append(thread)
    except RuntimeError:
        pass
    over.set()
    for thread in threads:
        thread.join()
    return len(threads)


def main(words: list[str]) -> None:
    channel = WorkerChannel.from_environment(Ask)
    pid = os.getpid()
    channel.send(enter(profiles.engine_on_gpu(pid, (), ()) if GPU in words else profiles.pictures(pid, ROOM)))
    while True:
        try:
            received = channel.receive()
        except EOFError:
            return
        assert received is not None
        number = received[0].number
        channel.send(Answer(taken(number) if number > 0 else started(-number), pid, ""))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])

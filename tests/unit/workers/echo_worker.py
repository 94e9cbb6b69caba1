"""A worker for the tests: answers a number with its double, a descriptor with what lies behind it."""

from __future__ import annotations

import os

from agent.workers.channel import WorkerChannel
from tests.unit.workers.messages import Answer, Ask


def main() -> None:
    channel = WorkerChannel.from_environment(Ask)
    while True:
        try:
            received = channel.receive()
        except EOFError:
            return
        assert received is not None
        message, fds = received
        if message.number < 0:
            os._exit(-message.number)
        text = os.pread(fds[0], 5, 0).decode() if fds else ""
        channel.send(Answer(2 * message.number, os.getpid(), text))


if __name__ == "__main__":
    main()

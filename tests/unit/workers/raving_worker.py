"""A worker for the tests that was taken over: it says what nobody understands, with a descriptor beside it."""

from __future__ import annotations

import os
import socket
import time

from agent.workers import channel


def main() -> None:
    sock = socket.socket(fileno=int(os.environ[channel.ENVIRONMENT]))
    socket.send_fds(sock, [b"nonsense"], [os.memfd_create("beside")])
    time.sleep(60)


if __name__ == "__main__":
    main()

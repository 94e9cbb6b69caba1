"""A compiler's process that falls over the graph it was given, as one that is killed for its memory does."""

from __future__ import annotations

import os
import signal

from agent.inference.compiler_messages import Compile
from agent.workers.channel import WorkerChannel

if __name__ == "__main__":
    channel: WorkerChannel[Compile] = WorkerChannel.from_environment(Compile)
    channel.receive()
    os.kill(os.getpid(), signal.SIGKILL)

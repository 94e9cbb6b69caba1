"""`longshore-agent run`, with a line for every frame that ended: `python -m bench.dataplane.watched LOG --state-dir …`.

The node is the real one; beside its own work it writes how each frame ended, and when its word came from the capture
worker. With `--restarts-at-once` first, workers are restarted at once however often they fall: a proof that fells them
by hundreds would else measure the patience that a restart budget is there for.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # as agent.main does

import msgspec

from agent import main, node
from agent.cameras import capture
from agent.cameras.captured import Captured
from agent.inference import engine
from agent.types import Finished, Tap
from agent.workers.restarts import RestartBudget
from bench.dataplane.seen import Seen

AT_ONCE = functools.partial(RestartBudget, limit=1 << 30, first_delay=0.0, longest_delay=0.0)


class Log:
    """Lines are whole in the file when they are written: whoever reads it meets no half of one."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._encoder = msgspec.json.Encoder()

    def write(self, seen: Seen) -> None:
        os.write(self._fd, self._encoder.encode(seen) + b"\n")


class WatchedNode(node.Node):
    """See the module."""

    log: Log

    def __init__(self, *parts: object) -> None:
        self._came: dict[tuple[Tap, int], float] = {}
        super().__init__(*parts)  # type: ignore[arg-type]  # whatever the node takes

    def _on_frame(self, captured: Captured) -> None:
        self._came[captured.tap, captured.seq] = self._clock.monotonic()
        super()._on_frame(captured)

    def _on_superseded(self, tap: Tap, frames: int) -> None:
        now = self._clock.monotonic()
        self.log.write(Seen(tap.camera, tap.deployment, "superseded", now, now, now, frames=frames))
        super()._on_superseded(tap, frames)

    def _finished(self, frame: Finished) -> None:
        super()._finished(frame)
        came = self._came.pop((frame.tap, frame.seq), frame.captured)
        tap, stages, release = frame.tap, frame.stages, frame.release or ""
        now = self._clock.monotonic()
        told = Seen(tap.camera, tap.deployment, frame.outcome, frame.captured, came, now, stages, release)
        self.log.write(told)


def restart_at_once() -> None:
    for module in (capture, engine):
        vars(module)["RestartBudget"] = AT_ONCE


def run() -> None:
    words = sys.argv[1:]
    if words[0] == "--restarts-at-once":
        restart_at_once()
        words = words[1:]
    WatchedNode.log = Log(Path(words[0]))
    vars(node)["Node"] = WatchedNode
    main.cli.main(["run", *words[1:]], prog_name="longshore-agent")


if __name__ == "__main__":
    run()

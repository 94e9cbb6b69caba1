"""One boot of a control plane's training in a process of its own: real database, real processes, real registry.

    python -m tests.crash.training_world        serves Boots: tests.crash.lives

A boot ends when its Run is over, or by SIGKILL at its point.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from controlplane.config import Config
from controlplane.container import Services
from controlplane.training.domain import Event
from controlplane.training.service import Wish
from controlplane.wiring import build
from tests.crash.lives import serve

RUN = "r-1"
SECONDS = 60.0


class Boot(msgspec.Struct, frozen=True):
    folder: str
    kill_at: str = ""  # "before BEGIN", "after BEGIN", "before start", …; empty: never
    until: str = ""  # a phase at which to end by itself, as by SIGKILL; empty: when the Run is over


class Seen(msgspec.Struct, frozen=True):
    killed: bool
    phase: str = ""
    message: str = ""
    attempt: int = 0
    releases: tuple[str, ...] = ()


def boot(asked: Boot) -> Seen:
    state = Path(asked.folder)
    services = build(Config(state=state, recipes=state / "recipes", train_python=sys.executable))
    if not services.training.runs():
        services.training.start(Wish("tiny", {"epochs": 3, "pause": 0.15}, RUN))
    _arm(services.runs, asked)
    publish = _around(services.publishing, "publish", asked.kill_at)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        services.runs.tick(publish)
        run = services.training.run(RUN)
        if run.phase == asked.until and run.progress.step:
            os.kill(os.getpid(), signal.SIGKILL)
        if run.finished:
            break
        time.sleep(0.05)
    return _seen(services)


def _seen(services: Services) -> Seen:
    run = services.training.run(RUN)
    names = tuple(release.name for release in services.registry.releases())
    return Seen(killed=False, phase=run.phase, message=run.why.message, attempt=run.attempt, releases=names)


def _arm(driver: Any, asked: Boot) -> None:
    moved = driver._moved

    def crossing(run: Any, event: Event, why: Any) -> Any:
        return _around(lambda: moved(run, event, why), event.name, asked.kill_at)()

    driver._moved = crossing
    driver._start = _around(driver._start, "start", asked.kill_at)


def _around(real: Callable[..., Any], label: str, kill_at: str) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        if kill_at == f"before {label}":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments)
        if kill_at == f"after {label}":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return call


if __name__ == "__main__":
    serve(Boot, boot, Seen(killed=True), lambda why: Seen(killed=False, message=why))

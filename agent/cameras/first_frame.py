"""One picture of each camera, for `doctor`: `python -m agent.cameras.first_frame`, side by side.

Standard input: {"name": "source"} as JSON. Standard output: {"name": {"width", "height", "seconds"} or {"error"}}. A
source may hold credentials: it comes in through a pipe, and no answer holds any of it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from agent.cameras import spec
from agent.cameras.loop import make_source
from agent.cameras.source import CONNECT_SECONDS, KEY_SECONDS
from protos.errors import LongshoreError

WAIT_SECONDS = CONNECT_SECONDS + KEY_SECONDS + 1.0  # more than a connection and a first picture may take

Answer = dict[str, object]


def first(name: str, source: str) -> Answer:
    """What came of opening it."""
    began = time.monotonic()
    try:
        opened = make_source(spec.parse(name, source, 5.0))
        try:
            opened.open()
            picture = opened.read().picture
        finally:
            opened.close()
    except LongshoreError as error:
        return {"error": str(error)}
    return {"width": picture.width, "height": picture.height, "seconds": time.monotonic() - began}


def all_of(wanted: dict[str, str]) -> dict[str, Answer]:
    """Of those that answered in time."""
    answers: dict[str, Answer] = {}

    def ask(name: str, source: str) -> None:
        answers[name] = first(f"camera-{name}" if name.isdigit() else name, source)

    threads = [threading.Thread(target=ask, args=item, daemon=True) for item in wanted.items()]
    for thread in threads:
        thread.start()
    until = time.monotonic() + WAIT_SECONDS
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return dict(answers)


def main() -> None:
    json.dump(all_of(json.load(sys.stdin)), sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # a thread may hang in a driver


if __name__ == "__main__":
    main()

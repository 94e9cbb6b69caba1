"""A proof's end: its table, its file with the machine it was taken on, what was missed, and the exit code."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import processes
from bench.machine import describe
from bench.serving import figures
from bench.serving.table import others

Result = dict[str, Any]  # `missed`: sentences; empty where all holds


def told(prove: Callable[[], Result], table: Callable[[Result], str], path: Path) -> bool:
    """Was anything missed? So it is, too, where other work kept the machine too busy to judge times."""
    before = time.monotonic(), processes.busy_seconds() - processes.own_seconds()
    result = prove()
    after = time.monotonic(), processes.busy_seconds() - processes.own_seconds()
    other_cores = max(0.0, (after[1] - before[1]) / (after[0] - before[0]))
    print(table(result))
    path.parent.mkdir(parents=True, exist_ok=True)
    written = {"machine": describe(), "other_cores": round(other_cores, 2), **result}
    path.write_text(json.dumps(written, indent=2) + "\n")
    for sentence in result["missed"]:
        print(f"missed: {sentence}")
    quiet = figures.quiet(other_cores, os.cpu_count() or 1)
    if not quiet:
        print(others(other_cores))
    return bool(result["missed"]) or not quiet

"""A proof's end: its table, its file with the machine it was taken on, what was missed, and the exit code."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.machine import describe

Result = dict[str, Any]  # `missed`: sentences; empty where all holds


def told(prove: Callable[[], Result], table: Callable[[Result], str], path: Path) -> bool:
    """Was anything missed? `load_before`: what others did on the machine when it began."""
    before = os.getloadavg()[0]
    result = prove()
    print(table(result))
    path.parent.mkdir(parents=True, exist_ok=True)
    written = {"machine": describe(), "load_before": round(before, 2), **result}
    path.write_text(json.dumps(written, indent=2) + "\n")
    for sentence in result["missed"]:
        print(f"missed: {sentence}")
    return bool(result["missed"])

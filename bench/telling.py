"""A bench's end: what it shows, its file with the machine and the commit it is of, and what was missed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from agent.bench.machine import Meter
from bench.machine import commit, describe
from bench.serving.table import others

Result = dict[str, Any]


def told(shown: str, result: Result, missed: Iterable[str], path: Path | None) -> bool:
    """Was anything missed? `missed`: sentences; `path` None: nothing is kept."""
    print(shown)
    if path is not None:
        kept(result, path)
    sentences = list(missed)
    for sentence in sentences:
        print(f"missed: {sentence}")
    return bool(sentences)


def kept(result: Result, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = {"machine": describe(), "commit": commit(), **result}
    path.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n")


def proven(prove: Callable[[], Result], table: Callable[[Result], str], path: Path) -> bool:
    """`told`, of a result that has its own `missed`; so it is, too, where other work left times that judge nothing."""
    meter = Meter()
    result = prove()
    machine = meter.machine(os.cpu_count() or 1)
    around = {"other_cores": round(machine.others, 2), "judged": not machine.is_busy}
    missed = told(table(result), {**around, **result}, result["missed"], path)
    if machine.is_busy:
        print(others(machine.others))
    return missed or machine.is_busy

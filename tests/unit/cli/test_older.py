"""What is described of objects that a control plane one release older tells of (docs/adr/0013)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from controlplane.cli import kinds
from controlplane.cli.describing import described

NOW = datetime(2026, 11, 27, tzinfo=UTC)
SHADOW = {"digest": "sha256:" + "b" * 64, "agreed": 97, "differed": 3, "failed": 2, "message": ""}
TIMES = {"inferSeconds": 0.012, "activeInferSeconds": 0.020}
BOX = {"node": "quay-1", "step": "idle", "state": "idle", "activeDigest": "", "message": ""}
WHO = {"camera": "gate", "deployment": "watch", "release": "harbour 1.0.0", "trouble": ""}
ANSWERING = {**WHO, "deadlineSeconds": 0.25, "frameSeconds": 0.02, "latencyP95Seconds": 0.04}


def _row(kind: str, status: dict[str, Any], table: str) -> list[str]:
    document = {"metadata": {"name": "watch"}, "spec": {}, "status": status}
    shown = described(kinds.named(kind), document, NOW, colour=False)
    return re.split(r" {2,}", shown.partition(f"\n{table}\n")[2].splitlines()[1].strip())


def test_how_far_a_shadow_agrees_is_reckoned_from_what_it_counted() -> None:
    assert _row("deployment", {"boxes": [{**BOX, "shadow": {**SHADOW, **TIMES}}]}, "Shadow")[2:4] == ["102", "97.0 %"]
    nothing = {**SHADOW, **TIMES, "agreed": 0, "differed": 0}
    assert _row("deployment", {"boxes": [{**BOX, "shadow": nothing}]}, "Shadow")[2:4] == ["2", "-"]


def test_frames_looked_at_are_those_due_but_the_still_ones() -> None:
    item = {**ANSWERING, "due": 1300, "inTime": 285, "counts": {"stale_track": 1000}}
    assert _row("camera", {"answering": [item]}, "Answering, last minute")[4] == "95 %"

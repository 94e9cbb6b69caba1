"""Events: results as JSON for applications, on a topic for each camera. Pure. docs/events.md is their contract.

An event is told once, as it happens, to whoever listens then. What must not be lost is a record in the outbox: the two
say the same of a frame, in the words of the REST API.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from agent.types import Box, Finished, Happening, What
from protos.ids import NodeId

SCHEMA = "longshore.event/v1"
MOST_BOXES = 100  # of one event, the surest: keeps it under 16 KiB


def event(node: NodeId, frame: Finished) -> bytes:
    """What a release answered to a frame, as JSON."""
    return msgspec.json.encode(
        {
            "schema": SCHEMA,
            "node": node,
            "camera": frame.tap.camera,
            "deployment": frame.tap.deployment,
            "releaseDigest": frame.release or "",
            "captured": _moment(frame.captured_unix_ns),
            "capturedUnixNs": str(frame.captured_unix_ns),
            "tsSource": frame.ts_source,
            "outcome": frame.outcome.value,
            "latencySeconds": round(frame.latency, 4),
            "ranOn": frame.where,
            "frameSeq": frame.seq,
            "boxes": [_box(box) for box in sorted(frame.boxes, key=lambda box: -box.score)[:MOST_BOXES]],
            "happened": [_happening(happening) for happening in frame.happened],
        }
    )


def _box(box: Box) -> dict[str, Any]:
    corners = {side: round(float(getattr(box, side)), 5) for side in ("x0", "y0", "x1", "y1", "score")}
    return {**corners, "label": box.label, "zones": list(box.zones), "track": box.track or None}


def _happening(happening: Happening) -> dict[str, Any]:
    crossing = happening.direction is not None
    return {
        "what": happening.what,
        "line": happening.place if crossing else None,
        "direction": happening.direction,
        "zone": None if crossing else happening.place,
        "seconds": round(happening.seconds, 3) if happening.what in (What.LEFT, What.DWELT) else None,
        "label": happening.label,
        "track": happening.track,
    }


def _moment(unix_ns: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    text = datetime.fromtimestamp(unix_ns // 1_000_000 / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")

"""What a control plane one release older does not tell yet, from what it does (docs/adr/0013). Pure.

Each of these goes once no control plane of a neighbouring release lacks its field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def looked_at(sums: Mapping[str, Any]) -> int:
    """Frames due but those in which nothing moved. Not told before 0.2."""
    found: int | None = sums.get("lookedAt")
    return sums.get("due", 0) - sums.get("counts", {}).get("stale_track", 0) if found is None else found


def answered(shadow: Mapping[str, Any]) -> int:
    """Frames that a shadow answered. Not told before 0.2."""
    found: int | None = shadow.get("answered")
    return shadow["agreed"] + shadow["differed"] if found is None else found


def agreed_share(shadow: Mapping[str, Any]) -> float:
    """Of those answered, which are not none. Not told before 0.2."""
    found: float | None = shadow.get("agreedShare")
    return shadow["agreed"] / answered(shadow) if found is None else found

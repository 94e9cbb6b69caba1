"""Which versions of agent and control plane work together: neighbours do. Pure.

A release changes the second number (0.1.4 → 0.2.0) or the first. One apart is tested (tests/e2e/test_versions_apart.py)
and promised; so the control plane is updated first, then the boxes, and no release is left out.
"""

from __future__ import annotations

import re

RULE = "agents and control plane may be one release apart; update the control plane first, then the boxes"
_VERSION = re.compile(r"(\d+)\.(\d+)")


def release(version: str) -> tuple[int, int] | None:
    """The release that `version` belongs to; None when it is no version."""
    found = _VERSION.match(version)
    return (int(found[1]), int(found[2])) if found else None


def skew(ours: str, theirs: str) -> str:
    """What is wrong with running these two together, as the end of a sentence; empty when nothing is."""
    one, other = release(ours), release(theirs)
    if one is None or other is None or one == other:
        return ""
    if one[0] == other[0] and abs(one[1] - other[1]) == 1:
        return ""
    return f"{theirs} and {ours} are more than one release apart; {RULE}"
